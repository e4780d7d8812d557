/* A decision in words: every part that a record may hold is told, what it does not hold is not, and nothing in it is obeyed by a terminal. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/scale.h"
#include "tests/unit/common/base/check.h"

/* What a decision reads like (made). */
static char *words_of(const char *json)
{
    nr_auto_json json_t *j = nr_json_parse(nr_str_of(json), NULL);
    FILE *file = tmpfile();
    int saved;

    assert_non_null(j);
    assert_non_null(file);
    (void)fflush(stdout);
    saved = dup(STDOUT_FILENO);
    assert_true(dup2(fileno(file), STDOUT_FILENO) >= 0);
    scale_say_decision(j);
    (void)fflush(stdout);
    assert_true(dup2(saved, STDOUT_FILENO) >= 0);
    (void)close(saved);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    long n = ftell(file);

    rewind(file);
    char *text = nr_alloc((size_t)n + 1);
    assert_int_equal(fread(text, 1, (size_t)n, file), n);
    (void)fclose(file);
    return text;
}

static const char whole[] =
    "{\"v\":1,\"kind\":\"decision\",\"t\":1700000000000,\"policy\":\"burst\",\"number\":3,"
    "\"mode\":\"enforce\",\"inputs\":["
    "{\"metric\":\"inflight_per_instance\",\"aggregate\":\"avg\",\"window\":\"6s\",\"op\":\">=\",\"than\":1.4,\"value\":1.62,"
    "\"samples\":6,\"age_ms\":400,\"held\":true,\"containers\":3},"
    "{\"metric\":\"errors\",\"aggregate\":\"rate\",\"window\":\"10s\",\"op\":\">\",\"than\":0.5,\"value\":2,"
    "\"samples\":9,\"age_ms\":900,\"held\":false,\"for\":\"5m\",\"holds_ms\":3000},"
    "{\"metric\":\"queued\",\"aggregate\":\"max\",\"window\":\"10s\",\"op\":\"<\",\"than\":5,\"value\":9,"
    "\"samples\":1,\"age_ms\":700,\"held\":false,\"for\":\"5m\"},"
    "{\"metric\":\"depth\",\"aggregate\":\"max\",\"window\":\"60s\",\"op\":\">\",\"than\":5,\"value\":9,"
    "\"samples\":3,\"age_ms\":31000,\"held\":false,\"unknown\":true},"
    "{\"metric\":\"trigger_lag\",\"labels\":{\"topic\":\"raw\",\"group\":\"g\"},\"aggregate\":\"p99\",\"window\":30000,\"op\":\"between\",\"than\":[3,5],\"value\":null,"
    "\"samples\":0,\"age_ms\":null,\"held\":false,\"unknown\":true}],"
    "\"votes\":[{\"rule\":\"burst\",\"action\":\"add\",\"desired\":8,\"why\":\"100 %, 2 at least\"},"
    "{\"rule\":\"errors\",\"action\":\"alert\",\"desired\":-1,\"why\":\"\"}],"
    "\"forecast\":{\"p50\":3,\"p90\":5.5,\"confidence\":0.42,\"shadow\":true},"
    "\"floors\":{\"forecast\":-1,\"schedule\":4,\"min\":1,\"min_warm\":null},\"made_by\":\"schedule\","
    "\"clamps\":[{\"by\":\"step_up\",\"from\":8,\"to\":6,\"why\":\"200 % in 10s\"},"
    "{\"by\":\"missing_metrics\",\"from\":6,\"to\":6,\"why\":\"\"},"
    "{\"by\":\"of_a_later_version\",\"from\":6,\"to\":5,\"why\":\"\"}],"
    "\"fired\":[\"errors\"],\"from\":2,\"to\":5,\"min_warm\":4,\"maximum\":40,\"on_demand\":false,\"took_us\":12}";

static void a_whole_decision(void **state)
{
    nr_auto_free char *text = words_of(whole);

    (void)state;
    assert_string_equal(
        text,
        "2023-11-14 23:13:20  2 -> 5  burst, version 3\n"
        "  seen      inflight_per_instance, avg of 6s: 1.62 with 3 containers (6 samples, the newest 0.4 s old), "
        "holds: >= 1.4\n"
        "            errors, rate of 10s: 2 (9 samples, the newest 0.9 s old), holds since 3 s of 5m: > 0.5\n"
        "            queued, max of 10s: 9 (1 samples, the newest 0.7 s old), does not hold: < 5\n"
        "            depth, max of 60s: 9 (3 samples, the newest 31.0 s old), unknown: not told for 31 s\n"
        "            trigger_lag{topic=raw,group=g}, p99 of 30s: never told, unknown: between 3 "
        "and 5\n"
        "  voted     burst (add) wants 8: 100 %, 2 at least\n"
        "            errors (alert)\n"
        "  foreseen  3 calls at a time, at most 5.5; confidence 0.42: not trusted yet, it raises "
        "nothing\n"
        "  raised    at least 4 by the schedule, which makes the number\n"
        "            at least 1 by bounds.min\n"
        "  clamped   8 to 6: a step up is bounded (200 % in 10s)\n"
        "            6 to 5: of_a_later_version\n"
        "  alert     errors begins to hold\n"
        "  result    5 kept, 4 of them ahead of calls, at most 40; calls start none themselves\n");
}

