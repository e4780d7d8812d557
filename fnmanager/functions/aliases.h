/* Aliases of versions: the operations. Blocking; on the handler's threads. Each returns 0 with call->reply filled, or a NR_E* with
 * call->err set; call->item is the alias.
 */
#ifndef NR_FNMANAGER_ALIASES_H
#define NR_FNMANAGER_ALIASES_H

#include "common/base/json.h"
#include "fnmanager/manager.h"

int alias_list(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old);
int alias_get(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old);
/* {"version"} or {"weights"}, {"protected"}; 201 when it is new. */
int alias_put(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old);
int alias_delete(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old);
int alias_rollback(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old);

/* {"1":90,"3":10}, as a client or an archive gives it: NR_EINVAL with a sentence. Whether these versions exist is not looked at. */
int alias_weights_read(const json_t *weights, struct alias_split *ret, struct nr_err *err);

#endif
