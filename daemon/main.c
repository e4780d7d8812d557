/* naraed: reads options, opens the parts, wires them through their ports, runs the loop, stops in order.
 *
 *   start   lock the data folder, keys and functions (fnmanager), Engine and leftovers (invoker), records and queue (controller),
 *           listen (gateway), ready
 *   TERM    not ready, no new calls; running ones finish (drain-s); containers are removed; everything is closed; exit 0, or 1 when
 *           containers are left (the log names them; the next start removes or adopts them)
 *   again   now
 *   USR2    a process of the program as it lies on the disk now takes over (takeover.h); so does one that is started with --takeover
 *   HUP     log level and certificates are read again; on a mistake nothing changes
 *
 * A start that fails says one line and exits with 1.
 */
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "common/bus/bus.h"
#include "common/net/tls.h"
#include "daemon/daemon.h"
#include "daemon/role_invoker.h"
#include "daemon/runtime_images.h"
#include "daemon/sampler.h"
#include "daemon/scaling.h"
#include "ports/gpus.h"
#include "ports/grants.h"
#include "ports/errand.h"
#include "ports/preenv.h"

#define REMOVE_MS 60000
#define TELL_MS 5000

typedef int step_fn(struct daemon *d, struct nr_err *err);

static int walk(struct daemon *d, step_fn *const *steps, size_t n, struct nr_err *err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < n; i++)
        r = steps[i](d, err);
    return r < 0 ? r : 0;
}

/* All that can refuse a start, before anything is taken: of the options, ... */
static int judge_options(struct daemon *d, struct nr_err *err)
{
    static step_fn *const judges[] = {role_judge, fleet_judge, scaling_judge, part_judge_options};

    return walk(d, judges, nr_countof(judges), err);
}

/* ... of the host, ... */
static int judge_host(struct daemon *d, struct nr_err *err)
{
    static step_fn *const judges[] = {place_find_agent, place_open_tls, place_read_devices,
                                      place_read_gpus, place_read_api_host};

    return walk(d, judges, nr_countof(judges), err);
}

/* ... and of what another process has open still; a start without one finds it out when it opens that itself. */
static int judge_data(struct daemon *d, struct nr_err *err)
{
    static step_fn *const judges[] = {place_judge_restore, place_judge_schemas, part_judge_secrets};

    return walk(d, judges, nr_countof(judges), err);
}

/* In this order, once there is a loop; a stop goes the other way. */
static step_fn *const opens[] = {
    judge_options,        place_lock_data,    place_name_installation,
    place_find_run,       place_read_endings, judge_host,
    place_try_listen,     part_open_bus,      part_open_fnmanager,
    part_open_invoker,    part_open_invokers, part_open_preenv,
    part_open_controller, part_open_sampler,  part_open_scaler,
    part_open_gateway,    part_tell_api_host, part_listen_invokers,
    release_open,
};

/* Where another process serves: up to takeover_ask() it does so still. */
static step_fn *const takeover_opens[] = {
    judge_options,     place_name_installation, place_read_endings,   judge_data,
    judge_host,        part_open_bus,           part_open_invoker,    takeover_ask,
    place_lock_data,   part_open_fnmanager,     takeover_adopt,       part_open_invokers,
    part_open_preenv,  part_open_controller,    part_open_sampler,    part_open_scaler,
    part_open_gateway, part_tell_api_host,      part_listen_invokers, release_open,
};

/* Of a process that is a scaler only. */
static step_fn *const scaler_opens[] = {
    scaling_judge,
    place_lock_data,
    part_open_bus,
    part_open_scaler,
};

/* ---- stop: gateway refuses, controller drains, invoker removes, everything closes ----------------------------------
 *
 * A start that fails stops as well, at once: a part that never opened has nothing to do.
 */

static void on_invokers_closed(void *arg)
{
    struct daemon *d = arg;

    uv_close((uv_handle_t *)&d->term, NULL);
    uv_close((uv_handle_t *)&d->intr, NULL);
    uv_close((uv_handle_t *)&d->hup, NULL);
    uv_close((uv_handle_t *)&d->usr2, NULL);
    release_close(d->release);
    uv_stop(&d->loop.uv);
}

static void on_gateway_closed(void *arg)
{
    struct daemon *d = arg;

    d->gateway = NULL;
    part_end_images(d);
    if (d->invokers)
        invokers_close(d->invokers, on_invokers_closed, d);
    else if (d->invoker)
        invoker_close(d->invoker, on_invokers_closed, d);
    else
        on_invokers_closed(d);
}

