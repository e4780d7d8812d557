/* The gateway's part of one request, top to bottom: match, authenticate, check, body, payload, call, reply.
 *
 * request_tick() is the story: the cases stand in the order in which things happen, `return` means suspended until somebody
 * ticks again. There is one way out: the first refusal sets q->status, the later cases step over what is then not wanted, and
 * G_REPLY writes whatever there is.
 *
 *   before the body   route, key, scope, names, content type and length are judged when the headers are there, so that a large
 *                     body which will be refused is not read; a small one is, to keep the connection
 *   payload           is scanned here, above 64 KiB on a work thread
 *   the key once more the body took its time, and may have been meant to: what was revoked meanwhile opens nothing, and a name
 *                     that has another owner by now is not his whose key began the request
 *   call              hands over to the function manager or the controller; their answer ticks again, maybe at once
 *   a lost client     changes nothing but that nobody reads: the call runs to its end, its reply is dropped
 *   the end           comes from the server (on_end) when the reply is written; nothing of the request is touched after it
 */
#include "gateway/internal.h"

#include "common/base/clock.h"
#include "common/base/json.h"

/* A body of unknown length may grow this far above its ceiling before the server cuts it; so most that are too large are
 * counted to their end and told their size. */
#define CHUNKED_SLACK_BYTES (1 << 20)

bool path_is_below(struct nr_str path, const char *folder)
{
    size_t n = strlen(folder);

    return nr_str_starts(path, folder) && (path.n == n || path.p[n] == '/');
}

static void match(struct gateway_request *q)
{
    char *room = nr_arena_get(&q->http.arena, q->http.path.n + 1);
    struct path path;
    struct nr_buf methods;
    int r = room ? route_split(q->http.path, room, &path) : NR_ENOMEM;

    if (r == NR_EINVAL)
        request_refuse(q, 400, "The request target was malformed:\nbad escape in the path.");
    if (r == NR_ENOMEM)
        request_refuse(q, 503, UNAVAILABLE_TEXT);
    q->no_route = 404;
    if (r != 0)
        return;
    nr_buf_init(&methods, 64);
    q->route = route_find(q->http.method, &path, q->part, &q->no_route, &methods);
    if (q->route == NULL)
        q->methods = nr_arena_copy(&q->http.arena, nr_buf_str(&methods));
    nr_buf_fini(&methods);
}

static void refuse_unready(struct gateway_request *q)
{
    if (q->g->ready || (q->route && (q->route->flags & ROUTE_ALWAYS)))
        return;
    request_head(q, "Retry-After: %d\r\n", q->g->stopping ? 5 : 1);
    request_refuse(q, 503, UNAVAILABLE_TEXT);
}

/* Below these nothing is said to somebody without a key, not even that a path does not exist. */
static bool needs_key(const struct gateway_request *q)
{
    if (q->route)
        return q->route->scope != 0 && (!(q->route->flags & ROUTE_KEY_OPTIONAL) ||
                                        nr_http_header(&q->http, "authorization").p);
    return path_is_below(q->http.path, "/api/v1/namespaces") ||
           path_is_below(q->http.path, "/narae/v1");
}

static bool is_json(struct nr_str type)
{
    struct nr_str media;

    if (type.p == NULL || !nr_str_split(&type, ';', &media))
        return false;
    while (media.n && (media.p[media.n - 1] == ' ' || media.p[media.n - 1] == '\t'))
        media.n--;
    return nr_str_ieqz(media, "application/json");
}

static size_t body_max_bytes(const struct gateway_request *q)
{
    return q->route->body == BODY_ARCHIVE ? (size_t)archive_max_bytes(q)
                                          : route_body(q->route)->max_bytes;
}

static void check_body(struct gateway_request *q, uint64_t bytes)
{
    const struct body_limit *b = route_body(q->route);
    int64_t told = q->route->body == BODY_ARCHIVE ? archive_max_bytes(q) : b->told_max_bytes;

    if (bytes > body_max_bytes(q))
        request_refuse(q, 413, "%s larger than allowed: %llu > %lld bytes.", b->field,
                       (unsigned long long)bytes, (long long)told);
    if (bytes > 0 && b->json && !is_json(nr_http_header(&q->http, "content-type")))
        request_refuse(q, 415,
                       "The request's Content-Type is not supported. Expected:\napplication/json");
}

