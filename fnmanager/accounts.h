/* Accounts and keys. Of a key the registry has only an HMAC under a secret that lies in a file beside the database, so neither a copy of
 * the database nor of the backups lets anybody in. All keys are also in memory, for every request asks.
 */
#ifndef NR_FNMANAGER_ACCOUNTS_H
#define NR_FNMANAGER_ACCOUNTS_H

#include <pthread.h>

#include "common/base/log.h"
#include "common/base/map.h"
#include "common/base/metric.h"
#include "fnmanager/metadata.h"
#include "ports/function.h"

#define ACCOUNT_GUEST "guest"
#define ACCOUNT_ADMIN "admin"
#define SCOPES_USER (SCOPE_INVOKE | SCOPE_READ | SCOPE_WRITE)
/* Profile of an account whose limits were set one by one. */
#define PROFILE_CUSTOM "custom"

struct accounts {
    pthread_rwlock_t lock; /* of by_uuid */
    struct nr_map by_uuid;
    pthread_mutex_t
        changing; /* one change of limits at a time: registry and memory in the same order */
    unsigned char secret[32];
    bool ready;
    nr_counter refused, accepted;
};

/* What open needs to know. */
struct accounts_config {
    const char *data_dir, *guest_profile;
    bool dev_keys;
    struct nr_log *log;
};

/* Reads or makes the secret, makes guest and administrator and their key files when they are missing, loads all keys. Blocking. */
int accounts_open(struct accounts *a, struct nr_db *db, const struct accounts_config *c,
                  struct nr_err *err);
void accounts_close(struct accounts *a);

/* As fnmanager_authenticate(). */
int accounts_authenticate(struct accounts *a, struct nr_str uuid, struct nr_str secret,
                          struct account **ret);

/* Stores the account's limits and puts them in force for all its keys. NR_ENOENT when there is no such account. Blocking. */
int accounts_set_limits(struct accounts *a, struct nr_db *db, const struct account_row *row);

/* The limits of a profile into *row (its texts untouched); false when there is no such profile. */
bool accounts_profile(const char *profile, struct account_row *row);

#endif
