/* Buckets as the platform's own API shows them: what they hold, and whether it is what was uploaded. Blocking; as in account_api.h.
 */
#ifndef NR_FNMANAGER_BUCKETS_H
#define NR_FNMANAGER_BUCKETS_H

#include "fnmanager/manager.h"

/* All buckets for the administrator, else the caller's own. */
int bucket_list(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old);
/* Reads every file of the bucket of call->name. */
int bucket_verify(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old);

#endif
