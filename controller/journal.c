/* The journal of accepted work and the record of every call: one table in calls.db, one row per call.
 *
 *   accept   INSERT (queued, or running when a blocking call turned into 202)   -> durable -> 202
 *   claim    queued -> running, epoch + 1, durable before the first byte is sent
 *   end      -> terminal; INSERT for a call that had no row yet (those are lazy: batched for 5 ms)
 *
 * All writes of one call go through the one writer in order, so at most one row per slot says "running" on disk. After a crash
 * rows that say "running" become `whisk internal error` (at most once: they are not run again), queued ones are loaded again.
 *
 * Threads: the *_run functions run on the writer's thread and read an activation which its loop leaves alone meanwhile (row_pending);
 * everything else is the loop's.
 *
 * Disk full: the ballast file is freed so that terminal rows of accepted work fit, and no 202 is given until there is room again.
 */
#include "controller/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/statvfs.h>

#include "common/base/clock.h"

#define BALLAST_BYTES (64 << 20)
#define ROOM_AGAIN_BYTES (128 << 20)
#define TIDY_MS 10000
#define END_AGAIN_MS 1000
#define TIDY_ROWS 500
#define RELOAD_ROWS 256

enum row_state { ROW_QUEUED, ROW_RUNNING, ROW_TERMINAL };

static const char *const schema[] = {
    "PRAGMA auto_vacuum=INCREMENTAL;"
    "CREATE TABLE calls("
    " seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, state INTEGER NOT NULL, epoch INTEGER NOT NULL DEFAULT 0,"
    " lease_ms INTEGER, account TEXT NOT NULL, package TEXT NOT NULL, name TEXT NOT NULL, version TEXT, published INTEGER,"
    " cause TEXT, transaction_id TEXT, retries INTEGER NOT NULL DEFAULT 0, accepted_ms INTEGER NOT NULL,"
    " start_ms INTEGER, end_ms INTEGER, duration_ms INTEGER, status INTEGER, annotations TEXT, result TEXT, logs TEXT,"
    " input TEXT);"
    "CREATE INDEX calls_by_start ON calls(account, start_ms, seq);"
    "CREATE INDEX calls_open ON calls(state, seq) WHERE state < 2;",
    NULL,
};

static struct activation *activation_of(struct nr_db_job *job)
{
    return nr_container_of(job, struct activation, row);
}

static int step(sqlite3_stmt *s)
{
    int r = s ? sqlite3_step(s) : SQLITE_ERROR;

    return r == SQLITE_DONE || r == SQLITE_ROW ? 0 : nr_db_err(r);
}

/* ---- the disk is full ------------------------------------------------------------------------------------------- */

static void ballast_path(const struct controller *c, char *out, size_t n)
{
    (void)snprintf(out, n, "%s/ballast", c->data_dir);
}

static void ballast_make(struct controller *c)
{
    char path[4096];

    ballast_path(c, path, sizeof(path));
    nr_auto_close int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    if (fd < 0 || posix_fallocate(fd, 0, BALLAST_BYTES) != 0)
        (void)unlink(path);
}

static void disk_is_full(struct controller *c)
{
    char path[4096];

    if (c->disk_full)
        return;
    c->disk_full = true;
    ballast_path(c, path, sizeof(path));
    (void)unlink(path);
    nr_log(c->log, NR_LOG_ERROR, "controller",
           "disk full: ballast freed, no call is accepted for later until %d MiB are free in %s",
           ROOM_AGAIN_BYTES >> 20, c->data_dir);
}

static void look_for_room(struct controller *c)
{
    struct statvfs v;

    if (!c->disk_full || statvfs(c->data_dir, &v) != 0 ||
        v.f_bavail * v.f_frsize < ROOM_AGAIN_BYTES)
        return;
    ballast_make(c);
    c->disk_full = false;
    nr_log(c->log, NR_LOG_INFO, "controller",
           "the disk has room again, calls are accepted for later");
}

/* ---- accept ----------------------------------------------------------------------------------------------------- */

