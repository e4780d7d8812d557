/* One invocation's life in the controller, with scripted neighbours and a real calls.db. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/file.h"
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

static json_t *parse(const char *text)
{
    json_t *j = nr_json_parse(nr_str_of(text), NULL);

    if (j == NULL)
        fail_msg("not JSON: %s", text);
    return j;
}

static void blocking_call_is_answered_with_its_record(void **state)
{
    struct fakes *f = *state;

    (void)fakes_call(f, "hello", true, 60000);
    fakes_until(f, &f->replies, 1);
    assert_int_equal(f->last_status, 200);
    nr_auto_json json_t *j = parse(f->last_body);
    assert_string_equal(nr_json_string(j, "namespace"), "guest");
    assert_string_equal(nr_json_string(j, "subject"), "guest");
    assert_string_equal(nr_json_string(j, "activationId"), f->last_id);
    assert_int_equal(json_array_size(json_object_get(j, "logs")), 0);
    json_t *response = json_object_get(j, "response");
    assert_string_equal(nr_json_string(response, "status"), "success");
    assert_true(json_is_true(json_object_get(json_object_get(response, "result"), "ok")));
}

static void statuses_follow_the_outcome(void **state)
{
    static const struct {
        enum outcome_status status;
        const char *result;
        int http;
    } rows[] = {{OUTCOME_SUCCESS, "{}", 200},
                {OUTCOME_APPLICATION_ERROR, "{\"error\":1}", 502},
                {OUTCOME_DEVELOPER_ERROR, "{\"error\":\"x\"}", 502},
                {OUTCOME_INTERNAL_ERROR, "{\"error\":\"y\"}", 500}};
    struct fakes *f = *state;

    for (size_t i = 0; i < nr_countof(rows); i++) {
        f->status = rows[i].status;
        f->result = rows[i].result;
        (void)fakes_call(f, "hello", true, 60000);
        fakes_until(f, &f->replies, (int)i + 1);
        assert_int_equal(f->last_status, rows[i].http);
    }
}

static void an_array_is_answered_bare(void **state)
{
    struct fakes *f = *state;

    f->result = "[1,2]";
    (void)fakes_call(f, "hello", true, 60000);
    fakes_until(f, &f->replies, 1);
    assert_string_equal(f->last_body, "[1,2]");
}

static void second_call_hits_the_cache(void **state)
{
    struct fakes *f = *state;

    (void)fakes_call(f, "hello", true, 60000);
    (void)fakes_call(f, "hello", true, 60000);
    fakes_until(f, &f->replies, 2);
    (void)fakes_call(f, "hello", true, 60000);
    fakes_until(f, &f->replies, 3);
    assert_int_equal(f->asked, 1);
    controller_on_change(f->controller, "guest", "", "hello", 7, FN_REPLACED);
    assert_int_equal(f->forgotten, 1);
    (void)fakes_call(f, "hello", true, 60000);
    fakes_until(f, &f->replies, 4);
    assert_int_equal(f->asked, 2);
}

static void change_during_the_question_asks_again(void **state)
{
    struct fakes *f = *state;

    (void)fakes_call(f, "hello", true, 60000);
    controller_on_change(f->controller, "guest", "", "hello", 7, FN_REPLACED);
    fakes_until(f, &f->replies, 1);
    assert_int_equal(f->asked, 2);
    assert_int_equal(f->last_status, 200);
}

static void unknown_function_is_404_and_leaves_nothing(void **state)
{
    struct fakes *f = *state;
    int err;

    f->unknown = true;
    (void)fakes_call(f, "nope", true, 60000);
    fakes_until(f, &f->replies, 1);
    assert_int_equal(f->last_status, 404);
    assert_string_equal(f->last_error_text, "The requested resource does not exist.");
    nr_auto_free char *count = fakes_ask(f, QUERY_LIST, "", true, &err);
    assert_string_equal(count, "{\"activations\":0}");
    f->unknown = false;
    (void)fakes_call(f, "nope", true, 60000);
    fakes_until(f, &f->replies, 2);
    assert_int_equal(f->last_status, 200);
}

static void lifecycle_states_refuse(void **state)
{
    struct fakes *f = *state;

    f->state = FN_BLOCKED;
    (void)fakes_call(f, "b", true, 60000);
    fakes_until(f, &f->replies, 1);
    assert_int_equal(f->last_status, 423);
    f->state = FN_RETIRED;
    (void)fakes_call(f, "r", true, 60000);
    fakes_until(f, &f->replies, 2);
    assert_int_equal(f->last_status, 410);
}

static void limits_are_exact(void **state)
{
    struct fakes *f = *state;

    f->run = FAKE_HOLD;
    f->account->concurrent_invocations = 2;
    for (int i = 0; i < 3; i++)
        (void)fakes_call(f, "hello", true, 60000);
    fakes_until(f, &f->replies, 1);
    assert_int_equal(f->last_status, 429);
    assert_string_equal(f->last_error_text,
                        "Too many concurrent requests in flight (count: 3, allowed: 2).");
    assert_string_equal(f->last_head, "Retry-After: 1\r\n");
    fakes_finish(f, f->held[0]);
    fakes_finish(f, f->held[1]);
    fakes_until(f, &f->replies, 3);
    f->run = FAKE_ANSWER;
    f->account->invocations_per_minute = 4; /* three calls are in the window */
    (void)fakes_call(f, "hello", true, 60000);
    fakes_until(f, &f->replies, 4);
    assert_int_equal(f->last_status, 200);
    (void)fakes_call(f, "hello", true, 60000);
    fakes_until(f, &f->replies, 5);
    assert_int_equal(f->last_status, 429);
    assert_string_equal(f->last_error_text,
                        "Too many requests in the last minute (count: 5, allowed: 4).");
}

