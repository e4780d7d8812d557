/* Actions: what each call on them does. Blocking; on the handler's threads. Each returns 0 with call->reply filled, or a NR_E* with
 * call->err set. *ret_old is the revision that was replaced or removed, 0 when there was none.
 */
#ifndef NR_FNMANAGER_ACTION_H
#define NR_FNMANAGER_ACTION_H

#include "fnmanager/manager.h"

/* Ceiling of a reply: a code string in which every byte is escaped, and the rest. */
#define ACTION_REPLY_MAX_BYTES (320u << 20)

int action_put(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old);
/* The commit of an update window: a body as for a PUT (none: nothing changes); the reply is the function's document. */
int action_commit(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old);
int action_get(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old);
int action_delete(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old);
int action_list(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old);

#endif
