/* The writer gives its core away in the middle of its work: after every few rows, and after every few pages that it writes, unless so
 * many jobs wait for it that it would fall behind. Where the writer has a core of its own this costs next to nothing; where it shares
 * one with a loop, an answer waits for a few rows instead of for a whole batch or a checkpoint, whatever the scheduler thinks of
 * their ranks. sqlite writes its pages through a table of system calls that may be replaced; ours is the same call with a yield now
 * and then.
 */
#include <pthread.h>
#include <sched.h>
#include <sys/types.h>
#include <unistd.h>

#include "common/data/db_threads.h"

enum { YIELD_ROWS = 8, YIELD_PAGES = 8, HURRY_ROWS = NR_DB_BATCH_JOBS / 2 };

/* Of one writer. */
static _Thread_local struct {
    bool hurries;
    unsigned writes;
} mine;
static pthread_once_t once = PTHREAD_ONCE_INIT;

void nr_db_yield(unsigned done, unsigned waiting)
{
    mine.hurries = waiting >= HURRY_ROWS;
    if (!mine.hurries && done % YIELD_ROWS == 0)
        (void)sched_yield();
}

static ssize_t write_and_yield(int fd, const void *bytes, size_t n, off_t at)
{
    ssize_t r = pwrite(fd, bytes, n, at);

    /* A page of the log is two writes. Not after a failure: its errno is still to be read. */
    if (r >= 0 && ++mine.writes % (2 * YIELD_PAGES) == 0 && !mine.hurries)
        (void)sched_yield();
    return r;
}

/* Before the first connection. That all allocations are counted under a lock is of no use to anybody here. */
static void set_up(void)
{
    (void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);

    if (vfs == NULL || vfs->iVersion < 3)
        return;
    for (size_t i = 0; i < 2; i++) { /* it has one of the two, as it was built */
        static const char *const names[] = {"pwrite", "pwrite64"};

        if (vfs->xGetSystemCall(vfs, names[i]))
            (void)vfs->xSetSystemCall(vfs, names[i], (sqlite3_syscall_ptr)write_and_yield);
    }
}

void nr_db_set_up(void)
{
    (void)pthread_once(&once, set_up);
}
