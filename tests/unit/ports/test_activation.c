/* Activations out of a pool: as new each time, without an allocation once the pool is warm, and safe to outlive its closing. */
#include "ports/activation.h"

#include "tests/unit/common/base/check.h"

#include "common/base/mem.h"

static struct activation *used(struct activation_pool *p)
{
    struct activation *a = activation_pool_take(p);

    assert_non_null(a);
    nr_buf_adds(&a->reply, "{\"a\":1}");
    nr_buf_adds(&a->logs, "line\n");
    a->name = nr_arena_copy(&a->arena, NR_STR("hello"));
    a->err = NR_EQUOTA;
    a->durable = a->key_kept = true;
    return a;
}

static void an_activation_of_the_pool_is_as_new(void **state)
{
    struct activation_pool *p = activation_pool_make();
    struct activation *first = used(p);

    activation_unref(first);
    struct activation *a = activation_pool_take(p);

    assert_true(a == first || ACTIVATION_POOL_MAX == 0);
    assert_int_equal(a->refs, 1);
    assert_int_equal(a->err, 0);
    assert_int_equal(a->reply.n + a->logs.n + a->reply_head.n, 0);
    assert_false(a->durable || a->key_kept);
    assert_null(a->name.p);
    nr_mem_fail_at(ACTIVATION_POOL_MAX ? 1 : 0, -1);
    nr_buf_adds(&a->reply, "{\"b\":2}");
    assert_non_null(nr_arena_copy(&a->arena, NR_STR("hello")).p);
    nr_mem_fail_at(0, 0);
    assert_false(a->reply.failed);
    activation_unref(a);
    activation_pool_close(p);
}

static void a_closed_pool_lasts_until_its_last_activation(void **state)
{
    struct activation_pool *p = activation_pool_make();
    struct activation *a = used(p), *b = used(p);

    activation_unref(b);
    activation_pool_close(p);
    assert_string_equal(a->name.p, "hello");
    activation_unref(activation_ref(a));
    assert_string_equal(a->name.p, "hello");
    activation_unref(a);
    activation_pool_close(NULL);
}

static void a_long_reply_is_not_kept(void **state)
{
    struct activation_pool *p = activation_pool_make();
    struct activation *a = activation_pool_take(p);

    assert_non_null(nr_buf_room(&a->reply, 1 << 20));
    activation_unref(a);
    a = activation_pool_take(p);
    assert_int_equal(a->reply.cap, 0);
    activation_unref(a);
    activation_pool_close(p);
}

/* What its result lies in lives as long as it does, however long the row of such things is; not longer. */
static void what_a_result_lies_in_is_let_go_last(void **state)
{
    enum { MANY = 100 };
    struct activation *own = activation_make(), *a = activation_ref(own);

    own->outcome.result = nr_arena_copy(&own->arena, NR_STR("{}"));
    for (int i = 0; i < MANY; i++) {
        struct activation *above = activation_make();

        above->outcome = (struct outcome){.result = a->outcome.result, .result_of = a};
        a = above;
    }
    assert_int_equal(own->refs, 2);
    assert_string_equal(a->outcome.result.p, "{}");
    activation_unref(a);
    assert_int_equal(own->refs, 1);
    activation_unref(own);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(an_activation_of_the_pool_is_as_new),
        cmocka_unit_test(a_closed_pool_lasts_until_its_last_activation),
        cmocka_unit_test(a_long_reply_is_not_kept),
        cmocka_unit_test(what_a_result_lies_in_is_let_go_last),
    };

    return cmocka_run_group_tests(cases, NULL, NULL);
}
