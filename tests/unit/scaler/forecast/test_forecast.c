/* A function's forecast: what it learns of clocks and of chance, what it says of the future, its size, its life across restarts, and hostile time. */
#include "scaler/forecast/forecast.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { START = 29000000, HOUR = 60, DAY = 1440 };

static struct forecast_population *population;
static struct forecast *f;

static int setup(void **state)
{
    population = forecast_population_make();
    f = forecast_make(population);
    return 0;
}

static int teardown(void **state)
{
    forecast_free(f);
    forecast_population_free(population);
    return 0;
}

/* Every `period` minutes from START on, for n minutes. */
static void clockwork(int64_t n, int64_t period)
{
    for (int64_t m = 0; m < n; m++)
        forecast_minute(f, START + m, m % period == 0, 0, false);
}

static void test_nothing_is_known_at_first(void **state)
{
    struct forecast_view v;
    forecast_minute(f, START, 0, 0, false);
    forecast_look(f, (int64_t)(START + 1) * 60000, 60000, 0.9, &v);
    assert_false(v.known);
    assert_int_equal(v.class, ARRIVAL_UNKNOWN);
    assert_true(v.confidence < FORECAST_TRUSTED);
    assert_true(forecast_chance(f, START + 1) == 0);
    assert_false(forecast_warm(f, START + 1, 0.0001, -1));
}

static void test_clockwork_is_foreseen_to_the_minute(void **state)
{
    int64_t keep, next;
    clockwork(10 * HOUR + 1, HOUR);
    for (int64_t m = 2; m < HOUR - 1; m++)
        assert_false(forecast_warm(f, START + 10 * HOUR + m, 0.2, -1));
    assert_true(forecast_chance(f, START + 11 * HOUR) > 0.8);
    forecast_plan_day(f, START + 10 * HOUR + 2, 0.2, -1, &keep, &next);
    assert_int_equal(keep, 0);
    assert_int_equal(next, START + 11 * HOUR);
    forecast_plan(f, START + 10 * HOUR + 2, 0.2, -1, &keep, &next);
    assert_true(next == INT64_MAX); /* it does not look that far */
    assert_int_equal(forecast_class(f), ARRIVAL_REGULAR);
    assert_true(forecast_confidence(f) >= FORECAST_TRUSTED);
}

static void test_what_is_over_has_no_chance(void **state)
{
    clockwork(100, 10);
    assert_true(forecast_chance(f, START + 99) == 0);
    assert_true(forecast_chance(f, START - 5) == 0);
    assert_true(forecast_chance(f, START + 100) > 0.5);
}

static void test_quiet_minutes_need_not_be_told(void **state)
{
    struct forecast_population *other = forecast_population_make();
    struct forecast *lazy = forecast_make(other);
    clockwork(2000, 17);
    for (int64_t m = 0; m < 2000; m += 17)
        forecast_minute(lazy, START + m, 1, 0, false);
    forecast_minute(lazy, START + 1999, 0, 0, false);
    for (int64_t m = 2000; m < 2100; m++)
        assert_true(forecast_chance(f, START + m) == forecast_chance(lazy, START + m));
    forecast_free(lazy);
    forecast_population_free(other);
}

static void test_classes(void **state)
{
    uint32_t seed = 1;
    for (int64_t m = 0; m < 600; m++)
        forecast_minute(f, START + m, m % 3 != 0, 0, false);
    assert_int_equal(forecast_class(f), ARRIVAL_DENSE);
    forecast_free(f);
    f = forecast_make(population);
    for (int64_t m = 0; m < 5000; m++) {
        seed = seed * 1664525 + 1013904223;
        forecast_minute(f, START + m, seed >> 24 < 8, 0, false);
    }
    assert_int_equal(forecast_class(f), ARRIVAL_BURSTY);
    forecast_free(f);
    f = forecast_make(population);
    for (int64_t m = 0; m < 6000; m++)
        forecast_minute(f, START + m, m == 3 || m == 900 || m == 2400 || m == 5700, 0, false);
    assert_int_equal(forecast_class(f), ARRIVAL_RARE);
    for (enum arrival_class c = 0; c <= ARRIVAL_RARE; c++)
        assert_true(strlen(arrival_class_text(c)) > 3);
}

static void test_a_dear_container_must_be_likelier(void **state)
{
    assert_true(forecast_worth(0.01, 0.01, -1));
    assert_true(forecast_worth(0.01, 0.01, 128));
    assert_false(forecast_worth(0.01, 0.01, 512));
    assert_true(forecast_worth(0.006, 0.01, 16));
    assert_false(forecast_worth(0, 0.0001, 0)); /* there is no free container */
}

/* What was believed and did not come costs confidence, and it comes back. */
static void test_confidence_falls_when_the_clock_stops(void **state)
{
    clockwork(600, 5);
    double trusted = forecast_confidence(f);
    assert_true(trusted >= FORECAST_TRUSTED);
    for (int64_t m = 600; m < 700; m++)
        forecast_minute(f, START + m, 0, 0, true);
    assert_true(forecast_confidence(f) < trusted);
}

