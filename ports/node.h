/* What all shards of a host share: budgets as atomics, and what the host has. Made by the daemon, kept by the components. */
#ifndef NR_PORTS_NODE_H
#define NR_PORTS_NODE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { NODE_GPUS_MAX = 64, NODE_GPU_NAME_BYTES = 48 };

/* A GPU of this host, or a slice of one that its driver shows as a device. */
struct node_gpu {
    char name[NODE_GPU_NAME_BYTES]; /* the driver's id of it */
    int64_t memory_mb;
    bool ask_engine; /* containers get it by the Engine's device request; else it is counted only */
};

struct node {
    int64_t memory_max_mb;          /* for containers; default: 80 % of the host's memory */
    _Atomic int64_t memory_used_mb; /* by containers that live or are being started */
    int cores;
    const struct node_gpu *gpus; /* kept; never changes */
    unsigned gpu_count;
    bool more_hosts; /* others may join, and have what this one has not */
};

#endif
