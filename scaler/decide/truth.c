/* Do rules fire? Each metric is asked for once for each condition that names it, all parts of a condition are judged even when the first one decides,
 * since `for` of the others goes on meanwhile. What is missing makes neither true nor false what depends on it.
 */
#include "scaler/decide/state.h"

const struct condition *first_metric(const struct policy *p, const struct condition *c)
{
    while (c->kind != CONDITION_METRIC && c->count)
        c = &p->conditions[c->first];
    return c;
}

static bool compares(const struct condition *c, double v)
{
    switch (c->op) {
    case OP_NONE: return true;
    case OP_GT: return v > c->value;
    case OP_GE: return v >= c->value;
    case OP_LT: return v < c->value;
    case OP_LE: return v <= c->value;
    case OP_EQ: return v == c->value;
    case OP_NE: return v != c->value;
    case OP_BETWEEN: return v >= c->value && v <= c->value2;
    case OP_OUTSIDE: return v < c->value || v > c->value2;
    }
    return false;
}

/* Calls in flight of its own function, for each container. */
static bool own_share(const struct condition *c)
{
    return c->metric.id == METRIC_INFLIGHT_PER_INSTANCE && c->metric.function == NULL;
}

static struct window_value ask_for(const struct work *w, const struct condition *c,
                                   const struct metric_ref *m)
{
    return windows_ask(w->in->windows, m, w->p->account, w->p->function, c->aggregate, c->window_ms,
                       w->in->now_ms);
}

/* Its own function's containers that were decided and are on their way count as well. */
static struct window_value ask(const struct work *w, const struct condition *c)
{
    if (!own_share(c))
        return ask_for(w, c, &c->metric);

    const struct metric_ref inflight = {.id = METRIC_INFLIGHT, .account = c->metric.account};
    struct window_value v = ask_for(w, c, &inflight);

    v.value /= (double)(w->capacity > 1 ? w->capacity : 1);
    return v;
}

static enum truth metric_truth(struct work *w, const struct condition *c,
                               struct decision_input **ret)
{
    struct window_value v = ask(w, c);
    struct decision *d = w->d;

    w->value[c - w->p->conditions] = v.value;
    if (d->input_count < DECISION_INPUTS_MAX) {
        *ret = &d->inputs[d->input_count++];
        **ret = (struct decision_input){.condition = c, .got = v, .holds_ms = -1};
        if (own_share(c))
            (*ret)->divided_by = w->capacity > 1 ? w->capacity : 1;
    }
    if (v.age_ms == INT64_MAX || v.age_ms > w->p->missing_after_ms)
        return UNKNOWN;
    return compares(c, v.value) ? TRUE : FALSE;
}

static enum truth lasting(struct work *w, const struct condition *c, enum truth is)
{
    int64_t *since = &w->m->since_ms[c - w->p->conditions], now_ms = w->in->now_ms;

    if (c->for_ms <= 0 || is == UNKNOWN)
        return is;
    if (is == FALSE)
        *since = 0;
    else if (*since == 0 || *since > now_ms)
        *since = now_ms;
    return is == TRUE && now_ms - *since >= c->for_ms ? TRUE : FALSE;
}

/* Conditions nest as deep as documents may, which is not deep. */
static enum truth judge(struct work *w, const struct condition *c)
{
    struct decision_input *input = NULL;
    enum truth is = c->kind == CONDITION_ANY ? FALSE : TRUE;

    if (c->kind == CONDITION_METRIC)
        is = metric_truth(w, c, &input);
    for (unsigned i = 0; c->kind != CONDITION_METRIC && i < c->count; i++) {
        enum truth part = judge(w, &w->p->conditions[c->first + i]);

        if (c->kind == CONDITION_NOT)
            is = part == UNKNOWN ? UNKNOWN : part == TRUE ? FALSE : TRUE;
        else if (part == (c->kind == CONDITION_ALL ? FALSE : TRUE))
            is = part;
        else if (part == UNKNOWN && is == (c->kind == CONDITION_ALL ? TRUE : FALSE))
            is = UNKNOWN;
    }
    bool now = is == TRUE;

    is = lasting(w, c, is);
    if (input) {
        input->held = is == TRUE;
        input->unknown = is == UNKNOWN;
        if (now && c->for_ms > 0)
            input->holds_ms = w->in->now_ms - w->m->since_ms[c - w->p->conditions];
    }
    return is;
}

void rules_judge(struct work *w)
{
    for (unsigned i = 0; i < w->p->rule_count; i++) {
        const struct rule *r = &w->p->rules[i];

        w->rule[i] = judge(w, &w->p->conditions[r->when]);
        w->missing = w->missing || w->rule[i] == UNKNOWN;
        if (w->rule[i] == TRUE &&
            (r->action == ACTION_REMOVE || (r->action == ACTION_SET && r->count == 0)))
            w->zero_fires = true;
    }
}
