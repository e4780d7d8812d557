/* Engine work for one container, top to bottom on a worker's thread:
 *
 *   start    (own images: ask for the image's command) create, write whose it is, tell the loop the id, start
 *   pull     for an own image that is not there: pull it, then as above; on the worker for pulls
 *   look     does it still run? asked while no hello came
 *   remove   by force, whatever state it is in; then its folder and its identity file
 *
 * Names are ours and unique, so a call that was cut can be made again: a second create is a conflict, a second start or removal is fine.
 */
#include "invoker/start.h"

#include "common/base/clock.h"
#include "common/base/json.h"
#include "invoker/identity.h"
#include "invoker/images.h"
#include "invoker/internal.h"
#include "invoker/volume.h"
#include "ports/grants.h"
#include "invoker/stem.h"

enum { PATH_MAX_BYTES = 1024, INSTALLATION_HEAD = 8, MOUNTS_MAX_BYTES = 1 << 20 };

static const struct nr_str no_body = {NULL, 0};

/* ---- create and start --------------------------------------------------------------------------------------- */

static int create(struct engine_worker *w, struct start_job *j)
{
    char path[PATH_MAX_BYTES];
    struct engine_reply reply = {0};
    size_t n = 0;
    nr_auto_free char *body = create_body(&j->spec, &n);

    if (body == NULL)
        return nr_err_set(&j->err, NR_ENOMEM, "no memory for the create body");
    (void)snprintf(path, sizeof(path), "/containers/create?name=narae-%.*s-%s", INSTALLATION_HEAD,
                   j->spec.installation, j->name);
    uint64_t begun_us = nr_mono_us();
    int r =
        engine_want(w, "POST", path, (struct nr_str){body, n}, ENGINE_START_MS, &reply, &j->err);
    nr_auto_json json_t *o = r == 0 ? nr_json_parse(nr_buf_str(&reply.body), &j->err) : NULL;
    const char *id = o ? nr_json_string(o, "Id") : NULL;

    nr_buf_fini(&reply.body);
    if (r == 0 && !engine_is_id(id))
        r = nr_err_set(&j->err, NR_EPROTO, "the Engine named no container id");
    if (r == 0)
        (void)snprintf(j->id, sizeof(j->id), "%s", id);
    j->created_us = nr_mono_us();
    j->create_us = j->created_us - begun_us;
    return r;
}

/* Whose it is: on the host before the container runs. */
static int write_identity(struct start_job *j)
{
    identity_settings(&j->spec, j->settings);
    if (j->fn == NULL) /* a stem's comes with its hello */
        return 0;
    struct identity who = identity_of(j->fn);

    who.container = j->id;
    who.settings = j->settings;
    who.network_slot = j->network_slot;
    return identity_write(j->folder, j->name, &who, &j->err);
}

/* Volumes are mounted on the host before the container is. */
static int mount_volumes(struct start_job *j)
{
    const struct grants *g = j->fn ? j->fn->grants : NULL;
    const struct invoker *v = j->ct->v;
    int r = 0;

    j->spec.volume_count = 0;
    for (unsigned i = 0; g && r == 0 && i < g->volume_count; i++) {
        j->volumes = j->volumes ? j->volumes : nr_alloc(CREATE_MOUNTS_MAX * sizeof(*j->volumes));
        r = volume_mount(v->volumes_dir, j->fn->account, g->volumes[i].name, g->volumes[i].quota_mb,
                         j->volumes[i], &j->err);
        j->spec.volumes[i] = (struct create_mount){j->volumes[i], g->volumes[i].path};
        j->spec.volume_count = i + 1;
    }
    return r;
}

static void start_work(struct engine_worker *w, struct engine_job *job)
{
    struct start_job *j = nr_container_of(job, struct start_job, job);
    struct engine_reply reply = {0};
    char path[PATH_MAX_BYTES];
    json_t *command = NULL;
    int r = 0;

    j->err = (struct nr_err){0};
    if (j->unwanted)
        r = nr_err_set(&j->err, NR_ECANCELED, "nobody waits for it any more");
    if (r == 0 && j->fn && j->fn->relay)
        r = image_command(j->ct->v->commands, w, j->spec.image, &command, &j->err);
    j->spec.command = command;
    if (r == 0)
        r = mount_volumes(j);
    if (r == 0)
        r = create(w, j);
    j->spec.command = NULL;
    json_decref(command);
    j->image_missing = r == NR_ENOENT;
    if (r < 0 || write_identity(j) < 0)
        return;
    nr_mailbox_post(j->loop, &j->created);
    (void)snprintf(path, sizeof(path), "/containers/%s/start", j->id);
    (void)engine_want(w, "POST", path, no_body, ENGINE_START_MS, &reply, &j->err);
    nr_buf_fini(&reply.body);
}

