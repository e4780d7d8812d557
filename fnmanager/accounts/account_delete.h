/* How an account goes: drained, then purged; what a crash cut short is finished by the next start.
 */
#ifndef NR_FNMANAGER_ACCOUNT_DELETE_H
#define NR_FNMANAGER_ACCOUNT_DELETE_H

#include "fnmanager/manager.h"

/* Operation, as in account_api.h: call->name is DELETING when it is answered, with 202. */
int account_delete(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old);

/* Operations that the departure of an account posts by itself. */
int account_purge(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old);
int account_remove(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old);

/* At start: goes on with the accounts that were DELETING. */
int account_delete_resume(struct fnmanager *m, struct nr_err *err);
/* At the end, when the threads are joined: what still is under way ends by itself when it comes back. */
void account_delete_fini(struct fnmanager *m);

#endif
