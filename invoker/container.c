/* The life of one container, from the wish to have it until the Engine has removed it.
 *
 * container_start() makes its folder and socket, asks the Engine (start.c) and meanwhile opens and checks the code on a work thread.
 * The agent dials in, usually before the Engine's start call returns: that hello makes it FRESH. The first call loads the code
 * (run.c), further slots dial in after that.
 * Failures: start.c's error, no hello within 30 s, or a container that ended before its hello, end in pool_start_failed().
 * Closing: container_retire() takes it out of the pool; with its last call it is DYING: connections and socket are closed, the
 * Engine removes it, again and again while the Engine is away. Only then its memory counts as free.
 */
#include "invoker/conn.h"

#include <errno.h>
#include <fcntl.h>

#include "common/base/clock.h"
#include "common/data/digest.h"
#include "invoker/monitor.h"
#include "invoker/pool_rules.h"
#include "invoker/start.h"

#define TO(state) (1u << (state))

static const struct {
    const char *name;
    unsigned next; /* states it may move to */
} states[CT_STATES] = {
    [CT_STARTING] = {"starting", TO(CT_FRESH) | TO(CT_DYING)},
    [CT_ADOPTING] = {"adopting", TO(CT_IDLE) | TO(CT_DYING)},
    [CT_FRESH] = {"fresh", TO(CT_INIT) | TO(CT_DYING)},
    [CT_INIT] = {"init", TO(CT_BUSY) | TO(CT_DYING)},
    [CT_BUSY] = {"busy", TO(CT_IDLE) | TO(CT_DYING)},
    [CT_IDLE] = {"idle", TO(CT_BUSY) | TO(CT_DYING)},
    [CT_DYING] = {"dying", TO(CT_GONE)},
    [CT_GONE] = {"gone", 0},
};

const char *container_state_name(enum container_state s)
{
    return states[s].name;
}

void container_move(struct container *ct, enum container_state to)
{
    nr_check(states[ct->state].next & TO(to));
    nr_check(to != CT_IDLE || ct->calls == 0);
    nr_check(to != CT_BUSY || ct->calls > 0);
    nr_log(ct->v->log, NR_LOG_DEBUG, "invoker", "container=%s state=%s was=%s calls=%u", ct->name,
           states[to].name, states[ct->state].name, ct->calls);
    ct->state = to;
}

bool container_loaded(const struct container *ct)
{
    return ct->state == CT_BUSY || ct->state == CT_IDLE;
}

struct container *container_ref(struct container *ct)
{
    ct->refs++;
    return ct;
}

void container_unref(struct container *ct)
{
    if (--ct->refs > 0)
        return;
    nr_check(ct->state == CT_GONE && ct->calls == 0);
    monitor_forget(ct);
    nr_deadline_cancel(&ct->deadline);
    if (ct->code_fd >= 0)
        (void)close(ct->code_fd);
    for (unsigned i = 0; i < ct->slot_count; i++)
        nr_buf_fini(&ct->slots[i].parts);
    struct invoker *v = ct->v;

    function_unref(ct->fn);
    free(ct);
    v->alive--;
    invoker_container_freed(v);
}

/* ---- the code ----------------------------------------------------------------------------------------------- */

