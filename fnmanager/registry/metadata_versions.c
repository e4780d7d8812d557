/* A publication copies LATEST's row under the next number and with a revision of its own. The code folder is named by both rows; it
 * becomes garbage when the last row that names it goes. Numbers are never given twice: `functions.published` only grows.
 */
#include "fnmanager/registry/metadata_versions.h"

#include "common/base/clock.h"
#include "fnmanager/functions/lifecycle.h"
#include "fnmanager/registry/metadata_audit.h"
#include "fnmanager/registry/metadata_sql.h"
#include "fnmanager/accounts/quota.h"
#include "ports/fnmanager.h"

struct publish_job {
    struct nr_db_job job;
    const struct publish_order *o;
    struct nr_err *err;
    int64_t function_id, version_id, number, versions;
    enum function_state state;
};

struct list_job {
    struct nr_db_job job;
    struct fn_key key;
    int64_t function_id, number, limit, skip;
    const struct alias_list *aliases;
    struct nr_buf *out;
};

static int find_latest(sqlite3 *db, struct publish_job *j)
{
    sqlite3_stmt *s = nr_db_prepare(
        db, "SELECT f.id, v.id, f.published, v.state,"
            " (SELECT count(*) FROM versions w WHERE w.function_id = f.id AND w.number > 0)"
            " FROM functions f JOIN versions v ON v.function_id = f.id AND v.number = 0"
            " WHERE f.account = ?1 AND f.package = ?2 AND f.name = ?3");
    int r;

    if (s == NULL)
        return nr_db_err(sqlite3_errcode(db));
    sql_bind_key(s, j->o->key);
    if ((r = sqlite3_step(s)) == SQLITE_ROW) {
        nr_auto_free char *state = sql_text(s, 3);
        j->function_id = sqlite3_column_int64(s, 0);
        j->version_id = sqlite3_column_int64(s, 1);
        j->number = sqlite3_column_int64(s, 2) + 1;
        j->state = lifecycle_of_name(state);
        j->versions = sqlite3_column_int64(s, 4);
    }
    (void)sqlite3_reset(s);
    return r == SQLITE_ROW ? 0 : r == SQLITE_DONE ? NR_ENOENT : nr_db_err(r);
}

static int judge(const struct publish_job *j)
{
    const struct lifecycle_subject subject = {.state = j->state};
    int to, r = lifecycle_judge(&subject, MOVE_PUBLISH, &to, j->err);

    if (r == 0 && j->versions >= VERSIONS_MAX)
        r = nr_err_set(
            j->err, NR_EQUOTA,
            "The function has %lld published versions; at most %d are allowed. Delete some.",
            (long long)j->versions, VERSIONS_MAX);
    return r;
}

static int insert(sqlite3 *db, const struct publish_job *j, int64_t now_ms)
{
    sqlite3_stmt *s = nr_db_prepare(
        db,
        "INSERT INTO versions(function_id, number, revision, state, note, updated_ms, moved_ms, version, kind, image, main,"
        " publish, has_code, binary, upload, code_folder, file, code_bytes, sent_bytes, sha256, parameters, annotations,"
        " timeout_ms, memory_mb, logs_mb, concurrency, instances, settings, components)"
        " SELECT function_id, ?2, ?3, 'PUBLISHED', ?4, ?5, ?5, version, kind, image, main, publish, has_code, binary, upload,"
        " code_folder, file, code_bytes, sent_bytes, sha256, parameters, annotations, timeout_ms, memory_mb, logs_mb,"
        " concurrency, instances, settings, components FROM versions WHERE id = ?1");

    if (s != NULL) {
        sqlite3_bind_int64(s, 1, j->version_id);
        sqlite3_bind_int64(s, 2, j->number);
        sqlite3_bind_int64(s, 3, (int64_t)j->o->revision);
        nr_db_bind_text(s, 4, j->o->note);
        sqlite3_bind_int64(s, 5, now_ms);
    }
    return sql_run(db, s);
}

static int count_up(sqlite3 *db, const struct publish_job *j)
{
    sqlite3_stmt *s = nr_db_prepare(db, "UPDATE functions SET published = ?2 WHERE id = ?1");

    if (s != NULL) {
        sqlite3_bind_int64(s, 1, j->function_id);
        sqlite3_bind_int64(s, 2, j->number);
    }
    return sql_run(db, s);
}

static int publish_run(sqlite3 *db, struct nr_db_job *job)
{
    struct publish_job *j = nr_container_of(job, struct publish_job, job);
    int64_t now_ms = nr_wall_ms();
    struct quota_mark mark;
    int r = find_latest(db, j);

    if (r < 0 || (r = judge(j)) < 0 || (r = quota_begin(db, j->o->key.account, &mark, j->err)) < 0)
        return r;
    const struct audit_line line = {.at_ms = now_ms,
                                    .actor = j->o->actor,
                                    .move = lifecycle_move_name(MOVE_PUBLISH),
                                    .object = j->o->key,
                                    .number = j->number,
                                    .from = lifecycle_name(j->state),
                                    .to = lifecycle_name(FN_PUBLISHED),
                                    .note = j->o->note};
    if ((r = insert(db, j, now_ms)) == 0 && (r = count_up(db, j)) == 0 &&
        (r = sql_put_counter(db, j->o->revision)) == 0)
        r = audit_put(db, &line);
    return r < 0 ? r : quota_end(db, j->o->key.account, &mark, j->err);
}

