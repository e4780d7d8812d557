/* What goes into a backup, in an order that makes it whole. Queue and policies are copied first, the registry after them, so that whatever they
 * name is in it (or was deleted, as it may be at any time). Code comes between: a folder of code never changes once a row names it, and stays
 * for a quarter of an hour after the last row has let go of it.
 *
 * Only a restart of naraed, the deletion of an account or a full disk can take a folder away sooner. Then the registry is copied anew: what
 * its new rows name is added, what they name no more is in the archive and is swept after a restore. A folder that is missing although the
 * registry still names it is damage, and told.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/backup/backup.h"
#include "common/base/file.h"
#include "common/base/map.h"
#include "common/base/mem.h"
#include "common/data/folder_marks.h"

enum { FILES_MAX = 16, ROUNDS = 10 };

/* A folder of code that was looked at: it is in the archive, or lost. */
struct tried {
    struct nr_map_node node; /* in copying.tried; its key is `folder` */
    bool lost;
    char folder[];
};

struct copying {
    struct backup_copy *c;
    struct backup_snapshot database[FILES_MAX]; /* by the rows of backup_files */
    struct small {
        char *bytes;
        size_t n;
    } small[FILES_MAX];
    struct nr_map
        tried; /* uploads are not committed in the order of their numbers: only the folder tells */
};

static const char registry_name[] = "meta.db";

static size_t registry_at(void)
{
    return (size_t)(backup_file_find(registry_name) - backup_files);
}

/* ---- snapshots ---------------------------------------------------------------------------------------------------- */

static int take(struct copying *k, size_t i, struct nr_err *err)
{
    const struct backup_file *f = &backup_files[i];
    char path[BACKUP_PATH_BYTES];
    struct nr_err why = {0};
    int r = backup_path(path, k->c->data, f->name, err);

    backup_snapshot_drop(&k->database[i]);
    if (r == 0)
        r = backup_snapshot_take(&k->database[i], path, k->c->tmp_dir, k->c->progress, &why);
    if (r == NR_ENOENT && !f->needed)
        return 0;
    return r < 0 ? nr_err_set(err, r, "%s", why.text) : 0;
}

static void forget_small(struct small *s)
{
    if (s->bytes)
        explicit_bzero(s->bytes, s->n);
    free(s->bytes);
    *s = (struct small){0};
}

/* Reads the small files; *ret_same: they are what they were. */
static int read_small(struct copying *k, bool *ret_same, struct nr_err *err)
{
    *ret_same = true;
    for (size_t i = 0; i < backup_file_count; i++) {
        const struct backup_file *f = &backup_files[i];
        struct small now = {0};
        char path[BACKUP_PATH_BYTES];
        int r = f->kind == BACKUP_IS_SMALL ? backup_path(path, k->c->data, f->name, err) : 1;

        if (r == 0)
            r = nr_file_read(path, BACKUP_SMALL_MAX_BYTES, &now.bytes, &now.n,
                             f->needed ? err : NULL);
        if (r < 0 && (f->needed || r != NR_ENOENT))
            return nr_err_set(err, r, "%s: it cannot be read: %s", path, nr_err_text(r));
        *ret_same = *ret_same && now.n == k->small[i].n &&
                    (now.n == 0 || memcmp(now.bytes, k->small[i].bytes, now.n) == 0);
        forget_small(&k->small[i]);
        k->small[i] = now;
    }
    return 0;
}

/* The registry with the key files that belong to it: a key may be renewed while it is copied. */
static int take_registry(struct copying *k, struct nr_err *err)
{
    int schema = k->database[registry_at()].schema;
    bool same = false;
    int r = read_small(k, &same, err);

    same = false;
    for (int i = 0; r == 0 && !same && i < ROUNDS; i++) {
        r = take(k, registry_at(), err);
        if (r == 0)
            r = read_small(k, &same, err);
    }
    if (r == 0 && !same)
        r = nr_err_set(err, NR_EBUSY, "the keys in %s change without an end", k->c->data);
    if (r == 0 && schema && schema != k->database[registry_at()].schema)
        r = nr_err_set(err, NR_ECONFLICT,
                       "another release was started meanwhile: begin the backup again");
    return r;
}

/* ---- code ---------------------------------------------------------------------------------------------------------- */

struct row {
    int64_t code_bytes, sent_bytes;
    const char *folder, *file;
    const void *sha256;
};

