/* A daily pattern with a simulated clock: two days of an office's load, by rules alone and by rules with a forecast that raises the floor.
 *
 * The rule tracks the calls in flight of the last minute at seven tenths of a container's capacity and goes down after five quiet minutes; a call that
 * finds no container starts one: that is a cold start. What the forecast starts beyond the rule's wish is a pre-warm, wasted when it serves no call.
 */
#include "scaler/forecast/forecast.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum {
    TICK_S = 10,
    TICKS_A_MINUTE = 60 / TICK_S,
    RULE_TICKS = 6,
    STABLE_TICKS = 30,
    MOST = 200,
    DAY_MINUTES = 1440,
    HORIZON_MS = 22000, /* a cold start of two seconds and two ticks */
    MONDAY = 29000 * DAY_MINUTES
};

struct load {
    int minute,
        calls; /* from this minute of the day on, so many in flight; between two, on a line */
};
static const struct load step[] = {{0, 0},    {478, 0},  {480, 30},  {600, 34},
                                   {720, 18}, {780, 26}, {1080, 20}, {1110, 0}};
static const struct load ramp[] = {{0, 2},    {474, 2},  {480, 60},  {600, 38},
                                   {720, 20}, {840, 30}, {1140, 12}, {1260, 2}};
static const struct load bursts[] = {{0, 1},    {419, 1},  {420, 25}, {450, 25}, {451, 3}, {509, 3},
                                     {510, 40}, {540, 40}, {541, 3},  {1080, 3}, {1081, 1}};

struct shape {
    const char *name;
    const struct load *points;
    size_t n;
};
#define SHAPE(points)                                                                              \
    {                                                                                              \
#points, points, sizeof(points) / sizeof(points)[0]                                        \
    }
static const struct shape shapes[] = {SHAPE(step), SHAPE(ramp), SHAPE(bursts)};

struct run {
    uint32_t seed;
    int ready, seen[RULE_TICKS], wished[STABLE_TICKS];
    bool ahead[MOST + 1], used[MOST + 1];
    int cold, cold_morning, ahead_count, wasted;
    int tick; /* since the first midnight */
};

static double random_part(struct run *r)
{
    r->seed = r->seed * 1664525 + 1013904223;
    return (r->seed >> 8) / (double)(1 << 24);
}

/* In flight now: the line between two points, give or take a sixth. */
static int demand(struct run *r, const struct shape *s)
{
    double minute = (double)(r->tick % (DAY_MINUTES * TICKS_A_MINUTE)) / TICKS_A_MINUTE;
    size_t i = 0;
    while (i + 1 < s->n && s->points[i + 1].minute <= minute)
        i++;
    double from = s->points[i].calls,
           to = i + 1 < s->n ? s->points[i + 1].calls : s->points[0].calls;
    double begins = s->points[i].minute,
           ends = i + 1 < s->n ? s->points[i + 1].minute : DAY_MINUTES;
    double level = from + (to - from) * (minute - begins) / (ends - begins);
    return (int)(level * (5.0 / 6 + random_part(r) / 3) + random_part(r) * 0.9);
}

/* The rule's wish: what the last minute needs, and no less than at any time of the last five. */
static int rule(struct run *r, int in_flight)
{
    double sum = 0;
    int most = 0;
    r->seen[r->tick % RULE_TICKS] = in_flight;
    for (int i = 0; i < RULE_TICKS; i++)
        sum += r->seen[i];
    r->wished[r->tick % STABLE_TICKS] = (int)ceil(sum / RULE_TICKS / 0.7);
    for (int i = 0; i < STABLE_TICKS; i++)
        most = r->wished[i] > most ? r->wished[i] : most;
    return most;
}

static void obey(struct run *r, int by_rule, int wish)
{
    wish = wish < MOST ? wish : MOST;
    for (int i = r->ready; i > wish; i--)
        r->wasted += r->ahead[i] && !r->used[i];
    for (int i = r->ready + 1; i <= wish; i++) {
        r->ahead[i] = i > by_rule;
        r->used[i] = false;
        r->ahead_count += r->ahead[i];
    }
    r->ready = wish;
}

static void serve(struct run *r, int in_flight, bool morning)
{
    if (in_flight > r->ready) {
        r->cold += in_flight - r->ready;
        r->cold_morning += morning ? in_flight - r->ready : 0;
        for (int i = r->ready + 1; i <= in_flight; i++)
            r->ahead[i] = false;
        r->ready = in_flight;
    }
    for (int i = 1; i <= in_flight; i++)
        r->used[i] = true;
}

/* Two days; the second is what counts. */
static struct run two_days(const struct shape *s, uint32_t seed, bool forecasts)
{
    struct run r = {.seed = seed};
    struct forecast_population *p = forecast_population_make();
    struct forecast *f = forecast_make(p);
    int peak = 0;
    for (r.tick = 0; r.tick < 2 * DAY_MINUTES * TICKS_A_MINUTE; r.tick++) {
        int minute = r.tick / TICKS_A_MINUTE, of_day = minute % DAY_MINUTES;
        if (r.tick == DAY_MINUTES * TICKS_A_MINUTE)
            r.cold = r.cold_morning = r.ahead_count = r.wasted = 0;
        int in_flight = demand(&r, s), floor = 0;
        peak = in_flight > peak ? in_flight : peak;
        serve(&r, in_flight, of_day >= 360 && of_day < 660);
        int wish = rule(&r, in_flight);
        struct forecast_view view;
        forecast_look(f, ((int64_t)MONDAY * 60 + (r.tick + 1) * TICK_S) * 1000, HORIZON_MS, 0.9,
                      &view);
        if (forecasts && view.known && view.confidence >= FORECAST_TRUSTED)
            floor = (int)ceil(view.p90);
        obey(&r, wish, floor > wish ? floor : wish);
        if (r.tick % TICKS_A_MINUTE == TICKS_A_MINUTE - 1) {
            forecast_minute(f, MONDAY + minute, (uint64_t)peak, (uint32_t)peak, floor > 0);
            peak = 0;
        }
    }
    forecast_free(f);
    forecast_population_free(p);
    return r;
}

static void test_second_morning(void **state)
{
    for (size_t i = 0; i < 3 * sizeof shapes / sizeof *shapes; i++) {
        const struct shape *shape = &shapes[i / 3];
        uint32_t seed = 7 + (uint32_t)i % 3;
        struct run rules = two_days(shape, seed, false), both = two_days(shape, seed, true);
        print_message(
            "%s: second morning's cold starts %d by rules, %d with the forecast; %d of %d "
            "pre-warms wasted\n",
            shape->name, rules.cold_morning, both.cold_morning, both.wasted, both.ahead_count);
        assert_true(rules.cold_morning >= 10);
        assert_true(both.cold_morning * 5 <= rules.cold_morning);
        assert_true(both.ahead_count > 0);
        assert_true(both.wasted * 5 <= both.ahead_count);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_second_morning),
    };
    return cmocka_run_group_tests_name("forecast/day", tests, NULL, NULL);
}
