/* Fires of triggers, and which calls leave a record, with scripted neighbours and a real calls.db. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/json.h"
#include "tests/unit/controller/fakes.h"

static int set_up(void **state)
{
    struct fakes *f = nr_alloc(sizeof(*f));

    fakes_open(f, false);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fakes_close(*state, false);
    free(*state);
    return 0;
}

struct rule_row {
    const char *rule, *action; /* as function_target_read() takes it */
    bool active;
};

/* A trigger with these rules, of the account guest. */
static void give(struct fakes *f, const char *parameters, const struct rule_row *rows, size_t count)
{
    struct trigger *t = nr_alloc(sizeof(*t));

    t->refs = 1;
    t->account = nr_strdup("guest");
    t->name = nr_strdup("t");
    t->version = nr_strdup("0.0.4");
    t->parameters = nr_strdup(parameters);
    t->rules = nr_alloc(count * sizeof(*t->rules));
    t->rule_count = count;
    for (size_t i = 0; i < count; i++) {
        t->rules[i].name = nr_strdup(rows[i].rule);
        t->rules[i].active = rows[i].active;
        assert_int_equal(
            function_target_read(nr_str_of(rows[i].action), "guest", &t->rules[i].action, NULL), 0);
    }
    trigger_unref(f->trigger);
    f->trigger = t;
}

static json_t *asked(struct fakes *f, enum query_op op, const char *id)
{
    int err;
    nr_auto_free char *text = fakes_ask(f, op, id, false, &err);

    if (text == NULL)
        return NULL;
    json_t *j = nr_json_parse(nr_str_of(text), NULL);

    if (j == NULL)
        fail_msg("not JSON: %s", text);
    return j;
}

/* The line of a rule in a trigger's record. */
static json_t *line(const json_t *record, size_t at)
{
    const char *text = json_string_value(json_array_get(json_object_get(record, "logs"), at));

    assert_non_null(text);
    json_t *j = nr_json_parse(nr_str_of(text), NULL);
    assert_non_null(j);
    return j;
}

static void line_is(const json_t *record, size_t at, int status, const char *rule,
                    const char *action, const char *error)
{
    nr_auto_json json_t *j = line(record, at);

    assert_int_equal(json_integer_value(json_object_get(j, "statusCode")), status);
    assert_int_equal(json_is_true(json_object_get(j, "success")), error == NULL);
    assert_string_equal(nr_json_string(j, "rule"), rule);
    assert_string_equal(nr_json_string(j, "action"), action);
    assert_int_equal(json_object_size(j), 5);
    if (error)
        assert_string_equal(nr_json_string(j, "error"), error);
    else
        assert_int_equal(strlen(nr_json_string(j, "activationId")), 32);
}

static int64_t count_records(struct fakes *f)
{
    int err;
    nr_auto_free char *text = fakes_ask(f, QUERY_LIST, "", true, &err);
    nr_auto_json json_t *j = nr_json_parse(nr_str_of(text), NULL);

    return json_integer_value(json_object_get(j, "activations"));
}

static bool has_metric(struct fakes *f, const char *line)
{
    struct nr_buf text;

    nr_buf_init(&text, 1 << 20);
    controller_metrics(f->controller, &text);
    nr_buf_addc(&text, '\0');
    bool found = strstr(text.p, line) != NULL;

    nr_buf_fini(&text);
    return found;
}

static void metric_is(struct fakes *f, const char *line)
{
    if (!has_metric(f, line))
        fail_msg("no line %s", line);
}

/* Until no call runs. */
static void settle(struct fakes *f)
{
    while (!has_metric(f, "narae_running_activations 0\n"))
        fakes_turns(f, 1);
}

/* ---- fires ---- */

static const struct rule_row mixed[] = {
    {"a", "/guest/one", true},
    {"b", "/guest/two", false},
    {"c", "/guest/pkg/missing", true},
    {"d", "/other/pkg/four", true},
};

