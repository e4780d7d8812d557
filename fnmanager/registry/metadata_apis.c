/* An API is a row of `apis`, its document, and one row of `routes` for every operation: these are what is served, so a table of routes is read
 * without any document. Whoever changes an API has read it before; the time of its last change, which only grows, says whether it is still that.
 */
#include "fnmanager/registry/metadata_apis.h"

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "fnmanager/registry/metadata_audit.h"
#include "fnmanager/registry/metadata_sql.h"
#include "fnmanager/accounts/quota.h"
#include "ports/target.h"

void api_row_fini(struct api_row *r)
{
    free(r->base_path);
    free(r->name);
    free(r->document);
    api_routes_fini(&r->routes);
    *r = (struct api_row){0};
}

void api_rows_fini(struct api_rows *r)
{
    for (size_t i = 0; i < r->n; i++)
        api_row_fini(&r->list[i]);
    free(r->list);
    *r = (struct api_rows){0};
}

/* ---- routes ---- */

/* Whom it calls, and how. */
static char *settings_text(const struct api_route *r)
{
    struct nr_buf target, out;

    nr_buf_init(&target, 4096);
    function_target_write(&r->action, &target);
    nr_buf_init(&out, 65536);
    nr_buf_adds(&out, "{\"target\":");
    nr_buf_json(&out, nr_buf_str(&target));
    nr_buf_adds(&out, ",\"extension\":");
    nr_buf_json(&out, nr_str_of(r->extension));
    nr_buf_adds(&out, ",\"secret\":");
    nr_buf_json(&out, nr_str_of(r->secret));
    nr_buf_addc(&out, '}');
    nr_buf_fini(&target);
    return nr_buf_detach(&out, NULL);
}

/* base_path, path, method, settings */
static int read_route(sqlite3_stmt *s, struct nr_str account, struct api_routes *ret)
{
    nr_auto_json json_t *settings = nr_json_parse(nr_db_column(s, 3), NULL);
    const char *target = nr_json_string(settings, "target");
    nr_auto_free char *owner = nr_strndup(account.p, account.n);
    struct api_route r = {0};

    if (target == NULL || function_target_read(nr_str_of(target), owner, &r.action, NULL) < 0)
        return NR_ECORRUPT;
    r.base_path = sql_text(s, 0);
    r.path = sql_text(s, 1);
    r.method = sql_text(s, 2);
    r.extension = nr_strdup(nr_json_string(settings, "extension"));
    r.secret = nr_strdup(nr_json_string(settings, "secret"));
    if (r.extension != NULL && r.secret != NULL)
        return api_routes_add(ret, &r);
    api_route_fini(&r);
    return NR_ECORRUPT;
}

/* Steps a statement that gives routes, and resets it. */
static int read_routes(sqlite3_stmt *s, struct nr_str account, struct api_routes *ret)
{
    int r, e = 0;

    while ((r = sqlite3_step(s)) == SQLITE_ROW && e == 0)
        e = read_route(s, account, ret);
    (void)sqlite3_reset(s);
    return e < 0 ? e : r == SQLITE_DONE ? 0 : nr_db_err(r);
}

static int routes_of(sqlite3 *db, struct nr_str account, const char *base_path,
                     struct api_routes *ret)
{
    sqlite3_stmt *s = nr_db_prepare(db, "SELECT base_path, path, method, settings FROM routes"
                                        " WHERE account = ?1 AND base_path = ?2 ORDER BY id");

    if (s == NULL)
        return nr_db_err(sqlite3_errcode(db));
    nr_db_bind_text(s, 1, account);
    nr_db_bind_text(s, 2, nr_str_of(base_path));
    return read_routes(s, account, ret);
}

struct table_job {
    struct nr_db_job job;
    struct nr_str account;
    struct api_routes routes;
};

/* Exact words before those in braces, and the longer base path before one that it begins with. */
static int by_precision(const void *a, const void *b)
{
    const struct api_route *x = a, *y = b;
    int n = 0;

    for (const char *c = x->path; *c; c++)
        n += *c == '{';
    for (const char *c = y->path; *c; c++)
        n -= *c == '{';
    if (n == 0)
        n = (int)strlen(y->base_path) - (int)strlen(x->base_path);
    return n != 0 ? n : strcmp(x->path, y->path);
}

static int table_run(sqlite3 *db, struct nr_db_job *job)
{
    struct table_job *j = nr_container_of(job, struct table_job, job);
    sqlite3_stmt *s = nr_db_prepare(
        db, "SELECT base_path, path, method, settings FROM routes WHERE account = ?1");

    if (s == NULL)
        return nr_db_err(sqlite3_errcode(db));
    nr_db_bind_text(s, 1, j->account);
    return read_routes(s, j->account, &j->routes);
}

