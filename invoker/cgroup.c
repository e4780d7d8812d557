/* Control groups by their files; see cgroup.h.
 *
 * Finding: /proc/<pid>/cgroup has a line "number:controllers:path" per hierarchy. On v1 each controller of ours is looked up in the
 * list between the colons and its folder is <root>/<controller><path>; on v2 the one line "0::path" is <root><path>. A host is v2 when
 * its root has cgroup.controllers; a hybrid one mounts v2 somewhere below without controllers, and is v1 here.
 * A path with ".." in it comes from outside our own cgroup namespace: what it names is not where it says, so it is not visible.
 *
 * Reading: one table per version says which file, which key in it, which field and by what to multiply; consecutive rows of one file read it
 * once.
 */
#include "invoker/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/base/str.h"
#include "invoker/cgroup_files.h"

#define CGROUP_ROOT "/sys/fs/cgroup"

enum { ID_LETTERS = 64, PROC_TEXT_MAX = 8 << 10, PATH_MAX_BYTES = 1024, FILE_MAX_BYTES = 16 << 10 };

/* ---- finding ------------------------------------------------------------------------------------------------ */

bool cgroup_path_is_own(const char *path, const char *container_id)
{
    static const char scope[] = ".scope";
    const char *slash = strrchr(path, '/');
    size_t n = slash ? strlen(slash + 1) : 0;
    const char *id = slash ? slash + 1 : "";

    if (n > ID_LETTERS + sizeof(scope) && strcmp(id + n - (sizeof(scope) - 1), scope) == 0) {
        n -= sizeof(scope) - 1; /* docker-<id> */
        if (id[n - ID_LETTERS - 1] != '-')
            return false;
        id += n - ID_LETTERS;
        n = ID_LETTERS;
    }
    return n == ID_LETTERS && strspn(id, "0123456789abcdef") >= ID_LETTERS &&
           (container_id == NULL || strncmp(id, container_id, ID_LETTERS) == 0);
}

static bool has_dots(const char *path)
{
    for (const char *p = path; (p = strstr(p, "/..")) != NULL; p += 3)
        if (p[3] == '/' || p[3] == '\0')
            return true;
    return false;
}

static bool names(struct nr_str controllers, const char *wanted)
{
    struct nr_str one;

    while (nr_str_split(&controllers, ',', &one))
        if (nr_str_eqz(one, wanted))
            return true;
    return false;
}

/* The path of the hierarchy with this controller ("": v2) in the text; false when it has none, or one that is too long. */
static bool path_of(const char *text, const char *controller, char out[PATH_MAX_BYTES])
{
    struct nr_str rest = nr_str_of(text), line, number, controllers;

    while (nr_str_split(&rest, '\n', &line)) {
        if (!nr_str_split(&line, ':', &number) || !nr_str_split(&line, ':', &controllers) ||
            line.p == NULL || line.n == 0 || line.p[0] != '/' || line.n >= PATH_MAX_BYTES)
            continue;
        bool mine = controller[0] ? names(controllers, controller)
                                  : controllers.n == 0 && nr_str_eqz(number, "0");

        if (!mine)
            continue;
        memcpy(out, line.p, line.n);
        out[line.n] = '\0';
        return true;
    }
    return false;
}

/* What one look for a folder came to. */
enum found { FOUND_FOLDER, FOUND_NOTHING, FOUND_FOREIGN };

static enum found find(const char *root, const char *text, const char *controller,
                       const char *container_id, char **ret)
{
    char path[PATH_MAX_BYTES], folder[2 * PATH_MAX_BYTES];
    struct stat st;

    if (!path_of(text, controller, path) || has_dots(path))
        return FOUND_NOTHING;
    if (!cgroup_path_is_own(path, container_id))
        return FOUND_FOREIGN;
    int n = snprintf(folder, sizeof(folder), "%s%s%s%s", root, controller[0] ? "/" : "", controller,
                     path);

    if (n < 0 || (size_t)n >= sizeof(folder) || stat(folder, &st) < 0 || !S_ISDIR(st.st_mode))
        return FOUND_NOTHING;
    *ret = nr_strdup(folder);
    return FOUND_FOLDER;
}

int cgroup_open_text(const char *root, const char *text, const char *container_id,
                     struct cgroup *ret, struct nr_err *err)
{
    struct cgroup g = {0};
    struct {
        const char *controller;
        char **folder;
    } table[] = {{"freezer", &g.freezer}, {"memory", &g.memory}, {"cpu", &g.cpu},
                 {"cpuacct", &g.cpuacct}, {"pids", &g.pids},     {"blkio", &g.blkio}};
    char controllers[PATH_MAX_BYTES];
    unsigned counts[FOUND_FOREIGN + 1] = {0};

    if (strlen(container_id) != ID_LETTERS)
        return nr_err_set(err, NR_EFORBIDDEN, "'%s' is no container's id", container_id);
    (void)snprintf(controllers, sizeof(controllers), "%s/cgroup.controllers", root);
    g.v2 = access(controllers, F_OK) == 0;
    for (size_t i = 0; i < nr_countof(table); i++)
        counts[find(root, text, g.v2 ? "" : table[i].controller, container_id, table[i].folder)]++;
    if (counts[FOUND_FOLDER] > 0) {
        *ret = g;
        return 0;
    }
    if (counts[FOUND_FOREIGN] > 0)
        return nr_err_set(err, NR_EFORBIDDEN,
                          "the process is in no control group of container %.12s", container_id);
    return nr_err_set(
        err, NR_EUNAVAIL,
        "the container's control groups are not visible below %s (another mount or cgroup namespace than the Engine's?)",
        root);
}

