/* Accounts in meta.db. What an account uses is counted by triggers of the schema, so no path that changes functions can forget it.
 */
#include "fnmanager/registry/metadata_accounts.h"

#include "common/base/clock.h"
#include "common/base/mem.h"

static const char *const states[] = {
    [ACCOUNT_ACTIVE] = "ACTIVE",
    [ACCOUNT_SUSPENDED] = "SUSPENDED",
    [ACCOUNT_DELETING] = "DELETING",
};

struct account_job {
    struct nr_db_job job;
    struct nr_str name;
    struct account_row *row; /* out */
};

struct each_job {
    struct nr_db_job job;
    void (*each)(void *arg, const struct account_row *account, const struct account_amount *used);
    void *arg;
};

struct change_job {
    struct nr_db_job job;
    const struct account_change *change;
};

struct remove_job {
    struct nr_db_job job;
    struct nr_str name;
    struct fn_actor actor;
};

const char *account_state_name(enum account_state s)
{
    return states[s];
}

/* A name that nobody knows, of a newer release: then its keys do not open. */
static enum account_state state_of(struct nr_str name)
{
    for (size_t i = 0; i < nr_countof(states); i++) {
        if (nr_str_eqz(name, states[i]))
            return (enum account_state)i;
    }
    return ACCOUNT_SUSPENDED;
}

void account_row_fini(struct account_row *r)
{
    free(r->name);
    free(r->profile);
    free(r->reason);
    *r = (struct account_row){0};
}

int metadata_step(sqlite3_stmt *s)
{
    int r = sqlite3_step(s);

    (void)sqlite3_reset(s);
    return r == SQLITE_DONE || r == SQLITE_ROW ? 0 : nr_db_err(r);
}

static char *copy(sqlite3_stmt *s, int at)
{
    struct nr_str text = nr_db_column(s, at);

    return nr_strndup(text.n != 0 ? text.p : "", text.n);
}

void account_read(sqlite3_stmt *s, int at, struct account_row *r)
{
    r->name = copy(s, at);
    r->profile = copy(s, at + 1);
    r->reason = copy(s, at + 2);
    r->state = state_of(nr_db_column(s, at + 3));
    r->invocations_per_minute = sqlite3_column_int64(s, at + 4);
    r->fires_per_minute = sqlite3_column_int64(s, at + 5);
    r->concurrent_invocations = sqlite3_column_int64(s, at + 6);
    r->quota =
        (struct account_amount){sqlite3_column_int64(s, at + 7), sqlite3_column_int64(s, at + 8),
                                sqlite3_column_int64(s, at + 9)};
    r->created_ms = sqlite3_column_int64(s, at + 10);
    r->id = (uint64_t)sqlite3_column_int64(s, at + 11);
    r->keep =
        (struct account_keep){sqlite3_column_int64(s, at + 12), sqlite3_column_int64(s, at + 13),
                              sqlite3_column_int64(s, at + 14)};
}

static int account_run(sqlite3 *db, struct nr_db_job *job)
{
    struct account_job *j = nr_container_of(job, struct account_job, job);
    sqlite3_stmt *s =
        nr_db_prepare(db, "SELECT " ACCOUNT_COLUMNS " FROM accounts a WHERE a.name = ?1");
    int r;

    if (s == NULL)
        return nr_db_err(sqlite3_errcode(db));
    nr_db_bind_text(s, 1, j->name);
    r = sqlite3_step(s);
    if (r == SQLITE_ROW)
        account_read(s, 0, j->row);
    (void)sqlite3_reset(s);
    return r == SQLITE_ROW ? 0 : r == SQLITE_DONE ? NR_ENOENT : nr_db_err(r);
}

int metadata_account(struct nr_db *db, struct nr_str name, struct account_row *ret)
{
    struct account_row row = {0};
    struct account_job j = {.job = {.run = account_run}, .name = name, .row = &row};
    int r = nr_db_read_wait(db, &j.job);

    if (r == 0)
        *ret = row;
    else
        account_row_fini(&row);
    return r;
}

