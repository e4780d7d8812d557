/* Zeroed memory, copies, the fault countdown, and the cleanup words. */
#include "check.h"

#include <fcntl.h>
#include <stdbool.h>

#include "common/base/mem.h"
#include "common/base/size.h"

static void test_alloc_is_zeroed(void **state)
{
    nr_auto_free unsigned char *a = nr_alloc(1000);
    nr_auto_free unsigned char *b = nr_try_alloc(1000);
    nr_auto_free void *nothing = nr_try_alloc(0);

    assert_non_null(b);
    assert_non_null(nothing);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(a[i] | b[i], 0);
}

static void test_strings(void **state)
{
    nr_auto_free char *a = nr_strdup("narae");
    nr_auto_free char *b = nr_strndup("narae", 3);
    nr_auto_free char *c = nr_strndup("ab\0cd", 5);

    assert_string_equal(a, "narae");
    assert_string_equal(b, "nar");
    assert_string_equal(c, "ab");
    assert_null(nr_strdup(NULL));
    assert_null(nr_strndup(NULL, 4));
}

/* Which of ten calls fail, as ten characters. */
static void outcome(char out[11])
{
    for (int i = 0; i < 10; i++) {
        nr_auto_free void *p = nr_try_alloc(8);

        out[i] = p ? '.' : 'x';
    }
    out[10] = '\0';
}

static void test_countdown(void **state)
{
    static const struct {
        long at, times;
        const char *outcome;
    } cases[] = {
        {0, 0, ".........."},  {1, 1, "x........."},  {3, 2, "..xx......"},
        {9, -1, "........xx"}, {11, 1, ".........."},
    };
    char got[11];

    for (size_t i = 0; i < nr_countof(cases); i++) {
        nr_mem_fail_at(cases[i].at, cases[i].times);
        outcome(got);
        assert_string_equal(got, cases[i].outcome);
        assert_int_equal(nr_mem_tries(), 10);
    }
    nr_mem_fail_at(0, 0);
}

static void test_realloc_failure_leaves_memory_alone(void **state)
{
    char *p = nr_try_alloc(4);

    assert_non_null(p);
    memcpy(p, "abc", 4);
    nr_mem_fail_at(1, 1);
    assert_null(nr_try_realloc(p, 100));
    nr_mem_fail_at(0, 0);
    assert_string_equal(p, "abc");
    char *more = nr_try_realloc(p, 100);

    assert_non_null(more);
    assert_string_equal(more, "abc");
    free(more);
}

static void test_absurd_sizes_fail(void **state)
{
    volatile size_t absurd = SIZE_MAX / 2 + 1;
    nr_auto_free void *p = nr_try_alloc(absurd);

    assert_null(p);
    assert_null(nr_try_realloc(NULL, absurd));
}

static int open_and_keep(bool keep)
{
    nr_auto_close int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    nr_auto_free char *p = nr_alloc(8);
    nr_auto_free char *stolen = nr_steal(&p);

    assert_null(p);
    assert_non_null(stolen);
    return keep ? nr_steal_fd(&fd) : fd;
}

static void test_cleanup_words(void **state)
{
    int kept = open_and_keep(true), closed;

    assert_int_not_equal(fcntl(kept, F_GETFD), -1);
    (void)close(kept);
    closed = open_and_keep(false);
    assert_int_equal(fcntl(closed, F_GETFD), -1);
}

/* 4 GB and more must not become nothing where a size has 32 bits. */
static void test_numbers_become_sizes(void **state)
{
    assert_int_equal(nr_size_of(-1), 0);
    assert_int_equal(nr_size_of(INT64_MIN), 0);
    assert_int_equal(nr_size_of(0), 0);
    assert_int_equal(nr_size_of(7), 7);
    assert_int_equal(nr_size_of(INT64_MAX), SIZE_MAX / 2);
    assert_true(nr_size_of((int64_t)4096 << 20) >= (size_t)1 << 30);
    assert_int_equal(nr_size_of((int64_t)4096 << 20),
                     sizeof(size_t) == 8 ? (uint64_t)4096 << 20 : SIZE_MAX / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers_become_sizes),
        cmocka_unit_test(test_alloc_is_zeroed),
        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_countdown),
        cmocka_unit_test(test_realloc_failure_leaves_memory_alone),
        cmocka_unit_test(test_absurd_sizes_fail),
        cmocka_unit_test(test_cleanup_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
