/* Documents that are wrong: each mistake is told with where it is, what stands there and what would be right; several at once; and nothing that a tired or a
 * hostile person writes comes through.
 */
#include "scaler/policy/policy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/json.h"
#include "common/base/mem.h"
#include "tests/unit/scaler/policy/documents.h"

#define TARGET "\"policy\":\"p\",\"target\":{\"account\":\"a\",\"function\":\"f\"}"
/* A document with one rule; one that tracks; one with one condition. */
#define RULE(text) "{" TARGET ",\"rules\":[{" text "}]}"
#define WHEN(text) RULE("\"id\":\"r\",\"when\":{" text "},\"do\":{\"action\":\"add\",\"count\":1}")
#define BUSY "\"metric\":\"inflight\",\"op\":\">\",\"value\":1"
#define DO(text) RULE("\"id\":\"r\",\"when\":{" BUSY "},\"do\":{" text "}")
#define WITH(text) "{" TARGET "," text "}"

static const struct {
    const char *text, *path, *value, *why, *nearest;
} bad[] = {
    /* no document at all */
    {"", "", "", "ends too early", ""},
    {"{", "", "", "line 1", ""},
    {"[]", "", "[]", "it must be an object", ""},
    {"7", "", "7", "it must be an object", ""},
    {"{}", "policy", "", "name is missing", ""},
    {"{\"policy\":\"p\"}", "target", "", "it is missing", ""},
    {WITH("\"mode\":\"off\",\"mode\":\"enforce\""), "", "", "written twice", ""},
    /* members */
    {WITH("\"rule\":[]"), "rule", "[]", "no such member", "rules"},
    {WITH("\"limts\":{}"), "limts", "{}", "no such member", "limits"},
    {WITH("\"zzzzzzzz\":1"), "zzzzzzzz", "1", "no such member", ""},
    {"{\"policy\":\"a b\",\"target\":{\"nodes\":true},\"webhook\":\"w\"}", "policy", "\"a b\"",
     "letters, digits", ""},
    {"{\"policy\":7,\"target\":{\"nodes\":true},\"webhook\":\"w\"}", "policy", "7",
     "text in quotes", ""},
    {WITH("\"mode\":\"dryrun\""), "mode", "\"dryrun\"", "enforce, dry_run, off", "dry_run"},
    {WITH("\"mode\":\"dry-run\""), "mode", "\"dry-run\"", "one of", "dry_run"},
    {WITH("\"mode\":true"), "mode", "true", "one of", ""},
    {WITH("\"evaluate_every\":2"), "evaluate_every", "2", "needs its unit", "2s"},
    {WITH("\"evaluate_every\":\"2 sec\""), "evaluate_every", "\"2 sec\"", "such as", "2s"},
    {WITH("\"evaluate_every\":\"1 Minute\""), "evaluate_every", "\"1 Minute\"", "such as", "1m"},
    {WITH("\"evaluate_every\":\"2 hours\""), "evaluate_every", "\"2 hours\"", "such as", ""},
    {WITH("\"evaluate_every\":0"), "evaluate_every", "0", "needs its unit", "1s"},
    {WITH("\"evaluate_every\":\"soon\""), "evaluate_every", "\"soon\"", "such as", ""},
    {WITH("\"evaluate_every\":\"100ms\""), "evaluate_every", "\"100ms\"", "1s to 10m", "1s"},
    {WITH("\"evaluate_every\":\"1h\""), "evaluate_every", "\"1h\"", "1s to 10m", "10m"},
    {WITH("\"description\":\"a\\u0000b\""), "description", "\"a\\u0000b\"", "NUL", ""},
    /* targets */
    {"{\"policy\":\"p\",\"target\":{\"account\":\"a\"}}", "target.function", "", "missing", ""},
    {"{\"policy\":\"p\",\"target\":\"a/f\"}", "target", "\"a/f\"", "an object", ""},
    {"{\"policy\":\"p\",\"target\":{\"account\":\"a\",\"function\":\"/a/p/f\"}}", "target.function",
     "\"/a/p/f\"", "package/name", ""},
    {"{\"policy\":\"p\",\"target\":{\"account\":\"a\",\"funktion\":\"f\"}}", "target.funktion",
     "\"f\"", "no such member", "function"},
    {"{\"policy\":\"p\",\"target\":{\"account\":\"a\",\"function\":\"f\",\"version\":\"latest\"}}",
     "target.version", "\"latest\"", "PUBLISHED or LATEST", "LATEST"},
    {"{\"policy\":\"p\",\"target\":{\"account\":\"a\",\"function\":\"f\",\"version\":\"0.0.3\"}}",
     "target.version", "\"0.0.3\"", "all versions of a function together", ""},
    {"{\"account\":\"a\",\"function\":\"f\",\"version\":\"2\",\"min\":0,\"max\":2,\"target_inflight\":0.7}",
     "version", "\"2\"", "all versions of a function together", ""},
    {"{\"policy\":\"p\",\"target\":{\"account\":\"a/b\",\"function\":\"f\"}}", "target.account",
     "\"a/b\"", "no name of an account", ""},
    {"{\"policy\":\"p\",\"target\":{\"account\":\"a\",\"function\":\"f\",\"stems\":\"python:3\"}}",
     "target", NULL, "one of", ""},
    {"{\"policy\":\"p\",\"target\":{\"stems\":\"python:3\\n\"}}", "target.stems", NULL,
     "no kind of runtime", "python:3"},
    {"{\"policy\":\"p\",\"target\":{\"nodes\":true}}", "webhook", "", "whom to tell", ""},
    /* bounds */
    {WITH("\"bounds\":{\"min\":5,\"max\":4}"), "bounds.min", "5", "more than max, which is 4", "4"},
    {WITH("\"bounds\":{\"min_warm\":3,\"max\":2}"), "bounds.min_warm", "3", "more than max", "2"},
    {WITH("\"bounds\":{\"min\":-1}"), "bounds.min", "-1", "0 to 100000", "0"},
    {WITH("\"bounds\":{\"max\":100001}"), "bounds.max", "100001", "0 to 100000", "100000"},
    {WITH("\"bounds\":{\"max\":\"40\"}"), "bounds.max", "\"40\"", "without quotes", "40"},
    {WITH("\"bounds\":{\"max\":2.5}"), "bounds.max", "2.5", "whole number", "3"},
    {WITH("\"bounds\":{\"max\":1e300}"), "bounds.max", NULL, "0 to 100000", "100000"},
    {WITH("\"bounds\":{\"on_demand\":\"no\"}"), "bounds.on_demand", "\"no\"", "without quotes",
     "false"},
    {WITH("\"bounds\":{\"minimum\":1}"), "bounds.minimum", "1", "no such member", "min"},
    /* rules */
    {WITH("\"rules\":{}"), "rules", "{}", "a list", ""},
    {WITH("\"rules\":[7]"), "rules[0]", "7", "an object", ""},
    {RULE("\"when\":{" BUSY "},\"do\":{\"action\":\"freeze\"}"), "rules[0].id", "", "missing", ""},
    {RULE("\"id\":\"r\",\"do\":{\"action\":\"freeze\"}"), "rules[0].when", "", "missing", ""},
    {RULE("\"id\":\"r\",\"when\":{" BUSY "}"), "rules[0].do", "", "missing", ""},
    {RULE("\"id\":\"r\",\"priority\":1.5,\"when\":{" BUSY "},\"do\":{\"action\":\"freeze\"}"),
     "rules[0].priority", "1.5", "-1000 to 1000", ""},
    {RULE("\"id\":\"r\",\"cooldwn\":\"1s\",\"when\":{" BUSY "},\"do\":{\"action\":\"freeze\"}"),
     "rules[0].cooldwn", "\"1s\"", "no such member", "cooldown"},
    {RULE("\"id\":\"r\",\"notify\":\"ops\",\"when\":{" BUSY "},\"do\":{\"action\":\"alert\"}"),
     "rules[0].notify", "\"ops\"", "list", ""},
    {RULE("\"id\":\"r\",\"notify\":[\"a b\"],\"when\":{" BUSY "},\"do\":{\"action\":\"alert\"}"),
     "rules[0].notify[0]", "\"a b\"", "no name of a channel", ""},
    {WITH("\"rules\":[{\"id\":\"a\",\"when\":{" BUSY "},\"do\":{\"action\":\"freeze\"}},{\"id\":"
          "\"a\",\"when\":{" BUSY "},\"do\":{\"action\":\"freeze\"}}]"),
     "rules[1].id", "\"a\"", "rules[0] has the same id", ""},
    /* what a rule does */
    {DO("\"action\":\"trak\",\"target\":1"), "rules[0].do.action", "\"trak\"", "track, add",
     "track"},
    {DO("\"target\":1"), "rules[0].do", NULL, "action is missing", ""},
    {DO("\"action\":\"track\""), "rules[0].do", NULL, "needs a target", ""},
    {DO("\"action\":\"add\""), "rules[0].do", NULL, "needs a count or a percent", ""},
    {DO("\"action\":\"add\",\"count\":1,\"percent\":5"), "rules[0].do.percent", "5", "not both",
     ""},
    {DO("\"action\":\"set\""), "rules[0].do", NULL, "needs a count", ""},
    {DO("\"action\":\"freeze\",\"count\":3"), "rules[0].do.count", "3", "takes none", ""},
    {DO("\"action\":\"remove\",\"count\":1,\"target\":3"), "rules[0].do.target", "3", "takes none",
     ""},
    {DO("\"action\":\"track\",\"target\":0"), "rules[0].do.target", "0", "it must be", "1e-06"},
    {DO("\"action\":\"track\",\"target\":1,\"tolerance\":2"), "rules[0].do.tolerance", "2",
     "0 to 0.9", "0.9"},
    {WITH("\"bounds\":{\"max\":5},\"rules\":[{\"id\":\"r\",\"when\":{" BUSY "},\"do\":{\"action\":"
          "\"set\",\"count\":6}}]"),
     "rules[0].do.count", "6", "bounds.max", "5"},
    /* a target that its own rule never reaches */
    {RULE("\"id\":\"r\",\"when\":{\"metric\":\"memory_percent\",\"op\":\">\",\"value\":80},\"do\":{"
          "\"action\":\"track\",\"target\":90}"),
     "rules[0].do.target", "90", "hysteresis", "80"},
    {RULE("\"id\":\"r\",\"when\":{\"metric\":\"memory_percent\",\"op\":\"<\",\"value\":20},\"do\":{"
          "\"action\":\"track\",\"target\":10}"),
     "rules[0].do.target", "10", "hysteresis", "20"},
    {RULE(
         "\"id\":\"r\",\"when\":{\"metric\":\"memory_percent\",\"op\":\"outside\",\"value\":[2,8]},"
         "\"do\":{\"action\":\"track\",\"target\":9}"),
     "rules[0].do.target", "9", "hysteresis", "8"},
    /* what it waits for */
    {WHEN(""), "rules[0].when", "{}", "has a metric", ""},
    {WHEN("\"metric\":\"inflght\",\"op\":\">\",\"value\":1"), "rules[0].when.metric", "\"inflght\"",
     "no such metric", "inflight"},
    {WHEN("\"metric\":\"cpu_percentage\",\"op\":\">\",\"value\":1,\"agregate\":\"avg\""),
     "rules[0].when.agregate", "\"avg\"", "no such member", "aggregate"},
    {WHEN("\"metric\":\"memory_mbb\",\"op\":\">\",\"value\":1"), "rules[0].when.metric",
     "\"memory_mbb\"", "no such metric", "memory_mb"},
    {WHEN("\"metric\":\"rps\",\"op\":\">\",\"value\":1"), "rules[0].when.metric", "\"rps\"",
     "no such metric", "arrivals"},
    {WHEN("\"metric\":\"inflight\",\"op\":\"=\",\"value\":1"), "rules[0].when.op", "\"=\"",
     ">, >=", "=="},
    {WHEN("\"metric\":\"inflight\",\"op\":\"gte\",\"value\":1"), "rules[0].when.op", "\"gte\"",
     ">, >=", ">="},
    {WHEN("\"metric\":\"inflight\",\"op\":\">\",\"value\":\"80%\""), "rules[0].when.value",
     "\"80%\"", "without quotes and unit", "80"},
    {WHEN("\"metric\":\"queue_wait\",\"op\":\">\",\"value\":1"), "rules[0].when.metric",
     "\"queue_wait\"", "no such metric", "queue_wait_ms"},
    {WHEN("\"metric\":\"room temp\",\"op\":\">\",\"value\":1"), "rules[0].when.metric",
     "\"room temp\"", "letters, digits", ""},
    {WHEN("\"metric\":\"inflight\",\"op\":\">\",\"value\":1,\"aggregate\":\"average\""),
     "rules[0].when.aggregate", "\"average\"", "avg, sum", "avg"},
    {WHEN("\"metric\":\"inflight\",\"op\":\">\",\"value\":1,\"aggregate\":\"p98\""),
     "rules[0].when.aggregate", "\"p98\"", "p99", "p90"},
    {WHEN("\"metric\":\"inflight\",\"op\":\"=>\",\"value\":1"), "rules[0].when.op", "\"=>\"",
     ">, >=", ">="},
    {WHEN("\"metric\":\"inflight\",\"op\":\">\",\"value\":1,\"window\":\"3s\""),
     "rules[0].when.window", "\"3s\"", "shorter than two evaluations", "4s"},
    {WHEN("\"metric\":\"inflight\",\"op\":\">\",\"value\":1,\"window\":\"2h\""),
     "rules[0].when.window", "\"2h\"", "1s to 1h", "1h"},
    {WITH("\"evaluate_every\":\"1m\",\"rules\":[{\"id\":\"r\",\"when\":{" BUSY
          "},\"do\":{\"action\":\"freeze\"}}]"),
     "rules[0].when.window", "", "evaluate_every is 1m", "2m"},
    {WHEN("\"metric\":\"inflight\""), "rules[0].when.op", "", "only track needs no comparison",
     ">"},
    {WHEN("\"metric\":\"inflight\",\"value\":3"), "rules[0].when.op", "", "nothing to compare",
     ">"},
    {WHEN("\"metric\":\"inflight\",\"op\":\">\""), "rules[0].when.value", "", "missing", ""},
    {WHEN("\"metric\":\"inflight\",\"op\":\">\",\"value\":\"7\""), "rules[0].when.value", "\"7\"",
     "without quotes", "7"},
    {WHEN("\"metric\":\"inflight\",\"op\":\">\",\"value\":[1,2]"), "rules[0].when.value", "[1,2]",
     "between and outside", ""},
    {WHEN("\"metric\":\"inflight\",\"op\":\"between\",\"value\":1"), "rules[0].when.value", "1",
     "a pair", ""},
    {WHEN("\"metric\":\"inflight\",\"op\":\"between\",\"value\":[3,1]"), "rules[0].when.value",
     "[3,1]", "low one comes first", ""},
    {WHEN("\"all\":[]"), "rules[0].when.all", "[]", "one or more", ""},
    {WHEN("\"all\":[{" BUSY "},{\"metric\":\"x\"}]"), "rules[0].when.all[1].op", "", "missing",
     ">"},
    {WHEN("\"all\":[{" BUSY "}],\"any\":[{" BUSY "}]"), "rules[0].when", NULL, "only one of", ""},
    {WHEN("\"all\":[{" BUSY "}],\"window\":\"10s\""), "rules[0].when.window", "\"10s\"",
     "belongs to a metric", ""},
    {WHEN("\"not\":{\"any\":[{\"not\":{\"metric\":\"erors\",\"op\":\">\",\"value\":1}}]}"),
     "rules[0].when.not.any[0].not.metric", "\"erors\"", "no such metric", "errors"},
    {RULE("\"id\":\"r\",\"when\":{\"metric\":\"inflight\",\"for\":\"9s\"},\"do\":{\"action\":"
          "\"track\",\"target\":1}"),
     "rules[0].when.for", "\"9s\"", "nothing that could hold", ""},
    /* whose metric */
    {WHEN("\"metric\":\"trigger_lag\",\"op\":\">\",\"value\":1"), "rules[0].when.labels", "",
     "needs the topic", ""},
    {WHEN("\"metric\":\"trigger_lag\",\"labels\":{\"topik\":\"t\"},\"op\":\">\",\"value\":1"),
     "rules[0].when.labels.topik", "\"t\"", "topic and group", "topic"},
    {WHEN("\"metric\":\"inflight\",\"labels\":{\"room\":\"a\"},\"op\":\">\",\"value\":1"),
     "rules[0].when.labels.room", "\"a\"", "account and function", ""},
    {WHEN("\"metric\":\"inflight\",\"labels\":{\"account\":\"b\"},\"op\":\">\",\"value\":1"),
     "rules[0].when.labels", NULL, "needs the function", ""},
    {WHEN("\"metric\":\"node_waiting\",\"labels\":{\"host\":\"b\"},\"op\":\">\",\"value\":1"),
     "rules[0].when.labels.host", "\"b\"", "node only", ""},
    {WHEN("\"metric\":\"own_metric\",\"labels\":{\"a\":\"1\",\"b\":\"1\",\"c\":\"1\",\"d\":\"1\","
          "\"e\":\"1\",\"f\":\"1\",\"g\":\"1\",\"h\":\"1\",\"i\":\"1\"},\"op\":\">\",\"value\":1"),
     "rules[0].when.labels.i", "\"1\"", "more than 8", ""},
    {WHEN("\"metric\":\"own_metric\",\"labels\":{\"a b\":\"1\"},\"op\":\">\",\"value\":1"),
     "rules[0].when.labels.a b", "\"1\"", "letters, digits", ""},
    {"{\"policy\":\"p\",\"target\":{\"stems\":\"python:3\"},\"rules\":[{\"id\":\"r\",\"when\":{" BUSY
     "},\"do\":{\"action\":\"freeze\"}}]}",
     "rules[0].when.labels", "", "none of its own", ""},
    /* timetables */
    {WITH("\"schedule\":[{\"cron\":\"0 25 * * *\",\"for\":\"1h\",\"min\":1}]"), "schedule[0].cron",
     "\"0 25 * * *\"", "hour \"25\"", ""},
    {WITH("\"schedule\":[{\"cron\":\"0 6 * * *\",\"timezone\":\"Europe/Berln\",\"for\":\"1h\","
          "\"min\":1}]"),
     "schedule[0].timezone", "\"Europe/Berln\"", "no such time zone", "Europe/Berlin"},
    {WITH("\"schedule\":[{\"cron\":\"0 6 * * *\",\"min\":1}]"), "schedule[0].for", "", "missing",
     ""},
    {WITH("\"schedule\":[{\"cron\":\"0 6 * * *\",\"for\":\"1h\"}]"), "schedule[0]", NULL,
     "changes nothing", ""},
    {WITH("\"bounds\":{\"max\":3},\"schedule\":[{\"cron\":\"0 6 * * *\",\"for\":\"1h\","
          "\"min_warm\":4}]"),
     "schedule[0].min_warm", "4", "more than max", "3"},
    /* values that a metric never has */
    {WHEN("\"metric\":\"error_ratio\",\"op\":\">\",\"value\":50"), "rules[0].when.value", "50",
     "0 to 1", "0.5"},
    {WHEN("\"metric\":\"error_ratio\",\"op\":\">\",\"value\":\"50%\""), "rules[0].when.value",
     "\"50%\"", "without quotes", "0.5"},
    {WHEN("\"metric\":\"memory_percent\",\"op\":\">\",\"value\":900"), "rules[0].when.value", "900",
     "0 to 100", "100"},
    {WHEN("\"metric\":\"invocations\",\"op\":\"<\",\"value\":-1"), "rules[0].when.value", "-1",
     "it must be 0", "0"},
    {WHEN("\"metric\":\"node_cpu_percent\",\"op\":\"outside\",\"value\":[10,101]"),
     "rules[0].when.value", "[10,101]", "never outside of 0 to 100", ""},
    {RULE("\"id\":\"r\",\"when\":{\"metric\":\"error_ratio\"},\"do\":{\"action\":\"track\","
          "\"target\":20}"),
     "rules[0].do.target", "20", "error_ratio is 0 to 1", "0.2"},
    {"{\"policy\":\"p\",\"account\":\"a\",\"function\":\"f\",\"target_inflight\":\"70%\"}",
     "target_inflight", "\"70%\"", "without quotes", "0.7"},
    /* a member twice, on every level */
    {WITH("\"bounds\":{\"max\":1,\"max\":2}"), "", "", "written twice", ""},
    {RULE("\"id\":\"r\",\"id\":\"r\",\"when\":{" BUSY "},\"do\":{\"action\":\"freeze\"}"), "", "",
     "written twice", ""},
    {WHEN("\"all\":[{" BUSY ",\"value\":2}]"), "", "", "written twice", ""},
    {WHEN("\"metric\":\"own\",\"labels\":{\"a\":\"1\",\"a\":\"2\"},\"op\":\">\",\"value\":1"), "",
     "", "written twice", ""},
    {"{\"policy\":\"p\",\"target\":{\"account\":\"a\",\"account\":\"b\",\"function\":\"f\"}}", "",
     "", "written twice", ""},
    /* the forecast */
    {WITH("\"predict\":{\"model\":\"arima\"}"), "predict.model", "\"arima\"", "one of auto", ""},
    {WITH("\"predict\":{\"seasons\":[\"24h\",24]}"), "predict.seasons[1]", "24", "needs its unit",
     "1m"},
    {WITH("\"predict\":{\"horizon\":\"never\"}"), "predict.horizon", "\"never\"", "such as", ""},
    {WITH("\"predict\":{\"quantile\":90}"), "predict.quantile", "90", "0.5 to 0.999", "0.9"},
    {WITH("\"predict\":{\"may\":[\"prewarn\"]}"), "predict.may[0]", "\"prewarn\"", "prewarm",
     "prewarm"},
    /* limits */
    {WITH("\"limits\":{\"up\":{\"max_count\":2,\"per\":\"60s\"},\"down\":{\"max_count\":2,\"per\":"
          "\"10s\"}}"),
     "limits.down.max_count", "2", "down goes faster than up", ""},
    {WITH("\"limits\":{\"up\":{\"max_percent\":20,\"per\":\"60s\"},\"down\":{\"max_percent\":50,"
          "\"per\":\"60s\"}}"),
     "limits.down.max_percent", "50", "down goes faster than up", "20"},
    {WITH("\"limits\":{\"up\":{\"max_count\":1,\"per\":\"1m\"},\"down\":{\"max_percent\":10,"
          "\"per\":\"1s\"}}"),
     "limits.down.per", "\"1s\"", "faster than up, where it is 1 per 1m, however many", "1m"},
    {WITH("\"bounds\":{\"max\":10},\"limits\":{\"up\":{\"max_percent\":20,\"per\":\"1m\"},"
          "\"down\":{\"max_count\":3,\"per\":\"1m\"}}"),
     "limits.down.per", "\"1m\"", "faster than up, where it is 20 % per 1m", "90s"},
    {WITH("\"limits\":{\"up\":{\"stabilize\":\"60s\"},\"down\":{\"stabilize\":\"10s\"}}"),
     "limits.down.stabilize", "\"10s\"", "down goes faster", "1m"},
    {WITH("\"limits\":{\"up\":{\"max_count\":0}}"), "limits.up.max_count", "0", "1 to 100000", "1"},
    /* missing metrics */
    {WITH("\"missing_metrics\":{\"do\":\"fall_back\",\"count\":1}"), "missing_metrics.do",
     "\"fall_back\"", "hold, fallback", "fallback"},
    {WITH("\"missing_metrics\":{\"do\":\"fallback\"}"), "missing_metrics.count", "", "needs it",
     ""},
    {WITH("\"missing_metrics\":{\"count\":1}"), "missing_metrics.count", "1", "takes none", ""},
    /* the short form speaks of itself */
    {"{\"policy\":\"p\",\"min\":0,\"max\":20}", "account", "", "missing", ""},
    {"{\"policy\":\"p\",\"account\":\"a\",\"function\":\"f\",\"max\":2,\"min\":3}", "min", "3",
     "more than max", "2"},
    {"{\"policy\":\"p\",\"account\":\"a\",\"function\":\"f\",\"target_inflight\":\"0.7\"}",
     "target_inflight", "\"0.7\"", "without quotes", "0.7"},
    {"{\"policy\":\"p\",\"account\":\"a\",\"function\":\"f\",\"target_inflight\":1e308}",
     "target_inflight", "1e+308", "it must be", "1000000000000"},
    {"{\"policy\":\"p\",\"account\":\"a\",\"function\":\"f\",\"max\":2,\"target_inflite\":0.7}",
     "target_inflite", "0.7", "no such member", "target_inflight"},
};

