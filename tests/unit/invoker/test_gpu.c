/* The ledger of GPUs: whole ones and shares, packing, what a kill left behind. */
#include "invoker/gpu.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "common/base/mem.h"

static const struct node_gpu two[] = {{"a0", 4096, true}, {"a1", 8192, false}};

static const struct function_gpu whole = {.count = 1}, both = {.count = 2};

static struct function_gpu share(int64_t memory_mb, int percentage)
{
    return (struct function_gpu){1, memory_mb, percentage};
}

static void label_of(const struct gpu_ledger *l, const char *holder, char out[GPU_LABEL_BYTES])
{
    const struct gpu_grant *g = gpu_of(l, holder);

    assert_non_null(g);
    gpu_write_label(two, g, out);
}

static void whole_devices_go_one_to_a_holder(void **state)
{
    struct gpu_ledger *l = gpu_open(two, 2);
    const struct function_gpu none = {0};
    char label[GPU_LABEL_BYTES];

    assert_true(gpu_take(l, "00000001", &whole));
    assert_true(gpu_take(l, "00000002", &whole));
    assert_false(gpu_fits(l, &whole));
    assert_false(gpu_take(l, "00000003", &whole));
    assert_null(gpu_of(l, "00000003"));
    assert_true(gpu_take(l, "00000003", &none)); /* nothing is always there, and is no entry */
    assert_null(gpu_of(l, "00000003"));
    label_of(l, "00000002", label);
    assert_string_equal(label, "a1;0;0");
    gpu_give(l, "00000001");
    gpu_give(l, "00000001");
    assert_true(gpu_fits(l, &whole));
    assert_false(gpu_fits(l, &both));
    assert_true(gpu_possible(l, &both));
    gpu_free(l);
}

static void shares_fill_a_device_before_the_next(void **state)
{
    struct gpu_ledger *l = gpu_open(two, 2);
    const struct function_gpu p60 = share(0, 60), p40 = share(0, 40), p1 = share(0, 1);
    char label[GPU_LABEL_BYTES];

    assert_true(gpu_take(l, "00000001", &p60));
    assert_true(gpu_take(l, "00000002", &p40)); /* the same device */
    label_of(l, "00000002", label);
    assert_string_equal(label, "a0;0;40");
    assert_true(gpu_take(l, "00000003", &p1)); /* the other one */
    label_of(l, "00000003", label);
    assert_string_equal(label, "a1;0;1");
    assert_false(gpu_fits(l, &whole));
    gpu_give(l, "00000003");
    assert_true(gpu_take(l, "00000003", &whole));
    assert_false(gpu_fits(l, &p1));
    gpu_free(l);
}

static void memory_never_exceeds_a_device(void **state)
{
    struct gpu_ledger *l = gpu_open(two, 2);
    const struct function_gpu m2048 = share(2048, 0), m8192 = share(8192, 0),
                              m8448 = share(8448, 0);
    char name[9];
    int given = 0;

    assert_false(gpu_possible(l, &m8448));
    assert_true(gpu_possible(l, &m8192));
    for (int i = 0; i < 10; i++) {
        (void)snprintf(name, sizeof(name), "%08x", (unsigned)i);
        given += gpu_take(l, name, &m2048);
    }
    assert_int_equal(given, 2 + 4);
    gpu_free(l);
}

static void labels_rebuild_the_ledger(void **state)
{
    struct gpu_ledger *l = gpu_open(two, 2);
    const struct function_gpu p41 = share(0, 41), p40 = share(256, 40);

    assert_true(gpu_adopt(l, "00000001", "a0;1024;60"));
    assert_true(gpu_adopt(l, "00000002", "a1;0;0"));
    assert_false(gpu_fits(l, &p41));
    assert_true(gpu_fits(l, &p40));
    static const char *const bad[] = {"",          "a0",       "a9;0;1",   "a1;0;0",    "a0;0;41",
                                      "a0,a0;0;1", "a0;-1;1",  "a0;0;101", "a0;4096;1", "a0;x;1",
                                      ";0;0",      "a0;0;1;2", NULL};

    for (size_t i = 0; i < nr_countof(bad); i++)
        assert_false(gpu_adopt(l, "00000003", bad[i]));
    assert_false(gpu_adopt(l, "00000001", "a0;0;1")); /* it is in the ledger already */
    assert_false(gpu_adopt(l, "", "a0;0;1"));
    gpu_give(l, "00000001");
    gpu_give(l, "00000002");
    assert_true(gpu_fits(l, &both));
    gpu_free(l);
}

static void a_copy_is_of_its_own(void **state)
{
    struct gpu_ledger *l = gpu_open(two, 2), *c;

    assert_true(gpu_take(l, "00000001", &both));
    c = gpu_copy(l);
    gpu_give(c, "00000001");
    assert_true(gpu_fits(c, &both));
    assert_false(gpu_fits(l, &whole));
    gpu_free(c);
    gpu_free(l);
    gpu_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_devices_go_one_to_a_holder),
        cmocka_unit_test(shares_fill_a_device_before_the_next),
        cmocka_unit_test(memory_never_exceeds_a_device),
        cmocka_unit_test(labels_rebuild_the_ledger),
        cmocka_unit_test(a_copy_is_of_its_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
