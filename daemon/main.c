/* naraed: reads options, opens the parts, wires them through their ports, runs the loop, stops in order.
 *
 *   start   lock the data folder, keys and functions (fnmanager), Engine and leftovers (invoker), records and queue (controller),
 *           listen (gateway), ready
 *   TERM    not ready, no new calls; running ones finish (drain-s); containers are removed; everything is closed; exit 0, or 1 when
 *           containers are left (the log names them; the next start removes or adopts them)
 *   again   now
 *   HUP     log level and certificates are read again; on a mistake nothing changes
 *
 * A start that fails says one line and exits with 1.
 */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/net/address.h"
#include "common/net/tls.h"
#include "daemon/options.h"
#include "daemon/runtime_images.h"
#include "ports/gateway.h"
#include "ports/gpus.h"
#include "ports/grants.h"
#include "ports/preenv.h"

#define PATH_BYTES 4096
#define REMOVE_MS 60000
#define AGENT_FILE "/narae-agent"

struct daemon {
    struct options options;
    struct nr_option_set sets[2];
    struct nr_loop loop;
    struct nr_log log;
    struct node node;
    struct nr_tls *tls;
    struct fnmanager *fnmanager;
    struct invoker *invoker;
    struct preenv_tester *tester;
    struct controller *controller;
    struct gateway *gateway;
    struct grant_device *devices;
    struct node_gpu *gpus;
    pthread_mutex_t images_lock; /* of no_images: the invoker takes no further image calls */
    bool no_images;
    uv_signal_t term, intr, hup;
    char run[PATH_BYTES], agent[PATH_BYTES], installation[17];
    int lock_fd, open_parts, argc;
    bool stopping, left_some;
    struct nr_link forgettings; /* accounts that are leaving */
    char **argv;
};

static const struct runtime_kind kinds[] = {
    {"python:3", "python", NARAE_IMAGE_PYTHON, ".py", true, NULL},
    {"python:3.11", "python", NARAE_IMAGE_PYTHON, ".py", false, "python:3"},
    {"nodejs:18", "nodejs", NARAE_IMAGE_NODEJS, ".js", true, NULL},
    {NULL, NULL, NULL, NULL, false, NULL},
};

/* ---- where things are -------------------------------------------------------------------------------------------- */

static int lock_data(struct daemon *d, struct nr_err *err)
{
    char path[PATH_BYTES];
    const char *data = d->options.data;

    if (nr_dir_make(data, 0700, err) != 0)
        return nr_err_wrap(err, err->code, "the data folder (another one: --data=DIR)");
    (void)snprintf(path, sizeof(path), "%s/lock", data);
    d->lock_fd = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    if (d->lock_fd < 0)
        return nr_err_set(err, nr_err_from_errno(errno), "the data folder %s cannot be written: %s",
                          data, strerror(errno));
    if (flock(d->lock_fd, LOCK_EX | LOCK_NB) != 0)
        return nr_err_set(err, NR_EBUSY, "the data folder %s is in use by another naraed", data);
    return 0;
}

/* A random name for this data folder, kept in it: the label by which containers are found again. */
static int name_installation(struct daemon *d, struct nr_err *err)
{
    char path[PATH_BYTES];
    nr_auto_free char *text = NULL;
    unsigned char random[8];
    size_t n;

    (void)snprintf(path, sizeof(path), "%s/installation", d->options.data);
    if (nr_file_read(path, 64, &text, &n, NULL) == 0 && n >= 16) {
        memcpy(d->installation, text, 16);
        return 0;
    }
    nr_random(random, sizeof(random));
    nr_hex(random, sizeof(random), d->installation);
    return nr_file_write(d->options.data, "installation", nr_str_of(d->installation), 0600, err);
}

static int find_run(struct daemon *d, struct nr_err *err)
{
    struct stat st;

    if (d->options.run) {
        (void)snprintf(d->run, sizeof(d->run), "%s", d->options.run);
    } else if (stat(d->options.data, &st) == 0) {
        (void)snprintf(d->run, sizeof(d->run), "/run/narae/%08lx",
                       (unsigned long)st.st_ino & 0xffffffffUL);
    }
    if (nr_dir_make(d->run, 0711, err) != 0)
        return nr_err_wrap(err, err->code, "the folder of sockets (another one: --run=DIR)");
    return 0;
}