int metadata_publish(struct nr_db *db, const struct publish_order *o, int64_t *ret,
                     struct nr_err *err)
{
    struct publish_job j = {.job = {.run = publish_run}, .o = o, .err = err};
    int r = nr_db_write_wait(db, &j.job);

    if (r == 0)
        *ret = j.number;
    return r;
}

static void write_texts(sqlite3_stmt *s, int from, const char *const *heads, int n,
                        struct nr_buf *out)
{
    for (int i = 0; i < n; i++) {
        struct nr_str text = nr_db_column(s, from + i);
        nr_buf_adds(out, heads[i]);
        nr_buf_json(out, text.n != 0 ? text : NR_STR(""));
    }
}

static void write_version(sqlite3_stmt *s, const struct alias_list *aliases, struct nr_buf *out)
{
    static const char *const heads[] = {
        ",\"state\":", ",\"reason\":", ",\"note\":", ",\"kind\":", ",\"sha256\":"};
    int64_t number = sqlite3_column_int64(s, 0);
    const char *between = "";

    nr_buf_printf(out, "{\"version\":%lld", (long long)number);
    write_texts(s, 1, heads, (int)nr_countof(heads), out);
    nr_buf_printf(out, ",\"code_bytes\":%lld,\"memory_mb\":%lld,\"updated_ms\":%lld,\"aliases\":[",
                  (long long)sqlite3_column_int64(s, 6), (long long)sqlite3_column_int64(s, 7),
                  (long long)sqlite3_column_int64(s, 8));
    for (size_t i = 0; i < aliases->n; i++) {
        if (!alias_split_names(&aliases->item[i].split, number))
            continue;
        nr_buf_adds(out, between);
        nr_buf_json(out, nr_str_of(aliases->item[i].name));
        between = ",";
    }
    nr_buf_adds(out, "]}");
}

static int versions_run(sqlite3 *db, struct nr_db_job *job)
{
    struct list_job *j = nr_container_of(job, struct list_job, job);
    bool all = j->number == FN_EVERY_VERSION;
    sqlite3_stmt *s;
    int r = sql_function_id(db, j->key, &j->function_id), n = 0;

    if (r < 0)
        return r;
    s = nr_db_prepare(db,
                      "SELECT number, state, state_reason, note, kind,"
                      " CASE file WHEN '' THEN '' ELSE lower(hex(sha256)) END, code_bytes,"
                      " memory_mb, updated_ms FROM versions WHERE function_id = ?1 AND number > 0"
                      " AND (?2 < 0 OR number = ?2) ORDER BY number");
    if (s == NULL)
        return nr_db_err(sqlite3_errcode(db));
    sqlite3_bind_int64(s, 1, j->function_id);
    sqlite3_bind_int64(s, 2, j->number);
    nr_buf_adds(j->out, all ? "{\"versions\":[" : "");
    for (; (r = sqlite3_step(s)) == SQLITE_ROW; n++) {
        nr_buf_adds(j->out, n > 0 ? "," : "");
        write_version(s, j->aliases, j->out);
    }
    nr_buf_adds(j->out, all ? "]}" : "");
    (void)sqlite3_reset(s);
    return r != SQLITE_DONE ? nr_db_err(r) : all || n > 0 ? 0 : NR_ENOENT;
}

int metadata_version_list(struct nr_db *db, struct fn_key key, int64_t number,
                          const struct alias_list *aliases, struct nr_buf *out)
{
    struct list_job j = {
        .job = {.run = versions_run}, .key = key, .number = number, .aliases = aliases, .out = out};

    return nr_db_read_wait(db, &j.job);
}

struct components_job {
    struct nr_db_job job;
    struct fn_key key;
    int64_t number;
    char *text;
};

static int components_run(sqlite3 *db, struct nr_db_job *job)
{
    struct components_job *j = nr_container_of(job, struct components_job, job);
    sqlite3_stmt *s = nr_db_prepare(db, "SELECT v.components FROM functions f JOIN versions v"
                                        " ON v.function_id = f.id AND v.number = ?4"
                                        " WHERE f.account = ?1 AND f.package = ?2 AND f.name = ?3");
    int r;

    if (s == NULL)
        return nr_db_err(sqlite3_errcode(db));
    sql_bind_key(s, j->key);
    sqlite3_bind_int64(s, 4, j->number);
    if ((r = sqlite3_step(s)) == SQLITE_ROW)
        j->text = sql_text(s, 0);
    (void)sqlite3_reset(s);
    return r == SQLITE_ROW ? 0 : r == SQLITE_DONE ? NR_ENOENT : nr_db_err(r);
}

