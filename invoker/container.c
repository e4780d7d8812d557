/* The life of one container, from the wish to have it until the Engine has removed it.
 *
 * container_start() makes its folder and socket, takes a network slot where it is to live in one, asks the Engine (start.c) and
 * meanwhile opens and checks the code on a work thread. The agent dials in, usually before the Engine's start call returns. With that
 * hello a worker plugs it into its network slot, where it has one, and looks up its control groups; it becomes FRESH, or a STEM when it
 * was started for nobody, with the hello, but never before it has its network. The first call loads the code (run.c), or nobody's call where it was
 * wished for (ahead.c); further slots dial in after that.
 * Failures: start.c's error, no hello within 30 s, or a container that ended before its hello, end in pool_start_failed() or, for a
 * stem, stem_failed().
 * Closing: container_retire() takes it out of the pool; with its last call it is DYING: connections and socket are closed, it
 * is thawed, and the Engine removes it, again and again while the Engine is away. Only then its memory counts as free.
 */
#include "invoker/conn.h"

#include <errno.h>
#include <fcntl.h>

#include "common/base/clock.h"
#include "common/data/digest.h"
#include "invoker/adopt.h"
#include "invoker/ahead.h"
#include "invoker/events.h"
#include "invoker/evict.h"
#include "invoker/freeze.h"
#include "invoker/handover.h"
#include "invoker/monitor.h"
#include "invoker/pool_rules.h"
#include "invoker/start.h"
#include "invoker/stem.h"
#include "ports/grants.h"

bool container_loaded(const struct container *ct)
{
    return ct->state == CT_BUSY || ct->state == CT_IDLE || ct->state == CT_FROZEN;
}

const char *container_function(const struct container *ct)
{
    return ct->fn ? ct->fn->path : "(stem)";
}

struct container *container_ref(struct container *ct)
{
    ct->refs++;
    return ct;
}

static void free_slots(struct container *ct)
{
    for (unsigned i = 0; i < ct->slot_count; i++)
        nr_buf_fini(&ct->slots[i].parts);
    free(ct->slots);
}

void container_unref(struct container *ct)
{
    if (--ct->refs > 0)
        return;
    nr_check(ct->state == CT_GONE && ct->calls == 0);
    nr_deadline_cancel(&ct->deadline);
    if (ct->code_fd >= 0)
        (void)close(ct->code_fd);
    free_slots(ct);
    monitor_forget(ct);
    cgroup_fini(&ct->cgroup);
    struct invoker *v = ct->v;

    function_unref(ct->fn);
    free(ct);
    v->alive--;
    invoker_container_freed(v);
}

/* ---- the code ----------------------------------------------------------------------------------------------- */

