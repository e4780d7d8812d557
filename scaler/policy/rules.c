/* Rules: an id, what it waits for, and what it does then. The table of actions says which members each takes and which it cannot do without.
 */
#include "scaler/policy/reader.h"

#include <stdio.h>

#include "common/base/json.h"

enum { DO_ACTION, DO_TARGET, DO_TOLERANCE, DO_COUNT, DO_PERCENT, DO_AT_LEAST };
#define BIT(i) (UINT32_C(1) << (i))

static const struct field do_fields[] = {
    [DO_ACTION] = {"action", FIELD_WORD, offsetof(struct rule, action), .words = action_words},
    [DO_TARGET] = {"target", FIELD_NUMBER, offsetof(struct rule, target), 1e-6, 1e12},
    [DO_TOLERANCE] = {"tolerance", FIELD_NUMBER, offsetof(struct rule, tolerance), 0, 0.9},
    [DO_COUNT] = {"count", FIELD_COUNT, offsetof(struct rule, count), 0, POLICY_COUNT_MAX},
    [DO_PERCENT] = {"percent", FIELD_NUMBER, offsetof(struct rule, percent), 0.1, 10000},
    [DO_AT_LEAST] = {"at_least", FIELD_COUNT, offsetof(struct rule, at_least), 1, POLICY_COUNT_MAX},
    {NULL}};

static const struct {
    uint32_t takes, one_of;
    const char *needs;
} actions[] = {
    [ACTION_TRACK] = {BIT(DO_TARGET) | BIT(DO_TOLERANCE), BIT(DO_TARGET), "a target"},
    [ACTION_ADD] = {BIT(DO_COUNT) | BIT(DO_PERCENT) | BIT(DO_AT_LEAST),
                    BIT(DO_COUNT) | BIT(DO_PERCENT), "a count or a percent"},
    [ACTION_REMOVE] = {BIT(DO_COUNT) | BIT(DO_PERCENT) | BIT(DO_AT_LEAST),
                       BIT(DO_COUNT) | BIT(DO_PERCENT), "a count or a percent"},
    [ACTION_SET] = {BIT(DO_COUNT), BIT(DO_COUNT), "a count"},
    [ACTION_PREWARM] = {BIT(DO_COUNT), BIT(DO_COUNT), "a count"},
    [ACTION_FREEZE] = {0, 0, ""},
    [ACTION_ALERT] = {0, 0, ""},
};

static void judge_members(struct reader *r, json_t *value, uint32_t given, const struct rule *rule)
{
    const char *action = rule_action_text(rule->action);

    for (unsigned i = DO_TARGET; do_fields[i].name; i++)
        if ((given & BIT(i)) && !(actions[rule->action].takes & BIT(i)))
            problem_at(r, do_fields[i].name, json_object_get(value, do_fields[i].name), NULL,
                       "\"%s\" takes none", action);
    given &= actions[rule->action].one_of;
    if (actions[rule->action].one_of && given == 0)
        problem(r, value, NULL, "\"%s\" needs %s", action, actions[rule->action].needs);
    if ((given & BIT(DO_COUNT)) && (given & BIT(DO_PERCENT)))
        problem_at(r, "percent", json_object_get(value, "percent"), NULL,
                   "either count or percent, not both");
}

static void do_read(struct reader *r, json_t *value, void *at)
{
    size_t before = r->count;
    struct rule *rule = at;
    uint32_t given = object_read(r, value, do_fields, rule);
    char near[24];

    if (r->count > before)
        return;
    if (!(given & BIT(DO_ACTION))) {
        problem(r, value, NULL, "the action is missing");
        return;
    }
    judge_members(r, value, given, rule);
    if (rule->action == ACTION_SET && r->p->max >= 0 && rule->count > r->p->max) {
        (void)snprintf(near, sizeof(near), "%lld", (long long)r->p->max);
        problem_at(r, "count", json_object_get(value, "count"), near,
                   "more than bounds.max, which is %s", near);
    }
}

static json_t *do_write(const struct policy *p, const void *at)
{
    const struct rule *rule = at;

    return object_write(p, do_fields, rule, BIT(DO_ACTION) | actions[rule->action].takes);
}

