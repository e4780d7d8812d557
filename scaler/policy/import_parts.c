/* What importers share: values out of a foreign document, whatever type they were written in, and the parts of ours that they become.
 */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "common/base/json.h"
#include "common/base/mem.h"
#include "scaler/policy/import.h"
#include "scaler/policy/reader.h"
#include "scaler/policy/timetable.h"

enum { NOTES_MAX = 100, NOTE_BYTES = 400, SPANS_MAX = 400, RULES_OF_IMPORT = POLICY_RULES_MAX - 4 };
#define YEAR_MS (INT64_C(366) * 86400000)

void import_note(struct import *m, const char *fmt, ...)
{
    char text[NOTE_BYTES];
    va_list args;

    if (m->noted++ >= NOTES_MAX)
        return;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    for (char *c = text; *c; c++)
        if ((unsigned char)*c < ' ')
            *c = ' ';
    nr_buf_printf(m->notes, "%s\n", text);
}

json_t *import_at(const json_t *from, const char *path)
{
    struct nr_str rest = nr_str_of(path), word;
    char name[80];

    while (from && nr_str_split(&rest, '.', &word)) {
        (void)snprintf(name, sizeof(name), "%.*s", (int)word.n, word.p);
        from = json_object_get(from, name);
    }
    return (json_t *)(uintptr_t)from;
}

/* What does not fit is left empty rather than cut. */
static bool take_text(const char *text, char *out, size_t out_bytes)
{
    if ((size_t)snprintf(out, out_bytes, "%s", text) < out_bytes)
        return true;
    out[0] = '\0';
    return false;
}

static bool text_of(const json_t *value, char *out, size_t out_bytes)
{
    nr_auto_free char *number = NULL;

    if (json_is_string(value))
        return take_text(json_string_value(value), out, out_bytes);
    if (!json_is_number(value) && !json_is_boolean(value))
        return false;
    number = nr_json_text(value, &(size_t){0});
    return number && take_text(number, out, out_bytes);
}

bool import_text(const json_t *from, const char *path, char *out, size_t out_bytes)
{
    return text_of(import_at(from, path), out, out_bytes);
}

json_t *import_labels(struct import *m, const json_t *from)
{
    char name[POLICY_NAME_MAX_BYTES], text[SAMPLE_NAME_MAX_BYTES + 1];
    json_t *labels = json_object(), *value;
    const char *key;

    json_object_foreach((json_t *)(uintptr_t)from, key, value) {
        bool good = take_text(key, name, sizeof(name)) && text_of(value, text, sizeof(text)) &&
                    text[0] != '\0' && json_object_size(labels) < SAMPLE_LABELS_MAX;

        for (char *c = name; *c; c++)
            if (!name_fits_here((struct nr_str){c, 1}) && (c == name || !strchr("._-:", *c)))
                *c = '_';
        if (good && strcmp(name, key) != 0)
            import_note(m, "labels: \"%.100s\" is \"%.100s\" here", key, name);
        if (good)
            (void)json_object_set_new(labels, name, json_string(text));
        else
            import_note(m, "labels: \"%.100s\" cannot be taken and is left out", key);
    }
    if (json_object_size(labels) > 0)
        return labels;
    json_decref(labels);
    return NULL;
}

/* The number that a text begins with, and what follows it. */
static bool number_of(const json_t *value, double *ret, char rest[8])
{
    char text[64], *end;

    if (!text_of(value, text, sizeof(text)) || strspn(text, "0123456789+-.eE") == 0)
        return false;
    *ret = strtod(text, &end);
    return end != text && isfinite(*ret) && (size_t)snprintf(rest, 8, "%s", end) < 8;
}

double import_number(const json_t *from, const char *path, double missing)
{
    char rest[8];
    double v;

    return number_of(import_at(from, path), &v, rest) && (rest[0] == '\0' || strcmp(rest, "%") == 0)
               ? v
               : missing;
}