static void nothing_happens(void **state)
{
    nr_auto_free char *text =
        words_of("{\"t\":0,\"policy\":\"p\",\"number\":1,\"mode\":\"dry_run\",\"inputs\":[],"
                 "\"votes\":[],\"clamps\":[],\"from\":1,\"to\":1,\"maximum\":-1,"
                 "\"forecast\":null,\"on_demand\":true,\"made_by\":\"quiet\"}");

    (void)state;
    assert_string_equal(text,
                        "1970-01-01 01:00:00  stays at 1  p, version 1 (dry run: nothing is done)\n"
                        "  voted     nobody\n"
                        "  because   nobody voted for so long that nothing is wanted any more\n"
                        "  result    1 kept\n");
}

static void a_policy_that_was_taken_back(void **state)
{
    nr_auto_free char *text =
        words_of("{\"kind\":\"release\",\"t\":0,\"policy\":\"p\",\"why\":\"it was deleted\"}");

    (void)state;
    assert_string_equal(text,
                        "1970-01-01 01:00:00  nothing is asked for any more: it was deleted\n");
}

/* Records come over a bus: whatever is in them, something is printed and nothing breaks. */
static void strange_records(void **state)
{
    static const char *const records[] = {
        "{}",
        "{\"t\":\"x\",\"from\":{},\"inputs\":7,\"votes\":[1,null,{}],\"clamps\":[[]],\"floors\":[]}",
        "{\"inputs\":[{\"window\":null,\"samples\":3,\"value\":1}],\"forecast\":{},\"mode\":5}",
    };

    (void)state;
    for (size_t i = 0; i < nr_countof(records); i++) {
        nr_auto_free char *text = words_of(records[i]);

        assert_non_null(strstr(text, "result"));
    }
}

static void whom_a_policy_is_for(void **state)
{
    static const struct {
        const char *row, *text;
    } rows[] = {
        {"{\"target\":{\"account\":\"acme\",\"function\":\"p/f\"}}", "acme: p/f"},
        {"{\"target\":{\"function\":\"f\"}}", "f"},
        {"{\"target\":{\"stems\":\"python:3\"}}", "stems of python:3"},
        {"{\"target\":{\"nodes\":true}}", "nodes"},
        {"{\"target\":\"nodes\"}", "nodes"},
        {"{}", "-"},
    };

    (void)state;
    for (size_t i = 0; i < nr_countof(rows); i++) {
        nr_auto_json json_t *j = nr_json_parse(nr_str_of(rows[i].row), NULL);
        struct nr_buf b;

        nr_buf_init(&b, 256);
        scale_add_target(j, &b);
        nr_buf_addc(&b, '\0');
        assert_string_equal(b.p, rows[i].text);
        nr_buf_fini(&b);
    }
}

/* Numbers of a document come back as they were written, whatever a text has that looks like one. */
static void numbers(void **state)
{
    static const char *const rows[][2] = {
        {"0.69999999999999996", "0.7"},
        {"{\"a\": -0.10000000000000001, \"b\": [1.0, 1000.0, 12]}",
         "{\"a\": -0.1, \"b\": [1.0, 1000.0, 12]}"},
        {"[true, false, null, 1e-05, 1.0000000000000001e-05, 1e+300]",
         "[true, false, null, 1e-05, 1e-05, 1e+300]"},
        {"\"0.69999999999999996 \\\" 0.69999999999999996\"",
         "\"0.69999999999999996 \\\" 0.69999999999999996\""},
        {"[0.33333333333333331, 123456789012345678, 1234567.5]",
         "[0.3333333333333333, 123456789012345678, 1234567.5]"},
        {"", ""},
    };

    (void)state;
    for (size_t i = 0; i < nr_countof(rows); i++) {
        struct nr_buf b;

        nr_buf_init(&b, 1024);
        cli_short_numbers(rows[i][0], &b);
        nr_buf_addc(&b, '\0');
        assert_string_equal(b.p, rows[i][1]);
        nr_buf_fini(&b);
    }
}

static void times(void **state)
{
    static const char *const bad[] = {
        "", "x", "5x", "-5s", "m", "2026-13-40", "1.5h", "2026-01-31", "2026-01-31T12:00:00X"};
    int64_t ms = 0, other = 0;

    (void)state;
    for (size_t i = 0; i < nr_countof(bad); i++)
        assert_false(cli_when(bad[i], &ms));
    assert_true(cli_when("1700000000000", &ms));
    assert_true(ms == 1700000000000);
    assert_true(cli_when("2023-11-14T22:13:20Z", &ms));
    assert_true(ms == 1700000000000);
    assert_true(cli_when("2023-11-14T22:13:20.500Z", &ms));
    assert_true(ms == 1700000000000);
    assert_true(cli_when("2023-11-14 23:13:20", &ms));
    assert_true(ms == 1700000000000);
    assert_true(cli_when("2023-11-14T23:13:20", &ms));
    assert_true(ms == 1700000000000);
    assert_true(cli_when("2h", &ms) && cli_when("1h", &other));
    assert_true(other - ms > 3590000 && other - ms < 3610000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_decision),
        cmocka_unit_test(nothing_happens),
        cmocka_unit_test(strange_records),
        cmocka_unit_test(whom_a_policy_is_for),
        cmocka_unit_test(times),
        cmocka_unit_test(numbers),
        cmocka_unit_test(a_policy_that_was_taken_back),
    };

    (void)setenv("TZ", "CET-1", 1); /* times are those of this place */
    return cmocka_run_group_tests_name("cli/scale", tests, NULL, NULL);
}