static int find_agent(struct daemon *d, struct nr_err *err)
{
    if (d->options.agent) {
        if (realpath(d->options.agent, d->agent) == NULL)
            return nr_err_set(err, NR_ENOENT, "the agent %s: %s", d->options.agent,
                              strerror(errno));
        return 0;
    }
    char self[PATH_BYTES];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - sizeof(AGENT_FILE));

    self[n > 0 ? n : 0] = '\0';
    char *slash = strrchr(self, '/');
    if (slash)
        (void)snprintf(slash, sizeof(AGENT_FILE), "%s", AGENT_FILE);
    memcpy(d->agent, self, sizeof(d->agent));
    if (access(d->agent, X_OK) != 0)
        return nr_err_set(err, NR_ENOENT,
                          "no agent at %s: build it (meson compile) or give --agent=FILE",
                          d->agent);
    return 0;
}

static void size_node(struct daemon *d)
{
    struct sysinfo si;
    long cores = sysconf(_SC_NPROCESSORS_ONLN);

    d->node.cores = cores > 0 ? (int)cores : 1;
    d->node.memory_max_mb = d->options.memory_mb;
    if (d->node.memory_max_mb == 0 && sysinfo(&si) == 0)
        d->node.memory_max_mb =
            (int64_t)((unsigned long long)si.totalram * si.mem_unit / 5 * 4 >> 20) / 64 * 64;
}

static int open_tls(struct daemon *d, struct nr_err *err)
{
    struct options *o = &d->options;
    char cert[PATH_BYTES], key[PATH_BYTES];

    if (o->tls_self_signed && o->tls_cert == NULL) {
        (void)snprintf(cert, sizeof(cert), "%s/tls.crt", o->data);
        (void)snprintf(key, sizeof(key), "%s/tls.key", o->data);
        o->tls_cert = nr_strdup(cert);
        o->tls_key = nr_strdup(key);
        if (access(cert, R_OK) != 0 &&
            nr_tls_self_signed(cert, key, "localhost,127.0.0.1,::1", err) != 0)
            return err->code;
    }
    if ((o->tls_cert == NULL) != (o->tls_key == NULL))
        return nr_err_set(err, NR_EINVAL, "--tls-cert and --tls-key go together");
    return o->tls_cert ? nr_tls_open(o->tls_cert, o->tls_key, &d->tls, err) : 0;
}

/* Before anything is made on the host that a start which fails would leave there. */
static int try_listen(struct daemon *d, struct nr_err *err)
{
    return nr_net_try_listen(d->options.listen, err);
}

static bool on_loopback(const char *listen)
{
    return strncmp(listen, "127.", 4) == 0 || strncmp(listen, "[::1]", 5) == 0 ||
           strncmp(listen, "localhost", 9) == 0;
}

/* ---- the parts --------------------------------------------------------------------------------------------------- */

/* An account that is leaving: the controller's part, then the invoker's. */
struct forgetting {
    struct nr_link link; /* in d->forgettings */
    struct daemon *daemon;
    char *account;
    void (*done)(void *arg);
    void *arg;
};

static void end_forgetting(void *arg)
{
    struct forgetting *f = arg;
    void (*done)(void *) = f->done;
    void *done_arg = f->arg;

    nr_list_del(&f->link);
    free(f->account);
    free(f);
    done(done_arg);
}

/* While we stop it is left as it is: the next start goes on. */
static void on_calls_forgotten(void *arg)
{
    struct forgetting *f = arg;

    if (!f->daemon->stopping)
        invoker_forget_account(f->daemon->invoker, f->account, end_forgetting, f);
}

static void on_forget_account(void *arg, const char *account, void (*done)(void *done_arg),
                              void *done_arg)
{
    struct daemon *d = arg;
    struct forgetting *f = nr_alloc(sizeof(*f));

    *f = (struct forgetting){
        .daemon = d, .account = nr_strdup(account), .done = done, .arg = done_arg};
    nr_list_add(&d->forgettings, &f->link);
    controller_forget_account(d->controller, f->account, on_calls_forgotten, f);
}

