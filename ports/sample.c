/* The words of the rule language for what the platform measures, a sample's key, and its text. It is read in sample_read.c.
 *
 * A number is written with as many digits as it needs to be read back as itself.
 */
#include "ports/sample.h"

#include <stdio.h>
#include <stdlib.h>

const struct metric_row sample_metrics[] = {
    [METRIC_INVOCATIONS] = {"invocations", METRIC_COUNTER, false, "calls",
                            "calls that were answered"},
    [METRIC_ARRIVALS] = {"arrivals", METRIC_COUNTER, false, "calls",
                         "calls that came, with those that were refused"},
    [METRIC_INFLIGHT] = {"inflight", METRIC_GAUGE, false, "calls",
                         "calls that are admitted and not answered"},
    [METRIC_INFLIGHT_MAX] = {"inflight_max", METRIC_GAUGE, false, "calls",
                             "the most calls in flight at a time"},
    [METRIC_INFLIGHT_PER_INSTANCE] = {"inflight_per_instance", METRIC_DERIVED, false, "calls",
                                      "calls in flight for each container, ready or on its way"},
    [METRIC_QUEUE_DEPTH] = {"queue_depth", METRIC_GAUGE, false, "calls",
                            "calls that wait for a container"},
    [METRIC_QUEUE_WAIT_MS] = {"queue_wait_ms", METRIC_SKETCH, false, "ms",
                              "how long calls waited for a container"},
    [METRIC_DURATION_MS] = {"duration_ms", METRIC_SKETCH, false, "ms", "how long the function ran"},
    [METRIC_COLD_STARTS] = {"cold_starts", METRIC_COUNTER, false, "calls",
                            "calls that waited for the start of a container"},
    [METRIC_COLD_START_MS] = {"cold_start_ms", METRIC_SKETCH, false, "ms",
                              "how long such a start took"},
    [METRIC_ERRORS] = {"errors", METRIC_COUNTER, false, "calls", "calls that failed"},
    [METRIC_ERROR_RATIO] = {"error_ratio", METRIC_DERIVED, false, "1",
                            "failed calls, of those that were answered"},
    [METRIC_THROTTLES] = {"throttles", METRIC_COUNTER, false, "calls",
                          "calls that a limit refused (429)"},
    [METRIC_CPU_PERCENT] = {"cpu_percent", METRIC_GAUGE, false, "%",
                            "CPU of all its containers together, of one core"},
    [METRIC_MEMORY_MB] = {"memory_mb", METRIC_GAUGE, false, "MB", "memory that its containers use"},
    [METRIC_MEMORY_PERCENT] = {"memory_percent", METRIC_GAUGE, false, "%",
                               "of its limit, what the fullest container uses"},
    [METRIC_INSTANCES] = {"instances", METRIC_GAUGE, false, "containers",
                          "containers that are ready: idle, frozen or busy"},
    [METRIC_INSTANCES_BUSY] = {"instances_busy", METRIC_GAUGE, false, "containers",
                               "containers with a call"},
    [METRIC_STARTING] = {"starting", METRIC_GAUGE, false, "containers", "containers on their way"},
    [METRIC_INSTANCE_MB] = {"instance_mb", METRIC_GAUGE, false, "MB",
                            "memory that one container is given"},
    [METRIC_INSTANCES_MAX] = {"instances_max", METRIC_GAUGE, false, "containers",
                              "the function's own limit of containers, 0: none"},
    [METRIC_CONCURRENT_MAX] = {"concurrent_max", METRIC_GAUGE, false, "calls",
                               "calls that its account may have at a time, 0: no limit"},
    [METRIC_ENERGY_JOULES] = {"energy_joules", METRIC_COUNTER, false, "J",
                              "energy that its containers used"},
    [METRIC_CPU_SECONDS] = {"cpu_seconds", METRIC_COUNTER, false, "s",
                            "processor time that its containers used"},
    [METRIC_IDLE_SECONDS] = {"idle_seconds", METRIC_COUNTER, false, "s",
                             "seconds of its containers without a call"},
    [METRIC_NODE_MEMORY_PERCENT] = {"node_memory_percent", METRIC_GAUGE, true, "%",
                                    "of the memory that containers may have, what is given out"},
    [METRIC_NODE_MEMORY_FREE_MB] = {"node_memory_free_mb", METRIC_GAUGE, true, "MB",
                                    "memory that containers may still be given"},
    [METRIC_NODE_CPU_PERCENT] = {"node_cpu_percent", METRIC_GAUGE, true, "%",
                                 "CPU of the host, of all its cores"},
    [METRIC_NODE_CONTAINERS] = {"node_containers", METRIC_GAUGE, true, "containers",
                                "containers of the node"},
    [METRIC_NODE_WAITING] = {"node_waiting", METRIC_GAUGE, true, "calls",
                             "calls of all functions that wait for a container"},
    [METRIC_NODE_ENERGY_JOULES] = {"node_energy_joules", METRIC_COUNTER, true, "J",
                                   "energy that the node used"},
    [METRIC_TRIGGER_LAG] = {"trigger_lag", METRIC_GAUGE, false, "messages",
                            "messages of a topic that a consumer group has not confirmed"},
    [METRIC_TRIGGER_AGE_MS] = {"trigger_age_ms", METRIC_GAUGE, false, "ms",
                               "age of the oldest call that waits for a container"},
};

_Static_assert(sizeof sample_metrics / sizeof *sample_metrics == METRICS, "a row for each metric");
_Static_assert(METRICS <= 64, "struct sample's `has`");

