/* Aliases of versions: the operations. Blocking; on the handler's threads. Each returns 0 with call->reply filled, or a NR_E* with
 * call->err set; call->item is the alias.
 */
#ifndef NR_FNMANAGER_ALIASES_H
#define NR_FNMANAGER_ALIASES_H

#include "fnmanager/manager.h"

int alias_list(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old);
int alias_get(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old);
/* {"version"} or {"weights"}, {"protected"}; 201 when it is new. */
int alias_put(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old);
int alias_delete(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old);
int alias_rollback(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old);

#endif
