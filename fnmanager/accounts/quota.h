/* Quotas of accounts: bytes of code and of what was compiled from it, functions, published versions.
 */
#ifndef NR_FNMANAGER_QUOTA_H
#define NR_FNMANAGER_QUOTA_H

#include "fnmanager/manager.h"

/* What an account used before a change. */
struct quota_mark {
    struct account_amount used, quota;
    int64_t garbage_bytes; /* replaced code that calls may still use */
};
/* Around a change that may add to what an account uses; both in its transaction, on the writer's thread. NR_EFORBIDDEN with a sentence
 * when the account takes no changes, or when the change took it above a quota: the transaction must then be rolled back. */
int quota_begin(sqlite3 *db, struct nr_str account, struct quota_mark *m, struct nr_err *err);
int quota_end(sqlite3 *db, struct nr_str account, const struct quota_mark *m, struct nr_err *err);

/* Operations, as in account_api.h: the account of call->name and its quotas. */
int quota_get(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old);
int quota_put(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old);

/* Adds {"bytes","functions","versions"}; -1 is null. */
void account_write_amount(const struct account_amount *a, struct nr_buf *out);
/* Adds {"bytes","functions","versions","compiled_bytes"}. */
void account_write_used(const struct account_amount *a, struct nr_buf *out);

#endif
