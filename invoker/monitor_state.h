/* What monitor.c (looking) and monitor_text.c (telling) share. Loop's thread, but what a pass lends to its work thread.
 */
#ifndef NR_INVOKER_MONITOR_STATE_H
#define NR_INVOKER_MONITOR_STATE_H

#include "invoker/energy.h"
#include "invoker/host.h"
#include "invoker/internal.h"
#include "invoker/monitor.h"
#include "invoker/usage.h"

/* The last of the kinds is for all further ones. */
enum { KINDS_MAX = 16, KIND_BYTES = 32 };

/* What is known of one container. */
struct watched {
    struct usage usage;
    bool busy;    /* a pass looks at it */
    bool last;    /* and then once more */
    int64_t told; /* kills that are counted and that no look has seen yet */
    uint64_t looked_ms, every_ms;
    double cpu_percent; /* of one core, between the last two looks */
};

struct function_use {
    struct nr_map_node node; /* path of the function */
    struct nr_link lru;
    char *path, *account;
    struct usage_sum sum;
};

struct kind_use {
    char name[KIND_BYTES];
    struct usage_sum sum;
};

struct monitor {
    struct invoker *v;
    struct nr_deadline next;
    bool stopped, under_way, host_known;
    unsigned passes; /* under way, with last looks */
    struct host_usage host;
    uint64_t host_us;   /* when that was read */
    double cpu_percent; /* of all processors, between the last two passes; < 0: not told */
    struct energy_model energy;
    bool measured;    /* by `rapl`, else by the model; no energy at all: both watts are 0 */
    struct rapl rapl; /* a pass's work thread reads it */
    double joules[ENERGY_PARTS], joules_told;
    struct nr_map functions;
    struct nr_link lru;      /* front is the most recent */
    struct usage_sum others; /* of functions that were dropped */
    unsigned others_count;
    struct kind_use kinds[KINDS_MAX];
    unsigned kind_count;
    nr_counter looks, failed;
    struct nr_hist seconds; /* CPU time of a pass */
};

#endif
