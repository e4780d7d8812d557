/* One invocation's life, top to bottom: resolve, admit, accept, run, answer, record.
 *
 * controller_tick() is the story: the cases stand in the order in which things happen; `return` means suspended until somebody
 * ticks again. Event handlers store and tick. There is one way out: errors set a->err (the first wins), and the later cases give
 * back what the flags say was taken.
 *
 *   a non-blocking call   is on disk before its 202 leaves (C_ACCEPT), and "running" is on disk before its first byte is sent
 *                         (journal_claim), so that a crash neither loses it nor runs it twice
 *   a blocking call       is answered from C_RUN when the invoker ticks with the outcome; logs and the record follow
 *   a blocking call that waits too long gets its row first and then its 202 (on_wait_over)
 *   a blocking call while the disk is far behind is answered when its row is there: callers go at the disk's pace (keeps_up)
 *   a sequence            runs others in place of a container (compose.h); its steps come through here too, without admission
 *   a call whose code has to be compiled first looks its function up again while it cannot (look_again)
 *   a call whose "running" the disk refuses gives its slot back and goes to the end of the queue (wait_again)
 */
#include "controller/internal.h"

#include "common/base/clock.h"

#define CLAIM_AGAIN_MS 500
/* A function that could not be looked up is asked for again after an eighth of the time that was waited, within these. */
#define LOOKUP_AGAIN_MS 1000
#define LOOKUP_AGAIN_MAX_MS 10000
/* Until then: of who is not answered yet and says nothing of his patience; of accepted calls, long enough for a person to make what is missing. */
#define LOOKUP_PATIENCE_MS 60000
#define LOOKUP_ACCEPTED_MAX_MS 3600000
#define UNSTORED_MAX_BYTES (8 << 20)

static void reply(struct activation *a)
{
    a->replied = true;
    nr_deadline_cancel(&a->wait);
    if (a->on_reply)
        a->on_reply(a);
}

/* Gives it an id and a place among the living. */
static void enter(struct controller *c, struct activation *a)
{
    if (a->id[0] == '\0')
        nr_new_id(nr_wall_ms(), c->number, a->id);
    a->by_id.key = (struct nr_str){a->id, 32};
    if (!a->durable || nr_map_get(&c->live, a->by_id.key) == NULL) /* held after its 202 */
        (void)nr_map_put(&c->live, &a->by_id);
}

/* The caller's patience is over before the function's: the row first, then 202 with the id. */
static void on_wait_over(struct nr_deadline *d)
{
    struct activation *a = nr_container_of(d, struct activation, wait);

    if (a->replied || a->durable || a->row_pending)
        return;
    nr_count(&a->ctl->m.downgraded, 1);
    journal_accept(a->ctl, a);
}

static bool accept_first(struct controller *c, struct activation *a)
{
    if (a->err || a->blocking || a->durable)
        return false;
    if (a->fire)
        return fire_accept(c, a);
    journal_accept(c, a);
    return true;
}

/* Does the disk take the rows of ended calls about as fast as they come? */
static bool keeps_up(const struct activation *a)
{
    return a->c != C_RUN || a->id[0] == '\0' || a->ctl->unstored_bytes < UNSTORED_MAX_BYTES;
}

/* Unless the caller had a 202 before, or is about to get one. */
static void give_answer(struct activation *a)
{
    if (a->replied || a->row_pending || !keeps_up(a))
        return;
    if (a->error.code == 0 && a->parent == NULL)
        record_reply(a);
    reply(a);
    a->input = (struct nr_str){NULL, 0}; /* these were lent until now */
    if (!a->key_kept)
        a->api_key = (struct nr_str){NULL, 0};
}

static void on_claim_again(struct nr_deadline *d)
{
    struct activation *a = nr_container_of(d, struct activation, wait);

    if (a->ctl->stopping)
        activation_fail(a, NR_ESTOPPING, "%s", nr_err_text(NR_ESTOPPING));
    if (a->err) { /* or it was ended meanwhile, with its function */
        controller_tick(a);
        return;
    }
    run_start(a);
}

/* True: the call was not run because "running" could not be written. Its row says "queued", and so it waits again. */
static bool wait_again(struct controller *c, struct activation *a)
{
    if (!a->claim_refused)
        return false;
    if (a->i != I_END)
        return true; /* the slot is on its way back */
    a->claim_refused = false;
    a->claim = journal_claim;
    a->i = I_IDLE;
    a->start = START_NONE;
    a->answered_us = 0;
    if (a->err != NR_ESTOPPING) {
        a->err = 0;
        a->error = (struct nr_err){0};
    }
    a->wait.fire = on_claim_again;
    nr_deadline_set(c->loop, &a->wait, CLAIM_AGAIN_MS);
    return true;
}

