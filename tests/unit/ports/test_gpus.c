/* Inventories of GPUs: as declared, and as the driver's tool writes them. */
#include "ports/gpus.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/base/mem.h"

static void a_declared_inventory_is_read(void **state)
{
    struct node_gpu *list = NULL;
    unsigned n = 0;

    assert_int_equal(gpus_read("a0:4096,GPU-8f1c:81920:nvidia,x1:256:none", &list, &n, NULL), 0);
    assert_int_equal(n, 3);
    assert_string_equal(list[1].name, "GPU-8f1c");
    assert_int_equal(list[1].memory_mb, 81920);
    assert_true(list[0].ask_engine && list[1].ask_engine && !list[2].ask_engine);
    free(list);
}

static void an_empty_one_is_none(void **state)
{
    struct node_gpu *list = NULL;
    unsigned n = 7;

    assert_int_equal(gpus_read("none", &list, &n, NULL), 0);
    assert_int_equal(n, 0);
    assert_null(list);
}

static void what_is_wrong_is_quoted(void **state)
{
    static const char *const bad[] = {"a0",    "a0:",        "a0:x",     ":4096",     "a0:0",
                                      "a0:-1", "a 0:1",      "a0:1:amd", "a0:1,a0:1", "a0:1,,b:1",
                                      "a0:1:", "a0:1:none:", "a;0:1",    "\"a\":1"};

    for (size_t i = 0; i < nr_countof(bad); i++) {
        struct node_gpu *list = NULL;
        struct nr_err err = {0};
        unsigned n = 0;

        if (gpus_read(bad[i], &list, &n, &err) != NR_EINVAL || list != NULL || err.text[0] == '\0')
            fail_msg("'%s' is taken", bad[i]);
    }
}

static void a_ceiling_holds(void **state)
{
    char text[16 * (NODE_GPUS_MAX + 1)] = "";
    struct node_gpu *list = NULL;
    unsigned n = 0;

    for (int i = 0; i < NODE_GPUS_MAX; i++)
        (void)snprintf(text + strlen(text), sizeof(text) - strlen(text), "%sg%d:1", i ? "," : "",
                       i);
    assert_int_equal(gpus_read(text, &list, &n, NULL), 0);
    assert_int_equal(n, NODE_GPUS_MAX);
    free(list);
    list = NULL;
    (void)snprintf(text + strlen(text), sizeof(text) - strlen(text), ",h:1");
    assert_int_equal(gpus_read(text, &list, &n, NULL), NR_EINVAL);
    assert_null(list);
}

static void the_drivers_lines_are_read(void **state)
{
    struct node_gpu *list = NULL;
    unsigned n = 0;

    assert_int_equal(gpus_read_driver("GPU-1b2f, 40960\r\nGPU-77aa, 81920\n\n", &list, &n, NULL),
                     0);
    assert_int_equal(n, 2);
    assert_string_equal(list[0].name, "GPU-1b2f");
    assert_int_equal(list[1].memory_mb, 81920);
    assert_true(list[0].ask_engine);
    free(list);
    list = NULL;
    assert_int_equal(gpus_read_driver("", &list, &n, NULL), 0);
    assert_int_equal(n, 0);
    assert_int_equal(gpus_read_driver("GPU-1b2f, [N/A]\n", &list, &n, NULL), NR_EINVAL);
    assert_null(list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_declared_inventory_is_read), cmocka_unit_test(an_empty_one_is_none),
        cmocka_unit_test(what_is_wrong_is_quoted),      cmocka_unit_test(a_ceiling_holds),
        cmocka_unit_test(the_drivers_lines_are_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
