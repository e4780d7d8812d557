/* Samples: what is written is read back as itself; both forms; what a foreign producer may send and what it may not; percentiles of sketches. */
#include "ports/sample.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define NOW 1767603600000LL

static struct sample_room room;
static struct sample s;
static struct nr_err err;

static int read_text(const char *text)
{
    err = (struct nr_err){0};
    return sample_read(nr_str_of(text), NOW, &room, &s, &err);
}

/* Refused, with a sentence that holds `word`, and the sample stays as it was. */
static void refused(const char *text, const char *word)
{
    struct sample before = s;

    if (read_text(text) != NR_EINVAL)
        fail_msg("accepted: %s", text);
    if (strstr(err.text, word) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", err.text, word);
    assert_memory_equal(&before, &s, sizeof s);
}

static void test_every_metric_has_a_row_and_a_name_of_its_own(void **state)
{
    for (unsigned i = 0; i < METRICS; i++) {
        assert_non_null(sample_metrics[i].name);
        assert_non_null(sample_metrics[i].unit);
        assert_non_null(sample_metrics[i].help);
        assert_int_equal(metric_find(nr_str_of(sample_metrics[i].name)), i);
    }
    assert_int_equal(metric_find(NR_STR("inflights")), METRICS);
    assert_int_equal(metric_find((struct nr_str){NULL, 0}), METRICS);
}

static void test_a_sample_is_read_back_as_itself(void **state)
{
    struct sketch duration = {0}, wait = {0};
    struct sample out = {.t_ms = NOW - 5,
                         .span_ms = 1003,
                         .seq = 18446744073709,
                         .node = NR_STR("box-1"),
                         .account = NR_STR("ac\"me"),
                         .function = NR_STR("p/parse-telemetry"),
                         .version = NR_STR("0.0.3"),
                         .sketch = {&duration, &wait, NULL}};
    struct nr_buf text;

    for (unsigned i = 0; i < METRICS; i++)
        if (sample_tells((enum metric_id)i, false)) {
            out.value[i] = i % 2 ? i : i + 1.0 / 3;
            out.has |= 1ull << i;
        }
    out.value[METRIC_MEMORY_MB] = 1e300;
    sketch_add_us(&duration, 0);
    sketch_add_us(&duration, 1200);
    sketch_add_us(&duration, UINT64_MAX);
    nr_buf_init(&text, SAMPLE_MAX_BYTES);
    sample_write(&out, &text);
    assert_int_equal(sample_read(nr_buf_str(&text), NOW, &room, &s, &err), 0);
    assert_int_equal(s.t_ms, NOW - 5);
    assert_int_equal(s.span_ms, 1003);
    assert_int_equal(s.seq, 18446744073709);
    assert_true(nr_str_eqz(s.node, "box-1") && nr_str_eqz(s.account, "ac\"me"));
    assert_true(nr_str_eqz(s.function, "p/parse-telemetry") && nr_str_eqz(s.version, "0.0.3"));
    assert_memory_equal(s.value, out.value, sizeof s.value);
    assert_true(s.has == (out.has | 1ull << METRIC_DURATION_MS));
    assert_memory_equal(s.sketch[SAMPLE_DURATION], &duration, sizeof duration);
    assert_null(s.sketch[SAMPLE_QUEUE_WAIT]); /* it held nothing */

    struct nr_buf key; /* its texts are lent by the message */

    nr_buf_init(&key, 1024);
    sample_key(&s, &key);
    assert_true(nr_str_eqz(nr_buf_str(&key), "ac\"me/p/parse-telemetry"));
    nr_buf_fini(&key);
    nr_buf_fini(&text);
}

static void test_the_node_tells_of_itself_only(void **state)
{
    struct nr_buf key;

    assert_int_equal(read_text("{\"v\":1,\"node\":\"n\",\"metrics\":{\"inflight\":3,"
                               "\"node_containers\":7,\"trigger_lag\":9,\"news\":{}}}"),
                     0);
    assert_true(s.has == 1ull << METRIC_NODE_CONTAINERS);
    assert_true(s.value[METRIC_NODE_CONTAINERS] == 7);
    assert_int_equal(s.t_ms, NOW);
    nr_buf_init(&key, 100);
    sample_key(&s, &key);
    assert_true(nr_str_eqz(nr_buf_str(&key), "node/n"));
    nr_buf_fini(&key);
    assert_int_equal(read_text("{\"v\":1,\"node\":\"n\",\"account\":\"a\",\"function\":\"f\","
                               "\"metrics\":{\"inflight\":3,\"node_containers\":7,"
                               "\"error_ratio\":0.5,\"duration_ms\":3}}"),
                     0);
    assert_true(s.has == 1ull << METRIC_INFLIGHT);
}

/* Only a function has calls that wait, and only its gauges are told then. */
static void test_a_sample_at_once(void **state)
{
    struct sketch duration = {.count = 1, .bucket[3] = 1};
    struct sample out = {.t_ms = NOW,
                         .span_ms = 1,
                         .node = NR_STR("box-1"),
                         .account = NR_STR("acme"),
                         .function = NR_STR("f"),
                         .sketch = {&duration, NULL, NULL}};
    struct nr_buf text;

    out.has = 1ull << METRIC_INFLIGHT | 1ull << METRIC_ARRIVALS;
    out.value[METRIC_INFLIGHT] = 7;
    out.value[METRIC_ARRIVALS] = 8;
    sample_at_once(&out);
    nr_buf_init(&text, SAMPLE_MAX_BYTES);
    sample_write(&out, &text);
    assert_int_equal(sample_read(nr_buf_str(&text), NOW, &room, &s, &err), 0);
    nr_buf_fini(&text);
    assert_true(s.at_once && s.has == 1ull << METRIC_INFLIGHT);
    assert_true(s.value[METRIC_INFLIGHT] == 7 && s.value[METRIC_ARRIVALS] == 0);
    assert_null(s.sketch[SAMPLE_DURATION]);
    assert_int_equal(
        read_text("{\"v\":1,\"node\":\"n\",\"at_once\":true,\"account\":\"a\",\"function\":\"f\","
                  "\"metrics\":{\"errors\":3,\"queue_depth\":2},"
                  "\"sketches\":{\"duration_ms\":{\"g\":1.1,\"n\":1,\"b\":[[1,1]]}}}"),
        0);
    assert_true(s.at_once && s.has == 1ull << METRIC_QUEUE_DEPTH);
    assert_int_equal(read_text("{\"v\":1,\"node\":\"n\",\"at_once\":true,\"metrics\":{}}"), 0);
    assert_false(s.at_once);
    assert_int_equal(read_text("{\"metric\":\"mine\",\"value\":1,\"at_once\":true}"), 0);
    assert_false(s.at_once);
    refused("{\"v\":1,\"node\":\"n\",\"at_once\":1,\"metrics\":{}}", "at_once");
}

static void test_the_short_form(void **state)
{
    struct nr_buf text;

    assert_int_equal(read_text(" {\"value\":-21.5, \"metric\":\"room_temp_celsius\",\"t\":"
                               "1767603599000.25,\"labels\":{\"room\":\"\\u00e4\"},\"x\":[1,{}]}"),
                     0);
    assert_true(nr_str_eqz(s.metric, "room_temp_celsius") && s.metric_value == -21.5);
    assert_int_equal(s.t_ms, NOW - 1000);
    assert_int_equal(s.label_count, 1);
    assert_true(nr_str_eqz(s.label[0].name, "room") && nr_str_eqz(s.label[0].value, "ä"));
    nr_buf_init(&text, SAMPLE_MAX_BYTES);
    sample_key(&s, &text);
    assert_true(nr_str_eqz(nr_buf_str(&text), "metric/room_temp_celsius"));
    nr_buf_reset(&text, 0);
    sample_write(&s, &text);
    nr_buf_addc(&text, '\0');
    assert_string_equal(text.p, "{\"metric\":\"room_temp_celsius\",\"value\":-21.5,"
                                "\"labels\":{\"room\":\"ä\"},\"t\":1767603599000}");
    nr_buf_fini(&text);
}

/* What it says of a function besides is heard by nobody. */
static void test_a_foreign_producer_cannot_tell_of_a_function(void **state)
{
    assert_int_equal(
        read_text("{\"v\":1,\"metric\":\"x\",\"value\":1,\"node\":\"n\",\"account\":\"a\","
                  "\"function\":\"f\",\"seq\":7,\"metrics\":{\"inflight\":1000},"
                  "\"sketches\":{\"duration_ms\":{\"g\":1.1,\"b\":[[9,9]]}}}"),
        0);
    assert_true(s.has == 0 && s.value[METRIC_INFLIGHT] == 0 && s.seq == 0);
    assert_true(s.node.p == NULL && s.account.p == NULL && s.function.p == NULL);
    assert_null(s.sketch[SAMPLE_DURATION]);
    refused("{\"metric\":\"inflight\",\"value\":1}", "the platform's own");
    refused("{\"metric\":\"infl\\u0069ght\",\"value\":1}", "the platform's own");
}

static void test_what_is_refused_is_said(void **state)
{
    static const struct {
        const char *text, *word;
    } rows[] = {
        {"", "the text ends"},
        {"{\"metric\":\"a\",\"value\":1", "no JSON at byte 23"},
        {"[1]", "no JSON object"},
        {"{}", "neither"},
        {"{\"v\":2,\"node\":\"n\",\"metrics\":{}}", "v is 2"},
        {"{\"v\":\"1\",\"node\":\"n\",\"metrics\":{}}", "only version 1"},
        {"{\"node\":\"n\",\"metrics\":{}}", "neither"},
        {"{\"v\":1,\"metrics\":{}}", "the node is not told"},
        {"{\"v\":1,\"node\":\"n\"}", "neither"},
        {"{\"v\":1,\"node\":\"n\",\"metrics\":[]}", "metrics is no object"},
        {"{\"v\":1,\"node\":\"n\",\"account\":\"a\",\"metrics\":{}}", "together"},
        {"{\"v\":1,\"node\":\"n\",\"function\":\"a\",\"metrics\":{}}", "together"},
        {"{\"v\":1,\"node\":\"\",\"metrics\":{}}", "node has 0 bytes"},
        {"{\"v\":1,\"node\":7,\"metrics\":{}}", "node is no text: 7"},
        {"{\"v\":1,\"node\":\"a\\nb\",\"metrics\":{}}", "control character"},
        {"{\"v\":1,\"node\":\"n\",\"metrics\":{\"inflight\":-1}}", "inflight is -1"},
        {"{\"v\":1,\"node\":\"n\",\"metrics\":{\"inflight\":\"3\"}}", "inflight is no number"},
        {"{\"v\":1,\"node\":\"n\",\"metrics\":{\"inflight\":1e999}}", "beyond every number"},
        {"{\"v\":1,\"node\":\"n\",\"metrics\":{},\"span_ms\":0}", "span_ms is 0"},
        {"{\"v\":1,\"node\":\"n\",\"metrics\":{},\"span_ms\":3600001}", "1 to 3600000"},
        {"{\"v\":1,\"node\":\"n\",\"metrics\":{},\"seq\":-1}", "seq is no whole number"},
        {"{\"v\":1,\"node\":\"n\",\"metrics\":{},\"sketches\":3}", "sketches is no object"},
        {"{\"v\":1,\"node\":\"n\",\"metrics\":{},\"sketches\":{\"duration_ms\":3}}",
         "a sketch is no object"},
        {"{\"v\":1,\"node\":\"n\",\"metrics\":{},\"sketches\":{\"duration_ms\":{\"b\":[]}}}",
         "grow by 0"},
        {"{\"v\":1,\"node\":\"n\",\"metrics\":{},\"sketches\":{\"duration_ms\":"
         "{\"g\":1.1,\"b\":[[240,1]]}}}",
         "[240,1]"},
        {"{\"v\":1,\"node\":\"n\",\"metrics\":{},\"sketches\":{\"duration_ms\":"
         "{\"g\":1.1,\"b\":[[1]]}}}",
         "a sketch's bucket"},
        {"{\"v\":1,\"node\":\"n\",\"metrics\":{},\"sketches\":{\"duration_ms\":"
         "{\"g\":1.1,\"b\":[[1,2,3]]}}}",
         "a sketch's bucket"},
        {"{\"v\":1,\"node\":\"n\",\"metrics\":{},\"sketches\":{\"duration_ms\":"
         "{\"g\":1.1,\"b\":[[1,4294967295],[2,1]]}}}",
         "below 2^32"},
        {"{\"metric\":\"a\"}", "no value"},
        {"{\"metric\":\"a\",\"value\":null}", "value is no number"},
        {"{\"metric\":\"a\",\"value\":\"1\"}", "value is no number"},
        {"{\"metric\":\"a b\",\"value\":1}", "letters, digits"},
        {"{\"metric\":\"1a\",\"value\":1}", "not begin with a digit"},
        {"{\"metric\":\"a\",\"value\":1,\"t\":1767603600}", "milliseconds since 1970"},
        {"{\"metric\":\"a\",\"value\":1,\"t\":1e300}", "more than a day"},
        {"{\"metric\":\"a\",\"value\":1,\"t\":\"now\"}", "t is no number"},
        {"{\"metric\":\"a\",\"value\":1,\"labels\":[]}", "labels is no object"},
        {"{\"metric\":\"a\",\"value\":1,\"labels\":{\"a\":1}}", "label's value is no text"},
        {"{\"metric\":\"a\",\"value\":1,\"labels\":{\"\":\"1\"}}", "label's name has 0"},
        {"{\"metric\":\"a\",\"value\":1,\"labels\":{\"a\":\"1\",\"\\u0061\":\"2\"}}", "twice"},
        {"{\"metric\":\"a\",\"value\":1,\"labels\":{\"a\":\"\",\"b\":\"2\"}}", "has 0 bytes"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        refused(rows[i].text, rows[i].word);
}

static void test_ceilings(void **state)
{
    static char text[SAMPLE_MAX_BYTES + 2];
    int n;

    /* a name at its ceiling, and one byte more */
    for (int more = 0; more < 2; more++) {
        snprintf(text, sizeof text, "{\"metric\":\"%0*d\",\"value\":1}",
                 SAMPLE_NAME_MAX_BYTES + more, 0);
        memset(text + 11, 'a', (size_t)(SAMPLE_NAME_MAX_BYTES + more));
        if (more)
            refused(text, "metric has 129 bytes, 1 to 128");
        else
            assert_int_equal(read_text(text), 0);
    }
    /* labels */
    for (int labels = SAMPLE_LABELS_MAX; labels < SAMPLE_LABELS_MAX + 2; labels++) {
        n = snprintf(text, sizeof text, "{\"metric\":\"a\",\"value\":1,\"labels\":{");
        for (int i = 0; i < labels; i++)
            n += snprintf(text + n, sizeof text - (size_t)n, "%s\"l%d\":\"v\"", i ? "," : "", i);
        snprintf(text + n, sizeof text - (size_t)n, "}}");
        if (labels > SAMPLE_LABELS_MAX)
            refused(text, "more than 8 labels");
        else
            assert_int_equal(read_text(text), 0);
    }
    /* the whole text */
    n = snprintf(text, sizeof text, "{\"metric\":\"a\",\"value\":1}");
    memset(text + n, ' ', sizeof text - (size_t)n);
    text[SAMPLE_MAX_BYTES] = '\0';
    assert_int_equal(read_text(text), 0);
    text[SAMPLE_MAX_BYTES] = ' ';
    text[SAMPLE_MAX_BYTES + 1] = '\0';
    refused(text, "65537 bytes");
    /* texts with escapes: more of them than the room holds */
    n = snprintf(text, sizeof text, "{");
    for (int i = 0; i < 40; i++)
        n += snprintf(text + n, sizeof text - (size_t)n, "\"version\":\"\\u0061%0110d\",", 0);
    snprintf(text + n, sizeof text - (size_t)n, "\"metric\":\"a\",\"value\":1}");
    refused(text, "4096 bytes of texts with escapes");
    /* a number longer than any is */
    n = snprintf(text, sizeof text, "{\"metric\":\"a\",\"value\":1%064d}", 0);
    refused(text, "value is no number");
}

static void test_a_bucket_holds_what_is_up_to_ten_percent_above_the_one_below(void **state)
{
    unsigned before = 0;

    assert_int_equal(sketch_bucket(0), 0);
    assert_int_equal(sketch_bucket(1), 0);
    assert_int_equal(sketch_bucket(2), 8);     /* 1.1^7 = 1.95, 1.1^8 = 2.14 */
    assert_int_equal(sketch_bucket(1000), 73); /* 1.1^72 = 956, 1.1^73 = 1051 */
    assert_int_equal(sketch_bucket(UINT64_MAX), SKETCH_BUCKETS - 1);
    for (uint64_t us = 1; us < 1ull << 40; us += us / 64 + 1) {
        unsigned b = sketch_bucket(us);

        assert_true(b >= before && b < SKETCH_BUCKETS);
        before = b;
    }
}

static void test_percentiles_are_wrong_by_five_percent_at_most(void **state)
{
    static const double quantiles[] = {0.001, 0.5, 0.9, 0.95, 0.99, 1};
    struct sketch k = {0};

    assert_true(sketch_quantile_ms(&k, 0.5) == 0);
    for (uint64_t us = 1000; us <= 10000000; us += 1000)
        sketch_add_us(&k, us);
    for (size_t i = 0; i < sizeof quantiles / sizeof *quantiles; i++) {
        double is = 10000 * quantiles[i], told = sketch_quantile_ms(&k, quantiles[i]);

        if (told < is * 0.95 || told > is * 1.05)
            fail_msg("p%g is %g ms, told %g", 100 * quantiles[i], is, told);
    }
}

static void test_sketches_add_up_and_do_not_overflow(void **state)
{
    struct sketch a = {0}, b = {0}, all = {0}, full = {.count = UINT32_MAX};

    for (uint64_t us = 1; us < 3000000; us = us * 5 / 4 + 1) {
        sketch_add_us(us % 2 ? &a : &b, us);
        sketch_add_us(&all, us);
    }
    sketch_merge(&a, &b);
    assert_memory_equal(&a, &all, sizeof all);
    full.bucket[3] = UINT32_MAX;
    sketch_merge(&full, &full);
    assert_int_equal(full.count, UINT32_MAX);
    assert_true(sketch_quantile_ms(&full, 1) > 0);
    sketch_merge(&a, &(struct sketch){0});
    assert_memory_equal(&a, &all, sizeof all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_metric_has_a_row_and_a_name_of_its_own),
        cmocka_unit_test(test_a_sample_is_read_back_as_itself),
        cmocka_unit_test(test_the_node_tells_of_itself_only),
        cmocka_unit_test(test_a_sample_at_once),
        cmocka_unit_test(test_the_short_form),
        cmocka_unit_test(test_a_foreign_producer_cannot_tell_of_a_function),
        cmocka_unit_test(test_what_is_refused_is_said),
        cmocka_unit_test(test_ceilings),
        cmocka_unit_test(test_a_bucket_holds_what_is_up_to_ten_percent_above_the_one_below),
        cmocka_unit_test(test_percentiles_are_wrong_by_five_percent_at_most),
        cmocka_unit_test(test_sketches_add_up_and_do_not_overflow),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