static void on_look_again(struct nr_deadline *d)
{
    struct activation *a = nr_container_of(d, struct activation, wait);

    a->ctl->reload_waiting -= a->on_reply == NULL;
    if (a->ctl->stopping)
        activation_fail(a, NR_ESTOPPING, "%s", nr_err_text(NR_ESTOPPING));
    controller_tick(a);
}

/* May its function be known later? NR_EBUSY: there was no place for its compiler. What was accepted waits for a compiler that is missing, too. */
static bool may_look_again(const struct activation *a, uint64_t waited_ms)
{
    uint64_t patience_ms = a->durable    ? LOOKUP_ACCEPTED_MAX_MS
                           : a->blocking ? a->wait_ms
                                         : LOOKUP_PATIENCE_MS;

    return !a->ctl->stopping && (a->err == NR_EBUSY || (a->durable && a->err == NR_EUNAVAIL)) &&
           waited_ms + LOOKUP_AGAIN_MS < patience_ms;
}

/* True: it waits, and looks its function up once more. */
static bool look_again(struct controller *c, struct activation *a)
{
    uint64_t waited_ms = (nr_mono_us() - a->accepted_us) / 1000, pause_ms = waited_ms / 8;

    if (!may_look_again(a, waited_ms))
        return false;
    pause_ms = pause_ms < LOOKUP_AGAIN_MS ? LOOKUP_AGAIN_MS : pause_ms;
    a->err = 0;
    a->error = (struct nr_err){0};
    c->reload_waiting += a->on_reply == NULL;
    a->wait.fire = on_look_again;
    nr_deadline_set(c->loop, &a->wait,
                    pause_ms < LOOKUP_AGAIN_MAX_MS ? pause_ms : LOOKUP_AGAIN_MAX_MS);
    journal_reload_more(c); /* it keeps nobody from being loaded */
    return true;
}

/* What the record says of a call that was cut: the sentence of its error. */
static struct nr_str cut_result(struct activation *a)
{
    struct nr_buf text;

    nr_buf_init(&text, 1024);
    nr_buf_adds(&text, "{\"error\":");
    nr_buf_json(&text, a->err == NR_ESTOPPING
                           ? NR_STR("The call was cut because the platform is stopping.")
                           : nr_str_of(a->error.text));
    nr_buf_addc(&text, '}');
    struct nr_str kept = nr_arena_copy(&a->arena, nr_buf_str(&text));

    nr_buf_fini(&text);
    return kept.p ? kept : NR_STR("{\"error\":\"The call was cut.\"}");
}

static void answer(struct controller *c, struct activation *a)
{
    admission_give(c, a);
    if (a->answered_us == 0)
        a->answered_us = nr_mono_us();
    counts_answered(&c->counts, a);
    if (a->err && a->id[0] && a->outcome.result.n == 0) {
        a->outcome.status = OUTCOME_INTERNAL_ERROR;
        a->outcome.result = cut_result(a);
    }
    if (a->id[0] && a->end_wall_ms == 0) {
        a->end_wall_ms = nr_wall_ms();
        if (a->start_wall_ms == 0) /* of a sequence that is when it began */
            a->start_wall_ms = a->end_wall_ms - record_duration_ms(a);
        a->queue.prev = a->queue.next = NULL;
        nr_list_add(&c->answered, &a->queue);
    }
    give_answer(a);
}

void controller_left(struct controller *c)
{
    if (c->running == 0 && c->idle) {
        void (*idle)(void *) = c->idle;

        c->idle = NULL;
        nr_deadline_cancel(&c->drain_deadline);
        idle(c->idle_arg);
    }
}

static void count_asked(struct asked_counts *n, const struct activation *a)
{
    uint64_t *as = a->id[0] ? &n->recorded : a->error.code ? &n->refused : &n->idle;

    n->running -= a->asked;
    *as += a->asked;
}

void controller_end(struct controller *c, struct activation *a)
{
    count_asked(&c->asked, a);
    if (a->id[0])
        (void)nr_map_del(&c->live, a->by_id.key);
    nr_list_del(&a->queue);
    nr_list_del(&a->in_account);
    nr_deadline_cancel(&a->wait);
    c->running--;
    if (a->on_reply == NULL)
        c->reloaded_live--;
    if (a->key_kept)
        nr_str_wipe(a->api_key);
    backlog_give(c, a);
    compose_release(a);
    activation_unref(a);
    query_wake(c);
    journal_reload_more(c);
    controller_left(c);
}

