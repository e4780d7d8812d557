/* The scaler behind its port: policies and who may, decisions that become wishes, what holds over a restart and when another one takes over, replays. */
#include "tests/unit/scaler/rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/json.h"
#include "common/base/mem.h"

#define TRACK(name, more)                                                                          \
    "{\"policy\":\"" name "\",\"target\":{\"account\":\"guest\",\"function\":\"f\"},"              \
    "\"evaluate_every\":\"1s\",\"bounds\":{\"min\":1,\"max\":8}" more                              \
    ",\"rules\":[{\"id\":\"busy\",\"when\":{\"metric\":\"inflight\",\"aggregate\":\"last\","       \
    "\"window\":\"3s\"},\"do\":{\"action\":\"track\",\"target\":1}}]}"

static struct rig_reply put(struct rig *r, struct account *who, const char *name, const char *body)
{
    return rig_call(
        r, who,
        (struct scale_call){.op = SCALE_PUT, .name = nr_str_of(name), .body = nr_str_of(body)});
}

static struct rig_reply ask(struct rig *r, struct account *who, enum scale_op op, const char *name)
{
    return rig_call(r, who, (struct scale_call){.op = op, .name = nr_str_of(name)});
}

/* The code alone. */
static int code_of(struct rig_reply reply)
{
    rig_reply_fini(&reply);
    return reply.code;
}

static int64_t number(const json_t *j, const char *name)
{
    const json_t *n = json_object_get(j, name);

    assert_true(json_is_number(n));
    return (int64_t)json_number_value(n);
}

static void put_good(struct rig *r, const char *name, const char *body)
{
    struct rig_reply reply = put(r, &r->admin, name, body);

    if (reply.code != 0)
        fail_msg("%s", reply.err.text);
    rig_reply_fini(&reply);
}

/* ---- policies ----------------------------------------------------------------------------------------------- */

static void test_versions_of_a_policy(void **state)
{
    struct rig *r = *state;
    struct rig_reply reply = put(r, &r->admin, "p", TRACK("p", ""));

    assert_int_equal(reply.code, 0);
    assert_true(reply.created);
    assert_int_equal(number(reply.json, "number"), 1);
    rig_reply_fini(&reply);
    reply = put(r, &r->admin, "p", TRACK("p", ""));
    assert_false(reply.created);
    assert_true(json_is_false(json_object_get(reply.json, "changed")));
    assert_int_equal(number(reply.json, "number"), 1);
    rig_reply_fini(&reply);
    reply = put(r, &r->admin, "p", TRACK("p", ",\"mode\":\"dry_run\""));
    assert_int_equal(number(reply.json, "number"), 2);
    rig_reply_fini(&reply);
    reply = ask(r, &r->admin, SCALE_VERSIONS, "p");
    assert_int_equal(json_array_size(json_object_get(reply.json, "versions")), 2);
    rig_reply_fini(&reply);
    reply = rig_call(r, &r->admin,
                     (struct scale_call){.op = SCALE_SHOW, .name = NR_STR("p"), .number = 1});
    assert_string_equal(nr_json_string(reply.json, "mode"), "enforce");
    assert_null(json_object_get(json_object_get(reply.json, "document"), "mode"));
    rig_reply_fini(&reply);
    reply = rig_call(r, &r->admin,
                     (struct scale_call){.op = SCALE_SHOW, .name = NR_STR("p"), .number = 9});
    assert_int_equal(reply.code, NR_ENOENT);
    rig_reply_fini(&reply);
    assert_int_equal(code_of(ask(r, &r->admin, SCALE_DELETE, "p")), 0);
    assert_int_equal(code_of(ask(r, &r->admin, SCALE_SHOW, "p")), NR_ENOENT);
    assert_int_equal(code_of(ask(r, &r->admin, SCALE_DELETE, "p")), NR_ENOENT);
}

