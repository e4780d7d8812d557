/* One call on this host, top to bottom: borrow a slot, claim, load the code if it is new, send, await, collect logs, return.
 *
 * invoker_tick() is the story: the cases stand in the order in which things happen; `return` means suspended until an event stores what
 * it knows (slot->got, a->outcome, a->err) and ticks again.
 *
 *   warm      I_BORROW finds a slot, I_SEND writes, I_AWAIT answers, I_LOGS waits for the end frame, all without an allocation
 *   cold      I_BORROW waits for a container (or for any slot that becomes free first), I_INIT hands the code over
 *   failures  whatever ends a call early has an outcome, or a->err, and goes on at I_AWAIT: the controller always gets its answer
 *             there and its end at I_END
 *   a warm container that died idle is found out before the first byte of RUN: the call borrows again
 */
#include "invoker/internal.h"

#include "common/base/clock.h"
#include "invoker/outcome.h"

enum { INIT_AGAIN_MS = 1, INIT_PATIENCE_US = 5000000 };

static const char provision_failed[] = "Failed to provision resources to run the action.";

/* Nothing is left to be found out about this call. */
static bool decided(const struct activation *a)
{
    return a->err != 0 || a->outcome.result.n > 0;
}

static void on_deadline(struct nr_deadline *d)
{
    struct activation *a = nr_container_of(d, struct activation, deadline);

    if (a->i == I_LOGS)
        a->slot->got.late = true;
    else if (a->i == I_AWAIT || a->slot->init_sent)
        a->outcome.timed_out = true;
    invoker_tick(a);
}

static void arm(struct activation *a, uint64_t ms)
{
    struct invoker *v = a->invoker;

    a->deadline.fire = on_deadline;
    nr_deadline_set(v->loop, &a->deadline, ms);
}

/* How the phase under way ended; false: it has not. */
static bool phase_ended(const struct activation *a, bool init, enum outcome_event *ret)
{
    const struct slot_news *got = &a->slot->got;

    if (init ? got->init_done && got->ended : got->answered)
        *ret = EVENT_ANSWER;
    else if (got->ended)
        *ret = EVENT_ENDED;
    else if (got->lost)
        *ret = got->init_done && (got->flags & NR_FRAME_FAILED) ? EVENT_ANSWER : EVENT_LOST;
    else if (a->outcome.timed_out)
        *ret = EVENT_TIMEOUT;
    else
        return false;
    return true;
}

static void decide(struct activation *a, bool init, enum outcome_event event)
{
    struct slot *s = a->slot;
    const struct outcome_facts facts = {
        .init = init,
        .event = event,
        .flags = s->got.flags,
        .verdict = s->got.verdict,
        .bytes = s->got.bytes,
        .timeout_ms = a->fn->timeout_ms,
    };

    outcome_decide(&facts, &a->arena, &a->outcome);
    s->got.bytes = (struct nr_str){NULL, 0};
}

/* Makes "running" durable when the controller asked for it. 1: later. */
static int claim(struct activation *a)
{
    struct slot *s = a->slot;

    if (s->claim == CLAIM_ASKED)
        return 1;
    if (a->claim == NULL || s->claim == CLAIM_DONE)
        return 0;
    s->claim = CLAIM_ASKED;
    int r = a->claim(a);

    if (r == 1)
        return 1;
    s->claim = CLAIM_DONE;
    a->claim = NULL;
    return r;
}

/* Hands the code over. 1: it must be tried again soon. */
static int begin_init(struct activation *a)
{
    struct slot *s = a->slot;
    struct container *ct = s->ct;

    if (ct->code_status < 0) {
        outcome_refuse(&a->outcome, OUTCOME_INTERNAL_ERROR, "Action could not be fetched.");
        return 0;
    }
    int r = s->got.lost ? NR_ECLOSED : slot_send_init(s);

    if (r == 1 && span_us(a->borrowed_us, nr_mono_us()) < INIT_PATIENCE_US) {
        arm(a, INIT_AGAIN_MS);
    } else if (r != 0) {
        decide(a, true, EVENT_LOST);
    } else {
        s->init_us = nr_mono_us();
        container_move(ct, CT_INIT);
        arm(a, (uint64_t)a->fn->timeout_ms);
    }
    return r;
}

/* Loads the code. 1: later (ticked when it has been read and checked, by the deadline, or by what came), 0: done, or decided. */
static int init(struct activation *a)
{
    struct slot *s = a->slot;
    enum outcome_event event;

    if (!s->init_sent) {
        if (s->ct->code_status == 1 && !s->got.lost)
            return 1;
        (void)begin_init(a);
        return decided(a) ? 0 : 1;
    }
    if (!phase_ended(a, true, &event))
        return 1;
    a->init_us = span_us(s->init_us, nr_mono_us());
    nr_deadline_cancel(&a->deadline);
    if (event != EVENT_ANSWER || (s->got.flags & NR_FRAME_FAILED) ||
        s->got.verdict != NR_VERDICT_OK)
        decide(a, true, event);
    else
        container_loaded_now(s->ct);
    return 0;
}