/* Waiting work of a stopping platform stays in its row; nothing is recorded. */
static bool stays_queued(const struct activation *a)
{
    return a->durable && !a->row_running && a->err == NR_ESTOPPING;
}

static void log_line(struct controller *c, const struct activation *a)
{
    nr_log(
        c->log, NR_LOG_INFO, "controller",
        "activation=%s function=%s status=\"%s\" start=%s duration_ms=%lld wait_us=%llu init_us=%llu http=%d%s%s%s",
        a->id, a->fn ? a->fn->path : "-", outcome_status_text(a->outcome.status),
        start_kind_text(a->start), (long long)record_duration_ms(a),
        (unsigned long long)(a->started_us ? a->started_us - a->accepted_us : 0),
        (unsigned long long)a->init_us, a->reply_status, a->cold ? " cold=\"" : "",
        cold_cause_text(a->cold), a->cold ? "\"" : "");
}

static void count_outcome(struct controller *c, const struct activation *a)
{
    nr_count(&c->m.outcomes[a->outcome.status], 1);
    nr_hist_add_us(&c->m.duration, (uint64_t)record_duration_ms(a) * 1000);
    if (a->started_us > a->accepted_us)
        nr_hist_add_us(&c->m.wait, a->started_us - a->accepted_us);
    told_count(&c->m.starts, a);
}

void controller_tick(struct activation *a)
{
    struct controller *c = a->ctl;

    switch (a->c) {
    case C_RESOLVE: /* snapshot cache; a miss asks the function manager */
        if ((a->err == 0 && resolve_function(c, a) == 1) || look_again(c, a))
            return;
        a->c = C_ADMIT;
        /* fall through */
    case C_ADMIT: /* per account, exact */
        if (a->err == 0)
            counts_arrived(&c->counts, a);
        if (a->err == 0 && a->parent == NULL)
            final_check(a);
        if (a->err == 0 && a->parent)
            compose_admit(a);
        else if (a->err == 0 && !a->admitted)
            admission_take(c, a, c->loop->now_ms);
        if (a->err == 0 && a->fire == NULL && hold_call(c, a))
            return; /* an update is under way; back at C_RESOLVE when it has ended */
        if (a->err == 0)
            enter(c, a);
        else if (!a->durable)
            a->id[0] = '\0'; /* it was made to choose a version by */
        a->c = C_ACCEPT;
        /* fall through */
    case C_ACCEPT: /* 202 means durable: ticked again when the row is on disk */
        if (accept_first(c, a))
            return;
        a->c = C_RUN;
        if (a->err == 0) {
            counts_entered(&c->counts, a);
            if (!a->blocking && !a->replied) {
                record_accepted(a);
                reply(a);
            } else if (a->blocking && a->parent == NULL) {
                a->wait.fire = on_wait_over;
                nr_deadline_set(c->loop, &a->wait,
                                a->wait_ms > a->held_ms ? a->wait_ms - a->held_ms : 1);
            }
            run_start(a);
            return;
        }
        /* fall through */
    case C_RUN: /* ticked with the answer, and again when logs are in and the slot is back */
        if (wait_again(c, a))
            return;
        answer(c, a);
        if (a->i != I_IDLE && a->i != I_END)
            return;
        a->c = C_RECORD;
        compose_slot_back(a);
        /* fall through */
    case C_RECORD: /* ticked when the row is on disk */
        if (a->row_pending)
            return;
        if (a->id[0] && !stays_queued(a)) {
            log_line(c, a);
            count_outcome(c, a);
            if (!nr_list_empty(&c->followers))
                follow_publish(c, a);
            if (c->on_metric && a->logs.n > 0 && a->fn && !a->fn->trial)
                custom_read(c, a);
            a->c = C_END;
            journal_end(c, a);
            return;
        }
        a->c = C_END;
        /* fall through */
    case C_END: give_answer(a); controller_end(c, a);
    }
}

void controller_invoke(struct controller *c, struct activation *a)
{
    a->ctl = c;
    a->on_step = controller_tick;
    a->accepted_us = a->accepted_us ? a->accepted_us : nr_mono_us();
    a->c = C_RESOLVE;
    nr_list_add(&c->all, &a->in_account);
    c->running++;
    c->asked.running += a->asked;
    if (c->stopping && a->parent == NULL) { /* what runs may go on to its end */
        nr_buf_adds(&a->reply_head, "Retry-After: 5\r\n");
        activation_fail(
            a, NR_ESTOPPING,
            "The server is currently unavailable (because it is overloaded or down for maintenance).");
    }
    controller_tick(a);
}
