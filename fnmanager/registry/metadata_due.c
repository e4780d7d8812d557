/* What the clock moves: update windows whose deadline has come, and versions that are old enough to go. */
#include "common/base/mem.h"
#include "fnmanager/registry/metadata_audit.h"
#include "fnmanager/registry/metadata_moves.h"
#include "fnmanager/registry/metadata_sql.h"

#define OUTDATED_MAX 256

struct due_job {
    struct nr_db_job job;
    struct fn_key key;
    int64_t a;    /* in: a time or a count; out: a time */
    int64_t days; /* in */
    struct fn_names names;
};

void fn_names_free(struct fn_names *l)
{
    for (size_t i = 0; i < l->n; i++) {
        free(l->item[i].account);
        free(l->item[i].package);
        free(l->item[i].name);
    }
    free(l->item);
    *l = (struct fn_names){0};
}

/* Rows of account, package, name, number, revision. */
static int read_names(sqlite3 *db, sqlite3_stmt *s, struct due_job *j)
{
    int r;

    while ((r = sqlite3_step(s)) == SQLITE_ROW) {
        struct fn_name *grown =
            nr_try_realloc(j->names.item, (j->names.n + 1) * sizeof(*j->names.item));

        if (grown == NULL)
            break;
        j->names.item = grown;
        grown[j->names.n++] = (struct fn_name){.account = sql_text(s, 0),
                                               .package = sql_text(s, 1),
                                               .name = sql_text(s, 2),
                                               .number = sqlite3_column_int64(s, 3),
                                               .revision = (uint64_t)sqlite3_column_int64(s, 4)};
    }
    (void)sqlite3_reset(s);
    return r == SQLITE_DONE ? 0 : r == SQLITE_ROW ? NR_ENOMEM : nr_db_err(r);
}

#define NAMES                                                                                      \
    "SELECT f.account, f.package, f.name, v.number, v.revision FROM versions v"                    \
    " JOIN functions f ON f.id = v.function_id"
#define IN_NO_ALIAS                                                                                \
    " NOT EXISTS(SELECT 1 FROM aliases a, json_each(a.weights) w WHERE a.function_id = f.id"       \
    " AND CAST(w.key AS INTEGER) = v.number)"

static int audit_end(sqlite3 *db, const struct fn_name *f, int64_t now_ms)
{
    const struct audit_line line = {
        .at_ms = now_ms,
        .actor = {NR_STR("narae"), NR_STR("")},
        .move = lifecycle_move_name(MOVE_DEADLINE),
        .object = {nr_str_of(f->account), nr_str_of(f->package), nr_str_of(f->name)},
        .from = lifecycle_name(FN_UPDATING),
        .to = lifecycle_name(FN_LATEST),
        .note = NR_STR("the deadline of the update has passed"),
    };

    return audit_put(db, &line);
}

static int windows_run(sqlite3 *db, struct nr_db_job *job)
{
    struct due_job *j = nr_container_of(job, struct due_job, job);
    sqlite3_stmt *s = nr_db_prepare(db, NAMES " WHERE v.deadline_ms > 0 AND v.deadline_ms <= ?1");
    int r;

    if (s == NULL)
        return nr_db_err(sqlite3_errcode(db));
    sqlite3_bind_int64(s, 1, j->a);
    if ((r = read_names(db, s, j)) < 0)
        return r;
    s = nr_db_prepare(db, "UPDATE versions SET state = 'LATEST', hold_ms = 0, deadline_ms = 0,"
                          " moved_ms = ?1 WHERE deadline_ms > 0 AND deadline_ms <= ?1");
    if (s != NULL)
        sqlite3_bind_int64(s, 1, j->a);
    r = sql_run(db, s);
    for (size_t i = 0; r == 0 && i < j->names.n; i++)
        r = audit_end(db, &j->names.item[i], j->a);
    return r;
}

static int give(struct due_job *j, int r, struct fn_names *ret)
{
    if (r == 0)
        *ret = j->names;
    else
        fn_names_free(&j->names);
    return r;
}

int metadata_windows_end(struct nr_db *db, int64_t now_ms, struct fn_names *ret)
{
    struct due_job j = {.job = {.run = windows_run}, .a = now_ms};

    return give(&j, nr_db_write_wait(db, &j.job), ret);
}

static int next_run(sqlite3 *db, struct nr_db_job *job)
{
    struct due_job *j = nr_container_of(job, struct due_job, job);
    sqlite3_stmt *s = nr_db_prepare(
        db, "SELECT coalesce(min(deadline_ms), 0) FROM versions WHERE deadline_ms > 0");
    int r;

    if (s == NULL)
        return nr_db_err(sqlite3_errcode(db));
    r = sqlite3_step(s);
    if (r == SQLITE_ROW)
        j->a = sqlite3_column_int64(s, 0);
    (void)sqlite3_reset(s);
    return r == SQLITE_ROW ? 0 : nr_db_err(r);
}

