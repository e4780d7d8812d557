/* Writing: a temporary file in the same folder, fsync, rename over the name, fsync of the folder. A crash before the rename leaves
 * a file `.tmp-<16 hex>` that nobody reads. Removing: every step is relative to an open folder and follows no link, so that a
 * tenant who swaps a folder for a link while we work cannot lead us out.
 */
#include "common/base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/mem.h"

enum { TEMPORARY_BYTES = 5 + 16 + 1, REMOVE_DEPTH = 48, READ_BYTES = 4096 };

static int fail(struct nr_err *err, const char *path, const char *what)
{
    int errnum = errno;

    return nr_err_set(err, nr_err_from_errno(errnum), "%s: %s: %s", path, what, strerror(errnum));
}

static void temporary_name(char out[TEMPORARY_BYTES])
{
    unsigned char random[8];

    nr_random(random, sizeof(random));
    memcpy(out, ".tmp-", 5);
    nr_hex(random, sizeof(random), out + 5);
}

static int write_all(int fd, struct nr_str bytes)
{
    while (bytes.n) {
        ssize_t n = write(fd, bytes.p, bytes.n);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        bytes.p += n;
        bytes.n -= (size_t)n;
    }
    return 0;
}

static int write_synced(int dirfd, const char *name, struct nr_str bytes, mode_t mode)
{
    nr_auto_close int fd =
        openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0 || write_all(fd, bytes) < 0 || fchmod(fd, mode) < 0 || fsync(fd) < 0)
        return -1;
    /* Some file systems report a lost write only here. */
    return close(nr_steal_fd(&fd));
}

int nr_file_write(const char *dir, const char *name, struct nr_str bytes, mode_t mode,
                  struct nr_err *err)
{
    char temporary[TEMPORARY_BYTES];
    nr_auto_close int dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (dirfd < 0)
        return fail(err, dir, "cannot be opened");
    temporary_name(temporary);
    if (write_synced(dirfd, temporary, bytes, mode) < 0 ||
        renameat(dirfd, temporary, dirfd, name) < 0) {
        int errnum = errno;

        (void)unlinkat(dirfd, temporary, 0);
        return nr_err_set(err, nr_err_from_errno(errnum), "%s/%s: cannot be written: %s", dir, name,
                          strerror(errnum));
    }
    return fsync(dirfd) < 0 ? fail(err, dir, "cannot be synced") : 0;
}

/* Reads to the end, one byte more than allowed at most. */
static int read_all(int fd, struct nr_buf *b, size_t first_bytes)
{
    size_t want = first_bytes;

    for (;;) {
        if (want > b->max_bytes - b->n)
            want = b->max_bytes - b->n;
        if (want == 0)
            return 0;
        char *at = nr_buf_room(b, want);

        if (at == NULL)
            return NR_ENOMEM;
        ssize_t n = read(fd, at, want);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return nr_err_from_errno(errno);
        if (n == 0)
            return 0;
        nr_buf_took(b, (size_t)n);
        want = READ_BYTES;
    }
}

static void buf_cleanup(struct nr_buf *b)
{
    nr_buf_fini(b);
}

int nr_file_read(const char *path, size_t max_bytes, char **ret_bytes, size_t *ret_n,
                 struct nr_err *err)
{
    struct stat st;
    struct nr_buf b __attribute__((cleanup(buf_cleanup)));
    size_t n;

    nr_buf_init(&b, max_bytes < SIZE_MAX ? max_bytes + 1 : max_bytes);
    nr_auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0 || fstat(fd, &st) < 0)
        return fail(err, path, "cannot be opened");
    if (S_ISDIR(st.st_mode))
        return nr_err_set(err, NR_EINVAL, "%s: it is a folder, a file is needed", path);
    if (S_ISREG(st.st_mode) && (uint64_t)st.st_size > max_bytes)
        return nr_err_set(err, NR_ETOOBIG, "%s: %llu bytes, at most %zu are allowed", path,
                          (unsigned long long)st.st_size, max_bytes);
    int r = read_all(fd, &b, S_ISREG(st.st_mode) ? (size_t)st.st_size + 1 : READ_BYTES);

    if (r < 0)
        return nr_err_set(err, r, "%s: cannot be read: %s", path, nr_err_text(r));
    if (b.n > max_bytes)
        return nr_err_set(err, NR_ETOOBIG, "%s: more than the %zu bytes that are allowed", path,
                          max_bytes);
    char *bytes = nr_buf_detach(&b, &n);

    if (bytes == NULL)
        return nr_err_set(err, NR_ENOMEM, "%s: no memory to read it", path);
    *ret_bytes = bytes;
    if (ret_n)
        *ret_n = n;
    return 0;
}

