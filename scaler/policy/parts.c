/* The smaller parts of a document: whom it scales, within which bounds, by which timetable, and what it does when metrics are missing.
 */
#include "scaler/policy/reader.h"

#include <math.h>
#include <stdio.h>

#include "common/base/json.h"
#include "ports/target.h"
#include "scaler/policy/zone.h"

#define BIT(i) (UINT32_C(1) << (i))

/* ---- target ---- */

static void account_read(struct reader *r, json_t *value, void *at)
{
    const char *text = text_read(r, value, ENTITY_NAME_MAX_BYTES);

    if (text && entity_name_check(nr_str_of(text), NULL) != 0)
        problem(r, value, NULL, "it is no name of an account");
    else
        *(const char **)at = text;
}

static void function_read(struct reader *r, json_t *value, void *at)
{
    const char *text = text_read(r, value, 2 * ENTITY_NAME_MAX_BYTES + 1);
    struct nr_str rest = nr_str_of(text), word;
    bool good = true;
    int words = 0;

    while (good && nr_str_split(&rest, '/', &word)) {
        good = entity_name_check(word, NULL) == 0;
        words++;
    }
    if (text && (!good || words > 2))
        problem(r, value, NULL, "a function is \"name\" or \"package/name\"");
    else
        *(const char **)at = text;
}

/* "PUBLISHED", "LATEST": there for documents that say it, for a policy holds for all versions together. One alone cannot be scaled. */
static void version_read(struct reader *r, json_t *value, void *at)
{
    const char *text = text_read(r, value, 32);
    struct nearest n;

    if (text == NULL)
        return;
    if (strcmp(text, "PUBLISHED") == 0 || strcmp(text, "LATEST") == 0) {
        *(const char **)at = text;
        return;
    }
    nearest_begin(&n, nr_str_of(text));
    nearest_try(&n, "PUBLISHED");
    nearest_try(&n, "LATEST");
    problem(r, value, n.best,
            "a policy holds for all versions of a function together: leave it out, or write "
            "PUBLISHED or LATEST");
}

/* "python:3". */
static void stems_read(struct reader *r, json_t *value, void *at)
{
    const char *text = text_read(r, value, POLICY_NAME_MAX_BYTES);

    if (text && text[strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                  "._:/@-")] != '\0')
        problem(r, value, "python:3", "it is no kind of runtime");
    else
        *(const char **)at = text;
}

static void nodes_read(struct reader *r, json_t *value, void *at)
{
    struct policy *p = at;

    if (!json_is_true(value))
        problem(r, value, "true", "to scale nodes it is true");
    else
        p->target = TARGET_NODES;
}

enum { T_ACCOUNT, T_FUNCTION, T_VERSION, T_STEMS, T_NODES };
static const struct field target_fields[] = {
    [T_ACCOUNT] = {"account", FIELD_PART, offsetof(struct policy, account), .read = account_read},
    [T_FUNCTION] = {"function", FIELD_PART, offsetof(struct policy, function),
                    .read = function_read},
    [T_VERSION] = {"version", FIELD_PART, offsetof(struct policy, version), .read = version_read},
    [T_STEMS] = {"stems", FIELD_PART, offsetof(struct policy, stems), .read = stems_read},
    [T_NODES] = {"nodes", FIELD_PART, 0, .read = nodes_read},
    {NULL}};

void target_read(struct reader *r, json_t *value, void *at)
{
    const uint32_t of_function = BIT(T_ACCOUNT) | BIT(T_FUNCTION) | BIT(T_VERSION);
    struct policy *p = at;
    uint32_t given = object_read(r, value, target_fields, p);

    if (!json_is_object(value))
        return;
    if (given & BIT(T_STEMS))
        p->target = TARGET_STEMS;
    if (!!(given & of_function) + !!(given & BIT(T_STEMS)) + !!(given & BIT(T_NODES)) > 1)
        problem(r, value, NULL, "a policy scales one of: a function, stems, nodes");
    else if (!(given & (BIT(T_STEMS) | BIT(T_NODES))))
        for (unsigned i = T_ACCOUNT; i <= T_FUNCTION; i++)
            if (!(given & BIT(i)))
                problem_at(r, target_fields[i].name, NULL, NULL, "it is missing");
}

json_t *target_write(const struct policy *p, const void *at)
{
    json_t *object = json_object();

    if (p->target == TARGET_NODES)
        (void)json_object_set_new(object, "nodes", json_true());
    if (p->stems)
        (void)json_object_set_new(object, "stems", json_string(p->stems));
    if (p->account)
        (void)json_object_set_new(object, "account", json_string(p->account));
    if (p->function)
        (void)json_object_set_new(object, "function", json_string(p->function));
    if (p->version)
        (void)json_object_set_new(object, "version", json_string(p->version));
    return object;
}

/* ---- bounds ---- */

static const struct field bounds_fields[] = {
    {"min", FIELD_COUNT, offsetof(struct policy, min), 0, POLICY_COUNT_MAX},
    {"max", FIELD_COUNT, offsetof(struct policy, max), 0, POLICY_COUNT_MAX},
    {"min_warm", FIELD_COUNT, offsetof(struct policy, min_warm), 0, POLICY_COUNT_MAX},
    {"on_demand", FIELD_BOOL, offsetof(struct policy, on_demand)},
    {NULL}};

/* No more than `max` of `member`, which came out as v. */
static void judge_below(struct reader *r, const json_t *object, const char *member, int64_t v,
                        int64_t max)
{
    char near[24];

    if (max < 0 || v <= max)
        return;
    (void)snprintf(near, sizeof(near), "%lld", (long long)max);
    problem_at(r, member, json_object_get(object, member), near, "more than max, which is %s",
               near);
}

