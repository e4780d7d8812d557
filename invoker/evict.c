/* Who goes when memory is short: greedy-dual.
 *
 *   priority   clock + uses x cost of a start / memory, set when a container becomes idle (pool_rules.c). What is used often, starts
 *              slowly and is small stays
 *   clock      rises to the priority of whoever went, so that what was used much long ago does not stay for ever
 *   stems      cost nobody a call that is known: they go before any function's container
 *   enough     what is dying already counts as room to come; nobody goes when all of them together would not make the room
 *
 * An idle container is in v->idle, a frozen one in v->frozen, both in order of when they became idle.
 */
#include "invoker/evict.h"

#include "invoker/freeze.h"
#include "invoker/pool_rules.h"
#include "invoker/stem.h"

void room_release(struct invoker *v, int64_t mb)
{
    memory_release(v->node, mb);
}

void evict_idle(struct container *ct)
{
    struct invoker *v = ct->v;
    struct pool *p = ct->pool;

    ct->idle_since_ms = v->loop->now_ms;
    ct->priority =
        eviction_priority(v->clock, p->uses, p->cost_us ? p->cost_us : v->start_us, ct->memory_mb);
    nr_list_del(&ct->idle);
    nr_list_add(&v->idle, &ct->idle);
    freeze_later(v);
    if (!nr_list_empty(&v->hungry))
        pool_stir(v);
}

/* ---- room --------------------------------------------------------------------------------------------------- */

static struct shortage shortage_of(struct invoker *v, int64_t mb, bool one_more)
{
    struct shortage s = {.mb = memory_missing_mb(v->node, mb) - v->dying_mb};

    if (one_more && v->containers_max > 0)
        s.containers = (int)v->container_count + 1 - (int)v->dying_count - (int)v->containers_max;
    return s;
}

static void add_all(struct nr_link *list, const struct container *keep, struct shortage *sum)
{
    for (struct nr_link *l = list->next; l != list; l = l->next) {
        const struct container *ct = nr_container_of(l, struct container, idle);

        if (ct != keep) {
            sum->mb += ct->memory_mb;
            sum->containers++;
        }
    }
}

/* Would it be enough if everybody went that can? */
static bool would_help(struct invoker *v, const struct shortage *s, const struct container *keep)
{
    struct shortage sum = {0};

    stems_evictable(v, keep, &sum);
    add_all(&v->idle, keep, &sum);
    add_all(&v->frozen, keep, &sum);
    return sum.mb >= s->mb && sum.containers >= s->containers;
}

static struct container *cheaper(struct nr_link *list, const struct container *keep,
                                 struct container *than)
{
    for (struct nr_link *l = list->next; l != list; l = l->next) {
        struct container *ct = nr_container_of(l, struct container, idle);

        if (ct != keep && (than == NULL || ct->priority < than->priority))
            than = ct;
    }
    return than;
}

static struct container *next_victim(struct invoker *v, const struct container *keep)
{
    struct container *stem = stem_to_evict(v, keep);

    return stem ? stem : cheaper(&v->idle, keep, cheaper(&v->frozen, keep, NULL));
}

static void make_room(struct invoker *v, int64_t mb, bool one_more, const struct container *keep)
{
    struct shortage s = shortage_of(v, mb, one_more);
    struct container *victim;

    if (!would_help(v, &s, keep))
        return;
    while ((s.mb > 0 || s.containers > 0) && (victim = next_victim(v, keep)) != NULL) {
        if (victim->fn && victim->priority > v->clock)
            v->clock = victim->priority;
        nr_count(&v->m.evictions, 1);
        container_retire(victim, ENDED_EVICTED);
        s = shortage_of(v, mb, one_more);
    }
}

bool room_take(struct invoker *v, int64_t mb, bool one_more, bool evict,
               const struct container *keep)
{
    bool place = !one_more || v->containers_max == 0 || v->container_count < v->containers_max;

    if (place && memory_reserve(v->node, mb))
        return true;
    if (evict)
        make_room(v, mb, one_more, keep);
    return false;
}

/* ---- keep-alive --------------------------------------------------------------------------------------------- */

static struct container *expired_in(struct invoker *v, struct nr_link *list)
{
    for (struct nr_link *l = list->next; l != list; l = l->next) {
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

void evict_expired(struct invoker *v)
{
    struct container *ct;

    while ((ct = expired_in(v, &v->frozen)) != NULL || (ct = expired_in(v, &v->idle)) != NULL) {
        nr_count(&v->m.expirations, 1);
        container_retire(ct, ENDED_EXPIRED);
    }
}