int metadata_components(struct nr_db *db, struct fn_key key, int64_t number, char **ret)
{
    struct components_job j = {.job = {.run = components_run}, .key = key, .number = number};
    int r = nr_db_read_wait(db, &j.job);

    if (r == 0)
        *ret = j.text;
    return r;
}

static int numbers_run(sqlite3 *db, struct nr_db_job *job)
{
    struct list_job *j = nr_container_of(job, struct list_job, job);
    sqlite3_stmt *s = nr_db_prepare(db, "SELECT number FROM versions WHERE function_id = ?1"
                                        " AND number > 0 ORDER BY number");
    int r;

    if (s == NULL)
        return nr_db_err(sqlite3_errcode(db));
    sqlite3_bind_int64(s, 1, j->function_id);
    nr_buf_addc(j->out, '[');
    for (int n = 0; (r = sqlite3_step(s)) == SQLITE_ROW; n++)
        nr_buf_printf(j->out, "%s%lld", n > 0 ? "," : "", (long long)sqlite3_column_int64(s, 0));
    nr_buf_addc(j->out, ']');
    (void)sqlite3_reset(s);
    return r == SQLITE_DONE ? 0 : nr_db_err(r);
}

int metadata_version_numbers(struct nr_db *db, int64_t function_id, struct nr_buf *out)
{
    struct list_job j = {.job = {.run = numbers_run}, .function_id = function_id, .out = out};

    return nr_db_read_wait(db, &j.job);
}

static void write_function(sqlite3_stmt *s, struct nr_buf *out)
{
    static const char *const heads[] = {"{\"name\":", ",\"state\":", ",\"version\":", ",\"kind\":"};
    struct nr_str aliases = nr_db_column(s, 9);

    write_texts(s, 0, heads, (int)nr_countof(heads), out);
    nr_buf_printf(out,
                  ",\"memory_mb\":%lld,\"timeout_ms\":%lld,\"code_bytes\":%lld,\"versions\":%lld",
                  (long long)sqlite3_column_int64(s, 4), (long long)sqlite3_column_int64(s, 5),
                  (long long)sqlite3_column_int64(s, 6), (long long)sqlite3_column_int64(s, 8));
    nr_buf_printf(out, ",\"updated_ms\":%lld,\"aliases\":", (long long)sqlite3_column_int64(s, 7));
    nr_buf_add(out, aliases.p, aliases.n);
    nr_buf_addc(out, '}');
}

#define BY_NAME " ORDER BY f.package, f.name"
#define BY_NAME_BACKWARD " ORDER BY f.package DESC, f.name DESC"
#define FUNCTIONS(order)                                                                                          \
    "SELECT CASE f.package WHEN '' THEN f.name ELSE f.package || '/' || f.name END, v.state, v.version, v.kind,"  \
    " v.memory_mb, v.timeout_ms, v.code_bytes, v.updated_ms,"                                                     \
    " (SELECT count(*) FROM versions w WHERE w.function_id = f.id AND w.number > 0),"                             \
    " (SELECT json_group_array(a.name) FROM (SELECT name FROM aliases WHERE function_id = f.id ORDER BY name) a)" \
    " FROM (SELECT id, package, name FROM functions f WHERE account = ?1" order                                   \
    " LIMIT ?2 OFFSET ?3) f"                                                                                      \
    " JOIN versions v ON v.function_id = f.id AND v.number = 0" BY_NAME

static int functions_run(sqlite3 *db, struct nr_db_job *job)
{
    const struct list_job *j = nr_container_of(job, struct list_job, job);
    int64_t total = 0;
    int r = sql_function_count(db, j->key.account, &total);

    if (r < 0)
        return r;
    const struct sql_page page = sql_page_of(total, j->limit, j->skip);
    sqlite3_stmt *s = page.backward ? nr_db_prepare(db, FUNCTIONS(BY_NAME_BACKWARD))
                                    : nr_db_prepare(db, FUNCTIONS(BY_NAME));
    if (s == NULL)
        return nr_db_err(sqlite3_errcode(db));
    nr_db_bind_text(s, 1, j->key.account);
    sqlite3_bind_int64(s, 2, page.limit);
    sqlite3_bind_int64(s, 3, page.skip);
    nr_buf_adds(j->out, "{\"functions\":[");
    for (int n = 0; (r = sqlite3_step(s)) == SQLITE_ROW; n++) {
        nr_buf_adds(j->out, n > 0 ? "," : "");
        write_function(s, j->out);
    }
    (void)sqlite3_reset(s);
    nr_buf_printf(j->out, "],\"total\":%lld}", (long long)total);
    return r == SQLITE_DONE ? 0 : nr_db_err(r);
}

int metadata_function_list(struct nr_db *db, struct nr_str account, int64_t limit, int64_t skip,
                           struct nr_buf *out)
{
    struct list_job j = {.job = {.run = functions_run},
                         .key = {.account = account},
                         .limit = limit,
                         .skip = skip,
                         .out = out};

    return nr_db_read_wait(db, &j.job);
}
