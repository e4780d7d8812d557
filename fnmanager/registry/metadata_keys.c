/* Keys in meta.db. They outlive no account, and the last one that may administer outlives every wish to revoke it.
 */
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "fnmanager/registry/metadata_accounts.h"

struct put_job {
    struct nr_db_job job;
    const struct key_row *key;
    struct fn_actor actor;
    const char *move;
};

struct delete_job {
    struct nr_db_job job;
    struct nr_str account, uuid;
    struct fn_actor actor;
};

struct each_job {
    struct nr_db_job job;
    struct nr_str account;
    void (*each)(void *arg, const struct key_row *key, const struct account_row *account);
    void *arg;
};

int account_key_store(sqlite3 *db, const struct key_row *k, struct fn_actor actor, const char *move)
{
    sqlite3_stmt *s = nr_db_prepare(
        db,
        "INSERT INTO keys(uuid, account, mac, scopes, created_ms, expires_ms, note)"
        " SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7 FROM accounts WHERE name = ?2 AND state <> 'DELETING'"
        " ON CONFLICT(uuid) DO UPDATE SET mac = excluded.mac, scopes = excluded.scopes,"
        " expires_ms = excluded.expires_ms, note = excluded.note");
    int r;

    if (s == NULL)
        return nr_db_err(sqlite3_errcode(db));
    nr_db_bind_text(s, 1, k->uuid);
    nr_db_bind_text(s, 2, k->account);
    nr_db_bind_blob(s, 3, (struct nr_str){(const char *)k->mac, sizeof(k->mac)});
    sqlite3_bind_int64(s, 4, k->scopes);
    sqlite3_bind_int64(s, 5, k->created_ms != 0 ? k->created_ms : nr_wall_ms());
    sqlite3_bind_int64(s, 6, k->expires_ms);
    nr_db_bind_text(s, 7, k->note.n != 0 ? k->note : NR_STR(""));
    r = metadata_step(s);
    if (r == 0 && sqlite3_changes(db) == 0)
        return NR_ENOENT;
    nr_auto_free char *uuid = nr_strndup(k->uuid.p, k->uuid.n);

    return r < 0 ? r : account_audit(db, actor, move, k->account, "", "", uuid);
}

static int put_run(sqlite3 *db, struct nr_db_job *job)
{
    struct put_job *j = nr_container_of(job, struct put_job, job);

    return account_key_store(db, j->key, j->actor, j->move);
}

int metadata_key_put(struct nr_db *db, const struct key_row *row, struct fn_actor actor,
                     const char *move)
{
    struct put_job j = {.job = {.run = put_run}, .key = row, .actor = actor, .move = move};

    return nr_db_write_wait(db, &j.job);
}

/* Is it a key of the account, and may it administer? NR_ENOENT. */
static int find(sqlite3 *db, const struct delete_job *j, bool *ret_admin)
{
    sqlite3_stmt *s =
        nr_db_prepare(db, "SELECT scopes & 8 FROM keys WHERE uuid = ?1 AND account = ?2");
    int r;

    if (s == NULL)
        return nr_db_err(sqlite3_errcode(db));
    nr_db_bind_text(s, 1, j->uuid);
    nr_db_bind_text(s, 2, j->account);
    r = sqlite3_step(s);
    if (r == SQLITE_ROW)
        *ret_admin = sqlite3_column_int(s, 0) != 0;
    (void)sqlite3_reset(s);
    return r == SQLITE_ROW ? 0 : r == SQLITE_DONE ? NR_ENOENT : nr_db_err(r);
}

static int delete_run(sqlite3 *db, struct nr_db_job *job)
{
    struct delete_job *j = nr_container_of(job, struct delete_job, job);
    bool admin = false;
    int r = find(db, j, &admin);

    if (r == 0 && admin)
        r = account_admin_left(db, (struct nr_str){NULL, 0}, j->uuid, nr_wall_ms());
    if (r < 0)
        return r;
    sqlite3_stmt *s = nr_db_prepare(db, "DELETE FROM keys WHERE uuid = ?1");

    if (s == NULL)
        return nr_db_err(sqlite3_errcode(db));
    nr_db_bind_text(s, 1, j->uuid);
    if ((r = metadata_step(s)) < 0)
        return r;
    nr_auto_free char *uuid = nr_strndup(j->uuid.p, j->uuid.n);

    return account_audit(db, j->actor, "key-revoke", j->account, "", "", uuid);
}

int metadata_key_delete(struct nr_db *db, struct nr_str account, struct nr_str uuid,
                        struct fn_actor actor)
{
    struct delete_job j = {
        .job = {.run = delete_run}, .account = account, .uuid = uuid, .actor = actor};

    return nr_db_write_wait(db, &j.job);
}

static void each_row(sqlite3_stmt *s, struct each_job *j)
{
    struct nr_str mac = nr_db_column(s, ACCOUNT_COLUMN_COUNT + 1);
    struct account_row account = {0};
    struct key_row key = {.uuid = nr_db_column(s, ACCOUNT_COLUMN_COUNT),
                          .scopes = (unsigned)sqlite3_column_int64(s, ACCOUNT_COLUMN_COUNT + 2),
                          .expires_ms = sqlite3_column_int64(s, ACCOUNT_COLUMN_COUNT + 3),
                          .created_ms = sqlite3_column_int64(s, ACCOUNT_COLUMN_COUNT + 4),
                          .note = nr_db_column(s, ACCOUNT_COLUMN_COUNT + 5)};

    if (mac.n != sizeof(key.mac))
        return;
    memcpy(key.mac, mac.p, mac.n);
    account_read(s, 0, &account);
    key.account = nr_str_of(account.name);
    j->each(j->arg, &key, &account);
    account_row_fini(&account);
}

static int each_run(sqlite3 *db, struct nr_db_job *job)
{
    struct each_job *j = nr_container_of(job, struct each_job, job);
    sqlite3_stmt *s = nr_db_prepare(
        db,
        "SELECT " ACCOUNT_COLUMNS ", k.uuid, k.mac, k.scopes, k.expires_ms, k.created_ms, k.note"
        " FROM keys k JOIN accounts a ON a.name = k.account WHERE ?1 = '' OR k.account = ?1"
        " ORDER BY k.created_ms, k.uuid");
    int r;

    if (s == NULL)
        return nr_db_err(sqlite3_errcode(db));
    nr_db_bind_text(s, 1, j->account.n != 0 ? j->account : NR_STR(""));
    while ((r = sqlite3_step(s)) == SQLITE_ROW)
        each_row(s, j);
    (void)sqlite3_reset(s);
    return r == SQLITE_DONE ? 0 : nr_db_err(r);
}

int metadata_keys(struct nr_db *db, struct nr_str account,
                  void (*each)(void *arg, const struct key_row *key,
                               const struct account_row *account),
                  void *arg)
{
    struct each_job j = {.job = {.run = each_run}, .account = account, .each = each, .arg = arg};

    return nr_db_read_wait(db, &j.job);
}
