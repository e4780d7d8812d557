/* Functions and versions in meta.db.
 *
 * A question is a read job, a change is one write job: what belongs together is in one transaction. Changes are optimistic: who
 * writes names the revision that he read; when it is no longer the current one nothing happens and the caller reads again.
 */
#include "fnmanager/registry/metadata.h"

#include "fnmanager/functions/lifecycle.h"
#include "fnmanager/registry/metadata_audit.h"
#include "fnmanager/registry/metadata_names.h"
#include "fnmanager/registry/metadata_packages.h"
#include "fnmanager/registry/metadata_sql.h"
#include "fnmanager/accounts/quota.h"

struct load_job {
    struct nr_db_job job;
    struct fn_key key;
    int64_t number;
    struct fn_row *row;
};

struct change_job {
    struct nr_db_job job;
    struct fn_key key;
    const struct fn_row *row;
    uint64_t expected;
    struct fn_actor actor;
    struct nr_err *err; /* what a quota says */
};

void fn_row_fini(struct fn_row *r)
{
    char *const texts[] = {r->version,    r->kind,        r->image,  r->main, r->folder,    r->file,
                           r->parameters, r->annotations, r->reason, r->note, r->components};

    for (size_t i = 0; i < nr_countof(texts); i++)
        free(texts[i]);
    *r = (struct fn_row){0};
}

#define FROM_VERSION(number)                                                                       \
    " FROM functions f JOIN versions v ON v.function_id = f.id AND v.number = " number             \
    " WHERE f.account = ?1 AND f.package = ?2 AND f.name = ?3"

static void read_row(sqlite3_stmt *s, struct fn_row *r)
{
    struct nr_str sha = nr_db_column(s, 16);
    char *state = sql_text(s, 3), *before = sql_text(s, 4);

    r->function_id = sqlite3_column_int64(s, 0);
    r->version_id = sqlite3_column_int64(s, 1);
    r->revision = (uint64_t)sqlite3_column_int64(s, 2);
    r->state = lifecycle_of_name(state);
    r->state_before = lifecycle_of_name(before);
    r->version = sql_text(s, 5);
    r->kind = sql_text(s, 6);
    r->image = sql_text(s, 7);
    r->main = sql_text(s, 8);
    r->publish = sqlite3_column_int(s, 9) != 0;
    r->has_code = sqlite3_column_int(s, 10) != 0;
    r->binary = sqlite3_column_int(s, 11) != 0;
    r->upload = sqlite3_column_int64(s, 12);
    r->folder = sql_text(s, 13);
    r->file = sql_text(s, 14);
    r->code_bytes = sqlite3_column_int64(s, 15);
    if (sha.n == sizeof(r->sha256))
        memcpy(r->sha256, sha.p, sha.n);
    r->sent_bytes = sqlite3_column_int64(s, 17);
    r->parameters = sql_text(s, 18);
    r->annotations = sql_text(s, 19);
    r->limits = (struct fn_limits){sqlite3_column_int64(s, 20), sqlite3_column_int64(s, 21),
                                   sqlite3_column_int64(s, 22), sqlite3_column_int64(s, 23),
                                   sqlite3_column_int64(s, 24)};
    r->updated_ms = sqlite3_column_int64(s, 25);
    r->number = sqlite3_column_int64(s, 26);
    r->reason = sql_text(s, 27);
    r->note = sql_text(s, 28);
    r->hold_ms = sqlite3_column_int64(s, 29);
    r->deadline_ms = sqlite3_column_int64(s, 30);
    r->newest = sqlite3_column_int64(s, 31);
    r->components = sql_text(s, 32);
    free(state);
    free(before);
}

static int load_run(sqlite3 *db, struct nr_db_job *job)
{
    struct load_job *j = nr_container_of(job, struct load_job, job);
    sqlite3_stmt *s = nr_db_prepare(
        db,
        "SELECT f.id, v.id, v.revision, v.state, coalesce(v.state_before, 'LATEST'), v.version, v.kind, v.image, v.main,"
        " v.publish, v.has_code, v.binary, v.upload, v.code_folder, v.file, v.code_bytes, v.sha256, v.sent_bytes, v.parameters,"
        " v.annotations, v.timeout_ms, v.memory_mb, v.logs_mb, v.concurrency, v.instances, v.updated_ms, v.number,"
        " v.state_reason, v.note, v.hold_ms, v.deadline_ms, f.published, v.components" FROM_VERSION(
            "?4"));
    int r;

    if (s == NULL)
        return nr_db_err(sqlite3_errcode(db));
    sql_bind_key(s, j->key);
    sqlite3_bind_int64(s, 4, j->number);
    r = sqlite3_step(s);
    if (r == SQLITE_ROW)
        read_row(s, j->row);
    (void)sqlite3_reset(s);
    return r == SQLITE_ROW ? 0 : r == SQLITE_DONE ? NR_ENOENT : nr_db_err(r);
}

