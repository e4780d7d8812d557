/* A function, its node and a policy in simulated time: tests say what is the case, samples go into windows second by second, the policy is evaluated.
 */
#ifndef TESTS_SCALER_DECIDE_SIM_H
#define TESTS_SCALER_DECIDE_SIM_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "scaler/decide/decide.h"

#define SIM_BEGAN_MS 1767603600000 /* 2026-01-05 09:00 UTC, a Monday */

struct sim {
    int64_t now_ms, began_ms;
    struct policy *policy;
    struct decide_state *state;
    struct windows *windows;
    struct decision d;
    struct forecast_view forecast;
    uint64_t seq;
    /* what is the case; `tells`: the function has samples, `lives`: the node has */
    bool tells, lives, at_once; /* at_once: the evaluation is one */
    double inflight, instances, starting, waiting, calls, errors, throttles, instance_mb, free_mb,
        instances_max, concurrent_max, cpu;
    uint64_t duration_us; /* of each call */
    unsigned changes;     /* of desired, since they were set to 0 */
};

/* policy_json: a document in one line, ' for ". */
struct sim *sim_make(const char *policy_json);
void sim_free(struct sim *s);
/* So many seconds go by with samples. */
void sim_run(struct sim *s, int seconds);
/* So long after the last second calls wait: a sample at once, and the evaluation on it; what is desired then. */
int64_t sim_at_once(struct sim *s, int64_t ms);
/* The node's sample of the next second has come, the function's not yet. */
void sim_half(struct sim *s);
/* An evaluation now: what is desired. */
int64_t sim_decide(struct sim *s);
/* Seconds go by, and every `every` of them there is an evaluation. `follow`: containers are what is desired, a second later. */
int64_t sim_evaluate(struct sim *s, int seconds, int every, bool follow);
/* A value of somebody's producer. label NULL: without. */
void sim_custom(struct sim *s, const char *name, double value, const char *label, const char *is);
/* A metric of the function (or of the node) over a window, and its value alone. */
struct window_value sim_ask(struct sim *s, const char *metric, enum aggregate a, int seconds);
double sim_value(struct sim *s, const char *metric, enum aggregate a, int seconds);
/* The policy has an evaluation behind it that is long enough ago for all to go down. */
void sim_old(struct sim *s);
bool sim_clamped(const struct sim *s, enum clamp_kind kind);
/* The vote of a rule; -2: it has none. */
int64_t sim_vote(const struct sim *s, const char *rule);
struct policy *sim_policy(const char *policy_json);

#endif
