/* A row has what was asked (settings: the request, who asked, what is measured) and how far it is (result: the JSON that GET gives). With
 * both a run goes on after a restart. A row is made once, for a function that is there; it is never made again, for the number of a function
 * that is gone may be another tenant's by then.
 */
#include "fnmanager/preenv/preenv_storage.h"

#include "common/base/clock.h"
#include "common/base/json.h"
#include "fnmanager/preenv/preenv_request.h"
#include "fnmanager/preenv/preenv_text.h"

/* ---- storing ------------------------------------------------------------------------------------------------- */

struct store_job {
    struct nr_db_job job;
    const struct preenv_run *r;
    struct nr_buf settings, result;
};

static int step(sqlite3_stmt *s)
{
    int r = sqlite3_step(s);

    (void)sqlite3_reset(s);
    return r == SQLITE_DONE || r == SQLITE_ROW ? 0 : nr_db_err(r);
}

/* As step(); NR_ENOENT when no row was changed. */
static int step_one(sqlite3 *db, sqlite3_stmt *s)
{
    int e = step(s);

    return e == 0 && sqlite3_changes(db) == 0 ? NR_ENOENT : e;
}

static int add_run(sqlite3 *db, struct nr_db_job *job)
{
    struct store_job *j = nr_container_of(job, struct store_job, job);
    const struct preenv_run *r = j->r;
    sqlite3_stmt *s = nr_db_prepare(
        db, "INSERT INTO preenv_runs(id, function_id, number, state, settings, result, started_ms)"
            " SELECT ?1, id, ?3, ?4, ?5, ?6, ?7 FROM functions"
            " WHERE id = ?2 AND account = ?8 AND package = ?9 AND name = ?10");

    if (s == NULL)
        return nr_db_err(sqlite3_errcode(db));
    nr_db_bind_text(s, 1, nr_str_of(r->id));
    sqlite3_bind_int64(s, 2, r->function_id);
    sqlite3_bind_int64(s, 3, r->request.version);
    nr_db_bind_text(s, 4, nr_str_of(preenv_state_text(r->state)));
    nr_db_bind_text(s, 5, nr_buf_str(&j->settings));
    nr_db_bind_text(s, 6, nr_buf_str(&j->result));
    sqlite3_bind_int64(s, 7, r->started_ms);
    nr_db_bind_text(s, 8, nr_str_of(r->account));
    nr_db_bind_text(s, 9, nr_str_of(r->package));
    nr_db_bind_text(s, 10, nr_str_of(r->name));
    return step_one(db, s);
}

static int store_run(sqlite3 *db, struct nr_db_job *job)
{
    struct store_job *j = nr_container_of(job, struct store_job, job);
    const struct preenv_run *r = j->r;
    sqlite3_stmt *put = nr_db_prepare(
        db, "UPDATE preenv_runs SET state = ?2, result = ?3, ended_ms = ?4 WHERE id = ?1");
    sqlite3_stmt *drop = nr_db_prepare(
        db,
        "DELETE FROM preenv_runs WHERE function_id = ?1 AND state <> 'running' AND id NOT IN"
        " (SELECT id FROM preenv_runs WHERE function_id = ?1 ORDER BY started_ms DESC LIMIT ?2)");

    if (put == NULL || drop == NULL)
        return nr_db_err(sqlite3_errcode(db));
    nr_db_bind_text(put, 1, nr_str_of(r->id));
    nr_db_bind_text(put, 2, nr_str_of(preenv_state_text(r->state)));
    nr_db_bind_text(put, 3, nr_buf_str(&j->result));
    if (r->ended_ms > 0)
        sqlite3_bind_int64(put, 4, r->ended_ms);
    int e = step_one(db, put);

    if (e < 0)
        return e;
    sqlite3_bind_int64(drop, 1, r->function_id);
    sqlite3_bind_int64(drop, 2, PREENV_KEPT);
    return step(drop);
}

