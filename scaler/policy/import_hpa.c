/* HorizontalPodAutoscaler of Kubernetes, autoscaling/v1 and v2: metrics become rules that track, `behavior` becomes limits. A target of a utilisation is a
 * share of what a pod requests; here it is one of a core, or of the container's memory.
 *
 * KEDA and Fission use parts of the same documents.
 */
#include <math.h>
#include <stdio.h>

#include "common/base/json.h"
#include "common/base/mem.h"
#include "scaler/policy/import.h"

enum { HPA_TICK_MS = 15000, MIB = 1048576 };
#define HPA_TOLERANCE 0.1

/* ---- behavior ---- */

/* One direction. < 0: there is none. */
struct way {
    const char *name;
    double count, percent, per_s, stabilize_s;
};

static double smaller(double a, double b)
{
    return a < 0 || (b >= 0 && b < a) ? b : a;
}

static double larger(double a, double b)
{
    return a > b ? a : b;
}

/* All periods become the shortest. */
static double shortest_period(const json_t *policies)
{
    double per_s = -1;
    size_t i;
    json_t *one;

    json_array_foreach(policies, i, one)
        per_s = smaller(per_s, import_number(one, "periodSeconds", 15));
    return per_s >= 1 ? per_s <= 3600 ? per_s : 3600 : 15;
}

static void take_policies(struct import *m, const json_t *policies, bool min, struct way *w)
{
    size_t i;
    json_t *one;

    if (json_array_size(policies) == 0)
        return;
    w->count = w->percent = -1;
    w->per_s = shortest_period(policies);
    json_array_foreach(policies, i, one) {
        double period = import_number(one, "periodSeconds", 15), *to;
        double v = import_number(one, "value", 0) * w->per_s / (period >= 1 ? period : 15);
        char type[16] = "";

        if (period != w->per_s)
            import_note(m, "behavior.%s: the policy over %.15g s is taken as one over %.15g s",
                        w->name, period, w->per_s);
        (void)import_text(one, "type", type, sizeof(type));
        to = strcmp(type, "Percent") == 0 ? &w->percent : &w->count;
        *to = min ? smaller(*to, v) : larger(*to, v);
    }
    if (min && w->count >= 0 && w->percent >= 0) {
        import_note(m,
                    "behavior.%s: selectPolicy Min has no counterpart for a count beside a "
                    "percentage; the count is taken",
                    w->name);
        w->percent = -1;
    }
}

static void take_way(struct import *m, const json_t *from, struct way *w)
{
    char select[16] = "";

    if (from == NULL)
        return;
    (void)import_text(from, "selectPolicy", select, sizeof(select));
    w->stabilize_s = import_number(from, "stabilizationWindowSeconds", w->stabilize_s);
    take_policies(m, json_object_get(from, "policies"), strcmp(select, "Min") == 0, w);
    if (strcmp(select, "Disabled") == 0) {
        import_note(m, "behavior.%s: Disabled has no counterpart; it is one per hour", w->name);
        w->count = 1;
        w->percent = -1;
        w->per_s = 3600;
    }
    if (json_object_get(from, "tolerance"))
        import_note(m, "behavior.%s.tolerance: has no counterpart; left out: tolerance is a rule's",
                    w->name);
}

/* Ours never goes down faster than up. */
static void hold_down(struct import *m, const struct way *up, struct way *down)
{
    bool count = up->count >= 0 && down->count / down->per_s > up->count / up->per_s;
    bool percent = up->percent >= 0 && down->percent / down->per_s > up->percent / up->per_s;

    if (count || percent) {
        import_note(m, "behavior.scaleDown: is no faster than scaleUp here");
        down->per_s = up->per_s;
        down->count =
            down->count >= 0 && up->count >= 0 ? smaller(down->count, up->count) : down->count;
        down->percent = down->percent >= 0 && up->percent >= 0 ? smaller(down->percent, up->percent)
                                                               : down->percent;
    }
    if (down->stabilize_s < up->stabilize_s) {
        import_note(m, "behavior.scaleDown: waits as long as scaleUp here");
        down->stabilize_s = up->stabilize_s;
    }
}

static void set_way(struct import *m, const struct way *w, const char *below)
{
    json_t *limit = import_member(m, "limits", below);

    if (w->count >= 0)
        (void)json_object_set_new(limit, "max_count",
                                  json_integer(w->count < 1 ? 1 : import_count(w->count)));
    if (w->percent >= 0)
        import_set_number(limit, "max_percent",
                          w->percent < 1       ? 1
                          : w->percent > 10000 ? 10000
                                               : w->percent);
    import_set_duration(limit, "per", (int64_t)(w->per_s * 1000));
    import_set_duration(limit, "stabilize",
                        (int64_t)(w->stabilize_s < 0      ? 0
                                  : w->stabilize_s > 3600 ? 3600000
                                                          : w->stabilize_s * 1000));
}

void import_behavior(struct import *m, const json_t *behavior)
{
    struct way up = {"scaleUp", 4, 100, 15, 0}, down = {"scaleDown", -1, 100, 15, 300};

    take_way(m, json_object_get(behavior, "scaleUp"), &up);
    take_way(m, json_object_get(behavior, "scaleDown"), &down);
    hold_down(m, &up, &down);
    set_way(m, &up, "up");
    set_way(m, &down, "down");
}

/* ---- metrics ---- */

