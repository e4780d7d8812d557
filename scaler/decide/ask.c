/* Questions to windows. A window ends with the newest second that all living nodes have told of, so that it is whole; one above two minutes is made of tens
 * of seconds and at least as long as it was asked for. Each second's values of several nodes become one value first, then the seconds are aggregated:
 * what no node tells of a function, while nodes live, is 0.
 */
#include "scaler/decide/walk.h"

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

bool source_present(const struct windows *w, const struct source *s, int64_t now_ms)
{
    return s->t_ms > earlier(now_ms, w->heard_ms) - LIVE_MS &&
           s->t_ms > earlier(s->node->t_ms, w->heard_ms) - PRESENT_MS;
}

/* The newest second that all nodes have told of which are not far behind the first of them; INT64_MAX: there is no node. */
static int64_t told_second(const struct windows *w)
{
    int64_t newest = INT64_MIN, all = INT64_MAX;

    for (const struct source *n = w->nodes.sources; n; n = n->next)
        newest = n->second > newest ? n->second : newest;
    for (const struct source *n = w->nodes.sources; n; n = n->next)
        if (n->second != INT64_MIN && n->second >= newest - CARRY_SECONDS && n->second < all)
            all = n->second;
    return all;
}

static struct span span_of(int64_t window_ms, int64_t end)
{
    uint16_t fine, coarse;

    window_seconds(window_ms, &fine, &coarse);
    if (fine)
        return (struct span){end - fine + 1, end, false};
    end /= COARSE_SECONDS;
    return (struct span){end - (coarse + COARSE_SECONDS - 1) / COARSE_SECONDS, end, true};
}

/* Where the window ends for what nodes tell. */
static int64_t end_of(const struct windows *w, const struct thing *t, int64_t now_ms)
{
    int64_t end = told_second(w), newest = INT64_MIN;

    if (end == INT64_MAX && t) {
        for (const struct source *s = t->sources; s; s = s->next)
            newest = s->second > newest ? s->second : newest;
        end = newest == INT64_MIN ? end : newest;
    }
    if (t != &w->nodes)
        end = earlier(end, w->heard_ms / 1000);
    return earlier(end, now_ms / 1000);
}

static struct window_value value_of(struct tally *all, const struct metric_ref *m, enum aggregate a,
                                    const struct span *of)
{
    return (struct window_value){
        tally_value(all, a, sample_metrics[m->id].kind == METRIC_COUNTER, of->coarse),
        (unsigned)all->known, 0};
}

static __attribute__((noinline)) struct window_value ask_quantile(const struct windows *w,
                                                                  const struct thing *t,
                                                                  const struct metric_ref *m,
                                                                  enum aggregate a,
                                                                  const struct span *of)
{
    double each[CELLS_MAX];
    struct tally all = {.each = each};

    walk(w, t, m, of, &all);
    return value_of(&all, m, a, of);
}

static bool asks_extremes(enum aggregate a)
{
    return a == AGGREGATE_MIN || a == AGGREGATE_MAX;
}

static struct window_value ask_number(const struct windows *w, const struct thing *t,
                                      const struct metric_ref *m, enum aggregate a,
                                      const struct span *of)
{
    struct tally all = {.extremes = asks_extremes(a)};

    if (aggregate_quantile(a) > 0)
        return ask_quantile(w, t, m, a, of);
    walk(w, t, m, of, &all);
    return value_of(&all, m, a, of);
}

/* Of each cell that had calls. */
static struct window_value ask_each_errors(const struct windows *w, const struct thing *t,
                                           enum aggregate a, const struct span *of)
{
    double each[CELLS_MAX];
    struct tally all = {.each = each};
    uint64_t known = 0;

    for (int64_t c = of->first; c <= of->last; c++) {
        struct cell e = cell_of(w, t, METRIC_ERRORS, NULL, of, c),
                    i = cell_of(w, t, METRIC_INVOCATIONS, NULL, of, c);
        double ratio = i.sum > 0 ? e.sum / i.sum : 0;

        known += i.count;
        if (i.sum > 0)
            tally_add(&all, &(struct cell){ratio, ratio, ratio, ratio, 1}, c);
    }
    return (struct window_value){tally_value(&all, a, false, of->coarse), (unsigned)known, 0};
}

/* Failed calls of those that were answered: of the whole window, or of each of its cells that had any. */
static struct window_value ask_errors(const struct windows *w, const struct thing *t,
                                      enum aggregate a, const struct span *of)
{
    static const struct metric_ref errors = {.id = METRIC_ERRORS},
                                   calls = {.id = METRIC_INVOCATIONS};

    if (a != AGGREGATE_AVG && a != AGGREGATE_SUM && a != AGGREGATE_RATE)
        return ask_each_errors(w, t, a, of);

    struct window_value failed = ask_number(w, t, &errors, AGGREGATE_SUM, of),
                        all = ask_number(w, t, &calls, AGGREGATE_SUM, of);