static int accept_run(sqlite3 *db, struct nr_db_job *job)
{
    const struct activation *a = activation_of(job);
    sqlite3_stmt *s = nr_db_prepare(
        db,
        "INSERT INTO calls(id,state,epoch,account,package,name,cause,transaction_id,accepted_ms,"
        "start_ms,input) VALUES(?,?,?,?,?,?,?,?,?,?,?)");

    if (s == NULL)
        return NR_EIO;
    nr_db_bind_text(s, 1, nr_str_of(a->id));
    sqlite3_bind_int(s, 2, a->row_running ? ROW_RUNNING : ROW_QUEUED);
    sqlite3_bind_int(s, 3, a->epoch);
    nr_db_bind_text(s, 4, nr_str_of(a->account->name));
    nr_db_bind_text(s, 5, a->package.p ? a->package : NR_STR(""));
    nr_db_bind_text(s, 6, a->name);
    nr_db_bind_text(s, 7, nr_str_of(a->cause));
    nr_db_bind_text(s, 8, a->transaction);
    sqlite3_bind_int64(s, 9, nr_wall_ms());
    sqlite3_bind_int64(s, 10, nr_wall_ms());
    nr_db_bind_text(s, 11, a->input);
    return step(s);
}

static void on_accepted(struct nr_db_job *job)
{
    struct activation *a = activation_of(job);
    struct controller *c = a->ctl;

    a->row_pending = false;
    if (job->status == NR_ENOSPC)
        disk_is_full(c);
    if (job->status == 0) {
        a->durable = true;
        c->rows.accepted++;
        *(a->row_running ? &c->rows.running : &c->rows.queued) += 1;
        nr_count(&c->m.accepted_async, 1);
    }
    if (a->c == C_ACCEPT) {
        if (job->status != 0) {
            (void)nr_map_del(&c->live, a->by_id.key);
            a->id[0] = '\0';
            nr_buf_adds(&a->reply_head, "Retry-After: 5\r\n");
            activation_fail(a, NR_EUNAVAIL,
                            "The call cannot be stored for later (%s); call blocking or try again.",
                            nr_err_text(job->status));
        }
        controller_tick(a);
        return;
    }
    /* a blocking call that waited too long: 202 if its row is there, else its caller goes on waiting */
    if (job->status == 0 && !a->replied) {
        record_accepted(a);
        a->replied = true;
        if (a->on_reply)
            a->on_reply(a);
    }
    if (a->claim_wanted) {
        if (journal_claim(a) == 0)
            invoker_claimed(a, 0);
    } else if (a->c == C_RECORD) {
        controller_tick(a);
    }
}

/* A call that already has a slot is "running" from the start; one that waits must claim before it runs. */
void journal_accept(struct controller *c, struct activation *a)
{
    a->row_running = a->i > I_BORROW;
    if (!a->row_running)
        a->claim = journal_claim;
    if (a->input.p) /* lent by the request; from here on it lives with the activation */
        a->input = nr_arena_copy(&a->arena, a->input);
    if (c->disk_full || a->input.p == NULL || c->rows.queued >= c->queue_max) {
        a->row.status = c->rows.queued >= c->queue_max ? NR_EBUSY : NR_ENOSPC;
        if (a->c != C_ACCEPT)
            return;
        on_accepted(&a->row);
        return;
    }
    a->row = (struct nr_db_job){.run = accept_run, .done = on_accepted, .loop = c->loop};
    a->row_pending = true;
    nr_db_write(c->db, &a->row);
}

/* ---- claim ------------------------------------------------------------------------------------------------------ */

static int claim_run(sqlite3 *db, struct nr_db_job *job)
{
    const struct activation *a = activation_of(job);
    sqlite3_stmt *s =
        nr_db_prepare(db, "UPDATE calls SET state=1, epoch=epoch+1 WHERE id=? AND state=0");

    if (s == NULL)
        return NR_EIO;
    nr_db_bind_text(s, 1, nr_str_of(a->id));
    int r = step(s);

    return r == 0 && sqlite3_changes(db) != 1 ? NR_ECONFLICT : r;
}

static void on_claimed(struct nr_db_job *job)
{
    struct activation *a = activation_of(job);
    struct controller *c = a->ctl;

    a->row_pending = false;
    if (job->status == 0) {
        a->epoch++;
        a->row_running = true;
        c->rows.queued--;
        c->rows.running++;
    } else {
        activation_fail(a, job->status, "The call could not be marked as running: %s.",
                        nr_err_text(job->status));
    }
    a->claim = NULL;
    invoker_claimed(a, job->status);
}

int journal_claim(struct activation *a)
{
    a->claim_wanted =
        a->row_pending; /* its accept is still on the way: on_accepted() comes back here */
    if (a->claim_wanted)
        return 1;
    if (!a->durable)
        return 0; /* it could not be stored: an ordinary blocking call */
    a->row = (struct nr_db_job){.run = claim_run, .done = on_claimed, .loop = a->ctl->loop};
    a->row_pending = true;
    nr_db_write(a->ctl->db, &a->row);
    return 1;
}

