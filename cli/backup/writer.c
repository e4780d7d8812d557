/* The archive is written as a stream, so that it can go into a pipe; one out of which nobody reads does not keep a signal waiting. Each member's sum is taken on the way and remembered as a line; the lines
 * are the last member: a file that ends before them is half a backup.
 */
#include <archive_entry.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/backup/backup.h"
#include "common/base/clock.h"
#include "common/base/mem.h"

enum { BLOCK_BYTES = 1 << 20 };

static int fail(struct backup_writer *w, struct nr_err *err)
{
    int e = backup_progress_tell(w->progress, "written", w->bytes, 0, err);

    if (e < 0)
        return e;
    e = archive_errno(w->a);
    const char *text = archive_error_string(w->a);

    return nr_err_set(err, e > 0 ? nr_err_from_errno(e) : NR_EIO,
                      "the backup cannot be written: %s", text ? text : strerror(e));
}

/* As much as goes without waiting: what poll() promises of a pipe is PIPE_BUF bytes. The descriptor is shared with others, so its flags are not
 * ours to change. */
static ssize_t write_some(const struct backup_writer *w, const void *bytes, size_t n)
{
    if (w->to == BACKUP_TO_SOCKET)
        return send(w->fd, bytes, n, MSG_DONTWAIT);
    return write(w->fd, bytes, w->to == BACKUP_TO_PIPE && n > PIPE_BUF ? PIPE_BUF : n);
}

static la_ssize_t on_write(struct archive *a, void *writer, const void *bytes, size_t n)
{
    const struct backup_writer *w = writer;
    struct pollfd wait[2] = {{.fd = w->progress->signals, .events = POLLIN},
                             {.fd = w->fd, .events = POLLOUT}};
    ssize_t done;

    do {
        while (poll(wait, 2, -1) < 0 && errno == EINTR)
            continue;
        if (wait[0].revents) {
            archive_set_error(a, EINTR, "a signal came");
            return -1;
        }
        done = write_some(w, bytes, n);
    } while (done < 0 && (errno == EINTR || errno == EAGAIN));
    if (done < 0)
        archive_set_error(a, errno, "%s", strerror(errno));
    return done;
}

static enum backup_to kind_of(int fd)
{
    struct stat st;

    if (fstat(fd, &st) != 0)
        return BACKUP_TO_FILE;
    return S_ISFIFO(st.st_mode)   ? BACKUP_TO_PIPE
           : S_ISSOCK(st.st_mode) ? BACKUP_TO_SOCKET
                                  : BACKUP_TO_FILE;
}

int backup_writer_open(struct backup_writer *w, int fd, struct backup_progress *p,
                       struct nr_err *err)
{
    *w = (struct backup_writer){.fd = fd,
                                .to = kind_of(fd),
                                .progress = p,
                                .a = archive_write_new(),
                                .md = EVP_MD_CTX_new(),
                                .block = nr_try_alloc(BLOCK_BYTES)};
    nr_buf_init(&w->sums, BACKUP_SUMS_MAX_BYTES);
    if (w->a == NULL || w->md == NULL || w->block == NULL)
        return nr_err_set(err, NR_ENOMEM, "there is no memory to write a backup");
    if (archive_write_set_format_pax_restricted(w->a) != ARCHIVE_OK)
        return fail(w, err);
    if (archive_write_add_filter_zstd(w->a) == ARCHIVE_OK)
        (void)archive_write_set_filter_option(w->a, "zstd", "compression-level", "1");
    (void)archive_write_set_bytes_per_block(w->a, BLOCK_BYTES);
    (void)archive_write_set_bytes_in_last_block(w->a, 1);
    return archive_write_open(w->a, w, NULL, on_write, NULL) == ARCHIVE_OK ? 0 : fail(w, err);
}

static int begin(struct backup_writer *w, const char *name, int64_t bytes, mode_t mode,
                 struct nr_err *err)
{
    struct archive_entry *e = archive_entry_new();

    if (e == NULL)
        return nr_err_set(err, NR_ENOMEM, "there is no memory to write a backup");
    archive_entry_set_pathname(e, name);
    archive_entry_set_filetype(e, AE_IFREG);
    archive_entry_set_perm(e, mode);
    archive_entry_set_size(e, bytes);
    archive_entry_set_mtime(e, nr_wall_ms() / 1000, 0);
    int r = archive_write_header(w->a, e);

    archive_entry_free(e);
    nr_check(EVP_DigestInit_ex(w->md, EVP_sha256(), NULL) == 1);
    w->members++;
    return r == ARCHIVE_OK ? 0 : fail(w, err);
}

static int add(struct backup_writer *w, const char *bytes, size_t n, struct nr_err *err)
{
    nr_check(EVP_DigestUpdate(w->md, bytes, n) == 1);
    for (size_t at = 0; at < n;) {
        la_ssize_t done = archive_write_data(w->a, bytes + at, n - at);

        if (done <= 0)
            return fail(w, err);
        at += (size_t)done;
        w->bytes += done;
    }
    return 0;
}

static int end(struct backup_writer *w, const char *name, struct nr_err *err)
{
    unsigned char sum[NR_SHA256_BYTES];
    char hex[BACKUP_HEX_BYTES];

    nr_check(EVP_DigestFinal_ex(w->md, sum, NULL) == 1);
    nr_hex(sum, sizeof(sum), hex);
    nr_buf_printf(&w->sums, "%s  %s\n", hex, name);
    return w->sums.failed ? nr_err_set(err, NR_ENOMEM, "there is no memory for the list of sums")
                          : 0;
}

int backup_writer_bytes(struct backup_writer *w, const char *name, struct nr_str bytes, mode_t mode,
                        struct nr_err *err)
{
    int r = begin(w, name, (int64_t)bytes.n, mode, err);

    if (r == 0)
        r = add(w, bytes.p, bytes.n, err);
    return r == 0 ? end(w, name, err) : r;
}

int backup_writer_file(struct backup_writer *w, const char *name, int fd, int64_t bytes,
                       struct backup_progress *p, struct nr_err *err)
{
    int r = begin(w, name, bytes, 0600, err);

    for (int64_t at = 0; r == 0 && at < bytes;) {
        int64_t left = bytes - at;
        ssize_t n =
            pread(fd, w->block, left < BLOCK_BYTES ? (size_t)left : (size_t)BLOCK_BYTES, at);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return nr_err_set(err, NR_EIO, "%s: its copy cannot be read: %s", name,
                              n < 0 ? strerror(errno) : "it has become shorter");
        r = add(w, w->block, (size_t)n, err);
        at += n;
        if (r == 0)
            r = backup_progress_tell(p, name, at, bytes, err);
    }
    return r == 0 ? end(w, name, err) : r;
}

int backup_writer_end(struct backup_writer *w, struct nr_err *err)
{
    struct nr_buf sums = w->sums; /* its own line is none of them */

    nr_buf_init(&w->sums, BACKUP_SUMS_MAX_BYTES);
    int r = backup_writer_bytes(w, BACKUP_SUMS, nr_buf_str(&sums), 0600, err);

    nr_buf_fini(&sums);
    if (r == 0 && archive_write_close(w->a) != ARCHIVE_OK)
        r = fail(w, err);
    return r;
}

void backup_writer_close(struct backup_writer *w)
{
    if (w->a)
        (void)archive_write_fail(
            w->a); /* after an end: nothing; before it: nothing more is written */
    if (w->a)
        (void)archive_write_free(w->a);
    EVP_MD_CTX_free(w->md);
    nr_buf_fini(&w->sums);
    free(w->block);
    *w = (struct backup_writer){0};
}
