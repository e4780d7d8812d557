/* The last hour of every metric that a rule may ask for. Pure: fed with samples in the order in which they came, asked with a time; the same samples
 * and the same times give the same answers to the last bit, which replays depend on.
 *
 * Seconds are kept for two minutes, ten seconds for an hour; sketches likewise. A series that nobody has asked for in ten minutes and that has no
 * policy goes; their number and memory are bounded, and what has no room is counted.
 */
#ifndef NR_SCALER_DECIDE_WINDOWS_H
#define NR_SCALER_DECIDE_WINDOWS_H

#include "scaler/policy/policy.h"

struct windows;

/* max_bytes: of all series together. */
struct windows *windows_make(size_t max_bytes);
void windows_free(struct windows *w);
void windows_add(struct windows *w, const struct sample *s);
/* The lag of a topic's group as the broker tells it: a sample of trigger_lag. */
void windows_add_lag(struct windows *w, const char *topic, const char *group, double lag,
                     int64_t now_ms);
/* All of an account's functions are forgotten. */
void windows_forget(struct windows *w, const char *account);

/* What a condition gets. */
struct window_value {
    double value;
    unsigned samples; /* that it is made of */
    int64_t
        age_ms; /* of the newest of them; of a function without samples while its node lives: of the node's; INT64_MAX: never seen */
};
/* account, function (lent): whose, for metrics of a function. A function that no node tells of, while nodes live, has 0 in all (see ports/sample.h). */
struct window_value windows_ask(struct windows *w, const struct metric_ref *m, const char *account,
                                const char *function, enum aggregate a, int64_t window_ms,
                                int64_t now_ms);

/* What is the case now with a function's containers, all nodes together: of the newest samples. */
struct window_now {
    int64_t instances, busy, starting, instance_mb, instances_max, concurrent_max, inflight,
        waiting;
    int64_t node_free_mb; /* of all nodes */
    bool known;           /* a node lives */
};
void windows_now(struct windows *w, const char *account, const char *function, int64_t now_ms,
                 struct window_now *ret);
size_t windows_bytes(const struct windows *w);

#endif
