/* A connection keeps each statement from its first use on. Which connection a job's `sqlite3 *` belongs to is known per thread: every
 * database thread has exactly one, and jobs run nowhere else.
 */
#include "common/data/db_conn.h"

#include "common/base/mem.h"

static _Thread_local struct nr_db_conn *current;

/* Every connection. The memory of a page cache is taken page by page, up to 1 MiB. */
static const char *const pragmas[] = {
    "PRAGMA synchronous=FULL",
    "PRAGMA wal_autocheckpoint=0",
    "PRAGMA journal_size_limit=4194304",
    "PRAGMA cache_size=-1024",
    "PRAGMA foreign_keys=ON",
    "PRAGMA trusted_schema=OFF",
    "PRAGMA cell_size_check=ON",
    NULL,
};

static int on_commit(void *conn, sqlite3 *db, const char *name, int pages)
{
    (void)db;
    (void)name;
    ((struct nr_db_conn *)conn)->wal_pages = (unsigned)pages;
    return SQLITE_OK;
}

int nr_db_conn_fail(struct nr_db_conn *c, const char *path, const char *what, struct nr_err *err)
{
    int result = c->db ? sqlite3_errcode(c->db) : SQLITE_NOMEM;
    int code = nr_db_err(result);
    const char *text = c->db ? sqlite3_errmsg(c->db) : "out of memory";

    if (code == NR_ECORRUPT)
        return nr_err_set(
            err, code,
            "%s: the database is damaged (%s): restore it from a backup, or move it away to start empty",
            path, text);
    return nr_err_set(err, code < 0 ? code : NR_EIO, "%s: %s: %s", path, what, text);
}

int nr_db_conn_open(struct nr_db_conn *c, const char *path, uint32_t busy_timeout_ms,
                    enum nr_db_role role, struct nr_err *err)
{
    *c = (struct nr_db_conn){0};
    int result = sqlite3_open_v2(path, &c->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);

    if (result == SQLITE_OK)
        result = sqlite3_busy_timeout(c->db, (int)busy_timeout_ms);
    for (size_t i = 0; result == SQLITE_OK && pragmas[i]; i++)
        result = sqlite3_exec(c->db, pragmas[i], NULL, NULL, NULL);
    if (result == SQLITE_OK && role == NR_DB_READER)
        result = sqlite3_exec(c->db, "PRAGMA query_only=ON", NULL, NULL, NULL);
    if (result != SQLITE_OK) {
        int r = nr_db_conn_fail(c, path, "the database cannot be opened", err);

        nr_db_conn_close(c);
        return r;
    }
    (void)sqlite3_wal_hook(c->db, on_commit, c);
    return 0;
}

void nr_db_conn_close(struct nr_db_conn *c)
{
    for (size_t i = 0; i < NR_DB_CHAINS; i++)
        for (struct nr_db_statement *s = c->chains[i], *next; s; s = next) {
            next = s->next;
            (void)sqlite3_finalize(s->s);
            free(s);
        }
    (void)sqlite3_close_v2(c->db);
    *c = (struct nr_db_conn){0};
}

void nr_db_conn_enter(struct nr_db_conn *c)
{
    current = c;
}

const struct nr_db_conn *nr_db_conn_here(void)
{
    return current;
}

void nr_db_conn_reset(struct nr_db_conn *c)
{
    while (c->used) {
        struct nr_db_statement *s = c->used;

        c->used = s->next_used;
        s->next_used = NULL;
        (void)sqlite3_reset(s->s);
    }
}

static sqlite3_stmt *prepare(struct nr_db_conn *c, const char *literal)
{
    struct nr_db_statement **chain = &c->chains[((uintptr_t)literal >> 3) % NR_DB_CHAINS];
    struct nr_db_statement *s = *chain;
    sqlite3_stmt *made;

    while (s && s->literal != literal)
        s = s->next;
    if (s)
        return s->s;
    if (sqlite3_prepare_v3(c->db, literal, -1, SQLITE_PREPARE_PERSISTENT, &made, NULL) != SQLITE_OK)
        return NULL;
    s = nr_alloc(sizeof(*s));
    *s = (struct nr_db_statement){.literal = literal, .s = made, .next = *chain};
    *chain = s;
    return made;
}

sqlite3_stmt *nr_db_prepare(sqlite3 *db, const char *literal)
{
    struct nr_db_conn *c = current;

    nr_check(c != NULL && c->db == db);
    sqlite3_stmt *found = prepare(c, literal);

    if (found == NULL)
        return NULL;
    struct nr_db_statement *s = c->chains[((uintptr_t)literal >> 3) % NR_DB_CHAINS], *u = c->used;

    while (s->s != found)
        s = s->next;
    while (u && u != s)
        u = u->next_used;
    if (u == NULL) {
        s->next_used = c->used;
        c->used = s;
    }
    (void)sqlite3_reset(found);
    (void)sqlite3_clear_bindings(found);
    return found;
}

int nr_db_conn_do(struct nr_db_conn *c, const char *literal)
{
    sqlite3_stmt *s = prepare(c, literal);
    int result;

    if (s == NULL)
        return sqlite3_errcode(c->db);
    do
        result = sqlite3_step(s);
    while (result == SQLITE_ROW);
    (void)sqlite3_reset(s);
    return result == SQLITE_DONE ? SQLITE_OK : result;
}

int64_t nr_db_conn_number(struct nr_db_conn *c, const char *literal)
{
    sqlite3_stmt *s = prepare(c, literal);
    int64_t number = s && sqlite3_step(s) == SQLITE_ROW ? sqlite3_column_int64(s, 0) : -1;

    (void)sqlite3_reset(s);
    return number;
}

int nr_db_err(int sqlite_result)
{
    switch (sqlite_result & 0xFF) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE: return 0;
    case SQLITE_FULL: return NR_ENOSPC;
    case SQLITE_CONSTRAINT: return NR_EEXIST;
    case SQLITE_BUSY:
    case SQLITE_LOCKED: return NR_EBUSY;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: return NR_ECORRUPT;
    case SQLITE_NOMEM: return NR_ENOMEM;
    case SQLITE_TOOBIG: return NR_ETOOBIG;
    default: return NR_EIO;
    }
}

void nr_db_bind_text(sqlite3_stmt *s, int at, struct nr_str text)
{
    (void)sqlite3_bind_text64(s, at, text.p, text.n, SQLITE_STATIC, SQLITE_UTF8);
}

void nr_db_bind_blob(sqlite3_stmt *s, int at, struct nr_str bytes)
{
    (void)sqlite3_bind_blob64(s, at, bytes.p, bytes.n, SQLITE_STATIC);
}

struct nr_str nr_db_column(sqlite3_stmt *s, int at)
{
    int type = sqlite3_column_type(s, at);
    const void *p =
        type == SQLITE_BLOB ? sqlite3_column_blob(s, at) : (const void *)sqlite3_column_text(s, at);

    if (p == NULL)
        return (struct nr_str){type == SQLITE_BLOB ? "" : NULL, 0};
    return (struct nr_str){p, (size_t)sqlite3_column_bytes(s, at)};
}
