/* Settings of other platforms as they stand in people's files (the corpus of the fuzz target), and the ways in which such files are broken.
 */
#include "scaler/policy/policy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/file.h"
#include "common/base/json.h"
#include "common/base/mem.h"

/* What becomes of a file: the value at a path, as JSON, or a part of the notes (path "notes"). */
static const struct {
    enum import_from from;
    const char *file, *path, *want;
} files[] = {
    {IMPORT_KNATIVE, "knative.yaml", "policy", "\"thumbnails\""},
    {IMPORT_KNATIVE, "knative.yaml", "target.account", "\"media\""},
    {IMPORT_KNATIVE, "knative.yaml", "bounds", "{\"min\":0,\"max\":30}"},
    {IMPORT_KNATIVE, "knative.yaml", "rules.0.when.window", "\"40s\""},
    {IMPORT_KNATIVE, "knative.yaml", "rules.0.do",
     "{\"action\":\"track\",\"target\":8,\"tolerance\":0}"},
    {IMPORT_KNATIVE, "knative.yaml", "rules.1.id", "\"panic\""},
    {IMPORT_KNATIVE, "knative.yaml", "rules.1.when.window", "\"8s\""},
    {IMPORT_KNATIVE, "knative.yaml", "rules.1.when.value", "12"},
    {IMPORT_KNATIVE, "knative.yaml", "rules.1.block_down_for", "\"40s\""},
    {IMPORT_KNATIVE, "knative.yaml", "rules.2.when.window", "\"70s\""},
    {IMPORT_KNATIVE, "knative.yaml", "limits.down.stabilize", "\"15m\""},
    {IMPORT_KNATIVE, "knative.yaml", "notes", "initial-scale: has no counterpart; left out\n"},
    {IMPORT_KNATIVE, "knative-rps.yaml", "rules.0.when.metric", "\"arrivals\""},
    {IMPORT_KNATIVE, "knative-rps.yaml", "rules.0.do.target", "140"},
    {IMPORT_KNATIVE, "knative-rps.yaml", "rules.1", NULL},
    {IMPORT_KNATIVE, "knative-rps.yaml", "target.account", NULL},
    {IMPORT_KNATIVE, "knative-rps.yaml", "notes", "write whose function it is\n"},
    {IMPORT_KEDA, "keda-kafka.yaml", "evaluate_every", "\"15s\""},
    {IMPORT_KEDA, "keda-kafka.yaml", "bounds", "{\"min\":0,\"max\":50}"},
    {IMPORT_KEDA, "keda-kafka.yaml", "rules.0.when.labels",
     "{\"topic\":\"orders\",\"group\":\"orders-group\"}"},
    {IMPORT_KEDA, "keda-kafka.yaml", "rules.0.when.value", "5"},
    {IMPORT_KEDA, "keda-kafka.yaml", "rules.0.do.target", "50"},
    {IMPORT_KEDA, "keda-kafka.yaml", "rules.1.do.target", "100.5"},
    {IMPORT_KEDA, "keda-kafka.yaml", "rules.2.when.metric", "\"cpu_percent\""},
    {IMPORT_KEDA, "keda-kafka.yaml", "rules.3.do", "{\"action\":\"set\",\"count\":2}"},
    {IMPORT_KEDA, "keda-kafka.yaml", "rules.4.when.for", "\"2m\""},
    {IMPORT_KEDA, "keda-kafka.yaml", "rules.4.do", "{\"action\":\"set\",\"count\":0}"},
    {IMPORT_KEDA, "keda-kafka.yaml", "schedule",
     "[{\"cron\":\"0 9 * * 1-5\",\"timezone\":\"Asia/Seoul\",\"for\":\"9h\",\"min\":10}]"},
    {IMPORT_KEDA, "keda-kafka.yaml", "missing_metrics",
     "{\"after\":\"1m\",\"do\":\"current_if_higher\",\"count\":6}"},
    {IMPORT_KEDA, "keda-kafka.yaml", "limits.up",
     "{\"max_count\":4,\"max_percent\":100,\"per\":\"15s\",\"stabilize\":\"0s\"}"},
    {IMPORT_KEDA, "keda-kafka.yaml", "notes", "as \"prometheus_checkout_rate\"\n"},
    {IMPORT_KEDA, "keda-kafka.yaml", "notes", "target.function: \""},
    {IMPORT_KEDA, "keda-paused.yaml", "mode", "\"off\""},
    {IMPORT_KEDA, "keda-paused.yaml", "rules.0.when.metric", "\"rabbitmq_mail_out\""},
    {IMPORT_KEDA, "keda-paused.yaml", "rules.0.do.target", "20"},
    {IMPORT_KEDA, "keda-paused.yaml", "rules.1.do.count", "1"},
    {IMPORT_HPA, "hpa.yaml", "evaluate_every", "\"15s\""},
    {IMPORT_HPA, "hpa.yaml", "bounds", "{\"min\":2,\"max\":12}"},
    {IMPORT_HPA, "hpa.yaml", "rules.0.do.target", "65"},
    {IMPORT_HPA, "hpa.yaml", "rules.1.when.metric", "\"memory_mb\""},
    {IMPORT_HPA, "hpa.yaml", "rules.1.do.target", "512"},
    {IMPORT_HPA, "hpa.yaml", "rules.2.do.target", "1000"},
    {IMPORT_HPA, "hpa.yaml", "rules.3.when.labels", "{\"queue\":\"worker_tasks\"}"},
    {IMPORT_HPA, "hpa.yaml", "limits.up.max_percent", "300"},
    {IMPORT_HPA, "hpa.yaml", "limits.down",
     "{\"max_count\":2,\"per\":\"1m\",\"stabilize\":\"10m\"}"},
    {IMPORT_HPA, "hpa.yaml", "notes", "selectPolicy Min has no counterpart"},
    {IMPORT_HPA, "hpa-v1.json", "target", "{\"account\":\"prod\",\"function\":\"api\"}"},
    {IMPORT_HPA, "hpa-v1.json", "bounds", "{\"min\":1,\"max\":5}"},
    {IMPORT_HPA, "hpa-v1.json", "rules.0.do.target", "50"},
    {IMPORT_HPA, "hpa-v1.json", "notes", "1 more of the kind"},
    {IMPORT_OPENFAAS, "openfaas.yml", "policy", "\"bcrypt\""},
    {IMPORT_OPENFAAS, "openfaas.yml", "rules.0.when.metric", "\"inflight\""},
    {IMPORT_OPENFAAS, "openfaas.yml", "rules.0.do.target", "4"},
    {IMPORT_OPENFAAS, "openfaas.yml", "rules.1.do.count", "2"},
    {IMPORT_OPENFAAS, "openfaas.yml", "rules.2.when.window", "\"10m\""},
    {IMPORT_OPENFAAS, "openfaas.yml", "bounds", "{\"min\":0,\"max\":10}"},
    {IMPORT_OPENFAAS, "openfaas.yml", "notes", "the first of 2\n"},
    {IMPORT_OPENFAAS, "openfaas.yml", "notes",
     "com.openfaas.scale.factor: has no counterpart; left out\n"},
    {IMPORT_OPENFAAS, "openfaas-cpu.yaml", "rules.0.do.target", "45"},
    {IMPORT_OPENFAAS, "openfaas-cpu.yaml", "bounds", "{\"min\":1,\"max\":20}"},
    {IMPORT_OPENFAAS, "openfaas-cpu.yaml", "limits.down.stabilize", "\"5m\""},
    {IMPORT_FISSION, "fission-newdeploy.yaml", "bounds", "{\"min\":1,\"max\":6,\"min_warm\":1}"},
    {IMPORT_FISSION, "fission-newdeploy.yaml", "rules.0.do.target", "70"},
    {IMPORT_FISSION, "fission-newdeploy.yaml", "schedule.1",
     "{\"cron\":\"0 12 * * *\",\"timezone\":\"UTC\",\"for\":\"2h\",\"min_warm\":5}"},
    {IMPORT_FISSION, "fission-poolmgr.yaml", "bounds", "{\"min\":0,\"max\":40}"},
    {IMPORT_FISSION, "fission-poolmgr.yaml", "rules.0.do.target", "4"},
    {IMPORT_FISSION, "fission-poolmgr.yaml", "rules.1.when.window", "\"5m\""},
};

