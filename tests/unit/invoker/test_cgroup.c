/* Control groups by folders of our own: which folder is found in which text of /proc, what is never taken, what is written and read. */
#include "invoker/cgroup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/base/file.h"
#include "common/base/mem.h"
#include "invoker/cgroup_files.h"

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define OTHER "ffff456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

/* ---- a tree of files ---------------------------------------------------------------------------------------- */

struct tree {
    char root[32];
};

static int setup(void **state)
{
    struct tree *t = nr_alloc(sizeof(*t));

    (void)snprintf(t->root, sizeof(t->root), "/tmp/narae-cgroup-XXXXXX");
    *state = t;
    return mkdtemp(t->root) ? 0 : -1;
}

static int teardown(void **state)
{
    struct tree *t = *state;
    int r = nr_dir_remove(t->root, NULL);

    free(t);
    return r;
}

static void put(const struct tree *t, const char *folder, const char *name, const char *text)
{
    char dir[512];

    (void)snprintf(dir, sizeof(dir), "%s/%s", t->root, folder);
    assert_int_equal(nr_dir_make(dir, 0755, NULL), 0);
    if (name)
        assert_int_equal(nr_file_write(dir, name, nr_str_of(text), 0644, NULL), 0);
}

/* Does the file begin with the text? Kernel files are not cut by a write; plain ones keep their tail. */
static bool begins(const struct tree *t, const char *folder, const char *name, const char *text)
{
    char path[512];
    nr_auto_free char *bytes = NULL;
    size_t n;

    (void)snprintf(path, sizeof(path), "%s/%s/%s", t->root, folder, name);
    return nr_file_read(path, 4096, &bytes, &n, NULL) == 0 &&
           strncmp(bytes, text, strlen(text)) == 0;
}

static bool ends_in(const char *s, const char *end)
{
    return s && strlen(s) >= strlen(end) && strcmp(s + strlen(s) - strlen(end), end) == 0;
}

static const char v1_text[] = "12:name=systemd:/docker/" ID "\n"
                              "8:pids:/docker/" ID "\n"
                              "7:blkio:/docker/" ID "\n"
                              "6:freezer:/docker/" ID "\n"
                              "4:memory:/docker/" ID "\n"
                              "2:cpu,cpuacct:/docker/" ID "\n"
                              "0::/\n";

static void make_v1(const struct tree *t)
{
    static const char *const controllers[] = {"freezer", "memory", "cpu",
                                              "cpuacct", "pids",   "blkio"};
    char folder[256];

    for (size_t i = 0; i < nr_countof(controllers); i++) {
        (void)snprintf(folder, sizeof(folder), "%s/docker/" ID, controllers[i]);
        put(t, folder, NULL, NULL);
    }
}

static struct cgroup opened(const struct tree *t, const char *text)
{
    struct cgroup g = {0};
    struct nr_err err = {0};

    assert_int_equal(cgroup_open_text(t->root, text, ID, &g, &err), 0);
    return g;
}

/* ---- finding ------------------------------------------------------------------------------------------------ */

static void own_paths(void **state)
{
    static const struct {
        const char *path, *id;
        bool want;
    } table[] = {
        {"/docker/" ID, ID, true},
        {"/narae-0011223344556677/" ID, ID, true},
        {"/system.slice/docker-" ID ".scope", ID, true},
        {"/docker/" ID, NULL, true},
        {"/docker/" ID, OTHER, false},
        {"/docker", ID, false},
        {"/docker/", ID, false},
        {"/", ID, false},
        {"", ID, false},
        {ID, ID, false},
        {"/docker/" ID "/child", ID, false},
        {"/docker/" ID "/", ID, false},
        {"/docker/" ID "0", ID, false},
        {"/docker/0" ID, ID, false},
        {"/docker/x" ID ".scope", ID, false},
        {"/docker/" ID ".scope", ID, false},
        {"/docker/docker-" ID ".slice", ID, false},
        {"/docker/.scope", ID, false},
        {"/docker", NULL, false},
        {"/docker/0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef", NULL, false},
    };

    for (size_t i = 0; i < nr_countof(table); i++)
        if (cgroup_path_is_own(table[i].path, table[i].id) != table[i].want)
            fail_msg("row %zu: %s", i, table[i].path);
}

