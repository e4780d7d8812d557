/* Packages in meta.db. What a package holds is found by the name in the rows of its functions, so it is empty or not in the same
 * transaction that removes it, and a function comes into it in a transaction that finds it there.
 */
#include "fnmanager/registry/metadata_packages.h"

#include "common/base/mem.h"
#include "fnmanager/registry/metadata_audit.h"
#include "fnmanager/registry/metadata_names.h"
#include "fnmanager/registry/metadata_sql.h"
#include "fnmanager/accounts/quota.h"

/* Of the object of an audit line: no function is in a package of this name, so none has these lines in its history. */
#define AUDIT_FOLDER ":packages"

struct load_job {
    struct nr_db_job job;
    struct nr_str account, name;
    struct package_row *row;
};

struct change_job {
    struct nr_db_job job;
    const struct package_change *c;
    struct nr_err *err;
};

struct delete_job {
    struct nr_db_job job;
    const struct package_change *c;
    bool whole;
    struct package_cleared *ret;
    struct nr_err *err;
};

void package_row_fini(struct package_row *r)
{
    free(r->version);
    free(r->parameters);
    free(r->annotations);
    free(r->binding_account);
    free(r->binding_name);
    *r = (struct package_row){0};
}

static int bind_names(sqlite3 *db, sqlite3_stmt *s, struct nr_str account, struct nr_str name)
{
    if (s == NULL)
        return nr_db_err(sqlite3_errcode(db));
    nr_db_bind_text(s, 1, account);
    nr_db_bind_text(s, 2, name);
    return 0;
}

static int read_row(sqlite3 *db, struct nr_str account, struct nr_str name, struct package_row *ret)
{
    sqlite3_stmt *s = nr_db_prepare(
        db,
        "SELECT revision, version, publish, parameters, annotations, binding_account, binding_name,"
        " updated_ms FROM packages WHERE account = ?1 AND name = ?2");
    int r = bind_names(db, s, account, name);

    if (r < 0)
        return r;
    r = sqlite3_step(s);
    if (r == SQLITE_ROW)
        *ret = (struct package_row){.revision = (uint64_t)sqlite3_column_int64(s, 0),
                                    .version = sql_text(s, 1),
                                    .publish = sqlite3_column_int(s, 2) != 0,
                                    .parameters = sql_text(s, 3),
                                    .annotations = sql_text(s, 4),
                                    .binding_account = sql_text(s, 5),
                                    .binding_name = sql_text(s, 6),
                                    .updated_ms = sqlite3_column_int64(s, 7)};
    (void)sqlite3_reset(s);
    return r == SQLITE_ROW ? 0 : r == SQLITE_DONE ? NR_ENOENT : nr_db_err(r);
}

static int load_run(sqlite3 *db, struct nr_db_job *job)
{
    const struct load_job *j = nr_container_of(job, struct load_job, job);

    return read_row(db, j->account, j->name, j->row);
}

int metadata_package_load(struct nr_db *db, struct nr_str account, struct nr_str name,
                          struct package_row *ret)
{
    struct load_job j = {.job = {.run = load_run}, .account = account, .name = name, .row = ret};

    return nr_db_read_wait(db, &j.job);
}

/* The first column of the first row as a number, into *ret; NR_ENOENT: there is no row. */
static int number_of(sqlite3 *db, sqlite3_stmt *s, int64_t *ret)
{
    int r = sqlite3_step(s);

    if (r == SQLITE_ROW)
        *ret = sqlite3_column_int64(s, 0);
    (void)sqlite3_reset(s);
    (void)db;
    return r == SQLITE_ROW ? 0 : r == SQLITE_DONE ? NR_ENOENT : nr_db_err(r);
}

/* The revision that is there, into *ret; 0: there is none. */
static int current(sqlite3 *db, const struct package_change *c, int64_t *ret)
{
    sqlite3_stmt *s =
        nr_db_prepare(db, "SELECT revision FROM packages WHERE account = ?1 AND name = ?2");
    int r = bind_names(db, s, c->account, c->name);

    *ret = 0;
    if (r == 0)
        r = number_of(db, s, ret);
    return r == NR_ENOENT ? 0 : r;
}

