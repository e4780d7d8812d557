/* Calls of a function that is being updated: held, bounded, let go with the change. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "controller/internal.h"
#include "tests/unit/controller/fakes.h"

static int set_up(void **state)
{
    struct fakes *f = nr_alloc(sizeof(*f));

    fakes_open(f, false);
    f->state = FN_UPDATING;
    f->hold_ms = 60000;
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fakes_close(*state, false);
    free(*state);
    return 0;
}

static void until_held(struct fakes *f, size_t n)
{
    while (f->controller->held < n)
        (void)uv_run(&f->loop.uv, UV_RUN_ONCE);
    assert_int_equal(f->controller->held, n);
}

/* The end of the window: the function is LATEST again. */
static void window_ends(struct fakes *f)
{
    f->state = FN_LATEST;
    f->hold_ms = 0;
    controller_on_change(f->controller, "guest", "", "hello", 7, FN_REPLACED);
}

static void held_calls_go_on_with_the_change_in_their_order(void **state)
{
    struct fakes *f = *state;

    for (int i = 0; i < 5; i++)
        (void)fakes_call(f, "hello", true, 60000);
    until_held(f, 5);
    assert_int_equal(f->runs, 0);
    assert_int_equal(f->asked, 1);
    window_ends(f);
    fakes_until(f, &f->replies, 5);
    assert_int_equal(f->last_status, 200);
    assert_int_equal(f->controller->held, 0);
    assert_int_equal(f->asked, 2);
}

/* Another change of the function within the window: they are looked up again, and held on. */
static void a_change_within_the_window_holds_on(void **state)
{
    struct fakes *f = *state;

    (void)fakes_call(f, "hello", true, 60000);
    until_held(f, 1);
    controller_on_change(f->controller, "guest", "", "hello", 0, FN_KEPT);
    fakes_until(f, &f->asked, 2);
    until_held(f, 1);
    window_ends(f);
    fakes_until(f, &f->replies, 1);
    assert_int_equal(f->last_status, 200);
}

static void versions_and_other_functions_run_on(void **state)
{
    struct fakes *f = *state;

    (void)fakes_call(f, "hello", true, 60000);
    until_held(f, 1);
    f->state = FN_LATEST;
    (void)fakes_call_target(f, "hello", 2, NULL, NULL);
    (void)fakes_call(f, "other", true, 60000);
    fakes_until(f, &f->replies, 2);
    assert_int_equal(f->last_status, 200);
    assert_int_equal(f->controller->held, 1);
    controller_on_change(f->controller, "guest", "", "other", 7, FN_REPLACED);
    assert_int_equal(f->controller->held, 1);
    window_ends(f);
    fakes_until(f, &f->replies, 3);
}

static void over_its_time_it_is_refused(void **state)
{
    struct fakes *f = *state;

    f->hold_ms = 20;
    (void)fakes_call(f, "hello", true, 60000);
    fakes_until(f, &f->replies, 1);
    assert_int_equal(f->last_status, 503);
    assert_string_equal(f->last_head, "Retry-After: 1\r\n");
    assert_string_equal(f->last_id, "");
    assert_string_equal(f->last_error_text,
                        "The function is being updated; try again when that is done.");
    assert_int_equal(f->controller->held, 0);
}

static void the_patience_of_its_caller_counts_when_it_is_shorter(void **state)
{
    struct fakes *f = *state;

    (void)fakes_call(f, "hello", true, 20);
    fakes_until(f, &f->replies, 1);
    assert_int_equal(f->last_status, 503);
}

/* A non-blocking call has its 202 when the function can be said to take it. */
static void a_non_blocking_call_is_accepted_after_the_window(void **state)
{
    struct fakes *f = *state;

    (void)fakes_call(f, "hello", false, 60000);
    until_held(f, 1);
    assert_int_equal(f->replies, 0);
    window_ends(f);
    fakes_until(f, &f->replies, 1);
    assert_int_equal(f->last_status, 202);
    fakes_until(f, &f->runs, 1);
}

static void a_blocked_function_refuses_those_it_held(void **state)
{
    struct fakes *f = *state;

    (void)fakes_call(f, "hello", true, 60000);
    until_held(f, 1);
    f->state = FN_BLOCKED;
    controller_on_change(f->controller, "guest", "", "hello", 7, FN_REPLACED);
    fakes_until(f, &f->replies, 1);
    assert_int_equal(f->last_status, 423);
    assert_string_equal(f->last_id, "");
}

