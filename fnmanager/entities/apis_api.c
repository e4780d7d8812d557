/* createApi: body -> what it wants (api_order.c), held against the functions that are there -> the API as it is -> with the operation put in -> one transaction (metadata_apis.c) ->
 * on_change, so that the gateway forgets its table -> the API as it stands. Whoever changed it meanwhile makes it begin again at the reading.
 */
#include "fnmanager/entities/apis_api.h"

#include "fnmanager/api_check.h"
#include "fnmanager/entities/api_order.h"
#include "fnmanager/entities/entity_body.h"
#include "fnmanager/registry/metadata_apis.h"

/* Each conflict is somebody else's success. */
#define MERGE_TRIES 100
#define REPLY_MAX_BYTES (64 << 20)
#define LIST_MAX 200

/* An API on its way: as it is stored, and its document. */
struct api_work {
    struct api_row row;
    json_t *doc; /* made */
};

static void work_fini(struct api_work *w)
{
    api_row_fini(&w->row);
    json_decref(w->doc);
    *w = (struct api_work){0};
}

static int refuse(struct fn_call *call, int r)
{
    return call->err.code != 0 ? call->err.code : handler_refuse(call, r);
}

/* The one API that `which` means; *ret is left empty when there is none, *ret_count how many there are. */
static int load(struct fnmanager *m, struct fn_call *call, struct nr_str which,
                struct api_work *ret, size_t *ret_count)
{
    struct api_rows rows = {0};
    int r = metadata_apis(m->db, nr_str_of(call->account->name), which, 2, 0, &rows);

    *ret = (struct api_work){0};
    if (r < 0)
        return r;
    *ret_count = rows.n;
    if (rows.n == 1) {
        ret->row = rows.list[0];
        rows.list[0] = (struct api_row){0};
        if (entity_json(nr_str_of(ret->row.document), "API", &ret->doc, NULL) < 0)
            r = NR_ECORRUPT;
    }
    api_rows_fini(&rows);
    if (r < 0)
        work_fini(ret);
    return r;
}

static int store(struct fnmanager *m, struct fn_call *call, struct api_work *w)
{
    const struct api_change c = {
        .account = nr_str_of(call->account->name), .actor = handler_actor(call), .row = &w->row};

    free(w->row.document);
    w->row.document = nr_json_text(w->doc, NULL);
    return w->row.document != NULL ? metadata_api_change(m->db, &c, &call->err) : NR_ENOMEM;
}

/* All who serve it ask anew. */
static void tell(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old)
{
    handler_changed(m, call->account->name, "", "", 0, FN_APIS_CHANGED);
    *ret_old = HANDLER_MANY;
}

static int answer(struct fn_call *call, struct api_work *w)
{
    const struct swagger_answer a = {.account = call->account->name,
                                     .base_path = w->row.base_path,
                                     .host = call->item,
                                     .doc = w->doc,
                                     .routes = &w->row.routes};

    return swagger_write(&a, &call->reply);
}

/* ---- create ---- */

static int copy_routes(const struct api_route *from, size_t n, struct api_routes *to)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < n; i++) {
        const struct function_target *t = &from[i].action;
        struct api_route route = {.base_path = nr_strdup(from[i].base_path),
                                  .path = nr_strdup(from[i].path),
                                  .method = nr_strdup(from[i].method),
                                  .extension = nr_strdup(from[i].extension),
                                  .secret = nr_strdup(from[i].secret),
                                  .action = {.account = nr_strdup(t->account),
                                             .package = nr_strdup(t->package),
                                             .name = nr_strdup(t->name),
                                             .alias = nr_strdup(t->alias),
                                             .number = t->number}};

        r = api_routes_add(to, &route);
    }
    return r;
}

/* The operation joins what is there. */
static int put_operation(const struct api_order *o, struct api_work *w, struct nr_err *err)
{
    int r;

    if (w->doc == NULL)
        w->doc = swagger_make(o->base_path, w->row.name);
    if (w->doc == NULL)
        return NR_ENOMEM;
    if ((r = swagger_put(w->doc, &o->route, o->parameters, err)) < 0)
        return r;
    (void)api_routes_remove(&w->row.routes, nr_str_of(o->route.path), nr_str_of(o->route.method));
    return copy_routes(&o->route, 1, &w->row.routes);
}

