/* Rows of one second: both sides are joined by their keys, what only one knows is zero on the other, and a sample of it is whole when written and read. */
#include "daemon/sample_rows.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/mem.h"

enum { TOLD_MAX = 8 };

struct told {
    unsigned count;
    char key[TOLD_MAX][64];
    struct sample sample[TOLD_MAX];
    enum series_label label[TOLD_MAX];
};

static void keep(void *arg, struct sample *s, enum series_label label)
{
    struct told *t = arg;

    if (t->count == TOLD_MAX)
        return;
    (void)snprintf(t->key[t->count], sizeof(t->key[0]), "%.*s %.*s", (int)s->account.n,
                   s->account.p, (int)s->function.n, s->function.p);
    t->label[t->count] = label;
    t->sample[t->count++] = *s;
}

static struct told tell(struct sample_rows *r)
{
    struct told t = {0};

    sample_rows_each(r, 2000, keep, &t);
    return t;
}

static bool is(const struct sample *s, enum metric_id id, double value)
{
    return (s->has & 1ull << id) && s->value[id] == value;
}

static void test_both_sides_are_joined_in_order(void **state)
{
    static struct call_span span = {
        .arrivals = 5, .invocations = 3, .errors = 1, .throttles = 2, .inflight_max = 4};
    struct sample_rows r;

    sketch_add_us(&span.sketch[SAMPLE_DURATION], 1000);
    sample_rows_init(&r);
    assert_true(sample_rows_add_calls(
        &r, &(struct call_figures){.key = NR_STR("b//g"), .inflight = 1, .concurrent_max = 9}));
    assert_true(sample_rows_add_calls(
        &r, &(struct call_figures){
                .key = NR_STR("a/p/f"), .inflight = 2, .labelled = true, .span = &span}));
    assert_true(sample_rows_add_containers(&r, &(struct container_figures){.key = NR_STR("a/p/f"),
                                                                           .ready = 3,
                                                                           .busy = 2,
                                                                           .starting = 1,
                                                                           .waiting = 7,
                                                                           .oldest_us = 1999,
                                                                           .instance_mb = 288,
                                                                           .instances_max = 10,
                                                                           .looked = true,
                                                                           .cpu_percent = 81.2345,
                                                                           .memory_mb = 30,
                                                                           .memory_percent = 12.5,
                                                                           .joules = 1.5,
                                                                           .cpu_seconds = 0.25}));
    assert_true(sample_rows_add_containers(&r, &(struct container_figures){.key = NR_STR("a//f")}));
    struct told t = tell(&r);

    assert_int_equal(t.count, 3);
    assert_int_equal(t.label[0], SERIES_AS_BEFORE); /* a//f: containers only */
    assert_int_equal(t.label[1], SERIES_WITH);
    assert_int_equal(t.label[2], SERIES_WITHOUT);
    assert_string_equal(t.key[0], "a f");
    assert_string_equal(t.key[1], "a p/f");
    assert_string_equal(t.key[2], "b g");
    const struct sample *s = &t.sample[1];

    assert_int_equal(s->span_ms, 2000);
    assert_true(is(s, METRIC_ARRIVALS, 5) && is(s, METRIC_INVOCATIONS, 3));
    assert_true(is(s, METRIC_ERRORS, 1) && is(s, METRIC_THROTTLES, 2));
    assert_true(is(s, METRIC_INFLIGHT, 2) && is(s, METRIC_INFLIGHT_MAX, 4));
    assert_true(is(s, METRIC_INSTANCES, 3) && is(s, METRIC_INSTANCES_BUSY, 2));
    assert_true(is(s, METRIC_STARTING, 1) && is(s, METRIC_QUEUE_DEPTH, 7));
    assert_true(is(s, METRIC_TRIGGER_AGE_MS, 1) && is(s, METRIC_CPU_PERCENT, 81.23));
    assert_true(is(s, METRIC_CPU_SECONDS, 0.25));
    assert_true(is(s, METRIC_IDLE_SECONDS, 2) && is(s, METRIC_ENERGY_JOULES, 1.5));
    assert_true(is(s, METRIC_INSTANCE_MB, 288) && is(s, METRIC_INSTANCES_MAX, 10));
    assert_ptr_equal(s->sketch[SAMPLE_DURATION], &span.sketch[SAMPLE_DURATION]);
    assert_null(s->sketch[SAMPLE_COLD_START]);

    s = &t.sample[0]; /* nobody called it, and its containers were not looked at yet */
    assert_true(is(s, METRIC_ARRIVALS, 0) && is(s, METRIC_INFLIGHT, 0));
    assert_false(s->has & 1ull << METRIC_CPU_PERCENT);
    assert_false(s->has & 1ull << METRIC_CONCURRENT_MAX);

    s = &t.sample[2]; /* it has no container */
    assert_true(is(s, METRIC_INFLIGHT, 1) && is(s, METRIC_INFLIGHT_MAX, 1));
    assert_true(is(s, METRIC_INSTANCES, 0) && is(s, METRIC_CPU_PERCENT, 0));
    assert_true(is(s, METRIC_CONCURRENT_MAX, 9));
    assert_false(s->has & 1ull << METRIC_INSTANCE_MB);

    sample_rows_clear(&r);
    assert_int_equal(tell(&r).count, 0);
    sample_rows_fini(&r);
}

