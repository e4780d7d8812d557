/* Samples come in here. A function's sample goes to its thing and there to the source of its node; a node's sample to the nodes' thing, and says that the
 * node lives in that second; a value of somebody's producer to whoever wants it. What comes twice is taken once, what is of a time that is not yet, or
 * has no room, is counted. Questions are answered in ask.c.
 */
#include "scaler/decide/windows_parts.h"

#include "common/base/mem.h"

static const enum metric_id now_metric[NOW_SLOTS] = {
    [NOW_INSTANCES] = METRIC_INSTANCES,         [NOW_BUSY] = METRIC_INSTANCES_BUSY,
    [NOW_STARTING] = METRIC_STARTING,           [NOW_INSTANCE_MB] = METRIC_INSTANCE_MB,
    [NOW_INSTANCES_MAX] = METRIC_INSTANCES_MAX, [NOW_CONCURRENT_MAX] = METRIC_CONCURRENT_MAX,
    [NOW_INFLIGHT] = METRIC_INFLIGHT,           [NOW_QUEUE] = METRIC_QUEUE_DEPTH,
};

/* Nodes that live are known in all seconds of an hour. */
static bool alive_room(struct windows *w)
{
    return series_room(&w->alive, &w->budget, false, FINE_MAX_SECONDS, POLICY_WINDOW_MAX_MS / 1000);
}

struct windows *windows_make(size_t max_bytes)
{
    struct windows *w = nr_alloc(sizeof *w);

    w->budget.max = max_bytes;
    w->clock_ms = INT64_MIN;
    w->heard_ms = INT64_MAX;
    nr_map_init(&w->functions);
    nr_map_init(&w->wants);
    nr_map_init(&w->names);
    nr_list_init(&w->idle);
    nr_list_init(&w->asked);
    nr_list_init(&w->want_list);
    if (!alive_room(w))
        w->dropped++;
    return w;
}

void windows_free(struct windows *w)
{
    if (w == NULL)
        return;
    NR_LIST_EACH(&w->idle, it)
        thing_free(w, nr_container_of(it, struct thing, link));
    NR_LIST_EACH(&w->asked, it)
        thing_free(w, nr_container_of(it, struct thing, link));
    thing_free(w, &w->nodes);
    wants_free(w);
    series_free(&w->alive, &w->budget);
    nr_map_fini(&w->functions);
    free(w);
}

/* The place of a source in its thing's list. At the end: there is none of this node. */
static struct source **source_place(struct thing *t, const struct source *node, struct nr_str name)
{
    struct source **at = &t->sources;

    while (*at && !(node ? (*at)->node == node : nr_str_eqz(name, (*at)->name)))
        at = &(*at)->next;
    return at;
}

/* node NULL: the node of this name itself. */
static struct source *source_get(struct windows *w, struct thing *t, struct source *node,
                                 struct nr_str name)
{
    struct source **at = source_place(t, node, name), *s = *at;
    unsigned max = node ? SOURCES_MAX : NODES_MAX;

    if (s || t->source_count >= max || (s = budget_alloc(&w->budget, sizeof *s)) == NULL)
        return s;
    s->node = node ? node : s;
    if (node == NULL && (s->name = budget_alloc(&w->budget, name.n + 1)) == NULL) {
        budget_free(&w->budget, s, sizeof *s);
        return NULL;
    }
    if (node == NULL)
        memcpy(s->name, name.p, name.n);
    else
        node->refs++;
    s->second = INT64_MIN;
    t->source_count++;
    *at = s;
    if (!source_room(w, t, s))
        w->dropped++;
    return s;
}

/* The second that a sample is of: the middle of its span, so that one that comes a little early or late does not fall into its neighbour's. */
static int64_t second_of(const struct sample *s)
{
    int64_t span = s->span_ms < 0 ? 0 : s->span_ms > 2000 ? 2000 : s->span_ms;

    return (s->t_ms - span / 2) / 1000;
}

static bool told_before(const struct source *s, const struct sample *of)
{
    return s->t_ms != 0 && of->t_ms <= s->t_ms && of->seq != 0 && of->seq <= s->seq;
}

/* What comes at once is of the newest second that was told: nothing that is not whole is asked of a later one. */
static int64_t second_at_once(const struct source *s, const struct sample *of)
{
    int64_t second = s->node->second > s->second ? s->node->second : s->second;

    return second == INT64_MIN ? second_of(of) : second;
}

static void add_series(const struct thing *t, struct source *s, const struct sample *of,
                       int64_t second)
{
    for (uint64_t left = t->wants & of->has; left && s->series; left &= left - 1) {
        unsigned m = (unsigned)__builtin_ctzll(left);
        struct series *to = &s->series[m];
        double value = of->value[m];

        if (second < s->second && s->second - second > 2 * CARRY_SECONDS)
            series_rewind(to, second);
        if (of->at_once && m == METRIC_INFLIGHT_MAX && to->second == second && to->last > value)
            value = to->last;
        if (sample_metrics[m].kind == METRIC_COUNTER)
            series_count(to, second, value);
        else
            series_gauge(to, second, value);
    }
}

