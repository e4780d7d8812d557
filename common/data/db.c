/* Jobs on their way in and out, and the life of the threads that run them (db_threads.c). A job waits in one of two queues under one
 * lock; who posts a lazy job does not wake the writer, which would cost a system call per job.
 */
#include "common/data/db.h"

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/data/db_threads.h"

enum { LAZY_MS = 5, STACK_BYTES = 256 * 1024 };

struct waiter {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool done;
};

/* ---- jobs and queues ---- */

static void on_mail(struct nr_mail *m)
{
    struct nr_db_job *job = nr_container_of(m, struct nr_db_job, mail);

    job->done(job);
}

void nr_db_report(struct nr_db_job *job)
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

static void init_queue(struct nr_db_queue *q)
{
    q->last = &q->first;
    nr_mono_cond_init(&q->wake);
}

struct nr_db_job *nr_db_pop(struct nr_db_queue *q)
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

/* Does a job of this queue come too late? Under the lock. */
static bool is_refused(const struct nr_db *d, const struct nr_db_queue *q)
{
    return d->closing || (d->frozen && q == &d->writes);
}

/* Wakes the thread only for what it would act on: lazy jobs gather without a system call each. `freeze`: it is the last of its queue. */
static void post_last(struct nr_db *d, struct nr_db_queue *q, struct nr_db_job *job, bool freeze)
{
    job->status = 0;
    job->next = NULL;
    (void)pthread_mutex_lock(&d->lock);
    bool stopping = is_refused(d, q);

    d->frozen = d->frozen || freeze;

    if (!stopping) {
        *q->last = job;
        q->last = &job->next;
        q->eager += !job->lazy;
        if (q->count++ == 0)
            q->lazy_until = nr_mono_after(LAZY_MS);
        if (q->count == 1 || q->count == NR_DB_BATCH_JOBS || !job->lazy || q == &d->reads)
            (void)pthread_cond_signal(&q->wake);
    }
    (void)pthread_mutex_unlock(&d->lock);
    if (stopping) {
        job->status = NR_ESTOPPING;
        nr_db_report(job);
    }
}

static void post(struct nr_db *d, struct nr_db_queue *q, struct nr_db_job *job)
{
    post_last(d, q, job, false);
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

static int post_and_wait(struct nr_db *d, struct nr_db_queue *q, struct nr_db_job *job, bool freeze)
{
    nr_check(!is_thread_of(d));
    struct waiter w = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false};

    job->wait = &w;
    post_last(d, q, job, freeze);
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
    return post_and_wait(d, &d->writes, job, false);
}

int nr_db_read_wait(struct nr_db *d, struct nr_db_job *job)
{
    return post_and_wait(d, &d->reads, job, false);
}

static int nothing(sqlite3 *db, struct nr_db_job *job)
{
    (void)db;
    (void)job;
    return 0;
}

void nr_db_freeze(struct nr_db *d)
{
    struct nr_db_job last = {.run = nothing};

    (void)post_and_wait(d, &d->writes, &last, true);
}

struct nr_db_stats nr_db_stats(struct nr_db *d)
{
    (void)pthread_mutex_lock(&d->lock);
    struct nr_db_stats s = d->stats;

    s.queued = d->writes.count + d->reads.count;
    (void)pthread_mutex_unlock(&d->lock);
    return s;
}

/* ---- open and close ---- */

static int start_thread(pthread_t *t, void *(*run)(void *), void *arg, struct nr_err *err)
{
    pthread_attr_t a;

    nr_check(pthread_attr_init(&a) == 0 && pthread_attr_setstacksize(&a, STACK_BYTES) == 0);
    int errnum = pthread_create(t, &a, run, arg);

    (void)pthread_attr_destroy(&a);
    return errnum == 0
               ? 0
               : nr_err_set(err, NR_EBUSY, "no thread for the database: %s", strerror(errnum));
}

static int start_threads(struct nr_db *d, struct nr_err *err)
{
    int r = start_thread(&d->writer_thread, nr_db_run_writer, d, err);

    d->writer_started = r == 0;
    for (int i = 0; r == 0 && i < d->reader_count; i++) {
        struct nr_db_reader *reader = &d->readers[i];

        reader->d = d;
        r = nr_db_conn_open(&reader->conn, d->path, d->busy_timeout_ms, NR_DB_READER, err);
        if (r == 0)
            r = start_thread(&reader->thread, nr_db_run_reader, reader, err);
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
    nr_db_set_up();
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

void nr_db_stop(struct nr_db *d)
{
    if (d == NULL)
        return;
    (void)pthread_mutex_lock(&d->lock);
    bool stopped = d->closing;

    d->closing = true;
    (void)pthread_cond_broadcast(&d->writes.wake);
    (void)pthread_cond_broadcast(&d->reads.wake);
    (void)pthread_mutex_unlock(&d->lock);
    if (stopped)
        return;
    for (int i = 0; i < d->reader_count; i++) {
        if (d->readers[i].started)
            (void)pthread_join(d->readers[i].thread, NULL);
        nr_db_conn_close(&d->readers[i].conn);
    }
    if (d->writer_started)
        (void)pthread_join(d->writer_thread, NULL);
    /* The last connection to close copies the log back and removes it. */
    nr_db_conn_close(&d->writer);
}

void nr_db_close(struct nr_db *d)
{
    nr_db_stop(d);
    if (d == NULL)
        return;
    (void)pthread_cond_destroy(&d->writes.wake);
    (void)pthread_cond_destroy(&d->reads.wake);
    (void)pthread_mutex_destroy(&d->lock);
    free(d->readers);
    free(d->path);
    free(d);
}