static void on_change(void *arg, const char *account, const char *package, const char *name,
                      uint64_t old_revision, enum fn_change what)
{
    struct daemon *d = arg;

    if (d->controller)
        controller_on_change(d->controller, account, package, name, old_revision, what);
}

/* A pull that went on after its 202 may ask for more while the platform stops. */
static void on_image(void *arg, struct image_call *c)
{
    struct daemon *d = arg;

    (void)pthread_mutex_lock(&d->images_lock);
    bool open = d->invoker && !d->no_images;

    if (open)
        invoker_image(d->invoker, c);
    (void)pthread_mutex_unlock(&d->images_lock);
    if (open)
        return;
    (void)nr_err_set(&c->err, NR_ESTOPPING, "The platform is stopping.");
    c->done(c);
}

static void end_images(struct daemon *d)
{
    (void)pthread_mutex_lock(&d->images_lock);
    d->no_images = true;
    (void)pthread_mutex_unlock(&d->images_lock);
}

static void on_registry_auth(void *arg, const char *account, const char *image, char **ret_auth)
{
    struct daemon *d = arg;

    fnmanager_registry_auth(d->fnmanager, account, image, ret_auth);
}

static int open_fnmanager(struct daemon *d, struct nr_err *err)
{
    const struct fnmanager_config c = {.data_dir = d->options.data,
                                       .kinds = kinds,
                                       .native_image = NARAE_IMAGE_NATIVE,
                                       .guest_profile = d->options.guest_profile,
                                       .secret_key_file = d->options.secret_key_file,
                                       .dev_keys = d->options.dev_keys,
                                       .memory_max_mb = d->node.memory_max_mb,
                                       .keep_versions = d->options.keep_versions,
                                       .keep_versions_days = d->options.keep_versions_days,
                                       .keep_retired_days = d->options.keep_retired_days,
                                       .node = &d->node,
                                       .registries = d->options.registries,
                                       .image = on_image,
                                       .devices = d->devices,
                                       .loop = &d->loop,
                                       .on_change = on_change,
                                       .forget_account = on_forget_account,
                                       .arg = d,
                                       .log = &d->log};

    if (d->options.dev_keys && !on_loopback(d->options.listen))
        return nr_err_set(
            err, NR_EINVAL,
            "--dev-keys are public: they are only allowed with --listen on a loopback address");
    return fnmanager_open(&c, &d->fnmanager, err);
}

static struct function *function_of(void *arg, const char *account, const char *package,
                                    const char *name)
{
    struct daemon *d = arg;

    return fnmanager_function(d->fnmanager, account, package, name);
}

static int open_invoker(struct daemon *d, struct nr_err *err)
{
    static const char *const images[] = {NARAE_IMAGE_PYTHON, NARAE_IMAGE_NODEJS, NARAE_IMAGE_NATIVE,
                                         NULL};
    char volumes[PATH_BYTES];

    nr_auto_free char *data = realpath(d->options.data, NULL);

    (void)snprintf(volumes, sizeof(volumes), "%s/volumes", data ? data : d->options.data);
    static const char *const image_kinds[] = {"python:3", "nodejs:18", "blackbox"};
    const struct invoker_config c = {.loop = &d->loop,
                                     .node = &d->node,
                                     .docker_socket = d->options.docker,
                                     .run_dir = d->run,
                                     .volumes_dir = volumes,
                                     .devices = d->devices,
                                     .agent_path = d->agent,
                                     .installation = d->installation,
                                     .image_hint = "scripts/images",
                                     .images = images,
                                     .kinds = image_kinds,
                                     .keep_alive_ms = (uint32_t)(d->options.keep_alive_s * 1000),
                                     .function_of = function_of,
                                     .function_of_arg = d,
                                     .registry_auth = on_registry_auth,
                                     .registry_auth_arg = d,
                                     .engine_workers = (int)d->options.engine_workers,
                                     .freeze_after_ms = (uint32_t)d->options.freeze_after_ms,
                                     .containers_max = (unsigned)d->options.containers_max,
                                     .stems = d->options.stems,
                                     .keep_containers = d->options.keep_containers,
                                     .runtime = d->options.runtime,
                                     .freezer = d->options.freezer,
                                     .memory_raise = d->options.memory_raise,
                                     .network = d->options.network,
                                     .seccomp = d->options.seccomp,
                                     .log = &d->log};

    return invoker_open(&c, &d->invoker, err);
}

