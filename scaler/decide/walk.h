/* A window's cells, all sources together, into a tally. Inside windows.
 */
#ifndef NR_SCALER_DECIDE_WALK_H
#define NR_SCALER_DECIDE_WALK_H

#include "scaler/decide/tally.h"
#include "scaler/decide/windows_parts.h"

/* Cells first..last of one grain. */
struct span {
    int64_t first, last;
    bool coarse;
};

static inline const struct ring *ring_of(const struct series *s, bool coarse)
{
    return coarse ? &s->coarse : &s->fine;
}

/* A cell of all sources together; its count: the seconds in which something is known of it, be it that there was nothing. m: whose labels
 * nodes must fit; NULL: all. */
struct cell cell_of(const struct windows *w, const struct thing *t, enum metric_id id,
                    const struct metric_ref *m, const struct span *of, int64_t number);
/* All cells of the span, in the order of time. t NULL: nobody tells of it. */
void walk(const struct windows *w, const struct thing *t, const struct metric_ref *m,
          const struct span *of, struct tally *all);

#endif
