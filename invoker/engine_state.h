/* What engine.c (workers, queue) and engine_call.c (calls, breaker) share. */
#ifndef NR_INVOKER_ENGINE_STATE_H
#define NR_INVOKER_ENGINE_STATE_H

#include <pthread.h>

#include "common/net/fetch.h"
#include "invoker/engine.h"

/* Who takes which ranks: calls, pulls, hand-overs, grants, the firewall's rules. */
enum engine_lane { LANE_CALLS, LANE_PULLS, LANE_HANDOVERS, LANE_GRANTS, LANE_RULES, LANES };

/* More removals than this that wait have their turn before starts, on at most low_max workers. */
#define REMOVALS_LATE 16

struct engine_worker {
    struct engine *e;
    struct nr_fetch *fetch;
    pthread_t thread;
    enum engine_lane lane;          /* what it takes */
    _Atomic uint64_t calls_from_ms; /* since when a call is under way; 0: none */
    struct nr_mail gone;
};

struct engine {
    struct nr_loop *loop;
    struct nr_log *log;
    char *socket_path;
    char api[16], version[64];

    pthread_mutex_t lock;
    pthread_cond_t wake[LANES];
    struct nr_link queues[RANK_COUNT];
    unsigned waiting, removals;    /* removals: that wait */
    unsigned low_running, low_max; /* prewarms and removals: under way, and how many may be */
    int booting,
        boots_max; /* places that are taken; below 0 for a moment when what waits is over already */
    bool stopping, abandoned;
    _Atomic bool canceled;
    _Atomic bool no_errands; /* those under way end */

    _Atomic int failures;             /* in a row */
    _Atomic uint64_t closed_until_ms; /* the breaker lets nothing through before */
    _Atomic uint64_t answered_ms;     /* when it last answered */
    struct engine_metrics m;

    struct engine_worker *workers, own;
    int worker_count, alive;
    void (*closed)(void *arg);
    void *closed_arg;
};

#endif
