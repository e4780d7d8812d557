/* What is told of a document that can be meant but most likely is not, and what is refused beside the document itself: another policy's target, kinds that are
 * not there.
 */
#include "tests/unit/scaler/rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/json.h"
#include "common/base/mem.h"

#define OF(name, function, more)                                                                   \
    "{\"policy\":\"" name "\",\"target\":{\"account\":\"guest\",\"function\":\"" function          \
    "\"}" more "}"

static enum scaler_known known(void *arg, const char *account, const char *function)
{
    (void)arg;
    if (strcmp(account, "guest") != 0)
        return SCALER_NO_ACCOUNT;
    return strcmp(function, "f") == 0 || strcmp(function, "p/f") == 0 ? SCALER_KNOWN
                                                                      : SCALER_NO_FUNCTION;
}

/* A rig whose platform knows guest/f and guest/p/f, and three kinds of stem cells. */
static int setup(void **state)
{
    static const char *const kinds[] = {"python:3", "nodejs:18", "native", NULL};
    int r = rig_setup(state);
    struct rig *rig = *state;

    rig_close(rig, rig->scaler);
    rig->config.known = known;
    rig->config.stem_kinds = kinds;
    rig->scaler = rig_open(rig, "data", true, true);
    return r;
}

static struct rig_reply call(struct rig *r, enum scale_op op, const char *name, const char *body)
{
    return rig_call(
        r, &r->admin,
        (struct scale_call){.op = op, .name = nr_str_of(name), .body = nr_str_of(body)});
}

/* Is there a warning of this path that says so? By PUT and by CHECK. */
static void warned(struct rig *r, const char *body, const char *path, const char *says)
{
    const enum scale_op ops[] = {SCALE_CHECK, SCALE_PUT};

    for (size_t k = 0; k < nr_countof(ops); k++) {
        struct rig_reply reply = call(r, ops[k], ops[k] == SCALE_PUT ? "p" : "", body);
        bool found = false;
        const json_t *one;
        size_t i;

        if (reply.code != 0)
            fail_msg("%s", reply.err.text);
        json_array_foreach(json_object_get(reply.json, "warnings"), i, one)
            found = found || (strcmp(nr_json_string(one, "path"), path) == 0 &&
                              strstr(nr_json_string(one, "why"), says ? says : ""));
        assert_int_equal(found, says != NULL);
        rig_reply_fini(&reply);
    }
}

static void test_functions(void **state)
{
    struct rig *r = *state;

    warned(r, OF("p", "f", ""), "target.function", NULL);
    warned(r, OF("p", "p/f", ""), "target.function", NULL);
    warned(r, OF("p", "nosuch", ""), "target.function", "guest has no function 'nosuch' yet");
    warned(r, "{\"policy\":\"p\",\"target\":{\"account\":\"guets\",\"function\":\"f\"}}",
           "target.account", "no account 'guets' yet");
}

static void test_none_may_run(void **state)
{
    struct rig *r = *state;

    warned(r, OF("p", "f", ",\"bounds\":{\"max\":0}"), "bounds.max", "No container may run");
    warned(r, OF("p", "f", ",\"bounds\":{\"max\":1}"), "bounds.max", NULL);
    warned(r, "{\"policy\":\"p\",\"account\":\"guest\",\"function\":\"f\",\"max\":0}", "max",
           "No container may run");
    warned(r, OF("p", "f", ",\"schedule\":[{\"cron\":\"0 6 * * *\",\"for\":\"1h\",\"max\":0}]"),
           "schedule[0].max", "No container may run");
}

static void test_shares(void **state)
{
    struct rig *r = *state;

    warned(
        r,
        "{\"policy\":\"p\",\"account\":\"guest\",\"function\":\"f\",\"max\":9,\"target_inflight\":70}",
        "target_inflight", "write 0.7");
    warned(
        r,
        "{\"policy\":\"p\",\"account\":\"guest\",\"function\":\"f\",\"max\":9,\"target_inflight\":0.7}",
        "target_inflight", NULL);
}

