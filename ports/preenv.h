/* The port of PreEnv's Tester: how a test call of a function in a configuration ended, and what the Tester knows of the host and of real calls.
 *
 * A test call is an errand that is watched (ports/errand.h), in the same sandbox as a real call: no record, no quota, no container that a real call
 * could get. What it used is read from its container's control group before, every 10 ms while and right after it.
 */
#ifndef NR_PORTS_PREENV_H
#define NR_PORTS_PREENV_H

#include <stdbool.h>
#include <stdint.h>

#include "ports/errand.h"

struct function;

/* How a test call ended. */
enum preenv_outcome {
    PREENV_OK,
    PREENV_OOM,     /* the kernel killed it at its limit */
    PREENV_ABORT,   /* its runtime gave up because its heap was full */
    PREENV_ERROR,   /* it failed, or ended without an answer */
    PREENV_TIMEOUT, /* of the function's own limit */
    PREENV_UNAVAIL, /* it could not be run, or measured: no fault of the function */
    PREENV_STOPPED, /* cut, or the platform stops */
    PREENV_OUTCOMES
};

/* Of past real calls of one function, for the question whether a measurement still holds. */
struct preenv_production {
    int64_t calls;   /* that were looked at; 0: none, and the rest means nothing */
    double p95_ms;   /* of their run time */
    int64_t peak_mb; /* highest memory in use that the monitoring agent saw; -1: none */
};

/* All functions may be called on any thread. */
struct preenv_tester {
    /* What real calls of a function have been like since then: the last hundred that were warm and well. Waits for a second at most. */
    void (*production)(struct preenv_tester *t, struct function *f, int64_t since_ms,
                       struct preenv_production *ret);
    /* Members of a JSON object about the place, without braces: the Engine that runs the containers. Waits for a second at most. */
    void (*place)(struct preenv_tester *t, struct nr_buf *out);
    int cores;
    int64_t memory_max_mb;
};

/* "ok", "oom", "abort", "error", "timeout", ... */
const char *preenv_outcome_text(enum preenv_outcome o);

struct nr_loop;
struct controller;
struct invokers;
struct node;

/* Made: what this host and the fleet are like, asked on its loop (all kept). Loop's thread, as the next two. */
struct preenv_tester *preenv_tester_open(struct nr_loop *loop, struct invokers *f,
                                         const struct node *node);
/* Records of real calls are asked from c (kept). */
void preenv_tester_records(struct preenv_tester *t, struct controller *c);
/* The platform stops: nothing is asked any more. NULL is fine. */
void preenv_tester_stop(struct preenv_tester *t);
/* After the loop's end. NULL is fine. */
void preenv_tester_close(struct preenv_tester *t);

#endif
