/* The JSON of a run. Figures of a configuration are one table, which writes them and reads them back. */
#include "fnmanager/preenv/preenv_text.h"

#include <stddef.h>

#include "common/base/mem.h"

static const char *const verdicts[] = {
    [PREENV_UNJUDGED] = "reference",
    [PREENV_AS_FAST] = "as fast",
    [PREENV_SLOWER] = "slower",
    [PREENV_UNDECIDED] = "undecided",
};
static const char *const stations[] = {"environment", "test", "analysis", "selection", "storage"};

static const struct figure {
    const char *name;
    size_t at;
} figures[] = {
    {"cold_ms", offsetof(struct preenv_config, cold_ms)},
    {"p50_ms", offsetof(struct preenv_config, p50_ms)},
    {"p95_ms", offsetof(struct preenv_config, p95_ms)},
    {"user_ms", offsetof(struct preenv_config, user_ms)},
    {"system_ms", offsetof(struct preenv_config, system_ms)},
    {"throttled_ms", offsetof(struct preenv_config, throttled_ms)},
    {"peak_mb", offsetof(struct preenv_config, peak_mb)},
    {"init_peak_mb", offsetof(struct preenv_config, init_peak_mb)},
    {"run_peak_mb", offsetof(struct preenv_config, run_peak_mb)},
    {"high_water_mb", offsetof(struct preenv_config, high_water_mb)},
    {"noise", offsetof(struct preenv_config, noise)},
    {"others", offsetof(struct preenv_config, others)},
};

static int index_of(const char *const *list, size_t n, const char *text)
{
    for (size_t i = 0; text && i < n; i++)
        if (strcmp(list[i], text) == 0)
            return (int)i;
    return -1;
}

/* -1: of no state. */
static int state_of(const char *text)
{
    for (int i = 0; text && i < PREENV_STATES; i++)
        if (strcmp(preenv_state_text((enum preenv_state)i), text) == 0)
            return i;
    return -1;
}

/* ---- writing ------------------------------------------------------------------------------------------------- */

static void text_member(struct nr_buf *out, const char *name, const char *value)
{
    nr_buf_printf(out, ",\"%s\":", name);
    nr_buf_json(out, nr_str_of(value ? value : ""));
}

static const double *figure_of(const struct preenv_config *c, const struct figure *f)
{
    return (const double *)(const void *)((const char *)c + f->at);
}

static void write_config(const struct preenv_run *r, const struct preenv_config *c,
                         struct nr_buf *out)
{
    nr_buf_printf(out, "{\"memory_mb\":%lld,\"cpus\":", (long long)c->memory_mb);
    if (c->cpus_milli > 0)
        nr_buf_printf(out, "%.3g", (double)c->cpus_milli / 1000);
    else
        nr_buf_adds(out, "null");
    for (size_t i = 0; i < nr_countof(figures); i++) {
        double x = *figure_of(c, &figures[i]);

        if (x >= 0)
            nr_buf_printf(out, ",\"%s\":%.3f", figures[i].name, x);
        else
            nr_buf_printf(out, ",\"%s\":null", figures[i].name);
    }
    nr_buf_printf(out, ",\"outcome\":\"%s\",\"runs\":%u,\"cold_runs\":%u,\"noisy\":%s",
                  preenv_outcome_text(c->outcome), c->runs, c->cold_runs,
                  c->noisy ? "true" : "false");
    nr_buf_printf(out, ",\"verdict\":\"%s\",\"slow_by\":%.4f", verdicts[c->verdict], c->slow_by);
    nr_buf_printf(out, ",\"slow_by_of\":\"%s\"", c->by_cpu ? "cpu time" : "run time");
    for (unsigned i = 0; i < r->request.payload_count; i++)
        nr_buf_printf(out, "%s%.3f%s", i ? "," : ",\"payload_peak_mb\":[", c->payload_peak_mb[i],
                      i + 1 == r->request.payload_count ? "]" : "");
    if (c->outcome != PREENV_OK)
        text_member(out, "error", c->error);
    nr_buf_addc(out, '}');
}

static void write_size(struct nr_buf *out, const char *name, bool cpu, int64_t size)
{
    nr_buf_printf(out, ",\"%s_%s\":", name, cpu ? "cpus" : "mb");
    if (size <= 0)
        nr_buf_adds(out, "null");
    else if (cpu)
        nr_buf_printf(out, "%.3g", (double)size / 1000);
    else
        nr_buf_addi(out, size);
}

