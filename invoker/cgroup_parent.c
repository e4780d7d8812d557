/* The pool's parent group; see cgroup_parent.h.
 *
 * v1: a folder below each controller's root; the Engine's runtime makes those of the other controllers itself. v2: one folder below the
 * root, whose controllers must be on for children, which the Engine sees to as well.
 * A group that holds containers of an earlier run is found and bounded anew; lowering the bound below what is in use is refused by the kernel
 * (v1), and then the old one stays.
 */
#include "invoker/cgroup_parent.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/mem.h"

#define CGROUP_ROOT "/sys/fs/cgroup"

enum { PATH_MAX_BYTES = 256 };

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

int cgroup_parent_make(const char *name, int64_t memory_bytes, struct nr_err *err)
{
    char folder[PATH_MAX_BYTES];

    const struct bound *rows = access(CGROUP_ROOT "/cgroup.controllers", F_OK) == 0 ? v2 : v1;
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

void cgroup_parent_remove(const char *name)
{
    DIR *root = name[0] ? opendir(CGROUP_ROOT) : NULL;
    char folder[2 * PATH_MAX_BYTES];

    if (root == NULL)
        return;
    (void)snprintf(folder, sizeof(folder), CGROUP_ROOT "%s", name);
    (void)rmdir(folder); /* v2; a group with children is not empty for rmdir() */
    for (struct dirent *d; (d = readdir(root)) != NULL;) {
        (void)snprintf(folder, sizeof(folder), CGROUP_ROOT "/%s%s", d->d_name, name);
        if (d->d_name[0] != '.')
            (void)rmdir(folder);
    }
    (void)closedir(root);
}
