/* The last hour of every metric that a rule asks for. Pure: fed with samples in the order in which they came, asked with a time; the same samples
 * and the same times give the same answers to the last bit, which replays depend on.
 *
 * A window of up to two minutes is exact to the second: it ends with the newest second that all living nodes have told of. A longer one is rounded up to
 * tens of seconds. Of percentiles there are sketches. A function has rings for the metrics that were asked for, since they were (windows_want), so that
 * memory goes where policies are; of all others only the newest sample is known. What nobody tells of or asks for goes (ten minutes, two hours when it
 * was asked for); memory is bounded, and what has no room is counted.
 */
#ifndef NR_SCALER_DECIDE_WINDOWS_H
#define NR_SCALER_DECIDE_WINDOWS_H

#include "scaler/policy/policy.h"

struct windows;

/* max_bytes: of all series together. */
struct windows *windows_make(size_t max_bytes);
void windows_free(struct windows *w);
/* What time it is: a sample of more than a minute later is not taken from now on, for it would push out what is known. To be told before samples are added,
 * as recorded when they are replayed; never told, every time is believed. */
void windows_clock(struct windows *w, int64_t now_ms);
void windows_add(struct windows *w, const struct sample *s);
/* Until when all that nodes told of functions has come; INT64_MAX, as at first: whatever they told. Nothing is made of what may still be on its way: windows
 * of functions end there and are as old as that, and containers are as they were then. To be told before each function is asked for. */
void windows_heard(struct windows *w, int64_t heard_ms);
/* The lag of a topic's group as the broker tells it: a sample of trigger_lag. */
void windows_add_lag(struct windows *w, const char *topic, const char *group, double lag,
                     int64_t now_ms);
/* Rings for all that the policy's conditions ask for: to be called once before the samples come that its first evaluation shall see. Asking makes them as
 * well, and keeps them. True: nobody had asked for any of it, so nothing of it is known from before. */
bool windows_want(struct windows *w, const struct policy *p, int64_t now_ms);
/* As if nobody had asked for anything: rings go; who lives, and what is the case now, stays known. For replays. */
void windows_unwant(struct windows *w);
/* All of an account's functions are forgotten. */
void windows_forget(struct windows *w, const char *account);

/* What a condition gets.
 *
 * Of several nodes each second's values become one first: they add up; of what is a percentage, a limit or an age the largest counts, of a node's
 * percentages the mean. Then the seconds are aggregated: `sum` of a gauge adds up its seconds, `rate` is what a counter counts in a second, and by how much
 * all else rises in one. inflight_per_instance: calls in flight in the window by the containers that there are now, those on their way with them.
 * A producer's values are taken together, whichever of them fit the labels; what has an account as its label counts for questions of that account, and
 * for those that name it. Where none came in the window the last one stands (but for sum and
 * rate, which are 0). */
struct window_value {
    double value;
    unsigned
        samples; /* that it is made of: seconds of a function's or a node's metric, calls of a sketch, values of a producer's */
    int64_t
        age_ms; /* of the newest of them; of a function without samples while its node lives: of the node's; INT64_MAX: never seen */
};
/* account, function (lent): whose, for metrics of a function. A function that no node tells of, while nodes live, has 0 in all (see ports/sample.h). */
struct window_value windows_ask(struct windows *w, const struct metric_ref *m, const char *account,
                                const char *function, enum aggregate a, int64_t window_ms,
                                int64_t now_ms);

/* What is the case now with a function's containers, all nodes together: of the newest samples. account or function NULL: of the nodes alone. */
struct window_now {
    int64_t instances, busy, starting, instance_mb, instances_max, concurrent_max, inflight,
        waiting;
    int64_t node_free_mb; /* of all nodes; -1: none tells */
    int64_t nodes;        /* that live */
    bool known;           /* a node lives */
};
void windows_now(struct windows *w, const char *account, const char *function, int64_t now_ms,
                 struct window_now *ret);
size_t windows_bytes(const struct windows *w);
/* Samples, series and questions for which there was no room, or whose time was not yet. */
uint64_t windows_dropped(const struct windows *w);

#endif
