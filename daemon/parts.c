/* The components: how each is opened, and who calls whom. What stands behind a port is decided here, once. */
#include "daemon/daemon.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/bus/bus.h"
#include "daemon/runtime_images.h"
#include "daemon/scaling.h"
#include "daemon/sampler.h"
#include "ports/errand.h"
#include "ports/event.h"
#include "ports/preenv.h"

static const struct runtime_kind kinds[] = {
    {"python:3", "python", NARAE_IMAGE_PYTHON, ".py", true, NULL},
    {"python:3.11", "python", NARAE_IMAGE_PYTHON, ".py", false, "python:3"},
    {"nodejs:18", "nodejs", NARAE_IMAGE_NODEJS, ".js", true, NULL},
    {"wasm:1", "wasm", NARAE_IMAGE_WASM, ".wasm", true, NULL},
    {.kind = "go:1.19",
     .family = "go",
     .image = NARAE_IMAGE_NATIVE,
     .extension = ".go",
     .is_default = true,
     .compiler = NARAE_IMAGE_GO},
    {.kind = "java:17",
     .family = "java",
     .image = NARAE_IMAGE_JAVA,
     .extension = ".java",
     .is_default = true,
     .compiler = NARAE_IMAGE_JAVAC},
    {NULL, NULL, NULL, NULL, false, NULL},
};

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
    if (f->daemon->errands)
        errands_account_gone(f->daemon->errands, f->account);
    free(f->account);
    free(f);
    done(done_arg);
}

void part_end_forgettings(struct daemon *d)
{
    NR_LIST_EACH(&d->forgettings, l)
        end_forgetting(nr_container_of(l, struct forgetting, link));
}

/* While we stop it is left as it is: the next start goes on. */
static void on_calls_forgotten(void *arg)
{
    struct forgetting *f = arg;

    if (!f->daemon->stopping)
        invokers_forget_account(f->daemon->invokers, f->account, end_forgetting, f);
}

static void on_forget_account(void *arg, const char *account, void (*done)(void *done_arg),
                              void *done_arg)
{
    struct daemon *d = arg;
    struct forgetting *f = nr_alloc(sizeof(*f));

    *f = (struct forgetting){
        .daemon = d, .account = nr_strdup(account), .done = done, .arg = done_arg};
    nr_list_add(&d->forgettings, &f->link);
    if (d->gateway)
        gateway_forget_account(d->gateway, account);
    if (d->scaler)
        scaler_forget_account(d->scaler, f->account);
    if (d->errands)
        errands_forget_account(d->errands, f->account);
    controller_forget_account(d->controller, f->account, on_calls_forgotten, f);
}

/* Of functions: what becomes of the version that was. */
static void tell_change(struct daemon *d, const char *account, const char *package,
                        const char *name, enum fn_change what)
{
    static const char *const words[] = {
        [FN_REPLACED] = "replaced", [FN_KEPT] = "kept", [FN_CANCEL] = "cancelled"};
    const struct event e = {.id = EVENT_FUNCTION_CHANGED,
                            .account = account,
                            .package = package,
                            .name = name,
                            .member[0].text = what <= FN_CANCEL ? words[what] : NULL};

    if (what <= FN_CANCEL && name && name[0])
        sampler_event(d->sampler, &e);
}

/* What containers do, and which calls a limit refused. */
static void on_event(void *arg, const struct event *e)
{
    sampler_event(((struct daemon *)arg)->sampler, e);
}

/* Calls wait that may start no container. With invokers on other hosts nobody knows at this moment what these have: the next full sample tells. */
static void on_pressed(void *arg)
{
    struct daemon *d = arg;

    if (!d->stopping && invokers_alone(d->invokers))
        sampler_at_once(d->sampler, d->invoker);
}

static void on_change(void *arg, const char *account, const char *package, const char *name,
                      uint64_t old_revision, enum fn_change what)
{
    struct daemon *d = arg;

    if (what == FN_APIS_CHANGED) {
        if (d->gateway)
            gateway_apis_changed(d->gateway, account);
        return;
    }
    if (d->controller)
        controller_on_change(d->controller, account, package, name, old_revision, what);
    if (what != FN_TRIGGER_CHANGED)
        scaling_changed(d, account, what == FN_ACCOUNT_CHANGED ? NULL : package, name);
    tell_change(d, account, package, name, what);
}

