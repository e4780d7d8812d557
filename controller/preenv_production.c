/* What real calls of a function have been like: asked of its records, by any thread but the loop's. Calls that were cold are left out, for
 * PreEnv keeps them apart too.
 */
#include "controller/internal.h"
#include "ports/preenv.h"

enum { LOOKED_AT = 20000, CALLS_MAX = 100 };

struct production_job {
    struct nr_db_job job;
    const struct function *f;
    int64_t since_ms;
    double durations[CALLS_MAX];
    int64_t n;
};

static int production_run(sqlite3 *db, struct nr_db_job *job)
{
    struct production_job *j = nr_container_of(job, struct production_job, job);
    sqlite3_stmt *s = nr_db_prepare(
        db,
        "SELECT duration_ms FROM (SELECT duration_ms, name, package, status, annotations FROM calls"
        " WHERE account = ?1 AND state = 2 AND kind = 0 AND space = '' AND start_ms >= ?4 ORDER BY start_ms DESC LIMIT ?5)"
        " WHERE name = ?3 AND package = ?2 AND status = 0 AND instr(annotations, '\"initTime\"') = 0 LIMIT ?6");
    int r;

    if (s == NULL)
        return nr_db_err(sqlite3_errcode(db));
    nr_db_bind_text(s, 1, nr_str_of(j->f->account));
    nr_db_bind_text(s, 2, nr_str_of(j->f->package));
    nr_db_bind_text(s, 3, nr_str_of(j->f->name));
    sqlite3_bind_int64(s, 4, j->since_ms);
    sqlite3_bind_int(s, 5, LOOKED_AT);
    sqlite3_bind_int(s, 6, CALLS_MAX);
    while ((r = sqlite3_step(s)) == SQLITE_ROW && j->n < CALLS_MAX)
        j->durations[j->n++] = sqlite3_column_double(s, 0);
    (void)sqlite3_reset(s);
    return r == SQLITE_DONE || r == SQLITE_ROW ? 0 : nr_db_err(r);
}

static int rising(const void *a, const void *b)
{
    const double *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

void query_production(struct controller *c, const struct function *f, int64_t since_ms,
                      struct preenv_production *ret)
{
    struct production_job j = {.job = {.run = production_run}, .f = f, .since_ms = since_ms};

    if (nr_db_read_wait(c->db, &j.job) < 0 || j.n == 0)
        return;
    qsort(j.durations, (size_t)j.n, sizeof(j.durations[0]), rising);
    ret->calls = j.n;
    ret->p95_ms = j.durations[(j.n * 95 - 1) / 100];
}
