/* Who gets which slot, when a container is started, and which one goes when memory is short.
 *
 *   borrow   the slot that was used last and is free; else the call waits in its function's queue
 *   feed     whatever slot becomes free first goes to the call that waits longest; a start is made only while fewer slots are coming
 *            than calls wait, so each waiting call causes at most one
 *   memory   a start reserves its container's share of the node's budget. Without room the container idle for longest goes, whose ever
 *            it is, and the start waits (in v->hungry) until memory is really free
 *   return   a container without a call is idle: it lives for its keep-alive time, unless evicted
 *
 * The pools themselves, and what is remembered of names, are in pool_maps.c; decisions that need no list in pool_rules.c.
 */
#include "invoker/internal.h"

#include "common/base/clock.h"
#include "invoker/outcome.h"
#include "invoker/pool_rules.h"

static const char provision_failed[] = "Failed to provision resources to run the action.";

/* ---- borrowing and giving back ------------------------------------------------------------------------------ */

static void take(struct slot *s, struct activation *a)
{
    struct container *ct = s->ct;

    nr_list_del(&s->free);
    nr_list_del(&ct->idle);
    s->a = a;
    s->call = 0;
    s->claim = CLAIM_NONE;
    s->init_sent = s->run_sent = false;
    s->log_bytes = 0;
    s->frames = 0;
    s->got = (struct slot_news){0};
    a->slot = s;
    ct->calls++;
    if (ct->state == CT_IDLE)
        container_move(ct, CT_BUSY);
}

int pool_borrow(struct invoker *v, struct activation *a)
{
    struct pool *p = pool_of(v, a->fn);
    struct nr_link *l = p->free.next;

    /* Revisions are unique; that a container is never shared between accounts does not hang on it alone. */
    if (strcmp(p->fn->account, a->fn->account) != 0) {
        activation_fail(a, NR_EINTERNAL, "revision %llu is used by two accounts",
                        (unsigned long long)p->revision);
        return 0;
    }
    if (container_memory_mb(a->fn->memory_mb) > v->node->memory_max_mb) {
        outcome_refuse(&a->outcome, OUTCOME_INTERNAL_ERROR, provision_failed);
        pool_drop_if_empty(p);
        return 0;
    }
    if (l != &p->free) {
        take(nr_container_of(l, struct slot, free), a);
        return 0;
    }
    a->borrowed_us = nr_mono_us();
    nr_list_add(&p->waiting, &a->queue);
    p->waiting_count++;
    pool_feed(p);
    return 1;
}

void pool_leave(struct invoker *v, struct activation *a)
{
    struct pool *p = pool_find(v, a->fn->revision);

    if (p == NULL || !nr_list_linked(&a->queue))
        return;

    nr_list_del(&a->queue);
    p->waiting_count--;
    pool_drop_if_empty(p);
}

void pool_slot_free(struct slot *s)
{
    struct pool *p = s->ct->pool;

    nr_list_push(&p->free, &s->free);
    if (s->ct->calls == 0)
        pool_idle(s->ct);
    pool_feed(p);
}

void pool_return(struct slot *s, bool reuse)
{
    struct container *ct = s->ct;

    if (s->call != 0 && s->a && s->a->started_us)
        decay_towards(&ct->pool->call_us, span_us(s->a->started_us, nr_mono_us()));
    s->a = NULL;
    s->call = 0;
    ct->calls--;
    nr_buf_reset(&s->parts, 0);
    if (ct->calls == 0 && ct->state == CT_BUSY && reuse)
        container_move(ct, CT_IDLE);
    if (!reuse)
        slot_close(s);
    if (!reuse || ct->retired || (ct->pool->stale && ct->pool->waiting_count == 0))
        container_retire(ct, reuse ? COLD_UPDATED : COLD_CRASHED);
    else
        pool_slot_free(s);
}

void pool_idle(struct container *ct)
{
    struct invoker *v = ct->v;

    ct->idle_since_ms = v->loop->now_ms;
    nr_list_del(&ct->idle);
    nr_list_add(&v->idle, &ct->idle);
}

/* ---- starting ----------------------------------------------------------------------------------------------- */

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
        q.slots += ct->retired ? 0 : ct->connected;
        q.starting += !ct->retired && ct->state == CT_STARTING;
    }
    if (!nr_list_empty(&p->waiting))
        q.oldest_us = span_us(
            nr_container_of(p->waiting.next, struct activation, queue)->borrowed_us, now_us);
    return q;
}

static struct container *longest_idle(struct invoker *v)
{
    return nr_list_empty(&v->idle) ? NULL : nr_container_of(v->idle.next, struct container, idle);
}

/* Reserves the memory of one more container; evicts for it when a call waits and that helps. False: not now. */
static bool find_memory(struct pool *p, bool evict)
{
    struct invoker *v = p->v;
    int64_t mb = container_memory_mb(p->fn->memory_mb);
    struct container *victim;

    if (memory_reserve(v->node, mb))
        return true;
    while (evict && memory_missing_mb(v->node, mb) > v->dying_mb &&
           (victim = longest_idle(v)) != NULL) {
        nr_count(&v->m.evictions, 1);
        container_retire(victim, COLD_EVICTED);
    }
    return false;
}

static void wait_for_better_times(struct pool *p)
{
    if (!nr_list_linked(&p->hungry))
        nr_list_add(&p->v->hungry, &p->hungry);
}