/* "rules.0.do": members and places. */
static char *value_at(const json_t *j, const char *path)
{
    struct nr_str rest = nr_str_of(path), word;
    char name[40];

    while (j && nr_str_split(&rest, '.', &word)) {
        (void)snprintf(name, sizeof(name), "%.*s", (int)word.n, word.p);
        j = json_is_array(j) ? json_array_get(j, (size_t)(name[0] - '0'))
                             : json_object_get(j, name);
    }
    return j ? nr_json_text(j, &(size_t){0}) : NULL;
}

static bool fits(const char *got, const char *want, bool part)
{
    if (got == NULL || want == NULL)
        return got == want;
    return part ? strstr(got, want) != NULL : strcmp(got, want) == 0;
}

static bool judge(size_t i)
{
    nr_auto_free char *text = NULL, *got = NULL, *lines = NULL;
    nr_auto_json json_t *document = NULL;
    char path[500];
    struct nr_err err = {0};
    struct nr_buf notes;
    size_t n;
    bool part = strcmp(files[i].path, "notes") == 0, good;

    (void)snprintf(path, sizeof(path), "%s/%s", IMPORTS, files[i].file);
    assert_int_equal(nr_file_read(path, 65536, &text, &n, &err), 0);
    nr_buf_init(&notes, 65536);
    if (policy_import(files[i].from, (struct nr_str){text, n}, &document, &notes, &err) < 0)
        fail_msg("%s: %s", files[i].file, err.text);
    nr_buf_addc(&notes, '\0');
    lines = nr_buf_detach(&notes, &n);
    got = part ? NULL : value_at(document, files[i].path);
    good = fits(part ? lines : got, files[i].want, part);
    if (!good)
        print_error("%s %s: %s\nnot %s\n", files[i].file, files[i].path, part ? lines : got,
                    files[i].want);
    return good;
}

