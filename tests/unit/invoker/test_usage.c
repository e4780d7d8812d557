/* Samples, their ring and sums, what the host tells, and their text. */
#include "invoker/usage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/json.h"
#include "common/base/mem.h"
#include "invoker/host.h"

static struct cgroup_usage seen(int64_t cpu_us, int64_t anon_bytes, int64_t kernel_bytes)
{
    struct cgroup_usage u;

    memset(&u, 0xff, sizeof(u)); /* -1: not told */
    u.cpu_us = cpu_us;
    u.memory_anon_bytes = anon_bytes;
    u.memory_kernel_bytes = kernel_bytes;
    return u;
}

static void test_memory_is_what_cannot_be_dropped(void **state)
{
    struct cgroup_usage u = seen(0, 1000, 24);

    u.memory_bytes = 50000; /* with page cache */
    assert_int_equal(usage_memory_bytes(&u), 1024);
    u.memory_kernel_bytes = -1;
    assert_int_equal(usage_memory_bytes(&u), 1000);
    u.memory_anon_bytes = -1;
    assert_int_equal(usage_memory_bytes(&u), -1);
}

static void test_sums_take_what_came_on_top(void **state)
{
    struct usage u = {0};
    struct usage_sum more, sum = {0};
    struct cgroup_usage a = seen(5000, 100, 0), b = seen(7000, 900, 0), c = seen(6000, 10, 0);

    b.oom_kills = 1;
    usage_add(&u, &a, 1000, &more);
    usage_sum_add(&sum, &more);
    usage_add(&u, &b, 2000, &more);
    assert_int_equal(more.cpu_us, 2000);
    usage_sum_add(&sum, &more);
    usage_add(&u, &c, 3000, &more); /* a counter that fell adds nothing */
    assert_int_equal(more.cpu_us, 0);
    usage_sum_add(&sum, &more);
    assert_int_equal(sum.cpu_us, 7000);
    assert_int_equal(sum.oom_kills, 1);
    assert_int_equal(sum.throttled_us, 0);
    assert_int_equal(sum.memory_peak_bytes, 900);
    assert_int_equal(u.memory_peak_bytes, 900);
}

static void test_cores_over_a_window(void **state)
{
    struct usage u = {0};
    struct usage_sum more;
    struct cgroup_usage now;

    assert_true(usage_cores(&u, 1000) == 0);
    for (int i = 0; i <= 20; i++) { /* 10 s at half a core, then 10 s at two */
        now = seen(i <= 10 ? i * 500000 : 5000000 + (i - 10) * 2000000, 0, 0);
        usage_add(&u, &now, (uint64_t)i * 1000, &more);
    }
    assert_true(usage_cores(&u, 10000) == 2.0);
    assert_true(usage_cores(&u, 20000) == 1.25);
    assert_true(usage_cores(&u, 1000) == 2.0);
}

static void test_the_ring_is_bounded(void **state)
{
    struct usage u = {0};
    struct usage_sum more;

    for (int i = 0; i < 10 * USAGE_SAMPLES + 3; i++) {
        struct cgroup_usage now = seen(i * 1000, 0, 0);

        usage_add(&u, &now, (uint64_t)i * 1000, &more);
    }
    assert_int_equal(u.count, 10 * USAGE_SAMPLES + 3);
    assert_true(usage_cores(&u, 1u << 30) == 0.001); /* as far as the ring reaches */
    for (unsigned i = 0; i < USAGE_SAMPLES; i++)
        assert_true(u.ring[i].at_ms >= (10 * USAGE_SAMPLES + 3 - USAGE_SAMPLES) * 1000);
}

static void test_active(void **state)
{
    struct usage u = {0};
    struct usage_sum more;
    struct cgroup_usage now = seen(10, 0, 0);

    usage_add(&u, &now, 1, &more);
    assert_true(usage_active(&u));
    usage_add(&u, &now, 2, &more);
    assert_false(usage_active(&u));
    now.cpu_us = 11;
    usage_add(&u, &now, 3, &more);
    assert_true(usage_active(&u));
}

