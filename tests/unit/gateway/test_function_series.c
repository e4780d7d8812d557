/* Which functions have series of their own, that nothing is counted twice or lost, and that no counter falls, whoever comes and goes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "gateway/function_series.h"

static const struct {
    const char *text;
    bool good;
    unsigned top;
    const char *key, *value;
} choices[] = {
    {"off", true, 0, "", ""},
    {"top:20", true, 20, "", ""},
    {"top:200", true, 200, "", ""},
    {"label:tier=critical", true, 0, "tier", "critical"},
    {"label:a=b=c,top:1", true, 1, "a", "b=c"},
    {"top:5,label:tier=critical", true, 5, "tier", "critical"},
    {"", false},
    {"top:0", false},
    {"top:201", false},
    {"top:-1", false},
    {"top:", false},
    {"top:5,top:6", false},
    {"label:tier", false},
    {"label:=critical", false},
    {"label:tier=", false},
    {"label:a=b,label:c=d", false},
    {"top:5,off", false},
    {"all", false},
    {"top:5,", false},
};

static void test_choice(void **state)
{
    for (size_t i = 0; i < nr_countof(choices); i++) {
        struct series_choice c = {.top = 99};
        struct nr_err err = {0};
        int r = series_choice_read(choices[i].text, &c, &err);

        if ((r == 0) != choices[i].good)
            fail_msg("'%s': %d %s", choices[i].text, r, err.text);
        if (!choices[i].good) {
            assert_int_equal(r, NR_EINVAL);
            assert_non_null(strstr(err.text, "--metrics-functions"));
            assert_int_equal(c.top, 99);
            continue;
        }
        assert_int_equal(c.top, choices[i].top);
        assert_string_equal(c.key, choices[i].key);
        assert_string_equal(c.value, choices[i].value);
    }
}

static struct function_series *make(const char *choice)
{
    struct series_choice c;

    assert_int_equal(series_choice_read(choice, &c, NULL), 0);
    return function_series_make(&c);
}

/* So many calls of 20 ms each, of one second. */
static void tell(struct function_series *t, const char *account, const char *function,
                 unsigned calls, enum series_label label, int64_t now_ms)
{
    static struct sketch durations;
    struct sample s = {.t_ms = now_ms,
                       .span_ms = 1000,
                       .node = NR_STR("n"),
                       .account = nr_str_of(account),
                       .function = nr_str_of(function),
                       .has = 1ull << METRIC_INVOCATIONS | 1ull << METRIC_CPU_SECONDS |
                              1ull << METRIC_INSTANCES | 1ull << METRIC_INSTANCES_BUSY |
                              1ull << METRIC_MEMORY_MB};

    memset(&durations, 0, sizeof(durations));
    for (unsigned i = 0; i < calls; i++)
        sketch_add_us(&durations, 20000);
    s.sketch[SAMPLE_DURATION] = &durations;
    s.value[METRIC_INVOCATIONS] = calls;
    s.value[METRIC_CPU_SECONDS] = 0.5;
    s.value[METRIC_INSTANCES] = 3;
    s.value[METRIC_INSTANCES_BUSY] = 1;
    s.value[METRIC_MEMORY_MB] = 2;
    function_series_take(t, &s, label, now_ms);
}

/* The page, with a NUL behind it (made). */
static char *page(struct function_series *t, const char *account, int64_t now_ms)
{
    struct nr_buf b;

    nr_buf_init(&b, 64 << 20);
    function_series_write(t, account, now_ms, &b);
    assert_false(b.failed);
    char *text = b.n ? nr_buf_detach(&b, NULL) : nr_strdup("");

    nr_buf_fini(&b);
    return text;
}

/* The value of the line that begins with this; -1: there is none. */
static double value(const char *text, const char *line)
{
    size_t n = strlen(line);
    const char *end = text + strlen(text), *next;

    /* by lengths: a sanitizer that checks strings would walk the whole page for each line */
    for (const char *p = text; p < end; p = next) {
        next = memchr(p, '\n', (size_t)(end - p));
        next = next ? next + 1 : end;
        if ((size_t)(next - p) > n && memcmp(p, line, n) == 0 && p[n] == ' ')
            return strtod(p + n, NULL);
    }
    return -1;
}

#define OF(metric, account, function) metric "{account=\"" account "\",function=\"" function "\"}"
#define CALLS "narae_function_invocations_total"

static void assert_value(const char *text, const char *line, double wanted)
{
    double is = value(text, line);

    if (is < wanted - 1e-9 || is > wanted + 1e-9)
        fail_msg("%s is %g, not %g, in\n%s", line, is, wanted, text);
}