static void test_files(void **state)
{
    size_t wrong = 0;

    (void)state;
    for (size_t i = 0; i < nr_countof(files); i++)
        wrong += !judge(i);
    assert_int_equal(wrong, 0);
}

#define HPA(spec)                                                                                  \
    "kind: HorizontalPodAutoscaler\nspec:\n  scaleTargetRef: {name: f}\n  maxReplicas: 5\n" spec

/* Odd settings that are still taken, each with what becomes of it. */
static const struct {
    enum import_from from;
    const char *text, *path, *want;
} odd[] = {
    /* ours never goes down faster than up */
    {IMPORT_HPA,
     HPA("  behavior: {scaleUp: {stabilizationWindowSeconds: 60, policies: [{type: Pods, value: 1, "
         "periodSeconds: 60}]}, scaleDown: {stabilizationWindowSeconds: 0, policies: [{type: Pods, "
         "value: 4, periodSeconds: 15}]}}\n"),
     "limits.down", "{\"max_count\":1,\"per\":\"1m\",\"stabilize\":\"1m\"}"},
    {IMPORT_HPA, HPA("  behavior: {scaleDown: {selectPolicy: Disabled}}\n"), "limits.down",
     "{\"max_count\":1,\"per\":\"1h\",\"stabilize\":\"5m\"}"},
    {IMPORT_HPA,
     HPA("  behavior: {scaleUp: {policies: [{type: Percent, value: 900, periodSeconds: 60}, {type: "
         "Percent, value: 100, periodSeconds: 30}]}}\n"),
     "limits.up.max_percent", "450"},
    {IMPORT_HPA, HPA("  minReplicas: 9\n"), "bounds", "{\"min\":5,\"max\":5}"},
    {IMPORT_HPA,
     HPA("  metrics: [{type: Resource, resource: {name: cpu, target: {type: "
         "AverageValue, averageValue: 250m}}}]\n"),
     "rules.0.do.target", "25"},
    {IMPORT_HPA,
     HPA("  metrics: [{type: Resource, resource: {name: gpu, target: "
         "{averageUtilization: 3}}}]\n"),
     "notes", "no resource \"gpu\""},
    {IMPORT_HPA,
     HPA("  metrics: [{type: Pods, pods: {metric: {name: a}, target: {averageValue: 1}}}, {type: "
         "Pods, pods: {metric: {name: a}, target: {averageValue: 2}}}]\n"),
     "rules.1.id", "\"a-2\""},
    {IMPORT_HPA,
     HPA("  metrics: [{type: Pods, pods: {metric: {name: a b}, target: {averageValue: 1}}}]\n"),
     "notes", "\"a b\" is the rule \"a_b\" here\n"},
    {IMPORT_HPA,
     HPA("  metrics: [{type: External, external: {metric: {name: a, selector: {matchLabels: "
         "{app.example.com/queue: q, n: 3, empty: \"\"}}}, target: {value: 1}}}]\n"),
     "rules.0.when.labels", "{\"app.example.com_queue\":\"q\",\"n\":\"3\"}"},
    {IMPORT_KEDA,
     "kind: ScaledObject\nspec:\n  scaleTargetRef: {name: f}\n  pollingInterval: 0\n  triggers:\n  "
     "- {type: kafka, metadata: {lagThreshold: 3}}\n",
     "rules.0.when.labels.topic", "\"unknown\""},
    {IMPORT_KEDA,
     "kind: ScaledObject\nspec:\n  scaleTargetRef: {name: f}\n  triggers:\n  - {type: cron, "
     "metadata: {start: 0 6 * * 1-5, end: 0 20 * * 0, desiredReplicas: 3}}\n",
     "notes", "is not the same time on all days"},
    {IMPORT_KEDA,
     "kind: ScaledObject\nspec:\n  scaleTargetRef: {name: f}\n  fallback: {failureThreshold: 2, "
     "replicas: 3, behavior: currentReplicas}\n  triggers: []\n",
     "missing_metrics", "{\"after\":\"1m\",\"do\":\"hold\"}"},
    {IMPORT_KNATIVE,
     "kind: Revision\nmetadata: {name: f, annotations: {autoscaling.knative.dev/metric: cpu, "
     "autoscaling.knative.dev/target: \"75\", autoscaling.knative.dev/window: 2h}}\n",
     "rules.0.do.target", "75"},
    {IMPORT_KNATIVE,
     "kind: Service\nmetadata: {name: f}\nspec: {template: {spec: {containerConcurrency: 1}}}\n",
     "rules.0.do.target", "0.7"},
    {IMPORT_OPENFAAS,
     "functions:\n  f:\n    labels: {com.openfaas.scale.type: cache-hits, com.openfaas.scale.target: "
     "10}\n",
     "rules.0.when.metric", "\"openfaas_cache_hits\""},
    {IMPORT_FISSION, "kind: Function\nmetadata: {name: f}\nspec: {retainPods: 2}\n", "bounds",
     "{\"min\":0,\"max\":500,\"min_warm\":2}"},
    /* anchors, quotes, comments and other documents before it */
    {IMPORT_FISSION,
     "# one\nkind: Package\n---\nx: &n f\nkind: Function\nmetadata: {name: *n}\nspec: "
     "{\"requestsPerPod\": \"2\"}\n",
     "rules.0.do.target", "2"},
};

