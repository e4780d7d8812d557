/* As eviction for memory (evict.c), on a copy of the ledger: what is dying counts as given back, then idle containers are taken off, the least
 * worth first, until it fits. Those without whom it fits as well stay, and nobody goes when all together would not do.
 */
#include "invoker/gpu_room.h"

#include "invoker/gpu.h"

bool gpu_never(const struct invoker *v, const struct function *f)
{
    return !gpu_possible(v->gpus, &f->gpu);
}

static struct container *cheapest(struct invoker *v, const struct gpu_ledger *trial)
{
    struct nr_link *const lists[] = {&v->idle, &v->frozen};
    struct container *best = NULL;

    for (size_t i = 0; i < nr_countof(lists); i++)
        for (struct nr_link *l = lists[i]->next; l != lists[i]; l = l->next) {
            struct container *ct = nr_container_of(l, struct container, idle);

            if (gpu_of(trial, ct->name) && (best == NULL || ct->priority < best->priority))
                best = ct;
        }
    return best;
}

/* Would it fit without this one's share too? Then the share goes back to it. */
static bool is_spared(struct gpu_ledger **trial, const struct invoker *v,
                      const struct container *ct, const struct function *f)
{
    struct gpu_ledger *with = gpu_copy(*trial);
    char label[GPU_LABEL_BYTES];

    gpu_write_label(v->node->gpus, gpu_of(v->gpus, ct->name), label);
    bool spared = gpu_adopt(with, ct->name, label) && gpu_fits(with, &f->gpu);

    gpu_free(spared ? *trial : with);
    if (spared)
        *trial = with;
    return spared;
}

static void evict_for(struct invoker *v, const struct function *f)
{
    struct gpu_ledger *trial = gpu_copy(v->gpus);
    struct container *go[NODE_GPUS_MAX];
    unsigned n = 0;

    for (struct nr_link *l = v->containers.next; l != &v->containers; l = l->next) {
        const struct container *ct = nr_container_of(l, struct container, in_all);

        if (ct->state == CT_DYING)
            gpu_give(trial, ct->name);
    }
    while (!gpu_fits(trial, &f->gpu) && n < nr_countof(go) && (go[n] = cheapest(v, trial)) != NULL)
        gpu_give(trial, go[n++]->name);
    bool fits = gpu_fits(trial, &f->gpu);

    for (unsigned i = 0; fits && i < n; i++) {
        if (i + 1 < n && is_spared(&trial, v, go[i], f))
            continue;
        nr_count(&v->m.evictions, 1);
        container_retire(go[i], ENDED_EVICTED);
    }
    gpu_free(trial);
}

bool gpu_room(struct invoker *v, const struct function *f, bool evict)
{
    if (gpu_fits(v->gpus, &f->gpu))
        return true;
    if (evict)
        evict_for(v, f);
    return false;
}