static void track(struct import *m, const char *id, const char *metric, double target)
{
    (void)import_rule(m, id, import_when(m, metric, "avg", 2 * m->tick_ms, NULL, 0),
                      import_track(target, HPA_TOLERANCE));
}

static void take_cpu(struct import *m, double utilization, double quantity)
{
    if (utilization >= 0)
        import_note(m, "cpu: %.15g %% of the requested CPU is taken as %.15g %% of one core",
                    utilization, utilization);
    track(m, "cpu", "cpu_percent", utilization >= 0 ? utilization : quantity * 100);
}

static void take_memory(struct import *m, double utilization, double quantity)
{
    if (utilization >= 0)
        import_note(m, "memory: %.15g %% of the request is taken as of the container's limit",
                    utilization);
    track(m, "memory", utilization >= 0 ? "memory_percent" : "memory_mb",
          utilization >= 0 ? utilization : quantity / MIB);
}

static void take_resource(struct import *m, const json_t *from)
{
    double utilization = import_number(from, "target.averageUtilization",
                                       import_number(from, "targetAverageUtilization", -1));
    double quantity = -1;
    char name[64] = "";

    if (!import_quantity(import_at(from, "target.averageValue"), &quantity))
        (void)import_quantity(import_at(from, "targetAverageValue"), &quantity);
    (void)import_text(from, "name", name, sizeof(name));
    if (utilization < 0 && quantity < 0)
        import_note(m, "metrics: \"%s\" has no target that can be taken; left out", name);
    else if (strcmp(name, "cpu") == 0)
        take_cpu(m, utilization, quantity);
    else if (strcmp(name, "memory") == 0)
        take_memory(m, utilization, quantity);
    else
        import_note(m, "metrics: there is no resource \"%s\" here; left out", name);
}

/* A metric that nobody here tells of yet. */
static void take_custom(struct import *m, const json_t *from, const char *prefix)
{
    double target = -1;
    char name[64] = "", metric[100];
    json_t *when, *labels;

    (void)import_text(from, "metric.name", name, sizeof(name));
    if (!import_quantity(import_at(from, "target.averageValue"), &target))
        (void)import_quantity(import_at(from, "target.value"), &target);
    if (name[0] == '\0' || target <= 0) {
        import_note(m, "metrics: \"%s\" has no target that can be taken; left out", name);
        return;
    }
    import_metric_name(prefix, name, metric, sizeof(metric));
    import_note(m,
                "metrics: a producer has to tell \"%s\" on the topic of metrics as \"%s\", the sum "
                "of all containers",
                name, metric);
    when = import_when(m, metric, "avg", 2 * m->tick_ms, NULL, 0);
    if ((labels = import_labels(m, import_at(from, "metric.selector.matchLabels"))) != NULL)
        (void)json_object_set_new(when, "labels", labels);
    (void)import_rule(m, name, when, import_track(target, HPA_TOLERANCE));
}

static void take_resource_row(struct import *m, const json_t *from, const char *prefix)
{
    take_resource(m, from);
}

static const struct {
    const char *type, *member, *prefix;
    void (*take)(struct import *m, const json_t *from, const char *prefix);
} metric_types[] = {
    {"Resource", "resource", "", take_resource_row},
    {"ContainerResource", "containerResource", "", take_resource_row},
    {"Pods", "pods", "pods", take_custom},
    {"Object", "object", "object", take_custom},
    {"External", "external", "external", take_custom},
};

void import_metrics(struct import *m, const json_t *metrics)
{
    size_t i, k;
    json_t *one;

    json_array_foreach(metrics, i, one) {
        char type[32] = "";

        (void)import_text(one, "type", type, sizeof(type));
        for (k = 0; k < nr_countof(metric_types); k++)
            if (strcmp(type, metric_types[k].type) == 0)
                break;
        if (k == nr_countof(metric_types))
            import_note(m, "metrics: there is no type \"%s\" here; left out", type);
        else
            metric_types[k].take(m, json_object_get(one, metric_types[k].member),
                                 metric_types[k].prefix);
    }
}

int import_hpa(struct import *m, const json_t *from)
{
    static const char *const known[] = {"scaleTargetRef",
                                        "minReplicas",
                                        "maxReplicas",
                                        "metrics",
                                        "behavior",
                                        "targetCPUUtilizationPercentage",
                                        NULL};
    const json_t *spec = import_at(from, "spec");
    double cpu = import_number(spec, "targetCPUUtilizationPercentage", -1);
    char name[POLICY_NAME_MAX_BYTES] = "", space[POLICY_NAME_MAX_BYTES] = "";
    int r;

    (void)import_text(spec, "scaleTargetRef.name", name, sizeof(name));
    (void)import_text(from, "metadata.namespace", space, sizeof(space));
    if ((r = import_target(m, name, space)) < 0)
        return r;
    import_tick(m, HPA_TICK_MS);
    import_bounds(m, import_number(spec, "minReplicas", 1), import_number(spec, "maxReplicas", -1));
    if (cpu > 0)
        take_cpu(m, cpu, -1);
    else if (json_array_size(json_object_get(spec, "metrics")) == 0)
        take_cpu(m, 80, -1);
    import_metrics(m, json_object_get(spec, "metrics"));
    import_behavior(m, json_object_get(spec, "behavior"));
    import_note_others(m, spec, "spec", known);
    return 0;
}
