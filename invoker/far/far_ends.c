/* A call's answer, its logs and its end; and the ends that it has when the other host does not tell one.
 *
 * Happy: ANSWER -> on_step at I_AWAIT -> LOGS are gathered -> END -> on_step at I_END, DONE
 * Lost: what was granted and has no answer within its own limits ends as an error of the platform, whatever became of it; so does all that was granted to a
 * session that is gone. What comes later is dropped and counted.
 * Cut: the answer is ours at once; of the invoker's only the logs are taken.
 * Back: a session that returns tells all again from the answer on: what there was of the logs is dropped first, and an answer counts once.
 */
#include "invoker/far/far_state.h"

#include "common/base/clock.h"
#include "common/base/json.h"
#include "invoker/outcome.h"
#include "ports/errand.h"

enum { IN_ARENA_MAX_BYTES = 64 << 10 };

static const char no_answer[] = "no answer came from the invoker that ran the call";

/* ---- ends ---- */

static void end(struct far_call *c)
{
    struct far *f = c->f;
    struct activation *a = c->a;

    far_call_free(c);
    a->invoker = NULL;
    a->i = I_END;
    a->on_step(a); /* a may be gone */
    far_look_if_drained(f);
}

static void say_logs_are_missing(struct activation *a)
{
    char when[25];

    if (a->fn->log_max_bytes == 0)
        return;
    nr_wall_text(nr_wall_ms(), when);
    nr_buf_printf(&a->logs,
                  "%-30s stderr: There was an issue while collecting your logs. Data might be "
                  "missing.\n",
                  when);
}

/* The logs did not come in time, or nobody is left to send them. */
static void on_logs_late(struct nr_deadline *d)
{
    struct far_call *c = nr_container_of(d, struct far_call, deadline);

    say_logs_are_missing(c->a);
    end(c);
}

/* a->err or an outcome is set: the controller gets it. c is gone when it did away with it meanwhile; false then. */
static bool answer(struct far_call *c)
{
    struct far *f = c->f;
    uint64_t number = c->number;

    nr_deadline_cancel(&c->deadline);
    far_call_move(c, FAR_ANSWERED);
    c->epoch = f->epoch;
    if (c->a->answered_us == 0)
        c->a->answered_us = nr_mono_us();
    c->a->i = I_AWAIT;
    c->a->on_step(c->a);
    return far_call_numbered(f, number) == c;
}

static void await_logs(struct far_call *c)
{
    c->a->i = I_LOGS;
    c->deadline.fire = on_logs_late;
    nr_deadline_set(c->f->l->config.loop, &c->deadline, FAR_LOGS_MS);
}

void far_call_finish(struct far_call *c)
{
    if (answer(c))
        end(c);
}

void far_call_cut(struct far_call *c)
{
    c->cut = true;
    if (!answer(c))
        return;
    if (c->f->link) {
        await_logs(c);
        return;
    }
    say_logs_are_missing(c->a);
    end(c);
}

void far_call_lost(struct far_call *c, const char *why)
{
    char text[160];

    nr_count(&c->f->l->m.lost_calls, 1);
    (void)snprintf(text, sizeof(text), "The call was started, and its outcome is not known: %s.",
                   why);
    outcome_refuse(&c->a->outcome, OUTCOME_INTERNAL_ERROR, text);
    say_logs_are_missing(c->a);
    far_call_finish(c);
}

static void on_answer_late(struct nr_deadline *d)
{
    struct far_call *c = nr_container_of(d, struct far_call, deadline);
    const struct wire_why why = {.err = NR_ETIMEOUT, .why = nr_str_of(no_answer)};

    if (c->f->link && !c->spared) { /* it cuts the call itself, and its words may be on their way */
        c->spared = true;
        nr_deadline_set(c->f->l->config.loop, d, FAR_ANSWER_SPARE_MS);
        return;
    }
    far_send_meta(c->f, WIRE_CUT, 0, c->number, &wire_why_form, &why);
    far_call_lost(c, no_answer);
}

void far_call_granted(struct far_call *c)
{
    uint64_t limit_ms = (uint64_t)c->a->fn->timeout_ms;

    far_call_move(c, FAR_GRANTED);
    c->a->i = I_AWAIT;
    c->deadline.fire = on_answer_late;
    nr_deadline_set(c->f->l->config.loop, &c->deadline,
                    (c->cold ? 2 * limit_ms : limit_ms) + FAR_LOSS_SLACK_MS);
}

void far_lose_all(struct far *f, const char *why)
{
    struct nr_link some;

    nr_list_init(&some);
    while (!nr_list_empty(&f->live))
        nr_list_add(&some, nr_list_pop(&f->live));
    while (!nr_list_empty(&some)) {
        struct far_call *c = nr_container_of(some.next, struct far_call, link);

        if (c->state == FAR_ASKED) { /* bounced when the claim is known */
            nr_list_del(&c->link);
            nr_list_add(&f->live, &c->link);
            c->epoch = 0;
        } else if (c->state == FAR_ANSWERED) {
            say_logs_are_missing(c->a);
            end(c);
        } else {
            far_call_lost(c, why);
        }
    }
}