int metadata_windows_next(struct nr_db *db, int64_t *ret)
{
    struct due_job j = {.job = {.run = next_run}};
    int r = nr_db_read_wait(db, &j.job);

    if (r == 0)
        *ret = j.a;
    return r;
}

/* Of the account `o`: its own number, or the platform's, which is bound as ?3. The least of all accounts bounds the walk of the index, by time;
 * where nobody has a number above 0 there is no walk. */
#define DAYS(column) "(CASE WHEN o." column " >= 0 THEN o." column " ELSE ?3 END)"
#define LEAST(column)                                                                              \
    "(SELECT min(d) FROM (SELECT " DAYS(column) " AS d FROM accounts o) WHERE d > 0)"
#define FOR_ITS_DAYS(since, column)                                                                \
    since " <= ?1 - 86400000 * " LEAST(column) " AND " DAYS(                                       \
        column) " > 0 AND " since " <= ?1 - 86400000 * " DAYS(column)
#define RETIRED_LONG_AGO FOR_ITS_DAYS("v.moved_ms", "keep_retired_days")
/* A version that came in an archive is older than its function here, and its time begins with it. */
#define PUBLISHED_LONG_AGO                                                                         \
    FOR_ITS_DAYS("v.updated_ms", "keep_versions_days")                                             \
    " AND f.created_ms <= ?1 - 86400000 * " DAYS("keep_versions_days")

static int read_outdated(sqlite3 *db, sqlite3_stmt *s, struct due_job *j)
{
    sqlite3_bind_int64(s, 1, j->a);
    sqlite3_bind_int64(s, 2, OUTDATED_MAX);
    sqlite3_bind_int64(s, 3, j->days);
    return read_names(db, s, j);
}

/* Only what can be removed: else the same 256 would be found for ever. */
static int retired_run(sqlite3 *db, struct nr_db_job *job)
{
    struct due_job *j = nr_container_of(job, struct due_job, job);
    sqlite3_stmt *s = nr_db_prepare(
        db, NAMES
        " JOIN accounts o ON o.name = f.account WHERE v.state = 'RETIRED' AND " RETIRED_LONG_AGO
        " AND CASE v.number WHEN 0 THEN"
        " NOT EXISTS(SELECT 1 FROM versions w WHERE w.function_id = f.id AND w.state <> 'RETIRED')"
        " AND NOT EXISTS(SELECT 1 FROM aliases a WHERE a.function_id = f.id AND a.protected <> 0)"
        " ELSE" IN_NO_ALIAS " END ORDER BY v.moved_ms LIMIT ?2");

    if (s == NULL)
        return nr_db_err(sqlite3_errcode(db));
    return read_outdated(db, s, j);
}

static int published_run(sqlite3 *db, struct nr_db_job *job)
{
    struct due_job *j = nr_container_of(job, struct due_job, job);
    sqlite3_stmt *s = nr_db_prepare(
        db, NAMES
        " JOIN accounts o ON o.name = f.account WHERE v.state = 'PUBLISHED' AND " PUBLISHED_LONG_AGO
        " AND" IN_NO_ALIAS " ORDER BY v.updated_ms LIMIT ?2");

    if (s == NULL)
        return nr_db_err(sqlite3_errcode(db));
    return read_outdated(db, s, j);
}

int metadata_outdated(struct nr_db *db, enum function_state state, int64_t now_ms, int64_t days,
                      struct fn_names *ret)
{
    struct due_job j = {.job = {.run = state == FN_RETIRED ? retired_run : published_run},
                        .a = now_ms,
                        .days = days};

    return give(&j, nr_db_read_wait(db, &j.job), ret);
}

#define KEPT                                                                                       \
    "(SELECT CASE WHEN keep_versions >= 0 THEN keep_versions ELSE ?4 END FROM accounts WHERE name = ?1)"

static int surplus_run(sqlite3 *db, struct nr_db_job *job)
{
    struct due_job *j = nr_container_of(job, struct due_job, job);
    sqlite3_stmt *s = nr_db_prepare(
        db,
        NAMES " WHERE f.account = ?1 AND f.package = ?2 AND f.name = ?3 AND v.state = 'PUBLISHED'"
              " AND " KEPT " > 0 AND v.number <= (SELECT w.number FROM versions w"
              " WHERE w.function_id = f.id AND w.number > 0 ORDER BY w.number DESC LIMIT 1"
              " OFFSET " KEPT ") AND" IN_NO_ALIAS);

    if (s == NULL)
        return nr_db_err(sqlite3_errcode(db));
    sql_bind_key(s, j->key);
    sqlite3_bind_int64(s, 4, j->a);
    return read_names(db, s, j);
}

int metadata_surplus(struct nr_db *db, struct fn_key key, int64_t keep, struct fn_names *ret)
{
    struct due_job j = {.job = {.run = surplus_run}, .key = key, .a = keep};

    return give(&j, nr_db_read_wait(db, &j.job), ret);
}
