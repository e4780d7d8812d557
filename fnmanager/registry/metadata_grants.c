/* Grants in meta.db: one text for an account. A change gives every function of the account a new revision in the same transaction, so that
 * no snapshot and no container with the old grants can be taken for current, also after a crash.
 */
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "fnmanager/registry/metadata.h"

struct load_job {
    struct nr_db_job job;
    struct nr_str account;
    char *text; /* out, made */
};

struct put_job {
    struct nr_db_job job;
    const struct grants_put *put;
    struct grants_changed *list; /* out, made */
    size_t count;
};

static int load_run(sqlite3 *db, struct nr_db_job *job)
{
    struct load_job *j = nr_container_of(job, struct load_job, job);
    sqlite3_stmt *s = nr_db_prepare(db, "SELECT text FROM grants WHERE account = ?1");

    if (s == NULL)
        return nr_db_err(sqlite3_errcode(db));
    nr_db_bind_text(s, 1, j->account);
    int r = sqlite3_step(s);

    if (r == SQLITE_ROW) {
        struct nr_str text = nr_db_column(s, 0);

        j->text = nr_strndup(text.n != 0 ? text.p : "", text.n);
    }
    (void)sqlite3_reset(s);
    return r == SQLITE_ROW ? 0 : r == SQLITE_DONE ? NR_ENOENT : nr_db_err(r);
}

int metadata_grants(struct nr_db *db, struct nr_str account, char **ret_text)
{
    struct load_job j = {.job = {.run = load_run}, .account = account};
    int r = nr_db_read_wait(db, &j.job);

    if (r == 0)
        *ret_text = j.text;
    else
        free(j.text);
    return r;
}

static int step_once(sqlite3_stmt *s)
{
    int r = sqlite3_step(s);

    (void)sqlite3_reset(s);
    return r == SQLITE_DONE ? 0 : nr_db_err(r);
}

static int put_text(sqlite3 *db, const struct grants_put *p, int64_t now_ms)
{
    sqlite3_stmt *s =
        nr_db_prepare(db, "INSERT INTO grants(account, text, updated_ms) VALUES(?1, ?2, ?3)"
                          " ON CONFLICT(account) DO UPDATE SET text = excluded.text,"
                          " updated_ms = excluded.updated_ms");

    if (s == NULL)
        return nr_db_err(sqlite3_errcode(db));
    nr_db_bind_text(s, 1, p->account);
    nr_db_bind_text(s, 2, p->text);
    sqlite3_bind_int64(s, 3, now_ms);
    return step_once(s);
}

static int put_audit(sqlite3 *db, const struct grants_put *p, int64_t now_ms)
{
    sqlite3_stmt *s = nr_db_prepare(
        db, "INSERT INTO audit(at_ms, account, key_uuid, move, object, from_state, to_state, note)"
            " VALUES(?1, ?2, ?3, 'grants', ?4, '', '', ?5)");

    if (s == NULL)
        return nr_db_err(sqlite3_errcode(db));
    sqlite3_bind_int64(s, 1, now_ms);
    nr_db_bind_text(s, 2, p->actor.account);
    nr_db_bind_text(s, 3, p->actor.key_uuid);
    nr_db_bind_text(s, 4, p->account);
    nr_db_bind_text(s, 5, p->text);
    return step_once(s);
}

static char *column_copy(sqlite3_stmt *s, int at)
{
    struct nr_str text = nr_db_column(s, at);

    return nr_strndup(text.n != 0 ? text.p : "", text.n);
}

static int list_functions(sqlite3 *db, struct put_job *j)
{
    sqlite3_stmt *s = nr_db_prepare(
        db, "SELECT v.id, v.revision, f.package, f.name FROM functions f JOIN versions v"
            " ON v.function_id = f.id WHERE f.account = ?1");
    int r;

    if (s == NULL)
        return nr_db_err(sqlite3_errcode(db));
    nr_db_bind_text(s, 1, j->put->account);
    while ((r = sqlite3_step(s)) == SQLITE_ROW) {
        struct grants_changed *grown = nr_try_realloc(j->list, (j->count + 1) * sizeof(*j->list));

        if (grown == NULL)
            break;
        j->list = grown;
        j->list[j->count++] =
            (struct grants_changed){.version_id = sqlite3_column_int64(s, 0),
                                    .old_revision = (uint64_t)sqlite3_column_int64(s, 1),
                                    .package = column_copy(s, 2),
                                    .name = column_copy(s, 3)};
    }
    (void)sqlite3_reset(s);
    return r == SQLITE_DONE ? 0 : r == SQLITE_ROW ? NR_ENOMEM : nr_db_err(r);
}

static int renew_one(sqlite3 *db, const struct grants_changed *c, uint64_t revision)
{
    sqlite3_stmt *s = nr_db_prepare(db, "UPDATE versions SET revision = ?2 WHERE id = ?1");

    if (s == NULL)
        return nr_db_err(sqlite3_errcode(db));
    sqlite3_bind_int64(s, 1, c->version_id);
    sqlite3_bind_int64(s, 2, (int64_t)revision);
    int r = step_once(s);

    s = nr_db_prepare(db, "UPDATE counters SET value = max(value, ?1) WHERE name = 'revision'");
    if (r == 0 && s == NULL)
        return nr_db_err(sqlite3_errcode(db));
    if (r < 0)
        return r;
    sqlite3_bind_int64(s, 1, (int64_t)revision);
    return step_once(s);
}

static int put_run(sqlite3 *db, struct nr_db_job *job)
{
    struct put_job *j = nr_container_of(job, struct put_job, job);
    int64_t now_ms = nr_wall_ms();
    int r = 0;

    if (j->put->text.p != NULL && (r = put_text(db, j->put, now_ms)) == 0)
        r = put_audit(db, j->put, now_ms);
    if (r == 0)
        r = list_functions(db, j);
    for (size_t i = 0; r == 0 && i < j->count; i++)
        r = renew_one(db, &j->list[i], j->put->next_revision(j->put->arg));
    return r;
}

void grants_changed_free(struct grants_changed *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        free(list[i].package);
        free(list[i].name);
    }
    free(list);
}

int metadata_grants_put(struct nr_db *db, const struct grants_put *put,
                        struct grants_changed **ret_list, size_t *ret_n)
{
    struct put_job j = {.job = {.run = put_run}, .put = put};
    int r = nr_db_write_wait(db, &j.job);

    if (r < 0) {
        grants_changed_free(j.list, j.count);
        return r;
    }
    *ret_list = j.list;
    *ret_n = j.count;
    return 0;
}