static bool judge(size_t i)
{
    struct policy_problem found[4] = {0};
    struct policy *p = NULL;
    struct nr_err err = {0};
    size_t count = 99;
    int r = policy_read(nr_str_of(bad[i].text), NULL, &p, found, 4, &count, &err);
    bool good = r == NR_EINVAL && p == NULL && count > 0 && err.code == NR_EINVAL &&
                strstr(err.text, bad[i].why) && strcmp(found[0].path, bad[i].path) == 0 &&
                (bad[i].value == NULL || strcmp(found[0].value, bad[i].value) == 0) &&
                strstr(found[0].why, bad[i].why) && strcmp(found[0].nearest, bad[i].nearest) == 0;

    if (!good)
        print_error("%s\n%d: %s: %s \"%s\" %s (%s)\nnot: %s: \"%s\" %s (%s)\n", bad[i].text, r,
                    err.text, found[0].path, found[0].value, found[0].why, found[0].nearest,
                    bad[i].path, bad[i].value ? bad[i].value : "any", bad[i].why, bad[i].nearest);
    policy_unref(p);
    return good;
}

static void test_bad(void **state)
{
    size_t wrong = 0;

    (void)state;
    for (size_t i = 0; i < nr_countof(bad); i++)
        wrong += !judge(i);
    assert_int_equal(wrong, 0);
}