/* A policy is for all versions of a function: where a document names one, that is said. */
static void test_a_named_version_is_warned_of(void **state)
{
    struct rig *r = *state;
    struct rig_reply reply =
        put(r, &r->admin, "v",
            "{\"policy\":\"v\",\"target\":{\"account\":\"guest\",\"function\":\"f\","
            "\"version\":\"PUBLISHED\"},\"bounds\":{\"max\":2}}");
    const json_t *warnings = json_object_get(reply.json, "warnings");

    assert_int_equal(reply.code, 0);
    assert_int_equal(json_array_size(warnings), 1);
    assert_string_equal(nr_json_string(json_array_get(warnings, 0), "path"), "target.version");
    assert_non_null(strstr(nr_json_string(json_array_get(warnings, 0), "why"), "all versions"));
    rig_reply_fini(&reply);
    reply = put(r, &r->admin, "w",
                "{\"policy\":\"w\",\"target\":{\"account\":\"guest\",\"function\":\"g\","
                "\"version\":\"0.0.3\"},\"bounds\":{\"max\":2}}");
    assert_int_equal(reply.code, NR_EINVAL);
    rig_reply_fini(&reply);
}

static void test_mistakes_are_named(void **state)
{
    struct rig *r = *state;
    struct rig_reply reply = put(r, &r->admin, "p", "{\"policy\":\"p\",\"mod\":1}");

    assert_int_equal(reply.code, NR_EINVAL);
    assert_true(json_array_size(json_object_get(reply.json, "problems")) > 0);
    assert_non_null(nr_json_string(reply.json, "error"));
    rig_reply_fini(&reply);
    reply = put(r, &r->admin, "other-name", TRACK("p", ""));
    assert_int_equal(reply.code, NR_EINVAL);
    assert_non_null(strstr(reply.err.text, "other-name"));
    rig_reply_fini(&reply);
    put_good(r, "p", TRACK("p", ""));
    reply = put(r, &r->admin, "q", TRACK("q", ""));
    assert_int_equal(reply.code, NR_ECONFLICT);
    assert_non_null(strstr(reply.err.text, "'p'"));
    rig_reply_fini(&reply);
    reply = put(r, &r->admin, "q", TRACK("q", ",\"mode\":\"dry_run\""));
    assert_int_equal(reply.code, 0); /* one that only watches is welcome, with a word about it */
    assert_int_equal(json_array_size(json_object_get(reply.json, "warnings")), 1);
    rig_reply_fini(&reply);
}

static void test_who_may(void **state)
{
    struct rig *r = *state;
    const enum scale_op admins[] = {SCALE_PUT,    SCALE_DELETE,        SCALE_CHECK,
                                    SCALE_IMPORT, SCALE_CHANNELS,      SCALE_CHANNEL_PUT,
                                    SCALE_STATUS, SCALE_CHANNEL_DELETE};
    const enum scale_op owners[] = {SCALE_SHOW, SCALE_VERSIONS, SCALE_EVALUATE, SCALE_EXPLAIN,
                                    SCALE_REPLAY};

    put_good(r, "p", TRACK("p", ""));
    for (size_t i = 0; i < nr_countof(admins); i++)
        assert_int_equal(code_of(ask(r, &r->guest, admins[i], "p")), NR_EFORBIDDEN);
    for (size_t i = 0; i < nr_countof(owners); i++) {
        assert_int_equal(code_of(ask(r, &r->guest, owners[i], "p")), 0);
        assert_int_equal(code_of(ask(r, &r->other, owners[i], "p")), NR_ENOENT);
    }
    struct rig_reply reply = ask(r, &r->other, SCALE_LIST, "");

    assert_int_equal(number(reply.json, "total"), 0);
    rig_reply_fini(&reply);
    reply = ask(r, &r->guest, SCALE_LIST, "");
    assert_int_equal(number(reply.json, "total"), 1);
    rig_reply_fini(&reply);
    struct scale_call call = {.op = SCALE_EVALUATE, .body = nr_str_of(TRACK("x", ""))};

    assert_int_equal(code_of(rig_call(r, &r->guest, call)), NR_EFORBIDDEN);
    call.op = SCALE_REPLAY;
    assert_int_equal(code_of(rig_call(r, &r->guest, call)), NR_EFORBIDDEN);
}