bool import_quantity(const json_t *value, double *ret)
{
    static const struct {
        const char *unit;
        double times;
    } units[] = {
        {"", 1},     {"m", 1e-3},  {"k", 1e3},      {"M", 1e6},           {"G", 1e9},
        {"T", 1e12}, {"Ki", 1024}, {"Mi", 1048576}, {"Gi", 1073741824.0}, {"Ti", 1099511627776.0},
        {"%", 1}};
    char rest[8];
    double v;

    if (!number_of(value, &v, rest))
        return false;
    for (size_t i = 0; i < nr_countof(units); i++)
        if (strcmp(rest, units[i].unit) == 0) {
            *ret = v * units[i].times;
            return true;
        }
    return false;
}

int64_t import_duration(struct import *m, const json_t *from, const char *path, int64_t missing_ms,
                        int64_t low_ms, int64_t high_ms)
{
    const json_t *value = import_at(from, path);
    char rest[8], low[24], high[24];
    int64_t ms = missing_ms;
    double v;

    if (json_is_string(value) &&
        duration_read((struct nr_str){json_string_value(value), json_string_length(value)}, &ms) ==
            0)
        ;
    else if (number_of(value, &v, rest) && rest[0] == '\0' && v >= 0 && v < 1e10)
        ms = (int64_t)(v * 1000);
    else if (value)
        import_note(m, "%s: it is no time; the default is taken", path);
    if (ms >= low_ms && ms <= high_ms)
        return ms;
    duration_write(low_ms, low);
    duration_write(high_ms, high);
    import_note(m, "%s: only %s to %s are possible here; the nearest is taken", path, low, high);
    return ms < low_ms ? low_ms : high_ms;
}

int64_t import_count(double v)
{
    if (!(v > 0))
        return 0;
    return v >= POLICY_COUNT_MAX ? POLICY_COUNT_MAX : (int64_t)ceil(v);
}

