/* The contract over the bus in this process, and what only that one promises. */
#include "tests/unit/common/bus/bus_rig.h"

static int setup(void **state)
{
    struct rig *g = nr_alloc(sizeof(*g));

    rig_init(g);
    *state = g;
    return 0;
}

static int teardown(void **state)
{
    rig_fini(*state);
    free(*state);
    return 0;
}

/* A reader whose loop does not turn: what has no room is refused and counted, and the others go on. */
static void test_slow_reader_loses_and_it_counts(void **state)
{
    struct rig *g = *state, *other = nr_alloc(sizeof(*other));
    struct bus *b = rig_open(g);
    struct seen slow = {0}, quick = {0};

    rig_init(other);
    rig_read(other, b, &slow, 1u << BUS_METRICS, BUS_LATEST);
    rig_read(g, b, &quick, 1u << BUS_METRICS, BUS_LATEST);
    for (unsigned i = 0; i < BUS_QUEUE_MESSAGES + 500; i++) {
        assert_int_equal(rig_publish(b, BUS_METRICS, 1, i + 1), i < BUS_QUEUE_MESSAGES);
        if (i % 1000 == 999)
            rig_wait_count(g, &quick, i + 1);
    }
    rig_wait_count(g, &quick, BUS_QUEUE_MESSAGES + 500);
    struct bus_stats s = bus_stats(b);

    assert_int_equal(s.published[BUS_METRICS], BUS_QUEUE_MESSAGES + 500);
    assert_int_equal(s.dropped[BUS_METRICS], 500);
    assert_int_equal(s.delivered[BUS_METRICS], 0);
    assert_int_equal(s.unconfirmed, BUS_QUEUE_MESSAGES);
    assert_true(s.unconfirmed_bytes > 0);
    rig_wait_count(other, &slow, BUS_QUEUE_MESSAGES);
    rig_wait_settled(other, b);
    assert_int_equal(bus_stats(b).delivered[BUS_METRICS], BUS_QUEUE_MESSAGES);
    rig_unread(other, b, &slow);
    rig_unread(g, b, &quick);
    bus_close(b, 0);
    rig_fini(other);
    free(other);
}

/* 1 MB each: the bytes are the bound, not the count. */
static void test_bytes_are_bounded(void **state)
{
    struct rig *g = *state;
    struct bus *b = rig_open(g);
    struct seen s = {0};
    char *text = nr_alloc(BUS_MESSAGE_MAX_BYTES);
    unsigned taken = 0;

    rig_read(g, b, &s, 1u << BUS_METRICS, BUS_LATEST);
    for (unsigned i = 0; i < 40; i++)
        taken +=
            bus_publish(b, BUS_METRICS, NR_STR(""), (struct nr_str){text, BUS_MESSAGE_MAX_BYTES});
    assert_int_equal(taken, BUS_QUEUE_BYTES / BUS_MESSAGE_MAX_BYTES);
    rig_wait_count(g, &s, taken);
    assert_int_equal(bus_stats(b).dropped[BUS_METRICS], 40 - taken);
    rig_unread(g, b, &s);
    free(text);
    bus_close(b, 0);
}

static void test_nobody_listens(void **state)
{
    struct rig *g = *state;
    struct bus *b = rig_open(g);

    assert_true(rig_publish(b, BUS_METRICS, 1, 1));
    assert_int_equal(bus_stats(b).delivered[BUS_METRICS], 1);
    assert_int_equal(bus_lag(b, NR_STR("t"), NR_STR("g")), -1);
    bus_close(b, 0);
}

/* With messages still in the queue: nothing is lost from the counts, nothing leaks. */
static void test_leave_with_a_full_queue(void **state)
{
    struct rig *g = *state;
    struct bus *b = rig_open(g);
    struct seen s = {0};

    rig_read(g, b, &s, 1u << BUS_METRICS, BUS_LATEST);
    for (unsigned i = 0; i < 100; i++)
        assert_true(rig_publish(b, BUS_METRICS, 1, i + 1));
    rig_unread(g, b, &s);
    assert_int_equal(s.count, 0);
    assert_int_equal(bus_stats(b).unconfirmed, 0);
    bus_close(b, 0);
}

static void test_no_memory(void **state)
{
    struct rig *g = *state;
    struct bus *b = rig_open(g);
    struct seen s = {0};
    unsigned taken = 0;

    rig_read(g, b, &s, 1u << BUS_POLICIES, BUS_LATEST);
    for (long n = 1; n < 6; n++) {
        nr_mem_fail_at(n, 1);
        taken += rig_publish(b, BUS_POLICIES, (unsigned)n, n);
    }
    nr_mem_fail_at(0, 0);
    rig_wait_count(g, &s, taken);
    struct bus_stats stats = bus_stats(b);

    assert_int_equal(stats.published[BUS_POLICIES], 5);
    assert_int_equal(stats.delivered[BUS_POLICIES], taken);
    assert_int_equal(stats.dropped[BUS_POLICIES], 5 - taken);
    assert_in_range(taken, 1, 4);
    rig_unread(g, b, &s);
    bus_close(b, 0);
}

static void test_readers_are_judged(void **state)
{
    struct rig *g = *state;
    struct bus *b = rig_open(g);
    struct bus_reader r = {.loop = &g->loop};
    struct nr_err err = {0};

    assert_int_equal(bus_read(b, &r, &err), NR_EINVAL);
    assert_int_not_equal(err.text[0], 0);
    bus_close(b, 0);
}

static void test_metrics_page(void **state)
{
    struct rig *g = *state;
    struct bus *b = rig_open(g);
    struct nr_buf out;

    nr_buf_init(&out, 1 << 16);
    assert_true(rig_publish(b, BUS_EVENTS, 1, 1));
    bus_metrics(b, &out);
    nr_buf_addc(&out, '\0');
    assert_false(out.failed);
    assert_non_null(strstr(out.p, "narae_bus_published_total{topic=\"events\"} 1\n"));
    assert_non_null(strstr(out.p, "narae_bus_connected 1\n"));
    nr_buf_fini(&out);
    bus_close(b, 0);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(case_everybody_gets_everything),
        CASE(case_order_of_a_key),
        CASE(case_from_several_threads),
        CASE(case_latest_is_from_now),
        CASE(case_kept_policies),
        CASE(case_too_large),
        CASE(case_leave_inside_callback),
        CASE(case_group_has_one_owner),
        CASE(case_nul_and_empty),
        CASE(test_slow_reader_loses_and_it_counts),
        CASE(test_bytes_are_bounded),
        CASE(test_nobody_listens),
        CASE(test_leave_with_a_full_queue),
        CASE(test_no_memory),
        CASE(test_readers_are_judged),
        CASE(test_metrics_page),
    };

    return cmocka_run_group_tests_name("bus in this process", tests, NULL, NULL);
}