/* ---- decisions ---------------------------------------------------------------------------------------------- */

struct expected {
    const char *what;
    int desired;
    const char *function; /* that is sampled meanwhile; NULL: none */
    double inflight, instances;
};

/* Tells samples, one a second as nodes do, until the wish is as expected. */
static bool is_wished(struct rig *r, const void *arg)
{
    const struct expected *x = arg;
    const struct rig_wish *w = rig_wish_for(r, x->what);
    static int64_t second;

    if (x->function && nr_wall_ms() / 1000 != second) {
        second = nr_wall_ms() / 1000;
        rig_sample(r, x->function, x->inflight, x->instances);
    }
    return w && w->desired == x->desired;
}

static void until_wished(struct rig *r, struct expected x)
{
    rig_until(r, is_wished, &x);
}

static void test_load_becomes_a_wish_that_is_explained(void **state)
{
    struct rig *r = *state;

    put_good(r, "p", TRACK("p", ""));
    until_wished(r, (struct expected){"guest//f", 1, NULL, 0, 0});
    until_wished(r, (struct expected){"guest//f", 5, "f", 5, 1});
    const struct rig_wish *w = rig_wish_for(r, "guest//f");

    assert_int_equal(w->maximum, 8);
    assert_false(w->ahead_only);
    assert_in_range(w->keep_alive_ms, 1, 60000);
    struct rig_reply reply = ask(r, &r->guest, SCALE_EXPLAIN, "p");
    const json_t *newest = json_array_get(json_object_get(reply.json, "decisions"), 0);

    assert_int_equal(number(newest, "to"), 5);
    assert_int_equal(json_array_size(json_object_get(newest, "votes")), 1);
    rig_reply_fini(&reply);
    reply = ask(r, &r->guest, SCALE_EVALUATE, "p");
    assert_int_equal(number(reply.json, "to"), 5);
    rig_reply_fini(&reply);
}

/* Accounts may be called as the other kinds of targets are: neither is the other's rival, and each has its own wish. */
static void test_accounts_called_like_targets(void **state)
{
    struct rig *r = *state;

    put_good(r, "cells",
             "{\"policy\":\"cells\",\"target\":{\"stems\":\"f\"},\"bounds\":{\"min\":2}}");
    put_good(r, "a",
             "{\"policy\":\"a\",\"target\":{\"account\":\"stems\",\"function\":\"f\"},"
             "\"bounds\":{\"min\":3}}");
    put_good(
        r, "n",
        "{\"policy\":\"n\",\"target\":{\"nodes\":true},\"webhook\":\"w\",\"bounds\":{\"min\":4}}");
    put_good(r, "b",
             "{\"policy\":\"b\",\"target\":{\"account\":\"nodes\",\"function\":\"n\"},"
             "\"bounds\":{\"min\":5}}");
    until_wished(r, (struct expected){"f", 2, NULL, 0, 0});
    until_wished(r, (struct expected){"stems//f", 3, NULL, 0, 0});
    until_wished(r, (struct expected){"nodes//n", 5, NULL, 0, 0});
    assert_int_equal(code_of(ask(r, &r->admin, SCALE_DELETE, "cells")), 0);
    until_wished(r, (struct expected){"f", -1, NULL, 0, 0});
    assert_int_equal(rig_wish_for(r, "stems//f")->desired, 3);
    scaler_forget_account(r->scaler, "stems");
    assert_int_equal(code_of(ask(r, &r->admin, SCALE_SHOW, "n")), 0);
}

