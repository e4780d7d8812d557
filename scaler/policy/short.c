/* The short form: {"account":"acme","function":"parse","min":0,"max":20,"target_inflight":0.7}. It becomes the rules busy (as many containers that each
 * has so much to do), burst (twice as many at once when it is suddenly twice that) and quiet (none after ten minutes without a call), and is then read
 * as any other; what is wrong with it is told by the names that were written.
 */
#include "scaler/policy/reader.h"

#include "common/base/json.h"

/* Where each member goes. */
static const struct {
    const char *name, *part; /* part: of the long document; NULL: the top, under its own name */
    const char *path;
} members[] = {
    {"account", "target", "target.account"},
    {"function", "target", "target.function"},
    {"version", "target", "target.version"},
    {"min", "bounds", "bounds.min"},
    {"max", "bounds", "bounds.max"},
    {"min_warm", "bounds", "bounds.min_warm"},
    {"on_demand", "bounds", "bounds.on_demand"},
    {"target_inflight", NULL, "rules[0].do.target"},
};

const char *const short_words[] = {"account",  "function",  "version",         "min", "max",
                                   "min_warm", "on_demand", "target_inflight", NULL};

static const char *const long_words[] = {"rules", "target", "bounds", NULL};

/* A target may stand in both. */
bool short_form(const json_t *document)
{
    bool is_short = false;

    for (int i = 0; short_words[i]; i++)
        is_short = is_short || json_object_get(document, short_words[i]);
    for (int i = 0; long_words[i]; i++)
        is_short = is_short && json_object_get(document, long_words[i]) == NULL;
    return is_short;
}

/* What is no number, or none that can be, goes into the document as it is, to be refused there. */
static json_t *expand_rules(json_t *target)
{
    double given = json_number_value(target), busy = given > 0 && given <= 1e12 ? given : 0.7;

    return json_pack("[{s:s,s:{s:s,s:s,s:s},s:{s:s,s:O}},"
                     "{s:s,s:i,s:{s:s,s:s,s:s,s:s,s:f},s:{s:s,s:i,s:i},s:s},"
                     "{s:s,s:{s:s,s:s,s:s,s:s,s:i},s:{s:s,s:i}}]",
                     "id", "busy", "when", "metric", "inflight_per_instance", "aggregate", "avg",
                     "window", "60s", "do", "action", "track", "target", target,

                     "id", "burst", "priority", 10, "when", "metric", "inflight_per_instance",
                     "aggregate", "avg", "window", "6s", "op", ">=", "value", 2 * busy, "do",
                     "action", "add", "percent", 100, "at_least", 2, "block_down_for", "60s",

                     "id", "quiet", "when", "metric", "invocations", "aggregate", "sum", "window",
                     "10m", "op", "<", "value", 1, "do", "action", "set", "count", 0);
}

json_t *short_expand(const json_t *document)
{
    json_t *full = json_object(), *value, *target = json_object_get(document, "target_inflight");
    const char *name;

    (void)json_object_set_new(full, "target", json_object());
    (void)json_object_set_new(full, "bounds", json_object());
    json_object_foreach((json_t *)(uintptr_t)document, name, value) {
        json_t *into = full;

        if (value == target)
            continue;
        for (size_t i = 0; i < nr_countof(members); i++)
            if (members[i].part && strcmp(members[i].name, name) == 0)
                into = json_object_get(full, members[i].part);
        (void)json_object_set(into, name, value);
    }
    target = target ? json_incref(target) : json_real(0.7);
    (void)json_object_set_new(full, "rules", expand_rules(target));
    json_decref(target);
    return full;
}

const char *short_path(const char *path)
{
    for (size_t i = 0; i < nr_countof(members); i++)
        if (strcmp(members[i].path, path) == 0)
            return members[i].name;
    return path;
}