/* A pull that went on after its 202 may ask for more while the platform stops. */
static void on_image(void *arg, struct image_call *c)
{
    struct daemon *d = arg;

    (void)pthread_mutex_lock(&d->images_lock);
    bool open = d->invokers && !d->no_images;

    if (open)
        invokers_image(d->invokers, c);
    (void)pthread_mutex_unlock(&d->images_lock);
    if (open)
        return;
    (void)nr_err_set(&c->err, d->no_images ? NR_ESTOPPING : NR_EUNAVAIL, "The platform is %s.",
                     d->no_images ? "stopping" : "starting");
    c->done(c);
}

void part_end_images(struct daemon *d)
{
    (void)pthread_mutex_lock(&d->images_lock);
    d->no_images = true;
    (void)pthread_mutex_unlock(&d->images_lock);
}

static void on_errand(void *arg, struct errand_call *c)
{
    struct daemon *d = arg;

    if (d->errands) {
        errands_call(d->errands, c);
        return;
    }
    (void)nr_err_set(&c->err, NR_EUNAVAIL, "The platform is starting.");
    c->done(c);
}

static void on_errand_end(void *arg, uint64_t revision)
{
    struct daemon *d = arg;

    if (d->errands)
        errands_forget(d->errands, revision);
}

static void on_errand_cut(void *arg, const void *owner)
{
    struct daemon *d = arg;

    if (d->errands)
        errands_cut(d->errands, owner);
}

static void on_registry_auth(void *arg, const char *account, const char *image, char **ret_auth)
{
    struct daemon *d = arg;

    fnmanager_registry_auth(d->fnmanager, account, image, ret_auth);
}

int part_judge_options(struct daemon *d, struct nr_err *err)
{
    if (d->options.dev_keys && !place_on_loopback(d->options.listen))
        return nr_err_set(
            err, NR_EINVAL,
            "--dev-keys are public: they are only allowed with --listen on a loopback address");
    return gateway_judge(d->options.metrics_functions, err);
}

int part_judge_secrets(struct daemon *d, struct nr_err *err)
{
    return fnmanager_judge(d->options.data, d->options.secret_key_file, &d->log, err);
}

int part_open_fnmanager(struct daemon *d, struct nr_err *err)
{
    const struct fnmanager_config c = {.data_dir = d->options.data,
                                       .revision_least = takeover_revision(d->takeover),
                                       .kinds = kinds,
                                       .native_image = NARAE_IMAGE_NATIVE,
                                       .image_hint = place_image_hint(),
                                       .guest_profile = d->options.guest_profile,
                                       .secret_key_file = d->options.secret_key_file,
                                       .dev_keys = d->options.dev_keys,
                                       .catalog = !d->options.no_catalog,
                                       .memory_max_mb = d->node.memory_max_mb,
                                       .keep_versions = d->options.keep_versions,
                                       .keep_versions_days = d->options.keep_versions_days,
                                       .keep_retired_days = d->options.keep_retired_days,
                                       .node = &d->node,
                                       .registries = d->options.registries,
                                       .label = part_label(d),
                                       .image = on_image,
                                       .errand = on_errand,
                                       .errand_end = on_errand_end,
                                       .errand_cut = on_errand_cut,
                                       .devices = d->devices,
                                       .loop = &d->loop,
                                       .on_change = on_change,
                                       .forget_account = on_forget_account,
                                       .arg = d,
                                       .log = &d->log};

    return fnmanager_open(&c, &d->fnmanager, err);
}

static struct function *function_of(void *arg, const struct function_names *names)
{
    return fnmanager_function(((struct daemon *)arg)->fnmanager, names);
}

void part_invoker_config(struct daemon *d, char volumes[static DAEMON_PATH_BYTES],
                         struct invoker_config *ret)
{
    static const char *const images[] = {NARAE_IMAGE_PYTHON, NARAE_IMAGE_NODEJS, NARAE_IMAGE_NATIVE,
                                         NARAE_IMAGE_WASM,   NARAE_IMAGE_JAVA,   NULL};
    static const char *const image_kinds[] = {"python:3", "nodejs:18", "blackbox",
                                              "wasm:1",   "java:17",   NULL};
    nr_auto_free char *data = realpath(d->options.data, NULL);

