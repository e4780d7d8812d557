/* The invoker's port: opening, the small calls, draining, closing.
 *
 * Opening is blocking: folders, the Engine's version, the sweep of what an earlier run left, the probe. Then everything lives on the
 * loop. Draining cuts what still runs and removes every container; closing waits for handles and for the workers' last calls, which
 * fail at once from then on.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "invoker/ahead.h"
#include "invoker/cgroup_parent.h"
#include "invoker/frame_budget.h"
#include "invoker/identity.h"
#include "invoker/images.h"
#include "invoker/freeze.h"
#include "invoker/internal.h"
#include "invoker/start.h"
#include "invoker/volume.h"
#include "invoker/stem.h"
#include "invoker/monitor.h"
#include "invoker/press.h"
#include "invoker/sweep.h"

enum { TIDY_MS = 1000, SOCKET_PATH_MAX = 100, META_MAX_BYTES = NR_FRAME_META_MAX_BYTES };
/* What a start takes before one was seen. */
enum { START_US = 250000 };

/* ---- opening ------------------------------------------------------------------------------------------------ */

bool inside_cgroup(pid_t pid, const char *container_id)
{
    char path[64], text[4096];

    (void)snprintf(path, sizeof(path), "/proc/%d/cgroup", (int)pid);
    FILE *f = fopen(path, "re");
    size_t n = f ? fread(text, 1, sizeof(text) - 1, f) : 0;

    if (f)
        (void)fclose(f);
    text[n] = '\0';
    return container_id[0] && strstr(text, container_id) != NULL;
}

static char *joined(const char *a, const char *b)
{
    size_t n = strlen(a) + strlen(b) + 1;
    char *s = nr_alloc(n);

    (void)snprintf(s, n, "%s%s", a, b);
    return s;
}

static const char hosts[] = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n";

static int make_folders(struct invoker *v, struct nr_err *err)
{
    struct stat st;

    if (v->run_dir[0] != '/' || strlen(v->folder) + sizeof("/01234567/s") > SOCKET_PATH_MAX)
        return nr_err_set(
            err, NR_EINVAL,
            "the run folder %s is not usable for sockets: it must be absolute and shorter than %d letters",
            v->run_dir, SOCKET_PATH_MAX - (int)sizeof("/c/01234567/s"));
    if (stat(v->agent_path, &st) < 0)
        return nr_err_set(err, NR_ENOENT, "the agent %s is not there: %s", v->agent_path,
                          strerror(errno));
    int r = nr_dir_make(v->folder, 0700, err);

    return r < 0 ? r : nr_file_write(v->run_dir, "hosts", nr_str_of(hosts), 0644, err);
}

/* Opening has failed: what it made goes. A folder that is not empty is an earlier run's, whose containers use the files beside it too. */
static void drop_folders(const struct invoker *v)
{
    if (v->beside || rmdir(v->folder) < 0)
        return;
    nr_auto_free char *resolvers = joined(v->run_dir, "/resolv.conf");

    (void)unlink(v->hosts_path);
    (void)unlink(resolvers);
}

static void on_tidy(struct nr_deadline *d)
{
    struct invoker *v = nr_container_of(d, struct invoker, tidy);

    nr_deadline_set(v->loop, &v->tidy, TIDY_MS);
    pool_tidy(v);
    adopt_tidy(v);
}

static void on_stir(struct nr_deadline *d)
{
    struct invoker *v = nr_container_of(d, struct invoker, stir);

    pool_start_wished(v);
    pool_feed_hungry(v);
    stems_fill(v);
    ahead_look(v);
}

static struct invoker *invoker_make(const struct invoker_config *c)
{
    struct invoker *v = nr_alloc(sizeof(*v));

    *v = (struct invoker){.loop = c->loop,
                          .node = c->node,
                          .log = c->log,
                          .keep_alive_ms = c->keep_alive_ms,
                          .keep_alive_own_ms = c->keep_alive_ms,
                          .freeze_after_ms = c->freeze_after_ms,
                          .containers_max = c->containers_max,
                          .keep_containers = c->keep_containers,
                          .beside = c->beside,
                          .foreign = c->foreign,
                          .foreign_arg = c->foreign_arg,
                          .start_us = START_US};
    v->run_dir = nr_strdup(c->run_dir);
    v->folder = joined(c->run_dir, "/c");
    v->hosts_path = joined(c->run_dir, "/hosts");
    v->volumes_dir = c->volumes_dir ? nr_strdup(c->volumes_dir) : joined(c->run_dir, "/volumes");
    v->devices = c->devices;
    v->gpus = gpu_open(c->node->gpus, c->node->gpu_count);
    v->commands = image_commands_make();
    v->registry_auth = c->registry_auth;
    v->registry_auth_arg = c->registry_auth_arg;
    v->event = c->event;
    v->event_arg = c->event_arg;
    v->pressed = c->pressed;
    v->agent_path = nr_strdup(c->agent_path);
    v->installation = nr_strdup(c->installation);
    v->name = nr_strdup(c->invoker ? c->invoker : "0");
    v->image_hint = nr_strdup(c->image_hint ? c->image_hint : "scripts/images");
    v->peer = (struct peer_rule){.uid = CONTAINER_UID, .inside = inside_cgroup};
    v->read_buf = nr_alloc(READ_BUF_BYTES);
    v->held_max_bytes = frame_budget_bytes(v->node->memory_max_mb);
    nr_buf_init(&v->meta, META_MAX_BYTES);
    value_room_init(&v->value);
    nr_map_init(&v->pools);
    nr_map_init(&v->pasts);
    nr_list_init(&v->containers);
    nr_list_init(&v->used);
    nr_list_init(&v->pressing);
    nr_list_init(&v->idle);
    nr_list_init(&v->frozen);
    nr_list_init(&v->ahead);
    nr_list_init(&v->hungry);
    nr_list_init(&v->orphans);
    nr_list_init(&v->forgettings);
    v->tidy.fire = on_tidy;
    v->stir.fire = on_stir;
    v->freeze.fire = freeze_due;
    v->press.fire = press_due;
    return v;
}

