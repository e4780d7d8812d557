/* The sweeper: files that no version needs any more. Blocking; manage plane.
 */
#ifndef NR_FNMANAGER_SWEEPER_H
#define NR_FNMANAGER_SWEEPER_H

#include "fnmanager/storage.h"

/* Calls that were accepted on an old snapshot may start a container from its file for this long: the longest time limit, the wait
 * in the queue, and some more. */
#define SWEEP_AFTER_MS (15 * 60 * 1000)

/* At start, when nobody runs: removes every folder without a row, and temporary files. Returns how many things went. */
int64_t sweep_start(struct storage *s, struct nr_db *db);
/* Later: removes folders that are garbage for at least after_ms. Returns how many. */
int64_t sweep_garbage(struct storage *s, struct nr_db *db, int64_t after_ms);

#endif