static void write_settings(const struct preenv_run *r, struct nr_buf *out)
{
    const struct {
        const char *name, *value;
    } texts[] = {{"account", r->account}, {"package", r->package},
                 {"name", r->name},       {"key_uuid", r->key_uuid},
                 {"sha256", r->sha256},   {"version", r->function_version}};

    nr_buf_printf(out, "{\"declared_mb\":%lld,\"declared_cpus_milli\":%lld,\"timeout_ms\":%lld",
                  (long long)r->declared_mb, (long long)r->declared_cpus_milli,
                  (long long)r->timeout_ms);
    for (size_t i = 0; i < nr_countof(texts); i++) {
        nr_buf_printf(out, ",\"%s\":", texts[i].name);
        nr_buf_json(out, nr_str_of(texts[i].value));
    }
    nr_buf_printf(out, ",\"revision\":%llu,\"request\":", (unsigned long long)r->revision);
    preenv_request_write(&r->request, out);
    nr_buf_addc(out, '}');
}

static int write_row(struct nr_db *db, const struct preenv_run *r,
                     int (*run)(sqlite3 *db, struct nr_db_job *job))
{
    struct store_job j = {.job = {.run = run}, .r = r};
    int e = NR_ETOOBIG;

    nr_buf_init(&j.settings, 2 * PREENV_TEXT_MAX_BYTES);
    nr_buf_init(&j.result, PREENV_TEXT_MAX_BYTES);
    write_settings(r, &j.settings);
    preenv_write(r, &j.result);
    if (!j.settings.failed && !j.result.failed)
        e = nr_db_write_wait(db, &j.job);
    nr_buf_fini(&j.settings);
    nr_buf_fini(&j.result);
    return e;
}

int preenv_add(struct nr_db *db, const struct preenv_run *r)
{
    return write_row(db, r, add_run);
}

int preenv_store(struct nr_db *db, const struct preenv_run *r)
{
    return write_row(db, r, store_run);
}

static int forget_run(sqlite3 *db, struct nr_db_job *job)
{
    sqlite3_stmt *s = nr_db_prepare(db, "DELETE FROM preenv_runs WHERE id = ?1");

    if (s == NULL)
        return nr_db_err(sqlite3_errcode(db));
    nr_db_bind_text(s, 1, nr_str_of(nr_container_of(job, struct store_job, job)->r->id));
    return step(s);
}

int preenv_forget(struct nr_db *db, const struct preenv_run *r)
{
    struct store_job j = {.job = {.run = forget_run}, .r = r};

    return nr_db_write_wait(db, &j.job);
}

/* ---- loading ------------------------------------------------------------------------------------------------- */

struct load_job {
    struct nr_db_job job;
    struct fn_key key; /* of a text */
    struct nr_str id;
    int64_t function_id, number, started_ms, ended_ms;
    char *settings, *result; /* made */
};

static char *copy(sqlite3_stmt *s, int at)
{
    struct nr_str text = nr_db_column(s, at);

    return nr_strndup(text.n ? text.p : "", text.n);
}

static int one_row(sqlite3_stmt *s, int column, char **ret)
{
    int r = sqlite3_step(s);

    if (r == SQLITE_ROW)
        *ret = copy(s, column);
    (void)sqlite3_reset(s);
    return r == SQLITE_ROW ? 0 : r == SQLITE_DONE ? NR_ENOENT : nr_db_err(r);
}

static void bind_key(sqlite3_stmt *s, struct fn_key key)
{
    nr_db_bind_text(s, 1, key.account);
    nr_db_bind_text(s, 2, key.package.n ? key.package : NR_STR(""));
    nr_db_bind_text(s, 3, key.name);
}

static int text_run(sqlite3 *db, struct nr_db_job *job)
{
    struct load_job *j = nr_container_of(job, struct load_job, job);
    sqlite3_stmt *s = nr_db_prepare(
        db, "SELECT r.result FROM preenv_runs r JOIN functions f ON f.id = r.function_id"
            " WHERE f.account = ?1 AND f.package = ?2 AND f.name = ?3 AND r.id = ?4");

    if (s == NULL)
        return nr_db_err(sqlite3_errcode(db));
    bind_key(s, j->key);
    nr_db_bind_text(s, 4, j->id);
    return one_row(s, 0, &j->result);
}