static void invoker_free(struct invoker *v)
{
    char *const texts[] = {v->run_dir,      v->folder,     v->hosts_path, v->agent_path,
                           v->installation, v->image_hint, v->read_buf,   v->seccomp,
                           v->volumes_dir,  v->api_host,   v->name};

    nr_deadline_cancel(&v->stir);
    nr_deadline_cancel(&v->freeze);
    nr_deadline_cancel(&v->press);
    pool_fini(v);
    stems_free(v);
    gpu_free(v->gpus);
    image_commands_free(v->commands);
    network_free(v->network);
    if (!v->keep_containers && !v->beside)
        volume_unmount_all(v->volumes_dir);
    monitor_free(v->monitor);
    sweep_free(v->sweep);
    nr_buf_fini(&v->meta);
    value_room_fini(&v->value);
    for (size_t i = 0; i < nr_countof(texts); i++)
        free(texts[i]);
    free(v);
}

int invoker_open(const struct invoker_config *c, struct invoker **ret, struct nr_err *err)
{
    struct invoker *v = invoker_make(c);
    const int cores = c->node->cores > 0 ? c->node->cores : 1;
    const int workers = c->engine_workers > 0 ? c->engine_workers : 2 * cores;
    const struct engine_config e = {
        .loop = c->loop,
        .socket_path = c->docker_socket,
        .workers = workers,
        .boots_max = workers + cores,
        .log = c->log,
    };
    int r = make_folders(v, err);

    if (r == 0)
        r = stems_open(v, c, err);
    if (r == 0)
        r = engine_open(&e, &v->engine, err);
    if (r == 0 && (r = probe_run(v, c, err)) < 0)
        engine_abandon(v->engine);
    if (r < 0) {
        drop_folders(v);
        invoker_free(v);
        return r;
    }
    if (!c->adopts_later && adopt_open(v, c, err) < 0)
        nr_log(v->log, NR_LOG_WARN, "invoker",
               "containers of an earlier run could not be listed: %s", err ? err->text : "");
    if (err)
        *err = (struct nr_err){0};
    nr_deadline_set(v->loop, &v->tidy, TIDY_MS);
    v->monitor = monitor_open(v, c);
    v->sweep = sweep_open(v);
    stems_begin(v);
    *ret = v;
    return 0;
}

struct create_spec create_spec_here(const struct invoker *v)
{
    return (struct create_spec){
        .agent_path = v->agent_path,
        .hosts_path = v->hosts_path,
        .installation = v->installation,
        .invoker = v->name,
        .swappiness = v->probe.cgroup_v1,
        .seccomp = v->seccomp,
        .runtime = v->probe.runtime,
        .cgroup_parent = v->probe.cgroup_parent,
    };
}

/* ---- the small calls ---------------------------------------------------------------------------------------- */

void invoker_run(struct invoker *v, struct activation *a)
{
    a->invoker = v;
    a->i = I_BORROW;
    invoker_tick(a);
}

void invoker_claimed(struct activation *a, int status)
{
    if (status < 0)
        activation_fail(a, status, "The call was not run: %s.", nr_err_text(status));
    a->slot->claim = CLAIM_DONE;
    a->claim = NULL;
    invoker_tick(a);
}

void invoker_cut(struct activation *a, int err)
{
    if (a->i == I_IDLE || a->i >= I_RETURN || (a->i == I_AWAIT && a->answered_us != 0))
        return;
    if (a->i == I_LOGS)
        a->slot->got.late = true;
    else
        activation_fail(a, err, "%s", nr_err_text(err));
    if (a->i == I_BORROW)
        pool_leave(a->invoker, a);
    invoker_tick(a);
}

void invoker_forget(struct invoker *v, uint64_t revision)
{
    pool_forget(v, revision);
}

void invoker_wish(struct invoker *v, const struct scaler_wish *w)
{
    pool_wish(v, w);
}

void invoker_know(struct invoker *v, struct function *f)
{
    pool_know(v, f);
}

