/* Alignment, ceilings, large pieces, reuse, failure of memory. */
#include "check.h"

#include "common/base/arena.h"
#include "common/base/mem.h"

static void test_pieces_are_aligned_and_apart(void **state)
{
    struct nr_arena a;
    unsigned char *pieces[200];

    nr_arena_init(&a, 1 << 20);
    for (size_t i = 0; i < nr_countof(pieces); i++) {
        pieces[i] = nr_arena_get(&a, i * 7);
        assert_non_null(pieces[i]);
        assert_int_equal((uintptr_t)pieces[i] % (2 * sizeof(void *)), 0);
        memset(pieces[i], (int)i, i * 7);
    }
    for (size_t i = 0; i < nr_countof(pieces); i++)
        for (size_t k = 0; k < i * 7; k++)
            assert_int_equal(pieces[i][k], i);
    nr_arena_fini(&a);
}

static void test_ceiling(void **state)
{
    struct nr_arena a;

    nr_arena_init(&a, 10000);
    assert_non_null(nr_arena_get(&a, 6000));
    assert_null(nr_arena_get(&a, 4001));
    assert_non_null(nr_arena_get(&a, 4000));
    assert_null(nr_arena_get(&a, 1));
    assert_null(nr_arena_get(&a, SIZE_MAX));
    assert_null(nr_arena_copy(&a, (struct nr_str){"x", SIZE_MAX}).p);
    nr_arena_reset(&a);
    assert_non_null(nr_arena_get(&a, 10000));
    nr_arena_fini(&a);
    assert_non_null(nr_arena_get(&a, 10000));
    nr_arena_fini(&a);
}

static void test_copies(void **state)
{
    struct nr_arena a;
    char big[9000];

    nr_arena_init(&a, 1 << 20);
    assert_str_is(nr_arena_copy(&a, NR_STR("narae")), "narae");
    assert_str_is(nr_arena_copy(&a, (struct nr_str){NULL, 0}), "");
    assert_str_is(nr_arena_printf(&a, "%s-%d", "n", 7), "n-7");
    const struct nr_str parts[] = {NR_STR("one"), {NULL, 0}, NR_STR(""), NR_STR(" two")};
    assert_str_is(nr_arena_join(&a, parts, nr_countof(parts)), "one two");
    assert_str_is(nr_arena_join(&a, parts, 0), "");
    memset(big, 'b', sizeof(big) - 1);
    big[sizeof(big) - 1] = '\0';
    struct nr_str s = nr_arena_printf(&a, "%s", big);

    assert_int_equal(s.n, sizeof(big) - 1);
    assert_string_equal(s.p, big);
    nr_arena_fini(&a);
}

static void test_reset_keeps_one_chunk(void **state)
{
    struct nr_arena a;

    nr_arena_init(&a, 1 << 20);
    for (int i = 0; i < 50; i++)
        assert_non_null(nr_arena_get(&a, 1000));
    assert_non_null(nr_arena_get(&a, 100000));
    nr_arena_reset(&a);
    nr_mem_fail_at(1, -1);
    for (int i = 0; i < 4; i++)
        assert_non_null(nr_arena_get(&a, 1000));
    assert_null(nr_arena_get(&a, 1000));
    assert_null(nr_arena_get(&a, 100000));
    assert_null(nr_arena_printf(&a, "%2000d", 1).p);
    nr_mem_fail_at(0, 0);
    assert_non_null(nr_arena_get(&a, 1000));
    nr_arena_fini(&a);
}

/* A large first piece must not become the chunk that is cut. */
static void test_large_piece_first(void **state)
{
    struct nr_arena a;

    nr_arena_init(&a, 1 << 20);
    char *large = nr_arena_get(&a, 50000), *small = nr_arena_get(&a, 16);

    assert_non_null(large);
    assert_non_null(small);
    assert_true(small < large || small >= large + 50000);
    nr_arena_reset(&a);
    assert_non_null(nr_arena_get(&a, 16));
    nr_arena_fini(&a);
}

static void test_empty(void **state)
{
    struct nr_arena a = {0};

    nr_arena_fini(NULL);
    nr_arena_fini(&a);
    nr_arena_reset(&a);
    assert_null(nr_arena_get(&a, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pieces_are_aligned_and_apart),
        cmocka_unit_test(test_ceiling),
        cmocka_unit_test(test_copies),
        cmocka_unit_test(test_reset_keeps_one_chunk),
        cmocka_unit_test(test_large_piece_first),
        cmocka_unit_test(test_empty),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
