/* A bootstrap in two stages. The calls of one round share its luck: one container, one place in the caches, neighbours of that minute; a host grows faster or
 * slower by a fifth within a few minutes. So the two sides are compared within each round, where that cancels out, and the ratio is the median over the rounds.
 * Its range comes from drawing rounds with repetition, and within each of them calls: rounds that disagree make it wide, however many calls they had.
 */
#include "fnmanager/preenv/preenv_range.h"

#include <stdlib.h>

#include "common/base/mem.h"

enum { RESAMPLES = 400, ROUNDS_MAX = 64 };

static const double least_ms = 1e-6;

struct value {
    double x, weight;
    int payload;
};

/* The values of one figure of the picked calls; made. */
struct values {
    struct value *v;
    unsigned n;
};

/* Of one round, or of all together. */
struct sides {
    struct values reference, c;
};

/* ---- quantiles of weighted values --------------------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
    const struct value *x = a, *y = b;

    return (x->x > y->x) - (x->x < y->x);
}

static int by_payload(const void *a, const void *b)
{
    const struct value *x = a, *y = b;

    return (x->payload > y->payload) - (x->payload < y->payload);
}

static int by_double(const void *a, const void *b)
{
    const double *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

/* round NULL: of all. In groups by payload. */
static struct values collect(const struct preenv_series *s, const struct preenv_pick *pick,
                             const unsigned *round)
{
    struct values ret = {nr_alloc((s->count + 1) * sizeof(struct value)), 0};
    unsigned counts[PREENV_PAYLOADS_MAX] = {0};

    for (unsigned i = 0; i < s->count; i++) {
        const struct preenv_sample *x = &s->samples[i];

        if (x->cold != pick->cold || (round && x->round != *round) ||
            (unsigned)x->payload >= pick->payloads || pick->figure(x) < 0)
            continue;
        ret.v[ret.n++] = (struct value){pick->figure(x), 0, x->payload};
        counts[x->payload]++;
    }
    for (unsigned i = 0; i < ret.n; i++)
        ret.v[i].weight = pick->weights[ret.v[i].payload] / counts[ret.v[i].payload];
    qsort(ret.v, ret.n, sizeof(*ret.v), by_payload);
    return ret;
}

/* v is sorted here; < 0 without values. */
static double quantile(struct value *v, unsigned n, double q)
{
    double all = 0, sum = 0;

    if (n == 0)
        return -1;
    qsort(v, n, sizeof(*v), by_value);
    for (unsigned i = 0; i < n; i++)
        all += v[i].weight;
    for (unsigned i = 0; i < n; i++) {
        sum += v[i].weight;
        if (sum > q * all * (1 - 1e-9))
            return i + 1 < n && sum < q * all * (1 + 1e-9) ? (v[i].x + v[i + 1].x) / 2 : v[i].x;
    }
    return v[n - 1].x;
}

double preenv_quantile(const struct preenv_series *s, const struct preenv_pick *pick, double q)
{
    struct values v = collect(s, pick, NULL);
    double x = quantile(v.v, v.n, q);

    free(v.v);
    return x;
}

double preenv_median(double *v, unsigned n)
{
    qsort(v, n, sizeof(*v), by_double);
    return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

/* ---- the bootstrap ------------------------------------------------------------------------------------------- */

static unsigned next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(*state >> 33);
}

/* Quantile q of as many values of each payload as there are, drawn with repetition. `into` has room for them. */
static double drawn(const struct values *v, struct value *into, double q, uint64_t *random)
{
    for (unsigned from = 0, to; from < v->n; from = to) {
        for (to = from; to < v->n && v->v[to].payload == v->v[from].payload; to++)
            continue;
        for (unsigned i = from; i < to; i++)
            into[i] = v->v[from + next_random(random) % (to - from)];
    }
    return quantile(into, v->n, q);
}

