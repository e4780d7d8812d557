/* Which lines of a log are values, and how much of a log is looked at. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "controller/internal.h"

#define STAMP "2026-01-02T03:04:05.123456789Z "

struct heard {
    unsigned good, bad;
    char names[256]; /* of the good ones, each with a blank behind it */
};

static void on_metric(void *arg, const struct activation *a, const struct sample *s)
{
    struct heard *h = arg;

    assert_string_equal(a->id, "an id");
    if (s == NULL) {
        h->bad++;
        return;
    }
    h->good++;
    assert_true(s->t_ms > nr_wall_ms() - 60000); /* of now, whatever the line says */
    if (strlen(h->names) < 200)
        (void)snprintf(h->names + strlen(h->names), 56, "%.*s=%g ", (int)s->metric.n, s->metric.p,
                       s->metric_value);
}

static struct heard hear(const char *log)
{
    struct heard h = {0};
    struct controller *c = nr_alloc(sizeof(*c));
    struct activation *a = activation_make();

    c->on_metric = on_metric;
    c->on_metric_arg = &h;
    memcpy(a->id, "an id", 6);
    nr_buf_init(&a->logs, 16 << 20);
    nr_buf_adds(&a->logs, log);
    custom_read(c, a);
    activation_unref(a);
    free(c);
    return h;
}

static const struct {
    const char *log, *names;
    unsigned bad;
} rows[] = {
    {"", "", 0},
    {STAMP "stdout: hello\n", "", 0},
    {STAMP
     "stdout: {\"metric\":\"room_temp_celsius\",\"value\":21.5,\"labels\":{\"room\":\"a\"}}\n",
     "room_temp_celsius=21.5 ", 0},
    {STAMP "stderr: {\"metric\":\"a\",\"value\":1}\n" STAMP "stdout: between\n" STAMP
           "stdout: { \"value\" : 2, \"metric\" : \"b\" }\n",
     "a=1 b=2 ", 0},
    {STAMP "stdout: {\"metric\":\"last_without_an_end\",\"value\":3}", "last_without_an_end=3 ", 0},
    {STAMP "stdout: the word \"metric\" alone\n", "", 0},
    {STAMP "stdout: {'metric': 'as python prints it', 'value': 1}\n" STAMP
           "stdout: {\"other\":{\"metric\":\"inside\",\"value\":1}}\n" STAMP
           "stdout: [{\"metric\":\"a\",\"value\":1}]\n" STAMP "stdout: {\"metric\":\"cut\",\"val\n",
     "", 0},
    {"{\"metric\":\"no_stamp\",\"value\":1}\n", "", 0},
    {STAMP "stdout: {\"metric\":\"no_value\"}\n" STAMP "stdout: {\"metric\":7,\"value\":7}\n" STAMP
           "stdout: {\"metric\":\"a\",\"value\":\"7\"}\n" STAMP
           "stdout: {\"metric\":\"inflight\",\"value\":1}\n" STAMP
           "stdout: {\"metric\":\"a\",\"value\":1e999}\n" STAMP
           "stdout: {\"metric\":\"a b\",\"value\":1}\n",
     "", 6},
    /* a sample of the platform is no line that a function may write */
    {STAMP "stdout: {\"v\":1,\"node\":\"n\",\"account\":\"acme\",\"function\":\"f\","
           "\"metrics\":{\"inflight\":9},\"metric\":null}\n",
     "", 1},
};

static void test_lines(void **state)
{
    for (size_t i = 0; i < nr_countof(rows); i++) {
        struct heard h = hear(rows[i].log);

        if (strcmp(h.names, rows[i].names) != 0 || h.bad != rows[i].bad)
            fail_msg("%s: '%s', %u bad", rows[i].log, h.names, h.bad);
    }
}

static void test_a_line_is_of_now(void **state)
{
    char log[256];

    (void)snprintf(log, sizeof(log), STAMP "stdout: {\"metric\":\"a\",\"value\":1,\"t\":%lld}\n",
                   (long long)nr_wall_ms() - 3600000);
    assert_int_equal(hear(log).good, 1);
}

/* A flood of values, one very long line, and a value behind a very long log. */
static void test_ceilings(void **state)
{
    static const char value[] = STAMP "stdout: {\"metric\":\"a\",\"value\":1}\n";
    struct nr_buf b;
    struct heard h;

    nr_buf_init(&b, 1 << 20);
    for (int i = 0; i < 500; i++)
        nr_buf_adds(&b, value);
    nr_buf_addc(&b, '\0');
    h = hear(b.p);
    assert_int_equal(h.good, 64);
    nr_buf_reset(&b, 1 << 20);
    nr_buf_adds(&b, STAMP "stdout: {\"metric\":\"a\",\"value\":1,\"more\":\"");
    for (int i = 0; i < 5000; i++)
        nr_buf_addc(&b, 'x');
    nr_buf_adds(&b, "\"}\n");
    nr_buf_adds(&b, value);
    nr_buf_addc(&b, '\0');
    h = hear(b.p);
    assert_int_equal(h.good, 1);
    nr_buf_reset(&b, 1 << 20);
    for (int i = 0; i < 2000; i++)
        nr_buf_adds(&b, STAMP "stdout: nothing to see here\n");
    nr_buf_adds(&b, value);
    nr_buf_addc(&b, '\0');
    h = hear(b.p);
    assert_int_equal(h.good + h.bad, 0);
    nr_buf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_lines),
                                       cmocka_unit_test(test_a_line_is_of_now),
                                       cmocka_unit_test(test_ceilings)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
