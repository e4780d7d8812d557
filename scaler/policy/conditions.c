/* What a rule waits for: a metric over a window compared with a value, or several such with all, any and not between them. The parts of a group lie one
 * after another, so that evaluation goes through an array.
 */
#include "scaler/policy/reader.h"

#include <math.h>

#include "common/base/json.h"

static void all_read(struct reader *r, json_t *value, void *at);
static void any_read(struct reader *r, json_t *value, void *at);
static void not_read(struct reader *r, json_t *value, void *at);
static void value_read(struct reader *r, json_t *value, void *at);

enum { C_METRIC, C_LABELS, C_AGGREGATE, C_WINDOW, C_OP, C_VALUE, C_FOR, C_ALL, C_ANY, C_NOT };
#define BIT(i) (UINT32_C(1) << (i))
#define GROUPS (BIT(C_ALL) | BIT(C_ANY) | BIT(C_NOT))
#define OF_METRIC (BIT(C_FOR) - 1)

/* `op` before `value`, which is a pair for some. */
static const struct field condition_fields[] = {
    [C_METRIC] = {"metric", FIELD_PART, offsetof(struct condition, metric), .read = metric_read},
    [C_LABELS] = {"labels", FIELD_PART, offsetof(struct condition, metric), .read = labels_read},
    [C_AGGREGATE] = {"aggregate", FIELD_WORD, offsetof(struct condition, aggregate),
                     .words = aggregate_words},
    [C_WINDOW] = {"window", FIELD_DURATION, offsetof(struct condition, window_ms), 1000,
                  POLICY_WINDOW_MAX_MS},
    [C_OP] = {"op", FIELD_WORD, offsetof(struct condition, op), .words = compare_words},
    [C_VALUE] = {"value", FIELD_PART, 0, .read = value_read},
    [C_FOR] = {"for", FIELD_DURATION, offsetof(struct condition, for_ms), 0, 86400000},
    [C_ALL] = {"all", FIELD_PART, 0, .read = all_read},
    [C_ANY] = {"any", FIELD_PART, 0, .read = any_read},
    [C_NOT] = {"not", FIELD_PART, 0, .read = not_read},
    {NULL}};

/* NULL: there is no room for so many. */
static struct condition *reserve(struct reader *r, const json_t *value, size_t count)
{
    struct condition *c = &r->conditions[r->condition_count];

    if (r->too_many_conditions)
        return NULL;
    if (count > POLICY_CONDITIONS_MAX - r->condition_count) {
        r->too_many_conditions = true;
        problem(r, value, NULL, "more than %d conditions in all rules together",
                POLICY_CONDITIONS_MAX);
        return NULL;
    }
    r->condition_count += (unsigned)count;
    return c;
}

static bool takes_pair(enum compare op)
{
    return op == OP_BETWEEN || op == OP_OUTSIDE;
}

static bool number_of(const json_t *value, double *ret)
{
    *ret = json_number_value(value);
    return json_is_number(value) && isfinite(*ret) && fabs(*ret) <= 1e15;
}

static void value_read(struct reader *r, json_t *value, void *at)
{
    struct field number = {"value", FIELD_NUMBER, 0, 0, 0};
    struct condition *c = at;

    metric_range(&c->metric, c->aggregate, &number.min, &number.max);
    if (!takes_pair(c->op) && json_is_array(value))
        problem(r, value, NULL, "a pair is for between and outside");
    else if (!takes_pair(c->op))
        field_read(r, value, &number, &c->value);
    else if (json_array_size(value) != 2 || !number_of(json_array_get(value, 0), &c->value) ||
             !number_of(json_array_get(value, 1), &c->value2))
        problem(r, value, NULL, "\"%s\" takes a pair of numbers: [low, high]", compare_text(c->op));
    else if (c->value > c->value2)
        problem(r, value, NULL, "the low one comes first");
    else if (c->value < number.min || c->value2 > number.max)
        problem(r, value, NULL, "%s is never outside of %.15g to %.15g", c->metric.name, number.min,
                number.max);
}

static void judge_metric(struct reader *r, json_t *value, uint32_t given, struct condition *c)
{
    bool free_op = r->free_op;
    char near[24], tick[24];

    r->free_op = false;
    if (c->window_ms < 2 * r->p->evaluate_every_ms) {
        duration_write(2 * r->p->evaluate_every_ms, near);
        duration_write(r->p->evaluate_every_ms, tick);
        problem_at(r, "window", json_object_get(value, "window"), near,
                   "shorter than two evaluations: evaluate_every is %s", tick);
    }
    if (!(given & BIT(C_OP))) {
        if (given & BIT(C_VALUE))
            problem_at(r, "op", NULL, ">", "a value is given, but nothing to compare it by");
        else if (!free_op)
            problem_at(r, "op", NULL, ">", "it is missing; only track needs no comparison");
        else if (given & BIT(C_FOR))
            problem_at(r, "for", json_object_get(value, "for"), NULL,
                       "without op there is nothing that could hold so long");
    } else if (!(given & BIT(C_VALUE)))
        problem_at(r, "value", NULL, NULL, "it is missing");
    metric_judge(r, &c->metric, json_object_get(value, "labels"));
}