int container_open_code(const struct function *f, int *ret_fd)
{
    unsigned char sum[NR_SHA256_BYTES];

    *ret_fd = -1;
    if (f->code_path[0] == '\0')
        return 0;
    nr_auto_close int fd = open(f->code_path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

    if (fd < 0)
        return nr_err_from_errno(errno);
    if (!nr_sha256_fd(fd, sum) || memcmp(sum, f->sha256, sizeof(sum)) != 0 ||
        lseek(fd, 0, SEEK_SET) != 0)
        return NR_ECORRUPT;
    *ret_fd = nr_steal_fd(&fd);
    return 0;
}

static void open_code(struct nr_work *w)
{
    struct container *ct = nr_container_of(w, struct container, code_work);

    ct->code_result = container_open_code(ct->fn, &ct->code_fd);
}

static void code_opened(struct nr_work *w)
{
    struct container *ct = nr_container_of(w, struct container, code_work);
    struct activation *a = ct->slots[0].a;

    ct->code_status = ct->code_result;
    if (ct->code_status < 0)
        nr_log(ct->v->log, NR_LOG_ERROR, "invoker", "the code of %s in %s cannot be used: %s",
               ct->fn->path, ct->fn->code_path, nr_err_text(ct->code_status));
    if (a && a->i == I_INIT)
        invoker_tick(a);
    container_unref(ct);
}

static void fetch_code(struct container *ct)
{
    if (ct->fn == NULL || ct->fn->code_path[0] == '\0')
        return;
    ct->code_status = 1;
    ct->code_work = (struct nr_work){.work = open_code, .done = code_opened};
    (void)container_ref(ct);
    nr_work_post(ct->v->loop, &ct->code_work);
}

/* ---- making ------------------------------------------------------------------------------------------------- */

static void start_failed(struct container *ct)
{
    nr_log(ct->v->log, NR_LOG_WARN, "invoker", "container=%s function=%s did not start: %s",
           ct->name, container_function(ct), ct->failure.text);
    nr_count(&ct->v->m.start_failures, 1);
    event_start_failed(ct);
    if (ct->shelf)
        stem_failed(ct);
    else
        pool_start_failed(ct);
}

static void on_deadline(struct nr_deadline *d)
{
    struct container *ct = nr_container_of(d, struct container, deadline);

    if (ct->state == CT_DYING)
        remove_container(ct);
    else if (ct->state == CT_ADOPTING)
        adopt_late(ct);
    else if (ct->state == CT_STARTING && ct->failure.code != 0)
        start_failed(ct);
    else if (ct->state == CT_STARTING)
        look_at_container(ct);
}

void container_set_slots(struct container *ct, unsigned count)
{
    struct slot *old = ct->slots;

    nr_check(ct->calls == 0);
    ct->slots = nr_alloc(count * sizeof(*ct->slots));
    for (unsigned i = 0; i < count; i++) {
        ct->slots[i] = (struct slot){.ct = ct, .index = i};
        nr_buf_init(&ct->slots[i].parts, NR_FRAME_ANSWER_MAX_BYTES);
    }
    if (old && old[0].conn) {
        ct->slots[0].conn = old[0].conn;
        ct->slots[0].conn->slot = &ct->slots[0];
    }
    for (unsigned i = 0; i < ct->slot_count; i++) {
        nr_list_del(&old[i].free);
        nr_buf_fini(&old[i].parts);
    }
    free(old);
    ct->slot_count = count;
    server_accept_waiting(ct);
}

static struct container *make(struct invoker *v, enum container_state first)
{
    struct container *ct = nr_alloc(sizeof(*ct));
    unsigned char random[4];

    *ct = (struct container){
        .v = v, .state = first, .refs = 1, .code_fd = -1, .begun_us = nr_mono_us()};
    nr_random(random, sizeof(random));
    nr_hex(random, sizeof(random), ct->name);
    memcpy(ct->name, v->prefix, strlen(v->prefix));
    ct->deadline.fire = on_deadline;
    nr_list_init(&ct->conns);
    nr_list_add(&v->containers, &ct->in_all);
    v->container_count++;
    v->alive++;
    return ct;
}

struct container *container_make(struct invoker *v, struct pool *p, enum container_state first)
{
    struct container *ct = make(v, first);

    ct->pool = p;
    ct->fn = function_ref(p->fn);
    ct->network = p->fn->network;
    ct->begun_for = first == CT_ADOPTING ? FOR_ADOPTION : FOR_CALL;
    ct->memory_mb = container_memory_mb(p->fn->memory_mb);
    ct->no_freeze = p->fn->gpu.count > 0; /* its driver's work does not stop with its processes */
    container_set_slots(ct, p->fn->concurrency > 1 ? (unsigned)p->fn->concurrency : 1);
    nr_list_add(&p->containers, &ct->in_pool);
    p->container_count++;
    return ct;
}

static struct container *make_stem(struct invoker *v, const struct container_seed *seed)
{
    struct container *ct = make(v, CT_STARTING);

    ct->shelf = seed->shelf;
    ct->network = seed->network;
    ct->memory_mb = seed->memory_mb;
    ct->born_stem = true;
    container_set_slots(ct, 1);
    return ct;
}

/* ---- starting ----------------------------------------------------------------------------------------------- */

/* The calls that it has may end well; it gets no further one. */
static void on_network_lost(struct net_user *u)
{
    container_retire(nr_container_of(u, struct container, net_user), ENDED_NETWORK_LOST);
}

bool container_adopt_network(struct container *ct, const char *slot)
{
    if (slot == NULL || slot[0] == '\0')
        return true;
    ct->net_user.lost = on_network_lost;
    ct->net_slot = ct->v->network ? net_slot_adopt(ct->v->network, slot, &ct->net_user) : NULL;
    return ct->net_slot != NULL;
}

static int take_network(struct container *ct)
{
    if (ct->v->network == NULL || ct->network != FN_NET_EGRESS)
        return 0;
    ct->net_user.lost = on_network_lost;
    ct->net_slot = net_slot_take(ct->v->network, &ct->net_user, &ct->failure);
    return ct->net_slot ? 0 : NR_EBUSY;
}

void container_start(struct invoker *v, const struct container_seed *seed)
{
    struct container *ct =
        seed->pool ? container_make(v, seed->pool, CT_STARTING) : make_stem(v, seed);

    if (ct->fn)
        (void)gpu_take(v->gpus, ct->name, &ct->fn->gpu); /* pool_start.c has seen that it fits */
    ct->begun_for = seed->why;
    ct->cold = seed->cold;
    ct->stem_empty = seed->stem_empty;
    nr_count(&v->m.starts, 1);
    nr_count(&v->m.started[seed->why], 1);
    fetch_code(ct);
    if (server_open(ct, &ct->failure) < 0 || take_network(ct) < 0)
        nr_deadline_set(v->loop, &ct->deadline, 0);
    else
        start_container(ct, seed->rank);
}

void container_created(struct container *ct, const struct start_job *j)
{
    memcpy(ct->id, j->id, sizeof(ct->id));
    memcpy(ct->settings, j->settings, sizeof(ct->settings));
    ct->create_us = j->create_us;
    ct->created_us = j->created_us;
    if (ct->state == CT_STARTING)
        server_accept_waiting(ct);
}

void container_started(struct container *ct, struct start_job *j)
{
    ct->start = NULL;
    if (ct->state == CT_DYING) {
        container_remove_when_free(ct);
    } else if (j->err.code != 0 && ct->state == CT_STARTING) {
        ct->failure = j->err;
        start_failed(ct);
    } else if (j->err.code != 0) {
        nr_log(ct->v->log, NR_LOG_WARN, "invoker", "container=%s: %s", ct->name, j->err.text);
        container_retire(ct, ENDED_START_FAILED);
    } else if (ct->state == CT_STARTING) {
        if (ct->fn && ct->fn->relay)
            container_boot_over(ct); /* what an own image does before it serves is its own affair */
        nr_deadline_set(ct->v->loop, &ct->deadline, HELLO_ASK_MS);
    }
}

void container_boot_over(struct container *ct)
{
    if (!ct->booting)
        return;
    ct->booting = false;
    engine_boot_over(ct->v->engine);
}

void container_looked(struct container *ct, const struct remove_job *j)
{
    if (ct->state != CT_STARTING)
        return;
    container_boot_over(ct); /* it waits for something; others need not */
    if (j->err.code == 0 && !j->running)
        (void)nr_err_set(&ct->failure, NR_EPROTO, "it ended with status %d before it dialled in",
                         j->exit_code);
    else if (span_us(ct->created_us, nr_mono_us()) > (uint64_t)HELLO_MS * 1000)
        (void)nr_err_set(&ct->failure, NR_ETIMEOUT, "it did not dial in within %d s",
                         HELLO_MS / 1000);
    ct->never_spoke = ct->failure.code != 0;
    if (ct->never_spoke)
        start_failed(ct);
    else
        nr_deadline_set(ct->v->loop, &ct->deadline, HELLO_ASK_MS);
}

/* ---- hello -------------------------------------------------------------------------------------------------- */

/* On a work thread; on a worker for grants where rules are to be set, for that asks for names and runs programs. */
static void look_around(struct container *ct)
{
    if (ct->net_slot) {
        (void)net_slot_plug(ct->net_slot, ct->pid, ct->id, ct->fn, &ct->net_err);
        ct->net_us = span_us(ct->net_begun_us, nr_mono_us());
    }
    (void)cgroup_open(ct->pid, ct->id, &ct->cgroup, &ct->cgroup_err);
    if (ct->fn == NULL)
        stem_write_identity(ct);
}

static void first_hello(struct container *ct)
{
    struct invoker *v = ct->v;

    ct->hello_us = nr_mono_us();
    nr_deadline_cancel(&ct->deadline);
    nr_hist_add_us(&v->m.start_seconds, span_us(ct->begun_us, ct->hello_us));
    decay_towards(&v->start_us, span_us(ct->begun_us, ct->hello_us));
    nr_log(
        v->log, NR_LOG_INFO, "invoker",
        "container=%s function=%s memory_mb=%lld for=\"%s\" cause=\"%s\" network_us=%llu create_us=%llu boot_us=%llu",
        ct->name, container_function(ct), (long long)ct->memory_mb,
        start_reason_text(ct->begun_for), cold_cause_text(ct->cold), (unsigned long long)ct->net_us,
        (unsigned long long)ct->create_us,
        (unsigned long long)(span_us(ct->created_us, ct->hello_us) - ct->net_us));
    container_move(ct, ct->shelf ? CT_STEM : CT_FRESH);
    event_started(ct);
    if (ct->begun_for == FOR_PREWARM)
        pool_stir(v); /* there may be more to come */
}

static void greet(struct container *ct, struct slot *s)
{
    if (ct->state == CT_ADOPTING) {
        adopt_greeted(ct);
        return;
    }
    if (ct->state == CT_STARTING)
        first_hello(ct);
    if (ct->state != CT_INIT && ct->state != CT_STEM && !ct->retired)
        pool_slot_free(s);
}

/* It has its network, or will never have one: who has dialled in meanwhile is greeted now. */
static void network_in(struct container *ct)
{
    if (ct->state >= CT_DYING)
        return;
    if (ct->net_err.code == 0 && ct->state == CT_ADOPTING) {
        adopt_greeted(ct);
    } else if (ct->net_err.code == 0) {
        for (unsigned i = 0; i < ct->slot_count && ct->state != CT_STEM; i++)
            if (ct->slots[i].conn)
                greet(ct, &ct->slots[i]);
    } else if (ct->state == CT_STARTING) {
        ct->failure = ct->net_err;
        start_failed(ct);
    } else {
        nr_log(ct->v->log, NR_LOG_WARN, "invoker", "container=%s has no network: %s", ct->name,
               ct->net_err.text);
        container_retire(ct, ENDED_NETWORK_LOST);
    }
}

static void looked_around(struct container *ct)
{
    ct->cgroup_state = ct->cgroup_err.code == 0 ? CGROUP_OPEN : CGROUP_HIDDEN;
    if (ct->net_slot)
        network_in(ct);
    if (ct->state == CT_STEM && !ct->retired)
        stem_ready(ct);
    if (ct->state == CT_DYING) /* it died meanwhile */
        monitor_last_look(ct);
    container_remove_when_free(ct);
    container_unref(ct);
}

static void by_work_thread(struct nr_work *w)
{
    look_around(nr_container_of(w, struct container, inside_work));
}

static void on_work_done(struct nr_work *w)
{
    looked_around(nr_container_of(w, struct container, inside_work));
}

static void by_engine_worker(struct engine_worker *w, struct engine_job *j)
{
    (void)w;
    look_around(nr_container_of(j, struct container, inside_job));
}

static void on_job_done(struct engine_job *j)
{
    looked_around(nr_container_of(j, struct container, inside_job));
}

/* Of its first hello. Until this is done it is not frozen, and a stem is not handed over. */
static void look_inside(struct container *ct)
{
    if (ct->cgroup_state != CGROUP_UNKNOWN)
        return;
    ct->cgroup_state = CGROUP_LOOKING;
    ct->net_begun_us = ct->net_slot ? nr_mono_us() : 0;
    (void)container_ref(ct);
    if (ct->net_slot && net_slot_needs_rules(ct->net_slot, ct->fn)) {
        ct->inside_job =
            (struct engine_job){.rank = RANK_GRANT, .work = by_engine_worker, .done = on_job_done};
        engine_submit(ct->v->engine, &ct->inside_job);
    } else {
        ct->inside_work = (struct nr_work){.work = by_work_thread, .done = on_work_done};
        nr_work_post(ct->v->loop, &ct->inside_work);
    }
}

void container_greeted(struct container *ct, struct slot *s)
{
    ct->connected++;
    look_inside(ct);
    if (ct->net_slot == NULL || ct->cgroup_state != CGROUP_LOOKING || ct->state > CT_ADOPTING)
        greet(ct, s);
}

/* What it took to have it, without the time in which it stood there for a call to come. */
static uint64_t cost_us(const struct container *ct)
{
    uint64_t start_us = ct->born_stem ? ct->handover.us : span_us(ct->begun_us, ct->hello_us);

    return start_us + span_us(ct->slots[0].init_us, ct->loaded_us);
}

void container_loaded_now(struct container *ct)
{
    container_move(ct, ct->ahead ? CT_IDLE : CT_BUSY);
    ct->loaded_us = nr_mono_us();
    decay_towards(&ct->pool->cost_us, cost_us(ct));
    ct->pool->loaded = true;
    if (ct->code_fd >= 0)
        (void)close(ct->code_fd);
    ct->code_fd = -1;
    if (ct->ahead == NULL)
        container_offer_slots(ct);
}

void container_offer_slots(struct container *ct)
{
    for (unsigned i = 0; i < ct->slot_count && !ct->retired; i++) {
        struct slot *s = &ct->slots[i];

        if (s->conn && s->a == NULL && !nr_list_linked(&s->free))
            pool_slot_free(s);
    }
}

/* ---- ending ------------------------------------------------------------------------------------------------- */

/* Out of the lists of those that can be used. Returns the pool that it was in. */
static struct pool *take_out(struct container *ct)
{
    struct pool *p = ct->pool;

    nr_deadline_cancel(&ct->deadline);
    nr_list_del(&ct->idle);
    if (ct->shelf)
        stem_gone(ct);
    if (p) {
        nr_list_del(&ct->in_pool);
        p->container_count--;
    }
    ct->pool = NULL;
    return p;
}

void container_remove_when_free(struct container *ct)
{
    if (ct->state != CT_DYING || ct->removing || ct->start || ct->handover.pending > 0 ||
        ct->cgroup_state == CGROUP_LOOKING)
        return;
    ct->removing = true;
    remove_container(ct);
}

/* The last call has ended: take everything down. May free the pool it was in. */
static void die(struct container *ct)
{
    struct invoker *v = ct->v;

    monitor_last_look(ct);
    container_move(ct, CT_DYING);
    nr_log(v->log, NR_LOG_INFO, "invoker", "container=%s function=%s ended: %s", ct->name,
           container_function(ct), end_reason_text(ct->ended));
    nr_count(&v->m.ended[ct->ended], 1);
    ahead_died(ct);
    event_ended(ct);
    struct pool *p = take_out(ct);

    ahead_drop(ct);
    v->dying_mb += ct->memory_mb;
    v->dying_count++;
    NR_LIST_EACH(&ct->conns, l)
        conn_close(nr_container_of(l, struct conn, in_ct));
    server_close(ct);
    freeze_end(ct);
    if (ct->start)
        ct->start->unwanted = true;
    container_remove_when_free(ct);
    if (p)
        pool_feed(p);
}

void container_retire(struct container *ct, enum end_reason why)
{
    if (ct->state >= CT_DYING)
        return;
    if (!ct->retired) {
        ct->retired = true;
        ct->ended = why;
        if (ct->pool)
            ct->pool->past->last_end = why;
        for (unsigned i = 0; i < ct->slot_count; i++)
            nr_list_del(&ct->slots[i].free);
    }
    if (ct->calls == 0)
        die(ct);
}

void container_removed(struct container *ct, const struct remove_job *j)
{
    struct invoker *v = ct->v;

    if (j->err.code != 0 && v->closed == NULL) {
        nr_log(v->log, NR_LOG_WARN, "invoker", "container=%s is still there: %s", ct->name,
               j->err.text);
        nr_deadline_set(v->loop, &ct->deadline, RETRY_MS);
        return;
    }
    container_move(ct, CT_GONE);
    if (ct->net_slot && ct->left)
        net_slot_leave(ct->net_slot);
    else if (ct->net_slot)
        net_slot_return(ct->net_slot);
    ct->net_slot = NULL;
    v->dying_mb -= ct->memory_mb;
    v->dying_count--;
    v->container_count--;
    nr_list_del(&ct->in_all);
    room_release(v, ct->memory_mb);
    if (!ct->left)
        gpu_give(v->gpus, ct->name);
    pool_feed_hungry(v);
    container_unref(ct);
    invoker_container_gone(v);
}
