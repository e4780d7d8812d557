/* Rules: the operations. Blocking; on the handler's threads. Each returns 0 with call->reply filled, or a NR_E* with call->err set;
 * call->name is the rule.
 */
#ifndef NR_FNMANAGER_RULES_API_H
#define NR_FNMANAGER_RULES_API_H

#include "fnmanager/manager.h"

int rule_list(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old);
/* {"trigger","action"}, each as text or as {"path","name"}; what is not given stays as it is. */
int rule_put(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old);
int rule_get(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old);
int rule_delete(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old);
/* {"status":"active"|"inactive"}; the reply is empty. */
int rule_state(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old);

#endif