static void test_text_leaves_out_what_is_not_told(void **state)
{
    struct usage u = {0};
    struct usage_sum more;
    struct cgroup_usage now = seen(1234, 4096, 0);
    struct nr_buf out;

    nr_buf_init(&out, 65536);
    usage_json(&u, 0, &out);
    assert_int_equal(out.n, 0);
    usage_add(&u, &now, 5000, &more);
    nr_buf_adds(&out, "{\"x\":0");
    usage_json(&u, 5250, &out);
    nr_buf_addc(&out, '}');
    nr_auto_json json_t *j = nr_json_parse(nr_buf_str(&out), NULL);
    assert_non_null(j);
    assert_int_equal(json_integer_value(json_object_get(j, "cpu_us")), 1234);
    assert_int_equal(json_integer_value(json_object_get(j, "memory_bytes")), 4096);
    assert_int_equal(json_integer_value(json_object_get(j, "sampled_ms_ago")), 250);
    assert_null(json_object_get(j, "io_read_bytes"));
    assert_null(json_object_get(j, "memory_limit_bytes"));
    nr_buf_fini(&out);
}

static void put(const char *root, const char *name, const char *text)
{
    char path[128];

    (void)snprintf(path, sizeof(path), "%s/%s", root, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void test_host(void **state)
{
    char root[] = "/tmp/narae-host-XXXXXX", path[64];
    struct host_usage h;
    struct nr_buf out;

    assert_non_null(mkdtemp(root));
    put(root, "stat", "cpu  150 5 250 9000 10 0 0 70 0 0\ncpu0 1 2 3 4 5 6 7 8 9 10\n");
    put(root, "meminfo", "MemTotal:       1000 kB\nMemFree:  1 kB\nMemAvailable:    500 kB\n");
    put(root, "loadavg", "0.50 1.25 2.00 1/100 12345\n");
    host_read(root, &h);
    assert_true(h.figure[HOST_CPU_USER] == 1.5);
    assert_true(h.figure[HOST_CPU_SYSTEM] == 2.5);
    assert_true(h.figure[HOST_CPU_STEAL] > 0.699 && h.figure[HOST_CPU_STEAL] < 0.701);
    assert_true(h.figure[HOST_MEMORY_TOTAL] == 1024000);
    assert_true(h.figure[HOST_MEMORY_AVAILABLE] == 512000);
    assert_true(h.figure[HOST_SWAP_FREE] < 0);
    assert_true(h.figure[HOST_LOAD_15] == 2);
    assert_true(h.figure[HOST_PRESSURE_CPU] < 0);
    (void)snprintf(path, sizeof(path), "%s/pressure", root);
    assert_int_equal(mkdir(path, 0700), 0);
    put(root, "pressure/cpu",
        "some avg10=0.00 avg60=0.00 avg300=0.00 total=2500000\n"
        "full avg10=0.00 avg60=0.00 avg300=0.00 total=1\n");
    host_read(root, &h);
    assert_true(h.figure[HOST_PRESSURE_CPU] == 2.5);
    nr_buf_init(&out, 65536);
    host_metrics(&h, &out);
    nr_buf_addc(&out, '\0');
    assert_non_null(strstr(out.p, "\nnarae_host_pressure_seconds_total{of=\"cpu\"} 2.5\n"));
    assert_non_null(strstr(out.p, "# TYPE narae_host_cpu_seconds_total counter\n"));
    assert_non_null(strstr(out.p, "# TYPE narae_host_load gauge\n"));
    assert_null(strstr(out.p, "of=\"io\""));
    nr_buf_fini(&out);
    const char *const files[] = {"stat", "meminfo", "loadavg", "pressure/cpu"};
    for (size_t i = 0; i < nr_countof(files); i++) {
        char file[128];

        (void)snprintf(file, sizeof(file), "%s/%s", root, files[i]);
        (void)unlink(file);
    }
    (void)rmdir(path);
    assert_int_equal(rmdir(root), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memory_is_what_cannot_be_dropped),
        cmocka_unit_test(test_sums_take_what_came_on_top),
        cmocka_unit_test(test_cores_over_a_window),
        cmocka_unit_test(test_the_ring_is_bounded),
        cmocka_unit_test(test_active),
        cmocka_unit_test(test_text_leaves_out_what_is_not_told),
        cmocka_unit_test(test_host),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
