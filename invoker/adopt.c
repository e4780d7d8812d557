/* Containers of an earlier run. They are found by the label of this installation, never by a name.
 *
 *   open    the Engine's list; for each its identity file, and for that the function as it is now. One that may serve on is a
 *           candidate: it is in its function's pool in the state "adopting", with its memory reserved and its socket open again in
 *           the folder that is mounted into it. Everything else is an orphan and is removed.
 *   look    a worker asks whether it runs and thaws it, whoever froze it: an agent that is frozen cannot dial, and the Engine cannot
 *           kill what is frozen.
 *   hello   the agent redials for ever. The kernel says that it is inside this container, as for every connection; once all of its
 *           slots are there, with the code loaded, the container is idle and free. An agent whose call was cut by the end of the
 *           earlier run has ended, or keeps that slot closed: so a container that was busy does not get here.
 *   late    candidates that are not complete in time go.
 *
 * Leaving: a drain with --keep-containers lets go of idle containers: handles are closed, folder and identity stay, and a worker
 * thaws them.
 */
#include "invoker/adopt.h"

#include <dirent.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/json.h"
#include "invoker/cgroup.h"
#include "invoker/identity.h"
#include "invoker/internal.h"
#include "invoker/pool_rules.h"
#include "invoker/start.h"
#include "invoker/volume.h"

enum {
    NAME_BYTES = 8,
    PATH_MAX_BYTES = 1024,
    ADOPT_MS = 15000,      /* from the start until a worker has looked at it */
    ADOPT_HELLO_MS = 5000, /* from then, or from the first hello; agents redial within a second */
};

static const struct nr_str no_body = {NULL, 0};

/* ---- look, thaw --------------------------------------------------------------------------------------------- */

/* Made by look_at(); freed after `done`. */
struct adopt_job {
    struct engine_job job;
    struct container *ct;      /* loop's thread only; NULL: an orphan */
    struct remove_job *orphan; /* loop's thread only */
    char id[65];
    bool running; /* out */
    struct nr_err err;
};

/* Thaws a container however it was frozen. Blocking, a worker's thread. */
static void thaw(struct engine_worker *w, const char *id, bool *ret_running, struct nr_err *err)
{
    struct engine_reply reply = {0};
    char path[128];
    struct cgroup g;

    (void)snprintf(path, sizeof(path), "/containers/%s/json", id);
    int r = engine_want(w, "GET", path, no_body, ENGINE_ASK_MS, &reply, err);
    nr_auto_json json_t *o = r == 0 ? nr_json_parse(nr_buf_str(&reply.body), err) : NULL;
    const json_t *state = o ? json_object_get(o, "State") : NULL;
    pid_t pid = (pid_t)json_integer_value(json_object_get(state, "Pid"));

    nr_buf_fini(&reply.body);
    *ret_running = json_is_true(json_object_get(state, "Running"));
    if (!*ret_running)
        return;
    if (json_is_true(json_object_get(state, "Paused"))) {
        (void)snprintf(path, sizeof(path), "/containers/%s/unpause", id);
        (void)engine_want(w, "POST", path, no_body, ENGINE_ASK_MS, &reply, NULL);
        nr_buf_fini(&reply.body);
    } else if (pid > 0 && cgroup_open(pid, id, &g, NULL) == 0) {
        (void)cgroup_thaw(&g, NULL);
        cgroup_fini(&g);
    }
}

static void look_work(struct engine_worker *w, struct engine_job *job)
{
    struct adopt_job *j = nr_container_of(job, struct adopt_job, job);

    thaw(w, j->id, &j->running, &j->err);
}

static void refuse(struct container *ct, const char *why)
{
    nr_log(ct->v->log, NR_LOG_INFO, "invoker",
           "container=%s function=%s of an earlier run is not adopted: %s", ct->name, ct->fn->path,
           why);
    container_retire(ct, ENDED_NOT_ADOPTED);
}

static void on_looked(struct engine_job *job)
{
    struct adopt_job *j = nr_container_of(job, struct adopt_job, job);
    struct container *ct = j->ct;

    if (ct == NULL) {
        orphan_remove(j->orphan);
    } else {
        if (ct->state == CT_ADOPTING && j->err.code == 0 && !j->running)
            refuse(ct, "it does not run");
        else if (ct->state == CT_ADOPTING)
            nr_deadline_set(ct->v->loop, &ct->deadline, ADOPT_HELLO_MS);
        container_unref(ct);
    }
    free(j);
}

/* ct, or an orphan. */
static void look_at(struct invoker *v, struct container *ct, struct remove_job *orphan)
{
    struct adopt_job *j = nr_alloc(sizeof(*j));

    *j = (struct adopt_job){
        .job = {.rank = ct ? RANK_START : RANK_REMOVE, .work = look_work, .done = on_looked},
        .ct = ct ? container_ref(ct) : NULL,
        .orphan = orphan,
    };
    (void)snprintf(j->id, sizeof(j->id), "%s", ct ? ct->id : orphan->id);
    engine_submit(v->engine, &j->job);
}

/* ---- who may serve on --------------------------------------------------------------------------------------- */