/* A wish is taken back when nobody enforces it any more: dry_run, another target, deleted. */
static void test_wishes_are_taken_back(void **state)
{
    struct rig *r = *state;

    put_good(r, "p", TRACK("p", ""));
    until_wished(r, (struct expected){"guest//f", 1, NULL, 0, 0});
    put_good(r, "p", TRACK("p", ",\"mode\":\"dry_run\""));
    until_wished(r, (struct expected){"guest//f", -1, NULL, 0, 0});
    assert_int_equal(rig_wish_for(r, "guest//f")->maximum, -1);
    assert_int_equal(rig_wish_for(r, "guest//f")->keep_alive_ms, -1);
    unsigned before = r->wishes;

    rig_pass(r, 2500); /* two evaluations: they are recorded, and nothing is wished for */
    assert_int_equal(r->wishes, before);
    put_good(r, "p", TRACK("p", ""));
    until_wished(r, (struct expected){"guest//f", 1, NULL, 0, 0});
    assert_int_equal(code_of(ask(r, &r->admin, SCALE_DELETE, "p")), 0);
    until_wished(r, (struct expected){"guest//f", -1, NULL, 0, 0});
    put_good(
        r, "s",
        "{\"policy\":\"s\",\"target\":{\"stems\":\"python:3\"},\"bounds\":{\"min\":3,\"max\":5},"
        "\"evaluate_every\":\"1s\",\"rules\":[{\"id\":\"a\",\"when\":{\"metric\":\"node_cpu_percent\","
        "\"aggregate\":\"avg\",\"window\":\"10s\",\"op\":\">\",\"value\":90},"
        "\"do\":{\"action\":\"set\",\"count\":4}}]}");
    until_wished(r, (struct expected){"python:3", 3, NULL, 0, 0});
}

/* What anybody may write to the topic is obeyed only where an administrator has set this very policy. */
static void test_forged_decisions_are_not_obeyed(void **state)
{
    static const char *const forged[] = {
        "{\"kind\":\"decision\",\"by\":\"me\",\"policy\":\"none\",\"number\":1,\"t\":99999999999999,\"to\":7}",
        "{\"kind\":\"decision\",\"by\":\"me\",\"policy\":\"p\",\"number\":77,\"t\":99999999999999,\"to\":7}",
        "{\"kind\":\"plan\",\"by\":\"me\",\"t\":1,\"desired\":7}",
        "{\"kind\":\"release\",\"by\":\"me\",\"t\":99999999999999}",
        "{\"kind\":\"decision\"}",
        "{",
        "[]",
        ""};
    struct rig *r = *state;

    put_good(r, "p", TRACK("p", ""));
    until_wished(r, (struct expected){"guest//f", 1, NULL, 0, 0});
    unsigned before = r->wishes;

    for (size_t i = 0; i < nr_countof(forged); i++)
        assert_true(bus_publish(r->bus, BUS_DECISIONS, NR_STR("guest/f"), nr_str_of(forged[i])));
    assert_int_equal(code_of(ask(r, &r->admin, SCALE_STATUS, "")), 0);
    rig_pass(r, 100);
    assert_int_equal(r->wishes, before);
    until_wished(r, (struct expected){"guest//f", 4, "f", 4, 1}); /* and it goes on deciding */
}

static void test_bad_samples_are_counted_and_skipped(void **state)
{
    struct rig *r = *state;

    assert_true(bus_publish(r->bus, BUS_METRICS, NR_STR("x"), NR_STR("no sample")));
    assert_true(bus_publish(r->bus, BUS_METRICS, NR_STR("x"),
                            NR_STR("{\"metric\":\"inflight\",\"value\":9}")));
    rig_sample(r, "f", 1, 1);
    rig_pass(r, 50);
    struct rig_reply reply = ask(r, &r->admin, SCALE_STATUS, "");

    assert_int_equal(number(reply.json, "samples"), 2);
    assert_int_equal(number(reply.json, "bad_samples"), 2);
    rig_reply_fini(&reply);
}

