/* What rules vote, once they fire.
 *
 * track: as many containers as bring the metric to its target for each. A metric that tells of all containers together (calls in flight, a lag, CPU) is
 * divided by the target. One of which each container has the same (a duration, a ratio) is multiplied with the containers that there were in its own
 * window: an old value has nothing to do with those that came since. Where a rule sets 0, the last container is that rule's to take.
 */
#include "scaler/decide/state.h"

#include <math.h>

bool metric_is_total(enum metric_id id)
{
    static const bool alike[METRICS + 1] = {
        [METRIC_QUEUE_WAIT_MS] = true,    [METRIC_DURATION_MS] = true,
        [METRIC_COLD_START_MS] = true,    [METRIC_ERROR_RATIO] = true,
        [METRIC_MEMORY_PERCENT] = true,   [METRIC_INSTANCE_MB] = true,
        [METRIC_NODE_CPU_PERCENT] = true, [METRIC_NODE_MEMORY_PERCENT] = true,
        [METRIC_TRIGGER_AGE_MS] = true,   [METRIC_INFLIGHT_PER_INSTANCE] = true,
    };

    return !alike[id];
}

int64_t count_up(double number)
{
    double up = ceil(number - 1e-9 * (number > 1 ? number : 1));

    return up >= POLICY_COUNT_MAX ? POLICY_COUNT_MAX : up > 0 ? (int64_t)up : 0;
}

struct number_text number_text(double number)
{
    struct number_text t;
    double size = number < 0 ? -number : number;
    uint64_t thousandths = size < 1e15 ? (uint64_t)(size * 1000 + 0.5) : 0;
    unsigned n = sizeof t.z - 1, digits = 3;

    if (size >= 1e15) {
        (void)snprintf(t.z, sizeof t.z, "%.6g", number);
        return t;
    }
    t.z[n] = '\0';
    while (digits && thousandths % 10 == 0) {
        thousandths /= 10;
        digits--;
    }
    for (unsigned behind = digits; behind; behind--, thousandths /= 10)
        t.z[--n] = (char)('0' + thousandths % 10);
    if (digits)
        t.z[--n] = '.';
    do
        t.z[--n] = (char)('0' + thousandths % 10);
    while ((thousandths /= 10) != 0);
    if (number < 0 && size >= 0.0005)
        t.z[--n] = '-';
    memmove(t.z, t.z + n, sizeof t.z - n);
    return t;
}

/* Containers that there were in a window, on the mean. */
static double mean_containers(const struct work *w, int64_t window_ms)
{
    static const enum metric_id parts[] = {METRIC_INSTANCES, METRIC_STARTING};
    double all = 0;

    if (w->p->target != TARGET_FUNCTION)
        return (double)w->from;
    for (unsigned i = 0; i < sizeof parts / sizeof *parts; i++)
        all += windows_ask(w->in->windows, &(struct metric_ref){.id = parts[i]}, w->p->account,
                           w->p->function, AGGREGATE_AVG, window_ms, w->in->now_ms)
                   .value;
    return all;
}

static int64_t track(struct work *w, const struct rule *r, char why[DECISION_WHY_BYTES])
{
    const struct condition *c = first_metric(w->p, &w->p->conditions[r->when]);
    bool per = c->metric.id == METRIC_INFLIGHT_PER_INSTANCE, total = metric_is_total(c->metric.id);
    double value = w->value[c - w->p->conditions], now = (double)w->from, need;
    int64_t number;

    if (per)
        value *= (double)(w->capacity > 1 && c->metric.function == NULL ? w->capacity : 1);
    if (!per && !total)
        now = mean_containers(w, c->window_ms);
    need = per || total ? value / r->target : now * value / r->target;
    number = count_up(need);
    if (now > 0 && fabs(need / now - 1) <= r->tolerance + 1e-9) {
        int64_t mean = count_up(now);

        number = mean < w->capacity ? mean : w->capacity;
        number = per || total || number < w->from ? w->from : number;
        why_say(why, "%.20s of %.20s, within %.20s %% of the target", number_text(value).z,
                number_text(r->target).z, number_text(r->tolerance * 100).z);
    } else if (per || total)
        why_say(why, "%s for all, %s for each", number_text(value).z, number_text(r->target).z);
    else
        why_say(why, "%s at %s of %s", number_text(now).z, number_text(value).z,
                number_text(r->target).z);
    if (number == 0 && w->from > 0 && w->state->sets_zero && !w->zero_fires) {
        why_say(why, "nothing to do; the last one is for a rule that sets 0");
        return 1;
    }
    return number;
}

