/* A database out of an archive is foreign bytes that are programs as well: a view can be endless, a trigger or a check can do anything that
 * sqlite can. So it is opened as a file that nobody changes, with every such thing switched off and each length bounded, and looked at in
 * this order:
 *
 *   schema      each row of it, before anything that it defines is asked: only what this release makes (known.c)
 *   integrity   all of sqlite's own checks
 *   version     the one that the head of the archive says
 *
 * Whatever is asked of it costs at most a number of steps that grows with its size, and can be ended by a signal meanwhile.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/backup/backup.h"
#include "cli/backup/known.h"
#include "common/base/mem.h"

enum {
    STEPS_EACH = 20000,      /* of sqlite's machine, between two looks at the signals */
    STEPS_LEAST = 100 << 20, /* that any database may take */
    STEPS_PER_BYTE = 200, /* and more by its size: checking a row of ten bytes takes some hundred */
    SCHEMA_ROWS_MAX = 1000,
    SQL_MAX_BYTES = 64 << 10,
    VALUE_MAX_BYTES = 256 << 20,
};

/* ---- opened, harmless --------------------------------------------------------------------------------------------------- */

/* Of sqlite's machine: ends what is asked. */
static int on_steps(void *arg)
{
    struct backup_database *d = arg;

    d->steps_left -= STEPS_EACH;
    return d->steps_left < 0 || backup_progress_tell(d->progress, d->name, 0, 0, &d->ended) < 0;
}

static void switch_off(sqlite3 *db)
{
    static const struct {
        int what, value;
    } limits[] = {
        {SQLITE_LIMIT_LENGTH, VALUE_MAX_BYTES},
        {SQLITE_LIMIT_SQL_LENGTH, SQL_MAX_BYTES},
        {SQLITE_LIMIT_ATTACHED, 0},
        {SQLITE_LIMIT_TRIGGER_DEPTH, 1},
        {SQLITE_LIMIT_WORKER_THREADS, 0},
    };

    (void)sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    (void)sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    (void)sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
    (void)sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_VIEW, 0, NULL);
    for (size_t i = 0; i < nr_countof(limits); i++)
        (void)sqlite3_limit(db, limits[i].what, limits[i].value);
}

int backup_database_open(struct backup_database *d, const char *folder, const char *name,
                         struct backup_progress *p, struct nr_err *err)
{
    char path[BACKUP_PATH_BYTES];
    struct stat st;

    *d = (struct backup_database){.name = name, .progress = p};
    int r = backup_path(path, folder, name, err);

    if (r == 0 && stat(path, &st) != 0)
        r = nr_err_set(err, NR_ECORRUPT, "its %s cannot be opened: %s", name, strerror(errno));
    if (r == 0)
        r = backup_open_still(path, "immutable", &d->db, err);
    if (r < 0)
        return r;
    d->steps_left = STEPS_LEAST + STEPS_PER_BYTE * (int64_t)st.st_size;
    switch_off(d->db);
    sqlite3_progress_handler(d->db, STEPS_EACH, on_steps, d);
    return 0;
}

void backup_database_close(struct backup_database *d)
{
    (void)sqlite3_close(d->db);
    d->db = NULL;
}

/* Why a question had no answer. */
int backup_database_failed(const struct backup_database *d, struct nr_err *err)
{
    if (d->ended.code != 0)
        return nr_err_set(err, d->ended.code, "%s", d->ended.text);
    if (d->steps_left < 0)
        return nr_err_set(
            err, NR_ECORRUPT,
            "it is no whole backup: reading its %s takes more steps than any database of its size",
            d->name);
    return nr_err_set(err, NR_ECORRUPT, "it is no whole backup: its %s cannot be read: %.200s",
                      d->name, sqlite3_errmsg(d->db));
}

/* ---- judged ---------------------------------------------------------------------------------------------------------------- */

static int refuse(const struct backup_database *d, const char *what, const char *name,
                  struct nr_err *err)
{
    return nr_err_set(err, NR_ECORRUPT,
                      "its %s has the %.16s '%.64s', which this release does not make", d->name,
                      what, name);
}

static const char *text(sqlite3_stmt *s, int column)
{
    const char *t = (const char *)sqlite3_column_text(s, column);

    return t ? t : "";
}

static int judge_row(const struct backup_database *d, sqlite3_stmt *s, struct nr_err *err)
{
    return backup_schema_is_known(text(s, 0), text(s, 1), (const char *)sqlite3_column_text(s, 2))
               ? 0
               : refuse(d, text(s, 0), text(s, 1), err);
}

/* As sqlite understood it, whatever the row says that it is. */
static int judge_table(const struct backup_database *d, sqlite3_stmt *s, struct nr_err *err)
{
    return strcmp(text(s, 0), "table") == 0 && backup_table_is_known(d->name, text(s, 1))
               ? 0
               : refuse(d, text(s, 0), text(s, 1), err);
}

static int judge_integrity(const struct backup_database *d, sqlite3_stmt *s, struct nr_err *err)
{
    return strcmp(text(s, 0), "ok") == 0
               ? 0
               : nr_err_set(err, NR_ECORRUPT, "it is damaged: its %s: %.200s", d->name, text(s, 0));
}

static int ask(const struct backup_database *d, const char *sql,
               int (*judge)(const struct backup_database *d, sqlite3_stmt *s, struct nr_err *err),
               struct nr_err *err)
{
    sqlite3_stmt *s = NULL;
    int result = sqlite3_prepare_v2(d->db, sql, -1, &s, NULL), rows = 0, r = 0;

    while (result == SQLITE_OK && r == 0 && (result = sqlite3_step(s)) == SQLITE_ROW) {
        r = ++rows > SCHEMA_ROWS_MAX
                ? nr_err_set(err, NR_ECORRUPT, "its %s has more than %d tables and indexes",
                             d->name, SCHEMA_ROWS_MAX)
                : judge(d, s, err);
        result = SQLITE_OK;
    }
    if (r == 0 && result != SQLITE_DONE)
        r = backup_database_failed(d, err);
    (void)sqlite3_finalize(s);
    return r;
}

int backup_database_judge(const struct backup_database *d, int schema, struct nr_err *err)
{
    static const struct {
        const char *sql;
        int (*judge)(const struct backup_database *d, sqlite3_stmt *s, struct nr_err *err);
    } steps[] = {
        {"SELECT type, name, sql FROM sqlite_schema", judge_row},
        {"SELECT type, name FROM pragma_table_list WHERE schema = 'main' AND name <> 'sqlite_schema'",
         judge_table},
        {"PRAGMA integrity_check(1)", judge_integrity},
    };
    int r = 0;

    for (size_t i = 0; r == 0 && i < nr_countof(steps); i++)
        r = ask(d, steps[i].sql, steps[i].judge, err);
    if (r == 0 && backup_number(d->db, "PRAGMA user_version") != schema)
        r = nr_err_set(err, NR_ECORRUPT, "its %s is not the database that " BACKUP_HEAD " says",
                       d->name);
    return r;
}