/* ---- restarts and others ------------------------------------------------------------------------------------ */

static void reopen(struct rig *r)
{
    rig_close(r, r->scaler);
    r->wishes = 0;
    r->scaler = rig_open(r, "data", true, true);
}

static void test_a_restart_keeps_what_holds(void **state)
{
    struct rig *r = *state;

    put_good(r, "p", TRACK("p", ""));
    until_wished(r, (struct expected){"guest//f", 6, "f", 6, 1});
    reopen(r);
    until_wished(r, (struct expected){"guest//f", 6, NULL, 0, 0});
    /* Nothing is known of any load now: what holds stays, evaluation after evaluation. */
    rig_pass(r, 3000);
    for (unsigned i = 0; i < r->wishes; i++)
        assert_int_equal(r->wish[i].desired, 6);
    struct rig_reply reply = ask(r, &r->admin, SCALE_EXPLAIN, "p");

    assert_true(json_array_size(json_object_get(reply.json, "decisions")) >= 1);
    rig_reply_fini(&reply);
    reply = ask(r, &r->admin, SCALE_VERSIONS, "p");
    assert_int_equal(json_array_size(json_object_get(reply.json, "versions")), 1);
    rig_reply_fini(&reply);
    assert_int_equal(code_of(ask(r, &r->admin, SCALE_DELETE, "p")), 0);
    reopen(r);
    rig_pass(r, 2500);
    assert_int_equal(r->wishes, 0); /* what was taken back stays so */
}

static int64_t evaluations(struct rig *r)
{
    struct rig_reply reply = ask(r, &r->admin, SCALE_STATUS, "");
    int64_t n = number(reply.json, "evaluations");

    rig_reply_fini(&reply);
    return n;
}

static bool has_evaluated(struct rig *r, const void *arg)
{
    return evaluations(r) > *(const int64_t *)arg;
}

/* A scaler that learns its policies hears samples as soon as it has them. */
static bool has_heard(struct rig *r, const void *arg)
{
    struct rig_reply reply = ask(r, &r->admin, SCALE_STATUS, "");
    int64_t n = number(reply.json, "samples");

    (void)arg;
    rig_reply_fini(&reply);
    if (n == 0)
        rig_sample(r, "g", 1, 1);
    return n > 0;
}

/* Two that decide for one platform: one at a time does; when it goes the other goes on from where it was. */
static void test_another_scaler_takes_over(void **state)
{
    struct rig *r = *state;
    struct scaler *first = rig_open(r, "first", false, true), *platform;

    rig_close(r, r->scaler); /* the one that was there owned everything: now `first` does */
    r->scaler = first;
    rig_until(r, has_heard, NULL);
    r->scaler = platform = rig_open(r, "data", true, true);
    put_good(r, "p", TRACK("p", ""));
    until_wished(r, (struct expected){"guest//f", 5, "f", 5, 1});
    assert_int_equal(evaluations(r), 0);
    unsigned before = r->wishes;

    rig_close(r, first);
    int64_t none = 0;

    rig_until(r, has_evaluated, &none);
    rig_pass(r, 1500);
    for (unsigned i = before; i < r->wishes; i++)
        assert_int_equal(r->wish[i].desired, 5); /* told again maybe, but no other */
    struct rig_reply reply = ask(r, &r->admin, SCALE_EXPLAIN, "p");

    assert_int_equal(number(json_array_get(json_object_get(reply.json, "decisions"), 0), "to"), 5);
    rig_reply_fini(&reply);
    assert_ptr_equal(platform, r->scaler);
    until_wished(r, (struct expected){"guest//f", 7, "f", 7, 5});
}

