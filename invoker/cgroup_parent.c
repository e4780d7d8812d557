/* The pool's parent group; see cgroup_parent.h.
 *
 * v1: a folder below each controller's root; the Engine's runtime makes those of the other controllers itself. v2: one folder below the
 * root, whose controllers must be on for children, which the Engine sees to as well.
 * A group that holds containers of an earlier run is found and bounded anew; lowering the bound below what is in use is refused by the kernel
 * (v1), and then the old one stays.
 *
 * Ending one container's group is for what the Engine has forgotten: nobody else can end it.
 */
#include "invoker/cgroup_parent.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "invoker/cgroup.h"
#include "invoker/cgroup_files.h"

#define CGROUP_ROOT "/sys/fs/cgroup"

enum { PATH_MAX_BYTES = 256, ID_LETTERS = 64 };

static int write_number(const char *folder, const char *file, int64_t value, struct nr_err *err)
{
    char path[2 * PATH_MAX_BYTES], text[32];
    int n = snprintf(text, sizeof(text), "%lld", (long long)value);

    (void)snprintf(path, sizeof(path), "%s/%s", folder, file);
    nr_auto_close int fd = open(path, O_WRONLY | O_CLOEXEC);

    if (fd >= 0 && write(fd, text, (size_t)n) == n)
        return 0;
    return nr_err_set(err, NR_EUNAVAIL, "%s: %s", path, strerror(errno));
}

/* What bounds it; fixed 0: by the memory that was asked for. */
struct bound {
    const char *hierarchy, *file;
    int64_t fixed;
};
static const struct bound v1[] = {{"/memory", "memory.limit_in_bytes", 0},
                                  {"/cpu", "cpu.shares", 1024}};
static const struct bound v2[] = {{"", "memory.max", 0}, {"", "cpu.weight", 100}};

static bool is_v2(void)
{
    return access(CGROUP_ROOT "/cgroup.controllers", F_OK) == 0;
}

int cgroup_parent_make(const char *name, int64_t memory_bytes, struct nr_err *err)
{
    char folder[PATH_MAX_BYTES];

    const struct bound *rows = is_v2() ? v2 : v1;
    for (size_t i = 0; i < nr_countof(v1); i++) {
        (void)snprintf(folder, sizeof(folder), CGROUP_ROOT "%s%s", rows[i].hierarchy, name);
        if (mkdir(folder, 0755) < 0 && errno != EEXIST)
            return nr_err_set(err, NR_EUNAVAIL, "%s: %s", folder, strerror(errno));
        int r =
            write_number(folder, rows[i].file, rows[i].fixed ? rows[i].fixed : memory_bytes, err);

        if (r < 0)
            return r;
    }
    return 0;
}

/* rmdir() of name in every hierarchy; one that is not empty stays. */
static void remove_everywhere(const char *name)
{
    DIR *root = opendir(CGROUP_ROOT);
    char folder[3 * PATH_MAX_BYTES];

    (void)snprintf(folder, sizeof(folder), CGROUP_ROOT "%s", name);
    (void)rmdir(folder); /* v2 */
    for (struct dirent *d; root && (d = readdir(root)) != NULL;) {
        (void)snprintf(folder, sizeof(folder), CGROUP_ROOT "/%s%s", d->d_name, name);
        if (d->d_name[0] != '.')
            (void)rmdir(folder);
    }
    if (root)
        (void)closedir(root);
}

void cgroup_parent_remove(const char *name)
{
    if (name[0])
        remove_everywhere(name);
}

/* ---- containers in it --------------------------------------------------------------------------------------- */

void cgroup_parent_list(const char *name, struct nr_buf *out)
{
    char folder[PATH_MAX_BYTES];

    (void)snprintf(folder, sizeof(folder), CGROUP_ROOT "%s%s", is_v2() ? "" : "/memory", name);
    DIR *d = name[0] ? opendir(folder) : NULL;

    for (struct dirent *e; d && (e = readdir(d)) != NULL;) {
        char path[2 * PATH_MAX_BYTES];

        (void)snprintf(path, sizeof(path), "/%s", e->d_name);
        if (strlen(e->d_name) == ID_LETTERS && cgroup_path_is_own(path, NULL))
            nr_buf_printf(out, "%s\n", e->d_name);
    }
    if (d)
        (void)closedir(d);
}

/* Is this process in a group of the container, in any hierarchy? */
static bool inside(pid_t pid, const char *id)
{
    struct cgroup g = {0};
    bool is = cgroup_open(pid, id, &g, NULL) == 0;

    if (is && g.freezer)
        (void)cgroup_thaw(&g, NULL);
    cgroup_fini(&g);
    return is;
}

static void kill_one(pid_t pid, const char *id)
{
    nr_auto_close int fd = (int)syscall(SYS_pidfd_open, pid, 0);

    if (fd >= 0 && inside(pid, id))
        (void)syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0);
}

void cgroup_parent_end(const char *name, const char *id)
{
    char group[PATH_MAX_BYTES], path[2 * PATH_MAX_BYTES], line[32];

    (void)snprintf(group, sizeof(group), "%s/%s", name, id);
    (void)snprintf(path, sizeof(path), CGROUP_ROOT "%s%s/cgroup.procs", is_v2() ? "" : "/memory",
                   group);
    FILE *f = fopen(path, "re");

    while (f && fgets(line, sizeof(line), f)) {
        pid_t pid = (pid_t)strtol(line, NULL, 10);

        if (pid > 1)
            kill_one(pid, id);
    }
    if (f)
        (void)fclose(f);
    remove_everywhere(group);
}
