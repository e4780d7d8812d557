/* Fission's Function: the execution strategy says how many there are, by CPU (newdeploy, container) or by calls at a time (poolmgr); provisioned concurrency is
 * what stands ready, always and by the timetable.
 */
#include <stdio.h>

#include "common/base/json.h"
#include "common/base/mem.h"
#include "scaler/policy/import.h"

static void by_calls(struct import *m, const json_t *spec)
{
    double each = import_number(spec, "requestsPerPod", 1);
    int64_t idle_ms = import_duration(m, spec, "idletimeout", 120000, 4000, 3600000);

    import_bounds(m, 0, import_number(spec, "concurrency", 500));
    (void)import_rule(m, "busy", import_when(m, "inflight", "max", 6000, NULL, 0),
                      import_track(each > 0 ? each : 1, 0));
    (void)import_rule(m, "quiet", import_when(m, "inflight_max", "max", idle_ms, "<", 1),
                      import_set(0));
    if (import_number(spec, "retainPods", 0) > 0)
        (void)json_object_set_new(json_object_get(m->document, "bounds"), "min_warm",
                                  json_integer(import_count(import_number(spec, "retainPods", 0))));
}

static const json_t *either(const json_t *from, const char *a, const char *b)
{
    const json_t *v = json_object_get(from, a);

    return v ? v : json_object_get(from, b);
}

static void by_load(struct import *m, const json_t *strategy)
{
    const json_t *metrics = either(strategy, "hpaMetrics", "HPAMetrics");
    double cpu = import_number(strategy, "TargetCPUPercent", 0);

    import_tick(m, 15000);
    import_bounds(m, import_number(strategy, "MinScale", 1),
                  import_number(strategy, "MaxScale", -1));
    if (cpu > 0 || json_array_size(metrics) == 0) {
        cpu = cpu > 0 ? cpu : 80;
        import_note(m, "TargetCPUPercent: of the requested CPU is taken as of one core");
        (void)import_rule(m, "cpu", import_when(m, "cpu_percent", "avg", 30000, NULL, 0),
                          import_track(cpu, 0.1));
    }
    import_metrics(m, metrics);
    import_behavior(m, either(strategy, "hpaBehavior", "HPABehavior"));
}

static void add_time(struct import *m, const json_t *from)
{
    int64_t for_ms = import_duration(m, from, "duration", 3600000, 1000, 31 * INT64_C(86400000));
    double target = import_number(from, "target", 0);
    char cron[128] = "", zone[65] = "UTC", span[24];

    (void)import_text(from, "cron", cron, sizeof(cron));
    (void)import_text(from, "timezone", zone, sizeof(zone));
    duration_write(for_ms, span);
    if (m->max >= 0 && target > m->max)
        target = m->max;
    (void)json_array_append_new(m->schedule, json_pack("{s:s,s:s,s:s,s:I}", "cron", cron,
                                                       "timezone", zone, "for", span, "min_warm",
                                                       (json_int_t)import_count(target)));
}

/* Overlapping windows take the highest, there as here. */
static void add_provisioned(struct import *m, const json_t *from)
{
    json_t *bounds = json_object_get(m->document, "bounds"), *one;
    double target = import_number(from, "target", 0);
    size_t i;

    if (target > 0)
        (void)json_object_set_new(
            bounds, "min_warm",
            json_integer(import_count(m->max >= 0 && target > m->max ? m->max : target)));
    json_array_foreach(json_object_get(from, "schedules"), i, one) {
        if (i == POLICY_SCHEDULES_MAX) {
            import_note(
                m,
                "provisionedConcurrency.schedules: more than there may be; the first %d were taken",
                POLICY_SCHEDULES_MAX);
            return;
        }
        add_time(m, one);
    }
}

int import_fission(struct import *m, const json_t *from)
{
    static const char *const known[] = {"MinScale",     "MaxScale",    "TargetCPUPercent",
                                        "ExecutorType", "hpaMetrics",  "HPAMetrics",
                                        "hpaBehavior",  "HPABehavior", NULL};
    const json_t *spec = import_at(from, "spec");
    const json_t *strategy = import_at(spec, "InvokeStrategy.ExecutionStrategy");
    const json_t *provisioned = either(spec, "provisionedConcurrency", "ProvisionedConcurrency");
    char name[POLICY_NAME_MAX_BYTES] = "", space[POLICY_NAME_MAX_BYTES] = "",
         executor[32] = "poolmgr";
    int r;

    (void)import_text(from, "metadata.name", name, sizeof(name));
    (void)import_text(from, "metadata.namespace", space, sizeof(space));
    if ((r = import_target(m, name, space)) < 0)
        return r;
    (void)import_text(strategy, "ExecutorType", executor, sizeof(executor));
    if (strcmp(executor, "poolmgr") == 0)
        by_calls(m, spec);
    else
        by_load(m, strategy);
    add_provisioned(m, provisioned);
    import_note_others(m, strategy, "ExecutionStrategy", known);
    return 0;
}
