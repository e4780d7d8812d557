/* One function's forecast: told minute by minute what came, asked whether a container is worth its memory in the next.
 *
 * A minute that is told closes those before it that were not: they had no call. What was foreseen for each is compared with what came, so that the
 * hazard, the confidence and the population learn from every minute and not just from calls.
 */
#include "scaler/forecast/parts.h"

#include <math.h>

#include "common/base/mem.h"

enum { FILL_MAX = 2880, DAY = 1440 };

#define TYPICAL_MB 128.0
#define FADE 0.99f

struct forecast_population *forecast_population_make(void)
{
    struct forecast_population *p = nr_alloc(sizeof *p);
    *p = (struct forecast_population){0};
    return p;
}

void forecast_population_free(struct forecast_population *p)
{
    free(p);
}

struct forecast *forecast_make(struct forecast_population *p)
{
    struct forecast *f = nr_alloc(sizeof *f);
    *f = (struct forecast){.population = p, .heard = -1, .called = -1, .began = -1};
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

static void one_minute(struct forecast *f, int64_t minute, uint64_t calls, uint32_t inflight)
{
    hazard_learn(f, minute, calls > 0);
    look_learn(f, minute, calls, inflight);
    if (calls > 0) {
        f->called = minute;
        f->active++;
    }
    f->minutes++;
    f->heard = minute;
}

void forecast_minute(struct forecast *f, int64_t minute, uint64_t calls, uint32_t inflight,
                     bool was_warm)
{
    if (minute <= f->heard)
        return;
    if (f->heard >= 0) {
        int64_t from = minute - f->heard > FILL_MAX ? minute - FILL_MAX : f->heard + 1;
        for (int64_t m = from; m < minute; m++)
            one_minute(f, m, 0, 0);
    } else {
        f->began = minute;
    }
    if (was_warm || hazard_chance(f, minute) >= 0.5) {
        f->hits = f->hits * FADE + (calls > 0 ? 1 : 0);
        f->wasted = f->wasted * FADE + (calls > 0 ? 0 : 1);
    }
    one_minute(f, minute, calls, inflight);
}

bool forecast_warm(const struct forecast *f, int64_t minute, double price, int64_t instance_mb)
{
    double weight = instance_mb < 0 ? 1 : sqrt((double)instance_mb / TYPICAL_MB);
    return hazard_chance(f, minute) >= price * weight;
}

void forecast_plan(const struct forecast *f, int64_t minute, double price, int64_t instance_mb,
                   int64_t *ret_keep_minutes, int64_t *ret_next_warm)
{
    int64_t keep = 0, next = INT64_MAX;
    while (keep < DAY && forecast_warm(f, minute + keep, price, instance_mb))
        keep++;
    for (int64_t m = minute + keep + 1; m < minute + DAY && next == INT64_MAX; m++) {
        if (forecast_warm(f, m, price, instance_mb))
            next = m;
    }
    *ret_keep_minutes = keep;
    *ret_next_warm = next;
}
