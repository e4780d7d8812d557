/* An account reads one archive at a time. Any thread.
 */
#ifndef NR_FNMANAGER_IMPORT_MARK_H
#define NR_FNMANAGER_IMPORT_MARK_H

#include "fnmanager/manager.h"

/* An import that is under way, in m->imports. */
struct import_mark {
    struct nr_link link;
    struct nr_str account; /* lent until import_end() */
};

/* Puts mark (lent) among those that are under way; NR_EQUOTA with a sentence: the account has one already. */
int import_begin(struct fnmanager *m, struct import_mark *mark, struct nr_err *err);
void import_end(struct fnmanager *m, struct import_mark *mark);

#endif
