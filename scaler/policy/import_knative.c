/* Knative's autoscaler: annotations of a revision. Its target times its utilisation is what `busy` tracks over the stable window; its panic mode is a
 * second rule over the short window, which wakes at the panic threshold and forbids to go down for as long as the stable window; nothing in flight for
 * that window, the grace period and the retention is `quiet`.
 */
#include <stdio.h>

#include "common/base/json.h"
#include "scaler/policy/import.h"

#define PREFIX "autoscaling.knative.dev/"

/* Annotations have two spellings. */
static const struct {
    const char *name, *old;
} annotations[] = {{"min-scale", "minScale"},
                   {"max-scale", "maxScale"},
                   {"initial-scale", "initialScale"},
                   {"target-utilization-percentage", "targetUtilizationPercentage"},
                   {"panic-window-percentage", "panicWindowPercentage"},
                   {"panic-threshold-percentage", "panicThresholdPercentage"},
                   {"target-burst-capacity", "targetBurstCapacity"},
                   {NULL, NULL}};

static const json_t *annotation(const json_t *from, const char *name)
{
    char key[100];
    const json_t *value;

    (void)snprintf(key, sizeof(key), PREFIX "%s", name);
    value = json_object_get(from, key);
    for (int i = 0; value == NULL && annotations[i].name; i++)
        if (strcmp(annotations[i].name, name) == 0) {
            (void)snprintf(key, sizeof(key), PREFIX "%s", annotations[i].old);
            value = json_object_get(from, key);
        }
    return value;
}

/* All that is known under its usual name, so that paths without a dot find it. */
static json_t *flatten(struct import *m, const json_t *from)
{
    static const char *const names[] = {"class",
                                        "metric",
                                        "target",
                                        "target-utilization-percentage",
                                        "min-scale",
                                        "max-scale",
                                        "window",
                                        "panic-window-percentage",
                                        "panic-threshold-percentage",
                                        "scale-down-delay",
                                        "scale-to-zero-pod-retention-period",
                                        NULL};
    json_t *flat = json_object();
    const char *key;
    json_t *value;

    for (int i = 0; names[i]; i++) {
        const json_t *v = annotation(from, names[i]);

        if (v)
            (void)json_object_set(flat, names[i], (json_t *)(uintptr_t)v);
    }
    json_object_foreach((json_t *)(uintptr_t)from, key, value) {
        bool used = false;

        for (int i = 0; names[i]; i++)
            used = used || annotation(from, names[i]) == value;
        if (!used && strncmp(key, PREFIX, sizeof(PREFIX) - 1) == 0)
            import_note(m, "%.100s: has no counterpart; left out", key);
    }
    return flat;
}

static void add_quiet(struct import *m, const json_t *flat, int64_t window_ms)
{
    int64_t more = import_duration(m, flat, "scale-to-zero-pod-retention-period", 0, 0, 3000000);
    int64_t quiet = window_ms + 30000 > more ? window_ms + 30000 : more;

    (void)import_rule(m, "quiet", import_when(m, "inflight_max", "max", quiet, "<", 1),
                      import_set(0));
}

static void add_panic(struct import *m, const json_t *flat, int64_t window_ms, double target)
{
    double share = import_number(flat, "panic-window-percentage", 10) / 100;
    double threshold = import_number(flat, "panic-threshold-percentage", 200) / 100;
    int64_t panic_ms = (int64_t)((double)window_ms * (share > 0.01 && share <= 1 ? share : 0.1));
    json_t *rule = import_rule(m, "panic",
                               import_when(m, "inflight_per_instance", "avg", panic_ms,
                                           ">=", target * (threshold >= 1.1 ? threshold : 1.1)),
                               import_track(target, 0));

    (void)json_object_set_new(rule, "priority", json_integer(10));
    import_set_duration(rule, "block_down_for", window_ms);
}

/* By calls in flight: the target is no more than what one container takes at a time. */
static void by_concurrency(struct import *m, const json_t *flat, const json_t *spec,
                           int64_t window_ms, double share)
{
    double most = import_number(spec, "containerConcurrency", 0);
    double target = import_number(flat, "target", most > 0 ? most : 100);

    if (most > 0 && target > most)
        target = most;
    target *= share;
    (void)import_rule(m, "busy", import_when(m, "inflight_per_instance", "avg", window_ms, NULL, 0),
                      import_track(target, 0));
    add_panic(m, flat, window_ms, target);
}

static void by_metric(struct import *m, const json_t *flat, const char *metric, int64_t window_ms,
                      double share)
{
    static const struct {
        const char *name, *ours, *aggregate, *note;
        double missing;
        bool shared; /* the utilisation counts */
    } rows[] = {
        {"rps", "arrivals", "rate", "the panic window of requests per second has no counterpart",
         200, true},
        {"cpu", "cpu_percent", "avg", "a percentage of the requested CPU is taken as one of a core",
         80, false},
        {"memory", "memory_mb", "avg", "memory of all containers, for each of them", 256, false},
        {NULL}};
    int i = 0;

    while (rows[i].name && strcmp(rows[i].name, metric) != 0)
        i++;
    if (rows[i].name == NULL) {
        import_note(m,
                    PREFIX "metric: \"%s\" is none of concurrency, rps, cpu and memory; left out",
                    metric);
        return;
    }
    import_note(m, PREFIX "metric %s: %s", metric, rows[i].note);
    (void)import_rule(
        m, "busy", import_when(m, rows[i].ours, rows[i].aggregate, window_ms, NULL, 0),
        import_track(import_number(flat, "target", rows[i].missing) * (rows[i].shared ? share : 1),
                     rows[i].shared ? 0 : 0.1));
}

static void add_rules(struct import *m, const json_t *flat, const json_t *spec)
{
    int64_t window_ms = import_duration(m, flat, "window", 60000, 6000, 3500000);
    double share = import_number(flat, "target-utilization-percentage", 70) / 100;
    json_t *down = import_member(m, "limits", "down");
    char metric[32] = "concurrency";

    (void)import_text(flat, "metric", metric, sizeof(metric));
    share = share > 0 && share <= 1 ? share : 0.7;
    if (strcmp(metric, "concurrency") == 0)
        by_concurrency(m, flat, spec, window_ms, share);
    else
        by_metric(m, flat, metric, window_ms, share);
    if (import_number(flat, "min-scale", 0) < 1)
        add_quiet(m, flat, window_ms);
    /* it halves at most */
    (void)json_object_set_new(down, "max_percent", json_integer(50));
    import_set_duration(down, "per", m->tick_ms);
    import_set_duration(down, "stabilize",
                        import_duration(m, flat, "scale-down-delay", 0, 0, 3600000));
}

int import_knative(struct import *m, const json_t *from)
{
    const json_t *template = import_at(from, "spec.template");
    const json_t *spec = import_at(template ? template : from, "spec");
    const json_t *notes = import_at(template ? template : from, "metadata.annotations");
    char name[POLICY_NAME_MAX_BYTES] = "", space[POLICY_NAME_MAX_BYTES] = "";
    double max;
    json_t *flat;
    int r;

    (void)import_text(from, "metadata.name", name, sizeof(name));
    (void)import_text(from, "metadata.namespace", space, sizeof(space));
    if ((r = import_target(m, name, space)) < 0)
        return r;
    flat = flatten(m, notes);
    max = import_number(flat, "max-scale", 0);
    import_bounds(m, import_number(flat, "min-scale", 0), max > 0 ? max : -1);
    add_rules(m, flat, spec);
    json_decref(flat);
    return 0;
}
