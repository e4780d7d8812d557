/* Rules as they are read and shown. Their changes are metadata_rule_change.c. */
#include "fnmanager/registry/metadata_rules.h"

#include "common/base/mem.h"
#include "fnmanager/entities/entity_body.h"
#include "fnmanager/registry/metadata_rule_row.h"
#include "fnmanager/registry/metadata_sql.h"
#include "ports/target.h"

struct rule_job {
    struct nr_db_job job;
    struct fn_key key;
    struct nr_buf *out;
    struct function_target *action; /* out */
};

static const char *const status_names[] = {
    [RULE_ACTIVE] = "active", [RULE_INACTIVE] = "inactive", [RULE_ORPHAN] = "orphan"};

const char *rule_status_name(enum rule_status status)
{
    return status_names[status];
}

static enum rule_status status_of(struct nr_str name)
{
    for (size_t i = 0; i < nr_countof(status_names); i++) {
        if (nr_str_eqz(name, status_names[i]))
            return (enum rule_status)i;
    }
    return RULE_INACTIVE;
}

/* From five columns. */
static void read_target(sqlite3_stmt *s, int at, struct function_target *t)
{
    *t = (struct function_target){.account = sql_text(s, at),
                                  .package = sql_text(s, at + 1),
                                  .name = sql_text(s, at + 2),
                                  .number = sqlite3_column_int64(s, at + 3),
                                  .alias = sql_text(s, at + 4)};
}

#define TARGET_COLUMNS "action_account, action_package, action_name, action_version, action_alias"
#define ROW_COLUMNS                                                                                \
    "name, version, publish, annotations, updated_ms, status, trigger_account, trigger_name, " TARGET_COLUMNS

static void read_row(sqlite3_stmt *s, struct rule_row *row)
{
    row->name = sql_text(s, 0);
    row->version = sql_text(s, 1);
    row->publish = sqlite3_column_int(s, 2) != 0;
    row->annotations = sql_text(s, 3);
    row->updated_ms = sqlite3_column_int64(s, 4);
    row->status = status_of(nr_db_column(s, 5));
    row->trigger_account = sql_text(s, 6);
    row->trigger = sql_text(s, 7);
    read_target(s, 8, &row->action);
}

void rule_row_fini(struct rule_row *row)
{
    char *const texts[] = {row->name, row->version, row->annotations, row->trigger_account,
                           row->trigger};

    for (size_t i = 0; i < nr_countof(texts); i++)
        free(texts[i]);
    function_target_fini(&row->action);
    *row = (struct rule_row){0};
}

int sql_rule(sqlite3 *db, struct fn_key key, struct rule_row *ret)
{
    sqlite3_stmt *s =
        nr_db_prepare(db, "SELECT " ROW_COLUMNS " FROM rules WHERE account = ?1 AND name = ?2");
    int r;

    if (s == NULL)
        return nr_db_err(sqlite3_errcode(db));
    nr_db_bind_text(s, 1, key.account);
    nr_db_bind_text(s, 2, key.name);
    if ((r = sqlite3_step(s)) == SQLITE_ROW)
        read_row(s, ret);
    (void)sqlite3_reset(s);
    return r == SQLITE_ROW ? 0 : r == SQLITE_DONE ? NR_ENOENT : nr_db_err(r);
}

void rule_write(struct nr_str account, const struct rule_row *row, const char *status,
                struct nr_buf *out)
{
    const struct entity_common common = {.account = account,
                                         .name = nr_str_of(row->name),
                                         .version = nr_str_of(row->version),
                                         .publish = row->publish,
                                         .annotations = nr_str_of(row->annotations),
                                         .updated_ms = row->updated_ms};

    entity_write_common(&common, out);
    if (status != NULL)
        nr_buf_printf(out, ",\"status\":\"%s\"", status);
    nr_buf_printf(out, ",\"trigger\":{\"path\":\"%s\",\"name\":\"%s\"},\"action\":{\"path\":\"",
                  row->trigger_account, row->trigger);
    function_target_path(&row->action, out);
    nr_buf_adds(out, "\",\"name\":\"");
    function_target_name(&row->action, out);
    nr_buf_adds(out, "\"}}");
}

const char *rule_shown_status(const struct rule_row *row)
{
    return rule_status_name(row->status == RULE_ACTIVE ? RULE_ACTIVE : RULE_INACTIVE);
}

