/* Faked clocks, the text of a time, ids. */
#include "check.h"

#include "common/base/clock.h"

static void test_faked(void **state)
{
    uint64_t mono_ms = nr_mono_ms();
    int64_t wall_ms = nr_wall_ms();

    nr_clock_fake(3600000000, -7200000);
    assert_in_range(nr_mono_ms(), mono_ms + 3600000, mono_ms + 3660000);
    assert_in_range(nr_wall_ms(), wall_ms - 7200000, wall_ms - 7140000);
    nr_clock_fake(0, 0);
    assert_in_range(nr_wall_ms(), wall_ms, wall_ms + 60000);
}

static void test_cpu_time_grows_with_work(void **state)
{
    uint64_t start = nr_thread_cpu_us();
    volatile unsigned x = 0;

    while (nr_thread_cpu_us() < start + 1000)
        x++;
    assert_true(x > 0);
}

static void test_text(void **state)
{
    static const struct {
        int64_t ms;
        const char *text;
    } cases[] = {
        {0, "1970-01-01T00:00:00.000Z"},
        {1767323045123, "2026-01-02T03:04:05.123Z"},
        {951782399999, "2000-02-28T23:59:59.999Z"},
        {951782400000, "2000-02-29T00:00:00.000Z"},
        {-5, "1970-01-01T00:00:00.000Z"},
        {INT64_MAX, "9999-12-31T23:59:59.999Z"},
    };
    char text[25];

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        nr_wall_text(cases[i].ms, text);
        assert_string_equal(text, cases[i].text);
    }
}

static void test_moments_to_wait_for(void **state)
{
    static const unsigned ms[] = {0, 1, 999, 1000, 1001, 3600000};
    struct timespec before, at, after;

    for (size_t i = 0; i < sizeof(ms) / sizeof(*ms); i++) {
        assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &before), 0);
        nr_clock_fake(7200000000, 0); /* conditions know nothing of it */
        at = nr_mono_after(ms[i]);
        nr_clock_fake(0, 0);
        assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &after), 0);
        assert_in_range(at.tv_nsec, 0, 999999999);
        int64_t at_us = (int64_t)at.tv_sec * 1000000 + at.tv_nsec / 1000 - (int64_t)ms[i] * 1000;

        assert_true(at_us >= (int64_t)before.tv_sec * 1000000 + before.tv_nsec / 1000);
        assert_true(at_us <= (int64_t)after.tv_sec * 1000000 + after.tv_nsec / 1000);
    }
}

static void test_ids(void **state)
{
    char ids[100][33];

    for (int i = 0; i < 100; i++) {
        nr_new_id(0x0123456789AB, 0xC7, ids[i]);
        assert_memory_equal(ids[i], "0123456789abc7", 14);
        assert_int_equal(strspn(ids[i], "0123456789abcdef"), 32);
        assert_int_equal(ids[i][32], 0);
        for (int k = 0; k < i; k++)
            assert_string_not_equal(ids[k], ids[i]);
    }
}

static void test_random_fills_all(void **state)
{
    unsigned char bytes[600] = {0}, any[600] = {0};

    for (int i = 0; i < 20; i++) {
        nr_random(bytes, sizeof(bytes));
        for (size_t k = 0; k < sizeof(bytes); k++)
            any[k] |= bytes[k];
    }
    for (size_t k = 0; k < sizeof(any); k++)
        assert_int_not_equal(any[k], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_faked), cmocka_unit_test(test_cpu_time_grows_with_work),
        cmocka_unit_test(test_text),  cmocka_unit_test(test_moments_to_wait_for),
        cmocka_unit_test(test_ids),   cmocka_unit_test(test_random_fills_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
