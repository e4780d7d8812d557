/* Counts of calls by function: what a span holds, in flight, refused ones, the bound of the table, and that memory is used again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "controller/internal.h"
#include "tests/unit/controller/fakes.h"

struct told {
    struct fakes *f;
    char key[64];
    int functions;
    uint32_t inflight;
    int64_t concurrent_max;
    struct call_span span; /* zeros: none was given */
};

static void take(void *arg, const struct call_figures *f)
{
    struct told *t = arg;

    snprintf(t->key, sizeof(t->key), "%.*s", (int)f->key.n, f->key.p);
    t->functions++;
    t->inflight = f->inflight;
    t->concurrent_max = f->concurrent_max;
    if (f->span)
        t->span = *f->span;
    controller_span_back(t->f->controller, f->span);
}

static struct told figures(struct fakes *f)
{
    struct told t = {.f = f};

    controller_figures(f->controller, take, &t);
    return t;
}

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

static void call_and_wait(struct fakes *f, const char *name)
{
    int before = f->replies;

    (void)fakes_call(f, name, true, 60000);
    fakes_until(f, &f->replies, before + 1);
}

static void answer_as_cold(struct fakes *f, struct activation *a)
{
    a->start = f->runs % 2 ? START_COLD : START_STEM;
    a->queue_us = 3000;
    a->boot_us = 90000;
    a->init_us = 7000;
    a->started_us = 1000000;
    a->answered_us = 1250000;
}

static void calls_are_counted_until_the_next_sample(void **state)
{
    struct fakes *f = *state;

    call_and_wait(f, "hello");
    call_and_wait(f, "hello");
    f->status = OUTCOME_APPLICATION_ERROR;
    f->result = "{\"error\":1}";
    call_and_wait(f, "hello");
    struct told t = figures(f);

    assert_int_equal(t.functions, 1);
    assert_string_equal(t.key, "guest//hello");
    assert_int_equal(t.span.arrivals, 3);
    assert_int_equal(t.span.invocations, 3);
    assert_int_equal(t.span.errors, 1);
    assert_int_equal(t.span.throttles, 0);
    assert_int_equal(t.span.cold_starts, 0);
    assert_int_equal(t.span.inflight_max, 1);
    assert_int_equal(t.inflight, 0);
    assert_int_equal(t.concurrent_max, 1000);
    assert_int_equal(figures(f).functions, 0); /* nothing happened since */
}

static void what_is_in_flight_is_told_in_every_sample(void **state)
{
    struct fakes *f = *state;

    f->run = FAKE_HOLD;
    for (int i = 0; i < 3; i++)
        (void)fakes_call(f, "hello", true, 60000);
    fakes_until(f, &f->runs, 3);
    struct told t = figures(f);

    assert_int_equal(t.inflight, 3);
    assert_int_equal(t.span.inflight_max, 3);
    assert_int_equal(t.span.invocations, 0);
    t = figures(f);
    assert_int_equal(t.functions, 1);
    assert_int_equal(t.inflight, 3);
    assert_int_equal(t.span.arrivals, 0);
    fakes_finish(f, f->held[0]);
    t = figures(f);
    assert_int_equal(t.inflight, 2);
    assert_int_equal(t.span.invocations, 1);
    assert_int_equal(t.span.inflight_max, 3); /* as it was when the span began */
    fakes_finish(f, f->held[1]);
    fakes_finish(f, f->held[2]);
    fakes_until(f, &f->replies, 3);
    assert_int_equal(figures(f).inflight, 0);
}

static void a_refused_call_came_and_was_throttled(void **state)
{
    struct fakes *f = *state;

    f->account->concurrent_invocations = 1;
    f->run = FAKE_HOLD;
    (void)fakes_call(f, "hello", true, 60000);
    fakes_until(f, &f->runs, 1);
    call_and_wait(f, "hello");
    assert_int_equal(f->last_status, 429);
    struct told t = figures(f);

    assert_int_equal(t.span.arrivals, 2);
    assert_int_equal(t.span.throttles, 1);
    assert_int_equal(t.span.invocations, 0);
    assert_int_equal(t.inflight, 1);
    assert_int_equal(t.concurrent_max, 1);
    fakes_finish(f, f->held[0]);
    fakes_until(f, &f->replies, 2);
}

static void a_function_that_is_not_there_is_counted_nowhere(void **state)
{
    struct fakes *f = *state;

    call_and_wait(f, "missing");
    assert_int_equal(f->last_error, NR_ENOENT);
    assert_int_equal(figures(f).functions, 0);
}