int preenv_load_text(struct nr_db *db, struct fn_key key, struct nr_str id, char **ret_text)
{
    struct load_job j = {.job = {.run = text_run}, .key = key, .id = id};
    int r = nr_db_read_wait(db, &j.job);

    if (r == 0)
        *ret_text = j.result;
    return r;
}

static int load_run(sqlite3 *db, struct nr_db_job *job)
{
    struct load_job *j = nr_container_of(job, struct load_job, job);
    sqlite3_stmt *s = nr_db_prepare(
        db, "SELECT settings, result, function_id, number, started_ms, coalesce(ended_ms, 0)"
            " FROM preenv_runs WHERE id = ?1");

    if (s == NULL)
        return nr_db_err(sqlite3_errcode(db));
    nr_db_bind_text(s, 1, j->id);
    int r = sqlite3_step(s);

    if (r == SQLITE_ROW) {
        j->settings = copy(s, 0);
        j->result = copy(s, 1);
        j->function_id = sqlite3_column_int64(s, 2);
        j->number = sqlite3_column_int64(s, 3);
        j->started_ms = sqlite3_column_int64(s, 4);
        j->ended_ms = sqlite3_column_int64(s, 5);
    }
    (void)sqlite3_reset(s);
    return r == SQLITE_ROW ? 0 : r == SQLITE_DONE ? NR_ENOENT : nr_db_err(r);
}

static int read_settings(const char *text, struct preenv_run *r)
{
    nr_auto_json json_t *j = nr_json_parse(nr_str_of(text), NULL);
    nr_auto_free char *request = nr_json_text(nr_json_object(j, "request"), NULL);
    const struct preenv_ranges wide = {INT32_MAX, 65536, 0, 0, INT32_MAX};
    const struct {
        const char *name;
        char **at;
    } texts[] = {{"account", &r->account}, {"package", &r->package},
                 {"name", &r->name},       {"key_uuid", &r->key_uuid},
                 {"sha256", &r->sha256},   {"version", &r->function_version}};

    for (size_t i = 0; i < nr_countof(texts); i++) {
        const char *value = nr_json_string(j, texts[i].name);

        *texts[i].at = nr_strdup(value ? value : "");
    }
    r->declared_mb = json_integer_value(json_object_get(j, "declared_mb"));
    r->declared_cpus_milli = json_integer_value(json_object_get(j, "declared_cpus_milli"));
    r->timeout_ms = json_integer_value(json_object_get(j, "timeout_ms"));
    r->revision = (uint64_t)json_integer_value(json_object_get(j, "revision"));
    if (request == NULL || preenv_request_parse(nr_str_of(request), &wide, &r->request, NULL) < 0)
        return NR_ECORRUPT;
    return 0;
}

int preenv_load(struct nr_db *db, const char *id, struct preenv_run **ret)
{
    struct load_job j = {.job = {.run = load_run}, .id = nr_str_of(id)};
    int e = nr_db_read_wait(db, &j.job);

    if (e < 0)
        return e;
    struct preenv_run *r = preenv_run_make();

    (void)snprintf(r->id, sizeof(r->id), "%s", id);
    r->function_id = j.function_id;
    r->started_ms = j.started_ms;
    r->ended_ms = j.ended_ms;
    e = read_settings(j.settings, r);
    if (e == 0)
        e = preenv_read(nr_str_of(j.result), r);
    free(j.settings);
    free(j.result);
    if (e == 0)
        *ret = r;
    else
        preenv_run_free(r);
    return e;
}

/* ---- lists --------------------------------------------------------------------------------------------------- */

struct list_job {
    struct nr_db_job job;
    const struct preenv_list *q;
    char (*ids)[33]; /* made */
    size_t n;
};

