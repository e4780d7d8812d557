/* Who gets which slot.
 *
 *   borrow   the slot that was used last and is free; else the call waits in its function's queue
 *   feed     whatever slot becomes free first goes to the call that is next (pool_queue.c); a start is made only while fewer slots are coming
 *            than calls wait, so each waiting call causes at most one (pool_start.c)
 *   return   a container without a call is idle: it lives for its keep-alive time, unless evicted (evict.c), and is frozen meanwhile
 *            (freeze.c)
 *
 * The pools themselves, and what is remembered of names, are in pool_maps.c; decisions that need no list in pool_rules.c.
 */
#include "invoker/internal.h"

#include "common/base/clock.h"
#include "invoker/ahead.h"
#include "invoker/evict.h"
#include "invoker/freeze.h"
#include "invoker/gpu_room.h"
#include "invoker/monitor.h"
#include "invoker/outcome.h"
#include "invoker/pool_rules.h"
#include "invoker/stem.h"

static const char provision_failed[] = "Failed to provision resources to run the action.";

/* ---- borrowing and giving back ------------------------------------------------------------------------------ */

void slot_lend(struct slot *s, struct activation *a)
{
    s->a = a;
    s->call = 0;
    s->claim = CLAIM_NONE;
    s->init_sent = s->run_sent = s->init_too_big = false;
    s->log_bytes = 0;
    s->frames = 0;
    s->oom_kills = monitor_oom_kills(s->ct);
    s->got = (struct slot_news){0};
    a->slot = s;
}

static void take(struct slot *s, struct activation *a)
{
    struct container *ct = s->ct;

    nr_list_del(&s->free);
    nr_list_del(&ct->idle);
    slot_lend(s, a);
    ct->calls++;
    ct->called = true;
    ct->pool->uses++;
    if (ct->state == CT_IDLE || ct->state == CT_FROZEN)
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
    if (gpu_never(v, a->fn)) {
        activation_fail(a, NR_EUNAVAIL,
                        "The function needs %u GPUs; this node does not have them any more.",
                        a->fn->gpu.count);
        pool_drop_if_empty(p);
        return 0;
    }
    if (l != &p->free) {
        take(nr_container_of(l, struct slot, free), a);
        return 0;
    }
    a->borrowed_us = nr_mono_us();
    pool_queue_add(&p->waiting, a);
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

    if (p->stale && p->waiting_count == 0 && s->ct->calls == 0) {
        container_retire(s->ct, ENDED_UPDATED); /* it came up for calls that others have served */
        return;
    }
    if (container_loaded(s->ct))
        nr_list_push(&p->free, &s->free);
    else
        nr_list_add(&p->free, &s->free); /* whoever has the code goes first */
    if (s->ct->calls == 0)
        evict_idle(s->ct);
    pool_feed(p);
}

void pool_return(struct slot *s, enum end_reason why)
{
    struct container *ct = s->ct;

    if (s->call != 0 && s->a && s->a->started_us)
        decay_towards(&ct->pool->call_us, span_us(s->a->started_us, nr_mono_us()));
    if (s->got.answered)
        ahead_served(ct->pool);
    s->a = NULL;
    s->call = 0;
    ct->calls--;
    nr_buf_reset(&s->parts, 0);
    if (ct->frozen) /* its call was cut before it was written */
        freeze_thaw(ct);
    if (ct->calls == 0 && ct->state == CT_BUSY && why == ENDED_NOT)
        container_move(ct, CT_IDLE);
    if (why != ENDED_NOT)
        slot_close(s);
    else if (!ct->retired && ct->pool->stale && ct->pool->waiting_count == 0)
        why = ENDED_UPDATED;
    if (ct->retired || why != ENDED_NOT)
        container_retire(ct, why);
    else
        pool_slot_free(s);
}

/* ---- feeding ------------------------------------------------------------------------------------------------ */

