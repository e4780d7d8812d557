/* Room: the node's memory and the number of containers; who goes when there is not enough; whose keep-alive time is over.
 * Loop's thread.
 */
#ifndef NR_INVOKER_EVICT_H
#define NR_INVOKER_EVICT_H

#include "invoker/internal.h"

/* Reserves `mb` of the node's memory and, with one_more, minds the ceiling on containers. With `evict`, when there is no room and
 * evicting would make it: stems go first, then whoever is worth least; never `keep` (may be NULL). False: not now; those that go free
 * their room when the Engine has removed them. */
bool room_take(struct invoker *v, int64_t mb, bool one_more, bool evict,
               const struct container *keep);
void room_release(struct invoker *v, int64_t mb);

/* A container has no call: it may be evicted, frozen, expire. */
void evict_idle(struct container *ct);
/* Once a second: containers whose keep-alive time is over and that nobody wishes to keep. */
void evict_expired(struct invoker *v);

#endif