static void finds_v1(void **state)
{
    const struct tree *t = *state;

    make_v1(t);
    struct cgroup g = opened(t, v1_text);

    assert_false(g.v2);
    assert_true(ends_in(g.freezer, "/freezer/docker/" ID));
    assert_true(ends_in(g.cpu, "/cpu/docker/" ID));
    assert_true(ends_in(g.cpuacct, "/cpuacct/docker/" ID));
    assert_true(ends_in(g.blkio, "/blkio/docker/" ID));
    cgroup_fini(&g);
    assert_null(g.freezer);
}

/* One controller is not mounted, one is where the host keeps it: they are NULL, the others are there. */
static void finds_some(void **state)
{
    const struct tree *t = *state;

    put(t, "memory/docker/" ID, NULL, NULL);
    struct cgroup g = opened(t, "6:freezer:/docker/" ID "\n4:memory:/docker/" ID "\n3:pids:/\n");

    assert_non_null(g.memory);
    assert_null(g.freezer);
    assert_null(g.pids);
    cgroup_fini(&g);
}

static void finds_v2(void **state)
{
    const struct tree *t = *state;

    put(t, ".", "cgroup.controllers", "cpu memory pids\n");
    put(t, "system.slice/docker-" ID ".scope", NULL, NULL);
    struct cgroup g = opened(t, "0::/system.slice/docker-" ID ".scope\n");

    assert_true(g.v2);
    assert_string_equal(g.freezer, g.memory);
    assert_true(ends_in(g.pids, "/docker-" ID ".scope"));
    cgroup_fini(&g);
}

static void refuses(void **state)
{
    const struct tree *t = *state;
    static char longest[9000];
    const struct {
        const char *text;
        int want;
    } table[] = {
        {"", NR_EUNAVAIL},
        {"\n\n\n", NR_EUNAVAIL},
        {"freezer", NR_EUNAVAIL},
        {"6:freezer", NR_EUNAVAIL},
        {"6:freezer:", NR_EUNAVAIL},
        {":::::\n::::", NR_EUNAVAIL},
        {"6:freezer:docker/" ID "\n", NR_EUNAVAIL},
        {"6:freezer:/docker/" OTHER "\n", NR_EFORBIDDEN},
        {"6:freezer:/docker\n", NR_EFORBIDDEN},
        {"6:freezer:/\n", NR_EFORBIDDEN},
        {"6:freezer:/docker/" ID "/child\n", NR_EFORBIDDEN},
        {"6:freezer:/../docker/" ID "\n", NR_EUNAVAIL},
        {"6:freezer:/docker/../docker/" ID "\n", NR_EUNAVAIL},
        {"6:freezer:/nowhere/" ID "\n", NR_EUNAVAIL},
        {"6:name=freezer:/docker/" ID "\n", NR_EUNAVAIL},
        {"0::/docker/" ID "\n", NR_EUNAVAIL},
        {longest, NR_EUNAVAIL},
    };

    make_v1(t);
    memset(longest, 'a', sizeof(longest) - 1);
    memcpy(longest, "6:freezer:/", 11);
    for (size_t i = 0; i < nr_countof(table); i++) {
        struct cgroup g = {.v2 = true};
        struct nr_err err = {0};
        int r = cgroup_open_text(t->root, table[i].text, ID, &g, &err);

        if (r != table[i].want || err.text[0] == '\0' || !g.v2)
            fail_msg("row %zu: %d, \"%s\"", i, r, err.text);
    }
    assert_int_equal(cgroup_open_text(t->root, v1_text, "", &(struct cgroup){0}, NULL),
                     NR_EFORBIDDEN);
    assert_int_equal(cgroup_open_text(t->root, v1_text, "docker", &(struct cgroup){0}, NULL),
                     NR_EFORBIDDEN);
}

/* ---- writing ------------------------------------------------------------------------------------------------ */