/* One entry's mistakes do not hide each other. */
static void test_schedules_mistakes(void **state)
{
    static const char *const paths[] = {"schedule[0].for", "schedule[0].min",
                                        "schedule[0].timezone", "schedule[0].cron"};
    struct policy_problem found[8];
    struct policy *p = NULL;
    size_t count;

    (void)state;
    assert_int_equal(
        policy_read(nr_str_of(WITH("\"schedule\":[{\"cron\":\"0 25 * * *\",\"timezone\":\"Europe/"
                                   "Berln\",\"for\":\"soon\",\"min\":\"x\"}]")),
                    NULL, &p, found, 8, &count, NULL),
        NR_EINVAL);
    assert_int_equal(count, nr_countof(paths));
    for (size_t i = 0; i < count; i++)
        assert_string_equal(found[i].path, paths[i]);
}

/* Where only up is slow, and nobody said how down goes, down is as slow; what depends on how many there are is taken. */
static void test_slow_ups(void **state)
{
    static const struct {
        const char *limits;
        int64_t down_per_ms;
    } good[] = {
        {"{\"up\":{\"max_count\":1,\"per\":\"5m\"}}", 300000},
        {"{\"up\":{\"max_count\":8,\"per\":\"10s\"}}", 60000},
        {"{\"up\":{\"max_count\":4,\"per\":\"1m\"},\"down\":{\"max_percent\":50,\"per\":\"30s\"}}",
         30000},
    };

    (void)state;
    for (size_t i = 0; i < nr_countof(good); i++) {
        struct policy *p = NULL;
        struct nr_err err = {0};
        struct nr_buf b;
        size_t count;

        nr_buf_init(&b, 4096);
        nr_buf_printf(&b, "{" TARGET ",\"limits\":%s}", good[i].limits);
        if (policy_read(nr_buf_str(&b), NULL, &p, NULL, 0, &count, &err) != 0)
            fail_msg("%s", err.text);
        assert_int_equal(p->down.per_ms, good[i].down_per_ms);
        policy_unref(p);
        nr_buf_fini(&b);
    }
}

