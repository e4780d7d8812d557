/* What the two files of the grants share. Not for users of grants.h.
 */
#ifndef NR_PORTS_GRANTS_PARTS_H
#define NR_PORTS_GRANTS_PARTS_H

#include "ports/grants.h"

/* Empty, one reference, room for the most there may be. */
struct grants *grants_make(void);
/* Lower-case letters, digits, - and _, at most 32, beginning with a letter or a digit: it becomes part of a path of ours. NULL is not. */
bool grants_good_name(const char *s);

#endif
