/* A move in one transaction: read the versions that are meant -> judge each by the table -> change or remove them -> audit lines.
 * Nothing is read before and believed here, so two who move at once cannot both have their way.
 *
 * A move without a version goes to LATEST and every version that allows it; what is there already stays as it is (who blocks a
 * function with one blocked version has blocked it all). Purge and delete take all or nothing, and with the last version go the
 * aliases and the function.
 */
#include "fnmanager/registry/metadata_moves.h"

#include "common/base/clock.h"
#include "fnmanager/registry/metadata_audit.h"
#include "fnmanager/registry/metadata_sql.h"
#include "ports/fnmanager.h"

/* A version that is meant. */
struct meant {
    struct moved m;
    enum function_state before;
    char *folder,
        *alias; /* made; alias: one that uses it, or for LATEST a protected one; NULL: none */
    bool moves;
};

struct move_job {
    struct nr_db_job job;
    const struct move_order *o;
    struct nr_err *err;
    int64_t function_id, now_ms;
    struct meant *list;
    size_t n;
};

/* Inside one transaction the answer cannot become wrong. An alias is in the way of what it points to; a protected one of the function. */
#define SELECT_MEANT                                                                                 \
    "SELECT v.id, v.number, v.revision, v.state, coalesce(v.state_before, 'LATEST'), v.code_folder," \
    " (SELECT a.name FROM aliases a WHERE a.function_id = v.function_id AND CASE v.number WHEN 0"    \
    "  THEN a.protected <> 0 ELSE EXISTS(SELECT 1 FROM json_each(a.weights) w"                       \
    "  WHERE CAST(w.key AS INTEGER) = v.number) END ORDER BY a.name LIMIT 1)"                        \
    " FROM versions v WHERE v.function_id = ?1 AND (?2 < 0 OR v.number = ?2) ORDER BY v.number"

static int add_meant(struct move_job *j, sqlite3_stmt *s)
{
    struct meant *grown = nr_try_realloc(j->list, (j->n + 1) * sizeof(*grown));
    nr_auto_free char *state = sql_text(s, 3);
    nr_auto_free char *before = sql_text(s, 4);

    if (grown == NULL)
        return NR_ENOMEM;
    j->list = grown;
    grown[j->n++] = (struct meant){
        .m = {.version_id = sqlite3_column_int64(s, 0),
              .number = sqlite3_column_int64(s, 1),
              .from = lifecycle_of_name(state),
              .old_revision = (uint64_t)sqlite3_column_int64(s, 2)},
        .before = lifecycle_of_name(before),
        .folder = sql_text(s, 5),
        .alias = sqlite3_column_type(s, 6) == SQLITE_NULL ? NULL : sql_text(s, 6),
    };
    return 0;
}

static int read_meant(sqlite3 *db, struct move_job *j)
{
    sqlite3_stmt *s;
    int r = sql_function_id(db, j->o->key, &j->function_id), e = 0;

    if (r < 0)
        return r;
    if ((s = nr_db_prepare(db, SELECT_MEANT)) == NULL)
        return nr_db_err(sqlite3_errcode(db));
    sqlite3_bind_int64(s, 1, j->function_id);
    sqlite3_bind_int64(s, 2, j->o->number);
    while (e == 0 && (r = sqlite3_step(s)) == SQLITE_ROW)
        e = add_meant(j, s);
    (void)sqlite3_reset(s);
    if (e < 0 || r != SQLITE_DONE)
        return e < 0 ? e : nr_db_err(r);
    return j->n > 0 ? 0 : NR_ENOENT;
}

static bool removes(enum lifecycle_move move)
{
    return move == MOVE_PURGE || move == MOVE_DELETE;
}

static int judge_one(const struct move_job *j, struct meant *v, struct nr_err *err)
{
    bool whole = j->o->number == FN_EVERY_VERSION;
    const struct lifecycle_subject subject = {
        .number = v->m.number,
        .state = v->m.from,
        .before = v->before,
        .alias = whole && v->m.number > 0 ? NULL : v->alias, /* goes with the function */
    };
    int r = lifecycle_judge(&subject, j->o->move, &v->m.to, err);

    v->moves = r == 0;
    return r;
}

/* All of them. The first refusal is the one that is told, and LATEST comes first. */
static int judge(const struct move_job *j)
{
    const struct move_order *o = j->o;
    struct nr_err first = {0};
    bool any = false;

    if (removes(o->move) && o->number == 0)
        return nr_err_set(j->err, NR_ECONFLICT,
                          "LATEST goes only with the whole function: name no version.");
    if (o->expected != 0 && j->list[0].m.old_revision != o->expected)
        return NR_ECONFLICT;
    for (size_t i = 0; i < j->n; i++)
        any |= judge_one(j, &j->list[i], &first) == 0;
    bool all_or_nothing = removes(o->move) || j->list[0].m.from == FN_UPDATING;
    if (first.code != 0 && (!any || all_or_nothing))
        return nr_err_set(j->err, first.code, "%s", first.text);
    return 0;
}

