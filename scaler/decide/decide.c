/* One evaluation, top to bottom: what is the case, which rules fire, what they vote, what schedules and the forecast want at least, what is forbidden, what
 * limits leave of it, what is remembered.
 *
 * Evaluated twice at one time it comes out the same: the second one begins with what was remembered before the first.
 *
 * Between the policy's times, when calls wait, only a raise counts: of an evaluation at once that raises nothing no trace is left, so that all that is
 * decided at the policy's times comes out as without it.
 */
#include "scaler/decide/state.h"

/* The first time desired is what there is: a policy that is new, or new here, takes nothing down by beginning. */
static int64_t from_of(const struct policy *p, const struct decide_input *in,
                       const struct memory *m)
{
    int64_t there = p->target == TARGET_FUNCTION ? in->now.instances + in->now.starting
                    : p->target == TARGET_NODES  ? in->now.nodes
                                                 : 0;

    if (m->now_ms)
        return m->last;
    return there > p->min ? there : p->min;
}

/* ---- what will be looked at ------------------------------------------------------------------------------------- */

enum { LINE_BYTES = 64, CONDITION_BYTES = 128 /* as far as labels, which few have */ };

static void fetch(const void *from, size_t bytes)
{
    for (size_t at = 0; at < bytes; at += LINE_BYTES)
        __builtin_prefetch((const char *)from + at);
}

static void fetch_memory(const struct memory *m, const struct policy *p)
{
    fetch(m, offsetof(struct memory, high) + LINE_BYTES);
    fetch(&m->high.value, LINE_BYTES);
    fetch(&m->low, LINE_BYTES);
    fetch(&m->low.value, LINE_BYTES);
    fetch(m->change, LINE_BYTES);
    fetch(m->rule, p->rule_count * sizeof *m->rule);
    fetch(m->since_ms, p->condition_count * sizeof *m->since_ms);
}

/* A thousand policies are more than a processor's own memory holds: each comes from afar, so all of it is asked for at once. */
static void fetch_policy(const struct policy *p, const struct decide_state *s)
{
    fetch_memory(&s->now, p);
    fetch_memory(&s->before, p);
    for (unsigned i = 0; i < p->condition_count; i++)
        fetch(&p->conditions[i], CONDITION_BYTES);
    fetch(p->rules, p->rule_count * sizeof *p->rules);
}

static void begin(struct work *w)
{
    struct decide_state *s = w->state;
    struct memory *m = &s->now;
    int64_t now_ms = w->in->now_ms, there;

    if (m->now_ms == now_ms && now_ms != 0)
        memory_copy(&s->now, &s->before, w->p);
    else
        memory_copy(&s->before, &s->now, w->p);
    w->m = m;
    w->from = from_of(w->p, w->in, m);
    if (m->now_ms == 0) {
        m->voted_ms = now_ms;
        m->last = m->level = w->from;
        sliding_high(&m->high, now_ms - 1, 0, w->from);
        sliding_low(&m->low, now_ms - 1, 0, w->from);
        memory_changed(m, now_ms - 1, w->from);
    }
    m->first_ms = m->first_ms ? m->first_ms : now_ms;
    there = w->in->now.instances + w->in->now.starting;
    w->capacity = there;
    if (w->from > there && m->raised_ms && now_ms - m->raised_ms < START_DEADLINE_MS)
        w->capacity = w->from;
    if (w->p->target != TARGET_FUNCTION)
        w->capacity = w->from;
    w->min = w->p->min > 0 ? w->p->min : 0;
    w->max = w->p->max;
    w->warm = w->p->min_warm > 0 ? w->p->min_warm : 0;
}

