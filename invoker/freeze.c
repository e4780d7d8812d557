/* Idle containers are frozen after a grace time, and thawed by their next call.
 *
 *   freeze   one deadline for all: v->idle is in order of time. By the freezer of the container's own control group where it is visible
 *            (0.2 ms of nobody's time), else by the Engine's pause
 *   thaw     the call's bytes are written first, the kernel queues them; then one write to the same file, on the loop; else a job of
 *            the first rank
 *   Engine   its state lags behind what it did: a pause or unpause that is refused is looked at, then tried again. While a job is under
 *            way what is wanted may change; then the next one follows
 *   death    thawed first, whatever happens after: what is frozen cannot be killed
 *
 * Nothing is written to disk: an adopted container is thawed whatever it was. A frozen container keeps its connections; they can break
 * only by its death, which then is seen as for any other.
 */
#include "invoker/freeze.h"

#include "common/base/clock.h"
#include "common/base/json.h"

enum { TRIES = 5, AGAIN_US = 20000, PATH_MAX_BYTES = 128 };

/* ---- by the Engine ------------------------------------------------------------------------------------------ */

/* Freed after `done`. */
struct freeze_job {
    struct engine_job job;
    struct container *ct; /* loop's thread only */
    char id[65];
    bool pause;            /* what is asked for */
    _Atomic bool unwanted; /* set by the loop: a pause whose turn has not come yet is left out */
    bool left_out;         /* out */
    struct nr_err err;
};

/* 1, 0; < 0: the Engine does not say. */
static int is_paused(struct engine_worker *w, const char *id)
{
    struct engine_reply reply = {0};
    char path[PATH_MAX_BYTES];

    (void)snprintf(path, sizeof(path), "/containers/%s/json", id);
    int r = engine_want(w, "GET", path, (struct nr_str){NULL, 0}, ENGINE_ASK_MS, &reply, NULL);
    nr_auto_json json_t *o = r == 0 ? nr_json_parse(nr_buf_str(&reply.body), NULL) : NULL;
    const json_t *paused = json_object_get(json_object_get(o, "State"), "Paused");
    int ret = json_is_boolean(paused) ? json_is_true(paused) : -1;

    nr_buf_fini(&reply.body);
    return ret;
}

static void pause_work(struct engine_worker *w, struct engine_job *job)
{
    struct freeze_job *j = nr_container_of(job, struct freeze_job, job);
    struct engine_reply reply = {0};
    char path[PATH_MAX_BYTES];

    j->left_out = j->pause && j->unwanted;
    if (j->left_out)
        return;
    (void)snprintf(path, sizeof(path), "/containers/%s/%s", j->id, j->pause ? "pause" : "unpause");
    for (int i = 0; i < TRIES; i++) {
        j->err = (struct nr_err){0};
        int r =
            engine_want(w, "POST", path, (struct nr_str){NULL, 0}, ENGINE_ASK_MS, &reply, &j->err);

        nr_buf_fini(&reply.body);
        if (r == 0 || r == NR_ENOENT)
            return;
        if (is_paused(w, j->id) == (j->pause ? 1 : 0)) {
            j->err = (struct nr_err){0};
            return;
        }
        (void)usleep(AGAIN_US);
    }
}

static void ask_engine(struct container *ct);

static void failed(struct container *ct, const struct freeze_job *j)
{
    nr_log(ct->v->log, NR_LOG_WARN, "invoker", "container=%s: %s", ct->name, j->err.text);
    nr_count(&ct->v->m.freeze_failures, 1);
    ct->no_freeze = true;
    if (j->pause)
        return;
    ct->frozen = true; /* as far as is known: before it is removed that is tried again */
    container_lose(ct, ENDED_CRASHED, "it could not be thawed");
}

static void on_paused(struct engine_job *job)
{
    struct freeze_job *j = nr_container_of(job, struct freeze_job, job);
    struct container *ct = j->ct;

    ct->freeze_job = NULL;
    if (ct->thaw_begun_us && !j->pause) {
        ct->thaw_us = span_us(ct->thaw_begun_us, nr_mono_us());
        nr_hist_add_us(&ct->v->m.thaw_seconds, ct->thaw_us);
    }
    if (ct->state < CT_DYING && ct->frozen != (j->pause && !j->left_out))
        ask_engine(ct);
    else if (ct->state < CT_DYING && j->err.code != 0)
        failed(ct, j);
    free(j);
    container_unref(ct);
}

