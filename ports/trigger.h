/* What the function manager hands out of triggers and of API routes: immutable, shared snapshots, counted atomically, as those of functions.
 * Any thread may hold and release.
 */
#ifndef NR_PORTS_TRIGGER_H
#define NR_PORTS_TRIGGER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ports/function.h"

/* A rule of a trigger. */
struct trigger_rule {
    char *name; /* in the trigger's account */
    bool active;
    struct function_target action;
};

/* A trigger with all its rules, by name. All texts are part of the snapshot. */
struct trigger {
    _Atomic int refs;
    char *account, *name;
    char *version;    /* "0.0.1" */
    char *parameters; /* JSON object text; "{}" when none */
    bool secret;      /* some of them are: what they give to a call is not kept as it is */
    struct trigger_rule *rules;
    size_t rule_count;
};

/* Another holder. Returns t. */
struct trigger *trigger_ref(struct trigger *t);
/* One holder less; the last one frees. NULL is fine. */
void trigger_unref(struct trigger *t);

/* One operation of an API: what a method and a path of it call. */
struct api_route {
    char *base_path; /* "/base" */
    char *path;      /* "/club/{id}": a word in braces takes one segment */
    char *method;    /* "GET" */
    struct function_target action;
    char *extension; /* of the web action: "http", "json", "html", "svg", "text" */
    char *secret;    /* sent as X-Require-Whisk-Auth; "" when none */
};

/* All operations of an account's APIs; those with fewer words in braces come first. */
struct api_table {
    _Atomic int refs;
    char *account;
    struct api_route *routes;
    size_t count;
};

struct api_table *api_table_ref(struct api_table *t);
void api_table_unref(struct api_table *t);

#endif
