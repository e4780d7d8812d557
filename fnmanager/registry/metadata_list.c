/* Lists of functions, written as JSON while the rows are read: a list of any length costs one row of memory and its text. */
#include "common/base/mem.h"
#include "fnmanager/functions/entity.h"
#include "fnmanager/functions/lifecycle.h"
#include "fnmanager/registry/metadata_sql.h"

struct list_job {
    struct nr_db_job job;
    const struct fn_list *list;
};

static int package_count(sqlite3 *db, const struct fn_list *q, int64_t *ret)
{
    sqlite3_stmt *s =
        nr_db_prepare(db, "SELECT count(*) FROM functions WHERE account = ?1 AND package = ?2");
    int r;

    if (s == NULL)
        return nr_db_err(sqlite3_errcode(db));
    nr_db_bind_text(s, 1, q->key.account);
    nr_db_bind_text(s, 2, q->key.package);
    if ((r = sqlite3_step(s)) == SQLITE_ROW)
        *ret = sqlite3_column_int64(s, 0);
    (void)sqlite3_reset(s);
    return r == SQLITE_ROW ? 0 : nr_db_err(r);
}

static int total_of(sqlite3 *db, const struct fn_list *q, int64_t *ret)
{
    return q->key.package.n == 0 ? sql_function_count(db, q->key.account, ret)
                                 : package_count(db, q, ret);
}

static int list_count(const struct fn_list *q, int64_t total)
{
    sql_write_count(q, "actions", total);
    return 0;
}

static void list_item(sqlite3_stmt *s, const struct fn_list *q)
{
    struct entity_item item = {
        .account = q->key.account,
        .package = nr_db_column(s, 0),
        .name = nr_db_column(s, 1),
        .version = nr_db_column(s, 2),
        .publish = sqlite3_column_int(s, 3) != 0,
        .binary = sqlite3_column_int(s, 4) != 0,
        .annotations = nr_db_column(s, 5),
        .limits = {sqlite3_column_int64(s, 6), sqlite3_column_int64(s, 7),
                   sqlite3_column_int64(s, 8), sqlite3_column_int64(s, 9),
                   sqlite3_column_int64(s, 10)},
        .updated_ms = sqlite3_column_int64(s, 11),
        .newest = sqlite3_column_int64(s, 13),
    };
    nr_auto_free char *state = sql_text(s, 12);

    item.state = lifecycle_of_name(state);

    entity_write_item(&item, q->out);
}

#define NEWEST_FIRST " ORDER BY f.updated_ms DESC, f.revision DESC"
#define OLDEST_FIRST " ORDER BY f.updated_ms, f.revision"
/* The page is found in an index, from its nearer end; only what it shows is read. */
#define PAGE(where, order)                                                                                                        \
    "SELECT f.package, f.name, v.version, v.publish, v.binary, v.annotations, v.timeout_ms, v.memory_mb, v.logs_mb,"              \
    " v.concurrency, v.instances, v.updated_ms, v.state, f.published FROM (SELECT id FROM functions f WHERE f.account = ?1" where \
        order " LIMIT ?3 OFFSET ?4) page JOIN functions f ON f.id = page.id"                                                      \
    " JOIN versions v ON v.function_id = f.id AND v.number = 0" NEWEST_FIRST
#define EACH " AND ?2 = ''"
#define OF_PACKAGE " AND f.package = ?2"

static sqlite3_stmt *page_statement(sqlite3 *db, bool all, bool backward)
{
    if (all)
        return backward ? nr_db_prepare(db, PAGE(EACH, OLDEST_FIRST))
                        : nr_db_prepare(db, PAGE(EACH, NEWEST_FIRST));
    return backward ? nr_db_prepare(db, PAGE(OF_PACKAGE, OLDEST_FIRST))
                    : nr_db_prepare(db, PAGE(OF_PACKAGE, NEWEST_FIRST));
}

static int list_items(sqlite3 *db, const struct fn_list *q, int64_t total)
{
    bool all = q->key.package.n == 0;
    const struct sql_page page = sql_page_of(total, q->limit, q->skip);
    sqlite3_stmt *s = page_statement(db, all, page.backward);
    const char *between = "";
    int r;

    if (s == NULL)
        return nr_db_err(sqlite3_errcode(db));
    nr_db_bind_text(s, 1, q->key.account);
    nr_db_bind_text(s, 2, all ? NR_STR("") : q->key.package);
    sqlite3_bind_int64(s, 3, page.limit);
    sqlite3_bind_int64(s, 4, page.skip);
    nr_buf_addc(q->out, '[');
    while ((r = sqlite3_step(s)) == SQLITE_ROW) {
        nr_buf_adds(q->out, between);
        between = ",";
        list_item(s, q);
    }
    nr_buf_addc(q->out, ']');
    (void)sqlite3_reset(s);
    return r == SQLITE_DONE ? 0 : nr_db_err(r);
}

static int list_run(sqlite3 *db, struct nr_db_job *job)
{
    const struct fn_list *q = nr_container_of(job, struct list_job, job)->list;

    int64_t total = 0;
    int r = total_of(db, q, &total);

    if (r < 0)
        return r;
    return q->count ? list_count(q, total) : list_items(db, q, total);
}

int metadata_list(struct nr_db *db, const struct fn_list *q)
{
    struct list_job j = {.job = {.run = list_run}, .list = q};

    return nr_db_read_wait(db, &j.job);
}
