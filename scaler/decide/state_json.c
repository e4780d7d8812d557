/* The memory of a policy as JSON: numbers by their names, timers of rules by the rules' ids, of conditions by their place. A policy that was changed keeps
 * what it desires and the timers of the rules that it still has; where it looks at other metrics or windows than before, it is young again.
 */
#include "common/base/json.h"
#include "common/base/mem.h"
#include "scaler/decide/state.h"

/* No sum of such numbers overflows. */
#define NUMBER_MAX (1ll << 53)

static const struct {
    const char *name;
    size_t offset;
} numbers[] = {
    {"now", offsetof(struct memory, now_ms)},
    {"first", offsetof(struct memory, first_ms)},
    {"last", offsetof(struct memory, last)},
    {"level", offsetof(struct memory, level)},
    {"min_warm", offsetof(struct memory, min_warm)},
    {"maximum", offsetof(struct memory, maximum)},
    {"voted", offsetof(struct memory, voted_ms)},
    {"raised", offsetof(struct memory, raised_ms)},
    {"block", offsetof(struct memory, block_ms)},
    {"block_priority", offsetof(struct memory, block_priority)},
};

static json_t *triple(int64_t a, int64_t b, int64_t c)
{
    return json_pack("[III]", (json_int_t)a, (json_int_t)b, (json_int_t)c);
}

static json_t *sliding_write(const struct sliding *s)
{
    json_t *list = json_array();

    for (unsigned i = 0; i < s->n; i++)
        (void)json_array_append_new(
            list, json_pack("[II]", (json_int_t)s->t_ms[i], (json_int_t)s->value[i]));
    return list;
}

json_t *decide_state_write(const struct decide_state *s)
{
    const struct memory *m = &s->now;
    json_t *all = json_object(), *rules = json_object(), *since = json_array(),
           *changes = json_array();

    for (unsigned i = 0; i < nr_countof(numbers); i++) {
        int64_t number;

        memcpy(&number, (const char *)m + numbers[i].offset, sizeof number);
        (void)json_object_set_new(all, numbers[i].name, json_integer(number));
    }
    for (unsigned i = 0; i < s->policy->rule_count; i++)
        (void)json_object_set_new(
            rules, s->policy->rules[i].id,
            triple(m->rule[i].cool_ms[DOWN], m->rule[i].cool_ms[UP], m->rule[i].held));
    for (unsigned i = 0; i < s->policy->condition_count; i++)
        (void)json_array_append_new(since, json_integer(m->since_ms[i]));
    for (unsigned i = 0; i < m->change_count; i++)
        (void)json_array_append_new(changes,
                                    triple(m->change[i].t_ms, m->change[i].low, m->change[i].high));
    (void)json_object_set_new(all, "v", json_integer(1));
    (void)json_object_set_new(all, "looks_at", json_integer(s->looks_at));
    (void)json_object_set_new(all, "on_demand", json_boolean(m->on_demand));
    (void)json_object_set_new(all, "high", sliding_write(&m->high));
    (void)json_object_set_new(all, "low", sliding_write(&m->low));
    (void)json_object_set_new(all, "changes", changes);
    (void)json_object_set_new(all, "rules", rules);
    (void)json_object_set_new(all, "since", since);
    return all;
}

/* n whole numbers of a list of exactly so many. */
static bool whole_numbers(const json_t *list, int64_t *ret, size_t n)
{
    if (!json_is_array(list) || json_array_size(list) != n)
        return false;
    for (size_t i = 0; i < n; i++) {
        const json_t *item = json_array_get(list, i);

        if (!json_is_integer(item) || json_integer_value(item) > NUMBER_MAX ||
            json_integer_value(item) < -NUMBER_MAX)
            return false;
        ret[i] = json_integer_value(item);
    }
    return true;
}

static bool sliding_read(struct sliding *s, const json_t *list)
{
    int64_t pair[2];

    if (!json_is_array(list) || json_array_size(list) > SLIDING_MAX)
        return false;
    for (; s->n < json_array_size(list); s->n++) {
        if (!whole_numbers(json_array_get(list, s->n), pair, 2))
            return false;
        s->t_ms[s->n] = pair[0];
        s->value[s->n] = pair[1];
    }
    return true;
}

static bool changes_read(struct memory *m, const json_t *list)
{
    int64_t n[3];

    if (!json_is_array(list) || json_array_size(list) > CHANGES_MAX)
        return false;
    for (; m->change_count < json_array_size(list); m->change_count++) {
        if (!whole_numbers(json_array_get(list, m->change_count), n, 3))
            return false;
        m->change[m->change_count].t_ms = n[0];
        m->change[m->change_count].low = n[1];
        m->change[m->change_count].high = n[2];
    }
    return true;
}

static bool rules_read(struct memory *m, const struct policy *p, const json_t *rules)
{
    int64_t n[3];

    if (!json_is_object(rules))
        return false;
    for (unsigned i = 0; i < p->rule_count; i++) {
        const json_t *item = json_object_get(rules, p->rules[i].id);

        if (item == NULL)
            continue;
        if (!whole_numbers(item, n, 3))
            return false;
        m->rule[i].cool_ms[DOWN] = n[0];
        m->rule[i].cool_ms[UP] = n[1];
        m->rule[i].held = n[2] != 0;
    }
    return true;
}

static bool numbers_read(struct memory *m, const json_t *j)
{
    for (unsigned i = 0; i < nr_countof(numbers); i++) {
        const json_t *item = json_object_get(j, numbers[i].name);
        int64_t number = json_integer_value(item);

        if (!json_is_integer(item) || number > NUMBER_MAX || number < -NUMBER_MAX)
            return false;
        memcpy((char *)m + numbers[i].offset, &number, sizeof number);
    }
    /* Times are not negative, counts stay in their bounds. */
    return m->now_ms >= 0 && m->first_ms >= 0 && m->voted_ms >= 0 && m->raised_ms >= 0 &&
           m->last >= 0 && m->last <= POLICY_COUNT_MAX && m->level >= 0 &&
           m->level <= POLICY_COUNT_MAX;
}

/* Conditions that look at what they looked at go on; others begin. */
static bool conditions_read(struct decide_state *s, const json_t *j)
{
    const json_t *since = json_object_get(j, "since");

    if (json_integer_value(json_object_get(j, "looks_at")) == s->looks_at)
        return whole_numbers(since, s->now.since_ms, s->policy->condition_count);
    s->now.first_ms = 0;
    return json_is_array(since);
}

struct decide_state *decide_state_read(const struct policy *p, const json_t *j)
{
    struct decide_state *s;
    struct memory *m;

    if (!json_is_object(j) || json_integer_value(json_object_get(j, "v")) != 1)
        return NULL;
    s = decide_state_make(p);
    m = &s->now;
    m->on_demand = json_is_true(json_object_get(j, "on_demand"));
    if (!numbers_read(m, j) || !sliding_read(&m->high, json_object_get(j, "high")) ||
        !sliding_read(&m->low, json_object_get(j, "low")) ||
        !changes_read(m, json_object_get(j, "changes")) ||
        !rules_read(m, p, json_object_get(j, "rules")) || !conditions_read(s, j)) {
        decide_state_free(s);
        return NULL;
    }
    s->before = s->now;
    return s;
}
