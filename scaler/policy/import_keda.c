/* KEDA's ScaledObject: each trigger becomes a rule that tracks, with its activation as the comparison beside it; `active` brings the first containers
 * up while any trigger is active, `quiet` takes the last ones away when none was for the cooldown; cron triggers become the schedule.
 */
#include <stdio.h>

#include "common/base/json.h"
#include "common/base/mem.h"
#include "scaler/policy/import.h"

/* One trigger. */
struct trigger {
    struct import *m;
    const json_t *from, *metadata;
    char type[64], id[POLICY_NAME_MAX_BYTES / 2];
    json_t *active; /* list of conditions, lent: one of which must hold */
};

/* The first of several names of a number. */
static double number_of(const struct trigger *t, const char *const *names, double missing)
{
    for (; *names; names++) {
        double v = import_number(t->metadata, *names, -1);

        if (v >= 0)
            return v;
    }
    return missing;
}

/* Tracks a metric that is told of all containers together, while it is above its activation. */
static void track_total(const struct trigger *t, const char *metric, json_t *labels, double target,
                        double activation)
{
    json_t *when =
        import_when(t->m, metric, "last", 2 * t->m->tick_ms, ">", activation > 0 ? activation : 0);
    char type[32] = "";

    if (labels)
        (void)json_object_set_new(when, "labels", labels);
    (void)json_array_append(t->active, when);
    (void)import_rule(t->m, t->id, when, import_track(target, 0.1));
    if (import_text(t->from, "metricType", type, sizeof(type)) && strcmp(type, "Value") == 0)
        import_note(t->m, "triggers: metricType Value of \"%s\" is taken as AverageValue", t->id);
}

static void take_kafka(const struct trigger *t)
{
    static const char *const targets[] = {"lagThreshold", NULL},
                             *const activations[] = {"activationLagThreshold", NULL},
                             *const known[] = {"topic", "consumerGroup", "lagThreshold",
                                               "activationLagThreshold", NULL};
    char topic[256] = "", group[256] = "";
    json_t *labels = json_object();

    if (!import_text(t->metadata, "topic", topic, sizeof(topic)) || topic[0] == '\0')
        import_note(
            t->m,
            "triggers: kafka without a topic means all of the group's; \"unknown\" stands here: name one");
    (void)json_object_set_new(labels, "topic", json_string(topic[0] ? topic : "unknown"));
    if (import_text(t->metadata, "consumerGroup", group, sizeof(group)) && group[0])
        (void)json_object_set_new(labels, "group", json_string(group));
    track_total(t, "trigger_lag", labels, number_of(t, targets, 10), number_of(t, activations, 0));
    import_note_others(t->m, t->metadata, "triggers.kafka", known);
}

static void take_cron(const struct trigger *t)
{
    char start[128] = "", end[128] = "", zone[65] = "UTC", span[24];
    int64_t span_ms;
    json_t *entry;

    (void)import_text(t->metadata, "start", start, sizeof(start));
    (void)import_text(t->metadata, "end", end, sizeof(end));
    (void)import_text(t->metadata, "timezone", zone, sizeof(zone));
    if (import_span(start, end, &span_ms) < 0 || span_ms > 31 * INT64_C(86400000)) {
        import_note(t->m,
                    "triggers: from \"%s\" to \"%s\" is not the same time on all days; left "
                    "out: write it as several",
                    start, end);
        return;
    }
    duration_write(span_ms, span);
    entry = json_pack("{s:s,s:s,s:s,s:I}", "cron", start, "timezone", zone, "for", span, "min",
                      (json_int_t)import_count(import_number(t->metadata, "desiredReplicas", 1)));
    if (json_array_size(t->m->schedule) < POLICY_SCHEDULES_MAX)
        (void)json_array_append(t->m->schedule, entry);
    json_decref(entry);
}

