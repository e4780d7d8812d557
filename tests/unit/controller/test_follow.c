/* Who hears of an activation that ends, and what is found of those that ended before, with a real calls.db. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/unit/controller/fakes.h"

struct ear {
    struct log_follower follower;
    int heard;
    char ids[64][33], start[16], logs[256];
};

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

static void on_end(struct log_follower *follower, const struct activation_log *l)
{
    struct ear *e = nr_container_of(follower, struct ear, follower);

    assert_int_equal(l->id.n, 32);
    assert_in_range(e->heard, 0, 63);
    (void)snprintf(e->ids[e->heard++], 33, "%.32s", l->id.p);
    (void)snprintf(e->start, sizeof(e->start), "%.*s", (int)l->start.n, l->start.p);
    (void)snprintf(e->logs, sizeof(e->logs), "%.*s", (int)l->logs.n, l->logs.p ? l->logs.p : "");
}

static struct ear ear_of(struct account *account, const char *package, const char *name)
{
    return (struct ear){.follower = {.account = account,
                                     .package = nr_str_of(package),
                                     .name = nr_str_of(name),
                                     .on_end = on_end}};
}

/* Calls `name` n times, one after the other; the ids. */
static void call(struct fakes *f, const char *name, int n, char (*ids)[33])
{
    for (int i = 0; i < n; i++) {
        int replies = f->replies;

        (void)fakes_call(f, name, true, 60000);
        fakes_until(f, &f->replies, replies + 1);
        if (ids)
            memcpy(ids[i], f->last_id, 33);
    }
}

static void only_their_function_is_heard(void **state)
{
    struct fakes *f = *state;
    struct account other = {.refs = 1, .name = (char[]){"other"}};
    struct ear one = ear_of(f->account, NULL, "hello"), same = ear_of(f->account, NULL, "hello"),
               name = ear_of(f->account, NULL, "hell"), package = ear_of(f->account, "p", "hello"),
               foreign = ear_of(&other, NULL, "hello");
    struct ear *all[] = {&one, &same, &name, &package, &foreign};
    char ids[3][33];

    for (size_t i = 0; i < nr_countof(all); i++)
        assert_int_equal(controller_follow(f->controller, &all[i]->follower, NULL), 0);
    call(f, "hello", 3, ids);
    fakes_until(f, &one.heard, 3);
    assert_int_equal(same.heard, 3);
    assert_int_equal(name.heard + package.heard + foreign.heard, 0);
    for (int i = 0; i < 3; i++)
        assert_string_equal(one.ids[i], ids[i]);
    assert_string_equal(one.logs, "2026-01-02T03:04:05.123456789Z stdout: hi\n");
    controller_unfollow(f->controller, &one.follower);
    controller_unfollow(f->controller, &one.follower); /* fine */
    call(f, "hello", 1, NULL);
    fakes_until(f, &same.heard, 4);
    assert_int_equal(one.heard, 3);
    for (size_t i = 1; i < nr_countof(all); i++)
        controller_unfollow(f->controller, &all[i]->follower);
}

/* The log comes after the answer: it is heard with its log, and in the order of ends. */
static void ends_not_answers_are_heard(void **state)
{
    struct fakes *f = *state;
    struct ear e = ear_of(f->account, NULL, "hello");

    f->run = FAKE_HOLD;
    assert_int_equal(controller_follow(f->controller, &e.follower, NULL), 0);
    struct activation *a = fakes_call(f, "hello", true, 60000);
    struct activation *b = fakes_call(f, "hello", true, 60000);
    fakes_until(f, &f->held_count, 2);
    char first[33], second[33];
    memcpy(first, b->id, 33);
    memcpy(second, a->id, 33);
    assert_int_equal(e.heard, 0);
    fakes_finish(f, b);
    fakes_finish(f, a);
    assert_int_equal(e.heard, 2);
    assert_string_equal(e.ids[0], first);
    assert_string_equal(e.ids[1], second);
    controller_unfollow(f->controller, &e.follower);
}

static void followers_are_bounded(void **state)
{
    struct fakes *f = *state;
    struct account accounts[9];
    char names[9][2];
    struct ear *ears = nr_alloc(129 * sizeof(*ears));
    struct nr_err err = {0};
    int n = 0;

    for (int i = 0; i < 9; i++) {
        (void)snprintf(names[i], sizeof(names[i]), "%d", i);
        accounts[i] = (struct account){.refs = 1, .name = names[i]};
    }
    for (; n < 128; n++) {
        ears[n] = ear_of(&accounts[n / 16], NULL, "f");
        assert_int_equal(controller_follow(f->controller, &ears[n].follower, &err), 0);
    }
    ears[n] = ear_of(&accounts[8], NULL, "f");
    assert_int_equal(controller_follow(f->controller, &ears[n].follower, &err), NR_EQUOTA);
    assert_non_null(strstr(err.text, "of this platform (count: 128, allowed: 128)"));
    ears[n] = ear_of(&accounts[0], NULL, "f");
    err = (struct nr_err){0};
    assert_int_equal(controller_follow(f->controller, &ears[n].follower, &err), NR_EQUOTA);
    assert_non_null(strstr(err.text, "of this account (count: 16, allowed: 16)"));
    for (int i = 0; i < n; i++)
        controller_unfollow(f->controller, &ears[i].follower);
    free(ears);
}