/* ---- what comes ---- */

/* Of a call that is not the invoker's any more. */
static int late(struct far_link *link, bool counts)
{
    if (counts)
        nr_count(&link->l->m.late, 1);
    return 0;
}

static bool take_result(struct activation *a, struct nr_str text)
{
    struct outcome *o = &a->outcome;

    if (text.n <= IN_ARENA_MAX_BYTES) {
        o->result = nr_arena_copy(&a->arena, text);
    } else if ((o->result_mem = nr_try_alloc(text.n)) != NULL) {
        memcpy(o->result_mem, text.p, text.n);
        o->result = (struct nr_str){o->result_mem, text.n};
    }
    return o->result.p != NULL;
}

static bool is_result(struct nr_str text)
{
    enum nr_json_kind kind = nr_json_scan(text);

    return kind == NR_JSON_OBJECT || kind == NR_JSON_ARRAY;
}

/* What was not granted has not run: it can only have been refused. */
static int judge(struct far_link *link, const struct far_call *c, const struct wire_answer *said,
                 struct nr_str result)
{
    if (c->state == FAR_ASKED)
        return far_link_broken(link, "ANSWER of a call whose claim was not answered");
    if (c->state == FAR_GIVEN && (said->ran || said->status < OUTCOME_DEVELOPER_ERROR) &&
        !said->err)
        return far_link_broken(link, "ANSWER of a call that ran without a claim");
    if (said->err == 0 && result.n <= NR_RESULT_MAX_BYTES && !is_result(result))
        return far_link_broken(link, "ANSWER without a result that is a JSON object or array");
    return 0;
}

static void take_answer(struct far_call *c, const struct wire_answer *said, struct nr_str result)
{
    const struct outcome_facts facts = {.event = EVENT_ANSWER, .bytes = result};
    struct activation *a = c->a;

    wire_answer_into(said, nr_mono_us(), a);
    nr_count(&c->f->l->m.dropped, said->dropped);
    if (a->err == 0 && result.n > NR_RESULT_MAX_BYTES) /* of whoever has sent it */
        outcome_decide(&facts, &a->arena, &a->outcome);
    else if (a->err == 0 && !take_result(a, result))
        outcome_refuse(&a->outcome, OUTCOME_INTERNAL_ERROR, "The platform is out of memory.");
    if (answer(c))
        await_logs(c);
}

/* Told once more, by the session on another link: its logs come from their beginning. */
static int again(struct far_link *link, struct far_call *c)
{
    if (c->epoch == link->f->epoch && !c->cut)
        return far_link_broken(link, "a second ANSWER of a call");
    c->epoch = link->f->epoch;
    nr_buf_reset(&c->a->logs, SIZE_MAX);
    return 0;
}

int far_on_answer(struct far_link *link, const struct wire_frame *w)
{
    struct far_call *c = far_call_numbered(link->f, w->head.call);
    struct wire_answer said = {0};
    struct nr_err err = {0};

    if (wire_read(&wire_answer_form, w->meta, &link->l->arena, &said, &err) < 0)
        return far_link_broken(link, "ANSWER: %s", err.text);
    if (c == NULL)
        return late(link, said.ran);
    if (c->state == FAR_ANSWERED)
        return again(link, c);
    int r = judge(link, c, &said, w->raw);

    if (r == 0)
        take_answer(c, &said, w->raw);
    return r;
}

int far_on_logs(struct far_link *link, const struct wire_frame *w)
{
    struct far_call *c = far_call_numbered(link->f, w->head.call);

    if (c == NULL)
        return 0;
    if (c->state != FAR_ANSWERED)
        return far_link_broken(link, "LOGS before the ANSWER");
    if (w->raw.n == 0)
        return far_link_broken(link, "LOGS of nothing");
    if (c->a->logs.n + w->raw.n > WIRE_LOGS_MAX_BYTES)
        return far_link_broken(link, "more than %d bytes of LOGS of a call", WIRE_LOGS_MAX_BYTES);
    if (c->a->fn->log_max_bytes > 0)
        nr_buf_add(&c->a->logs, w->raw.p, w->raw.n);
    return 0;
}

/* What was seen of a call that is watched. */
static int take_usage(struct far_link *link, const struct far_call *c, const struct wire_frame *w)
{
    struct call_usage seen = {.known = false};
    struct nr_err err = {0};

    if (c->a->usage == NULL || w->meta.n == 0)
        return 0;
    if (wire_read(&wire_usage_form, w->meta, &link->l->arena, &seen, &err) < 0)
        return far_link_broken(link, "END: %s", err.text);
    *c->a->usage = seen;
    return 0;
}

int far_on_end(struct far_link *link, const struct wire_frame *w)
{
    struct far_call *c = far_call_numbered(link->f, w->head.call);

    if (c && c->state != FAR_ANSWERED)
        return far_link_broken(link, "END before the ANSWER");
    if (c && take_usage(link, c, w) < 0)
        return NR_EPROTO;
    far_send(link->f, WIRE_DONE, 0, w->head.call);
    if (c)
        end(c);
    return 0;
}