static void on_containers_gone(void *arg)
{
    struct daemon *d = arg;

    d->left_some = d->left_some || (d->invoker && invoker_left(d->invoker) > 0);
    if (d->sampler)
        sampler_tell(d->sampler, NULL, NULL);
    nr_deadline_cancel(&d->tell);
    gateway_close(d->gateway, on_gateway_closed, d);
}

/* The invoker obeys nobody any more. */
static void on_scaler_stopped(void *arg)
{
    struct daemon *d = arg;

    if (d->invokers)
        invokers_drain(d->invokers, REMOVE_MS, on_containers_gone, d);
    else if (d->invoker)
        invoker_drain(d->invoker, REMOVE_MS, on_containers_gone, d);
    else
        on_containers_gone(d);
}

void daemon_end(struct daemon *d)
{
    on_scaler_stopped(d);
}

static void stop_scaler(struct daemon *d)
{
    if (d->scaler)
        scaler_stop(d->scaler, on_scaler_stopped, d);
    else
        on_scaler_stopped(d);
}

static void on_calls_done(void *arg)
{
    struct daemon *d = arg;

    nr_log(&d->log, NR_LOG_INFO, "daemon", "no call runs any more; containers are being %s",
           d->options.keep_containers ? "left to the next start or removed" : "removed");
    stop_scaler(d);
}

/* Again and again until the containers are gone: a stop that takes its time says why. */
static void on_tell(struct nr_deadline *deadline)
{
    struct daemon *d = nr_container_of(deadline, struct daemon, tell);
    long long running = controller_running(d->controller);

    if (running > 0)
        nr_log(&d->log, NR_LOG_INFO, "daemon",
               "still waiting for %lld calls; a second signal ends at once", running);
    nr_deadline_set(&d->loop, &d->tell, TELL_MS);
}

static void on_door_closed(void *arg)
{
    (void)arg; /* answers are out; what matters is that no call runs, see on_calls_done */
}

static void on_stop(uv_signal_t *s, int signum)
{
    struct daemon *d = s->data;

    if (release_hurry(d->release))
        return;
    if (d->stopping) {
        nr_log(&d->log, NR_LOG_WARN, "daemon",
               "%s signal: stopping now; the next start removes what is left",
               d->failed ? "a" : "second");
        _exit(1);
    }
    d->stopping = true;
    if (scaling_is_all(d)) {
        nr_log(&d->log, NR_LOG_INFO, "daemon", "signal %d: stopping", signum);
        stop_scaler(d);
        return;
    }
    nr_log(
        &d->log, NR_LOG_INFO, "daemon",
        "signal %d: stopping; %lld calls run and may finish within %lld s; a second signal ends at once",
        signum, (long long)controller_running(d->controller), (long long)d->options.drain_s);
    d->tell.fire = on_tell;
    nr_deadline_set(&d->loop, &d->tell, TELL_MS);
    supervisor_tell("STOPPING=1");
    gateway_set_ready(d->gateway, false);
    preenv_tester_stop(d->tester);
    errands_stop(d->errands);
    gateway_drain(d->gateway, on_door_closed, d);
    controller_drain(d->controller, (uint64_t)d->options.drain_s * 1000, on_calls_done, d);
}

/* The other processes of this installation have ended. */
static void on_alone(void *arg)
{
    struct daemon *d = arg;

    if (d->handed || d->stopping)
        return;
    controller_alone(d->controller);
    invokers_beside(d->invokers, false);
    if (d->invoker)
        invoker_alone(d->invoker);
}

/* They have given memory back. */
static void on_room(void *arg)
{
    struct daemon *d = arg;

    if (d->invoker)
        invoker_room(d->invoker);
}

static void on_upgrade(uv_signal_t *s, int signum)
{
    struct daemon *d = s->data;

    (void)signum;
    release_upgrade(d->release);
}

/* ---- reload ------------------------------------------------------------------------------------------------------ */

