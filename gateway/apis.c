/* APIs. Management: what createApi, getApi and deleteApi of the system package apimgmt take, as calls of the function manager. Serving: `/apis/<account>/<base
 * path>/<path>` is looked up in the account's table of routes and becomes a web call of the function that the route names, with the words
 * in braces as parameters.
 *
 * A path that has no route of the method is a 405 that names those it has; OPTIONS is answered here unless a route wants it. An account that is
 * not there, suspended or without such a route is one 404.
 */
#include "gateway/api_tables.h"
#include "gateway/internal.h"

#define SERVED "/apis/"
#define API_WORDS_MAX 64
#define HOST_MAX_BYTES 256

/* ---- management ---- */

/* Scheme and host by which the client came; lent by the arena. */
static struct nr_str host_of(struct gateway_request *q)
{
    const char *scheme = q->g->config.tls != NULL ? "https" : "http";
    struct nr_str host = nr_http_header(&q->http, "host");
    bool good = host.n > 0 && host.n <= HOST_MAX_BYTES;

    for (size_t i = 0; good && i < host.n; i++)
        good = host.p[i] > ' ' && host.p[i] < 127 && strchr("/\\\"<>?#@", host.p[i]) == NULL;
    if (!good)
        return nr_arena_printf(&q->http.arena, "%s://localhost:%d", scheme, q->g->port);
    return nr_arena_printf(&q->http.arena, "%s://%.*s", scheme, (int)host.n, host.p);
}

/* The answer's form has no place for it. */
static void tell_warning(struct gateway_request *q, const struct nr_err *warning)
{
    if (warning->code != 0)
        request_line(q, nr_arena_printf(&q->http.arena, "X-Narae-Warning: %s\r\n", warning->text));
}

static void on_done(struct fn_call *call)
{
    struct gateway_request *q = call->owner;

    if (call->err.code != 0) {
        request_refuse(q, call->status, "%s", call->err.text);
    } else {
        q->status = call->status;
        q->body = nr_buf_str(&call->reply);
        tell_warning(q, call->api->warning);
    }
    request_tick(q);
}

static bool text_parameters(struct gateway_request *q, struct api_query *api)
{
    const struct {
        const char *name;
        struct nr_str *ret;
    } all[] = {
        {"basepath", &api->base_path},  {"relpath", &api->path},
        {"operation", &api->method},    {"responsetype", &api->response_type},
        {"functions", &api->functions},
    };
    bool good = true;

    for (size_t i = 0; good && i < nr_countof(all); i++)
        good = query_text(q, all[i].name, all[i].ret);
    return good;
}

static bool page_parameters(struct gateway_request *q, struct api_query *api)
{
    bool count = false;

    api->limit = LIST_LIMIT_DEFAULT;
    return (enum fn_op)q->route->op != FN_API_GET ||
           query_page(q, "apis", &api->limit, &api->skip, &count);
}

void apis_call(struct gateway_request *q)
{
    struct api_query *api = nr_arena_get(&q->http.arena, sizeof(*api));
    struct nr_err *warning = nr_arena_get(&q->http.arena, sizeof(*warning));
    struct fn_call *call = &q->call;

    if (api == NULL || warning == NULL) {
        request_refuse(q, 503, UNAVAILABLE_TEXT);
        request_tick(q);
        return;
    }
    *warning = (struct nr_err){0};
    *api = (struct api_query){.warning = warning};
    if (!text_parameters(q, api) || !page_parameters(q, api)) {
        request_tick(q);
        return;
    }
    call->op = (enum fn_op)q->route->op;
    call->account = q->account;
    call->api = api;
    call->item = host_of(q);
    call->body = q->http.body;
    call->transaction = nr_str_of(q->transaction);
    call->loop = q->http.loop;
    call->done = on_done;
    call->owner = q;
    fnmanager_post(q->g->config.fnmanager, call);
}

