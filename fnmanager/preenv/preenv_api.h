/* The calls on PreEnv runs. Blocking; on the handler's threads. As in action.h.
 */
#ifndef NR_FNMANAGER_PREENV_API_H
#define NR_FNMANAGER_PREENV_API_H

#include "fnmanager/manager.h"

int op_preenv_start(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old);
int op_preenv_list(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old);
int op_preenv_get(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old);
/* Events beyond call->skip, as server-sent events; call->skip is how many there are then, call->last whether the run has ended. */
int op_preenv_events(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old);
int op_preenv_cancel(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old);
int op_preenv_apply(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old);

#endif