int cgroup_open(pid_t pid, const char *container_id, struct cgroup *ret, struct nr_err *err)
{
    char path[64], text[PROC_TEXT_MAX];

    (void)snprintf(path, sizeof(path), "/proc/%d/cgroup", (int)pid);
    FILE *f = fopen(path, "re");

    if (f == NULL)
        return nr_err_set(err, NR_EUNAVAIL, "%s: %s", path, strerror(errno));
    size_t n = fread(text, 1, sizeof(text) - 1, f);

    (void)fclose(f);
    text[n] = '\0';
    return cgroup_open_text(CGROUP_ROOT, text, container_id, ret, err);
}

void cgroup_fini(struct cgroup *g)
{
    char *const folders[] = {g->freezer, g->memory, g->cpu, g->cpuacct, g->pids, g->blkio};

    for (size_t i = 0; i < nr_countof(folders); i++)
        free(folders[i]);
    *g = (struct cgroup){0};
}

/* ---- one file ----------------------------------------------------------------------------------------------- */

/* folder/name into text (NUL behind it); false when it is not readable. */
static bool read_text(const char *folder, const char *name, char *text, size_t max)
{
    char path[2 * PATH_MAX_BYTES];
    ssize_t n = -1;

    if (folder == NULL)
        return false;
    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd >= 0) {
        n = read(fd, text, max - 1);
        (void)close(fd);
    }
    text[n > 0 ? n : 0] = '\0';
    return n >= 0;
}

/* One write to folder/name, checked to be a container's own. */
static int write_text(const char *folder, const char *name, const char *text, struct nr_err *err)
{
    char path[2 * PATH_MAX_BYTES];

    if (folder == NULL)
        return nr_err_set(err, NR_EUNAVAIL, "no %s: the control group is not visible", name);
    if (!cgroup_path_is_own(folder, NULL))
        return nr_err_set(err, NR_EFORBIDDEN, "%s is no container's control group", folder);
    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    int fd = open(path, O_WRONLY | O_CLOEXEC), failed = fd < 0 ? errno : 0;

    if (fd >= 0) {
        if (write(fd, text, strlen(text)) < 0)
            failed = errno;
        (void)close(fd);
    }
    return failed == 0
               ? 0
               : nr_err_set(err, nr_err_from_errno(failed), "%s: %s", path, strerror(failed));
}

/* ---- freezing and raising ----------------------------------------------------------------------------------- */

int cgroup_freeze(const struct cgroup *g, struct nr_err *err)
{
    return g->v2 ? write_text(g->freezer, "cgroup.freeze", "1", err)
                 : write_text(g->freezer, "freezer.state", "FROZEN", err);
}

int cgroup_thaw(const struct cgroup *g, struct nr_err *err)
{
    return g->v2 ? write_text(g->freezer, "cgroup.freeze", "0", err)
                 : write_text(g->freezer, "freezer.state", "THAWED", err);
}

bool cgroup_frozen(const struct cgroup *g)
{
    char text[256];

    if (!read_text(g->freezer, g->v2 ? "cgroup.events" : "freezer.state", text, sizeof(text)))
        return false;
    return g->v2 ? strstr(text, "frozen 1") != NULL : strncmp(text, "FROZEN", 6) == 0;
}

/* Docker's shares 2..262144 as v2's weight 1..10000. */
static int64_t weight_of(int64_t shares)
{
    return shares <= 2 ? 1 : shares >= 262144 ? 10000 : 1 + (shares - 2) * 9999 / 262142;
}

int cgroup_raise(const struct cgroup *g, int64_t memory_bytes, int64_t cpu_shares,
                 struct nr_err *err)
{
    char bytes[32], shares[32];
    struct nr_err swap = {0};
    int r;

    (void)snprintf(bytes, sizeof(bytes), "%lld", (long long)memory_bytes);
    (void)snprintf(shares, sizeof(shares), "%lld",
                   (long long)(g->v2 ? weight_of(cpu_shares) : cpu_shares));
    if (g->v2) { /* swap was forbidden at the start (memory.swap.max 0) and stays so */
        r = write_text(g->memory, "memory.max", bytes, err);
        return r < 0 ? r : write_text(g->cpu, "cpu.weight", shares, err);
    }
    /* A kernel without swap accounting has no memsw file. */
    r = write_text(g->memory, "memory.memsw.limit_in_bytes", bytes, &swap);
    if (r < 0 && r != NR_ENOENT)
        return nr_err_set(err, r, "%s", swap.text);
    r = write_text(g->memory, "memory.limit_in_bytes", bytes, err);
    return r < 0 ? r : write_text(g->cpu, "cpu.shares", shares, err);
}

/* ---- the end ------------------------------------------------------------------------------------------------ */

int64_t cgroup_oom_kills(const struct cgroup *g)
{
    static const char key[] = "oom_kill ";
    char text[1024];
    struct nr_str rest, line;
    int64_t n;

    if (!read_text(g->memory, g->v2 ? "memory.events" : "memory.oom_control", text, sizeof(text)))
        return -1;
    rest = nr_str_of(text);
    while (nr_str_split(&rest, '\n', &line))
        if (nr_str_starts(line, key) &&
            nr_str_to_i64((struct nr_str){line.p + sizeof(key) - 1, line.n - sizeof(key) + 1}, 0,
                          INT64_MAX, &n))
            return n;
    return -1;
}