static void test_odd(void **state)
{
    size_t wrong = 0;

    (void)state;
    for (size_t i = 0; i < nr_countof(odd); i++) {
        nr_auto_free char *got = NULL;
        nr_auto_json json_t *document = NULL;
        struct nr_err err = {0};
        struct nr_buf notes;
        size_t n;
        bool part = strcmp(odd[i].path, "notes") == 0;

        nr_buf_init(&notes, 65536);
        if (policy_import(odd[i].from, nr_str_of(odd[i].text), &document, &notes, &err) < 0)
            fail_msg("%s: %s", odd[i].text, err.text);
        nr_buf_addc(&notes, '\0');
        got = nr_buf_detach(&notes, &n);
        if (!part) {
            free(got);
            got = value_at(document, odd[i].path);
        }
        if (!fits(got, odd[i].want, part)) {
            print_error("%s\n%s: %s\nnot %s\n", odd[i].text, odd[i].path, got, odd[i].want);
            wrong++;
        }
    }
    assert_int_equal(wrong, 0);
}

static const struct {
    enum import_from from;
    const char *text, *why;
} bad[] = {
    {IMPORT_HPA, "", "there is no HorizontalPodAutoscaler of HPA in it"},
    {IMPORT_HPA, "{", "line 1"},
    {IMPORT_HPA, "7", "there is no HorizontalPodAutoscaler"},
    {IMPORT_HPA, "kind: Deployment\n", "there is no HorizontalPodAutoscaler"},
    {IMPORT_KEDA, "kind: ScaledJob\n", "there is no ScaledObject of KEDA"},
    {IMPORT_KNATIVE, "kind: Service\nmetadata: {}\n", "does not say what it scales"},
    {IMPORT_OPENFAAS, "functions: {}\n", "does not say what it scales"},
    {IMPORT_FISSION, "kind: Function\nmetadata: {name: a/b/c}\n", "no good policy: policy"},
    {IMPORT_FISSION,
     "kind: Function\nmetadata: {name: f}\nspec: {provisionedConcurrency: {schedules: [{cron: "
     "\"0 * * * *\", target: 1, timezone: "
     "A234567890123456789012345678901234567890123456789012345678901234567890}]}}\n",
     "schedule[0].timezone \"\": it is empty"},
    {IMPORT_HPA, "a: [\n", "YAML, line 2"},
    {IMPORT_HPA, "a: b: c\n", "YAML, line 1"},
    {IMPORT_HPA, "a: 1\na: 2\n", "a key comes twice"},
    {IMPORT_HPA, "? [a]\n: 1\n", "a key must be a text"},
    {IMPORT_HPA, "a: *b\n", "alias stands for nothing"},
    {IMPORT_HPA, "a: &a [*a]\n", "alias stands for nothing"},
    {IMPORT_HPA, "\t- x\n", "YAML, line 1"},
    {IMPORT_HPA, "\xff\xfe", "YAML"},
    {IMPORT_FISSION,
     "kind: Function\nmetadata: {name: f}\nspec: {provisionedConcurrency: {schedules: [{cron: "
     "\"61 * * * *\", duration: 1h, target: 1}]}}\n",
     "schedule[0].cron \"61 * * * *\": minute \"61\""},
};

