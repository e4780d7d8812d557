/* What forecasts keep warm where no policy is: nothing by default, obeyed once they are trusted, taken back, left to a policy.
 *
 * Hours pass by the clock that tests may set; a call every minute is a pattern that anybody would trust.
 */
#include "tests/unit/scaler/rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/json.h"

enum { MINUTE_MS = 60000, PAST_MINUTES = 600 };

/* A call in each of the minutes before this one. */
static void tell_past(struct rig *r)
{
    int64_t minute = nr_wall_ms() / MINUTE_MS;

    for (int64_t m = minute - PAST_MINUTES; m < minute; m++) {
        char text[512];
        int n = snprintf(
            text, sizeof(text),
            "{\"v\":1,\"t\":%lld,\"span_ms\":1000,\"node\":\"here\",\"seq\":%llu,\"account\":\"guest\","
            "\"function\":\"f\",\"metrics\":{\"arrivals\":1,\"inflight_max\":1,\"instance_mb\":128}}",
            (long long)m * MINUTE_MS + 30000, (unsigned long long)++r->seq);

        assert_true(
            bus_publish(r->bus, BUS_METRICS, NR_STR("guest/f"), (struct nr_str){text, (size_t)n}));
        if (m % 100 == 0)
            rig_pass(r, 1); /* as it would come: a few at a time */
    }
    rig_pass(r, 100);
}

/* The clock jumps to the moment at which plans are made for the next minute. */
static void next_minute(int64_t *added_ms)
{
    int64_t now_ms = nr_wall_ms();

    *added_ms += (now_ms / MINUTE_MS + 1) * MINUTE_MS + 2500 - now_ms;
    nr_clock_fake(0, *added_ms);
}

static json_t *forecast_of(struct rig *r)
{
    struct rig_reply reply = rig_call(r, &r->guest, (struct scale_call){.op = SCALE_FORECASTS});
    json_t *row = json_incref(json_array_get(json_object_get(reply.json, "forecasts"), 0));

    assert_int_equal(reply.code, 0);
    rig_reply_fini(&reply);
    return row;
}

static void reopen(struct rig *r, enum scaler_predict predict)
{
    rig_close(r, r->scaler);
    r->config.predict = predict;
    r->wishes = 0;
    r->scaler = rig_open(r, "data", true, true);
}

static bool is_kept(struct rig *r, const void *arg)
{
    const struct rig_wish *w = rig_wish_for(r, "guest//f");

    return w && (w->desired > 0) == *(const bool *)arg;
}

static void test_a_trusted_forecast_is_obeyed_where_no_policy_is(void **state)
{
    struct rig *r = *state;
    int64_t added_ms = 0;
    bool yes = true, no = false;

    reopen(r, SCALER_PREDICT_ON);
    tell_past(r);
    json_t *row = forecast_of(r);

    assert_true(json_is_true(json_object_get(row, "trusted")));
    json_decref(row);
    next_minute(&added_ms);
    rig_until(r, is_kept, &yes);
    reopen(r, SCALER_PREDICT_ON); /* what was learned outlives a restart */
    row = forecast_of(r);
    assert_true(json_is_true(json_object_get(row, "trusted")));
    json_decref(row);
    next_minute(&added_ms);
    rig_until(r, is_kept, &yes);
    static const char policy[] =
        "{\"account\":\"guest\",\"function\":\"f\",\"min\":0,\"max\":3,\"target_inflight\":0.7}";
    struct rig_reply reply = rig_call(
        r, &r->admin,
        (struct scale_call){.op = SCALE_PUT, .name = NR_STR("p"), .body = nr_str_of(policy)});

    assert_int_equal(reply.code, 0); /* from now on the policy says what is kept */
    rig_reply_fini(&reply);
    rig_until(r, is_kept, &no);
    nr_clock_fake(0, 0);
}

static void test_in_shadow_nothing_is_wished_for(void **state)
{
    struct rig *r = *state;
    int64_t added_ms = 0;

    tell_past(r);
    next_minute(&added_ms);
    rig_pass(r, 2500);
    json_t *row = forecast_of(r);

    assert_true(json_is_true(json_object_get(row, "trusted")));
    json_decref(row);
    assert_int_equal(r->wishes, 0);
    nr_clock_fake(0, 0);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_a_trusted_forecast_is_obeyed_where_no_policy_is),
        CASE(test_in_shadow_nothing_is_wished_for),
    };

    return cmocka_run_group_tests_name("plans", tests, NULL, NULL);
}
