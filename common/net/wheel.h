/* The timing wheel under the deadlines of a loop: seven rings of 64 slots, the first of 1 ms each, every next one 64 times
 * coarser. Pure: it takes times as numbers and touches no clock and no loop. One thread at a time.
 */
#ifndef NR_COMMON_NET_WHEEL_H
#define NR_COMMON_NET_WHEEL_H

#include "common/net/loop.h"

#define NR_WHEEL_RINGS 7
#define NR_WHEEL_SLOTS 64

/* Fields are private. */
struct nr_wheel {
    uint64_t at_ms; /* everything up to here has fired */
    uint64_t marked
        [NR_WHEEL_RINGS]; /* one bit per slot that may hold a deadline; stale bits are dropped when met */
    struct nr_link slots[NR_WHEEL_RINGS][NR_WHEEL_SLOTS];
};

void nr_wheel_init(struct nr_wheel *w, uint64_t now_ms);
/* Adds d (lent until it fires or is unlinked) by its at_ms; a time that has passed counts as the next millisecond. */
void nr_wheel_add(struct nr_wheel *w, struct nr_deadline *d);
/* A time at which nr_wheel_turn() has something to do, never later than the first deadline; UINT64_MAX when there is none. */
uint64_t nr_wheel_next_ms(struct nr_wheel *w);
/* Fires, in order of time, all that is due at now_ms. */
void nr_wheel_turn(struct nr_wheel *w, uint64_t now_ms);
/* Unlinks everything without firing. */
void nr_wheel_clear(struct nr_wheel *w);

#endif