/* 0; 1: the file is not there or not what the row says; or NR_E*. */
static int copy_file(struct copying *k, const struct row *row, const char *file, int64_t bytes,
                     const void *sha256, struct nr_err *err)
{
    char name[BACKUP_PATH_BYTES], path[BACKUP_PATH_BYTES];
    unsigned char sum[NR_SHA256_BYTES];
    nr_auto_free char *text = NULL;
    struct stat st;
    size_t n = 0;
    int r;

    (void)snprintf(name, sizeof(name), BACKUP_BUCKETS "/%s/%s", row->folder, file);
    if (!backup_is_code(name) || (r = backup_path(path, k->c->data, name, err)) < 0)
        return 1;
    if (stat(path, &st) != 0 || st.st_size != bytes || bytes > BACKUP_CODE_MAX_BYTES)
        return 1;
    r = nr_file_read(path, (size_t)bytes, &text, &n, NULL);
    if (r == NR_ENOMEM)
        return nr_err_set(err, r, "there is no memory for %s", path);
    if (r < 0 || n != (size_t)bytes)
        return 1;
    nr_sha256((struct nr_str){text, n}, sum);
    if (sha256 && memcmp(sum, sha256, sizeof(sum)) != 0)
        return 1;
    k->c->files++;
    return backup_writer_bytes(k->c->writer, name, (struct nr_str){text, n}, st.st_mode & 0555,
                               err);
}

static int copy_row(struct copying *k, const struct row *row, struct nr_err *err)
{
    int r = copy_file(k, row, row->file, row->code_bytes, row->sha256, err);

    if (r == 0 && row->sent_bytes > 0)
        r = copy_file(k, row, "sent", row->sent_bytes, NULL, err);
    if (r >= 0) {
        size_t n = strlen(row->folder);
        struct tried *t = nr_alloc(sizeof(*t) + n + 1);

        memcpy(t->folder, row->folder, n + 1);
        t->node.key = (struct nr_str){t->folder, n};
        t->lost = r == 1;
        (void)nr_map_put(&k->tried, &t->node);
        k->c->damaged += t->lost;
        r = 0;
    }
    return r < 0 ? r : backup_progress_tell(k->c->progress, "code", k->c->writer->bytes, 0, err);
}

/* Copies what the registry names and was not looked at yet. */
static int copy_code(struct copying *k, struct nr_err *err)
{
    sqlite3 *db = k->database[registry_at()].db;
    sqlite3_stmt *s = NULL;
    int result =
        sqlite3_prepare_v2(db,
                           "SELECT code_folder, file, code_bytes, sent_bytes, sha256 FROM versions"
                           " WHERE code_folder <> '' AND has_code GROUP BY code_folder",
                           -1, &s, NULL);
    int r = 0;

    while (result == SQLITE_OK && r == 0 && (result = sqlite3_step(s)) == SQLITE_ROW) {
        const struct row row = {.folder = (const char *)sqlite3_column_text(s, 0),
                                .file = (const char *)sqlite3_column_text(s, 1),
                                .code_bytes = sqlite3_column_int64(s, 2),
                                .sent_bytes = sqlite3_column_int64(s, 3),
                                .sha256 = sqlite3_column_bytes(s, 4) == NR_SHA256_BYTES
                                              ? sqlite3_column_blob(s, 4)
                                              : NULL};

        if (nr_map_get(&k->tried, nr_str_of(row.folder)) == NULL)
            r = copy_row(k, &row, err);
        result = SQLITE_OK;
    }
    if (r == 0 && result != SQLITE_DONE)
        r = nr_err_set(err, NR_ECORRUPT, "the registry cannot be read: %s", sqlite3_errmsg(db));
    (void)sqlite3_finalize(s);
    return r;
}

/* Of the folders that were missing: those that the registry in the backup names are said, the others belong to nobody. */
static void tell_lost(struct copying *k)
{
    sqlite3 *db = k->database[registry_at()].db;
    sqlite3_stmt *s = NULL;

    k->c->damaged = 0;
    if (sqlite3_prepare_v2(db, "SELECT 1 FROM versions WHERE code_folder = ?1 LIMIT 1", -1, &s,
                           NULL) != SQLITE_OK)
        return;
    struct nr_map_node *n = NULL;
    size_t at = 0;

    while ((n = nr_map_next(&k->tried, &at, n)) != NULL) {
        const struct tried *l = nr_container_of(n, struct tried, node);

        if (!l->lost)
            continue;
        (void)sqlite3_bind_text(s, 1, l->folder, -1, SQLITE_STATIC);
        if (sqlite3_step(s) == SQLITE_ROW) {
            k->c->damaged++;
            (void)fprintf(stderr,
                          "narae: the code in " BACKUP_BUCKETS
                          "/%s is not what was uploaded: it is not in the backup\n",
                          l->folder);
        }
        (void)sqlite3_reset(s);
    }
    (void)sqlite3_finalize(s);
}