/* Every key comes out once, sorted, whatever was told by whom. */
static void test_many(void **state)
{
    struct sample_rows r;
    struct told t;
    char key[32];

    sample_rows_init(&r);
    for (int i = 0; i < 5000; i++) {
        struct nr_str k = {key, 0};

        k.n = (size_t)snprintf(key, sizeof(key), "a/p/f%d", i * 7919 % 5000);
        if (i % 3)
            assert_true(sample_rows_add_calls(&r, &(struct call_figures){.key = k}));
        if (i % 3 != 1)
            assert_true(sample_rows_add_containers(&r, &(struct container_figures){.key = k}));
    }
    t = tell(&r);
    assert_string_equal(t.key[0], "a p/f0");
    assert_string_equal(t.key[1], "a p/f1");
    assert_string_equal(t.key[2], "a p/f10");
    sample_rows_fini(&r);
}

static void test_without_memory_rows_are_lost_and_counted(void **state)
{
    struct sample_rows r;

    sample_rows_init(&r);
    nr_mem_fail_at(1, -1);
    assert_false(sample_rows_add_calls(&r, &(struct call_figures){.key = NR_STR("a//f")}));
    assert_false(
        sample_rows_add_containers(&r, &(struct container_figures){.key = NR_STR("a//f")}));
    nr_mem_fail_at(0, 0);
    assert_int_equal(r.lost, 2);
    assert_true(sample_rows_add_calls(&r, &(struct call_figures){.key = NR_STR("a//f")}));
    assert_int_equal(tell(&r).count, 1);
    sample_rows_fini(&r);
}

static void test_the_node(void **state)
{
    const struct node_figures f = {.memory_max_mb = 4000,
                                   .memory_used_mb = 1000,
                                   .containers = 12,
                                   .waiting = 3,
                                   .cpu_percent = -1,
                                   .joules = 25};
    struct sample s;

    sample_rows_node(&f, 1000, &s);
    assert_true(is(&s, METRIC_NODE_MEMORY_PERCENT, 25) && is(&s, METRIC_NODE_MEMORY_FREE_MB, 3000));
    assert_true(is(&s, METRIC_NODE_CONTAINERS, 12) && is(&s, METRIC_NODE_WAITING, 3));
    assert_true(is(&s, METRIC_NODE_ENERGY_JOULES, 25));
    assert_false(s.has & 1ull << METRIC_NODE_CPU_PERCENT);
}

/* What is told is what the reader of the topic takes: nothing is dropped on the way. */
static void test_what_is_told_is_read(void **state)
{
    static struct sample_room room;
    struct sample_rows r;
    struct sample s;
    struct nr_buf text;

    sample_rows_init(&r);
    assert_true(sample_rows_add_calls(&r, &(struct call_figures){.key = NR_STR("a/p/f")}));
    assert_true(sample_rows_add_containers(
        &r, &(struct container_figures){.key = NR_STR("a/p/f"), .looked = true}));
    struct told t = tell(&r);

    t.sample[0].node = NR_STR("n");
    t.sample[0].t_ms = 1767603600000;
    nr_buf_init(&text, SAMPLE_MAX_BYTES);
    sample_write(&t.sample[0], &text);
    assert_int_equal(sample_read(nr_buf_str(&text), 1767603600000, &room, &s, NULL), 0);
    assert_true(s.has == t.sample[0].has);
    nr_buf_fini(&text);
    sample_rows_fini(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_sides_are_joined_in_order),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_without_memory_rows_are_lost_and_counted),
        cmocka_unit_test(test_the_node),
        cmocka_unit_test(test_what_is_told_is_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
