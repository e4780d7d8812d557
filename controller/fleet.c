/* The fleet: all invokers as one.
 *
 *   alone    without --invokers-listen there is our own invoker only: a call is given to it at once
 *   others   hosts that dial in become struct far (ports/far.h); calls are placed by fleet_calls.c, wishes are shared out by fleet_wish.c
 *   the end  our own containers go first; then links end, and what runs on other hosts is left to them
 */
#include "controller/fleet.h"

#include <stdio.h>
#include <sys/utsname.h>

#include "common/base/mem.h"
#include "ports/event.h"
#include "ports/tags.h"

/* As images call a processor. */
static const char *arch_here(struct utsname *name)
{
    static const struct {
        const char *machine, *arch;
    } words[] = {{"x86_64", "amd64"}, {"aarch64", "arm64"}, {"armv7l", "arm"}, {"i686", "386"}};

    if (uname(name) != 0)
        return "unknown";
    for (size_t i = 0; i < nr_countof(words); i++)
        if (strcmp(name->machine, words[i].machine) == 0)
            return words[i].arch;
    return name->machine;
}

static char **local_tags(const struct node *node)
{
    struct utsname name;
    json_t *told = json_pack("{s:s, s:s, s:b}", "host", "0", "arch", arch_here(&name), "gpu",
                             node && node->gpu_count > 0);
    char **tags = NULL;

    (void)tags_read(told, "tags", &tags, NULL);
    json_decref(told);
    return tags;
}

int invokers_open(const struct invokers_config *c, struct invokers **ret, struct nr_err *err)
{
    struct invokers *f = nr_alloc(sizeof(*f));

    f->config = *c;
    f->config.data_dir = NULL; /* was lent */
    f->loop = c->loop;
    f->local = c->local;
    f->log = c->log;
    f->local_tags = local_tags(c->node);
    nr_list_init(&f->unplaced);
    nr_list_init(&f->leaving);
    nr_list_init(&f->removed);
    nr_list_init(&f->due);
    nr_map_init(&f->wishes);
    int r = c->listen ? fleet_store_open(f, c->data_dir, err) : 0;

    if (r < 0) {
        fleet_free(f);
        return r;
    }
    f->data_dir = nr_strdup(c->data_dir);
    *ret = f;
    return 0;
}

/* ---- others ----------------------------------------------------------------------------------------------------- */

static void on_event(void *arg, struct far *far, const struct event *e)
{
    struct invokers *f = arg;

    (void)far;
    if (f->config.event)
        f->config.event(f->config.arg, e);
}

/* A work thread's. */
static void on_registry_auth(void *arg, const char *account, const char *image, char **ret_auth)
{
    const struct invokers *f = arg;

    f->config.registry_auth(f->config.arg, account, image, ret_auth);
}

int invokers_listen(struct invokers *f, const char *api_url, struct nr_err *err)
{
    const struct far_listener_config l = {.loop = f->loop,
                                          .listen = f->config.listen,
                                          .cert_path = f->config.certificate,
                                          .key_path = f->config.key,
                                          .data_dir = f->data_dir,
                                          .invoker_uid = f->config.invoker_uid,
                                          .api_host = api_url,
                                          .log = f->log,
                                          .arg = f,
                                          .admit = fleet_admit,
                                          .joined = fleet_joined,
                                          .lost = fleet_lost,
                                          .bounced = fleet_bounced,
                                          .reported = fleet_reported,
                                          .event = on_event,
                                          .registry_auth =
                                              f->config.registry_auth ? on_registry_auth : NULL};

    if (f->config.listen == NULL)
        return 0;
    int r = far_listen(&l, &f->listener, err);

    if (r < 0)
        return r;
    (void)snprintf(f->pin, sizeof(f->pin), "%s", far_pin(f->listener) ? far_pin(f->listener) : "");
    nr_log(f->log, NR_LOG_INFO, "fleet",
           "invokers of other hosts may join at %s%s%s; %zu are known%s", f->config.listen,
           f->pin[0] ? ", pin " : "", f->pin, f->host_count,
           f->local ? "" : "; this host runs no functions itself");
    return 0;
}

int invokers_reload(struct invokers *f, bool commit, struct nr_err *err)
{
    if (f == NULL || f->listener == NULL)
        return 0;
    int r = far_listener_reload(f->listener, commit, err);

    if (r < 0)
        return nr_err_wrap(err, r, "the listener of invokers");
    const char *pin = far_pin(f->listener);

    if (pin == NULL || strcmp(pin, f->pin) == 0)
        return 0;
    nr_log(
        f->log, NR_LOG_WARN, "fleet",
        "the listener of invokers has another key: its pin is %s now, and invokers that were told %s cannot dial",
        pin, f->pin);
    (void)snprintf(f->pin, sizeof(f->pin), "%s", pin);
    return 0;
}

struct invoker *invokers_local(const struct invokers *f)
{
    return f->local;
}

