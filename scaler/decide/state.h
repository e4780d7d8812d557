/* What a policy remembers between two evaluations, and the work on one of them. Inside decide.
 */
#ifndef NR_SCALER_DECIDE_STATE_H
#define NR_SCALER_DECIDE_STATE_H

#include <stdarg.h>

#include "scaler/decide/decide.h"

enum {
    SLIDING_MAX = 32,
    CHANGES_MAX = 32,
    START_DEADLINE_MS = 30000, /* for so long what was decided counts as capacity, started or not */
    KEEP_WINDOWS = 2           /* of the longest window pass before anything goes down, or decays */
};

/* The highest (or lowest) of a stretch of time: values that a later one did not surpass, in the order of time. */
struct sliding {
    unsigned n;
    int64_t t_ms[SLIDING_MAX], value[SLIDING_MAX];
};

struct rule_state {
    int64_t cool_ms[2]; /* [DOWN, UP]: until when it does not vote that way; 0: it may */
    bool held;
};

/* All of it is plain numbers. What comes before `high` is copied as a whole, the rest as far as it is used. */
struct memory {
    int64_t now_ms, first_ms; /* of the newest and the first evaluation; 0: there was none */
    int64_t last, level;      /* desired; the part of it that rules voted for */
    int64_t min_warm, maximum;
    bool on_demand;
    int64_t voted_ms, raised_ms; /* a rule last voted; desired was last raised */
    int64_t block_ms;            /* nothing goes down until then ... */
    int64_t block_priority;      /* ... but for rules of a higher priority */
    unsigned change_count;
    struct sliding high, low; /* what was recommended */
    struct {
        int64_t t_ms, low, high;
    } change[CHANGES_MAX]; /* what desired became; the oldest ones may be taken together */
    struct rule_state rule[POLICY_RULES_MAX];
    int64_t since_ms[POLICY_CONDITIONS_MAX]; /* a condition with `for` holds; 0: it does not */
};

struct decide_state {
    const struct policy *policy; /* shared */
    int64_t longest_ms;          /* of its windows */
    int64_t looks_at; /* a number for what its conditions ask for: another one, other windows */
    bool sets_zero;   /* a rule of it may take the last container */
    struct {
        int64_t last_ms, next_ms;
    } schedule[POLICY_SCHEDULES_MAX]; /* as timetables told it last */
    struct memory now, before; /* before: the evaluation at now.now_ms, which may come again */
};

enum direction { DOWN, UP };
enum truth { FALSE, TRUE, UNKNOWN };

/* One evaluation. */
struct work {
    const struct policy *p;
    const struct decide_input *in;
    struct decide_state *state;
    struct memory *m;
    struct decision *d;
    int64_t from, capacity;                  /* containers that are there or on their way */
    enum truth rule[POLICY_RULES_MAX];       /* does it fire? */
    double value[POLICY_CONDITIONS_MAX];     /* of metrics */
    int64_t vote[POLICY_RULES_MAX];          /* -1: none */
    bool zero_fires, missing, frozen, voted; /* voted: a rule said a number */
    int64_t freeze_priority, block_priority; /* INT64_MIN: nothing forbids */
    int64_t rules, warm, min, max;           /* what rules want; floors and bounds of the moment */
    int64_t wanted;                          /* of all together */
};

/* What is remembered of p, which both belong to. */
void memory_copy(struct memory *to, const struct memory *from, const struct policy *p);
void sliding_high(struct sliding *s, int64_t now_ms, int64_t keep_ms, int64_t value);
void sliding_low(struct sliding *s, int64_t now_ms, int64_t keep_ms, int64_t value);
void memory_changed(struct memory *m, int64_t now_ms, int64_t to);
/* The highest or the lowest that desired was in the last `per_ms`. */
int64_t memory_extreme(const struct memory *m, int64_t now_ms, int64_t per_ms, bool highest);

/* Does each rule fire? Inputs go into the decision. */
void rules_judge(struct work *w);
/* What each rule that fires votes. */
void rules_vote(struct work *w);
/* The first metric of a condition. */
const struct condition *first_metric(const struct policy *p, const struct condition *c);
/* Schedules, forecast, votes together: w->wanted. */
void floors_raise(struct work *w);
void votes_merge(struct work *w);
/* From w->from towards w->wanted as far as limits allow. */
int64_t limits_clamp(struct work *w);
/* The bounds' minimum, and that of the schedules of the moment, within the maximum. */
int64_t bounds_min(const struct work *w);
/* What limits nothing (`from` is `to`) is no clamp. */
void clamp_note(struct work *w, enum clamp_kind kind, int64_t from, int64_t to, const char *fmt,
                ...) __attribute__((format(printf, 5, 6)));

/* As vsnprintf(), of %s, %.20s, %lld and %% alone. */
void why_write(char why[DECISION_WHY_BYTES], const char *fmt, va_list ap)
    __attribute__((format(printf, 2, 0)));
void why_say(char why[DECISION_WHY_BYTES], const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* Is a value of this metric told of all containers together (and track's target of one of them), or is it of one alike? */
bool metric_is_total(enum metric_id id);
/* The smallest whole number that is not less, but for what rounding added; 0 to POLICY_COUNT_MAX. */
int64_t count_up(double number);
/* A number as people write it: up to three digits behind the point. */
struct number_text {
    char z[24];
};
struct number_text number_text(double number);

#endif