/* A container of the Engine's list. */
struct leftover {
    const char *id, *name; /* lent */
    const json_t *listed;  /* its object there */
    bool runs;
};

/* Why this container must not serve the function as it is now, or NULL. */
static const char *objection(struct invoker *v, const struct leftover *l,
                             const struct identity *who, const struct function *f)
{
    char settings[IDENTITY_SETTINGS_BYTES];

    if (!l->runs)
        return "it does not run";
    if (strcmp(who->container, l->id) != 0)
        return "its identity names another container";
    if (f == NULL || f->revision != who->revision || strcmp(f->account, who->account) != 0)
        return "its function was changed or removed";
    if (f->gpu.count > 0 && gpu_of(v->gpus, l->name) == NULL)
        return "its GPU is not in the inventory any more";
    const struct identity want = identity_of(f);

    container_settings(v, f, settings);
    if (want.memory_mb != who->memory_mb || want.slots != who->slots ||
        strcmp(settings, who->settings) != 0)
        return "it was made with other settings";
    if (strcmp(want.code, who->code) != 0)
        return "it holds other code";
    if (!volumes_are_mounted(v, f))
        return "its volume is not mounted any more";
    if (!memory_reserve(v->node, who->memory_mb))
        return "the memory for containers is less than it was";
    return NULL;
}

/* Puts it into its function's pool, listening. */
static void take_up(struct invoker *v, const struct leftover *l, const struct identity *who,
                    struct function *f)
{
    struct pool *p = pool_of(v, f);
    struct container *ct = container_make(v, p, CT_ADOPTING);

    past_ran(p->past, p);
    memcpy(ct->name, l->name, sizeof(ct->name));
    (void)snprintf(ct->id, sizeof(ct->id), "%s", l->id);
    ct->code_fd = -1;
    nr_deadline_set(v->loop, &ct->deadline, ADOPT_MS);
    if (!container_adopt_network(ct, who->network_slot))
        refuse(ct, "its network slot is not of this network");
    else if (server_open(ct, &ct->failure) < 0)
        refuse(ct, ct->failure.text);
    else
        look_at(v, ct, NULL);
}

static void decide(struct invoker *v, const struct invoker_config *c, const struct leftover *l)
{
    struct identity who = {0};
    struct function *f = NULL;
    struct nr_err err = {0};
    const char *why = err.text;

    if (identity_read(v->folder, l->name, &who, &err) == 0) {
        if (who.revision && c->function_of)
            f = c->function_of(c->function_of_arg,
                               &(struct function_names){who.account, who.space, who.package,
                                                        who.name, who.published});
        why = objection(v, l, &who, f);
    }
    if (why == NULL) {
        take_up(v, l, &who, f);
    } else {
        nr_log(v->log, NR_LOG_DEBUG, "invoker", "container %.12s of an earlier run goes: %s", l->id,
               why);
        identity_forget(v->folder, l->name); /* it may outlive this run, and go in the next */
        look_at(v, NULL, orphan_make(v, l->id, l->name, l->listed));
    }
    function_unref(f);
    identity_fini(&who);
}

/* ---- what is there ------------------------------------------------------------------------------------------ */

/* "narae-<8>-<8 hex>" */
const char *adopt_name_of(const json_t *container)
{
    const char *full = json_string_value(json_array_get(json_object_get(container, "Names"), 0));
    const char *dash = full ? strrchr(full, '-') : NULL;

    return dash && strspn(dash + 1, "0123456789abcdef") == NAME_BYTES && !dash[1 + NAME_BYTES]
               ? dash + 1
               : "";
}

json_t *adopt_list(const struct invoker *v, struct engine_worker *w, struct nr_err *err)
{
    char filter[128], encoded[3 * sizeof(filter) + 1], path[sizeof(encoded) + 64];
    struct engine_reply reply = {0};

    (void)snprintf(filter, sizeof(filter), "{\"label\":[\"narae.installation=%s\"]}",
                   v->installation);
    (void)nr_pct_encode(nr_str_of(filter), encoded);
    (void)snprintf(path, sizeof(path), "/containers/json?all=1&filters=%s", encoded);
    int r = engine_want(w, "GET", path, no_body, ENGINE_ASK_MS, &reply, err);
    json_t *list = r == 0 ? nr_json_parse(nr_buf_str(&reply.body), err) : NULL;

    nr_buf_fini(&reply.body);
    return list;
}

static bool is_known(const json_t *list, const char *name)
{
    const json_t *each;
    size_t i;

    json_array_foreach(list, i, each) {
        if (strcmp(adopt_name_of(each), name) == 0)
            return true;
    }
    return false;
}

/* Folders and files of containers that are not there any more. */
static void sweep_folder(struct invoker *v, const json_t *list)
{
    DIR *d = opendir(v->folder);
    char name[NAME_BYTES + 1];

    for (const struct dirent *e; d && (e = readdir(d)) != NULL;) {
        if (strlen(e->d_name) < NAME_BYTES || strspn(e->d_name, "0123456789abcdef") != NAME_BYTES)
            continue;
        memcpy(name, e->d_name, NAME_BYTES);
        name[NAME_BYTES] = '\0';
        if (!is_known(list, name) && !beside_foreign(v, name))
            (void)identity_remove(v->folder, name, NULL);
    }
    if (d)
        (void)closedir(d);
}

