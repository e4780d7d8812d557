/* Accounts as the platform's own API shows and changes them. Blocking; on the handler's threads; as in action.h.
 */
#ifndef NR_FNMANAGER_ACCOUNT_API_H
#define NR_FNMANAGER_ACCOUNT_API_H

#include "fnmanager/manager.h"

/* For the account itself and the administrator. */
int account_get(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old);
/* For the administrator only. */
int account_limits(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old);

#endif
