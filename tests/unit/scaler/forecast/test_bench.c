/* The policy bench: what a trace may look like, what is refused and how, the accounting of idle minutes by hand, and that the forecast is worth its while. */
#include "scaler/forecast/bench/bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int read_text(const char *text, size_t n, struct trace *ret, struct nr_err *err)
{
    char *copy = malloc(n + 1);
    memcpy(copy, text, n);
    FILE *from = fmemopen(copy, n == 0 ? 1 : n, "r");
    if (n == 0)
        fgetc(from);
    int rc = trace_read(from, ret, err);
    fclose(from);
    free(copy);
    return rc;
}

static struct trace read_good(const char *text)
{
    struct trace t = {0};
    struct nr_err err = {0};
    if (read_text(text, strlen(text), &t, &err) != 0)
        fail_msg("%s: %s", text, err.text);
    return t;
}

static void assert_bad(const char *text, const char *why)
{
    struct trace t = {0};
    struct nr_err err = {0};
    assert_true(read_text(text, strlen(text), &t, &err) < 0);
    if (strstr(err.text, why) == NULL)
        fail_msg("%s: wanted \"%s\", got \"%s\"", text, why, err.text);
    assert_null(t.calls);
}

static void test_headers(void **state)
{
    static const struct {
        const char *text;
        size_t functions, minutes;
        uint64_t first_minute;
        uint32_t last; /* count of all */
    } good[] = {
        {"HashOwner,HashApp,HashFunction,Trigger,480,481,482\na,b,c,http,1,0,7\n", 1, 3, 480, 7},
        {"HashOwner,HashApp,HashFunction,Trigger,1,2,3\na,b,c,timer,1,0,7\nd,e,f,http,0,0,9\n", 2,
         3, 1, 9},
        {"HashFunction,0,1\nx,5,6", 1, 2, 0, 6},
        {"name,17\nx,5\n", 1, 1, 17, 5},
        {"name,minute_1,minute_2\nx,5,6\n", 1, 2, 0, 6},
        {"1,2,3\n4,5,6\n", 1, 3, 1, 6},
        {"a,b,4,0,4\nc,d,1,2,3\n", 2, 3, 0, 3}, /* no header */
        {"\"HashOwner\",\"f,g\",\"480\",\"481\"\r\n\"a\",\"b,c\",\"1\",\"\"\r\n", 1, 2, 480, 0},
        {"n,1,2\nx, 3 ,4.0\n\n\n", 1, 2, 1, 4},
        {"n,1,2\n\nx,,99999999999\n", 1, 2, 1, UINT32_MAX},
        {"HashOwner,1,2\n12345,3,4\n", 1, 2, 1, 4},
        {"HashOwner,7,8,\nx,3,4,\ny,5,,\n", 2, 2, 7, 0},
        {"x,3,9,\ny,5,6,\n", 2, 2, 0, 6},
        {"\xef\xbb\xbfHashOwner,7,8\nx,3,4\n", 1, 2, 7, 4},
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct trace t = read_good(good[i].text);
        assert_int_equal(t.functions, good[i].functions);
        assert_int_equal(t.minutes, good[i].minutes);
        assert_int_equal(t.first_minute, good[i].first_minute);
        assert_int_equal(t.calls[t.functions * t.minutes - 1], good[i].last);
        trace_fini(&t);
    }
}

static void test_refused(void **state)
{
    struct trace t;
    struct nr_err err = {0};
    assert_bad("", "empty");
    assert_bad("\n \n", "empty");
    assert_bad("a,b,1,2,3\n", "no functions");
    assert_bad("a,b,1,2,3\nx,y,1,2\n", "line 2 has 4 columns, the first line has 5");
    assert_bad("a,b,1,2,3\nx,y,1,2,3\nx,y,1,2,3,4\n", "line 3 has 6 columns");
    assert_bad("a,b,1,2,3\nx,y,1,-2,3\n", "line 2, column 4: \"-2\" is no count");
    assert_bad("a,b,1,2,3\nx,y,1,nan,3\n", "\"nan\" is no count");
    assert_bad("a,b,1,2,3\nx,y,1,2.5,3\n", "\"2.5\" is no count");
    assert_bad("a,b,1,2,3\nx,y,1,1e9,3\n", "\"1e9\" is no count");
    assert_bad("a,b,1,2,3\nx,y,1,99999999999999999999,3\n", "is no count");
    assert_bad("a,b,c\nx,y,z\n", "0 of 3 columns are minutes");
    assert_true(read_text("a,1,2\nx\0y,3,4\n", 13, &t, &err) < 0);
    assert_non_null(strstr(err.text, "line 2 holds a zero byte"));
}