/* The probe's container is being removed already. */
static bool is_orphan(struct invoker *v, const char *id)
{
    NR_LIST_EACH(&v->orphans, l) {
        if (strcmp(nr_container_of(l, struct remove_job, orphan)->id, id) == 0)
            return true;
    }
    return false;
}

int adopt_open(struct invoker *v, const struct invoker_config *c, struct nr_err *err)
{
    nr_auto_json json_t *list = adopt_list(v, engine_own_worker(v->engine), err);
    const json_t *each;
    size_t i;

    if (list == NULL)
        return err && err->code ? err->code : NR_EPROTO;
    sweep_folder(v, list);
    json_array_foreach(list, i, each) {
        const char *state = nr_json_string(each, "State");
        const struct leftover l = {
            .id = nr_json_string(each, "Id"),
            .name = adopt_name_of(each),
            .listed = each,
            .runs = state && (strcmp(state, "running") == 0 || strcmp(state, "paused") == 0),
        };

        if (!engine_is_id(l.id) || is_orphan(v, l.id) || beside_foreign(v, l.name))
            continue;
        v->adoption.found++;
        (void)gpu_adopt(v->gpus, l.name,
                        nr_json_string(json_object_get(each, "Labels"), "narae.gpu"));
        decide(v, c, &l);
    }
    v->adoption.to_be_told = v->adoption.found > 0;
    return 0;
}

/* ---- hello, late -------------------------------------------------------------------------------------------- */

bool adopt_hello_fits(const struct container *ct, bool ready)
{
    return ct->state != CT_ADOPTING || ready;
}

void adopt_greeted(struct container *ct)
{
    if (ct->connected < ct->slot_count)
        return;
    nr_deadline_cancel(&ct->deadline);
    ct->v->adoption.adopted++;
    ct->loaded_us = nr_mono_us();
    nr_log(ct->v->log, NR_LOG_INFO, "invoker", "container=%s function=%s memory_mb=%lld adopted",
           ct->name, ct->fn->path, (long long)ct->memory_mb);
    container_move(ct, CT_IDLE);
    (void)container_ref(ct);
    for (unsigned i = 0; i < ct->slot_count && !ct->retired; i++) {
        struct slot *s = &ct->slots[i];

        if (s->conn && s->a == NULL && !nr_list_linked(&s->free))
            pool_slot_free(s);
    }
    container_unref(ct);
}

void adopt_late(struct container *ct)
{
    refuse(ct, ct->connected ? "it was busy when the earlier run ended"
                             : "its agent did not dial in with its code loaded");
}

void adopt_tidy(struct invoker *v)
{
    if (!v->adoption.to_be_told)
        return;
    for (struct nr_link *l = v->containers.next; l != &v->containers; l = l->next)
        if (nr_container_of(l, struct container, in_all)->state == CT_ADOPTING)
            return;
    v->adoption.to_be_told = false;
    nr_log(v->log, NR_LOG_INFO, "invoker",
           "of %u containers of an earlier run %u were adopted, the others are removed",
           v->adoption.found, v->adoption.adopted);
}

/* ---- leaving ------------------------------------------------------------------------------------------------ */

void adopt_leave(struct invoker *v)
{
    for (struct nr_link *l = v->containers.next; l != &v->containers; l = l->next) {
        struct container *ct = nr_container_of(l, struct container, in_all);

        bool idle = ct->state == CT_IDLE || ct->state == CT_FROZEN ||
                    (v->handed && ct->state == CT_ADOPTING);

        ct->left = idle && !ct->retired && ct->pool && !ct->pool->stale;
        v->adoption.left += ct->left;
    }
    nr_log(v->log, NR_LOG_INFO, "invoker", "%u idle containers are left to the next start",
           v->adoption.left);
}

/* Made by leave_container(); freed after `done`. */
struct leave_job {
    struct engine_job job;
    struct container *ct; /* loop's thread only */
    char id[65];
};

static void leave_work(struct engine_worker *w, struct engine_job *job)
{
    struct leave_job *j = nr_container_of(job, struct leave_job, job);
    struct nr_err err = {0};
    bool running;

    thaw(w, j->id, &running, &err); /* at the latest the next start does it */
}

static void on_left(struct engine_job *job)
{
    struct leave_job *j = nr_container_of(job, struct leave_job, job);
    const struct remove_job removed = {0};

    container_removed(j->ct, &removed);
    container_unref(j->ct);
    free(j);
}

void leave_container(struct container *ct)
{
    struct leave_job *j = nr_alloc(sizeof(*j));

    *j = (struct leave_job){.job = {.rank = RANK_REMOVE, .work = leave_work, .done = on_left},
                            .ct = container_ref(ct)};
    memcpy(j->id, ct->id, sizeof(j->id));
    engine_submit(ct->v->engine, &j->job);
}
