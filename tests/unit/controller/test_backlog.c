/* Room of accepted work: how many calls wait, and how large their requests are together. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "controller/internal.h"
#include "tests/unit/controller/fakes.h"

enum { INPUT_BYTES = 7 }; /* of a call that fakes_call() makes */

static int set_up(void **state)
{
    struct fakes *f = nr_alloc(sizeof(*f));

    fakes_open(f, false);
    f->run = FAKE_QUEUED;
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fakes_close(*state, false);
    free(*state);
    return 0;
}

/* Every call that waits runs to its end. */
static void run_all(struct fakes *f)
{
    f->run = FAKE_ANSWER;
    for (int i = 0; i < f->held_count; i++)
        fakes_claim(f, f->held[i]);
    while (f->controller->running > 0)
        (void)uv_run(&f->loop.uv, UV_RUN_ONCE);
    f->held_count = 0;
}

static void has_room(struct fakes *f, int64_t rows, int64_t bytes)
{
    assert_int_equal(f->controller->backlog.rows, rows);
    assert_int_equal(f->controller->backlog.bytes, bytes);
}

static void refused(struct fakes *f, const char *figures)
{
    assert_int_equal(f->last_status, 429);
    assert_string_equal(f->last_head, "Retry-After: 5\r\n");
    if (strstr(f->last_error_text, figures) == NULL)
        fail_msg("%s, not %s", f->last_error_text, figures);
}

/* A trigger with so many rules, all of them active. */
static void give(struct fakes *f, size_t count)
{
    struct trigger *t = nr_alloc(sizeof(*t));

    t->refs = 1;
    t->account = nr_strdup("guest");
    t->name = nr_strdup("t");
    t->version = nr_strdup("0.0.1");
    t->parameters = nr_strdup("{}");
    t->rules = nr_alloc(count * sizeof(*t->rules));
    t->rule_count = count;
    for (size_t i = 0; i < count; i++) {
        t->rules[i].name = nr_strdup("r");
        t->rules[i].active = true;
        assert_int_equal(
            function_target_read(NR_STR("/guest/hello"), "guest", &t->rules[i].action, NULL), 0);
    }
    f->trigger = t;
}

static void calls_that_come_at_once_are_counted(void **state)
{
    struct fakes *f = *state;

    f->controller->queue_max = 3;
    for (int i = 0; i < 5; i++)
        (void)fakes_call(f, "hello", false, 0);
    fakes_until(f, &f->replies, 2); /* before any row is on the disk */
    refused(f, "(count: 4, allowed: 3)");
    fakes_until(f, &f->replies, 5);
    assert_int_equal(f->last_status, 202);
    has_room(f, 0, 3 * INPUT_BYTES);
    run_all(f);
    has_room(f, 0, 0);
    (void)fakes_call(f, "hello", false, 0);
    fakes_until(f, &f->replies, 6);
    assert_int_equal(f->last_status, 202);
    run_all(f);
}

/* A call of an account of its own. */
static void others_call(struct fakes *f, const char *name)
{
    struct account *own = f->account;
    int replies = f->replies;

    f->account = nr_alloc(sizeof(*own));
    *f->account = (struct account){.refs = 1,
                                   .name = nr_strdup(name),
                                   .uuid = nr_strdup("u2"),
                                   .invocations_per_minute = -1,
                                   .fires_per_minute = -1,
                                   .concurrent_invocations = -1};
    (void)fakes_call(f, "hello", false, 0);
    fakes_until(f, &f->replies, replies + 1);
    account_unref(f->account);
    f->account = own;
}

static void one_account_has_a_share_of_the_bytes(void **state)
{
    struct fakes *f = *state;

    f->controller->queue_max_bytes = 4 * 15;
    for (int i = 0; i < 2; i++)
        (void)fakes_call(f, "hello", false, 0);
    fakes_until(f, &f->replies, 2);
    assert_int_equal(f->last_status, 202);
    (void)fakes_call(f, "hello", false, 0);
    fakes_until(f, &f->replies, 3);
    refused(f, "(bytes: 21, allowed: 15)");
    others_call(f, "other");
    assert_int_equal(f->last_status, 202);
    run_all(f);
    has_room(f, 0, 0);
    (void)fakes_call(f, "hello", false, 0);
    fakes_until(f, &f->replies, 5);
    assert_int_equal(f->last_status, 202);
}