static void priority_read(struct reader *r, json_t *value, void *at)
{
    json_int_t v = json_integer_value(value);

    if (!json_is_integer(value) || v < -1000 || v > 1000)
        problem(r, value,
                !json_is_integer(value) ? NULL
                : v < 0                 ? "-1000"
                                        : "1000",
                "it must be a whole number of -1000 to 1000");
    else
        *(int *)at = (int)v;
}

static json_t *priority_write(const struct policy *p, const void *at)
{
    return json_integer(*(const int *)at);
}

static void notify_read(struct reader *r, json_t *value, void *at)
{
    const char **to = at;
    size_t i;
    json_t *item;

    if (!json_is_array(value) || json_array_size(value) > POLICY_NOTIFY_MAX) {
        problem(r, value, NULL, "it must be a list of at most %d names of channels",
                POLICY_NOTIFY_MAX);
        return;
    }
    json_array_foreach(value, i, item) {
        size_t was = path_item(r, i);
        const char *text = text_read(r, item, POLICY_NAME_MAX_BYTES);

        if (text && !name_fits_here(nr_str_of(text)))
            problem(r, item, NULL, "it is no name of a channel");
        to[i] = text;
        path_back(r, was);
    }
}

static json_t *notify_write(const struct policy *p, const void *at)
{
    const char *const *from = at;
    json_t *list = json_array();

    for (int i = 0; i < POLICY_NOTIFY_MAX && from[i]; i++)
        (void)json_array_append_new(list, json_string(from[i]));
    return list;
}

static void when_read(struct reader *r, json_t *value, void *at)
{
    struct rule *rule = at;

    rule->when = condition_read(r, value, rule->action == ACTION_TRACK);
}

static json_t *when_write(const struct policy *p, const void *at)
{
    const struct rule *rule = at;

    return condition_write(p, &p->conditions[rule->when]);
}

/* `do` comes before `when`: a rule that tracks needs no comparison. */
enum { RULE_ID, RULE_PRIORITY, RULE_DO, RULE_WHEN };
static const struct field rule_fields[] = {
    [RULE_ID] = {"id", FIELD_NAME, offsetof(struct rule, id)},
    [RULE_PRIORITY] = {"priority", FIELD_PART, offsetof(struct rule, priority),
                       .read = priority_read, .write = priority_write},
    [RULE_DO] = {"do", FIELD_PART, 0, .read = do_read, .write = do_write},
    [RULE_WHEN] = {"when", FIELD_PART, 0, .read = when_read, .write = when_write},
    {"cooldown", FIELD_DURATION, offsetof(struct rule, cooldown_ms), 0, 86400000},
    {"block_down_for", FIELD_DURATION, offsetof(struct rule, block_down_for_ms), 0, 86400000},
    {"notify", FIELD_PART, offsetof(struct rule, notify), .read = notify_read,
     .write = notify_write},
    {NULL}};

/* Told of one container, or the same of each; others are told of all together, and their target is a share of them. */
static bool is_of_each(enum metric_id id)
{
    static const bool of_each[METRICS + 1] = {
        [METRIC_INFLIGHT_PER_INSTANCE] = true, [METRIC_QUEUE_WAIT_MS] = true,
        [METRIC_DURATION_MS] = true,           [METRIC_COLD_START_MS] = true,
        [METRIC_ERROR_RATIO] = true,           [METRIC_MEMORY_PERCENT] = true,
        [METRIC_NODE_MEMORY_PERCENT] = true,   [METRIC_NODE_CPU_PERCENT] = true,
        [METRIC_TRIGGER_AGE_MS] = true,        [METRIC_INSTANCE_MB] = true,
    };

    return of_each[id];
}

