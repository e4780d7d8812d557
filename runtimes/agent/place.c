/* Archives were checked at upload; they are checked again here, for this is where a mistake would be written: only
 * folders and plain files, only below the folder, bounded in number, size and depth. Encrypted entries cannot be read
 * and fail. Modes keep their executable bit and nothing else.
 *
 * Paths are walked component by component with O_NOFOLLOW, so that not even a link that came to stand in the folder
 * another way could lead out of it.
 */
#include "runtimes/agent/place.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#define PLACE_MAX_ENTRIES 100000
#define PLACE_MAX_BYTES ((int64_t)256 << 20)
#define PLACE_MAX_PATH_BYTES 1024
#define PLACE_MAX_DEPTH 64

static int refuse(int note_fd, const char *what, const char *name, const char *why)
{
    dprintf(note_fd, "The archive could not be unpacked: %s%s%.200s%s%s", what, name ? " " : "",
            name ? name : "", why ? ": " : "", why ? why : "");
    return 1;
}

/* Enters (making it if need be) the folder `name` below dir; dir is closed. -1 with errno. */
static int enter(int dir, const char *name)
{
    int status = mkdirat(dir, name, 0755);
    int next = -1;
    if (status == 0 || errno == EEXIST)
        next = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int saved = errno;
    close(dir);
    errno = saved;
    return next;
}

/* The folder that `path` (cut up) stands in; *ret_name its last component, "" for the folder itself. -1 with errno. */
static int walk(int root, char *path, const char **ret_name)
{
    int dir = fcntl(root, F_DUPFD_CLOEXEC, 3);
    int depth = 0;
    char *rest = NULL;
    const char *name = "";
    for (char *part = strtok_r(path, "/", &rest); part; part = strtok_r(NULL, "/", &rest)) {
        if (strcmp(part, ".") == 0)
            continue;
        if (strcmp(part, "..") == 0 || ++depth > PLACE_MAX_DEPTH) {
            close(dir);
            errno = EINVAL;
            return -1;
        }
        if (*name) {
            dir = enter(dir, name);
            if (dir < 0)
                return -1;
        }
        name = part;
    }
    *ret_name = name;
    return dir;
}

static int copy_entry(struct archive *ar, int fd, int64_t *left)
{
    char bytes[16 << 10];
    la_ssize_t n;
    while ((n = archive_read_data(ar, bytes, sizeof bytes)) > 0) {
        *left -= n;
        if (*left < 0) {
            errno = EFBIG;
            return -1;
        }
        for (la_ssize_t at = 0; at < n;) {
            ssize_t put = write(fd, bytes + at, (size_t)(n - at));
            if (put < 0)
                return -1;
            at += put;
        }
    }
    if (n < 0)
        errno = EBADMSG;
    return n < 0 ? -1 : 0;
}

static int place_entry(struct archive *ar, struct archive_entry *e, int root, int64_t *left)
{
    char path[PLACE_MAX_PATH_BYTES];
    const char *given = archive_entry_pathname(e);
    const char *name;
    mode_t type = archive_entry_filetype(e);
    if (!given || given[0] == '/' || strlen(given) >= sizeof path ||
        (type != AE_IFREG && type != AE_IFDIR) || archive_entry_hardlink(e)) {
        errno = EINVAL;
        return -1;
    }
    memcpy(path, given, strlen(given) + 1);
    int dir = walk(root, path, &name);
    if (dir < 0)
        return -1;
    if (!*name || type == AE_IFDIR) {
        dir = *name ? enter(dir, name) : dir;
        if (dir >= 0)
            close(dir);
        return dir < 0 ? -1 : 0;
    }
    int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC,
                    archive_entry_perm(e) & 0111 ? 0755 : 0644);
    int status = fd < 0 ? -1 : copy_entry(ar, fd, left);
    int saved = errno;
    if (fd >= 0)
        close(fd);
    close(dir);
    errno = saved;
    return status;
}

static int place_entries(struct archive *ar, int root, int note_fd)
{
    struct archive_entry *e;
    int64_t left = PLACE_MAX_BYTES;
    int status;
    for (int count = 0; (status = archive_read_next_header(ar, &e)) == ARCHIVE_OK; count++) {
        if (count == PLACE_MAX_ENTRIES)
            return refuse(note_fd, "it has too many entries", NULL, NULL);
        if (place_entry(ar, e, root, &left) < 0)
            return refuse(note_fd, "entry", archive_entry_pathname(e), strerror(errno));
    }
    if (status != ARCHIVE_EOF)
        return refuse(note_fd, "it is damaged", NULL, archive_error_string(ar));
    return 0;
}

int place_archive(int code_fd, const char *folder, int note_fd)
{
    int root = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct archive *ar = archive_read_new();
    int status;
    if (root < 0 || !ar) {
        status = refuse(note_fd, "no folder", folder, strerror(errno));
    } else {
        archive_read_support_format_zip(ar);
        archive_read_support_format_tar(ar);
        archive_read_support_filter_gzip(ar);
        lseek(code_fd, 0, SEEK_SET);
        if (archive_read_open_fd(ar, code_fd, 64 << 10) != ARCHIVE_OK)
            status = refuse(note_fd, "it is damaged", NULL, archive_error_string(ar));
        else
            status = place_entries(ar, root, note_fd);
    }
    archive_read_free(ar);
    if (root >= 0)
        close(root);
    return status;
}

int place_file(int code_fd, const char *folder, const char *name, int note_fd)
{
    struct stat st = {0};
    int root = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int fd = root < 0 || strchr(name, '/')
                 ? -1
                 : openat(root, name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0755);
    bool good = fd >= 0 && fstat(code_fd, &st) == 0;
    off_t at = 0;
    while (good && at < st.st_size)
        good = sendfile(fd, code_fd, &at, (size_t)(st.st_size - at)) > 0;
    if (!good)
        dprintf(note_fd, "The code could not be written: %s", strerror(errno));
    if (fd >= 0)
        close(fd);
    if (root >= 0)
        close(root);
    return good ? 0 : 1;
}