/* ---- end -------------------------------------------------------------------------------------------------------- */

static void bind_outcome(sqlite3_stmt *s, int at, const struct activation *a,
                         struct nr_buf *annotations)
{
    record_annotations(a, annotations);
    sqlite3_bind_int64(s, at, a->start_wall_ms);
    sqlite3_bind_int64(s, at + 1, a->end_wall_ms);
    sqlite3_bind_int64(s, at + 2, record_duration_ms(a));
    sqlite3_bind_int(s, at + 3, (int)a->outcome.status);
    nr_db_bind_text(s, at + 4, nr_buf_str(annotations));
    nr_db_bind_text(s, at + 5, a->outcome.result);
    nr_db_bind_text(s, at + 6, nr_buf_str(&a->logs));
    nr_db_bind_text(s, at + 7, a->fn ? nr_str_of(a->fn->version) : NR_STR("0.0.1"));
}

static int end_run(sqlite3 *db, struct nr_db_job *job)
{
    const struct activation *a = activation_of(job);
    struct nr_buf annotations;
    int r = NR_EIO;
    sqlite3_stmt *s =
        a->durable
            ? nr_db_prepare(
                  db,
                  "UPDATE calls SET start_ms=?,end_ms=?,duration_ms=?,status=?,annotations=?,result=?,logs=?,"
                  "version=?,state=2,input=NULL WHERE id=? AND epoch=? AND state<2")
            : nr_db_prepare(
                  db,
                  "INSERT INTO calls(start_ms,end_ms,duration_ms,status,annotations,result,logs,version,id,epoch,"
                  "state,account,package,name,cause,transaction_id,accepted_ms)"
                  " VALUES(?,?,?,?,?,?,?,?,?,?,2,?,?,?,?,?,?)");

    if (s == NULL)
        return NR_EIO;
    nr_buf_init(&annotations, 65536);
    bind_outcome(s, 1, a, &annotations);
    nr_db_bind_text(s, 9, nr_str_of(a->id));
    sqlite3_bind_int(s, 10, a->epoch);
    if (!a->durable) {
        nr_db_bind_text(s, 11, nr_str_of(a->account->name));
        nr_db_bind_text(s, 12, a->package.p ? a->package : NR_STR(""));
        nr_db_bind_text(s, 13, a->name);
        nr_db_bind_text(s, 14, nr_str_of(a->cause));
        nr_db_bind_text(s, 15, a->transaction);
        sqlite3_bind_int64(s, 16, a->start_wall_ms);
    }
    r = step(s);
    if (r == 0 && a->durable && sqlite3_changes(db) != 1)
        r = NR_ECONFLICT; /* a newer epoch has it */
    nr_buf_fini(&annotations);
    return r;
}

static void on_end_again(struct nr_deadline *d)
{
    struct activation *a = nr_container_of(d, struct activation, wait);

    journal_end(a->ctl, a);
}

static void on_ended(struct nr_db_job *job)
{
    struct activation *a = activation_of(job);
    struct controller *c = a->ctl;

    a->row_pending = false;
    if (job->status == NR_ENOSPC)
        disk_is_full(c);
    if (job->status == NR_ECONFLICT)
        nr_count(&c->m.late_results, 1);
    else if (job->status != 0)
        nr_count(&c->m.records_dropped, 1);
    if (job->status == 0 && a->durable) {
        *(a->row_running ? &c->rows.running : &c->rows.queued) -= 1;
        c->rows.terminal++;
    }
    if (a->durable &&
        job->status == NR_ENOSPC) { /* accepted work gets its end, as soon as there is room */
        a->wait.fire = on_end_again;
        nr_deadline_set(c->loop, &a->wait, END_AGAIN_MS);
        return;
    }
    controller_tick(a);
}

void journal_end(struct controller *c, struct activation *a)
{
    a->row =
        (struct nr_db_job){.run = end_run, .done = on_ended, .loop = c->loop, .lazy = !a->durable};
    a->row_pending = true;
    nr_db_write(c->db, &a->row);
}

/* ---- start: what an earlier run left ------------------------------------------------------------------------------ */

struct recover_job {
    struct nr_db_job job;
    struct journal_count rows;
    int64_t failed;
};

