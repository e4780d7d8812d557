/* What a scaler may wish. No policy here: the controller and the invoker obey within a second. */
#ifndef NR_PORTS_SCALER_H
#define NR_PORTS_SCALER_H

#include <stdint.h>

/* For one function: containers kept or started ahead, how long an idle one lives, how many at most. A wish takes the place of the one before
 * it: what is -1 is wished no more, and all of it -1 leaves no wish. */
struct scaler_wish {
    const char *account, *package, *name; /* NULL name: for all functions (keep-alive only) */
    int desired;                          /* -1: no wish; many come up a few at a time */
    int maximum;                          /* -1: no wish */
    int64_t keep_alive_ms;                /* -1: no wish */
    const char *
        stem_kind; /* not NULL: `desired` is the number of stem cells of this kind ("python:3"), -1: as demand asks */
};

#endif
