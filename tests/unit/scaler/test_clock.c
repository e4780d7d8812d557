/* Clocks that are wrong, and messages that say so: nothing that is of a time to come, or that no policy allows, holds anything up for long.
 */
#include "tests/unit/scaler/rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/json.h"
#include "common/base/mem.h"

#define TRACK                                                                                      \
    "{\"policy\":\"p\",\"target\":{\"account\":\"guest\",\"function\":\"f\"},"                     \
    "\"evaluate_every\":\"1s\",\"bounds\":{\"min\":1,\"max\":8},\"rules\":[{\"id\":\"busy\","      \
    "\"when\":{\"metric\":\"inflight\",\"aggregate\":\"last\",\"window\":\"3s\"},"                 \
    "\"do\":{\"action\":\"track\",\"target\":1}}]}"

enum { HOUR_MS = 3600000, MINUTE_MS = 60000, INVENTED = 10000, A_FEW = 200 };

static void good(struct rig *r, struct scale_call call)
{
    struct rig_reply reply = rig_call(r, &r->admin, call);

    if (reply.code != 0)
        fail_msg("%s", reply.err.text);
    rig_reply_fini(&reply);
}

static void put(struct rig *r)
{
    good(r, (struct scale_call){.op = SCALE_PUT, .name = NR_STR("p"), .body = NR_STR(TRACK)});
}

static void take_away(struct rig *r)
{
    good(r, (struct scale_call){.op = SCALE_DELETE, .name = NR_STR("p")});
}

static int64_t status(struct rig *r, const char *member)
{
    struct rig_reply reply = rig_call(r, &r->admin, (struct scale_call){.op = SCALE_STATUS});
    int64_t n = json_integer_value(json_object_get(reply.json, member));

    assert_int_equal(reply.code, 0);
    rig_reply_fini(&reply);
    return n;
}

struct expected {
    int desired;
    double inflight; /* told every time it is asked; 0: nothing is told */
};

static bool is_wished(struct rig *r, const void *arg)
{
    const struct expected *x = arg;
    const struct rig_wish *w = rig_wish_for(r, "guest//f");

    if (w && w->desired == x->desired)
        return true;
    if (x->inflight > 0)
        rig_sample(r, "f", x->inflight, 1);
    rig_pass(r, 100);
    return false;
}

static void until_wished(struct rig *r, int desired, double inflight)
{
    struct expected x = {desired, inflight};

    rig_until(r, is_wished, &x);
}

static void reopen(struct rig *r, bool decides)
{
    rig_close(r, r->scaler);
    r->wishes = 0;
    r->scaler = rig_open(r, "data", true, decides);
}