static void answered_calls_are_found_at_once(void **state)
{
    struct fakes *f = *state;
    int err;

    (void)fakes_call(f, "hello", true, 60000);
    fakes_until(f, &f->replies, 1);
    nr_auto_free char *one = fakes_ask(f, QUERY_GET, f->last_id, false, &err);
    assert_int_equal(err, 0);
    nr_auto_json json_t *j = parse(one);
    assert_string_equal(nr_json_string(j, "activationId"), f->last_id);
    assert_int_equal(json_array_size(json_object_get(j, "logs")), 1);
    nr_auto_free char *logs = fakes_ask(f, QUERY_LOGS, f->last_id, false, &err);
    assert_string_equal(logs, "{\"logs\":[\"2026-01-02T03:04:05.123456789Z stdout: hi\"]}");
    nr_auto_free char *result = fakes_ask(f, QUERY_RESULT, f->last_id, false, &err);
    assert_string_equal(
        result, "{\"status\":\"success\",\"success\":true,\"result\":{\"ok\":true},\"size\":11}");
    nr_auto_free char *count = fakes_ask(f, QUERY_LIST, "", true, &err);
    assert_string_equal(count, "{\"activations\":1}");
    assert_null(fakes_ask(f, QUERY_GET, "0123456789abcdef0123456789abcdef", false, &err));
    assert_int_equal(err, NR_ENOENT);
}

static void non_blocking_call_is_durable_before_its_202(void **state)
{
    struct fakes *f = *state;
    int err;

    (void)fakes_call(f, "hello", false, 60000);
    assert_int_equal(f->runs, 0);
    fakes_until(f, &f->replies, 1);
    assert_int_equal(f->last_status, 202);
    char id[33];
    memcpy(id, f->last_id, sizeof(id));
    fakes_until(f, &f->runs, 1);
    nr_auto_free char *one = fakes_ask(f, QUERY_GET, id, false, &err);
    while (one == NULL) /* it runs after its 202 */
        one = fakes_ask(f, QUERY_GET, id, false, &err);
    nr_auto_json json_t *j = parse(one);
    assert_string_equal(nr_json_string(json_object_get(j, "response"), "status"), "success");
}

