/* One evaluation of one policy: a pure function of (samples, state, now). Nothing here reads a clock, a file or the network, so a recorded day is
 * replayed in a second, bit for bit.
 *
 * Rules vote; the forecast and schedules raise floors; limits clamp: steps, bounds, the account's quota, the node's memory, in this order. Every vote,
 * floor and clamp is in the decision.
 */
#ifndef NR_SCALER_DECIDE_DECIDE_H
#define NR_SCALER_DECIDE_DECIDE_H

#include "scaler/decide/windows.h"
#include "scaler/forecast/forecast.h"

enum { DECISION_INPUTS_MAX = 64, DECISION_CLAMPS_MAX = 16, DECISION_WHY_BYTES = 96 };

/* What a policy remembers between evaluations: timers of `for`, cooldowns, stabilisation, the last desired. Made for one policy; small. */
struct decide_state;
struct decide_state *decide_state_make(const struct policy *p);
void decide_state_free(struct decide_state *s);
/* Across restarts, for replays and from one version of a policy to the next: JSON (made) and back. What fits the policy is taken; NULL: it is no such JSON. */
json_t *decide_state_write(const struct decide_state *s);
struct decide_state *decide_state_read(const struct policy *p, const json_t *j);
/* What it remembers of a time later than now_ms, when a clock was ahead, is of now; what lasts until a time lasts no longer than its rule says. */
void decide_state_back(struct decide_state *s, int64_t now_ms);

struct decide_input {
    int64_t now_ms; /* wall clock */
    struct windows *windows;
    struct window_now now;
    struct forecast_view forecast; /* .known false: there is none */
    int64_t
        began_ms; /* since when samples are known: nothing goes down before the longest window of its rules has passed twice */
    int64_t heard_ms; /* what the windows were told by windows_heard(), for the record */
    bool
        at_once; /* calls wait: it is not the policy's time, so what does not raise desired is not decided, nor remembered */
};

struct decision_input {
    const struct condition *condition; /* lent by the policy */
    struct window_value got;
    bool held;    /* the condition held, its `for` included */
    bool unknown; /* never told, or not for longer than the policy waits for what is missing */
    int64_t
        holds_ms; /* of one with `for`: so long it has been the case; -1: it is not, or needs not last */
    int64_t divided_by; /* the containers among which it was shared out; 0: it was not */
};
struct decision_vote {
    const struct rule *rule; /* lent by the policy */
    int64_t desired;         /* -1: no number (freeze, alert) */
    char why[DECISION_WHY_BYTES];
};
enum clamp_kind {
    CLAMP_STEP_UP,
    CLAMP_STEP_DOWN,
    CLAMP_STABILIZE, /* down waits */
    CLAMP_BLOCK_DOWN,
    CLAMP_FREEZE,
    CLAMP_COOLDOWN,
    CLAMP_BOUNDS,
    CLAMP_FUNCTION, /* the function's own limit of instances */
    CLAMP_QUOTA,
    CLAMP_NODE_MEMORY,
    CLAMP_MISSING, /* metrics are missing */
    CLAMP_YOUNG    /* samples are not known for long enough */
};
struct decision_clamp {
    enum clamp_kind kind;
    int64_t from, to;
    char why[DECISION_WHY_BYTES];
};

/* What made the number that limits then clamped. */
enum decision_maker {
    MADE_BY_RULES,
    MADE_BY_MISSING, /* what is done about missing metrics */
    MADE_BY_SCHEDULE,
    MADE_BY_FORECAST,
    MADE_BY_MIN_WARM,
    MADE_BY_MIN,
    MADE_BY_PREWARM, /* a rule's floor */
    MADE_BY_CALLS,   /* that are there */
    MADE_BY_FREEZE,
    MADE_BY_KEEPING, /* nobody voted: what was voted last stays */
    MADE_BY_QUIET    /* nobody voted for so long that it has decayed */
};

struct decision {
    int64_t t_ms;
    const struct policy *policy; /* lent */
    struct decision_input inputs[DECISION_INPUTS_MAX];
    unsigned input_count;
    struct decision_vote votes[POLICY_RULES_MAX + POLICY_SCHEDULES_MAX];
    unsigned vote_count;
    int64_t floor_forecast, floor_schedule; /* -1: none */
    int64_t floor_min, floor_min_warm;      /* the policy's bounds; -1: none */
    enum decision_maker made_by;
    struct forecast_view forecast;
    bool forecast_shadow; /* it raised nothing: not trusted, or not allowed to */
    struct decision_clamp clamps[DECISION_CLAMPS_MAX];
    unsigned clamp_count;
    int64_t from, to; /* desired before and after */
    int64_t min_warm; /* ready containers ahead of calls */
    int64_t maximum;  /* -1: none; of containers, also those that calls start */
    bool
        on_demand; /* may calls start containers; false: freeze, to == 0 with max 0, or the policy says so */
    bool changed;     /* something that the invoker obeys is another than before */
    bool raise_first; /* a rule fired for the first time: channels are told */
    bool at_once;     /* since calls waited */
    uint64_t alerts;  /* bit i: rule i fires and did not before */
    uint32_t took_us; /* set by who measures; no part of equality */
};

/* Evaluates p; s moves on. */
void decide(const struct policy *p, const struct decide_input *in, struct decide_state *s,
            struct decision *ret);
/* The record, as it goes to the bus, the store and `explain`:
 * {"v":1,"kind":"decision","t","policy","number","target":{...},"mode","inputs":[{"metric","labels","aggregate","window","op","than","value","samples","age_ms","held","unknown","for","holds_ms","containers"}],
 *  "votes":[{"rule","action","desired","why"}],"forecast":{"p50","p90","confidence","class","shadow"} or null,"floors":{"forecast","schedule","min","min_warm"},"made_by",
 *  "at_once":"calls wait","clamps":[{"by","from","to","why"}],"fired":[rules that fire and did not before],"from","to","min_warm","maximum","on_demand","took_us"};
 * null stands for a number that there is not; "for" and "holds_ms" are there where a condition has to last, "containers" where a value was shared out among them,
 * "at_once" where it was evaluated between its times since calls waited that may start nothing. */
void decision_write(const struct decision *d, struct nr_buf *out);
/* A clamp's word in the record. */
const char *clamp_text(enum clamp_kind k);
/* Equal in everything but took_us. */
bool decision_equal(const struct decision *a, const struct decision *b);

#endif