int metadata_load_version(struct nr_db *db, struct fn_key key, int64_t number, struct fn_row *ret)
{
    struct fn_row row = {0};
    struct load_job j = {.job = {.run = load_run}, .key = key, .number = number, .row = &row};
    int r = nr_db_read_wait(db, &j.job);

    if (r == 0)
        *ret = row;
    else
        fn_row_fini(&row);
    return r;
}

int metadata_load(struct nr_db *db, struct fn_key key, struct fn_row *ret)
{
    return metadata_load_version(db, key, 0, ret);
}

/* What a change finds in the transaction that makes it. */
struct current {
    int64_t function_id;
    uint64_t revision; /* 0: there is no such function */
    char *folder, *state;
};

static int find_current(sqlite3 *db, struct fn_key key, struct current *c)
{
    sqlite3_stmt *s =
        nr_db_prepare(db, "SELECT f.id, v.revision, v.code_folder, v.state" FROM_VERSION("0"));
    int r;

    if (s == NULL)
        return nr_db_err(sqlite3_errcode(db));
    sql_bind_key(s, key);
    r = sqlite3_step(s);
    if (r == SQLITE_ROW) {
        c->function_id = sqlite3_column_int64(s, 0);
        c->revision = (uint64_t)sqlite3_column_int64(s, 1);
        c->folder = sql_text(s, 2);
        c->state = sql_text(s, 3);
    }
    (void)sqlite3_reset(s);
    return r == SQLITE_ROW || r == SQLITE_DONE ? 0 : nr_db_err(r);
}

static int insert_function(sqlite3 *db, struct fn_key key, int64_t now_ms, struct current *c)
{
    sqlite3_stmt *s = nr_db_prepare(
        db, "INSERT INTO functions(account, package, name, created_ms) VALUES(?1, ?2, ?3, ?4)");
    int r;

    if (s == NULL)
        return nr_db_err(sqlite3_errcode(db));
    sql_bind_key(s, key);
    sqlite3_bind_int64(s, 4, now_ms);
    r = sql_run(db, s);
    c->function_id = sqlite3_last_insert_rowid(db);
    return r;
}

static void bind_code(sqlite3_stmt *s, const struct fn_row *row)
{
    sqlite3_bind_int(s, 8, row->has_code);
    sqlite3_bind_int(s, 9, row->binary);
    sqlite3_bind_int64(s, 10, row->upload);
    nr_db_bind_text(s, 11, nr_str_of(row->folder));
    nr_db_bind_text(s, 12, nr_str_of(row->file));
    sqlite3_bind_int64(s, 13, row->code_bytes);
    sqlite3_bind_int64(s, 14, row->sent_bytes);
    nr_db_bind_blob(s, 15, (struct nr_str){(const char *)row->sha256, sizeof(row->sha256)});
}