/* A person sees all that is wrong, and the first of it as a sentence. */
static void test_several(void **state)
{
    struct policy_problem found[8];
    struct policy *p = NULL;
    struct nr_err err = {0};
    size_t count;

    (void)state;
    assert_int_equal(
        policy_read(nr_str_of(WITH("\"mode\":\"of\",\"bounds\":{\"min\":3,\"max\":1},\"rules\":[{"
                                   "\"id\":\"a\",\"when\":{\"metric\":\"arivals\"},\"do\":{"
                                   "\"action\":\"add\"}}],\"color\":1")),
                    NULL, &p, found, 8, &count, &err),
        NR_EINVAL);
    assert_int_equal(count, 5);
    assert_string_equal(found[0].path, "mode");
    assert_string_equal(found[1].path, "bounds.min");
    assert_string_equal(found[2].path, "rules[0].do");
    assert_string_equal(found[3].path, "rules[0].when.metric");
    assert_string_equal(found[4].path, "color");
    assert_string_equal(err.text, "mode \"of\": it must be one of enforce, dry_run, off; nearest: "
                                  "off");
    assert_int_equal(
        policy_read(NR_STR("{\"a\":1,\"b\":2,\"c\":3}"), NULL, &p, found, 2, &count, NULL),
        NR_EINVAL);
    assert_int_equal(count, 2);
    assert_int_equal(policy_read(NR_STR("{}"), NULL, &p, NULL, 0, &count, NULL), NR_EINVAL);
    assert_int_equal(count, 0);
    assert_null(p);
}

