/* The threads. One writer takes jobs off one queue, runs each in a savepoint of the open transaction, commits when the queue is
 * empty (or at 1,024 jobs) and only then reports them done: while a commit waits for the disk the next batch gathers by itself.
 * Readers take jobs off another queue, each on a connection and in a read transaction of its own.
 *
 * Failures: a job that fails is rolled back alone. A transaction that fails as a whole (disk full, I/O error) gives every job in it
 * that error; after anything but a full disk the writer opens its connection anew before it begins again, because after a failed
 * fsync nothing it holds in memory can be trusted.
 * Quiet: the writer copies the log back half a second after the last commit, or at 4 MiB, and gives free pages back bit by bit.
 */
#include "common/data/db_threads.h"

#include "common/base/clock.h"

enum {
    QUIET_MS = 500,
    WAL_BYTES = 4 << 20,
    WAL_BYTES_MAX = 16 << 20, /* from here on the checkpoint waits for readers, shortly */
    RESTART_WAIT_MS = 100,
    RESTART_EVERY_MS = 2000, /* no batch waits again so soon for a reader that stays: a backup */
    FREE_PAGES = 1024,
};

/* ---- the writer ---- */

static bool is_past(const struct timespec *t)
{
    struct timespec now = nr_mono_after(0);

    return now.tv_sec > t->tv_sec || (now.tv_sec == t->tv_sec && now.tv_nsec >= t->tv_nsec);
}

/* Jobs that have run and wait for the commit. */
struct batch {
    struct nr_db_job *first, **last;
    unsigned count;
};

/* 0, or the NR_E* of the whole transaction, which then is gone. */
static int run_job(struct nr_db_conn *c, struct nr_db_job *job)
{
    int r = job->single ? 0 : nr_db_err(nr_db_conn_do(c, "SAVEPOINT job"));

    if (r < 0)
        return r;
    job->status = job->run(c->db, job);
    int last = nr_db_err(sqlite3_errcode(c->db));

    nr_db_conn_reset(c);
    /* Some errors make sqlite roll the whole transaction back by itself. */
    if (sqlite3_get_autocommit(c->db))
        return last < 0 ? last : NR_EIO;
    if (job->single)
        return 0;
    if (job->status < 0)
        r = nr_db_err(nr_db_conn_do(c, "ROLLBACK TO job"));
    return r < 0 ? r : nr_db_err(nr_db_conn_do(c, "RELEASE job"));
}

/* Opens the connection when the last failure closed it, and begins. */
static int begin(struct nr_db *d)
{
    int r = d->writer.db
                ? 0
                : nr_db_conn_open(&d->writer, d->path, d->busy_timeout_ms, NR_DB_WRITER, NULL);

    return r < 0 ? r : nr_db_err(nr_db_conn_do(&d->writer, "BEGIN IMMEDIATE"));
}

static struct nr_db_job *next_job(struct nr_db *d, unsigned *ret_waiting)
{
    (void)pthread_mutex_lock(&d->lock);
    struct nr_db_job *job = nr_db_pop(&d->writes);

    *ret_waiting = d->writes.count;
    (void)pthread_mutex_unlock(&d->lock);
    return job;
}

/* Takes and runs jobs until the queue is empty; with a transaction that is broken already, only takes them. */
static int gather(struct nr_db *d, struct batch *b, int r)
{
    struct nr_db_job *job;
    unsigned waiting;

    while (b->count < NR_DB_BATCH_MAX_JOBS && (job = next_job(d, &waiting)) != NULL) {
        *b->last = job;
        b->last = &job->next;
        b->count++;
        if (r == 0)
            r = run_job(&d->writer, job);
        if (r < 0)
            break;
        nr_db_yield(b->count, waiting);
    }
    return r;
}

static void abandon(struct nr_db *d, int r)
{
    struct nr_db_conn *c = &d->writer;

    if (c->db && !sqlite3_get_autocommit(c->db))
        (void)nr_db_conn_do(c, "ROLLBACK");
    if (r != NR_ENOSPC && r != NR_EBUSY)
        nr_db_conn_close(c);
}

static void report_batch(struct nr_db *d, struct batch *b, int r, uint64_t commit_us)
{
    (void)pthread_mutex_lock(&d->lock);
    d->stats.jobs += b->count;
    d->stats.commits += r == 0;
    d->stats.failed_commits += r < 0;
    if (r == 0)
        d->stats.last_commit_us = commit_us;
    (void)pthread_mutex_unlock(&d->lock);
    for (struct nr_db_job *job = b->first, *next; job; job = next) {
        next = job->next;
        if (r < 0 && job->status >= 0)
            job->status = r;
        nr_db_report(job);
    }
}

