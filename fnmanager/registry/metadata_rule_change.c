/* Changes of rules: each reads, judges, writes and shows in one transaction. Whether the function exists that a rule names is judged before, for it may be
 * another account's; a rule survives its function anyway.
 */
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "fnmanager/registry/metadata_names.h"
#include "fnmanager/registry/metadata_rule_row.h"
#include "fnmanager/registry/metadata_sql.h"
#include "fnmanager/registry/metadata_triggers.h"
#include "fnmanager/functions/version.h"

struct change_job {
    struct nr_db_job job;
    struct fn_key key;
    const struct rule_put *put;
    bool active; /* of a change of its status */
    struct fn_actor actor;
    struct nr_buf *out;
    struct nr_err *err;
    struct rule_row row; /* as it was, and as it will be */
    struct rule_triggers triggers;
};

void rule_triggers_fini(struct rule_triggers *t)
{
    free(t->now);
    free(t->before);
    *t = (struct rule_triggers){0};
}

static void replace(char **text, const char *by)
{
    char *copy = nr_strdup(by);

    free(*text);
    *text = copy;
}

static int run(struct nr_db *db, struct change_job *j, struct rule_triggers *ret)
{
    int r = nr_db_write_wait(db, &j->job);

    rule_row_fini(&j->row);
    if (r == 0)
        *ret = j->triggers;
    else
        rule_triggers_fini(&j->triggers);
    return r;
}

static int audit(sqlite3 *db, const struct change_job *j, const char *move, const char *from,
                 const char *to)
{
    const struct audit_line line = {.at_ms = nr_wall_ms(),
                                    .actor = j->actor,
                                    .move = move,
                                    .object = j->key,
                                    .from = from,
                                    .to = to};

    return sql_audit_named(db, &line, NAME_OF_RULE);
}

static int rules_of_trigger(sqlite3 *db, const struct change_job *j, int64_t *ret)
{
    sqlite3_stmt *s =
        nr_db_prepare(db, "SELECT count(*) FROM rules WHERE trigger_account = ?1"
                          " AND trigger_name = ?2 AND status <> 'orphan' AND name <> ?3");
    int r;

    if (s == NULL)
        return nr_db_err(sqlite3_errcode(db));
    nr_db_bind_text(s, 1, j->key.account);
    nr_db_bind_text(s, 2, nr_str_of(j->row.trigger));
    nr_db_bind_text(s, 3, j->key.name);
    if ((r = sqlite3_step(s)) == SQLITE_ROW)
        *ret = sqlite3_column_int64(s, 0);
    (void)sqlite3_reset(s);
    return r == SQLITE_ROW ? 0 : nr_db_err(r);
}

/* Has the trigger room for one more? A fire starts them all. */
static int check_room(sqlite3 *db, const struct change_job *j)
{
    int64_t n = 0;
    int r = rules_of_trigger(db, j, &n);

    if (r == 0 && n >= RULES_OF_TRIGGER_MAX)
        return nr_err_set(j->err, NR_EQUOTA,
                          "The trigger '%s' has %lld rules; at most %d are allowed.",
                          j->row.trigger, (long long)n, RULES_OF_TRIGGER_MAX);
    return r;
}

static int check_trigger(sqlite3 *db, const struct change_job *j)
{
    int r = sql_trigger(db, j->key.account, nr_str_of(j->row.trigger));

    if (r == NR_ENOENT)
        return nr_err_set(j->err, NR_EINVAL, "trigger /%.*s/%s does not exist",
                          (int)j->key.account.n, j->key.account.p, j->row.trigger);
    return r == 0 ? check_room(db, j) : r;
}

static int begin_new(sqlite3 *db, struct change_job *j)
{
    int64_t n = 0;
    int r = sql_name_free(db, j->key.account, j->key.name, NAME_OF_RULE, j->err);

    if (r < 0)
        return r;
    if (j->put->trigger == NULL || j->put->action == NULL)
        return nr_err_set(j->err, NR_EINVAL, "rule requires a valid trigger and a valid action");
    if ((r = sql_rule_count(db, j->key.account, &n)) < 0)
        return r;
    if (n >= RULES_MAX)
        return nr_err_set(j->err, NR_EQUOTA, "The account has %lld rules; at most %d are allowed.",
                          (long long)n, RULES_MAX);
    j->row = (struct rule_row){.name = nr_strndup(j->key.name.p, j->key.name.n),
                               .annotations = nr_strdup("[]"),
                               .trigger_account = nr_strndup(j->key.account.p, j->key.account.n),
                               .status = RULE_ACTIVE};
    return 0;
}

