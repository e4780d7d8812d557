/* Accounts and keys in meta.db. Of a key only the keyed hash is stored.
 */
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "fnmanager/metadata.h"

struct account_job {
    struct nr_db_job job;
    struct nr_str name;
    struct account_row *row;       /* out */
    const struct account_row *put; /* in */
};

struct key_job {
    struct nr_db_job job;
    const struct key_row *put;
    struct nr_str uuid;
};

struct each_job {
    struct nr_db_job job;
    void (*each)(void *arg, const struct key_row *key, const struct account_row *account);
    void *arg;
};

void account_row_fini(struct account_row *r)
{
    free(r->name);
    free(r->profile);
    *r = (struct account_row){0};
}

/* Columns from `at` on: name, profile, three limits. */
static void read_account(sqlite3_stmt *s, int at, struct account_row *r)
{
    struct nr_str name = nr_db_column(s, at), profile = nr_db_column(s, at + 1);

    r->name = nr_strndup(name.n != 0 ? name.p : "", name.n);
    r->profile = nr_strndup(profile.n != 0 ? profile.p : "", profile.n);
    r->invocations_per_minute = sqlite3_column_int64(s, at + 2);
    r->fires_per_minute = sqlite3_column_int64(s, at + 3);
    r->concurrent_invocations = sqlite3_column_int64(s, at + 4);
}

static int account_run(sqlite3 *db, struct nr_db_job *job)
{
    struct account_job *j = nr_container_of(job, struct account_job, job);
    sqlite3_stmt *s = nr_db_prepare(
        db, "SELECT name, profile, invocations_per_minute, fires_per_minute, concurrent_invocations"
            " FROM accounts WHERE name = ?1");
    int r;

    if (s == NULL)
        return nr_db_err(sqlite3_errcode(db));
    nr_db_bind_text(s, 1, j->name);
    r = sqlite3_step(s);
    if (r == SQLITE_ROW)
        read_account(s, 0, j->row);
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

static int step_once(sqlite3_stmt *s)
{
    int r = sqlite3_step(s);

    (void)sqlite3_reset(s);
    return r == SQLITE_DONE ? 0 : nr_db_err(r);
}

static int account_put_run(sqlite3 *db, struct nr_db_job *job)
{
    const struct account_row *a = nr_container_of(job, struct account_job, job)->put;
    sqlite3_stmt *s = nr_db_prepare(
        db,
        "INSERT INTO accounts(name, profile, invocations_per_minute, fires_per_minute, concurrent_invocations, created_ms)"
        " VALUES(?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT(name) DO UPDATE SET profile = excluded.profile,"
        " invocations_per_minute = excluded.invocations_per_minute, fires_per_minute = excluded.fires_per_minute,"
        " concurrent_invocations = excluded.concurrent_invocations");

    if (s == NULL)
        return nr_db_err(sqlite3_errcode(db));
    nr_db_bind_text(s, 1, nr_str_of(a->name));
    nr_db_bind_text(s, 2, nr_str_of(a->profile));
    sqlite3_bind_int64(s, 3, a->invocations_per_minute);
    sqlite3_bind_int64(s, 4, a->fires_per_minute);
    sqlite3_bind_int64(s, 5, a->concurrent_invocations);
    sqlite3_bind_int64(s, 6, nr_wall_ms());
    return step_once(s);
}

int metadata_account_put(struct nr_db *db, const struct account_row *row)
{
    struct account_job j = {.job = {.run = account_put_run}, .put = row};

    return nr_db_write_wait(db, &j.job);
}

static int key_put_run(sqlite3 *db, struct nr_db_job *job)
{
    const struct key_row *k = nr_container_of(job, struct key_job, job)->put;
    sqlite3_stmt *s = nr_db_prepare(
        db, "INSERT OR REPLACE INTO keys(uuid, account, mac, scopes, created_ms, expires_ms)"
            " VALUES(?1, ?2, ?3, ?4, ?5, ?6)");

    if (s == NULL)
        return nr_db_err(sqlite3_errcode(db));
    nr_db_bind_text(s, 1, k->uuid);
    nr_db_bind_text(s, 2, k->account);
    nr_db_bind_blob(s, 3, (struct nr_str){(const char *)k->mac, sizeof(k->mac)});
    sqlite3_bind_int64(s, 4, k->scopes);
    sqlite3_bind_int64(s, 5, nr_wall_ms());
    sqlite3_bind_int64(s, 6, k->expires_ms);
    return step_once(s);
}

int metadata_key_put(struct nr_db *db, const struct key_row *row)
{
    struct key_job j = {.job = {.run = key_put_run}, .put = row};

    return nr_db_write_wait(db, &j.job);
}

static int key_delete_run(sqlite3 *db, struct nr_db_job *job)
{
    struct key_job *j = nr_container_of(job, struct key_job, job);
    sqlite3_stmt *s = nr_db_prepare(db, "DELETE FROM keys WHERE uuid = ?1");
    int r;

    if (s == NULL)
        return nr_db_err(sqlite3_errcode(db));
    nr_db_bind_text(s, 1, j->uuid);
    r = step_once(s);
    return r == 0 && sqlite3_changes(db) == 0 ? NR_ENOENT : r;
}

int metadata_key_delete(struct nr_db *db, struct nr_str uuid)
{
    struct key_job j = {.job = {.run = key_delete_run}, .uuid = uuid};

    return nr_db_write_wait(db, &j.job);
}

static void each_row(sqlite3_stmt *s, struct each_job *j)
{
    struct nr_str mac = nr_db_column(s, 2);
    struct account_row account = {0};
    struct key_row key = {.uuid = nr_db_column(s, 0),
                          .account = nr_db_column(s, 1),
                          .scopes = (unsigned)sqlite3_column_int64(s, 3),
                          .expires_ms = sqlite3_column_int64(s, 4)};

    if (mac.n != sizeof(key.mac))
        return;
    memcpy(key.mac, mac.p, mac.n);
    read_account(s, 5, &account);
    j->each(j->arg, &key, &account);
    account_row_fini(&account);
}

static int each_run(sqlite3 *db, struct nr_db_job *job)
{
    struct each_job *j = nr_container_of(job, struct each_job, job);
    sqlite3_stmt *s = nr_db_prepare(
        db,
        "SELECT k.uuid, k.account, k.mac, k.scopes, k.expires_ms, a.name, a.profile, a.invocations_per_minute,"
        " a.fires_per_minute, a.concurrent_invocations FROM keys k JOIN accounts a ON a.name = k.account");
    int r;

    if (s == NULL)
        return nr_db_err(sqlite3_errcode(db));
    while ((r = sqlite3_step(s)) == SQLITE_ROW)
        each_row(s, j);
    (void)sqlite3_reset(s);
    return r == SQLITE_DONE ? 0 : nr_db_err(r);
}

int metadata_keys(struct nr_db *db,
                  void (*each)(void *arg, const struct key_row *key,
                               const struct account_row *account),
                  void *arg)
{
    struct each_job j = {.job = {.run = each_run}, .each = each, .arg = arg};

    return nr_db_read_wait(db, &j.job);
}
