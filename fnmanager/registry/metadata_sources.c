/* One walk over the versions of an account; and what was made of them, in the counts by which quotas are judged. */
#include "fnmanager/registry/metadata_sources.h"

#include "common/base/mem.h"
#include "fnmanager/accounts/quota.h"
#include "fnmanager/registry/metadata_sql.h"

struct sources_job {
    struct nr_db_job job;
    struct nr_str account;
    void (*each)(void *arg, const struct stored_source *s);
    void *arg;
};

static void tell(const struct sources_job *j, sqlite3_stmt *s)
{
    nr_auto_free char *kind = sql_text(s, 0), *main = sql_text(s, 1), *file = sql_text(s, 2);
    nr_auto_free char *package = sql_text(s, 4), *name = sql_text(s, 5);
    struct nr_str sha = nr_db_column(s, 3);
    const struct stored_source source = {.kind = kind,
                                         .main = main,
                                         .file = file,
                                         .sha256 = (const unsigned char *)sha.p,
                                         .package = package,
                                         .name = name,
                                         .number = sqlite3_column_int64(s, 6),
                                         .revision = (uint64_t)sqlite3_column_int64(s, 7)};

    if (sha.n == NR_SHA256_BYTES)
        j->each(j->arg, &source);
}

static int sources_run(sqlite3 *db, struct nr_db_job *job)
{
    struct sources_job *j = nr_container_of(job, struct sources_job, job);
    sqlite3_stmt *s = nr_db_prepare(db, "SELECT v.kind, v.main, v.file, v.sha256, f.package,"
                                        " f.name, v.number, v.revision FROM functions f"
                                        " JOIN versions v ON v.function_id = f.id"
                                        " WHERE f.account = ?1 AND v.file <> ''");
    int r;

    if (s == NULL)
        return nr_db_err(sqlite3_errcode(db));
    nr_db_bind_text(s, 1, j->account);
    while ((r = sqlite3_step(s)) == SQLITE_ROW)
        tell(j, s);
    (void)sqlite3_reset(s);
    return r == SQLITE_DONE ? 0 : nr_db_err(r);
}

int metadata_sources(struct nr_db *db, struct nr_str account,
                     void (*each)(void *arg, const struct stored_source *s), void *arg)
{
    struct sources_job j = {.job.run = sources_run, .account = account, .each = each, .arg = arg};

    return nr_db_read_wait(db, &j.job);
}

/* ---- what was made of them ------------------------------------------------------------------------------------ */

struct made_job {
    struct nr_db_job job;
    struct nr_str account;
    int64_t bytes;
    bool more; /* than there were; else all */
    struct nr_err *err;
};

static int count_made(sqlite3 *db, const struct made_job *j)
{
    sqlite3_stmt *s = nr_db_prepare(
        db,
        "INSERT INTO usage(account, bytes, functions, versions, compiled_bytes)"
        " SELECT name, 0, 0, 0, ?2 FROM accounts WHERE name = ?1 ON CONFLICT(account) DO UPDATE SET"
        " compiled_bytes = CASE ?3 WHEN 0 THEN 0 ELSE compiled_bytes END + excluded.compiled_bytes"
        " WHERE ?3 = 1 OR compiled_bytes <> excluded.compiled_bytes");

    if (s == NULL)
        return nr_db_err(sqlite3_errcode(db));
    nr_db_bind_text(s, 1, j->account);
    sqlite3_bind_int64(s, 2, j->bytes);
    sqlite3_bind_int(s, 3, j->more);
    return metadata_step(s);
}

static int made_run(sqlite3 *db, struct nr_db_job *job)
{
    const struct made_job *j = nr_container_of(job, struct made_job, job);
    struct quota_mark mark;
    int r = quota_begin(db, j->account, &mark, j->err);

    if (r == 0)
        r = count_made(db, j);
    return r < 0 ? r : quota_end(db, j->account, &mark, j->err);
}

int metadata_sources_made(struct nr_db *db, struct nr_str account, int64_t bytes,
                          struct nr_err *err)
{
    struct made_job j = {
        .job.run = made_run, .account = account, .bytes = bytes, .more = true, .err = err};

    return nr_db_write_wait(db, &j.job);
}

static int measured_run(sqlite3 *db, struct nr_db_job *job)
{
    const struct made_job *j = nr_container_of(job, struct made_job, job);

    return count_made(db, j);
}

int metadata_sources_measured(struct nr_db *db, struct nr_str account, int64_t bytes)
{
    struct made_job j = {.job.run = measured_run, .account = account, .bytes = bytes};

    return nr_db_write_wait(db, &j.job);
}

static int room_run(sqlite3 *db, struct nr_db_job *job)
{
    const struct made_job *j = nr_container_of(job, struct made_job, job);
    struct quota_mark mark;
    int r = quota_begin(db, j->account, &mark, j->err);

    if (r < 0 || mark.quota.bytes < 0 || mark.used.bytes < mark.quota.bytes)
        return r;
    return nr_err_set(
        j->err, NR_EFORBIDDEN,
        "The account '%.*s' has %lld bytes of code, compiled code among them, and its quota is %lld: nothing more is compiled for it.",
        (int)j->account.n, j->account.p, (long long)mark.used.bytes, (long long)mark.quota.bytes);
}

int metadata_sources_room(struct nr_db *db, struct nr_str account, struct nr_err *err)
{
    struct made_job j = {.job.run = room_run, .account = account, .err = err};

    return nr_db_read_wait(db, &j.job);
}
