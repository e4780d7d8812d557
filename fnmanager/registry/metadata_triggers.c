/* A change of a trigger reads, judges, writes and shows in one transaction, so no two of them can be lost in each other. A trigger shows the rules that it
 * starts; they are rows of their own.
 */
#include "fnmanager/registry/metadata_triggers.h"

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "fnmanager/entities/entity_body.h"
#include "fnmanager/registry/metadata_names.h"
#include "fnmanager/registry/metadata_rules.h"
#include "fnmanager/registry/metadata_sql.h"
#include "fnmanager/functions/version.h"

struct trigger_job {
    struct nr_db_job job;
    struct fn_key key;
    const struct trigger_put *put;
    struct fn_actor actor;
    struct nr_buf *out;
    struct nr_err *err;
    struct trigger *trigger; /* out */
};

/* ?1, ?2: account and name. */
static sqlite3_stmt *bound(sqlite3_stmt *s, struct nr_str account, struct nr_str name)
{
    if (s != NULL) {
        nr_db_bind_text(s, 1, account);
        nr_db_bind_text(s, 2, name);
    }
    return s;
}

static void write_rule(const struct trigger_rule *rule, struct nr_str account, struct nr_buf *out)
{
    nr_buf_printf(out, "\"%.*s/%s\":{\"action\":{\"path\":\"", (int)account.n, account.p,
                  rule->name);
    function_target_path(&rule->action, out);
    nr_buf_adds(out, "\",\"name\":\"");
    function_target_name(&rule->action, out);
    nr_buf_printf(out, "\"},\"status\":\"%s\"}", rule->active ? "active" : "inactive");
}

/* No name needs an escape: the rule of names leaves no quote and no backslash. */
static int write_rules(sqlite3 *db, struct fn_key key, struct nr_buf *out)
{
    struct trigger_rule *rules = NULL;
    size_t n = 0;
    int r = sql_rules_of(db, key.account, key.name, &rules, &n);

    for (size_t i = 0; r == 0 && i < n; i++) {
        nr_buf_adds(out, i == 0 ? ",\"rules\":{" : ",");
        write_rule(&rules[i], key.account, out);
    }
    if (n > 0)
        nr_buf_addc(out, '}');
    trigger_rules_free(rules, n);
    return r;
}

/* name, version, publish, annotations, updated_ms. */
static void write_common(sqlite3_stmt *s, struct nr_str account, struct nr_buf *out)
{
    const struct entity_common common = {.account = account,
                                         .name = nr_db_column(s, 0),
                                         .version = nr_db_column(s, 1),
                                         .publish = sqlite3_column_int(s, 2) != 0,
                                         .annotations = nr_db_column(s, 3),
                                         .updated_ms = sqlite3_column_int64(s, 4)};

    entity_write_common(&common, out);
}

static int show(sqlite3 *db, struct fn_key key, struct nr_buf *out)
{
    sqlite3_stmt *s =
        bound(nr_db_prepare(db, "SELECT name, version, publish, annotations, updated_ms, parameters"
                                " FROM triggers WHERE account = ?1 AND name = ?2"),
              key.account, key.name);
    int r;

    if (s == NULL)
        return nr_db_err(sqlite3_errcode(db));
    if ((r = sqlite3_step(s)) == SQLITE_ROW) {
        struct nr_str parameters = nr_db_column(s, 5);

        write_common(s, key.account, out);
        nr_buf_adds(out, ",\"parameters\":");
        nr_buf_add(out, parameters.p, parameters.n);
        nr_buf_adds(out, ",\"limits\":{}");
    }
    (void)sqlite3_reset(s);
    if (r != SQLITE_ROW)
        return r == SQLITE_DONE ? NR_ENOENT : nr_db_err(r);
    r = write_rules(db, key, out);
    nr_buf_addc(out, '}');
    return r;
}

/* The version (made) of the trigger that is there; NR_ENOENT. */
static int old_version(sqlite3 *db, struct fn_key key, char **ret)
{
    sqlite3_stmt *s =
        bound(nr_db_prepare(db, "SELECT version FROM triggers WHERE account = ?1 AND name = ?2"),
              key.account, key.name);
    int r;

    if (s == NULL)
        return nr_db_err(sqlite3_errcode(db));
    if ((r = sqlite3_step(s)) == SQLITE_ROW)
        *ret = sql_text(s, 0);
    (void)sqlite3_reset(s);
    return r == SQLITE_ROW ? 0 : r == SQLITE_DONE ? NR_ENOENT : nr_db_err(r);
}

