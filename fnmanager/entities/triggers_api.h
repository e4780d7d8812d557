/* Triggers: the operations. Blocking; on the handler's threads. Each returns 0 with call->reply filled, or a NR_E* with call->err set;
 * call->name is the trigger.
 */
#ifndef NR_FNMANAGER_TRIGGERS_API_H
#define NR_FNMANAGER_TRIGGERS_API_H

#include "fnmanager/manager.h"

int trigger_list(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old);
/* Fields that are not given stay as they are. */
int trigger_put(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old);
int trigger_get(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old);
int trigger_delete(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old);
/* -> call->trigger, as it fires. */
int trigger_resolve(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old);
/* All triggers of an account that leaves are told as changed, so that nobody keeps one. */
int triggers_gone(struct fnmanager *m, struct nr_str account);

#endif