static void test_too_many_minutes(void **state)
{
    size_t room = (TRACE_MINUTES_MAX + 2) * 8, n = 0;
    char *text = malloc(room * 2);
    n += (size_t)snprintf(text + n, room, "name");
    for (int i = 0; i < TRACE_MINUTES_MAX + 1; i++)
        n += (size_t)snprintf(text + n, 16, ",%d", i);
    n += (size_t)snprintf(text + n, 16, "\nx");
    for (int i = 0; i < TRACE_MINUTES_MAX + 1; i++)
        n += (size_t)snprintf(text + n, 16, ",1");
    assert_bad(text, "100001 of 100002 columns are minutes with counts; 1 to 100000 are read");
    free(text);
}

static void assert_cost(struct cost c, uint64_t cold, uint64_t idle)
{
    assert_int_equal(c.cold, cold);
    assert_int_equal(c.idle, idle);
}

static void test_accounting_of_fixed(void **state)
{
    /* calls at 0, 3 and 9 of 12 minutes */
    struct trace t = read_good("n,0,1,2,3,4,5,6,7,8,9,10,11\nx,1,0,0,2,0,0,0,0,0,1,0,0\n");
    assert_cost(cost_fixed(&t, 1), 3, 1 + 1 + 1);
    assert_cost(cost_fixed(&t, 3), 2, 2 + 3 + 2);
    assert_cost(cost_fixed(&t, 5), 2, 2 + 5 + 2);
    assert_cost(cost_fixed(&t, 6), 1, 2 + 5 + 2);
    assert_cost(cost_hybrid(&t, 6), 1, 2 + 5 + 2); /* too little is known */
    trace_fini(&t);
    t = read_good("n,0,1,2\nx,0,0,0\ny,0,0,1\n");
    assert_cost(cost_fixed(&t, 10), 1, 0);
    trace_fini(&t);
}

/* `period` minutes between calls, `n` calls, and the trace ends with the last. */
static struct trace periodic(size_t period, size_t n)
{
    struct trace t = {.functions = 1, .minutes = period * (n - 1) + 1};
    t.calls = calloc(t.minutes, sizeof *t.calls);
    for (size_t i = 0; i < n; i++)
        t.calls[i * period] = 1;
    return t;
}

static void test_accounting_of_hybrid(void **state)
{
    /* Five gaps of 30 by the fallback of 10: five cold, ten idle each. From then on warm from the 27th minute: three idle a gap. */
    struct trace t = periodic(30, 16);
    assert_cost(cost_hybrid(&t, 10), 1 + 5, 5 * 10 + 10 * 3);
    trace_fini(&t);
    /* Every second minute: pre-warming is not worth it, so it stays warm. */
    t = periodic(2, 20);
    assert_cost(cost_hybrid(&t, 1), 1 + 5, 5 * 1 + 14 * 1);
    trace_fini(&t);
}

/* Functions of several kinds: clockwork of many periods, chance, and bursts. */
static struct trace mixture(size_t functions, size_t minutes)
{
    static const size_t periods[] = {5, 15, 20, 30, 60, 60, 120};
    struct trace t = {.functions = functions, .minutes = minutes};
    uint32_t seed = 5;
    t.calls = calloc(functions * minutes, sizeof *t.calls);
    for (size_t f = 0; f < functions; f++)
        for (size_t m = 0; m < minutes; m++) {
            seed = seed * 1664525 + 1013904223;
            bool called = f % 3 == 0   ? m % periods[f % 7] == f % 5
                          : f % 3 == 1 ? (seed >> 8) % 40 == 0
                                       : m % 97 < 9 && (seed >> 8) % 2 == 0;
            t.calls[f * minutes + m] = called;
        }
    return t;
}

static void test_the_forecast_beats_what_it_is_compared_with(void **state)
{
    static const double prices[] = {0.02, 0.006, 0.003, 0.0011};
    enum { PRICES = sizeof prices / sizeof *prices };
    struct trace t = mixture(120, 720);
    struct cost ours[PRICES], again[PRICES], fixed = cost_fixed(&t, 10),
                                             hybrid = cost_hybrid(&t, 10);
    cost_forecast(&t, prices, PRICES, ours);
    cost_forecast(&t, prices, PRICES, again);
    assert_memory_equal(ours, again, sizeof ours);
    for (size_t i = 1; i < PRICES; i++) { /* cheaper memory: fewer cold starts, more idle */
        assert_true(ours[i].cold <= ours[i - 1].cold);
        assert_true(ours[i].idle >= ours[i - 1].idle);
    }
    assert_true(ours[0].cold < fixed.cold && ours[0].idle < fixed.idle);
    assert_true(ours[1].cold < hybrid.cold && ours[1].idle < hybrid.idle);
    trace_fini(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_headers),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_too_many_minutes),
        cmocka_unit_test(test_accounting_of_fixed),
        cmocka_unit_test(test_accounting_of_hybrid),
        cmocka_unit_test(test_the_forecast_beats_what_it_is_compared_with),
    };
    return cmocka_run_group_tests_name("forecast/bench", tests, NULL, NULL);
}