/* Writes the call. 1: the container had died idle, 0: sent, or decided. */
static int begin_run(struct activation *a)
{
    struct slot *s = a->slot;

    s->got = (struct slot_news){.lost = s->got.lost};
    nr_buf_reset(&s->parts, 0);
    a->started_us = nr_mono_us();
    int r = slot_send_run(s);

    if (r == 0) {
        arm(a, (uint64_t)a->fn->timeout_ms);
    } else if (r == NR_ETOOBIG) {
        outcome_refuse(&a->outcome, OUTCOME_INTERNAL_ERROR, provision_failed);
    } else if (a->start == START_COLD) {
        decide(a, false, EVENT_LOST);
    } else {
        a->started_us = 0;
        return 1;
    }
    return 0;
}

static bool logs_to_come(const struct slot *s)
{
    return s && s->call != 0 && s->conn && !s->got.ended && !s->got.lost && !s->got.late;
}

/* A line of ours in the log of a call whose end frame never came. */
static void say_logs_are_missing(struct activation *a)
{
    const struct slot *s = a->slot;
    char when[25];

    if (s->call == 0 || s->got.ended || a->fn->log_max_bytes == 0)
        return;
    nr_wall_text(nr_wall_ms(), when);
    nr_buf_printf(
        &a->logs, "%-30s stderr: %s\n", when,
        s->got.answered
            ? "There was an issue while collecting your logs. Data might be missing."
            : "The action did not initialize or run as expected. Log data might be missing.");
}

/* May the container take another call? One that was sent nothing may, unless its code is no good. */
static bool reusable(const struct activation *a, const struct slot *s)
{
    if (s->call == 0)
        return s->ct->code_status >= 0;
    return s->got.answered && s->got.ended && a->err == 0 &&
           outcome_reusable(&a->outcome, s->got.verdict);
}

static void note_start(struct activation *a)
{
    struct container *ct = a->slot->ct;
    bool cold = !container_loaded(ct);

    if (cold) {
        a->queue_us = span_us(a->borrowed_us, ct->begun_us);
        a->create_us = ct->create_us;
        a->boot_us = span_us(ct->created_us, ct->hello_us);
        a->cold = ct->cold;
    }
    a->start = cold ? START_COLD : START_WARM;
    a->borrowed_us = nr_mono_us();
    nr_count(cold ? &ct->v->m.borrowed_cold : &ct->v->m.borrowed_warm, 1);
}

void invoker_tick(struct activation *a)
{
    struct invoker *v = a->invoker;
    struct slot *s;
    enum outcome_event event;
    int r;

    for (;;) {
        s = a->slot;
        switch (a->i) {
        case I_IDLE:
        case I_BORROW: /* a free slot, or the first that becomes free; ticked with one, or with an outcome, or cut */
            if (s == NULL && !decided(a) && pool_borrow(v, a) == 1)
                return;
            if (a->slot)
                note_start(a);
            a->i = decided(a) ? I_AWAIT : I_CLAIM;
            continue;
        case I_CLAIM: /* "running" is on disk before the first byte is sent; ticked by invoker_claimed() */
            if ((r = claim(a)) == 1)
                return;
            if (r < 0)
                activation_fail(a, r, "The call was not run: %s.", nr_err_text(r));
            a->i = decided(a) ? I_AWAIT : I_INIT;
            continue;
        case I_INIT: /* only if the container is new */
            if (!decided(a) && !container_loaded(s->ct) && init(a) == 1)
                return;
            a->i = decided(a) ? I_AWAIT : I_SEND;
            continue;
        case I_SEND:
            if ((r = begin_run(a)) ==
                1) { /* it had died idle: nothing was run, so try another one */
                a->slot = NULL;
                pool_return(s, false);
                a->i = I_BORROW;
                continue;
            }
            a->i = I_AWAIT;
            if (!decided(a))
                return;
            continue;
        case I_AWAIT: /* ticked by the answer, the end, a loss, the time limit or a cut */
            if (!decided(a)) {
                if (!phase_ended(a, false, &event))
                    return;
                decide(a, false, event);
            }
            nr_deadline_cancel(&a->deadline);
            a->answered_us = nr_mono_us();
            if (s && s->call != 0 && !s->got.answered && !s->got.ended)
                slot_cut(s); /* the worker is killed; what it logged may still come */
            a->on_step(a);   /* the answer leaves here */
            a->i = I_LOGS;
            if (logs_to_come(s))
                arm(a, s->shut ? LAST_WORDS_MS : LOGS_MS);
            /* fall through */
        case I_LOGS: /* they follow the answer on the same connection, up to the end frame */
            if (logs_to_come(s))
                return;
            nr_deadline_cancel(&a->deadline);
            a->i = I_RETURN;
            /* fall through */
        case I_RETURN:
            if (s) {
                say_logs_are_missing(a);
                a->slot = NULL;
                pool_return(s, reusable(a, s));
            }
            a->i = I_END;
            a->on_step(a); /* may free a */
            return;
        case I_END: return;
        }
    }
}
