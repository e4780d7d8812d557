/* What function_series.c (taking, choosing) and function_series_text.c (writing) share. */
#ifndef NR_GATEWAY_FUNCTION_SERIES_STATE_H
#define NR_GATEWAY_FUNCTION_SERIES_STATE_H

#include <pthread.h>

#include "common/base/list.h"
#include "common/base/map.h"
#include "gateway/function_series.h"

enum series_figure {
    FIGURE_INVOCATIONS,
    FIGURE_ARRIVALS,
    FIGURE_ERRORS,
    FIGURE_THROTTLED,
    FIGURE_COLD_STARTS,
    FIGURE_CPU,
    FIGURE_IDLE,
    FIGURE_JOULES,
    FIGURES
};
enum series_gauge {
    GAUGE_INFLIGHT,
    GAUGE_QUEUE,
    GAUGE_MEMORY,
    GAUGE_BUSY,
    GAUGE_READY, /* idle or busy */
    GAUGE_STARTING,
    GAUGES
};
enum { SERIES_DURATION, SERIES_WAIT, SERIES_TIMES };
enum { SERIES_BUCKETS = 13 };

/* How many took up to the end of each bucket and no more; the last one has no end. */
struct series_times {
    uint64_t bucket[SERIES_BUCKETS + 1];
    double sum_s;
};

struct series_counts {
    double figure[FIGURES];
    struct series_times times[SERIES_TIMES];
};

struct series_row {
    struct nr_map_node node; /* "account/function" */
    struct nr_link lru;
    char *account, *labels; /* labels: as Prometheus reads them */
    struct series_counts all,
        hidden; /* hidden: the part of `all` that was added to the sum of the others */
    double gauge[GAUGES];
    int64_t told_ms;
    double score;         /* calls, halved with time, as it was at told_ms */
    bool labelled;        /* as it was last told */
    bool shown, by_label; /* it has series of its own, by its label */
};

struct function_series {
    pthread_mutex_t lock; /* of all that follows it; held for one sample or one page */
    struct series_choice choice;
    struct nr_map rows;
    struct nr_link lru; /* front is the most recent */
    struct series_counts others;
    unsigned shown, top_shown; /* top_shown: those of them that are not by_label */
    int64_t chosen_ms;
    /* of each bucket of a sketch: the value that stands for it, and which of ours it is in */
    double middle_s[SKETCH_BUCKETS];
    unsigned char bucket[SKETCH_BUCKETS];
};

/* Ends of the buckets in seconds. */
extern const double series_ends_s[SERIES_BUCKETS];
/* Gauges older than this are 0: nobody called the function, and it has no container. */
enum { SERIES_FRESH_MS = 5000 };

#endif