static int check_room(sqlite3 *db, const struct package_change *c, struct nr_err *err)
{
    sqlite3_stmt *s = nr_db_prepare(db, "SELECT count(*) FROM packages WHERE account = ?1");
    int64_t n = 0;
    int r;

    if (s == NULL)
        return nr_db_err(sqlite3_errcode(db));
    nr_db_bind_text(s, 1, c->account);
    if ((r = number_of(db, s, &n)) < 0 || n < PACKAGES_MAX)
        return r;
    return nr_err_set(err, NR_EQUOTA, "The namespace has %lld packages; at most %d are allowed.",
                      (long long)n, PACKAGES_MAX);
}

static int put_row(sqlite3 *db, const struct package_change *c)
{
    const struct package_row *row = c->row;
    sqlite3_stmt *s = nr_db_prepare(
        db,
        "INSERT INTO packages(account, name, revision, version, publish, parameters, annotations, binding_account,"
        " binding_name, updated_ms) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, nullif(?8, ''), nullif(?9, ''), ?10)"
        " ON CONFLICT(account, name) DO UPDATE SET revision = excluded.revision, version = excluded.version,"
        " publish = excluded.publish, parameters = excluded.parameters, annotations = excluded.annotations,"
        " binding_account = excluded.binding_account, binding_name = excluded.binding_name,"
        " updated_ms = excluded.updated_ms");
    int r = bind_names(db, s, c->account, c->name);

    if (r < 0)
        return r;
    sqlite3_bind_int64(s, 3, (int64_t)row->revision);
    nr_db_bind_text(s, 4, nr_str_of(row->version));
    sqlite3_bind_int(s, 5, row->publish);
    nr_db_bind_text(s, 6, nr_str_of(row->parameters));
    nr_db_bind_text(s, 7, nr_str_of(row->annotations));
    nr_db_bind_text(s, 8, nr_str_of(row->binding_account));
    nr_db_bind_text(s, 9, nr_str_of(row->binding_name));
    sqlite3_bind_int64(s, 10, row->updated_ms);
    r = sql_run(db, s);
    return r < 0 ? r : sql_put_counter(db, row->revision);
}

static int audit(sqlite3 *db, const struct package_change *c, const char *from, const char *to)
{
    const struct audit_line line = {.at_ms = c->row->updated_ms,
                                    .actor = c->actor,
                                    .move = c->move,
                                    .object = {c->account, NR_STR(AUDIT_FOLDER), c->name},
                                    .from = from,
                                    .to = to};

    return audit_put(db, &line);
}

static int commit_run(sqlite3 *db, struct nr_db_job *job)
{
    struct change_job *j = nr_container_of(job, struct change_job, job);
    const struct package_change *c = j->c;
    struct quota_mark mark;
    int64_t is = 0;
    int r;

    if ((r = quota_begin(db, c->account, &mark, j->err)) < 0 || (r = current(db, c, &is)) < 0)
        return r;
    if ((uint64_t)is != c->expected)
        return c->expected == 0 ? NR_EEXIST : NR_ECONFLICT;
    if (is == 0 && ((r = check_room(db, c, j->err)) < 0 ||
                    (r = sql_name_free(db, c->account, c->name, NAME_OF_PACKAGE, j->err)) < 0))
        return r;
    r = put_row(db, c);
    return r < 0 ? r : audit(db, c, is == 0 ? "" : "package", "package");
}

int metadata_package_commit(struct nr_db *db, const struct package_change *c, struct nr_err *err)
{
    struct change_job j = {.job = {.run = commit_run}, .c = c, .err = err};

    return nr_db_write_wait(db, &j.job);
}