static void expect_refusal(enum import_from from, struct nr_str text, const char *why)
{
    json_t *document = NULL;
    struct nr_err err = {0};
    struct nr_buf notes;

    nr_buf_init(&notes, 65536);
    if (policy_import(from, text, &document, &notes, &err) != NR_EINVAL ||
        strstr(err.text, why) == NULL || document)
        fail_msg("%.*s: \"%s\" is not \"%s\"", text.n > 200 ? 200 : (int)text.n, text.p, err.text,
                 why);
    nr_buf_fini(&notes);
}

static void test_bad(void **state)
{
    (void)state;
    for (size_t i = 0; i < nr_countof(bad); i++)
        expect_refusal(bad[i].from, nr_str_of(bad[i].text), bad[i].why);
}

static void refuse_built(struct nr_buf *b, const char *why)
{
    expect_refusal(IMPORT_HPA, nr_buf_str(b), why);
    nr_buf_fini(b);
}

/* Deep, wide, long, and a few lines that stand for a billion. */
static void test_ceilings(void **state)
{
    struct nr_buf b;

    (void)state;
    nr_buf_init(&b, 1 << 20);
    for (int i = 0; i < 33; i++)
        nr_buf_addc(&b, '[');
    for (int i = 0; i < 33; i++)
        nr_buf_addc(&b, ']');
    refuse_built(&b, "nested more deeply");
    nr_buf_init(&b, 1 << 20);
    nr_buf_adds(&b, "a: &a [x,x,x,x,x,x,x,x,x,x]\n");
    for (char c = 'b'; c < 'k'; c++)
        nr_buf_printf(&b, "%c: &%c [*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c]\n", c, c, c - 1, c - 1,
                      c - 1, c - 1, c - 1, c - 1, c - 1, c - 1, c - 1, c - 1);
    refuse_built(&b, "aliases stand for more values");
    nr_buf_init(&b, 1 << 20);
    for (int i = 0; i < 12000; i++)
        nr_buf_adds(&b, "- x\n");
    refuse_built(&b, "more values than are read");
    nr_buf_init(&b, 1 << 20);
    for (int i = 0; i < 40; i++)
        nr_buf_printf(&b, "a%d: &n%d 1\n", i, i);
    refuse_built(&b, "more anchors");
    nr_buf_init(&b, 1 << 20);
    for (int i = 0; i < 40; i++)
        nr_buf_adds(&b, "---\nx\n");
    refuse_built(&b, "more documents");
    nr_buf_init(&b, 1 << 20);
    for (int i = 0; i < 65537; i++)
        nr_buf_addc(&b, '#');
    refuse_built(&b, "65537 bytes; at most 65536");
}

/* More metrics than a policy has rules: the first are taken, and it is said. */
static void test_many(void **state)
{
    nr_auto_json json_t *document = NULL;
    struct nr_err err = {0};
    struct nr_buf b, notes;

    (void)state;
    nr_buf_init(&b, 1 << 20);
    nr_buf_init(&notes, 1 << 20);
    nr_buf_adds(&b, HPA("  metrics:\n"));
    for (int i = 0; i < 60; i++)
        nr_buf_printf(
            &b, "  - {type: Pods, pods: {metric: {name: m%d}, target: {averageValue: 1}}}\n", i);
    if (policy_import(IMPORT_HPA, nr_buf_str(&b), &document, &notes, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(json_array_size(json_object_get(document, "rules")), POLICY_RULES_MAX - 4);
    nr_buf_addc(&notes, '\0');
    assert_non_null(strstr(notes.p, "\"m59\" is left out"));
    nr_buf_fini(&b);
    nr_buf_fini(&notes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files),    cmocka_unit_test(test_odd),  cmocka_unit_test(test_bad),
        cmocka_unit_test(test_ceilings), cmocka_unit_test(test_many),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
