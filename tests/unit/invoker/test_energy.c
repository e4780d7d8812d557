/* Energy: whose it was, by the model and by measurement, always whole; the host's counters in a folder of our own. */
#include "invoker/energy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "common/base/file.h"
#include "common/base/mem.h"

static const struct energy_model model = {.idle_watts = 10, .core_watts = 4};

static double all_of(const double joules[ENERGY_PARTS])
{
    return joules[ENERGY_FUNCTIONS] + joules[ENERGY_OTHERS] + joules[ENERGY_IDLE];
}

static void near(double a, double b)
{
    double d = a > b ? a - b : b - a;

    if (d > 1e-9)
        fail_msg("%.12g is not %.12g", a, b);
}

static void test_by_the_model(void **state)
{
    const struct energy_step step = {
        .seconds = 2, .busy_seconds = 3, .function_seconds = 1, .measured_joules = -1};
    double joules[ENERGY_PARTS], per_second;

    energy_share(&model, &step, joules, &per_second);
    near(per_second, 4);
    near(joules[ENERGY_IDLE], 20);
    near(joules[ENERGY_FUNCTIONS], 4);
    near(joules[ENERGY_OTHERS], 8);
}

/* 70:30 of processor time is 70:30 of the energy that work took. */
static void test_measured_energy_follows_processor_time(void **state)
{
    const struct energy_step step = {
        .seconds = 1, .busy_seconds = 2, .function_seconds = 1.0, .measured_joules = 60};
    double joules[ENERGY_PARTS], per_second;

    energy_share(&model, &step, joules, &per_second);
    near(joules[ENERGY_IDLE], 10);
    near(joules[ENERGY_FUNCTIONS], 25);
    near(joules[ENERGY_OTHERS], 25);
    near(0.7 * per_second, 17.5);
    near(0.3 * per_second, 7.5);
}

static void test_the_parts_are_the_whole(void **state)
{
    static const struct energy_step steps[] = {
        {.seconds = 1, .busy_seconds = 0, .function_seconds = 0, .measured_joules = -1},
        {.seconds = 1, .busy_seconds = 0, .function_seconds = 0, .measured_joules = 50},
        {.seconds = 1, .busy_seconds = 0.5, .function_seconds = 0.8, .measured_joules = -1},
        {.seconds = 1, .busy_seconds = 0.5, .function_seconds = 0.5, .measured_joules = 3},
        {.seconds = 1, .busy_seconds = 0.5, .function_seconds = 0, .measured_joules = 0},
        {.seconds = 0, .busy_seconds = 0, .function_seconds = 0, .measured_joules = -1},
        {.seconds = 3600, .busy_seconds = 7199.3, .function_seconds = 0.001, .measured_joules = -1},
    };

    for (size_t i = 0; i < nr_countof(steps); i++) {
        const struct energy_step *s = &steps[i];
        double joules[ENERGY_PARTS], per_second;
        double busy = s->busy_seconds > s->function_seconds ? s->busy_seconds : s->function_seconds;
        double whole = s->measured_joules >= 0
                           ? s->measured_joules
                           : model.idle_watts * s->seconds + model.core_watts * busy;

        energy_share(&model, s, joules, &per_second);
        near(all_of(joules), whole);
        for (int p = 0; p < ENERGY_PARTS; p++)
            assert_true(joules[p] >= 0);
        near(joules[ENERGY_FUNCTIONS], per_second * s->function_seconds);
    }
}

/* ---- the host's counters ---- */

static char root[] = "/tmp/narae-rapl-XXXXXX";

static void zone(const char *name, const char *what, const char *uj, const char *range)
{
    char path[128];

    (void)snprintf(path, sizeof(path), "%s/%s", root, name);
    (void)mkdir(path, 0700);
    if (what)
        assert_int_equal(nr_file_write(path, "name", nr_str_of(what), 0600, NULL), 0);
    if (uj)
        assert_int_equal(nr_file_write(path, "energy_uj", nr_str_of(uj), 0600, NULL), 0);
    if (range)
        assert_int_equal(nr_file_write(path, "max_energy_range_uj", nr_str_of(range), 0600, NULL),
                         0);
}

static void test_counters_of_the_host(void **state)
{
    struct rapl r;
    char command[64];

    assert_false(rapl_open("/nowhere", &r));
    assert_non_null(mkdtemp(root));
    assert_false(rapl_open(root, &r));
    zone("intel-rapl:0", "package-0\n", "1000000\n", "262143328850\n");
    zone("intel-rapl:0:0", "core\n", "900000\n", "262143328850\n");
    zone("intel-rapl:0:1", "dram\n", "500000\n", "65532610987\n");
    zone("intel-rapl:1", "psys\n", "7000000\n", "262143328850\n");
    zone("intel-rapl:2", "package-1\n", "nothing\n", "262143328850\n");
    zone("intel-rapl:3", "package-3\n", NULL, "262143328850\n");
    zone("intel-rapl-mmio:0", "package-0\n", "1000000\n", "262143328850\n");
    assert_true(rapl_open(root, &r));
    assert_int_equal(r.count, 2);
    near(rapl_read(&r), 0);
    zone("intel-rapl:0", NULL, "3500000\n", NULL);
    zone("intel-rapl:0:1", NULL, "750000\n", NULL);
    near(rapl_read(&r), 2.75);
    zone("intel-rapl:0:1", NULL, "100000\n", NULL); /* it wrapped */
    near(rapl_read(&r), 65532.610987 - 0.65);
    (void)snprintf(command, sizeof(command), "%s/intel-rapl:0/energy_uj", root);
    assert_int_equal(remove(command), 0);
    assert_true(rapl_read(&r) < 0);
}

static int remove_root(void **state)
{
    static const char *const zones[] = {"intel-rapl:0",     "intel-rapl:0:0", "intel-rapl:0:1",
                                        "intel-rapl:1",     "intel-rapl:2",   "intel-rapl:3",
                                        "intel-rapl-mmio:0"};
    static const char *const files[] = {"/name", "/energy_uj", "/max_energy_range_uj", ""};
    char path[128];

    for (size_t i = 0; i < nr_countof(zones); i++)
        for (size_t j = 0; j < nr_countof(files); j++) {
            (void)snprintf(path, sizeof(path), "%s/%s%s", root, zones[i], files[j]);
            (void)remove(path);
        }
    return remove(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_by_the_model),
        cmocka_unit_test(test_measured_energy_follows_processor_time),
        cmocka_unit_test(test_the_parts_are_the_whole),
        cmocka_unit_test_teardown(test_counters_of_the_host, remove_root),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
