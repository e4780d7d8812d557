/* The archive is foreign bytes. Only names of the table and of code files are taken, each once, as plain files, below the folder that is given;
 * sizes have ceilings. The sum of each member is taken while it is written, so that one pass is enough: the list of sums comes last, and is
 * compared with the one that was made on the way.
 */
#include "cli/backup/backup.h"

#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/mem.h"

enum { BLOCK_BYTES = 1 << 20, DIR_MODE = 0700 };

static int refuse(struct nr_err *err, const char *what)
{
    return nr_err_set(err, NR_ECORRUPT, "it is no whole backup: %s", what);
}

static int read_failed(struct backup_reader *r, struct nr_err *err)
{
    const char *text = archive_error_string(r->a);
    int e = backup_progress_tell(r->progress, "unpacked", r->bytes, 0, err);

    if (e < 0)
        return e;
    return nr_err_set(err, NR_ECORRUPT, "it is no whole backup: %s",
                      text ? text : "it cannot be read");
}

/* ---- folders ------------------------------------------------------------------------------------------------------- */

static int make_dir(struct backup_reader *r, const char *path, struct nr_err *err)
{
    if (mkdirat(r->dir_fd, path, DIR_MODE) != 0)
        return errno == EEXIST
                   ? 0
                   : nr_err_set(err, nr_err_from_errno(errno), "the folder %s cannot be made: %s",
                                path, strerror(errno));
    if (r->uid != (uid_t)-1 && fchownat(r->dir_fd, path, r->uid, r->gid, AT_SYMLINK_NOFOLLOW) != 0)
        return nr_err_set(err, nr_err_from_errno(errno), "%s cannot be given to its owner: %s",
                          path, strerror(errno));
    return 0;
}

/* The folders above a code file. */
static int make_dirs(struct backup_reader *r, const char *name, struct nr_err *err)
{
    size_t n = (size_t)(strrchr(name, '/') - name);
    char path[BACKUP_PATH_BYTES];
    int e = 0;

    if (strlen(r->last_dir) == n && strncmp(r->last_dir, name, n) == 0)
        return 0;
    if (n >= sizeof(path))
        return refuse(err, "it has a name that is too long");
    (void)snprintf(path, sizeof(path), "%.*s", (int)n, name);
    for (char *slash = path; e == 0 && (slash = strchr(slash, '/')) != NULL; slash++) {
        size_t above = (size_t)(slash - path);

        if (strncmp(r->last_dir, path, above) == 0 && r->last_dir[above] == '/')
            continue; /* it was made for the file before */
        *slash = '\0';
        e = make_dir(r, path, err);
        *slash = '/';
    }
    if (e == 0)
        e = make_dir(r, path, err);
    if (e == 0)
        memcpy(r->last_dir, path, n + 1);
    return e;
}

/* ---- members ------------------------------------------------------------------------------------------------------- */

static void add_line(struct backup_reader *r, const char *name)
{
    unsigned char sum[NR_SHA256_BYTES];
    char hex[BACKUP_HEX_BYTES];

    nr_check(EVP_DigestFinal_ex(r->md, sum, NULL) == 1);
    nr_hex(sum, sizeof(sum), hex);
    nr_buf_printf(&r->sums, "%s  %s\n", hex, name);
}

/* The member's bytes into a descriptor or, when that is -1, behind `out`. */
static int take_bytes(struct backup_reader *r, const char *name, int fd, int64_t bytes,
                      struct nr_buf *out, struct nr_err *err)
{
    int64_t at = 0;
    la_ssize_t n;

    while ((n = archive_read_data(r->a, r->block, BLOCK_BYTES)) > 0) {
        at += n;
        r->bytes += n;
        nr_check(EVP_DigestUpdate(r->md, r->block, (size_t)n) == 1);
        if (fd < 0)
            nr_buf_add(out, r->block, (size_t)n);
        for (ssize_t done = 0, w; fd >= 0 && done < n; done += w)
            if ((w = write(fd, r->block + done, (size_t)(n - done))) < 0) {
                if (errno != EINTR)
                    return nr_err_set(err, nr_err_from_errno(errno), "%s cannot be written: %s",
                                      name, strerror(errno));
                w = 0;
            }
        int e = backup_progress_tell(r->progress, "unpacked", r->bytes, 0, err);

        if (e < 0)
            return e;
    }
    if (n < 0)
        return read_failed(r, err);
    return at == bytes ? 0 : refuse(err, "a member is shorter than it says");
}