void daemon_on_reload(uv_signal_t *s, int signum)
{
    struct daemon *d = s->data;
    struct options fresh = {0};
    const struct nr_option_set sets[] = {{"naraed", daemon_options, &fresh}, {NULL, NULL, NULL}};
    struct nr_err err = {0};
    bool help;

    (void)signum;
    if (nr_options_load(sets, d->argc, d->argv, &help, &err) != 0 ||
        invokers_reload(d->invokers, false, &err) != 0 ||
        (d->tls && nr_tls_reload(d->tls, &err) != 0) ||
        invokers_reload(d->invokers, true, &err) != 0) {
        nr_log(&d->log, NR_LOG_ERROR, "daemon", "reload refused, nothing changed: %s", err.text);
    } else {
        d->log.level = nr_log_level_of(fresh.log_level);
        nr_log(&d->log, NR_LOG_INFO, "daemon", "reloaded: log-level=%s%s", fresh.log_level,
               d->tls || d->options.invokers_listen ? ", certificates" : "");
    }
    nr_options_fini(sets);
}

/* ---- main -------------------------------------------------------------------------------------------------------- */

static void limit_process(void)
{
    struct rlimit files, core = {0, 0};

    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    (void)setrlimit(RLIMIT_CORE, &core); /* the process holds keys */
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)mallopt(M_ARENA_MAX, 2);
    (void)setenv("UV_THREADPOOL_SIZE", "2", 0);
}

static sigset_t held_signals(void)
{
    sigset_t set;

    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGHUP);
    (void)sigaddset(&set, SIGUSR2);
    return set;
}

/* A signal that comes during the start waits for its end: then it is a stop like any other, which leaves nothing on the host. */
static void hold_signals(int how)
{
    sigset_t set = held_signals();

    (void)pthread_sigmask(how, &set, NULL);
}

static void watch_signals(struct daemon *d)
{
    const struct {
        uv_signal_t *handle;
        uv_signal_cb cb;
        int signum;
    } watch[] = {{&d->term, on_stop, SIGTERM},
                 {&d->intr, on_stop, SIGINT},
                 {&d->hup, daemon_on_reload, SIGHUP},
                 {&d->usr2, on_upgrade, SIGUSR2}};

    for (size_t i = 0; i < nr_countof(watch); i++) {
        (void)uv_signal_init(&d->loop.uv, watch[i].handle);
        watch[i].handle->data = d;
        (void)uv_signal_start(watch[i].handle, watch[i].cb, watch[i].signum);
        uv_unref((uv_handle_t *)watch[i].handle);
    }
}

static void serve(struct daemon *d)
{
    const char *listen = d->options.listen;
    const char *port = strrchr(listen, ':');

    hold_signals(SIG_UNBLOCK);
    supervisor_tell("READY=1");
    if (scaling_is_all(d)) {
        fputs("scaling\n", stderr);
        (void)uv_run(&d->loop.uv, UV_RUN_DEFAULT);
        return;
    }
    controller_start(d->controller);
    gateway_set_ready(d->gateway, true);
    takeover_serving(d);
    endings_watch(d->endings, on_room, on_alone, d);
    fprintf(stderr, "listening on %s://%.*s:%d\n", d->tls ? "https" : "http",
            (int)(port ? port - listen : 0), listen, gateway_port(d->gateway));
    (void)uv_run(&d->loop.uv, UV_RUN_DEFAULT);
}

/* The loop has stopped: nobody calls any more. What never opened is NULL. */
static int close_all(struct daemon *d)
{
    sampler_close(d->sampler);
    d->sampler = NULL; /* what happens from now on is told to nobody */
    fnmanager_close(
        d->fnmanager); /* first: its last answers go to the controller's resolve cache */
    controller_close(d->controller);
    part_end_forgettings(d);
    preenv_tester_close(d->tester);
    errands_close(d->errands);
    scaling_close(d);
    bus_close(d->bus, BUS_FLUSH_MAX_MS);
    int busy = nr_loop_fini(&d->loop);
    scaling_free(d);
    if (d->failed && d->invoker == NULL)
        place_drop_run(d); /* who was here before may have left containers that use it */
    else if (busy == 0 && !d->left_some && !scaling_is_all(d))
        place_leave_run(d);
    release_free(d->release);
    takeover_free(d->takeover);
    endings_close(d->endings);
    nr_tls_close(d->tls);
    nr_options_fini(d->sets);
    grants_devices_free(d->devices);
    free(d->gpus);
    free(d->label);
    if (busy)
        nr_log(&d->log, NR_LOG_ERROR, "daemon", "the loop did not close cleanly: %s",
               uv_strerror(busy));
    if (busy == 0 && !d->failed)
        nr_log(&d->log, NR_LOG_INFO, "daemon", "stopped%s",
               d->left_some ? "; containers are left: the next start removes or adopts them" : "");
    return busy || d->left_some || d->failed ? 1 : 0;
}

