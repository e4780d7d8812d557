/* What a call's end means: a pure mapping from what the container did to status and result, with OpenWhisk's exact texts.
 * No I/O, no loop. One thread at a time.
 */
#ifndef NR_INVOKER_OUTCOME_H
#define NR_INVOKER_OUTCOME_H

#include "ports/activation.h"
#include "ports/frames.h"

/* How a phase came to its end. */
enum outcome_event {
    EVENT_ANSWER,  /* the function said something: ANSWER, or a failed INIT_DONE */
    EVENT_ENDED,   /* END without an answer before it */
    EVENT_LOST,    /* the connection broke */
    EVENT_TIMEOUT, /* the time limit struck */
};

struct outcome_facts {
    bool init; /* the phase: init, else run */
    enum outcome_event event;
    uint8_t flags;       /* enum nr_frame_flag of the answer */
    uint8_t verdict;     /* enum nr_frame_verdict, for EVENT_ENDED */
    struct nr_str bytes; /* of the answer; lent */
    int64_t timeout_ms;
};

/* Fills *o; its result lies in the arena when it is small, else in result_mem. Never fails: without memory the outcome is an internal
 * error with a fixed text. */
void outcome_decide(const struct outcome_facts *f, struct nr_arena *arena, struct outcome *o);
/* A failure of ours, or of what surrounds the function: {"error":text}. */
void outcome_refuse(struct outcome *o, enum outcome_status status, const char *text);
/* May the container serve another call? */
bool outcome_reusable(const struct outcome *o, uint8_t verdict);

#endif
