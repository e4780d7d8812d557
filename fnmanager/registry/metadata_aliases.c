/* Aliases in meta.db. Where one points is stored as a JSON object of weights by version number, {"1":90,"2":10}; one version is
 * {"2":100}. What it pointed to is an array whose last element is what it points to now: to roll back is to drop the last one.
 */
#include "fnmanager/registry/metadata_aliases.h"

#include "common/base/json.h"
#include "fnmanager/registry/metadata_sql.h"

struct alias_job {
    struct nr_db_job job;
    struct fn_key key;
    struct nr_str alias;
    struct alias_split *split;
    struct alias_list list;
};

bool alias_split_read(struct nr_str text, struct alias_split *ret)
{
    nr_auto_json json_t *o = nr_json_parse(text, NULL);
    struct alias_split split = {0};
    const char *version;
    json_t *weight;

    json_object_foreach(o, version, weight) {
        if (split.n == ALIAS_PARTS_MAX ||
            !nr_str_to_i64(nr_str_of(version), 1, INT32_MAX, &split.part[split.n].version))
            return false;
        split.part[split.n++].weight = (int)json_integer_value(weight);
    }
    if (split.n == 0)
        return false;
    *ret = split;
    return true;
}

bool alias_split_names(const struct alias_split *split, int64_t version)
{
    for (size_t i = 0; i < split->n; i++) {
        if (split->part[i].version == version)
            return true;
    }
    return false;
}

void alias_weights_write(const struct alias_split *split, struct nr_buf *out)
{
    nr_buf_addc(out, '{');
    for (size_t i = 0; i < split->n; i++)
        nr_buf_printf(out, "%s\"%lld\":%d", i > 0 ? "," : "", (long long)split->part[i].version,
                      split->part[i].weight);
    nr_buf_addc(out, '}');
}

void alias_split_write(const struct alias_split *split, struct nr_buf *out)
{
    if (split->n == 1) {
        nr_buf_printf(out, "\"version\":%lld", (long long)split->part[0].version);
        return;
    }
    nr_buf_adds(out, "\"weights\":");
    alias_weights_write(split, out);
}

static int alias_run(sqlite3 *db, struct nr_db_job *job)
{
    struct alias_job *j = nr_container_of(job, struct alias_job, job);
    sqlite3_stmt *s = nr_db_prepare(
        db, "SELECT a.weights FROM functions f JOIN aliases a ON a.function_id = f.id"
            " WHERE f.account = ?1 AND f.package = ?2 AND f.name = ?3 AND a.name = ?4");
    int r;

    if (s == NULL)
        return nr_db_err(sqlite3_errcode(db));
    sql_bind_key(s, j->key);
    nr_db_bind_text(s, 4, j->alias);
    r = sqlite3_step(s);
    bool good = r == SQLITE_ROW && alias_split_read(nr_db_column(s, 0), j->split);
    (void)sqlite3_reset(s);
    if (r != SQLITE_ROW)
        return r == SQLITE_DONE ? NR_ENOENT : nr_db_err(r);
    return good ? 0 : NR_ECORRUPT;
}

int metadata_alias(struct nr_db *db, struct fn_key key, struct nr_str alias,
                   struct alias_split *ret)
{
    struct alias_job j = {.job = {.run = alias_run}, .key = key, .alias = alias, .split = ret};

    return nr_db_read_wait(db, &j.job);
}

void alias_row_fini(struct alias_row *r)
{
    free(r->name);
    free(r->history);
    *r = (struct alias_row){0};
}

void alias_list_fini(struct alias_list *l)
{
    for (size_t i = 0; i < l->n; i++)
        alias_row_fini(&l->item[i]);
    free(l->item);
    *l = (struct alias_list){0};
}

int alias_row_read(sqlite3_stmt *s, struct alias_row *ret)
{
    if (!alias_split_read(nr_db_column(s, 1), &ret->split))
        return NR_ECORRUPT;
    ret->name = sql_text(s, 0);
    ret->history = sql_text(s, 2);
    ret->is_protected = sqlite3_column_int(s, 3) != 0;
    return 0;
}

static int add_row(sqlite3_stmt *s, struct alias_list *l)
{
    struct alias_row *grown = nr_try_realloc(l->item, (l->n + 1) * sizeof(*grown));
    int r;

    if (grown == NULL)
        return NR_ENOMEM;
    l->item = grown;
    grown[l->n] = (struct alias_row){0};
    if ((r = alias_row_read(s, &grown[l->n])) == 0)
        l->n++;
    return r;
}

static int list_run(sqlite3 *db, struct nr_db_job *job)
{
    struct alias_job *j = nr_container_of(job, struct alias_job, job);
    sqlite3_stmt *s;
    int64_t id;
    int r = sql_function_id(db, j->key, &id), e = 0;

    if (r < 0)
        return r;
    s = nr_db_prepare(db, "SELECT name, weights, history, protected FROM aliases"
                          " WHERE function_id = ?1 ORDER BY name");
    if (s == NULL)
        return nr_db_err(sqlite3_errcode(db));
    sqlite3_bind_int64(s, 1, id);
    while (e == 0 && (r = sqlite3_step(s)) == SQLITE_ROW)
        e = add_row(s, &j->list);
    (void)sqlite3_reset(s);
    return e < 0 ? e : r == SQLITE_DONE ? 0 : nr_db_err(r);
}

int metadata_alias_list(struct nr_db *db, struct fn_key key, struct alias_list *ret)
{
    struct alias_job j = {.job = {.run = list_run}, .key = key};
    int r = nr_db_read_wait(db, &j.job);

    if (r == 0)
        *ret = j.list;
    else
        alias_list_fini(&j.list);
    return r;
}
