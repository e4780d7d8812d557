/* The sweeper: files that no version needs any more. Blocking; manage plane.
 */
#ifndef NR_FNMANAGER_SWEEPER_H
#define NR_FNMANAGER_SWEEPER_H

#include "common/base/log.h"
#include "fnmanager/storage/storage.h"

/* Calls that were accepted on an old snapshot may start a container from its file for this long: the longest time limit, the wait
 * in the queue, and some more. */
#define SWEEP_AFTER_MS (15 * 60 * 1000)

/* What earlier runs left: every folder without a row, temporary files, all of their garbage. */
struct sweeper {
    /* in: kept until sweeper_stop() */
    struct storage *s;
    struct nr_db *db;
    struct nr_log *log;
    nr_counter *swept; /* counts what went */
    /* private */
    int64_t began_ms, removed;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t done;
    bool started, over;
    _Atomic bool stopping;
};
/* Starts its thread, before the first upload of this run; waits for its end, but for a second at most. */
int sweeper_start(struct sweeper *w, struct nr_err *err);
/* Ends it where it is, and joins. Fine when it was not started. */
void sweeper_stop(struct sweeper *w);
/* Removes folders that are garbage for at least after_ms. Returns how many. */
int64_t sweep_garbage(struct storage *s, struct nr_db *db, int64_t after_ms);

#endif
