/* The calls of one function that wait for a slot, in the order in which they are served. Loop's thread.
 */
#ifndef NR_INVOKER_POOL_QUEUE_H
#define NR_INVOKER_POOL_QUEUE_H

#include "ports/activation.h"

struct pool_queue {
    struct nr_link awaited, later; /* activations, by `queue`, each list in the order of arrival */
    unsigned
        ahead; /* calls that were served before the oldest of `later` since the last of those */
};

void pool_queue_init(struct pool_queue *q);
/* a (lent until it is popped) waits from a->borrowed_us on; nr_list_del(&a->queue) takes it out again. */
void pool_queue_add(struct pool_queue *q, struct activation *a);
/* Who is served next, or NULL; it is taken out. */
struct activation *pool_queue_pop(struct pool_queue *q);
/* Any that waits, lent; NULL: none does. */
struct activation *pool_queue_any(const struct pool_queue *q);
/* Since when the one waits that waits longest; 0: none waits. */
uint64_t pool_queue_since_us(const struct pool_queue *q);

#endif
