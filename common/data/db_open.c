/* What happens to a file before the threads start: create (0600, page size, incremental vacuum), WAL, check, migrate.
 *
 * The check. The header and the schema are always read, so a file that is no database or has a torn first page is found at once.
 * The whole file is checked (quick_check) when it is small, or when a log lies beside it, for a clean stop removes the log; that
 * check ends after a while without a verdict, because a start must not wait on gigabytes. Damage that it does not reach shows
 * as NR_ECORRUPT of the job that reads it.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/data/db_threads.h"

enum { SMALL_BYTES = 16 << 20, CHECK_MS = 3000, CHECK_STEPS = 10000, STATEMENT_BYTES = 64 };

static int create(const char *path, bool *ret_new, struct nr_err *err)
{
    nr_auto_close int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0)
        return nr_err_set(err, nr_err_from_errno(errno), "%s: the database cannot be opened: %s",
                          path, strerror(errno));
    *ret_new = st.st_size == 0;
    return 0;
}

/* Whoever has a database open in this mode holds a shared lock on this byte of its index of the log (sqlite's wal-index format). */
enum { INDEX_LOCK_BYTE = 128 };

/* Has another process it open? */
static bool is_shared(const char *path)
{
    struct flock lock = {
        .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = INDEX_LOCK_BYTE, .l_len = 1};
    char index[4096];

    (void)snprintf(index, sizeof(index), "%s-shm", path);
    nr_auto_close int fd = open(index, O_RDWR | O_CLOEXEC);

    return fd >= 0 && fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

/* Did the last process that had it open end without closing it? Asked before we have it open ourselves: closing any descriptor of the index
 * would end our own locks on it. */
static bool was_cut(const char *path)
{
    char wal[4096];
    struct stat st;

    (void)snprintf(wal, sizeof(wal), "%s-wal", path);
    return stat(wal, &st) == 0 && st.st_size > 0 && !is_shared(path);
}

static int check_is_late(void *deadline_ms)
{
    return nr_mono_ms() > *(const uint64_t *)deadline_ms;
}

static int on_row(void *verdict, int columns, char **values, char **names)
{
    (void)names;
    if (columns > 0 && values[0])
        (void)snprintf(verdict, 200, "%s", values[0]);
    return 0;
}

static int check_all(struct nr_db_conn *c, const char *path, struct nr_err *err)
{
    uint64_t deadline_ms = nr_mono_ms() + CHECK_MS;
    char verdict[200] = "";

    sqlite3_progress_handler(c->db, CHECK_STEPS, check_is_late, &deadline_ms);
    int result = sqlite3_exec(c->db, "PRAGMA quick_check(1)", on_row, verdict, NULL);

    sqlite3_progress_handler(c->db, 0, NULL, NULL);
    (void)sqlite3_db_release_memory(c->db);
    if (result == SQLITE_INTERRUPT)
        return 0;
    if (result != SQLITE_OK)
        return nr_db_conn_fail(c, path, "the database cannot be checked", err);
    if (strcmp(verdict, "ok") == 0)
        return 0;
    for (char *p = verdict; *p; p++)
        if (*p == '\n')
            *p = ' ';
    return nr_err_set(
        err, NR_ECORRUPT,
        "%s: the database is damaged (%s): restore it from a backup, or move it away to start empty",
        path, verdict);
}

static int check(struct nr_db_conn *c, const char *path, bool cut, struct nr_err *err)
{
    struct stat st;

    if (sqlite3_exec(c->db, "SELECT count(*) FROM sqlite_schema", NULL, NULL, NULL) != SQLITE_OK)
        return nr_db_conn_fail(c, path, "the database cannot be read", err);
    if (cut || (stat(path, &st) == 0 && st.st_size <= SMALL_BYTES))
        return check_all(c, path, err);
    return 0;
}

static int begin_file(struct nr_db_conn *c, const struct nr_db_config *config, struct nr_err *err)
{
    char pragma[STATEMENT_BYTES];

    (void)snprintf(pragma, sizeof(pragma), "PRAGMA page_size=%d",
                   config->page_bytes ? config->page_bytes : 4096);
    if (sqlite3_exec(c->db, pragma, NULL, NULL, NULL) != SQLITE_OK ||
        sqlite3_exec(c->db, "PRAGMA auto_vacuum=INCREMENTAL", NULL, NULL, NULL) != SQLITE_OK)
        return nr_db_conn_fail(c, config->path, "the database cannot be made", err);
    return 0;
}

/* Some file systems cannot share the memory that a log needs; sqlite then stays in its old mode without an error. */
static int use_wal(struct nr_db_conn *c, const char *path, struct nr_err *err)
{
    char mode[200] = "";

    if (sqlite3_exec(c->db, "PRAGMA journal_mode=WAL", on_row, mode, NULL) != SQLITE_OK)
        return nr_db_conn_fail(c, path, "the database cannot be opened", err);
    if (strcmp(mode, "wal") != 0)
        return nr_err_set(err, NR_EIO, "%s: this file system cannot hold a write-ahead log", path);
    return 0;
}

/* One step in one transaction. The version is read inside it: what another process did meanwhile is not done twice. */
static int step(struct nr_db_conn *c, const struct nr_db_config *config, int64_t n,
                struct nr_err *err)
{
    char pragma[STATEMENT_BYTES], what[STATEMENT_BYTES];

    (void)snprintf(pragma, sizeof(pragma), "PRAGMA user_version=%d", (int)n + 1);
    (void)snprintf(what, sizeof(what), "step %d of the schema failed", (int)n + 1);
    if (sqlite3_exec(c->db, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK)
        return nr_db_conn_fail(c, config->path, what, err);
    if ((nr_db_conn_number(c, "PRAGMA user_version") == n &&
         (sqlite3_exec(c->db, config->steps[n], NULL, NULL, NULL) != SQLITE_OK ||
          sqlite3_exec(c->db, pragma, NULL, NULL, NULL) != SQLITE_OK)) ||
        sqlite3_exec(c->db, "COMMIT", NULL, NULL, NULL) != SQLITE_OK) {
        int r = nr_db_conn_fail(c, config->path, what, err);

        (void)sqlite3_exec(c->db, "ROLLBACK", NULL, NULL, NULL);
        return r;
    }
    return 0;
}

/* A release only adds, so the one before it can serve. */
static int judge(const char *path, int64_t version, int64_t known, struct nr_err *err)
{
    return version <= known + 1
               ? 0
               : nr_err_set(
                     err, NR_EINVAL,
                     "%s: its schema is version %d, this program knows %d: start a newer release",
                     path, (int)version, (int)known);
}

int nr_db_glance(const char *path, const char *literal, int64_t *ret, struct nr_err *err)
{
    struct nr_db_conn c = {0};
    struct stat st;

    *ret = 0;
    if (stat(path, &st) < 0 && errno == ENOENT)
        return 0;
    nr_db_set_up();
    int r = nr_db_conn_open(&c, path, 0, NR_DB_READER, err);
    int64_t number = r == 0 ? nr_db_conn_number(&c, literal) : -1;

    *ret = number == -1 ? 0 : number;
    nr_db_conn_close(&c);
    return r;
}

int nr_db_judge(const char *path, int known, struct nr_err *err)
{
    struct nr_db_conn c = {0};
    struct stat st;

    if (stat(path, &st) < 0 && errno == ENOENT)
        return 0;
    nr_db_set_up();
    int r = nr_db_conn_open(&c, path, 0, NR_DB_READER, err);

    if (r < 0)
        return r;
    int64_t version = nr_db_conn_number(&c, "PRAGMA user_version");

    r = version < 0 ? nr_db_conn_fail(&c, path, "the schema's version cannot be read", err)
                    : judge(path, version, known, err);
    nr_db_conn_close(&c);
    return r;
}

static int migrate(struct nr_db_conn *c, const struct nr_db_config *config, struct nr_err *err)
{
    int64_t version = nr_db_conn_number(c, "PRAGMA user_version"), known = 0;
    int r = 0;

    while (config->steps[known])
        known++;
    if (version < 0)
        return nr_db_conn_fail(c, config->path, "the schema's version cannot be read", err);
    r = judge(config->path, version, known, err);
    for (; r == 0 && version < known; version++)
        r = step(c, config, version, err);
    return r;
}

int nr_db_prepare_file(struct nr_db_conn *c, const struct nr_db_config *config, struct nr_err *err)
{
    bool is_new = false, cut = was_cut(config->path);
    int r = create(config->path, &is_new, err);

    if (r == 0)
        r = nr_db_conn_open(c, config->path, config->busy_timeout_ms, NR_DB_WRITER, err);
    if (r == 0 && is_new)
        r = begin_file(c, config, err);
    if (r == 0)
        r = use_wal(c, config->path, err);
    if (r == 0)
        r = check(c, config->path, cut, err);
    if (r == 0)
        r = migrate(c, config, err);
    if (r < 0)
        nr_db_conn_close(c);
    return r;
}