static int take_file(struct backup_reader *r, const char *name, int64_t bytes, mode_t mode,
                     struct nr_err *err)
{
    nr_auto_close int fd =
        openat(r->dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

    if (fd < 0 && errno == EEXIST)
        return refuse(err, "a name is in it twice");
    if (fd < 0)
        return nr_err_set(err, nr_err_from_errno(errno), "%s cannot be written: %s", name,
                          strerror(errno));
    int e = take_bytes(r, name, fd, bytes, NULL, err);

    if (e == 0 &&
        (fchmod(fd, mode) != 0 || (r->uid != (uid_t)-1 && fchown(fd, r->uid, r->gid) != 0)))
        e = nr_err_set(err, nr_err_from_errno(errno), "%s cannot be given to its owner: %s", name,
                       strerror(errno));
    if (e == 0)
        add_line(r, name);
    return e;
}

static int take_head(struct backup_reader *r, int64_t bytes, struct nr_err *err)
{
    struct nr_buf text;

    nr_buf_init(&text, BACKUP_SMALL_MAX_BYTES);
    int e = bytes > BACKUP_SMALL_MAX_BYTES ? refuse(err, BACKUP_HEAD " is too large")
                                           : take_bytes(r, BACKUP_HEAD, -1, bytes, &text, err);
    if (e == 0)
        e = backup_head_read(r, nr_buf_str(&text), err);
    if (e == 0)
        add_line(r, BACKUP_HEAD);
    nr_buf_fini(&text);
    r->has_head = true;
    return e;
}

/* The first line that differs names what is damaged. */
static int compare_sums(const struct backup_reader *r, struct nr_str said, struct nr_err *err)
{
    struct nr_str rest = nr_buf_str(&r->sums), line, other;

    if (nr_str_eq(said, rest))
        return 0;
    while (nr_str_split(&rest, '\n', &line) && nr_str_split(&said, '\n', &other))
        if (!nr_str_eq(line, other))
            break;
    return nr_err_set(err, NR_ECORRUPT,
                      "it is damaged: the sum of %.*s is not the one that was written",
                      line.n > BACKUP_HEX_BYTES ? (int)(line.n - BACKUP_HEX_BYTES - 1) : 0,
                      line.n > BACKUP_HEX_BYTES ? line.p + BACKUP_HEX_BYTES + 1 : "");
}

static int take_sums(struct backup_reader *r, int64_t bytes, struct nr_err *err)
{
    struct nr_buf text;

    nr_buf_init(&text, BACKUP_SUMS_MAX_BYTES);
    int e = bytes != (int64_t)r->sums.n ? refuse(err, "the list of sums is that of another one")
                                        : take_bytes(r, BACKUP_SUMS, -1, bytes, &text, err);
    if (e == 0 && (text.failed || r->sums.failed))
        e = nr_err_set(err, NR_ENOMEM, "there is no memory for the list of sums");
    if (e == 0)
        e = compare_sums(r, nr_buf_str(&text), err);
    nr_buf_fini(&text);
    r->has_sums = true;
    return e;
}

static int take_named(struct backup_reader *r, const struct backup_file *f, int64_t bytes,
                      struct nr_err *err)
{
    if (f->kind == BACKUP_IS_SMALL && bytes > BACKUP_SMALL_MAX_BYTES)
        return refuse(err, "a key file is too large");
    r->seen |= 1u << (f - backup_files);
    return take_file(r, f->name, bytes, f->mode, err);
}

static int take_code(struct backup_reader *r, const char *name, int64_t bytes, mode_t mode,
                     struct nr_err *err)
{
    if (bytes > BACKUP_CODE_MAX_BYTES)
        return nr_err_set(err, NR_ETOOBIG,
                          "it holds a code file of %lld bytes; at most %lld are allowed",
                          (long long)bytes, BACKUP_CODE_MAX_BYTES);
    int e = make_dirs(r, name, err);

