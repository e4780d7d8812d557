/* Adds, the ceiling at and above, stickiness, JSON strings, detaching. */
#include "check.h"

#include "common/base/buf.h"
#include "common/base/mem.h"

static void test_adds(void **state)
{
    struct nr_buf b;

    nr_buf_init(&b, 1000);
    nr_buf_adds(&b, "a");
    nr_buf_addc(&b, 'b');
    nr_buf_add(&b, "cd", 2);
    nr_buf_addu(&b, 0);
    nr_buf_addu(&b, UINT64_MAX);
    nr_buf_addc(&b, ' ');
    nr_buf_addi(&b, INT64_MIN);
    nr_buf_addi(&b, 42);
    nr_buf_printf(&b, " %s%300d", "x", 7);
    assert_false(b.failed);
    assert_int_equal(b.n, 5 + 20 + 1 + 20 + 2 + 2 + 300);
    assert_memory_equal(b.p, "abcd018446744073709551615 -922337203685477580842 x   ", 52);
    nr_buf_drop(&b, b.n - 4);
    assert_str_is(nr_buf_str(&b), "   7");
    nr_buf_drop(&b, 100);
    assert_int_equal(b.n, 0);
    nr_buf_fini(&b);
}

static void test_ceiling(void **state)
{
    struct nr_buf b;

    nr_buf_init(&b, 10);
    nr_buf_adds(&b, "0123456789");
    assert_false(b.failed);
    nr_buf_add(&b, "", 0);
    assert_false(b.failed);
    nr_buf_addc(&b, 'x');
    assert_true(b.failed);
    assert_str_is(nr_buf_str(&b), "0123456789");
    nr_buf_drop(&b, 5);
    nr_buf_addc(&b, 'x');
    assert_str_is(nr_buf_str(&b), "56789");
    assert_null(nr_buf_detach(&b, NULL));
    nr_buf_reset(&b, 1000);
    assert_false(b.failed);
    nr_buf_printf(&b, "%010d", 1);
    assert_false(b.failed);
    assert_str_is(nr_buf_str(&b), "0000000001");
    nr_buf_reset(&b, 0);
    nr_buf_printf(&b, "%011d", 1);
    assert_true(b.failed);
    nr_buf_fini(&b);
}

static void test_long_printf_at_the_ceiling(void **state)
{
    for (int width = 254; width < 260; width++) {
        struct nr_buf b;

        nr_buf_init(&b, (size_t)width);
        nr_buf_printf(&b, "%*d", width, 7);
        assert_false(b.failed);
        assert_int_equal(b.n, width);
        nr_buf_printf(&b, "%*d", width, 7);
        assert_true(b.failed);
        assert_int_equal(b.n, width);
        nr_buf_fini(&b);
    }
}

static void test_room(void **state)
{
    struct nr_buf b;

    nr_buf_init(&b, 100);
    char *at = nr_buf_room(&b, 100);

    assert_non_null(at);
    memset(at, 'r', 100);
    nr_buf_took(&b, 60);
    assert_int_equal(b.n, 60);
    assert_non_null(nr_buf_room(&b, 40));
    assert_null(nr_buf_room(&b, 41));
    assert_true(b.failed);
    nr_buf_fini(&b);
    nr_buf_init(&b, 100);
    assert_null(nr_buf_room(&b, SIZE_MAX));
    nr_buf_fini(&b);
}

static void test_json_strings(void **state)
{
    static const struct {
        struct nr_str in;
        const char *out;
    } cases[] = {
        {{NULL, 0}, "\"\""},
        {NR_STR("plain"), "\"plain\""},
        {NR_STR("\"\\/\b\f\n\r\t\x01\x1f\x7f"), "\"\\\"\\\\/\\b\\f\\n\\r\\t\\u0001\\u001f\x7f\""},
        {NR_STR("a\0b"), "\"a\\u0000b\""},
        {NR_STR("\xE2\x82\xAC\xF0\x9F\x98\x80"), "\"\xE2\x82\xAC\xF0\x9F\x98\x80\""},
        {NR_STR("x\xFFy\xC3"), "\"x\xEF\xBF\xBDy\xEF\xBF\xBD\""},
        {NR_STR("\xED\xA0\x80"), "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\""},
    };

    for (size_t i = 0; i < nr_countof(cases); i++) {
        struct nr_buf b;

        nr_buf_init(&b, 1000);
        nr_buf_json(&b, cases[i].in);
        assert_str_is(nr_buf_str(&b), cases[i].out);
        nr_buf_fini(&b);
    }
}

static void test_detach(void **state)
{
    struct nr_buf b;
    size_t n = 9;

    nr_buf_init(&b, 64);
    nr_auto_free char *empty = nr_buf_detach(&b, &n);

    assert_string_equal(empty, "");
    assert_int_equal(n, 0);
    /* At the ceiling, where the NUL needs the byte behind it. */
    nr_buf_printf(&b, "%064d", 5);
    nr_auto_free char *full = nr_buf_detach(&b, &n);

    assert_int_equal(n, 64);
    assert_int_equal(strlen(full), 64);
    assert_int_equal(b.n, 0);
    nr_buf_adds(&b, "again");
    assert_str_is(nr_buf_str(&b), "again");
    nr_buf_fini(&b);
}

static void test_no_memory(void **state)
{
    struct nr_buf b;

    nr_buf_init(&b, 1 << 20);
    nr_buf_adds(&b, "kept");
    nr_mem_fail_at(1, 1);
    nr_buf_printf(&b, "%5000d", 1);
    assert_true(b.failed);
    assert_str_is(nr_buf_str(&b), "kept");
    nr_mem_fail_at(0, 0);
    nr_buf_addc(&b, '!');
    assert_str_is(nr_buf_str(&b), "kept");
    nr_buf_fini(&b);
    nr_buf_fini(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_adds),
        cmocka_unit_test(test_ceiling),
        cmocka_unit_test(test_long_printf_at_the_ceiling),
        cmocka_unit_test(test_room),
        cmocka_unit_test(test_json_strings),
        cmocka_unit_test(test_detach),
        cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