static void writes_v1(void **state)
{
    const struct tree *t = *state;

    make_v1(t);
    put(t, "freezer/docker/" ID, "freezer.state", "THAWED\n");
    put(t, "memory/docker/" ID, "memory.memsw.limit_in_bytes", "1");
    put(t, "memory/docker/" ID, "memory.limit_in_bytes", "1");
    put(t, "cpu/docker/" ID, "cpu.shares", "2");
    struct cgroup g = opened(t, v1_text);

    assert_false(cgroup_frozen(&g));
    assert_int_equal(cgroup_freeze(&g, NULL), 0);
    assert_true(cgroup_frozen(&g));
    assert_int_equal(cgroup_thaw(&g, NULL), 0);
    assert_false(cgroup_frozen(&g));
    assert_int_equal(cgroup_raise(&g, 268435456, 1024, NULL), 0);
    assert_true(begins(t, "memory/docker/" ID, "memory.memsw.limit_in_bytes", "268435456"));
    assert_true(begins(t, "memory/docker/" ID, "memory.limit_in_bytes", "268435456"));
    assert_true(begins(t, "cpu/docker/" ID, "cpu.shares", "1024"));
    cgroup_fini(&g);
}

/* Without swap accounting there is no memsw file: memory is raised all the same. */
static void raises_without_memsw(void **state)
{
    const struct tree *t = *state;

    make_v1(t);
    put(t, "memory/docker/" ID, "memory.limit_in_bytes", "1");
    put(t, "cpu/docker/" ID, "cpu.shares", "2");
    struct cgroup g = opened(t, v1_text);

    assert_int_equal(cgroup_raise(&g, 4096, 512, NULL), 0);
    assert_true(begins(t, "memory/docker/" ID, "memory.limit_in_bytes", "4096"));
    cgroup_fini(&g);
}

static void writes_v2(void **state)
{
    const struct tree *t = *state;

    put(t, ".", "cgroup.controllers", "cpu memory pids\n");
    put(t, "docker/" ID, "cgroup.freeze", "0\n");
    put(t, "docker/" ID, "cgroup.events", "populated 1\nfrozen 0\n");
    put(t, "docker/" ID, "memory.max", "1");
    put(t, "docker/" ID, "cpu.weight", "1");
    struct cgroup g = opened(t, "0::/docker/" ID "\n");

    assert_int_equal(cgroup_freeze(&g, NULL), 0);
    assert_true(begins(t, "docker/" ID, "cgroup.freeze", "1"));
    assert_false(cgroup_frozen(&g));
    put(t, "docker/" ID, "cgroup.events", "populated 1\nfrozen 1\n");
    assert_true(cgroup_frozen(&g));
    assert_int_equal(cgroup_raise(&g, 8192, 1024, NULL), 0);
    assert_true(begins(t, "docker/" ID, "memory.max", "8192"));
    assert_true(begins(t, "docker/" ID, "cpu.weight", "39"));
    cgroup_fini(&g);
}

/* Not even a struct made by hand gets a parent frozen; what is not visible is said. */
static void never_a_parent(void **state)
{
    const struct tree *t = *state;
    char folder[256];
    struct nr_err err = {0};

    put(t, "freezer/docker", "freezer.state", "THAWED\n");
    (void)snprintf(folder, sizeof(folder), "%s/freezer/docker", t->root);
    const struct cgroup parent = {.freezer = folder, .memory = folder}, none = {0};

    assert_int_equal(cgroup_freeze(&parent, &err), NR_EFORBIDDEN);
    assert_int_equal(cgroup_raise(&parent, 1 << 20, 2, NULL), NR_EFORBIDDEN);
    assert_true(begins(t, "freezer/docker", "freezer.state", "THAWED"));
    assert_int_equal(cgroup_freeze(&none, NULL), NR_EUNAVAIL);
    assert_int_equal(cgroup_thaw(&none, NULL), NR_EUNAVAIL);
    assert_int_equal(cgroup_raise(&none, 1 << 20, 2, NULL), NR_EUNAVAIL);
    assert_false(cgroup_frozen(&none));
}

/* ---- reading ------------------------------------------------------------------------------------------------ */

