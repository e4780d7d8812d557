/* The short questions and changes of the Meta Registry: the last revision, who uses a folder, what is garbage.
 * Each is one statement with at most two texts and a number, so one job struct serves all.
 */
#include "common/base/mem.h"
#include "fnmanager/registry/metadata.h"

struct short_job {
    struct nr_db_job job;
    struct nr_str a, b;
    int64_t number; /* in, and out for those that ask for one */
    char *text;     /* out, made */
};

/* Binds ?1, ?2 (texts that are there) and ?3, steps once; the first column goes into text or number. NR_ENOENT without a row. */
static int ask(sqlite3 *db, struct short_job *j, sqlite3_stmt *s, bool want_text)
{
    int r, params;

    if (s == NULL)
        return nr_db_err(sqlite3_errcode(db));
    params = sqlite3_bind_parameter_count(s);
    if (params >= 1 && j->a.p != NULL)
        nr_db_bind_text(s, 1, j->a);
    if (params >= 2 && j->b.p != NULL)
        nr_db_bind_text(s, 2, j->b);
    if (params >= 3)
        sqlite3_bind_int64(s, 3, j->number);
    r = sqlite3_step(s);
    if (r == SQLITE_ROW && want_text) {
        struct nr_str text = nr_db_column(s, 0);
        j->text = nr_strndup(text.n != 0 ? text.p : "", text.n);
    } else if (r == SQLITE_ROW) {
        j->number = sqlite3_column_int64(s, 0);
    }
    (void)sqlite3_reset(s);
    return r == SQLITE_ROW ? 0 : r == SQLITE_DONE ? NR_ENOENT : nr_db_err(r);
}

/* The same for a change: no row is what is expected. */
static int change(sqlite3 *db, struct short_job *j, sqlite3_stmt *s)
{
    int r = ask(db, j, s, false);

    return r == NR_ENOENT ? 0 : r;
}

static int revision_run(sqlite3 *db, struct nr_db_job *job)
{
    struct short_job *j = nr_container_of(job, struct short_job, job);

    return ask(db, j, nr_db_prepare(db, "SELECT value FROM counters WHERE name = 'revision'"),
               false);
}

int metadata_revision(struct nr_db *db, uint64_t *ret)
{
    struct short_job j = {.job = {.run = revision_run}};
    int r = nr_db_read_wait(db, &j.job);

    if (r == 0)
        *ret = (uint64_t)j.number;
    return r;
}

static int folder_run(sqlite3 *db, struct nr_db_job *job)
{
    struct short_job *j = nr_container_of(job, struct short_job, job);

    return ask(db, j, nr_db_prepare(db, "SELECT file FROM versions WHERE code_folder = ?1 LIMIT 1"),
               true);
}

int metadata_folder(struct nr_db *db, const char *folder, char **ret_file)
{
    struct short_job j = {.job = {.run = folder_run}, .a = nr_str_of(folder)};
    int r = nr_db_read_wait(db, &j.job);

    if (r == 0)
        *ret_file = j.text;
    return r;
}

static int is_garbage_run(sqlite3 *db, struct nr_db_job *job)
{
    struct short_job *j = nr_container_of(job, struct short_job, job);

    return ask(db, j, nr_db_prepare(db, "SELECT 1 FROM garbage WHERE code_folder = ?1"), false);
}

int metadata_is_garbage(struct nr_db *db, const char *folder)
{
    struct short_job j = {.job = {.run = is_garbage_run}, .a = nr_str_of(folder)};

    return nr_db_read_wait(db, &j.job);
}

static int first_run(sqlite3 *db, struct nr_db_job *job)
{
    struct short_job *j = nr_container_of(job, struct short_job, job);

    return ask(
        db, j,
        nr_db_prepare(
            db, "SELECT code_folder FROM garbage WHERE ?1 IS NULL AND ?2 IS NULL AND since_ms <= ?3"
                " ORDER BY since_ms LIMIT 1"),
        true);
}

int metadata_garbage_first(struct nr_db *db, int64_t before_ms, char **ret_folder)
{
    struct short_job j = {.job = {.run = first_run}, .number = before_ms};
    int r = nr_db_read_wait(db, &j.job);

    if (r == 0)
        *ret_folder = j.text;
    return r;
}

static int garbage_bucket_run(sqlite3 *db, struct nr_db_job *job)
{
    struct short_job *j = nr_container_of(job, struct short_job, job);

    return change(db, j,
                  nr_db_prepare(db, "DELETE FROM garbage WHERE code_folder >= ?1 || '/'"
                                    " AND code_folder < ?1 || '0'"));
}

int metadata_garbage_bucket(struct nr_db *db, const char *bucket)
{
    struct short_job j = {.job = {.run = garbage_bucket_run}, .a = nr_str_of(bucket)};

    return nr_db_write_wait(db, &j.job);
}

static int done_run(sqlite3 *db, struct nr_db_job *job)
{
    struct short_job *j = nr_container_of(job, struct short_job, job);

    return change(db, j, nr_db_prepare(db, "DELETE FROM garbage WHERE code_folder = ?1"));
}

int metadata_garbage_done(struct nr_db *db, const char *folder)
{
    struct short_job j = {.job = {.run = done_run}, .a = nr_str_of(folder)};

    return nr_db_write_wait(db, &j.job);
}

static int trim_run(sqlite3 *db, struct nr_db_job *job)
{
    struct short_job *j = nr_container_of(job, struct short_job, job);

    return change(db, j,
                  nr_db_prepare(db, "DELETE FROM audit WHERE ?1 IS NULL AND ?2 IS NULL"
                                    " AND id <= (SELECT max(id) FROM audit) - ?3"));
}

int metadata_audit_trim(struct nr_db *db, int64_t keep)
{
    struct short_job j = {.job = {.run = trim_run}, .number = keep};

    return nr_db_write_wait(db, &j.job);
}
