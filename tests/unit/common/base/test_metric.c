/* The text form, byte by byte. */
#include "check.h"

#include <math.h>

#include "common/base/metric.h"

static void test_one(void **state)
{
    struct nr_buf b;

    nr_buf_init(&b, 4096);
    nr_metric_one(&b, "narae_up", "gauge", "Is it \\ up?\nYes.", 1);
    nr_metric_sample(&b, "narae_x", "account=\"guest\"", 0.25);
    nr_metric_sample(&b, "narae_x", "", 1767323045.123);
    nr_metric_sample(&b, "narae_x", "", 9007199254740991.0 / 10);
    nr_metric_sample(&b, "narae_x", "", NAN);
    nr_metric_sample(&b, "narae_x", "", -INFINITY);
    assert_str_is(
        nr_buf_str(&b),
        "# HELP narae_up Is it \\\\ up?\\nYes.\n# TYPE narae_up gauge\nnarae_up 1\n"
        "narae_x{account=\"guest\"} 0.25\nnarae_x 1767323045.123\nnarae_x 900719925474099\n"
        "narae_x NaN\nnarae_x -Inf\n");
    nr_buf_fini(&b);
}

/* Whatever a value holds, it stays one value on one line. */
static void test_label(void **state)
{
    struct nr_buf b;

    nr_buf_init(&b, 4096);
    nr_metric_label(&b, "of", NR_STR("a\\b\"} 1\nx{c=\"\xc3\xa4"));
    assert_str_is(nr_buf_str(&b), "of=\"a\\\\b\\\"} 1\\nx{c=\\\"\xc3\xa4\"");
    nr_buf_fini(&b);
}

static void test_histogram(void **state)
{
    struct nr_hist h = {0};
    struct nr_buf b;

    nr_hist_add_us(&h, 0);
    nr_hist_add_us(&h, 100);
    nr_hist_add_us(&h, 101);
    nr_hist_add_us(&h, 60000000);
    nr_hist_add_us(&h, 60000001);
    nr_buf_init(&b, 8192);
    nr_metric_hist(&b, "narae_wait_seconds", "kind=\"a\"", &h);
    nr_buf_addc(&b, '\0');
    assert_false(b.failed);
    static const char *const lines[] = {
        "narae_wait_seconds_bucket{kind=\"a\",le=\"0.0001\"} 2\n",
        "narae_wait_seconds_bucket{kind=\"a\",le=\"0.00025\"} 3\n",
        "narae_wait_seconds_bucket{kind=\"a\",le=\"30\"} 3\n",
        "narae_wait_seconds_bucket{kind=\"a\",le=\"60\"} 4\n",
        "narae_wait_seconds_bucket{kind=\"a\",le=\"+Inf\"} 5\n",
        "narae_wait_seconds_sum{kind=\"a\"} 120.000202\n",
        "narae_wait_seconds_count{kind=\"a\"} 5\n",
    };

    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        if (strstr(b.p, lines[i]) == NULL)
            fail_msg("no line %sin\n%s", lines[i], b.p);
    nr_buf_reset(&b, 8192);
    nr_metric_hist(&b, "h", "", &h);
    assert_memory_equal(b.p, "h_bucket{le=\"0.0001\"} 2\n", 24);
    nr_buf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_one), cmocka_unit_test(test_label),
                                       cmocka_unit_test(test_histogram)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