/* ---- serving ---- */

/* A request on its way to a route; in its arena. */
struct served {
    struct gateway_request *q;
    struct account *account;           /* shared, until the table is there */
    struct nr_str word[API_WORDS_MAX]; /* behind the account, decoded */
    unsigned count;
    struct nr_str path; /* the same as it was sent */
    struct api_waiter waiter;
    struct web_parameter parameter[API_WORDS_MAX];
    size_t parameter_count;
};

/* Compares the words of `path` with those of the request from *at on. */
static bool words_fit(struct served *s, const char *path, unsigned *at)
{
    struct nr_str rest = nr_str_of(path), word;

    while (nr_str_split(&rest, '/', &word)) {
        bool braces = word.n > 2 && word.p[0] == '{';

        if (word.n == 0)
            continue;
        if (*at == s->count)
            return false;
        if (braces)
            s->parameter[s->parameter_count++] =
                (struct web_parameter){{word.p + 1, word.n - 2}, s->word[*at]};
        else if (!nr_str_eq(word, s->word[*at]))
            return false;
        ++*at;
    }
    return true;
}

static bool route_fits(struct served *s, const struct api_route *r)
{
    unsigned at = 0;

    s->parameter_count = 0;
    return words_fit(s, r->base_path, &at) && words_fit(s, r->path, &at) && at == s->count;
}

/* The table may go while the function is looked up and runs. */
static bool keep(struct gateway_request *q, struct nr_str *text)
{
    *text = nr_arena_copy(&q->http.arena, *text);
    return text->p != NULL;
}

static bool target_of(struct served *s, const struct api_table *table, const struct api_route *r,
                      struct web_target *t)
{
    bool http = strcmp(r->extension, "http") == 0;

    *t = (struct web_target){
        .account = nr_str_of(r->action.account),
        .package = nr_str_of(r->action.package),
        .name = nr_str_of(r->action.name),
        .number = r->action.number,
        .alias = nr_str_of(r->action.alias),
        .path = http ? s->path : (struct nr_str){"", 0},
        .secret = nr_str_of(r->secret),
        .route_account = nr_str_of(table->account),
        .parameters = s->parameter,
        .parameter_count = s->parameter_count,
    };
    if (!web_extension_of(nr_str_of(r->extension), &t->extension))
        return false;
    for (size_t i = 0; i < s->parameter_count; i++)
        if (!keep(s->q, &s->parameter[i].name))
            return false;
    return keep(s->q, &t->account) && keep(s->q, &t->package) && keep(s->q, &t->name) &&
           keep(s->q, &t->alias) && keep(s->q, &t->secret) && keep(s->q, &t->route_account);
}

/* No route has the method: OPTIONS, or what is wrong with it. */
static void answer_methods(struct gateway_request *q, const struct nr_buf *methods)
{
    if (methods->n == 0) {
        q->log_reason = "404: no API of the account has such a path";
        request_refuse(q, 404, MISSING_TEXT);
    } else if (q->http.method == NR_HTTP_OPTIONS) {
        q->own_cors |= CORS_METHODS;
        request_head(q, "Access-Control-Allow-Methods: OPTIONS%.*s\r\n", (int)methods->n,
                     methods->p);
        q->status = 200;
    } else {
        request_head(q, "Allow: %.*s\r\n", (int)methods->n - 2, methods->p + 2);
        request_refuse(q, 405, "HTTP method not allowed, supported methods: %.*s",
                       (int)methods->n - 2, methods->p + 2);
    }
    request_tick(q);
}

static void add_method(struct nr_buf *methods, const char *method)
{
    char word[16];

    (void)snprintf(word, sizeof(word), ", %s", method);
    if (methods->n == 0 ||
        memmem(methods->p, methods->n, word, strlen(word)) == NULL) /* no name ends another */
        nr_buf_adds(methods, word);
}