static void write_choice(const struct preenv_run *r, struct nr_buf *out)
{
    bool cpu = r->request.cpu;
    int64_t declared = cpu ? r->declared_cpus_milli : r->declared_mb;

    write_size(out, "declared", false, r->declared_mb);
    write_size(out, "declared", true, r->declared_cpus_milli);
    write_size(out, "chosen", false, cpu ? 0 : r->chosen);
    write_size(out, "chosen", true, cpu ? r->chosen : 0);
    if (r->chosen > 0 && declared > 0)
        nr_buf_printf(out, ",\"saved_percent\":%.1f",
                      100 - 100 * (double)r->chosen / (double)declared);
    if (r->growth_mb > 0)
        nr_buf_printf(out, ",\"growth_mb_per_call\":%.2f,\"recycle_after_calls\":%lld",
                      r->growth_mb, (long long)r->recycle_calls);
}

static void write_payloads(const struct preenv_run *r, struct nr_buf *out)
{
    nr_buf_adds(out, ",\"payloads\":[");
    for (unsigned i = 0; i < r->request.payload_count; i++)
        nr_buf_printf(out, "%s{\"weight\":%.6g,\"bytes\":%zu}", i ? "," : "",
                      r->request.payloads[i].weight, strlen(r->request.payloads[i].value));
    nr_buf_addc(out, ']');
}

static void write_events(const struct preenv_run *r, struct nr_buf *out)
{
    nr_buf_adds(out, ",\"events\":[");
    for (unsigned i = 0; i < r->event_count; i++) {
        nr_buf_printf(out, "%s{\"at_ms\":%lld,\"station\":\"%s\"", i ? "," : "",
                      (long long)r->events[i].at_ms, r->events[i].station);
        text_member(out, "text", r->events[i].text);
        nr_buf_addc(out, '}');
    }
    nr_buf_addc(out, ']');
}

static void write_lists(const struct preenv_run *r, struct nr_buf *out)
{
    nr_buf_adds(out, ",\"configurations\":[");
    for (unsigned i = 0; i < r->config_count; i++) {
        if (i)
            nr_buf_addc(out, ',');
        write_config(r, &r->configs[i], out);
    }
    nr_buf_adds(out, "],\"advice\":[");
    for (unsigned i = 0; i < r->advice_count; i++) {
        if (i)
            nr_buf_addc(out, ',');
        nr_buf_json(out, nr_str_of(r->advice[i]));
    }
    nr_buf_addc(out, ']');
    write_events(r, out);
}

void preenv_write(const struct preenv_run *r, struct nr_buf *out)
{
    nr_buf_printf(out, "{\"id\":\"%s\",\"state\":\"%s\"", r->id, preenv_state_text(r->state));
    text_member(out, "reason", r->reason);
    text_member(out, "phase", r->phase);
    text_member(out, "version", r->function_version);
    nr_buf_printf(out, ",\"number\":%lld,\"sha256\":\"%s\",\"axis\":\"%s\"",
                  (long long)r->request.version, r->sha256, r->request.cpu ? "cpu" : "memory");
    write_choice(r, out);
    nr_buf_printf(out, ",\"tolerance\":%.4g,\"noisy\":%s,\"applied\":%s", r->request.tolerance,
                  r->noisy ? "true" : "false", r->applied ? "true" : "false");
    nr_buf_printf(out, ",\"started_ms\":%lld,\"ended_ms\":%lld,\"spent_ms\":%lld",
                  (long long)r->started_ms, (long long)r->ended_ms, (long long)r->spent_ms);
    write_payloads(r, out);
    nr_buf_printf(out, ",\"environment\":%s", r->place ? r->place : "{}");
    write_lists(r, out);
    nr_buf_addc(out, '}');
}

/* ---- reading ------------------------------------------------------------------------------------------------- */

static void read_config(const json_t *j, struct preenv_config *c)
{
    const json_t *peaks = json_object_get(j, "payload_peak_mb");
    const char *outcome = nr_json_string(j, "outcome");

    c->memory_mb = json_integer_value(json_object_get(j, "memory_mb"));
    c->cpus_milli = (int64_t)(1000 * json_number_value(json_object_get(j, "cpus")) + 0.5);
    for (size_t i = 0; i < nr_countof(figures); i++) {
        const json_t *x = json_object_get(j, figures[i].name);
        double value = json_is_number(x) ? json_number_value(x) : -1;

        memcpy((char *)c + figures[i].at, &value, sizeof(value));
    }
    for (size_t i = 0; i < PREENV_PAYLOADS_MAX; i++)
        c->payload_peak_mb[i] =
            i < json_array_size(peaks) ? json_number_value(json_array_get(peaks, i)) : -1;
    for (int o = 0; o < PREENV_OUTCOMES && outcome; o++)
        if (strcmp(preenv_outcome_text((enum preenv_outcome)o), outcome) == 0)
            c->outcome = (enum preenv_outcome)o;
    int verdict = index_of(verdicts, nr_countof(verdicts), nr_json_string(j, "verdict"));

    c->verdict = verdict >= 0 ? (enum preenv_verdict)verdict : PREENV_UNJUDGED;
    c->slow_by = json_number_value(json_object_get(j, "slow_by"));
    c->by_cpu = nr_json_string(j, "slow_by_of") != NULL &&
                strcmp(nr_json_string(j, "slow_by_of"), "cpu time") == 0;
    c->noisy = json_is_true(json_object_get(j, "noisy"));
    c->runs = (unsigned)json_integer_value(json_object_get(j, "runs"));
    c->cold_runs = (unsigned)json_integer_value(json_object_get(j, "cold_runs"));
    (void)snprintf(c->error, sizeof(c->error), "%s",
                   nr_json_string(j, "error") ? nr_json_string(j, "error") : "");
}

