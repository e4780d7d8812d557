/* The out-of-memory counter of our own control group, version 1 or 2.
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

/* The number behind "oom_kill " at the start of a line. */
static bool find_kills(const char *path, uint64_t *ret)
{
    char text[4096];
    if (!read_text(path, text, sizeof text))
        return false;
    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, "oom_kill ", 9) == 0) {
            *ret = strtoull(line + 9, NULL, 10);
            return true;
        }
        if (!*line)
            break;
    }
    return false;
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

uint64_t oom_kills(void)
{
    static const struct {
        const char *controller, *mount, *file;
    } places[] = {
        { ":memory:", "/sys/fs/cgroup/memory", "/memory.oom_control" },
        { "0::", "/sys/fs/cgroup", "/memory.events" },
        { "0::", "/sys/fs/cgroup/unified", "/memory.events" },
    };
    char own[1024], path[1400];
    uint64_t kills = 0;
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        own_path(places[i].controller, own, sizeof own);
        snprintf(path, sizeof path, "%s%s%s", places[i].mount, own, places[i].file);
        if (find_kills(path, &kills))
            return kills;
        snprintf(path, sizeof path, "%s%s", places[i].mount, places[i].file);
        if (find_kills(path, &kills))
            return kills;
    }
    return 0;
}