/* One more container, or a place among those that wait for one. */
static bool start_one(struct pool *p, enum engine_rank rank)
{
    struct invoker *v = p->v;

    if (v->stopping)
        return false;
    if ((p->past->maximum >= 0 && (int)p->container_count >= p->past->maximum) ||
        v->loop->now_ms < p->not_before_ms || !find_memory(p, rank == RANK_START)) {
        if (rank == RANK_START)
            wait_for_better_times(p);
        return false;
    }
    container_start(v, p, rank, cold_cause_of(p));
    p->past->revision = p->revision;
    return true;
}

/* The call that waits longest is told that there is no container for it. */
static void fail_first(struct pool *p, enum outcome_status status, const char *text)
{
    struct nr_link *l = nr_list_pop(&p->waiting);

    if (l == NULL)
        return;
    struct activation *a = nr_container_of(l, struct activation, queue);

    p->waiting_count--;
    outcome_refuse(&a->outcome, status, text);
    invoker_tick(a);
}

/* Slots to those that wait, oldest first. Not nested: a call that ends at once comes back here by its return. */
static void serve(struct pool *p)
{
    while (p->waiting_count > 0 && !nr_list_empty(&p->free)) {
        struct activation *a = nr_container_of(nr_list_pop(&p->waiting), struct activation, queue);

        p->waiting_count--;
        take(nr_container_of(p->free.next, struct slot, free), a);
        invoker_tick(a);
    }
}

void pool_feed(struct pool *p)
{
    if (p->feeding)
        return;
    p->feeding = true;
    serve(p);
    for (struct queue_view q = view(p); start_pays(&q) && start_one(p, RANK_START); q = view(p))
        continue;
    if (p->waiting_count > 0)
        wait_for_better_times(p); /* looked at again when something ends, and every second */
    p->feeding = false;
    pool_drop_if_empty(p);
}

/* Memory has become free, or may become so: those that wait for it, in turn. */
static void feed_hungry(struct invoker *v)
{
    struct nr_link turn;

    nr_list_init(&turn);
    while (!nr_list_empty(&v->hungry))
        nr_list_add(&turn, nr_list_pop(&v->hungry));
    for (struct nr_link *l; (l = nr_list_pop(&turn)) != NULL;)
        pool_feed(nr_container_of(l, struct pool, hungry));
}

/* What the call is told when its container cannot be had. */
static void fail_for(struct pool *p, const struct container *ct)
{
    char text[512];

    if (ct->fn->relay && ct->failure.code == NR_ENOENT) {
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
    container_retire(ct, COLD_CRASHED);
}

void pool_container_gone(struct container *ct)
{
    memory_release(ct->v->node, ct->memory_mb);
    feed_hungry(ct->v);
}

/* ---- once a second ------------------------------------------------------------------------------------------ */

static struct container *expired(struct invoker *v)
{
    for (struct nr_link *l = v->idle.next; l != &v->idle; l = l->next) {
        struct container *ct = nr_container_of(l, struct container, idle);
        const struct past *past = ct->pool->past;
        int64_t keep_ms =
            past->keep_alive_ms >= 0 ? past->keep_alive_ms : (int64_t)v->keep_alive_ms;

        if ((int64_t)(v->loop->now_ms - ct->idle_since_ms) >= keep_ms &&
            (int)ct->pool->container_count > past->desired)
            return ct;
    }
    return NULL;
}

/* Containers that are wished for ahead of calls, of functions whose snapshot is known. */
static void fulfil(struct invoker *v)
{
    struct nr_map_node *n = NULL;
    size_t at = 0;

    while (v->wishes > 0 && (n = nr_map_next(&v->pools, &at, n)) != NULL) {
        struct pool *p = nr_container_of(n, struct pool, node);

        while (!p->stale && (int)p->container_count < p->past->desired &&
               start_one(p, RANK_PREWARM))
            continue;
    }
}

void pool_tidy(struct invoker *v)
{
    struct container *ct;

    while ((ct = expired(v)) != NULL) {
        nr_count(&v->m.expirations, 1);
        container_retire(ct, COLD_EVICTED);
    }
    fulfil(v);
    feed_hungry(v);
}

/* ---- from outside ------------------------------------------------------------------------------------------- */

void pool_forget(struct invoker *v, uint64_t revision)
{
    struct pool *p = pool_find(v, revision);

    if (p == NULL)
        return;
    p->stale = true;
    p->feeding = true; /* keeps p alive while its containers go */
    NR_LIST_EACH(&p->containers, l) {
        struct container *ct = nr_container_of(l, struct container, in_pool);

        if (ct->calls == 0 && p->waiting_count == 0)
            container_retire(ct, COLD_UPDATED);
    }
    p->feeding = false;
    pool_feed(p);
}

static void wish_for(struct invoker *v, const struct scaler_wish *w)
{
    struct past *past = pool_past_of(v, w->account, w->package ? w->package : "", w->name);

    if (w->desired >= 0 && past->desired < 0)
        v->wishes++;
    if (w->desired >= 0)
        past->desired = w->desired;
    if (w->maximum >= 0)
        past->maximum = w->maximum;
    if (w->keep_alive_ms >= 0)
        past->keep_alive_ms = w->keep_alive_ms;
}

void pool_wish(struct invoker *v, const struct scaler_wish *w)
{
    if (w->name)
        wish_for(v, w);
    else if (w->keep_alive_ms >= 0)
        v->keep_alive_ms =
            (uint32_t)(w->keep_alive_ms < UINT32_MAX ? w->keep_alive_ms : UINT32_MAX);
}