static void merge_action(struct rule_row *row, const struct function_target *t)
{
    function_target_fini(&row->action);
    row->action = (struct function_target){.account = nr_strdup(t->account),
                                           .package = nr_strdup(t->package),
                                           .name = nr_strdup(t->name),
                                           .number = t->number,
                                           .alias = nr_strdup(t->alias)};
}

/* What the PUT says over what is there. */
static void merge(struct change_job *j)
{
    const struct rule_put *p = j->put;
    struct rule_row *row = &j->row;
    char next[VERSION_TEXT_BYTES] = VERSION_FIRST;

    if (row->version != NULL)
        version_bump(row->version, next);
    replace(&row->version, p->version != NULL ? p->version : next);
    if (p->annotations != NULL)
        replace(&row->annotations, p->annotations);
    if (p->publish >= 0)
        row->publish = p->publish != 0;
    if (p->trigger != NULL && (row->trigger == NULL || strcmp(p->trigger, row->trigger) != 0)) {
        j->triggers.before = row->trigger;
        row->trigger = nr_strdup(p->trigger);
    }
    j->triggers.now = nr_strdup(row->trigger);
    if (p->action != NULL)
        merge_action(row, p->action);
    if (row->status == RULE_ORPHAN) /* it has a trigger again */
        row->status = RULE_INACTIVE;
    row->updated_ms = p->now_ms;
}

static int write_row(sqlite3 *db, const struct change_job *j)
{
    const struct rule_row *row = &j->row;
    sqlite3_stmt *s = nr_db_prepare(
        db, "INSERT INTO rules(account, name, revision, version, publish, annotations, status,"
            " trigger_account, trigger_name, action_account, action_package, action_name,"
            " action_version, action_alias, updated_ms)"
            " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?1, ?8, ?9, ?10, ?11, ?12, ?13, ?14)"
            " ON CONFLICT(account, name) DO UPDATE SET revision = ?3, version = ?4, publish = ?5,"
            " annotations = ?6, status = ?7, trigger_name = ?8, action_account = ?9,"
            " action_package = ?10, action_name = ?11, action_version = ?12, action_alias = ?13,"
            " updated_ms = ?14");

    if (s == NULL)
        return nr_db_err(sqlite3_errcode(db));
    nr_db_bind_text(s, 1, j->key.account);
    nr_db_bind_text(s, 2, j->key.name);
    sqlite3_bind_int64(s, 3, (int64_t)j->put->revision);
    nr_db_bind_text(s, 4, nr_str_of(row->version));
    sqlite3_bind_int(s, 5, row->publish);
    nr_db_bind_text(s, 6, nr_str_of(row->annotations));
    nr_db_bind_text(s, 7, nr_str_of(rule_status_name(row->status)));
    nr_db_bind_text(s, 8, nr_str_of(row->trigger));
    nr_db_bind_text(s, 9, nr_str_of(row->action.account));
    nr_db_bind_text(s, 10, nr_str_of(row->action.package));
    nr_db_bind_text(s, 11, nr_str_of(row->action.name));
    sqlite3_bind_int64(s, 12, row->action.number);
    nr_db_bind_text(s, 13, nr_str_of(row->action.alias));
    sqlite3_bind_int64(s, 14, row->updated_ms);
    return sql_run(db, s);
}

static int put_run(sqlite3 *db, struct nr_db_job *job)
{
    struct change_job *j = nr_container_of(job, struct change_job, job);
    int r = sql_rule(db, j->key, &j->row);
    bool is_new = r == NR_ENOENT;

    if (is_new)
        r = begin_new(db, j);
    else if (r == 0 && !j->put->overwrite)
        r = NR_EEXIST;
    if (r < 0)
        return r;
    nr_auto_free char *old = nr_strdup(is_new ? "" : j->row.version);
    merge(j);
    if ((r = check_trigger(db, j)) == 0 && (r = write_row(db, j)) == 0 &&
        (r = sql_put_counter(db, j->put->revision)) == 0 &&
        (r = audit(db, j, is_new ? "rule-create" : "rule-update", old, j->row.version)) == 0)
        rule_write(j->key.account, &j->row, rule_shown_status(&j->row), j->out);
    return r;
}

