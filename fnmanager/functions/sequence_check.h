/* May a sequence be stored with these components? Blocking; manage plane.
 */
#ifndef NR_FNMANAGER_SEQUENCE_CHECK_H
#define NR_FNMANAGER_SEQUENCE_CHECK_H

#include "fnmanager/manager.h"

/* `components` (text as the row of `key` would have it; both lent): each must be there for the account of `key`, none may lead back to `key`, and all
 * together run SEQUENCE_MAX functions at most. NR_EINVAL, NR_EFORBIDDEN with the exact text of the API. What others change meanwhile is
 * not seen: who stores holds m->composing from here to the commit. */
int sequence_check(struct fnmanager *m, struct fn_key key, const char *components,
                   struct nr_err *err);

#endif