static int bind_move(sqlite3 *db, sqlite3_stmt *s, const struct move_job *j, const struct meant *v,
                     uint64_t revision)
{
    bool reasoned = j->o->move == MOVE_BLOCK || j->o->move == MOVE_RETIRE;

    if (s == NULL)
        return nr_db_err(sqlite3_errcode(db));
    sqlite3_bind_int64(s, 1, v->m.version_id);
    nr_db_bind_text(s, 2, nr_str_of(lifecycle_name((enum function_state)v->m.to)));
    nr_db_bind_text(s, 3, nr_str_of(lifecycle_name(v->m.from)));
    nr_db_bind_text(s, 4, reasoned ? j->o->reason : (struct nr_str){NULL, 0});
    sqlite3_bind_int64(s, 5, (int64_t)revision);
    sqlite3_bind_int64(s, 6, j->o->hold_ms);
    sqlite3_bind_int64(s, 7, j->o->deadline_ms);
    sqlite3_bind_int64(s, 8, j->now_ms);
    return sql_run(db, s);
}

/* A window leaves the revision alone, and with it the containers: the code is the same before, during and after an abort. */
static int change_one(sqlite3 *db, struct move_job *j, const struct meant *v)
{
    bool window = j->o->move == MOVE_BEGIN || j->o->move == MOVE_ABORT;
    uint64_t revision = window ? v->m.old_revision : j->o->next_revision(j->o->arg);
    int r = bind_move(
        db,
        nr_db_prepare(
            db, "UPDATE versions SET state = ?2, state_before = ?3, state_reason = ?4,"
                " revision = ?5, hold_ms = ?6, deadline_ms = ?7, moved_ms = ?8 WHERE id = ?1"),
        j, v, revision);

    return r == 0 ? sql_put_counter(db, revision) : r;
}

static int delete_by_id(sqlite3 *db, sqlite3_stmt *s, int64_t id)
{
    if (s != NULL)
        sqlite3_bind_int64(s, 1, id);
    return sql_run(db, s);
}

static int remove_one(sqlite3 *db, struct move_job *j, const struct meant *v)
{
    int r =
        delete_by_id(db, nr_db_prepare(db, "DELETE FROM versions WHERE id = ?1"), v->m.version_id);

    return r == 0 ? sql_put_garbage(db, v->folder, j->now_ms) : r;
}

static int remove_function(sqlite3 *db, const struct move_job *j)
{
    int r = delete_by_id(db, nr_db_prepare(db, "DELETE FROM aliases WHERE function_id = ?1"),
                         j->function_id);

    return r == 0 ? delete_by_id(db, nr_db_prepare(db, "DELETE FROM functions WHERE id = ?1"),
                                 j->function_id)
                  : r;
}

static int audit_one(sqlite3 *db, const struct move_job *j, const struct meant *v)
{
    const struct move_order *o = j->o;
    const struct audit_line line = {
        .at_ms = j->now_ms,
        .actor = o->actor,
        .move = lifecycle_move_name(o->move),
        .object = o->key,
        .number = v->m.number,
        .from = lifecycle_name(v->m.from),
        .to = v->m.to == LIFECYCLE_GONE ? "" : lifecycle_name((enum function_state)v->m.to),
        .note = o->reason,
    };

    return audit_put(db, &line);
}

static int move(sqlite3 *db, struct move_job *j)
{
    int r = read_meant(db, j);

    j->now_ms = nr_wall_ms();
    if (r == 0)
        r = judge(j);
    for (size_t i = 0; r == 0 && i < j->n; i++) {
        const struct meant *v = &j->list[i];
        if (!v->moves)
            continue;
        r = v->m.to == LIFECYCLE_GONE ? remove_one(db, j, v) : change_one(db, j, v);
        if (r == 0)
            r = audit_one(db, j, v);
    }
    if (r == 0 && removes(j->o->move) && j->o->number == FN_EVERY_VERSION)
        r = remove_function(db, j);
    return r;
}

static int move_run(sqlite3 *db, struct nr_db_job *job)
{
    return move(db, nr_container_of(job, struct move_job, job));
}

static void give(struct move_job *j, struct moved_list *ret)
{
    ret->item = nr_alloc(j->n * sizeof(*ret->item));
    ret->n = 0;
    for (size_t i = 0; i < j->n; i++) {
        if (j->list[i].moves)
            ret->item[ret->n++] = j->list[i].m;
    }
}

static int end(struct move_job *j, int r, struct moved_list *ret)
{
    if (r == 0)
        give(j, ret);
    for (size_t i = 0; i < j->n; i++) {
        free(j->list[i].folder);
        free(j->list[i].alias);
    }
    free(j->list);
    return r;
}

int metadata_move(struct nr_db *db, const struct move_order *o, struct moved_list *ret,
                  struct nr_err *err)
{
    struct move_job j = {.job = {.run = move_run}, .o = o, .err = err};

    return end(&j, nr_db_write_wait(db, &j.job), ret);
}

int sql_move(sqlite3 *db, const struct move_order *o, struct moved_list *ret, struct nr_err *err)
{
    struct move_job j = {.o = o, .err = err};

    return end(&j, move(db, &j), ret);
}