int metadata_rule_put(struct nr_db *db, const struct rule_put *put, struct nr_buf *out,
                      struct rule_triggers *ret, struct nr_err *err)
{
    struct change_job j = {.job = {.run = put_run},
                           .key = put->key,
                           .put = put,
                           .actor = put->actor,
                           .out = out,
                           .err = err};

    return run(db, &j, ret);
}

static int delete_row(sqlite3 *db, struct fn_key key)
{
    sqlite3_stmt *s = nr_db_prepare(db, "DELETE FROM rules WHERE account = ?1 AND name = ?2");

    if (s != NULL) {
        nr_db_bind_text(s, 1, key.account);
        nr_db_bind_text(s, 2, key.name);
    }
    return sql_run(db, s);
}

static int delete_run(sqlite3 *db, struct nr_db_job *job)
{
    struct change_job *j = nr_container_of(job, struct change_job, job);
    int r = sql_rule(db, j->key, &j->row);

    if (r < 0)
        return r;
    j->triggers.now = nr_strdup(j->row.trigger);
    rule_write(j->key.account, &j->row, rule_status_name(RULE_INACTIVE), j->out);
    r = delete_row(db, j->key);
    return r == 0 ? audit(db, j, "rule-delete", j->row.version, "") : r;
}

int metadata_rule_delete(struct nr_db *db, struct fn_key key, struct fn_actor actor,
                         struct nr_buf *out, struct rule_triggers *ret)
{
    struct change_job j = {.job = {.run = delete_run}, .key = key, .actor = actor, .out = out};

    return run(db, &j, ret);
}

static int write_status(sqlite3 *db, struct fn_key key, enum rule_status status)
{
    sqlite3_stmt *s =
        nr_db_prepare(db, "UPDATE rules SET status = ?3 WHERE account = ?1 AND name = ?2");

    if (s != NULL) {
        nr_db_bind_text(s, 1, key.account);
        nr_db_bind_text(s, 2, key.name);
        nr_db_bind_text(s, 3, nr_str_of(rule_status_name(status)));
    }
    return sql_run(db, s);
}

/* Only an orphan has no trigger, or is none of the one that has the name now. */
static int judge_state(sqlite3 *db, const struct change_job *j)
{
    int r;

    if (!j->active || j->row.status != RULE_ORPHAN)
        return 0;
    r = sql_trigger(db, j->key.account, nr_str_of(j->row.trigger));
    if (r == NR_ENOENT)
        return nr_err_set(j->err, r, "Only rules with existing triggers can be activated");
    return r == 0 ? check_room(db, j) : r;
}

static int state_run(sqlite3 *db, struct nr_db_job *job)
{
    struct change_job *j = nr_container_of(job, struct change_job, job);
    int r = sql_rule(db, j->key, &j->row);

    if (r < 0 || (j->row.status == RULE_ACTIVE) == j->active)
        return r;
    if ((r = judge_state(db, j)) == 0)
        r = write_status(db, j->key, j->active ? RULE_ACTIVE : RULE_INACTIVE);
    if (r == 0)
        r = audit(db, j, j->active ? "rule-enable" : "rule-disable", rule_shown_status(&j->row),
                  j->active ? "active" : "inactive");
    if (r == 0)
        j->triggers.now = nr_strdup(j->row.trigger);
    return r;
}

int metadata_rule_state(struct nr_db *db, struct fn_key key, bool active, struct fn_actor actor,
                        struct rule_triggers *ret, struct nr_err *err)
{
    struct change_job j = {
        .job = {.run = state_run}, .key = key, .active = active, .actor = actor, .err = err};

    return run(db, &j, ret);
}

int sql_orphan_rules(sqlite3 *db, struct nr_str account, struct nr_str trigger)
{
    sqlite3_stmt *s =
        nr_db_prepare(db, "UPDATE rules SET status = 'orphan' WHERE trigger_account = ?1"
                          " AND trigger_name = ?2 AND status <> 'orphan'");

    if (s != NULL) {
        nr_db_bind_text(s, 1, account);
        nr_db_bind_text(s, 2, trigger);
    }
    return sql_run(db, s);
}
