/* A change of an alias reads, judges and writes in one transaction: no alias ever names a version that is not there. What it points to
 * from now on is added to its history; to roll back is to drop the last of it. The same target again is no change.
 */
#include "fnmanager/registry/metadata_aliases.h"

#include "common/base/clock.h"
#include "common/base/json.h"
#include "fnmanager/functions/lifecycle.h"
#include "fnmanager/registry/metadata_audit.h"
#include "fnmanager/registry/metadata_sql.h"

struct change_job {
    struct nr_db_job job;
    const struct alias_order *o;
    struct nr_err *err;
    int64_t function_id, now_ms;
    bool exists;
    struct alias_row old;
    json_t *history; /* as it will be */
    struct alias_split split;
    bool is_protected;
};

/* The stored form (made). */
static char *weights_text(const struct alias_split *split)
{
    struct nr_buf out;

    nr_buf_init(&out, 1024);
    alias_weights_write(split, &out);
    return nr_buf_detach(&out, NULL);
}

static int read_old(sqlite3 *db, struct change_job *j)
{
    sqlite3_stmt *s = nr_db_prepare(db, "SELECT name, weights, history, protected FROM aliases"
                                        " WHERE function_id = ?1 AND name = ?2");
    int r, e = 0;

    if (s == NULL)
        return nr_db_err(sqlite3_errcode(db));
    sqlite3_bind_int64(s, 1, j->function_id);
    nr_db_bind_text(s, 2, j->o->alias);
    r = sqlite3_step(s);
    j->exists = r == SQLITE_ROW;
    if (j->exists)
        e = alias_row_read(s, &j->old);
    (void)sqlite3_reset(s);
    if (e < 0 || (r != SQLITE_ROW && r != SQLITE_DONE))
        return e < 0 ? e : nr_db_err(r);
    j->history = j->exists ? nr_json_parse(nr_str_of(j->old.history), NULL) : json_array();
    j->is_protected = j->old.is_protected;
    j->split = j->old.split;
    return j->history != NULL ? 0 : NR_ECORRUPT;
}

/* Is there this version, and may calls be sent to it? */
static int check_version(sqlite3 *db, const struct change_job *j, int64_t version)
{
    sqlite3_stmt *s =
        nr_db_prepare(db, "SELECT state FROM versions WHERE function_id = ?1 AND number = ?2");
    bool retired = false;
    int r;

    if (s == NULL)
        return nr_db_err(sqlite3_errcode(db));
    sqlite3_bind_int64(s, 1, j->function_id);
    sqlite3_bind_int64(s, 2, version);
    if ((r = sqlite3_step(s)) == SQLITE_ROW)
        retired = nr_str_eqz(nr_db_column(s, 0), lifecycle_name(FN_RETIRED));
    (void)sqlite3_reset(s);
    if (r == SQLITE_DONE)
        return nr_err_set(j->err, NR_ENOENT, "The function has no version %lld.",
                          (long long)version);
    if (retired)
        return nr_err_set(j->err, NR_ECONFLICT,
                          "Version %lld is RETIRED: no alias can point to it.", (long long)version);
    return r == SQLITE_ROW ? 0 : nr_db_err(r);
}

static int check_split(sqlite3 *db, const struct change_job *j)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < j->split.n; i++)
        r = check_version(db, j, j->split.part[i].version);
    return r;
}

static int check_count(sqlite3 *db, const struct change_job *j)
{
    sqlite3_stmt *s = nr_db_prepare(db, "SELECT count(*) FROM aliases WHERE function_id = ?1");
    int r;

    if (s == NULL)
        return nr_db_err(sqlite3_errcode(db));
    sqlite3_bind_int64(s, 1, j->function_id);
    r = sqlite3_step(s);
    int64_t n = r == SQLITE_ROW ? sqlite3_column_int64(s, 0) : 0;
    (void)sqlite3_reset(s);
    if (n >= ALIASES_MAX)
        return nr_err_set(j->err, NR_EQUOTA,
                          "The function has %lld aliases; at most %d are allowed.", (long long)n,
                          ALIASES_MAX);
    return r == SQLITE_ROW ? 0 : nr_db_err(r);
}

static bool same_split(const struct alias_split *a, const struct alias_split *b)
{
    bool same = a->n == b->n;

    for (size_t i = 0; same && i < a->n; i++)
        same = a->part[i].version == b->part[i].version && a->part[i].weight == b->part[i].weight;
    return same;
}

/* What it points to from now on is the last of its history. */
static int remember(struct change_job *j)
{
    nr_auto_free char *text = weights_text(&j->split);
    json_t *weights = text != NULL ? nr_json_parse(nr_str_of(text), NULL) : NULL;
    json_t *entry = json_pack("{s:I, s:s%, s:o}", "at_ms", (json_int_t)j->now_ms, "by",
                              j->o->actor.account.p, j->o->actor.account.n, "weights", weights);

    if (entry == NULL || json_array_append_new(j->history, entry) < 0)
        return NR_ENOMEM;
    while (json_array_size(j->history) > ALIAS_HISTORY_MAX)
        (void)json_array_remove(j->history, 0);
    return 0;
}

