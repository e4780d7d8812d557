/* Calls whose caller waits go before those that nobody waits for, so that work that was accepted in bulk (fires, non-blocking calls) does not
 * keep people waiting. Accepted work goes on all the same: of four calls that are served one is the oldest of it. A step of a sequence or
 * composition is awaited when the call is that it belongs to.
 */
#include "invoker/pool_queue.h"

enum { AHEAD_MAX = 3 };

void pool_queue_init(struct pool_queue *q)
{
    nr_list_init(&q->awaited);
    nr_list_init(&q->later);
    q->ahead = 0;
}

static bool is_awaited(const struct activation *a)
{
    while (a->parent)
        a = a->parent;
    return a->blocking && !a->replied;
}

void pool_queue_add(struct pool_queue *q, struct activation *a)
{
    nr_list_add(is_awaited(a) ? &q->awaited : &q->later, &a->queue);
}

struct activation *pool_queue_pop(struct pool_queue *q)
{
    bool both = !nr_list_empty(&q->awaited) && !nr_list_empty(&q->later),
         later = both ? q->ahead == AHEAD_MAX : nr_list_empty(&q->awaited);
    struct nr_link *l = nr_list_pop(later ? &q->later : &q->awaited);

    q->ahead = both && !later ? q->ahead + 1 : 0;
    return l ? nr_container_of(l, struct activation, queue) : NULL;
}

static struct activation *first(const struct nr_link *list)
{
    return nr_list_empty(list) ? NULL : nr_container_of(list->next, struct activation, queue);
}

struct activation *pool_queue_any(const struct pool_queue *q)
{
    struct activation *a = first(&q->awaited);

    return a ? a : first(&q->later);
}

uint64_t pool_queue_since_us(const struct pool_queue *q)
{
    const struct activation *a = first(&q->awaited), *b = first(&q->later);

    if (a && b)
        return a->borrowed_us < b->borrowed_us ? a->borrowed_us : b->borrowed_us;
    return a ? a->borrowed_us : b ? b->borrowed_us : 0;
}