static void write_batch(struct nr_db *d)
{
    struct batch b = {.last = &b.first};
    int r = gather(d, &b, begin(d));
    uint64_t start_us = nr_mono_us();

    if (r == 0)
        r = nr_db_err(nr_db_conn_do(&d->writer, "COMMIT"));
    if (r < 0)
        abandon(d, r);
    d->quiet_work = true;
    report_batch(d, &b, r, nr_mono_us() - start_us);
}

/* Copies the log back into the file. Passive unless the log has grown far because of readers. */
static void checkpoint(struct nr_db *d)
{
    struct nr_db_conn *c = &d->writer;
    bool restart = (size_t)c->wal_pages * (size_t)d->page_bytes > WAL_BYTES_MAX &&
                   nr_mono_ms() >= d->restart_after_ms;
    int in_log = 0, copied = 0;

    if (restart)
        (void)sqlite3_busy_timeout(c->db, RESTART_WAIT_MS);
    int result = sqlite3_wal_checkpoint_v2(
        c->db, NULL, restart ? SQLITE_CHECKPOINT_RESTART : SQLITE_CHECKPOINT_PASSIVE, &in_log,
        &copied);

    if (restart)
        (void)sqlite3_busy_timeout(c->db, (int)d->busy_timeout_ms);
    if (restart && result == SQLITE_BUSY)
        d->restart_after_ms = nr_mono_ms() + RESTART_EVERY_MS;
    if (result == SQLITE_OK && in_log == copied)
        c->wal_pages = 0;
}

static void quiet(struct nr_db *d)
{
    d->quiet_work = false;
    if (d->writer.db == NULL)
        return;
    if (nr_db_conn_number(&d->writer, "PRAGMA freelist_count") > FREE_PAGES)
        d->quiet_work = nr_db_conn_do(&d->writer, "PRAGMA incremental_vacuum(1024)") == SQLITE_OK;
    checkpoint(d);
}

/* Waits until a batch is worth beginning; false when closing and nothing is left. */
static bool await_work(struct nr_db *d)
{
    struct nr_db_queue *q = &d->writes;
    struct timespec quiet_at = nr_mono_after(QUIET_MS);

    (void)pthread_mutex_lock(&d->lock);
    while (!d->closing && q->eager == 0 && q->count < NR_DB_BATCH_JOBS &&
           !(q->count && is_past(&q->lazy_until))) {
        if (q->count) {
            (void)pthread_cond_timedwait(&q->wake, &d->lock, &q->lazy_until);
        } else if (!d->quiet_work) {
            (void)pthread_cond_wait(&q->wake, &d->lock);
        } else if (is_past(&quiet_at)) {
            (void)pthread_mutex_unlock(&d->lock);
            quiet(d);
            quiet_at = nr_mono_after(QUIET_MS);
            (void)pthread_mutex_lock(&d->lock);
        } else {
            (void)pthread_cond_timedwait(&q->wake, &d->lock, &quiet_at);
        }
    }
    bool more = q->count > 0;

    (void)pthread_mutex_unlock(&d->lock);
    return more;
}

void *nr_db_run_writer(void *db)
{
    struct nr_db *d = db;

    nr_db_conn_enter(&d->writer);
    while (await_work(d)) {
        write_batch(d);
        if (d->writer.db && (size_t)d->writer.wal_pages * (size_t)d->page_bytes > WAL_BYTES)
            checkpoint(d);
    }
    return NULL;
}

/* ---- readers ---- */

static void read_one(struct nr_db *d, struct nr_db_conn *c, struct nr_db_job *job)
{
    int r = c->db ? 0 : nr_db_conn_open(c, d->path, d->busy_timeout_ms, NR_DB_READER, NULL);

    if (r == 0)
        r = nr_db_err(nr_db_conn_do(c, "BEGIN"));
    if (r == 0) {
        job->status = job->run(c->db, job);
        nr_db_conn_reset(c);
        if (nr_db_conn_do(c, "COMMIT") != SQLITE_OK)
            nr_db_conn_close(c);
    } else {
        job->status = r;
    }
    nr_db_report(job);
}

void *nr_db_run_reader(void *reader)
{
    struct nr_db_reader *r = reader;
    struct nr_db *d = r->d;
    struct nr_db_job *job;

    nr_db_conn_enter(&r->conn);
    (void)pthread_mutex_lock(&d->lock);
    while ((job = nr_db_pop(&d->reads)) != NULL || !d->closing) {
        if (job == NULL) {
            (void)pthread_cond_wait(&d->reads.wake, &d->lock);
            continue;
        }
        d->stats.jobs++;
        (void)pthread_mutex_unlock(&d->lock);
        read_one(d, &r->conn, job);
        (void)pthread_mutex_lock(&d->lock);
    }
    (void)pthread_mutex_unlock(&d->lock);
    return NULL;
}