/* Towards ct->frozen. */
static void ask_engine(struct container *ct)
{
    if (ct->freeze_job) /* the next one follows it */
        return;
    struct freeze_job *j = nr_alloc(sizeof(*j));

    *j = (struct freeze_job){.job = {.rank = ct->frozen ? RANK_REMOVE : RANK_THAW,
                                     .work = pause_work,
                                     .done = on_paused},
                             .ct = container_ref(ct),
                             .pause = ct->frozen};
    memcpy(j->id, ct->id, sizeof(j->id));
    ct->freeze_job = j;
    engine_submit(ct->v->engine, &j->job);
}

/* ---- freezing ----------------------------------------------------------------------------------------------- */

static bool may_freeze(const struct container *ct)
{
    const struct invoker *v = ct->v;

    return ct->state == CT_IDLE && !ct->no_freeze && !ct->retired &&
           ct->connected == ct->slot_count && ct->cgroup_state > CGROUP_LOOKING &&
           v->probe.freezer != FREEZER_OFF && !v->stopping;
}

static void freeze(struct container *ct)
{
    struct invoker *v = ct->v;
    struct nr_err err = {0};

    ct->frozen_by_engine =
        v->probe.freezer == FREEZER_ENGINE || ct->cgroup_state != CGROUP_OPEN || ct->freeze_job;
    if (!ct->frozen_by_engine && cgroup_freeze(&ct->cgroup, &err) < 0) {
        nr_log(v->log, NR_LOG_WARN, "invoker", "container=%s is not frozen: %s", ct->name,
               err.text);
        nr_count(&v->m.freeze_failures, 1);
        ct->no_freeze = true;
        return;
    }
    ct->frozen = true;
    ct->thaw_begun_us = ct->thaw_us = 0;
    nr_list_del(&ct->idle);
    nr_list_add(&v->frozen, &ct->idle);
    container_move(ct, CT_FROZEN);
    nr_count(&v->m.freezes, 1);
    if (ct->frozen_by_engine)
        ask_engine(ct);
}

void freeze_later(struct invoker *v)
{
    if (v->freeze_after_ms > 0 && !nr_deadline_armed(&v->freeze))
        nr_deadline_set(v->loop, &v->freeze, v->freeze_after_ms);
}

void freeze_due(struct nr_deadline *d)
{
    struct invoker *v = nr_container_of(d, struct invoker, freeze);

    NR_LIST_EACH(&v->idle, l) {
        struct container *ct = nr_container_of(l, struct container, idle);
        uint64_t due_ms = ct->idle_since_ms + v->freeze_after_ms;

        if (due_ms > v->loop->now_ms) {
            nr_deadline_set(v->loop, &v->freeze, due_ms - v->loop->now_ms);
            return;
        }
        if (may_freeze(ct))
            freeze(ct);
    }
}

/* ---- thawing ------------------------------------------------------------------------------------------------ */

void freeze_thaw(struct container *ct)
{
    struct invoker *v = ct->v;
    struct nr_err err = {0};

    if (!ct->frozen)
        return;
    ct->thaw_begun_us = nr_mono_us();
    nr_count(&v->m.thaws, 1);
    if (ct->frozen_by_engine) {
        ct->frozen = false;
        if (ct->freeze_job)
            ct->freeze_job->unwanted = true;
        ask_engine(ct);
        return;
    }
    int r = cgroup_thaw(&ct->cgroup, &err);

    ct->frozen = r < 0 && r != NR_ENOENT; /* no folder, no container: its connections will tell */

    ct->thaw_us = span_us(ct->thaw_begun_us, nr_mono_us());
    nr_hist_add_us(&v->m.thaw_seconds, ct->thaw_us);
    nr_count(&v->m.freeze_failures, ct->frozen);
    if (r < 0)
        nr_log(v->log, NR_LOG_WARN, "invoker", "container=%s is not thawed: %s", ct->name,
               err.text);
}

uint64_t freeze_thaw_us(const struct container *ct)
{
    return ct->thaw_us ? ct->thaw_us : span_us(ct->thaw_begun_us, nr_mono_us());
}

void freeze_end(struct container *ct)
{
    if (ct->frozen && !ct->frozen_by_engine)
        (void)cgroup_thaw(&ct->cgroup, NULL);
    ct->must_unpause = ct->frozen_by_engine && (ct->frozen || ct->freeze_job);
    ct->frozen = false;
}
