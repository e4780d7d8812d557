/* What one may cost the others: one replay at a time, one dead channel, memory of policies that are gone; what is kept has an end.
 */
#include "tests/unit/scaler/rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/json.h"
#include "common/base/mem.h"

#define TRACK(name, function)                                                                      \
    "{\"policy\":\"" name "\",\"target\":{\"account\":\"guest\",\"function\":\"" function "\"},"   \
    "\"evaluate_every\":\"1s\",\"bounds\":{\"min\":1,\"max\":8}"                                   \
    ",\"rules\":[{\"id\":\"busy\",\"when\":{\"metric\":\"inflight\",\"aggregate\":\"last\","       \
    "\"window\":\"3s\"},\"do\":{\"action\":\"track\",\"target\":1}}]}"

enum { AT_ONCE = 20, TOLD = 25 };

static struct rig_reply ask(struct rig *r, enum scale_op op, const char *name, const char *body)
{
    return rig_call(
        r, &r->admin,
        (struct scale_call){.op = op, .name = nr_str_of(name), .body = nr_str_of(body)});
}

static int64_t number(const json_t *j, const char *name)
{
    const json_t *n = json_object_get(j, name);

    assert_true(json_is_number(n));
    return (int64_t)json_number_value(n);
}

static void put(struct rig *r, const char *name, const char *body)
{
    struct rig_reply reply = ask(r, SCALE_PUT, name, body);

    if (reply.code != 0)
        fail_msg("%s", reply.err.text);
    rig_reply_fini(&reply);
}

static bool is_wished(struct rig *r, const void *arg)
{
    const struct rig_wish *w = rig_wish_for(r, arg);

    return w && w->desired > 0;
}

static bool has_heard(struct rig *r, const void *arg)
{
    struct rig_reply reply = ask(r, SCALE_STATUS, "", "");
    bool heard = number(reply.json, "samples") >= *(const int64_t *)arg;

    rig_reply_fini(&reply);
    return heard;
}

/* ---- replays ------------------------------------------------------------------------------------------------ */

struct several {
    struct scale_call call[AT_ONCE];
    unsigned done, good, refused;
};

static void on_done(struct scale_call *c)
{
    struct several *all = c->owner;

    all->done++;
    all->good += c->err.code == 0;
    all->refused += c->err.code == NR_EQUOTA;
    nr_buf_fini(&c->reply);
}

static bool all_done(struct rig *r, const void *arg)
{
    (void)r;
    return ((const struct several *)arg)->done == AT_ONCE;
}

static void ask_at_once(struct rig *r, struct several *all, enum scale_op op, const char *body)
{
    *all = (struct several){0};
    for (unsigned i = 0; i < AT_ONCE; i++) {
        all->call[i] = (struct scale_call){.op = op,
                                           .account = &r->admin,
                                           .admin = true,
                                           .name = NR_STR("p"),
                                           .body = nr_str_of(body),
                                           .done = on_done,
                                           .owner = all};
        scaler_post(r->scaler, &all->call[i]);
    }
    rig_until(r, all_done, all);
}

static void test_one_replay_at_a_time(void **state)
{
    struct rig *r = *state;
    struct several all;

    put(r, "p", TRACK("p", "f"));
    rig_until(r, is_wished, "guest//f");
    ask_at_once(r, &all, SCALE_REPLAY, "");
    assert_in_range(all.good, 1, AT_ONCE - 1);
    assert_int_equal(all.good + all.refused, AT_ONCE);
    ask_at_once(r, &all, SCALE_CHECK, TRACK("p", "f")); /* answered, with or without a replay */
    assert_int_equal(all.good, AT_ONCE);
    ask_at_once(r, &all, SCALE_EXPLAIN, "");
    assert_int_equal(all.good, AT_ONCE);
    struct rig_reply reply = ask(r, SCALE_REPLAY, "p", "");

    assert_int_equal(reply.code, 0); /* and the next one is welcome again */
    rig_reply_fini(&reply);
}

static void test_a_replay_nobody_waits_for_is_given_up(void **state)
{
    struct rig *r = *state;

    put(r, "p", TRACK("p", "f"));
    rig_until(r, is_wished, "guest//f");
    struct rig_reply reply = rig_call(
        r, &r->admin, (struct scale_call){.op = SCALE_REPLAY, .name = NR_STR("p"), .gone = true});

    assert_int_equal(reply.code, NR_ECANCELED);
    rig_reply_fini(&reply);
    reply = ask(r, SCALE_REPLAY, "p", "");
    assert_int_equal(reply.code, 0);
    rig_reply_fini(&reply);
}

/* Samples of "off" are not those of "f", though its name is in theirs. */
static void test_a_replay_reads_samples_of_its_functions_only(void **state)
{
    struct rig *r = *state;
    int64_t told = 2 * TOLD;

    put(r, "p", TRACK("p", "f"));
    rig_until(r, is_wished, "guest//f");
    for (unsigned i = 0; i < TOLD; i++)
        rig_sample(r, i % 5 == 0 ? "f" : "off", 1, 1);
    rig_until(r, has_heard, &told);
    struct rig_reply reply = ask(r, SCALE_REPLAY, "p", "");

    assert_int_equal(number(reply.json, "samples"), TOLD + TOLD / 5); /* the node's, and f's */
    rig_reply_fini(&reply);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_one_replay_at_a_time),
        CASE(test_a_replay_nobody_waits_for_is_given_up),
        CASE(test_a_replay_reads_samples_of_its_functions_only),
    };

    cmocka_set_test_filter(getenv("NARAE_TEST_FILTER"));
    return cmocka_run_group_tests_name("bounds", tests, NULL, NULL);
}