/* Repeats a text, with a comma between and its number in it. */
#define ADD_TIMES(b, text, times)                                                                  \
    for (int i = 0; i < (times); i++)                                                              \
    nr_buf_printf((b), "%s" text, i ? "," : "", i)

static void repeat(struct nr_buf *b, const char *text, int times)
{
    for (int i = 0; i < times; i++)
        nr_buf_adds(b, text);
}

static int read_buf(struct nr_buf *b, struct policy_problem *found)
{
    struct policy *p = NULL;
    struct nr_err err = {0};
    size_t count;
    int r = policy_read(nr_buf_str(b), NULL, &p, found, 1, &count, &err);

    policy_unref(p);
    nr_buf_fini(b);
    return r;
}

static int read_rules(int rules, struct policy_problem *found)
{
    struct nr_buf b;

    nr_buf_init(&b, 1 << 20);
    nr_buf_adds(&b, "{" TARGET ",\"rules\":[");
    ADD_TIMES(&b, "{\"id\":\"r%d\",\"when\":{" BUSY "},\"do\":{\"action\":\"freeze\"}}", rules);
    nr_buf_adds(&b, "]}");
    return read_buf(&b, found);
}

static int read_conditions(int conditions, struct policy_problem *found)
{
    struct nr_buf b;

    nr_buf_init(&b, 1 << 20);
    nr_buf_adds(&b, "{" TARGET ",\"rules\":[{\"id\":\"r\",\"when\":{\"any\":[");
    ADD_TIMES(&b, "{\"metric\":\"m%d\",\"op\":\">\",\"value\":1}", conditions);
    nr_buf_adds(&b, "]},\"do\":{\"action\":\"freeze\"}}]}");
    return read_buf(&b, found);
}

