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

static int open_database(const struct backup_place *p, const char *name, sqlite3 **ret,
                         struct nr_err *err)
{
    char path[BACKUP_PATH_BYTES];

    if (snprintf(path, sizeof(path), "%s/%s/%s", p->data, p->staged, name) >= (int)sizeof(path))
        return nr_err_set(err, NR_EINVAL, "the path of the data folder is too long");
    if (sqlite3_open_v2(path, ret, SQLITE_OPEN_READONLY, NULL) != SQLITE_OK)
        return nr_err_set(err, NR_ECORRUPT, "its %s cannot be opened: %s", name,
                          sqlite3_errmsg(*ret));
    return 0;
}

/* Functions whose code is not in the backup: told, for it was so when the backup was made. */
static int64_t count_missing(const struct backup_place *p, sqlite3 *db)
{
    char path[BACKUP_PATH_BYTES];
    sqlite3_stmt *s = NULL;
    int64_t n = 0;

    if (sqlite3_prepare_v2(db,
                           "SELECT code_folder, file FROM versions WHERE code_folder <> ''"
                           " AND has_code GROUP BY code_folder",
                           -1, &s, NULL) != SQLITE_OK)
        return 0;
    while (sqlite3_step(s) == SQLITE_ROW) {
        (void)snprintf(path, sizeof(path), BACKUP_BUCKETS "/%s/%s",
                       (const char *)sqlite3_column_text(s, 0),
                       (const char *)sqlite3_column_text(s, 1));
        n += faccessat(p->staged_fd, path, F_OK, 0) != 0;
    }
    (void)sqlite3_finalize(s);
    return n;
}

/* Each database is what the head says of it. */
static int check_schemas(const struct backup_place *p, const struct backup_reader *r,
                         struct nr_err *err)
{
    int n = 0, e = 0;

    for (size_t i = 0; e == 0 && i < backup_file_count; i++) {
        sqlite3 *db = NULL;

        if (backup_files[i].kind != BACKUP_IS_DATABASE || r->schema[n++] == 0)
            continue;
        e = open_database(p, backup_files[i].name, &db, err);
        if (e == 0 && backup_number(db, "PRAGMA user_version") != r->schema[n - 1])
            e = nr_err_set(err, NR_ECORRUPT, "its %s is not the database that " BACKUP_HEAD " says",
                           backup_files[i].name);
        (void)sqlite3_close(db);
    }
    return e;
}

static int look(const struct backup_place *p, struct content *c, struct nr_err *err)
{
    sqlite3 *registry = NULL, *calls = NULL;
    int r = open_database(p, "meta.db", &registry, err);

    if (r == 0) {
        c->functions = backup_number(registry, "SELECT count(*) FROM functions");
        c->sealed =
            backup_number(registry, "SELECT count(*) FROM counters WHERE name = 'secret_key'") > 0;
        c->missing = count_missing(p, registry);
    }
    if (r == 0 && faccessat(p->staged_fd, "calls.db", F_OK, 0) == 0 &&
        (r = open_database(p, "calls.db", &calls, err)) == 0)
        c->records = backup_number(calls, "SELECT count(*) FROM calls");
    (void)sqlite3_close(registry);
    (void)sqlite3_close(calls);
    return r == 0 && c->functions < 0 ? nr_err_set(err, NR_ECORRUPT, "its registry cannot be read")
                                      : r;
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
        e = check_schemas(p, r, err);
    if (e == 0)
        e = look(p, k, err);
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