static void test_an_account_that_is_gone_leaves_nothing(void **state)
{
    struct rig *r = *state;

    put_good(r, "p", TRACK("p", ""));
    put_good(
        r, "q",
        "{\"account\":\"other\",\"function\":\"f\",\"min\":1,\"max\":3,\"target_inflight\":0.7}");
    until_wished(r, (struct expected){"guest//f", 3, "f", 3, 1});
    scaler_forget_account(r->scaler, "guest");
    struct rig_reply reply = ask(r, &r->admin, SCALE_LIST, "");

    assert_int_equal(number(reply.json, "total"), 1);
    rig_reply_fini(&reply);
    reply = ask(r, &r->admin, SCALE_FORECASTS, "");
    assert_int_equal(number(reply.json, "total"), 0);
    rig_reply_fini(&reply);
    reopen(r);
    reply = ask(r, &r->admin, SCALE_LIST, "");
    assert_int_equal(number(reply.json, "total"), 1);
    rig_reply_fini(&reply);
}

/* ---- replays ------------------------------------------------------------------------------------------------ */

static void test_a_replay_gives_the_same_decisions(void **state)
{
    struct rig *r = *state;

    put_good(r, "p", TRACK("p", ""));
    until_wished(r, (struct expected){"guest//f", 5, "f", 5, 1});
    until_wished(r, (struct expected){"guest//f", 8, "f", 12, 5});
    struct rig_reply reply = ask(r, &r->guest, SCALE_REPLAY, "p");

    assert_true(json_is_true(json_object_get(reply.json, "exact")));
    assert_true(json_is_true(json_object_get(reply.json, "same")));
    assert_true(number(reply.json, "evaluations") >= 2);
    assert_true(number(reply.json, "samples") >= 4);
    assert_int_equal(json_array_size(json_object_get(reply.json, "differences")), 0);
    assert_int_equal(number(json_object_get(reply.json, "replayed"), "desired_max"), 8);
    rig_reply_fini(&reply);
    reply = rig_call(r, &r->guest,
                     (struct scale_call){.op = SCALE_EXPLAIN, .name = NR_STR("p"), .all = true});
    assert_true(json_array_size(json_object_get(reply.json, "decisions")) >= 2);
    rig_reply_fini(&reply);
    reopen(r); /* the record outlives a restart, and is still repeated exactly */
    reply = ask(r, &r->guest, SCALE_REPLAY, "p");
    assert_true(json_is_true(json_object_get(reply.json, "same")));
    rig_reply_fini(&reply);
}

static bool has_rooms(struct rig *r, const void *arg)
{
    static const char rooms[] = "{\"metric\":\"rooms\",\"value\":%d,\"labels\":{\"account\":"
                                "\"guest\",\"function\":\"sensor\"}}";
    static int64_t second;
    const int *count = arg;
    char text[160];

    if (nr_wall_ms() / 1000 != second) {
        second = nr_wall_ms() / 1000;
        (void)snprintf(text, sizeof(text), rooms, *count);
        assert_true(bus_publish(r->bus, BUS_METRICS, NR_STR("metric/rooms"), nr_str_of(text)));
        rig_sample(r, "f", 1, 1);
    }
    const struct rig_wish *w = rig_wish_for(r, "guest//f");

    return w && w->desired == *count;
}

/* What another function tells is in the record as well, and the same is decided of it again. */
static void test_a_replay_knows_what_other_functions_tell(void **state)
{
    static const char rooms[] =
        "{\"policy\":\"p\",\"target\":{\"account\":\"guest\",\"function\":\"f\"},\"evaluate_every\":\"1s\","
        "\"bounds\":{\"min\":1,\"max\":8},\"rules\":[{\"id\":\"rooms\",\"when\":{\"metric\":\"rooms\","
        "\"aggregate\":\"last\",\"window\":\"30s\"},\"do\":{\"action\":\"track\",\"target\":1}}]}";
    struct rig *r = *state;
    int count = 5;

    put_good(r, "p", rooms);
    rig_until(r, has_rooms, &count);
    struct rig_reply reply = ask(r, &r->admin, SCALE_REPLAY, "p");

    assert_true(json_is_true(json_object_get(reply.json, "exact")));
    assert_true(json_is_true(json_object_get(reply.json, "same")));
    assert_int_equal(number(json_object_get(reply.json, "replayed"), "desired_max"), 5);
    rig_reply_fini(&reply);
    reply = rig_call(r, &r->admin,
                     (struct scale_call){.op = SCALE_EXPLAIN, .name = NR_STR("p"), .all = true});
    const json_t *newest = json_array_get(json_object_get(reply.json, "decisions"), 0);

    assert_int_equal(number(json_array_get(json_object_get(newest, "inputs"), 0), "value"), 5);
    rig_reply_fini(&reply);
}