static int read_schedules(int schedules, struct policy_problem *found)
{
    struct nr_buf b;

    nr_buf_init(&b, 1 << 20);
    nr_buf_adds(&b, "{" TARGET ",\"schedule\":[");
    ADD_TIMES(&b, "{\"cron\":\"%d 0 * * *\",\"for\":\"1h\",\"min\":1}", schedules);
    nr_buf_adds(&b, "]}");
    return read_buf(&b, found);
}

static int read_bytes(size_t bytes, struct policy_problem *found)
{
    struct nr_buf b;

    nr_buf_init(&b, 1 << 20);
    nr_buf_adds(&b, "{" TARGET "}");
    while (b.n < bytes)
        nr_buf_addc(&b, ' ');
    return read_buf(&b, found);
}

/* At the ceiling, and one beyond it. */
static void test_ceilings(void **state)
{
    struct policy_problem found[1];

    (void)state;
    assert_int_equal(read_rules(POLICY_RULES_MAX, found), 0);
    assert_int_equal(read_rules(POLICY_RULES_MAX + 1, found), NR_EINVAL);
    assert_string_equal(found[0].why, "33 rules; at most 32 are allowed");
    assert_int_equal(read_conditions(POLICY_CONDITIONS_MAX - 1, found), 0);
    assert_int_equal(read_conditions(POLICY_CONDITIONS_MAX, found), NR_EINVAL);
    assert_string_equal(found[0].path, "rules[0].when.any");
    assert_non_null(strstr(found[0].why, "more than 128"));
    assert_int_equal(read_schedules(POLICY_SCHEDULES_MAX, found), 0);
    assert_int_equal(read_schedules(POLICY_SCHEDULES_MAX + 1, found), NR_EINVAL);
    assert_non_null(strstr(found[0].why, "at most 32"));
    assert_int_equal(read_bytes(POLICY_MAX_BYTES, found), 0);
    assert_int_equal(read_bytes(POLICY_MAX_BYTES + 1, found), NR_EINVAL);
    assert_non_null(strstr(found[0].why, "65537 bytes; at most 65536"));
}

