/* A snapshot is one read transaction of the database, copied page by page while naraed goes on writing: whatever was committed when it began
 * is in it. The copy is made into a file whose name is taken away before the first page, so that nothing is left of it, however this
 * ends; a whole file of sqlite, to be asked, and read through a descriptor of our own.
 *
 * The log of a database that nobody has open is left as it is: the next start of naraed is the one that looks at it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/backup/backup.h"
#include "common/base/mem.h"
#include "common/data/db.h"

enum { BUSY_MS = 30000, PAGES = 2048, SQL_BYTES = 64 };

static int fail(sqlite3 *db, int result, const char *path, struct nr_err *err)
{
    int code = nr_db_err(result);

    return nr_err_set(err, code < 0 ? code : NR_EIO, "%s: it cannot be copied: %s", path,
                      db ? sqlite3_errmsg(db) : sqlite3_errstr(result));
}

int64_t backup_number(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *s = NULL;
    int64_t n = -1;

    if (sqlite3_prepare_v2(db, sql, -1, &s, NULL) == SQLITE_OK && sqlite3_step(s) == SQLITE_ROW)
        n = sqlite3_column_int64(s, 0);
    (void)sqlite3_finalize(s);
    return n;
}

static bool has_log(const char *path)
{
    char log[BACKUP_PATH_BYTES + 8];
    struct stat st;

    (void)snprintf(log, sizeof(log), "%s-wal", path);
    return stat(log, &st) == 0 && st.st_size > 0;
}

/* The database with a read transaction open on it; *ret (made) also when it fails. */
static int open_source(const char *path, sqlite3 **ret, struct nr_err *err)
{
    struct stat st;

    if (stat(path, &st) != 0)
        return nr_err_set(err, nr_err_from_errno(errno), "%s: %s%s", path, strerror(errno),
                          errno == EACCES ? "; run it as root, or as the user of naraed" : "");
    if (access(path, R_OK | W_OK) != 0)
        return nr_err_set(err, NR_EFORBIDDEN,
                          "%s cannot be opened: run it as root, or as the user of naraed", path);
    int r = sqlite3_open_v2(path, ret, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);

    if (r == SQLITE_OK)
        r = sqlite3_busy_timeout(*ret, BUSY_MS);
    if (r == SQLITE_OK && has_log(path))
        r = sqlite3_db_config(*ret, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    if (r == SQLITE_OK)
        r = sqlite3_exec(*ret,
                         "PRAGMA query_only=ON; PRAGMA cache_size=-1024; BEGIN;"
                         "SELECT count(*) FROM sqlite_schema",
                         NULL, NULL, NULL);
    return r == SQLITE_OK ? 0 : fail(*ret, r, path, err);
}

int backup_open_still(const char *path, const char *how, sqlite3 **ret, struct nr_err *err)
{
    char uri[3 * BACKUP_PATH_BYTES + 32];
    size_t n = (size_t)snprintf(uri, sizeof(uri), "file:");

    for (const char *c = path; *c; c++) /* what a URI would read as its own */
        n += (size_t)snprintf(uri + n, sizeof(uri) - n, strchr("%?#", *c) ? "%%%02x" : "%c", *c);
    (void)snprintf(uri + n, sizeof(uri) - n, "?%s=1", how);
    int r = sqlite3_open_v2(uri, ret, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, NULL);

    return r == SQLITE_OK ? 0 : fail(*ret, r, path, err);
}

/* A file without a name, opened three times: *ret_to (made) to be written, s->db (made) to be asked later, and our own descriptor. */
static int make_copy(struct backup_snapshot *s, const char *tmp_dir, sqlite3 **ret_to,
                     struct nr_err *err)
{
    char path[BACKUP_PATH_BYTES];
    int r = backup_path(path, tmp_dir, ".narae-backup-XXXXXX", err);

    if (r < 0)
        return r;
    s->fd = mkostemp(path, O_CLOEXEC);
    if (s->fd < 0)
        return nr_err_set(err, nr_err_from_errno(errno), "%s: no file can be made: %s", tmp_dir,
                          strerror(errno));
    int result = sqlite3_open_v2(path, ret_to, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);

    if (result == SQLITE_OK)
        result = sqlite3_exec(*ret_to,
                              "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF;"
                              "PRAGMA cache_size=-8192; PRAGMA locking_mode=EXCLUSIVE",
                              NULL, NULL, NULL);
    r = result == SQLITE_OK ? backup_open_still(path, "nolock", &s->db, err)
                            : fail(*ret_to, result, tmp_dir, err);
    (void)unlink(path);
    return r;
}

static int copy_pages(sqlite3 *to, sqlite3 *from, const char *path, struct backup_progress *p,
                      struct nr_err *err)
{
    sqlite3_backup *b = sqlite3_backup_init(to, "main", from, "main");
    const char *name = strrchr(path, '/');
    int64_t page_bytes = backup_number(from, "PRAGMA page_size");
    int result = SQLITE_OK, r = 0;

    if (b == NULL)
        return fail(to, sqlite3_errcode(to), path, err);
    while (r == 0 && result == SQLITE_OK) {
        result = sqlite3_backup_step(b, PAGES);
        int64_t all = sqlite3_backup_pagecount(b), left = sqlite3_backup_remaining(b);

        r = backup_progress_tell(p, name ? name + 1 : path, (all - left) * page_bytes,
                                 all * page_bytes, err);
    }
    (void)sqlite3_backup_finish(b);
    if (r == 0 && result != SQLITE_DONE)
        return fail(to, result, path, err);
    return r;
}

/* The copy says that it has a log, as its original had: it has none. */
static int finish_copy(struct backup_snapshot *s, const char *path, struct nr_err *err)
{
    static const char no_log[2] = {1, 1};
    struct stat st;

    if (pwrite(s->fd, no_log, sizeof(no_log), 18) != sizeof(no_log) || fstat(s->fd, &st) != 0)
        return nr_err_set(err, nr_err_from_errno(errno), "the copy of %s cannot be written: %s",
                          path, strerror(errno));
    s->bytes = st.st_size;
    s->schema = (int)backup_number(s->db, "PRAGMA user_version");
    if (s->schema < 1)
        return nr_err_set(err, NR_ECORRUPT, "%s is no database of Narae's: %s", path,
                          sqlite3_errmsg(s->db));
    return 0;
}

int backup_snapshot_take(struct backup_snapshot *s, const char *path, const char *tmp_dir,
                         struct backup_progress *p, struct nr_err *err)
{
    sqlite3 *from = NULL, *to = NULL;
    int r = open_source(path, &from, err);

    *s = (struct backup_snapshot){.fd = -1};
    if (r == 0)
        r = make_copy(s, tmp_dir, &to, err);
    if (r == 0)
        r = copy_pages(to, from, path, p, err);
    (void)sqlite3_close(from);
    (void)sqlite3_close(to);
    if (r == 0)
        r = finish_copy(s, path, err);
    if (r < 0)
        backup_snapshot_drop(s);
    return r;
}

void backup_snapshot_drop(struct backup_snapshot *s)
{
    (void)sqlite3_close(s->db);
    s->db = NULL;
    if (s->fd >= 0)
        (void)close(s->fd);
    s->fd = -1;
}
