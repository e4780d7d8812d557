/* Values of several sources in one second become one value, which is what the tally gets. Most functions have one source, whose ring is walked along
 * as it lies.
 */
#include "scaler/decide/walk.h"

/* How values of several sources in one second become one. */
enum combine { COMBINE_SUM, COMBINE_MAX, COMBINE_MEAN };

/* All that is not here is summed up. */
static const unsigned char combines[METRICS] = {
    [METRIC_MEMORY_PERCENT] = COMBINE_MAX,       [METRIC_INSTANCE_MB] = COMBINE_MAX,
    [METRIC_INSTANCES_MAX] = COMBINE_MAX,        [METRIC_CONCURRENT_MAX] = COMBINE_MAX,
    [METRIC_TRIGGER_AGE_MS] = COMBINE_MAX,       [METRIC_NODE_CPU_PERCENT] = COMBINE_MEAN,
    [METRIC_NODE_MEMORY_PERCENT] = COMBINE_MEAN,
};

static enum combine metric_combine(enum metric_id id)
{
    return (enum combine)combines[id];
}

/* One source's cell; a gauge that was told a moment ago is what it was. */
static bool source_cell(const struct source *src, enum metric_id id, const struct span *of,
                        int64_t number, struct cell *ret)
{
    const struct series *s = &src->series[id];

    if (ring_read(ring_of(s, of->coarse), number, ret))
        return true;
    if (of->coarse || sample_metrics[id].kind != METRIC_GAUGE || s->second == INT64_MIN ||
        number <= s->second || number - s->second >= CARRY_SECONDS)
        return false;
    *ret = cell_of_value(s->last);
    return true;
}

static double larger(double a, double b)
{
    return a > b ? a : b;
}

static void cell_join(struct cell *to, const struct cell *more, enum combine how)
{
    bool max = how == COMBINE_MAX;

    to->sum = max ? larger(to->sum, more->sum) : to->sum + more->sum;
    to->min = max ? larger(to->min, more->min) : to->min + more->min;
    to->max = max ? larger(to->max, more->max) : to->max + more->max;
    to->last = max ? larger(to->last, more->last) : to->last + more->last;
    to->count = to->count > more->count ? to->count : more->count;
}

static bool labels_fit(const struct metric_ref *m, const struct source *s)
{
    for (unsigned i = 0; m && i < m->label_count; i++)
        if (s->name == NULL || !nr_str_eqz(m->label[i].name, "node") ||
            !nr_str_eqz(m->label[i].value, s->name))
            return false;
    return true;
}

struct cell cell_of(const struct windows *w, const struct thing *t, enum metric_id id,
                    const struct metric_ref *m, const struct span *of, int64_t number)
{
    struct cell all = {0}, one, alive;
    unsigned sources = 0;

    for (const struct source *s = t ? t->sources : NULL; s; s = s->next) {
        if (s->series == NULL || !labels_fit(m, s) || !source_cell(s, id, of, number, &one))
            continue;
        if (sources++ == 0)
            all = one;
        else
            cell_join(&all, &one, metric_combine(id));
    }
    if (metric_combine(id) == COMBINE_MEAN && sources > 1) {
        all.sum /= sources;
        all.min /= sources;
        all.max /= sources;
        all.last /= sources;
    }
    if (t == &w->nodes || !ring_read(ring_of(&w->alive, of->coarse), number, &alive) ||
        alive.count <= all.count)
        return all;
    all.min = all.min < 0 ? all.min : 0;
    all.max = all.max > 0 ? all.max : 0;
    all.count = alive.count;
    return all;
}

/* How many cells from this number on lie one after another in a ring, most at most; 0: it is out of the ring. */
static int64_t in_a_row(const struct ring *r, int64_t number, int64_t most)
{
    int64_t n;

    if (r->n == 0 || number > r->newest || number <= r->newest - (int64_t)r->n)
        return 0;
    n = r->n - (int64_t)((uint64_t)number % r->n);
    n = n < most ? n : most;
    return n < r->newest - number + 1 ? n : r->newest - number + 1;
}

/* Seconds by their total, or as they lie, up to the first of which nothing is known. */
static int64_t walk_values(const struct ring *own, const struct span *of, int64_t number,
                           struct tally *all)
{
    int64_t last = of->last < own->newest ? of->last : own->newest, n;

    if (all->sum == 0 && !all->extremes && all->each == NULL && ring_is_whole(own, number, last)) {
        tally_sum(all, own, number, last);
        return last - number + 1;
    }
    n = in_a_row(own, number, of->last - number + 1);
    return n ? tally_values(all, own->value + ring_place(own, number), (unsigned)n, number) : 0;
}

/* Without a branch for each, since it is nearly always so. */
static bool all_known(const double *sum, const uint32_t *count, const uint32_t *living, unsigned n)
{
    uint64_t unknown = 0, bits;
    uint32_t more = 0;

    for (unsigned i = 0; i < n; i++) {
        memcpy(&bits, &sum[i], sizeof bits);
        unknown |= bits == UINT64_MAX;
    }
    for (unsigned i = 0; i < n; i++)
        more |= living[i] > count[i];
    return unknown == 0 && more == 0;
}

/* Tens of seconds as they lie, up to the first of which more was known of the node than of the function. */
static unsigned walk_cells(const struct ring *own, const struct ring *alive, const struct span *of,
                           int64_t number, struct tally *all)
{
    int64_t n = in_a_row(alive, number, in_a_row(own, number, of->last - number + 1));
    unsigned good = 0;

    if (n == 0)
        return 0;

    unsigned at = ring_place(own, number);
    const double *sum = own->value + at;
    const uint32_t *count = ring_counts(own) + at,
                   *living = ring_counts(alive) + ring_place(alive, number);

    good = all_known(sum, count, living, (unsigned)n) ? (unsigned)n : 0;
    while (good < n && !isnan(sum[good]) && living[good] <= count[good])
        good++;
    tally_row(all, own, at, good, number);
    return good;
}

/* A function that one node tells of, as most are: its cells as they lie, where they need nothing further. */
static void walk_one(const struct windows *w, const struct thing *t, const struct source *s,
                     const struct metric_ref *m, const struct span *of, struct tally *all)
{
    const struct ring *own = ring_of(&s->series[m->id], of->coarse),
                      *alive = ring_of(&w->alive, of->coarse);

    for (int64_t number = of->first, good; number <= of->last; number += good) {
        good = of->coarse ? walk_cells(own, alive, of, number, all)
                          : walk_values(own, of, number, all);
        if (good == 0) {
            struct cell whole = cell_of(w, t, m->id, NULL, of, number);

            tally_add(all, &whole, number);
            good = 1;
        }
    }
}

void walk(const struct windows *w, const struct thing *t, const struct metric_ref *m,
          const struct span *of, struct tally *all)
{
    if (t && t != &w->nodes && t->sources && t->sources->next == NULL && t->sources->series) {
        walk_one(w, t, t->sources, m, of, all);
        return;
    }
    for (int64_t c = of->first; c <= of->last; c++) {
        struct cell cell = cell_of(w, t, m->id, t == &w->nodes ? m : NULL, of, c);

        tally_add(all, &cell, c);
    }
}