/* What ran when the platform died did run, maybe to its end: it is not run again, and its record says what happened. */
static int recover_run(sqlite3 *db, struct nr_db_job *job)
{
    struct recover_job *r = nr_container_of(job, struct recover_job, job);
    sqlite3_stmt *s = nr_db_prepare(
        db,
        "UPDATE calls SET state=2, status=3, end_ms=?, duration_ms=0, version=coalesce(version,'0.0.1'),"
        " annotations='[]', logs='', input=NULL,"
        " result='{\"error\":\"The platform stopped while the action was running.\"}' WHERE state=1");

    if (s == NULL)
        return NR_EIO;
    sqlite3_bind_int64(s, 1, nr_wall_ms());
    int e = step(s);
    if (e != 0)
        return e;
    r->failed = sqlite3_changes(db);
    s = nr_db_prepare(db, "SELECT count(*) FROM calls WHERE state=0");
    if (s == NULL || sqlite3_step(s) != SQLITE_ROW)
        return NR_EIO;
    r->rows.queued = sqlite3_column_int64(s, 0);
    return 0;
}

int journal_open(struct controller *c, struct nr_err *err)
{
    char path[4096];
    struct nr_db_config config = {
        .path = path, .steps = schema, .page_bytes = 4096, .readers = 1, .busy_timeout_ms = 5000};
    struct recover_job r = {.job = {.run = recover_run}};
    int e;

    (void)snprintf(path, sizeof(path), "%s/calls.db", c->data_dir);
    if ((e = nr_db_open(&config, &c->db, err)) != 0)
        return e;
    if ((e = nr_db_write_wait(c->db, &r.job)) != 0)
        return nr_err_set(err, e, "%s: what an earlier run left cannot be read: %s", path,
                          nr_err_text(e));
    c->rows.queued = r.rows.queued;
    c->rows.terminal = r.failed;
    c->rows.accepted = r.rows.queued + r.failed;
    c->reload_more = r.rows.queued > 0;
    if (r.rows.queued || r.failed)
        nr_log(c->log, NR_LOG_WARN, "controller",
               "recovered: %lld calls queued again, %lld were running and are recorded as failed",
               (long long)r.rows.queued, (long long)r.failed);
    ballast_make(c);
    return 0;
}

/* One queued row on its way from the reader's thread to the loop. */
struct reload_row {
    struct reload_row *next;
    struct activation *a;
};

struct reload_job {
    struct nr_db_job job;
    struct controller *ctl;
    int64_t after_seq, last_seq;
    struct reload_row *rows, **tail;
    int count;
};

static struct activation *row_activation(sqlite3_stmt *s)
{
    struct activation *a = activation_make();
    struct nr_str id = nr_db_column(s, 1);

    if (a == NULL)
        return NULL;
    a->account = nr_alloc(sizeof(*a->account));
    a->account->refs = 1;
    struct nr_str account = nr_db_column(s, 2);
    a->account->name = nr_strndup(account.p, account.n);
    a->account->uuid = nr_strdup("");
    a->account->invocations_per_minute = a->account->concurrent_invocations = -1;
    a->package = nr_arena_copy(&a->arena, nr_db_column(s, 3));
    a->name = nr_arena_copy(&a->arena, nr_db_column(s, 4));
    a->transaction = nr_arena_copy(&a->arena, nr_db_column(s, 5));
    a->input = nr_arena_copy(&a->arena, nr_db_column(s, 6));
    a->epoch = sqlite3_column_int(s, 7);
    if (id.n == 32)
        memcpy(a->id, id.p, 32);
    a->durable = true;
    return a;
}

static int reload_run(sqlite3 *db, struct nr_db_job *job)
{
    struct reload_job *r = nr_container_of(job, struct reload_job, job);
    sqlite3_stmt *s =
        nr_db_prepare(db, "SELECT seq,id,account,package,name,transaction_id,input,epoch FROM calls"
                          " WHERE state=0 AND seq>? ORDER BY seq LIMIT ?");

    if (s == NULL)
        return NR_EIO;
    sqlite3_bind_int64(s, 1, r->after_seq);
    sqlite3_bind_int(s, 2, RELOAD_ROWS);
    while (sqlite3_step(s) == SQLITE_ROW) {
        struct reload_row *row = nr_alloc(sizeof(*row));

        r->last_seq = sqlite3_column_int64(s, 0);
        row->a = row_activation(s);
        *r->tail = row;
        r->tail = &row->next;
        r->count++;
    }
    return 0;
}

