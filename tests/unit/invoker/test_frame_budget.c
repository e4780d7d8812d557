/* Who ends when answers and logs of all calls are too much: whoever takes the most, however it is spread. */
#include "invoker/frame_budget.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "common/base/mem.h"

enum { ROWS_MAX = 6 };

static void the_largest_of_the_account_that_holds_the_most(void **state)
{
    static const struct {
        struct frame_holder rows[ROWS_MAX]; /* until an account is NULL */
        const char *account;
        size_t bytes; /* of who is to end */
    } table[] = {
        {{{"a", NULL, 5}}, "a", 5},
        {{{"a", NULL, 5}, {"b", NULL, 7}}, "b", 7},
        /* many small ones are as much as a large one, and nobody else ends for them */
        {{{"a", NULL, 9}, {"b", NULL, 4}, {"b", NULL, 3}, {"b", NULL, 4}}, "b", 4},
        {{{"b", NULL, 1}, {"a", NULL, 9}, {"b", NULL, 6}, {"c", NULL, 9}, {"b", NULL, 4}}, "b", 6},
        {{{"a", NULL, 0}, {"b", NULL, 0}}, "a", 0},
    };

    (void)state;
    for (size_t i = 0; i < nr_countof(table); i++) {
        struct frame_holder rows[ROWS_MAX];
        size_t n = 0;

        for (; n < ROWS_MAX && table[i].rows[n].account; n++)
            rows[n] = table[i].rows[n];
        const struct frame_holder *found = &rows[frame_budget_offender(rows, n)];

        if (found->account[0] != table[i].account[0] || found->bytes != table[i].bytes)
            fail_msg("row %zu: %s %zu", i, found->account, found->bytes);
    }
}

static void as_large_as_the_host(void **state)
{
    (void)state;
    assert_int_equal(frame_budget_bytes(64), 128u << 20);
    assert_int_equal(frame_budget_bytes(2048), 128u << 20);
    assert_int_equal(frame_budget_bytes(65536), (size_t)4096 << 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_largest_of_the_account_that_holds_the_most),
        cmocka_unit_test(as_large_as_the_host),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
