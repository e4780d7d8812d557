/* The policy bench: what keep-alive policies would have cost on a recorded trace. Shared by its files only.
 *
 * One container a function, by the minute: a minute with a call is warm or cold as a whole, the first call of a function is always cold, idle are warm
 * minutes without a call up to the end of the trace.
 */
#ifndef NR_SCALER_FORECAST_BENCH_H
#define NR_SCALER_FORECAST_BENCH_H

#include <stdint.h>
#include <stddef.h>
#include <stdio.h>

#include "common/base/err.h"

/* Ceilings of what is read. */
enum {
    TRACE_FUNCTIONS_MAX = 1000000,
    TRACE_MINUTES_MAX = 100000,
    TRACE_LINE_BYTES_MAX = 16 * 1024 * 1024
};
#define TRACE_COUNTS_MAX (512ULL * 1024 * 1024) /* functions x minutes */

struct trace {
    size_t functions, minutes;
    uint64_t first_minute; /* of the day, from the header */
    uint32_t *calls;       /* functions x minutes */
};
/* Reads a table of comma-separated values: a header, some columns that name the function, then one column of counts a minute. 0 or NR_EINVAL with
 * the line in the error. Made: trace_fini. */
int trace_read(FILE *from, struct trace *ret, struct nr_err *err);
void trace_fini(struct trace *t);

struct cost {
    uint64_t cold, idle;
};
/* Warm for keep_minutes after each call. */
struct cost cost_fixed(const struct trace *t, uint64_t keep_minutes);
/* By the histogram of each function's gaps, where it is telling; else warm for fallback_minutes. */
struct cost cost_hybrid(const struct trace *t, uint64_t fallback_minutes);
/* The platform's own forecast at each of n prices of memory. */
void cost_forecast(const struct trace *t, const double *prices, size_t n, struct cost *ret);

#endif