/* Depth and number are bounded by the parser and by the list of problems; neither takes long or runs over. */
static void test_hostile(void **state)
{
    struct policy_problem found[1];
    struct nr_buf b;

    (void)state;
    nr_buf_init(&b, 1 << 20);
    nr_buf_adds(&b,
                "{" TARGET ",\"rules\":[{\"id\":\"r\",\"do\":{\"action\":\"freeze\"},\"when\":");
    repeat(&b, "{\"not\":", 50);
    nr_buf_adds(&b, "{" BUSY "}");
    repeat(&b, "}", 50);
    nr_buf_adds(&b, "}]}");
    assert_int_equal(read_buf(&b, found), 0);
    nr_buf_init(&b, 1 << 20);
    nr_buf_addc(&b, '{');
    ADD_TIMES(&b, "\"m%d\":1", 6000);
    nr_buf_addc(&b, '}');
    assert_int_equal(read_buf(&b, found), NR_EINVAL);
    nr_buf_init(&b, 1 << 20);
    nr_buf_adds(&b, "{\"");
    for (int i = 0; i < 10000; i++)
        nr_buf_adds(&b, "\xc3\xa9");
    nr_buf_adds(&b, "\":\"");
    for (int i = 0; i < 10000; i++)
        nr_buf_adds(&b, "\xe2\x82\xac");
    nr_buf_adds(&b, "\"}");
    assert_int_equal(read_buf(&b, found), NR_EINVAL);
}

