/* In which order waiting calls are served. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "invoker/pool_queue.h"

/* Their numbers are in `epoch`, and in borrowed_us. */
static struct activation *call(int number, bool blocking)
{
    struct activation *a = activation_make();

    assert_non_null(a);
    a->epoch = number;
    a->borrowed_us = (uint64_t)number;
    a->blocking = blocking;
    return a;
}

static void served(struct pool_queue *q, const int *numbers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct activation *a = pool_queue_pop(q);

        assert_non_null(a);
        assert_int_equal(a->epoch, numbers[i]);
        activation_unref(a);
    }
    assert_null(pool_queue_pop(q));
    assert_null(pool_queue_any(q));
    assert_int_equal(pool_queue_since_us(q), 0);
}

static void who_waits_goes_before_work_that_nobody_waits_for(void **state)
{
    static const int order[] = {11, 12, 13, 1, 14, 15, 16, 2, 17, 3, 4, 5};
    struct pool_queue q;

    (void)state;
    pool_queue_init(&q);
    for (int i = 1; i <= 5; i++)
        pool_queue_add(&q, call(i, false));
    for (int i = 11; i <= 17; i++)
        pool_queue_add(&q, call(i, true));
    assert_int_equal(pool_queue_since_us(&q), 1);
    served(&q, order, nr_countof(order));
}

static void among_themselves_they_keep_their_order(void **state)
{
    static const int order[] = {1, 2, 3, 4, 5, 6, 7, 8};
    struct pool_queue q;

    for (int blocking = 0; blocking < 2; blocking++) {
        pool_queue_init(&q);
        for (int i = 1; i <= 8; i++)
            pool_queue_add(&q, call(i, blocking));
        served(&q, order, nr_countof(order));
    }
    (void)state;
}

/* As its root is; and one that was answered with 202 is awaited no more. */
static void a_step_is_awaited_as_what_it_belongs_to(void **state)
{
    static const int order[] = {3, 1, 2, 4};
    struct activation *sequence = call(0, true), *accepted = call(0, false), *inner = call(0, true),
                      *step = call(1, true), *late = call(4, true);
    struct activation *last = call(3, true);
    struct pool_queue q;

    (void)state;
    inner->parent = accepted;
    step->parent = inner;
    last->parent = sequence;
    late->replied = true;
    pool_queue_init(&q);
    pool_queue_add(&q, step);
    pool_queue_add(&q, call(2, false));
    pool_queue_add(&q, last);
    pool_queue_add(&q, late);
    served(&q, order, nr_countof(order));
    activation_unref(inner);
    activation_unref(accepted);
    activation_unref(sequence);
}

/* Who leaves changes nothing for the rest. */
static void one_may_leave(void **state)
{
    static const int order[] = {3, 1};
    struct activation *leaves = call(2, true);
    struct pool_queue q;

    (void)state;
    pool_queue_init(&q);
    pool_queue_add(&q, call(1, false));
    pool_queue_add(&q, leaves);
    pool_queue_add(&q, call(3, true));
    assert_ptr_equal(pool_queue_any(&q), leaves);
    nr_list_del(&leaves->queue);
    activation_unref(leaves);
    served(&q, order, nr_countof(order));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_waits_goes_before_work_that_nobody_waits_for),
        cmocka_unit_test(among_themselves_they_keep_their_order),
        cmocka_unit_test(a_step_is_awaited_as_what_it_belongs_to),
        cmocka_unit_test(one_may_leave),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
