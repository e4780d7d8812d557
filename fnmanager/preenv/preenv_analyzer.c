/* Exec Analyzer. The judgement of "slower" knows how noisy a host may be:
 *
 *   CPU time first   user CPU of a call hardly moves when neighbours take the processors, its wall time moves by factors. So a
 *                    configuration is slower when its CPU time is, and wall time alone convicts only on a quiet host
 *   intervals        a bootstrap over the calls of each payload gives the range in which the ratio of the medians lies (nine times of
 *                    ten); only a range beyond the tolerance is a verdict, one across it asks for further rounds
 *   at last          what further rounds do not decide is decided by the medians on a quiet host, on a busy one it is no knee; both are
 *                    called noisy
 *   p95              of few calls it is close to the worst one, so its range is wide: it convicts alone only when all of it is beyond
 *
 * Differences below a millisecond are what timers and schedulers do, not knees.
 */
#include "fnmanager/preenv/preenv_analyzer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

enum { RESAMPLES = 400, SAMPLES_MAX = 4096, GROWTH_CALLS = 12, GROWTH_MAX = 256 };

/* User time is told in hundredths of a second on some kernels: below this the sum of user and system, which is exact, is used. */
static const double user_told_ms = 100, blur_ms = 1;
/* Others that use more of the host than this make it a busy one. */
static const double busy = 0.25;
static const double grows_by_mb = 1.0;

/* ---- series ------------------------------------------------------------------------------------------------- */

bool preenv_series_add(struct preenv_series *s, const struct preenv_sample *sample)
{
    if (s->count == s->cap) {
        unsigned cap = s->cap ? 2 * s->cap : 64;
        struct preenv_sample *more =
            cap <= SAMPLES_MAX ? nr_try_realloc(s->samples, cap * sizeof(*more)) : NULL;

        if (more == NULL)
            return false;
        s->samples = more;
        s->cap = cap;
    }
    s->samples[s->count++] = *sample;
    return true;
}

void preenv_series_fini(struct preenv_series *s)
{
    free(s->samples);
    *s = (struct preenv_series){0};
}

/* ---- quantiles of weighted values --------------------------------------------------------------------------- */

struct value {
    double x, weight;
    int payload;
};

/* The values of one figure of the warm calls; made. */
struct values {
    struct value *v;
    unsigned n;
};

typedef double (*figure_fn)(const struct preenv_sample *s);

static double wall_of(const struct preenv_sample *s)
{
    return s->run_ms;
}
static double user_of(const struct preenv_sample *s)
{
    return s->user_ms;
}
static double system_of(const struct preenv_sample *s)
{
    return s->system_ms;
}
static double cpu_of(const struct preenv_sample *s)
{
    return s->cpu_ms;
}
static double throttled_of(const struct preenv_sample *s)
{
    return s->throttled_ms;
}
static double cold_of(const struct preenv_sample *s)
{
    return s->start_ms + s->init_ms + s->run_ms;
}

static int by_value(const void *a, const void *b)
{
    const struct value *x = a, *y = b;

    return (x->x > y->x) - (x->x < y->x);
}

/* A payload's weight is shared by its calls, however many there were. `rounds` NULL: all of them; else those in which it has samples. */
static struct values collect(const struct preenv_series *s, bool cold, figure_fn figure,
                             const double *weights, unsigned payloads,
                             const struct preenv_series *rounds)
{
    struct values ret = {nr_alloc((s->count + 1) * sizeof(struct value)), 0};
    unsigned counts[PREENV_PAYLOADS_MAX] = {0};

    for (unsigned i = 0; i < s->count; i++) {
        const struct preenv_sample *x = &s->samples[i];
        bool counts_in = rounds == NULL;

        for (unsigned k = 0; rounds && k < rounds->count && !counts_in; k++)
            counts_in = rounds->samples[k].round == x->round;
        if (x->cold != cold || !counts_in || (unsigned)x->payload >= payloads || figure(x) < 0)
            continue;
        ret.v[ret.n++] = (struct value){figure(x), 0, x->payload};
        counts[x->payload]++;
    }
    for (unsigned i = 0; i < ret.n; i++)
        ret.v[i].weight = weights[ret.v[i].payload] / counts[ret.v[i].payload];
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

static double figure_at(const struct preenv_series *s, bool cold, figure_fn figure,
                        const double *weights, unsigned payloads, double q)
{
    struct values v = collect(s, cold, figure, weights, payloads, NULL);
    double x = quantile(v.v, v.n, q);

    free(v.v);
    return x;
}

/* ---- the bootstrap ------------------------------------------------------------------------------------------- */

static unsigned next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(*state >> 33);
}