static void times_of_a_cold_call(void **state)
{
    struct fakes *f = *state;

    f->answer = answer_as_cold;
    call_and_wait(f, "hello");
    call_and_wait(f, "hello");
    struct told t = figures(f);

    assert_int_equal(t.span.cold_starts, 2);
    assert_int_equal(t.span.sketch[SAMPLE_COLD_START].count, 2);
    assert_int_equal(t.span.sketch[SAMPLE_COLD_START].bucket[sketch_bucket(100000)], 2);
    assert_int_equal(t.span.sketch[SAMPLE_QUEUE_WAIT].bucket[sketch_bucket(93000)], 2);
    assert_int_equal(t.span.sketch[SAMPLE_DURATION].bucket[sketch_bucket(250000)], 2);
}

static bool shape_as_trial(struct function *fn, struct nr_err *err)
{
    fn->trial = true;
    return true;
}

static void a_trial_is_no_traffic(void **state)
{
    struct fakes *f = *state;

    f->shape = shape_as_trial;
    call_and_wait(f, "hello");
    assert_int_equal(figures(f).functions, 0);
}

/* ---- the table by itself ---- */

static struct account account = {.concurrent_invocations = -1};

/* A call of function number i, from its arrival to its answer. */
static void call_one(struct call_counts *c, int i, uint64_t revision)
{
    char owner[16], name[32], package[] = "p";
    struct function fn = {.account = owner, .package = package, .name = name, .revision = revision};
    struct activation a = {.account = &account, .fn = &fn};

    snprintf(owner, sizeof(owner), i % 2 ? "odd" : "even");
    snprintf(name, sizeof(name), "f%d", i);
    counts_arrived(c, &a);
    counts_arrived(c, &a);
    counts_entered(c, &a);
    counts_entered(c, &a);
    counts_answered(c, &a);
    counts_answered(c, &a);
    assert_null(a.counted);
}

static void the_table_is_bounded(void **state)
{
    struct controller *ctl = nr_alloc(sizeof(*ctl));
    struct call_counts *c = &ctl->counts;
    struct told t = {.f = &(struct fakes){.controller = ctl}};

    counts_init(c);
    for (int i = 0; i < COUNTED_MAX; i++)
        call_one(c, i, (uint64_t)i + 1);
    call_one(c, COUNTED_MAX, COUNTED_MAX + 1);
    assert_int_equal(c->functions.count, COUNTED_MAX);
    assert_int_equal(c->passed_over,
                     2); /* what all the others did is not told yet; it asked twice */
    controller_figures(ctl, take, &t);
    assert_int_equal(t.functions, COUNTED_MAX);
    call_one(c, COUNTED_MAX, COUNTED_MAX + 1);
    call_one(c, COUNTED_MAX - 1, COUNTED_MAX);
    assert_int_equal(c->functions.count, COUNTED_MAX); /* the first of all went for it */
    assert_int_equal(c->passed_over, 2);
    t.functions = 0;
    controller_figures(ctl, take, &t);
    assert_int_equal(t.functions, 2);
    assert_int_equal(t.span.arrivals, 1);
    assert_int_equal(t.concurrent_max, 0);
    counts_forget(c, "od");
    assert_int_equal(c->functions.count, COUNTED_MAX);
    counts_forget(c, "odd");
    assert_int_equal(c->functions.count, COUNTED_MAX / 2);
    counts_fini(c);
    free(ctl);
}

static void memory_is_taken_once(void **state)
{
    struct controller *ctl = nr_alloc(sizeof(*ctl));
    struct call_counts *c = &ctl->counts;
    struct told t = {.f = &(struct fakes){.controller = ctl}};

    counts_init(c);
    for (int i = 0; i < 3; i++) {
        if (i == 1)
            nr_mem_fail_at(1, -1); /* from the second second on nothing is allocated */
        for (uint64_t calls = 0; calls < 2 * COUNTED_RECENT; calls++)
            call_one(c, 7, 1 + calls % 2 * COUNTED_RECENT); /* two versions, one place */
        t.functions = 0;
        controller_figures(ctl, take, &t);
        assert_int_equal(t.functions, 1);
        assert_string_equal(t.key, "odd/p/f7");
        assert_int_equal(t.span.arrivals, 2 * COUNTED_RECENT);
        assert_int_equal(t.span.invocations, 2 * COUNTED_RECENT);
    }
    call_one(c, 8, 99);
    assert_int_equal(c->passed_over, 2); /* it asked twice */
    nr_mem_fail_at(0, 0);
    counts_fini(c);
    free(ctl);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(calls_are_counted_until_the_next_sample),
        TEST(what_is_in_flight_is_told_in_every_sample),
        TEST(a_refused_call_came_and_was_throttled),
        TEST(a_function_that_is_not_there_is_counted_nowhere),
        TEST(times_of_a_cold_call),
        TEST(a_trial_is_no_traffic),
#undef TEST
        cmocka_unit_test(the_table_is_bounded),
        cmocka_unit_test(memory_is_taken_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