bool invokers_alone(const struct invokers *f)
{
    return f->config.listen == NULL;
}

/* ---- calls ------------------------------------------------------------------------------------------------------ */

/* Alone: there is nothing to choose. What a function must find is looked for here as well. */
static bool is_alone(const struct invokers *f, const struct activation *a)
{
    return f->config.listen == NULL && a->fn->place == NULL && f->local;
}

void invokers_run(struct invokers *f, struct activation *a)
{
    if (is_alone(f, a)) {
        invoker_run(f->local, a);
        return;
    }
    a->far = NULL;
    a->bounces = 0;
    fleet_place(f, a);
}

void invokers_claimed(struct activation *a, int status)
{
    if (a->far)
        far_claimed(a->far, a, status);
    else
        invoker_claimed(a, status);
}

void invokers_cut(struct activation *a, int err)
{
    if (a->unplaced)
        fleet_cut_unplaced(a, err);
    else if (a->far == NULL)
        invoker_cut(a, err);
    else if (a->i != I_IDLE && a->i != I_END) /* else its host may be gone */
        far_cut(a->far, a, err);
}

void invokers_forget(struct invokers *f, uint64_t revision)
{
    if (f->local)
        invoker_forget(f->local, revision);
    for (size_t i = 0; i < f->host_count; i++)
        if (f->hosts[i]->far)
            far_forget(f->hosts[i]->far, revision);
}

bool invokers_serve(const struct invokers *f, uint64_t revision)
{
    if (f->local && invoker_serves(f->local, revision))
        return true;
    for (size_t i = 0; i < f->host_count; i++)
        if (f->hosts[i]->far && far_knows(f->hosts[i]->far, revision))
            return true;
    return false;
}

const char *invokers_engine(const struct invokers *f)
{
    const char *engine = f->local ? invoker_engine(f->local) : "";

    for (size_t i = 0; i < f->host_count && engine[0] == '\0'; i++)
        if (f->hosts[i]->far && far_is_up(f->hosts[i]->far))
            engine = far_hello(f->hosts[i]->far)->engine;
    return engine;
}

int64_t invokers_function_peak_bytes(const struct invokers *f, const struct function *fn)
{
    int64_t most = f->local ? invoker_function_peak_bytes(f->local, fn->path) : -1;

    for (size_t i = 0; i < f->host_count; i++) {
        int64_t bytes = f->hosts[i]->far ? far_function_peak_bytes(f->hosts[i]->far, fn) : -1;

        most = bytes > most ? bytes : most;
    }
    return most;
}

bool invokers_ready(const struct invokers *f, char why[static INVOKER_WHY_BYTES])
{
    for (size_t i = 0; i < f->host_count; i++)
        if (f->hosts[i]->far && far_takes(f->hosts[i]->far, false))
            return true;
    if (f->local)
        return invoker_ready(f->local, why);
    (void)snprintf(why, INVOKER_WHY_BYTES,
                   "no invoker takes calls: of %zu known ones none is connected and well",
                   f->host_count);
    return false;
}

/* ---- the end ---------------------------------------------------------------------------------------------------- */

void invokers_drain(struct invokers *f, uint64_t max_ms, void (*done)(void *arg), void *arg)
{
    if (f->local)
        invoker_drain(f->local, max_ms, done, arg);
    else
        done(arg);
}

unsigned invokers_left(const struct invokers *f)
{
    return f->local ? invoker_left(f->local) : 0;
}

void fleet_free(struct invokers *f)
{
    nr_db_stop(f->db);
    nr_mailbox_drain(f->loop); /* what the store still had to say */
    while (f->host_count > 0)
        fleet_host_remove(f->hosts[0]);
    while (!nr_list_empty(&f->removed))
        fleet_removed_drop_oldest(f);
    nr_db_close(f->db);
    fleet_leaving_fini(f);
    fleet_wish_fini(f);
    tags_free(f->local_tags);
    free(f->data_dir);
    free(f);
}

static void on_local_closed(void *arg)
{
    struct invokers *f = arg;
    void (*closed)(void *) = f->closed;
    void *closed_arg = f->closed_arg;

    f->local = NULL;
    fleet_free(f);
    closed(closed_arg);
}

/* Samples are taken of it until the loop ends, so it is there as long as its invoker. */
static void on_listener_closed(void *arg)
{
    struct invokers *f = arg;

    if (f->local)
        invoker_close(f->local, on_local_closed, f);
    else
        on_local_closed(f);
}

void invokers_close(struct invokers *f, void (*closed)(void *arg), void *arg)
{
    f->closing = true;
    f->closed = closed;
    f->closed_arg = arg;
    nr_deadline_cancel(&f->again);
    nr_deadline_cancel(&f->leave);
    nr_deadline_cancel(&f->share);
    for (size_t i = 0; i < f->host_count; i++)
        fleet_host_end(f->hosts[i]);
    if (f->listener)
        far_listener_close(f->listener, on_listener_closed, f);
    else
        on_listener_closed(f);
}