/* As many values of each payload as there are, drawn with repetition. v is grouped by payload. */
static void resample(const struct values *v, struct value *into, uint64_t *random)
{
    for (unsigned from = 0, to; from < v->n; from = to) {
        for (to = from; to < v->n && v->v[to].payload == v->v[from].payload; to++)
            continue;
        for (unsigned i = from; i < to; i++)
            into[i] = v->v[from + next_random(random) % (to - from)];
    }
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

struct range {
    bool known;
    double base, at; /* quantile of the reference; ratio to it */
    double lo, hi;   /* of the ratio */
};

/* The ratio of quantile q of c to that of the reference, with its range. Both are regrouped here. */
static struct range ratio(struct values *reference, struct values *c, double q)
{
    struct range r = {.known = reference->n > 0 && c->n > 0};
    double ratios[RESAMPLES];
    uint64_t random = 42;

    if (!r.known)
        return r;
    r.base = quantile(reference->v, reference->n, q);
    r.at = quantile(c->v, c->n, q) / (r.base > 1e-6 ? r.base : 1e-6);
    qsort(reference->v, reference->n, sizeof(*reference->v), by_payload);
    qsort(c->v, c->n, sizeof(*c->v), by_payload);
    struct value *a = nr_alloc(reference->n * sizeof(*a)), *b = nr_alloc(c->n * sizeof(*b));

    for (unsigned i = 0; i < RESAMPLES; i++) {
        resample(reference, a, &random);
        resample(c, b, &random);
        double base = quantile(a, reference->n, q);

        ratios[i] = quantile(b, c->n, q) / (base > 1e-6 ? base : 1e-6);
    }
    free(a);
    free(b);
    qsort(ratios, RESAMPLES, sizeof(ratios[0]), by_double);
    r.lo = ratios[RESAMPLES / 20];
    r.hi = ratios[RESAMPLES - 1 - RESAMPLES / 20];
    return r;
}

static struct range ratio_of(const struct preenv_config *reference, const struct preenv_config *c,
                             figure_fn figure, const double *weights, unsigned payloads, double q)
{
    struct values a = collect(&reference->series, false, figure, weights, payloads, &c->series);
    struct values b = collect(&c->series, false, figure, weights, payloads, NULL);
    struct range r = ratio(&a, &b, q);

    free(a.v);
    free(b.v);
    return r;
}

/* ---- figures ------------------------------------------------------------------------------------------------- */

static void raise_to(double *peak, double x)
{
    if (x > *peak)
        *peak = x;
}

/* A run that goes on after a restart has peaks already, and no samples of them: they only rise. */
static void find_peaks(struct preenv_config *c)
{
    for (unsigned i = 0; i < c->series.count; i++) {
        const struct preenv_sample *s = &c->series.samples[i];

        /* a warm call has no start: what was in use before its run is part of the run */
        raise_to(s->cold ? &c->init_peak_mb : &c->run_peak_mb, s->init_peak_mb);
        raise_to(&c->run_peak_mb, s->run_peak_mb);
        raise_to(&c->high_water_mb, s->high_water_mb);
    }
    c->peak_mb = c->init_peak_mb > c->run_peak_mb ? c->init_peak_mb : c->run_peak_mb;
}

/* Of each payload the typical peak: a call may find what a larger one before it has left behind, or be too short to be seen. */
static void find_payload_peaks(struct preenv_config *c, unsigned payloads)
{
    for (unsigned p = 0; p < payloads; p++) {
        struct value *v = nr_alloc((c->series.count + 1) * sizeof(*v));
        unsigned n = 0;

        for (unsigned i = 0; i < c->series.count; i++) {
            const struct preenv_sample *s = &c->series.samples[i];

            if (!s->cold && s->payload == (int)p && s->run_peak_mb >= 0)
                v[n++] = (struct value){s->run_peak_mb, 1, 0};
        }
        if (n > 0)
            c->payload_peak_mb[p] = quantile(v, n, 0.5);
        free(v);
    }
}

/* Half the range of the median, as a part of it. */
static double noise_of(const struct preenv_config *c, const double *weights, unsigned payloads)
{
    struct range r = ratio_of(c, c, wall_of, weights, payloads, 0.5);

    /* the range of a ratio of two such medians is wider than that of one, by the root of two */
    return r.known && r.base > blur_ms ? (r.hi - r.lo) / 2 / M_SQRT2 : 0;
}

static void find_others(struct preenv_config *c, int cores)
{
    double sum = 0;

    for (unsigned i = 0; i < c->series.count; i++)
        sum += c->series.samples[i].others;
    c->others = c->series.count && cores > 0 ? sum / c->series.count / cores : 0;
}

void preenv_analyze(struct preenv_config *c, const double *weights, unsigned payloads, int cores)
{
    const struct preenv_series *s = &c->series;

    if (s->count == 0)
        return;
    c->runs = s->count;
    c->cold_runs = 0;
    for (unsigned i = 0; i < s->count; i++)
        c->cold_runs += s->samples[i].cold;
    c->cold_ms = figure_at(s, true, cold_of, weights, payloads, 0.5);
    c->p50_ms = figure_at(s, false, wall_of, weights, payloads, 0.5);
    c->p95_ms = figure_at(s, false, wall_of, weights, payloads, 0.95);
    c->user_ms = figure_at(s, false, user_of, weights, payloads, 0.5);
    c->system_ms = figure_at(s, false, system_of, weights, payloads, 0.5);
    c->throttled_ms = figure_at(s, false, throttled_of, weights, payloads, 0.5);
    find_peaks(c);
    find_payload_peaks(c, payloads);
    find_others(c, cores);
    c->noise = noise_of(c, weights, payloads);
}

/* ---- slower? ------------------------------------------------------------------------------------------------- */

enum side { BELOW, ACROSS, BEYOND };

/* Where the range lies; what is within the blur of a clock is below. */
static enum side side_of(const struct range *r, double tolerance)
{
    double bound = 1 + tolerance, blur = 1 + blur_ms / (r->base > 1e-6 ? r->base : 1e-6);

    if (blur > bound)
        bound = blur;
    return r->lo > bound ? BEYOND : r->hi <= bound ? BELOW : ACROSS;
}

static bool host_is_busy(const struct preenv_config *a, const struct preenv_config *b)
{
    return a->others > busy || b->others > busy;
}

static void decide(struct preenv_config *c, enum preenv_verdict verdict, const struct range *by,
                   bool noisy)
{
    c->verdict = verdict;
    c->slow_by = by->at - 1;
    c->noisy = noisy;
}

static void decide_by_wall(struct preenv_config *c, enum preenv_verdict verdict,
                           const struct range *by, bool noisy)
{
    decide(c, verdict, by, noisy);
    c->by_cpu = false;
}

/* The figure of CPU time that can be trusted for calls of this length. */
static struct range cpu_ratio(const struct preenv_config *reference, const struct preenv_config *c,
                              const double *weights, unsigned payloads)
{
    struct range user = ratio_of(reference, c, user_of, weights, payloads, 0.5);

    if (user.known && user.base >= user_told_ms)
        return user;
    return ratio_of(reference, c, cpu_of, weights, payloads, 0.5);
}

void preenv_compare(const struct preenv_config *reference, struct preenv_config *c,
                    const double *weights, unsigned payloads, double tolerance, bool by_wall,
                    bool final)
{
    struct range wall = ratio_of(reference, c, wall_of, weights, payloads, 0.5);
    struct range tail = ratio_of(reference, c, wall_of, weights, payloads, 0.95);
    struct range cpu = cpu_ratio(reference, c, weights, payloads);
    bool judge_cpu = cpu.known && !by_wall, loud = host_is_busy(reference, c);
    const struct range *first = judge_cpu ? &cpu : &wall;

    if (!wall.known) {
        c->verdict = PREENV_UNJUDGED;
        return;
    }
    enum side side = side_of(first, tolerance), wall_side = side_of(&wall, tolerance);

    c->by_cpu = judge_cpu;
    if (side == BEYOND)
        decide(c, PREENV_SLOWER, first, false);
    else if (side == ACROSS && !final)
        decide(c, PREENV_UNDECIDED, first, true);
    else if (side == ACROSS)
        decide(c, !loud && first->at > 1 + tolerance ? PREENV_SLOWER : PREENV_AS_FAST, first, true);
    else if (loud || (wall_side == BELOW && side_of(&tail, tolerance) != BEYOND))
        decide(c, PREENV_AS_FAST, first, wall_side != BELOW);
    else if (wall_side == BEYOND || side_of(&tail, tolerance) == BEYOND)
        decide_by_wall(c, PREENV_SLOWER, wall_side == BEYOND ? &wall : &tail, false);
    else if (!final)
        decide_by_wall(c, PREENV_UNDECIDED, &wall, true);
    else
        decide(c, PREENV_AS_FAST, first, true); /* CPU time is the same, wall time tells nothing */
}

/* ---- growth -------------------------------------------------------------------------------------------------- */

/* What stayed in use after the warm calls of one round, in order; at most `max`. */
static unsigned rests(const struct preenv_series *s, unsigned round, double *ret, unsigned max)
{
    unsigned n = 0;

    for (unsigned i = 0; i < s->count && n < max; i++)
        if (s->samples[i].round == round && s->samples[i].rest_mb >= 0)
            ret[n++] = s->samples[i].rest_mb;
    return n;
}

bool preenv_may_grow(const struct preenv_series *s, unsigned round)
{
    double x[GROWTH_CALLS];
    unsigned n = rests(s, round, x, GROWTH_CALLS);

    for (unsigned i = 1; i < n; i++)
        if (x[i] < x[i - 1] + grows_by_mb / 2)
            return false;
    return n >= 3;
}

double preenv_growth_mb(const struct preenv_series *s, unsigned round)
{
    double x[GROWTH_MAX], steps[GROWTH_MAX];
    unsigned n = rests(s, round, x, GROWTH_MAX), late = 0;

    if (n < GROWTH_CALLS)
        return 0;
    for (unsigned i = 1; i < n; i++) {
        steps[i - 1] = x[i] - x[i - 1];
        late += i > n / 2 && steps[i - 1] >= grows_by_mb / 2;
    }
    qsort(steps, n - 1, sizeof(steps[0]), by_double);
    double typical = steps[(n - 1) / 2], second = (x[n - 1] - x[n / 2]) / (n - 1 - n / 2),
           first = (x[n / 2] - x[0]) / (n / 2);

    /* it goes on: nearly every late call adds, as much as the early ones did */
    if (typical < grows_by_mb || second < first / 2 || late * 10 < (n - 1 - n / 2) * 9)
        return 0;
    return second;
}

double preenv_peak_without(const struct preenv_config *c, unsigned payloads, unsigned without)
{
    double peak = -1;

    for (unsigned i = 0; i < payloads; i++)
        if (i != without)
            raise_to(&peak, c->payload_peak_mb[i]);
    if (peak >= 0)
        raise_to(&peak, c->init_peak_mb);
    return peak;
}
