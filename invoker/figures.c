/* What functions' containers are and use, for samples: gathered by name over all revisions when a sample is taken.
 *
 * Processor time is taken in by the monitor's looks, told to figures_used() and paid for once a pass by figures_pay(), which knows what the host used
 * meanwhile. It stays with the function's name, so that nothing of a container that ends is lost.
 */
#include "invoker/figures.h"

#include "common/base/clock.h"
#include "invoker/monitor_state.h"
#include "invoker/pool_rules.h"
#include "invoker/press.h"

void figures_used(struct invoker *v, const struct function *fn, int64_t cpu_us)
{
    if (cpu_us <= 0)
        return;
    struct past *past = pool_past_of(v, fn->account, fn->package, fn->name);

    past->cpu_us += cpu_us;
    if (!nr_list_linked(&past->used))
        nr_list_add(&v->used, &past->used);
}

double figures_unpaid_seconds(const struct invoker *v)
{
    int64_t us = 0;

    for (struct nr_link *l = v->used.next; l != &v->used; l = l->next)
        us += nr_container_of(l, struct past, used)->cpu_us;
    return (double)us / 1e6;
}

void figures_pay(struct invoker *v, double joules_per_second)
{
    NR_LIST_EACH(&v->used, l) {
        struct past *past = nr_container_of(l, struct past, used);

        past->joules += joules_per_second * (double)past->cpu_us / 1e6;
        past->used_s += (double)past->cpu_us / 1e6;
        past->cpu_us = 0;
        nr_list_del(l);
    }
}

static bool is_ready(const struct container *ct)
{
    return ct->state >= CT_FRESH && ct->state <= CT_FROZEN && ct->handover.pending == 0 &&
           ct->ahead == NULL;
}

static void add_use(struct container_figures *f, const struct container *ct)
{
    const struct watched *w = ct->watched;
    int64_t bytes = w && w->usage.count > 0 ? usage_memory_bytes(&w->usage.now) : -1;
    double percent = ct->memory_mb > 0 ? (double)bytes / 1048576 * 100 / (double)ct->memory_mb : 0;

    if (bytes < 0)
        return;
    f->looked = true;
    f->cpu_percent += w->cpu_percent;
    f->memory_mb += (double)bytes / 1048576;
    if (percent > f->memory_percent)
        f->memory_percent = percent;
}

/* Figures of the name, in the list of those that are told; NULL: not `all` are told, and it is none of them. */
static struct container_figures *figures_of(struct nr_link *told, struct pool *p, bool all)
{
    struct past *past = p->past;

    if (!all && !nr_list_linked(&past->told))
        return NULL;
    if (!nr_list_linked(&past->told)) {
        past->figures = (struct container_figures){.key = past->node.key};
        nr_list_add(told, &past->told);
    }
    past->figures.instance_mb = container_memory_mb(p->fn->memory_mb);
    past->figures.instances_max = p->fn->instances;
    return &past->figures;
}

static void add_containers(struct invoker *v, struct nr_link *told, bool all)
{
    for (struct nr_link *l = v->containers.next; l != &v->containers; l = l->next) {
        const struct container *ct = nr_container_of(l, struct container, in_all);

        if (ct->pool == NULL || ct->fn->trial)
            continue;
        struct container_figures *f = figures_of(told, ct->pool, all);

        if (f == NULL)
            continue;
        bool ready = is_ready(ct);

        f->ready += ready;
        f->busy += ready && ct->calls > 0;
        f->starting += !ready;
        add_use(f, ct);
    }
}

static unsigned add_waiting(struct invoker *v, struct nr_link *told, bool all_told)
{
    struct nr_map_node *n = NULL;
    uint64_t now_us = nr_mono_us();
    unsigned all = 0;
    size_t at = 0;

    while ((n = nr_map_next(&v->pools, &at, n)) != NULL) {
        struct pool *p = nr_container_of(n, struct pool, node);

        if (p->waiting_count == 0 || p->fn->trial)
            continue;
        struct container_figures *f = figures_of(told, p, all_told);

        if (f == NULL)
            continue;
        uint64_t waits_us = span_us(pool_queue_since_us(&p->waiting), now_us);

        f->waiting += p->waiting_count;
        all += p->waiting_count;
        if (waits_us > f->oldest_us)
            f->oldest_us = waits_us;
    }
    return all;
}

void invoker_figures(struct invoker *v, void (*each)(void *arg, const struct container_figures *f),
                     void *arg, struct node_figures *ret)
{
    struct monitor *m = v->monitor;
    struct nr_link told, *l;

    nr_list_init(&told);
    add_containers(v, &told, true);
    *ret = (struct node_figures){.memory_max_mb = v->node->memory_max_mb,
                                 .memory_used_mb = v->node->memory_used_mb,
                                 .containers = v->container_count,
                                 .waiting = add_waiting(v, &told, true),
                                 .cpu_percent = m ? m->cpu_percent : -1,
                                 .joules = m ? monitor_take_joules(m) : 0};
    while ((l = nr_list_pop(&told))) {
        struct past *past = nr_container_of(l, struct past, told);

        past->figures.joules = past->joules - past->joules_told;
        past->joules_told = past->joules;
        past->figures.cpu_seconds = past->used_s - past->used_told_s;
        past->used_told_s = past->used_s;
        each(arg, &past->figures);
    }
}

void invoker_pressed(struct invoker *v, void (*each)(void *arg, const struct container_figures *f),
                     void *arg)
{
    struct nr_link told, *l;

    nr_list_init(&told);
    press_take(v, &told);
    if (nr_list_empty(&told))
        return;
    add_containers(v, &told, false);
    (void)add_waiting(v, &told, false);
    while ((l = nr_list_pop(&told))) {
        const struct past *past = nr_container_of(l, struct past, told);

        if (past->figures.waiting > 0)
            each(arg, &past->figures);
    }
}
