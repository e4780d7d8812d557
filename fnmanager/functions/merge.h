/* What a PUT makes of what was there: the rules by which a body and the stored version become the new version. Pure but for memory.
 */
#ifndef NR_FNMANAGER_MERGE_H
#define NR_FNMANAGER_MERGE_H

#include "fnmanager/functions/body.h"
#include "fnmanager/functions/lifecycle.h"

/* Fills *ret (made; fn_row_fini) from the body and `old` (NULL: create): everything but revision and time, and the code of a body that has
 * some. `move` (MOVE_UPDATE, MOVE_COMMIT) is judged when there is an old one. NR_EINVAL "exec undefined", NR_ETOOBIG when merged annotations
 * are too many, NR_ECONFLICT when the state forbids it. */
int action_merge(const struct action_body *body, const struct fn_row *old, enum lifecycle_move move,
                 struct fn_row *ret, struct nr_err *err);

#endif