static void reads_v1(void **state)
{
    const struct tree *t = *state;
    struct cgroup_usage u;

    make_v1(t);
    put(t, "cpuacct/docker/" ID, "cpuacct.usage", "5000000\n");
    put(t, "cpuacct/docker/" ID, "cpuacct.stat", "user 3\nsystem 2\n");
    put(t, "cpu/docker/" ID, "cpu.stat", "nr_periods 9\nnr_throttled 4\nthrottled_time 7000000\n");
    put(t, "memory/docker/" ID, "memory.usage_in_bytes", "900\n");
    put(t, "memory/docker/" ID, "memory.stat",
        "cache 500\nrss 300\nrss_huge 7\nshmem 50\ntotal_rss 1\n");
    put(t, "memory/docker/" ID, "memory.kmem.usage_in_bytes", "77\n");
    put(t, "memory/docker/" ID, "memory.limit_in_bytes", "9223372036854771712\n");
    put(t, "memory/docker/" ID, "memory.oom_control",
        "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n");
    put(t, "pids/docker/" ID, "pids.current", "6\n");
    put(t, "blkio/docker/" ID, "blkio.throttle.io_service_bytes",
        "8:0 Read 100\n8:0 Write 20\n8:16 Read 1\n8:16 Write 2\n8:16 Total 3\nTotal 123\n");
    struct cgroup g = opened(t, v1_text);

    assert_int_equal(cgroup_read(&g, &u), 0);
    assert_int_equal(u.cpu_us, 5000);
    assert_int_equal(u.cpu_user_us, 30000);
    assert_int_equal(u.cpu_system_us, 20000);
    assert_int_equal(u.throttled_us, 7000);
    assert_int_equal(u.throttled_periods, 4);
    assert_int_equal(u.memory_bytes, 900);
    assert_int_equal(u.memory_anon_bytes, 350);
    assert_int_equal(u.memory_kernel_bytes, 77);
    assert_int_equal(u.memory_peak_bytes, -1); /* no such file */
    assert_int_equal(u.memory_limit_bytes, -1);
    assert_int_equal(u.oom_kills, 2);
    assert_int_equal(u.pids, 6);
    assert_int_equal(u.io_read_bytes, 101);
    assert_int_equal(u.io_write_bytes, 22);
    cgroup_fini(&g);
}

static void reads_v2(void **state)
{
    const struct tree *t = *state;
    struct cgroup_usage u;

    put(t, ".", "cgroup.controllers", "cpu memory pids\n");
    put(t, "docker/" ID, "cpu.stat",
        "usage_usec 50\nuser_usec 30\nsystem_usec 20\nnr_periods 1\nnr_throttled 3\nthrottled_usec 9\n");
    put(t, "docker/" ID, "memory.current", "4096\n");
    put(t, "docker/" ID, "memory.stat", "anon 1000\nfile 2000\nkernel 88\nshmem 24\nanon_thp 5\n");
    put(t, "docker/" ID, "memory.peak", "8192\n");
    put(t, "docker/" ID, "memory.max", "max\n");
    put(t, "docker/" ID, "memory.events", "low 0\noom 2\noom_kill 1\n");
    put(t, "docker/" ID, "pids.current", "garbage\n");
    put(t, "docker/" ID, "io.stat", "8:0 rbytes=10 wbytes=20 rios=1\n8:16 rbytes=1 wbytes=2\n");
    struct cgroup g = opened(t, "0::/docker/" ID "\n");

    assert_int_equal(cgroup_read(&g, &u), 0);
    assert_int_equal(u.cpu_us, 50);
    assert_int_equal(u.throttled_us, 9);
    assert_int_equal(u.memory_anon_bytes, 1024);
    assert_int_equal(u.memory_kernel_bytes, 88);
    assert_int_equal(u.memory_peak_bytes, 8192);
    assert_int_equal(u.memory_limit_bytes, -1);
    assert_int_equal(u.oom_kills, 1);
    assert_int_equal(u.pids, -1);
    assert_int_equal(u.io_read_bytes, 11);
    assert_int_equal(u.io_write_bytes, 22);
    cgroup_fini(&g);
}

static void reads_nothing(void **state)
{
    const struct cgroup g = {0};
    struct cgroup_usage u;

    assert_int_equal(cgroup_read(&g, &u), NR_EUNAVAIL);
    assert_int_equal(u.cpu_us, -1);
    assert_int_equal(u.io_write_bytes, -1);
}

#define IN_TREE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(own_paths),
        IN_TREE(finds_v1),
        IN_TREE(finds_some),
        IN_TREE(finds_v2),
        IN_TREE(refuses),
        IN_TREE(writes_v1),
        IN_TREE(raises_without_memsw),
        IN_TREE(writes_v2),
        IN_TREE(never_a_parent),
        IN_TREE(reads_v1),
        IN_TREE(reads_v2),
        cmocka_unit_test(reads_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
