/* Documents that are right: what each member becomes, what is there when nobody wrote it, and that a policy that is written out and read again is the
 * same policy.
 */
#include "scaler/policy/policy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/json.h"
#include "common/base/mem.h"
#include "tests/unit/scaler/policy/documents.h"

static struct policy *read_named(const char *text, const char *name)
{
    struct policy_problem problems[8];
    struct policy *p = NULL;
    struct nr_err err = {0};
    size_t count = 99;

    if (policy_read(nr_str_of(text), name, &p, problems, nr_countof(problems), &count, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(count, 0);
    return p;
}

static char *written(const struct policy *p)
{
    json_t *j = policy_write(p);
    char *text = nr_json_text(j, &(size_t){0});

    json_decref(j);
    assert_non_null(text);
    return text;
}

/* What is written out reads back as the same. */
static void check_round(const struct policy *p)
{
    char *once = written(p), *twice;
    struct policy *again = read_named(once, NULL);

    twice = written(again);
    assert_string_equal(once, twice);
    free(once);
    free(twice);
    policy_unref(again);
}

static void check_head(const struct policy *p)
{
    assert_string_equal(p->name, "telemetry-burst");
    assert_int_equal(p->target, TARGET_FUNCTION);
    assert_string_equal(p->account, "acme");
    assert_string_equal(p->function, "parse-telemetry");
    assert_string_equal(p->version, "PUBLISHED");
    assert_int_equal(p->mode, POLICY_ENFORCE);
    assert_int_equal(p->evaluate_every_ms, 2000);
    assert_int_equal(p->min, 0);
    assert_int_equal(p->max, 40);
    assert_int_equal(p->min_warm, 1);
    assert_true(p->on_demand);
}

static void check_busy_and_burst(const struct policy *p)
{
    const struct rule *busy = &p->rules[0], *burst = &p->rules[1];
    const struct condition *c = &p->conditions[burst->when];

    assert_string_equal(busy->id, "busy");
    assert_int_equal(busy->action, ACTION_TRACK);
    assert_true(busy->target == 0.7 && busy->tolerance == 0.1 && busy->count == -1);
    assert_int_equal(p->conditions[busy->when].op, OP_NONE);
    assert_int_equal(p->conditions[busy->when].metric.id, METRIC_INFLIGHT_PER_INSTANCE);
    assert_int_equal(burst->action, ACTION_ADD);
    assert_int_equal(burst->priority, 10);
    assert_true(burst->percent == 100 && burst->at_least == 2);
    assert_int_equal(burst->block_down_for_ms, 60000);
    assert_int_equal(c->aggregate, AGGREGATE_AVG);
    assert_int_equal(c->window_ms, 6000);
    assert_int_equal(c->op, OP_GE);
    assert_true(c->value == 1.4);
}

static void check_other_rules(const struct policy *p)
{
    const struct condition *lag = &p->conditions[p->rules[2].when],
                           *slow = &p->conditions[p->rules[3].when];

    assert_int_equal(lag->metric.id, METRIC_TRIGGER_LAG);
    assert_string_equal(lag->metric.topic, "plant.raw");
    assert_null(lag->metric.group);
    assert_int_equal(slow->kind, CONDITION_ALL);
    assert_int_equal(slow->count, 2);
    assert_int_equal(slow->for_ms, 10000);
    assert_int_equal(p->conditions[slow->first].metric.id, METRIC_DURATION_MS);
    assert_int_equal(p->conditions[slow->first].aggregate, AGGREGATE_P99);
    assert_int_equal(p->conditions[slow->first + 1].metric.id, METRIC_CPU_PERCENT);
    assert_int_equal(p->rules[3].cooldown_ms, 30000);
    assert_int_equal(p->rules[4].action, ACTION_SET);
    assert_int_equal(p->rules[4].count, 0);
    assert_int_equal(p->rules[5].action, ACTION_FREEZE);
    assert_int_equal(p->rules[5].priority, 20);
    assert_string_equal(p->rules[5].notify[0], "ops");
    assert_null(p->rules[5].notify[1]);
}

static void check_rest(const struct policy *p)
{
    assert_int_equal(p->schedule_count, 1);
    assert_int_equal(p->schedules[0].for_ms, 12 * 3600000);
    assert_int_equal(p->schedules[0].min_warm, 4);
    assert_int_equal(p->schedules[0].min, -1);
    assert_true(p->predict.enabled && p->predict.may_prewarm && p->predict.may_raise_min);
    assert_int_equal(p->predict.history_ms, INT64_C(14) * 86400000);
    assert_int_equal(p->predict.season_count, 3);
    assert_int_equal(p->predict.season_ms[2], INT64_C(7) * 86400000);
    assert_int_equal(p->predict.horizon_ms, 0);
    assert_true(p->predict.quantile == 0.9 && p->predict.min_confidence == 0.6);
    assert_int_equal(p->predict.max_extra, 6);
    assert_int_equal(p->up.max_count, 8);
    assert_true(p->up.max_percent == 200 && p->down.max_percent == 50);
    assert_int_equal(p->down.max_count, -1);
    assert_int_equal(p->down.stabilize_ms, 300000);
    assert_int_equal(p->missing, MISSING_HOLD);
    assert_int_equal(p->missing_after_ms, 30000);
}

static void test_whole(void **state)
{
    struct policy *p = read_named(DOCUMENT_WHOLE, NULL);

    (void)state;
    assert_int_equal(p->rule_count, 6);
    assert_int_equal(p->condition_count, 8);
    check_head(p);
    check_busy_and_burst(p);
    check_other_rules(p);
    check_rest(p);
    check_round(p);
    assert_ptr_equal(policy_ref(p), p);
    policy_unref(p);
    assert_string_equal(p->name, "telemetry-burst");
    policy_unref(p);
    policy_unref(NULL);
}

static void test_short(void **state)
{
    struct policy *p = read_named(
        "{\"account\":\"acme\",\"function\":\"pkg/f\",\"min\":0,\"max\":20,\"target_inflight\":0.5}",
        "mine");

    (void)state;
    assert_string_equal(p->name, "mine");
    assert_string_equal(p->function, "pkg/f");
    assert_int_equal(p->max, 20);
    assert_int_equal(p->rule_count, 3);
    assert_string_equal(p->rules[0].id, "busy");
    assert_true(p->rules[0].target == 0.5);
    assert_string_equal(p->rules[1].id, "burst");
    assert_true(p->conditions[p->rules[1].when].value == 1.0);
    assert_string_equal(p->rules[2].id, "quiet");
    assert_non_null(strstr(p->document, "target_inflight"));
    assert_null(strstr(p->document, "burst"));
    check_round(p);
    policy_unref(p);
}

/* Members of the long form may stand beside those of the short one. */
static void test_short_with_more(void **state)
{
    struct policy *p =
        read_named("{\"policy\":\"x\",\"account\":\"a\",\"function\":\"f\",\"min\":1,"
                   "\"mode\":\"dry_run\",\"on_demand\":false}",
                   NULL);

    (void)state;
    assert_int_equal(p->mode, POLICY_DRY_RUN);
    assert_int_equal(p->min, 1);
    assert_int_equal(p->max, -1);
    assert_false(p->on_demand);
    assert_true(p->rules[0].target == 0.7);
    check_round(p);
    policy_unref(p);
}

static void test_defaults(void **state)
{
    struct policy *p =
        read_named("{\"policy\":\"x\",\"target\":{\"account\":\"a\",\"function\":\"f\"}}", NULL);

    (void)state;
    assert_int_equal(p->mode, POLICY_ENFORCE);
    assert_int_equal(p->evaluate_every_ms, 2000);
    assert_int_equal(p->max, -1);
    assert_null(p->version);
    assert_false(p->predict.enabled);
    assert_int_equal(p->up.max_count, -1);
    assert_true(p->up.max_percent < 0);
    assert_true(p->down.max_percent == 50);
    assert_int_equal(p->rule_count + p->schedule_count, 0);
    check_round(p);
    policy_unref(p);
}

static void test_targets(void **state)
{
    struct policy *p = read_named(
        "{\"policy\":\"s\",\"target\":{\"stems\":\"python:3\"},\"rules\":[{\"id\":\"a\",\"when\":"
        "{\"metric\":\"arrivals\",\"labels\":{\"account\":\"a\",\"function\":\"f\"},\"aggregate\":"
        "\"rate\",\"op\":\">\",\"value\":3},\"do\":{\"action\":\"set\",\"count\":4}}]}",
        NULL);

    (void)state;
    assert_int_equal(p->target, TARGET_STEMS);
    assert_string_equal(p->stems, "python:3");
    assert_string_equal(p->conditions[0].metric.account, "a");
    assert_string_equal(p->conditions[0].metric.function, "f");
    check_round(p);
    policy_unref(p);
    p = read_named(
        "{\"policy\":\"n\",\"target\":{\"nodes\":true},\"webhook\":\"cloud\",\"rules\":[{\"id\":"
        "\"full\",\"when\":{\"metric\":\"node_memory_percent\",\"aggregate\":\"avg\",\"op\":"
        "\"outside\",\"value\":[20,80]},\"do\":{\"action\":\"track\",\"target\":60}}]}",
        NULL);
    assert_int_equal(p->target, TARGET_NODES);
    assert_string_equal(p->webhook, "cloud");
    assert_true(p->conditions[0].value == 20 && p->conditions[0].value2 == 80);
    check_round(p);
    policy_unref(p);
}

static void test_nesting_and_labels(void **state)
{
    struct policy *p = read_named(
        "{\"policy\":\"n\",\"target\":{\"account\":\"a\",\"function\":\"f\"},\"rules\":[{\"id\":"
        "\"r\",\"when\":{\"any\":[{\"not\":{\"metric\":\"room_temp_celsius\",\"labels\":{\"room\":"
        "\"a\",\"floor\":\"1\"},\"aggregate\":\"last\",\"op\":\"<\",\"value\":-5.5}},{\"all\":[{"
        "\"metric\":\"errors_of_our_own\",\"op\":\"!=\",\"value\":0}]}],\"for\":\"90s\"},\"do\":{"
        "\"action\":\"alert\"},\"notify\":[\"a\",\"b\"]}]}",
        NULL);
    const struct condition *any = &p->conditions[p->rules[0].when], *not, *leaf;

    (void)state;
    assert_int_equal(any->kind, CONDITION_ANY);
    assert_int_equal(any->for_ms, 90000);
    not = &p->conditions[any->first];
    assert_int_equal(not ->kind, CONDITION_NOT);
    leaf = &p->conditions[not ->first];
    assert_int_equal(leaf->metric.id, METRICS);
    assert_string_equal(leaf->metric.name, "room_temp_celsius");
    assert_int_equal(leaf->metric.label_count, 2);
    assert_true(nr_str_eqz(leaf->metric.label[0].name, "room"));
    assert_true(nr_str_eqz(leaf->metric.label[0].value, "a"));
    assert_true(leaf->value == -5.5);
    assert_int_equal(p->conditions[any->first + 1].kind, CONDITION_ALL);
    check_round(p);
    policy_unref(p);
}

/* Who says how slowly it may grow does not have it shrink faster, though nobody spoke of shrinking. */
static void test_slow_growth(void **state)
{
    struct policy *p =
        read_named("{\"policy\":\"x\",\"target\":{\"account\":\"a\",\"function\":"
                   "\"f\"},\"limits\":{\"up\":{\"max_percent\":10,\"per\":\"60s\"}}}",
                   NULL);

    (void)state;
    assert_true(p->down.max_percent == 10);
    check_round(p);
    policy_unref(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole),           cmocka_unit_test(test_short),
        cmocka_unit_test(test_short_with_more), cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_targets),         cmocka_unit_test(test_nesting_and_labels),
        cmocka_unit_test(test_slow_growth),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