static int check_empty(sqlite3 *db, const struct package_change *c, struct nr_err *err)
{
    sqlite3_stmt *s =
        nr_db_prepare(db, "SELECT count(*) FROM functions WHERE account = ?1 AND package = ?2");
    int r = bind_names(db, s, c->account, c->name);
    int64_t n = 0;

    if (r < 0 || (r = number_of(db, s, &n)) < 0 || n == 0)
        return r;
    return nr_err_set(
        err, NR_ECONFLICT,
        "Package not empty (contains %lld %s). Set force param or delete package contents.",
        (long long)n, n == 1 ? "entity" : "entities");
}

static int remove_row(sqlite3 *db, const struct package_change *c)
{
    sqlite3_stmt *s = nr_db_prepare(db, "DELETE FROM packages WHERE account = ?1 AND name = ?2");
    int r;

    if ((r = bind_names(db, s, c->account, c->name)) < 0 || (r = sql_run(db, s)) < 0)
        return r;
    return audit(db, c, "package", "");
}

/* The functions in it, as many as go at once and one more. */
static int read_functions(sqlite3 *db, struct delete_job *j)
{
    sqlite3_stmt *s = nr_db_prepare(
        db, "SELECT name FROM functions WHERE account = ?1 AND package = ?2 LIMIT ?3");
    int r = bind_names(db, s, j->c->account, j->c->name);

    if (r < 0)
        return r;
    sqlite3_bind_int(s, 3, PACKAGE_CLEARED_MAX + 1);
    while ((r = sqlite3_step(s)) == SQLITE_ROW && j->ret->n < PACKAGE_CLEARED_MAX)
        j->ret->item[j->ret->n++].name = sql_text(s, 0);
    j->ret->more = r == SQLITE_ROW;
    (void)sqlite3_reset(s);
    return r == SQLITE_DONE || r == SQLITE_ROW ? 0 : nr_db_err(r);
}

struct move_order package_cleared_order(const struct package_change *c, const char *name)
{
    return (struct move_order){
        .key = {.account = c->account, .package = c->name, .name = nr_str_of(name)},
        .number = FN_EVERY_VERSION,
        .move = MOVE_DELETE,
        .actor = c->actor};
}

static int delete_run(sqlite3 *db, struct nr_db_job *job)
{
    struct delete_job *j = nr_container_of(job, struct delete_job, job);
    struct package_cleared *all = j->ret;
    int r = read_row(db, j->c->account, j->c->name, &all->row);

    if (r == 0 && !package_is_binding(&all->row))
        r = j->whole ? read_functions(db, j) : check_empty(db, j->c, j->err);
    for (size_t i = 0; r == 0 && i < all->n; i++) {
        const struct move_order o = package_cleared_order(j->c, all->item[i].name);

        r = sql_move(db, &o, &all->item[i].versions, j->err);
    }
    return r < 0 || all->more ? r : remove_row(db, j->c);
}

int metadata_package_delete(struct nr_db *db, const struct package_change *c, bool whole,
                            struct package_cleared *ret, struct nr_err *err)
{
    struct delete_job j = {
        .job = {.run = delete_run}, .c = c, .whole = whole, .ret = ret, .err = err};

    *ret = (struct package_cleared){.item = nr_alloc(PACKAGE_CLEARED_MAX * sizeof(*ret->item))};
    return nr_db_write_wait(db, &j.job);
}

void package_cleared_fini(struct package_cleared *l)
{
    for (size_t i = 0; i < l->n; i++) {
        free(l->item[i].name);
        free(l->item[i].versions.item);
    }
    free(l->item);
    package_row_fini(&l->row);
    *l = (struct package_cleared){0};
}

int sql_package_open(sqlite3 *db, struct nr_str account, struct nr_str package)
{
    sqlite3_stmt *s = nr_db_prepare(
        db, "SELECT 1 FROM packages WHERE account = ?1 AND name = ?2 AND binding_name IS NULL");
    int64_t n = 0;
    int r = bind_names(db, s, account, package);

    return r < 0 ? r : number_of(db, s, &n);
}