static int put_version(sqlite3 *db, int64_t function_id, const struct fn_row *row)
{
    sqlite3_stmt *s = nr_db_prepare(
        db,
        "INSERT INTO versions(function_id, number, revision, state, version, kind, image, main, has_code, binary, upload,"
        " code_folder, file, code_bytes, sent_bytes, sha256, parameters, annotations, timeout_ms, memory_mb, logs_mb,"
        " concurrency, instances, publish, updated_ms, components)"
        " VALUES(?1, 0, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25)"
        " ON CONFLICT(function_id, number) DO UPDATE SET revision = excluded.revision, state = excluded.state,"
        " version = excluded.version, kind = excluded.kind, image = excluded.image, main = excluded.main,"
        " has_code = excluded.has_code, binary = excluded.binary, upload = excluded.upload, code_folder = excluded.code_folder,"
        " file = excluded.file, code_bytes = excluded.code_bytes, sent_bytes = excluded.sent_bytes, sha256 = excluded.sha256,"
        " parameters = excluded.parameters, annotations = excluded.annotations, timeout_ms = excluded.timeout_ms,"
        " memory_mb = excluded.memory_mb, logs_mb = excluded.logs_mb, concurrency = excluded.concurrency,"
        " instances = excluded.instances, publish = excluded.publish, updated_ms = excluded.updated_ms,"
        " components = excluded.components,"
        " hold_ms = 0, deadline_ms = 0");

    if (s == NULL)
        return nr_db_err(sqlite3_errcode(db));
    sqlite3_bind_int64(s, 1, function_id);
    sqlite3_bind_int64(s, 2, (int64_t)row->revision);
    nr_db_bind_text(s, 3, nr_str_of(lifecycle_name(row->state)));
    nr_db_bind_text(s, 4, nr_str_of(row->version));
    nr_db_bind_text(s, 5, nr_str_of(row->kind));
    nr_db_bind_text(s, 6, nr_str_of(row->image));
    nr_db_bind_text(s, 7, nr_str_of(row->main));
    bind_code(s, row);
    nr_db_bind_text(s, 16, nr_str_of(row->parameters));
    nr_db_bind_text(s, 17, nr_str_of(row->annotations));
    sqlite3_bind_int64(s, 18, row->limits.timeout_ms);
    sqlite3_bind_int64(s, 19, row->limits.memory_mb);
    sqlite3_bind_int64(s, 20, row->limits.logs_mb);
    sqlite3_bind_int64(s, 21, row->limits.concurrency);
    sqlite3_bind_int64(s, 22, row->limits.instances);
    sqlite3_bind_int(s, 23, row->publish);
    sqlite3_bind_int64(s, 24, row->updated_ms);
    nr_db_bind_text(s, 25, nr_str_of(row->components != NULL ? row->components : ""));
    return sql_run(db, s);
}

static int audit_commit(sqlite3 *db, const struct change_job *j, const struct current *c)
{
    bool window = j->row->from == FN_UPDATING;
    const struct audit_line line = {
        .at_ms = j->row->updated_ms,
        .actor = j->actor,
        .move =
            c->revision == 0 ? "create" : lifecycle_move_name(window ? MOVE_COMMIT : MOVE_UPDATE),
        .object = j->key,
        .from = c->state,
        .to = lifecycle_name(j->row->state),
    };

    return audit_put(db, &line);
}

/* Its package is there, or nothing else in the account has its name. */
static int check_place(sqlite3 *db, const struct change_job *j)
{
    if (j->key.package.n != 0)
        return sql_package_open(db, j->key.account, j->key.package);
    return sql_name_free(db, j->key.account, j->key.name, NAME_OF_FUNCTION, j->err);
}

static int commit_found(sqlite3 *db, const struct change_job *j, struct current *c)
{
    int64_t now_ms = j->row->updated_ms;
    bool is_new = c->revision == 0;
    int r = 0;

    if (c->revision != j->expected)
        return j->expected == 0 ? NR_EEXIST : NR_ECONFLICT;
    /* A window begins and ends without a new revision. */
    if (!is_new && strcmp(c->state, lifecycle_name(j->row->from)) != 0)
        return NR_ECONFLICT;
    if (is_new)
        r = check_place(db, j);
    if (r == 0 && is_new)
        r = insert_function(db, j->key, now_ms, c);
    if (r == 0)
        r = put_version(db, c->function_id, j->row);
    if (r == 0 && !is_new)
        r = sql_put_garbage(db, c->folder, now_ms);
    if (r == 0)
        r = sql_put_counter(db, j->row->revision);
    return r == 0 ? audit_commit(db, j, c) : r;
}

static int change_run(sqlite3 *db, struct nr_db_job *job)
{
    struct change_job *j = nr_container_of(job, struct change_job, job);
    struct current c = {0};
    struct quota_mark mark;
    int r = quota_begin(db, j->key.account, &mark, j->err);

    if (r == 0)
        r = find_current(db, j->key, &c);
    if (r == 0)
        r = commit_found(db, j, &c);
    if (r == 0)
        r = quota_end(db, j->key.account, &mark, j->err);
    free(c.folder);
    free(c.state);
    return r;
}

int metadata_commit(struct nr_db *db, struct fn_key key, const struct fn_row *row,
                    uint64_t expected, struct fn_actor actor, struct nr_err *err)
{
    struct change_job j = {.job = {.run = change_run},
                           .key = key,
                           .row = row,
                           .expected = expected,
                           .actor = actor,
                           .err = err};

    return nr_db_write_wait(db, &j.job);
}