static void every_active_rule_starts_a_call(void **state)
{
    struct fakes *f = *state;

    give(f, "{}", mixed, nr_countof(mixed));
    fakes_fire(f, "t", "{\"n\":1}", "");
    fakes_until(f, &f->replies, 1);
    assert_int_equal(f->last_status, 202);
    nr_auto_json json_t *record = asked(f, QUERY_GET, f->last_id);

    assert_non_null(record);
    assert_string_equal(nr_json_string(record, "name"), "t");
    assert_string_equal(nr_json_string(record, "version"), "0.0.4");
    assert_null(json_object_get(record, "end"));
    assert_null(json_object_get(record, "duration"));
    assert_int_equal(json_array_size(json_object_get(record, "annotations")), 0);
    assert_int_equal(json_array_size(json_object_get(record, "logs")), 4);
    line_is(record, 0, 0, "guest/a", "guest/one", NULL);
    line_is(record, 1, 1, "guest/b", "guest/two",
            "Rule 'guest/b' is inactive, action 'guest/two' was not activated.");
    line_is(record, 2, 1, "guest/c", "guest/pkg/missing", "The requested resource does not exist.");
    line_is(record, 3, 0, "guest/d", "other/pkg/four", NULL);
    assert_string_equal(f->asked_space, "other");
    fakes_until(f, &f->runs, 2);
    nr_auto_json json_t *first = line(record, 0);
    nr_auto_json json_t *call = NULL;
    while ((call = asked(f, QUERY_GET, nr_json_string(first, "activationId"))) == NULL)
        ;
    assert_null(json_object_get(call, "cause"));
    assert_non_null(json_object_get(call, "end"));
    while (count_records(f) < 3)
        ;
    metric_is(f, "narae_accepted_drift 0\n");
    metric_is(f, "narae_fires_total 1\n");
    metric_is(f, "narae_rules_refused_total 1\n");
}

static void without_an_active_rule_nothing_happens(void **state)
{
    struct fakes *f = *state;

    give(f, "{}", mixed, 0);
    fakes_fire(f, "t", "{}", "");
    fakes_until(f, &f->replies, 1);
    assert_int_equal(f->last_status, 204);
    assert_string_equal(f->last_body, "");
    assert_string_equal(f->last_id, "");
    controller_on_change(f->controller, "guest", "", "t", 0, FN_TRIGGER_CHANGED);
    give(f, "{}", mixed + 1, 1);
    fakes_fire(f, "t", "{}", "");
    fakes_until(f, &f->replies, 2);
    assert_int_equal(f->last_status, 204);
    assert_int_equal(count_records(f), 0);
    metric_is(f, "narae_fires_idle_total 2\n");
}

static void calls_get_parameters_headers_and_payload(void **state)
{
    static const struct {
        const char *parameters, *headers, *payload, *input;
    } rows[] = {
        {"{}", "", "{}", "{}"},
        {"{\"a\":1}", "", " { } ", "{\"a\":1}"},
        {"{}", "", "{\"b\":2}", "{\"b\":2}"},
        {"{\"a\":1}", "{\"host\":\"h\"}", "{\"a\":2}",
         "{\"a\":1,\"__ow_headers\":{\"host\":\"h\"},\"a\":2}"},
        {"{}", "{\"host\":\"h\"}", "{}", "{\"__ow_headers\":{\"host\":\"h\"}}"},
    };
    struct fakes *f = *state;

    f->run = FAKE_HOLD;
    for (size_t i = 0; i < nr_countof(rows); i++) {
        give(f, rows[i].parameters, mixed, 1);
        controller_on_change(f->controller, "guest", "", "t", 0, FN_TRIGGER_CHANGED);
        fakes_fire(f, "t", rows[i].payload, rows[i].headers);
        fakes_until(f, &f->held_count, (int)i + 1);
        const struct activation *a = f->held[i];
        nr_auto_free char *input = nr_strndup(a->input.p, a->input.n);

        assert_string_equal(input, rows[i].input);
    }
    for (size_t i = 0; i < nr_countof(rows); i++)
        fakes_finish(f, f->held[i]);
}

static void an_unknown_trigger_is_404(void **state)
{
    struct fakes *f = *state;

    f->unknown = true;
    fakes_fire(f, "nope", "{}", "");
    fakes_until(f, &f->replies, 1);
    assert_int_equal(f->last_status, 404);
    assert_string_equal(f->last_error_text, "The requested resource does not exist.");
    assert_string_equal(f->last_id, "");
    assert_int_equal(count_records(f), 0);
}

static void triggers_are_asked_for_once_until_they_change(void **state)
{
    struct fakes *f = *state;

    give(f, "{}", mixed, 1);
    for (int i = 0; i < 3; i++)
        fakes_fire(f, "t", "{}", "");
    fakes_until(f, &f->replies, 3);
    assert_int_equal(f->triggers_asked, 1);
    controller_on_change(f->controller, "guest", "", "t", 0, FN_TRIGGER_CHANGED);
    fakes_fire(f, "t", "{}", ""); /* the question is under way when it changes once more */
    controller_on_change(f->controller, "guest", "", "t", 0, FN_TRIGGER_CHANGED);
    fakes_until(f, &f->replies, 4);
    assert_int_equal(f->triggers_asked, 3);
    assert_int_equal(f->last_status, 202);
    fakes_until(f, &f->runs, 4);
}

