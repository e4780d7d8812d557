/* sqlite with one writer thread and group commit, and reader threads of its own. WAL, synchronous=FULL: a job that is done is on
 * disk, also after a power cut.
 *
 * A write job runs inside the open transaction in its own savepoint (or is a single statement): a job that fails rolls back alone. A
 * batch begins with the first job, or, while only lazy jobs wait, with the 256th or after 5 ms; the writer commits when its queue is
 * empty or after 1,024 jobs. `done` comes after the commit. When the commit itself fails all its jobs get that error, and the writer
 * opens its connection anew before the next transaction (a full disk needs no more than space: the next job begins again).
 * When it is quiet the writer copies the log back (also at 4 MiB of log) and gives free pages back to the file system.
 * Jobs are lent until done. Any thread may post; a job must not wait for another job of its own database.
 */
#ifndef NR_COMMON_DATA_DB_H
#define NR_COMMON_DATA_DB_H

#include <sqlite3.h>
#include <stdbool.h>

#include "common/base/err.h"
#include "common/base/str.h"
#include "common/net/loop.h"

struct nr_db;

/* Numbered schema steps: steps[i] brings user_version i to i + 1, each in one transaction. Additive only. */
struct nr_db_config {
    const char *path;
    const char *const *steps; /* ends with NULL */
    int page_bytes;           /* 4096; used at creation */
    int readers;              /* threads, 1 at least */
    uint32_t busy_timeout_ms; /* 5000 */
};

struct nr_db_job {
    /* in */
    int (*run)(sqlite3 *db,
               struct nr_db_job
                   *job); /* on the database's thread; 0 or NR_E* (a write is then rolled back) */
    void (*done)(
        struct nr_db_job
            *job); /* once; on `loop`; when loop is NULL on the database's thread. May be NULL. */
    struct nr_loop *loop;
    bool lazy; /* may wait up to 5 ms for company */
    bool
        single; /* a write of one statement: what fails rolls back by itself, without a savepoint */
    /* out */
    int status;
    /* private */
    struct nr_mail mail;
    struct nr_db_job *next;
    void *wait;
};

struct nr_db_stats {
    uint64_t jobs, commits, failed_commits, queued; /* queued: now */
    uint64_t last_commit_us;
};

/* Opens (a new file: 0600, incremental vacuum), checks, migrates (NR_EINVAL with one sentence when the file is newer than one
 * step) and starts the threads. Foreign keys are enforced. The check: header and schema always; all pages (quick_check) when the
 * file is at most 16 MiB or was not closed cleanly (nobody else has it open now), for at most 3 s. NR_ECORRUPT comes with a sentence that names the file and
 * what to do. */
int nr_db_open(const struct nr_db_config *c, struct nr_db **ret, struct nr_err *err);
/* Finishes what is queued, checkpoints, joins the threads. NULL is fine, and so is a second call. Blocking. Jobs that are posted
 * from now on are done at once with NR_ESTOPPING, on the thread that posts them when they have no loop. */
void nr_db_stop(struct nr_db *d);
/* Stops it and frees it. NULL is fine. Who posts from what its jobs do when they are done stops it first, and closes it when all
 * their mails have been delivered. */
void nr_db_close(struct nr_db *d);

/* What is queued to be written is finished (blocking); writes from then on are done at once with NR_ESTOPPING, while reads go on: another
 * process writes here now. */
void nr_db_freeze(struct nr_db *d);
/* The number that a question with one answer has in the database at path, which is not open here and is not changed; *ret 0 where there is no file, no table
 * or no row. A sentence for a file that cannot be read. Blocking. */
int nr_db_glance(const char *path, const char *literal, int64_t *ret, struct nr_err *err);
/* May a program that knows `known` steps of its schema open this file? Changes nothing; a file that is not there fits. NR_EINVAL as nr_db_open()
 * says it, or what kept it from being read. Blocking. */
int nr_db_judge(const char *path, int known, struct nr_err *err);

void nr_db_write(struct nr_db *d, struct nr_db_job *job);
/* On a reader connection: sees every job that was done before it was posted. */
void nr_db_read(struct nr_db *d, struct nr_db_job *job);
/* Blocking forms for the manage plane: return job->status after the commit. job->done and loop are ignored. */
int nr_db_write_wait(struct nr_db *d, struct nr_db_job *job);
int nr_db_read_wait(struct nr_db *d, struct nr_db_job *job);
struct nr_db_stats nr_db_stats(struct nr_db *d);

/* Prepares with SQLITE_PREPARE_PERSISTENT and keeps the statement with the connection; the text must be a string literal (compared by
 * address). Reset and cleared when it is handed out again. NULL on error. For use inside jobs. */
sqlite3_stmt *nr_db_prepare(sqlite3 *db, const char *literal);
/* NR_E* for a sqlite result: SQLITE_FULL is NR_ENOSPC, CONSTRAINT NR_EEXIST, BUSY NR_EBUSY, CORRUPT/NOTADB NR_ECORRUPT,
 * NOMEM NR_ENOMEM, TOOBIG NR_ETOOBIG, else NR_EIO. */
int nr_db_err(int sqlite_result);
/* Binds bytes as TEXT or BLOB without a copy (kept until the statement is stepped). An absent text is NULL. */
void nr_db_bind_text(sqlite3_stmt *s, int at, struct nr_str text);
void nr_db_bind_blob(sqlite3_stmt *s, int at, struct nr_str bytes);
/* Column as text or bytes, lent until the next step; absent for NULL. */
struct nr_str nr_db_column(sqlite3_stmt *s, int at);

#endif
