/* Timetables: the fields of cron, and what becomes of them on the days on which the clocks of Berlin and Lord Howe change, in Seoul where they do not, and
 * in Apia, which once left out a day. Times are written as people read them, in UTC.
 */
#include "scaler/policy/timetable.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "scaler/policy/civil.h"
#include "scaler/policy/zone.h"

static int64_t at(const char *text)
{
    int y, mo, d, h, mi, s;

    assert_int_equal(sscanf(text, "%d-%d-%dT%d:%d:%dZ", &y, &mo, &d, &h, &mi, &s), 6);
    return (civil_to_days(y, mo, d) * DAY_S + h * 3600 + mi * 60 + s) * 1000;
}

static void check_time(int64_t got_ms, const char *want)
{
    char text[25];

    if (want == NULL) {
        assert_true(got_ms == INT64_MAX || got_ms == INT64_MIN);
        return;
    }
    nr_wall_text(got_ms, text);
    memcpy(text + 19, "Z", 2);
    assert_string_equal(text, want);
}

static const struct {
    const char *cron, *zone, *now, *last, *next;
} times[] = {
    /* plain */
    {"*/15 * * * *", NULL, "2026-11-21T22:14:59Z", "2026-11-21T22:00:00Z", "2026-11-21T22:15:00Z"},
    {"*/15 * * * *", "UTC", "2026-11-21T22:15:00Z", "2026-11-21T22:15:00Z", "2026-11-21T22:30:00Z"},
    {"0 6 * * 1-5", "UTC", "2026-11-21T12:00:00Z", "2026-11-20T06:00:00Z", "2026-11-23T06:00:00Z"},
    {"0 6 * * mon-fri", "UTC", "2026-11-21T12:00:00Z", "2026-11-20T06:00:00Z",
     "2026-11-23T06:00:00Z"},
    {"0 0 * * 7", "UTC", "2026-11-21T12:00:00Z", "2026-11-15T00:00:00Z", "2026-11-22T00:00:00Z"},
    {"0 0 * * sat-sun", "UTC", "2026-11-21T12:00:00Z", "2026-11-21T00:00:00Z",
     "2026-11-22T00:00:00Z"},
    {"5,35 8-10/2 1 jan,JUL *", "UTC", "2026-11-21T12:00:00Z", "2026-07-01T10:35:00Z",
     "2027-01-01T08:05:00Z"},
    {"@daily", "UTC", "2026-11-21T12:00:00Z", "2026-11-21T00:00:00Z", "2026-11-22T00:00:00Z"},
    /* both days given: either fits */
    {"0 0 13 * 5", "UTC", "2026-11-21T12:00:00Z", "2026-11-20T00:00:00Z", "2026-11-27T00:00:00Z"},
    {"0 0 13 * 5", "UTC", "2026-12-12T12:00:00Z", "2026-12-11T00:00:00Z", "2026-12-13T00:00:00Z"},
    /* a leap day, across the years without one; 2100 has none, and eight years are more than five */
    {"0 0 29 2 *", "UTC", "2026-11-21T12:00:00Z", "2024-02-29T00:00:00Z", "2028-02-29T00:00:00Z"},
    {"0 0 29 2 *", "UTC", "2097-01-01T00:00:00Z", "2096-02-29T00:00:00Z", NULL},
    {"0 0 31 * *", "UTC", "2026-11-21T12:00:00Z", "2026-10-31T00:00:00Z", "2026-12-31T00:00:00Z"},
    /* Berlin, into summer: 2:30 does not exist and is taken at the jump */
    {"30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-28T01:30:00Z",
     "2026-03-29T01:00:00Z"},
    {"30 2 * * *", "Europe/Berlin", "2026-03-29T01:00:00Z", "2026-03-29T01:00:00Z",
     "2026-03-30T00:30:00Z"},
    {"0 6 * * 1-5", "Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-27T05:00:00Z",
     "2026-03-30T04:00:00Z"},
    {"*/20 * * * *", "Europe/Berlin", "2026-03-29T00:50:00Z", "2026-03-29T00:40:00Z",
     "2026-03-29T01:00:00Z"},
    {"*/20 * * * *", "Europe/Berlin", "2026-03-29T01:00:00Z", "2026-03-29T01:00:00Z",
     "2026-03-29T01:20:00Z"},
    /* Berlin, out of summer: 2:30 comes twice and is taken the first time */
    {"30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", "2026-10-24T00:30:00Z",
     "2026-10-25T00:30:00Z"},
    {"30 2 * * *", "Europe/Berlin", "2026-10-25T01:30:00Z", "2026-10-25T00:30:00Z",
     "2026-10-26T01:30:00Z"},
    {"0 3 * * *", "Europe/Berlin", "2026-10-25T01:59:59Z", "2026-10-24T01:00:00Z",
     "2026-10-25T02:00:00Z"},
    {"0 6 * * 1-5", "Europe/Berlin", "2026-10-24T12:00:00Z", "2026-10-23T04:00:00Z",
     "2026-10-26T05:00:00Z"},
    /* far beyond what the zone's file lists */
    {"0 6 * * *", "Europe/Berlin", "2090-07-01T12:00:00Z", "2090-07-01T04:00:00Z",
     "2090-07-02T04:00:00Z"},
    {"0 6 * * *", "Europe/Berlin", "2090-12-01T12:00:00Z", "2090-12-01T05:00:00Z",
     "2090-12-02T05:00:00Z"},
    /* Seoul never changes */
    {"0 9 * * *", "Asia/Seoul", "2026-03-29T00:00:00Z", "2026-03-29T00:00:00Z",
     "2026-03-30T00:00:00Z"},
    {"0 9 * * mon", "Asia/Seoul", "2026-11-21T12:00:00Z", "2026-11-16T00:00:00Z",
     "2026-11-23T00:00:00Z"},
    {"0 9 * * *", "+09:00", "2026-03-29T00:00:00Z", "2026-03-29T00:00:00Z", "2026-03-30T00:00:00Z"},
    {"0 0 * * *", "-03:30", "2026-03-29T03:29:00Z", "2026-03-28T03:30:00Z", "2026-03-29T03:30:00Z"},
    /* Lord Howe changes by half an hour: 2:00 to 1:30 in April, 2:00 to 2:30 in October */
    {"45 1 * * *", "Australia/Lord_Howe", "2026-04-04T14:00:00Z", "2026-04-03T14:45:00Z",
     "2026-04-04T14:45:00Z"},
    {"45 1 * * *", "Australia/Lord_Howe", "2026-04-04T14:45:00Z", "2026-04-04T14:45:00Z",
     "2026-04-05T15:15:00Z"},
    {"15 2 * * *", "Australia/Lord_Howe", "2026-10-03T12:00:00Z", "2026-10-02T15:45:00Z",
     "2026-10-03T15:30:00Z"},
    {"0 3 * * *", "Australia/Lord_Howe", "2026-10-03T15:30:00Z", "2026-10-02T16:30:00Z",
     "2026-10-03T16:00:00Z"},
    /* Apia had no 30 December 2011 */
    {"0 12 30 12 *", "Pacific/Apia", "2011-12-29T00:00:00Z", "2010-12-30T22:00:00Z",
     "2011-12-30T10:00:00Z"},
    {"0 12 * * *", "Pacific/Apia", "2011-12-30T10:00:00Z", "2011-12-30T10:00:00Z",
     "2011-12-30T22:00:00Z"},
};