static void all_accounts_together_have_a_ceiling(void **state)
{
    static const char *const names[] = {"a", "b", "c", "d", "e"};
    struct fakes *f = *state;

    f->controller->queue_max_bytes = 4 * INPUT_BYTES;
    for (size_t i = 0; i < nr_countof(names); i++) {
        others_call(f, names[i]);
        assert_int_equal(f->last_status, i < 4 ? 202 : 429);
    }
    refused(f, "(bytes: 35, allowed: 28)");
    run_all(f);
    has_room(f, 0, 0);
}

/* What is refused for its room is a blocking call still, and is answered as one. */
static void a_blocking_call_needs_no_room(void **state)
{
    struct fakes *f = *state;

    f->controller->queue_max_bytes = 0;
    (void)fakes_call(f, "hello", true, 1);
    fakes_until(f, &f->held_count, 1);
    while (f->controller->m.downgraded == 0)
        (void)uv_run(&f->loop.uv, UV_RUN_ONCE);
    assert_int_equal(f->replies, 0);
    run_all(f);
    assert_int_equal(f->last_status, 200);
    has_room(f, 0, 0);
}

static void calls_of_a_fire_share_one_input(void **state)
{
    struct fakes *f = *state;

    give(f, 20);
    fakes_fire(f, "t", "{\"n\":2}", "");
    fakes_until(f, &f->held_count, 20);
    has_room(f, 0, 20 * INPUT_BYTES);
    for (int i = 0; i < 20; i++) {
        assert_ptr_equal(f->held[i]->input.p, f->held[0]->input.p);
        assert_memory_equal(f->held[i]->input.p, "{\"n\":2}", INPUT_BYTES);
    }
    run_all(f);
    has_room(f, 0, 0);
}

static void a_fire_without_room_is_refused_as_a_whole(void **state)
{
    struct fakes *f = *state;

    give(f, 10);
    f->controller->queue_max = 9;
    fakes_fire(f, "t", "{}", "");
    fakes_until(f, &f->replies, 1);
    refused(f, "(count: 10, allowed: 9)");
    f->controller->queue_max = 1000;
    f->controller->queue_max_bytes = 4 * 69;
    fakes_fire(f, "t", "{\"n\":2}", "");
    fakes_until(f, &f->replies, 2);
    refused(f, "(bytes: 70, allowed: 69)");
    assert_int_equal(f->runs, 0);
    has_room(f, 0, 0);
    f->controller->queue_max_bytes = 4 * 70;
    fakes_fire(f, "t", "{\"n\":2}", "");
    fakes_until(f, &f->held_count, 10);
    assert_int_equal(f->last_status, 202);
    run_all(f);
    has_room(f, 0, 0);
}

static void a_full_disk_gives_the_room_back(void **state)
{
    struct fakes *f = *state;

    give(f, 3);
    fakes_disk_full(true);
    (void)fakes_call(f, "hello", false, 0);
    fakes_fire(f, "t", "{}", "");
    fakes_until(f, &f->replies, 2);
    fakes_disk_full(false);
    assert_int_equal(f->last_status, 503);
    has_room(f, 0, 0);
}

/* Work of an earlier run is never refused; what comes anew waits for it to go. */
static void loaded_calls_take_their_room(void **state)
{
    struct fakes *f = *state;

    for (int i = 0; i < 3; i++)
        (void)fakes_call(f, "hello", false, 0);
    fakes_until(f, &f->held_count, 3);
    fakes_close(f, true);
    fakes_open(f, true);
    f->run = FAKE_QUEUED;
    f->controller->queue_max_bytes = 4 * 20;
    fakes_until(f, &f->held_count, 3);
    has_room(f, 0, 3 * INPUT_BYTES);
    (void)fakes_call(f, "hello", false, 0);
    fakes_until(f, &f->replies, 1);
    refused(f, "(bytes: 28, allowed: 20)");
    run_all(f);
    has_room(f, 0, 0);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(calls_that_come_at_once_are_counted),  CASE(one_account_has_a_share_of_the_bytes),
        CASE(all_accounts_together_have_a_ceiling), CASE(a_blocking_call_needs_no_room),
        CASE(calls_of_a_fire_share_one_input),      CASE(a_fire_without_room_is_refused_as_a_whole),
        CASE(a_full_disk_gives_the_room_back),      CASE(loaded_calls_take_their_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