static int64_t some_of(const struct rule *r, int64_t base)
{
    int64_t n = r->percent > 0 ? count_up((double)base * r->percent / 100) : 0;

    n = r->count > n ? r->count : n;
    n = r->at_least > n ? r->at_least : n;
    return n > 0 ? n : 1;
}

static int64_t add(struct work *w, const struct rule *r, char why[DECISION_WHY_BYTES])
{
    int64_t base = w->capacity > w->from ? w->capacity : w->from, more = some_of(r, base);

    why_say(why, "%lld more than %lld", (long long)more, (long long)base);
    return base + more < POLICY_COUNT_MAX ? base + more : POLICY_COUNT_MAX;
}

static int64_t take(struct work *w, const struct rule *r, char why[DECISION_WHY_BYTES])
{
    int64_t less = some_of(r, w->from);

    why_say(why, "%lld less than %lld", (long long)less, (long long)w->from);
    return w->from > less ? w->from - less : 0;
}

static int64_t set(struct work *w, const struct rule *r, char why[DECISION_WHY_BYTES])
{
    why_say(why, "set to %lld", (long long)r->count);
    return r->count;
}

/* A floor and no vote for the number that rules want. */
static int64_t prewarm(struct work *w, const struct rule *r, char why[DECISION_WHY_BYTES])
{
    w->warm = r->count > w->warm ? r->count : w->warm;
    why_say(why, "at least %lld ready", (long long)r->count);
    return r->count;
}

static int64_t freeze(struct work *w, const struct rule *r, char why[DECISION_WHY_BYTES])
{
    w->freeze_priority =
        !w->frozen || r->priority > w->freeze_priority ? r->priority : w->freeze_priority;
    w->frozen = true;
    why_say(why, "stays as it is");
    return -1;
}

static int64_t alert(struct work *w, const struct rule *r, char why[DECISION_WHY_BYTES])
{
    why_say(why, "told only");
    return -1;
}

static int64_t (*const votes[])(struct work *w, const struct rule *r,
                                char why[DECISION_WHY_BYTES]) = {
    [ACTION_TRACK] = track, [ACTION_ADD] = add,         [ACTION_REMOVE] = take,
    [ACTION_SET] = set,     [ACTION_PREWARM] = prewarm, [ACTION_FREEZE] = freeze,
    [ACTION_ALERT] = alert};

/* A rule that moved desired a short time ago waits before it moves it that way again. */
static int64_t cooled(struct work *w, unsigned i, int64_t number)
{
    enum direction way = number > w->from ? UP : DOWN;
    int64_t until = w->m->rule[i].cool_ms[way], left = until - w->in->now_ms;

    if (number == w->from || w->p->rules[i].cooldown_ms <= 0 || left <= 0 ||
        left > w->p->rules[i].cooldown_ms)
        return number;
    clamp_note(w, CLAMP_COOLDOWN, number, w->from, "%s for %s s more", w->p->rules[i].id,
               number_text((double)left / 1000).z);
    return w->from;
}

void rules_vote(struct work *w)
{
    struct decision *d = w->d;

    for (unsigned i = 0; i < w->p->rule_count; i++) {
        const struct rule *r = &w->p->rules[i];
        struct decision_vote *v = &d->votes[d->vote_count];

        w->vote[i] = -1;
        if (w->rule[i] != TRUE)
            continue;
        v->rule = r;
        v->desired = votes[r->action](w, r, v->why);
        if (v->desired >= 0 && r->action != ACTION_PREWARM)
            w->vote[i] = v->desired = cooled(w, i, v->desired);
        d->vote_count++;
        if (r->block_down_for_ms <= 0)
            continue;
        if (w->m->block_ms <= w->in->now_ms || r->priority > w->m->block_priority)
            w->m->block_priority = r->priority;
        if (w->m->block_ms < w->in->now_ms + r->block_down_for_ms)
            w->m->block_ms = w->in->now_ms + r->block_down_for_ms;
    }
}
