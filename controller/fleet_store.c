/* fleet.db: the names that may join, and which accounts a host that is away is to forget. Rows are read once, at the start; changes are written by the
 * database's thread, in the order in which they are made.
 */
#include "controller/fleet.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/data/schema_versions.h"

static const char *const steps[] = {
    "CREATE TABLE invokers ("
    " name TEXT PRIMARY KEY,"
    " token BLOB," /* SHA-256; NULL: none was made, it may join over the unix socket only */
    " cordoned INTEGER NOT NULL," /* enum fleet_cordon */
    " added_ms INTEGER NOT NULL,"
    " given TEXT," /* tags, by the administrator */
    " told TEXT"   /* tags, as it told them when it joined last */
    ") WITHOUT ROWID;"
    "CREATE TABLE debts ("
    " name TEXT NOT NULL REFERENCES invokers(name) ON DELETE CASCADE,"
    " account TEXT NOT NULL,"
    " PRIMARY KEY (name, account)"
    ") WITHOUT ROWID;",
    "CREATE TABLE removed (" /* names that do not come back by themselves */
    " name TEXT PRIMARY KEY,"
    " removed_ms INTEGER NOT NULL"
    ") WITHOUT ROWID;",
    NULL,
};

NR_SCHEMA_CHECK(steps, NR_SCHEMA_FLEET);

/* ---- the start ---------------------------------------------------------------------------------------------------- */

struct loading {
    struct nr_db_job job;
    struct invokers *fleet;
};

static char *text_of(sqlite3_stmt *s, int at)
{
    struct nr_str text = nr_db_column(s, at);

    return text.p ? nr_strndup(text.p, text.n) : NULL;
}

static void load_host(struct invokers *f, sqlite3_stmt *s)
{
    struct nr_str name = nr_db_column(s, 0), token = nr_db_column(s, 1);
    struct fleet_host *h = fleet_name_is_good(name) ? fleet_host_make(f, name) : NULL;

    if (h == NULL)
        return; /* no row of ours */
    h->has_token = token.n == sizeof(h->token);
    if (h->has_token)
        memcpy(h->token, token.p, token.n);
    h->cordoned = sqlite3_column_int(s, 2) != FLEET_TAKES;
    h->draining = sqlite3_column_int(s, 2) == FLEET_DRAINING;
    h->added_ms = sqlite3_column_int64(s, 3);
    h->given = text_of(s, 4);
    h->told = text_of(s, 5);
    fleet_host_tag(h);
}

static int load(sqlite3 *db, struct nr_db_job *job)
{
    struct invokers *f = nr_container_of(job, struct loading, job)->fleet;
    sqlite3_stmt *s = nr_db_prepare(
        db, "SELECT name, token, cordoned, added_ms, given, told FROM invokers ORDER BY name");
    int r = SQLITE_DONE;

    while (s && (r = sqlite3_step(s)) == SQLITE_ROW)
        load_host(f, s);
    if (s == NULL || r != SQLITE_DONE)
        return NR_EIO;
    s = nr_db_prepare(db, "SELECT name, account FROM debts");
    while (s && (r = sqlite3_step(s)) == SQLITE_ROW) {
        struct fleet_host *h = fleet_host_find(f, nr_db_column(s, 0));
        nr_auto_free char *account = text_of(s, 1);

        if (h && account)
            fleet_owe(h, account)->stored = true;
    }
    if (s == NULL || r != SQLITE_DONE)
        return NR_EIO;
    s = nr_db_prepare(db, "SELECT name FROM removed ORDER BY removed_ms");
    while (s && (r = sqlite3_step(s)) == SQLITE_ROW) {
        struct nr_str name = nr_db_column(s, 0);

        if (fleet_name_is_good(name))
            fleet_removed_note(f, name);
    }
    return s && r == SQLITE_DONE ? 0 : NR_EIO;
}

int fleet_store_open(struct invokers *f, const char *data_dir, struct nr_err *err)
{
    char path[4096];
    const struct nr_db_config c = {
        .path = path, .steps = steps, .page_bytes = 4096, .readers = 1, .busy_timeout_ms = 5000};
    struct loading all = {.job.run = load, .fleet = f};

    if (snprintf(path, sizeof(path), "%s/fleet.db", data_dir) >= (int)sizeof(path))
        return nr_err_set(err, NR_EINVAL, "the path of the data folder is too long");
    int r = nr_db_open(&c, &f->db, err);

    if (r == 0 && (r = nr_db_read_wait(f->db, &all.job)) < 0)
        r = nr_err_set(err, r, "%s cannot be read: %s", path, nr_err_text(r));
    return r;
}

/* ---- changes ------------------------------------------------------------------------------------------------------ */

static int put_host(sqlite3 *db, const struct fleet_write *w)
{
    sqlite3_stmt *s = nr_db_prepare(
        db, "INSERT INTO invokers (name, token, cordoned, added_ms, given, told)"
            " VALUES (?1, ?2, 0, ?4, ?5, ?6) ON CONFLICT (name) DO UPDATE SET token = ?2,"
            " added_ms = ?4, given = ?5, told = ?6");

    if (s == NULL)
        return NR_EIO;
    nr_db_bind_text(s, 1, nr_str_of(w->name));
    if (w->has_token)
        nr_db_bind_blob(s, 2, (struct nr_str){(const char *)w->token, sizeof(w->token)});
    (void)sqlite3_bind_int64(s, 4, w->added_ms);
    nr_db_bind_text(s, 5, nr_str_of(w->given));
    nr_db_bind_text(s, 6, nr_str_of(w->told));
    return nr_db_err(sqlite3_step(s));
}