/* Percentages of what a pod requests. */
static void take_resource(const struct trigger *t)
{
    static const char *const names[] = {"value", NULL};
    char kind[32] = "Utilization";
    bool cpu = strcmp(t->type, "cpu") == 0, share;
    double target = 0;

    if (!import_text(t->from, "metricType", kind, sizeof(kind)))
        (void)import_text(t->metadata, "type", kind, sizeof(kind));
    share = strcmp(kind, "Utilization") == 0;
    if (share)
        target = number_of(t, names, 0);
    else if (import_quantity(json_object_get(t->metadata, "value"), &target))
        target = cpu ? target * 100 : target / 1048576;
    if (target <= 0) {
        import_note(t->m, "triggers: \"%s\" has no value that can be taken; left out", t->id);
        return;
    }
    if (share)
        import_note(t->m, "triggers: %s utilisation is taken as of %s", t->type,
                    cpu ? "one core" : "the container's memory");
    (void)import_rule(t->m, t->id,
                      import_when(t->m,
                                  cpu     ? "cpu_percent"
                                  : share ? "memory_percent"
                                          : "memory_mb",
                                  "avg", 2 * t->m->tick_ms, NULL, 0),
                      import_track(target, 0.1));
}

/* What other sources call the number for each, the one below which nothing is to do, and themselves. */
static const char *const other_targets[] = {"threshold",
                                            "value",
                                            "targetValue",
                                            "queueLength",
                                            "listLength",
                                            "targetQueryValue",
                                            "messageCount",
                                            "lagThreshold",
                                            "targetMetricValue",
                                            "lagCount",
                                            NULL},
                         *const other_activations[] = {"activationThreshold",
                                                       "activationValue",
                                                       "activationTargetValue",
                                                       "activationQueueLength",
                                                       "activationListLength",
                                                       "activationTargetQueryValue",
                                                       "activationMessageCount",
                                                       "activationLagThreshold",
                                                       NULL},
                         *const other_names[] = {"metricName", "queueName",        "queue",
                                                 "listName",   "subscriptionName", "stream",
                                                 NULL};

/* Any other source: somebody has to tell its value. */
static void take_other(const struct trigger *t)
{
    double target = number_of(t, other_targets, 0);
    char name[64] = "", metric[140];

    (void)snprintf(name, sizeof(name), "%.60s", t->id);
    for (int i = 0; other_names[i]; i++)
        if (import_text(t->metadata, other_names[i], name, sizeof(name)) && name[0])
            break;
    if (target <= 0) {
        import_note(t->m, "triggers: \"%s\" has no threshold that can be taken; left out", t->id);
        return;
    }
    import_metric_name(t->type, name, metric, sizeof(metric));
    import_note(t->m,
                "triggers: there is no source \"%s\"; a producer has to tell its value on the "
                "topic of metrics as \"%s\"",
                t->type, metric);
    track_total(t, metric, NULL, target, number_of(t, other_activations, 0));
}

static const struct {
    const char *type;
    void (*take)(const struct trigger *t);
} types[] = {{"kafka", take_kafka},
             {"apache-kafka", take_kafka},
             {"cron", take_cron},
             {"cpu", take_resource},
             {"memory", take_resource}};

static void take_triggers(struct import *m, const json_t *triggers, json_t *active)
{
    size_t i, k;
    json_t *one;

    json_array_foreach(triggers, i, one) {
        struct trigger t = {
            .m = m, .from = one, .metadata = json_object_get(one, "metadata"), .active = active};

        (void)import_text(one, "type", t.type, sizeof(t.type));
        if (!import_text(one, "name", t.id, sizeof(t.id)) || t.id[0] == '\0')
            (void)snprintf(t.id, sizeof(t.id), "%.60s", t.type[0] ? t.type : "trigger");
        for (k = 0; k < nr_countof(types); k++)
            if (strcmp(types[k].type, t.type) == 0)
                break;
        if (k < nr_countof(types))
            types[k].take(&t);
        else
            take_other(&t);
    }
}

/* The first ones, and the last. active: conditions (lent). */
static void add_zero(struct import *m, const json_t *spec, json_t *active)
{
    double min = import_number(spec, "minReplicaCount", 0),
           idle = import_number(spec, "idleReplicaCount", -1);
    int64_t cooldown_ms = import_duration(m, spec, "cooldownPeriod", 300000, 0, 86400000);
    int64_t low = import_count(idle >= 0 ? idle : min), first = import_count(min > 1 ? min : 1);
    json_t *quiet;

    if (json_array_size(active) == 0 || (idle < 0 && min > 0))
        return;
    (void)import_rule(m, "active", json_pack("{s:O}", "any", active),
                      import_set(m->max >= 0 && (double)first > m->max ? (int64_t)m->max : first));
    quiet = json_pack("{s:{s:o}}", "not", "any", json_deep_copy(active));
    import_set_duration(quiet, "for", cooldown_ms);
    (void)import_rule(m, "quiet", quiet,
                      import_set(m->max >= 0 && (double)low > m->max ? (int64_t)m->max : low));
}