static void decision_begin(struct work *w)
{
    struct decision *d = w->d;

    d->t_ms = w->in->now_ms;
    d->policy = w->p;
    d->input_count = d->vote_count = d->clamp_count = 0;
    d->floor_forecast = d->floor_schedule = -1;
    d->floor_min = w->p->min > 0 ? w->p->min : -1;
    d->floor_min_warm = w->p->min_warm > 0 ? w->p->min_warm : -1;
    d->made_by = MADE_BY_KEEPING;
    d->forecast = (struct forecast_view){.known = false};
    d->forecast_shadow = false;
    d->from = d->to = w->from;
    d->min_warm = 0;
    d->maximum = -1;
    d->on_demand = true;
    d->changed = d->raise_first = false;
    d->at_once = w->in->at_once;
    d->alerts = 0;
    d->took_us = 0;
}

/* Rules that fire and did not before. One that always votes fires never. */
static void tell_alerts(struct work *w)
{
    for (unsigned i = 0; i < w->p->rule_count; i++) {
        const struct rule *r = &w->p->rules[i];
        bool always = w->p->conditions[r->when].kind == CONDITION_METRIC &&
                      w->p->conditions[r->when].op == OP_NONE;

        if (w->rule[i] == UNKNOWN)
            continue;
        if (w->rule[i] == TRUE && !w->m->rule[i].held && !always) {
            w->d->alerts |= 1ull << i;
            w->d->raise_first =
                w->d->raise_first || r->notify[0] != NULL || r->action == ACTION_ALERT;
        }
        w->m->rule[i].held = w->rule[i] == TRUE;
    }
}

static void settle(struct work *w, int64_t to)
{
    struct decision *d = w->d;
    struct memory *m = w->m;

    d->to = to;
    d->min_warm = w->warm < to ? w->warm : to;
    if (d->at_once && d->min_warm < m->min_warm)
        d->min_warm = m->min_warm;
    d->maximum = w->max;
    d->on_demand = w->p->on_demand && !w->frozen && !(to == 0 && w->max == 0);
    d->changed = m->now_ms == 0 || to != w->from || d->min_warm != m->min_warm ||
                 d->maximum != m->maximum || d->on_demand != m->on_demand;
}

static void remember(struct work *w)
{
    struct memory *m = w->m;
    const struct decision *d = w->d;
    int64_t now_ms = w->in->now_ms;
    bool up = d->to > w->from, down = d->to < w->from;

    for (unsigned i = 0; i < w->p->rule_count; i++) {
        if (w->vote[i] > w->from && up)
            m->rule[i].cool_ms[UP] = now_ms + w->p->rules[i].cooldown_ms;
        if (w->vote[i] >= 0 && w->vote[i] < w->from && down)
            m->rule[i].cool_ms[DOWN] = now_ms + w->p->rules[i].cooldown_ms;
    }
    m->level = w->rules >= d->to || w->rules >= w->wanted ? d->to : w->rules;
    m->voted_ms = w->voted ? now_ms : m->voted_ms;
    m->raised_ms = up ? now_ms : m->raised_ms;
    if (up || down)
        memory_changed(m, now_ms, d->to);
    m->now_ms = now_ms;
    m->last = d->to;
    m->min_warm = d->min_warm;
    m->maximum = d->maximum;
    m->on_demand = d->on_demand;
}

static void leave_no_trace(struct work *w)
{
    struct decision *d = w->d;

    memory_copy(&w->state->now, &w->state->before, w->p);
    d->to = d->from;
    d->changed = d->raise_first = false;
    d->alerts = 0;
}

void decide(const struct policy *p, const struct decide_input *in, struct decide_state *s,
            struct decision *ret)
{
    struct work w;

    w.p = p;
    w.in = in;
    w.state = s;
    w.d = ret;
    w.zero_fires = w.missing = w.frozen = w.voted = false;
    w.freeze_priority = INT64_MIN;
    fetch_policy(p, s);
    if (p->mode == POLICY_OFF) {
        w.from = from_of(p, in, &s->now);
        decision_begin(&w);
        return;
    }
    begin(&w);
    decision_begin(&w);
    rules_judge(&w);
    rules_vote(&w);
    votes_merge(&w);
    settle(&w, limits_clamp(&w));
    tell_alerts(&w);
    remember(&w);
    if (in->at_once && ret->to <= ret->from)
        leave_no_trace(&w);
}