static void judge_group(struct reader *r, json_t *value, uint32_t given)
{
    for (unsigned i = 0; condition_fields[i].name; i++)
        if ((given & BIT(i)) && (OF_METRIC & BIT(i)))
            problem_at(r, condition_fields[i].name,
                       json_object_get(value, condition_fields[i].name), NULL,
                       "it belongs to a metric, and here is a group");
    if ((given & GROUPS) & ((given & GROUPS) - 1))
        problem(r, value, NULL, "only one of all, any and not; nest them");
}

static void fill(struct reader *r, json_t *value, struct condition *c)
{
    size_t before = r->count;
    uint32_t given;

    *c = (struct condition){.aggregate = AGGREGATE_AVG, .window_ms = 60000, .metric = {METRICS}};
    given = object_read(r, value, condition_fields, c);
    if (r->count > before)
        return;
    if (given & GROUPS)
        judge_group(r, value, given);
    else if (given & BIT(C_METRIC))
        judge_metric(r, value, given, c);
    else
        problem(r, value, NULL, "a condition has a metric, or one of all, any and not");
}

static void group_read(struct reader *r, json_t *value, struct condition *c,
                       enum condition_kind kind)
{
    size_t count = json_array_size(value), i;
    struct condition *parts;
    json_t *item;

    if (!json_is_array(value) || count == 0) {
        problem(r, value, NULL, "it must be a list of one or more conditions");
        return;
    }
    if ((parts = reserve(r, value, count)) == NULL)
        return;
    c->kind = kind;
    c->first = (unsigned)(parts - r->conditions);
    c->count = (unsigned)count;
    json_array_foreach(value, i, item) {
        size_t was = path_item(r, i);

        fill(r, item, &parts[i]);
        path_back(r, was);
    }
}

static void all_read(struct reader *r, json_t *value, void *at)
{
    group_read(r, value, at, CONDITION_ALL);
}

static void any_read(struct reader *r, json_t *value, void *at)
{
    group_read(r, value, at, CONDITION_ANY);
}

static void not_read(struct reader *r, json_t *value, void *at)
{
    struct condition *c = at, *part = reserve(r, value, 1);

    if (part == NULL)
        return;
    c->kind = CONDITION_NOT;
    c->first = (unsigned)(part - r->conditions);
    c->count = 1;
    fill(r, value, part);
}

unsigned condition_read(struct reader *r, json_t *value, bool free_op)
{
    struct condition *c = reserve(r, value, 1);

    if (c == NULL)
        return 0;
    r->free_op = free_op;
    fill(r, value, c);
    return (unsigned)(c - r->conditions);
}

const struct condition *condition_first(const struct condition *all, unsigned at)
{
    const struct condition *c = &all[at];

    while (c->kind != CONDITION_METRIC)
        c = &all[c->first];
    return c;
}

static json_t *number(double v)
{
    return v == floor(v) ? json_integer((json_int_t)v) : json_real(v);
}

static void set_duration(json_t *object, const char *name, int64_t ms)
{
    char text[24];

    duration_write(ms, text);
    (void)json_object_set_new(object, name, json_string(text));
}

static json_t *metric_write(const struct condition *c)
{
    json_t *object = json_object(), *labels = labels_write(&c->metric);

    (void)json_object_set_new(object, "metric", json_string(c->metric.name));
    if (labels)
        (void)json_object_set_new(object, "labels", labels);
    (void)json_object_set_new(object, "aggregate", json_string(aggregate_text(c->aggregate)));
    set_duration(object, "window", c->window_ms);
    if (c->op == OP_NONE)
        return object;
    (void)json_object_set_new(object, "op", json_string(compare_text(c->op)));
    (void)json_object_set_new(object, "value",
                              takes_pair(c->op)
                                  ? json_pack("[oo]", number(c->value), number(c->value2))
                                  : number(c->value));
    return object;
}

json_t *condition_write(const struct policy *p, const struct condition *c)
{
    static const char *const names[] = {
        [CONDITION_ALL] = "all", [CONDITION_ANY] = "any", [CONDITION_NOT] = "not"};
    json_t *object, *parts;

    if (c->kind == CONDITION_METRIC)
        object = metric_write(c);
    else {
        object = json_object();
        parts = json_array();
        for (unsigned i = 0; c->kind != CONDITION_NOT && i < c->count; i++)
            (void)json_array_append_new(parts, condition_write(p, &p->conditions[c->first + i]));
        if (c->kind == CONDITION_NOT) {
            json_decref(parts);
            parts = condition_write(p, &p->conditions[c->first]);
        }
        (void)json_object_set_new(object, names[c->kind], parts);
    }
    if (c->op != OP_NONE || c->kind != CONDITION_METRIC)
        set_duration(object, "for", c->for_ms);
    return object;
}