static void on_forgot(void *arg)
{
    *(int *)arg = 1;
}

static void triggers_go_with_their_account(void **state)
{
    struct fakes *f = *state;
    int forgot = 0;

    give(f, "{}", mixed + 1, 1);
    fakes_fire(f, "t", "{}", "");
    fakes_until(f, &f->replies, 1);
    controller_forget_account(f->controller, "guest", on_forgot, &forgot);
    fakes_until(f, &forgot, 1);
    fakes_fire(f, "t", "{}", "");
    fakes_until(f, &f->replies, 2);
    assert_int_equal(f->triggers_asked, 2);
}

/* ---- limits ---- */

static void fires_have_a_counter_of_their_own(void **state)
{
    struct fakes *f = *state;

    f->account->fires_per_minute = 2;
    give(f, "{}", mixed, 1);
    for (int i = 0; i < 3; i++)
        fakes_fire(f, "t", "{}", "");
    fakes_until(f, &f->replies, 3);
    fakes_fire(f, "t", "{}", "");
    fakes_until(f, &f->replies, 4);
    assert_int_equal(f->last_status, 429);
    assert_string_equal(f->last_error_text,
                        "Too many requests in the last minute (count: 4, allowed: 2).");
    assert_non_null(strstr(f->last_head, "Retry-After: "));
    f->account->invocations_per_minute = 3;
    (void)fakes_call(f, "one", true, 60000);
    fakes_until(f, &f->replies, 5);
    assert_int_equal(f->last_status, 200); /* the third call: two fires started one each */
    fakes_until(f, &f->runs, 3);
}

static void calls_of_rules_are_counted_as_calls(void **state)
{
    const struct rule_row three[] = {
        {"a", "/guest/one", true}, {"b", "/guest/two", true}, {"c", "/guest/three", true}};
    struct fakes *f = *state;

    f->account->invocations_per_minute = 2;
    give(f, "{}", three, 3);
    fakes_fire(f, "t", "{}", "");
    fakes_until(f, &f->replies, 1);
    assert_int_equal(f->last_status, 202);
    nr_auto_json json_t *record = asked(f, QUERY_GET, f->last_id);

    line_is(record, 0, 0, "guest/a", "guest/one", NULL);
    line_is(record, 1, 0, "guest/b", "guest/two", NULL);
    line_is(record, 2, 1, "guest/c", "guest/three",
            "Too many requests in the last minute (count: 3, allowed: 2).");
    fakes_until(f, &f->runs, 2);
}

static void what_is_too_large_is_refused(void **state)
{
    static const size_t large = 900 << 10;
    struct fakes *f = *state;
    nr_auto_free char *parameters = nr_alloc(large + 16), *payload = nr_alloc(large + 16);
    struct rule_row many[100];

    for (size_t i = 0; i < nr_countof(many); i++)
        many[i] = (struct rule_row){"r", "/guest/one", true};
    (void)snprintf(parameters, large + 16, "{\"a\":\"%0*d\"}", (int)large, 1);
    (void)snprintf(payload, large + 16, "{\"b\":\"%0*d\"}", (int)large, 1);
    give(f, parameters, many, 1);
    fakes_fire(f, "t", payload, "");
    fakes_until(f, &f->replies, 1);
    assert_int_equal(f->last_status, 413);
    assert_non_null(strstr(f->last_error_text, "larger than allowed: 1843215 > 1048576 bytes."));
    controller_on_change(f->controller, "guest", "", "t", 0, FN_TRIGGER_CHANGED);
    give(f, "{}", many, nr_countof(many));
    fakes_fire(f, "t", payload, "");
    fakes_until(f, &f->replies, 2);
    assert_int_equal(f->last_status, 413);
    assert_non_null(strstr(f->last_error_text, "92160800 > 33554432 bytes."));
    assert_int_equal(count_records(f), 0);
}

/* ---- durability ---- */

static void a_full_disk_starts_nothing(void **state)
{
    struct fakes *f = *state;

    give(f, "{}", mixed, nr_countof(mixed));
    fakes_disk_full(true);
    fakes_fire(f, "t", "{}", "");
    fakes_until(f, &f->replies, 1);
    assert_int_equal(f->last_status, 503);
    assert_non_null(strstr(f->last_head, "Retry-After: "));
    fakes_turns(f, 50);
    assert_int_equal(f->runs, 0);
    metric_is(f, "narae_accepted_drift 0\n");
    metric_is(f, "narae_running_activations 0\n");
    fakes_disk_full(false);
    assert_int_equal(count_records(f), 0);
}

