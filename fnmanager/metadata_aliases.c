/* Aliases in meta.db. Where one points is stored as a JSON object of weights by version number, {"1":90,"2":10}; one version is
 * {"2":100}.
 */
#include "fnmanager/metadata_aliases.h"

#include "common/base/json.h"

struct alias_job {
    struct nr_db_job job;
    struct fn_key key;
    struct nr_str alias;
    struct alias_split *split;
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

static int alias_run(sqlite3 *db, struct nr_db_job *job)
{
    struct alias_job *j = nr_container_of(job, struct alias_job, job);
    sqlite3_stmt *s = nr_db_prepare(
        db, "SELECT a.weights FROM functions f JOIN aliases a ON a.function_id = f.id"
            " WHERE f.account = ?1 AND f.package = ?2 AND f.name = ?3 AND a.name = ?4");
    int r;

    if (s == NULL)
        return nr_db_err(sqlite3_errcode(db));
    nr_db_bind_text(s, 1, j->key.account);
    nr_db_bind_text(s, 2, j->key.package.n != 0 ? j->key.package : NR_STR(""));
    nr_db_bind_text(s, 3, j->key.name);
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
