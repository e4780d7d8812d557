/* Times as texts, the words of the language, and the nearest of several.
 */
#include "scaler/policy/words.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/mem.h"
#include "scaler/policy/policy.h"

static const struct {
    const char *text, *written;
    int64_t ms;
} durations[] = {
    {"0s", "0s", 0},          {"500ms", "500ms", 500},       {"1s", "1s", 1000},
    {"90s", "90s", 90000},    {"60s", "1m", 60000},          {"1h30m", "90m", 5400000},
    {"24h", "24h", 86400000}, {"1d", "24h", 86400000},       {"14d", "14d", 1209600000},
    {"6h", "6h", 21600000},   {"1m500ms", "60500ms", 60500}, {"1000d", "1000d", 86400000000},
};

static void test_durations(void **state)
{
    static const char *const bad[] = {"",
                                      "5",
                                      "s",
                                      "5 s",
                                      " 5s",
                                      "5s ",
                                      "-5s",
                                      "1.5h",
                                      "5x",
                                      "5S",
                                      "5min",
                                      "5sec",
                                      "30m1h",
                                      "1s1s",
                                      "1ss",
                                      "1001d",
                                      "+5s",
                                      "99999999999999999999s",
                                      "11111111111111111111111111111111111s"};
    int64_t ms = 7;

    (void)state;
    for (size_t i = 0; i < nr_countof(durations); i++) {
        char text[24];

        assert_int_equal(duration_read(nr_str_of(durations[i].text), &ms), 0);
        assert_int_equal(ms, durations[i].ms);
        duration_write(ms, text);
        assert_string_equal(text, durations[i].written);
    }
    ms = 7;
    for (size_t i = 0; i < nr_countof(bad); i++)
        if (duration_read(nr_str_of(bad[i]), &ms) != NR_EINVAL || ms != 7)
            fail_msg("\"%s\" was read as %lld", bad[i], (long long)ms);
}

/* Every time that is written is read again as the same. */
static void test_duration_round(void **state)
{
    uint64_t x = 88172645463325252u;

    (void)state;
    for (int i = 0; i < 5000; i++) {
        char text[24];
        int64_t ms, again = -1;

        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        ms = (int64_t)(x % 86400001) * (i % 3 == 0 ? 1000 : 1);
        duration_write(ms, text);
        assert_int_equal(duration_read(nr_str_of(text), &again), 0);
        assert_int_equal(again, ms);
    }
}

static void test_texts(void **state)
{
    (void)state;
    assert_string_equal(policy_mode_text(POLICY_DRY_RUN), "dry_run");
    assert_string_equal(aggregate_text(AGGREGATE_P99), "p99");
    assert_string_equal(compare_text(OP_OUTSIDE), "outside");
    assert_string_equal(rule_action_text(ACTION_ALERT), "alert");
    assert_int_equal(word_find(compare_words, NR_STR("!=")), OP_NE);
    assert_int_equal(word_find(compare_words, NR_STR("")), -1);
    assert_int_equal(word_find(mode_words, NR_STR("Off")), -1);
}

static const char *nearest_of(const char *word, const char *const *candidates)
{
    static struct nearest n;

    nearest_begin(&n, nr_str_of(word));
    for (; *candidates; candidates++)
        nearest_try(&n, *candidates);
    return n.best;
}

static void test_nearest(void **state)
{
    const char *const words[] = {"track", "add", "remove", "set", "freeze", "Europe/Berlin", NULL};

    (void)state;
    assert_string_equal(nearest_of("tarck", words), "track");
    assert_string_equal(nearest_of("TRACK", words), "track");
    assert_string_equal(nearest_of("freez", words), "freeze");
    assert_string_equal(nearest_of("sett", words), "set");
    assert_string_equal(nearest_of("Berlin", words), "Europe/Berlin");
    assert_string_equal(nearest_of("bananas", words), "");
    assert_string_equal(nearest_of("", words), "");
    assert_string_equal(
        nearest_of("a very long text of more letters than there may be in a word", words), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_durations),
        cmocka_unit_test(test_duration_round),
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_nearest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