static void add_sample(struct windows *w, struct thing *t, struct source *s,
                       const struct sample *of)
{
    int64_t second = of->at_once ? second_at_once(s, of) : second_of(of);

    add_series(t, s, of, second);
    for (unsigned i = 0; i < SAMPLE_SKETCHES; i++)
        if (of->sketch[i] && !sketches_add(&s->sketch[i], &w->budget, second, of->sketch[i]))
            w->dropped++;
    for (unsigned i = 0; s->node != s && i < NOW_SLOTS; i++)
        if (of->has & 1ull << now_metric[i])
            s->now[i] = of->value[now_metric[i]];
    if (s->node == s)
        s->now[0] = of->has & 1ull << METRIC_NODE_MEMORY_FREE_MB
                        ? of->value[METRIC_NODE_MEMORY_FREE_MB]
                        : -1;
    s->seq = of->seq;
    s->t_ms = of->t_ms;
    s->second = second;
    t->t_ms = t->t_ms > of->t_ms ? t->t_ms : of->t_ms;
}

static void add_node(struct windows *w, const struct sample *s)
{
    struct source *node = source_get(w, &w->nodes, NULL, s->node);
    int64_t second = second_of(s);

    if (node == NULL || told_before(node, s)) {
        w->dropped += node == NULL;
        return;
    }
    if (second < w->alive.second && w->alive.second - second > 2 * CARRY_SECONDS &&
        w->nodes.source_count == 1)
        series_rewind(&w->alive, second);
    series_gauge(&w->alive, second, 1);
    add_sample(w, &w->nodes, node, s);
}

static void add_function(struct windows *w, const struct sample *s)
{
    struct source *node = source_get(w, &w->nodes, NULL, s->node), *source;
    struct thing *t = node ? thing_get(w, s->account, s->function, false) : NULL;

    if (t == NULL) {
        w->dropped += node == NULL;
        return;
    }
    if ((source = source_get(w, t, node, s->node)) == NULL)
        w->dropped++;
    else if (!told_before(source, s))
        add_sample(w, t, source, s);
}

void windows_clock(struct windows *w, int64_t now_ms)
{
    w->clock_ms = now_ms;
}

void windows_heard(struct windows *w, int64_t heard_ms)
{
    w->heard_ms = heard_ms;
}

void windows_add(struct windows *w, const struct sample *s)
{
    if (w->clock_ms != INT64_MIN && s->t_ms > w->clock_ms + AHEAD_MAX_MS) {
        w->dropped++;
        return;
    }
    if (s->metric.p)
        wants_add(w, s->metric, s->label, s->label_count, s->metric_value, s->t_ms);
    else if (s->function.p && s->account.p)
        add_function(w, s);
    else if (s->node.p)
        add_node(w, s);
    things_expire(w, w->clock_ms > s->t_ms ? w->clock_ms : s->t_ms);
}

void windows_add_lag(struct windows *w, const char *topic, const char *group, double lag,
                     int64_t now_ms)
{
    struct sample_label label[] = {{NR_STR("topic"), nr_str_of(topic)},
                                   {NR_STR("group"), nr_str_of(group)}};

    wants_add(w, nr_str_of(sample_metrics[METRIC_TRIGGER_LAG].name), label, group ? 2 : 1, lag,
              now_ms);
}

static bool of_account(const struct thing *t, struct nr_str account)
{
    return t->account_bytes == account.n && memcmp(t->key, account.p, account.n) == 0;
}

void windows_forget(struct windows *w, const char *account)
{
    struct nr_link *lists[] = {&w->idle, &w->asked};

    for (unsigned i = 0; i < nr_countof(lists); i++)
        NR_LIST_EACH(lists[i], it) {
            struct thing *t = nr_container_of(it, struct thing, link);

            if (of_account(t, nr_str_of(account)))
                thing_free(w, t);
        }
    wants_forget(w, account);
}

void windows_unwant(struct windows *w)
{
    struct nr_link *lists[] = {&w->idle, &w->asked};

    for (unsigned i = 0; i < nr_countof(lists); i++)
        NR_LIST_EACH(lists[i], it)
            thing_unwant(w, nr_container_of(it, struct thing, link));
    thing_unwant(w, &w->nodes);
    wants_drop(w);
}

size_t windows_bytes(const struct windows *w)
{
    return w->budget.used;
}

uint64_t windows_dropped(const struct windows *w)
{
    return w->dropped;
}