static void add_fallback(struct import *m, const json_t *spec, double polling_s)
{
    static const struct {
        const char *name, *word;
    } ways[] = {{"static", "fallback"},
                {"currentReplicas", "hold"},
                {"currentReplicasIfHigher", "current_if_higher"}};
    const json_t *from = json_object_get(spec, "fallback");
    double after_s = import_number(from, "failureThreshold", 3) * polling_s;
    char behavior[40] = "static";
    const char *word = "fallback";
    json_t *missing;

    if (from == NULL)
        return;
    if (import_text(from, "behavior", behavior, sizeof(behavior))) {
        for (size_t i = 0; i < nr_countof(ways); i++)
            if (strcmp(behavior, ways[i].name) == 0)
                word = ways[i].word;
        if (strcmp(word, "fallback") == 0 && strcmp(behavior, "static") != 0)
            import_note(m, "fallback.behavior: \"%s\" has no counterpart; it is static", behavior);
    }
    missing = import_member(m, "missing_metrics", NULL);
    import_set_duration(missing, "after",
                        after_s < 1      ? 1000
                        : after_s > 3600 ? 3600000
                                         : (int64_t)(after_s * 1000));
    (void)json_object_set_new(missing, "do", json_string(word));
    if (strcmp(word, "hold") != 0) {
        double count = import_number(from, "replicas", 1);

        (void)json_object_set_new(
            missing, "count",
            json_integer(import_count(m->max >= 0 && count > m->max ? m->max : count)));
    }
}

static void take_annotations(struct import *m, const json_t *from)
{
    static const char paused[] = "autoscaling.keda.sh/paused",
                      replicas[] = "autoscaling.keda.sh/paused-replicas";
    const json_t *annotations = import_at(from, "metadata.annotations");
    const char *text = nr_json_string(annotations, paused);

    if ((text && strcmp(text, "true") == 0) || json_object_get(annotations, replicas)) {
        (void)json_object_set_new(m->document, "mode", json_string("off"));
        import_note(m, "mode: it is paused, so the policy is off");
    }
}

int import_keda(struct import *m, const json_t *from)
{
    static const char *const known[] = {"scaleTargetRef",  "pollingInterval",
                                        "cooldownPeriod",  "idleReplicaCount",
                                        "minReplicaCount", "maxReplicaCount",
                                        "fallback",        "triggers",
                                        "advanced",        NULL},
                             *const advanced[] = {"horizontalPodAutoscalerConfig", NULL};
    const json_t *spec = import_at(from, "spec");
    double polling_s = import_number(spec, "pollingInterval", 30), idle;
    char name[POLICY_NAME_MAX_BYTES] = "", space[POLICY_NAME_MAX_BYTES] = "";
    json_t *active = json_array();
    int r;

    (void)import_text(spec, "scaleTargetRef.name", name, sizeof(name));
    (void)import_text(from, "metadata.namespace", space, sizeof(space));
    if ((r = import_target(m, name, space)) == 0) {
        polling_s = polling_s < 1 ? 1 : polling_s > 600 ? 600 : polling_s;
        import_tick(m, (int64_t)(polling_s * 1000));
        idle = import_number(spec, "idleReplicaCount", -1);
        import_bounds(m, idle >= 0 ? idle : import_number(spec, "minReplicaCount", 0),
                      import_number(spec, "maxReplicaCount", 100));
        take_annotations(m, from);
        take_triggers(m, json_object_get(spec, "triggers"), active);
        add_zero(m, spec, active);
        add_fallback(m, spec, polling_s);
        import_behavior(m, import_at(spec, "advanced.horizontalPodAutoscalerConfig.behavior"));
        import_note_others(m, spec, "spec", known);
        import_note_others(m, json_object_get(spec, "advanced"), "spec.advanced", advanced);
    }
    json_decref(active);
    return r;
}
