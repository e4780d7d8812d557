/* naraed --roles=invoker: the containers of this host for a controller on another one. An invoker and a link to the controller; no gateway, no function manager, no record.
 *
 *   start   lock the data folder, name this installation, Engine and leftovers (invoker), dial (link). A controller that is not there is no failure: it is dialled for ever
 *   TERM    nothing new is taken, what has not started is given back, what runs may end (drain-s) and its results are taken; containers go; LEAVING; exit 0
 *   again   now
 *   HUP     the log level is read again
 *
 * Containers of an earlier run are not adopted: which function they have is the controller's to know.
 */
#include "daemon/role_invoker.h"

#include <ctype.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>

#include "common/base/file.h"
#include "daemon/daemon.h"
#include "daemon/runtime_images.h"
#include "daemon/takeover.h"
#include "ports/event.h"
#include "ports/grants.h"
#include "ports/link.h"
#include "ports/wire.h"

enum { REMOVE_MS = 60000, CODE_MAX_MB = 4096 };

struct role {
    struct daemon *d;
    struct link *link; /* NULL: not yet */
    const char *const *kinds, *const *images;
    char name[WIRE_NAME_MAX_BYTES + 2];
    char token[WIRE_TOKEN_MAX_BYTES + 2];
    /* where the API is, while its name is looked up */
    struct nr_work look_up;
    char *api_url;
    struct invoker_api api;
    struct nr_err api_err;
    bool closing;
};

bool role_is_invoker(const struct daemon *d)
{
    return strcmp(d->options.roles, "invoker") == 0;
}

int role_judge(struct daemon *d, struct nr_err *err)
{
    const struct options *o = &d->options;
    const struct {
        const char *name, *value;
    } of_invokers[] = {{"controller", o->controller},
                       {"controller-pin", o->controller_pin},
                       {"invoker-name", o->invoker_name},
                       {"invoker-token-file", o->invoker_token_file},
                       {"tags", o->tags}};

    for (size_t i = 0; !role_is_invoker(d) && i < nr_countof(of_invokers); i++)
        if (of_invokers[i].value)
            return nr_err_set(err, NR_EINVAL, "--%s is for --roles=invoker, and this is --roles=%s",
                              of_invokers[i].name, o->roles);
    if (role_is_invoker(d) && o->controller == NULL)
        return nr_err_set(err, NR_EINVAL,
                          "--roles=invoker needs --controller=tls://HOST:PORT or unix:/PATH: where "
                          "the controller has its --invokers-listen");
    return 0;
}

/* ---- what it is told to be ---------------------------------------------------------------------------------------- */

/* The host's name up to its first dot, in the letters that a name may have. */
static void name_of_host(const char *host, char *out, size_t bytes)
{
    size_t n = 0;

    for (; host[n] && host[n] != '.' && n + 1 < bytes; n++)
        out[n] = isalnum((unsigned char)host[n]) ? (char)tolower((unsigned char)host[n]) : '-';
    out[n] = '\0';
}

/* Nobody else may read it: it is what this host is trusted by. */
static int read_token(struct role *r, struct nr_err *err)
{
    const char *path = r->d->options.invoker_token_file;
    char *text = NULL;
    struct stat st;
    size_t n = 0;

    if (path == NULL)
        return 0;
    if (stat(path, &st) == 0 && (st.st_mode & 077) != 0)
        return nr_err_set(err, NR_EFORBIDDEN,
                          "--invoker-token-file=%s can be read by others (mode %o): chmod 600 it",
                          path, (unsigned)st.st_mode & 0777);
    int status = nr_file_read(path, 4096, &text, &n, err);

    if (status < 0)
        return nr_err_wrap(err, status, "--invoker-token-file");
    while (n > 0 && isspace((unsigned char)text[n - 1]))
        n--;
    if (n == 0 || n > WIRE_TOKEN_MAX_BYTES || memchr(text, '\n', n))
        status = nr_err_set(err, NR_EINVAL,
                            "--invoker-token-file=%s is no token: one line of 1 to %d letters",
                            path, WIRE_TOKEN_MAX_BYTES);
    else
        memcpy(r->token, text, n);
    nr_str_wipe((struct nr_str){text, n});
    free(text);
    return status;
}

/* ---- the invoker -------------------------------------------------------------------------------------------------- */

static void on_event(void *arg, const struct event *e)
{
    struct role *r = arg;

    if (r->link && !r->closing)
        link_event(r->link, e);
}

static void on_registry_auth(void *arg, const char *account, const char *image, char **ret_auth)
{
    struct role *r = arg;

    if (r->link)
        link_registry_auth(r->link, account, image, ret_auth);
}

