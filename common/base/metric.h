/* Metrics: counters and histograms that a component embeds, and the writer of the Prometheus text form. Names: prefix `narae_`,
 * base units. A component has one function `X_metrics(x, out)` that writes all of its own.
 * Counters are relaxed atomics: any thread adds, any thread reads.
 */
#ifndef NR_COMMON_BASE_METRIC_H
#define NR_COMMON_BASE_METRIC_H

#include <stdatomic.h>
#include <stdint.h>

#include "common/base/buf.h"

typedef _Atomic uint64_t nr_counter;
static inline void nr_count(nr_counter *c, uint64_t n)
{
    atomic_fetch_add_explicit(c, n, memory_order_relaxed);
}

/* Times in seconds, buckets 100 us .. 60 s in steps of about 2.5. */
#define NR_HIST_BUCKETS 18
struct nr_hist {
    nr_counter bucket[NR_HIST_BUCKETS + 1];
    nr_counter sum_us, count;
};
void nr_hist_add_us(struct nr_hist *h, uint64_t us);

/* `# HELP` and `# TYPE` lines; type "counter", "gauge", "histogram". */
void nr_metric_head(struct nr_buf *out, const char *name, const char *type, const char *help);
/* One label, `name="value"`, with what must be escaped in the value; no comma. */
void nr_metric_label(struct nr_buf *out, const char *name, struct nr_str value);
/* One sample; labels as `key="value",...` or "". */
void nr_metric_sample(struct nr_buf *out, const char *name, const char *labels, double value);
/* Head and the one sample without labels. */
void nr_metric_one(struct nr_buf *out, const char *name, const char *type, const char *help,
                   double value);
void nr_metric_hist(struct nr_buf *out, const char *name, const char *labels,
                    const struct nr_hist *h);

#endif
