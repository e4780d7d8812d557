/* A time that runs faster than the clock, for trials: a day of policies and forecasts in minutes. It is asked for where a clock is read and where a length of
 * time goes to who lives by the clock; all between them knows nothing of it. Not for deadlines of calls, logs or records of calls. Pure; any thread.
 */
#ifndef NR_PORTS_PACE_H
#define NR_PORTS_PACE_H

#include <stdint.h>

struct pace {
    int64_t began_ms; /* wall clock, from which on it runs faster */
    int64_t times;    /* 0, 1: as the clock */
};

/* The time in it when the wall clock shows wall_ms. */
static inline int64_t pace_at(const struct pace *p, int64_t wall_ms)
{
    return p->times > 1 ? p->began_ms + (wall_ms - p->began_ms) * p->times : wall_ms;
}
/* How many ms pass in it while real_ms pass. */
static inline int64_t pace_long(const struct pace *p, int64_t real_ms)
{
    return p->times > 1 ? real_ms * p->times : real_ms;
}
/* How many real ms ms of it last, rounded up; -1 (none) stays. */
static inline int64_t pace_real(const struct pace *p, int64_t ms)
{
    return p->times > 1 && ms > 0 ? (ms + p->times - 1) / p->times : ms;
}

#endif