static void test_times(void **state)
{
    (void)state;
    for (size_t i = 0; i < nr_countof(times); i++) {
        struct timetable *t = NULL;
        struct nr_err err = {0};

        if (timetable_make(times[i].cron, times[i].zone, &t, &err) < 0)
            fail_msg("%s %s: %s", times[i].cron, times[i].zone, err.text);
        check_time(timetable_next(t, at(times[i].now)), times[i].next);
        check_time(timetable_last(t, at(times[i].now)), times[i].last);
        timetable_free(t);
    }
    timetable_free(NULL);
}

/* Going from one time to the next meets each once, and last and next agree. */
static void test_walk(void **state)
{
    static const char *const zones[] = {"Europe/Berlin", "Australia/Lord_Howe", "Asia/Seoul",
                                        "America/Sao_Paulo", "Asia/Kathmandu"};
    (void)state;
    for (size_t i = 0; i < nr_countof(zones); i++) {
        struct timetable *t = NULL;
        int64_t now = at("2026-01-01T00:00:00Z"), end = at("2027-01-01T00:00:00Z"), steps = 0;

        assert_int_equal(timetable_make("7,37 1-3 * * *", zones[i], &t, NULL), 0);
        for (int64_t next; (next = timetable_next(t, now)) < end; now = next, steps++) {
            assert_true(next > now);
            assert_int_equal(timetable_last(t, next), next);
            assert_int_equal(timetable_last(t, next + 59999), next);
            assert_true(timetable_last(t, next - 1) <= now || steps == 0);
        }
        /* a gap makes two or four into one at most, and takes none with it */
        assert_true(steps > 365 * 6 - 4 && steps <= 365 * 6 + 1);
        timetable_free(t);
    }
}

static void test_strange_moments(void **state)
{
    struct timetable *t = NULL;

    (void)state;
    assert_int_equal(timetable_make("0 0 * * *", "Europe/Berlin", &t, NULL), 0);
    check_time(timetable_next(t, -5), "1970-01-01T23:00:00Z");
    (void)timetable_next(t, INT64_MAX);
    (void)timetable_last(t, INT64_MAX);
    (void)timetable_next(t, INT64_MIN);
    (void)timetable_last(t, INT64_MIN);
    timetable_free(t);
}

