/* The functions of an account that is being deleted, few in a transaction: nobody else's change waits long.
 */
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "fnmanager/registry/metadata_accounts.h"

struct purge_job {
    struct nr_db_job job;
    struct nr_str account;
    int limit;
    struct fn_actor actor;
    struct account_version *list; /* out, made */
    size_t count;
};

#define THESE                                                                                      \
    "(SELECT id FROM functions WHERE account = ?1 ORDER BY account, package, name LIMIT ?2)"

void account_versions_free(struct account_version *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        free(list[i].package);
        free(list[i].name);
    }
    free(list);
}

static char *copy(sqlite3_stmt *s, int at)
{
    struct nr_str text = nr_db_column(s, at);

    return nr_strndup(text.n != 0 ? text.p : "", text.n);
}

static int bind_these(sqlite3 *db, const struct purge_job *j, sqlite3_stmt *s)
{
    if (s == NULL)
        return nr_db_err(sqlite3_errcode(db));
    nr_db_bind_text(s, 1, j->account);
    sqlite3_bind_int(s, 2, j->limit);
    return 0;
}

static int list(sqlite3 *db, struct purge_job *j)
{
    sqlite3_stmt *s =
        nr_db_prepare(db, "SELECT f.package, f.name, v.revision FROM functions f JOIN versions v"
                          " ON v.function_id = f.id WHERE f.id IN " THESE);
    int r = bind_these(db, j, s), step = SQLITE_DONE;

    while (r == 0 && (step = sqlite3_step(s)) == SQLITE_ROW) {
        struct account_version *grown = nr_try_realloc(j->list, (j->count + 1) * sizeof(*j->list));

        if (grown == NULL) {
            r = NR_ENOMEM;
            break;
        }
        j->list = grown;
        j->list[j->count++] =
            (struct account_version){copy(s, 0), copy(s, 1), (uint64_t)sqlite3_column_int64(s, 2)};
    }
    if (s != NULL)
        (void)sqlite3_reset(s);
    return r < 0 ? r : step == SQLITE_DONE ? 0 : nr_db_err(step);
}

static int step(sqlite3 *db, const struct purge_job *j, sqlite3_stmt *s)
{
    int r = bind_these(db, j, s);

    return r < 0 ? r : metadata_step(s);
}

static int garbage(sqlite3 *db, const struct purge_job *j)
{
    sqlite3_stmt *s = nr_db_prepare(
        db, "INSERT INTO garbage(code_folder, since_ms) SELECT DISTINCT code_folder, ?3"
            " FROM versions WHERE code_folder <> '' AND function_id IN " THESE
            " ON CONFLICT(code_folder) DO UPDATE SET since_ms = excluded.since_ms");
    int r = bind_these(db, j, s);

    if (r < 0)
        return r;
    sqlite3_bind_int64(s, 3, nr_wall_ms());
    return metadata_step(s);
}

/* 0, or NR_ENOENT: whoever has the name now keeps what is his. */
static int leaving(sqlite3 *db, const struct purge_job *j)
{
    sqlite3_stmt *s =
        nr_db_prepare(db, "SELECT 1 FROM accounts WHERE name = ?1 AND state = 'DELETING'");
    int r;

    if (s == NULL)
        return nr_db_err(sqlite3_errcode(db));
    nr_db_bind_text(s, 1, j->account);
    r = sqlite3_step(s);
    (void)sqlite3_reset(s);
    return r == SQLITE_ROW ? 0 : r == SQLITE_DONE ? NR_ENOENT : nr_db_err(r);
}

static int purge_run(sqlite3 *db, struct nr_db_job *job)
{
    struct purge_job *j = nr_container_of(job, struct purge_job, job);
    int r = leaving(db, j);

    if (r == 0)
        r = list(db, j);

    if (r < 0 || j->count == 0)
        return r;
    if ((r = garbage(db, j)) == 0)
        r = step(db, j, nr_db_prepare(db, "DELETE FROM aliases WHERE function_id IN " THESE));
    if (r == 0)
        r = step(db, j, nr_db_prepare(db, "DELETE FROM preenv_runs WHERE function_id IN " THESE));
    if (r == 0)
        r = step(db, j, nr_db_prepare(db, "DELETE FROM versions WHERE function_id IN " THESE));
    if (r == 0)
        r = step(db, j, nr_db_prepare(db, "DELETE FROM functions WHERE id IN " THESE));
    for (size_t i = 0; r == 0 && i < j->count; i++) {
        if (i == 0 || strcmp(j->list[i].name, j->list[i - 1].name) != 0 ||
            strcmp(j->list[i].package, j->list[i - 1].package) != 0)
            r = account_audit(db, j->actor, "purge", j->account, "", "", j->list[i].name);
    }
    return r;
}

int metadata_purge_functions(struct nr_db *db, struct nr_str account, int limit,
                             struct fn_actor actor, struct account_version **ret_list,
                             size_t *ret_n)
{
    struct purge_job j = {
        .job = {.run = purge_run}, .account = account, .limit = limit, .actor = actor};
    int r = nr_db_write_wait(db, &j.job);

    if (r < 0) {
        account_versions_free(j.list, j.count);
        return r;
    }
    *ret_list = j.list;
    *ret_n = j.count;
    return 0;
}