static void impatient_caller_gets_202_and_the_record_later(void **state)
{
    struct fakes *f = *state;
    int err;

    f->run = FAKE_HOLD;
    (void)fakes_call(f, "slow", true, 5);
    fakes_until(f, &f->replies, 1);
    assert_int_equal(f->last_status, 202);
    assert_null(fakes_ask(f, QUERY_GET, f->last_id, false, &err));
    fakes_finish(f, f->held[0]);
    nr_auto_free char *one = fakes_ask(f, QUERY_GET, f->last_id, false, &err);
    assert_non_null(one);
    assert_int_equal(f->replies, 1);
}

/* The value of a metric without labels. */
static double metric(struct fakes *f, const char *name)
{
    struct nr_buf text;
    char line[128];

    (void)snprintf(line, sizeof(line), "\n%s ", name);
    nr_buf_init(&text, 1 << 20);
    controller_metrics(f->controller, &text);
    nr_buf_addc(&text, '\0');
    const char *at = strstr(text.p, line);
    assert_non_null(at);
    double value = strtod(at + strlen(line), NULL);
    nr_buf_fini(&text);
    return value;
}

static char *success_of(struct fakes *f, const char *id)
{
    int err = NR_ENOENT;
    char *one = NULL;
    uint64_t until_ms = nr_mono_ms() + 5000;

    while (one == NULL && nr_mono_ms() < until_ms)
        one = fakes_ask(f, QUERY_GET, id, false, &err);
    assert_non_null(one);
    assert_non_null(strstr(one, "\"status\":\"success\""));
    return one;
}

static void a_full_disk_refuses_202_and_says_why(void **state)
{
    struct fakes *f = *state;

    (void)fakes_call(f, "hello", true, 60000);
    fakes_until(f, &f->replies, 1);
    fakes_disk_full(true);
    (void)fakes_call(f, "hello", false, 60000);
    fakes_until(f, &f->replies, 2);
    fakes_disk_full(false);
    assert_int_equal(f->last_status, 503);
    assert_non_null(strstr(f->last_error_text, "no space left"));
    assert_string_equal(f->last_head, "Retry-After: 5\r\n");
    (void)fakes_call(f, "hello", true, 60000);
    fakes_until(f, &f->replies, 3);
    assert_int_equal(f->last_status, 200);
}

/* The accept of an impatient caller is refused after his call has ended: he must hear of it. */
static void a_refused_downgrade_still_answers(void **state)
{
    struct fakes *f = *state;

    f->run = FAKE_HOLD;
    (void)fakes_call(f, "slow", true, 5);
    fakes_until(f, &f->held_count, 1);
    fakes_disk_full(true);
    while (!f->held[0]->row_pending)
        (void)uv_run(&f->loop.uv, UV_RUN_ONCE);
    fakes_finish(f, f->held[0]);
    assert_int_equal(f->replies, 0);
    fakes_until(f, &f->replies, 1);
    fakes_disk_full(false);
    assert_int_equal(f->last_status, 200);
}

static void a_claim_that_the_disk_refuses_is_tried_again(void **state)
{
    struct fakes *f = *state;
    char id[33];

    f->run = FAKE_ENTER;
    (void)fakes_call(f, "hello", false, 60000);
    fakes_until(f, &f->held_count, 1);
    memcpy(id, f->last_id, sizeof(id));
    fakes_disk_full(true);
    fakes_claim(f, f->held[0]);
    fakes_until(f, &f->unclaimed, 1);
    fakes_disk_full(false);
    f->run = FAKE_ANSWER;
    fakes_until(f, &f->runs, 2);
    nr_auto_free char *one = success_of(f, id);
    assert_int_equal((int)metric(f, "narae_accepted_drift"), 0);
    assert_int_equal((int)metric(f, "narae_accepted_running"), 0);
}

static void an_end_that_the_disk_refuses_holds_no_question_up(void **state)
{
    struct fakes *f = *state;
    char id[33];
    int err;

    f->run = FAKE_HOLD;
    (void)fakes_call(f, "hello", false, 60000);
    fakes_until(f, &f->held_count, 1);
    memcpy(id, f->last_id, sizeof(id));
    fakes_disk_full(true);
    fakes_finish(f, f->held[0]);
    assert_null(fakes_ask(f, QUERY_GET, id, false, &err));
    assert_int_equal(err, NR_ENOENT);
    assert_int_equal((int)metric(f, "narae_records_dropped_total"), 0);
    fakes_disk_full(false);
    nr_auto_free char *one = success_of(f, id);
}

