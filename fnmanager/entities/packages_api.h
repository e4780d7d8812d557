/* Packages and bindings: the operations of /api/v1/namespaces/{ns}/packages. Blocking; on the handler's threads. Operations return 0 with
 * call->reply filled, or a NR_E* with call->err set; *ret_old is HANDLER_MANY when on_change was told.
 */
#ifndef NR_FNMANAGER_PACKAGES_API_H
#define NR_FNMANAGER_PACKAGES_API_H

#include "fnmanager/manager.h"

int package_list(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old);
int package_put(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old);
int package_get(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old);
/* call->force: what is in it goes first. */
int package_delete(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old);

#endif
