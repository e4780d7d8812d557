/* What leaves is read version by version, so a function that changes meanwhile may leave with a version of before and one of after; each
 * is whole. What comes is one transaction.
 */
#include "fnmanager/registry/metadata_export.h"

#include "common/base/clock.h"
#include "common/base/json.h"
#include "fnmanager/functions/lifecycle.h"
#include "fnmanager/registry/metadata_audit.h"
#include "fnmanager/registry/metadata_names.h"
#include "fnmanager/registry/metadata_packages.h"
#include "fnmanager/registry/metadata_sql.h"
#include "fnmanager/accounts/quota.h"

#define VERSIONS_MAX 4096

struct next_job {
    struct nr_db_job job;
    struct nr_str account;
    int64_t after;
    struct whole_function *f;
    int64_t number[VERSIONS_MAX];
    size_t count;
};

struct import_job {
    struct nr_db_job job;
    struct nr_str account;
    const struct whole_function *f;
    struct fn_actor actor;
    struct nr_err *err;
};

void whole_function_fini(struct whole_function *f)
{
    for (size_t i = 0; i < f->versions; i++)
        fn_row_fini(&f->version[i]);
    free(f->version);
    free(f->package);
    free(f->name);
    alias_list_fini(&f->aliases);
    *f = (struct whole_function){0};
}

static int find_next(sqlite3 *db, struct next_job *j)
{
    sqlite3_stmt *s = nr_db_prepare(db, "SELECT id, package, name, published FROM functions"
                                        " WHERE account = ?1 AND id > ?2 ORDER BY id LIMIT 1");
    int r;

    if (s == NULL)
        return nr_db_err(sqlite3_errcode(db));
    nr_db_bind_text(s, 1, j->account);
    sqlite3_bind_int64(s, 2, j->after);
    if ((r = sqlite3_step(s)) == SQLITE_ROW) {
        j->f->id = sqlite3_column_int64(s, 0);
        j->f->package = sql_text(s, 1);
        j->f->name = sql_text(s, 2);
        j->f->published = sqlite3_column_int64(s, 3);
    }
    (void)sqlite3_reset(s);
    return r == SQLITE_ROW ? 0 : r == SQLITE_DONE ? NR_ENOENT : nr_db_err(r);
}

static int next_run(sqlite3 *db, struct nr_db_job *job)
{
    struct next_job *j = nr_container_of(job, struct next_job, job);
    sqlite3_stmt *s = nr_db_prepare(
        db, "SELECT number FROM versions WHERE function_id = ?1 ORDER BY number LIMIT ?2");
    int r = find_next(db, j), step;

    if (r < 0)
        return r;
    if (s == NULL)
        return nr_db_err(sqlite3_errcode(db));
    sqlite3_bind_int64(s, 1, j->f->id);
    sqlite3_bind_int(s, 2, VERSIONS_MAX);
    while (j->count < VERSIONS_MAX && (step = sqlite3_step(s)) == SQLITE_ROW)
        j->number[j->count++] = sqlite3_column_int64(s, 0);
    (void)sqlite3_reset(s);
    return 0;
}

/* Versions that went meanwhile are left out. */
static int load_versions(struct nr_db *db, struct fn_key key, const struct next_job *j,
                         struct whole_function *f)
{
    f->version = nr_try_alloc((j->count + 1) * sizeof(*f->version));
    if (f->version == NULL)
        return NR_ENOMEM;
    for (size_t i = 0; i < j->count; i++) {
        int r = metadata_load_version(db, key, j->number[i], &f->version[f->versions]);
        if (r < 0 && r != NR_ENOENT)
            return r;
        f->versions += r == 0;
    }
    return 0;
}

int metadata_export_next(struct nr_db *db, struct nr_str account, int64_t after,
                         struct whole_function *ret)
{
    struct next_job *j __attribute__((cleanup(nr_cleanup_free))) = nr_alloc(sizeof(*j));
    struct whole_function f = {0};
    int r;

    j->job.run = next_run;
    j->account = account;
    j->after = after;
    j->f = &f;
    if ((r = nr_db_read_wait(db, &j->job)) == 0) {
        const struct fn_key key = {account, nr_str_of(f.package), nr_str_of(f.name)};
        r = load_versions(db, key, j, &f);
        if (r == 0 && (r = metadata_alias_list(db, key, &f.aliases)) == NR_ENOENT)
            r = 0;
    }
    if (r == 0)
        *ret = f;
    else
        whole_function_fini(&f);
    return r;
}

/* ---- import -------------------------------------------------------------------------------------------------------- */

static int put_function(sqlite3 *db, const struct import_job *j, int64_t now_ms, int64_t *ret_id)
{
    sqlite3_stmt *s = nr_db_prepare(
        db,
        "INSERT INTO functions(account, package, name, created_ms, published) VALUES(?1, ?2, ?3, ?4, ?5)");
    int r;

    if (s == NULL)
        return nr_db_err(sqlite3_errcode(db));
    sql_bind_key(s, (struct fn_key){j->account, nr_str_of(j->f->package), nr_str_of(j->f->name)});
    sqlite3_bind_int64(s, 4, now_ms);
    sqlite3_bind_int64(s, 5, j->f->published);
    r = sql_run(db, s);
    *ret_id = sqlite3_last_insert_rowid(db);
    return r;
}