/* A value that is shown is cut between characters. */
static void test_cut(void **state)
{
    struct policy_problem found[1];
    struct policy *p = NULL;
    size_t count;

    (void)state;
    assert_int_equal(
        policy_read(NR_STR(WITH("\"mode\":\"\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2"
                                "\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82"
                                "\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac"
                                "\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2"
                                "\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82"
                                "\xac\xe2\x82\xac\xe2\x82\xac\"")),
                    NULL, &p, found, 1, &count, NULL),
        NR_EINVAL);
    assert_true(nr_utf8_valid(nr_str_of(found[0].value)));
    assert_string_equal(found[0].value + strlen(found[0].value) - 3, "...");
}

/* Every allocation that fails leaves nothing behind. */
static void test_no_memory(void **state)
{
    struct policy_problem found[1];
    struct policy *p = NULL;
    size_t count;
    long n = 0;
    int r;

    (void)state;
    do {
        nr_mem_fail_at(++n, 1);
        r = policy_read(NR_STR(DOCUMENT_WHOLE), NULL, &p, found, 1, &count, NULL);
        nr_mem_fail_at(0, 0);
        assert_true(r == 0 || r == NR_ENOMEM || r == NR_EINVAL);
    } while (r < 0 && n < 1000);
    assert_int_equal(r, 0);
    policy_unref(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_several),
        cmocka_unit_test(test_schedules_mistakes),
        cmocka_unit_test(test_slow_ups),
        cmocka_unit_test(test_ceilings),
        cmocka_unit_test(test_hostile),
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
