/* Which versions of its functions an account keeps, and for how long: its own numbers over the platform's.
 */
#ifndef NR_FNMANAGER_RETENTION_H
#define NR_FNMANAGER_RETENTION_H

#include "fnmanager/manager.h"

/* Operations, as in account_api.h: the account of call->name and its retention. Changes are the administrator's; they count from the next
 * publication on and, of ages, within a minute. */
int retention_get(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old);
int retention_put(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old);

#endif
