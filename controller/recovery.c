/* calls.db at the start of a run: its schema, and what an earlier run left. Rows that say "running" become `whisk internal error` (at
 * most once: they are not run again), but for those that a process runs which lives and ends its calls; queued ones are loaded again, bit by bit,
 * oldest first. A read that fails is tried again.
 */
#include "controller/internal.h"

#include <stdio.h>

#include "common/base/clock.h"
#include "common/data/schema_versions.h"

#define RELOAD_ROWS 256
#define RELOAD_MAX_BYTES (8 << 20)
#define RELOADED_LOW 64         /* fewer than these run or wait for a container: more are loaded */
#define RELOAD_WAITING_MAX 4096 /* so many that wait for their code do not count among them */

static const char *const schema[] = {
    "PRAGMA auto_vacuum=INCREMENTAL;"
    "CREATE TABLE calls("
    " seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, state INTEGER NOT NULL, epoch INTEGER NOT NULL DEFAULT 0,"
    " lease_ms INTEGER, account TEXT NOT NULL, package TEXT NOT NULL, name TEXT NOT NULL, version TEXT, published INTEGER,"
    " cause TEXT, transaction_id TEXT, retries INTEGER NOT NULL DEFAULT 0, accepted_ms INTEGER NOT NULL,"
    " start_ms INTEGER, end_ms INTEGER, duration_ms INTEGER, status INTEGER, annotations TEXT, result TEXT, logs TEXT,"
    " input TEXT);"
    "CREATE INDEX calls_by_start ON calls(account, start_ms, seq);"
    "CREATE INDEX calls_open ON calls(state, seq) WHERE state < 2;",
    "ALTER TABLE calls ADD COLUMN alias TEXT;",
    "ALTER TABLE calls ADD COLUMN kind INTEGER NOT NULL DEFAULT 0;" /* enum activation_kind */
    "ALTER TABLE calls ADD COLUMN space TEXT NOT NULL DEFAULT '';"  /* '': the account's own */
    /* Lists by name, and counts, look at nothing but the index: a table of large records is not read for them. */
    "DROP INDEX calls_by_start;"
    "CREATE INDEX calls_by_start ON calls(account, start_ms, seq, state, name, package);",
    "ALTER TABLE calls ADD COLUMN run INTEGER;", /* the process that runs it, by a random number; NULL: one of a release that had none */
    NULL,
};

NR_SCHEMA_CHECK(schema, NR_SCHEMA_CALLS);

int journal_step(sqlite3_stmt *s)
{
    int r = s ? sqlite3_step(s) : SQLITE_ERROR;

    return r == SQLITE_DONE || r == SQLITE_ROW ? 0 : nr_db_err(r);
}

struct recover_job {
    struct nr_db_job job;
    struct journal_count rows;
    int64_t failed;
    const char *living; /* JSON: the runs of processes that live; NULL: there is none */
};

/* What ran when the platform died did run, maybe to its end: it is not run again, and its record says what happened. */
int journal_fail(sqlite3 *db, const char *id, int epoch, const char *living, int64_t *ret_failed)
{
    sqlite3_stmt *s = nr_db_prepare(
        db,
        "UPDATE calls SET state=2, status=3, end_ms=?1, duration_ms=0, version=coalesce(version,'0.0.1'),"
        " annotations='[]', logs='', input=NULL,"
        " result='{\"error\":\"The platform stopped while the action was running.\"}'"
        " WHERE state=1 AND (?2 IS NULL OR (id=?2 AND epoch=?3))"
        " AND (?4 IS NULL OR (run IS NOT NULL AND run NOT IN (SELECT value FROM json_each(?4))))");

    if (s == NULL)
        return NR_EIO;
    sqlite3_bind_int64(s, 1, nr_wall_ms());
    nr_db_bind_text(s, 2, id ? nr_str_of(id) : (struct nr_str){NULL, 0});
    sqlite3_bind_int(s, 3, epoch);
    nr_db_bind_text(s, 4, living ? nr_str_of(living) : (struct nr_str){NULL, 0});
    int e = journal_step(s);

    if (e == 0)
        *ret_failed += sqlite3_changes(db);
    return e;
}

static int recover_run(sqlite3 *db, struct nr_db_job *job)
{
    struct recover_job *r = nr_container_of(job, struct recover_job, job);
    int e = journal_fail(db, NULL, 0, r->living, &r->failed);

    if (e != 0)
        return e;
    sqlite3_stmt *s = nr_db_prepare(db, "SELECT count(*) FROM calls WHERE state=0");

    if (s == NULL || sqlite3_step(s) != SQLITE_ROW)
        return NR_EIO;
    r->rows.queued = sqlite3_column_int64(s, 0);
    return 0;
}

