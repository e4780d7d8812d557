/* The pool's decisions that need no list: how many slots are coming, why a start is cold, the node's memory. No I/O.
 */
#ifndef NR_INVOKER_POOL_RULES_H
#define NR_INVOKER_POOL_RULES_H

#include "invoker/internal.h"

/* Slots of ct that nobody has seen yet and that will be there soon. */
unsigned slots_coming(const struct container *ct, uint64_t now_us);
/* Why the next container of p is needed. */
enum cold_cause cold_cause_of(const struct pool *p);

/* The node's budget, shared by all shards: any thread. */
bool memory_reserve(struct node *n, int64_t mb);
void memory_release(struct node *n, int64_t mb);
/* How much would have to go so that `mb` fits; <= 0: it fits. */
int64_t memory_missing_mb(struct node *n, int64_t mb);

#endif
