/* Statements with their values, posted or waited for. What is posted owns a copy of its values until it is written.
 *
 * Policies keep every version; `states` is what a policy remembers (timers, the last record), so that a restart neither forgets a cooldown nor
 * takes a wish back. The journal is in blocks of some seconds each (journal.h).
 *
 * Two threads read: one may have a replay, the other is free for short questions, some of which the scaler's thread waits for.
 */
#include "scaler/store.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>

#include "common/base/mem.h"
#include "common/data/schema_versions.h"

enum { VALUES_MAX = 10, QUEUED_MAX = 4096, PATH_BYTES = 4096 };
static const size_t QUEUED_MAX_BYTES = 64 << 20;

static const char *const steps[] = {
    "CREATE TABLE policies(name TEXT PRIMARY KEY, number INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE versions(name TEXT NOT NULL, number INTEGER NOT NULL, account TEXT, mode TEXT NOT NULL, "
    "updated INTEGER NOT NULL, by TEXT NOT NULL, document TEXT NOT NULL, PRIMARY KEY(name, number)) WITHOUT ROWID;"
    "CREATE TABLE states(name TEXT PRIMARY KEY, number INTEGER NOT NULL, t INTEGER NOT NULL, state TEXT, "
    "record TEXT) WITHOUT ROWID;"
    "CREATE TABLE decisions(id INTEGER PRIMARY KEY, t INTEGER NOT NULL, name TEXT NOT NULL, account TEXT, "
    "number INTEGER NOT NULL, record TEXT NOT NULL);"
    "CREATE INDEX decisions_of ON decisions(name, t);"
    "CREATE INDEX decisions_at ON decisions(t);"
    "CREATE TABLE journal(seq INTEGER PRIMARY KEY, t0 INTEGER NOT NULL, t1 INTEGER NOT NULL, key INTEGER NOT NULL, "
    "bytes INTEGER NOT NULL, block BLOB NOT NULL);"
    "CREATE INDEX journal_at ON journal(t1);"
    "CREATE TABLE forecasts(name TEXT PRIMARY KEY, account TEXT NOT NULL, t INTEGER NOT NULL, state TEXT NOT NULL) "
    "WITHOUT ROWID;"
    "CREATE TABLE channels(name TEXT PRIMARY KEY, url TEXT NOT NULL, updated INTEGER NOT NULL) WITHOUT ROWID;",
    "ALTER TABLE states ADD COLUMN key TEXT;"
    "ALTER TABLE decisions ADD COLUMN bytes INTEGER NOT NULL DEFAULT 0;"
    "UPDATE decisions SET bytes = length(CAST(record AS BLOB)) + 100;"
    "CREATE INDEX decisions_bytes ON decisions(id, bytes);",
    NULL};
NR_SCHEMA_CHECK(steps, NR_SCHEMA_SCALING);

struct store {
    struct nr_db *db;
    _Atomic uint64_t written, failed, dropped, queued;
    _Atomic size_t queued_bytes;
};

struct value {
    char kind;
    int64_t number;
    struct nr_str text;
};

/* Several statements, or one of them with its own copies. */
struct statement {
    struct nr_db_job job;
    struct store *store;
    const char *const *sql;
    const char *one[2];
    int (*row)(void *arg, sqlite3_stmt *st);
    void *arg;
    unsigned count;
    struct value value[VALUES_MAX];
    size_t bytes; /* of the copies, which follow */
    char copies[];
};

static unsigned take_values(struct value *v, const char *kinds, va_list args)
{
    unsigned n = 0;

    for (; kinds[n]; n++) {
        nr_check(n < VALUES_MAX);
        v[n] = (struct value){.kind = kinds[n]};
        if (kinds[n] == 'i')
            v[n].number = va_arg(args, int64_t);
        else
            v[n].text = va_arg(args, struct nr_str);
    }
    return n;
}

static void bind_all(sqlite3_stmt *st, const struct value *v, unsigned n)
{
    int most = sqlite3_bind_parameter_count(st);

    for (int i = 0; i < (int)n && i < most; i++) {
        if (v[i].kind == 'i')
            (void)sqlite3_bind_int64(st, i + 1, v[i].number);
        else if (v[i].kind == 't')
            nr_db_bind_text(st, i + 1, v[i].text);
        else
            nr_db_bind_blob(st, i + 1, v[i].text);
    }
}

static int step_all(sqlite3_stmt *st, int (*row)(void *arg, sqlite3_stmt *st), void *arg)
{
    int r, stop = 0;

    while ((r = sqlite3_step(st)) == SQLITE_ROW && stop == 0)
        stop = row ? row(arg, st) : 0;
    (void)sqlite3_reset(st);
    return stop != 0 ? stop : r == SQLITE_DONE || r == SQLITE_ROW ? 0 : nr_db_err(r);
}

static int run_statement(sqlite3 *db, struct nr_db_job *job)
{
    struct statement *q = nr_container_of(job, struct statement, job);
    int r = 0;

    for (const char *const *sql = q->sql ? q->sql : q->one; r == 0 && *sql; sql++) {
        sqlite3_stmt *st = nr_db_prepare(db, *sql);

        if (st == NULL)
            return NR_EIO;
        bind_all(st, q->value, q->count);
        r = step_all(st, q->row, q->arg);
    }
    return r;
}

