/* The journal of accepted work and the record of every call: one table in calls.db, one row per call.
 *
 *   accept   INSERT (queued, or running when a blocking call turned into 202)   -> durable -> 202
 *   claim    queued -> running, epoch + 1, durable before the first byte is sent
 *   end      -> terminal; INSERT for a call that had no row yet (those are lazy: batched for 5 ms). A call whose function wants no
 *            record of it (annotation narae.store) leaves none: its row goes, or never comes; it is answered and counted all the same
 *
 * All writes of one call go through the one writer in order, so at most one row per slot says "running" on disk.
 *
 * A disk that refuses: an accept is refused (503), a claim gives the slot back and the call waits in the queue again (invoke.c), an
 * end of accepted work is tried again until it is there; the record of a call that was answered is dropped and counted.
 *
 * Threads: the *_run functions run on the writer's thread and read an activation which its loop leaves alone meanwhile (row_pending);
 * everything else is the loop's. The start of a run stands in recovery.c, room on the disk and retention in retention.c.
 */
#include "controller/internal.h"

#include "common/base/clock.h"

#define END_AGAIN_MS 1000
#define ARENA_BYTES 4096 /* of a small call */
#define ANNOTATIONS_BYTES 500

enum row_state { ROW_QUEUED, ROW_RUNNING, ROW_TERMINAL };

static struct activation *activation_of(struct nr_db_job *job)
{
    return nr_container_of(job, struct activation, row);
}

/* ---- accept ----------------------------------------------------------------------------------------------------- */

int journal_insert(sqlite3 *db, const struct activation *a)
{
    sqlite3_stmt *s = nr_db_prepare(
        db,
        "INSERT INTO calls(id,state,epoch,account,package,name,cause,transaction_id,accepted_ms,"
        "start_ms,input,published,alias,space,run) VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)");

    nr_auto_free char *sealed = NULL;
    struct nr_str input;

    if (s == NULL || input_seal(a, &sealed, &input) < 0)
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
    nr_db_bind_text(s, 11, input);
    sqlite3_bind_int64(s, 12,
                       a->fn->published); /* what it resolved to holds, also after a restart */
    nr_db_bind_text(s, 13, a->alias);
    nr_db_bind_text(s, 14, a->space.p ? a->space : NR_STR(""));
    sqlite3_bind_int64(s, 15, a->ctl->run);
    return journal_step(s);
}

static int accept_run(sqlite3 *db, struct nr_db_job *job)
{
    return journal_insert(db, activation_of(job));
}

void journal_refuse(struct controller *c, struct activation *a, int why)
{
    (void)nr_map_del(&c->live, a->by_id.key);
    a->id[0] = '\0';
    backlog_give(c, a);
    if (why == NR_EQUOTA && backlog_refuse(c, a, 1, a->input.n))
        return;
    nr_buf_adds(&a->reply_head, "Retry-After: 5\r\n");
    activation_fail(a, NR_EUNAVAIL,
                    "The call cannot be stored for later (%s); call blocking or try again.",
                    nr_err_text(why));
}

void journal_accepted(struct controller *c, struct activation *a)
{
    a->durable = true;
    backlog_on_disk(c, a);
    c->rows.accepted++;
    *(a->row_running ? &c->rows.running : &c->rows.queued) += 1;
    nr_count(&c->m.accepted_async, 1);
}

static void on_accepted(struct nr_db_job *job)
{
    struct activation *a = activation_of(job);
    struct controller *c = a->ctl;

    a->row_pending = false;
    if (c->closed)
        return;
    if (job->status == NR_ENOSPC)
        disk_is_full(c);
    if (job->status == 0)
        journal_accepted(c, a);
    else
        backlog_give(c, a);
    if (a->c == C_ACCEPT) {
        if (job->status != 0)
            journal_refuse(c, a, job->status);
        controller_tick(a);
        return;
    }
    /* a blocking call that waited too long: 202 if its row is there, else its caller goes on waiting (C_RECORD answers him) */
    if (job->status == 0 && !a->replied) {
        record_accepted(a);
        a->replied = true;
        if (a->on_reply)
            a->on_reply(a);
    }
    if (a->claim_wanted) {
        if (journal_claim(a) == 0)
            run_claimed(a, 0);
    } else if (a->c == C_RECORD) {
        controller_tick(a);
    }
}

/* The caller's key is lent too, and kept only for a function that wants it, or that calls others. */
static void keep_key(struct activation *a)
{
    if (a->key_kept)
        return;
    a->key_kept = a->api_key.n > 0 && (a->fn->provide_api_key || compose_wanted(a));
    a->api_key = a->key_kept ? nr_arena_copy(&a->arena, a->api_key) : (struct nr_str){NULL, 0};
}

/* A call that already has a slot is "running" from the start; one that waits must claim before it runs. */
int journal_keep(struct controller *c, struct activation *a)
{
    a->row_running = a->i > I_BORROW;
    if (!a->row_running)
        a->claim = journal_claim;
    int r = c->disk_full ? NR_ENOSPC : backlog_take(c, a);

    if (r != 0)
        return r;
    if (a->input.p &&
        a->input_of == NULL) /* lent by the request; now it lives with the activation */
        a->input = nr_arena_copy(&a->arena, a->input);
    keep_key(a);
    if (a->input.p)
        return 0;
    backlog_give(c, a);
    return NR_ENOMEM;
}

