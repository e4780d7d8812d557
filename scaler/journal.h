/* What the scaler processed, in the order in which it did: samples, lags, evaluations and, every five minutes, what the policies remember. From
 * it evaluations are made again (replay.h). Bounded by bytes and age; blocks of some seconds, compressed, in scaling.db.
 *
 * Written on the scaler's thread; read on one of the database's.
 */
#ifndef NR_SCALER_JOURNAL_H
#define NR_SCALER_JOURNAL_H

#include "scaler/store.h"

struct journal;

enum journal_kind {
    JOURNAL_BEGIN = 'B',  /* samples are known from here on: nothing is carried over from before */
    JOURNAL_SAMPLE = 'S', /* a message of the topic metrics */
    JOURNAL_PAST =
        'P', /* a sample from before the begin, heard again: it fills windows, and was counted before */
    JOURNAL_LAG = 'L',   /* [topic, group, lag] */
    JOURNAL_TICK = 'T',  /* [policy, number, began, forecast..., heard, at once]: one evaluation */
    JOURNAL_STATE = 'C', /* {"policy","number","state"}: what a policy remembers now */
    JOURNAL_GAP = 'G'    /* something that was processed is not here */
};

struct journal_record {
    enum journal_kind kind;
    int64_t t_ms; /* when it was processed */
    struct nr_str text;
};

struct journal_stats {
    uint64_t records, blocks, bytes, gaps; /* bytes: of blocks, compressed */
};

/* s kept. */
struct journal *journal_make(struct store *s);
/* What was not flushed is lost. NULL is fine. */
void journal_free(struct journal *j);
/* text is copied. */
void journal_add(struct journal *j, enum journal_kind kind, int64_t t_ms, struct nr_str text);
/* Once a second: a block that is old or large enough is written. `now`: whatever there is. */
void journal_flush(struct journal *j, int64_t t_ms, bool now);
/* The states of all policies follow: they begin a block that can be found. */
void journal_key(struct journal *j, int64_t t_ms);
/* Blocks older than age_s, and the oldest beyond max_bytes, go; 0: no bound. */
void journal_trim(struct journal *j, int64_t now_ms, int64_t age_s, int64_t max_bytes);
struct journal_stats journal_stats(const struct journal *j);

/* Where to begin so that states are known at since_ms: the newest block with states at or before, or else the first one after. 0 and *ret_ms,
 * NR_ENOENT when there is none. */
int journal_find_key(sqlite3 *db, int64_t since_ms, int64_t *ret_ms);
/* Calls `record` for each from from_ms on until upto_ms; ends early with what it returns when that is not 0. NR_ECORRUPT when a block is
 * damaged. */
int journal_each(sqlite3 *db, int64_t from_ms, int64_t upto_ms,
                 int (*record)(void *arg, const struct journal_record *r), void *arg);

#endif
