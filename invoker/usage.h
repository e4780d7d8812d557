/* What one container, one function or the host has used: samples, their ring, their sums, and their text. Pure: no I/O, no clock. Any
 * thread, one at a time.
 *
 * Memory in use is what cannot be dropped: anonymous and tmpfs memory and what the kernel holds. Its peak is the highest of the samples.
 * The kernel's own high-water mark counts the page cache too (a function that copies a file reaches any limit) and is told apart.
 */
#ifndef NR_INVOKER_USAGE_H
#define NR_INVOKER_USAGE_H

#include "common/base/buf.h"
#include "invoker/cgroup.h"

enum { USAGE_SAMPLES = 32 };

struct usage_sample {
    uint64_t at_ms;
    int64_t cpu_us, memory_bytes;
};

/* Of one container. Zeroed: nothing known yet. */
struct usage {
    struct cgroup_usage now; /* as it was at the latest sample; meaningless while count is 0 */
    int64_t memory_peak_bytes;
    unsigned count; /* samples so far; the ring holds the last USAGE_SAMPLES */
    struct usage_sample ring[USAGE_SAMPLES];
};

/* Sums that outlive their containers. */
struct usage_sum {
    int64_t cpu_us, throttled_us, oom_kills, io_read_bytes, io_write_bytes;
    int64_t memory_peak_bytes; /* the highest of all */
};

/* Memory in use of a sample; -1: not told. */
int64_t usage_memory_bytes(const struct cgroup_usage *now);
/* Adds a sample. *ret_more (lent) is what came on top of the one before. Figures that fall or are not told add nothing. */
void usage_add(struct usage *u, const struct cgroup_usage *now, uint64_t at_ms,
               struct usage_sum *ret_more);
/* Sums add up, peaks do not. */
void usage_sum_add(struct usage_sum *to, const struct usage_sum *more);
/* Processors in use over the last window_ms, as far as the ring reaches: 1.0 is one core. 0 with less than two samples. */
double usage_cores(const struct usage *u, uint64_t window_ms);
/* Did it use CPU between the last two samples? True with less than two. */
bool usage_active(const struct usage *u);
/* The members of an object, each with a comma before it: `,"cpu_us":120,...`; figures that are not told are left out. */
void usage_json(const struct usage *u, uint64_t now_ms, struct nr_buf *out);
void usage_sum_json(const struct usage_sum *s, struct nr_buf *out);

#endif