/* The document is the API. */
static int put_document(const struct api_order *o, struct api_work *w)
{
    json_decref(w->doc);
    w->doc = json_incref(o->swagger);
    api_routes_fini(&w->row.routes);
    if (o->name != NULL) {
        free(w->row.name);
        w->row.name = nr_strdup(o->name);
    }
    return copy_routes(o->routes.list, o->routes.n, &w->row.routes);
}

static int create_once(struct fnmanager *m, struct fn_call *call, const struct api_order *o,
                       struct api_work *w)
{
    size_t count = 0;
    int r = load(m, call, nr_str_of(o->base_path), w, &count);

    if (r < 0)
        return r;
    if (w->row.base_path == NULL) {
        w->row.base_path = nr_strdup(o->base_path);
        w->row.name = nr_strdup(o->name != NULL && *o->name ? o->name : o->base_path);
    }
    r = o->swagger != NULL ? put_document(o, w) : put_operation(o, w, &call->err);
    if (r == 0)
        r = store(m, call, w);
    if (r < 0)
        work_fini(w);
    return r;
}

/* What is a warning for most is a refusal for who asked for functions that can be reached. */
static int refuse_unreachable(struct fn_call *call)
{
    const struct api_query *q = call->api;

    if (q == NULL || q->warning == NULL || q->warning->code == 0 ||
        !nr_str_eqz(q->functions, "reachable"))
        return 0;
    return nr_err_set(&call->err, NR_ECONFLICT, "%s", q->warning->text);
}

int api_create(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old)
{
    struct api_order o;
    struct api_work w = {0};
    int r = api_order_read(call->body, call->account->name,
                           call->api ? call->api->response_type : NR_STR(""), &o, &call->err);

    *ret_old = 0;
    nr_buf_init(&call->reply, REPLY_MAX_BYTES);
    if (r == 0)
        r = api_check(m, nr_str_of(call->account->name), &o, call->api ? call->api->warning : NULL,
                      &call->err);
    if (r == 0)
        r = refuse_unreachable(call);
    for (int tries = 0; r == 0; tries++) {
        r = create_once(m, call, &o, &w);
        if (r != NR_ECONFLICT || tries == MERGE_TRIES)
            break;
        r = 0;
    }
    if (r == 0) {
        tell(m, call, ret_old);
        r = answer(call, &w);
    }
    work_fini(&w);
    api_order_fini(&o);
    if (r == NR_EINVAL && call->err.code == r)
        return nr_err_wrap(&call->err, r, "API creation failure");
    return r < 0 ? refuse(call, r) : 0;
}

/* ---- get ---- */

/* Only what was asked for stays: one path, one method of it. False: the API has nothing of it. */
static bool narrow(const struct api_query *q, struct api_work *w)
{
    if (q->path.n == 0)
        return true;
    for (size_t i = w->row.routes.n; i-- > 0;) {
        const struct api_route *at = &w->row.routes.list[i];
        nr_auto_free char *path = nr_strdup(at->path), *method = nr_strdup(at->method);

        if (nr_str_eqz(q->path, path) && (q->method.n == 0 || nr_str_ieqz(q->method, method)))
            continue;
        (void)api_routes_remove(&w->row.routes, nr_str_of(path), nr_str_of(method));
        (void)swagger_remove(w->doc, nr_str_of(path), nr_str_of(method), NULL);
    }
    return w->row.routes.n > 0;
}

static int write_item(struct fn_call *call, struct api_work *w, bool *first)
{
    struct nr_buf id;
    int r;

    if (!narrow(call->api, w))
        return 0;
    nr_buf_init(&id, 4096);
    nr_buf_printf(&id, "API:%s:%s", call->account->name, w->row.base_path);
    nr_buf_adds(&call->reply, *first ? "{\"id\":" : ",{\"id\":");
    nr_buf_json(&call->reply, nr_buf_str(&id));
    nr_buf_adds(&call->reply, ",\"key\":");
    nr_buf_json(&call->reply, nr_buf_str(&id));
    nr_buf_adds(&call->reply, ",\"value\":");
    r = answer(call, w);
    nr_buf_addc(&call->reply, '}');
    nr_buf_fini(&id);
    *first = false;
    return r;
}

