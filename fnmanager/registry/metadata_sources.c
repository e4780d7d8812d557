/* One walk over the versions of an account. */
#include "fnmanager/registry/metadata_sources.h"

#include "common/base/mem.h"
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
    struct nr_str sha = nr_db_column(s, 3);

    if (sha.n == NR_SHA256_BYTES)
        j->each(j->arg, &(struct stored_source){kind, main, file, (const unsigned char *)sha.p});
}

static int sources_run(sqlite3 *db, struct nr_db_job *job)
{
    struct sources_job *j = nr_container_of(job, struct sources_job, job);
    sqlite3_stmt *s = nr_db_prepare(db, "SELECT v.kind, v.main, v.file, v.sha256 FROM functions f"
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
