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

/* What bounds it; for_core 0: by the memory that was asked for. */
struct bound {
    const char *hierarchy, *file;
    int64_t for_core, max;
};
static const struct bound v1[] = {{"/memory", "memory.limit_in_bytes", 0, 0},
                                  {"/cpu", "cpu.shares", 1024, 262144}};
static const struct bound v2[] = {{"", "memory.max", 0, 0}, {"", "cpu.weight", 100, 10000}};

static bool is_v2(void)
{
    return access(CGROUP_ROOT "/cgroup.controllers", F_OK) == 0;
}

int cgroup_parent_make(const char *name, int64_t memory_bytes, int cores, struct nr_err *err)
{
    char folder[PATH_MAX_BYTES];

    const struct bound *rows = is_v2() ? v2 : v1;
    for (size_t i = 0; i < nr_countof(v1); i++) {
        (void)snprintf(folder, sizeof(folder), CGROUP_ROOT "%s%s", rows[i].hierarchy, name);
        if (mkdir(folder, 0755) < 0 && errno != EEXIST)
            return nr_err_set(err, NR_EUNAVAIL, "%s: %s", folder, strerror(errno));
        int64_t weight = rows[i].for_core * (cores > 0 ? cores : 1);
        int r = write_number(folder, rows[i].file,
                             rows[i].for_core == 0  ? memory_bytes
                             : weight < rows[i].max ? weight
                                                    : rows[i].max,
                             err);

        if (r < 0)
            return r;
    }
    return 0;
}

/* What is done in each hierarchy: with v2 there is one, the root. */
struct walk {
    void (*each)(struct walk *w, const char *root);
    const char *name; /* a group */
    const char *id;   /* end */
    struct nr_buf *out;
};

static void walk_hierarchies(struct walk *w)
{
    DIR *root = opendir(CGROUP_ROOT);
    char folder[2 * PATH_MAX_BYTES];

    w->each(w, CGROUP_ROOT);
    for (struct dirent *d; root && (d = readdir(root)) != NULL;) {
        (void)snprintf(folder, sizeof(folder), CGROUP_ROOT "/%s", d->d_name);
        if (d->d_name[0] != '.' && d->d_type == DT_DIR)
            w->each(w, folder);
    }
    if (root)
        (void)closedir(root);
}

static void remove_in(struct walk *w, const char *root)
{
    char folder[3 * PATH_MAX_BYTES];

    (void)snprintf(folder, sizeof(folder), "%s%s", root, w->name);
    (void)rmdir(folder); /* one that is not empty stays */
}

void cgroup_parent_remove(const char *name)
{
    struct walk w = {.each = remove_in, .name = name};

    if (name[0])
        walk_hierarchies(&w);
}

/* ---- containers in it --------------------------------------------------------------------------------------- */

static bool has(const struct nr_buf *b, const char *id)
{
    return b->n > 0 && memmem(b->p, b->n, id, strlen(id)) != NULL;
}

static void list_in(struct walk *w, const char *root)
{
    char folder[3 * PATH_MAX_BYTES];

    (void)snprintf(folder, sizeof(folder), "%s%s", root, w->name);
    DIR *d = opendir(folder);

    for (struct dirent *e; d && (e = readdir(d)) != NULL;)
        if (strlen(e->d_name) == ID_LETTERS &&
            strspn(e->d_name, "0123456789abcdef") == ID_LETTERS && !has(w->out, e->d_name))
            nr_buf_printf(w->out, "%s\n", e->d_name);
    if (d)
        (void)closedir(d);
}

/* In all of them: a runtime that was killed at work has made some of the folders, without a process. */
void cgroup_parent_list(const char *name, struct nr_buf *out)
{
    struct walk w = {.each = list_in, .name = name, .out = out};

    if (name[0])
        walk_hierarchies(&w);
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

static void end_in(struct walk *w, const char *root)
{
    char path[3 * PATH_MAX_BYTES], line[32];

    (void)snprintf(path, sizeof(path), "%s%s/cgroup.procs", root, w->name);
    FILE *f = fopen(path, "re");

    while (f && fgets(line, sizeof(line), f)) {
        pid_t pid = (pid_t)strtol(line, NULL, 10);

        if (pid > 1)
            kill_one(pid, w->id);
    }
    if (f)
        (void)fclose(f);
    remove_in(w, root);
}

void cgroup_parent_end(const char *name, const char *id)
{
    char group[PATH_MAX_BYTES];
    struct walk w = {.each = end_in, .name = group, .id = id};

    (void)snprintf(group, sizeof(group), "%s/%s", name, id);
    if (name[0])
        walk_hierarchies(&w);
}
