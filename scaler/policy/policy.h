/* A scaling policy: the document that an administrator writes, read and judged once, then never changed. Pure: no I/O, no clock but the one that
 * is passed in.
 */
#ifndef NR_SCALER_POLICY_POLICY_H
#define NR_SCALER_POLICY_POLICY_H

#include <jansson.h>

#include "common/base/buf.h"
#include "common/base/err.h"
#include "ports/sample.h"
#include "scaler/policy/timetable.h"

enum {
    POLICY_MAX_BYTES = 65536,
    POLICY_RULES_MAX = 32,
    POLICY_CONDITIONS_MAX = 128, /* of all rules together */
    POLICY_SCHEDULES_MAX = 32,
    POLICY_NOTIFY_MAX = 8,
    POLICY_NAME_MAX_BYTES = 128,
    POLICY_COUNT_MAX = 100000, /* of anything that is counted */
    POLICY_WINDOW_MAX_MS = 3600000,
};

enum policy_mode { POLICY_ENFORCE, POLICY_DRY_RUN, POLICY_OFF };
/* What it scales: containers of a function, stem cells of a kind, or nodes (a wish that goes to a webhook). */
enum policy_target { TARGET_FUNCTION, TARGET_STEMS, TARGET_NODES };
enum aggregate {
    AGGREGATE_AVG,
    AGGREGATE_SUM,
    AGGREGATE_MIN,
    AGGREGATE_MAX,
    AGGREGATE_LAST,
    AGGREGATE_RATE, /* a second */
    AGGREGATE_P50,
    AGGREGATE_P90,
    AGGREGATE_P95,
    AGGREGATE_P99
};
enum compare { OP_NONE, OP_GT, OP_GE, OP_LT, OP_LE, OP_EQ, OP_NE, OP_BETWEEN, OP_OUTSIDE };
enum condition_kind { CONDITION_METRIC, CONDITION_ALL, CONDITION_ANY, CONDITION_NOT };
enum rule_action {
    ACTION_TRACK,
    ACTION_ADD,
    ACTION_REMOVE,
    ACTION_SET,
    ACTION_PREWARM,
    ACTION_FREEZE,
    ACTION_ALERT
};
enum missing_do { MISSING_HOLD, MISSING_FALLBACK, MISSING_CURRENT_IF_HIGHER };

/* Which series a condition looks at. Texts live with the policy. */
struct metric_ref {
    enum metric_id id; /* METRICS: a metric of somebody's producer, by its name */
    const char *name;  /* as it was written */
    const char *
        account, /* of another function than the policy's own ("labels":{"account":..,"function":..}); NULL: its own */
        *function;
    const char *topic, *group; /* of trigger_lag; NULL: none was given */
    unsigned label_count;
    struct sample_label label[SAMPLE_LABELS_MAX]; /* further ones, that the series must have */
};

struct condition {
    enum condition_kind kind;
    unsigned first, count; /* of ALL, ANY, NOT: its parts, one after another in policy.conditions */
    enum aggregate aggregate;
    int64_t window_ms;
    enum compare op; /* OP_NONE: only its value is wanted (track) */
    double value, value2;
    int64_t for_ms; /* it must hold for so long; 0: at once */
    struct metric_ref metric;
};

struct rule {
    const char *id;
    int priority;
    unsigned
        when; /* in policy.conditions; the value that track follows is that of the first metric in it */
    enum rule_action action;
    double target, tolerance; /* track */
    int64_t count, at_least;  /* add, remove, set, prewarm; -1: not given */
    double percent;           /* add, remove; < 0: not given */
    int64_t block_down_for_ms, cooldown_ms;
    const char *notify[POLICY_NOTIFY_MAX]; /* names of channels; ends with NULL when shorter */
};

/* From each time of the timetable on, for so long; overlapping ones take the highest of each. */
struct schedule {
    struct timetable *when;      /* made */
    const char *cron, *timezone; /* as they were written */
    int64_t for_ms;
    int64_t min_warm, min, max; /* -1: not given */
};

struct predict {
    bool enabled, may_prewarm, may_raise_min;
    int64_t history_ms, season_ms[8];
    unsigned season_count;
    int64_t horizon_ms; /* 0: auto */
    double quantile, min_confidence;
    int64_t max_extra;
};

/* One direction. -1: no bound. */
struct step_limit {
    int64_t max_count, per_ms, stabilize_ms;
    double max_percent;
};

struct policy {
    const char *name, *description; /* description: NULL: none */
    int64_t number;                 /* version of the document, 1 and up; set by the store */
    enum policy_target target;
    const char *account, *function; /* TARGET_FUNCTION; function "name" or "package/name" */
    const char *version; /* "PUBLISHED", "LATEST", NULL: all of them together, whatever it says */
    const char *stems;   /* TARGET_STEMS: the kind */
    const char *webhook; /* TARGET_NODES, alerts: name of a channel; NULL: none */
    enum policy_mode mode;
    int64_t evaluate_every_ms;
    int64_t min, max, min_warm; /* max: -1 none */
    bool on_demand;             /* waiting calls may start containers beyond desired, up to max */
    struct rule *rules;
    unsigned rule_count;
    struct condition *conditions;
    unsigned condition_count;
    struct schedule *schedules;
    unsigned schedule_count;
    struct predict predict;
    struct step_limit up, down;
    int64_t missing_after_ms, missing_fallback;
    enum missing_do missing;
    char *document; /* made: the document as it was given, compact JSON */
    void *memory;   /* private: what the texts and arrays live in */
    int refs;
};

/* A mistake, as people need it: where it is ("rules[1].when.window"), what stands there, why it is wrong, and the nearest that would be right. */
struct policy_problem {
    char path[160], value[80], why[200], nearest[80]; /* nearest "": nothing is near */
};

/* Reads a document in the long or the short form ({"min":0,"max":20,"target_inflight":0.7}, which becomes the rules busy, burst and quiet; `account`
 * and `function` may then stand beside it). 0 and a policy (shared, given); or NR_EINVAL with up to `room` problems in ret, their number in *ret_count
 * and the first as a sentence in err. name (lent): what the document is to be called when it does not say; NULL: it must. Unknown members are
 * problems: a mistyped one must not be passed over. */
int policy_read(struct nr_str text, const char *name, struct policy **ret,
                struct policy_problem *problems, size_t room, size_t *ret_count,
                struct nr_err *err);
struct policy *policy_ref(struct policy *p);
/* NULL is fine. */
void policy_unref(struct policy *p);
/* The whole document with every default written out (the short form expanded), as `narae scale show --full` prints it. */
json_t *policy_write(const struct policy *p);
/* Words of the language, for records and texts. */
const char *policy_mode_text(enum policy_mode m);
const char *aggregate_text(enum aggregate a);
const char *compare_text(enum compare o);
const char *rule_action_text(enum rule_action a);
/* "90s", "6h", "500ms": 0 and *ret_ms, or NR_EINVAL. The other way: the shortest text. */
int duration_read(struct nr_str text, int64_t *ret_ms);
void duration_write(int64_t ms, char ret[24]);

/* Settings of other platforms as our documents. */
enum import_from { IMPORT_KNATIVE, IMPORT_KEDA, IMPORT_HPA, IMPORT_OPENFAAS, IMPORT_FISSION };
/* text: JSON, or YAML as their tools write it. *ret: our document (made); notes: a line for each setting that has no counterpart or means something
 * else here. NR_EINVAL with a sentence: it is no such document. */
int policy_import(enum import_from from, struct nr_str text, json_t **ret, struct nr_buf *notes,
                  struct nr_err *err);

#endif