/* The marks of the words behind the account, and their sum. */
static uint64_t mark_words(const struct served *s, uint64_t mark[API_WORDS_MAX])
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < s->count; i++)
        sum += mark[i] = api_word_mark(s->word[i], i);
    return sum;
}

static bool mark_fits(const struct api_mark *m, const struct served *s, const uint64_t *mark,
                      uint64_t sum)
{
    if (m->words != s->count)
        return false;
    for (uint64_t left = m->braces; left != 0; left &= left - 1)
        sum -= mark[__builtin_ctzll(left)];
    return sum == m->exact;
}

static void serve(struct served *s, const struct api_table *table, const struct api_mark *marks)
{
    const char *method = route_method(s->q->http.method);
    struct web_target target;
    uint64_t mark[API_WORDS_MAX], sum = mark_words(s, mark);
    struct nr_buf methods;
    size_t i = 0;

    nr_buf_init(&methods, 256);
    for (; i < table->count; i++) {
        if (!mark_fits(&marks[i], s, mark, sum) || !route_fits(s, &table->routes[i]))
            continue;
        if (strcmp(table->routes[i].method, method) == 0)
            break;
        add_method(&methods, table->routes[i].method);
    }
    if (i == table->count)
        answer_methods(s->q, &methods);
    else if (target_of(s, table, &table->routes[i], &target))
        web_begin(s->q, &target);
    else {
        request_refuse(s->q, 503, UNAVAILABLE_TEXT);
        request_tick(s->q);
    }
    nr_buf_fini(&methods);
}

static void on_table(struct api_waiter *w)
{
    struct served *s = nr_container_of(w, struct served, waiter);
    struct gateway_request *q = s->q;

    account_unref(s->account);
    if (w->err.code == 0) {
        serve(s, w->table, w->marks);
        api_table_unref(w->table);
        return;
    }
    request_refuse(q, nr_err_status(w->err.code), "%s", w->err.text);
    request_tick(q);
}

/* The account's name and the words behind it. False: it can be no route. */
static bool split(struct served *s, struct nr_str *ret_account)
{
    struct nr_str rest = s->q->http.path, raw;
    char *room = nr_arena_get(&s->q->http.arena, rest.n + 1);
    bool first = true;

    rest.p += strlen(SERVED);
    rest.n -= strlen(SERVED);
    if (room == NULL)
        return false;
    while (nr_str_split(&rest, '/', &raw)) {
        ssize_t n = nr_pct_decode(raw, false, room);
        struct nr_str word = {room, n > 0 ? (size_t)n : 0};

        if (n < 0 || (n == 0 && rest.p != NULL) || s->count == API_WORDS_MAX)
            return false;
        if (first) {
            *ret_account = word;
            s->path = (struct nr_str){raw.p + raw.n, 0};
        } else if (n > 0) {
            s->word[s->count++] = word;
        }
        first = false;
        s->path.n = (size_t)(raw.p + raw.n - s->path.p);
        room += n;
    }
    return true;
}

void apis_serve(struct gateway_request *q)
{
    struct served *s = nr_arena_get(&q->http.arena, sizeof(*s));
    struct nr_str account = {NULL, 0};
    struct nr_err err = {0};

    if (s != NULL) {
        memset(s, 0, sizeof(*s));
        s->q = q;
        s->waiter.done = on_table;
    } else {
        request_refuse(q, 503, UNAVAILABLE_TEXT);
    }
    if (s != NULL && (q->http.path.n < strlen(SERVED) || !split(s, &account) ||
                      fnmanager_account(q->g->config.fnmanager, account, &s->account, &err) != 0))
        request_refuse(q, 404, MISSING_TEXT);
    if (q->status != 0) {
        request_tick(q);
        return;
    }
    api_tables_get(q->g->apis, s->account, &s->waiter);
}

void gateway_apis_changed(struct gateway *g, const char *account)
{
    api_tables_forget(g->apis, account);
}
