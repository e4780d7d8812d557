/* Clamps, in this order: what stays a while (youth, block, stabilisation), steps, bounds, the function's own limit, the account's, the node's memory. Each
 * that does something is noted.
 */
#include "scaler/decide/state.h"

void clamp_note(struct work *w, enum clamp_kind kind, int64_t from, int64_t to, const char *fmt,
                ...)
{
    struct decision *d = w->d;
    va_list ap;

    if (from == to || d->clamp_count == DECISION_CLAMPS_MAX)
        return;

    struct decision_clamp *c = &d->clamps[d->clamp_count++];

    c->kind = kind;
    c->from = from;
    c->to = to;
    va_start(ap, fmt);
    why_write(c->why, fmt, ap);
    va_end(ap);
}

int64_t bounds_min(const struct work *w)
{
    return w->max >= 0 && w->min > w->max ? w->max : w->min;
}

/* Nothing that makes steps smaller or later keeps it below the minimum. */
static int64_t at_least_min(const struct work *w, int64_t to)
{
    int64_t min = bounds_min(w);

    return to < min ? min : to;
}

static struct number_text seconds(int64_t ms)
{
    return number_text((double)ms / 1000);
}

/* Samples are not known for two of the longest window: what seems quiet may only be unknown. */
static int64_t young(struct work *w, int64_t to)
{
    int64_t began = w->in->began_ms > w->m->first_ms ? w->in->began_ms : w->m->first_ms,
            left = began + KEEP_WINDOWS * w->state->longest_ms - w->in->now_ms;

    if (to >= w->from || left <= 0)
        return to;
    clamp_note(w, CLAMP_YOUNG, to, w->from, "samples are known for long enough in %s s",
               seconds(left).z);
    return w->from;
}

/* What rules voted was looked at before; this is about floors that went and about decay. */
static int64_t blocked(struct work *w, int64_t to)
{
    if (to >= w->from || w->voted || w->m->block_ms <= w->in->now_ms)
        return to;
    clamp_note(w, CLAMP_BLOCK_DOWN, to, w->from, "a rule forbids it for %s s more",
               seconds(w->m->block_ms - w->in->now_ms).z);
    return w->from;
}

static int64_t stabilized(struct work *w, int64_t to)
{
    int64_t now_ms = w->in->now_ms, best = to;
    const struct step_limit *up = &w->p->up, *down = &w->p->down;

    sliding_high(&w->m->high, now_ms, down->stabilize_ms > 0 ? down->stabilize_ms : 0, w->wanted);
    sliding_low(&w->m->low, now_ms, up->stabilize_ms > 0 ? up->stabilize_ms : 0, w->wanted);
    if (to < w->from)
        best = w->m->high.value[0] < w->from ? w->m->high.value[0] : w->from;
    else if (to > w->from)
        best = w->m->low.value[0] > w->from ? w->m->low.value[0] : w->from;
    best = at_least_min(w, best);
    if (best != to)
        clamp_note(w, CLAMP_STABILIZE, to, best, "it was %s in the last %s s",
                   to < w->from ? "higher" : "lower",
                   seconds(to < w->from ? down->stabilize_ms : up->stabilize_ms).z);
    return best;
}

/* So many may be added or taken within `per_ms`: the larger of the count and the percentage. */
static int64_t allowed(const struct step_limit *l, int64_t base)
{
    int64_t n = l->max_percent >= 0 ? count_up((double)base * l->max_percent / 100) : 0;

    n = l->max_count > n ? l->max_count : n;
    return n == 0 && l->max_percent > 0 ? 1 : n;
}

static int64_t stepped(struct work *w, int64_t to)
{
    bool up = to > w->from;
    const struct step_limit *l = up ? &w->p->up : &w->p->down;
    int64_t base, bound;

    if (to == w->from || l->per_ms <= 0 || (l->max_count < 0 && l->max_percent < 0))
        return to;
    base = memory_extreme(w->m, w->in->now_ms, l->per_ms, !up);
    bound = up ? base + allowed(l, base) : base - allowed(l, base);
    bound = up ? (bound > w->from ? bound : w->from) : (bound < w->from ? bound : w->from);
    bound = at_least_min(w, bound);
    if (up ? to <= bound : to >= bound)
        return to;
    clamp_note(w, up ? CLAMP_STEP_UP : CLAMP_STEP_DOWN, to, bound, "from %lld at most %lld in %s s",
               (long long)base, (long long)allowed(l, base), seconds(l->per_ms).z);
    return bound;
}

static int64_t bounded(struct work *w, int64_t to)
{
    int64_t is = at_least_min(w, to);

    is = w->max >= 0 && is > w->max ? w->max : is;
    if (is != to)
        clamp_note(w, CLAMP_BOUNDS, to, is, is < to ? "at most %lld" : "at least %lld",
                   (long long)is);
    return is;
}

static int64_t at_most(struct work *w, enum clamp_kind kind, int64_t to, int64_t most,
                       const char *what)
{
    if (most <= 0 || to <= most)
        return to;
    clamp_note(w, kind, to, most, "%s is %lld", what, (long long)most);
    return most;
}

/* What is there stays there; beyond it each container needs its memory. */
static int64_t fits_memory(struct work *w, int64_t to)
{
    const struct window_now *now = &w->in->now;
    int64_t there = now->instances + now->starting, fit;

    if (!now->known || now->instance_mb <= 0 || now->node_free_mb < 0 || to <= there)
        return to;
    fit = there + now->node_free_mb / now->instance_mb;
    if (to <= fit)
        return to;
    clamp_note(w, CLAMP_NODE_MEMORY, to, fit, "%lld MB are free, one takes %lld",
               (long long)now->node_free_mb, (long long)now->instance_mb);
    return fit;
}

int64_t limits_clamp(struct work *w)
{
    int64_t to = at_least_min(w, w->wanted);

    to = young(w, to);
    to = blocked(w, to);
    to = stabilized(w, to);
    to = stepped(w, to);
    to = bounded(w, to);
    if (w->p->target != TARGET_FUNCTION)
        return to;
    to = at_most(w, CLAMP_FUNCTION, to, w->in->now.instances_max, "the function's own limit");
    to = at_most(w, CLAMP_QUOTA, to, w->in->now.concurrent_max,
                 "the account's limit of calls at a time");
    return fits_memory(w, to);
}
