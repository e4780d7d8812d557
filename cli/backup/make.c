/* narae backup FILE: while naraed serves, or not. The file comes into being under another name, is on disk before it gets its own, and is
 * readable for nobody else: it holds the administrator's key. `-` is the standard output, for programs that encrypt or carry it away.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/backup/backup.h"
#include "cli/cli.h"
#include "cli/verbs.h"
#include "common/base/file.h"

/* Where a backup goes. */
struct target {
    const char *file; /* lent; NULL: the standard output */
    char dir[BACKUP_PATH_BYTES], part[BACKUP_PATH_BYTES];
    int fd;
    bool force;
};

static int open_stdout(struct target *t, const char *data, struct nr_err *err)
{
    if (isatty(STDOUT_FILENO))
        return nr_err_set(err, NR_EINVAL,
                          "a backup is no text: send it into a pipe or a file (narae backup FILE)");
    (void)snprintf(t->dir, sizeof(t->dir), "%s", data);
    t->fd = dup(STDOUT_FILENO);
    return t->fd < 0 ? nr_err_set(err, NR_EIO, "the standard output is closed") : 0;
}

static int open_target(struct target *t, const char *data, struct nr_err *err)
{
    struct stat st;

    if (t->file == NULL)
        return open_stdout(t, data, err);
    const char *slash = strrchr(t->file, '/');
    size_t n = slash ? (size_t)(slash - t->file) : 0;

    if (strlen(t->file) + 8 > sizeof(t->part))
        return nr_err_set(err, NR_EINVAL, "the name of the file is too long");
    (void)snprintf(t->dir, sizeof(t->dir), "%.*s", slash ? (n ? (int)n : 1) : 1,
                   slash ? t->file : ".");
    if (stat(t->file, &st) == 0 && !S_ISREG(st.st_mode))
        return nr_err_set(err, NR_EINVAL, "%s is no file: name a new file%s", t->file,
                          S_ISDIR(st.st_mode) ? " in it" : "");
    if (!t->force && access(t->file, F_OK) == 0)
        return nr_err_set(err, NR_EEXIST, "%s is there already; --force replaces it", t->file);
    (void)snprintf(t->part, sizeof(t->part), "%s.XXXXXX", t->file);
    t->fd = mkostemp(t->part, O_CLOEXEC); /* 0600 */
    if (t->fd < 0) {
        t->part[0] = '\0';
        return nr_err_set(err, nr_err_from_errno(errno), "%s cannot be written: %s", t->file,
                          strerror(errno));
    }
    return 0;
}

/* On disk, then under its name. */
static int finish_target(struct target *t, struct nr_err *err)
{
    if (t->file == NULL)
        return 0;
    int r = fsync(t->fd);

    if (r == 0 && t->force)
        r = rename(t->part, t->file);
    else if (r == 0 && (r = link(t->part, t->file)) == 0)
        (void)unlink(t->part);
    else if (r != 0 && errno == EPERM && access(t->file, F_OK) != 0) /* no links here */
        r = rename(t->part, t->file);
    if (r != 0)
        return nr_err_set(err, nr_err_from_errno(errno), "%s cannot be written: %s", t->file,
                          strerror(errno));
    t->part[0] = '\0';
    return nr_dir_sync(t->dir, err);
}

static void close_target(struct target *t)
{
    if (t->fd >= 0)
        (void)close(t->fd);
    if (t->part[0])
        (void)unlink(t->part);
}

static void tell(const struct cli *c, const struct target *t, const struct backup_copy *k,
                 const struct backup_writer *w, int64_t file_bytes)
{
    double s = backup_progress_s(k->progress);
    FILE *out = t->file ? stdout : stderr;

    if (cli_json(c)) {
        nr_auto_json json_t *j =
            json_pack("{s:s,s:I,s:I,s:I,s:I,s:I,s:I,s:f}", "file", t->file ? t->file : "-",
                      "functions", (json_int_t)k->functions, "records", (json_int_t)k->records,
                      "codeFiles", (json_int_t)k->files, "damaged", (json_int_t)k->damaged, "bytes",
                      (json_int_t)w->bytes, "fileBytes", (json_int_t)file_bytes, "seconds", s);

        (void)json_dumpf(j, out, JSON_INDENT(2) | JSON_SORT_KEYS);
        (void)fputc('\n', out);
    } else {
        (void)fprintf(out,
                      "backup of %s in %s: %lld functions, %lld records, %lld code files, "
                      "%.1f MB of %.1f MB, %.1f s\n",
                      k->data, t->file ? t->file : "the standard output", (long long)k->functions,
                      (long long)k->records, (long long)k->files, (double)file_bytes / 1e6,
                      (double)w->bytes / 1e6, s);
    }
    if (k->sealed)
        cli_note(
            c,
            "credentials in it are sealed under a key that is not in it: keep a copy of that file "
            "(--secret-key-file of naraed) in another place");
}

static int64_t size_of(const struct target *t)
{
    struct stat st;

    return t->file && fstat(t->fd, &st) == 0 ? st.st_size : 0;
}

int verb_backup(struct cli *c)
{
    struct target t = {.file = strcmp(c->argv[0], "-") ? c->argv[0] : NULL,
                       .fd = -1,
                       .force = c->text[OPT_FORCE] != NULL};
    struct backup_progress progress;
    struct backup_writer w = {0};
    struct backup_copy k = {.data = backup_data(c->text[OPT_DATA]),
                            .tmp_dir = t.dir,
                            .progress = &progress,
                            .writer = &w};
    struct nr_err err = {0};

    backup_progress_open(&progress, c->term.err);
    int r = open_target(&t, k.data, &err);

    if (r == 0)
        r = backup_writer_open(&w, t.fd, &progress, &err);
    if (r == 0)
        r = backup_copy_run(&k, &err);
    if (r == 0)
        r = finish_target(&t, &err);
    backup_progress_close(&progress);
    if (r == 0)
        tell(c, &t, &k, &w, size_of(&t));
    backup_writer_close(&w);
    close_target(&t);
    if (r < 0)
        return cli_fail_why(c, backup_why(err.code), "%s", err.text);
    return k.damaged
               ? cli_fail_why(
                     c, WHY_PARTLY,
                     "the backup was made, but the code of %lld uploads is damaged and not in it",
                     (long long)k.damaged)
               : CLI_DONE;
}
