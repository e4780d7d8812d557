/* What controller and invoker know of each function when a sample is taken: counts of its calls, and what its containers are and use. Who takes samples
 * joins both by the key. Loop's thread, but for a span that was given away.
 */
#ifndef NR_PORTS_FIGURES_H
#define NR_PORTS_FIGURES_H

#include "ports/sample.h"

struct controller;
struct invoker;

/* Samples are taken at this part of every second of the wall clock, so that who decides on the full second has them; a look at what containers use ends
 * a little before. */
enum { FIGURES_SPAN_MS = 1000, FIGURES_LOOK_MS = 650, FIGURES_SAMPLE_MS = 800 };
/* How long from a wall clock's time until the next such moment, but at least half a second. */
static inline uint64_t figures_wait_ms(int64_t wall_ms, int moment_ms)
{
    uint64_t left_ms =
        (uint64_t)(moment_ms + FIGURES_SPAN_MS - wall_ms % FIGURES_SPAN_MS) % FIGURES_SPAN_MS;

    return left_ms < FIGURES_SPAN_MS / 2 ? left_ms + FIGURES_SPAN_MS : left_ms;
}

/* What calls of one function did between two samples. */
struct call_span {
    uint64_t arrivals, invocations, errors, throttles, cold_starts;
    uint32_t inflight_max;
    struct sketch sketch[SAMPLE_SKETCHES];
    struct call_span *next; /* private */
};

/* Of one function that had calls since the last time, or has calls in flight. */
struct call_figures {
    struct nr_str key; /* "account/package/name", lent for the call; the package may be empty */
    uint32_t inflight;
    bool labelled;          /* struct function's, of the latest call */
    int64_t concurrent_max; /* of the account of the latest call; 0: no limit */
    struct call_span *span; /* given: controller_span_back() when it is read; NULL: no call */
};
/* Tells of each of them and begins the next span. In no order. */
void controller_figures(struct controller *c, void (*each)(void *arg, const struct call_figures *f),
                        void *arg);
/* NULL is fine. */
void controller_span_back(struct controller *c, struct call_span *span);

/* Of one function that has containers or calls that wait. */
struct container_figures {
    struct nr_str key; /* as above */
    unsigned ready, busy, starting, waiting;
    uint64_t oldest_us; /* how long the call waits that waits longest; 0: none does */
    int64_t instance_mb, instances_max;
    bool looked;        /* the next three are known */
    double cpu_percent; /* of one core */
    double memory_mb, memory_percent;
    double joules, cpu_seconds; /* since the last time */
};
/* The same function on another host, or another revision of it: sums, and of what is none the most. `to` keeps its key. */
void container_figures_add(struct container_figures *to, const struct container_figures *c);
/* Of the host and all its containers. */
struct node_figures {
    int64_t memory_max_mb, memory_used_mb;
    unsigned containers, waiting;
    double cpu_percent; /* of all cores; < 0: not told */
    double joules;      /* since the last time */
};
/* Tells of each function, then of the node. */
void invoker_figures(struct invoker *v, void (*each)(void *arg, const struct container_figures *f),
                     void *arg, struct node_figures *ret);

/* Of functions of which calls wait that may start no container, and more of them than are coming or wished for: told between two samples, when the
 * invoker said so (invoker_config.pressed). A name is told again after 250 ms at the soonest. */
void invoker_pressed(struct invoker *v, void (*each)(void *arg, const struct container_figures *f),
                     void *arg);
/* A function's calls in flight, without a span. False: it has had no call. key: as in the figures. */
bool controller_inflight(struct controller *c, struct nr_str key, struct call_figures *ret);

#endif
