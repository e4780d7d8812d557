/* Metadata Handler: accounts, their keys and what they use, as structs. Of a key only the keyed hash is stored. All functions block (manage
 * plane); any thread. Every change writes its line of the audit log in the same transaction.
 */
#ifndef NR_FNMANAGER_METADATA_ACCOUNTS_H
#define NR_FNMANAGER_METADATA_ACCOUNTS_H

#include "fnmanager/registry/metadata.h"

enum account_state {
    ACCOUNT_ACTIVE,
    ACCOUNT_SUSPENDED, /* its keys are refused; nothing is lost */
    ACCOUNT_DELETING,  /* on its way out, also after a restart */
};
/* "ACTIVE", "SUSPENDED", "DELETING". */
const char *account_state_name(enum account_state s);

/* What an account uses, or may use (-1: no limit). Bytes: of files of code, each once, whatever number of versions share it, and of what compilers made
 * of them, which stands apart too. */
struct account_amount {
    int64_t bytes, functions, versions;
    int64_t compiled_bytes; /* of `bytes`; of what is used only */
};

/* What it keeps of the past of its functions; -1: as the platform does, 0: all, for ever. */
struct account_keep {
    int64_t versions, versions_days, retired_days;
};

/* An account as stored; texts made. */
struct account_row {
    char *name, *profile, *reason; /* reason: of its suspension, "" when none was given */
    enum account_state state;
    int64_t invocations_per_minute, fires_per_minute, concurrent_invocations;
    struct account_amount quota;
    struct account_keep keep;
    int64_t created_ms;
    uint64_t
        id; /* drawn when it was made: of no other account, not of an earlier one of its name either */
};
void account_row_fini(struct account_row *r);

struct key_row {
    struct nr_str uuid, account, note; /* lent during the call */
    unsigned char mac[NR_SHA256_BYTES];
    unsigned scopes;
    int64_t expires_ms, created_ms; /* 0: never; 0: now */
};

/* NR_ENOENT when there is none. */
int metadata_account(struct nr_db *db, struct nr_str name, struct account_row *ret);
/* Calls `each` for all accounts by name, with what each uses, on a thread of the database; it may not use the database. */
int metadata_accounts(struct nr_db *db,
                      void (*each)(void *arg, const struct account_row *account,
                                   const struct account_amount *used),
                      void *arg);

/* A change of an account: lent during the call. */
struct account_change {
    const struct account_row *row; /* all of it is stored */
    bool create;                   /* NR_EEXIST when the name is taken */
    const struct key_row *key;     /* a first key, or NULL */
    struct fn_actor actor;         /* account n == 0: the platform itself */
    const char *move, *from;       /* of the audit log: what was done, and the state before */
    const char *note;              /* of the audit log, or NULL */
    int64_t now_ms;
};
/* NR_ECONFLICT when no key with scope admin would be left that is in force. */
int metadata_account_change(struct nr_db *db, const struct account_change *c);
/* Removes an account in state DELETING that has no functions, with all that belongs to it. NR_ENOENT, NR_ECONFLICT. */
int metadata_account_remove(struct nr_db *db, struct nr_str name, struct fn_actor actor);

/* Stores a new key, or an old one's new secret; `move` is for the audit log. NR_ENOENT when there is no such active account. */
int metadata_key_put(struct nr_db *db, const struct key_row *row, struct fn_actor actor,
                     const char *move);
/* NR_ENOENT when the account has no such key; NR_ECONFLICT when it is the last with scope admin that is in force. */
int metadata_key_delete(struct nr_db *db, struct nr_str account, struct nr_str uuid,
                        struct fn_actor actor);
/* Calls `each` for every key of `account` (n == 0: of all), on a thread of the database; it may not use the database. */
int metadata_keys(struct nr_db *db, struct nr_str account,
                  void (*each)(void *arg, const struct key_row *key,
                               const struct account_row *account),
                  void *arg);

/* A version of one of an account's functions; texts made. */
struct account_version {
    char *package, *name;
    uint64_t revision;
};
/* Removes up to `limit` functions of an account in state DELETING with all their versions and aliases; their files become garbage. *ret_list
 * is made, *ret_n versions, 0 when none was left. NR_ENOENT when there is no account of the name in that state. */
int metadata_purge_functions(struct nr_db *db, struct nr_str account, int limit,
                             struct fn_actor actor, struct account_version **ret_list,
                             size_t *ret_n);
void account_versions_free(struct account_version *list, size_t n);

/* For changes in whose transaction the accounts' rules are kept; the writer's thread. */

/* Stores a key as metadata_key_put() does. */
int account_key_store(sqlite3 *db, const struct key_row *key, struct fn_actor actor,
                      const char *move);
/* A line of the audit log about an account. */
int account_audit(sqlite3 *db, struct fn_actor actor, const char *move, struct nr_str account,
                  const char *from, const char *to, const char *note);
/* Is there a key with scope admin in force, not counting those of `account` or the key `uuid` (n == 0: none)? 0, NR_ECONFLICT, or an error. */
int account_admin_left(sqlite3 *db, struct nr_str account, struct nr_str uuid, int64_t now_ms);
/* The columns of an account from `at` on, in the order of ACCOUNT_COLUMNS; texts made. */
void account_read(sqlite3_stmt *s, int at, struct account_row *r);
#define ACCOUNT_COLUMNS                                                                                  \
    "a.name, a.profile, a.reason, a.state, a.invocations_per_minute, a.fires_per_minute,"                \
    " a.concurrent_invocations, a.quota_bytes, a.quota_functions, a.quota_versions, a.created_ms, a.id," \
    " a.keep_versions, a.keep_versions_days, a.keep_retired_days"
#define ACCOUNT_COLUMN_COUNT 15
/* Steps a statement that gives no rows. */
int metadata_step(sqlite3_stmt *s);

#endif
