/* Calls wait that may start nothing: the sample that says so is decided on when it comes, recorded as such, and decided the same again from the record. */
#include "tests/unit/scaler/rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/json.h"
#include "common/base/mem.h"

#define TRACK(mode)                                                                                \
    "{\"policy\":\"p\",\"target\":{\"account\":\"guest\",\"function\":\"f\"},"                     \
    "\"evaluate_every\":\"2s\",\"mode\":\"" mode                                                   \
    "\",\"bounds\":{\"min\":1,\"max\":50,\"on_demand\":false},"                                    \
    "\"limits\":{\"up\":{\"stabilize\":\"0s\"}},"                                                  \
    "\"rules\":[{\"id\":\"busy\",\"when\":{\"metric\":\"inflight\",\"aggregate\":\"max\","         \
    "\"window\":\"4s\"},\"do\":{\"action\":\"track\",\"target\":1}}]}"

enum { TRIES = 6, EVERY_MS = 2000 };

static struct rig_reply ask(struct rig *r, struct scale_call call)
{
    struct rig_reply reply = rig_call(r, &r->admin, call);

    if (reply.code != 0)
        fail_msg("%s", reply.err.text);
    return reply;
}

static int64_t status(struct rig *r, const char *member)
{
    struct rig_reply reply = ask(r, (struct scale_call){.op = SCALE_STATUS});
    int64_t n = json_integer_value(json_object_get(reply.json, member));

    rig_reply_fini(&reply);
    return n;
}

static void put(struct rig *r, const char *document)
{
    struct rig_reply reply = ask(
        r, (struct scale_call){.op = SCALE_PUT, .name = NR_STR("p"), .body = nr_str_of(document)});

    rig_reply_fini(&reply);
}

static void calls_wait(struct rig *r, int inflight)
{
    char text[512];
    int n = snprintf(
        text, sizeof(text),
        "{\"v\":1,\"t\":%lld,\"span_ms\":1,\"node\":\"here\",\"seq\":%llu,\"account\":\"guest\",\"function\":\"f\","
        "\"at_once\":true,\"metrics\":{\"inflight\":%d,\"queue_depth\":%d,\"instances\":1}}",
        (long long)nr_wall_ms(), (unsigned long long)++r->seq, inflight, inflight - 1);

    assert_true(
        bus_publish(r->bus, BUS_METRICS, NR_STR("guest/f"), (struct nr_str){text, (size_t)n}));
}

static bool is_wished(struct rig *r, const void *arg)
{
    const struct rig_wish *w = rig_wish_for(r, "guest//f");

    return w && w->desired == *(const int *)arg;
}

static bool is_evaluated(struct rig *r, const void *arg)
{
    return status(r, "evaluations") > *(const int64_t *)arg;
}

/* The policy's next time has just been. */
static void next_time(struct rig *r)
{
    int64_t before = status(r, "evaluations");

    rig_until(r, is_evaluated, &before);
}

static bool was_at_once(struct rig *r, int to)
{
    struct rig_reply reply =
        ask(r, (struct scale_call){.op = SCALE_EXPLAIN, .name = NR_STR("p"), .limit = 1});
    const json_t *d = json_array_get(json_object_get(reply.json, "decisions"), 0);
    const char *why = nr_json_string(d, "at_once");

    assert_int_equal(json_integer_value(json_object_get(d, "to")), to);
    bool between = why && strcmp(why, "calls wait") == 0;

    assert_true(between || json_integer_value(json_object_get(d, "t")) % EVERY_MS < 1000);
    rig_reply_fini(&reply);
    return between;
}

static void replays_the_same(struct rig *r, const char *body, bool exact)
{
    struct rig_reply reply = ask(r, (struct scale_call){.op = SCALE_REPLAY,
                                                        .name = NR_STR("p"),
                                                        .body = nr_str_of(body),
                                                        .upto_ms = INT64_MAX,
                                                        .limit = 50});

    assert_int_equal(json_is_true(json_object_get(reply.json, "exact")), exact);
    if (exact)
        assert_true(json_is_true(json_object_get(reply.json, "same")));
    assert_int_equal(json_array_size(json_object_get(reply.json, "differences")), 0);
    rig_reply_fini(&reply);
}

/* On a slow machine the policy's own time may come first: then it is tried again with more calls. */
static void test_decided_when_it_is_told(void **state)
{
    struct rig *r = *state;
    int one = 1, to = 5;
    bool at_once = false;

    put(r, TRACK("enforce"));
    rig_sample(r, "f", 1, 1);
    rig_until(r, is_wished, &one);
    for (int i = 0; i < TRIES && !at_once; i++) {
        to += 5;
        rig_sample(r, "f", 1, 1);
        next_time(r);
        calls_wait(r, to);
        rig_until(r, is_wished, &to);
        assert_true(rig_wish_for(r, "guest//f")->ahead_only);
        at_once = was_at_once(r, to);
    }
    assert_true(at_once);
    calls_wait(r, 2); /* it goes down at its own time only */
    (void)status(r, "samples");
    assert_true(is_wished(r, &to));
    replays_the_same(r, "", true);
    replays_the_same(r, TRACK("dry_run"), false); /* another document, evaluated at once as well */
}

static bool has_heard(struct rig *r, const void *arg)
{
    return status(r, "samples") == *(const int64_t *)arg;
}

/* Neither what is off, nor what another process decides for, nor a function without a policy. */
static void test_who_is_not_evaluated(void **state)
{
    int64_t all = 22; /* the node's and the function's, then these */
    struct rig *r = *state;

    put(r, TRACK("off"));
    rig_sample(r, "f", 1, 1);
    for (int i = 0; i < 20; i++)
        calls_wait(r, 9);
    rig_until(r, has_heard, &all);
    assert_int_equal(status(r, "evaluations"), 0);
    rig_close(r, r->scaler);
    r->wishes = 0;
    r->scaler = rig_open(r, "data", true, false);
    put(r, TRACK("enforce"));
    rig_sample(r, "f", 1, 1);
    for (int i = 0; i < 20; i++)
        calls_wait(r, 9);
    rig_until(r, has_heard, &all);
    assert_int_equal(status(r, "evaluations"), 0);
    assert_int_equal(r->wishes, 0);
}

/* However many samples say so. */
static void test_a_flood_is_not_followed(void **state)
{
    enum { FLOOD = 2000 };
    struct rig *r = *state;
    int64_t all = FLOOD;
    int one = 1;

    put(r, TRACK("enforce"));
    rig_sample(r, "f", 1, 1);
    rig_until(r, is_wished, &one);
    int64_t before = status(r, "evaluations"), begun_ms = nr_wall_ms();

    all += status(r, "samples");
    for (int i = 0; i < FLOOD; i++)
        calls_wait(r, 1);
    rig_until(r, has_heard, &all);
    int64_t evaluations = status(r, "evaluations") - before, took_ms = nr_wall_ms() - begun_ms;

    assert_true(evaluations <= 2 + took_ms / 100 + took_ms / EVERY_MS);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_decided_when_it_is_told),
        CASE(test_who_is_not_evaluated),
        CASE(test_a_flood_is_not_followed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