static void a_stop_with_a_full_disk_leaks_nothing_and_the_next_start_says_so(void **state)
{
    struct fakes *f = *state;
    char id[33];
    int err;

    f->run = FAKE_HOLD;
    (void)fakes_call(f, "hello", false, 60000);
    fakes_until(f, &f->held_count, 1);
    memcpy(id, f->last_id, sizeof(id));
    fakes_disk_full(true);
    fakes_finish(f, f->held[0]);
    fakes_close(f, true);
    fakes_open(f, true);
    nr_auto_free char *one = fakes_ask(f, QUERY_GET, id, false, &err);
    assert_non_null(one);
    assert_non_null(strstr(one, "\"status\":\"whisk internal error\""));
}

/* The end that was refused is due to be written again, and the store is closed. */
static void a_slow_stop_with_a_full_disk_writes_nothing_after_the_end(void **state)
{
    struct fakes *f = *state;

    f->stall_us = 60000000;
    a_stop_with_a_full_disk_leaks_nothing_and_the_next_start_says_so(state);
}

/* 64 results of a megabyte against a disk that stands: what waits in memory has a ceiling, and nothing is lost. */
static void a_disk_that_is_behind_slows_callers_down(void **state)
{
    struct fakes *f = *state;
    int err;
    nr_auto_free char *big = nr_alloc((1 << 20) + 1);

    memset(big, '1', 1 << 20);
    f->result = big;
    fakes_disk_stands(true);
    for (int i = 0; i < 64; i++)
        (void)fakes_call(f, "hello", true, 60000);
    fakes_until(f, &f->runs, 64);
    fakes_turns(f, 100);
    int at_once = f->replies;
    fakes_disk_stands(false);
    assert_int_equal(at_once, 8);
    fakes_until(f, &f->replies, 64);
    assert_int_equal(f->last_status, 200);
    nr_auto_free char *count = fakes_ask(f, QUERY_LIST, "", true, &err);
    assert_string_equal(count, "{\"activations\":64}");
}

static void a_queued_call_whose_function_is_gone_says_so(void **state)
{
    struct fakes *f = *state;
    char id[33];
    int err = 0;

    f->run = FAKE_QUEUED;
    (void)fakes_call(f, "hello", false, 60000);
    fakes_until(f, &f->held_count, 1);
    memcpy(id, f->last_id, sizeof(id));
    fakes_close(f, true);
    fakes_open(f, true);
    f->unknown = true;
    nr_auto_free char *one = NULL;
    uint64_t until_ms = nr_mono_ms() + 5000;
    while (one == NULL && nr_mono_ms() < until_ms)
        one = fakes_ask(f, QUERY_GET, id, false, &err);
    assert_non_null(one);
    assert_non_null(strstr(one, "{\"error\":\"The requested resource does not exist.\"}"));
}

/* Copies the store while calls are in the given states, as a crash would leave it. */
static void after_a_crash(enum fake_run run, const char *want_status, int want_runs)
{
    struct fakes *f = nr_alloc(sizeof(*f)), *g = nr_alloc(sizeof(*g));
    char command[256], id[33];
    int err;

    fakes_open(f, false);
    f->run = run;
    (void)fakes_call(f, "hello", false, 60000);
    fakes_until(f, &f->replies, 1);
    fakes_until(f, &f->held_count, 1);
    memcpy(id, f->last_id, sizeof(id));
    (void)snprintf(g->dir, sizeof(g->dir), "/tmp/narae-controller-XXXXXX");
    assert_non_null(mkdtemp(g->dir));
    (void)snprintf(command, sizeof(command), "cp %s/calls.db* %s/", f->dir, g->dir);
    FILE *cp = popen(command, "r");
    assert_non_null(cp);
    assert_int_equal(pclose(cp), 0);
    if (run == FAKE_HOLD)
        fakes_finish(f, f->held[0]);
    fakes_close(f, false);

    fakes_open(g, true);
    if (want_runs)
        fakes_until(g, &g->runs, want_runs);
    nr_auto_free char *one = NULL;
    while (one == NULL)
        one = fakes_ask(g, QUERY_GET, id, false, &err);
    assert_int_equal(g->runs, want_runs);
    nr_auto_json json_t *j = parse(one);
    assert_string_equal(nr_json_string(json_object_get(j, "response"), "status"), want_status);
    fakes_close(g, false);
    free(f);
    free(g);
}