int sql_trigger(sqlite3 *db, struct nr_str account, struct nr_str name)
{
    nr_auto_free char *version = NULL;

    return old_version(db, (struct fn_key){.account = account, .name = name}, &version);
}

static int count_of(sqlite3 *db, struct nr_str account, int64_t *ret)
{
    sqlite3_stmt *s = nr_db_prepare(db, "SELECT count(*) FROM triggers WHERE account = ?1");
    int r;

    if (s == NULL)
        return nr_db_err(sqlite3_errcode(db));
    nr_db_bind_text(s, 1, account);
    if ((r = sqlite3_step(s)) == SQLITE_ROW)
        *ret = sqlite3_column_int64(s, 0);
    (void)sqlite3_reset(s);
    return r == SQLITE_ROW ? 0 : nr_db_err(r);
}

static int may_be_new(sqlite3 *db, const struct trigger_job *j)
{
    int64_t n = 0;
    int r = sql_name_free(db, j->key.account, j->key.name, NAME_OF_TRIGGER, j->err);

    if (r == 0 && (r = count_of(db, j->key.account, &n)) == 0 && n >= TRIGGERS_MAX)
        return nr_err_set(j->err, NR_EQUOTA,
                          "The account has %lld triggers; at most %d are allowed.", (long long)n,
                          TRIGGERS_MAX);
    return r;
}

static int write_row(sqlite3 *db, const struct trigger_job *j, const char *version)
{
    const struct trigger_put *p = j->put;
    sqlite3_stmt *s = bound(
        nr_db_prepare(
            db, "INSERT INTO triggers(account, name, revision, version, publish, parameters,"
                " annotations, updated_ms) VALUES(?1, ?2, ?3, ?4, max(?5, 0), coalesce(?6, '[]'),"
                " coalesce(?7, '[]'), ?8) ON CONFLICT(account, name) DO UPDATE SET"
                " revision = ?3, version = ?4, publish = CASE WHEN ?5 < 0 THEN publish ELSE ?5 END,"
                " parameters = coalesce(?6, parameters), annotations = coalesce(?7, annotations),"
                " updated_ms = ?8"),
        j->key.account, j->key.name);

    if (s != NULL) {
        sqlite3_bind_int64(s, 3, (int64_t)p->revision);
        nr_db_bind_text(s, 4, nr_str_of(version));
        sqlite3_bind_int(s, 5, p->publish);
        nr_db_bind_text(s, 6, nr_str_of(p->parameters));
        nr_db_bind_text(s, 7, nr_str_of(p->annotations));
        sqlite3_bind_int64(s, 8, p->now_ms);
    }
    return sql_run(db, s);
}

static int put_run(sqlite3 *db, struct nr_db_job *job)
{
    struct trigger_job *j = nr_container_of(job, struct trigger_job, job);
    const struct trigger_put *p = j->put;
    struct audit_line line = {.at_ms = p->now_ms, .actor = p->actor, .object = j->key};
    nr_auto_free char *old = NULL;
    char next[VERSION_TEXT_BYTES] = VERSION_FIRST;
    int r = old_version(db, j->key, &old);

    if (r == NR_ENOENT)
        r = may_be_new(db, j);
    else if (r == 0 && !p->overwrite)
        r = NR_EEXIST;
    if (r < 0)
        return r;
    if (old != NULL)
        version_bump(old, next);
    line.move = old != NULL ? "trigger-update" : "trigger-create";
    line.from = old;
    line.to = p->version != NULL ? p->version : next;
    if ((r = write_row(db, j, line.to)) == 0 && (r = sql_put_counter(db, p->revision)) == 0 &&
        (r = sql_audit_named(db, &line, NAME_OF_TRIGGER)) == 0)
        r = show(db, j->key, j->out);
    return r;
}

int metadata_trigger_put(struct nr_db *db, const struct trigger_put *put, struct nr_buf *out,
                         struct nr_err *err)
{
    struct trigger_job j = {
        .job = {.run = put_run}, .key = put->key, .put = put, .out = out, .err = err};

    return nr_db_write_wait(db, &j.job);
}