static int open_preenv(struct daemon *d, struct nr_err *err)
{
    d->tester = preenv_tester_open(&d->loop, d->invoker, &d->node);
    return fnmanager_preenv(d->fnmanager, d->tester, err);
}

static int open_controller(struct daemon *d, struct nr_err *err)
{
    const struct controller_config c = {.loop = &d->loop,
                                        .data_dir = d->options.data,
                                        .fnmanager = d->fnmanager,
                                        .invoker = d->invoker,
                                        .number = 0,
                                        .retention_s = d->options.retention_days * 86400,
                                        .retention_max_bytes = d->options.retention_mb << 20,
                                        .queue_max = d->options.queue_max,
                                        .log = &d->log};

    int r = controller_open(&c, &d->controller, err);

    if (r == 0)
        preenv_tester_records(d->tester, d->controller);
    return r;
}

static int open_gateway(struct daemon *d, struct nr_err *err)
{
    const struct gateway_config c = {.loop = &d->loop,
                                     .listen = d->options.listen,
                                     .tls = d->tls,
                                     .fnmanager = d->fnmanager,
                                     .controller = d->controller,
                                     .invoker = d->invoker,
                                     .log = &d->log,
                                     .connections_max = (unsigned)d->options.connections_max,
                                     .inflight_max_bytes = d->options.inflight_mb << 20,
                                     .failed_logins_per_minute = (unsigned)d->options.failed_logins,
                                     .build = NARAE_VERSION,
                                     .build_number = NARAE_VERSION,
                                     .memory_max_mb = d->node.memory_max_mb};

    return gateway_open(&c, &d->gateway, err);
}

static int read_devices(struct daemon *d, struct nr_err *err)
{
    int r = grants_read_devices(d->options.device, &d->devices, err);

    return r < 0 ? nr_err_wrap(err, r, "--device") : 0;
}

static int read_gpus(struct daemon *d, struct nr_err *err)
{
    int r = gpus_read(d->options.gpus, &d->gpus, &d->node.gpu_count, err);

    d->node.gpus = d->gpus;
    return r < 0 ? nr_err_wrap(err, r, "--gpus") : 0;
}

static int open_loop(struct daemon *d, struct nr_err *err)
{
    return nr_loop_init(&d->loop, err);
}

/* In this order; a stop goes the other way. */
static int (*const opens[])(struct daemon *d, struct nr_err *err) = {
    lock_data,    name_installation, find_run,        find_agent,   try_listen,
    open_tls,     read_devices,      read_gpus,       open_loop,    open_fnmanager,
    open_invoker, open_preenv,       open_controller, open_gateway,
};

/* ---- stop: gateway refuses, controller drains, invoker removes, everything closes ---------------------------------- */

static void on_invoker_closed(void *arg)
{
    struct daemon *d = arg;

    uv_close((uv_handle_t *)&d->term, NULL);
    uv_close((uv_handle_t *)&d->intr, NULL);
    uv_close((uv_handle_t *)&d->hup, NULL);
    uv_stop(&d->loop.uv);
}

static void on_gateway_closed(void *arg)
{
    struct daemon *d = arg;

    d->gateway = NULL;
    end_images(d);
    invoker_close(d->invoker, on_invoker_closed, d);
}

static void on_containers_gone(void *arg)
{
    struct daemon *d = arg;

    d->left_some = invoker_left(d->invoker) > 0;
    gateway_close(d->gateway, on_gateway_closed, d);
}

static void on_calls_done(void *arg)
{
    struct daemon *d = arg;

    invoker_drain(d->invoker, REMOVE_MS, on_containers_gone, d);
}

static void on_door_closed(void *arg)
{
    (void)arg; /* answers are out; what matters is that no call runs, see on_calls_done */
}