int journal_open(struct controller *c, const char *living, struct nr_err *err)
{
    char path[4096];
    struct nr_db_config config = {
        .path = path, .steps = schema, .page_bytes = 4096, .readers = 2, .busy_timeout_ms = 5000};
    struct recover_job r = {.job = {.run = recover_run}, .living = living};
    int e;

    (void)snprintf(path, sizeof(path), "%s/calls.db", c->data_dir);
    if ((e = nr_db_open(&config, &c->db, err)) != 0)
        return e;
    if ((e = nr_db_write_wait(c->db, &r.job)) != 0)
        return nr_err_set(err, e, "%s: what an earlier run left cannot be read: %s", path,
                          nr_err_text(e));
    c->rows.queued = r.rows.queued;
    c->rows.terminal = r.failed;
    c->rows.accepted = r.rows.queued + r.failed;
    c->reload_more = r.rows.queued > 0;
    if (r.rows.queued || r.failed)
        nr_log(c->log, NR_LOG_WARN, "controller",
               "recovered: %lld calls queued again, %lld were running and are recorded as failed",
               (long long)r.rows.queued, (long long)r.failed);
    ballast_make(c);
    return 0;
}

/* One queued row on its way from the reader's thread to the loop. */
struct reload_row {
    struct reload_row *next;
    struct activation *a;
};

struct reload_job {
    struct nr_db_job job;
    struct controller *ctl;
    int64_t after_seq, last_seq, bytes;
    struct reload_row *rows, **tail;
    int count;
};

static struct activation *row_activation(struct controller *c, sqlite3_stmt *s)
{
    struct activation *a = activation_make();
    struct nr_str id = nr_db_column(s, 1);

    if (a == NULL)
        return NULL;
    a->account = nr_alloc(sizeof(*a->account));
    a->account->refs = 1;
    struct nr_str account = nr_db_column(s, 2);
    a->account->name = nr_strndup(account.p, account.n);
    a->account->uuid = nr_strdup("");
    a->account->invocations_per_minute = a->account->concurrent_invocations = -1;
    a->account->fires_per_minute = -1;
    a->package = nr_arena_copy(&a->arena, nr_db_column(s, 3));
    a->name = nr_arena_copy(&a->arena, nr_db_column(s, 4));
    a->transaction = nr_arena_copy(&a->arena, nr_db_column(s, 5));
    a->input = nr_arena_copy(&a->arena, nr_db_column(s, 6));
    a->epoch = sqlite3_column_int(s, 7);
    a->number = sqlite3_column_int64(s, 8);
    a->alias = nr_arena_copy(&a->arena, nr_db_column(s, 9));
    a->space = nr_arena_copy(&a->arena, nr_db_column(s, 10));
    if (id.n == 32)
        memcpy(a->id, id.p, 32);
    input_open(c->fnmanager, a);
    a->durable = true;
    return a;
}

static int reload_run(sqlite3 *db, struct nr_db_job *job)
{
    struct reload_job *r = nr_container_of(job, struct reload_job, job);
    sqlite3_stmt *s = nr_db_prepare(
        db,
        "SELECT seq,id,account,package,name,transaction_id,input,epoch,published,alias,space FROM calls"
        " WHERE state=0 AND seq>? ORDER BY seq LIMIT ?");

    int e = SQLITE_OK;

    if (s == NULL)
        return NR_EIO;
    sqlite3_bind_int64(s, 1, r->after_seq);
    sqlite3_bind_int(s, 2, RELOAD_ROWS);
    while (r->bytes < RELOAD_MAX_BYTES && (e = sqlite3_step(s)) == SQLITE_ROW) {
        struct reload_row *row = nr_alloc(sizeof(*row));

        r->last_seq = sqlite3_column_int64(s, 0);
        row->a = row_activation(r->ctl, s);
        *r->tail = row;
        r->tail = &row->next;
        r->bytes += sqlite3_column_bytes(s, 6);
        r->count++;
    }
    return nr_db_err(e);
}

static void on_reloaded(struct nr_db_job *job)
{
    struct reload_job *r = nr_container_of(job, struct reload_job, job);
    struct controller *c = r->ctl;

    c->reload_after_seq = r->last_seq;
    c->reload_more = job->status != 0 || r->count == RELOAD_ROWS || r->bytes >= RELOAD_MAX_BYTES;
    c->reloading = false;
    if (c->reload_anew) {
        c->reload_anew = false;
        c->reload_after_seq = 0;
        c->reload_more = true;
    }
    for (struct reload_row *row = r->rows, *next; row; row = next) {
        next = row->next;
        /* accepted by this run, or loaded before: it lives */
        if (row->a && (c->stopping || nr_map_get(&c->live, nr_str_of(row->a->id)))) {
            activation_unref(row->a);
        } else if (row->a) {
            c->reloaded_live++;
            row->a->claim = journal_claim;
            row->a->replied = true;
            row->a->row_running = false;
            backlog_load(c, row->a);
            controller_invoke(c, row->a);
        }
        free(row);
    }
    free(r);
}

void journal_reload(struct controller *c)
{
    if (!c->reload_more || c->reloading || c->stopping)
        return;
    struct reload_job *r = nr_alloc(sizeof(*r));

    c->reloading = true;
    r->job = (struct nr_db_job){.run = reload_run, .done = on_reloaded, .loop = c->loop};
    r->ctl = c;
    r->after_seq = r->last_seq = c->reload_after_seq;
    r->tail = &r->rows;
    nr_db_read(c->db, &r->job);
}

void journal_reload_more(struct controller *c)
{
    int64_t waiting =
        c->reload_waiting < RELOAD_WAITING_MAX ? c->reload_waiting : RELOAD_WAITING_MAX;

    if (c->reload_more && c->reloaded_live - waiting < RELOADED_LOW)
        journal_reload(c);
}