/* ---- draining and closing ----------------------------------------------------------------------------------- */

static void drained(struct invoker *v)
{
    void (*done)(void *) = v->drained;

    v->drained = NULL;
    nr_deadline_cancel(&v->drain_deadline);
    if (done)
        done(v->drained_arg);
}

static void on_drain_deadline(struct nr_deadline *d)
{
    struct invoker *v = nr_container_of(d, struct invoker, drain_deadline);
    unsigned orphans = 0;
    char names[LEFT_NAMES_BYTES];

    NR_LIST_EACH(&v->orphans, l)
        orphans++;
    v->left = v->container_count + orphans;
    containers_named(v, names);
    nr_log(v->log, NR_LOG_ERROR, "invoker",
           "%u containers could not be removed in time (%u of an earlier run): %s; "
           "the next start removes them%s",
           v->left, orphans, names, v->keep_containers ? ", or adopts them" : "");
    drained(v);
}

unsigned invoker_left(const struct invoker *v)
{
    return v->left;
}

static void on_network_closed(void *arg)
{
    struct invoker *v = arg;

    v->network_closed = true;
    invoker_container_gone(v);
    invoker_container_freed(v);
}

/* Containers first, then what they lived in. */
void invoker_container_gone(struct invoker *v)
{
    if (!v->stopping || v->container_count > 0 || !nr_list_empty(&v->orphans))
        return;
    if (v->network && !v->network_draining) {
        v->network_draining = true;
        network_drain(v->network, on_network_closed, v);
    } else if (v->drained && (v->network == NULL || v->network_closed)) {
        drained(v);
    }
}

/* Any call that waits or runs here, or NULL. */
static struct activation *any_call(struct invoker *v)
{
    struct nr_map_node *n = NULL;
    size_t at = 0;

    while ((n = nr_map_next(&v->pools, &at, n)) != NULL) {
        struct pool *p = nr_container_of(n, struct pool, node);

        if (p->waiting_count > 0)
            return pool_queue_any(&p->waiting);
    }
    NR_LIST_EACH(&v->containers, l) {
        struct container *ct = nr_container_of(l, struct container, in_all);

        for (unsigned i = 0; i < ct->slot_count; i++)
            if (ct->slots[i].a && ct->slots[i].a->err == 0)
                return ct->slots[i].a;
    }
    return NULL;
}

/* Nothing new starts, what runs is cut, every container goes. */
static void end_all(struct invoker *v)
{
    struct activation *a;

    v->stopping = true;
    while ((a = any_call(v)) != NULL)
        invoker_cut(a, NR_ESTOPPING);
    /* A container leaves this list when the Engine has removed it, which is never at once. */
    for (struct nr_link *l = v->containers.next; l != &v->containers; l = l->next)
        container_retire(nr_container_of(l, struct container, in_all), ENDED_DRAINED);
}

void invoker_drain(struct invoker *v, uint64_t max_ms, void (*done)(void *arg), void *arg)
{
    v->drained = done;
    v->drained_arg = arg;
    v->drain_deadline.fire = on_drain_deadline;
    nr_deadline_set(v->loop, &v->drain_deadline, max_ms);
    if (v->keep_containers && !v->handed)
        adopt_leave(v);
    engine_hurry_removals(v->engine);
    engine_stop_errands(v->engine);
    end_all(v);
    invoker_container_gone(v);
}

static void on_engine_closed(void *arg)
{
    struct invoker *v = arg;
    void (*closed)(void *) = v->closed;
    void *closed_arg = v->closed_arg;

    if (!v->beside)
        cgroup_parent_remove(v->probe.cgroup_parent);
    invoker_free(v);
    closed(closed_arg);
}

void invoker_container_freed(struct invoker *v)
{
    if (v->closed && v->alive == 0 && (v->network == NULL || v->network_closed))
        engine_close(v->engine, on_engine_closed, v);
}

/* Removals fail at once from now on, and a failed one no longer keeps its container: the next start sweeps what is left. */
void invoker_close(struct invoker *v, void (*closed)(void *arg), void *arg)
{
    v->closed = closed;
    monitor_stop(v->monitor);
    sweep_stop(v->sweep);
    forget_stop(v);
    v->closed_arg = arg;
    nr_deadline_cancel(&v->tidy);
    nr_deadline_cancel(&v->stir);
    nr_deadline_cancel(&v->freeze);
    nr_deadline_cancel(&v->press);
    nr_deadline_cancel(&v->drain_deadline);
    v->drained = NULL;
    engine_cancel(v->engine);
    v->alive++; /* ours, while the list is walked */
    end_all(v);
    NR_LIST_EACH(&v->containers, l) {
        struct container *ct = nr_container_of(l, struct container, in_all);

        if (ct->state == CT_DYING && nr_deadline_armed(&ct->deadline)) {
            nr_deadline_cancel(&ct->deadline);
            remove_container(ct);
        }
    }
    hurry_orphans(v);
    invoker_container_gone(v);
    v->alive--;
    invoker_container_freed(v);
}