struct way {
    step_fn *const *steps;
    size_t n;
};

/* How this process starts: it may look for one that serves. */
static int choose_way(struct daemon *d, struct way *ret, struct nr_err *err)
{
    static const struct way all = {opens, nr_countof(opens)},
                            scaler = {scaler_opens, nr_countof(scaler_opens)},
                            taking = {takeover_opens, nr_countof(takeover_opens)};
    bool alone = scaling_is_all(d), found = false;
    int r = listening_inherit(d, err);

    if (r == 0)
        r = listening_judge(d, err);
    if (r == 0 && d->options.takeover && !alone && access(d->options.data, F_OK) == 0 &&
        (r = place_find_run(d, err)) == 0 && (r = place_name_installation(d, err)) == 0)
        r = takeover_find(d, &found, err);
    *ret = alone ? scaler : found ? taking : all;
    return r;
}

static int open_all(struct daemon *d, struct nr_err *err)
{
    struct way way;
    int r = choose_way(d, &way, err);

    return r < 0 ? r : walk(d, way.steps, way.n, err);
}

/* A signal of the time before asked for what is being done now: only one that comes from here on ends at once. */
static void unblock_anew(void)
{
    const struct timespec now = {0, 0};
    sigset_t set = held_signals();

    while (sigtimedwait(&set, NULL, &now) > 0) {
    }
    hold_signals(SIG_UNBLOCK);
}

static void on_tell_failed(struct nr_deadline *deadline)
{
    struct daemon *d = nr_container_of(deadline, struct daemon, tell);

    nr_log(&d->log, NR_LOG_INFO, "daemon",
           "the start has failed; what it made is still being removed; a signal ends at once");
    nr_deadline_set(&d->loop, &d->tell, TELL_MS);
}

/* A start that fails leaves nothing on the host and no thread behind: what was opened is stopped and closed. */
static int give_up(struct daemon *d, const struct nr_err *why)
{
    fprintf(stderr, "naraed: %s\n", why->text[0] ? why->text : nr_err_text(why->code));
    d->failed = d->stopping = true;
    unblock_anew();
    d->tell.fire = on_tell_failed;
    nr_deadline_set(&d->loop, &d->tell, TELL_MS);
    preenv_tester_stop(d->tester);
    errands_stop(d->errands);
    stop_scaler(d);
    (void)uv_run(&d->loop.uv, UV_RUN_DEFAULT);
    return close_all(d);
}

int main(int argc, char **argv)
{
    static struct daemon d;
    struct nr_err err = {0};
    bool help = false;

    d.argc = argc;
    nr_list_init(&d.forgettings);
    d.argv = argv;
    d.sets[0] = (struct nr_option_set){"naraed", daemon_options, &d.options};
    limit_process();
    (void)pthread_mutex_init(&d.images_lock, NULL);
    if (nr_options_load(d.sets, argc, argv, &help, &err) != 0) {
        fprintf(stderr, "naraed: %s\n", err.text);
        return 1;
    }
    if (help || d.options.help_markdown || d.options.version) {
        if (d.options.version)
            puts("naraed " NARAE_VERSION);
        else if (help)
            nr_options_help(d.sets, "naraed [--OPTION=VALUE ...]\nThe Narae serverless platform.",
                            stdout);
        else
            nr_options_markdown(d.sets, stdout);
        return 0;
    }
    d.log = (struct nr_log){.out = stderr,
                            .json = strcmp(d.options.log_format, "json") == 0,
                            .level = nr_log_level_of(d.options.log_level)};
    hold_signals(SIG_BLOCK);
    place_size_node(&d);
    if (nr_loop_init(&d.loop, &err) < 0) {
        fprintf(stderr, "naraed: %s\n", err.text);
        return 1;
    }
    if (role_is_invoker(&d))
        return role_invoker(&d);
    watch_signals(&d);
    if (open_all(&d, &err) < 0)
        return give_up(&d, &err);
    if (!scaling_is_all(&d) && geteuid() == 0 && !place_on_loopback(d.options.listen))
        nr_log(
            &d.log, NR_LOG_WARN, "daemon",
            "everything runs as root on a public address; two units with users of their own are safer");
    if (!scaling_is_all(&d))
        fleet_tell_layout(&d);
    serve(&d);
    return close_all(&d);
}
