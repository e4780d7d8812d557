/* Evaluations of a replay, how they compare with what was recorded, and the reply.
 */
#include "common/base/json.h"
#include "scaler/doubts.h"
#include "scaler/replay_state.h"

uint64_t replay_hash(const json_t *record)
{
    char *text = json_dumps(record, JSON_COMPACT | JSON_SORT_KEYS);
    uint64_t h = text ? nr_hash(nr_str_of(text)) : 0;

    free(text);
    return h;
}

/* ---- comparing -------------------------------------------------------------------------------------------------- */

static const char *why_of(const struct decision *d)
{
    const struct decision_vote *best = NULL;

    if (d->clamp_count > 0)
        return d->clamps[d->clamp_count - 1].why;
    for (unsigned i = 0; i < d->vote_count; i++)
        if (best == NULL || d->votes[i].desired > best->desired)
            best = &d->votes[i];
    return best ? best->why : "no rule votes";
}

/* What holds in both courses after this evaluation; told when it has become another difference. */
static void compare_course(struct replay *r, const struct decision *d)
{
    int64_t was = r->was.desired, is = r->is.desired;

    if (was == is) {
        r->differ_was = r->differ_is = -2;
        return;
    }
    if (was == r->differ_was && is == r->differ_is)
        return;
    r->differ_was = was;
    r->differ_is = is;
    if (json_array_size(r->differences) >= DIFFERENCES_MAX) {
        r->more++;
        return;
    }
    (void)json_array_append_new(r->differences,
                                json_pack("{sIs{sI}s{sI}ss}", "t", (json_int_t)d->t_ms, "recorded",
                                          "to", (json_int_t)was, "replayed", "to", (json_int_t)is,
                                          "why", why_of(d)));
}

static uint64_t hash_of(const struct decision *d, struct nr_buf *text)
{
    nr_buf_reset(text, RECORD_MAX_BYTES);
    decision_write(d, text);
    nr_auto_json json_t *j = nr_json_parse(nr_buf_str(text), NULL);

    (void)json_object_del(j, "took_us");
    return j ? replay_hash(j) : 0;
}

/* Was exactly this recorded for this time? What changed nothing was not recorded at all. */
static void compare_record(struct replay *r, const struct decision *d, struct nr_buf *text)
{
    while (r->compared_at < r->recorded_end &&
           (r->recorded[r->compared_at].t_ms < d->t_ms || !r->recorded[r->compared_at].decision))
        r->compared_at++;
    const struct outcome *o =
        r->compared_at < r->recorded_end && r->recorded[r->compared_at].t_ms == d->t_ms
            ? &r->recorded[r->compared_at]
            : NULL;

    if (o == NULL && !d->changed && d->alerts == 0)
        return;
    r->unlike += o == NULL || hash_of(d, text) != o->hash;
}

static void keep_line(struct replay *r, const struct decision *d)
{
    struct nr_buf b;

    nr_buf_init(&b, RECORD_MAX_BYTES);
    decision_write(d, &b);
    char *text = nr_buf_detach(&b, NULL);
    unsigned most = (unsigned)r->c->limit < LINES_MAX ? (unsigned)r->c->limit : LINES_MAX;

    nr_buf_fini(&b);
    if (text == NULL)
        return;
    if (r->line_count == most)
        free(r->line[r->line_at]);
    else
        r->line_count++;
    r->line[r->line_at] = text;
    r->line_at = (r->line_at + 1) % most;
}

/* ---- evaluating ------------------------------------------------------------------------------------------------- */

static void evaluate(struct replay *r, struct decide_input *in)
{
    struct decision *d = r->decision;
    struct nr_buf text;

    in->windows = r->windows;
    windows_heard(r->windows, in->heard_ms);
    windows_now(r->windows, r->p->account, r->p->function, in->now_ms, &in->now);
    decide(r->p, in, r->state, d);
    d->took_us = 0;
    replay_move_models(r, in->now_ms);
    if (r->p->mode != POLICY_OFF)
        model_decide(&r->is, d->to, d->maximum, d->on_demand);
    if (!replay_counts(r, in->now_ms))
        return;
    r->evaluations++;
    nr_buf_init(&text, RECORD_MAX_BYTES);
    if (!r->edited && !r->generates)
        compare_record(r, d, &text);
    nr_buf_fini(&text);
    compare_course(r, d);
    for (unsigned i = 0; i < d->vote_count; i++)
        if (d->votes[i].rule)
            r->fired |= UINT64_C(1) << (d->votes[i].rule - r->p->rules);
    if (r->kind == REPLAY_EXPLAIN)
        keep_line(r, d);
}