static int get_run(sqlite3 *db, struct nr_db_job *job)
{
    const struct rule_job *j = nr_container_of(job, struct rule_job, job);
    struct rule_row row = {0};
    int r = sql_rule(db, j->key, &row);

    if (r == 0)
        rule_write(j->key.account, &row, rule_shown_status(&row), j->out);
    rule_row_fini(&row);
    return r;
}

int metadata_rule_get(struct nr_db *db, struct fn_key key, struct nr_buf *out)
{
    struct rule_job j = {.job = {.run = get_run}, .key = key, .out = out};

    return nr_db_read_wait(db, &j.job);
}

static int action_run(sqlite3 *db, struct nr_db_job *job)
{
    struct rule_job *j = nr_container_of(job, struct rule_job, job);
    struct rule_row row = {0};
    int r = sql_rule(db, j->key, &row);

    if (r == 0) {
        *j->action = row.action;
        row.action = (struct function_target){0};
    }
    rule_row_fini(&row);
    return r;
}

int metadata_rule_action(struct nr_db *db, struct fn_key key, struct function_target *ret)
{
    struct function_target action = {0};
    struct rule_job j = {.job = {.run = action_run}, .key = key, .action = &action};
    int r = nr_db_read_wait(db, &j.job);

    if (r == 0)
        *ret = action;
    return r;
}

static void write_item(sqlite3_stmt *s, const struct fn_list *q)
{
    struct rule_row row = {0};

    read_row(s, &row);
    rule_write(q->key.account, &row, NULL, q->out);
    rule_row_fini(&row);
}

int sql_rule_count(sqlite3 *db, struct nr_str account, int64_t *ret)
{
    sqlite3_stmt *s = nr_db_prepare(db, "SELECT count(*) FROM rules WHERE account = ?1");
    int r;

    if (s == NULL)
        return nr_db_err(sqlite3_errcode(db));
    nr_db_bind_text(s, 1, account);
    if ((r = sqlite3_step(s)) == SQLITE_ROW)
        *ret = sqlite3_column_int64(s, 0);
    (void)sqlite3_reset(s);
    return r == SQLITE_ROW ? 0 : nr_db_err(r);
}

int metadata_rule_list(struct nr_db *db, const struct fn_list *q)
{
    static const struct sql_collection rules = {
        "rules",
        "SELECT " ROW_COLUMNS " FROM rules WHERE account = ?1"
        " ORDER BY updated_ms DESC, revision DESC LIMIT ?2 OFFSET ?3",
        sql_rule_count, write_item};

    return sql_list(db, q, &rules);
}

void trigger_rules_free(struct trigger_rule *rules, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        free(rules[i].name);
        function_target_fini(&rules[i].action);
    }
    free(rules);
}

static int add_rule(sqlite3_stmt *s, struct trigger_rule **list, size_t *n)
{
    struct trigger_rule *grown = nr_try_realloc(*list, (*n + 1) * sizeof(*grown));

    if (grown == NULL)
        return NR_ENOMEM;
    *list = grown;
    grown[*n] = (struct trigger_rule){.name = sql_text(s, 0),
                                      .active = status_of(nr_db_column(s, 1)) == RULE_ACTIVE};
    read_target(s, 2, &grown[(*n)++].action);
    return 0;
}

int sql_rules_of(sqlite3 *db, struct nr_str account, struct nr_str trigger,
                 struct trigger_rule **ret, size_t *ret_n)
{
    sqlite3_stmt *s = nr_db_prepare(
        db, "SELECT name, status, " TARGET_COLUMNS " FROM rules WHERE trigger_account = ?1"
            " AND trigger_name = ?2 AND account = ?1 AND status <> 'orphan' ORDER BY name");
    struct trigger_rule *list = NULL;
    size_t n = 0;
    int r = SQLITE_DONE, e = 0;

    if (s == NULL)
        return nr_db_err(sqlite3_errcode(db));
    nr_db_bind_text(s, 1, account);
    nr_db_bind_text(s, 2, trigger);
    while (e == 0 && (r = sqlite3_step(s)) == SQLITE_ROW)
        e = add_rule(s, &list, &n);
    (void)sqlite3_reset(s);
    if (e == 0 && r != SQLITE_DONE)
        e = nr_db_err(r);
    if (e < 0) {
        trigger_rules_free(list, n);
        return e;
    }
    *ret = list;
    *ret_n = n;
    return 0;
}