static const struct {
    const char *cron, *zone, *why;
} bad[] = {
    {"", NULL, "five fields"},
    {"* * * *", NULL, "here are 4"},
    {"0 * * * * *", NULL, "more than 5"},
    {"60 * * * *", NULL, "minute \"60\": it must be 0 to 59"},
    {"* 24 * * *", NULL, "hour \"24\""},
    {"* * 0 * *", NULL, "day of the month \"0\""},
    {"* * * 13 *", NULL, "month \"13\": it must be 1 to 12, or jan to dec"},
    {"* * * * mond", NULL, "day of the week \"mond\": it must be 0 to 7, or sun to sat"},
    {"5-1 * * * *", NULL, "ends before it begins"},
    {"5/10 * * * *", NULL, "a step needs a range"},
    {"*/0 * * * *", NULL, "must be 1 or more"},
    {"*/ * * * *", NULL, "must be 1 or more"},
    {"1,,2 * * * *", NULL, "minute \"\""},
    {"1- * * * *", NULL, "minute \"1-\""},
    {"0 0 30 2 *", NULL, "no month that is meant has such a day"},
    {"0 0 31 4,6,9,11 *", NULL, "no month that is meant has such a day"},
    {"0 0 1 1 *", "Europe/Berln", "the nearest is \"Europe/Berlin\""},
    {"0 0 1 1 *", "europe/berlin", "the nearest is \"Europe/Berlin\""},
    {"0 0 1 1 *", "Seoul", "the nearest is \"Asia/Seoul\""},
    {"0 0 1 1 *", "Nowhere/At_All", "there is no time zone \"Nowhere/At_All\""},
    {"0 0 1 1 *", "../../etc/passwd", "there is no time zone"},
    {"0 0 1 1 *", "/etc/localtime", "there is no time zone"},
    {"0 0 1 1 *", "zone.tab", "there is no time zone"},
    {"0 0 1 1 *", "tzdata", "there is no time zone"},
    {"0 0 1 1 *", "right/Europe/Berlin", "cannot be read"},
    {"0 0 1 1 *", "+25:00", "there is no time zone"},
    {"0 0 1 1 *", "", "there is no time zone"},
};

static void test_bad(void **state)
{
    (void)state;
    for (size_t i = 0; i < nr_countof(bad); i++) {
        struct timetable *t = NULL;
        struct nr_err err = {0};

        if (timetable_make(bad[i].cron, bad[i].zone, &t, &err) != NR_EINVAL ||
            strstr(err.text, bad[i].why) == NULL)
            fail_msg("\"%s\" %s: \"%s\" is not \"%s\"", bad[i].cron, bad[i].zone, err.text,
                     bad[i].why);
        assert_null(t);
    }
}

/* What the rules at the ends of zone files say, also in forms that no zone of this host has. */
static void test_rules(void **state)
{
    struct zone_change two[2];

    (void)state;
    assert_true(zone_rule_year("EST5EDT,M3.2.0,M11.1.0", 2026, two));
    check_time(two[0].at_s * 1000, "2026-03-08T07:00:00Z");
    check_time(two[1].at_s * 1000, "2026-11-01T06:00:00Z");
    assert_int_equal(two[0].offset_s, -4 * 3600);
    assert_true(zone_rule_year("AAA-1BBB,J60/0,365/-1", 2028, two));
    check_time(two[0].at_s * 1000, "2028-02-29T23:00:00Z");
    check_time(two[1].at_s * 1000, "2028-12-30T21:00:00Z");
    assert_true(zone_rule_year("<-02>2<-01>,M3.5.0/-1,M10.5.0/0", 2026, two));
    check_time(two[0].at_s * 1000, "2026-03-29T01:00:00Z");
    assert_false(zone_rule_year("KST-9", 2026, two));
    assert_false(zone_rule_year("", 2026, two));
    assert_false(zone_rule_year("CET-1CEST,M3.5.0", 2026, two));
    assert_false(zone_rule_year("CET-1CEST,M13.5.0,M10.5.0", 2026, two));
    assert_false(zone_rule_year("CET-1CEST,M3.6.0,M10.5.0", 2026, two));
    assert_false(zone_rule_year("CET-1CEST,M3.5.0,M10.5.0x", 2026, two));
    assert_false(zone_rule_year("<CET-1", 2026, two));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_times),           cmocka_unit_test(test_walk),
        cmocka_unit_test(test_strange_moments), cmocka_unit_test(test_bad),
        cmocka_unit_test(test_rules),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