static void test_a_replay_of_an_edited_rule_tells_the_difference(void **state)
{
    static const char half[] =
        "{\"policy\":\"p\",\"target\":{\"account\":\"guest\",\"function\":\"f\"},\"evaluate_every\":\"1s\","
        "\"bounds\":{\"min\":1,\"max\":3},\"rules\":[{\"id\":\"busy\",\"when\":{\"metric\":\"inflight\","
        "\"aggregate\":\"last\",\"window\":\"3s\"},\"do\":{\"action\":\"track\",\"target\":1}}]}";
    struct rig *r = *state;

    put_good(r, "p", TRACK("p", ""));
    until_wished(r, (struct expected){"guest//f", 6, "f", 6, 1});
    struct scale_call call = {.op = SCALE_REPLAY, .name = NR_STR("p"), .body = nr_str_of(half)};
    struct rig_reply reply = rig_call(r, &r->admin, call);

    assert_int_equal(reply.code, 0);
    assert_true(json_is_false(json_object_get(reply.json, "exact")));
    assert_non_null(nr_json_string(reply.json, "why"));
    assert_int_equal(number(json_object_get(reply.json, "recorded"), "desired_max"), 6);
    assert_int_equal(number(json_object_get(reply.json, "replayed"), "desired_max"), 3);
    assert_true(json_array_size(json_object_get(reply.json, "differences")) > 0);
    rig_reply_fini(&reply);
    /* What a policy would have done that nobody had set. */
    call.name = (struct nr_str){NULL, 0};
    reply = rig_call(r, &r->admin, call);
    assert_int_equal(reply.code, 0);
    assert_true(number(reply.json, "evaluations") >= 1);
    rig_reply_fini(&reply);
}

/* Of what was recorded a check tells which rules would have done nothing. */
static void test_a_check_tells_of_rules_that_sleep(void **state)
{
    static const char document[] =
        "{\"policy\":\"p\",\"target\":{\"account\":\"guest\",\"function\":\"f\"},\"evaluate_every\":\"1s\","
        "\"bounds\":{\"min\":1,\"max\":8},\"rules\":[{\"id\":\"some\",\"when\":{\"metric\":\"inflight\","
        "\"aggregate\":\"last\",\"window\":\"3s\",\"op\":\">\",\"value\":1},\"do\":{\"action\":\"add\",\"count\":1}},"
        "{\"id\":\"many\",\"when\":{\"metric\":\"inflight\",\"aggregate\":\"last\",\"window\":\"3s\","
        "\"op\":\">\",\"value\":1000},\"do\":{\"action\":\"add\",\"count\":1}}]}";
    struct rig *r = *state;
    struct scale_call call = {.op = SCALE_CHECK, .body = nr_str_of(document)};
    struct rig_reply reply = rig_call(r, &r->admin, call);

    assert_int_equal(reply.code, 0); /* nothing is known yet, so nothing is said */
    assert_int_equal(json_array_size(json_object_get(reply.json, "warnings")), 0);
    rig_reply_fini(&reply);
    put_good(r, "p", TRACK("p", ""));
    until_wished(r, (struct expected){"guest//f", 6, "f", 6, 1});
    reply = rig_call(r, &r->admin, call);
    const json_t *warnings = json_object_get(reply.json, "warnings");

    assert_int_equal(json_array_size(warnings), 1);
    assert_string_equal(nr_json_string(json_array_get(warnings, 0), "path"), "rules[1]");
    assert_non_null(json_object_get(reply.json, "document"));
    rig_reply_fini(&reply);
}