static void queued_call_survives_a_crash_and_runs_once(void **state)
{
    (void)state;
    after_a_crash(FAKE_QUEUED, "success", 1);
}

static void running_call_of_a_crash_is_not_run_again(void **state)
{
    (void)state;
    after_a_crash(FAKE_HOLD, "whisk internal error", 0);
}

static void stopping_refuses_and_leaves_the_queue(void **state)
{
    struct fakes *f = *state;

    f->run = FAKE_QUEUED;
    (void)fakes_call(f, "hello", false, 60000);
    fakes_until(f, &f->held_count, 1);
    fakes_close(f, true);
    assert_int_equal(f->cuts, 1);
    fakes_open(f, true);
    fakes_until(f, &f->runs, 1);
}

static void drift_is_zero(void **state)
{
    struct fakes *f = *state;
    struct nr_buf text;
    int err;

    for (int i = 0; i < 20; i++)
        (void)fakes_call(f, "hello", i % 2, 60000);
    fakes_until(f, &f->replies, 20);
    fakes_until(f, &f->runs, 20);
    nr_auto_free char *count = fakes_ask(f, QUERY_LIST, "", true, &err);
    assert_non_null(count);
    nr_buf_init(&text, 1 << 20);
    controller_metrics(f->controller, &text);
    nr_buf_addc(&text, '\0');
    assert_non_null(strstr(text.p, "narae_accepted_drift 0\n"));
    nr_buf_fini(&text);
}

static void a_damaged_store_refuses_the_start(void **state)
{
    struct fakes *f = *state;
    struct controller_config c = {.loop = &f->loop, .data_dir = f->dir};
    struct controller *other = NULL;
    struct nr_err err = {0};
    char damaged[128];

    (void)snprintf(damaged, sizeof(damaged), "%s/damaged", f->dir);
    assert_int_equal(mkdir(damaged, 0700), 0);
    assert_int_equal(
        nr_file_write(damaged, "calls.db", NR_STR("no database, of no use at all"), 0600, &err), 0);
    c.data_dir = damaged;
    assert_true(controller_open(&c, &other, &err) < 0);
    assert_non_null(strstr(err.text, "calls.db"));
    assert_null(other);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest cases[] = {
        CASE(blocking_call_is_answered_with_its_record),
        CASE(statuses_follow_the_outcome),
        CASE(an_array_is_answered_bare),
        CASE(second_call_hits_the_cache),
        CASE(change_during_the_question_asks_again),
        CASE(unknown_function_is_404_and_leaves_nothing),
        CASE(lifecycle_states_refuse),
        CASE(limits_are_exact),
        CASE(answered_calls_are_found_at_once),
        CASE(non_blocking_call_is_durable_before_its_202),
        CASE(impatient_caller_gets_202_and_the_record_later),
        CASE(a_full_disk_refuses_202_and_says_why),
        CASE(a_refused_downgrade_still_answers),
        CASE(a_claim_that_the_disk_refuses_is_tried_again),
        CASE(an_end_that_the_disk_refuses_holds_no_question_up),
        CASE(a_stop_with_a_full_disk_leaks_nothing_and_the_next_start_says_so),
        CASE(a_slow_stop_with_a_full_disk_writes_nothing_after_the_end),
        CASE(a_disk_that_is_behind_slows_callers_down),
        CASE(a_queued_call_whose_function_is_gone_says_so),
        cmocka_unit_test(queued_call_survives_a_crash_and_runs_once),
        cmocka_unit_test(running_call_of_a_crash_is_not_run_again),
        CASE(stopping_refuses_and_leaves_the_queue),
        CASE(drift_is_zero),
        CASE(a_damaged_store_refuses_the_start),
    };

    return cmocka_run_group_tests(cases, NULL, NULL);
}