    return e < 0 ? e : take_file(r, name, bytes, mode & 0111 ? 0555 : 0444, err);
}

static int take_member(struct backup_reader *r, struct archive_entry *e, struct nr_err *err)
{
    const char *name = archive_entry_pathname(e);
    int64_t bytes = archive_entry_size(e);
    const struct backup_file *f = name ? backup_file_find(name) : NULL;

    r->members++;
    nr_check(EVP_DigestInit_ex(r->md, EVP_sha256(), NULL) == 1);
    if (name == NULL || archive_entry_filetype(e) != AE_IFREG || archive_entry_hardlink(e) ||
        bytes < 0)
        return refuse(err, "it holds something that is no plain file");
    if (r->has_sums)
        return refuse(err, "something follows the list of sums");
    if (!r->has_head)
        return strcmp(name, BACKUP_HEAD) == 0 ? take_head(r, bytes, err)
                                              : refuse(err, "it does not begin with " BACKUP_HEAD);
    if (strcmp(name, BACKUP_SUMS) == 0)
        return take_sums(r, bytes, err);
    if (f)
        return take_named(r, f, bytes, err);
    return backup_is_code(name) ? take_code(r, name, bytes, archive_entry_perm(e), err)
                                : refuse(err, "it holds a file that no backup has");
}

/* ---- all of it ------------------------------------------------------------------------------------------------------ */

/* A pipe out of which nothing comes does not keep a signal waiting. */
static la_ssize_t on_read(struct archive *a, void *reader, const void **ret_bytes)
{
    struct backup_reader *r = reader;
    struct pollfd wait[2] = {{.fd = r->fd, .events = POLLIN},
                             {.fd = r->progress->signals, .events = POLLIN}};
    ssize_t n;

    while (poll(wait, 2, -1) < 0 && errno == EINTR)
        continue;
    if (wait[1].revents) {
        archive_set_error(a, EINTR, "a signal came");
        return -1;
    }
    while ((n = read(r->fd, r->input, BLOCK_BYTES)) < 0 && errno == EINTR)
        continue;
    if (n < 0)
        archive_set_error(a, errno, "it cannot be read: %s", strerror(errno));
    *ret_bytes = r->input;
    return n;
}

static int open_archive(struct backup_reader *r, struct nr_err *err)
{
    r->a = archive_read_new();
    r->md = EVP_MD_CTX_new();
    r->block = nr_try_alloc(BLOCK_BYTES);
    r->input = nr_try_alloc(BLOCK_BYTES);
    nr_buf_init(&r->sums, BACKUP_SUMS_MAX_BYTES);
    if (r->a == NULL || r->md == NULL || r->block == NULL || r->input == NULL)
        return nr_err_set(err, NR_ENOMEM, "there is no memory to read a backup");
    (void)archive_read_support_filter_zstd(r->a);
    (void)archive_read_support_format_tar(r->a);
    return archive_read_open(r->a, r, NULL, on_read, NULL) == ARCHIVE_OK ? 0 : read_failed(r, err);
}

static int check_whole(const struct backup_reader *r, struct nr_err *err)
{
    if (!r->has_sums)
        return refuse(err, "it ends before the list of sums");
    for (size_t i = 0; i < backup_file_count; i++)
        if (backup_files[i].needed && !(r->seen & 1u << i))
            return nr_err_set(err, NR_ECORRUPT, "it is no whole backup: it has no %s",
                              backup_files[i].name);
    return 0;
}

int backup_reader_run(struct backup_reader *r, struct nr_err *err)
{
    struct archive_entry *entry;
    int result = ARCHIVE_EOF, e = open_archive(r, err);

    while (e == 0 && (result = archive_read_next_header(r->a, &entry)) == ARCHIVE_OK)
        e = take_member(r, entry, err);
    if (e == 0 && result != ARCHIVE_EOF)
        e = read_failed(r, err);
    if (e == 0)
        e = check_whole(r, err);
    (void)archive_read_free(r->a);
    EVP_MD_CTX_free(r->md);
    nr_buf_fini(&r->sums);
    free(r->block);
    free(r->input);
    return e;
}
