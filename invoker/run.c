/* One call on this host, top to bottom: borrow a slot, claim, load the code if it is new, send, await, collect logs, return.
 *
 * invoker_tick() is the story: the cases stand in the order in which things happen; `return` means suspended until an event stores what
 * it knows (slot->got, a->outcome, a->err) and ticks again.
 *
 *   warm      I_BORROW finds a slot, I_SEND writes, I_AWAIT answers, I_LOGS waits for the end frame, all without an allocation
 *   cold      I_BORROW waits for a container (or for any slot that becomes free first), I_INIT hands the code over
 *   ahead     nobody's call, in a container that was started before any: from I_INIT to its end without I_SEND (ahead.c)
 *   failures  whatever ends a call early has an outcome, or a->err, and goes on at I_AWAIT: the controller always gets its answer
 *             there and its end at I_END
 *   a warm container that died idle is found out before the first byte of RUN: the call borrows again
 */
#include "invoker/internal.h"

#include "common/base/clock.h"
#include "invoker/ahead.h"
#include "invoker/frame_budget.h"
#include "invoker/freeze.h"
#include "invoker/monitor.h"
#include "invoker/outcome.h"
#include "invoker/stem.h"

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

static void ask_memory_group(struct nr_work *w)
{
    struct container *ct = nr_container_of(w, struct container, loss_work);

    ct->oom_kills = cgroup_oom_kills(&ct->cgroup);
}

static void on_memory_group(struct nr_work *w)
{
    struct container *ct = nr_container_of(w, struct container, loss_work);

    ct->loss = LOSS_KNOWN;
    for (unsigned i = 0; i < ct->slot_count; i++) {
        struct activation *a = ct->slots[i].a;

        if (a && ct->slots[i].got.lost && (a->i == I_INIT || a->i == I_AWAIT))
            invoker_tick(a);
    }
    container_unref(ct);
}

/* Why a connection broke is known: an agent that the kernel kills for want of memory cannot say so, its memory group does, for the moment that
 * the group is still there. It counts for the container's life: what an earlier call had killed is not why this one is lost. */
static bool loss_is_known(struct container *ct)
{
    if (ct->cgroup_state != CGROUP_OPEN || ct->loss == LOSS_KNOWN)
        return true;
    if (ct->loss == LOSS_NOT_ASKED) {
        ct->loss = LOSS_ASKED;
        ct->loss_work = (struct nr_work){.work = ask_memory_group, .done = on_memory_group};
        (void)container_ref(ct);
        nr_work_post(ct->v->loop, &ct->loss_work);
    }
    return false;
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
    return *ret != EVENT_LOST || loss_is_known(a->slot->ct);
}

static void decide(struct activation *a, bool init, enum outcome_event event)
{
    struct slot *s = a->slot;
    const struct outcome_facts facts = {
        .init = init,
        .event = event,
        .flags = s->got.flags,
        .verdict = event == EVENT_LOST && s->ct->oom_kills > s->oom_kills ? NR_VERDICT_OOM
                                                                          : s->got.verdict,
        .bytes = s->got.bytes,
        .timeout_ms = a->fn->timeout_ms,
    };

    if (facts.verdict == NR_VERDICT_OOM && monitor_oom_kills(s->ct) <= s->oom_kills)
        monitor_told_oom(s->ct);
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

static void refuse_init(struct activation *a)
{
    char text[256];

    (void)snprintf(
        text, sizeof(text),
        "The action cannot be initialized: its parameters that belong to init are %zu bytes, and all that its "
        "code is loaded with may be %d bytes.",
        strlen(a->fn->init_parameters), NR_FRAME_INIT_MAX_BYTES);
    a->slot->init_too_big = true;
    outcome_refuse(&a->outcome, OUTCOME_DEVELOPER_ERROR, text);
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
    } else if (r == NR_ETOOBIG) {
        refuse_init(a);
    } else if (r != 0) {
        decide(a, true, EVENT_LOST);
    } else {
        s->init_us = nr_mono_us();
        container_move(ct, CT_INIT);
        arm(a, (uint64_t)a->fn->timeout_ms);
    }
    return r;
}

/* Loads the code. 1: later (ticked when it has been read and checked, by the deadline, or by what came), 2: another container is to be
 * found, 0: done, or decided. */
