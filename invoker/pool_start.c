/* When one more container is started, and from what: a ready stem that is handed over, else the Engine.
 *
 *   calls    a start is made only while fewer slots are coming than calls wait, and it pays (pool_rules.c)
 *   memory   a start reserves its container's share of the node's budget, a hand-over the difference. Without room somebody is evicted
 *            (evict.c), and the start waits in v->hungry until memory is really free
 *   number   the function's own limit and the wished maximum hold for all its revisions together; at the limit an idle container of another
 *            revision goes for a call of this one
 *   wishes   containers ahead of calls, of functions whose snapshot is known; they evict nobody, unless calls wait that may start none
 *            themselves
 */
#include "common/base/clock.h"
#include "invoker/ahead.h"
#include "invoker/events.h"
#include "invoker/evict.h"
#include "invoker/gpu_room.h"
#include "invoker/handover.h"
#include "invoker/internal.h"
#include "invoker/outcome.h"
#include "invoker/pool_rules.h"
#include "invoker/press.h"
#include "invoker/stem.h"
#include "invoker/volume.h"

enum { RETURN_US = 10000, WISHED_PER_CORE = 4 };

static const char provision_failed[] = "Failed to provision resources to run the action.";

/* Slots whose call was answered a moment ago: the end frame follows within a millisecond, or there is trouble. */
static unsigned returning(const struct container *ct, uint64_t now_us)
{
    unsigned n = 0;

    for (unsigned i = 0; ct->calls > 0 && !ct->retired && i < ct->slot_count; i++) {
        const struct activation *a = ct->slots[i].a;

        n += a && a->i == I_LOGS && span_us(a->answered_us, now_us) < RETURN_US;
    }
    return n;
}

static struct queue_view view(const struct pool *p)
{
    uint64_t now_us = nr_mono_us();
    struct queue_view q = {.waiting = p->waiting_count,
                           .starting_max = 2 * (unsigned)p->v->node->cores,
                           .call_us = p->call_us,
                           .start_us = p->v->start_us};

    for (struct nr_link *l = p->containers.next; l != &p->containers; l = l->next) {
        const struct container *ct = nr_container_of(l, struct container, in_pool);

        q.coming += slots_coming(ct, now_us);
        q.slots += ct->retired || ct->ahead ? 0 : ct->connected;
        q.returning += returning(ct, now_us);
        q.starting += !ct->retired && ct->state == CT_STARTING;
    }
    if (p->waiting_count > 0)
        q.oldest_us = span_us(pool_queue_since_us(&p->waiting), now_us);
    return q;
}

void pool_wait_for_better_times(struct pool *p)
{
    if (!nr_list_linked(&p->hungry))
        nr_list_add(&p->v->hungry, &p->hungry);
}

static enum start_reason reason_of(const struct pool *p, enum engine_rank rank)
{
    return rank != RANK_START ? FOR_PREWARM : p->container_count > 0 ? FOR_SCALE_OUT : FOR_CALL;
}

/* From a stem, or by the Engine. False: there is no room now. */
static bool get_one(struct pool *p, enum engine_rank rank)
{
    struct invoker *v = p->v;
    int64_t memory_mb = container_memory_mb(p->fn->memory_mb);
    struct container_seed seed = {
        .pool = p, .why = reason_of(p, rank), .rank = rank, .cold = cold_cause_of(p)};

    if (!gpu_room(v, p->fn, rank == RANK_START))
        return false;
    struct container *stem = stem_for(v, p->fn, &seed.stem_empty);

    if (!room_take(v, memory_mb - (stem ? stem->memory_mb : 0), stem == NULL, rank == RANK_START,
                   stem)) {
        if (rank == RANK_START)
            event_node_full(v, memory_mb);
        return false;
    }
    past_ran(p->past, p);
    pool_stir(v); /* the shelves are to be filled */
    if (stem) {
        handover_begin(stem, p, seed.why, seed.cold);
    } else {
        nr_count(&v->m.stems_empty, seed.stem_empty);
        container_start(v, &seed);
    }
    return true;
}

/* < 0: none. */
static int64_t containers_max_of(const struct pool *p)
{
    int64_t own = p->fn->instances > 0 ? p->fn->instances : -1, wished = p->past->maximum;

    return p->fn->trial || own < 0 ? wished : wished < 0 || own < wished ? own : wished;
}

/* Has the function as many containers as it may have? */
static bool is_full(struct pool *p, enum engine_rank rank)
{
    struct invoker *v = p->v;
    struct container *other = NULL;
    int64_t most = containers_max_of(p), n = 0;

    if (most < 0)
        return false;
    for (struct nr_link *l = v->containers.next; l != &v->containers; l = l->next) {
        struct container *ct = nr_container_of(l, struct container, in_all);

        if (ct->pool == NULL || ct->pool->past != p->past || (ct->fn->trial && !p->fn->trial))
            continue;
        n++;
        if (ct->pool != p && ct->calls == 0 &&
            (container_loaded(ct) || ct->state == CT_FRESH || ct->ahead))
            other = ct;
    }
    if (n == most && other && rank == RANK_START) {
        container_retire(other, ENDED_EVICTED);
        n--;
    }
    return n >= most;
}

