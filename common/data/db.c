/* The threads. One writer takes jobs off one queue, runs each in a savepoint of the open transaction, commits when the queue is
 * empty (or at 256 jobs) and only then reports them done: while a commit waits for the disk the next batch gathers by itself.
 * Readers take jobs off another queue, each on a connection and in a read transaction of its own.
 *
 * Failures: a job that fails is rolled back alone. A transaction that fails as a whole (disk full, I/O error) gives every job in it
 * that error; after anything but a full disk the writer opens its connection anew before it begins again, because after a failed
 * fsync nothing it holds in memory can be trusted.
 * Quiet: the writer copies the log back half a second after the last commit, or at 4 MiB, and gives free pages back bit by bit.
 */
#include "common/data/db.h"

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/data/db_conn.h"

enum {
    BATCH_JOBS = 256,
    LAZY_MS = 5,
    QUIET_MS = 500,
    STACK_BYTES = 256 * 1024,
    WAL_BYTES = 4 << 20,
    WAL_BYTES_MAX = 16 << 20, /* from here on the checkpoint waits for readers, shortly */
    RESTART_WAIT_MS = 100,
    FREE_PAGES = 1024,
};

struct queue {
    struct nr_db_job *first, **last;
    unsigned count, eager;
    pthread_cond_t wake;
    struct timespec lazy_until; /* when the oldest job has waited long enough */
};

struct nr_db {
    char *path;
    uint32_t busy_timeout_ms;
    int page_bytes;
    pthread_mutex_t lock; /* queues, closing, stats */
    struct queue writes, reads;
    struct nr_db_stats stats;
    bool closing;
    /* the writer's */
    struct nr_db_conn writer;
    bool quiet_work; /* there is something to do when it is quiet */
    pthread_t writer_thread;
    struct reader {
        struct nr_db *d;
        struct nr_db_conn conn;
        pthread_t thread;
        bool started;
    } *readers;
    int reader_count;
    bool writer_started;
};

struct waiter {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool done;
};

/* ---- jobs and queues ---- */

static struct timespec from_now(unsigned ms)
{
    struct timespec t;

    nr_check(clock_gettime(CLOCK_MONOTONIC, &t) == 0);
    t.tv_sec += ms / 1000;
    t.tv_nsec += (long)(ms % 1000) * 1000000;
    if (t.tv_nsec >= 1000000000) {
        t.tv_sec++;
        t.tv_nsec -= 1000000000;
    }
    return t;
}

static bool is_past(const struct timespec *t)
{
    struct timespec now = from_now(0);

    return now.tv_sec > t->tv_sec || (now.tv_sec == t->tv_sec && now.tv_nsec >= t->tv_nsec);
}

static void on_mail(struct nr_mail *m)
{
    struct nr_db_job *job = nr_container_of(m, struct nr_db_job, mail);

    job->done(job);
}

/* The job is its owner's again from here on. */
static void report(struct nr_db_job *job)
{
    struct waiter *w = job->wait;

    if (w) {
        (void)pthread_mutex_lock(&w->lock);
        w->done = true;
        (void)pthread_cond_signal(&w->wake);
        (void)pthread_mutex_unlock(&w->lock);
    } else if (job->done && job->loop) {
        job->mail.run = on_mail;
        nr_mailbox_post(job->loop, &job->mail);
    } else if (job->done) {
        job->done(job);
    }
}

static void init_cond(pthread_cond_t *c)
{
    pthread_condattr_t a;

    nr_check(pthread_condattr_init(&a) == 0 && pthread_condattr_setclock(&a, CLOCK_MONOTONIC) == 0);
    nr_check(pthread_cond_init(c, &a) == 0);
    (void)pthread_condattr_destroy(&a);
}

static void init_queue(struct queue *q)
{
    q->last = &q->first;
    init_cond(&q->wake);
}

static struct nr_db_job *pop(struct queue *q)
{
    struct nr_db_job *job = q->first;

    if (job == NULL)
        return NULL;
    q->first = job->next;
    if (q->first == NULL)
        q->last = &q->first;
    q->count--;
    q->eager -= !job->lazy;
    job->next = NULL;
    return job;
}

/* Wakes the thread only for what it would act on: lazy jobs gather without a system call each. */
static void post(struct nr_db *d, struct queue *q, struct nr_db_job *job)
{
    job->status = 0;
    job->next = NULL;
    (void)pthread_mutex_lock(&d->lock);
    bool stopping = d->closing;

    if (!stopping) {
        *q->last = job;
        q->last = &job->next;
        q->eager += !job->lazy;
        if (q->count++ == 0)
            q->lazy_until = from_now(LAZY_MS);
        if (q->count == 1 || q->count == BATCH_JOBS || !job->lazy || q == &d->reads)
            (void)pthread_cond_signal(&q->wake);
    }
    (void)pthread_mutex_unlock(&d->lock);
    if (stopping) {
        job->status = NR_ESTOPPING;
        report(job);
    }
}

