/* What each revision has here: asked by who places calls on several hosts. Counted when it is asked: the lists are short, and the pool keeps no figures for it. */
#include "invoker/internal.h"

static void count(const struct pool *p, struct invoker_load *ret)
{
    *ret = (struct invoker_load){.waiting = p->waiting_count};
    for (struct nr_link *l = p->free.next; l != &p->free; l = l->next)
        ret->ready += container_loaded(nr_container_of(l, struct slot, free)->ct);
    for (struct nr_link *l = p->containers.next; l != &p->containers; l = l->next) {
        const struct container *ct = nr_container_of(l, struct container, in_pool);

        ret->busy += ct->calls;
        ret->starting += !ct->retired && !container_loaded(ct);
    }
}

void invoker_load(const struct invoker *v, uint64_t revision, struct invoker_load *ret)
{
    struct nr_map_node *n =
        nr_map_get(&v->pools, (struct nr_str){(const char *)&revision, sizeof(revision)});

    *ret = (struct invoker_load){0};
    if (n)
        count(nr_container_of(n, struct pool, node), ret);
}

void invoker_loads(const struct invoker *v,
                   void (*each)(void *arg, const struct function *f,
                                const struct invoker_load *load),
                   void *arg)
{
    struct nr_map_node *n = NULL;
    struct invoker_load load;
    size_t at = 0;

    while ((n = nr_map_next(&v->pools, &at, n)) != NULL) {
        const struct pool *p = nr_container_of(n, struct pool, node);

        count(p, &load);
        if (!p->fn->trial && (p->container_count > 0 || p->waiting_count > 0))
            each(arg, p->fn, &load);
    }
}
