/* A sample: what one part measured of one thing in one stretch of time, as it travels on the topic `metrics`. One JSON object a message:
 *
 *   {"v":1,"t":1767603600000,"span_ms":1000,"node":"box-1","seq":17,
 *    "account":"acme","function":"parse-telemetry","version":"0.0.3",          of a function; absent: of the node
 *    "metrics":{"arrivals":12,"inflight":3,...},
 *    "sketches":{"duration_ms":{"g":1.1,"n":12,"b":[[41,7],[42,5]]}}}
 *
 * With "at_once":true a function's calls wait that may start nothing: what its gauges are between two samples, for a decision at once. It has neither
 * counters nor sketches, and takes the place of what was told last of these gauges.
 *
 * or, from anybody's producer, the short form of one value:
 *
 *   {"metric":"room_temp_celsius","value":21.5,"labels":{"room":"a"},"t":1767603600000}      t in ms, optional
 *
 * Counters are what happened in the span, gauges what was the case at its end. A function that nobody called, and that has no containers, has
 * no sample: the sample of its node says that the node is alive, and all of the function's metrics are 0 then. Unknown members are passed over.
 * In a function's sample are all its versions together; "function" is "name", or "package/name" when it is in one; the message's key is
 * "account/" + the same of a function, "node" + '/' + the node's name, or "metric/" + the metric's name. The names in `metrics` are
 * told by the long form only: the short form may not have one of them.
 */
#ifndef NR_PORTS_SAMPLE_H
#define NR_PORTS_SAMPLE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/base/str.h"

/* The platform's own metrics: sample_metrics[] holds name, unit and what they mean (the rule language's words). */
enum metric_id {
    /* of a function */
    METRIC_INVOCATIONS,           /* counter: calls that were answered */
    METRIC_ARRIVALS,              /* counter: calls that came, with those refused */
    METRIC_INFLIGHT,              /* gauge: admitted and not answered */
    METRIC_INFLIGHT_MAX,          /* gauge: most of them at a time in the span */
    METRIC_INFLIGHT_PER_INSTANCE, /* derived by who reads: inflight / (instances that are ready or starting), inflight when there is none */
    METRIC_QUEUE_DEPTH,           /* gauge: calls that wait for a slot */
    METRIC_QUEUE_WAIT_MS,         /* sketch: they waited for a slot */
    METRIC_DURATION_MS,           /* sketch: run time */
    METRIC_COLD_STARTS,           /* counter: calls that waited for a start (stem or cold) */
    METRIC_COLD_START_MS,         /* sketch: what that took */
    METRIC_ERRORS,                /* counter: of invocations, those that failed */
    METRIC_ERROR_RATIO,           /* derived: errors / invocations of the window; 0 without any */
    METRIC_THROTTLES,             /* counter: refused with 429 */
    METRIC_CPU_PERCENT,           /* gauge: of one core, all its containers together */
    METRIC_MEMORY_MB,             /* gauge: in use by its containers */
    METRIC_MEMORY_PERCENT,        /* gauge: of the limits of its containers, the fullest one */
    METRIC_INSTANCES,             /* gauge: containers that are ready: idle, frozen or busy */
    METRIC_INSTANCES_BUSY,        /* gauge: of them, with a call */
    METRIC_STARTING,              /* gauge: containers on their way */
    METRIC_INSTANCE_MB,           /* gauge: memory that one container is given */
    METRIC_INSTANCES_MAX,         /* gauge: the function's own limit; 0: none */
    METRIC_CONCURRENT_MAX, /* gauge: calls that the account may have at a time; 0: no limit */
    METRIC_ENERGY_JOULES,  /* counter: estimated or read, see docs */
    METRIC_CPU_SECONDS,    /* counter: processor time of its containers */
    METRIC_IDLE_SECONDS,   /* counter: container-seconds without a call */
    /* of a node */
    METRIC_NODE_MEMORY_PERCENT, /* gauge: of what containers may have, given out */
    METRIC_NODE_MEMORY_FREE_MB, /* gauge: likewise */
    METRIC_NODE_CPU_PERCENT,    /* gauge: of all cores */
    METRIC_NODE_CONTAINERS,     /* gauge */
    METRIC_NODE_WAITING,        /* gauge: calls that wait for a slot, of all functions */
    METRIC_NODE_ENERGY_JOULES,  /* counter */
    /* of the broker */
    METRIC_TRIGGER_LAG, /* gauge: messages not confirmed; labels topic and group */
    METRIC_TRIGGER_AGE_MS, /* gauge: age of the oldest call that waits in the platform's queue, of a function */
    METRICS
};

