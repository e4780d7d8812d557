/* Lists of packages and of what is in one, written as JSON while the rows are read. */
#include "common/base/mem.h"
#include "fnmanager/entities/entity_body.h"
#include "fnmanager/registry/metadata_packages.h"
#include "fnmanager/registry/metadata_sql.h"

struct list_job {
    struct nr_db_job job;
    const struct fn_list *q;
    bool shared_only;
};

struct contents_job {
    struct nr_db_job job;
    struct nr_str account, package;
    struct nr_buf *out;
};

struct names_job {
    struct nr_db_job job;
    struct nr_str account;
    void (*each)(void *arg, const char *name);
    void *arg;
};

void package_write_reference(struct nr_str account, struct nr_str name, struct nr_buf *out)
{
    nr_buf_adds(out, "{\"namespace\":");
    nr_buf_json(out, account);
    nr_buf_adds(out, ",\"name\":");
    nr_buf_json(out, name);
    nr_buf_addc(out, '}');
}

static void write_item(sqlite3_stmt *s, const struct fn_list *q)
{
    const struct entity_common common = {.account = q->key.account,
                                         .name = nr_db_column(s, 0),
                                         .version = nr_db_column(s, 1),
                                         .publish = sqlite3_column_int(s, 2) != 0,
                                         .annotations = nr_db_column(s, 3),
                                         .updated_ms = sqlite3_column_int64(s, 4)};
    struct nr_str bound = nr_db_column(s, 6);

    entity_write_common(&common, q->out);
    nr_buf_adds(q->out, ",\"binding\":");
    if (bound.n != 0)
        package_write_reference(nr_db_column(s, 5), bound, q->out);
    else
        nr_buf_adds(q->out, "false");
    nr_buf_addc(q->out, '}');
}

#define SEEN                                                                                       \
    " FROM packages WHERE account = ?1 AND (?2 = 0 OR (publish <> 0 AND binding_name IS NULL))"

static int write_count(sqlite3 *db, const struct list_job *j)
{
    sqlite3_stmt *s = nr_db_prepare(db, "SELECT count(*)" SEEN);
    int64_t n = 0;
    int r;

    if (s == NULL)
        return nr_db_err(sqlite3_errcode(db));
    nr_db_bind_text(s, 1, j->q->key.account);
    sqlite3_bind_int(s, 2, j->shared_only);
    if ((r = sqlite3_step(s)) == SQLITE_ROW)
        n = sqlite3_column_int64(s, 0);
    (void)sqlite3_reset(s);
    sql_write_count(j->q, "packages", n);
    return r == SQLITE_ROW ? 0 : nr_db_err(r);
}

static int list_run(sqlite3 *db, struct nr_db_job *job)
{
    const struct list_job *j = nr_container_of(job, struct list_job, job);
    const char *between = "";
    sqlite3_stmt *s;
    int r;

    if (j->q->count)
        return write_count(db, j);
    s = nr_db_prepare(
        db,
        "SELECT name, version, publish, annotations, updated_ms, binding_account, binding_name" SEEN
        " ORDER BY updated_ms DESC, revision DESC LIMIT ?3 OFFSET ?4");
    if (s == NULL)
        return nr_db_err(sqlite3_errcode(db));
    nr_db_bind_text(s, 1, j->q->key.account);
    sqlite3_bind_int(s, 2, j->shared_only);
    sqlite3_bind_int64(s, 3, j->q->limit);
    sqlite3_bind_int64(s, 4, j->q->skip);
    nr_buf_addc(j->q->out, '[');
    while ((r = sqlite3_step(s)) == SQLITE_ROW) {
        nr_buf_adds(j->q->out, between);
        between = ",";
        write_item(s, j->q);
    }
    nr_buf_addc(j->q->out, ']');
    (void)sqlite3_reset(s);
    return r == SQLITE_DONE ? 0 : nr_db_err(r);
}

int metadata_package_list(struct nr_db *db, const struct fn_list *q, bool shared_only)
{
    struct list_job j = {.job = {.run = list_run}, .q = q, .shared_only = shared_only};

    return nr_db_read_wait(db, &j.job);
}

/* Those that are feeds, or those that are none, the last changed first. */
static int write_contents(sqlite3 *db, const struct contents_job *j, bool feeds)
{
    sqlite3_stmt *s = nr_db_prepare(
        db,
        "SELECT f.name, v.version, v.annotations FROM functions f JOIN versions v ON v.function_id = f.id"
        " AND v.number = 0 WHERE f.account = ?1 AND f.package = ?2 AND ?3 = EXISTS(SELECT 1"
        " FROM json_each(v.annotations) WHERE json_extract(json_each.value, '$.key') = 'feed')"
        " ORDER BY f.updated_ms DESC, f.revision DESC");
    const char *between = "";
    int r;

    if (s == NULL)
        return nr_db_err(sqlite3_errcode(db));
    nr_db_bind_text(s, 1, j->account);
    nr_db_bind_text(s, 2, j->package);
    sqlite3_bind_int(s, 3, feeds);
    nr_buf_adds(j->out, feeds ? ",\"feeds\":[" : ",\"actions\":[");
    while ((r = sqlite3_step(s)) == SQLITE_ROW) {
        struct nr_str annotations = nr_db_column(s, 2);

        nr_buf_printf(j->out, "%s{\"name\":", between);
        between = ",";
        nr_buf_json(j->out, nr_db_column(s, 0));
        nr_buf_adds(j->out, ",\"version\":");
        nr_buf_json(j->out, nr_db_column(s, 1));
        nr_buf_adds(j->out, ",\"annotations\":");
        nr_buf_add(j->out, annotations.p, annotations.n);
        nr_buf_addc(j->out, '}');
    }
    nr_buf_addc(j->out, ']');
    (void)sqlite3_reset(s);
    return r == SQLITE_DONE ? 0 : nr_db_err(r);
}

static int contents_run(sqlite3 *db, struct nr_db_job *job)
{
    const struct contents_job *j = nr_container_of(job, struct contents_job, job);
    int r = write_contents(db, j, false);

    return r < 0 ? r : write_contents(db, j, true);
}

int metadata_package_contents(struct nr_db *db, struct nr_str account, struct nr_str package,
                              struct nr_buf *out)
{
    struct contents_job j = {
        .job = {.run = contents_run}, .account = account, .package = package, .out = out};

    return nr_db_read_wait(db, &j.job);
}

static int names_run(sqlite3 *db, struct nr_db_job *job)
{
    const struct names_job *j = nr_container_of(job, struct names_job, job);

    return sql_names(db,
                     nr_db_prepare(db, "SELECT name FROM packages WHERE account = ?1 ORDER BY id"),
                     j->account, j->each, j->arg);
}

int metadata_package_names(struct nr_db *db, struct nr_str account,
                           void (*each)(void *arg, const char *name), void *arg)
{
    struct names_job j = {.job = {.run = names_run}, .account = account, .each = each, .arg = arg};

    return nr_db_read_wait(db, &j.job);
}
