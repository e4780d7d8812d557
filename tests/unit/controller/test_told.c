/* What a record tells of its start, and the metrics of starts. */
#include "controller/internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "common/base/json.h"

static char path[] = "guest/x", kind[] = "python:3", limits[] = "{\"timeout\":60000}";
static struct function function = {.path = path, .kind = kind, .limits = limits};

/* The annotations as a JSON object, key by key (made). */
static json_t *told(const struct activation *a)
{
    struct nr_buf text;
    json_t *ret = json_object(), *one;
    size_t i;

    nr_buf_init(&text, 65536);
    record_annotations(a, &text);
    nr_auto_json json_t *list = nr_json_parse(nr_buf_str(&text), NULL);
    assert_non_null(list);
    json_array_foreach(list, i, one)
        assert_int_equal(
            json_object_set(ret, nr_json_string(one, "key"), json_object_get(one, "value")), 0);
    assert_int_equal(json_object_size(ret), json_array_size(list));
    nr_buf_fini(&text);
    return ret;
}

static void test_a_warm_call_tells_one_word(void **state)
{
    struct activation a = {.fn = &function,
                           .start = START_WARM,
                           .accepted_us = 1,
                           .started_us = 50,
                           .answered_us = 90};
    nr_auto_json json_t *t = told(&a);

    assert_string_equal(nr_json_string(t, "narae.start"), "warm");
    assert_null(json_object_get(t, "initTime"));
    assert_null(json_object_get(t, "narae.cold"));
    assert_null(json_object_get(t, "narae.stages"));
    assert_null(json_object_get(t, "narae.stem_empty"));
}

static void test_a_cold_call_tells_its_stages(void **state)
{
    struct activation a = {.fn = &function,
                           .start = START_COLD,
                           .cold = COLD_EVICTED,
                           .stem_empty = true,
                           .create_us = 31000,
                           .boot_us = 70000,
                           .init_us = 2600,
                           .accepted_us = 1,
                           .started_us = 110000,
                           .answered_us = 120000};
    nr_auto_json json_t *t = told(&a);
    const json_t *stages = json_object_get(t, "narae.stages");

    assert_string_equal(nr_json_string(t, "narae.start"), "cold");
    assert_string_equal(nr_json_string(t, "narae.cold"), "evicted");
    assert_true(json_is_true(json_object_get(t, "narae.stem_empty")));
    assert_int_equal(json_integer_value(json_object_get(t, "initTime")), 3);
    assert_int_equal(json_object_size(stages), 3);
    assert_int_equal(json_integer_value(json_object_get(stages, "create_us")), 31000);
    assert_int_equal(json_integer_value(json_object_get(stages, "start_us")), 70000);
    assert_int_equal(json_integer_value(json_object_get(stages, "init_us")), 2600);
}

static void test_a_call_without_a_container_is_not_warm(void **state)
{
    struct activation a = {.fn = &function, .start = START_NONE, .accepted_us = 1};
    nr_auto_json json_t *t = told(&a);

    assert_string_equal(nr_json_string(t, "narae.start"), "none");
    assert_null(json_object_get(t, "initTime"));
}

static void test_metrics(void **state)
{
    static struct start_metrics m;
    struct activation warm = {.start = START_WARM},
                      frozen = {.start = START_FROZEN, .thaw_us = 200},
                      stem = {.start = START_STEM, .cold = COLD_SCALE_OUT, .handover_us = 900},
                      cold = {.start = START_COLD,
                              .cold = COLD_UPDATED,
                              .create_us = 30000,
                              .stem_empty = true};
    struct nr_buf out;

    nr_buf_init(&out, 1 << 20);
    for (int i = 0; i < 3; i++)
        told_count(&m, &warm);
    told_count(&m, &frozen);
    told_count(&m, &stem);
    told_count(&m, &cold);
    told_metrics(&m, &out);
    nr_buf_addc(&out, '\0');
    const char *const expected[] = {
        "\nnarae_starts_total{kind=\"none\"} 0\n",
        "\nnarae_starts_total{kind=\"warm\"} 3\n",
        "\nnarae_starts_total{kind=\"frozen\"} 1\n",
        "\nnarae_starts_total{kind=\"stem\"} 1\n",
        "\nnarae_starts_total{kind=\"cold\"} 1\n",
        "\nnarae_cold_starts_total{cause=\"updated\"} 1\n",
        "\nnarae_cold_starts_total{cause=\"scale-out\"} 0\n",
        "\nnarae_cold_starts_stem_empty_total 1\n",
        "\nnarae_start_stage_seconds_count{stage=\"thaw\",cause=\"none\"} 1\n",
        "\nnarae_start_stage_seconds_count{stage=\"handover\",cause=\"scale-out\"} 1\n",
        "\nnarae_start_stage_seconds_sum{stage=\"create\",cause=\"updated\"} 0.03\n",
    };
    for (size_t i = 0; i < nr_countof(expected); i++)
        if (strstr(out.p, expected[i]) == NULL)
            fail_msg("%s is not in\n%s", expected[i], out.p);
    assert_null(strstr(out.p, "stage=\"queue\""));
    nr_buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_warm_call_tells_one_word),
        cmocka_unit_test(test_a_cold_call_tells_its_stages),
        cmocka_unit_test(test_a_call_without_a_container_is_not_warm),
        cmocka_unit_test(test_metrics),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
