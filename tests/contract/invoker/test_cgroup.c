/* Control groups against the kernel's own: a group with a container's name, made here with one process in it, below /sys/fs/cgroup on v1 or
 * v2. Skipped where there are no rights to make one.
 */
#include "invoker/cgroup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/mem.h"

#define ROOT "/sys/fs/cgroup"

enum { MB = 1 << 20, GIVE_UP_MS = 10000 };

static const char *const v1[] = {"/freezer", "/memory", "/cpu", "/cpuacct", "/pids", "/blkio"};
static const char *const v2[] = {""};

struct real {
    bool is_v2;
    const char *const *hierarchies;
    size_t count;
    char parent[64], id[65];
    pid_t child;
    int ticks; /* the child writes one for each turn */
};

static void put(const struct real *x, size_t at, const char *file, const char *text)
{
    char path[512];

    (void)snprintf(path, sizeof(path), ROOT "%s%s/%s/%s", x->hierarchies[at], x->parent, x->id,
                   file);
    FILE *f = fopen(path, "we");

    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static bool make_folders(struct real *x)
{
    char path[512];

    for (size_t i = 0; i < x->count; i++) {
        (void)snprintf(path, sizeof(path), ROOT "%s%s", x->hierarchies[i], x->parent);
        if (mkdir(path, 0755) < 0)
            return false;
        if (x->is_v2) { /* controllers for children; those that the root does not hand out are missing below */
            (void)snprintf(path, sizeof(path), ROOT "%s/cgroup.subtree_control", x->parent);
            FILE *f = fopen(path, "we");

            if (f && (fputs("+memory +cpu +pids", f) < 0 || fclose(f) != 0))
                return false;
        }
        (void)snprintf(path, sizeof(path), ROOT "%s%s/%s", x->hierarchies[i], x->parent, x->id);
        if (mkdir(path, 0755) < 0)
            return false;
    }
    return true;
}

static void remove_folders(const struct real *x)
{
    char path[512];

    for (size_t i = 0; i < x->count; i++) {
        (void)snprintf(path, sizeof(path), ROOT "%s%s/%s", x->hierarchies[i], x->parent, x->id);
        (void)rmdir(path);
        (void)snprintf(path, sizeof(path), ROOT "%s%s", x->hierarchies[i], x->parent);
        (void)rmdir(path);
    }
}

/* Ticks for ever. */
static pid_t start_child(int *ret_ticks)
{
    int ends[2];

    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        (void)close(ends[0]);
        while (write(ends[1], "t", 1) == 1)
            ;
        _exit(0);
    }
    (void)close(ends[1]);
    *ret_ticks = ends[0];
    return pid;
}

static int setup(void **state)
{
    struct real *x = nr_alloc(sizeof(*x));
    char text[32];

    *state = x;
    x->is_v2 = access(ROOT "/cgroup.controllers", F_OK) == 0;
    x->hierarchies = x->is_v2 ? v2 : v1;
    x->count = x->is_v2 ? nr_countof(v2) : nr_countof(v1);
    (void)snprintf(x->parent, sizeof(x->parent), "/narae-test-%d", (int)getpid());
    for (size_t i = 0; i < sizeof(x->id) - 1; i++)
        x->id[i] = "0123456789abcdef"[i % 16];
    if (geteuid() != 0 || !make_folders(x)) {
        remove_folders(x);
        x->count = 0;
        return 0;
    }
    x->child = start_child(&x->ticks);
    (void)snprintf(text, sizeof(text), "%d", (int)x->child);
    for (size_t i = 0; i < x->count; i++)
        put(x, i, "cgroup.procs", text);
    if (x->is_v2) {
        put(x, 0, "memory.max", "67108864");
    } else { /* as the Engine does it: memory, then memory and swap */
        put(x, 1, "memory.limit_in_bytes", "67108864");
        put(x, 1, "memory.memsw.limit_in_bytes", "67108864");
    }
    return 0;
}

static int teardown(void **state)
{
    struct real *x = *state;
    int status;

    if (x->count > 0) {
        (void)close(x->ticks);
        (void)kill(x->child, SIGKILL);
        (void)waitpid(x->child, &status, 0);
        remove_folders(x);
    }
    free(x);
    return 0;
}

/* Does the child go on within the time? What it had written before is read first. */
static bool ticks(const struct real *x)
{
    char text[65536];

    if (read(x->ticks, text, sizeof(text)) <= 0)
        return false;
    struct timeval wait = {.tv_sec = 0, .tv_usec = 100000};
    fd_set set;

    FD_ZERO(&set);
    FD_SET(x->ticks, &set);
    return select(x->ticks + 1, &set, NULL, NULL, &wait) == 1;
}

/* Threads of the child, which the kernel counts as well: a sanitizer may have one of its own. */
static int64_t threads_of(pid_t pid)
{
    char path[64];
    struct stat st;

    (void)snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
    assert_int_equal(stat(path, &st), 0);
    return (int64_t)st.st_nlink - 2;
}

static void kernel_obeys(void **state)
{
    const struct real *x = *state;
    struct cgroup g = {0};
    struct cgroup_usage u;
    struct nr_err err = {0};

    if (x->count == 0)
        skip();
    assert_int_equal(cgroup_open(getpid(), x->id, &g, NULL), NR_EFORBIDDEN);
    assert_int_equal(cgroup_open(x->child, x->id, &g, &err), 0);
    assert_int_equal(g.v2, x->is_v2);
    assert_true(ticks(x));

    assert_int_equal(cgroup_freeze(&g, &err), 0);
    uint64_t until_ms = nr_mono_ms() + GIVE_UP_MS;
    while (!cgroup_frozen(&g))
        assert_true(nr_mono_ms() < until_ms);
    assert_false(ticks(x));
    assert_int_equal(cgroup_thaw(&g, &err), 0);
    assert_false(cgroup_frozen(&g));
    assert_true(ticks(x));

    assert_int_equal(cgroup_read(&g, &u), 0);
    assert_int_equal(u.memory_limit_bytes, 64 * MB);
    assert_int_equal(cgroup_raise(&g, 128 * MB, 512, &err), 0);
    assert_int_equal(cgroup_read(&g, &u), 0);
    assert_int_equal(u.memory_limit_bytes, 128 * MB);
    assert_int_equal(u.pids, threads_of(x->child));
    assert_true(u.cpu_us > 0 && u.memory_bytes >= 0 && u.oom_kills == 0);
    cgroup_fini(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(kernel_obeys, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
