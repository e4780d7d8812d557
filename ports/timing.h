/* How a call started and where its time went: the stages of a start as a table, and the line that tells them to clients.
 * Pure; no I/O, no allocation. Any thread that may read the activation.
 */
#ifndef NR_PORTS_TIMING_H
#define NR_PORTS_TIMING_H

#include "ports/activation.h"

/* In the order in which they happen. A stage is told only when it took time of this call. */
enum start_stage {
    STAGE_QUEUE,
    STAGE_NETWORK,
    STAGE_CREATE,
    STAGE_START,
    STAGE_HANDOVER,
    STAGE_THAW,
    STAGE_INIT,
    STAGES
};

/* "queue", "network", "create", "start", "handover", "thaw", "init". */
const char *start_stage_name(enum start_stage s);
/* 0: it did not happen. */
uint64_t start_stage_us(const struct activation *a, enum start_stage s);

/* Room for the longest value of the header line `Server-Timing`, every stage at 2^64 us. */
#define TIMING_MAX_BYTES 512
/* Writes that value into out (lent): the stages, the run if it has ended, the total up to the answer (or up to now_us, 0: the clock is
 * read when it is needed), durations in ms; the total is described by how the call started: `run;dur=0.210, total;dur=0.342;desc="warm"`.
 * Returns its length; no byte 0 is written. */
size_t timing_write(const struct activation *a, uint64_t now_us, char out[TIMING_MAX_BYTES]);

#endif
