/* What all shards of a host share: budgets as atomics. Made by the daemon, kept by the components. */
#ifndef NR_PORTS_NODE_H
#define NR_PORTS_NODE_H

#include <stdatomic.h>
#include <stdint.h>

struct node {
    int64_t memory_max_mb;          /* for containers; default: 80 % of the host's memory */
    _Atomic int64_t memory_used_mb; /* by containers that live or are being started */
    int cores;
};

#endif
