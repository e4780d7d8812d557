/* The port of PreEnv's Tester: one test call of a function in a configuration, in the same sandbox as a real call.
 *
 * A test call is no traffic: no record, no quota, no container that a real call could get. Its function is a snapshot with a revision of
 * its own (`trial`), so it has a pool of its own. What the call used is read from its container's control group before, every 10 ms
 * while and right after it. One call at a time: who asks waits for `done`.
 */
#ifndef NR_PORTS_PREENV_H
#define NR_PORTS_PREENV_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/str.h"

struct account;
struct function;

/* How a test call ended. */
enum preenv_outcome {
    PREENV_OK,
    PREENV_OOM,     /* the kernel killed it at its limit */
    PREENV_ABORT,   /* its runtime gave up because its heap was full */
    PREENV_ERROR,   /* it failed, or ended without an answer */
    PREENV_TIMEOUT, /* of the function's own limit */
    PREENV_UNAVAIL, /* it could not be run, or measured: no fault of the function */
    PREENV_STOPPED, /* cut by cut(), or the platform stops */
    PREENV_OUTCOMES
};

/* What one call used, as its container's control group tells it. Bytes and microseconds; -1: this host does not tell it. */
struct call_usage {
    bool known;                         /* false: nothing of it could be read */
    int64_t cpu_us, user_us, system_us; /* of the call, and of the start when it was cold */
    int64_t init_peak_bytes;            /* highest memory in use before the run began */
    int64_t run_peak_bytes;             /* and while it ran */
    int64_t rest_bytes;                 /* right after it */
    int64_t high_water_bytes;           /* the kernel's mark, which counts the page cache */
    int64_t limit_bytes, oom_kills;
    int64_t throttled_us; /* it wanted to run, and its cap on processors forbade it */
    int64_t
        others_us; /* what the rest of the host used of its processors meanwhile, theft by other guests included */
    int64_t wall_us; /* how long was watched */
};

struct preenv_call {
    /* in: lent until done */
    struct function *fn;
    struct account *account;
    struct nr_str input; /* JSON object text */
    void (*done)(
        struct preenv_call *c); /* once, on the platform's loop; at once, when the platform stops */
    /* out */
    enum preenv_outcome outcome;
    bool cold;
    int64_t
        start_us; /* from asking for a container to its code being about to be loaded; 0 when it was warm */
    int64_t init_us, run_us;
    struct call_usage usage;
    char text[256]; /* of a failure: what the caller would have read */
};

/* Of past real calls of one function, for the question whether a measurement still holds. */
struct preenv_production {
    int64_t calls;   /* that were looked at; 0: none, and the rest means nothing */
    double p95_ms;   /* of their run time */
    int64_t peak_mb; /* highest memory in use that the monitoring agent saw; -1: none */
};

/* All functions may be called on any thread. */
struct preenv_tester {
    void (*call)(struct preenv_tester *t, struct preenv_call *c);
    /* The call under way ends soon, with PREENV_STOPPED; nothing happens when there is none. */
    void (*cut)(struct preenv_tester *t);
    /* The container of this revision goes. */
    void (*forget)(struct preenv_tester *t, uint64_t revision);
    /* What real calls of a function have been like since then: the last hundred that were warm and well. Waits for a second at most. */
    void (*production)(struct preenv_tester *t, const struct function *f, int64_t since_ms,
                       struct preenv_production *ret);
    /* Members of a JSON object about the place, without braces: the Engine that runs the containers. */
    void (*place)(struct preenv_tester *t, struct nr_buf *out);
    int cores;
    int64_t memory_max_mb;
};

/* "ok", "oom", "abort", "error", "timeout", ... */
const char *preenv_outcome_text(enum preenv_outcome o);

struct nr_loop;
struct controller;
struct invoker;
struct node;

/* Made: test calls by this invoker, on its loop (all kept). Loop's thread, as the next two. */
struct preenv_tester *preenv_tester_open(struct nr_loop *loop, struct invoker *v,
                                         const struct node *node);
/* Records of real calls are asked from c (kept). */
void preenv_tester_records(struct preenv_tester *t, struct controller *c);
/* The platform stops: the call under way is cut, and further ones end at once with PREENV_STOPPED. NULL is fine. */
void preenv_tester_stop(struct preenv_tester *t);
/* After the loop's end. NULL is fine. */
void preenv_tester_close(struct preenv_tester *t);

#endif
