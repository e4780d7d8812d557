/* Metadata Handler: aliases, the names of versions. All functions block (manage plane); any thread.
 */
#ifndef NR_FNMANAGER_METADATA_ALIASES_H
#define NR_FNMANAGER_METADATA_ALIASES_H

#include "common/base/buf.h"
#include "fnmanager/registry/metadata.h"

/* Aliases of a function, and targets that one remembers. */
#define ALIASES_MAX 100
#define ALIAS_HISTORY_MAX 50

/* Where `alias` of the function points, into *ret; NR_ENOENT without a sentence when there is no such alias (or function). */
int metadata_alias(struct nr_db *db, struct fn_key key, struct nr_str alias,
                   struct alias_split *ret);

/* {"1":90,"2":10} as stored, into *ret; false when it is no such text. */
bool alias_split_read(struct nr_str text, struct alias_split *ret);
/* Does it point to this version? */
bool alias_split_names(const struct alias_split *split, int64_t version);
/* "version":2 or "weights":{"1":90,"2":10}, a member of an object of the API. */
void alias_split_write(const struct alias_split *split, struct nr_buf *out);

/* {"1":90,"2":10}: the stored form. */
void alias_weights_write(const struct alias_split *split, struct nr_buf *out);

/* An alias as stored; texts made. */
struct alias_row {
    char *name;
    struct alias_split split;
    bool is_protected;
    char *
        history; /* JSON array of {"at_ms","by","weights"}: what it pointed to, what it points to now is the last */
};
void alias_row_fini(struct alias_row *r);
/* From a row of name, weights, history, protected; inside a job. NR_ECORRUPT. */
int alias_row_read(sqlite3_stmt *s, struct alias_row *ret);
struct alias_list {
    struct alias_row *item;
    size_t n;
};
void alias_list_fini(struct alias_list *l);
/* All of a function by name, into *ret (made; alias_list_fini); NR_ENOENT: no such function. */
int metadata_alias_list(struct nr_db *db, struct fn_key key, struct alias_list *ret);

enum alias_change { ALIAS_PUT, ALIAS_ROLLBACK, ALIAS_DELETE };
/* What is asked for; lent. */
struct alias_order {
    enum alias_change change;
    struct fn_key key;
    struct nr_str alias;
    struct alias_split split; /* ALIAS_PUT; n 0: where it points stays */
    int is_protected;         /* ALIAS_PUT; -1: stays */
    struct fn_actor actor;
};
/* Changes an alias in one transaction; *ret_new: it was made. NR_ENOENT (without a sentence: the function, or the alias that was to be rolled
 * back or deleted; with one: a version), NR_EINVAL, NR_ECONFLICT, NR_EQUOTA with a sentence. */
int metadata_alias_change(struct nr_db *db, const struct alias_order *o, bool *ret_new,
                          struct nr_err *err);

#endif