static int get_run(sqlite3 *db, struct nr_db_job *job)
{
    const struct trigger_job *j = nr_container_of(job, struct trigger_job, job);

    return show(db, j->key, j->out);
}

int metadata_trigger_get(struct nr_db *db, struct fn_key key, struct nr_buf *out)
{
    struct trigger_job j = {.job = {.run = get_run}, .key = key, .out = out};

    return nr_db_read_wait(db, &j.job);
}

static int delete_run(sqlite3 *db, struct nr_db_job *job)
{
    const struct trigger_job *j = nr_container_of(job, struct trigger_job, job);
    const struct audit_line line = {
        .at_ms = nr_wall_ms(), .actor = j->actor, .move = "trigger-delete", .object = j->key};
    int r = show(db, j->key, j->out);

    if (r == 0)
        r = sql_run(
            db, bound(nr_db_prepare(db, "DELETE FROM triggers WHERE account = ?1 AND name = ?2"),
                      j->key.account, j->key.name));
    if (r == 0)
        r = sql_orphan_rules(db, j->key.account, j->key.name);
    return r == 0 ? sql_audit_named(db, &line, NAME_OF_TRIGGER) : r;
}

int metadata_trigger_delete(struct nr_db *db, struct fn_key key, struct fn_actor actor,
                            struct nr_buf *out)
{
    struct trigger_job j = {.job = {.run = delete_run}, .key = key, .actor = actor, .out = out};

    return nr_db_write_wait(db, &j.job);
}

static int load_run(sqlite3 *db, struct nr_db_job *job)
{
    struct trigger_job *j = nr_container_of(job, struct trigger_job, job);
    struct trigger *t = j->trigger;
    sqlite3_stmt *s =
        bound(nr_db_prepare(
                  db, "SELECT version, parameters FROM triggers WHERE account = ?1 AND name = ?2"),
              j->key.account, j->key.name);
    int r;

    if (s == NULL)
        return nr_db_err(sqlite3_errcode(db));
    if ((r = sqlite3_step(s)) == SQLITE_ROW) {
        t->version = sql_text(s, 0);
        t->parameters = sql_text(s, 1);
    }
    (void)sqlite3_reset(s);
    if (r != SQLITE_ROW)
        return r == SQLITE_DONE ? NR_ENOENT : nr_db_err(r);
    return sql_rules_of(db, j->key.account, j->key.name, &t->rules, &t->rule_count);
}

int metadata_trigger_load(struct nr_db *db, struct fn_key key, struct trigger **ret)
{
    struct trigger *t = nr_alloc(sizeof(*t));
    struct trigger_job j = {.job = {.run = load_run}, .key = key, .trigger = t};
    int r;

    atomic_init(&t->refs, 1);
    t->account = nr_strndup(key.account.p, key.account.n);
    t->name = nr_strndup(key.name.p, key.name.n);
    if ((r = nr_db_read_wait(db, &j.job)) == 0)
        *ret = t;
    else
        trigger_unref(t);
    return r;
}

struct list_job {
    struct nr_db_job job;
    struct nr_str account;
    void (*each)(void *arg, const char *name);
    void *arg;
};

static void write_item(sqlite3_stmt *s, const struct fn_list *q)
{
    write_common(s, q->key.account, q->out);
    nr_buf_addc(q->out, '}');
}

int metadata_trigger_list(struct nr_db *db, const struct fn_list *q)
{
    static const struct sql_collection triggers = {
        "triggers",
        "SELECT name, version, publish, annotations, updated_ms FROM triggers"
        " WHERE account = ?1 ORDER BY updated_ms DESC, revision DESC LIMIT ?2 OFFSET ?3",
        count_of, write_item};

    return sql_list(db, q, &triggers);
}

static int names_run(sqlite3 *db, struct nr_db_job *job)
{
    const struct list_job *j = nr_container_of(job, struct list_job, job);

    return sql_names(db, nr_db_prepare(db, "SELECT name FROM triggers WHERE account = ?1"),
                     j->account, j->each, j->arg);
}

int metadata_trigger_names(struct nr_db *db, struct nr_str account,
                           void (*each)(void *arg, const char *name), void *arg)
{
    struct list_job j = {.job = {.run = names_run}, .account = account, .each = each, .arg = arg};

    return nr_db_read_wait(db, &j.job);
}
