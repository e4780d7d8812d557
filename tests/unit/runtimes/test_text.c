/* A result that comes in pieces: kept to its limit, counted beyond. */
#include "unit.h"

#include <stdlib.h>
#include <string.h>

#include "runtimes/agent/text.h"

static void kept_to_the_limit(void **state)
{
    struct text t = {.limit = 5};
    (void)state;
    text_add(&t, "abc", 3);
    assert_int_equal(t.stored, 3);
    text_add(&t, "de", 2);
    assert_int_equal(t.stored, 5);
    text_add(&t, "f", 1);
    assert_int_equal(t.stored, 5);
    assert_int_equal(t.total, 6);
    assert_memory_equal(t.bytes, "abcde", 5);
    text_clear(&t);
    assert_int_equal(t.limit, 5);
    assert_int_equal(t.total, 0);
}

static void counted_beyond(void **state)
{
    static char piece[1 << 20];
    struct text t = {.limit = 1 << 20};
    (void)state;
    for (int i = 0; i < 5000; i++)
        text_add(&t, piece, sizeof piece);
    assert_int_equal(t.stored, 1 << 20);
    assert_true(t.total == (size_t)5000 << 20);
    text_clear(&t);
}

static void kinds(void **state)
{
    static const struct {
        const char *text;
        int composite, blank;
    } cases[] = {
        {"{}", 1, 0}, {" \t[1]", 1, 0}, {"3", 0, 0}, {"", 0, 1}, {" \t ", 0, 1}, {"null", 0, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct text t = {.limit = 100};
        text_add(&t, cases[i].text, strlen(cases[i].text));
        assert_int_equal(text_is_composite(&t), cases[i].composite);
        assert_int_equal(text_is_blank(&t), cases[i].blank);
        text_clear(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kept_to_the_limit),
        cmocka_unit_test(counted_beyond),
        cmocka_unit_test(kinds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
