/* The invoker rests: it goes on as it is, without a container of its own will. Containers go, when their calls have ended; only calls start others. */
#include "invoker/internal.h"

void invoker_rest(struct invoker *v, bool on)
{
    if (v->resting == on)
        return;
    v->resting = on;
    /* A container leaves this list when the Engine has removed it, which is never at once. */
    for (struct nr_link *l = v->containers.next; on && l != &v->containers; l = l->next)
        container_retire(nr_container_of(l, struct container, in_all), ENDED_DRAINED);
    if (!on)
        pool_stir(v);
}