int store_open(const char *data_dir, struct store **ret, struct nr_err *err)
{
    struct store *s = nr_alloc(sizeof(*s));
    char path[PATH_BYTES];

    (void)snprintf(path, sizeof(path), "%s/scaling.db", data_dir);
    const struct nr_db_config c = {
        .path = path, .steps = steps, .page_bytes = 4096, .readers = 2, .busy_timeout_ms = 5000};
    int r = nr_db_open(&c, &s->db, err);

    if (r < 0) {
        free(s);
        return r;
    }
    *ret = s;
    return 0;
}

static void on_written(struct nr_db_job *job)
{
    struct statement *q = nr_container_of(job, struct statement, job);

    (void)atomic_fetch_add(job->status == 0 ? &q->store->written : &q->store->failed, 1);
    (void)atomic_fetch_sub(&q->store->queued, 1);
    (void)atomic_fetch_sub(&q->store->queued_bytes, q->bytes);
    free(q);
}

static void copy_texts(struct statement *q)
{
    size_t at = 0;

    for (unsigned i = 0; i < q->count; i++) {
        if (q->value[i].text.p == NULL)
            continue;
        memcpy(q->copies + at, q->value[i].text.p, q->value[i].text.n);
        q->value[i].text.p = q->copies + at;
        at += q->value[i].text.n;
    }
}

void store_post(struct store *s, const char *sql, const char *kinds, ...)
{
    struct value v[VALUES_MAX];
    size_t bytes = 0;
    va_list args;

    va_start(args, kinds);
    unsigned n = take_values(v, kinds, args);

    va_end(args);
    for (unsigned i = 0; i < n; i++)
        bytes += v[i].text.n;
    struct statement *q = atomic_load(&s->queued) < QUEUED_MAX &&
                                  atomic_load(&s->queued_bytes) + bytes <= QUEUED_MAX_BYTES
                              ? nr_try_alloc(sizeof(*q) + bytes)
                              : NULL;

    if (q == NULL) {
        (void)atomic_fetch_add(&s->dropped, 1);
        return;
    }
    *q = (struct statement){
        .job = {.run = run_statement, .done = on_written, .lazy = true, .single = true},
        .store = s,
        .one = {sql, NULL},
        .count = n,
        .bytes = bytes};
    memcpy(q->value, v, n * sizeof(*v));
    copy_texts(q);
    (void)atomic_fetch_add(&s->queued, 1);
    (void)atomic_fetch_add(&s->queued_bytes, bytes);
    nr_db_write(s->db, &q->job);
}

int store_write(struct store *s, const char *const *sql, const char *kinds, ...)
{
    struct statement q = {.job = {.run = run_statement}, .store = s, .sql = sql};
    va_list args;

    va_start(args, kinds);
    q.count = take_values(q.value, kinds, args);
    va_end(args);
    return nr_db_write_wait(s->db, &q.job);
}

int store_read(struct store *s, int (*row)(void *arg, sqlite3_stmt *st), void *arg, const char *sql,
               const char *kinds, ...)
{
    struct statement q = {
        .job = {.run = run_statement}, .store = s, .one = {sql, NULL}, .row = row, .arg = arg};
    va_list args;

    va_start(args, kinds);
    q.count = take_values(q.value, kinds, args);
    va_end(args);
    return nr_db_read_wait(s->db, &q.job);
}

void store_settle(struct store *s)
{
    static const char *const nothing[] = {NULL};

    if (atomic_load(&s->queued) > 0)
        (void)store_write(s, nothing, "");
}

void store_later(struct store *s, struct nr_db_job *job)
{
    nr_db_read(s->db, job);
}

int store_rows(sqlite3 *db, int (*row)(void *arg, sqlite3_stmt *st), void *arg, const char *sql,
               const char *kinds, ...)
{
    struct value v[VALUES_MAX];
    sqlite3_stmt *st = nr_db_prepare(db, sql);
    va_list args;

    if (st == NULL)
        return NR_EIO;
    va_start(args, kinds);
    unsigned n = take_values(v, kinds, args);

    va_end(args);
    bind_all(st, v, n);
    return step_all(st, row, arg);
}

/* The sum is made from the index alone. */
void store_trim_decisions(struct store *s, int64_t now_ms, int64_t age_s, int64_t max_bytes)
{
    if (age_s > 0)
        store_post(s, "DELETE FROM decisions WHERE t < ?1", "i", now_ms - age_s * 1000);
    if (max_bytes > 0)
        store_post(s,
                   "DELETE FROM decisions WHERE id <= (SELECT max(id) FROM (SELECT id, sum(bytes) "
                   "OVER (ORDER BY id DESC) AS total FROM decisions) WHERE total > ?1)",
                   "i", max_bytes);
}

struct store_stats store_stats(struct store *s)
{
    return (struct store_stats){.written = atomic_load(&s->written),
                                .failed = atomic_load(&s->failed),
                                .dropped = atomic_load(&s->dropped),
                                .queued = atomic_load(&s->queued)};
}

void store_stop(struct store *s)
{
    if (s)
        nr_db_stop(s->db);
}

void store_close(struct store *s)
{
    if (s == NULL)
        return;
    nr_db_close(s->db);
    free(s);
}
