/* What the statements of meta.db share. For use inside jobs only.
 */
#ifndef NR_FNMANAGER_METADATA_SQL_H
#define NR_FNMANAGER_METADATA_SQL_H

#include "fnmanager/registry/metadata.h"

/* Steps a statement that gives no rows, and resets it; NULL (it could not be prepared) is the connection's error. */
int sql_run(sqlite3 *db, sqlite3_stmt *s);
/* A column's text (made); "" for NULL. */
char *sql_text(sqlite3_stmt *s, int at);
/* ?1, ?2, ?3: account, package ("" for none), name. */
void sql_bind_key(sqlite3_stmt *s, struct fn_key key);

/* The id of a function, into *ret; NR_ENOENT. */
int sql_function_id(sqlite3 *db, struct fn_key key, int64_t *ret);
/* Revisions up to this one are never given out again. */
int sql_put_counter(sqlite3 *db, uint64_t revision);
/* The folder becomes garbage unless a version names it (several may: a published one shares the folder of its LATEST). "" is fine. */
int sql_put_garbage(sqlite3 *db, const char *folder, int64_t now_ms);

/* How many functions an account has, into *ret. */
int sql_function_count(sqlite3 *db, struct nr_str account, int64_t *ret);

/* Gives the first column of each row of s (NULL: it could not be prepared), whose ?1 is the account. */
int sql_names(sqlite3 *db, sqlite3_stmt *s, struct nr_str account,
              void (*each)(void *arg, const char *name), void *arg);
/* {"<collection>":n}: the rows of an account that are left after skipping, which is what a list with `count` answers. */
void sql_write_count(const struct fn_list *q, const char *collection, int64_t total);

/* A kind of entity whose lists are the account's rows in an order of theirs. */
struct sql_collection {
    const char *name;   /* "rules" */
    const char *select; /* ?1 account, ?2 limit, ?3 skip */
    int (*count)(sqlite3 *db, struct nr_str account, int64_t *ret);
    void (*write)(sqlite3_stmt *s, const struct fn_list *q); /* a row, to q->out */
};
/* Writes a page of them as a JSON list, or their number, to q->out. Not inside a job: it is one. */
int sql_list(struct nr_db *db, const struct fn_list *q, const struct sql_collection *c);

/* A page of a list of `total` rows, found from the nearer end of its index. */
struct sql_page {
    bool backward; /* the last `limit` rows of what is left after skipping `skip` from the end */
    int64_t limit, skip;
};
struct sql_page sql_page_of(int64_t total, int64_t limit, int64_t skip);

#endif