/* ---- channels ----------------------------------------------------------------------------------------------- */

static void test_channels(void **state)
{
    static const char *const bad[] = {"{\"url\":\"ftp://x\"}", "{\"url\":\"http://a b\"}", "{}",
                                      "{\"url\":\"http://x\",\"more\":1}", "{"};
    struct rig *r = *state;
    struct scale_call call = {.op = SCALE_CHANNEL_PUT, .name = NR_STR("ops")};

    for (size_t i = 0; i < nr_countof(bad); i++) {
        call.body = nr_str_of(bad[i]);
        assert_int_equal(code_of(rig_call(r, &r->admin, call)), NR_EINVAL);
    }
    call.body = NR_STR("{\"url\":\"http://127.0.0.1:9/x\"}");
    assert_int_equal(code_of(rig_call(r, &r->admin, call)), 0);
    reopen(r);
    struct rig_reply reply = ask(r, &r->admin, SCALE_CHANNELS, "");
    const json_t *one = json_array_get(json_object_get(reply.json, "channels"), 0);

    assert_string_equal(nr_json_string(one, "channel"), "ops");
    assert_string_equal(nr_json_string(one, "url"), "http://127.0.0.1:9/x");
    rig_reply_fini(&reply);
    assert_int_equal(code_of(ask(r, &r->admin, SCALE_CHANNEL_DELETE, "ops")), 0);
    assert_int_equal(code_of(ask(r, &r->admin, SCALE_CHANNEL_DELETE, "ops")), NR_ENOENT);
}

static void on_stopped(void *arg)
{
    *(bool *)arg = true;
}

static bool is_set(struct rig *r, const void *arg)
{
    (void)r;
    return *(const bool *)arg;
}

static void test_calls_after_the_stop_are_refused(void **state)
{
    struct rig *r = *state;
    bool stopped = false;

    put_good(r, "p", TRACK("p", ""));
    scaler_stop(r->scaler, on_stopped, &stopped);
    assert_int_equal(code_of(ask(r, &r->admin, SCALE_LIST, "")), NR_ESTOPPING);
    assert_int_equal(code_of(ask(r, &r->admin, SCALE_REPLAY, "p")), NR_ESTOPPING);
    rig_until(r, is_set, &stopped);
    unsigned before = r->wishes;

    rig_pass(r, 1500);
    assert_int_equal(r->wishes, before);
    scaler_close(r->scaler);
    r->scaler = NULL;
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_versions_of_a_policy),
        CASE(test_mistakes_are_named),
        CASE(test_a_named_version_is_warned_of),
        CASE(test_accounts_called_like_targets),
        CASE(test_who_may),
        CASE(test_load_becomes_a_wish_that_is_explained),
        CASE(test_wishes_are_taken_back),
        CASE(test_forged_decisions_are_not_obeyed),
        CASE(test_bad_samples_are_counted_and_skipped),
        CASE(test_a_restart_keeps_what_holds),
        CASE(test_another_scaler_takes_over),
        CASE(test_an_account_that_is_gone_leaves_nothing),
        CASE(test_a_replay_gives_the_same_decisions),
        CASE(test_a_replay_knows_what_other_functions_tell),
        CASE(test_a_replay_of_an_edited_rule_tells_the_difference),
        CASE(test_a_check_tells_of_rules_that_sleep),
        CASE(test_channels),
        CASE(test_calls_after_the_stop_are_refused),
    };

    cmocka_set_test_filter(getenv("NARAE_TEST_FILTER"));
    return cmocka_run_group_tests_name("scaler", tests, NULL, NULL);
}