static int open_invoker(struct role *r, struct nr_err *err)
{
    char volumes[DAEMON_PATH_BYTES];
    struct invoker_config c;

    part_invoker_config(r->d, volumes, &c);
    c.invoker = r->name;
    c.function_of = NULL;
    c.registry_auth = on_registry_auth;
    c.registry_auth_arg = r;
    c.event = on_event;
    c.event_arg = r;
    r->kinds = c.kinds;
    r->images = c.images;
    return invoker_open(&c, &r->d->invoker, err);
}

/* ---- where the API is ----------------------------------------------------------------------------------------------- */

static void tell_api(struct role *r, const struct invoker_api *api)
{
    struct daemon *d = r->d;
    struct nr_err err = {0};
    const char *told;

    if (invoker_api_host(d->invoker, api, &told, &err) == 0)
        nr_log(&d->log, NR_LOG_INFO, "daemon", "functions find the API at %s", told);
    else
        nr_log(&d->log, NR_LOG_INFO, "daemon", "functions are not told where the API is: %s",
               err.text);
}

static void look_up(struct nr_work *w)
{
    struct role *r = nr_container_of(w, struct role, look_up);

    (void)place_api_of(r->api_url, &r->api, &r->api_err);
}

static void on_looked_up(struct nr_work *w)
{
    struct role *r = nr_container_of(w, struct role, look_up);

    if (r->closing)
        return;
    if (r->api_err.code == 0)
        tell_api(r, &r->api);
    else
        nr_log(&r->d->log, NR_LOG_WARN, "daemon",
               "functions are not told where the API is: the controller says %s, and %s",
               r->api_url, r->api_err.text);
    link_api_known(r->link);
}

/* What is given here goes before what the controller tells. */
static void on_api_host(void *arg, const char *url)
{
    struct role *r = arg;

    if (url == NULL || strcmp(r->d->options.api_host, "auto") != 0) {
        link_api_known(r->link);
        return;
    }
    r->api_url = nr_strdup(url);
    r->look_up = (struct nr_work){.work = look_up, .done = on_looked_up};
    nr_work_post(&r->d->loop, &r->look_up);
}

/* ---- the link ------------------------------------------------------------------------------------------------------- */

enum { CODES_BYTES = DAEMON_PATH_BYTES + 8 };

/* codes: room for a text that it lends. */
static struct link_config config_of(struct role *r, char codes[static CODES_BYTES])
{
    struct daemon *d = r->d;
    nr_auto_free char *data = realpath(d->options.data, NULL);

    (void)snprintf(codes, CODES_BYTES, "%s/code", data ? data : d->options.data);
    return (struct link_config){.loop = &d->loop,
                                .invoker = d->invoker,
                                .node = &d->node,
                                .controller = d->options.controller,
                                .pin = d->options.controller_pin,
                                .token = r->token,
                                .name = r->name,
                                .tags = d->options.tags,
                                .code_dir = codes,
                                .code_max_bytes = (int64_t)CODE_MAX_MB << 20,
                                .installation = d->installation,
                                .version = NARAE_VERSION,
                                .kinds = r->kinds,
                                .images = r->images,
                                .devices = d->devices,
                                .containers_max = (unsigned)d->options.containers_max,
                                .api_host = on_api_host,
                                .arg = r,
                                .log = &d->log};
}

/* Before the Engine is asked for anything: a mistake is told at once. */
static int judge_link(struct role *r, struct nr_err *err)
{
    char codes[CODES_BYTES];
    const struct link_config c = config_of(r, codes);

    return link_judge(&c, err);
}

static int open_link(struct role *r, struct nr_err *err)
{
    char codes[CODES_BYTES];
    const struct link_config c = config_of(r, codes);

    return link_open(&c, &r->link, err);
}

/* ---- stop ----------------------------------------------------------------------------------------------------------- */

static void on_invoker_closed(void *arg)
{
    struct role *r = arg;

    uv_close((uv_handle_t *)&r->d->term, NULL);
    uv_close((uv_handle_t *)&r->d->intr, NULL);
    uv_close((uv_handle_t *)&r->d->hup, NULL);
    uv_stop(&r->d->loop.uv);
}

static void on_link_closed(void *arg)
{
    struct role *r = arg;

    r->closing = true;
    if (r->d->invoker)
        invoker_close(r->d->invoker, on_invoker_closed, r);
    else
        on_invoker_closed(r);
}

static void on_containers_gone(void *arg)
{
    struct role *r = arg;

    r->d->left_some = r->d->invoker && invoker_left(r->d->invoker) > 0;
    if (r->link)
        link_close(r->link, on_link_closed, r);
    else
        on_link_closed(r);
}

