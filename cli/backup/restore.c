/* narae restore FILE --data=DIR: while no naraed runs there. The archive is unpacked beside what is there and judged as a whole: each sum, its
 * release, and whether the code of every function is in it. Until then nothing changes.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/backup/backup.h"
#include "cli/cli.h"
#include "cli/verbs.h"
#include "common/base/mem.h"

/* What the registry that was unpacked says. */
struct content {
    int64_t functions, records, missing;
    bool sealed;
};

static int open_file(const char *file, struct nr_err *err)
{
    bool in = strcmp(file, "-") == 0;
    struct stat st;

    if (in && isatty(STDIN_FILENO))
        return nr_err_set(err, NR_EINVAL,
                          "a backup is no text: send one into the pipe, or name a file");
    int fd = in ? dup(STDIN_FILENO) : open(file, O_RDONLY | O_CLOEXEC);

    if (fd >= 0 && fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
        (void)close(fd);
        return nr_err_set(err, NR_EINVAL, "%s is a folder: name a file in it", file);
    }
    return fd >= 0 ? fd
                   : nr_err_set(err, nr_err_from_errno(errno), "%s: %s", file, strerror(errno));
}

/* Functions whose code is not in the backup: told, for it was so when the backup was made. */
static int count_missing(const struct backup_place *p, const struct backup_database *d,
                         int64_t *ret, struct nr_err *err)
{
    char path[BACKUP_PATH_BYTES];
    sqlite3_stmt *s = NULL;
    int64_t n = 0;
    int result = sqlite3_prepare_v2(d->db,
                                    "SELECT code_folder, file FROM versions WHERE code_folder <> ''"
                                    " AND has_code GROUP BY code_folder",
                                    -1, &s, NULL);

    while (result == SQLITE_OK && (result = sqlite3_step(s)) == SQLITE_ROW) {
        int bytes = snprintf(path, sizeof(path), BACKUP_BUCKETS "/%s/%s",
                             (const char *)sqlite3_column_text(s, 0),
                             (const char *)sqlite3_column_text(s, 1));

        n += bytes >= (int)sizeof(path) || !backup_is_code(path) ||
             faccessat(p->staged_fd, path, F_OK, 0) != 0;
        result = SQLITE_OK;
    }
    (void)sqlite3_finalize(s);
    *ret = n;
    return result == SQLITE_DONE ? 0 : backup_database_failed(d, err);
}

static int count_functions(const struct backup_place *p, struct backup_database *d,
                           struct content *c, struct nr_err *err)
{
    c->functions = backup_number(d->db, BACKUP_FUNCTIONS_SQL);
    if (c->functions < 0)
        return backup_database_failed(d, err);
    c->sealed = backup_number(d->db, "SELECT count(*) FROM counters WHERE name = 'secret_key'") > 0;
    return count_missing(p, d, &c->missing, err);
}

static int count_records(const struct backup_place *p, struct backup_database *d, struct content *c,
                         struct nr_err *err)
{
    (void)p;
    c->records = backup_number(d->db, "SELECT count(*) FROM calls");
    return c->records < 0 ? backup_database_failed(d, err) : 0;
}

/* Judges each database that the head names, and only then asks what is in it. */
static int look(const struct backup_place *p, const struct backup_reader *r, struct content *c,
                struct nr_err *err)
{
    static const struct {
        const char *name;
        int (*count)(const struct backup_place *p, struct backup_database *d, struct content *c,
                     struct nr_err *err);
    } counts[] = {{"meta.db", count_functions}, {"calls.db", count_records}};
    char folder[BACKUP_PATH_BYTES];
    int n = 0, e = backup_path(folder, p->data, p->staged, err);

    for (size_t i = 0; e == 0 && i < backup_file_count; i++) {
        struct backup_database d = {0};

        if (backup_files[i].kind != BACKUP_IS_DATABASE)
            continue;
        int schema = r->schema[n++];

        if (schema == 0 && !(r->seen & 1u << i))
            continue;
        e = backup_database_open(&d, folder, backup_files[i].name, r->progress, err);
        if (e == 0)
            e = backup_database_judge(&d, schema, err);
        for (size_t k = 0; e == 0 && k < nr_countof(counts); k++)
            if (strcmp(counts[k].name, backup_files[i].name) == 0)
                e = counts[k].count(p, &d, c, err);
        backup_database_close(&d);
    }
    return e;
}

static void tell(const struct cli *c, const struct backup_place *p, const struct backup_reader *r,
                 const struct content *k)
{
    double s = backup_progress_s(r->progress);

    if (cli_json(c)) {
        nr_auto_json json_t *j = json_pack(
            "{s:s,s:s,s:s,s:I,s:I,s:I,s:s,s:f}", "data", p->data, "made", r->made, "release",
            r->release, "functions", (json_int_t)k->functions, "records", (json_int_t)k->records,
            "damaged", (json_int_t)k->missing, "before", p->aside, "seconds", s);

        cli_print_json(j);
    } else {
        (void)printf(
            "restored %s from the backup of %s (release %s): %lld functions, %lld records, "
            "%.1f s\n",
            p->data, r->made, r->release, (long long)k->functions, (long long)k->records, s);
    }
    if (p->aside[0])
        cli_note(c, "what was there before is in %s/%s", p->data, p->aside);
    if (k->missing)
        cli_note(c, "the code of %lld uploads was damaged when the backup was made",
                 (long long)k->missing);
    if (k->sealed)
        cli_note(c,
                 "credentials in it are sealed: naraed starts with the key file that belongs to it "
                 "(--secret-key-file; by default %s.secret.key)",
                 p->data);
}

static int restore(struct backup_reader *r, struct backup_place *p, struct content *k,
                   struct nr_err *err)
{
    r->dir_fd = p->staged_fd;
    r->uid = p->uid;
    r->gid = p->gid;
    int e = backup_reader_run(r, err);

    if (e == 0)
        e = look(p, r, k, err);
    if (e == 0)
        e = backup_progress_tell(r->progress, "unpacked", r->bytes, 0, err); /* the last way out */
    return e == 0 ? backup_place_swap(p, err) : e;
}

int verb_restore(struct cli *c)
{
    struct backup_progress progress;
    struct backup_reader r = {.progress = &progress};
    struct backup_place p = {.dir_fd = -1, .lock_fd = -1, .staged_fd = -1};
    struct content k = {0};
    struct nr_err err = {0};
    int e;

    backup_progress_open(&progress, c->term.err);
    e = r.fd = open_file(c->argv[0], &err);
    if (e >= 0)
        e = backup_place_open(&p, backup_data(c->text[OPT_DATA]), c->text[OPT_FORCE] != NULL, &err);
    if (e == 0 && (e = restore(&r, &p, &k, &err)) == NR_ECORRUPT)
        (void)nr_err_wrap(&err, e, "%s", c->argv[0]);
    backup_progress_close(&progress);
    if (e == 0)
        tell(c, &p, &r, &k);
    else if (p.aside[0])
        cli_note(c, "part of what was there is in %s/%s", p.data, p.aside);
    backup_place_close(&p);
    if (r.fd >= 0)
        (void)close(r.fd);
    return e == 0 ? CLI_DONE : cli_fail_why(c, backup_why(err.code), "%s", err.text);
}