static void test_one_function(void **state)
{
    struct function_series *t = make("top:2");

    for (int i = 1; i <= 4; i++)
        tell(t, "acme", "tools/parse", 5, SERIES_AS_BEFORE, i * 1000);
    char *text = page(t, NULL, 4500);

    assert_value(text, OF(CALLS, "acme", "tools/parse"), 20);
    assert_value(text, OF("narae_function_cpu_seconds_total", "acme", "tools/parse"), 2);
    assert_value(text, OF("narae_function_memory_bytes", "acme", "tools/parse"), 2 << 20);
    assert_value(
        text, "narae_function_containers{account=\"acme\",function=\"tools/parse\",state=\"busy\"}",
        1);
    assert_value(
        text, "narae_function_containers{account=\"acme\",function=\"tools/parse\",state=\"idle\"}",
        2);
    assert_value(
        text,
        "narae_function_duration_seconds_bucket{account=\"acme\",function=\"tools/parse\",le=\"0.01\"}",
        0);
    assert_value(
        text,
        "narae_function_duration_seconds_bucket{account=\"acme\",function=\"tools/parse\",le=\"0.025\"}",
        20);
    assert_value(
        text,
        "narae_function_duration_seconds_bucket{account=\"acme\",function=\"tools/parse\",le=\"+Inf\"}",
        20);
    assert_value(text, OF("narae_function_duration_seconds_count", "acme", "tools/parse"), 20);
    double sum = value(text, OF("narae_function_duration_seconds_sum", "acme", "tools/parse"));

    assert_true(sum > 0.4 * 0.95 && sum < 0.4 * 1.05);
    assert_value(text, CALLS "{function=\"other\"}", 0);
    free(text);

    /* without a sample for some seconds there is neither a call nor a container */
    text = page(t, NULL, 20000);
    assert_value(text, OF("narae_function_memory_bytes", "acme", "tools/parse"), 0);
    assert_value(text, OF(CALLS, "acme", "tools/parse"), 20);
    free(text);
    function_series_free(t);
}

/* 300 functions, of which the busiest change all the time: all series together are what was told, and none of them falls. */
static void test_whole_and_monotone(void **state)
{
    enum { FUNCTIONS = 300, TOP = 20, ROUNDS = 60 };
    struct function_series *t = make("top:20");
    static double before[FUNCTIONS + 1];
    double told = 0;

    for (int i = 0; i <= FUNCTIONS; i++)
        before[i] = -1;
    for (int round = 1; round <= ROUNDS; round++) {
        char *text;
        double sum;
        unsigned shown = 0;

        for (int i = 0; i < FUNCTIONS; i++) {
            char name[16];
            unsigned calls = (unsigned)(i / 15 == round / 3 ? 500 : i % 3);

            (void)snprintf(name, sizeof(name), "f%d", i);
            tell(t, "acme", name, calls, SERIES_AS_BEFORE, round * 1000);
            told += calls;
        }
        text = page(t, NULL, round * 1000);
        sum = value(text, CALLS "{function=\"other\"}");
        assert_true(sum >= before[FUNCTIONS]);
        before[FUNCTIONS] = sum;
        for (int i = 0; i < FUNCTIONS; i++) {
            char line[96];

            (void)snprintf(line, sizeof(line), CALLS "{account=\"acme\",function=\"f%d\"}", i);
            double now = value(text, line);

            if (now < 0)
                continue;
            shown++;
            assert_true(now >= before[i]);
            before[i] = now;
        }
        assert_int_equal(shown, TOP);
        free(text);

        /* who is shown no more keeps what he had: with it the sum is everything */
        for (int i = 0; i < FUNCTIONS; i++)
            sum += before[i] > 0 ? before[i] : 0;
        assert_true(sum > told - 0.5 && sum < told + 0.5);
    }
    function_series_free(t);
}

static void test_busiest_are_shown(void **state)
{
    struct function_series *t = make("top:2");
    const char *names[] = {"quiet", "calm", "busy", "busier"};

    for (int round = 1; round <= 10; round++)
        for (unsigned i = 0; i < nr_countof(names); i++)
            tell(t, "acme", names[i], (i + 1) * (i + 1) * 10, SERIES_AS_BEFORE, round * 1000);
    char *text = page(t, NULL, 10000);

    assert_true(value(text, OF(CALLS, "acme", "busier")) > 0);
    assert_true(value(text, OF(CALLS, "acme", "busy")) > 0);
    assert_true(value(text, OF(CALLS, "acme", "calm")) < 0);
    assert_true(value(text, OF(CALLS, "acme", "quiet")) < 0);
    free(text);
    function_series_free(t);
}

