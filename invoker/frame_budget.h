/* What calls make us hold: bytes of answers and logs that have come, or been announced by a header, and that their call still waits
 * with. Each function has limits of its own (slot.c); this one is for all of them together, so that many containers that begin frames and
 * never end them cannot take this process's memory. Not for what an activation holds after its end: that is the controller's.
 * Loop's thread.
 */
#ifndef NR_INVOKER_FRAME_BUDGET_H
#define NR_INVOKER_FRAME_BUDGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct invoker;
struct slot;

/* One call that holds something; lent. */
struct frame_holder {
    const char *account;
    struct slot *slot;
    size_t bytes;
};

/* Who is to end when it is too much: of the account that holds the most the call that holds the most. Pure; sorts the n >= 1 rows. Its row. */
size_t frame_budget_offender(struct frame_holder *rows, size_t n);

/* A sixteenth of what containers may have, 128 MB at least. */
size_t frame_budget_bytes(int64_t memory_max_mb);
/* `bytes` more for the call of s, which is connected. NULL: it fits; else the slot whose call is to end, s or another one. */
struct slot *frame_budget_take(struct slot *s, size_t bytes);
/* The call of s holds nothing any more. */
void frame_budget_give(struct slot *s);

#endif