const unsigned char sample_sketches[SAMPLE_SKETCHES] = {
    [SAMPLE_DURATION] = METRIC_DURATION_MS,
    [SAMPLE_QUEUE_WAIT] = METRIC_QUEUE_WAIT_MS,
    [SAMPLE_COLD_START] = METRIC_COLD_START_MS,
};

enum metric_id metric_find(struct nr_str name)
{
    unsigned i = 0;

    while (i < METRICS && !nr_str_eqz(name, sample_metrics[i].name))
        i++;
    return (enum metric_id)i;
}

bool sample_tells(enum metric_id id, bool node)
{
    const struct metric_row *row = &sample_metrics[id];

    return row->node == node && id != METRIC_TRIGGER_LAG &&
           (row->kind == METRIC_COUNTER || row->kind == METRIC_GAUGE);
}

static void add_number(struct nr_buf *out, double value)
{
    char text[32];

    if (value >= -1e15 && value <= 1e15 && value == (double)(int64_t)value) {
        nr_buf_addi(out, (int64_t)value);
        return;
    }
    for (int digits = 6; digits <= 17; digits += digits == 6 ? 9 : 1) {
        (void)snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    nr_buf_adds(out, text);
}

static void add_member(struct nr_buf *out, const char *name, struct nr_str text)
{
    if (text.p == NULL)
        return;
    nr_buf_printf(out, ",\"%s\":", name);
    nr_buf_json(out, text);
}

static void add_metrics(struct nr_buf *out, const struct sample *s)
{
    const char *between = "";

    nr_buf_adds(out, ",\"metrics\":{");
    for (unsigned i = 0; i < METRICS; i++) {
        if (!(s->has & 1ull << i) || !sample_tells((enum metric_id)i, s->function.p == NULL))
            continue;
        nr_buf_adds(out, between);
        between = ",";
        nr_buf_addc(out, '"');
        nr_buf_adds(out, sample_metrics[i].name);
        nr_buf_adds(out, "\":");
        add_number(out, s->value[i]);
    }
    nr_buf_addc(out, '}');
}

static void add_sketch(struct nr_buf *out, const char *name, const struct sketch *k)
{
    const char *between = "";

    nr_buf_printf(out, "\"%s\":{\"g\":%.1f,\"n\":%u,\"b\":[", name, SKETCH_GROWTH, k->count);
    for (unsigned i = 0; i < SKETCH_BUCKETS; i++) {
        if (k->bucket[i] == 0)
            continue;
        nr_buf_adds(out, between);
        between = ",";
        nr_buf_addc(out, '[');
        nr_buf_addu(out, i);
        nr_buf_addc(out, ',');
        nr_buf_addu(out, k->bucket[i]);
        nr_buf_addc(out, ']');
    }
    nr_buf_adds(out, "]}");
}

static void add_sketches(struct nr_buf *out, const struct sample *s)
{
    const char *between = ",\"sketches\":{";

    for (unsigned i = 0; i < SAMPLE_SKETCHES; i++) {
        if (s->sketch[i] == NULL || s->sketch[i]->count == 0)
            continue;
        nr_buf_adds(out, between);
        between = ",";
        add_sketch(out, sample_metrics[sample_sketches[i]].name, s->sketch[i]);
    }
    if (between[1] == '\0')
        nr_buf_addc(out, '}');
}

static void write_short(const struct sample *s, struct nr_buf *out)
{
    nr_buf_adds(out, "{\"metric\":");
    nr_buf_json(out, s->metric);
    nr_buf_adds(out, ",\"value\":");
    add_number(out, s->metric_value);
    for (unsigned i = 0; i < s->label_count; i++) {
        nr_buf_adds(out, i ? "," : ",\"labels\":{");
        nr_buf_json(out, s->label[i].name);
        nr_buf_addc(out, ':');
        nr_buf_json(out, s->label[i].value);
    }
    if (s->label_count)
        nr_buf_addc(out, '}');
    nr_buf_printf(out, ",\"t\":%lld}", (long long)s->t_ms);
}

void sample_write(const struct sample *s, struct nr_buf *out)
{
    if (s->metric.p) {
        write_short(s, out);
        return;
    }
    nr_buf_printf(out, "{\"v\":1,\"t\":%lld,\"span_ms\":%lld", (long long)s->t_ms,
                  (long long)s->span_ms);
    add_member(out, "node", s->node);
    nr_buf_printf(out, ",\"seq\":%llu", (unsigned long long)s->seq);
    add_member(out, "account", s->account);
    add_member(out, "function", s->function);
    add_member(out, "version", s->version);
    nr_buf_adds(out, s->at_once ? ",\"at_once\":true" : "");
    add_metrics(out, s);
    add_sketches(out, s);
    nr_buf_addc(out, '}');
}

void sample_at_once(struct sample *s)
{
    s->at_once = true;
    for (unsigned i = 0; i < METRICS; i++)
        if (sample_metrics[i].kind != METRIC_GAUGE) {
            s->has &= ~(1ull << i);
            s->value[i] = 0;
        }
    memset(s->sketch, 0, sizeof s->sketch);
}

void sample_key(const struct sample *s, struct nr_buf *out)
{
    bool custom = s->metric.p != NULL, function = !custom && s->function.p != NULL;
    struct nr_str last = custom ? s->metric : function ? s->function : s->node;

    if (function)
        nr_buf_add(out, s->account.p, s->account.n);
    else
        nr_buf_adds(out, custom ? "metric" : "node");
    nr_buf_addc(out, '/');
    nr_buf_add(out, last.p, last.n);
}