enum metric_kind { METRIC_COUNTER, METRIC_GAUGE, METRIC_SKETCH, METRIC_DERIVED };

struct metric_row {
    const char *name; /* "invocations" */
    enum metric_kind kind;
    bool node; /* of a node, not of a function */
    const char *unit, *help;
};
/* METRICS rows. */
extern const struct metric_row sample_metrics[];
/* By its name; METRICS: it is none of ours. */
enum metric_id metric_find(struct nr_str name);
/* Is it a number in the samples of functions, or of nodes? (Not: what is derived, what is a sketch, what the broker knows.) */
bool sample_tells(enum metric_id id, bool node);

/* Counts of values in buckets that grow by SKETCH_GROWTH: a value v >= 1 us is in bucket ceil(log(v in us) / log(SKETCH_GROWTH)), so a percentile is wrong
 * by 5 % at most. Sparse when written. After DDSketch (Masson, Rim, Lee 2019). */
#define SKETCH_GROWTH 1.1
enum { SKETCH_BUCKETS = 240 }; /* up to 2.3 hours */
struct sketch {
    uint32_t count; /* all of them */
    uint32_t bucket[SKETCH_BUCKETS];
};
/* The bucket of a time. */
unsigned sketch_bucket(uint64_t us);
void sketch_add_us(struct sketch *s, uint64_t us);
void sketch_merge(struct sketch *to, const struct sketch *more);
/* Of 0 < q <= 1, in milliseconds; 0 when it is empty. */
double sketch_quantile_ms(const struct sketch *s, double q);

enum {
    SAMPLE_LABELS_MAX = 8,
    SAMPLE_NAME_MAX_BYTES = 128, /* of metrics and labels, and a label's value */
    SAMPLE_ENTITY_MAX_BYTES =
        256, /* of nodes and accounts; "package/name" has twice that and the slash */
    SAMPLE_MAX_BYTES = 65536
};

enum { SAMPLE_DURATION, SAMPLE_QUEUE_WAIT, SAMPLE_COLD_START, SAMPLE_SKETCHES };
/* Their metrics, enum metric_id. */
extern const unsigned char sample_sketches[SAMPLE_SKETCHES];

struct sample_label {
    struct nr_str name, value;
};

/* One message, read. Texts are lent by `text` of sample_read(). */
struct sample {
    int64_t t_ms, span_ms;                          /* wall clock at the end of the span */
    uint64_t seq;                                   /* of its node, rising by one; 0: not told */
    bool at_once;                                   /* calls wait: to be decided on at once */
    struct nr_str node, account, function, version; /* function: "name" or "package/name" */
    uint64_t has;                                   /* 1 << enum metric_id */
    double value[METRICS];
    struct sketch *sketch[SAMPLE_SKETCHES]; /* NULL: none; lent by the reader's room */
    /* the short form: its name, and has == 0 */
    struct nr_str metric;
    double metric_value;
    struct sample_label label[SAMPLE_LABELS_MAX];
    unsigned label_count;
};

/* What a sample is read into, used again and again; zeroed at first. */
struct sample_room {
    char decoded[4096]; /* strings with escapes */
    size_t used;
    struct sketch sketch[SAMPLE_SKETCHES];
};

/* Reads a message. NR_EINVAL with a sentence: it is none, or none of version 1. Numbers that are not finite, names beyond SAMPLE_NAME_MAX_BYTES,
 * too many labels are refused. No t: now_ms; a t further than a day from now_ms is refused. */
int sample_read(struct nr_str text, int64_t now_ms, struct sample_room *room, struct sample *ret,
                struct nr_err *err);
/* Writes the long form, or the short one when `metric` is told. */
void sample_write(const struct sample *s, struct nr_buf *out);
/* A function's sample becomes one that is to be decided on at once: its gauges are left. */
void sample_at_once(struct sample *s);
/* The key of the message. */
void sample_key(const struct sample *s, struct nr_buf *out);

#endif