static void tell(struct rig *r, enum bus_topic topic, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static void tell(struct rig *r, enum bus_topic topic, const char *fmt, ...)
{
    char text[1024];
    va_list args;

    va_start(args, fmt);
    int n = vsnprintf(text, sizeof(text), fmt, args);

    va_end(args);
    assert_true(bus_publish(r->bus, topic, NR_STR("guest/f"), (struct nr_str){text, (size_t)n}));
}

static void sample(struct rig *r, const char *function, int64_t t_ms, const char *metrics)
{
    tell(
        r, BUS_METRICS,
        "{\"v\":1,\"t\":%lld,\"span_ms\":1000,\"node\":\"here\",\"seq\":%llu,\"account\":\"guest\","
        "\"function\":\"%s\",\"metrics\":{%s}}",
        (long long)t_ms, (unsigned long long)++r->seq, function, metrics);
}

/* ---- a clock that was ahead ------------------------------------------------------------------------------------- */

static void test_a_clock_that_is_set_back_stops_nothing(void **state)
{
    struct rig *r = *state;

    nr_clock_fake(0, HOUR_MS);
    put(r);
    until_wished(r, 5, 5);
    nr_clock_fake(0, 0);
    until_wished(r, 7, 7);
    take_away(r);
    until_wished(r, -1, 0);
    put(r);
    until_wished(r, 3, 3);
}

static void test_what_was_decided_by_a_clock_ahead_holds_until_the_next(void **state)
{
    struct rig *r = *state;

    nr_clock_fake(0, HOUR_MS);
    put(r);
    until_wished(r, 5, 5);
    rig_close(r, r->scaler);
    nr_clock_fake(0, 0);
    r->wishes = 0;
    r->scaler = rig_open(r, "data", true, true);
    until_wished(r, 5, 0);
    until_wished(r, 7, 7);
    reopen(r, true);
    until_wished(r, 7, 0);
    take_away(r);
    until_wished(r, -1, 0);
}

/* What is recorded of an hour is recorded twice: by a clock that is ahead, and when the right one shows it. */
static void test_a_replay_goes_on_behind_a_clock_that_was_set_back(void **state)
{
    struct rig *r = *state;

    nr_clock_fake(0, HOUR_MS);
    put(r);
    until_wished(r, 4, 4);
    until_wished(r, 5, 5);
    nr_clock_fake(0, 0);
    until_wished(r, 6, 6);
    until_wished(r, 7, 7);
    nr_clock_fake(0, HOUR_MS + MINUTE_MS);
    until_wished(r, 8, 8);
    struct rig_reply reply =
        rig_call(r, &r->admin,
                 (struct scale_call){
                     .op = SCALE_REPLAY, .name = NR_STR("p"), .upto_ms = INT64_MAX, .limit = 9});
    json_t *replayed = json_object_get(reply.json, "replayed");

    if (reply.code != 0)
        fail_msg("%s", reply.err.text);
    assert_true(json_is_true(json_object_get(reply.json, "exact")));
    assert_true(json_is_true(json_object_get(reply.json, "same")));
    assert_int_equal(json_array_size(json_object_get(reply.json, "differences")), 0);
    assert_true(json_integer_value(json_object_get(replayed, "changes")) >= 4);
    rig_reply_fini(&reply);
}

/* ---- a time that runs faster than the clock ---------------------------------------------------------------------- */

static void test_pace(void)
{
    const struct pace as_ever = {1000, 1}, fast = {1000, 160};

    assert_int_equal(pace_at(&as_ever, 1500), 1500);
    assert_int_equal(pace_long(&as_ever, 7), 7);
    assert_int_equal(pace_real(&as_ever, 7), 7);
    assert_int_equal(pace_at(&fast, 1000), 1000);
    assert_int_equal(pace_at(&fast, 1500), 1000 + 500 * 160);
    assert_int_equal(pace_long(&fast, 7), 7 * 160);
    assert_int_equal(pace_real(&fast, 7 * 160 + 1), 8);
    assert_int_equal(pace_real(&fast, 0), 0);
    assert_int_equal(pace_real(&fast, -1), -1);
}

/* A sample of that time, newer than the last. */
static bool is_wished_in(struct rig *r, const void *arg)
{
    static const char metrics[] = "\"inflight\":4,\"instances\":1,\"starting\":0";
    const struct pace *pace = arg;
    const struct rig_wish *w = rig_wish_for(r, "guest//f");
    int64_t t_ms = pace_at(pace, nr_wall_ms());

    if (w && w->desired == 4)
        return true;
    sample(r, "f", t_ms, metrics);
    tell(r, BUS_METRICS,
         "{\"v\":1,\"t\":%lld,\"span_ms\":1000,\"node\":\"here\",\"seq\":%llu,\"metrics\":{}}",
         (long long)t_ms, (unsigned long long)++r->seq);
    rig_pass(r, 10);
    return false;
}

/* Two hours of a policy pass in a minute; what lasts goes to the platform as it lasts by the clock. */
static void test_time_that_runs_faster_lasts_as_much_shorter(void **state)
{
    struct rig *r = *state;

    test_pace();
    r->config.pace = (struct pace){nr_wall_ms(), 120};
    reopen(r, true);
    int64_t begun_ms = nr_wall_ms();

    put(r);
    rig_until(r, is_wished_in, &r->config.pace);
    assert_int_equal(rig_wish_for(r, "guest//f")->keep_alive_ms, (10000 + 119) / 120);
    int64_t before = status(r, "evaluations");

    while (status(r, "evaluations") < before + 20) /* one each second of that time */
        rig_pass(r, 20);
    assert_true((nr_wall_ms() - begun_ms) * 120 >= 20 * 1000);
}

/* ---- what others say -------------------------------------------------------------------------------------------- */

static void decide_elsewhere(struct rig *r, int64_t t_ms, int64_t sequence, int64_t to)
{
    tell(
        r, BUS_DECISIONS,
        "{\"v\":1,\"kind\":\"decision\",\"by\":\"another\",\"policy\":\"p\",\"number\":1,\"t\":%lld,"
        "\"sequence\":%lld,\"to\":%lld,\"min_warm\":0,\"maximum\":9000,\"on_demand\":false}",
        (long long)t_ms, (long long)sequence, (long long)to);
}

static void test_decisions_of_others_stay_in_bounds(void **state)
{
    struct rig *r = *state;
    int64_t now_ms = nr_wall_ms();

    reopen(r, false);
    put(r);
    decide_elsewhere(r, now_ms + 10 * MINUTE_MS, now_ms, 6); /* of a time to come */
    decide_elsewhere(r, now_ms, now_ms, 5000);
    until_wished(r, 8, 0);
    for (unsigned i = 0; i < r->wishes; i++) {
        assert_int_equal(r->wish[i].desired, 8);
        assert_int_equal(r->wish[i].maximum, 8);
        assert_false(r->wish[i].ahead_only);
    }
    /* Their order is that of their sequence, whatever their clocks said. */
    decide_elsewhere(r, now_ms - MINUTE_MS, now_ms + 1, 4);
    until_wished(r, 4, 0);
    unsigned before = r->wishes;

    decide_elsewhere(r, now_ms + 10, now_ms, 7);
    assert_int_equal(status(r, "policies"), 1);
    rig_pass(r, A_FEW);
    assert_int_equal(r->wishes, before);
}

static void test_who_decides_is_not_told_by_others(void **state)
{
    struct rig *r = *state;

    put(r);
    until_wished(r, 3, 3);
    int64_t before = status(r, "changes");

    decide_elsewhere(r, nr_wall_ms() + 1000, 1ll << 52, 8);
    while (status(r, "changes") == before) /* it says again what holds */
        rig_pass(r, 20);
    for (unsigned i = 0; i < r->wishes; i++)
        assert_true(r->wish[i].desired <= 3);
    until_wished(r, 5, 5); /* and is heard, whatever the other's sequence was */
}

static void test_a_plan_goes_when_nobody_tells_it_again(void **state)
{
    static const char plan[] =
        "{\"v\":1,\"kind\":\"plan\",\"by\":\"another\",\"t\":%lld,\"account\":\"guest\",\"function\":\"f\","
        "\"desired\":%d,\"keep_alive_ms\":99999999999,\"shadow\":false}";
    struct rig *r = *state;

    r->config.predict = SCALER_PREDICT_ON;
    reopen(r, true);
    tell(r, BUS_DECISIONS, plan, (long long)nr_wall_ms() + 10 * MINUTE_MS, 3);
    tell(r, BUS_DECISIONS, plan, (long long)nr_wall_ms(), 999);
    until_wished(r, 32, 0);
    assert_int_equal(r->wishes, 1);
    assert_int_equal(r->wish[0].keep_alive_ms, 60000);
    nr_clock_fake(INT64_C(181000000), 0);
    until_wished(r, -1, 0);
    assert_int_equal(rig_wish_for(r, "guest//f")->keep_alive_ms, -1);
}

/* ---- what samples say ------------------------------------------------------------------------------------------- */

static bool has_samples(struct rig *r, const void *arg)
{
    return status(r, "samples") >= *(const int64_t *)arg;
}

/* Protection after a start ends when the platform's own samples are known for long enough, whatever times values have. */
static void test_nobody_says_since_when_samples_are_known(void **state)
{
    struct rig *r = *state;
    int64_t now_ms = nr_wall_ms(), one = 1, two = 2, three = 3;

    tell(r, BUS_METRICS, "{\"metric\":\"room\",\"value\":1,\"t\":%lld}",
         (long long)(now_ms - HOUR_MS));
    rig_until(r, has_samples, &one);
    assert_int_equal(status(r, "since_ms"), 0);
    sample(r, "f", now_ms - HOUR_MS, "\"inflight\":1");
    rig_until(r, has_samples, &two);
    int64_t since_ms = status(r, "since_ms");

    assert_true(since_ms >= now_ms - MINUTE_MS);
    tell(r, BUS_METRICS, "{\"metric\":\"room\",\"value\":1,\"t\":%lld}",
         (long long)(now_ms - HOUR_MS));
    rig_until(r, has_samples, &three);
    assert_int_equal(status(r, "since_ms"), since_ms);
}

static int64_t forecasts(struct rig *r, const char *function)
{
    struct rig_reply reply =
        rig_call(r, &r->guest,
                 (struct scale_call){.op = SCALE_FORECASTS,
                                     .function = nr_str_of(function ? function : "")});
    int64_t n = (int64_t)json_array_size(json_object_get(reply.json, "forecasts"));

    rig_reply_fini(&reply);
    return n;
}

static void test_a_sample_of_a_time_to_come_teaches_no_forecast(void **state)
{
    struct rig *r = *state;
    int64_t one = 1, two = 2;

    sample(r, "f", nr_wall_ms() + 12 * HOUR_MS, "\"arrivals\":1");
    rig_until(r, has_samples, &one);
    assert_int_equal(forecasts(r, NULL), 0);
    sample(r, "f", nr_wall_ms(), "\"arrivals\":1e300,\"inflight_max\":1e300,\"instance_mb\":1e300");
    rig_until(r, has_samples, &two);
    assert_int_equal(forecasts(r, NULL), 1);
}

static bool has_room(struct rig *r, const void *arg)
{
    (void)arg;
    sample(r, "real", nr_wall_ms(), "\"arrivals\":1");
    return forecasts(r, "real") == 1;
}

static void test_functions_that_nobody_calls_make_room(void **state)
{
    struct rig *r = *state;
    int64_t all = INVENTED, more = INVENTED + 1;

    for (int i = 0; i < INVENTED; i++) {
        char name[32];

        (void)snprintf(name, sizeof(name), "invented-%d", i);
        sample(r, name, nr_wall_ms(), "\"arrivals\":1");
        if (i % 100 == 99)
            rig_pass(r, 1);
    }
    rig_until(r, has_samples, &all);
    sample(r, "real", nr_wall_ms(), "\"arrivals\":1");
    rig_until(r, has_samples, &more);
    assert_int_equal(forecasts(r, "real"), 0);
    nr_clock_fake(0, 62 * MINUTE_MS);
    rig_until(r, has_room, NULL);
}

static int teardown(void **state)
{
    nr_clock_fake(0, 0);
    return rig_teardown(state);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, rig_setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_a_clock_that_is_set_back_stops_nothing),
        CASE(test_what_was_decided_by_a_clock_ahead_holds_until_the_next),
        CASE(test_a_replay_goes_on_behind_a_clock_that_was_set_back),
        CASE(test_time_that_runs_faster_lasts_as_much_shorter),
        CASE(test_decisions_of_others_stay_in_bounds),
        CASE(test_who_decides_is_not_told_by_others),
        CASE(test_a_plan_goes_when_nobody_tells_it_again),
        CASE(test_nobody_says_since_when_samples_are_known),
        CASE(test_a_sample_of_a_time_to_come_teaches_no_forecast),
        CASE(test_functions_that_nobody_calls_make_room),
    };

    cmocka_set_test_filter(getenv("NARAE_TEST_FILTER"));
    return cmocka_run_group_tests_name("clock", tests, NULL, NULL);
}
