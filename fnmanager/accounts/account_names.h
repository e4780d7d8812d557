/* Accounts by name, in memory: whom the platform acts for when nobody logs in as them, as for web actions and API routes.
 * Any thread; behind it only as a change is stored and not yet answered.
 */
#ifndef NR_FNMANAGER_ACCOUNT_NAMES_H
#define NR_FNMANAGER_ACCOUNT_NAMES_H

#include <pthread.h>

#include "common/base/err.h"
#include "common/base/map.h"
#include "ports/function.h"

/* Embedded; fields are private. */
struct account_names {
    pthread_rwlock_t lock;
    struct nr_map by_name;
};

void account_names_init(struct account_names *n);
void account_names_fini(struct account_names *n);
/* This is how the account (given) with this id is from now on. */
void account_names_put(struct account_names *n, struct account *account, uint64_t id);
/* There is no such account any more; fine when there was none. */
void account_names_forget(struct account_names *n, struct nr_str name);
/* Is the account ACTIVE? *ret_id: which of its name it is, in any state (metadata_accounts.h); 0: there is none. */
bool account_names_look(struct account_names *n, struct nr_str name, uint64_t *ret_id);
/* As fnmanager_account(). */
int account_names_find(struct account_names *n, struct nr_str name, struct account **ret,
                       struct nr_err *err);

#endif
