/* The audit log: who did what, when and why. It is written with the change itself, so there is no change without its line, and it is
 * never updated. The history of a function is the part of it that names the function; it outlives the function, for the question
 * "who deleted it?" comes after that. It does not outlive the account: the lines stay, but a history begins with the account that has the
 * name now. Where that is the order of the lines says, not the clock.
 */
#include "fnmanager/registry/metadata_audit.h"

#include "fnmanager/registry/metadata_sql.h"

#define OBJECT                                                                                     \
    "?1 || CASE ?2 WHEN '' THEN '' ELSE '/' || ?2 END || CASE ?3 WHEN '' THEN '' ELSE '/' || ?3 END"

struct history_job {
    struct nr_db_job job;
    struct fn_key key;
    int64_t limit, skip;
    struct nr_buf *out;
};

static struct nr_str present(struct nr_str s)
{
    return s.n != 0 ? s : NR_STR("");
}

static void bind_object(sqlite3_stmt *s, struct fn_key key)
{
    nr_db_bind_text(s, 1, key.account);
    nr_db_bind_text(s, 2, present(key.package));
    nr_db_bind_text(s, 3, present(key.name));
}

int audit_put(sqlite3 *db, const struct audit_line *l)
{
    sqlite3_stmt *s = nr_db_prepare(
        db,
        "INSERT INTO audit(object, at_ms, account, key_uuid, move, number, from_state, to_state, note)"
        " VALUES(" OBJECT ", ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)");

    if (s == NULL)
        return nr_db_err(sqlite3_errcode(db));
    bind_object(s, l->object);
    sqlite3_bind_int64(s, 4, l->at_ms);
    nr_db_bind_text(s, 5, present(l->actor.account));
    nr_db_bind_text(s, 6, present(l->actor.key_uuid));
    nr_db_bind_text(s, 7, nr_str_of(l->move));
    sqlite3_bind_int64(s, 8, l->number);
    nr_db_bind_text(s, 9, present(nr_str_of(l->from)));
    nr_db_bind_text(s, 10, present(nr_str_of(l->to)));
    nr_db_bind_text(s, 11, present(l->note));
    return sql_run(db, s);
}

static void write_line(sqlite3_stmt *s, struct nr_buf *out)
{
    static const char *const names[] = {
        ",\"by\":", ",\"key\":", ",\"move\":", ",\"from\":", ",\"to\":", ",\"reason\":"};

    nr_buf_printf(out, "{\"at_ms\":%lld,\"version\":%lld", (long long)sqlite3_column_int64(s, 0),
                  (long long)sqlite3_column_int64(s, 1));
    for (int i = 0; i < (int)nr_countof(names); i++) {
        nr_buf_adds(out, names[i]);
        nr_buf_json(out, present(nr_db_column(s, i + 2)));
    }
    nr_buf_addc(out, '}');
}

static int history_run(sqlite3 *db, struct nr_db_job *job)
{
    const struct history_job *j = nr_container_of(job, struct history_job, job);
    sqlite3_stmt *s = nr_db_prepare(
        db,
        "SELECT at_ms, number, account, key_uuid, move, from_state, to_state, note FROM audit"
        " WHERE object = " OBJECT " AND id > coalesce((SELECT max(id) FROM audit"
        " WHERE object = ?1 AND move = 'account-gone'), 0) ORDER BY id DESC LIMIT ?4 OFFSET ?5");
    int r, n = 0;

    if (s == NULL)
        return nr_db_err(sqlite3_errcode(db));
    bind_object(s, j->key);
    sqlite3_bind_int64(s, 4, j->limit);
    sqlite3_bind_int64(s, 5, j->skip);
    nr_buf_adds(j->out, "{\"moves\":[");
    for (; (r = sqlite3_step(s)) == SQLITE_ROW; n++) {
        nr_buf_adds(j->out, n > 0 ? "," : "");
        write_line(s, j->out);
    }
    nr_buf_adds(j->out, "]}");
    (void)sqlite3_reset(s);
    if (r != SQLITE_DONE)
        return nr_db_err(r);
    return n > 0 || j->skip > 0 ? 0 : NR_ENOENT;
}

int metadata_history(struct nr_db *db, struct fn_key key, int64_t limit, int64_t skip,
                     struct nr_buf *out)
{
    struct history_job j = {
        .job = {.run = history_run}, .key = key, .limit = limit, .skip = skip, .out = out};

    return nr_db_read_wait(db, &j.job);
}