static void on_stop(uv_signal_t *s, int signum)
{
    struct daemon *d = s->data;

    if (d->stopping) {
        nr_log(&d->log, NR_LOG_WARN, "daemon",
               "second signal: stopping now; the next start removes what is left");
        _exit(1);
    }
    d->stopping = true;
    nr_log(&d->log, NR_LOG_INFO, "daemon",
           "signal %d: stopping; running calls may finish within %lld s", signum,
           (long long)d->options.drain_s);
    gateway_set_ready(d->gateway, false);
    preenv_tester_stop(d->tester);
    gateway_drain(d->gateway, on_door_closed, d);
    controller_drain(d->controller, (uint64_t)d->options.drain_s * 1000, on_calls_done, d);
}

/* ---- reload ------------------------------------------------------------------------------------------------------ */

static void on_reload(uv_signal_t *s, int signum)
{
    struct daemon *d = s->data;
    struct options fresh = {0};
    const struct nr_option_set sets[] = {{"naraed", daemon_options, &fresh}, {NULL, NULL, NULL}};
    struct nr_err err = {0};
    bool help;

    (void)signum;
    if (nr_options_load(sets, d->argc, d->argv, &help, &err) != 0 ||
        (d->tls && nr_tls_reload(d->tls, &err) != 0)) {
        nr_log(&d->log, NR_LOG_ERROR, "daemon", "reload refused, nothing changed: %s", err.text);
    } else {
        d->log.level = nr_log_level_of(fresh.log_level);
        nr_log(&d->log, NR_LOG_INFO, "daemon", "reloaded: log-level=%s%s", fresh.log_level,
               d->tls ? ", certificates" : "");
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

/* A signal that comes during the start waits for its end: then it is a stop like any other, which leaves nothing on the host. */
static void hold_signals(int how)
{
    sigset_t set;

    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGHUP);
    (void)pthread_sigmask(how, &set, NULL);
}

static void watch_signals(struct daemon *d)
{
    const struct {
        uv_signal_t *handle;
        uv_signal_cb cb;
        int signum;
    } watch[] = {
        {&d->term, on_stop, SIGTERM}, {&d->intr, on_stop, SIGINT}, {&d->hup, on_reload, SIGHUP}};

    for (size_t i = 0; i < nr_countof(watch); i++) {
        (void)uv_signal_init(&d->loop.uv, watch[i].handle);
        watch[i].handle->data = d;
        (void)uv_signal_start(watch[i].handle, watch[i].cb, watch[i].signum);
        uv_unref((uv_handle_t *)watch[i].handle);
    }
    hold_signals(SIG_UNBLOCK);
}

static void serve(struct daemon *d)
{
    const char *listen = d->options.listen;
    const char *port = strrchr(listen, ':');

    watch_signals(d);
    controller_start(d->controller);
    gateway_set_ready(d->gateway, true);
    fprintf(stderr, "listening on %s://%.*s:%d\n", d->tls ? "https" : "http",
            (int)(port ? port - listen : 0), listen, gateway_port(d->gateway));
    (void)uv_run(&d->loop.uv, UV_RUN_DEFAULT);
}

/* The loop has stopped: nobody calls any more. What never opened is NULL. */
static int close_all(struct daemon *d)
{
    fnmanager_close(
        d->fnmanager); /* first: its last answers go to the controller's resolve cache */
    controller_close(d->controller);
    NR_LIST_EACH(&d->forgettings, l)
        end_forgetting(nr_container_of(l, struct forgetting, link));
    preenv_tester_close(d->tester);
    int busy = nr_loop_fini(&d->loop);
    nr_tls_close(d->tls);
    nr_options_fini(d->sets);
    grants_devices_free(d->devices);
    free(d->gpus);
    if (busy)
        nr_log(&d->log, NR_LOG_ERROR, "daemon", "the loop did not close cleanly: %s",
               uv_strerror(busy));
    return busy || d->left_some ? 1 : 0;
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
    size_node(&d);
    for (size_t i = 0; i < nr_countof(opens); i++) {
        if (opens[i](&d, &err) != 0) {
            fprintf(stderr, "naraed: %s\n", err.text[0] ? err.text : nr_err_text(err.code));
            return 1;
        }
    }
    if (geteuid() == 0 && !on_loopback(d.options.listen))
        nr_log(
            &d.log, NR_LOG_WARN, "daemon",
            "everything runs as root on a public address; two units with users of their own are safer");
    serve(&d);
    return close_all(&d);
}
