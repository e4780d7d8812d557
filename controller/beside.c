/* The end of a life side by side. The process that was here before may have gone on with its calls in the same journal after this one had
 * opened it; when it is gone, whatever rows it left undone are ours.
 *
 *   look     rows that say "running" are read, and those of calls that live here are passed over
 *   fail     the others become `whisk internal error`, unless they ended meanwhile: their epoch says so. In the same turn of the writer the
 *            queued rows are counted, so that the figures are exact again
 *   load     rows that it had accepted and not begun are queued again
 *
 * A look that fails is tried again.
 */
#include "controller/internal.h"

/* More do not run at a time: each has a slot of a container. */
enum { AGAIN_MS = 1000, ROWS_MAX = 20000 };

struct left_row {
    char id[33];
    int epoch;
};

/* Made by controller_alone(); c->alone until it is freed, at the end of the work or of the controller. */
struct alone_job {
    struct nr_db_job job;
    struct nr_deadline again;
    struct controller *ctl;
    struct left_row *rows;
    size_t count;
    int64_t failed, queued;
};

static int look_run(sqlite3 *db, struct nr_db_job *job)
{
    struct alone_job *j = nr_container_of(job, struct alone_job, job);
    sqlite3_stmt *s = nr_db_prepare(db, "SELECT id,epoch FROM calls WHERE state=1 LIMIT ?");
    int r = SQLITE_ERROR;

    if (s)
        sqlite3_bind_int(s, 1, ROWS_MAX);
    while (s && (r = sqlite3_step(s)) == SQLITE_ROW && j->count < ROWS_MAX) {
        struct nr_str id = nr_db_column(s, 0);
        struct left_row *row = &j->rows[j->count];

        if (id.n != 32)
            continue;
        memcpy(row->id, id.p, 32);
        row->id[32] = '\0';
        row->epoch = sqlite3_column_int(s, 1);
        j->count++;
    }
    return nr_db_err(r);
}

static int fail_run(sqlite3 *db, struct nr_db_job *job)
{
    struct alone_job *j = nr_container_of(job, struct alone_job, job);
    int r = 0;

    for (size_t i = 0; r == 0 && i < j->count; i++)
        r = journal_fail(db, j->rows[i].id, j->rows[i].epoch, NULL, &j->failed);
    sqlite3_stmt *s = r == 0 ? nr_db_prepare(db, "SELECT count(*) FROM calls WHERE state=0") : NULL;

    if (s == NULL || sqlite3_step(s) != SQLITE_ROW)
        return r < 0 ? r : NR_EIO;
    j->queued = sqlite3_column_int64(s, 0);
    return 0;
}

static void look(struct alone_job *j);

static void on_again(struct nr_deadline *d)
{
    look(nr_container_of(d, struct alone_job, again));
}

static void end(struct controller *c)
{
    struct alone_job *j = c->alone;

    c->alone = NULL;
    nr_deadline_cancel(&j->again);
    free(j->rows);
    free(j);
}

/* True: it is over, or begins anew later. */
static bool is_over(struct alone_job *j)
{
    struct controller *c = j->ctl;

    if (c->closed || c->stopping) {
        end(c);
        return true;
    }
    if (j->job.status == 0)
        return false;
    j->again.fire = on_again;
    nr_deadline_set(c->loop, &j->again, AGAIN_MS);
    return true;
}

static void on_failed(struct nr_db_job *job)
{
    struct alone_job *j = nr_container_of(job, struct alone_job, job);
    struct controller *c = j->ctl;

    if (is_over(j))
        return;
    int64_t more = j->queued - c->rows.queued;

    c->rows.queued += more;
    c->rows.terminal += j->failed;
    c->rows.accepted += more + j->failed;
    c->reload_after_seq = 0;
    c->reload_more = true;
    c->reload_anew = c->reloading;
    if (j->failed)
        nr_log(
            c->log, NR_LOG_WARN, "controller",
            "the process before this one has ended; %lld calls that it ran are recorded as failed",
            (long long)j->failed);
    end(c);
    journal_reload(c);
}

static void on_looked(struct nr_db_job *job)
{
    struct alone_job *j = nr_container_of(job, struct alone_job, job);
    struct controller *c = j->ctl;
    size_t n = 0;

    if (is_over(j))
        return;
    for (size_t i = 0; i < j->count; i++)
        if (nr_map_get(&c->live, nr_str_of(j->rows[i].id)) == NULL)
            j->rows[n++] = j->rows[i];
    j->count = n;
    j->failed = 0;
    j->job = (struct nr_db_job){.run = fail_run, .done = on_failed, .loop = c->loop};
    nr_db_write(c->db, &j->job);
}

static void look(struct alone_job *j)
{
    j->count = 0;
    j->job = (struct nr_db_job){.run = look_run, .done = on_looked, .loop = j->ctl->loop};
    nr_db_read(j->ctl->db, &j->job);
}

void controller_alone(struct controller *c)
{
    if (!c->beside || c->stopping)
        return;
    struct alone_job *j = nr_alloc(sizeof(*j));

    c->beside = false;
    c->alone = j;
    j->ctl = c;
    j->rows = nr_alloc(ROWS_MAX * sizeof(*j->rows));
    look(j);
}

void beside_fini(struct controller *c)
{
    if (c->alone)
        end(c);
}
