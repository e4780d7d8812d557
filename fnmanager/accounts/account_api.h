/* Accounts as the platform's own API shows and changes them. Blocking; on the handler's threads; as in action.h. All but the first two
 * are for the administrator; to others what is not theirs does not exist.
 */
#ifndef NR_FNMANAGER_ACCOUNT_API_H
#define NR_FNMANAGER_ACCOUNT_API_H

#include "fnmanager/manager.h"

/* The account of call->name as a whole, and its limits alone. */
int account_show(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old);
int account_get(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old);
int account_list(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old);
int account_create(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old);
int account_limits(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old);
/* Keys are refused, containers end when their calls have ended. */
int account_suspend(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old);
int account_resume(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old);

/* The administrator changes the account of call->name: `edit` (its arg is call) reads the body into the row, which is stored and audited as `move`.
 * 0: *ret is the row as it is now (given: account_row_fini()); else refused with a sentence. */
int account_change(struct fnmanager *m, struct fn_call *call, const char *move,
                   int (*edit)(struct account_row *row, void *arg, struct nr_err *err),
                   struct account_row *ret);

/* May the caller administer? 0 or NR_EFORBIDDEN with a sentence. */
int account_admin_only(struct fn_call *call);
/* May the caller see the account of call->name? 0, or NR_ENOENT with a sentence. */
int account_may_see(struct fn_call *call);
/* handler_refuse() for the account of call->name: a conflict is that no administrator would be left. */
int account_refuse(struct fn_call *call, int r);

#endif
