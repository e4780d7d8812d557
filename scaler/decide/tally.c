/* Cells into one number: sums in the order of time, percentiles by the nearest rank of the cells' means.
 */
#include "scaler/decide/tally.h"

double aggregate_quantile(enum aggregate a)
{
    static const double quantiles[] = {[AGGREGATE_P50] = 0.5,
                                       [AGGREGATE_P90] = 0.9,
                                       [AGGREGATE_P95] = 0.95,
                                       [AGGREGATE_P99] = 0.99};

    return (unsigned)a < sizeof quantiles / sizeof *quantiles ? quantiles[a] : 0;
}

void tally_add(struct tally *t, const struct cell *c, int64_t number)
{
    if (c->count == 0)
        return;
    if (t->known == 0) {
        t->min = c->min;
        t->max = c->max;
        t->first = c->last;
        t->first_cell = number;
    }
    t->sum += c->sum;
    t->min = t->min < c->min ? t->min : c->min;
    t->max = t->max > c->max ? t->max : c->max;
    t->last = c->last;
    t->last_cell = number;
    t->known += c->count;
    if (t->each)
        t->each[t->n++] = c->sum / c->count;
}

static void tally_extremes(struct tally *t, const double *min, const double *max, unsigned n)
{
    for (unsigned i = 1; i < n; i++) {
        t->min = t->min < min[i] ? t->min : min[i];
        t->max = t->max > max[i] ? t->max : max[i];
    }
}

unsigned tally_values(struct tally *t, const double *value, unsigned n, int64_t number)
{
    struct cell first = cell_of_value(value[0]);
    unsigned i = 1;

    if (isnan(value[0]))
        return 0;
    tally_add(t, &first, number);

    double sum = t->sum;

    for (; i < n && !isnan(value[i]); i++)
        sum += value[i];
    for (unsigned k = 1; t->each && k < i; k++)
        t->each[t->n++] = value[k];
    if (t->extremes)
        tally_extremes(t, value, value, i);
    t->sum = sum;
    t->known += i - 1;
    t->last = value[i - 1];
    t->last_cell = number + i - 1;
    return i;
}

void tally_sum(struct tally *t, const struct ring *r, int64_t first, int64_t last)
{
    if (t->known == 0) {
        t->first = ring_sum(r, first, first);
        t->first_cell = first;
    }
    t->sum += ring_sum(r, first, last);
    t->known += (uint64_t)(last - first + 1);
    t->last = ring_sum(r, last, last);
    t->last_cell = last;
}

void tally_row(struct tally *t, const struct ring *r, unsigned at, unsigned n, int64_t number)
{
    if (n == 0)
        return;

    const struct cell first = ring_cell(r, at);
    const double *sums = r->value + at;
    const uint32_t *counts = ring_counts(r) + at;

    tally_add(t, &first, number);

    double sum = t->sum;
    uint64_t known = t->known;

    for (unsigned i = 1; i < n; i++)
        sum += sums[i];
    for (unsigned i = 1; i < n; i++)
        known += counts[i];
    for (unsigned i = 1; t->each && i < n; i++)
        t->each[t->n++] = sums[i] / counts[i];
    if (t->extremes)
        tally_extremes(t, sums + r->n, sums + (size_t)2 * r->n, n);
    t->sum = sum;
    t->known = known;
    t->last = sums[(size_t)3 * r->n + n - 1];
    t->last_cell = number + n - 1;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static double tally_quantile(struct tally *t, double q)
{
    unsigned rank = (unsigned)(q * t->n);

    if (t->n == 0)
        return 0;
    if ((double)rank < q * t->n)
        rank++;
    qsort(t->each, t->n, sizeof *t->each, by_size);
    return t->each[rank ? rank - 1 : 0];
}

/* A second: of a counter, how many; of all else, by how much it rose. */
static double tally_rate(const struct tally *t, bool counter, bool coarse)
{
    int64_t seconds = (t->last_cell - t->first_cell) * (coarse ? COARSE_SECONDS : 1);

    if (counter)
        return t->known ? t->sum / (double)t->known : 0;
    return seconds > 0 ? (t->last - t->first) / (double)seconds : 0;
}

double tally_value(struct tally *t, enum aggregate a, bool counter, bool coarse)
{
    switch (a) {
    case AGGREGATE_SUM: return t->sum;
    case AGGREGATE_MIN: return t->min;
    case AGGREGATE_MAX: return t->max;
    case AGGREGATE_LAST: return t->last;
    case AGGREGATE_RATE: return tally_rate(t, counter, coarse);
    case AGGREGATE_AVG: return t->known ? t->sum / (double)t->known : 0;
    default: return tally_quantile(t, aggregate_quantile(a));
    }
}