void bounds_read(struct reader *r, json_t *value, void *at)
{
    struct policy *p = at;

    (void)object_read(r, value, bounds_fields, p);
    judge_below(r, value, "min", p->min, p->max);
    judge_below(r, value, "min_warm", p->min_warm, p->max);
}

json_t *bounds_write(const struct policy *p, const void *at)
{
    return object_write(p, bounds_fields, p, UINT32_MAX);
}

/* ---- schedule ---- */

enum { S_CRON, S_TIMEZONE, S_FOR, S_MIN_WARM, S_MIN, S_MAX };
static const struct field schedule_fields[] = {
    [S_CRON] = {"cron", FIELD_TEXT, offsetof(struct schedule, cron), .max = 256},
    [S_TIMEZONE] = {"timezone", FIELD_TEXT, offsetof(struct schedule, timezone), .max = 64},
    [S_FOR] = {"for", FIELD_DURATION, offsetof(struct schedule, for_ms), 1000,
               31 * INT64_C(86400000)},
    [S_MIN_WARM] = {"min_warm", FIELD_COUNT, offsetof(struct schedule, min_warm), 0,
                    POLICY_COUNT_MAX},
    [S_MIN] = {"min", FIELD_COUNT, offsetof(struct schedule, min), 0, POLICY_COUNT_MAX},
    [S_MAX] = {"max", FIELD_COUNT, offsetof(struct schedule, max), 0, POLICY_COUNT_MAX},
    {NULL}};

/* A zone that there is none of does not hide what is wrong with the cron. */
static void schedule_times(struct reader *r, const json_t *value, struct schedule *s)
{
    char near[80] = "";
    struct nr_err err = {0};
    struct zone *zone = NULL;
    const char *timezone = s->timezone;

    if (zone_open(s->timezone, &zone, &err) < 0) {
        zone_nearest(s->timezone, near, sizeof(near));
        problem_at(r, "timezone", json_object_get(value, "timezone"), near, "%s",
                   near[0] ? "there is no such time zone" : err.text);
        timezone = "UTC";
    }
    zone_free(zone);
    if (s->cron && timetable_make(s->cron, timezone, &s->when, &err) < 0)
        problem_at(r, "cron", json_object_get(value, "cron"), NULL, "%s", err.text);
}

static void schedule_read(struct reader *r, json_t *value, struct schedule *s)
{
    const uint32_t changes = BIT(S_MIN_WARM) | BIT(S_MIN) | BIT(S_MAX);
    uint32_t given;
    int64_t max;

    *s = (struct schedule){.min_warm = -1, .min = -1, .max = -1, .timezone = "UTC"};
    given = object_read(r, value, schedule_fields, s);
    if (!json_is_object(value))
        return;
    for (unsigned i = S_CRON; i <= S_FOR; i++)
        if (i != S_TIMEZONE && !(given & BIT(i)))
            problem_at(r, schedule_fields[i].name, NULL, NULL, "it is missing");
    if (!(given & changes))
        problem(r, value, NULL, "it changes nothing: one of min_warm, min and max is needed");
    max = s->max >= 0 ? s->max : r->p->max;
    judge_below(r, value, "min", s->min, max);
    judge_below(r, value, "min_warm", s->min_warm, max);
    schedule_times(r, value, s);
}

void schedules_read(struct reader *r, json_t *value, void *at)
{
    size_t i, count = json_array_size(value);
    struct policy *p = at;
    json_t *item;

    if (!json_is_array(value) || count > POLICY_SCHEDULES_MAX) {
        problem(r, NULL, NULL, "it must be a list of at most %d times", POLICY_SCHEDULES_MAX);
        return;
    }
    if ((p->schedules = reader_memory(r, count * sizeof(*p->schedules))) == NULL)
        return;
    p->schedule_count = (unsigned)count;
    json_array_foreach(value, i, item) {
        size_t was = path_item(r, i);

        schedule_read(r, item, &p->schedules[i]);
        path_back(r, was);
    }
}

json_t *schedules_write(const struct policy *p, const void *at)
{
    json_t *list = json_array();

    for (unsigned i = 0; i < p->schedule_count; i++)
        (void)json_array_append_new(list,
                                    object_write(p, schedule_fields, &p->schedules[i], UINT32_MAX));
    return list;
}

/* ---- missing_metrics ---- */

enum { M_AFTER, M_DO, M_COUNT };
static const struct field missing_fields[] = {
    [M_AFTER] = {"after", FIELD_DURATION, offsetof(struct policy, missing_after_ms), 1000, 3600000},
    [M_DO] = {"do", FIELD_WORD, offsetof(struct policy, missing), .words = missing_words},
    [M_COUNT] = {"count", FIELD_COUNT, offsetof(struct policy, missing_fallback), 0,
                 POLICY_COUNT_MAX},
    {NULL}};

void missing_read(struct reader *r, json_t *value, void *at)
{
    struct policy *p = at;
    size_t before = r->count;
    uint32_t given = object_read(r, value, missing_fields, p);

    if (r->count > before)
        return;
    if (p->missing == MISSING_HOLD && (given & BIT(M_COUNT)))
        problem_at(r, "count", json_object_get(value, "count"), NULL,
                   "\"hold\" takes none; fallback and current_if_higher do");
    else if (p->missing != MISSING_HOLD && !(given & BIT(M_COUNT)))
        problem_at(r, "count", NULL, NULL, "\"%s\" needs it", missing_words[p->missing]);
    judge_below(r, value, "count", p->missing_fallback, p->max);
}

json_t *missing_write(const struct policy *p, const void *at)
{
    return object_write(p, missing_fields, p,
                        p->missing == MISSING_HOLD ? BIT(M_AFTER) | BIT(M_DO) : UINT32_MAX);
}
