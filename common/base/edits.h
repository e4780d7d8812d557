/* How far two words are apart, for "did you mean": which of the near ones is named, and how near is near, is for who asks. Pure; any
 * thread.
 */
#ifndef NR_COMMON_BASE_EDITS_H
#define NR_COMMON_BASE_EDITS_H

#include <limits.h>

#include "common/base/str.h"

enum { NR_EDITS_MAX_BYTES = 64 };
/* Of words of which one is longer than that: further than any bound. */
#define NR_EDITS_FAR UINT_MAX

/* The fewest bytes to change, add, leave out or swap with their neighbour that make `a` (lent) into `b` (lent); NR_EDITS_FAR: one of
 * them is too long. */
unsigned nr_edits(struct nr_str a, struct nr_str b);

#endif