    return (struct window_value){all.value > 0 ? failed.value / all.value : 0, all.samples, 0};
}

/* The mean and the sum are of the middles of the buckets. */
static double sketch_sum_ms(const struct sketch *s)
{
    double sum = 0;

    for (unsigned i = 0; i < SKETCH_BUCKETS; i++) {
        struct sketch one = {.count = 1};

        if (s->bucket[i] == 0)
            continue;
        one.bucket[i] = 1;
        sum += s->bucket[i] * sketch_quantile_ms(&one, 1);
    }
    return sum;
}

static double sketch_value(const struct sketch *s, enum aggregate a, const struct span *of)
{
    int64_t seconds = (of->last - of->first + 1) * (of->coarse ? COARSE_SECONDS : 1);

    switch (a) {
    case AGGREGATE_AVG: return s->count ? sketch_sum_ms(s) / s->count : 0;
    case AGGREGATE_SUM: return sketch_sum_ms(s);
    case AGGREGATE_RATE: return sketch_sum_ms(s) / (double)seconds;
    case AGGREGATE_MIN: return sketch_quantile_ms(s, 1e-12);
    case AGGREGATE_MAX:
    case AGGREGATE_LAST: return sketch_quantile_ms(s, 1);
    default: return sketch_quantile_ms(s, aggregate_quantile(a));
    }
}

static struct window_value ask_sketch(const struct thing *t, unsigned which, enum aggregate a,
                                      struct span of)
{
    struct sketch all = {.count = 0};

    do {
        for (const struct source *s = t ? t->sources : NULL; s; s = s->next)
            sketches_merge(&s->sketch[which], of.coarse, a == AGGREGATE_LAST ? of.last : of.first,
                           of.last, &all);
    } while (a == AGGREGATE_LAST && all.count == 0 && --of.last >= of.first);
    return (struct window_value){sketch_value(&all, a, &of), all.count, 0};
}

static int64_t age(const struct windows *w, const struct thing *t, int64_t now_ms)
{
    int64_t newest = t ? t->t_ms : 0;

    int64_t nodes = t == &w->nodes ? w->nodes.t_ms : earlier(w->nodes.t_ms, w->heard_ms);

    newest = nodes > newest ? nodes : newest;
    if (newest == 0)
        return INT64_MAX;
    return now_ms > newest ? now_ms - newest : 0;
}

/* What is derived is made of these. */
static void want_parts(struct windows *w, struct thing *t, enum metric_id id, int64_t window_ms)
{
    switch (id) {
    case METRIC_ERROR_RATIO:
        (void)thing_want(w, t, METRIC_ERRORS, window_ms);
        (void)thing_want(w, t, METRIC_INVOCATIONS, window_ms);
        break;
    case METRIC_INFLIGHT_PER_INSTANCE: (void)thing_want(w, t, METRIC_INFLIGHT, window_ms); break;
    default: (void)thing_want(w, t, id, window_ms);
    }
}

/* Calls in flight in the window, by the containers that there are now: those on their way count. */
static struct window_value ask_per_instance(struct windows *w, const struct thing *t,
                                            enum aggregate a, const struct span *of, int64_t now_ms)
{
    struct metric_ref inflight = {.id = METRIC_INFLIGHT};
    struct window_value v = ask_number(w, t, &inflight, a, of);
    double containers = 0;

    for (const struct source *s = t ? t->sources : NULL; s; s = s->next)
        if (source_present(w, s, now_ms))
            containers += s->now[NOW_INSTANCES] + s->now[NOW_STARTING];
    v.value /= containers > 1 ? containers : 1;
    return v;
}

static struct window_value ask_thing(struct windows *w, struct thing *t, const struct metric_ref *m,
                                     enum aggregate a, int64_t window_ms, int64_t now_ms)
{
    struct span of = span_of(window_ms, end_of(w, t, now_ms));
    struct window_value v;

    if (m->id == METRIC_ERROR_RATIO)
        v = ask_errors(w, t, a, &of);
    else if (m->id == METRIC_INFLIGHT_PER_INSTANCE)
        v = ask_per_instance(w, t, a, &of, now_ms);
    else if (sample_metrics[m->id].kind == METRIC_SKETCH)
        v = ask_sketch(t,
                       m->id == METRIC_DURATION_MS     ? SAMPLE_DURATION
                       : m->id == METRIC_QUEUE_WAIT_MS ? SAMPLE_QUEUE_WAIT
                                                       : SAMPLE_COLD_START,
                       a, of);
    else
        v = ask_number(w, t, m, a, &of);
    v.age_ms = age(w, t, now_ms);
    return v;
}