static void read_event(const json_t *j, struct preenv_event *e)
{
    int at = index_of(stations, nr_countof(stations), nr_json_string(j, "station"));
    const char *text = nr_json_string(j, "text");

    e->at_ms = json_integer_value(json_object_get(j, "at_ms"));
    e->station = stations[at >= 0 ? at : 0];
    (void)snprintf(e->text, sizeof(e->text), "%s", text ? text : "");
}

static void read_choice(const json_t *j, struct preenv_run *r)
{
    r->growth_mb = json_number_value(json_object_get(j, "growth_mb_per_call"));
    r->recycle_calls = json_integer_value(json_object_get(j, "recycle_after_calls"));
    r->chosen = r->request.cpu
                    ? (int64_t)(1000 * json_number_value(json_object_get(j, "chosen_cpus")) + 0.5)
                    : json_integer_value(json_object_get(j, "chosen_mb"));
}

int preenv_read(struct nr_str text, struct preenv_run *r)
{
    nr_auto_json json_t *j = nr_json_parse(text, NULL);
    const json_t *configs = json_object_get(j, "configurations"),
                 *events = json_object_get(j, "events"), *place = json_object_get(j, "environment");
    int state = state_of(nr_json_string(j, "state"));

    if (state < 0)
        return NR_ECORRUPT;
    r->state = (enum preenv_state)state;
    r->noisy = json_is_true(json_object_get(j, "noisy"));
    r->applied = json_is_true(json_object_get(j, "applied"));
    r->ended_ms = json_integer_value(json_object_get(j, "ended_ms"));
    r->request.tolerance = r->request.tolerance > 0
                               ? r->request.tolerance
                               : json_number_value(json_object_get(j, "tolerance"));
    r->spent_ms = json_integer_value(json_object_get(j, "spent_ms"));
    read_choice(j, r);
    r->config_count = 0;
    for (size_t i = 0; i < json_array_size(configs) && i <= PREENV_GRID_MAX; i++)
        read_config(json_array_get(configs, i), &r->configs[r->config_count++]);
    r->event_count = 0;
    for (size_t i = 0; i < json_array_size(events) && i < PREENV_EVENTS_MAX; i++)
        read_event(json_array_get(events, i), &r->events[r->event_count++]);
    free(r->place);
    r->place = place ? nr_json_text(place, NULL) : NULL;
    return 0;
}

void preenv_write_brief(struct nr_str text, struct nr_buf *out)
{
    static const char *const left_out[] = {"configurations", "events", "environment", "payloads"};
    nr_auto_json json_t *j = nr_json_parse(text, NULL);

    if (!json_is_object(j))
        return;
    (void)json_object_set_new(
        j, "tested",
        json_integer((json_int_t)json_array_size(json_object_get(j, "configurations"))));
    for (size_t i = 0; i < nr_countof(left_out); i++)
        (void)json_object_del(j, left_out[i]);
    nr_auto_free char *brief = nr_json_text(j, NULL);

    nr_buf_adds(out, brief ? brief : "{}");
}

int64_t preenv_write_events(struct nr_str text, int64_t seen, struct nr_buf *out, bool *ret_last)
{
    nr_auto_json json_t *j = nr_json_parse(text, NULL);
    const json_t *events = json_object_get(j, "events");
    const char *state = nr_json_string(j, "state");
    int64_t n = (int64_t)json_array_size(events);

    for (int64_t i = seen < 0 ? 0 : seen; i < n; i++) {
        nr_auto_free char *event = nr_json_text(json_array_get(events, (size_t)i), NULL);
        const char *station = nr_json_string(json_array_get(events, (size_t)i), "station");

        nr_buf_printf(out, "id: %lld\nevent: %s\ndata: %s\n\n", (long long)i + 1,
                      station ? station : "test", event ? event : "{}");
    }
    *ret_last = state == NULL || state_of(state) != PREENV_RUNNING;
    if (*ret_last) {
        nr_buf_adds(out, "event: end\ndata: ");
        nr_buf_add(out, text.p, text.n);
        nr_buf_adds(out, "\n\n");
    }
    return n;
}
