/* scaling.db: policies and their versions, decisions, the journal, what is remembered across a restart, channels. One statement at a time:
 * `kinds` says what follows, a letter each: i an int64_t, t a struct nr_str as text (absent: NULL), b one as bytes.
 */
#ifndef NR_SCALER_STORE_H
#define NR_SCALER_STORE_H

#include "common/data/db.h"

struct store;

struct store_stats {
    uint64_t written, failed, dropped; /* of what was posted */
    uint64_t queued;                   /* now */
};

/* Opens or makes data_dir (lent)/scaling.db. Blocking. */
int store_open(const char *data_dir, struct store **ret, struct nr_err *err);
/* Writes when it comes to it; what follows is copied. Never blocks: beyond 4,096 that wait, or 64 MB, it is dropped and counted. sql is a
 * string literal, here and below. Any thread. */
void store_post(struct store *s, const char *sql, const char *kinds, ...);
/* Writes now, one or several statements (ends with NULL) with the same values, in one transaction. Blocking: 0 or NR_E*. */
int store_write(struct store *s, const char *const *sql, const char *kinds, ...);
/* Calls row (may end the reading with anything but 0, which is returned then) for each row. Blocking; what was posted before may not be
 * seen without store_settle(). On the thread of who calls or of the database; nobody else runs meanwhile in either. */
int store_read(struct store *s, int (*row)(void *arg, sqlite3_stmt *st), void *arg, const char *sql,
               const char *kinds, ...);
/* What was posted before is written when this returns. Blocking. */
void store_settle(struct store *s);
/* Runs run() on a reading thread, where it may take long and ask with store_rows(); `done` on loop. As nr_db_read(). */
void store_later(struct store *s, struct nr_db_job *job);
/* As store_read(), inside of run(). */
int store_rows(sqlite3 *db, int (*row)(void *arg, sqlite3_stmt *st), void *arg, const char *sql,
               const char *kinds, ...);
/* Decisions older than age_s, and the oldest beyond max_bytes (with 100 for each), go, later; 0: no bound. */
void store_trim_decisions(struct store *s, int64_t now_ms, int64_t age_s, int64_t max_bytes);
struct store_stats store_stats(struct store *s);
/* Everything that was posted is written; then as nr_db_stop(). NULL is fine. */
void store_stop(struct store *s);
void store_close(struct store *s);

#endif