/* A producer's values, or the broker's: where none came in the window it is what it last was. */
static struct window_value ask_want_cells(const struct want *n, enum aggregate a, int64_t window_ms,
                                          int64_t now_ms, struct tally *all)
{
    struct span of = span_of(window_ms, now_ms / 1000);
    if (n->t_ms == 0)
        return (struct window_value){0, 0, INT64_MAX};
    for (int64_t c = of.first; c <= of.last; c++) {
        struct cell cell;

        if (ring_read(ring_of(&n->series, of.coarse), c, &cell))
            tally_add(all, &cell, c);
    }
    return (struct window_value){all->known == 0 && a != AGGREGATE_SUM && a != AGGREGATE_RATE
                                     ? n->series.last
                                     : tally_value(all, a, false, of.coarse),
                                 (unsigned)all->known, now_ms > n->t_ms ? now_ms - n->t_ms : 0};
}

static __attribute__((noinline)) struct window_value ask_want_quantile(const struct want *n,
                                                                       enum aggregate a,
                                                                       int64_t window_ms,
                                                                       int64_t now_ms)
{
    double each[CELLS_MAX];
    struct tally all = {.each = each};

    return ask_want_cells(n, a, window_ms, now_ms, &all);
}

static struct window_value ask_want(const struct want *n, enum aggregate a, int64_t window_ms,
                                    int64_t now_ms)
{
    struct tally all = {.n = 0};

    if (aggregate_quantile(a) > 0)
        return ask_want_quantile(n, a, window_ms, now_ms);
    return ask_want_cells(n, a, window_ms, now_ms, &all);
}

static bool of_want(const struct metric_ref *m)
{
    return m->id == METRICS || m->id == METRIC_TRIGGER_LAG;
}

/* Whose metric it is, with the rings that the question needs; NULL: nobody's, or no room. */
static struct thing *thing_asked(struct windows *w, const struct metric_ref *m, const char *account,
                                 const char *function, int64_t window_ms, int64_t now_ms)
{
    const char *owner = m->account ? m->account : account,
               *name = m->function ? m->function : function;
    bool node = sample_metrics[m->id].node;
    struct thing *t = node            ? &w->nodes
                      : owner && name ? thing_get(w, nr_str_of(owner), nr_str_of(name), true)
                                      : NULL;

    if (t == NULL)
        return NULL;
    t->asked_ms = now_ms > t->asked_ms ? now_ms : t->asked_ms;
    want_parts(w, t, m->id, window_ms);
    return t;
}

struct window_value windows_ask(struct windows *w, const struct metric_ref *m, const char *account,
                                const char *function, enum aggregate a, int64_t window_ms,
                                int64_t now_ms)
{
    if (of_want(m)) {
        struct want *n = want_get(w, m, account, window_ms, now_ms);

        return n ? ask_want(n, a, window_ms, now_ms) : (struct window_value){0, 0, INT64_MAX};
    }
    return ask_thing(w, thing_asked(w, m, account, function, window_ms, now_ms), m, a, window_ms,
                     now_ms);
}

/* track multiplies with the containers of the window. */
static void want_containers(struct windows *w, const struct policy *p, const struct condition *c,
                            int64_t now_ms)
{
    static const enum metric_id parts[] = {METRIC_INSTANCES, METRIC_STARTING};

    for (unsigned i = 0; i < 2 && p->target == TARGET_FUNCTION; i++)
        (void)thing_asked(w, &(struct metric_ref){.id = parts[i]}, p->account, p->function,
                          c->window_ms, now_ms);
}

/* Whether there are rings of what a condition asks for; of a function: of anything of it. */
static bool known_before(struct windows *w, const struct policy *p, const struct metric_ref *m)
{
    const char *owner = m->account ? m->account : p->account,
               *name = m->function ? m->function : p->function;
    const struct thing *t;

    if (of_want(m))
        return want_there(w, m, p->account);
    if (sample_metrics[m->id].node)
        return w->nodes.wants & 1ull << m->id;
    t = owner && name ? thing_find(w, nr_str_of(owner), nr_str_of(name)) : NULL;
    return t && t->wants;
}

bool windows_want(struct windows *w, const struct policy *p, int64_t now_ms)
{
    bool fresh = true;

    for (unsigned i = 0; i < p->condition_count; i++)
        fresh = fresh && !(p->conditions[i].kind == CONDITION_METRIC &&
                           known_before(w, p, &p->conditions[i].metric));
    for (unsigned i = 0; i < p->rule_count; i++) {
        const struct condition *c = &p->conditions[p->rules[i].when];

        while (c->kind != CONDITION_METRIC && c->count)
            c = &p->conditions[c->first];
        if (p->rules[i].action == ACTION_TRACK)
            want_containers(w, p, c, now_ms);
    }
    for (unsigned i = 0; i < p->condition_count; i++) {
        const struct condition *c = &p->conditions[i];

        if (c->kind != CONDITION_METRIC)
            continue;
        if (of_want(&c->metric))
            (void)want_get(w, &c->metric, p->account, c->window_ms, now_ms);
        else
            (void)thing_asked(w, &c->metric, p->account, p->function, c->window_ms, now_ms);
    }
    return fresh;
}