static void on_calls_gone(void *arg)
{
    struct role *r = arg;

    nr_log(&r->d->log, NR_LOG_INFO, "daemon",
           "no call runs any more; containers are being removed");
    if (r->d->invoker)
        invoker_drain(r->d->invoker, REMOVE_MS, on_containers_gone, r);
    else
        on_containers_gone(r);
}

static void on_stop(uv_signal_t *s, int signum)
{
    struct role *r = s->data;
    struct daemon *d = r->d;

    if (d->stopping) {
        nr_log(&d->log, NR_LOG_WARN, "daemon",
               "second signal: stopping now; the next start removes what is left");
        _exit(1);
    }
    d->stopping = true;
    nr_log(
        &d->log, NR_LOG_INFO, "daemon",
        "signal %d: leaving; %zu calls are here and may end within %lld s; a second signal ends at "
        "once",
        signum, link_running(r->link), (long long)d->options.drain_s);
    supervisor_tell("STOPPING=1");
    link_drain(r->link, (uint64_t)d->options.drain_s * 1000, on_calls_gone, r);
}

/* ---- the process ---------------------------------------------------------------------------------------------------- */

static void watch_signals(struct role *r)
{
    struct daemon *d = r->d;
    const struct {
        uv_signal_t *handle;
        uv_signal_cb cb;
        int signum;
        void *data;
    } watch[] = {{&d->term, on_stop, SIGTERM, r},
                 {&d->intr, on_stop, SIGINT, r},
                 {&d->hup, daemon_on_reload, SIGHUP, d}};

    for (size_t i = 0; i < nr_countof(watch); i++) {
        (void)uv_signal_init(&d->loop.uv, watch[i].handle);
        watch[i].handle->data = watch[i].data;
        (void)uv_signal_start(watch[i].handle, watch[i].cb, watch[i].signum);
        uv_unref((uv_handle_t *)watch[i].handle);
    }
}

/* Signals that came during the start wait until here. */
static void let_signals_in(void)
{
    sigset_t set;

    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGHUP);
    (void)pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

static int open_all(struct role *r, struct nr_err *err)
{
    static int (*const places[])(struct daemon * d, struct nr_err * err) = {
        role_judge,       place_lock_data,    place_name_installation, place_find_run,
        place_find_agent, place_read_devices, place_read_gpus,         place_read_api_host,
    };
    struct daemon *d = r->d;
    int status = 0;

    for (size_t i = 0; status == 0 && i < nr_countof(places); i++)
        status = places[i](d, err);
    if (d->options.invoker_name)
        (void)snprintf(r->name, sizeof(r->name), "%s", d->options.invoker_name);
    else
        name_of_host(d->host, r->name, sizeof(r->name) - 1);
    if (status == 0)
        status = read_token(r, err);
    if (status == 0)
        status = judge_link(r, err);
    if (status == 0)
        status = open_invoker(r, err);
    if (status == 0 && d->api.url)
        tell_api(r, &d->api);
    return status == 0 ? open_link(r, err) : status;
}

static int close_all(struct role *r)
{
    struct daemon *d = r->d;
    int busy = nr_loop_fini(&d->loop);

    link_free(r->link);
    if (d->failed && d->invoker == NULL)
        place_drop_run(d);
    else if (busy == 0 && !d->left_some)
        place_leave_run(d);
    nr_options_fini(d->sets);
    grants_devices_free(d->devices);
    nr_str_wipe(nr_str_of(r->token));
    free(d->gpus);
    free(r->api_url);
    if (busy)
        nr_log(&d->log, NR_LOG_ERROR, "daemon", "the loop did not close cleanly: %s",
               uv_strerror(busy));
    else if (!d->failed)
        nr_log(&d->log, NR_LOG_INFO, "daemon", "stopped%s",
               d->left_some ? "; containers are left: the next start removes them" : "");
    return busy || d->left_some || d->failed ? 1 : 0;
}

int role_invoker(struct daemon *d)
{
    struct role r = {.d = d};
    struct nr_err err = {0};

    watch_signals(&r);
    if (open_all(&r, &err) < 0) {
        fprintf(stderr, "naraed: %s\n", err.text[0] ? err.text : nr_err_text(err.code));
        d->failed = d->stopping = true;
        on_calls_gone(&r);
    } else {
        let_signals_in();
        fleet_tell_layout(d);
        supervisor_tell("READY=1");
        fprintf(stderr, "invoker %s for %s\n", r.name, d->options.controller);
    }
    (void)uv_run(&d->loop.uv, UV_RUN_DEFAULT);
    return close_all(&r);
}