int metadata_api_routes(struct nr_db *db, struct nr_str account, struct api_routes *ret)
{
    struct table_job j = {.job = {.run = table_run}, .account = account};
    int r = nr_db_read_wait(db, &j.job);

    if (r < 0) {
        api_routes_fini(&j.routes);
        return r;
    }
    if (j.routes.n > 1)
        qsort(j.routes.list, j.routes.n, sizeof(*j.routes.list), by_precision);
    *ret = j.routes;
    return 0;
}

/* ---- APIs ---- */

struct list_job {
    struct nr_db_job job;
    struct nr_str account, which;
    int64_t limit, skip;
    struct api_rows rows;
};

static int add_api(sqlite3 *db, sqlite3_stmt *s, struct list_job *j)
{
    struct api_row *grown = nr_try_realloc(j->rows.list, (j->rows.n + 1) * sizeof(*grown));

    if (grown == NULL)
        return NR_ENOMEM;
    j->rows.list = grown;
    grown[j->rows.n] = (struct api_row){.base_path = sql_text(s, 0),
                                        .name = sql_text(s, 1),
                                        .document = sql_text(s, 2),
                                        .updated_ms = sqlite3_column_int64(s, 3)};
    j->rows.n++;
    return routes_of(db, j->account, grown[j->rows.n - 1].base_path, &grown[j->rows.n - 1].routes);
}

static int list_run(sqlite3 *db, struct nr_db_job *job)
{
    struct list_job *j = nr_container_of(job, struct list_job, job);
    sqlite3_stmt *s = nr_db_prepare(
        db, "SELECT base_path, name, document, updated_ms FROM apis WHERE account = ?1 AND"
            " (?2 = '' OR CASE substr(?2, 1, 1) WHEN '/' THEN base_path ELSE name END = ?2)"
            " ORDER BY base_path LIMIT ?3 OFFSET ?4");
    int r, e = 0;

    if (s == NULL)
        return nr_db_err(sqlite3_errcode(db));
    nr_db_bind_text(s, 1, j->account);
    nr_db_bind_text(s, 2, j->which.n ? j->which : NR_STR(""));
    sqlite3_bind_int64(s, 3, j->limit);
    sqlite3_bind_int64(s, 4, j->skip);
    while ((r = sqlite3_step(s)) == SQLITE_ROW && e == 0)
        e = add_api(db, s, j);
    (void)sqlite3_reset(s);
    return e < 0 ? e : r == SQLITE_DONE ? 0 : nr_db_err(r);
}

int metadata_apis(struct nr_db *db, struct nr_str account, struct nr_str which, int64_t limit,
                  int64_t skip, struct api_rows *ret)
{
    struct list_job j = {
        .job = {.run = list_run}, .account = account, .which = which, .limit = limit, .skip = skip};
    int r = nr_db_read_wait(db, &j.job);

    if (r == 0)
        *ret = j.rows;
    else
        api_rows_fini(&j.rows);
    return r;
}

/* ---- changes ---- */

struct change_job {
    struct nr_db_job job;
    const struct api_change *c;
    struct nr_err *err;
    int64_t now_ms;
};

/* Is it in the state that was read? Its time in any case grows. */
static int check_state(sqlite3 *db, struct change_job *j)
{
    const struct api_row *row = j->c->row;
    sqlite3_stmt *s =
        nr_db_prepare(db, "SELECT updated_ms FROM apis WHERE account = ?1 AND base_path = ?2");
    int64_t is = 0;
    int r;

    if (s == NULL)
        return nr_db_err(sqlite3_errcode(db));
    nr_db_bind_text(s, 1, j->c->account);
    nr_db_bind_text(s, 2, nr_str_of(row->base_path));
    if ((r = sqlite3_step(s)) == SQLITE_ROW)
        is = sqlite3_column_int64(s, 0);
    (void)sqlite3_reset(s);
    if (r != SQLITE_ROW && r != SQLITE_DONE)
        return nr_db_err(r);
    if (j->now_ms <= is)
        j->now_ms = is + 1;
    return is == row->updated_ms ? 0 : NR_ECONFLICT;
}