static int judge_put(sqlite3 *db, struct change_job *j)
{
    int r = 0;

    if (!j->exists && j->o->split.n == 0)
        return nr_err_set(j->err, NR_EINVAL, "A new alias needs 'version' or 'weights'.");
    if (!j->exists && (r = check_count(db, j)) < 0)
        return r;
    if (j->o->is_protected >= 0)
        j->is_protected = j->o->is_protected != 0;
    if (j->o->split.n == 0 || (j->exists && same_split(&j->o->split, &j->old.split)))
        return 0;
    j->split = j->o->split;
    if ((r = check_split(db, j)) < 0)
        return r;
    return remember(j);
}

static int judge_rollback(sqlite3 *db, struct change_job *j)
{
    size_t n = json_array_size(j->history);

    if (!j->exists)
        return NR_ENOENT;
    if (n < 2)
        return nr_err_set(j->err, NR_ECONFLICT,
                          "The alias '%s' has no history: there is nothing to roll back to.",
                          j->old.name);
    (void)json_array_remove(j->history, n - 1);
    nr_auto_free char *text =
        nr_json_text(json_object_get(json_array_get(j->history, n - 2), "weights"), NULL);
    if (text == NULL || !alias_split_read(nr_str_of(text), &j->split))
        return NR_ECORRUPT;
    return check_split(db, j);
}

static int judge_delete(sqlite3 *db, struct change_job *j)
{
    (void)db;
    if (!j->exists)
        return NR_ENOENT;
    if (j->old.is_protected)
        return nr_err_set(j->err, NR_ECONFLICT,
                          "The alias '%s' is protected: take the protection away first.",
                          j->old.name);
    return 0;
}

static int put_row(sqlite3 *db, const struct change_job *j)
{
    nr_auto_free char *weights = weights_text(&j->split);
    nr_auto_free char *history = nr_json_text(j->history, NULL);
    sqlite3_stmt *s = nr_db_prepare(
        db,
        "INSERT INTO aliases(function_id, name, weights, history, protected, updated_ms)"
        " VALUES(?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT(function_id, name) DO UPDATE SET"
        " weights = excluded.weights, history = excluded.history, protected = excluded.protected,"
        " updated_ms = excluded.updated_ms");

    if (weights == NULL || history == NULL)
        return NR_ENOMEM;
    if (s != NULL) {
        sqlite3_bind_int64(s, 1, j->function_id);
        nr_db_bind_text(s, 2, j->o->alias);
        nr_db_bind_text(s, 3, nr_str_of(weights));
        nr_db_bind_text(s, 4, nr_str_of(history));
        sqlite3_bind_int(s, 5, j->is_protected);
        sqlite3_bind_int64(s, 6, j->now_ms);
    }
    return sql_run(db, s);
}

static int delete_row(sqlite3 *db, const struct change_job *j)
{
    sqlite3_stmt *s = nr_db_prepare(db, "DELETE FROM aliases WHERE function_id = ?1 AND name = ?2");

    if (s != NULL) {
        sqlite3_bind_int64(s, 1, j->function_id);
        nr_db_bind_text(s, 2, j->o->alias);
    }
    return sql_run(db, s);
}

static int audit(sqlite3 *db, const struct change_job *j, const char *move, bool gone)
{
    nr_auto_free char *from = j->exists ? weights_text(&j->old.split) : nr_strdup("");
    nr_auto_free char *to = gone ? nr_strdup("") : weights_text(&j->split);
    char note[320];
    int n = snprintf(note, sizeof(note), "alias %.*s%s", (int)j->o->alias.n, j->o->alias.p,
                     j->is_protected && !gone ? ", protected" : "");
    const struct audit_line line = {.at_ms = j->now_ms,
                                    .actor = j->o->actor,
                                    .move = move,
                                    .object = j->o->key,
                                    .from = from,
                                    .to = to,
                                    .note = {note, (size_t)n}};

    return audit_put(db, &line);
}

static const struct {
    const char *move;
    int (*judge)(sqlite3 *db, struct change_job *j);
    int (*write)(sqlite3 *db, const struct change_job *j);
} changes[] = {
    [ALIAS_PUT] = {"alias", judge_put, put_row},
    [ALIAS_ROLLBACK] = {"alias-rollback", judge_rollback, put_row},
    [ALIAS_DELETE] = {"alias-delete", judge_delete, delete_row},
};

static int change_run(sqlite3 *db, struct nr_db_job *job)
{
    struct change_job *j = nr_container_of(job, struct change_job, job);
    enum alias_change change = j->o->change;
    int r = sql_function_id(db, j->o->key, &j->function_id);

    j->now_ms = nr_wall_ms();
    if (r == 0 && (r = read_old(db, j)) == 0 && (r = changes[change].judge(db, j)) == 0 &&
        (r = changes[change].write(db, j)) == 0)
        r = audit(db, j, changes[change].move, change == ALIAS_DELETE);
    return r;
}

int metadata_alias_change(struct nr_db *db, const struct alias_order *o, bool *ret_new,
                          struct nr_err *err)
{
    struct change_job j = {.job = {.run = change_run}, .o = o, .err = err};
    int r = nr_db_write_wait(db, &j.job);

    *ret_new = r == 0 && !j.exists;
    alias_row_fini(&j.old);
    json_decref(j.history);
    return r;
}
