/* What annotation `final` keeps a caller from, whatever way he writes the name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/mem.h"
#include "controller/internal.h"

static char texts[][16] = {"", "A", "b", "b\"c", "long name", "z\xc3\xa9"};
static char *names[] = {texts[0], texts[1], texts[2], texts[3], texts[4], texts[5], NULL};

static struct activation *make(const char *input, char **final_names)
{
    struct activation *a = activation_make();

    assert_non_null(a);
    a->fn = nr_alloc(sizeof(*a->fn));
    atomic_init(&a->fn->refs, 1);
    a->fn->final_names = final_names;
    a->input = nr_str_of(input);
    return a;
}

static void end(struct activation *a)
{
    a->fn->final_names = NULL; /* the table's */
    activation_unref(a);
}

static void names_are_found_in_any_spelling(void **state)
{
    static const struct {
        const char *input;
        bool refused;
    } rows[] = {
        {"{}", false},
        {"[]", false},
        {"[\"b\"]", false},
        {"{\"b\":1}", true},
        {"{\"a\":1}", false},
        {"{\"B\":1}", false},
        {"{\"bb\":1,\"\\u0062c\":2}", false},
        {"{\"x\":{\"b\":1},\"y\":[{\"b\":2}],\"z\":\"b\"}", false},
        {" {\n\"x\" : 1 , \"\\u0062\" : 2 }", true},
        {"{\"x\":\"\\\"\",\"b\":null}", true},
        {"{\"\":1}", true},
        {"{\"b\\\"c\":1}", true},
        {"{\"b\\u0022c\":1}", true},
        {"{\"b\\u0000\":1}", false},
        {"{\"z\xc3\xa9\":1}", true},
        {"{\"z\\u00E9\":1}", true},
        {"{\"long name\":1}", true},
        {"{\"long nam\":1,\"long names\":1}", false},
    };

    (void)state;
    for (size_t i = 0; i < nr_countof(rows); i++) {
        struct activation *a = make(rows[i].input, names);

        final_check(a);
        if ((a->err != 0) != rows[i].refused)
            fail_msg("%s: %d", rows[i].input, a->err);
        if (rows[i].refused) {
            assert_int_equal(a->err, NR_EINVAL);
            assert_string_equal(
                a->error.text,
                "Request defines parameters that are not allowed (e.g., reserved properties).");
        }
        end(a);
    }
}

static void only_callers_are_kept(void **state)
{
    struct activation *a = make("{\"b\":1}", names), *parent = make("{}", NULL);

    (void)state;
    a->parent = parent; /* a step */
    final_check(a);
    a->parent = NULL;
    a->judged = true; /* by who made it */
    final_check(a);
    a->judged = false;
    a->durable = true; /* it was taken before */
    final_check(a);
    a->durable = false;
    a->fn->final_names = NULL;
    final_check(a);
    assert_int_equal(a->err, 0);
    a->fn->final_names = names;
    final_check(a);
    assert_int_equal(a->err, NR_EINVAL);
    end(a);
    end(parent);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_found_in_any_spelling),
        cmocka_unit_test(only_callers_are_kept),
    };

    return cmocka_run_group_tests_name("controller/final", tests, NULL, NULL);
}