static void what_a_fire_started_survives_a_stop(void **state)
{
    struct fakes *f = nr_alloc(sizeof(*f));
    char id[33];

    (void)state;
    fakes_open(f, false);
    f->run = FAKE_QUEUED;
    give(f, "{}", mixed, nr_countof(mixed));
    fakes_fire(f, "t", "{}", "");
    fakes_until(f, &f->replies, 1);
    memcpy(id, f->last_id, sizeof(id));
    fakes_close(f, true);
    fakes_open(f, true);
    fakes_until(f, &f->runs, 2);
    assert_string_equal(f->asked_space, "other"); /* the last one's namespace is in its row */
    nr_auto_json json_t *record = asked(f, QUERY_GET, id);
    assert_non_null(record);
    while (count_records(f) < 3)
        ;
    fakes_close(f, false);
    free(f);
}

static void an_update_holds_the_call_and_not_the_fire(void **state)
{
    struct fakes *f = *state;

    f->state = FN_UPDATING;
    f->hold_ms = 60000;
    give(f, "{}", mixed, 1);
    fakes_fire(f, "t", "{}", "");
    fakes_until(f, &f->replies, 1);
    assert_int_equal(f->last_status, 202);
    fakes_turns(f, 20);
    assert_int_equal(f->runs, 0);
    metric_is(f, "narae_held_activations 1\n");
    metric_is(f, "narae_accepted_queued 1\n");
    f->state = FN_LATEST;
    controller_on_change(f->controller, "guest", "", "one", 7, FN_REPLACED);
    fakes_until(f, &f->runs, 1);
    while (count_records(f) < 2)
        ;
    metric_is(f, "narae_accepted_drift 0\n");
}

static void on_idle(void *arg)
{
    *(int *)arg = 1;
}

static void a_stop_refuses_fires(void **state)
{
    struct fakes *f = *state;
    int idle = 0;

    give(f, "{}", mixed, 1);
    controller_drain(f->controller, 1000, on_idle, &idle);
    fakes_fire(f, "t", "{}", "");
    fakes_until(f, &f->replies, 1);
    assert_int_equal(f->last_status, 503);
    assert_int_equal(f->runs, 0);
}

/* ---- which calls leave a record ---- */

static void the_policy_says_which_calls_are_stored(void **state)
{
    static const struct {
        enum store_policy store;
        enum outcome_status status;
        int stored;
    } rows[] = {
        {STORE_ALL, OUTCOME_SUCCESS, 1},
        {STORE_ERRORS, OUTCOME_SUCCESS, 0},
        {STORE_ERRORS, OUTCOME_APPLICATION_ERROR, 1},
        {STORE_ERRORS, OUTCOME_INTERNAL_ERROR, 1},
        {STORE_NONE, OUTCOME_DEVELOPER_ERROR, 0},
        {STORE_NONE, OUTCOME_SUCCESS, 0},
    };
    struct fakes *f = *state;
    int64_t stored = 0;
    int calls = 0;

    for (size_t i = 0; i < nr_countof(rows); i++) {
        f->store = rows[i].store;
        f->status = rows[i].status;
        controller_on_change(f->controller, "guest", "", "hello", 7, FN_REPLACED);
        for (int blocking = 0; blocking < 2; blocking++) {
            (void)fakes_call(f, "hello", blocking, 60000);
            fakes_until(f, &f->replies, ++calls);
            assert_int_not_equal(strlen(f->last_id), 0);
            settle(f);
        }
        stored += 2 * rows[i].stored;
        assert_int_equal(count_records(f), stored);
    }
    metric_is(f, "narae_accepted_drift 0\n");
    metric_is(f, "narae_accepted_total 6\n");
    metric_is(f, "narae_running_activations 0\n");
    metric_is(f, "narae_activations_total{status=\"success\"} 6\n");
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest cases[] = {
        CASE(every_active_rule_starts_a_call),
        CASE(without_an_active_rule_nothing_happens),
        CASE(calls_get_parameters_headers_and_payload),
        CASE(an_unknown_trigger_is_404),
        CASE(triggers_are_asked_for_once_until_they_change),
        CASE(triggers_go_with_their_account),
        CASE(fires_have_a_counter_of_their_own),
        CASE(calls_of_rules_are_counted_as_calls),
        CASE(what_is_too_large_is_refused),
        CASE(a_full_disk_starts_nothing),
        cmocka_unit_test(what_a_fire_started_survives_a_stop),
        CASE(an_update_holds_the_call_and_not_the_fire),
        CASE(a_stop_refuses_fires),
        CASE(the_policy_says_which_calls_are_stored),
    };

    return cmocka_run_group_tests(cases, NULL, NULL);
}