void nr_db_write(struct nr_db *d, struct nr_db_job *job)
{
    job->wait = NULL;
    post(d, &d->writes, job);
}

void nr_db_read(struct nr_db *d, struct nr_db_job *job)
{
    job->wait = NULL;
    post(d, &d->reads, job);
}

/* A job that waits for another job of its own database would wait for ever. */
static bool is_thread_of(const struct nr_db *d)
{
    const struct nr_db_conn *here = nr_db_conn_here();
    bool found = here == &d->writer;

    for (int i = 0; i < d->reader_count; i++)
        found |= here == &d->readers[i].conn;
    return found;
}

static int post_and_wait(struct nr_db *d, struct queue *q, struct nr_db_job *job)
{
    nr_check(!is_thread_of(d));
    struct waiter w = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false};

    job->wait = &w;
    post(d, q, job);
    (void)pthread_mutex_lock(&w.lock);
    while (!w.done)
        (void)pthread_cond_wait(&w.wake, &w.lock);
    (void)pthread_mutex_unlock(&w.lock);
    (void)pthread_mutex_destroy(&w.lock);
    (void)pthread_cond_destroy(&w.wake);
    return job->status;
}

int nr_db_write_wait(struct nr_db *d, struct nr_db_job *job)
{
    return post_and_wait(d, &d->writes, job);
}

int nr_db_read_wait(struct nr_db *d, struct nr_db_job *job)
{
    return post_and_wait(d, &d->reads, job);
}

struct nr_db_stats nr_db_stats(struct nr_db *d)
{
    (void)pthread_mutex_lock(&d->lock);
    struct nr_db_stats s = d->stats;

    s.queued = d->writes.count + d->reads.count;
    (void)pthread_mutex_unlock(&d->lock);
    return s;
}

/* ---- the writer ---- */

/* Jobs that have run and wait for the commit. */
struct batch {
    struct nr_db_job *first, **last;
    unsigned count;
};

/* 0, or the NR_E* of the whole transaction, which then is gone. */
static int run_job(struct nr_db_conn *c, struct nr_db_job *job)
{
    int r = nr_db_err(nr_db_conn_do(c, "SAVEPOINT job"));

    if (r < 0)
        return r;
    job->status = job->run(c->db, job);
    int last = nr_db_err(sqlite3_errcode(c->db));

    nr_db_conn_reset(c);
    /* Some errors make sqlite roll the whole transaction back by itself. */
    if (sqlite3_get_autocommit(c->db))
        return last < 0 ? last : NR_EIO;
    if (job->status < 0)
        r = nr_db_err(nr_db_conn_do(c, "ROLLBACK TO job"));
    return r < 0 ? r : nr_db_err(nr_db_conn_do(c, "RELEASE job"));
}

/* Opens the connection when the last failure closed it, and begins. */
static int begin(struct nr_db *d)
{
    int r = d->writer.db ? 0 : nr_db_conn_open(&d->writer, d->path, d->busy_timeout_ms, NR_DB_WRITER, NULL);

    return r < 0 ? r : nr_db_err(nr_db_conn_do(&d->writer, "BEGIN IMMEDIATE"));
}

static struct nr_db_job *next_job(struct nr_db *d)
{
    (void)pthread_mutex_lock(&d->lock);
    struct nr_db_job *job = pop(&d->writes);

    (void)pthread_mutex_unlock(&d->lock);
    return job;
}

