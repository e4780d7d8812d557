/* Accounts and keys. Of a key the registry has only an HMAC under a secret that lies in a file beside the database, so neither a copy of
 * the database nor of the backups lets anybody in. All keys are also in memory, for every request asks.
 */
#ifndef NR_FNMANAGER_ACCOUNTS_H
#define NR_FNMANAGER_ACCOUNTS_H

#include <pthread.h>

#include "common/base/log.h"
#include "common/base/map.h"
#include "common/base/metric.h"
#include "fnmanager/accounts/account_names.h"
#include "fnmanager/registry/metadata_accounts.h"
#include "ports/function.h"

#define ACCOUNT_GUEST "guest"
#define ACCOUNT_ADMIN "admin"
#define SCOPES_USER (SCOPE_INVOKE | SCOPE_READ | SCOPE_WRITE)
/* Profile of an account whose limits were set one by one. */
#define PROFILE_CUSTOM "custom"

struct accounts {
    pthread_rwlock_t lock; /* of by_uuid */
    struct nr_map by_uuid;
    struct account_names names;
    uint64_t keys; /* that were ever put in force by this process */
    pthread_mutex_t
        changing; /* one change at a time, from reading the row on: registry and memory in the same order */
    char *data_dir;
    unsigned char secret[32];
    bool ready;
    nr_counter refused, accepted;
};

/* What open needs to know. */
struct accounts_config {
    const char *data_dir, *guest_profile;
    bool dev_keys;
    struct nr_log *log;
    bool catalog; /* its account is made when it is not there */
};

/* Reads or makes the secret, makes guest and administrator and their key files when they are missing, loads all keys. Blocking. */
int accounts_open(struct accounts *a, struct nr_db *db, const struct accounts_config *c,
                  struct nr_err *err);
void accounts_close(struct accounts *a);

/* As fnmanager_authenticate(). */
int accounts_authenticate(struct accounts *a, struct nr_str uuid, struct nr_str secret,
                          struct account **ret);

/* As fnmanager_still_good(). */
bool accounts_still_good(struct accounts *a, const struct account *account);

/* May work that was begun with this key of the account go on, also in a later life of the process? NR_EFORBIDDEN with a sentence when the key
 * is not there any more, has expired or lacks one of the scopes, or when the account is suspended or leaves. A rotated key may. Any thread,
 * from memory. */
int accounts_may_go_on(struct accounts *a, const char *account, const char *uuid, unsigned scopes,
                       struct nr_err *err);

/* A change of one account; lent during the call. */
struct accounts_edit {
    struct nr_str name;
    struct fn_actor actor;
    const char *move; /* of the audit log */
    /* Changes the row, or refuses with a sentence. */
    int (*edit)(struct account_row *row, void *arg, struct nr_err *err);
    void *arg;
};
/* Reads the account, lets `edit` change it, stores it and puts it in force for all its keys: nobody else changes it meanwhile. *ret (made)
 * is what is stored. NR_ENOENT, NR_ECONFLICT (see metadata_account_change()), what edit says. Blocking. */
int accounts_edit(struct accounts *a, struct nr_db *db, const struct accounts_edit *e,
                  struct account_row *ret, struct nr_err *err);

/* "uuid" and "secret" of a new key; wiped by whoever has it. */
struct key_pair {
    char uuid[37], secret[65];
};
/* Stores a new account with a first key for its users. *ret_pair is made up here. NR_EEXIST. Blocking. */
int accounts_create(struct accounts *a, struct nr_db *db, const struct account_row *row,
                    struct fn_actor actor, struct key_pair *ret_pair);
/* Stores a new key, in force when it returns: account, note, scopes and expires_ms are given, the rest is made up here. NR_ENOENT. Blocking. */
int accounts_key_add(struct accounts *a, struct nr_db *db, struct key_row *key,
                     struct fn_actor actor, struct key_pair *ret_pair);
/* Gives the key another secret; the old one opens nothing any more. *key (its uuid lent by *ret_pair, its note by *ret_note, which
 * is made) is as it is stored then. NR_ENOENT when `account` has no such key. Blocking. */
int accounts_key_rotate(struct accounts *a, struct nr_db *db, struct nr_str account,
                        struct nr_str uuid, struct fn_actor actor, struct key_row *key,
                        struct key_pair *ret_pair, char **ret_note);
/* The key opens nothing any more. As metadata_key_delete(). Blocking. */
int accounts_key_revoke(struct accounts *a, struct nr_db *db, struct nr_str account,
                        struct nr_str uuid, struct fn_actor actor);
/* Removes what is left of an account in state DELETING. As metadata_account_remove(). Blocking. */
int accounts_remove(struct accounts *a, struct nr_db *db, struct nr_str name,
                    struct fn_actor actor);

/* A row (its limits untouched) of a new account: active, no quotas, made now; texts made. */
void accounts_new_row(const char *name, struct account_row *row);
/* The limits of a profile into *row (its texts untouched); false when there is no such profile. */
bool accounts_profile(const char *profile, struct account_row *row);

#endif