static void refused(struct rig *r, enum scale_op op, const char *kind, const char *nearest)
{
    char body[128];

    (void)snprintf(body, sizeof(body), "{\"policy\":\"p\",\"target\":{\"stems\":\"%s\"}}", kind);
    struct rig_reply reply = call(r, op, op == SCALE_PUT ? "p" : "", body);
    const json_t *one = json_array_get(json_object_get(reply.json, "problems"), 0);

    assert_int_equal(reply.code, NR_EINVAL);
    assert_string_equal(nr_json_string(one, "path"), "target.stems");
    assert_non_null(strstr(nr_json_string(one, "why"), "python:3 nodejs:18 native"));
    assert_non_null(strstr(nr_json_string(one, "value"), kind));
    if (nearest)
        assert_string_equal(nr_json_string(one, "nearest"), nearest);
    else
        assert_null(nr_json_string(one, "nearest"));
    rig_reply_fini(&reply);
}

static void test_kinds_of_stems(void **state)
{
    struct rig *r = *state;

    refused(r, SCALE_PUT, "python3", "python:3");
    refused(r, SCALE_CHECK, "python", "python:3");
    refused(r, SCALE_CHECK, "ruby:2", NULL);
    struct rig_reply reply =
        call(r, SCALE_PUT, "p", "{\"policy\":\"p\",\"target\":{\"stems\":\"nodejs:18\"}}");

    assert_int_equal(reply.code, 0);
    rig_reply_fini(&reply);
}

/* There is one set of nodes: two that are enforced would undo each other's wishes. */
static void test_nodes_have_one_policy(void **state)
{
    struct rig *r = *state;
    struct rig_reply reply = call(
        r, SCALE_PUT, "n", "{\"policy\":\"n\",\"target\":{\"nodes\":true},\"webhook\":\"ops\"}");

    assert_int_equal(reply.code, 0);
    rig_reply_fini(&reply);
    reply = call(r, SCALE_PUT, "m",
                 "{\"policy\":\"m\",\"target\":{\"nodes\":true},\"webhook\":\"other\"}");
    assert_int_equal(reply.code, NR_ECONFLICT);
    assert_non_null(strstr(reply.err.text, "'n'"));
    rig_reply_fini(&reply);
    reply = call(r, SCALE_PUT, "m",
                 "{\"policy\":\"m\",\"target\":{\"nodes\":true},\"webhook\":\"other\","
                 "\"mode\":\"dry_run\"}");
    assert_int_equal(reply.code, 0);
    rig_reply_fini(&reply);
}

/* What was recorded of f is not mixed with a document for g. */
static void test_a_replay_is_of_one_target(void **state)
{
    struct rig *r = *state;
    struct rig_reply reply = call(r, SCALE_PUT, "p", OF("p", "f", ""));

    assert_int_equal(reply.code, 0);
    rig_reply_fini(&reply);
    reply = call(r, SCALE_REPLAY, "p", OF("p", "g", ""));
    assert_int_equal(reply.code, NR_EINVAL);
    assert_non_null(strstr(reply.err.text, "guest/f"));
    assert_non_null(strstr(reply.err.text, "guest/g"));
    rig_reply_fini(&reply);
    reply = call(r, SCALE_REPLAY, "p", OF("p", "f", ",\"bounds\":{\"max\":3}"));
    assert_int_equal(reply.code, 0);
    rig_reply_fini(&reply);
    reply = call(r, SCALE_REPLAY, "", OF("p", "g", ""));
    assert_int_equal(reply.code, 0);
    rig_reply_fini(&reply);
    reply = call(r, SCALE_CHECK, "", OF("p", "g", ""));
    assert_int_equal(reply.code, 0);
    rig_reply_fini(&reply);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_functions, setup, rig_teardown),
        cmocka_unit_test_setup_teardown(test_none_may_run, setup, rig_teardown),
        cmocka_unit_test_setup_teardown(test_shares, setup, rig_teardown),
        cmocka_unit_test_setup_teardown(test_kinds_of_stems, setup, rig_teardown),
        cmocka_unit_test_setup_teardown(test_nodes_have_one_policy, setup, rig_teardown),
        cmocka_unit_test_setup_teardown(test_a_replay_is_of_one_target, setup, rig_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
