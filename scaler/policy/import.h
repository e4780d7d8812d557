/* Settings of other platforms on their way to a document of ours. Private to the importers; one thread at a time.
 */
#ifndef NR_SCALER_POLICY_IMPORT_H
#define NR_SCALER_POLICY_IMPORT_H

#include <jansson.h>

#include "scaler/policy/policy.h"

struct import {
    json_t *document;         /* ours; made by policy_import() */
    json_t *rules, *schedule; /* lent by `document` */
    json_t *left_out;         /* made: rules beyond the most that there may be */
    struct nr_buf *notes;
    unsigned noted;
    int64_t tick_ms; /* evaluate_every */
    double max;      /* bounds.max; < 0: none */
    struct nr_err *err;
};

/* Tells what has no counterpart or means something else: a line. */
void import_note(struct import *m, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The value at a path of members ("spec.template.metadata"); NULL: it is not there. Lent. */
json_t *import_at(const json_t *from, const char *path);
/* The text of a string or number there into out (lent); false: there is none, or none that fits. */
bool import_text(const json_t *from, const char *path, char *out, size_t out_bytes);
/* A number, also one in quotes; `missing` when it is not there or is none. */
double import_number(const json_t *from, const char *path, double missing);
/* The same of a value with a unit as Kubernetes writes them: "500m", "64Mi", "1k". */
bool import_quantity(const json_t *value, double *ret);
/* A time as "90s", "1h30m" or a number of seconds, within low_ms..high_ms, which is noted when it had to be moved. */
int64_t import_duration(struct import *m, const json_t *from, const char *path, int64_t missing_ms,
                        int64_t low_ms, int64_t high_ms);
/* Labels of a metric (made) with names that are possible here; NULL: there is none. */
json_t *import_labels(struct import *m, const json_t *from);
/* A whole number between 0 and POLICY_COUNT_MAX. */
int64_t import_count(double v);
/* Letters, digits and "_" of a text, for metrics that producers have to tell. */
void import_metric_name(const char *prefix, const char *text, char *out, size_t out_bytes);

/* Sets the name, and the target of a function; its account is the namespace, when there is one. name (lent): NULL or "": NR_EINVAL. */
int import_target(struct import *m, const char *name, const char *space);
void import_tick(struct import *m, int64_t ms);
/* max < 0: none. */
void import_bounds(struct import *m, double min, double max);
/* Adds a rule and returns it (lent). text: what its id is made of. when, what: given. */
json_t *import_rule(struct import *m, const char *text, json_t *when, json_t *what);
/* A condition (made): of a metric over a window, at least two ticks of it; op NULL: compared with nothing. */
json_t *import_when(const struct import *m, const char *metric, const char *aggregate,
                    int64_t window_ms, const char *op, double value);
/* What a rule does (made). */
json_t *import_track(double target, double tolerance);
json_t *import_set(int64_t count);
/* Members of an object that is made when it is not there: import_member(m, "limits", "down") is document.limits.down. */
json_t *import_member(struct import *m, const char *name, const char *below);
void import_set_duration(json_t *object, const char *name, int64_t ms);
void import_set_number(json_t *object, const char *name, double v);
/* Notes each member of an object that is not among the known ones, which end with NULL. */
void import_note_others(struct import *m, const json_t *object, const char *path,
                        const char *const *known);

/* Kubernetes' `behavior`, which others take over, as limits. NULL: its defaults. */
void import_behavior(struct import *m, const json_t *behavior);
/* Its `metrics`, each as a rule that tracks. */
void import_metrics(struct import *m, const json_t *metrics);
/* The minutes of a day between the times of two crons, when it is the same each time: 0, or -1. */
int import_span(const char *start, const char *end, int64_t *ret_ms);

int import_knative(struct import *m, const json_t *from);
int import_keda(struct import *m, const json_t *from);
int import_hpa(struct import *m, const json_t *from);
int import_openfaas(struct import *m, const json_t *from);
int import_fission(struct import *m, const json_t *from);

#endif