static int each_run(sqlite3 *db, struct nr_db_job *job)
{
    struct each_job *j = nr_container_of(job, struct each_job, job);
    sqlite3_stmt *s = nr_db_prepare(
        db,
        "SELECT " ACCOUNT_COLUMNS ", coalesce(u.bytes + u.compiled_bytes, 0),"
        " coalesce(u.functions, 0), coalesce(u.versions, 0), coalesce(u.compiled_bytes, 0) FROM accounts a LEFT JOIN usage u ON u.account = a.name"
        " ORDER BY a.name");
    int r;

    if (s == NULL)
        return nr_db_err(sqlite3_errcode(db));
    while ((r = sqlite3_step(s)) == SQLITE_ROW) {
        struct account_row row = {0};
        const struct account_amount used = {sqlite3_column_int64(s, ACCOUNT_COLUMN_COUNT),
                                            sqlite3_column_int64(s, ACCOUNT_COLUMN_COUNT + 1),
                                            sqlite3_column_int64(s, ACCOUNT_COLUMN_COUNT + 2),
                                            sqlite3_column_int64(s, ACCOUNT_COLUMN_COUNT + 3)};

        account_read(s, 0, &row);
        j->each(j->arg, &row, &used);
        account_row_fini(&row);
    }
    (void)sqlite3_reset(s);
    return r == SQLITE_DONE ? 0 : nr_db_err(r);
}

int metadata_accounts(struct nr_db *db,
                      void (*each)(void *arg, const struct account_row *account,
                                   const struct account_amount *used),
                      void *arg)
{
    struct each_job j = {.job = {.run = each_run}, .each = each, .arg = arg};

    return nr_db_read_wait(db, &j.job);
}

int account_audit(sqlite3 *db, struct fn_actor actor, const char *move, struct nr_str account,
                  const char *from, const char *to, const char *note)
{
    sqlite3_stmt *s = nr_db_prepare(
        db, "INSERT INTO audit(at_ms, account, key_uuid, move, object, from_state, to_state, note)"
            " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)");

    if (s == NULL)
        return nr_db_err(sqlite3_errcode(db));
    sqlite3_bind_int64(s, 1, nr_wall_ms());
    nr_db_bind_text(s, 2, actor.account.n != 0 ? actor.account : NR_STR(""));
    nr_db_bind_text(s, 3, actor.key_uuid.n != 0 ? actor.key_uuid : NR_STR(""));
    nr_db_bind_text(s, 4, nr_str_of(move));
    nr_db_bind_text(s, 5, account);
    nr_db_bind_text(s, 6, nr_str_of(from));
    nr_db_bind_text(s, 7, nr_str_of(to));
    nr_db_bind_text(s, 8, nr_str_of(note));
    return metadata_step(s);
}

int account_admin_left(sqlite3 *db, struct nr_str account, struct nr_str uuid, int64_t now_ms)
{
    sqlite3_stmt *s =
        nr_db_prepare(db, "SELECT count(*) FROM keys k JOIN accounts a ON a.name = k.account"
                          " WHERE (k.scopes & 8) <> 0 AND (k.expires_ms = 0 OR k.expires_ms > ?3)"
                          " AND a.state = 'ACTIVE' AND k.account <> ?1 AND k.uuid <> ?2");
    int64_t left = 0;
    int r;

    if (s == NULL)
        return nr_db_err(sqlite3_errcode(db));
    nr_db_bind_text(s, 1, account.n != 0 ? account : NR_STR(""));
    nr_db_bind_text(s, 2, uuid.n != 0 ? uuid : NR_STR(""));
    sqlite3_bind_int64(s, 3, now_ms);
    r = sqlite3_step(s);
    if (r == SQLITE_ROW)
        left = sqlite3_column_int64(s, 0);
    (void)sqlite3_reset(s);
    if (r != SQLITE_ROW)
        return nr_db_err(r);
    return left > 0 ? 0 : NR_ECONFLICT;
}