int api_get(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old)
{
    const struct api_query *q = call->api;
    struct api_rows rows = {0};
    bool first = true;
    int r = metadata_apis(m->db, nr_str_of(call->account->name), q->base_path,
                          q->limit ? q->limit : LIST_MAX, q->skip, &rows);

    *ret_old = 0;
    nr_buf_init(&call->reply, REPLY_MAX_BYTES);
    nr_buf_adds(&call->reply, "{\"apis\":[");
    for (size_t i = 0; r == 0 && i < rows.n; i++) {
        struct api_work w = {.row = rows.list[i]};

        rows.list[i] = (struct api_row){0};
        r = entity_json(nr_str_of(w.row.document), "API", &w.doc, NULL);
        r = r < 0 ? NR_ECORRUPT : write_item(call, &w, &first);
        work_fini(&w);
    }
    nr_buf_adds(&call->reply, "]}");
    api_rows_fini(&rows);
    return r < 0 ? refuse(call, r) : 0;
}

/* ---- delete ---- */

static int check_delete(const struct api_query *q, struct nr_err *err)
{
    if (q->base_path.n == 0)
        return nr_err_set(err, NR_EINVAL, "basepath is required.");
    if (q->path.n == 0 && q->method.n > 0)
        return nr_err_set(err, NR_EINVAL, "When specifying an operation, the path is required.");
    return 0;
}

static int find(struct fnmanager *m, struct fn_call *call, struct api_work *w)
{
    const struct nr_str which = call->api->base_path;
    size_t count = 0;
    int r = load(m, call, which, w, &count);

    if (r == 0 && count == 0)
        r = nr_err_set(&call->err, NR_ENOENT, "API '%.*s' does not exist.",
                       (int)(which.n < 256 ? which.n : 256), which.p);
    if (r == 0 && count > 1)
        r = nr_err_set(&call->err, NR_EINVAL,
                       "Several APIs have the name '%.*s': say which by its base path.",
                       (int)(which.n < 256 ? which.n : 256), which.p);
    return r;
}

static int delete_once(struct fnmanager *m, struct fn_call *call)
{
    const struct api_query *q = call->api;
    struct api_work w;
    int r = find(m, call, &w);

    if (r == 0 && q->path.n > 0) {
        r = swagger_remove(w.doc, q->path, q->method, &call->err);
        (void)api_routes_remove(&w.row.routes, q->path, q->method);
    } else if (r == 0) {
        api_routes_fini(&w.row.routes);
    }
    if (r == 0)
        r = store(m, call, &w);
    work_fini(&w);
    return r;
}

int api_delete(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old)
{
    int r = check_delete(call->api, &call->err);

    *ret_old = 0;
    if (r < 0)
        return r;
    for (int tries = 0;; tries++) {
        r = delete_once(m, call);
        if (r != NR_ECONFLICT || tries == MERGE_TRIES)
            break;
    }
    if (r < 0 && (r == NR_ENOENT || r == NR_EINVAL) && call->err.code == r)
        return nr_err_wrap(&call->err, r, "API deletion failure");
    if (r < 0)
        return refuse(call, r);
    tell(m, call, ret_old);
    nr_buf_init(&call->reply, 16);
    nr_buf_adds(&call->reply, "{}");
    return 0;
}

/* ---- what is served ---- */

int api_resolve(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old)
{
    struct api_routes routes = {0};
    int r = metadata_api_routes(m->db, call->name, &routes);

    *ret_old = 0;
    if (r < 0)
        return handler_refuse(call, r);
    call->apis = nr_alloc(sizeof(*call->apis));
    *call->apis = (struct api_table){.refs = 1,
                                     .account = nr_strndup(call->name.p, call->name.n),
                                     .routes = routes.list,
                                     .count = routes.n};
    return 0;
}