void journal_accept(struct controller *c, struct activation *a)
{
    int why = journal_keep(c, a);

    if (why != 0) {
        a->row.status = why;
        if (a->c != C_ACCEPT)
            return;
        on_accepted(&a->row);
        return;
    }
    a->row =
        (struct nr_db_job){.run = accept_run, .done = on_accepted, .loop = c->loop, .single = true};
    a->row_pending = true;
    nr_db_write(c->db, &a->row);
}

/* ---- claim ------------------------------------------------------------------------------------------------------ */

static int claim_run(sqlite3 *db, struct nr_db_job *job)
{
    const struct activation *a = activation_of(job);
    sqlite3_stmt *s = nr_db_prepare(
        db, "UPDATE calls SET state=1, epoch=epoch+1, run=?2 WHERE id=?1 AND state=0");

    if (s == NULL)
        return NR_EIO;
    nr_db_bind_text(s, 1, nr_str_of(a->id));
    sqlite3_bind_int64(s, 2, a->ctl->run);
    int r = journal_step(s);

    return r == 0 && sqlite3_changes(db) != 1 ? NR_ECONFLICT : r;
}

static void on_claimed(struct nr_db_job *job)
{
    struct activation *a = activation_of(job);
    struct controller *c = a->ctl;

    a->row_pending = false;
    if (c->closed)
        return;
    if (job->status == 0) {
        a->epoch++;
        a->row_running = true;
        c->rows.queued--;
        c->rows.running++;
    } else if (job->status != NR_ECONFLICT) {
        a->claim_refused = true; /* it goes back to the queue: see C_RUN */
        if (job->status == NR_ENOSPC)
            disk_is_full(c);
    }
    a->claim = NULL;
    /* another process has claimed it, or its row is gone: nothing is ours to say of it */
    run_claimed(a, job->status == NR_ECONFLICT ? NR_ESTOPPING : job->status);
}

int journal_claim(struct activation *a)
{
    a->claim_wanted =
        a->row_pending; /* its accept is still on the way: on_accepted() comes back here */
    if (a->claim_wanted)
        return 1;
    if (!a->durable)
        return 0; /* it could not be stored: an ordinary blocking call */
    a->row = (struct nr_db_job){
        .run = claim_run, .done = on_claimed, .loop = a->ctl->loop, .single = true};
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

/* Does its function want a record of it? */
static bool is_stored(const struct activation *a)
{
    enum store_policy policy = a->fn ? a->fn->store : STORE_ALL;

    return policy == STORE_ALL || (policy == STORE_ERRORS && a->outcome.status != OUTCOME_SUCCESS);
}

/* No record is wanted: the row of accepted work goes. */
static int drop_run(sqlite3 *db, struct nr_db_job *job)
{
    const struct activation *a = activation_of(job);
    sqlite3_stmt *s = nr_db_prepare(db, "DELETE FROM calls WHERE id=? AND epoch=? AND state<2");

    if (s == NULL)
        return NR_EIO;
    nr_db_bind_text(s, 1, nr_str_of(a->id));
    sqlite3_bind_int(s, 2, a->epoch);
    int r = journal_step(s);

    return r == 0 && sqlite3_changes(db) != 1 ? NR_ECONFLICT : r;
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
                  "state,account,package,name,cause,transaction_id,accepted_ms,space)"
                  " VALUES(?,?,?,?,?,?,?,?,?,?,2,?,?,?,?,?,?,?)");

    if (s == NULL)
        return NR_EIO;
    nr_buf_init(&annotations, 65536);
    (void)nr_buf_room(&annotations, ANNOTATIONS_BYTES);
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
        nr_db_bind_text(s, 17, a->space.p ? a->space : NR_STR(""));
    }
    r = journal_step(s);
    if (r == 0 && a->durable && sqlite3_changes(db) != 1)
        r = NR_ECONFLICT; /* a newer epoch has it */
    nr_buf_fini(&annotations);
    return r;
}

/* What a call keeps in memory until its row is on disk. */
static int64_t row_bytes(const struct activation *a)
{
    return (int64_t)(sizeof(*a) + ARENA_BYTES + a->outcome.result.n + a->logs.n);
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
    c->unstored_bytes -= row_bytes(a);
    if (job->status == NR_ENOSPC)
        disk_is_full(c);
    if (job->status == NR_ECONFLICT) {
        nr_count(&c->m.late_results, 1);
    } else if (job->status != 0 && a->durable) {
        /* accepted work gets its end as soon as the disk takes it; meanwhile nobody waits for it */
        nr_list_del(&a->queue);
        a->wait.fire = on_end_again;
        nr_deadline_set(c->loop, &a->wait, END_AGAIN_MS);
        query_wake(c);
        return;
    } else if (job->status != 0) {
        nr_count(&c->m.records_dropped, 1);
    } else if (a->durable) {
        *(a->row_running ? &c->rows.running : &c->rows.queued) -= 1;
        c->rows.terminal++;
    }
    controller_tick(a);
}

void journal_end(struct controller *c, struct activation *a)
{
    bool stored = is_stored(a);

    if (!stored && !a->durable) {
        controller_tick(a);
        return;
    }
    c->unstored_bytes += row_bytes(a);
    if (c->unstored_bytes > c->unstored_peak_bytes)
        c->unstored_peak_bytes = c->unstored_bytes;
    a->row = (struct nr_db_job){.run = stored ? end_run : drop_run,
                                .done = on_ended,
                                .loop = c->loop,
                                .lazy = !a->durable,
                                .single = true};
    a->row_pending = true;
    nr_db_write(c->db, &a->row);
}
