/* Exec Analyzer. The judgement of "slower" knows how noisy a host may be:
 *
 *   CPU time first   user CPU of a call hardly moves when neighbours take the processors, its wall time moves by factors. So a
 *                    configuration is slower when its CPU time is, and wall time alone convicts only on a quiet host
 *   intervals        only a range of the ratio (preenv_range.c) beyond the tolerance is a verdict, one across it asks for further rounds
 *   at last          what further rounds do not decide is slower on a quiet host when three of four draws say so, on a busy one it is no knee;
 *                    both are called noisy
 *   p95              of few calls it is close to the worst one, so its range is wide: it convicts alone only when all of it is beyond
 *
 * Differences below a millisecond are what timers and schedulers do, not knees.
 */
#include "fnmanager/preenv/preenv_analyzer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "fnmanager/preenv/preenv_range.h"

enum { SAMPLES_MAX = 4096, GROWTH_CALLS = 12, GROWTH_MAX = 256 };

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

/* ---- figures of samples -------------------------------------------------------------------------------------- */

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

static double figure_at(const struct preenv_series *s, bool cold, preenv_figure figure,
                        const double *weights, unsigned payloads, double q)
{
    return preenv_quantile(s, &(struct preenv_pick){figure, weights, payloads, cold}, q);
}

static struct preenv_range ratio_of(const struct preenv_config *reference,
                                    const struct preenv_config *c, preenv_figure figure,
                                    const double *weights, unsigned payloads, double q)
{
    const struct preenv_pick pick = {figure, weights, payloads, false};

    return preenv_ratio(&reference->series, &c->series, &pick, q);
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
        double *v = nr_alloc((c->series.count + 1) * sizeof(*v));
        unsigned n = 0;

        for (unsigned i = 0; i < c->series.count; i++) {
            const struct preenv_sample *s = &c->series.samples[i];

            if (!s->cold && s->payload == (int)p && s->run_peak_mb >= 0)
                v[n++] = s->run_peak_mb;
        }
        if (n > 0)
            c->payload_peak_mb[p] = preenv_median(v, n);
        free(v);
    }
}

/* Half the range of the median, as a part of it. */
static double noise_of(const struct preenv_config *c, const double *weights, unsigned payloads)
{
    const struct preenv_pick pick = {wall_of, weights, payloads, false};
    struct preenv_range r = preenv_spread(&c->series, &pick, 0.5);

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
static enum side side_of(const struct preenv_range *r, double tolerance)
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

static void decide(struct preenv_config *c, enum preenv_verdict verdict,
                   const struct preenv_range *by, bool noisy)
{
    c->verdict = verdict;
    c->slow_by = by->at - 1;
    c->noisy = noisy;
}

static void decide_by_wall(struct preenv_config *c, enum preenv_verdict verdict,
                           const struct preenv_range *by, bool noisy)
{
    decide(c, verdict, by, noisy);
    c->by_cpu = false;
}

/* The figure of CPU time that can be trusted for calls of this length. */
static struct preenv_range cpu_ratio(const struct preenv_config *reference,
                                     const struct preenv_config *c, const double *weights,
                                     unsigned payloads)
{
    struct preenv_range user = ratio_of(reference, c, user_of, weights, payloads, 0.5);

    if (user.known && user.base >= user_told_ms)
        return user;
    return ratio_of(reference, c, cpu_of, weights, payloads, 0.5);
}

void preenv_compare(const struct preenv_config *reference, struct preenv_config *c,
                    const double *weights, unsigned payloads, double tolerance, bool by_wall,
                    bool final)
{
    struct preenv_range wall = ratio_of(reference, c, wall_of, weights, payloads, 0.5);
    struct preenv_range tail = ratio_of(reference, c, wall_of, weights, payloads, 0.95);
    struct preenv_range cpu = cpu_ratio(reference, c, weights, payloads);
    bool judge_cpu = cpu.known && !by_wall, loud = host_is_busy(reference, c);
    const struct preenv_range *first = judge_cpu ? &cpu : &wall;

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
        decide(c, !loud && first->likely > 1 + tolerance ? PREENV_SLOWER : PREENV_AS_FAST, first,
               true);
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
    double typical = preenv_median(steps, n - 1), second = (x[n - 1] - x[n / 2]) / (n - 1 - n / 2),
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