static int list_run(sqlite3 *db, struct nr_db_job *job)
{
    const struct preenv_list *q = nr_container_of(job, struct list_job, job)->q;
    sqlite3_stmt *s = nr_db_prepare(
        db, "SELECT r.result FROM preenv_runs r JOIN functions f ON f.id = r.function_id"
            " WHERE f.account = ?1 AND f.package = ?2 AND f.name = ?3"
            " ORDER BY r.started_ms DESC, r.id DESC LIMIT ?4 OFFSET ?5");
    int r;

    if (s == NULL)
        return nr_db_err(sqlite3_errcode(db));
    bind_key(s, q->key);
    sqlite3_bind_int64(s, 4, q->limit);
    sqlite3_bind_int64(s, 5, q->skip);
    while ((r = sqlite3_step(s)) == SQLITE_ROW)
        q->each(q->arg, nr_db_column(s, 0));
    (void)sqlite3_reset(s);
    return r == SQLITE_DONE ? 0 : nr_db_err(r);
}

int preenv_list(struct nr_db *db, const struct preenv_list *q)
{
    struct list_job j = {.job = {.run = list_run}, .q = q};

    return nr_db_read_wait(db, &j.job);
}

static int unfinished_run(sqlite3 *db, struct nr_db_job *job)
{
    struct list_job *j = nr_container_of(job, struct list_job, job);
    sqlite3_stmt *s = nr_db_prepare(
        db, "SELECT id FROM preenv_runs WHERE state = 'running' ORDER BY started_ms LIMIT 1000");
    int r;

    if (s == NULL)
        return nr_db_err(sqlite3_errcode(db));
    while ((r = sqlite3_step(s)) == SQLITE_ROW && j->n < 1000) {
        struct nr_str id = nr_db_column(s, 0);

        (void)snprintf(j->ids[j->n++], sizeof(j->ids[0]), "%.*s", (int)id.n, id.p);
    }
    (void)sqlite3_reset(s);
    return r == SQLITE_DONE || r == SQLITE_ROW ? 0 : nr_db_err(r);
}

int preenv_unfinished(struct nr_db *db, char (**ret_ids)[33], size_t *ret_n)
{
    struct list_job j = {.job = {.run = unfinished_run}, .ids = nr_alloc(1000 * sizeof(j.ids[0]))};
    int r = nr_db_read_wait(db, &j.job);

    if (r < 0) {
        free(j.ids);
        return r;
    }
    *ret_ids = j.ids;
    *ret_n = j.n;
    return 0;
}

/* ---- the audit log -------------------------------------------------------------------------------------------- */

struct audit_job {
    struct nr_db_job job;
    const struct preenv_run *r;
    struct fn_actor actor;
    const char *move;
};

static int audit_run(sqlite3 *db, struct nr_db_job *job)
{
    const struct audit_job *j = nr_container_of(job, struct audit_job, job);
    sqlite3_stmt *s = nr_db_prepare(
        db,
        "INSERT INTO audit(at_ms, account, key_uuid, move, object, from_state, to_state, note)"
        " VALUES(?1, ?2, ?3, ?4, ?5 || '/' || CASE ?6 WHEN '' THEN '' ELSE ?6 || '/' END || ?7, '', '', ?8)");

    if (s == NULL)
        return nr_db_err(sqlite3_errcode(db));
    sqlite3_bind_int64(s, 1, nr_wall_ms());
    nr_db_bind_text(s, 2, j->actor.account);
    nr_db_bind_text(s, 3, j->actor.key_uuid);
    nr_db_bind_text(s, 4, nr_str_of(j->move));
    nr_db_bind_text(s, 5, nr_str_of(j->r->account));
    nr_db_bind_text(s, 6, nr_str_of(j->r->package));
    nr_db_bind_text(s, 7, nr_str_of(j->r->name));
    nr_db_bind_text(s, 8, nr_str_of(j->r->id));
    return step(s);
}

int preenv_audit(struct nr_db *db, const struct preenv_run *r, struct fn_actor actor,
                 const char *move)
{
    struct audit_job j = {.job = {.run = audit_run}, .r = r, .actor = actor, .move = move};

    return nr_db_write_wait(db, &j.job);
}
