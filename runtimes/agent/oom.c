/* The memory limit and the out-of-memory counter of our own control group, version 1 or 2.
 *
 * Inside a container the group is mounted read-only at the root of the hierarchy (private namespace, or the Engine's
 * bind mount); outside it stands at the path that /proc/self/cgroup names. The path is tried first.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtimes/agent/worker.h"

static bool read_text(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, text, size - 1);
    close(fd);
    text[n > 0 ? n : 0] = 0;
    return n > 0;
}

/* Our path in the hierarchy whose line of /proc/self/cgroup has this between its colons; "" when there is none. */
static void own_path(const char *controller, char *ret, size_t size)
{
    char text[8192];
    ret[0] = 0;
    if (!read_text("/proc/self/cgroup", text, sizeof text))
        return;
    const char *found = strstr(text, controller);
    if (!found)
        return;
    found += strlen(controller);
    size_t n = strcspn(found, "\n");
    if (n < size) {
        memcpy(ret, found, n);
        ret[n] = 0;
    }
}

/* Where a control group's files may be. The first that has the file counts. */
static const struct place {
    const char *controller, *mount, *oom_file, *limit_file;
} places[] = {
    {":memory:", "/sys/fs/cgroup/memory", "memory.oom_control", "memory.limit_in_bytes"},
    {"0::", "/sys/fs/cgroup", "memory.events", "memory.max"},
    {"0::", "/sys/fs/cgroup/unified", "memory.events", "memory.max"},
};

static bool read_place(const struct place *p, const char *file, char *text, size_t size)
{
    char own[1024], path[1400];
    own_path(p->controller, own, sizeof own);
    snprintf(path, sizeof path, "%s%s/%s", p->mount, own, file);
    if (read_text(path, text, size))
        return true;
    snprintf(path, sizeof path, "%s/%s", p->mount, file);
    return read_text(path, text, size);
}

/* The number behind "oom_kill " at the start of a line, or 0. */
static uint64_t find_kills(const char *text)
{
    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, "oom_kill ", 9) == 0)
            return strtoull(line + 9, NULL, 10);
        if (!*line)
            break;
    }
    return 0;
}

uint64_t oom_kills(void)
{
    char text[4096];
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        if (read_place(&places[i], places[i].oom_file, text, sizeof text))
            return find_kills(text);
    }
    return 0;
}

uint64_t memory_limit_bytes(void)
{
    char text[64];
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        if (read_place(&places[i], places[i].limit_file, text, sizeof text)) {
            uint64_t limit = strtoull(text, NULL, 10); /* "max" is 0 */
            return limit >= UINT64_C(1) << 40 ? 0 : limit;
        }
    }
    return 0;
}
