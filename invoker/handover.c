/* A stem is handed over. On the loop it changes hands at once: out of its shelf, into the pool, its slot to the call that waits. What
 * takes time follows in one go on a worker that does nothing else, while the call makes its claim; on one of those for grants
 * where the account's rules are to be set, for that asks for names and runs programs:
 *
 *   raise      the memory limit and the weight, by the control group's files; the Engine is asked where they are not visible
 *   grant      the network slot gets the rules of the account's egress grants
 *   identity   whose it is, on the host
 *   code       opened, its digest checked; large code meanwhile on a work thread, so that no other hand-over waits for it
 *
 * The call waits for that in I_INIT, as for the code of a container that was started for it. If raise, grant or identity fail, nothing
 * of the tenant has reached the container; it goes, and its call looks for another one.
 */
#include "invoker/handover.h"

#include "common/base/clock.h"
#include "invoker/events.h"
#include "invoker/identity.h"
#include "invoker/stem.h"
#include "ports/grants.h"

enum {
    PATH_MAX_BYTES = 128,
    BODY_MAX_BYTES = 160,
    NANO_PER_MILLI = 1000000,
    LARGE_CODE_BYTES = 1 << 20
};

/* ---- on another thread --------------------------------------------------------------------------------------- */

static int write_identity(struct container *ct, struct nr_err *err)
{
    struct identity who = identity_of(ct->fn);

    who.container = ct->id;
    who.settings = ct->settings;
    who.network_slot = ct->net_slot ? net_slot_name(ct->net_slot) : "";
    return identity_write(ct->v->folder, ct->name, &who, err);
}

static bool has_large_code(const struct container *ct)
{
    return ct->fn->code_bytes > LARGE_CODE_BYTES;
}

static void hand_over(struct container *ct)
{
    struct handover *h = &ct->handover;

    h->raise_failed = h->raise && cgroup_raise(&ct->cgroup, ct->memory_mb << 20,
                                               function_cpu_shares(ct->fn), NULL) < 0;
    if (ct->net_slot && net_slot_grant(ct->net_slot, ct->fn, &h->err) < 0)
        return;
    if (write_identity(ct, &h->err) < 0)
        return;
    if (!has_large_code(ct))
        ct->code_result = container_open_code(ct->fn, &ct->code_fd);
}

static void open_large_code(struct nr_work *w)
{
    struct container *ct = nr_container_of(w, struct container, handover.code);

    ct->code_result = container_open_code(ct->fn, &ct->code_fd);
}

static void by_worker(struct engine_worker *w, struct engine_job *job)
{
    (void)w;
    hand_over(nr_container_of(job, struct container, handover.job));
}

static void update_work(struct engine_worker *w, struct engine_job *job)
{
    struct container *ct = nr_container_of(job, struct container, handover.update);
    struct engine_reply reply = {0};
    char path[PATH_MAX_BYTES], body[BODY_MAX_BYTES];

    (void)snprintf(path, sizeof(path), "/containers/%s/update", ct->id);
    int n = snprintf(body, sizeof(body),
                     "{\"Memory\":%lld,\"MemorySwap\":%lld,\"CpuShares\":%lld,\"NanoCpus\":%lld}",
                     (long long)ct->memory_mb << 20, (long long)ct->memory_mb << 20,
                     (long long)function_cpu_shares(ct->fn),
                     (long long)ct->fn->cpus_milli * NANO_PER_MILLI);
    (void)engine_want(w, "POST", path, (struct nr_str){body, (size_t)n}, ENGINE_ASK_MS, &reply,
                      &ct->handover.update_err);
    nr_buf_fini(&reply.body);
}

/* ---- on the loop -------------------------------------------------------------------------------------------- */

static void failed(struct container *ct, const struct nr_err *err)
{
    nr_log(ct->v->log, NR_LOG_WARN, "invoker", "container=%s function=%s was not handed over: %s",
           ct->name, ct->fn->path, err->text);
    nr_count(&ct->v->m.handover_failures, 1);
    stem_distrust(ct->v, ct->fn);
    ct->handover.failed = true;
    ct->code_status = NR_EUNAVAIL;
}