static void refuse_no_route(struct gateway_request *q)
{
    if (q->no_route == 404) {
        request_refuse(q, 404, MISSING_TEXT);
        return;
    }
    request_head(q, "Allow: %.*s\r\n", (int)q->methods.n, q->methods.p);
    request_refuse(q, 405, "HTTP method not allowed, supported methods: %.*s", (int)q->methods.n,
                   q->methods.p);
}

/* All that can be said before the body is read. */
static void check(struct gateway_request *q)
{
    if (q->status != 0)
        return;
    if (q->route == NULL) {
        refuse_no_route(q);
        return;
    }
    if (q->route->scope && q->account && (q->account->scopes & q->route->scope) == 0) {
        request_refuse(q, 403,
                       "The supplied authentication is not authorized to access this resource: "
                       "its key lacks the scope '%s'.",
                       route_scope(q->route->scope));
        return;
    }
    route_check_parts(q);
    if (q->http.content_length > 0)
        check_body(q, (uint64_t)q->http.content_length);
    if (q->status == 0 && q->route->body == BODY_ARCHIVE)
        archive_body_begin(q);
}

/* False: the body is here, will never come, or is too large to be read only to be thrown away. */
static bool awaits_body(struct gateway_request *q)
{
    bool chunked = q->http.has_body && q->http.content_length < 0;

    if (q->body_here || q->http.gone)
        return false;
    if (q->status == 0)
        q->http.body_max_bytes = body_max_bytes(q) + (chunked ? CHUNKED_SLACK_BYTES : 0);
    else if (chunked || q->http.content_length > SWALLOW_MAX_BYTES)
        return false;
    else
        q->http.body_max_bytes = SWALLOW_MAX_BYTES;
    return true;
}

bool payload_is_object(struct nr_str text, struct nr_err *err)
{
    const char *why = "";
    size_t at = 0;
    enum nr_json_kind kind = nr_json_scan_why(text, &at, &why);

    if (kind == NR_JSON_BAD)
        (void)nr_err_set(err, NR_EINVAL, "%s at byte %zu", why, at);
    else if (kind != NR_JSON_OBJECT)
        (void)nr_err_set(err, NR_EINVAL, "the payload must be a JSON object");
    return kind == NR_JSON_OBJECT;
}

static void scan_work(struct nr_work *w)
{
    struct payload_scan *scan = nr_container_of(w, struct payload_scan, work);

    scan->object = payload_is_object(scan->text, &scan->err);
}

static void refuse_malformed(struct gateway_request *q)
{
    if (!q->scan.object)
        request_refuse(q, 400, "The request content was malformed:\n%s", q->scan.err.text);
}

static void on_scanned(struct nr_work *w)
{
    struct gateway_request *q = nr_container_of(w, struct gateway_request, scan.work);

    refuse_malformed(q);
    request_tick(q);
}

/* Judges the body that came; true: on_scanned() ticks later. */
static bool payload_later(struct gateway_request *q)
{
    if (q->status != 0)
        return false;
    check_body(q, q->http.body.n);
    if (q->status != 0 || q->route->body != BODY_PAYLOAD || q->http.body.n == 0)
        return false;
    q->scan.text = q->http.body;
    q->scan.err.code = 0;
    q->scan.err.text[0] = '\0';
    if (q->http.body.n > LOOP_WORK_MAX_BYTES) {
        q->scan.work = (struct nr_work){.work = scan_work, .done = on_scanned};
        nr_work_post(q->http.loop, &q->scan.work);
        return true;
    }
    scan_work(&q->scan.work);
    refuse_malformed(q);
    return false;
}

/* The key was taken when the headers were there; it is still to be good when something is done with it. */
static void check_key_again(struct gateway_request *q)
{
    if (q->status != 0 || q->account == NULL ||
        fnmanager_still_good(q->g->config.fnmanager, q->account))
        return;
    account_unref(q->account);
    q->account = NULL;
    nr_str_wipe(q->api_key);
    auth_check(q); /* says why */
    if (q->status == 0)
        check(q);
}