static void test_two_kilobytes(void **state)
{
    assert_true(forecast_bytes(f) <= 2048);
    clockwork(3000, 7);
    assert_true(forecast_bytes(f) <= 2048);
}

static void assert_same(const struct forecast *a, const struct forecast *b, int64_t from)
{
    struct forecast_view x, y;
    for (int64_t m = from; m < from + 120; m++) {
        assert_true(forecast_chance(a, m) == forecast_chance(b, m));
        forecast_look(a, m * 60000, 30000, 0.9, &x);
        forecast_look(b, m * 60000, 30000, 0.9, &y);
        assert_true(x.p50 == y.p50 && x.p90 == y.p90 && x.confidence == y.confidence);
        assert_true(x.known == y.known && x.class == y.class);
    }
}

static void test_it_lives_across_a_restart(void **state)
{
    for (int64_t m = 0; m < 2 * DAY + 7; m++)
        forecast_minute(f, START + m, m % 12 < 2 ? 5 : 0, m % 12 < 2 ? (uint32_t)(m % 7) : 0,
                        false);
    json_t *all = forecast_population_save(population), *one = forecast_save(f);
    char *text = json_dumps(one, JSON_COMPACT);
    assert_true(strlen(text) < 3072);
    json_t *read = json_loads(text, 0, NULL);
    struct forecast_population *p = forecast_population_load(all);
    assert_non_null(p);
    struct forecast *again = forecast_load(p, read);
    assert_non_null(again);
    assert_same(f, again, START + 2 * DAY + 7);
    for (int64_t m = 2 * DAY + 7; m < 2 * DAY + 200; m++) {
        forecast_minute(f, START + m, m % 5 == 0, 1, true);
        forecast_minute(again, START + m, m % 5 == 0, 1, true);
    }
    assert_same(f, again, START + 2 * DAY + 200);
    forecast_free(again);
    forecast_population_free(p);
    free(text);
    json_decref(read);
    json_decref(one);
    json_decref(all);
}

static void test_a_forecast_that_was_never_told_is_saved_too(void **state)
{
    json_t *one = forecast_save(f);
    struct forecast *again = forecast_load(population, one);
    assert_non_null(again);
    assert_int_equal(forecast_class(again), ARRIVAL_UNKNOWN);
    forecast_free(again);
    json_decref(one);
}

static void test_what_was_not_saved_by_us_is_refused(void **state)
{
    static const char *const bad[] = {
        "null",
        "[]",
        "{}",
        "{\"v\":1}",
        "{\"v\":1,\"state\":7}",
        "{\"v\":1,\"state\":\"\"}",
        "{\"v\":1,\"state\":\"AAAA\"}",
        "{\"v\":2,\"state\":\"AAAA\"}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        json_t *j = json_loads(bad[i], JSON_DECODE_ANY, NULL);
        assert_null(forecast_load(population, j));
        assert_null(forecast_population_load(j));
        json_decref(j);
    }
    assert_null(forecast_load(population, NULL));
}

/* Each byte of a saved state turned over: refused, or a forecast that does not fall over what it holds. */
static void test_a_damaged_state(void **state)
{
    clockwork(700, 9);
    json_t *one = forecast_save(f);
    char *text = strdup(json_string_value(json_object_get(one, "state")));
    size_t n = strlen(text), refused = 0;
    for (size_t i = 0; i + 4 < n; i++) {
        char was = text[i];
        text[i] = was == '/' ? 'A' : '/';
        json_object_set_new(one, "state", json_string(text));
        struct forecast *g = forecast_load(population, one);
        refused += g == NULL;
        if (g != NULL) {
            struct forecast_view v;
            forecast_minute(g, START + 701, 1, 3, false);
            forecast_look(g, (int64_t)(START + 702) * 60000, 60000, 0.9, &v);
            double chance = forecast_chance(g, START + 702);
            assert_true(chance >= 0 && chance <= 1 && v.p90 >= v.p50 && v.p50 >= 0);
            assert_true(v.confidence >= 0 && v.confidence <= 1);
        }
        forecast_free(g);
        text[i] = was;
    }
    assert_true(refused > 0);
    free(text);
    json_decref(one);
}

static void test_hostile_time(void **state)
{
    static const int64_t minutes[] = {-1, INT64_MIN,     0, 5,    4, 3, 100000,
                                      7,  INT64_MAX / 4, 9, START};
    for (size_t i = 0; i < sizeof minutes / sizeof *minutes; i++) {
        forecast_minute(f, minutes[i], UINT64_MAX, UINT32_MAX, true);
        double chance = forecast_chance(f, minutes[i] < 0 ? 1 : minutes[i] + 1);
        assert_true(chance >= 0 && chance <= 1);
    }
    struct forecast_view v;
    forecast_look(f, (int64_t)START * 60000, INT64_MAX / 2, 5, &v);
    forecast_look(f, (int64_t)START * 60000, -7, -5, &v);
    assert_true(v.p90 >= v.p50);
}