static void test_label(void **state)
{
    struct function_series *t = make("label:tier=critical");
    char name[16];

    tell(t, "small", "alarm", 1, SERIES_WITH, 1000);
    tell(t, "small", "other", 9, SERIES_WITHOUT, 1000);
    for (int i = 0; i < SERIES_LABELLED_OF_ACCOUNT_MAX + 5; i++) {
        (void)snprintf(name, sizeof(name), "f%d", i);
        tell(t, "greedy", name, 100, SERIES_WITH, 1000);
    }
    tell(t, "small", "alarm", 1, SERIES_AS_BEFORE,
         4000); /* with containers only nobody tells of a label */
    tell(t, "small", "alarm", 1, SERIES_AS_BEFORE, 5000);
    char *text = page(t, NULL, 5000);
    unsigned greedy = 0;

    assert_true(value(text, OF(CALLS, "small", "alarm")) >= 1);
    assert_true(value(text, OF(CALLS, "small", "other")) < 0);
    for (const char *p = text; (p = strstr(p, CALLS "{account=\"greedy\"")); p++)
        greedy++;
    assert_int_equal(greedy, SERIES_LABELLED_OF_ACCOUNT_MAX);
    free(text);

    /* the label was taken off */
    tell(t, "small", "alarm", 1, SERIES_WITHOUT, 9000);
    text = page(t, NULL, 9000);
    assert_true(value(text, OF(CALLS, "small", "alarm")) < 0);
    free(text);
    function_series_free(t);
}

/* An account reads all of its own and nothing of others, however little they are called. */
static void test_own_page(void **state)
{
    struct function_series *t = make("top:1");

    for (int i = 1; i <= 5; i++) {
        tell(t, "acme", "busy", 100, SERIES_AS_BEFORE, i * 1000);
        tell(t, "tiny", "rare", 1, SERIES_AS_BEFORE, i * 1000);
    }
    char *text = page(t, "tiny", 5000);

    assert_value(text, OF(CALLS, "tiny", "rare"), 5);
    assert_value(text, OF("narae_function_duration_seconds_count", "tiny", "rare"), 5);
    assert_null(strstr(text, "acme"));
    assert_null(strstr(text, "other"));
    free(text);
    text = page(t, "nobody", 5000);
    assert_string_equal(text, "");
    free(text);
    function_series_free(t);
}

static void test_forgotten(void **state)
{
    struct function_series *t = make("top:5");

    tell(t, "gone", "a", 7, SERIES_AS_BEFORE, 1000);
    tell(t, "gone2", "a", 1, SERIES_AS_BEFORE, 1000);
    function_series_forget(t, "gone");
    char *text = page(t, NULL, 1000);

    assert_null(strstr(text, "\"gone\""));
    assert_value(text, OF(CALLS, "gone2", "a"), 1);
    free(text);
    tell(t, "gone", "a", 1, SERIES_AS_BEFORE, 2000);
    text = page(t, NULL, 2000);
    assert_value(text, OF(CALLS, "gone", "a"), 1); /* the next tenant of that name begins anew */
    free(text);
    function_series_free(t);
}

/* More functions than the table has rows: it stays within its bound, and the sum of the others keeps what was counted. */
static void test_bound(void **state)
{
    struct function_series *t = make("top:3");
    struct nr_buf b;
    char name[16];

    for (int i = 0; i < SERIES_ROWS_MAX + 500; i++) {
        (void)snprintf(name, sizeof(name), "f%d", i);
        tell(t, "acme", name, 1, SERIES_AS_BEFORE, 1000);
    }
    nr_buf_init(&b, 4096);
    function_series_count(t, &b);
    nr_buf_addc(&b, '\0');
    assert_value(b.p, "narae_functions_known", SERIES_ROWS_MAX);
    assert_true(value(b.p, "narae_functions_with_series") <= 3);
    nr_buf_fini(&b);
    char *text = page(t, NULL, 1000);

    assert_true(value(text, CALLS "{function=\"other\"}") >= SERIES_ROWS_MAX + 500 - 6);
    free(text);
    function_series_free(t);
}

static void test_hostile_names(void **state)
{
    struct function_series *t = make("top:3");
    static char large[4096];

    memset(large, 'x', sizeof(large) - 1);
    tell(t, "a\"b\\c\nd", "f", 1, SERIES_AS_BEFORE, 1000);
    tell(t, "acme", large, 1, SERIES_AS_BEFORE, 1000);
    tell(t, "", "f", 1, SERIES_AS_BEFORE, 1000);
    char *text = page(t, NULL, 1000);

    assert_value(text, CALLS "{account=\"a\\\"b\\\\c\\nd\",function=\"f\"}", 1);
    assert_null(strstr(text, "xxx"));
    free(text);
    function_series_free(t);
    function_series_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_choice),
        cmocka_unit_test(test_one_function),
        cmocka_unit_test(test_whole_and_monotone),
        cmocka_unit_test(test_busiest_are_shown),
        cmocka_unit_test(test_label),
        cmocka_unit_test(test_own_page),
        cmocka_unit_test(test_forgotten),
        cmocka_unit_test(test_bound),
        cmocka_unit_test(test_hostile_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
