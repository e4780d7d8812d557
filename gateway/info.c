/* What the platform tells about itself: GET /, /api/v1, the caller's namespace and limits, the invokers, health. */
#include "gateway/internal.h"

#define MB (1 << 20)
#define SEQUENCE_LENGTH_MAX 50
#define METRICS_MAX_BYTES (16 * MB)

/* The limits of a function, as GET / (milliseconds, bytes) and the limits of a namespace (milliseconds, megabytes) tell them;
 * max 0: the node's memory. */
static const struct {
    const char *name, *user_name;
    int64_t min, max, scale;
} limits[] = {
    {"action_duration", "ActionTimeout", 100, 600000, 1},
    {"action_memory", "ActionMemory", 64, 0, MB},
    {"action_logs", "ActionLogs", 0, 10, MB},
    {NULL, "ActionConcurrency", 1, 64, 1},
};

static int64_t max_of(const struct gateway *g, size_t i)
{
    return limits[i].max ? limits[i].max : g->config.memory_max_mb;
}

static void answer(struct gateway_request *q, int status)
{
    if (q->text.failed) {
        request_refuse(q, 503, UNAVAILABLE_TEXT);
    } else {
        q->status = status;
        q->body = nr_buf_str(&q->text);
    }
    request_tick(q);
}

/* The minute and concurrency figures are those of the profile `default`: who asks here has no account. */
void info_root(struct gateway_request *q)
{
    struct nr_buf *out = &q->text;

    nr_buf_adds(out, "{\"description\":\"OpenWhisk\",\"support\":{\"github\":\"\",\"slack\":\"\"},"
                     "\"api_paths\":[\"/api/v1\"],\"limits\":{\"actions_per_minute\":60,"
                     "\"triggers_per_minute\":60,\"concurrent_actions\":30");
    nr_buf_printf(out, ",\"sequence_length\":%d", SEQUENCE_LENGTH_MAX);
    for (size_t i = 0; i < nr_countof(limits); i++) {
        long long min = (long long)(limits[i].min * limits[i].scale);
        long long max = (long long)(max_of(q->g, i) * limits[i].scale);
        const char *name = limits[i].name;

        if (name)
            nr_buf_printf(
                out,
                ",\"default_min_%s\":%lld,\"default_max_%s\":%lld,\"min_%s\":%lld,\"max_%s\":%lld",
                name, min, name, max, name, min, name, max);
    }
    nr_buf_adds(out, "},\"runtimes\":");
    fnmanager_runtimes(q->g->config.fnmanager, out);
    nr_buf_addc(out, '}');
    answer(q, 200);
}

void info_api(struct gateway_request *q)
{
    struct nr_buf *out = &q->text;

    nr_buf_adds(
        out,
        "{\"description\":\"OpenWhisk API\",\"api_version\":\"1.0.0\",\"api_version_path\":\"v1\","
        "\"build\":");
    nr_buf_json(out, nr_str_of(q->g->config.build));
    nr_buf_adds(out, ",\"buildno\":");
    nr_buf_json(out, nr_str_of(q->g->config.build_number));
    nr_buf_adds(out, ",\"swagger_paths\":{\"ui\":\"/docs\",\"api-docs\":\"/api-docs\"}}");
    answer(q, 200);
}

void info_namespaces(struct gateway_request *q)
{
    nr_buf_addc(&q->text, '[');
    nr_buf_json(&q->text, nr_str_of(q->account->name));
    nr_buf_addc(&q->text, ']');
    answer(q, 200);
}

void info_limits(struct gateway_request *q)
{
    const struct account *a = q->account;
    struct nr_buf *out = &q->text;

    nr_buf_printf(
        out,
        "{\"invocationsPerMinute\":%lld,\"concurrentInvocations\":%lld,\"firesPerMinute\":%lld",
        (long long)a->invocations_per_minute, (long long)a->concurrent_invocations,
        (long long)a->fires_per_minute);
    for (size_t i = 0; i < nr_countof(limits); i++)
        nr_buf_printf(out, ",\"min%s\":%lld,\"max%s\":%lld", limits[i].user_name,
                      (long long)limits[i].min, limits[i].user_name, (long long)max_of(q->g, i));
    nr_buf_printf(out, ",\"maxActionInstances\":%lld,\"maxParameterSize\":\"%d B\"}",
                  (long long)a->concurrent_invocations, MB);
    answer(q, 200);
}

void info_options(struct gateway_request *q)
{
    answer(q, 200);
}

/* What this host can do is everybody's to read; what it is used for by others is the administrator's. */
void info_invokers(struct gateway_request *q)
{
    bool admin = q->account->scopes & SCOPE_ADMIN;

    invokers_status(q->g->config.invokers, admin ? NULL : q->account->name, &q->text);
    answer(q, 200);
}

/* op 1: the word that old probes look for. */
void info_health(struct gateway_request *q)
{
    q->media_type = "text/plain";
    nr_buf_adds(&q->text, q->route->op ? "pong" : "ok\n");
    answer(q, 200);
}

void info_ready(struct gateway_request *q)
{
    const struct gateway *g = q->g;
    char why[INVOKER_WHY_BYTES] = "";
    bool ready = g->ready && invokers_ready(g->config.invokers, why);

    q->media_type = "text/plain";
    if (!ready)
        request_head(q, "Retry-After: %d\r\n", g->stopping || g->ready ? 5 : 1);
    nr_buf_printf(&q->text, "%s%s\n",
                  ready         ? "ready"
                  : g->ready    ? "not ready: "
                  : g->stopping ? "stopping"
                                : "starting",
                  why);
    answer(q, ready ? 200 : 503);
}

static struct gateway_request *request_of(struct nr_work *w)
{
    return nr_container_of(nr_container_of(w, struct payload_scan, work), struct gateway_request,
                           scan);
}

static void metrics_work(struct nr_work *w)
{
    struct gateway_request *q = request_of(w);

    metrics_named(q->g, q->account, &q->text);
}

static void on_metrics(struct nr_work *w)
{
    answer(request_of(w), 200);
}

/* Functions may be many: their part of the page is written on a work thread, when there is a key with which to read it. */
void info_metrics(struct gateway_request *q)
{
    q->media_type = "text/plain; version=0.0.4; charset=utf-8";
    q->text.max_bytes = METRICS_MAX_BYTES;
    metrics_all(q->g, &q->text);
    if (q->account == NULL) {
        answer(q, 200);
        return;
    }
    q->scan.work = (struct nr_work){.work = metrics_work, .done = on_metrics};
    nr_work_post(q->http.loop, &q->scan.work);
}