    (void)snprintf(volumes, DAEMON_PATH_BYTES, "%s/volumes", data ? data : d->options.data);
    const struct invoker_config c = {.loop = &d->loop,
                                     .node = &d->node,
                                     .docker_socket = d->options.docker,
                                     .run_dir = d->run,
                                     .volumes_dir = volumes,
                                     .devices = d->devices,
                                     .agent_path = d->agent,
                                     .installation = d->installation,
                                     .image_hint = place_image_hint(),
                                     .images = images,
                                     .kinds = image_kinds,
                                     .keep_alive_ms = (uint32_t)(d->options.keep_alive_s * 1000),
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
                                     .energy_idle_mw = d->options.energy_idle_mw,
                                     .energy_core_mw = d->options.energy_core_mw,
                                     .energy_by_model = d->options.energy_by_model,
                                     .log = &d->log};

    *ret = c;
}

int part_open_invoker(struct daemon *d, struct nr_err *err)
{
    char volumes[DAEMON_PATH_BYTES];
    struct invoker_config c;

    if (fleet_is_far_only(d))
        return 0;
    part_invoker_config(d, volumes, &c);
    c.function_of = place_is_restored(d) ? NULL : function_of;
    c.function_of_arg = d;
    c.registry_auth = on_registry_auth;
    c.registry_auth_arg = d;
    c.event = on_event;
    c.event_arg = d;
    c.pressed = on_pressed;
    c.beside = d->takeover || endings_any(d->endings);
    c.adopts_later = d->takeover != NULL;
    c.foreign = endings_foreign;
    c.foreign_arg = d->endings;
    int r = invoker_open(&c, &d->invoker, err);

    if (r == 0 && c.function_of == NULL)
        place_forget_restore(d);
    return r;
}

int part_adopt(struct daemon *d, struct nr_err *err)
{
    return invoker_adopt(d->invoker, function_of, d, err);
}

int part_open_preenv(struct daemon *d, struct nr_err *err)
{
    d->errands = errands_open(&d->loop, d->invokers);
    d->tester = preenv_tester_open(&d->loop, d->invokers, &d->node);
    return fnmanager_preenv(d->fnmanager, d->tester, err);
}

int part_open_controller(struct daemon *d, struct nr_err *err)
{
    nr_auto_free char *living = endings_runs(d->endings);
    const struct controller_config c = {.loop = &d->loop,
                                        .data_dir = d->options.data,
                                        .fnmanager = d->fnmanager,
                                        .invokers = d->invokers,
                                        .number = 0,
                                        .retention_s = d->options.retention_days * 86400,
                                        .retention_max_bytes = d->options.retention_mb << 20,
                                        .on_metric = part_on_metric,
                                        .on_metric_arg = d,
                                        .queue_max = d->options.queue_max,
                                        .queue_max_bytes = d->options.queue_mb << 20,
                                        .event = on_event,
                                        .event_arg = d,
                                        .living = living,
                                        .log = &d->log};

    int r = controller_open(&c, &d->controller, err);

    if (r == 0 && d->tester)
        preenv_tester_records(d->tester, d->controller);
    return r;
}

int part_open_sampler(struct daemon *d, struct nr_err *err)
{
    (void)err;
    d->sampler = sampler_open(&d->loop, d->bus, d->controller, d->invokers, d->host);
    return 0;
}

int part_open_gateway(struct daemon *d, struct nr_err *err)
{
    const struct gateway_config c = {.loop = &d->loop,
                                     .listen = d->options.listen,
                                     .listen_fds = d->listening.fds,
                                     .listen_fd_count = d->listening.count,
                                     .tls = d->tls,
                                     .fnmanager = d->fnmanager,
                                     .controller = d->controller,
                                     .invokers = d->invokers,
                                     .scaler = d->scaler,
                                     .bus = d->bus,
                                     .log = &d->log,
                                     .connections_max = (unsigned)d->options.connections_max,
                                     .inflight_max_bytes = d->options.inflight_mb << 20,
                                     .spool_dir = d->options.data,
                                     .import_max_bytes = d->options.import_max_mb << 20,
                                     .failed_logins_per_minute = (unsigned)d->options.failed_logins,
                                     .metrics_functions = d->options.metrics_functions,
                                     .build = NARAE_VERSION,
                                     .build_number = NARAE_VERSION,
                                     .memory_max_mb = d->node.memory_max_mb};

    int r = gateway_open(&c, &d->gateway, err);

    d->listening.count = 0; /* given */
    if (r == 0)
        part_tell_samples(d);
    return r;
}

int part_open_bus(struct daemon *d, struct nr_err *err)
{
    const struct bus_config c = {.brokers = d->options.kafka,
                                 .prefix = d->options.kafka_prefix,
                                 .settings_file = d->options.kafka_settings,
                                 .client = "naraed",
                                 .log = &d->log};

    return bus_open(&c, &d->bus, err);
}