/* A clock that was set back by more than a day does not stop the learning until it has caught up. */
static void test_a_clock_set_back(void **state)
{
    clockwork(500, 10);
    for (int64_t m = -3 * DAY; m < -3 * DAY + 500; m++)
        forecast_minute(f, START + m, m % 10 == 0, 0, false);
    assert_true(forecast_chance(f, START - 3 * DAY + 500) > 0.5);
    assert_true(forecast_chance(f, START - 3 * DAY + 503) < 0.5);
}

/* What comes every hour at the same minute is ready for when it comes, in its size. */
static void test_an_hourly_burst_is_sized(void **state)
{
    struct forecast_view v, between;
    for (int64_t m = 0; m < 12 * HOUR; m++)
        forecast_minute(f, START / HOUR * HOUR + m, m % HOUR == 30 ? 40 : 0,
                        m % HOUR == 30 ? 20 : 0, false);
    int64_t burst = START / HOUR * HOUR + 12 * HOUR + 30;
    for (int64_t m = burst - 30; m < burst - 1; m++)
        forecast_minute(f, m, 0, 0, false);
    forecast_look(f, (burst - 1) * 60000 + 45000, 20000, 0.9, &v);
    forecast_look(f, (burst - 20) * 60000, 20000, 0.9, &between);
    assert_true(v.p50 >= 15 && v.p50 <= 25 && v.p90 <= 40);
    assert_true(between.p90 <= 2);
    assert_true(v.confidence >= FORECAST_TRUSTED);
}

static void test_bounds_of_in_flight(void **state)
{
    struct forecast_view v;
    for (int64_t m = 0; m < 200; m++)
        forecast_minute(f, START + m, 1, UINT32_MAX, false);
    forecast_look(f, (int64_t)(START + 200) * 60000, 20000, 0.9, &v);
    assert_true(v.p50 > 1000 && v.p90 >= v.p50 && v.p90 < 1e12);
}

/* What one function is does not make another's certain: nobody's chance is all the population's. */
static void test_others_teach_but_do_not_decide(void **state)
{
    struct forecast *others[20];
    for (size_t i = 0; i < 20; i++)
        others[i] = forecast_make(population);
    for (int64_t m = 0; m < 600; m++) {
        for (size_t i = 0; i < 20; i++)
            forecast_minute(others[i], START + m, 1, 0, false);
        forecast_minute(f, START + m, m % HOUR == 0, 0, false);
    }
    assert_true(forecast_chance(f, START + 10 * HOUR) > 0.5);
    assert_true(forecast_chance(others[0], START + 600) > 0.9);
    for (int64_t m = 600; m < 620; m++)
        forecast_minute(f, START + m, m == 600, 0, false);
    assert_true(forecast_chance(f, START + 620) < 0.1);
    for (size_t i = 0; i < 20; i++)
        forecast_free(others[i]);
}

/* One function calls another a minute later, at times that nothing foretells. */
static double after_a_leader(const char *account, const char *other, enum arrival_class *ret)
{
    struct forecast *first = forecast_make(population), *second = forecast_make(population);
    uint32_t seed = 3;
    bool called = false;
    int64_t m = START, last = 0;
    forecast_account(first, account);
    forecast_account(second, other);
    for (; m < START + 4000 || !called; m++) {
        seed = seed * 1664525 + 1013904223;
        forecast_minute(second, m, called, 0, false);
        called = m - last > 20 && seed >> 24 < 4;
        last = called ? m : last;
        forecast_minute(first, m, called, 0, false);
    }
    double chance = forecast_chance(second, m);
    *ret = forecast_class(second);
    assert_int_not_equal(forecast_class(first), ARRIVAL_CORRELATED);
    forecast_free(first);
    forecast_free(second);
    return chance;
}

static void test_a_leader_is_found_within_the_account(void **state)
{
    enum arrival_class class;
    assert_true(after_a_leader("acme", "acme", &class) > 0.6);
    assert_int_equal(class, ARRIVAL_CORRELATED);
    assert_true(after_a_leader("acme", "guest", &class) < 0.2);
    assert_int_not_equal(class, ARRIVAL_CORRELATED);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_nothing_is_known_at_first),
        TEST(test_clockwork_is_foreseen_to_the_minute),
        TEST(test_what_is_over_has_no_chance),
        TEST(test_quiet_minutes_need_not_be_told),
        TEST(test_classes),
        TEST(test_a_dear_container_must_be_likelier),
        TEST(test_confidence_falls_when_the_clock_stops),
        TEST(test_two_kilobytes),
        TEST(test_it_lives_across_a_restart),
        TEST(test_a_forecast_that_was_never_told_is_saved_too),
        TEST(test_what_was_not_saved_by_us_is_refused),
        TEST(test_a_damaged_state),
        TEST(test_hostile_time),
        TEST(test_a_clock_set_back),
        TEST(test_an_hourly_burst_is_sized),
        TEST(test_bounds_of_in_flight),
        TEST(test_others_teach_but_do_not_decide),
        TEST(test_a_leader_is_found_within_the_account),
    };
    return cmocka_run_group_tests_name("forecast", tests, NULL, NULL);
}
