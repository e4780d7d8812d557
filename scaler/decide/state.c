/* The memory of a policy: made, kept across restarts, and the two questions about the past that limits ask.
 *
 * Recommendations slide: of those in the stabilisation the highest (for going down) or the lowest (for going up) counts. Only values that no later one
 * surpassed are kept; where there are more than fit, two neighbours become one that lasts longer and is the more careful of both.
 */
#include "scaler/decide/state.h"

#include "common/base/mem.h"

static uint64_t mixed(uint64_t h, const void *bytes, size_t n)
{
    const unsigned char *p = bytes;

    while (n-- > 0)
        h = (h ^ *p++) * 0x100000001b3u;
    return h;
}

/* Of metrics, their labels, aggregates and windows in their order; thresholds may change. */
static int64_t looks_at(const struct policy *p)
{
    uint64_t h = 0xcbf29ce484222325u;

    for (unsigned i = 0; i < p->condition_count; i++) {
        const struct condition *c = &p->conditions[i];
        const char *texts[] = {c->metric.name, c->metric.account, c->metric.function,
                               c->metric.topic, c->metric.group};
        uint64_t numbers[] = {c->kind, c->first, c->count, c->aggregate, (uint64_t)c->window_ms};

        h = mixed(h, numbers, sizeof numbers);
        for (unsigned t = 0; t < nr_countof(texts); t++)
            h = mixed(h, texts[t] ? texts[t] : "", texts[t] ? strlen(texts[t]) + 1 : 1);
        for (unsigned l = 0; l < c->metric.label_count; l++) {
            struct sample_label label = c->metric.label[l];

            h = mixed(mixed(h, label.name.p, label.name.n), "=", 1);
            h = mixed(mixed(h, label.value.p, label.value.n), ",", 1);
        }
    }
    return (int64_t)(h >> 1);
}

struct decide_state *decide_state_make(const struct policy *p)
{
    struct decide_state *s = nr_alloc(sizeof *s);

    s->policy = policy_ref((struct policy *)(uintptr_t)p);
    for (unsigned i = 0; i < p->condition_count; i++)
        if (p->conditions[i].kind == CONDITION_METRIC && p->conditions[i].window_ms > s->longest_ms)
            s->longest_ms = p->conditions[i].window_ms;
    for (unsigned i = 0; i < p->rule_count; i++)
        s->sets_zero = s->sets_zero || (p->rules[i].action == ACTION_SET && p->rules[i].count == 0);
    s->looks_at = looks_at(p);
    for (unsigned i = 0; i < POLICY_SCHEDULES_MAX; i++)
        s->schedule[i].last_ms = INT64_MAX;
    s->now.maximum = -1;
    s->now.on_demand = true;
    return s;
}

void decide_state_free(struct decide_state *s)
{
    if (s == NULL)
        return;
    policy_unref((struct policy *)(uintptr_t)s->policy);
    free(s);
}

static void not_after(int64_t *t_ms, int64_t most_ms)
{
    *t_ms = *t_ms > most_ms ? most_ms : *t_ms;
}

void decide_state_back(struct decide_state *s, int64_t now_ms)
{
    struct memory *m = &s->now;
    int64_t *times[] = {&m->now_ms, &m->first_ms, &m->voted_ms, &m->raised_ms};
    int64_t block_ms = 0;

    for (unsigned i = 0; i < nr_countof(times); i++)
        not_after(times[i], now_ms);
    for (unsigned i = 0; i < m->high.n; i++)
        not_after(&m->high.t_ms[i], now_ms);
    for (unsigned i = 0; i < m->low.n; i++)
        not_after(&m->low.t_ms[i], now_ms);
    for (unsigned i = 0; i < m->change_count; i++)
        not_after(&m->change[i].t_ms, now_ms);
    for (unsigned i = 0; i < s->policy->condition_count; i++)
        not_after(&m->since_ms[i], now_ms);
    for (unsigned i = 0; i < s->policy->rule_count; i++) {
        const struct rule *r = &s->policy->rules[i];

        not_after(&m->rule[i].cool_ms[UP], now_ms + r->cooldown_ms);
        not_after(&m->rule[i].cool_ms[DOWN], now_ms + r->cooldown_ms);
        block_ms = r->block_down_for_ms > block_ms ? r->block_down_for_ms : block_ms;
    }
    not_after(&m->block_ms, now_ms + block_ms);
    for (unsigned i = 0; i < POLICY_SCHEDULES_MAX; i++)
        s->schedule[i].last_ms = INT64_MAX;
    s->before = s->now;
}

static void sliding_copy(struct sliding *to, const struct sliding *from)
{
    to->n = from->n;
    memcpy(to->t_ms, from->t_ms, from->n * sizeof *to->t_ms);
    memcpy(to->value, from->value, from->n * sizeof *to->value);
}

void memory_copy(struct memory *to, const struct memory *from, const struct policy *p)
{
    memcpy(to, from, offsetof(struct memory, high));
    sliding_copy(&to->high, &from->high);
    sliding_copy(&to->low, &from->low);
    memcpy(to->change, from->change, from->change_count * sizeof *to->change);
    memcpy(to->rule, from->rule, p->rule_count * sizeof *to->rule);
    memcpy(to->since_ms, from->since_ms, p->condition_count * sizeof *to->since_ms);
}

static void forget_old(struct sliding *s, int64_t before_ms)
{
    unsigned old = 0;

    while (old < s->n && s->t_ms[old] <= before_ms)
        old++;
    if (old == 0)
        return;
    memmove(s->t_ms, s->t_ms + old, (s->n - old) * sizeof *s->t_ms);
    memmove(s->value, s->value + old, (s->n - old) * sizeof *s->value);
    s->n -= old;
}

static void push(struct sliding *s, int64_t now_ms, int64_t value)
{
    if (s->n == SLIDING_MAX) {
        s->n--;
        s->t_ms[s->n - 1] = s->t_ms[s->n];
    }
    s->t_ms[s->n] = now_ms;
    s->value[s->n++] = value;
}

void sliding_high(struct sliding *s, int64_t now_ms, int64_t keep_ms, int64_t value)
{
    forget_old(s, now_ms - keep_ms);
    while (s->n && s->value[s->n - 1] <= value)
        s->n--;
    push(s, now_ms, value);
}

void sliding_low(struct sliding *s, int64_t now_ms, int64_t keep_ms, int64_t value)
{
    forget_old(s, now_ms - keep_ms);
    while (s->n && s->value[s->n - 1] >= value)
        s->n--;
    push(s, now_ms, value);
}

void memory_changed(struct memory *m, int64_t now_ms, int64_t to)
{
    if (m->change_count == CHANGES_MAX) {
        int64_t low = m->change[0].low, high = m->change[0].high;

        memmove(&m->change[0], &m->change[1], --m->change_count * sizeof m->change[0]);
        m->change[0].low = low < m->change[0].low ? low : m->change[0].low;
        m->change[0].high = high > m->change[0].high ? high : m->change[0].high;
    }
    m->change[m->change_count].t_ms = now_ms;
    m->change[m->change_count].low = to;
    m->change[m->change_count++].high = to;
}

int64_t memory_extreme(const struct memory *m, int64_t now_ms, int64_t per_ms, bool highest)
{
    int64_t best = m->last;

    for (unsigned i = m->change_count; i-- > 0;) {
        if (highest)
            best = m->change[i].high > best ? m->change[i].high : best;
        else
            best = m->change[i].low < best ? m->change[i].low : best;
        if (m->change[i].t_ms <= now_ms - per_ms)
            break;
    }
    return best;
}