static void open_code(struct nr_work *w)
{
    struct container *ct = nr_container_of(w, struct container, code_work);
    unsigned char sum[NR_SHA256_BYTES];
    int fd = open(ct->fn->code_path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

    if (fd < 0) {
        ct->code_status = nr_err_from_errno(errno);
        return;
    }
    if (!nr_sha256_fd(fd, sum) || memcmp(sum, ct->fn->sha256, sizeof(sum)) != 0 ||
        lseek(fd, 0, SEEK_SET) != 0) {
        (void)close(fd);
        ct->code_status = NR_ECORRUPT;
        return;
    }
    ct->code_fd = fd;
    ct->code_status = 0;
}

static void code_opened(struct nr_work *w)
{
    struct container *ct = nr_container_of(w, struct container, code_work);
    struct activation *a = ct->slots[0].a;

    if (ct->code_status < 0)
        nr_log(ct->v->log, NR_LOG_ERROR, "invoker", "the code of %s in %s cannot be used: %s",
               ct->fn->path, ct->fn->code_path, nr_err_text(ct->code_status));
    if (a && a->i == I_INIT)
        invoker_tick(a);
    container_unref(ct);
}

static void fetch_code(struct container *ct)
{
    ct->code_fd = -1;
    if (ct->fn->code_path[0] == '\0')
        return;
    ct->code_status = 1;
    ct->code_work = (struct nr_work){.work = open_code, .done = code_opened};
    (void)container_ref(ct);
    nr_work_post(ct->v->loop, &ct->code_work);
}

/* ---- starting ----------------------------------------------------------------------------------------------- */

static void start_failed(struct container *ct)
{
    nr_log(ct->v->log, NR_LOG_WARN, "invoker", "container=%s function=%s did not start: %s",
           ct->name, ct->fn->path, ct->failure.text);
    nr_count(&ct->v->m.start_failures, 1);
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

struct container *container_make(struct invoker *v, struct pool *p, enum container_state first)
{
    unsigned slots = p->fn->concurrency > 1 ? (unsigned)p->fn->concurrency : 1;
    struct container *ct = nr_alloc(sizeof(*ct) + slots * sizeof(ct->slots[0]));
    unsigned char random[4];

    *ct = (struct container){.v = v,
                             .pool = p,
                             .fn = function_ref(p->fn),
                             .state = first,
                             .refs = 1,
                             .slot_count = slots,
                             .begun_us = nr_mono_us()};
    nr_random(random, sizeof(random));
    nr_hex(random, sizeof(random), ct->name);
    ct->memory_mb = container_memory_mb(p->fn->memory_mb);
    ct->deadline.fire = on_deadline;
    nr_list_init(&ct->conns);
    for (unsigned i = 0; i < slots; i++) {
        ct->slots[i] = (struct slot){.ct = ct, .index = i};
        nr_buf_init(&ct->slots[i].parts, NR_FRAME_ANSWER_MAX_BYTES);
    }
    nr_list_add(&p->containers, &ct->in_pool);
    p->container_count++;
    nr_list_add(&v->containers, &ct->in_all);
    v->container_count++;
    v->alive++;
    return ct;
}

void container_start(struct invoker *v, struct pool *p, enum engine_rank rank, enum cold_cause why)
{
    struct container *ct = container_make(v, p, CT_STARTING);

    ct->cold = why;
    nr_count(&v->m.starts, 1);
    fetch_code(ct);
    if (server_open(ct, &ct->failure) < 0) {
        nr_deadline_set(v->loop, &ct->deadline, 0);
        return;
    }
    start_container(ct, rank);
}

void container_created(struct container *ct, const struct start_job *j)
{
    memcpy(ct->id, j->id, sizeof(ct->id));
    ct->create_us = j->create_us;
    ct->created_us = j->created_us;
    if (ct->state == CT_STARTING)
        server_accept_waiting(ct);
}

void container_started(struct container *ct, struct start_job *j)
{
    ct->start = NULL;
    if (ct->state == CT_DYING) {
        remove_container(ct);
    } else if (j->err.code != 0 && ct->state == CT_STARTING) {
        ct->failure = j->err;
        start_failed(ct);
    } else if (j->err.code != 0) {
        nr_log(ct->v->log, NR_LOG_WARN, "invoker", "container=%s: %s", ct->name, j->err.text);
        container_retire(ct, COLD_CRASHED);
    } else if (ct->state == CT_STARTING) {
        nr_deadline_set(ct->v->loop, &ct->deadline, HELLO_ASK_MS);
    }
}

void container_looked(struct container *ct, const struct remove_job *j)
{
    if (ct->state != CT_STARTING)
        return;
    if (j->err.code == 0 && !j->running)
        (void)nr_err_set(&ct->failure, NR_EPROTO, "it ended with status %d before it dialled in",
                         j->exit_code);
    else if (span_us(ct->created_us, nr_mono_us()) > (uint64_t)HELLO_MS * 1000)
        (void)nr_err_set(&ct->failure, NR_ETIMEOUT, "it did not dial in within %d s",
                         HELLO_MS / 1000);
    if (ct->failure.code != 0)
        start_failed(ct);
    else
        nr_deadline_set(ct->v->loop, &ct->deadline, HELLO_ASK_MS);
}

void container_greeted(struct container *ct, struct slot *s)
{
    ct->connected++;
    if (ct->state == CT_ADOPTING) {
        adopt_greeted(ct);
        return;
    }
    if (ct->state == CT_STARTING) {
        ct->hello_us = nr_mono_us();
        nr_deadline_cancel(&ct->deadline);
        nr_hist_add_us(&ct->v->m.start_seconds, span_us(ct->begun_us, ct->hello_us));
        decay_towards(&ct->v->start_us, span_us(ct->begun_us, ct->hello_us));
        nr_log(ct->v->log, NR_LOG_INFO, "invoker",
               "container=%s function=%s memory_mb=%lld cause=\"%s\" create_us=%llu boot_us=%llu",
               ct->name, ct->fn->path, (long long)ct->memory_mb, cold_cause_text(ct->cold),
               (unsigned long long)ct->create_us,
               (unsigned long long)span_us(ct->created_us, ct->hello_us));
        container_move(ct, CT_FRESH);
    }
    if (ct->state != CT_INIT && !ct->retired)
        pool_slot_free(s);
}

void container_loaded_now(struct container *ct)
{
    container_move(ct, CT_BUSY);
    ct->loaded_us = nr_mono_us();
    if (ct->code_fd >= 0)
        (void)close(ct->code_fd);
    ct->code_fd = -1;
    for (unsigned i = 0; i < ct->slot_count && !ct->retired; i++) {
        struct slot *s = &ct->slots[i];

        if (s->conn && s->a == NULL && !nr_list_linked(&s->free))
            pool_slot_free(s);
    }
}

/* ---- ending ------------------------------------------------------------------------------------------------- */

/* The last call has ended: take everything down. May free the pool it was in. */
static void die(struct container *ct)
{
    struct invoker *v = ct->v;
    struct pool *p = ct->pool;

    monitor_last_look(ct);
    container_move(ct, CT_DYING);
    nr_deadline_cancel(&ct->deadline);
    nr_list_del(&ct->idle);
    nr_list_del(&ct->in_pool);
    p->container_count--;
    ct->pool = NULL;
    v->dying_mb += ct->memory_mb;
    NR_LIST_EACH(&ct->conns, l)
        conn_close(nr_container_of(l, struct conn, in_ct));
    server_close(ct);
    if (ct->start)
        ct->start->unwanted = true;
    else
        remove_container(ct);
    pool_feed(p);
}

void container_retire(struct container *ct, enum cold_cause why)
{
    if (ct->state >= CT_DYING)
        return;
    if (!ct->retired) {
        ct->retired = true;
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
    v->dying_mb -= ct->memory_mb;
    v->container_count--;
    nr_list_del(&ct->in_all);
    pool_container_gone(ct);
    container_unref(ct);
    invoker_container_gone(v);
}
