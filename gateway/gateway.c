/* The gateway's life: open and listen, ready, drain, close.
 *
 * After gateway_close() the server's handles go first; requests that the controller or the function manager still hold keep the
 * gateway until their answers came. It is freed when both are over.
 */
#include "gateway/internal.h"

#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/size.h"
#include "gateway/api_tables.h"
#include "gateway/custom_series.h"
#include "gateway/function_series.h"

#define CONNECTIONS_MAX 4096
#define INFLIGHT_MAX_BYTES (256ll << 20)
#define FAILED_LOGINS_PER_MINUTE 20

static void http_config(const struct gateway_config *c, struct nr_http_config *http)
{
    nr_http_config_init(http);
    http->request_bytes = sizeof(struct gateway_request);
    http->zeroed_bytes = offsetof(struct gateway_request, err);
    http->body_max_bytes = SWALLOW_MAX_BYTES;
    http->connections_max = c->connections_max ? c->connections_max : CONNECTIONS_MAX;
    http->inflight_max_bytes =
        nr_size_of(c->inflight_max_bytes ? c->inflight_max_bytes : INFLIGHT_MAX_BYTES);
    http->tls = c->tls;
    if (c->header_timeout_ms)
        http->header_timeout_ms = c->header_timeout_ms;
    if (c->body_timeout_ms)
        http->body_timeout_ms = c->body_timeout_ms;
    if (c->idle_timeout_ms)
        http->idle_timeout_ms = c->idle_timeout_ms;
    if (c->write_timeout_ms)
        http->write_timeout_ms = c->write_timeout_ms;
}

static void nothing(void *arg)
{
    free(arg);
}

int gateway_judge(const char *metrics_functions, struct nr_err *err)
{
    struct series_choice choice = {0};

    return series_choice_read(metrics_functions ? metrics_functions : "off", &choice, err);
}

int gateway_open(const struct gateway_config *c, struct gateway **ret, struct nr_err *err)
{
    struct gateway *g = nr_alloc(sizeof(*g));
    struct nr_http_config http;
    struct series_choice choice = {0};
    int r = series_choice_read(c->metrics_functions ? c->metrics_functions : "off", &choice, err);

    if (r != 0) {
        free(g);
        return r;
    }
    g->config = *c;
    g->config.listen = NULL;
    g->config.listen_fds = NULL;
    g->opened_ms = nr_wall_ms();
    nr_list_init(&g->log_streams);
    nr_list_init(&g->progress_streams);
    nr_list_init(&g->event_streams);
    nr_list_init(&g->spooling);
    http_config(c, &http);
    r = nr_http_open(c->loop, &http, &gateway_hooks, g, &g->http, err);
    for (size_t i = 0; i < c->listen_fd_count; i++)
        if (r == 0)
            r = nr_http_listen_fd(g->http, c->listen_fds[i], &g->port, err);
        else
            (void)close(c->listen_fds[i]);
    if (r == 0 && c->listen_fd_count == 0)
        r = nr_http_listen(g->http, c->listen, &g->port, err);
    if (r != 0) {
        nr_http_close(g->http, nothing, g);
        return r;
    }
    nr_logins_init(&g->logins, c->failed_logins_per_minute ? c->failed_logins_per_minute
                                                           : FAILED_LOGINS_PER_MINUTE);
    g->activations = activation_pool_make();
    g->apis = api_tables_make(c->fnmanager, c->loop);
    if (choice.top || choice.key[0])
        g->functions = function_series_make(&choice);
    g->customs = custom_series_make();
    *ret = g;
    return 0;
}

int gateway_port(const struct gateway *g)
{
    return g->port;
}

void gateway_set_ready(struct gateway *g, bool ready)
{
    g->ready = ready;
}

void gateway_sample(struct gateway *g, const struct sample *s, enum series_label label)
{
    if (g->functions)
        function_series_take(g->functions, s, label, (int64_t)nr_mono_ms());
}

bool gateway_custom_metric(struct gateway *g, const char *account, struct nr_str function,
                           const struct sample *s)
{
    if (s)
        return custom_series_take(g->customs, account, function, s, nr_mono_ms()) == CUSTOM_TAKEN;
    custom_series_refused(g->customs, CUSTOM_FORM);
    return false;
}

void gateway_forget_account(struct gateway *g, const char *account)
{
    gateway_apis_changed(g, account);
    if (g->functions)
        function_series_forget(g->functions, account);
    custom_series_forget(g->customs, account);
}

size_t gateway_listeners(const struct gateway *g, int *ret_fds, size_t max)
{
    return nr_http_listeners(g->http, ret_fds, max);
}

static void stop_streams(struct gateway *g)
{
    logs_stop_all(g);
    progress_stop_all(g);
    events_stop_all(g);
}

size_t gateway_hand_over(struct gateway *g, int *ret_fds, size_t max)
{
    stop_streams(g);
    return nr_http_hand_over(g->http, ret_fds, max);
}

void gateway_part(struct gateway *g, bool on)
{
    nr_http_part(g->http, on);
}

size_t gateway_hand_over_untouched(struct gateway *g, int *ret_fds, size_t max)
{
    return nr_http_hand_over_untouched(g->http, ret_fds, max);
}

unsigned gateway_reading(const struct gateway *g)
{
    return nr_http_reading(g->http);
}

unsigned gateway_greeting(const struct gateway *g)
{
    return nr_http_greeting(g->http);
}

void gateway_adopt(struct gateway *g, int fd, bool untouched)
{
    nr_http_adopt(g->http, fd, untouched);
}

void gateway_drain(struct gateway *g, void (*idle)(void *arg), void *arg)
{
    g->ready = false;
    g->stopping = true;
    stop_streams(g);
    nr_http_drain(g->http, idle, arg);
}

void gateway_finish(struct gateway *g)
{
    void (*closed)(void *) = g->on_closed;
    void *arg = g->closed_arg;

    nr_logins_fini(&g->logins);
    activation_pool_close(g->activations);
    api_tables_free(g->apis);
    function_series_free(g->functions);
    custom_series_free(g->customs);
    free(g);
    closed(arg);
}

static void on_http_closed(void *arg)
{
    struct gateway *g = arg;

    g->closed = true;
    g->http = NULL;
    if (g->live == 0)
        gateway_finish(g);
}

void gateway_close(struct gateway *g, void (*closed)(void *arg), void *arg)
{
    if (g == NULL) {
        closed(arg);
        return;
    }
    events_stop_all(g);
    g->on_closed = closed;
    g->closed_arg = arg;
    nr_http_close(g->http, on_http_closed, g);
}