/* ---- pull --------------------------------------------------------------------------------------------------- */

/* With the owner's credentials, as it was when it was deployed. What is pinned is pulled by its digest; of a local image there is nothing to
 * pull. */
static void pull_work(struct engine_worker *w, struct engine_job *job)
{
    struct start_job *j = nr_container_of(job, struct start_job, job);
    const struct invoker *v = j->ct->v;
    char *auth = NULL;

    if (v->registry_auth)
        v->registry_auth(v->registry_auth_arg, j->fn->account, j->spec.image, &auth);
    struct image_call c = {.op = IMAGE_PULL,
                           .reference = j->spec.image,
                           .auth = auth,
                           .max_bytes = (int64_t)IMAGE_MAX_MB << 20};

    if (strncmp(j->spec.image, "sha256:", 7) != 0 && images_do(w, &c) < 0)
        nr_log(v->log, NR_LOG_WARN, "invoker", "container=%s: %s", j->name, c.err.text);
    if (auth)
        explicit_bzero(auth, strlen(auth));
    free(auth);
    start_work(w, job); /* says so when it is still not there */
}

/* ---- the job's way ------------------------------------------------------------------------------------------ */

static void on_created(struct nr_mail *m)
{
    struct start_job *j = nr_container_of(m, struct start_job, created);

    container_created(j->ct, j);
}

/* "narae/go:0123": the command names "go", which is not made unless it is named. */
static void log_missing_image(const struct invoker *v, const char *image)
{
    const char *slash = strrchr(image, '/');
    const char *family = slash ? slash + 1 : image;

    nr_log(v->log, NR_LOG_ERROR, "invoker", "image %s is missing: build it with %s %.*s", image,
           v->image_hint, (int)strcspn(family, ":"), family);
}

static void on_start_done(struct engine_job *job)
{
    struct start_job *j = nr_container_of(job, struct start_job, job);
    struct container *ct = j->ct;

    if (j->image_missing && j->fn && j->fn->relay && job->rank != RANK_PULL &&
        ct->state == CT_STARTING) {
        container_boot_over(ct);
        job->boots = false;
        job->rank = RANK_PULL;
        job->work = pull_work;
        engine_submit(ct->v->engine, job);
        return;
    }
    if (j->image_missing && (j->fn == NULL || !j->fn->relay))
        log_missing_image(ct->v, j->spec.image);
    container_started(ct, j);
    container_unref(ct);
    function_unref(j->fn);
    free(j->folder);
    free(j->socket_dir);
    free(j->volumes);
    free(j);
}

/* How its network is made here. */
static void network_of(const struct invoker *v, enum function_network network,
                       struct create_spec *s)
{
    static const enum create_network networks[] = {[EGRESS_NONE] = CREATE_NET_DISABLED,
                                                   [EGRESS_BRIDGE] = CREATE_NET_BRIDGE,
                                                   [EGRESS_SLOTS] = CREATE_NET_SLOT};

    s->network = network == FN_NET_NONE ? CREATE_NET_DISABLED : networks[v->probe.network];
    if (s->network == CREATE_NET_SLOT)
        s->resolv_path = network_resolv_path(v->network);
}

void container_settings(const struct invoker *v, const struct function *f,
                        char out[static IDENTITY_SETTINGS_BYTES])
{
    char volumes[CREATE_MOUNTS_MAX][VOLUME_PATH_BYTES];
    struct create_spec spec = create_spec_here(v);

    create_spec_of(f, v->probe.has_bridge, &spec);
    network_of(v, f->network, &spec);
    create_devices(f->grants, v->devices, &spec);
    for (unsigned i = 0; f->grants && i < f->grants->volume_count; i++)
        if (volume_path(v->volumes_dir, f->account, f->grants->volumes[i].name, volumes[i], NULL) ==
            0)
            spec.volumes[spec.volume_count++] =
                (struct create_mount){volumes[i], f->grants->volumes[i].path};
    identity_settings(&spec, out);
}

