/* A policy's document on any bytes.
 *
 * What must hold: a refusal has a sentence and a problem with a reason; what is accepted keeps to all ceilings, is written out as a document that is accepted
 * and written as the same again, and its timetables find times in the right order.
 */
#include "common/base/json.h"
#include "common/base/mem.h"
#include "fuzz.h"
#include "scaler/policy/policy.h"

enum { PROBLEMS = 5 };

static void check_refusal(int r, const struct policy_problem *problems, size_t count,
                          const struct nr_err *err)
{
    nr_check(r == NR_EINVAL && err->code == r && err->text[0] != '\0');
    nr_check(count > 0 && count <= PROBLEMS);
    for (size_t i = 0; i < count; i++)
        nr_check(problems[i].why[0] != '\0' && nr_utf8_valid(nr_str_of(problems[i].value)));
}

static void check_conditions(const struct policy *p)
{
    for (unsigned i = 0; i < p->condition_count; i++) {
        const struct condition *c = &p->conditions[i];

        if (c->kind == CONDITION_METRIC)
            nr_check(c->metric.name && c->metric.id <= METRICS &&
                     c->window_ms <= POLICY_WINDOW_MAX_MS &&
                     c->window_ms >= 2 * p->evaluate_every_ms);
        else
            nr_check(c->count > 0 && c->first > i && c->first + c->count <= p->condition_count);
    }
    for (unsigned i = 0; i < p->rule_count; i++)
        nr_check(p->rules[i].id && p->rules[i].when < p->condition_count);
}

static void check_policy(const struct policy *p)
{
    int64_t now = INT64_C(1774746000000);

    nr_check(p->name && p->rule_count <= POLICY_RULES_MAX);
    nr_check(p->condition_count <= POLICY_CONDITIONS_MAX);
    nr_check(p->max < 0 || (p->min <= p->max && p->min_warm <= p->max));
    nr_check((p->target == TARGET_FUNCTION) == (p->account && p->function));
    check_conditions(p);
    for (unsigned i = 0; i < p->schedule_count; i++) {
        nr_check(timetable_last(p->schedules[i].when, now) <= now);
        nr_check(timetable_next(p->schedules[i].when, now) > now);
    }
}

static char *written(const struct policy *p)
{
    json_t *j = policy_write(p);
    char *text = nr_json_text(j, &(size_t){0});

    json_decref(j);
    nr_check(text != NULL);
    return text;
}

static void check_round(const struct policy *p)
{
    char *once = written(p), *twice;
    struct policy *again = NULL;
    struct nr_err err = {0};
    size_t count;

    /* with all defaults a document may grow beyond what is read */
    if (strlen(once) <= POLICY_MAX_BYTES) {
        nr_check(policy_read(nr_str_of(once), NULL, &again, NULL, 0, &count, &err) == 0);
        twice = written(again);
        nr_check(strcmp(once, twice) == 0);
        free(twice);
    }
    free(once);
    policy_unref(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct nr_str text = {(const char *)bytes, n};
    struct policy_problem problems[PROBLEMS];
    struct policy *p = NULL;
    struct nr_err err = {0};
    size_t count = 0;
    int r = policy_read(text, "named", &p, problems, PROBLEMS, &count, &err);

    if (r < 0) {
        check_refusal(r, problems, count, &err);
        return 0;
    }
    nr_check(count == 0 && err.code == 0);
    check_policy(p);
    check_round(p);
    policy_unref(p);
    return 0;
}