static sqlite3_stmt *prepare(sqlite3 *db, enum fleet_row row)
{
    switch (row) {
    case FLEET_DELETE: break;
    case FLEET_OWE: return nr_db_prepare(db, "INSERT OR IGNORE INTO debts VALUES (?1, ?2)");
    case FLEET_PAID: return nr_db_prepare(db, "DELETE FROM debts WHERE name = ?1 AND account = ?2");
    case FLEET_TOLD: return nr_db_prepare(db, "UPDATE invokers SET told = ?2 WHERE name = ?1");
    case FLEET_CAME: /* it may have been removed since it came */
        return nr_db_prepare(db, "INSERT INTO invokers (name, cordoned, added_ms, given, told)"
                                 " SELECT ?1, 0, ?3, '{}', ?2"
                                 " WHERE NOT EXISTS (SELECT 1 FROM removed WHERE name = ?1)"
                                 " ON CONFLICT (name) DO UPDATE SET told = ?2");
    case FLEET_CORDON: /* of one that is being drained it changes nothing */
        return nr_db_prepare(db, "UPDATE invokers SET cordoned = ?3 WHERE name = ?1"
                                 " AND NOT (cordoned = 2 AND ?3 = 1)");
    case FLEET_DRAINED:
        return nr_db_prepare(db, "UPDATE invokers SET cordoned = 1 WHERE name = ?1"
                                 " AND cordoned = 2");
    case FLEET_PUT: break;
    }
    return NULL;
}

/* One after the other: ?1 is the name, ?2 the time. */
static int run_texts(sqlite3 *db, const char *const *texts, const struct fleet_write *w)
{
    for (; *texts; texts++) {
        sqlite3_stmt *s = nr_db_prepare(db, *texts);
        int r = NR_EIO;

        if (s) {
            nr_db_bind_text(s, 1, nr_str_of(w->name));
            (void)sqlite3_bind_int64(s, 2, w->added_ms);
            r = nr_db_err(sqlite3_step(s));
        }
        if (r < 0)
            return r;
    }
    return 0;
}

static int put(sqlite3 *db, const struct fleet_write *w)
{
    static const char *const texts[] = {
        "DELETE FROM removed WHERE name = ?1",
        NULL,
    };
    int r = put_host(db, w);

    return r == 0 ? run_texts(db, texts, w) : r;
}

static int delete (sqlite3 *db, const struct fleet_write *w)
{
    static const char *const texts[] = {
        "DELETE FROM invokers WHERE name = ?1",
        "INSERT OR REPLACE INTO removed VALUES (?1, ?2)",
        "DELETE FROM removed WHERE name NOT IN"
        " (SELECT name FROM removed ORDER BY removed_ms DESC LIMIT 1024)",
        NULL,
    };

    return run_texts(db, texts, w);
}

static int run(sqlite3 *db, struct nr_db_job *job)
{
    const struct fleet_write *w = nr_container_of(job, struct fleet_write, job);

    if (w->row == FLEET_PUT)
        return put(db, w);
    if (w->row == FLEET_DELETE)
        return delete (db, w);
    sqlite3_stmt *s = prepare(db, w->row);

    if (s == NULL)
        return NR_EIO;
    nr_db_bind_text(s, 1, nr_str_of(w->name));
    if (w->account || w->told)
        nr_db_bind_text(s, 2, nr_str_of(w->account ? w->account : w->told));
    if (w->row == FLEET_CAME)
        (void)sqlite3_bind_int64(s, 3, w->added_ms);
    else if (w->row == FLEET_CORDON)
        (void)sqlite3_bind_int(s, 3, (int)w->cordon);
    return nr_db_err(sqlite3_step(s));
}

static void on_written(struct nr_db_job *job)
{
    struct fleet_write *w = nr_container_of(job, struct fleet_write, job);

    if (job->status < 0)
        nr_log(w->fleet->log, NR_LOG_WARN, "fleet", "fleet.db refused a change of invoker %s: %s",
               w->name, nr_err_text(job->status));
    if (w->done)
        w->done(w, job->status);
    free(w->account);
    free(w->given);
    free(w->told);
    free(w);
}

void fleet_write(struct invokers *f, const struct fleet_write *with)
{
    struct fleet_write *w = nr_alloc(sizeof(*w));

    *w = *with;
    w->fleet = f;
    w->job = (struct nr_db_job){.run = run, .done = on_written, .loop = f->loop};
    nr_db_write(f->db, &w->job);
}

void fleet_write_told(struct fleet_host *h)
{
    struct fleet_write w = {.row = h->has_token ? FLEET_TOLD : FLEET_CAME,
                            .added_ms = h->added_ms,
                            .told = nr_strdup(h->told)};

    memcpy(w.name, h->name, sizeof(w.name));
    fleet_write(h->fleet, &w);
}
