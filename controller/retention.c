/* Room on the disk. Retention: records go by age and by bytes, the oldest first, few in a transaction.
 * Only the oldest rows are looked at: a table of a gigabyte is not read every ten seconds. The store gives free pages back when it is quiet. Disk full: the ballast file is freed
 * so that ends of accepted work fit, and no 202 is given until there is room again.
 */
#include "controller/internal.h"

#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <sys/statvfs.h>

#include "common/base/clock.h"

#define BALLAST_BYTES (64 << 20)
#define ROOM_AGAIN_BYTES (128 << 20)
#define TIDY_MS 10000
#define TIDY_ROWS 500
#define PEAK_BYTES (4 << 20)

/* ---- the disk is full ------------------------------------------------------------------------------------------- */

static void ballast_path(const struct controller *c, char *out, size_t n)
{
    (void)snprintf(out, n, "%s/ballast", c->data_dir);
}

void ballast_make(struct controller *c)
{
    char path[4096];

    ballast_path(c, path, sizeof(path));
    nr_auto_close int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    if (fd < 0 || posix_fallocate(fd, 0, BALLAST_BYTES) != 0)
        (void)unlink(path);
}

void disk_is_full(struct controller *c)
{
    char path[4096];

    if (c->disk_full)
        return;
    c->disk_full = true;
    ballast_path(c, path, sizeof(path));
    (void)unlink(path);
    nr_log(c->log, NR_LOG_ERROR, "controller",
           "disk full: ballast freed, no call is accepted for later until %d MiB are free in %s",
           ROOM_AGAIN_BYTES >> 20, c->data_dir);
}

static void look_for_room(struct controller *c)
{
    struct statvfs v;

    if (!c->disk_full || statvfs(c->data_dir, &v) != 0 ||
        v.f_bavail * v.f_frsize < ROOM_AGAIN_BYTES)
        return;
    ballast_make(c);
    c->disk_full = false;
    nr_log(c->log, NR_LOG_INFO, "controller",
           "the disk has room again, calls are accepted for later");
}

/* ---- retention ---------------------------------------------------------------------------------------------------- */

struct tidy_job {
    struct nr_db_job job;
    struct controller *ctl;
    int64_t before_ms, max_bytes;
    int rows, removed;
};

static int64_t used_bytes(sqlite3 *db)
{
    int64_t figure[3] = {0, 0, 0};
    static const char *const asks[] = {"PRAGMA page_count", "PRAGMA freelist_count",
                                       "PRAGMA page_size"};

    for (size_t i = 0; i < nr_countof(asks); i++) {
        sqlite3_stmt *s = NULL;

        if (sqlite3_prepare_v2(db, asks[i], -1, &s, NULL) == SQLITE_OK &&
            sqlite3_step(s) == SQLITE_ROW)
            figure[i] = sqlite3_column_int64(s, 0);
        sqlite3_finalize(s);
    }
    return (figure[0] - figure[1]) * figure[2];
}

/* How many of the oldest rows are too much, when all were of one size; 0 when the store is small enough. */
static int rows_too_many(sqlite3 *db, int64_t max_bytes)
{
    int64_t used = used_bytes(db), rows;
    sqlite3_stmt *s = nr_db_prepare(db, "SELECT (SELECT max(seq) FROM calls) - (SELECT min(seq)"
                                        " FROM calls) + 1");

    if (max_bytes <= 0 || used <= max_bytes || journal_step(s) != 0)
        return 0;
    rows = (used - max_bytes) / (used / (sqlite3_column_int64(s, 0) + 1) + 1) + 1;
    return rows < TIDY_ROWS ? (int)rows : TIDY_ROWS;
}

static int tidy_run(sqlite3 *db, struct nr_db_job *job)
{
    struct tidy_job *t = nr_container_of(job, struct tidy_job, job);
    int too_many = rows_too_many(db, t->max_bytes);
    sqlite3_stmt *s = nr_db_prepare(
        db,
        "DELETE FROM calls WHERE seq IN (SELECT seq FROM (SELECT seq, end_ms FROM calls WHERE state=2"
        " ORDER BY seq LIMIT ?) WHERE ? OR end_ms<?)");

    if (s == NULL)
        return NR_EIO;
    t->rows = too_many > 0 ? too_many : TIDY_ROWS;
    sqlite3_bind_int(s, 1, t->rows);
    sqlite3_bind_int(s, 2, too_many > 0);
    sqlite3_bind_int64(s, 3, t->before_ms);
    int r = journal_step(s);
    t->removed = r == 0 ? sqlite3_changes(db) : 0;
    return r;
}

static void tidy(struct controller *c);

static void on_tidied(struct nr_db_job *job)
{
    struct tidy_job *t = nr_container_of(job, struct tidy_job, job);
    struct controller *c = t->ctl;
    bool more = t->removed == t->rows;

    c->sweeping = false;
    free(t);
    if (more && !c->stopping)
        tidy(c);
}

static void tidy(struct controller *c)
{
    struct tidy_job *t = nr_alloc(sizeof(*t));

    c->sweeping = true;
    t->ctl = c;
    t->before_ms = c->retention_s > 0 ? nr_wall_ms() - c->retention_s * 1000 : INT64_MIN;
    t->max_bytes = c->retention_max_bytes;
    t->job = (struct nr_db_job){.run = tidy_run, .done = on_tidied, .loop = c->loop, .lazy = true};
    nr_db_write(c->db, &t->job);
}

/* A peak of unwritten rows leaves the heap wide: when nothing runs it is given back. */
static void give_heap_back(struct controller *c)
{
    if (c->running > 0 || c->unstored_peak_bytes < PEAK_BYTES)
        return;
    c->unstored_peak_bytes = 0;
    (void)malloc_trim(0);
}

static void on_tidy(struct nr_deadline *d)
{
    struct controller *c = nr_container_of(d, struct controller, tidy);

    give_heap_back(c);
    look_for_room(c);
    if (c->reloaded_live == 0)
        journal_reload(c); /* a read that failed is tried again */
    if (!c->sweeping)
        tidy(c);
    nr_deadline_set(c->loop, &c->tidy, TIDY_MS);
}

void journal_tidy_start(struct controller *c)
{
    c->tidy.fire = on_tidy;
    nr_deadline_set(c->loop, &c->tidy, TIDY_MS);
}