static double over(double x, double base)
{
    return x / (base > least_ms ? base : least_ms);
}

/* Values are copied before they are sorted: they stay in their groups. */
static double plain(const struct values *v, struct value *into, double q)
{
    for (unsigned i = 0; i < v->n; i++)
        into[i] = v->v[i];
    return quantile(into, v->n, q);
}

/* The ratio over n > 0 rounds, but for `base`. room: for as many values as any side has. */
static struct preenv_range bootstrap(const struct sides *rounds, unsigned n, struct value *room,
                                     double q)
{
    struct preenv_range r = {.known = true};
    double ratios[RESAMPLES], of_rounds[ROUNDS_MAX];
    uint64_t random = 42;

    for (unsigned k = 0; k < n; k++) {
        double base = plain(&rounds[k].reference, room, q);

        of_rounds[k] = over(plain(&rounds[k].c, room, q), base);
    }
    r.at = preenv_median(of_rounds, n);
    for (unsigned i = 0; i < RESAMPLES; i++) {
        for (unsigned k = 0; k < n; k++) {
            const struct sides *x = &rounds[next_random(&random) % n];
            double base = drawn(&x->reference, room, q, &random);

            of_rounds[k] = over(drawn(&x->c, room, q, &random), base);
        }
        ratios[i] = preenv_median(of_rounds, n);
    }
    qsort(ratios, RESAMPLES, sizeof(ratios[0]), by_double);
    r.lo = ratios[RESAMPLES / 20];
    r.likely = ratios[RESAMPLES / 4];
    r.hi = ratios[RESAMPLES - 1 - RESAMPLES / 20];
    return r;
}

static void drop(const struct sides *x)
{
    free(x->reference.v);
    free(x->c.v);
}

/* The rounds in which c has samples, in order; at most ROUNDS_MAX, the first. */
static unsigned find_rounds(const struct preenv_series *c, unsigned ret[static ROUNDS_MAX])
{
    unsigned n = 0;

    for (unsigned i = 0; i < c->count; i++) {
        bool known = false;

        for (unsigned k = 0; k < n && !known; k++)
            known = ret[k] == c->samples[i].round;
        if (!known && n < ROUNDS_MAX)
            ret[n++] = c->samples[i].round;
    }
    return n;
}

struct preenv_range preenv_ratio(const struct preenv_series *reference,
                                 const struct preenv_series *c, const struct preenv_pick *pick,
                                 double q)
{
    unsigned numbers[ROUNDS_MAX], n = 0, of_c = find_rounds(c, numbers);
    struct preenv_range r = {0};
    struct sides rounds[ROUNDS_MAX];
    double bases[ROUNDS_MAX];
    struct value *room = nr_alloc((reference->count + c->count + 1) * sizeof(*room));

    for (unsigned k = 0; k < of_c; k++) {
        rounds[n] =
            (struct sides){collect(reference, pick, &numbers[k]), collect(c, pick, &numbers[k])};
        if (rounds[n].reference.n == 0 || rounds[n].c.n == 0) {
            drop(&rounds[n]);
            continue;
        }
        bases[n] = plain(&rounds[n].reference, room, q);
        n++;
    }
    if (n > 0) {
        r = bootstrap(rounds, n, room, q);
        r.base = preenv_median(bases, n);
    }
    for (unsigned k = 0; k < n; k++)
        drop(&rounds[k]);
    free(room);
    return r;
}

struct preenv_range preenv_spread(const struct preenv_series *s, const struct preenv_pick *pick,
                                  double q)
{
    const struct sides all = {collect(s, pick, NULL), collect(s, pick, NULL)};
    struct value *room = nr_alloc((s->count + 1) * sizeof(*room));
    struct preenv_range r = {0};

    if (all.c.n > 0) {
        r = bootstrap(&all, 1, room, q);
        r.base = plain(&all.reference, room, q);
    }
    drop(&all);
    free(room);
    return r;
}
