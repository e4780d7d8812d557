/* The parts of a database that its two files share. Inside common/data only.
 */
#ifndef NR_COMMON_DATA_DB_THREADS_H
#define NR_COMMON_DATA_DB_THREADS_H

#include <pthread.h>
#include <time.h>

#include "common/data/db_conn.h"

/* So many waiting jobs begin a batch; what has come by the time they have run, up to so many, goes with them. */
enum { NR_DB_BATCH_JOBS = 256, NR_DB_BATCH_MAX_JOBS = 1024 };

struct nr_db_queue {
    struct nr_db_job *first, **last;
    unsigned count, eager;
    pthread_cond_t wake;
    struct timespec lazy_until; /* when the oldest job has waited long enough */
};

struct nr_db_reader {
    struct nr_db *d;
    struct nr_db_conn conn;
    pthread_t thread;
    bool started;
};

struct nr_db {
    char *path;
    uint32_t busy_timeout_ms;
    int page_bytes;
    pthread_mutex_t lock; /* queues, closing, stats */
    struct nr_db_queue writes, reads;
    struct nr_db_stats stats;
    bool closing, frozen;
    struct nr_db_conn
        writer; /* the writer's, as is quiet_work: there is something to do when it is quiet */
    bool quiet_work;
    uint64_t restart_after_ms; /* the writer's: a reader stood in the way of the log a moment ago */
    pthread_t writer_thread;
    bool writer_started;
    struct nr_db_reader *readers;
    int reader_count;
};

/* What holds for all of sqlite in this process; before the first connection, any number of times. */
void nr_db_set_up(void);
/* Lets others run after every few of the rows that are done, unless many are waiting. The writer's thread. */
void nr_db_yield(unsigned done, unsigned waiting);
/* Takes the first job (lent) or NULL; under the lock. */
struct nr_db_job *nr_db_pop(struct nr_db_queue *q);
/* Tells the owner that the job is done; it is his again from here on. */
void nr_db_report(struct nr_db_job *job);

/* Thread bodies: of a struct nr_db and of a struct nr_db_reader. They end when closing is set and their queue is empty. */
void *nr_db_run_writer(void *db);
void *nr_db_run_reader(void *reader);

#endif