int nr_dir_sync(const char *path, struct nr_err *err)
{
    nr_auto_close int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    return fd < 0 || fsync(fd) < 0 ? fail(err, path, "cannot be synced") : 0;
}

/* Makes path[0..n) when it is not there. */
static int make_one(const char *path, size_t n, mode_t mode, struct nr_err *err)
{
    char part[PATH_MAX];
    struct stat st;

    memcpy(part, path, n);
    part[n] = '\0';
    if (mkdir(part, mode) < 0) {
        if (errno != EEXIST)
            return fail(err, part, "cannot be made");
        if (stat(part, &st) < 0 || !S_ISDIR(st.st_mode))
            return nr_err_set(err, NR_EINVAL, "%s: is not a folder", part);
        return 0;
    }
    if (chmod(part, mode) < 0)
        return fail(err, part, "cannot be made");
    char *slash = strrchr(part, '/');

    if (slash == NULL)
        return nr_dir_sync(".", err);
    slash[slash == part ? 1 : 0] = '\0';
    return nr_dir_sync(part, err);
}

int nr_dir_make(const char *path, mode_t mode, struct nr_err *err)
{
    size_t n = strlen(path);

    while (n > 1 && path[n - 1] == '/')
        n--;
    if (n == 0 || n >= PATH_MAX)
        return nr_err_set(err, NR_EINVAL, "\"%.64s\": is not a path", path);
    for (size_t i = 1; i < n; i++) {
        int r = path[i] == '/' && path[i - 1] != '/' ? make_one(path, i, 0755, err) : 0;

        if (r < 0)
            return r;
    }
    return make_one(path, n, mode, err);
}

static int empty_dir(int top, int dirfd, int depth);

/* Removes one entry of an open folder. What lies deeper than we want open files for is first moved up to the top. */
static int remove_entry(int top, int dirfd, const char *name, int depth)
{
    char moved[TEMPORARY_BYTES];

    if (unlinkat(dirfd, name, 0) == 0 || errno == ENOENT)
        return 0;
    if (errno != EISDIR && errno != EPERM)
        return -1;
    if (unlinkat(dirfd, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
        return 0;
    if (depth >= REMOVE_DEPTH) {
        temporary_name(moved);
        return renameat(dirfd, name, top, moved);
    }
    nr_auto_close int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0 || empty_dir(top, fd, depth + 1) < 0)
        return -1;
    return unlinkat(dirfd, name, AT_REMOVEDIR);
}

static int empty_dir(int top, int dirfd, int depth)
{
    int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);

    if (dir == NULL) {
        if (fd >= 0)
            (void)close(fd);
        return -1;
    }
    for (struct dirent *e; r == 0 && (errno = 0, e = readdir(dir)) != NULL;)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            r = remove_entry(top, dirfd, e->d_name, depth);
    int errnum = errno;

    (void)closedir(dir);
    errno = errnum;
    return r < 0 || errnum != 0 ? -1 : 0;
}

int nr_dir_remove(const char *path, struct nr_err *err)
{
    nr_auto_close int top = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (top < 0)
        return errno == ENOENT ? 0 : fail(err, path, "cannot be opened");
    /* Again while entries were moved up behind the reading position. */
    do {
        if (empty_dir(top, top, 0) < 0)
            return fail(err, path, "cannot be emptied");
    } while (rmdir(path) < 0 && errno == ENOTEMPTY);
    return access(path, F_OK) == 0 ? fail(err, path, "cannot be removed") : 0;
}