static int store(sqlite3 *db, const struct account_change *c)
{
    const struct account_row *a = c->row;
    sqlite3_stmt *s =
        c->create
            ? nr_db_prepare(
                  db,
                  "INSERT INTO accounts(name, profile, reason, state, invocations_per_minute, fires_per_minute,"
                  " concurrent_invocations, quota_bytes, quota_functions, quota_versions, created_ms, id,"
                  " keep_versions, keep_versions_days, keep_retired_days)"
                  " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)")
            : nr_db_prepare(
                  db,
                  "UPDATE accounts SET profile = ?2, reason = ?3, state = ?4,"
                  " invocations_per_minute = ?5, fires_per_minute = ?6, concurrent_invocations = ?7,"
                  " quota_bytes = ?8, quota_functions = ?9, quota_versions = ?10, keep_versions = ?13,"
                  " keep_versions_days = ?14, keep_retired_days = ?15 WHERE name = ?1");

    if (s == NULL)
        return nr_db_err(sqlite3_errcode(db));
    nr_db_bind_text(s, 1, nr_str_of(a->name));
    nr_db_bind_text(s, 2, nr_str_of(a->profile));
    nr_db_bind_text(s, 3, nr_str_of(a->reason != NULL ? a->reason : ""));
    nr_db_bind_text(s, 4, nr_str_of(account_state_name(a->state)));
    sqlite3_bind_int64(s, 5, a->invocations_per_minute);
    sqlite3_bind_int64(s, 6, a->fires_per_minute);
    sqlite3_bind_int64(s, 7, a->concurrent_invocations);
    sqlite3_bind_int64(s, 8, a->quota.bytes);
    sqlite3_bind_int64(s, 9, a->quota.functions);
    sqlite3_bind_int64(s, 10, a->quota.versions);
    sqlite3_bind_int64(s, 13, a->keep.versions);
    sqlite3_bind_int64(s, 14, a->keep.versions_days);
    sqlite3_bind_int64(s, 15, a->keep.retired_days);
    if (c->create) {
        sqlite3_bind_int64(s, 11, a->created_ms);
        sqlite3_bind_int64(s, 12, (int64_t)a->id);
    }
    int r = metadata_step(s);

    return r == 0 && sqlite3_changes(db) == 0 ? NR_ENOENT : r;
}

static int change_run(sqlite3 *db, struct nr_db_job *job)
{
    const struct account_change *c = nr_container_of(job, struct change_job, job)->change;
    struct nr_str name = nr_str_of(c->row->name);
    int r = 0;

    if (c->row->state != ACCOUNT_ACTIVE)
        r = account_admin_left(db, name, (struct nr_str){NULL, 0}, c->now_ms);
    if (r == 0)
        r = store(db, c);
    if (r == 0)
        r = account_audit(db, c->actor, c->move, name, c->from, account_state_name(c->row->state),
                          c->note);
    if (r == 0 && c->key != NULL)
        r = account_key_store(db, c->key, c->actor, "key-create");
    return r;
}

int metadata_account_change(struct nr_db *db, const struct account_change *c)
{
    struct change_job j = {.job = {.run = change_run}, .change = c};

    return nr_db_write_wait(db, &j.job);
}

static int by_name(sqlite3 *db, const char *literal, struct nr_str name)
{
    sqlite3_stmt *s = nr_db_prepare(db, literal);

    if (s == NULL)
        return nr_db_err(sqlite3_errcode(db));
    nr_db_bind_text(s, 1, name);
    return metadata_step(s);
}

static int remove_run(sqlite3 *db, struct nr_db_job *job)
{
    static const char *const all[] = {
        "DELETE FROM keys WHERE account = ?1",          "DELETE FROM grants WHERE account = ?1",
        "DELETE FROM packages WHERE account = ?1",      "DELETE FROM triggers WHERE account = ?1",
        "DELETE FROM rules WHERE account = ?1",         "DELETE FROM routes WHERE account = ?1",
        "DELETE FROM scaling_rules WHERE account = ?1", "DELETE FROM usage WHERE account = ?1",
    };
    struct remove_job *j = nr_container_of(job, struct remove_job, job);
    int r = by_name(db,
                    "DELETE FROM accounts WHERE name = ?1 AND state = 'DELETING'"
                    " AND NOT EXISTS(SELECT 1 FROM functions WHERE account = ?1)",
                    j->name);

    if (r == 0 && sqlite3_changes(db) == 0)
        return NR_ECONFLICT;
    for (size_t i = 0; r == 0 && i < nr_countof(all); i++)
        r = by_name(db, all[i], j->name);
    return r < 0 ? r : account_audit(db, j->actor, "account-gone", j->name, "DELETING", "", NULL);
}

int metadata_account_remove(struct nr_db *db, struct nr_str name, struct fn_actor actor)
{
    struct remove_job j = {.job = {.run = remove_run}, .name = name, .actor = actor};

    return nr_db_write_wait(db, &j.job);
}