/* What it is made from: a function, or a shelf; and the network that it has got. */
static void spec_of(const struct container *ct, struct start_job *j)
{
    const struct invoker *v = ct->v;

    if (ct->fn)
        create_spec_of(ct->fn, v->probe.has_bridge, &j->spec);
    else
        stem_spec_of(ct, &j->spec);
    network_of(v, ct->network, &j->spec);
    if (ct->fn)
        create_devices(ct->fn->grants, v->devices, &j->spec);
    const struct gpu_grant *gpu = gpu_of(v->gpus, ct->name);

    j->spec.gpus = v->node->gpus;
    j->spec.gpu = gpu ? *gpu : (struct gpu_grant){.devices = 0};
    j->network_slot = ct->net_slot ? net_slot_name(ct->net_slot) : "";
}

void start_container(struct container *ct, enum engine_rank rank)
{
    struct invoker *v = ct->v;
    struct start_job *j = nr_alloc(sizeof(*j));

    *j = (struct start_job){
        .job = {.rank = rank, .boots = true, .work = start_work, .done = on_start_done},
        .created = {.run = on_created},
        .ct = container_ref(ct),
        .loop = v->loop,
        .fn = ct->fn ? function_ref(ct->fn) : NULL,
        .folder = nr_strdup(v->folder),
        .socket_dir = nr_alloc(strlen(v->folder) + sizeof(ct->name) + 1),
    };
    memcpy(j->name, ct->name, sizeof(j->name));
    (void)snprintf(j->socket_dir, strlen(v->folder) + sizeof(ct->name) + 1, "%s/%s", v->folder,
                   ct->name);
    j->spec = create_spec_here(v);
    j->spec.id = j->name;
    j->spec.socket_dir = j->socket_dir;
    spec_of(ct, j);
    ct->start = j;
    ct->booting = true;
    engine_submit(v->engine, &j->job);
}

/* ---- look and remove ---------------------------------------------------------------------------------------- */

static void look_work(struct engine_worker *w, struct engine_job *job)
{
    struct remove_job *j = nr_container_of(job, struct remove_job, job);
    struct engine_reply reply = {0};
    char path[PATH_MAX_BYTES];

    (void)snprintf(path, sizeof(path), "/containers/%s/json", j->id);
    int r = engine_want(w, "GET", path, no_body, ENGINE_ASK_MS, &reply, &j->err);
    nr_auto_json json_t *o = r == 0 ? nr_json_parse(nr_buf_str(&reply.body), &j->err) : NULL;
    const json_t *state = o ? json_object_get(o, "State") : NULL;

    j->running = json_is_true(json_object_get(state, "Running"));
    j->exit_code = (int)json_integer_value(json_object_get(state, "ExitCode"));
    nr_buf_fini(&reply.body);
}

static void remove_work(struct engine_worker *w, struct engine_job *job)
{
    struct remove_job *j = nr_container_of(job, struct remove_job, job);
    struct engine_reply reply = {0};
    char path[PATH_MAX_BYTES];

    if (j->unpause) {
        (void)snprintf(path, sizeof(path), "/containers/%s/unpause", j->id);
        (void)engine_call(w, "POST", path, no_body, ENGINE_ASK_MS, &reply, NULL);
    }
    (void)snprintf(path, sizeof(path), "/containers/%s?force=1&v=1", j->id);
    int r = engine_want(w, "DELETE", path, no_body, ENGINE_ASK_MS, &reply, &j->err);

    nr_buf_fini(&reply.body);
    if (r == NR_ENOENT)
        j->err = (struct nr_err){0};
    if (j->err.code == 0 && j->name[0])
        (void)identity_remove(j->folder, j->name, NULL);
}

static void free_remove_job(struct remove_job *j)
{
    free(j->folder);
    free(j->mounts);
    free(j);
}

static void on_removed(struct engine_job *job)
{
    struct remove_job *j = nr_container_of(job, struct remove_job, job);
    struct container *ct = j->ct;

    container_removed(ct, j);
    free_remove_job(j);
    container_unref(ct);
}