/* ---- stored */

static void on_asked(struct activation_query *q)
{
    *(int *)q->owner = 1;
}

static void ask(struct fakes *f, struct log_query *l, enum query_op op)
{
    int done = 0;

    l->q.op = op;
    l->q.account = f->account;
    l->q.name = NR_STR("hello");
    l->q.done = on_asked;
    l->q.owner = &done;
    controller_ask(f->controller, &l->q);
    fakes_until(f, &done, 1);
}

static void the_newest_are_listed_oldest_first(void **state)
{
    struct fakes *f = *state;
    char ids[6][33], other[1][33];
    struct log_query l = {.q = {.limit = 4}};

    call(f, "hello", 3, ids);
    call(f, "elsewhere", 1, other);
    call(f, "hello", 3, ids + 3);
    ask(f, &l, QUERY_LOG_IDS);
    assert_int_equal(l.q.err.code, 0);
    assert_int_equal(l.q.reply.n, 4 * 32);
    for (int i = 0; i < 4; i++)
        assert_memory_equal(l.q.reply.p + 32 * i, ids[i + 2], 32);
    assert_int_equal(l.left_out, 0); /* nobody asked for more */
    nr_buf_fini(&l.q.reply);

    l = (struct log_query){.q = {.limit = 10}, .ended_since_ms = INT64_MAX / 2};
    ask(f, &l, QUERY_LOG_IDS);
    assert_int_equal(l.q.reply.n, 0);
    nr_buf_fini(&l.q.reply);
}

/* Ends come in another order than their times, so those shortly before the last one are given again, but never that one. */
static void after_the_last_one_that_was_seen(void **state)
{
    struct fakes *f = *state;
    char ids[5][33];
    struct log_query l = {.q = {.limit = 10}};

    call(f, "hello", 5, ids);
    l.after_id = (struct nr_str){ids[1], 32};
    ask(f, &l, QUERY_LOG_IDS);
    assert_int_equal(l.q.reply.n, 4 * 32);
    assert_null(memmem(l.q.reply.p, l.q.reply.n, ids[1], 32));
    assert_int_equal(l.left_out, 0);
    nr_buf_fini(&l.q.reply);

    l = (struct log_query){.q = {.limit = 2}, .after_id = {ids[0], 32}};
    ask(f, &l, QUERY_LOG_IDS);
    assert_int_equal(l.q.reply.n, 2 * 32);
    assert_memory_equal(l.q.reply.p + 32, ids[4], 32);
    assert_int_equal(l.left_out, 2);
    nr_buf_fini(&l.q.reply);
}

static void write_one(struct nr_buf *out, const struct activation_log *l)
{
    nr_buf_printf(out, "[%.*s %.*s %d %.*s]", 32, l->id.p, (int)l->start.n, l->start.p, l->status,
                  (int)l->logs.n, l->logs.p);
}

static void logs_are_read_a_few_at_a_time(void **state)
{
    struct fakes *f = *state;
    char ids[3][33], asked[5 * 32 + 1] = "", expected[256];
    struct log_query l = {.write = write_one, .max_bytes = 1 << 20};

    call(f, "hello", 3, ids);
    (void)snprintf(asked, sizeof(asked), "%s%032d%s%s", ids[0], 0, ids[1], ids[2]);
    l.ids = (struct nr_str){asked, 4 * 32};
    ask(f, &l, QUERY_LOG_READ);
    assert_int_equal(l.read, 4);
    assert_int_equal(l.missing, 1); /* it has no record any more */
    (void)snprintf(expected, sizeof(expected), "[%s warm 0 2026-01-02T03:04:05.123456789Z", ids[0]);
    if (l.q.reply.n < strlen(expected))
        fail_msg("%.*s", (int)l.q.reply.n, l.q.reply.p);
    nr_buf_fini(&l.q.reply);

    l = (struct log_query){.write = write_one, .max_bytes = 1, .ids = {asked, 4 * 32}};
    ask(f, &l, QUERY_LOG_READ);
    assert_int_equal(l.read, 1);
    nr_buf_fini(&l.q.reply);

    /* another account's records are not found by their id */
    char *name = f->account->name;
    f->account->name = (char[]){"other"};
    l = (struct log_query){.write = write_one, .max_bytes = 1 << 20, .ids = {asked, 4 * 32}};
    ask(f, &l, QUERY_LOG_READ);
    assert_int_equal(l.missing, 4);
    assert_int_equal(l.q.reply.n, 0);
    nr_buf_fini(&l.q.reply);
    f->account->name = name;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(only_their_function_is_heard, set_up, tear_down),
        cmocka_unit_test_setup_teardown(ends_not_answers_are_heard, set_up, tear_down),
        cmocka_unit_test_setup_teardown(followers_are_bounded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_newest_are_listed_oldest_first, set_up, tear_down),
        cmocka_unit_test_setup_teardown(after_the_last_one_that_was_seen, set_up, tear_down),
        cmocka_unit_test_setup_teardown(logs_are_read_a_few_at_a_time, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
