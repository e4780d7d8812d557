/* Folders are asked for by their names, for those of one bucket stand together in the index, whatever number of others there are.
 */
#include "fnmanager/registry/metadata_files.h"

#include "common/base/mem.h"

struct folders_job {
    struct nr_db_job job;
    const char *bucket, *after;
    int limit;
    struct stored_folder *list; /* out, made; room for `limit` */
    size_t count;
};

struct garbage_job {
    struct nr_db_job job;
    const char *bucket;
    void (*each)(void *arg, const char *folder);
    void *arg;
};

void stored_folders_free(struct stored_folder *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        free(list[i].folder);
        free(list[i].file);
        free(list[i].package);
        free(list[i].name);
    }
    free(list);
}

static char *copy(sqlite3_stmt *s, int at)
{
    struct nr_str text = nr_db_column(s, at);

    return nr_strndup(text.n != 0 ? text.p : "", text.n);
}

static void read_folder(sqlite3_stmt *s, struct stored_folder *f)
{
    struct nr_str sha = nr_db_column(s, 4);

    f->folder = copy(s, 0);
    f->file = copy(s, 1);
    f->code_bytes = sqlite3_column_int64(s, 2);
    f->sent_bytes = sqlite3_column_int64(s, 3);
    if (sha.n == sizeof(f->sha256))
        memcpy(f->sha256, sha.p, sha.n);
    f->package = copy(s, 5);
    f->name = copy(s, 6);
    f->number = sqlite3_column_int64(s, 7);
}

static int folders_run(sqlite3 *db, struct nr_db_job *job)
{
    struct folders_job *j = nr_container_of(job, struct folders_job, job);
    sqlite3_stmt *s = nr_db_prepare(
        db, "SELECT v.code_folder, v.file, v.code_bytes, v.sent_bytes, v.sha256, f.package, f.name,"
            " min(v.number) FROM versions v JOIN functions f ON f.id = v.function_id"
            " WHERE v.code_folder > max(?1 || '/', ?2) AND v.code_folder < ?1 || '0'"
            " GROUP BY v.code_folder ORDER BY v.code_folder LIMIT ?3");
    int r = SQLITE_DONE;

    if (s == NULL)
        return nr_db_err(sqlite3_errcode(db));
    nr_db_bind_text(s, 1, nr_str_of(j->bucket));
    nr_db_bind_text(s, 2, nr_str_of(j->after));
    sqlite3_bind_int(s, 3, j->limit);
    while (j->count < (size_t)j->limit && (r = sqlite3_step(s)) == SQLITE_ROW)
        read_folder(s, &j->list[j->count++]);
    (void)sqlite3_reset(s);
    return r == SQLITE_DONE || r == SQLITE_ROW ? 0 : nr_db_err(r);
}

int metadata_folders(struct nr_db *db, const char *bucket, const char *after, int limit,
                     struct stored_folder **ret_list, size_t *ret_n)
{
    struct folders_job j = {
        .job = {.run = folders_run}, .bucket = bucket, .after = after, .limit = limit};
    int r;

    j.list = nr_try_alloc((size_t)limit * sizeof(*j.list));
    if (j.list == NULL)
        return NR_ENOMEM;
    if ((r = nr_db_read_wait(db, &j.job)) < 0) {
        stored_folders_free(j.list, j.count);
        return r;
    }
    *ret_list = j.list;
    *ret_n = j.count;
    return 0;
}

static int garbage_run(sqlite3 *db, struct nr_db_job *job)
{
    struct garbage_job *j = nr_container_of(job, struct garbage_job, job);
    sqlite3_stmt *s =
        nr_db_prepare(db, "SELECT code_folder FROM garbage WHERE code_folder > ?1 || '/'"
                          " AND code_folder < ?1 || '0'");
    int r;

    if (s == NULL)
        return nr_db_err(sqlite3_errcode(db));
    nr_db_bind_text(s, 1, nr_str_of(j->bucket));
    while ((r = sqlite3_step(s)) == SQLITE_ROW) {
        nr_auto_free char *folder = copy(s, 0);
        j->each(j->arg, folder);
    }
    (void)sqlite3_reset(s);
    return r == SQLITE_DONE ? 0 : nr_db_err(r);
}

int metadata_garbage(struct nr_db *db, const char *bucket,
                     void (*each)(void *arg, const char *folder), void *arg)
{
    struct garbage_job j = {
        .job = {.run = garbage_run}, .bucket = bucket, .each = each, .arg = arg};

    return nr_db_read_wait(db, &j.job);
}