void import_metric_name(const char *prefix, const char *text, char *out, size_t out_bytes)
{
    (void)snprintf(out, out_bytes, "%s_%s", prefix, text);
    for (char *c = out; *c; c++) {
        bool good =
            (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9');

        if (!good)
            *c = '_';
    }
}

int import_target(struct import *m, const char *name, const char *space)
{
    json_t *target = json_object_get(m->document, "target");

    if (name == NULL || name[0] == '\0')
        return nr_err_set(m->err, NR_EINVAL, "it does not say what it scales");
    (void)json_object_set_new(m->document, "policy", json_string(name));
    if (space && space[0] != '\0') {
        (void)json_object_set_new(target, "account", json_string(space));
        import_note(m, "target.account: taken from the namespace \"%.60s\"", space);
    } else
        import_note(m,
                    "target.account: it is not said here and left out; write whose function it is");
    (void)json_object_set_new(target, "function", json_string(name));
    import_note(
        m,
        "target.function: \"%.100s\", as there; if the function has another name here, write "
        "that",
        name);
    return 0;
}

void import_tick(struct import *m, int64_t ms)
{
    m->tick_ms = ms;
    import_set_duration(m->document, "evaluate_every", ms);
}

void import_bounds(struct import *m, double min, double max)
{
    json_t *bounds = json_object_get(m->document, "bounds");

    m->max = max < 0 ? -1 : (double)import_count(max);
    if (m->max >= 0 && min > m->max) {
        import_note(m, "bounds.min: it was above max, and is max now");
        min = m->max;
    }
    (void)json_object_set_new(bounds, "min", json_integer(import_count(min)));
    if (m->max >= 0)
        (void)json_object_set_new(bounds, "max", json_integer((json_int_t)m->max));
}

static bool id_taken(const struct import *m, const char *id)
{
    size_t i;
    json_t *rule;

    json_array_foreach(m->rules, i, rule)
        if (strcmp(nr_json_string(rule, "id"), id) == 0)
            return true;
    return false;
}

/* Of any text; with a number behind it when there is one already. */
static void make_id(const struct import *m, const char *text, char id[80])
{
    int n = snprintf(id, 64, "%s", text);

    for (char *c = id; *c; c++)
        if (!name_fits_here((struct nr_str){c, 1}) && (c == id || !strchr("._-", *c)))
            *c = c == id ? 'm' : '_';
    n = n < 64 ? n : 63;
    for (int i = 2; id_taken(m, id); i++)
        (void)snprintf(id + n, 80 - (size_t)n, "-%d", i);
}

json_t *import_rule(struct import *m, const char *text, json_t *when, json_t *what)
{
    bool full = json_array_size(m->rules) >= RULES_OF_IMPORT;
    char id[80];
    json_t *rule;

    make_id(m, text, id);
    if (strcmp(id, text) != 0)
        import_note(m, "rules: \"%.100s\" is the rule \"%s\" here", text, id);
    rule = json_pack("{s:s,s:o,s:o}", "id", id, "when", when, "do", what);
    if (full)
        import_note(m, "rules: more than there may be; \"%s\" is left out", id);
    (void)json_array_append_new(full ? m->left_out : m->rules, rule);
    return rule;
}

json_t *import_when(const struct import *m, const char *metric, const char *aggregate,
                    int64_t window_ms, const char *op, double value)
{
    json_t *when = json_object();

    if (window_ms < 2 * m->tick_ms)
        window_ms = 2 * m->tick_ms;
    (void)json_object_set_new(when, "metric", json_string(metric));
    (void)json_object_set_new(when, "aggregate", json_string(aggregate));
    import_set_duration(when, "window",
                        window_ms > POLICY_WINDOW_MAX_MS ? POLICY_WINDOW_MAX_MS : window_ms);
    if (op) {
        (void)json_object_set_new(when, "op", json_string(op));
        import_set_number(when, "value", value);
    }
    return when;
}

json_t *import_track(double target, double tolerance)
{
    json_t *what = json_pack("{s:s}", "action", "track");

    import_set_number(what, "target", target > 1e-6 ? target < 1e12 ? target : 1e12 : 1e-6);
    import_set_number(what, "tolerance", tolerance);
    return what;
}

json_t *import_set(int64_t count)
{
    return json_pack("{s:s,s:I}", "action", "set", "count", (json_int_t)count);
}

json_t *import_member(struct import *m, const char *name, const char *below)
{
    json_t *object = json_object_get(m->document, name), *part;

    if (object == NULL) {
        object = json_object();
        (void)json_object_set_new(m->document, name, object);
    }
    if (below == NULL)
        return object;
    if ((part = json_object_get(object, below)) == NULL) {
        part = json_object();
        (void)json_object_set_new(object, below, part);
    }
    return part;
}

void import_set_duration(json_t *object, const char *name, int64_t ms)
{
    char text[24];

    duration_write(ms, text);
    (void)json_object_set_new(object, name, json_string(text));
}

/* As people write it: 0.7 times 100 is 70, and not 70.00000000000001. */
void import_set_number(json_t *object, const char *name, double v)
{
    char text[32];
    double short_v;

    (void)snprintf(text, sizeof(text), "%.12g", v);
    short_v = strtod(text, NULL);
    (void)json_object_set_new(object, name,
                              short_v == floor(short_v) && fabs(short_v) < 1e15
                                  ? json_integer((json_int_t)short_v)
                                  : json_real(short_v));
}

void import_note_others(struct import *m, const json_t *object, const char *path,
                        const char *const *known)
{
    const char *name;
    json_t *value;

    json_object_foreach((json_t *)(uintptr_t)object, name, value) {
        const char *const *k = known;

        while (*k && strcmp(*k, name) != 0)
            k++;
        if (*k == NULL)
            import_note(m, "%s%s%.100s: has no counterpart; left out", path, path[0] ? "." : "",
                        name);
    }
}

/* Compared without a zone, where all days have 24 hours. */
int import_span(const char *start, const char *end, int64_t *ret_ms)
{
    struct timetable *from = NULL, *to = NULL;
    int64_t at = INT64_C(1767225600000), limit = at + YEAR_MS, span = -1; /* from 2026 on */
    int steps = 0;
    int r =
        timetable_make(start, NULL, &from, NULL) == 0 && timetable_make(end, NULL, &to, NULL) == 0
            ? 0
            : -1;

    while (r == 0 && steps++ < SPANS_MAX && (at = timetable_next(from, at)) < limit) {
        int64_t until = timetable_next(to, at);

        r = until == INT64_MAX || (span >= 0 && until - at != span) ? -1 : 0;
        span = until - at;
    }
    timetable_free(from);
    timetable_free(to);
    if (r < 0 || span < 0)
        return -1;
    *ret_ms = span;
    return 0;
}
