/* The gateway's figures, and the page that holds those of all parts. Those name no account and no function, so they need no key. What functions did and told
 * stands at the end of the page of who shows one: of his account, or with the administrator's of all.
 */
#include "gateway/internal.h"

#include <stdio.h>

#include "common/base/clock.h"
#include "gateway/custom_series.h"
#include "gateway/function_series.h"
#include "common/bus/bus.h"

static const char *const classes[] = {"other", "1xx", "2xx", "3xx", "4xx", "5xx"};

void metrics_request(struct gateway_request *q)
{
    struct gateway_counts *c = &q->g->counts;
    size_t row = q->route ? (size_t)(q->route - routes) : ROUTES_MAX;
    size_t class = q->status >= 100 && q->status < 600 ? (size_t)q->status / 100 : 0;

    nr_count(&c->by_route[row][class], 1);
    if (!q->streamed)
        nr_hist_add_us(&c->seconds, nr_mono_us() - q->http.received_us);
}

static void write_requests(struct gateway_counts *c, struct nr_buf *out)
{
    char labels[256];

    nr_metric_head(out, "narae_gateway_requests_total", "counter",
                   "Requests by route and class of status.");
    for (size_t row = 0; row <= ROUTES_MAX; row++)
        for (size_t class = 0; class < nr_countof(classes); class ++) {
            uint64_t n = atomic_load_explicit(&c->by_route[row][class], memory_order_relaxed);

            if (n == 0)
                continue;
            (void)snprintf(labels, sizeof(labels), "method=\"%s\",route=\"%s\",status=\"%s\"",
                           row < ROUTES_MAX ? route_method(routes[row].method) : "other",
                           row < ROUTES_MAX ? routes[row].pattern : "none", classes[class]);
            nr_metric_sample(out, "narae_gateway_requests_total", labels, (double)n);
        }
}

void gateway_metrics(struct gateway *g, struct nr_buf *out)
{
    struct nr_http_stats http = nr_http_stats(g->http);
    struct gateway_counts *c = &g->counts;

    write_requests(c, out);
    nr_metric_head(out, "narae_gateway_request_seconds", "histogram",
                   "From the first byte of a request to the end of its reply.");
    nr_metric_hist(out, "narae_gateway_request_seconds", "", &c->seconds);
    nr_metric_one(out, "narae_gateway_ready", "gauge", "1 when calls are taken.", g->ready);
    nr_metric_one(out, "narae_gateway_requests_running", "gauge", "Requests being answered.",
                  g->live);
    nr_metric_one(out, "narae_gateway_connections", "gauge", "Open connections.",
                  (double)http.connections);
    nr_metric_one(out, "narae_gateway_inflight_bytes", "gauge", "Bytes of request bodies held.",
                  (double)http.inflight_bytes);
    nr_metric_one(out, "narae_gateway_unreadable_requests_total", "counter",
                  "Requests refused before they had a meaning.", (double)c->refused_by_server);
    nr_metric_one(out, "narae_logs_dropped_activations_total", "counter",
                  "Activations whose logs a follower did not get because it was too slow.",
                  (double)c->logs_dropped);
    nr_metric_one(out, "narae_gateway_failed_logins_total", "counter", "Wrong keys.",
                  (double)c->failed_logins);
    nr_metric_one(out, "narae_gateway_blocked_logins_total", "counter",
                  "Wrong keys answered 429, because their address had too many.",
                  (double)c->blocked_logins);
}

void metrics_named(struct gateway *g, const struct account *who, struct nr_buf *out)
{
    const char *account = who->scopes & SCOPE_ADMIN ? NULL : who->name;

    if (g->functions)
        function_series_write(g->functions, account, (int64_t)nr_mono_ms(), out);
    custom_series_write(g->customs, account, nr_mono_ms(), out);
}

void metrics_all(struct gateway *g, struct nr_buf *out)
{
    gateway_metrics(g, out);
    metrics_calls(g, out);
    controller_metrics(g->config.controller, out);
    invokers_metrics(g->config.invokers, out);
    fnmanager_metrics(g->config.fnmanager, out);
    if (g->config.scaler)
        scaler_metrics(g->config.scaler, out);
    if (g->config.bus)
        bus_metrics(g->config.bus, out);
    metrics_process(g, out);
    if (g->functions)
        function_series_count(g->functions, out);
    custom_series_count(g->customs, out);
}