/* What the metric is brought to must lie on the quiet side of what wakes the rule, or it would wake and put to sleep itself. */
static void judge_track(struct reader *r, const json_t *value, const struct rule *rule)
{
    const struct condition *c = condition_first(r->conditions, rule->when);
    const json_t *target = json_object_get(json_object_get(value, "do"), "target");
    size_t was = path_member(r, "do");
    char near[32];
    double low = -1, high = -1;

    if (c->op == OP_GT || c->op == OP_GE)
        high = c->value;
    else if (c->op == OP_LT || c->op == OP_LE)
        low = c->value;
    else if (c->op == OP_OUTSIDE) {
        low = c->value;
        high = c->value2;
    }
    if ((high >= 0 && rule->target > high) || (low >= 0 && rule->target < low)) {
        (void)snprintf(near, sizeof(near), "%.15g", high >= 0 && rule->target > high ? high : low);
        problem_at(r, "target", target, near,
                   "it lies outside of the rule's own hysteresis: the rule wakes at %s %.15g",
                   compare_text(c->op), high >= 0 && rule->target > high ? high : low);
    }
    path_back(r, was);
}

/* A target that the metric cannot have: 70 of a share. */
static void judge_target(struct reader *r, const json_t *value, const struct rule *rule)
{
    const struct condition *c = condition_first(r->conditions, rule->when);
    const json_t *target = json_object_get(json_object_get(value, "do"), "target");
    double low, high, near;
    size_t was = path_member(r, "do");
    char text[32];

    metric_range(&c->metric, c->aggregate, &low, &high);
    near = high <= 1 && rule->target <= 100 ? rule->target / 100 : high;
    (void)snprintf(text, sizeof(text), "%.15g", near);
    if (rule->target > high)
        problem_at(r, "target", target, text, "%s is %.15g to %.15g", c->metric.name, low, high);
    path_back(r, was);
}

static void rule_read(struct reader *r, json_t *value, struct rule *rule)
{
    size_t before = r->count;
    uint32_t given;

    *rule = (struct rule){
        .tolerance = 0.1, .count = -1, .at_least = -1, .percent = -1, .action = ACTION_ALERT};
    given = object_read(r, value, rule_fields, rule);
    if (!json_is_object(value))
        return;
    for (unsigned i = RULE_ID; i <= RULE_WHEN; i++)
        if (i != RULE_PRIORITY && !(given & BIT(i)))
            problem_at(r, rule_fields[i].name, NULL, NULL, "it is missing");
    if (r->count == before && rule->action == ACTION_TRACK &&
        is_of_each(condition_first(r->conditions, rule->when)->metric.id))
        judge_target(r, value, rule);
    if (r->count == before && rule->action == ACTION_TRACK &&
        is_of_each(condition_first(r->conditions, rule->when)->metric.id))
        judge_track(r, value, rule);
}

static void judge_ids(struct reader *r, const json_t *value)
{
    const struct policy *p = r->p;

    for (unsigned i = 0; i < p->rule_count; i++)
        for (unsigned k = 0; k < i; k++) {
            size_t was = path_item(r, i);

            if (p->rules[i].id && p->rules[k].id && strcmp(p->rules[i].id, p->rules[k].id) == 0)
                problem_at(r, "id", json_object_get(json_array_get(value, i), "id"), NULL,
                           "rules[%u] has the same id", k);
            path_back(r, was);
        }
}

void rules_read(struct reader *r, json_t *value, void *at)
{
    struct policy *p = at;
    size_t i, count = json_array_size(value);
    json_t *item;

    if (!json_is_array(value)) {
        problem(r, value, NULL, "it must be a list [ ... ]");
        return;
    }
    if (count > POLICY_RULES_MAX) {
        problem(r, NULL, NULL, "%zu rules; at most %d are allowed", count, POLICY_RULES_MAX);
        return;
    }
    if ((p->rules = reader_memory(r, count * sizeof(*p->rules))) == NULL)
        return;
    json_array_foreach(value, i, item) {
        size_t was = path_item(r, i);

        rule_read(r, item, &p->rules[i]);
        path_back(r, was);
    }
    p->rule_count = (unsigned)count;
    judge_ids(r, value);
}

json_t *rules_write(const struct policy *p, const void *at)
{
    json_t *list = json_array();

    for (unsigned i = 0; i < p->rule_count; i++)
        (void)json_array_append_new(list, object_write(p, rule_fields, &p->rules[i], UINT32_MAX));
    return list;
}
