/* The gateway's figures, and the page that holds those of all parts. No account and no function is named here, so the page needs
 * no key.
 */
#include "gateway/internal.h"

#include <dirent.h>
#include <stdio.h>

#include "common/base/clock.h"

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

/* Resident and anonymous bytes; /proc is memory, so this does not wait for a disk. */
static void write_memory(struct nr_buf *out)
{
    FILE *f = fopen("/proc/self/status", "re");
    char line[128];
    long long kb;

    while (f && fgets(line, sizeof(line), f)) {
        if (sscanf(line, "VmRSS: %lld kB", &kb) == 1)
            nr_metric_one(out, "narae_process_resident_memory_bytes", "gauge", "Resident memory.",
                          (double)kb * 1024);
        if (sscanf(line, "RssAnon: %lld kB", &kb) == 1)
            nr_metric_one(out, "narae_process_anonymous_memory_bytes", "gauge",
                          "Anonymous resident memory.", (double)kb * 1024);
    }
    if (f)
        (void)fclose(f);
}

static void write_files(struct nr_buf *out)
{
    DIR *d = opendir("/proc/self/fd");
    int n = -3; /* ".", ".." and the folder itself */

    while (d && readdir(d))
        n++;
    if (d)
        (void)closedir(d);
    nr_metric_one(out, "narae_process_open_fds", "gauge", "Open file descriptors.", n);
}

static void write_loop(const struct nr_loop *l, struct nr_buf *out)
{
    struct nr_loop_stats s = nr_loop_stats(l);

    nr_metric_one(out, "narae_loop_callbacks_over_20_ms_total", "counter",
                  "Turns of the loop thread that took more than 20 ms of its CPU time.",
                  (double)s.callbacks_over_20_ms);
    nr_metric_one(out, "narae_loop_longest_callback_seconds", "gauge",
                  "The longest turn, in CPU time.", (double)s.longest_cpu_us / 1e6);
    nr_metric_one(out, "narae_loop_cpu_seconds_total", "counter", "CPU time of the loop thread.",
                  (double)s.cpu_us / 1e6);
}

void metrics_all(struct gateway *g, struct nr_buf *out)
{
    gateway_metrics(g, out);
    controller_metrics(g->config.controller, out);
    invoker_metrics(g->config.invoker, out);
    fnmanager_metrics(g->config.fnmanager, out);
    write_memory(out);
    write_files(out);
    write_loop(g->config.loop, out);
}