static void on_orphan_again(struct nr_deadline *d)
{
    struct remove_job *j = nr_container_of(d, struct remove_job, again);

    j->err = (struct nr_err){0};
    engine_submit(j->v->engine, &j->job);
}

static void on_orphan_removed(struct engine_job *job)
{
    struct remove_job *j = nr_container_of(job, struct remove_job, job);
    struct invoker *v = j->v;

    if (j->err.code != 0 && v->closed == NULL) {
        nr_log(v->log, NR_LOG_WARN, "invoker", "container %.12s is still there: %s", j->id,
               j->err.text);
        nr_deadline_set(v->loop, &j->again, RETRY_MS);
        return;
    }
    gpu_give(v->gpus, j->name);
    nr_list_del(&j->orphan);
    if (j->mounts && !v->stopping)
        pool_stir(v); /* somebody may wait for its volume */
    free_remove_job(j);
    v->alive--;
    invoker_container_gone(v);
    invoker_container_freed(v);
}

void hurry_orphans(struct invoker *v)
{
    NR_LIST_EACH(&v->orphans, l) {
        struct remove_job *j = nr_container_of(l, struct remove_job, orphan);

        if (nr_deadline_armed(&j->again)) {
            nr_deadline_cancel(&j->again);
            on_orphan_again(&j->again);
        }
    }
}

static void on_looked(struct engine_job *job)
{
    struct remove_job *j = nr_container_of(job, struct remove_job, job);
    struct container *ct = j->ct;

    container_looked(ct, j);
    container_unref(ct);
    free_remove_job(j);
}

static struct remove_job *remove_job_make(struct invoker *v, struct container *ct, const char *id,
                                          const char *name)
{
    struct remove_job *j = nr_alloc(sizeof(*j));

    j->v = v;
    j->ct = ct ? container_ref(ct) : NULL;
    j->folder = nr_strdup(v->folder);
    (void)snprintf(j->id, sizeof(j->id), "%s", id);
    (void)snprintf(j->name, sizeof(j->name), "%s", name);
    return j;
}

void remove_container(struct container *ct)
{
    struct invoker *v = ct->v;

    if (ct->left) {
        leave_container(ct);
        return;
    }
    struct remove_job *j = remove_job_make(v, ct, ct->id, ct->name);

    if (j->id[0] ==
        '\0') /* its create failed, or its answer was lost: the name is known all the same */
        (void)snprintf(j->id, sizeof(j->id), "narae-%.*s-%s", INSTALLATION_HEAD, v->installation,
                       ct->name);
    j->unpause = ct->must_unpause;
    j->job = (struct engine_job){.rank = RANK_REMOVE, .work = remove_work, .done = on_removed};
    engine_submit(v->engine, &j->job);
}

/* The sources of its mounts, one a line (made). */
static char *mounts_of(const json_t *listed)
{
    const json_t *each;
    struct nr_buf out;
    size_t i;

    nr_buf_init(&out, MOUNTS_MAX_BYTES);
    nr_buf_adds(&out, "\n");
    json_array_foreach(json_object_get(listed, "Mounts"), i, each) {
        const char *source = nr_json_string(each, "Source");

        if (source)
            nr_buf_printf(&out, "%s\n", source);
    }
    char *made = nr_buf_detach(&out, NULL);

    nr_buf_fini(&out);
    return made;
}

struct remove_job *orphan_make(struct invoker *v, const char *id, const char *name,
                               const json_t *listed)
{
    struct remove_job *j = remove_job_make(v, NULL, id, name);

    j->mounts = listed ? mounts_of(listed) : NULL;
    v->alive++;
    nr_list_add(&v->orphans, &j->orphan);
    j->again.fire = on_orphan_again;
    j->job =
        (struct engine_job){.rank = RANK_REMOVE, .work = remove_work, .done = on_orphan_removed};
    return j;
}

void orphan_remove(struct remove_job *orphan)
{
    engine_submit(orphan->v->engine, &orphan->job);
}

void remove_orphan(struct invoker *v, const char *id, const char *name)
{
    orphan_remove(orphan_make(v, id, name, NULL));
}

void look_at_container(struct container *ct)
{
    struct remove_job *j = remove_job_make(ct->v, ct, ct->id, ct->name);

    j->job = (struct engine_job){.rank = RANK_START, .work = look_work, .done = on_looked};
    engine_submit(ct->v->engine, &j->job);
}
