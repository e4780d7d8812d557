/* The text of Server-Timing: what is told, what is left out, and that the longest fits. */
#include "ports/timing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const char *written(const struct activation *a, uint64_t now_us)
{
    static char out[TIMING_MAX_BYTES + 1];
    size_t n = timing_write(a, now_us, out);

    assert_true(n < TIMING_MAX_BYTES);
    out[n] = '\0';
    return out;
}

static void test_warm(void **state)
{
    struct activation a = {
        .start = START_WARM, .accepted_us = 1000000, .started_us = 1000040, .answered_us = 1001250};

    assert_string_equal(written(&a, 0), "run;dur=1.210, total;dur=1.250;desc=\"warm\"");
}

static void test_a_stage_that_did_not_happen_is_not_told(void **state)
{
    struct activation a = {.start = START_FROZEN,
                           .accepted_us = 1,
                           .started_us = 1001,
                           .answered_us = 3001,
                           .thaw_us = 7};

    assert_string_equal(written(&a, 0),
                        "thaw;dur=0.007, run;dur=1.993, total;dur=3.000;desc=\"frozen\"");
    a.thaw_us = 0;
    a.queue_us = 10000000;
    a.start = START_WARM;
    assert_string_equal(written(&a, 0),
                        "queue;dur=10000.000, run;dur=2.000, total;dur=3.000;desc=\"warm\"");
}

static void test_cold(void **state)
{
    struct activation a = {.start = START_COLD,
                           .cold = COLD_FIRST_CALL,
                           .accepted_us = 1,
                           .queue_us = 1500,
                           .network_us = 20,
                           .create_us = 30000,
                           .boot_us = 80000,
                           .init_us = 999,
                           .started_us = 120001,
                           .answered_us = 121001};

    assert_string_equal(written(&a, 0),
                        "queue;dur=1.500, network;dur=0.020, create;dur=30.000, start;dur=80.000, "
                        "init;dur=0.999, run;dur=1.000, total;dur=121.000;"
                        "desc=\"cold: first call\"");
    a.stem_empty = true;
    assert_non_null(
        strstr(written(&a, 0), "total;dur=121.000;desc=\"cold: first call, stem empty\""));
}

static void test_stem(void **state)
{
    struct activation a = {.start = START_STEM,
                           .cold = COLD_SCALE_OUT,
                           .accepted_us = 1,
                           .handover_us = 900,
                           .init_us = 2000,
                           .started_us = 3001,
                           .answered_us = 4001};

    assert_string_equal(written(&a, 0), "handover;dur=0.900, init;dur=2.000, run;dur=1.000, "
                                        "total;dur=4.000;desc=\"stem: scale-out\"");
}

static void test_not_answered_yet(void **state)
{
    struct activation a = {.accepted_us = 5000};

    assert_string_equal(written(&a, 7500), "total;dur=2.500");
    a.start = START_WARM;
    a.started_us = 6000;
    assert_string_equal(written(&a, 7500), "total;dur=2.500;desc=\"warm\"");
    a.accepted_us = 8000; /* a clock is never trusted to give a negative time */
    assert_string_equal(written(&a, 7500), "total;dur=0.000;desc=\"warm\"");
}

static void test_the_longest_fits(void **state)
{
    struct activation a = {.start = START_COLD,
                           .cold = COLD_FIRST_CALL,
                           .stem_empty = true,
                           .queue_us = UINT64_MAX,
                           .network_us = UINT64_MAX,
                           .create_us = UINT64_MAX,
                           .boot_us = UINT64_MAX,
                           .handover_us = UINT64_MAX,
                           .thaw_us = UINT64_MAX,
                           .init_us = UINT64_MAX,
                           .started_us = 1,
                           .answered_us = UINT64_MAX};

    assert_non_null(strstr(written(&a, 0), "queue;dur=18446744073709551.615, "));
}

static void test_every_stage_has_a_name_and_a_time(void **state)
{
    struct activation a = {.queue_us = 1,
                           .network_us = 2,
                           .create_us = 3,
                           .boot_us = 4,
                           .handover_us = 5,
                           .thaw_us = 6,
                           .init_us = 7};

    for (int s = 0; s < STAGES; s++) {
        assert_int_equal(start_stage_us(&a, (enum start_stage)s), s + 1);
        assert_true(strlen(start_stage_name((enum start_stage)s)) > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_warm),
        cmocka_unit_test(test_a_stage_that_did_not_happen_is_not_told),
        cmocka_unit_test(test_cold),
        cmocka_unit_test(test_stem),
        cmocka_unit_test(test_not_answered_yet),
        cmocka_unit_test(test_the_longest_fits),
        cmocka_unit_test(test_every_stage_has_a_name_and_a_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