/* Takes and runs jobs until the queue is empty; with a transaction that is broken already, only takes them. */
static int gather(struct nr_db *d, struct batch *b, int r)
{
    struct nr_db_job *job;

    while (b->count < BATCH_JOBS && (job = next_job(d)) != NULL) {
        *b->last = job;
        b->last = &job->next;
        b->count++;
        if (r == 0)
            r = run_job(&d->writer, job);
        if (r < 0)
            break;
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
        report(job);
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
    bool restart = (size_t)c->wal_pages * (size_t)d->page_bytes > WAL_BYTES_MAX;
    int in_log = 0, copied = 0;

    if (restart)
        (void)sqlite3_busy_timeout(c->db, RESTART_WAIT_MS);
    int result = sqlite3_wal_checkpoint_v2(c->db, NULL, restart ? SQLITE_CHECKPOINT_RESTART : SQLITE_CHECKPOINT_PASSIVE, &in_log,
                                           &copied);

    if (restart)
        (void)sqlite3_busy_timeout(c->db, (int)d->busy_timeout_ms);
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
    struct queue *q = &d->writes;
    struct timespec quiet_at = from_now(QUIET_MS);

    (void)pthread_mutex_lock(&d->lock);
    while (!d->closing && q->eager == 0 && q->count < BATCH_JOBS && !(q->count && is_past(&q->lazy_until))) {
        if (q->count) {
            (void)pthread_cond_timedwait(&q->wake, &d->lock, &q->lazy_until);
        } else if (!d->quiet_work) {
            (void)pthread_cond_wait(&q->wake, &d->lock);
        } else if (is_past(&quiet_at)) {
            (void)pthread_mutex_unlock(&d->lock);
            quiet(d);
            quiet_at = from_now(QUIET_MS);
            (void)pthread_mutex_lock(&d->lock);
        } else {
            (void)pthread_cond_timedwait(&q->wake, &d->lock, &quiet_at);
        }
    }
    bool more = q->count > 0;

    (void)pthread_mutex_unlock(&d->lock);
    return more;
}

static void *run_writer(void *db)
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
    report(job);
}

static void *run_reader(void *reader)
{
    struct reader *r = reader;
    struct nr_db *d = r->d;
    struct nr_db_job *job;

    nr_db_conn_enter(&r->conn);
    (void)pthread_mutex_lock(&d->lock);
    while ((job = pop(&d->reads)) != NULL || !d->closing) {
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

/* ---- open and close ---- */

static int start_thread(pthread_t *t, void *(*run)(void *), void *arg, struct nr_err *err)
{
    pthread_attr_t a;

    nr_check(pthread_attr_init(&a) == 0 && pthread_attr_setstacksize(&a, STACK_BYTES) == 0);
    int errnum = pthread_create(t, &a, run, arg);

    (void)pthread_attr_destroy(&a);
    return errnum == 0 ? 0 : nr_err_set(err, NR_EBUSY, "no thread for the database: %s", strerror(errnum));
}

static int start_threads(struct nr_db *d, struct nr_err *err)
{
    int r = start_thread(&d->writer_thread, run_writer, d, err);

    d->writer_started = r == 0;
    for (int i = 0; r == 0 && i < d->reader_count; i++) {
        struct reader *reader = &d->readers[i];

        reader->d = d;
        r = nr_db_conn_open(&reader->conn, d->path, d->busy_timeout_ms, NR_DB_READER, err);
        if (r == 0)
            r = start_thread(&reader->thread, run_reader, reader, err);
        reader->started = r == 0;
    }
    return r;
}

int nr_db_open(const struct nr_db_config *c, struct nr_db **ret, struct nr_err *err)
{
    struct nr_db_config config = *c;
    struct nr_db *d = nr_alloc(sizeof(*d));

    config.busy_timeout_ms = c->busy_timeout_ms ? c->busy_timeout_ms : 5000;
    d->path = nr_strdup(c->path);
    d->busy_timeout_ms = config.busy_timeout_ms;
    d->reader_count = c->readers > 0 ? c->readers : 1;
    d->readers = nr_alloc((size_t)d->reader_count * sizeof(*d->readers));
    nr_check(pthread_mutex_init(&d->lock, NULL) == 0);
    init_queue(&d->writes);
    init_queue(&d->reads);
    int r = nr_db_prepare_file(&d->writer, &config, err);

    if (r == 0) {
        d->page_bytes = (int)nr_db_conn_number(&d->writer, "PRAGMA page_size");
        r = start_threads(d, err);
    }
    if (r < 0) {
        nr_db_close(d);
        return r;
    }
    *ret = d;
    return 0;
}

void nr_db_close(struct nr_db *d)
{
    if (d == NULL)
        return;
    (void)pthread_mutex_lock(&d->lock);
    d->closing = true;
    (void)pthread_cond_broadcast(&d->writes.wake);
    (void)pthread_cond_broadcast(&d->reads.wake);
    (void)pthread_mutex_unlock(&d->lock);
    for (int i = 0; i < d->reader_count; i++) {
        if (d->readers[i].started)
            (void)pthread_join(d->readers[i].thread, NULL);
        nr_db_conn_close(&d->readers[i].conn);
    }
    if (d->writer_started)
        (void)pthread_join(d->writer_thread, NULL);
    /* The last connection to close copies the log back and removes it. */
    nr_db_conn_close(&d->writer);
    (void)pthread_cond_destroy(&d->writes.wake);
    (void)pthread_cond_destroy(&d->reads.wake);
    (void)pthread_mutex_destroy(&d->lock);
    free(d->readers);
    free(d->path);
    free(d);
}