/* What the account has after the change. */
static int check_limits(sqlite3 *db, struct change_job *j)
{
    static const struct {
        const char *what;
        int64_t max;
    } limits[] = {
        {"APIs", APIS_MAX},
        {"operations in its APIs", API_OPERATIONS_MAX},
        {"bytes of API documents", API_DOCUMENTS_MAX_BYTES},
    };
    sqlite3_stmt *s = nr_db_prepare(
        db, "SELECT count(*), (SELECT count(*) FROM routes WHERE account = ?1),"
            " coalesce(sum(length(CAST(document AS BLOB))), 0) FROM apis WHERE account = ?1");
    int r, e = 0;

    if (s == NULL)
        return nr_db_err(sqlite3_errcode(db));
    nr_db_bind_text(s, 1, j->c->account);
    r = sqlite3_step(s);
    for (int i = 0; r == SQLITE_ROW && e == 0 && i < (int)nr_countof(limits); i++) {
        int64_t n = sqlite3_column_int64(s, i);

        if (n > limits[i].max)
            e = nr_err_set(j->err, NR_EFORBIDDEN,
                           "The account would have %lld %s; at most %lld are allowed.",
                           (long long)n, limits[i].what, (long long)limits[i].max);
    }
    (void)sqlite3_reset(s);
    return r == SQLITE_ROW ? e : nr_db_err(r);
}

static int remove_old(sqlite3 *db, const struct change_job *j)
{
    sqlite3_stmt *routes =
        nr_db_prepare(db, "DELETE FROM routes WHERE account = ?1 AND base_path = ?2");
    sqlite3_stmt *api = nr_db_prepare(db, "DELETE FROM apis WHERE account = ?1 AND base_path = ?2");
    sqlite3_stmt *const all[] = {routes, api};
    int r = 0;

    for (size_t i = 0; r == 0 && i < nr_countof(all); i++) {
        if (all[i] != NULL) {
            nr_db_bind_text(all[i], 1, j->c->account);
            nr_db_bind_text(all[i], 2, nr_str_of(j->c->row->base_path));
        }
        r = sql_run(db, all[i]);
    }
    return r;
}

static int put_route(sqlite3 *db, const struct change_job *j, const struct api_route *r)
{
    nr_auto_free char *settings = settings_text(r);
    sqlite3_stmt *s = nr_db_prepare(
        db, "INSERT INTO routes(account, api_name, base_path, path, method, action_package,"
            " action_name, settings, updated_ms) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)");

    if (settings == NULL)
        return NR_ENOMEM;
    if (s != NULL) {
        nr_db_bind_text(s, 1, j->c->account);
        nr_db_bind_text(s, 2, nr_str_of(j->c->row->name));
        nr_db_bind_text(s, 3, nr_str_of(j->c->row->base_path));
        nr_db_bind_text(s, 4, nr_str_of(r->path));
        nr_db_bind_text(s, 5, nr_str_of(r->method));
        nr_db_bind_text(s, 6, nr_str_of(r->action.package));
        nr_db_bind_text(s, 7, nr_str_of(r->action.name));
        nr_db_bind_text(s, 8, nr_str_of(settings));
        sqlite3_bind_int64(s, 9, j->now_ms);
    }
    return sql_run(db, s);
}

static int put_api(sqlite3 *db, const struct change_job *j)
{
    const struct api_row *row = j->c->row;
    sqlite3_stmt *s = nr_db_prepare(db, "INSERT INTO apis(account, base_path, name, document,"
                                        " updated_ms) VALUES(?1, ?2, ?3, ?4, ?5)");
    int r;

    if (s != NULL) {
        nr_db_bind_text(s, 1, j->c->account);
        nr_db_bind_text(s, 2, nr_str_of(row->base_path));
        nr_db_bind_text(s, 3, nr_str_of(row->name));
        nr_db_bind_text(s, 4, nr_str_of(row->document));
        sqlite3_bind_int64(s, 5, j->now_ms);
    }
    r = sql_run(db, s);
    for (size_t i = 0; r == 0 && i < row->routes.n; i++)
        r = put_route(db, j, &row->routes.list[i]);
    return r;
}

static int change_run(sqlite3 *db, struct nr_db_job *job)
{
    struct change_job *j = nr_container_of(job, struct change_job, job);
    const struct api_row *row = j->c->row;
    bool goes = row->routes.n == 0;
    struct audit_line line = {.actor = j->c->actor,
                              .move = goes              ? "api-delete"
                                      : row->updated_ms ? "api-update"
                                                        : "api-create",
                              .object = {.account = j->c->account},
                              .note = nr_str_of(row->base_path)};
    struct quota_mark mark;
    int r;

    if ((r = quota_begin(db, j->c->account, &mark, j->err)) < 0 || (r = check_state(db, j)) < 0 ||
        (r = remove_old(db, j)) < 0)
        return r;
    if (!goes && ((r = put_api(db, j)) < 0 || (r = check_limits(db, j)) < 0))
        return r;
    line.at_ms = j->now_ms;
    return audit_put(db, &line);
}

int metadata_api_change(struct nr_db *db, const struct api_change *c, struct nr_err *err)
{
    struct change_job j = {.job = {.run = change_run}, .c = c, .err = err, .now_ms = nr_wall_ms()};

    return nr_db_write_wait(db, &j.job);
}
