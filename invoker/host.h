/* What the host uses: processors, memory, load, pressure, from procfs. Reading blocks for as long as the kernel takes: not on the loop.
 */
#ifndef NR_INVOKER_HOST_H
#define NR_INVOKER_HOST_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"

enum host_figure {
    HOST_CPU_USER,
    HOST_CPU_SYSTEM,
    HOST_CPU_IDLE,
    HOST_CPU_IOWAIT,
    HOST_CPU_STEAL,
    HOST_MEMORY_TOTAL,
    HOST_MEMORY_AVAILABLE,
    HOST_SWAP_FREE,
    HOST_LOAD_1,
    HOST_LOAD_5,
    HOST_LOAD_15,
    HOST_PRESSURE_CPU,
    HOST_PRESSURE_MEMORY,
    HOST_PRESSURE_IO,
    HOST_FIGURES
};

/* Seconds, bytes, or processes that want to run; < 0: this host does not tell it. */
struct host_usage {
    double figure[HOST_FIGURES];
};

/* Reads all of it below root ("/proc"; tests have a folder of their own). Any thread. */
void host_read(const char *root, struct host_usage *ret);
/* "host":{"cpu_user_seconds":...} with a comma before it, and the metrics narae_host_*. */
void host_json(const struct host_usage *h, struct nr_buf *out);
void host_metrics(const struct host_usage *h, struct nr_buf *out);

#endif