static void bind_texts(sqlite3_stmt *s, const struct fn_row *v)
{
    const char *const texts[] = {lifecycle_name(v->state),
                                 lifecycle_name(v->state_before),
                                 v->reason,
                                 v->note,
                                 v->version,
                                 v->kind,
                                 v->image,
                                 v->main,
                                 v->folder,
                                 v->file,
                                 v->parameters,
                                 v->annotations};

    for (size_t i = 0; i < nr_countof(texts); i++)
        nr_db_bind_text(s, (int)i + 1, nr_str_of(texts[i] != NULL ? texts[i] : ""));
}

/* It comes to its state now: what is kept for a time after a move is kept from here on. */
static int put_version(sqlite3 *db, int64_t function_id, int64_t now_ms, const struct fn_row *v)
{
    sqlite3_stmt *s = nr_db_prepare(
        db,
        "INSERT INTO versions(state, state_before, state_reason, note, version, kind, image, main, code_folder, file,"
        " parameters, annotations, function_id, number, revision, publish, has_code, binary, upload, code_bytes, sha256,"
        " timeout_ms, memory_mb, logs_mb, concurrency, instances, updated_ms, moved_ms,"
        " components)"
        " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22,"
        " ?23, ?24, ?25, ?26, ?27, ?28, ?29)");
    const int64_t numbers[] = {function_id,
                               v->number,
                               (int64_t)v->revision,
                               v->publish,
                               v->has_code,
                               v->binary,
                               v->upload,
                               v->code_bytes,
                               0,
                               v->limits.timeout_ms,
                               v->limits.memory_mb,
                               v->limits.logs_mb,
                               v->limits.concurrency,
                               v->limits.instances,
                               v->updated_ms,
                               now_ms};

    if (s == NULL)
        return nr_db_err(sqlite3_errcode(db));
    bind_texts(s, v);
    for (size_t i = 0; i < nr_countof(numbers); i++)
        sqlite3_bind_int64(s, (int)i + 13, numbers[i]);
    nr_db_bind_blob(s, 21, (struct nr_str){(const char *)v->sha256, sizeof(v->sha256)});
    nr_db_bind_text(s, 29, nr_str_of(v->components != NULL ? v->components : ""));
    int r = sql_run(db, s);

    return r < 0 ? r : sql_put_counter(db, v->revision);
}

/* Where an alias points now is also the only line of its history here. */
static int put_alias(sqlite3 *db, const struct import_job *j, int64_t function_id, int64_t now_ms,
                     const struct alias_row *a)
{
    sqlite3_stmt *s = nr_db_prepare(
        db, "INSERT INTO aliases(function_id, name, weights, history, protected, updated_ms)"
            " VALUES(?1, ?2, ?3, ?4, ?5, ?6)");
    nr_auto_json json_t *weights = json_object();

    for (size_t i = 0; i < a->split.n; i++) {
        char number[24];
        (void)snprintf(number, sizeof(number), "%lld", (long long)a->split.part[i].version);
        (void)json_object_set_new(weights, number, json_integer(a->split.part[i].weight));
    }
    nr_auto_json json_t *history =
        json_pack("[{s:I, s:s%, s:O}]", "at_ms", (json_int_t)now_ms, "by", j->actor.account.p,
                  j->actor.account.n, "weights", weights);
    nr_auto_free char *text = nr_json_text(weights, NULL);
    nr_auto_free char *told = history ? nr_json_text(history, NULL) : NULL;

    if (s == NULL)
        return nr_db_err(sqlite3_errcode(db));
    if (text == NULL || told == NULL)
        return NR_ENOMEM;
    sqlite3_bind_int64(s, 1, function_id);
    nr_db_bind_text(s, 2, nr_str_of(a->name));
    nr_db_bind_text(s, 3, nr_str_of(text));
    nr_db_bind_text(s, 4, nr_str_of(told));
    sqlite3_bind_int(s, 5, a->is_protected);
    sqlite3_bind_int64(s, 6, now_ms);
    return sql_run(db, s);
}

static int import_run(sqlite3 *db, struct nr_db_job *job)
{
    struct import_job *j = nr_container_of(job, struct import_job, job);
    const struct audit_line line = {
        .at_ms = nr_wall_ms(),
        .actor = j->actor,
        .move = "import",
        .object = {j->account, nr_str_of(j->f->package), nr_str_of(j->f->name)},
        .from = "",
        .to = lifecycle_name(j->f->version[0].state)};
    struct quota_mark mark;
    int64_t id = 0;
    int r = quota_begin(db, j->account, &mark, j->err);

    if (r == 0)
        r = line.object.package.n != 0
                ? sql_package_open(db, j->account, line.object.package)
                : sql_name_free(db, j->account, line.object.name, NAME_OF_FUNCTION, j->err);
    if (r == 0)
        r = put_function(db, j, line.at_ms, &id);
    for (size_t i = 0; r == 0 && i < j->f->versions; i++)
        r = put_version(db, id, line.at_ms, &j->f->version[i]);
    for (size_t i = 0; r == 0 && i < j->f->aliases.n; i++)
        r = put_alias(db, j, id, line.at_ms, &j->f->aliases.item[i]);
    if (r == 0)
        r = audit_put(db, &line);
    return r < 0 ? r : quota_end(db, j->account, &mark, j->err);
}

int metadata_import(struct nr_db *db, struct nr_str account, const struct whole_function *f,
                    struct fn_actor actor, struct nr_err *err)
{
    struct import_job j = {
        .job = {.run = import_run}, .account = account, .f = f, .actor = actor, .err = err};

    return nr_db_write_wait(db, &j.job);
}
