/* Small parts of the jobs on meta.db, each used by several of them. */
#include "fnmanager/registry/metadata_sql.h"

#include "common/base/mem.h"

int sql_run(sqlite3 *db, sqlite3_stmt *s)
{
    int r;

    if (s == NULL)
        return nr_db_err(sqlite3_errcode(db));
    r = sqlite3_step(s);
    (void)sqlite3_reset(s);
    return r == SQLITE_DONE || r == SQLITE_ROW ? 0 : nr_db_err(r);
}

char *sql_text(sqlite3_stmt *s, int at)
{
    struct nr_str text = nr_db_column(s, at);

    return nr_strndup(text.n != 0 ? text.p : "", text.n);
}

void sql_bind_key(sqlite3_stmt *s, struct fn_key key)
{
    nr_db_bind_text(s, 1, key.account);
    nr_db_bind_text(s, 2, key.package.n != 0 ? key.package : NR_STR(""));
    nr_db_bind_text(s, 3, key.name);
}

int sql_function_id(sqlite3 *db, struct fn_key key, int64_t *ret)
{
    sqlite3_stmt *s = nr_db_prepare(
        db, "SELECT id FROM functions WHERE account = ?1 AND package = ?2 AND name = ?3");
    int r;

    if (s == NULL)
        return nr_db_err(sqlite3_errcode(db));
    sql_bind_key(s, key);
    r = sqlite3_step(s);
    if (r == SQLITE_ROW)
        *ret = sqlite3_column_int64(s, 0);
    (void)sqlite3_reset(s);
    return r == SQLITE_ROW ? 0 : r == SQLITE_DONE ? NR_ENOENT : nr_db_err(r);
}

int sql_put_counter(sqlite3 *db, uint64_t revision)
{
    sqlite3_stmt *s =
        nr_db_prepare(db, "UPDATE counters SET value = max(value, ?1) WHERE name = 'revision'");

    if (s != NULL)
        sqlite3_bind_int64(s, 1, (int64_t)revision);
    return sql_run(db, s);
}

int sql_put_garbage(sqlite3 *db, const char *folder, int64_t now_ms)
{
    sqlite3_stmt *s = nr_db_prepare(
        db, "INSERT INTO garbage(code_folder, since_ms) SELECT ?1, ?2"
            " WHERE ?1 <> '' AND NOT EXISTS(SELECT 1 FROM versions WHERE code_folder = ?1)"
            " ON CONFLICT(code_folder) DO UPDATE SET since_ms = excluded.since_ms");

    if (s != NULL) {
        nr_db_bind_text(s, 1, nr_str_of(folder));
        sqlite3_bind_int64(s, 2, now_ms);
    }
    return sql_run(db, s);
}

int sql_function_count(sqlite3 *db, struct nr_str account, int64_t *ret)
{
    sqlite3_stmt *s = nr_db_prepare(db, "SELECT functions FROM usage WHERE account = ?1");
    int r;

    if (s == NULL)
        return nr_db_err(sqlite3_errcode(db));
    nr_db_bind_text(s, 1, account);
    r = sqlite3_step(s);
    *ret = r == SQLITE_ROW ? sqlite3_column_int64(s, 0) : 0;
    (void)sqlite3_reset(s);
    return r == SQLITE_ROW || r == SQLITE_DONE ? 0 : nr_db_err(r);
}

struct sql_page sql_page_of(int64_t total, int64_t limit, int64_t skip)
{
    int64_t after = total > skip ? total - skip : 0; /* rows from the page's beginning on */

    if (skip <= total / 2)
        return (struct sql_page){.limit = limit, .skip = skip};
    if (limit > after)
        limit = after;
    return (struct sql_page){.backward = true, .limit = limit, .skip = after - limit};
}

int sql_names(sqlite3 *db, sqlite3_stmt *s, struct nr_str account,
              void (*each)(void *arg, const char *name), void *arg)
{
    int r;

    if (s == NULL)
        return nr_db_err(sqlite3_errcode(db));
    nr_db_bind_text(s, 1, account);
    while ((r = sqlite3_step(s)) == SQLITE_ROW) {
        nr_auto_free char *name = sql_text(s, 0);

        each(arg, name);
    }
    (void)sqlite3_reset(s);
    return r == SQLITE_DONE ? 0 : nr_db_err(r);
}

void sql_write_count(const struct fn_list *q, const char *collection, int64_t total)
{
    nr_buf_printf(q->out, "{\"%s\":%lld}", collection,
                  (long long)(total > q->skip ? total - q->skip : 0));
}

struct list_job {
    struct nr_db_job job;
    const struct fn_list *q;
    const struct sql_collection *of;
};

static int write_page(sqlite3 *db, const struct fn_list *q, const struct sql_collection *of)
{
    sqlite3_stmt *s = nr_db_prepare(db, of->select);
    const char *between = "";
    int r;

    if (s == NULL)
        return nr_db_err(sqlite3_errcode(db));
    nr_db_bind_text(s, 1, q->key.account);
    sqlite3_bind_int64(s, 2, q->limit);
    sqlite3_bind_int64(s, 3, q->skip);
    nr_buf_addc(q->out, '[');
    for (; (r = sqlite3_step(s)) == SQLITE_ROW && !q->out->failed; between = ",") {
        nr_buf_adds(q->out, between);
        of->write(s, q);
    }
    nr_buf_addc(q->out, ']');
    (void)sqlite3_reset(s);
    return q->out->failed ? NR_ETOOBIG : r == SQLITE_DONE ? 0 : nr_db_err(r);
}

static int list_run(sqlite3 *db, struct nr_db_job *job)
{
    const struct list_job *j = nr_container_of(job, struct list_job, job);
    int64_t n = 0;
    int r;

    if (!j->q->count)
        return write_page(db, j->q, j->of);
    r = j->of->count(db, j->q->key.account, &n);
    sql_write_count(j->q, j->of->name, n);
    return r;
}

int sql_list(struct nr_db *db, const struct fn_list *q, const struct sql_collection *c)
{
    struct list_job j = {.job = {.run = list_run}, .q = q, .of = c};

    return nr_db_read_wait(db, &j.job);
}