static int init(struct activation *a)
{
    struct slot *s = a->slot;
    enum outcome_event event;

    if (!s->init_sent) {
        if (s->ct->code_status == 1 && !s->got.lost)
            return 1;
        if (s->ct->handover.failed)
            return 2;
        if (s->got.lost && s->ct->born_stem) { /* it has died under its hand-over */
            stem_distrust(s->ct->v, s->ct->fn);
            return 2;
        }
        a->handover_us = a->start == START_STEM ? s->ct->handover.us : 0;
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
        freeze_thaw(s->ct);
        if (s->ct->frozen)
            outcome_refuse(&a->outcome, OUTCOME_INTERNAL_ERROR, provision_failed);
        else
            arm(a, (uint64_t)a->fn->timeout_ms);
    } else if (r == NR_ETOOBIG) {
        outcome_refuse(&a->outcome, OUTCOME_INTERNAL_ERROR, provision_failed);
    } else if (a->init_us != 0) {
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

enum end_reason invoker_end_reason(const struct activation *a)
{
    const struct slot *s = a->slot;

    if (s->call == 0 && s->ct->handover.failed)
        return ENDED_HANDOVER_FAILED;
    if (s->call == 0) /* sent nothing; only its code can be no good */
        return s->ct->code_status >= 0 ? ENDED_NOT : ENDED_INIT_FAILED;
    if (a->outcome.timed_out)
        return ENDED_TIMED_OUT;
    if (a->err != 0)
        return ENDED_CUT;
    if (!s->run_sent)
        return ahead_is(a) && container_loaded(s->ct) ? ENDED_NOT : ENDED_INIT_FAILED;
    if (!s->got.answered)
        return ENDED_CRASHED;
    if (!s->got.ended)
        return ENDED_LOG_TROUBLE;
    if (s->got.verdict == NR_VERDICT_TAINTED)
        return a->outcome.status == OUTCOME_SUCCESS ? ENDED_LOG_TROUBLE : ENDED_FAILED;
    return outcome_reusable(&a->outcome, s->got.verdict) ? ENDED_NOT : ENDED_CRASHED;
}

/* What of [from, to] this call has waited for. */
static uint64_t share_us(const struct activation *a, uint64_t from_us, uint64_t to_us)
{
    return span_us(from_us > a->borrowed_us ? from_us : a->borrowed_us, to_us);
}

/* Stages of a start that the call waited for; what had happened before the call came is not its time. */
static void note_stages(struct activation *a, const struct container *ct)
{
    uint64_t create_us = ct->created_us - ct->create_us; /* when it began */

    if (ct->born_stem) {
        a->queue_us = share_us(a, a->borrowed_us, ct->handover.begun_us);
        return;
    }
    a->network_us = share_us(a, ct->net_begun_us, ct->net_begun_us + ct->net_us);
    a->queue_us = share_us(a, a->borrowed_us, create_us);
    a->create_us = share_us(a, create_us, ct->created_us);
    a->boot_us = share_us(a, ct->created_us, ct->hello_us);
    a->boot_us = a->boot_us > a->network_us ? a->boot_us - a->network_us : 0;
}

/* waited: the slot was not there at once. A container that was started ahead is there: its first call loads the code, and has waited for no start. */
static void note_start(struct activation *a, bool waited)
{
    struct container *ct = a->slot->ct;
    bool cold = !container_loaded(ct);

    a->start = ct->frozen ? START_FROZEN : START_WARM;
    if (cold && waited) {
        note_stages(a, ct);
        a->cold = ct->cold;
        a->stem_empty = ct->stem_empty;
        a->start = ct->born_stem ? START_STEM : START_COLD;
    } else {
        a->cold = COLD_NOT; /* of an attempt before this one */
        a->stem_empty = false;
        a->queue_us = waited ? share_us(a, a->borrowed_us, nr_mono_us()) : 0;
    }
    a->borrowed_us = nr_mono_us();
    nr_count(cold ? &ct->v->m.borrowed_cold : &ct->v->m.borrowed_warm, 1);
}

/* Gives its slot back; the container goes. */
static void borrow_again(struct activation *a, enum end_reason why)
{
    struct slot *s = a->slot;

    a->slot = NULL;
    a->started_us = 0;
    frame_budget_give(s);
    pool_return(s, why);
    a->i = I_BORROW;
}

/* The code is loaded before any call, or will not be: there is nothing to send. */
static void end_ahead(struct activation *a, bool not_handed_over)
{
    if (not_handed_over)
        outcome_refuse(&a->outcome, OUTCOME_INTERNAL_ERROR, provision_failed);
    else if (!decided(a))
        a->outcome.result = NR_STR("{}");
    a->i = I_AWAIT;
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
                note_start(a, s != NULL);
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
            r = decided(a) || container_loaded(s->ct) ? 0 : init(a);
            if (r == 1)
                return;
            if (ahead_is(a)) {
                end_ahead(a, r == 2);
                continue;
            }
            if (r == 2) { /* its hand-over failed: nothing of this call has reached it */
                borrow_again(a, ENDED_HANDOVER_FAILED);
                continue;
            }
            a->i = decided(a) ? I_AWAIT : I_SEND;
            continue;
        case I_SEND:
            if ((r = begin_run(a)) ==
                1) { /* it had died idle: nothing was run, so try another one */
                borrow_again(a, ENDED_CRASHED);
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
            if (a->start == START_FROZEN && s && s->run_sent)
                a->thaw_us = freeze_thaw_us(s->ct);
            if (s && s->call != 0 && !s->got.answered && !s->got.ended)
                slot_cut(s); /* the worker is killed; what it logged may still come */
            a->on_step(a);   /* the answer leaves here */
            if (a->start == START_STEM)
                stem_answered(v);
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
                enum end_reason why = invoker_end_reason(a);

                say_logs_are_missing(a);
                if (ahead_is(a)) {
                    ahead_end(a, why);
                    return;
                }
                a->slot = NULL;
                frame_budget_give(s);
                pool_return(s, why);
            }
            a->i = I_END;
            a->on_step(a); /* may free a */
            return;
        case I_END: return;
        }
    }
}