/* One more container, or a place among those that wait for one. */
static bool start_one(struct pool *p, enum engine_rank rank)
{
    struct invoker *v = p->v;

    if (v->stopping || (v->resting && rank != RANK_START))
        return false;
    if (v->loop->now_ms < p->not_before_ms || is_full(p, rank) || volume_is_held(v, p->fn) ||
        !get_one(p, rank)) {
        if (rank == RANK_START)
            pool_wait_for_better_times(p);
        return false;
    }
    return true;
}

void pool_start_for_calls(struct pool *p)
{
    struct queue_view q = view(p);

    if (p->past->ahead_only) { /* they wait for what is wished for */
        if (q.waiting > 0)
            press_look(p, q.coming);
        return;
    }
    for (; start_pays(&q) && start_one(p, RANK_START); q = view(p))
        pool_serve(p); /* a stem is there at once */
    if (q.waiting > 0 && q.returning > 0 && !nr_deadline_armed(&p->v->stir))
        nr_deadline_set(p->v->loop, &p->v->stir, RETURN_US / 1000);
}

void pool_feed_hungry(struct invoker *v)
{
    struct nr_link turn;

    nr_list_init(&turn);
    while (!nr_list_empty(&v->hungry))
        nr_list_add(&turn, nr_list_pop(&v->hungry));
    for (struct nr_link *l; (l = nr_list_pop(&turn)) != NULL;)
        pool_feed(nr_container_of(l, struct pool, hungry));
}

/* Folders, sockets and jobs are made on the loop: so many for each core at a time; who comes up makes room for the next. */
static unsigned room_for_wishes(const struct invoker *v)
{
    unsigned most = WISHED_PER_CORE * (unsigned)(v->node->cores > 0 ? v->node->cores : 1), n = 0;

    for (struct nr_link *l = v->containers.next; l != &v->containers; l = l->next) {
        const struct container *ct = nr_container_of(l, struct container, in_all);

        n += ct->state == CT_STARTING && ct->begun_for == FOR_PREWARM;
    }
    return n < most ? most - n : 0;
}

/* What is wished for is all there is: calls that wait for it are as good a reason to make room as any. */
static enum engine_rank wished_rank(const struct pool *p)
{
    return p->past->ahead_only && p->waiting_count > 0 ? RANK_START : RANK_PREWARM;
}

/* After trouble it is left alone for a while; who waits for nothing else is not. */
static bool obeys_wishes(const struct pool *p)
{
    return !p->stale && p->past->desired > 0 && (wished_rank(p) == RANK_START || !ahead_pauses(p));
}

void pool_start_wished(struct invoker *v)
{
    struct nr_map_node *n = NULL;
    size_t at = 0;
    unsigned room = v->wishes > 0 ? room_for_wishes(v) : 0;

    while (room > 0 && (n = nr_map_next(&v->pools, &at, n)) != NULL) {
        struct pool *p = nr_container_of(n, struct pool, node);

        if (!obeys_wishes(p))
            continue;
        p->feeding = true; /* keeps p while a container comes and goes */
        while (room > 0 && (int)p->container_count < p->past->desired && obeys_wishes(p) &&
               start_one(p, wished_rank(p)))
            room--;
        p->feeding = false;
        pool_feed(p);
    }
}

/* ---- a container that did not come up ----------------------------------------------------------------------- */

/* The call that is next is told that there is no container for it. */
static void fail_first(struct pool *p, enum outcome_status status, const char *text)
{
    struct activation *a = pool_queue_pop(&p->waiting);

    if (a == NULL)
        return;
    p->waiting_count--;
    outcome_refuse(&a->outcome, status, text);
    invoker_tick(a);
}

/* The Engine made the container and found nobody who could put a GPU into it: as long as that is so no call can run. */
static bool has_no_gpu_driver(const struct container *ct)
{
    return ct->fn->gpu.count > 0 && strstr(ct->failure.text, "device driver") != NULL;
}

static void fail_for_gpu(struct pool *p)
{
    struct activation *a = pool_queue_pop(&p->waiting);

    if (a == NULL)
        return;
    p->waiting_count--;
    activation_fail(
        a, NR_EUNAVAIL,
        "The function needs a GPU, and the Docker Engine of this node has no driver that gives one to a "
        "container.");
    invoker_tick(a);
}

/* What the call is told when its container cannot be had. */
static void fail_for(struct pool *p, const struct container *ct)
{
    char text[512];

    if (has_no_gpu_driver(ct)) {
        fail_for_gpu(p);
    } else if (ct->fn->relay && ct->failure.code == NR_ENOENT) {
        (void)snprintf(text, sizeof(text), "Failed to pull container image '%s'.", ct->fn->image);
        fail_first(p, OUTCOME_DEVELOPER_ERROR, text);
    } else {
        fail_first(p, OUTCOME_INTERNAL_ERROR, provision_failed);
    }
}

void pool_start_failed(struct container *ct)
{
    struct pool *p = ct->pool;
    bool others = false;

    NR_LIST_EACH(&p->containers, l) {
        const struct container *other = nr_container_of(l, struct container, in_pool);

        others = others || (other != ct && !other->retired && other->state != CT_STARTING);
    }
    /* Calls that a living container can serve later wait for it; the next start is tried in a while. */
    if (others)
        p->not_before_ms = p->v->loop->now_ms + RETRY_MS;
    p->feeding = true;
    if (!others && p->waiting_count > view(p).coming - slots_coming(ct, nr_mono_us()))
        fail_for(p, ct);
    p->feeding = false;
    container_retire(ct, ENDED_START_FAILED);
}