static int copy_all_code(struct copying *k, struct nr_err *err)
{
    int64_t before;
    int r = 0;

    for (int i = 0; r == 0 && i < ROUNDS; i++) {
        before = k->c->damaged;
        r = copy_code(k, err);
        if (r < 0 || k->c->damaged == before || i == ROUNDS - 1) /* the registry stays this one */
            break;
        r = take_registry(k, err);
    }
    if (r == 0)
        tell_lost(k);
    return r;
}

/* ---- all of it ------------------------------------------------------------------------------------------------------- */

static int write_database(struct copying *k, size_t i, struct nr_err *err)
{
    const struct backup_snapshot *s = &k->database[i];

    return s->fd < 0 ? 0
                     : backup_writer_file(k->c->writer, backup_files[i].name, s->fd, s->bytes,
                                          k->c->progress, err);
}

static int write_head(struct copying *k, struct nr_err *err)
{
    struct nr_buf head;
    int schema[3] = {0}, n = 0;

    for (size_t i = 0; i < backup_file_count; i++)
        if (backup_files[i].kind == BACKUP_IS_DATABASE)
            schema[n++] = k->database[i].fd >= 0 ? k->database[i].schema : 0;
    nr_buf_init(&head, BACKUP_SMALL_MAX_BYTES);
    backup_head_write(&head, schema);
    int r = backup_writer_bytes(k->c->writer, BACKUP_HEAD, nr_buf_str(&head), 0600, err);

    nr_buf_fini(&head);
    return r;
}

static int write_small(struct copying *k, struct nr_err *err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < backup_file_count; i++)
        if (k->small[i].bytes)
            r = backup_writer_bytes(k->c->writer, backup_files[i].name,
                                    (struct nr_str){k->small[i].bytes, k->small[i].n}, 0600, err);
    return r;
}

static void count(struct copying *k)
{
    const struct backup_snapshot *registry = &k->database[registry_at()];
    const struct backup_snapshot *calls = &k->database[backup_file_find("calls.db") - backup_files];

    k->c->functions = backup_number(registry->db, BACKUP_FUNCTIONS_SQL);
    k->c->records = calls->db ? backup_number(calls->db, "SELECT count(*) FROM calls") : 0;
    k->c->sealed =
        backup_number(registry->db, "SELECT count(*) FROM counters WHERE name = 'secret_key'") > 0;
}

static int find_registry(const struct copying *k, struct nr_err *err)
{
    char path[BACKUP_PATH_BYTES];
    int r = backup_path(path, k->c->data, NR_MARK_RESTORING, err);

    if (r == 0 && access(path, F_OK) == 0)
        return nr_err_set(err, NR_EBUSY,
                          "a restore into %s is under way, or was interrupted: run it again first",
                          k->c->data);
    if (r == 0)
        r = backup_path(path, k->c->data, registry_name, err);
    if (r == 0 && access(path, F_OK) != 0 && errno == ENOENT)
        return nr_err_set(err, NR_ENOENT,
                          "there is no Narae in %s: it has no %s (another folder: --data)",
                          k->c->data, registry_name);
    return r;
}

static int run(struct copying *k, struct nr_err *err)
{
    int r = find_registry(k, err);

    for (size_t i = 0; r == 0 && i < backup_file_count; i++)
        if (backup_files[i].kind == BACKUP_IS_DATABASE && i != registry_at())
            r = take(k, i, err);
    if (r == 0)
        r = take_registry(k, err);
    if (r == 0)
        r = write_head(k, err);
    for (size_t i = 0; r == 0 && i < backup_file_count; i++)
        if (backup_files[i].kind == BACKUP_IS_DATABASE && i != registry_at())
            r = write_database(k, i, err);
    if (r == 0)
        r = copy_all_code(k, err);
    if (r == 0)
        r = write_database(k, registry_at(), err);
    if (r == 0)
        r = write_small(k, err);
    if (r == 0)
        count(k);
    return r == 0 ? backup_writer_end(k->c->writer, err) : r;
}

static void tried_gone(struct nr_map_node *n, void *arg)
{
    (void)arg;
    free(nr_container_of(n, struct tried, node));
}

int backup_copy_run(struct backup_copy *c, struct nr_err *err)
{
    struct copying k = {.c = c};

    nr_map_init(&k.tried);
    nr_check(backup_file_count <= FILES_MAX);
    for (size_t i = 0; i < FILES_MAX; i++)
        k.database[i].fd = -1;
    int r = run(&k, err);

    for (size_t i = 0; i < FILES_MAX; i++) {
        backup_snapshot_drop(&k.database[i]);
        forget_small(&k.small[i]);
    }
    (void)nr_map_drain(&k.tried, NULL, tried_gone, NULL);
    nr_map_fini(&k.tried);
    return r;
}