static void finish(struct container *ct)
{
    struct handover *h = &ct->handover;

    h->us = span_us(h->begun_us, nr_mono_us());
    nr_hist_add_us(&ct->v->m.handover_seconds, h->us);
    ct->code_status = ct->code_result;
    if (h->err.code != 0 || h->update_err.code != 0)
        failed(ct, h->err.code != 0 ? &h->err : &h->update_err);
    else if (ct->code_status < 0)
        nr_log(ct->v->log, NR_LOG_ERROR, "invoker", "the code of %s in %s cannot be used: %s",
               ct->fn->path, ct->fn->code_path, nr_err_text(ct->code_status));
    else
        event_handed_over(ct);
    struct activation *a = ct->slots[0].a;

    if (a && a->i == I_INIT)
        invoker_tick(a);
    else if (h->failed && a == NULL)
        container_retire(ct, ENDED_HANDOVER_FAILED);
}

/* One of them is done; ends with the last. */
static void step_done(struct container *ct)
{
    if (--ct->handover.pending == 0 && ct->state < CT_DYING)
        finish(ct);
    container_remove_when_free(ct);
    container_unref(ct);
}

static void on_updated(struct engine_job *job)
{
    step_done(nr_container_of(job, struct container, handover.update));
}

static void ask_engine(struct container *ct)
{
    struct handover *h = &ct->handover;

    h->update = (struct engine_job){.rank = RANK_START, .work = update_work, .done = on_updated};
    h->pending++;
    (void)container_ref(ct);
    engine_submit(ct->v->engine, &h->update);
}

static void handed_over(struct container *ct)
{
    if (ct->handover.raise_failed && ct->state < CT_DYING)
        ask_engine(ct);
    step_done(ct);
}

static void on_code_opened(struct nr_work *w)
{
    step_done(nr_container_of(w, struct container, handover.code));
}

static void on_job_done(struct engine_job *job)
{
    handed_over(nr_container_of(job, struct container, handover.job));
}

static void submit(struct container *ct)
{
    struct handover *h = &ct->handover;
    bool rules = ct->net_slot && net_slot_needs_rules(ct->net_slot, ct->fn);

    h->pending = 1;
    (void)container_ref(ct);
    h->job = (struct engine_job){
        .rank = rules ? RANK_GRANT : RANK_HANDOVER, .work = by_worker, .done = on_job_done};
    engine_submit(ct->v->engine, &h->job);
    if (!has_large_code(ct))
        return;
    h->pending++;
    (void)container_ref(ct);
    h->code = (struct nr_work){.work = open_large_code, .done = on_code_opened};
    nr_work_post(ct->v->loop, &h->code);
}

static void change_hands(struct container *ct, struct pool *p)
{
    stem_take(ct);
    ct->fn = function_ref(p->fn);
    ct->pool = p;
    ct->memory_mb = container_memory_mb(p->fn->memory_mb);
    container_set_slots(ct, p->fn->concurrency > 1 ? (unsigned)p->fn->concurrency : 1);
    nr_list_add(&p->containers, &ct->in_pool);
    p->container_count++;
    container_move(ct, CT_FRESH);
}

void handover_begin(struct container *ct, struct pool *p, enum start_reason why,
                    enum cold_cause cold)
{
    struct handover *h = &ct->handover;
    bool raise = ct->memory_mb != container_memory_mb(p->fn->memory_mb) || function_has_cpu(p->fn);
    bool by_files = ct->v->probe.memory_raise == RAISE_CGROUP && ct->cgroup_state == CGROUP_OPEN &&
                    p->fn->cpus_milli == 0;

    change_hands(ct, p);
    ct->begun_us = h->begun_us = nr_mono_us();
    ct->begun_for = why;
    ct->cold = cold;
    ct->code_status = 1;
    nr_count(&ct->v->m.handovers, 1);
    nr_log(ct->v->log, NR_LOG_INFO, "invoker",
           "container=%s function=%s memory_mb=%lld handed over for=\"%s\" cause=\"%s\"", ct->name,
           ct->fn->path, (long long)ct->memory_mb, start_reason_text(why), cold_cause_text(cold));
    h->raise = raise && by_files;
    submit(ct);
    if (raise && !by_files)
        ask_engine(ct);
    pool_slot_free(&ct->slots[0]);
}
