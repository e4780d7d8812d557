/* Making is the function manager's; the counts and the end of triggers and API tables are here. */
#include "ports/trigger.h"

#include <stdlib.h>

#include "ports/target.h"

struct trigger *trigger_ref(struct trigger *t)
{
    atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
    return t;
}

void trigger_unref(struct trigger *t)
{
    if (t == NULL || atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) > 1)
        return;
    for (size_t i = 0; i < t->rule_count; i++) {
        free(t->rules[i].name);
        function_target_fini(&t->rules[i].action);
    }
    free(t->rules);
    free(t->account);
    free(t->name);
    free(t->version);
    nr_str_wipe(nr_str_of(t->parameters)); /* may hold secrets */
    free(t->parameters);
    free(t);
}

struct api_table *api_table_ref(struct api_table *t)
{
    atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
    return t;
}

void api_table_unref(struct api_table *t)
{
    if (t == NULL || atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) > 1)
        return;
    for (size_t i = 0; i < t->count; i++) {
        struct api_route *r = &t->routes[i];
        char *const texts[] = {r->base_path, r->path, r->method, r->extension, r->secret};

        for (size_t k = 0; k < sizeof(texts) / sizeof(texts[0]); k++)
            free(texts[k]);
        function_target_fini(&r->action);
    }
    free(t->routes);
    free(t->account);
    free(t);
}
