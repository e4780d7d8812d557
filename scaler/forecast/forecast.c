/* One function's forecast: told minute by minute what came, asked whether a container is worth its memory in the next.
 *
 * A minute that is told closes those before it that were not: they had no call. What was foreseen for each is compared with what came, so that
 * everything learns from every minute and not just from calls. A gap longer than a day, and a clock that was set back, are unlearned time: what is
 * known stays, the time between is taken as quiet.
 */
#include "scaler/forecast/parts.h"

#include <math.h>

#include "common/base/mem.h"

#define TYPICAL_MB 128.0 /* a container that weighs as much as the price says */
#define WASTED_WEIGHS 2  /* a minute kept warm by our wish, against one only foreseen */

struct forecast_population *forecast_population_make(void)
{
    struct forecast_population *p = nr_alloc(sizeof *p);
    hazard_begin(p);
    return p;
}

void forecast_population_free(struct forecast_population *p)
{
    free(p);
}

struct forecast *forecast_make(struct forecast_population *p)
{
    struct forecast *f = nr_alloc(sizeof *f);
    *f =
        (struct forecast){.population = p, .heard = -1, .called = -1, .began = -1, .id = ++p->made};
    return f;
}

void forecast_free(struct forecast *f)
{
    free(f);
}

size_t forecast_bytes(const struct forecast *f)
{
    return sizeof *f;
}

static void came_at(struct forecast *f, int64_t minute)
{
    if (f->called >= 0) {
        for (size_t i = GAPS - 1; i > 0; i--)
            f->gap[i] = f->gap[i - 1];
        f->gap[0] = (uint16_t)fmin((double)(minute - f->called), UINT16_MAX);
    } else {
        f->began = minute;
    }
    f->called = minute;
    f->calls += f->calls < UINT32_MAX;
}

static void one_minute(struct forecast *f, int64_t minute, uint64_t calls, uint32_t inflight,
                       bool was_warm)
{
    if (f->called >= 0) {
        struct guess g;
        hazard_guess(f, minute, &g);
        int weight = was_warm ? WASTED_WEIGHS : 1;
        kept_add(&f->chance, weight * g.chance, calls > 0 ? weight : 0, KEPT_MEMORY);
        hazard_learn(f, &g, calls > 0);
    }
    lead_learn(f, minute, calls > 0);
    look_learn(f, minute, inflight);
    past_add(f, calls > 0);
    if (calls > 0)
        came_at(f, minute);
    f->heard = minute;
}

/* To just before `minute`, without learning. */
static void jump(struct forecast *f, int64_t minute)
{
    int64_t skipped = minute - 1 - f->heard;
    if (skipped > 0)
        past_skip(f, skipped);
    f->hour_sum = 0;
    f->slot_told = f->hour_told = 0;
    f->heard = minute - 1;
    f->called = f->called > f->heard ? f->heard : f->called;
    f->began = f->began > f->heard ? f->heard : f->began;
}

void forecast_minute(struct forecast *f, int64_t minute, uint64_t calls, uint32_t inflight,
                     bool was_warm)
{
    if (minute < 0 || (minute <= f->heard && f->heard - minute < DAY))
        return;
    if (f->heard < 0 || minute < f->heard || minute - f->heard > DAY)
        jump(f, minute);
    while (f->heard < minute - 1)
        one_minute(f, f->heard + 1, 0, 0, false);
    one_minute(f, minute, calls, calls > 0 && inflight == 0 ? 1 : inflight, was_warm);
}

void forecast_back(struct forecast *f, int64_t minute)
{
    if (f->heard >= minute && minute > 0)
        jump(f, minute);
}

double forecast_chance(const struct forecast *f, int64_t minute)
{
    if (f->called < 0 || minute <= f->heard)
        return 0;
    struct guess g;
    hazard_guess(f, minute, &g);
    return g.chance;
}

/* Half of the weight is the container's own memory, half is what each costs: a small one is not free. */
static double weighed(double price, int64_t instance_mb)
{
    return instance_mb < 0 ? price : price * (0.5 + 0.5 * (double)instance_mb / TYPICAL_MB);
}

bool forecast_worth(double chance, double price, int64_t instance_mb)
{
    return chance > 0 && chance >= weighed(price, instance_mb);
}

bool forecast_warm(const struct forecast *f, int64_t minute, double price, int64_t instance_mb)
{
    return forecast_worth(forecast_chance(f, minute), price, instance_mb);
}

static void plan(const struct forecast *f, int64_t minute, double price, int64_t instance_mb,
                 int64_t upto, int64_t *ret_keep_minutes, int64_t *ret_next_warm)
{
    int64_t m = minute;
    while (m < upto && forecast_warm(f, m, price, instance_mb))
        m++;
    *ret_keep_minutes = m - minute;
    while (m < upto && !forecast_warm(f, m, price, instance_mb))
        m++;
    *ret_next_warm = m < upto ? m : INT64_MAX;
}

void forecast_plan(const struct forecast *f, int64_t minute, double price, int64_t instance_mb,
                   int64_t *ret_keep_minutes, int64_t *ret_next_warm)
{
    plan(f, minute, price, instance_mb, minute + FORECAST_PLAN_MINUTES, ret_keep_minutes,
         ret_next_warm);
}

void forecast_plan_day(const struct forecast *f, int64_t minute, double price, int64_t instance_mb,
                       int64_t *ret_keep_minutes, int64_t *ret_next_warm)
{
    plan(f, minute, price, instance_mb, minute + DAY, ret_keep_minutes, ret_next_warm);
}

double forecast_confidence(const struct forecast *f)
{
    return kept_share(&f->chance);
}
