/* OpenFaaS: labels of a function in a stack file, or of a Function resource. Its formula, ready x load / (target x proportion), is a rule that tracks target
 * times proportion.
 */
#include <stdio.h>

#include "common/base/json.h"
#include "common/base/mem.h"
#include "scaler/policy/import.h"

#define PREFIX "com.openfaas.scale."

/* Labels without their prefix (made), since paths end at dots; what is not known is noted. */
static json_t *flatten(struct import *m, const json_t *labels)
{
    static const struct {
        const char *label, *name;
    } rows[] = {{"min", "min"},
                {"max", "max"},
                {"type", "type"},
                {"target", "target"},
                {"target-proportion", "proportion"},
                {"zero", "zero"},
                {"zero-duration", "zero-duration"},
                {"down.window", "down-window"}};
    json_t *flat = json_object(), *value;
    const char *key;

    json_object_foreach((json_t *)(uintptr_t)labels, key, value) {
        size_t i;

        if (strncmp(key, PREFIX, sizeof(PREFIX) - 1) != 0)
            continue;
        for (i = 0; i < nr_countof(rows); i++)
            if (strcmp(key + sizeof(PREFIX) - 1, rows[i].label) == 0)
                break;
        if (i < nr_countof(rows))
            (void)json_object_set(flat, rows[i].name, value);
        else
            import_note(m, "%.100s: has no counterpart; left out", key);
    }
    return flat;
}

/* What each type of load is here. */
static const struct {
    const char *type, *metric, *aggregate, *note;
    double times;
} loads[] = {
    {"rps", "arrivals", "rate", NULL, 1},
    {"capacity", "inflight", "avg", NULL, 1},
    {"cpu", "cpu_percent", "avg", NULL, 0.1}, /* thousandths of a core */
    {"queue", "queue_depth", "avg", "calls that wait for a container, in place of the queue's", 1},
};

static void add_load(struct import *m, const json_t *flat)
{
    double target = import_number(flat, "target", 50),
           share = import_number(flat, "proportion", 0.9);
    char type[64] = "rps", metric[100];
    size_t i = 0;

    (void)import_text(flat, "type", type, sizeof(type));
    share = share > 0 && share <= 1 ? share : 0.9;
    while (i < nr_countof(loads) && strcmp(loads[i].type, type) != 0)
        i++;
    if (i < nr_countof(loads)) {
        if (loads[i].note)
            import_note(m, PREFIX "type %s: %s", type, loads[i].note);
        (void)import_rule(m, type,
                          import_when(m, loads[i].metric, loads[i].aggregate, 30000, NULL, 0),
                          import_track(target * share * loads[i].times, 0));
        return;
    }
    import_metric_name("openfaas", type, metric, sizeof(metric));
    import_note(m, PREFIX "type: a producer has to tell \"%s\" on the topic of metrics as \"%s\"",
                type, metric);
    (void)import_rule(m, type, import_when(m, metric, "last", 30000, NULL, 0),
                      import_track(target * share, 0));
}

/* min is for when there is something to do. */
static void add_zero(struct import *m, const json_t *flat, int64_t min)
{
    int64_t quiet_ms = import_duration(m, flat, "zero-duration", 900000, 4000, 3600000);

    if (min > 1)
        (void)import_rule(m, "awake", import_when(m, "inflight_max", "max", 60000, ">=", 1),
                          import_set(m->max >= 0 && (double)min > m->max ? (int64_t)m->max : min));
    (void)import_rule(m, "quiet", import_when(m, "inflight_max", "max", quiet_ms, "<", 1),
                      import_set(0));
}

static void take_labels(struct import *m, const json_t *labels)
{
    json_t *flat = flatten(m, labels);
    double min = import_number(flat, "min", 1);
    char zero[8] = "false";
    bool to_zero;

    to_zero = import_text(flat, "zero", zero, sizeof(zero)) && strcmp(zero, "true") == 0;
    import_bounds(m, to_zero ? 0 : min, import_number(flat, "max", 20));
    add_load(m, flat);
    if (to_zero)
        add_zero(m, flat, import_count(min));
    if (json_object_get(flat, "down-window"))
        import_set_duration(import_member(m, "limits", "down"), "stabilize",
                            import_duration(m, flat, "down-window", 0, 0, 3600000));
    json_decref(flat);
}

int import_openfaas(struct import *m, const json_t *from)
{
    json_t *functions = json_object_get(from, "functions"), *spec = json_object_get(from, "spec");
    void *first = json_object_iter(functions);
    char name[POLICY_NAME_MAX_BYTES] = "";
    const json_t *labels;
    int r;

    if (spec) {
        if (!import_text(spec, "name", name, sizeof(name)))
            (void)import_text(from, "metadata.name", name, sizeof(name));
        labels = json_object_get(spec, "labels");
    } else {
        (void)snprintf(name, sizeof(name), "%s", first ? json_object_iter_key(first) : "");
        labels = first ? json_object_get(json_object_iter_value(first), "labels") : NULL;
        if (json_object_size(functions) > 1)
            import_note(m, "functions: only \"%.100s\" was taken, the first of %zu", name,
                        json_object_size(functions));
    }
    if ((r = import_target(m, name, NULL)) < 0)
        return r;
    take_labels(m, labels);
    return 0;
}