static void on_reloaded(struct nr_db_job *job)
{
    struct reload_job *r = nr_container_of(job, struct reload_job, job);
    struct controller *c = r->ctl;

    c->reload_after_seq = r->last_seq;
    c->reload_more = r->count == RELOAD_ROWS;
    c->reloading = false;
    for (struct reload_row *row = r->rows, *next; row; row = next) {
        next = row->next;
        /* accepted by this run, or loaded before: it lives */
        if (row->a && (c->stopping || nr_map_get(&c->live, nr_str_of(row->a->id)))) {
            activation_unref(row->a);
        } else if (row->a) {
            c->reloaded_live++;
            row->a->claim = journal_claim;
            row->a->replied = true;
            row->a->row_running = false;
            controller_invoke(c, row->a);
        }
        free(row);
    }
    free(r);
}

void journal_reload(struct controller *c)
{
    if (!c->reload_more || c->reloading || c->stopping)
        return;
    struct reload_job *r = nr_alloc(sizeof(*r));

    c->reloading = true;
    r->job = (struct nr_db_job){.run = reload_run, .done = on_reloaded, .loop = c->loop};
    r->ctl = c;
    r->after_seq = r->last_seq = c->reload_after_seq;
    r->tail = &r->rows;
    nr_db_read(c->db, &r->job);
}

/* ---- retention ---------------------------------------------------------------------------------------------------- */

struct tidy_job {
    struct nr_db_job job;
    struct controller *ctl;
    int64_t before_ms, max_bytes;
    int removed;
};

static int64_t used_bytes(sqlite3 *db)
{
    int64_t figure[3] = {0, 0, 0};
    static const char *const asks[] = {"PRAGMA page_count", "PRAGMA freelist_count",
                                       "PRAGMA page_size"};

    for (size_t i = 0; i < nr_countof(asks); i++) {
        sqlite3_stmt *s = NULL;

        if (sqlite3_prepare_v2(db, asks[i], -1, &s, NULL) == SQLITE_OK &&
            sqlite3_step(s) == SQLITE_ROW)
            figure[i] = sqlite3_column_int64(s, 0);
        sqlite3_finalize(s);
    }
    return (figure[0] - figure[1]) * figure[2];
}

static int tidy_run(sqlite3 *db, struct nr_db_job *job)
{
    struct tidy_job *t = nr_container_of(job, struct tidy_job, job);
    bool too_big = t->max_bytes > 0 && used_bytes(db) > t->max_bytes;
    sqlite3_stmt *s = nr_db_prepare(
        db,
        "DELETE FROM calls WHERE seq IN (SELECT seq FROM calls WHERE state=2 AND (? OR end_ms<?) ORDER BY seq LIMIT ?)");

    if (s == NULL)
        return NR_EIO;
    sqlite3_bind_int(s, 1, too_big);
    sqlite3_bind_int64(s, 2, t->before_ms);
    sqlite3_bind_int(s, 3, TIDY_ROWS);
    int r = step(s);
    t->removed = r == 0 ? sqlite3_changes(db) : 0;
    if (t->removed > 0)
        (void)sqlite3_exec(db, "PRAGMA incremental_vacuum(256)", NULL, NULL, NULL);
    return r;
}

static void tidy(struct controller *c);

static void on_tidied(struct nr_db_job *job)
{
    struct tidy_job *t = nr_container_of(job, struct tidy_job, job);
    struct controller *c = t->ctl;
    bool more = t->removed == TIDY_ROWS;

    c->sweeping = false;
    free(t);
    if (more && !c->stopping)
        tidy(c);
}

static void tidy(struct controller *c)
{
    struct tidy_job *t = nr_alloc(sizeof(*t));

    c->sweeping = true;
    t->ctl = c;
    t->before_ms = c->retention_s > 0 ? nr_wall_ms() - c->retention_s * 1000 : INT64_MIN;
    t->max_bytes = c->retention_max_bytes;
    t->job = (struct nr_db_job){.run = tidy_run, .done = on_tidied, .loop = c->loop, .lazy = true};
    nr_db_write(c->db, &t->job);
}

static void on_tidy(struct nr_deadline *d)
{
    struct controller *c = nr_container_of(d, struct controller, tidy);

    look_for_room(c);
    if (!c->sweeping)
        tidy(c);
    nr_deadline_set(c->loop, &c->tidy, TIDY_MS);
}

void journal_tidy_start(struct controller *c)
{
    c->tidy.fire = on_tidy;
    nr_deadline_set(c->loop, &c->tidy, TIDY_MS);
}