/* Not nested: a call that ends at once comes back here by its return. */
void pool_serve(struct pool *p)
{
    while (p->waiting_count > 0 && !nr_list_empty(&p->free)) {
        struct activation *a = pool_queue_pop(&p->waiting);

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
    pool_serve(p);
    pool_start_for_calls(p);
    if (p->waiting_count > 0)
        pool_wait_for_better_times(p); /* looked at again when something ends, and every second */
    p->feeding = false;
    pool_drop_if_empty(p);
}

void pool_stir(struct invoker *v)
{
    nr_deadline_set(v->loop, &v->stir, 0);
}

void pool_tidy(struct invoker *v)
{
    evict_expired(v);
    pool_start_wished(v);
    pool_feed_hungry(v);
    stems_tidy(v);
    ahead_look(v);
    if (!nr_list_empty(&v->idle))
        freeze_later(v);
}

/* ---- from outside ------------------------------------------------------------------------------------------- */

static void forget_one(struct pool *p)
{
    p->stale = true;
    p->feeding = true; /* keeps p alive while its containers go */
    NR_LIST_EACH(&p->containers, l) {
        struct container *ct = nr_container_of(l, struct container, in_pool);

        if (ct->calls == 0 && p->waiting_count == 0)
            container_retire(ct, ENDED_UPDATED);
    }
    p->feeding = false;
    pool_feed(p);
}

/* Of a revision that was derived from this one, and not forgotten yet. A trial is of its own run and ends with that. */
static struct pool *pool_derived(struct invoker *v, uint64_t stored)
{
    struct nr_map_node *n = NULL;
    size_t at = 0;

    while ((n = nr_map_next(&v->pools, &at, n)) != NULL) {
        struct pool *p = nr_container_of(n, struct pool, node);

        if (p->fn->stored == stored && !p->fn->trial && !p->stale)
            return p;
    }
    return NULL;
}

void pool_forget(struct invoker *v, uint64_t revision)
{
    struct pool *p = pool_find(v, revision);

    v->forgotten[v->forgotten_next++ % FORGOTTEN_MAX] = revision;
    if (p != NULL)
        forget_one(p);
    while ((p = pool_derived(v, revision)) != NULL)
        forget_one(p);
}

/* Of a name that nothing is kept for any more. */
static struct pool *pool_without_reason(struct invoker *v, const struct past *past)
{
    struct nr_map_node *n = NULL;
    size_t at = 0;

    while ((n = nr_map_next(&v->pools, &at, n)) != NULL) {
        struct pool *p = nr_container_of(n, struct pool, node);

        if (p->past == past && p->container_count == 0 && p->waiting_count == 0 && !p->feeding)
            return p;
    }
    return NULL;
}

bool pool_forget_account(struct invoker *v, const char *account)
{
    struct nr_map_node *n = NULL;
    size_t at = 0;
    bool all = true;

    while ((n = nr_map_next(&v->pasts, &at, n)) != NULL) {
        struct past *past = nr_container_of(n, struct past, node);
        struct pool *p;

        if (!past_is_of(past, account))
            continue;
        v->wishes -= past->desired >= 0;
        past->desired = past->maximum = -1;
        past->keep_alive_ms = -1;
        past->ahead_only = false;
        while ((p = pool_without_reason(v, past)) != NULL)
            pool_drop_if_empty(p);
        all = all && past->pools == 0;
    }
    if (all)
        pool_forget_pasts(v, account);
    return all;
}

static void wish_for(struct invoker *v, const struct scaler_wish *w)
{
    struct past *past = pool_past_of(v, w->account, w->package ? w->package : "", w->name);

    struct pool *p;

    if (w->desired >= 0 && past->desired < 0)
        v->wishes++;
    if (w->desired < 0 && past->desired >= 0)
        v->wishes--;
    past->desired = w->desired >= 0 ? w->desired : -1;
    past->maximum = w->maximum >= 0 ? w->maximum : -1;
    past->keep_alive_ms = w->keep_alive_ms >= 0 ? w->keep_alive_ms : -1;
    past->ahead_only = w->ahead_only;
    pool_stir(
        v); /* what is wished for starts soon; those that wait look whether they may start something now */
    while (past->desired <= 0 && (p = pool_without_reason(v, past)) != NULL)
        pool_drop_if_empty(p);
}

void pool_know(struct invoker *v, struct function *f)
{
    if (v->stopping || pool_past_of(v, f->account, f->package, f->name)->desired <= 0)
        return;
    pool_drop_if_empty(pool_of(v, f)); /* of a revision that is no longer current nothing is kept */
    pool_stir(v);
}

void pool_wish(struct invoker *v, const struct scaler_wish *w)
{
    if (w->stem_kind)
        stems_wish(v, w->stem_kind, w->desired);
    else if (w->name)
        wish_for(v, w);
    else if (w->keep_alive_ms >= 0)
        v->keep_alive_ms =
            (uint32_t)(w->keep_alive_ms < UINT32_MAX ? w->keep_alive_ms : UINT32_MAX);
    else
        v->keep_alive_ms = v->keep_alive_own_ms;
}
