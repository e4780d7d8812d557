/* narae deploy --watch: deploys now and after each change of the file, or of anything in the folder.
 *
 * The watch is set up before the files are read, so that a change during a deployment is not missed; it is set up anew for each, so
 * that new folders are in it. An editor that replaces a file is seen because folders are watched, not files. Changes that follow each
 * other closely, as those of an editor or of git do, are one.
 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#include "cli/cli.h"
#include "common/base/clock.h"

#define QUIET_MS 200
#define LONGEST_MS 2000
#define DEPTH_MAX 32
#define EVENTS (IN_CLOSE_WRITE | IN_CREATE | IN_DELETE | IN_MOVE | IN_ATTRIB | IN_MODIFY)

static int add_tree(int fd, const char *path, int depth)
{
    DIR *d;
    struct dirent *one;
    int e = 0;

    if (inotify_add_watch(fd, path, EVENTS | IN_ONLYDIR) < 0)
        return errno == ENOENT || errno == ENOTDIR ? 0 : -errno;
    if (depth >= DEPTH_MAX || (d = opendir(path)) == NULL)
        return 0;
    while (e == 0 && (one = readdir(d)) != NULL) {
        char below[PATH_MAX];
        struct stat st;

        if (one->d_name[0] == '.' ||
            snprintf(below, sizeof(below), "%s/%s", path, one->d_name) >= (int)sizeof(below))
            continue;
        if (lstat(below, &st) == 0 && S_ISDIR(st.st_mode))
            e = add_tree(fd, below, depth + 1);
    }
    (void)closedir(d);
    return e;
}

/* *only (lent by path): the one name that matters, when a file is watched. -1 and errno. */
static int open_watch(const char *path, const char **only)
{
    int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK), e;
    const char *slash = strrchr(path, '/');
    nr_auto_free char *folder =
        slash ? nr_strndup(path, (size_t)(slash - path) + 1) : nr_strdup(".");
    struct stat st;

    if (fd < 0)
        return -1;
    *only = NULL;
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
        e = add_tree(fd, path, 0);
    } else {
        *only = slash ? slash + 1 : path;
        e = inotify_add_watch(fd, folder, EVENTS | IN_ONLYDIR) < 0 ? -errno : 0;
    }
    if (e == 0)
        return fd;
    (void)close(fd);
    errno = -e;
    return -1;
}

/* Names that editors use for what is not the file yet. */
static bool matters(const struct inotify_event *event, const char *only)
{
    size_t n = event->len ? strlen(event->name) : 0;

    if (event->mask & IN_Q_OVERFLOW)
        return true;
    if (n == 0 || event->name[0] == '.' || event->name[n - 1] == '~')
        return false;
    return only == NULL || strcmp(event->name, only) == 0;
}

static bool any_change(int fd, const char *only)
{
    _Alignas(struct inotify_event) char room[16384];
    bool any = false;
    ssize_t n;

    while ((n = read(fd, room, sizeof(room))) > 0)
        for (char *p = room; p < room + n;) {
            const struct inotify_event *event = (const struct inotify_event *)(void *)p;

            any |= matters(event, only);
            p += sizeof(*event) + event->len;
        }
    return any;
}

static bool wait_for(int fd, int timeout_ms)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    int n;

    while ((n = poll(&p, 1, timeout_ms)) < 0 && errno == EINTR)
        ;
    return n > 0;
}

/* Returns when something has changed and it has been quiet for a moment. */
static void wait_for_change(int fd, const char *only)
{
    while (!wait_for(fd, -1) || !any_change(fd, only))
        ;
    uint64_t until_ms = nr_mono_ms() + LONGEST_MS;
    while (nr_mono_ms() < until_ms && wait_for(fd, QUIET_MS))
        (void)any_change(fd, only);
}

int cli_watch(struct cli *c, const char *path, int (*deploy)(struct cli *c))
{
    const char *only;
    char clean[PATH_MAX];
    size_t n = strlen(path);
    int fd;

    while (n > 1 && path[n - 1] == '/')
        n--;
    (void)snprintf(clean, sizeof(clean), "%.*s", (int)n, path);
    if (access(clean, F_OK) != 0)
        return cli_fail_why(c, WHY_FILE, "%s: %s", clean, strerror(errno));
    while ((fd = open_watch(clean, &only)) >= 0) {
        (void)deploy(c);
        cli_fail_end(c);
        if (!cli_json(c))
            cli_note(c, "watching %s; Ctrl-C ends it", clean);
        (void)fflush(stdout);
        wait_for_change(fd, only);
        (void)close(fd);
    }
    return cli_fail_why(c, WHY_FILE, "%s cannot be watched: %s%s", clean, strerror(errno),
                        errno == ENOSPC ? "; raise fs.inotify.max_user_watches" : "");
}