static void held_calls_are_counted_and_given_back(void **state)
{
    struct fakes *f = *state;

    f->account->concurrent_invocations = 2;
    (void)fakes_call(f, "hello", true, 60000);
    (void)fakes_call(f, "hello", true, 60000);
    until_held(f, 2);
    (void)fakes_call(f, "hello", true, 60000);
    fakes_until(f, &f->replies, 1);
    assert_int_equal(f->last_status, 429);
    window_ends(f);
    fakes_until(f, &f->replies, 3);
    assert_int_equal(f->last_status, 200);
    (void)fakes_call(f, "hello", true, 60000);
    fakes_until(f, &f->replies, 4);
    assert_int_equal(f->last_status, 200);
}

static void there_is_an_end_to_how_many_wait(void **state)
{
    struct fakes *f = *state;

    f->account->concurrent_invocations = -1;
    for (int i = 0; i < 1001; i++)
        (void)fakes_call(f, "hello", true, 60000);
    fakes_until(f, &f->replies, 1);
    assert_int_equal(f->last_status, 429);
    assert_string_equal(f->last_head, "Retry-After: 60\r\n");
    assert_non_null(strstr(f->last_error_text, "(count: 1001, allowed: 1000)"));
    window_ends(f);
    fakes_until(f, &f->replies, 1001);
    assert_int_equal(f->last_status, 200);
}

/* Another account's calls of the same code, through a package that is shared. */
static void others_call(struct fakes *f, const char *account, int count)
{
    struct account *own = f->account;

    f->account = nr_alloc(sizeof(*own));
    *f->account = (struct account){.refs = 1,
                                   .name = nr_strdup(account),
                                   .uuid = nr_strdup("u2"),
                                   .invocations_per_minute = -1,
                                   .fires_per_minute = -1,
                                   .concurrent_invocations = -1};
    for (int i = 0; i < count; i++)
        (void)fakes_call_package(f, "guest", "shared", "hello");
    account_unref(f->account);
    f->account = own;
}

static void nobody_takes_the_places_of_the_rest(void **state)
{
    struct fakes *f = *state;

    f->code = "guest/shared";
    f->account->concurrent_invocations = -1;
    others_call(f, "greedy", 150);
    fakes_until(f, &f->replies, 50);
    assert_int_equal(f->last_status, 429);
    assert_non_null(strstr(f->last_error_text, "(count: 101, allowed: 100)"));
    until_held(f, 100);
    others_call(f, "modest", 1);
    (void)fakes_call_package(f, NULL, "shared", "hello");
    until_held(f, 102);
    assert_int_equal(f->replies, 50);
    for (int i = 0; i < 9; i++) {
        char name[16];

        (void)snprintf(name, sizeof(name), "greedy%d", i);
        others_call(f, name, 100);
    }
    fakes_until(f, &f->replies, 51);
    assert_non_null(strstr(f->last_error_text, "(count: 1001, allowed: 1000)"));
    for (int i = 0; i < 999; i++)
        (void)fakes_call_package(f, NULL, "shared", "hello");
    until_held(f, 2000);
    f->state = FN_LATEST;
    f->hold_ms = 0;
    controller_on_change(f->controller, "guest", "shared", "hello", 7, FN_REPLACED);
    fakes_until(f, &f->replies, 2051);
    assert_int_equal(f->last_status, 200);
}

static void a_stop_ends_them(void **state)
{
    struct fakes *f = *state;

    (void)fakes_call(f, "hello", true, 60000);
    until_held(f, 1);
    fakes_close(f, true);
    assert_int_equal(f->replies, 1);
    assert_int_equal(f->last_status, 503);
    fakes_open(f, true);
}

/* Accepted work that finds an update after a restart waits for its end, however long that takes. */
static void accepted_work_is_never_refused(void **state)
{
    struct fakes *f = *state;

    f->state = FN_LATEST;
    f->run = FAKE_QUEUED;
    (void)fakes_call(f, "hello", false, 60000);
    fakes_until(f, &f->held_count, 1);
    fakes_close(f, true);
    fakes_open(f, true);
    f->state = FN_UPDATING;
    f->hold_ms = 1;
    until_held(f, 1);
    nr_clock_fake(60000000, 0);
    fakes_turns(f, 50);
    nr_clock_fake(0, 0);
    assert_int_equal(f->controller->held, 1);
    window_ends(f);
    fakes_until(f, &f->runs, 1);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(held_calls_go_on_with_the_change_in_their_order),
        CASE(a_change_within_the_window_holds_on),
        CASE(versions_and_other_functions_run_on),
        CASE(over_its_time_it_is_refused),
        CASE(the_patience_of_its_caller_counts_when_it_is_shorter),
        CASE(a_non_blocking_call_is_accepted_after_the_window),
        CASE(a_blocked_function_refuses_those_it_held),
        CASE(held_calls_are_counted_and_given_back),
        CASE(there_is_an_end_to_how_many_wait),
        CASE(nobody_takes_the_places_of_the_rest),
        CASE(a_stop_ends_them),
        CASE(accepted_work_is_never_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
