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
/* This is how the account is from now on (given). */
void account_names_put(struct account_names *n, struct account *account);
/* There is no such account any more; fine when there was none. */
void account_names_forget(struct account_names *n, struct nr_str name);
/* As fnmanager_account(). */
int account_names_find(struct account_names *n, struct nr_str name, struct account **ret,
                       struct nr_err *err);

#endif
