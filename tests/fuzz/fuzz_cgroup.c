/* A text of /proc/<pid>/cgroup, and files of a control group, on any bytes.
 *
 * What must hold: a folder that is found lies below the root and is the container's own; what is refused has a sentence and leaves the
 * result alone; no figure that was read is below -1 (not told).
 * First byte: odd is a host with cgroup v2.
 */
#include "fuzz.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/file.h"
#include "common/base/mem.h"
#include "invoker/cgroup_files.h"

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

/* Two hosts; every file of the one group is the same file. */
static char root[2][64];
static char group[96];
static char base[] = "/tmp/narae-fuzz-cgroup-XXXXXX";

static void leave(void)
{
    (void)nr_dir_remove(base, NULL);
}

static void folder(const char *host, const char *controller)
{
    char path[256];

    (void)snprintf(path, sizeof(path), "%s%s/docker/" ID, host, controller);
    nr_check(nr_dir_make(path, 0755, NULL) == 0);
}

static void make_hosts(void)
{
    static const char *const controllers[] = {"/freezer", "/memory", "/cpu",
                                              "/cpuacct", "/pids",   "/blkio"};
    static const char *const files[] = {"cpuacct.usage",
                                        "cpuacct.stat",
                                        "cpu.stat",
                                        "memory.usage_in_bytes",
                                        "memory.stat",
                                        "memory.kmem.usage_in_bytes",
                                        "memory.max_usage_in_bytes",
                                        "memory.limit_in_bytes",
                                        "memory.oom_control",
                                        "pids.current",
                                        "blkio.throttle.io_service_bytes",
                                        "memory.current",
                                        "memory.peak",
                                        "memory.max",
                                        "memory.events",
                                        "io.stat",
                                        "cgroup.events",
                                        "freezer.state"};
    char path[256];

    nr_check(mkdtemp(base) != NULL && atexit(leave) == 0);
    (void)snprintf(root[0], sizeof(root[0]), "%s/v1", base);
    (void)snprintf(root[1], sizeof(root[1]), "%s/v2", base);
    (void)snprintf(group, sizeof(group), "%s/group", base);
    for (size_t i = 0; i < nr_countof(controllers); i++)
        folder(root[0], controllers[i]);
    folder(root[1], "");
    nr_check(nr_file_write(root[1], "cgroup.controllers", NR_STR("cpu\n"), 0644, NULL) == 0);
    nr_check(nr_dir_make(group, 0755, NULL) == 0);
    for (size_t i = 0; i < nr_countof(files); i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", group, files[i]);
        nr_check(symlink("../text", path) == 0);
    }
}

static void find(const char *host, const char *text)
{
    struct cgroup g = {0};
    struct nr_err err = {0};
    int r = cgroup_open_text(host, text, ID, &g, &err);
    const char *const found[] = {g.freezer, g.memory, g.cpu, g.cpuacct, g.pids, g.blkio};
    int n = 0;

    for (size_t i = 0; i < nr_countof(found); i++) {
        if (found[i] == NULL)
            continue;
        n++;
        nr_check(strncmp(found[i], host, strlen(host)) == 0 && strstr(found[i], "/../") == NULL);
        nr_check(cgroup_path_is_own(found[i], ID));
    }
    nr_check((r == 0) == (n > 0) && (r < 0) == (err.text[0] != '\0'));
    cgroup_fini(&g);
}

static void read_files(const uint8_t *bytes, size_t n, bool v2)
{
    const struct cgroup g = {v2, group, group, group, group, group, group};
    struct cgroup_usage u;
    char path[sizeof(base) + 8];

    (void)snprintf(path, sizeof(path), "%s/text", base);
    nr_auto_close int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

    nr_check(fd >= 0 && write(fd, bytes, n) == (ssize_t)n);
    nr_check(cgroup_read(&g, &u) == 0);
    const int64_t figures[] = {u.cpu_us,
                               u.cpu_user_us,
                               u.cpu_system_us,
                               u.throttled_us,
                               u.throttled_periods,
                               u.memory_bytes,
                               u.memory_anon_bytes,
                               u.memory_kernel_bytes,
                               u.memory_peak_bytes,
                               u.memory_limit_bytes,
                               u.oom_kills,
                               u.pids,
                               u.io_read_bytes,
                               u.io_write_bytes};

    for (size_t i = 0; i < nr_countof(figures); i++)
        nr_check(figures[i] >= -1);
    (void)cgroup_frozen(&g);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    if (n < 1)
        return 0;
    if (group[0] == '\0')
        make_hosts();
    nr_auto_free char *text = nr_strndup((const char *)bytes + 1, n - 1);

    find(root[bytes[0] & 1], text);
    read_files(bytes + 1, n - 1, bytes[0] & 1);
    return 0;
}