void replay_tick(struct replay *r, const struct journal_record *rec)
{
    json_int_t number = 0, began = 0;
    const char *name = NULL;
    int known = 0, class = 0;
    struct forecast_view f = {0};
    nr_auto_json json_t *j = nr_json_parse(rec->text, NULL);

    if (r->generates || r->name == NULL || j == NULL ||
        json_unpack(j, "[sIIbFFFi]", &name, &number, &began, &known, &f.p50, &f.p90, &f.confidence,
                    &class) != 0 ||
        strcmp(name, r->name) != 0 || rec->t_ms < r->key_ms)
        return;
    if (!r->edited && (number != r->p->number || !r->state_known)) {
        r->skipped += replay_counts(r, rec->t_ms);
        return;
    }
    f.known = known != 0;
    f.class = (enum arrival_class) class;
    const json_t *heard = json_array_get(j, 8); /* in records of an earlier form it is not */
    struct decide_input in = {.now_ms = rec->t_ms,
                              .began_ms = began,
                              .heard_ms = heard ? json_integer_value(heard) : INT64_MAX,
                              .at_once = json_is_true(json_array_get(j, 9)),
                              .forecast = f};

    evaluate(r, &in);
}

void replay_generate(struct replay *r, int64_t t_ms)
{
    int64_t every = r->p->evaluate_every_ms;

    if (t_ms < r->key_ms)
        return;
    if (r->due_ms == 0 || t_ms - r->due_ms > POLICY_WINDOW_MAX_MS)
        r->due_ms = (t_ms / every + 1) * every;
    for (; r->due_ms <= t_ms; r->due_ms += every) {
        struct decide_input in = {.now_ms = r->due_ms,
                                  .began_ms = r->key_ms - POLICY_WINDOW_MAX_MS,
                                  .heard_ms = INT64_MAX};

        evaluate(r, &in);
        r->evaluated_ms = in.now_ms;
    }
}

void replay_generate_at_once(struct replay *r, int64_t t_ms)
{
    struct decide_input in = {.now_ms = t_ms,
                              .began_ms = r->key_ms - POLICY_WINDOW_MAX_MS,
                              .heard_ms = INT64_MAX,
                              .at_once = true};

    if (r->evaluated_ms > 0 && t_ms > r->evaluated_ms)
        evaluate(r, &in);
}

/* ---- the reply -------------------------------------------------------------------------------------------------- */

static void reply_lines(struct replay *r)
{
    struct nr_buf *b = &r->c->reply;
    unsigned most = (unsigned)r->c->limit < LINES_MAX ? (unsigned)r->c->limit : LINES_MAX;

    nr_buf_adds(b, "{\"policy\":");
    nr_buf_json(b, nr_str_of(r->p->name));
    nr_buf_adds(b, ",\"decisions\":[");
    for (unsigned i = 0; i < r->line_count; i++) {
        nr_buf_adds(b, i > 0 ? "," : "");
        nr_buf_adds(b, r->line[(r->line_at + most - 1 - i) % most]);
    }
    nr_buf_adds(b, "]}");
}

/* Why it is not exact; NULL: it is. */
static const char *inexact(const struct replay *r)
{
    return !r->found      ? "nothing was recorded"
           : r->heard     ? "decisions are taken elsewhere: their exact times are not known here"
           : r->generates ? "nobody decided for this function then: the times are chosen here"
           : r->edited
               ? "another document: containers are modelled, and metrics are as they were recorded"
           : r->gap         ? "the record has a gap"
           : r->skipped > 0 ? "other versions of the policy decided in a part of that time"
                            : NULL;
}

static json_t *figures(const struct model *m)
{
    return json_pack("{sIsIsIsf}", "changes", (json_int_t)m->changes, "desired_max",
                     (json_int_t)m->desired_max, "cold_starts", (json_int_t)m->cold_starts,
                     "idle_mb_s", m->idle_mb_s);
}

/* Nothing to say about rules when nothing was recorded of what they look at. */
static void reply_check(struct replay *r)
{
    char path[32];

    for (unsigned i = 0; r->evaluations > 0 && r->samples > 0 && i < r->p->rule_count; i++) {
        if (r->fired & UINT64_C(1) << i)
            continue;
        (void)snprintf(path, sizeof(path), "rules[%u]", i);
        doubt(
            r->warnings, path,
            "It would not have done anything in the last 24 h, by %llu evaluations of what was recorded.",
            (unsigned long long)r->evaluations);
    }
    (void)call_reply(r->c, json_pack("{sssOso}", "policy", r->p->name, "warnings", r->warnings,
                                     "document", policy_write(r->p)));
}

void replay_reply(struct replay *r)
{
    const char *why = inexact(r);

    if (r->kind == REPLAY_EXPLAIN) {
        reply_lines(r);
        return;
    }
    if (r->kind == REPLAY_CHECK) {
        reply_check(r);
        return;
    }
    replay_move_models(r, r->last_ms);
    json_t *j =
        json_pack("{sssIsIsbss*sIsI}", "policy", r->p->name, "since_ms", (json_int_t)r->since_ms,
                  "upto_ms", (json_int_t)r->upto_ms, "exact", (int)(why == NULL), "why", why,
                  "samples", (json_int_t)r->samples, "evaluations", (json_int_t)r->evaluations);

    if (!r->edited && !r->generates)
        (void)json_object_set_new(j, "same", json_boolean(r->unlike == 0));
    (void)json_object_set_new(j, "recorded", figures(&r->was));
    (void)json_object_set_new(j, "replayed", figures(&r->is));
    (void)json_object_set(j, "differences", r->differences);
    (void)json_object_set_new(j, "more", json_integer((json_int_t)r->more));
    (void)call_reply(r->c, j);
}