/* Whoever asks another part begins with a clean question. */
static void prepare_questions(struct gateway_request *q)
{
    if (q->route->call == invoke_call || q->route->call == web_route_call)
        return;
    memset(&q->call, 0, sizeof(q->call));
    memset(&q->query, 0, sizeof(q->query));
    memset(&q->scale, 0, sizeof(q->scale));
    q->asks = true;
}

void request_tick(struct gateway_request *q)
{
    switch (q->state) {
    case G_MATCH: /* path and method; nothing is said yet */
        match(q);
        q->state = G_AUTHENTICATE;
        /* fall through */
    case G_AUTHENTICATE: /* who asks */
        refuse_unready(q);
        if (q->status == 0 && needs_key(q))
            auth_check(q);
        q->state = G_CHECK;
        /* fall through */
    case G_CHECK: /* may they, and is what they announce acceptable */
        check(q);
        q->state = G_BODY;
        /* fall through */
    case G_BODY: /* ticked again by on_request() or on_gone() */
        if (awaits_body(q))
            return;
        q->state = G_PAYLOAD;
        /* fall through */
    case G_PAYLOAD: /* is it what the route wants */
        q->state = G_CALL;
        if (payload_later(q))
            return;
        /* fall through */
    case G_CALL: /* function manager, controller, or an answer of our own */
        q->state = G_REPLY;
        check_key_again(q);
        if (q->status == 0) {
            prepare_questions(q);
            q->route->call(q);
            return;
        }
        /* fall through */
    case G_REPLY: /* once; the request may be gone after it */
        q->state = reply_is_large(q) ? G_PARTS : G_END;
        reply_write(q);
        return;
    case G_PARTS: /* ticked by on_drained(), or by on_gone() */ reply_parts(q); return;
    case G_STREAM: /* ticked by on_drained(), or by on_gone() */
        if (q->logs)
            logs_wake(q);
        else if (q->file)
            file_reply_wake(q);
        else if (q->events)
            events_wake(q);
        else
            progress_wake(q);
        return;
    case G_END: return;
    }
}

static struct gateway_request *of(struct nr_http_req *r)
{
    return nr_container_of(r, struct gateway_request, http);
}

static void on_head(struct nr_http_req *r)
{
    struct gateway_request *q = of(r);

    q->g = r->user;
    q->g->live++;
    q->err.code = 0;
    nr_buf_init(&q->text, 4 << 20);
    transaction_take(nr_http_header(r, "x-request-id"), q->transaction);
    request_tick(q);
}

static void on_request(struct nr_http_req *r)
{
    struct gateway_request *q = of(r);

    q->body_here = true;
    if (q->state == G_BODY)
        request_tick(q);
}

static void on_gone(struct nr_http_req *r)
{
    struct gateway_request *q = of(r);

    if (q->activation)
        q->activation->client_gone = true;
    if (q->asks)
        atomic_store(&q->scale.gone, true);
    if (q->state == G_BODY)
        request_refuse(q, 400, "The client went away before its request was complete.");
    else if (q->state != G_PARTS && q->state != G_STREAM)
        return; /* somebody works on it and will answer */
    request_tick(q);
}

static void on_drained(struct nr_http_req *r)
{
    struct gateway_request *q = of(r);

    if (q->state == G_PARTS || q->state == G_STREAM)
        request_tick(q);
}

static void on_end(struct nr_http_req *r)
{
    struct gateway_request *q = of(r);
    struct gateway *g = q->g;

    metrics_request(q);
    web_end(q);
    archive_body_end(q);
    nr_str_wipe(q->api_key);
    account_unref(q->account);
    nr_buf_fini(&q->text);
    if (q->asks) {
        nr_buf_fini(&q->call.reply);
        nr_buf_fini(&q->query.reply);
        nr_buf_fini(&q->scale.reply);
    }
    g->live--;
    if (g->closed && g->live == 0)
        gateway_finish(g);
}

const struct nr_http_hooks gateway_hooks = {
    .on_head = on_head,
    .on_request = on_request,
    .on_gone = on_gone,
    .on_end = on_end,
    .on_drained = on_drained,
    .error_body = error_of_server,
};
