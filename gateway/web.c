/* Web actions: a function of somebody's that the world may call, `/api/v1/web/<account>/<package or "default">/<name>[.extension][/more]`.
 *
 * web_begin() is the story, from there on each answer goes on where it was left:
 *
 *   whose            the account by its name; what is suspended or leaves is not there
 *   who asks         a good key is told to the function as __ow_user; a bad one is nobody's, and counts as a failed login. No header with a key in
 *                    it, good or not, is told
 *   what             the function, as a call finds it (on_found); without web-export it is not there either
 *   may they         require-whisk-auth: a key with the scope invoke, or the function's secret, compared in constant time; wrong ones are counted as failed logins
 *   OPTIONS          is answered here, unless the function wants to
 *   input            web_input.c; above 64 KiB on a work thread
 *   call             in the owner's name and on the owner's account, as any blocking call
 *   reply            web_reply.c; above 64 KiB on a work thread, which the activation waits for
 *
 * Nobody learns from here what exists and is not for the world: it is one 404 for all of that; the log tells which it was.
 */
#include "gateway/internal.h"

#include "gateway/web_input.h"
#include "gateway/web_reply.h"

#define NO_EXPORT "404: the function is no web action (annotation web-export)"

/* In the request's arena; ends with the request. */
struct web_call {
    struct gateway_request *q;
    struct web_target target;
    struct account *owner, *caller; /* shared; caller NULL: nobody who is known */
    struct function *fn;            /* shared */
    struct function_query find;
    struct nr_work work;
    struct nr_buf input;
    int input_status;
    struct nr_err input_err;
    struct activation *a; /* shared: whose result a work thread reads */
    struct web_reply reply;
};

static const char *const extensions[WEB_EXTENSIONS] = {
    [WEB_HTTP] = "http", [WEB_JSON] = "json", [WEB_HTML] = "html",
    [WEB_SVG] = "svg",   [WEB_TEXT] = "text",
};

bool web_extension_of(struct nr_str word, enum web_extension *ret)
{
    for (int i = 0; i < WEB_EXTENSIONS; i++)
        if (nr_str_eqz(word, extensions[i])) {
            *ret = (enum web_extension)i;
            return true;
        }
    return false;
}

static void refuse_missing(struct gateway_request *q, const char *why)
{
    q->log_reason = why;
    request_refuse(q, 404, MISSING_TEXT);
}

/* ---- reply ---- */

static void send_reply(struct web_call *w)
{
    struct gateway_request *q = w->q;
    struct web_reply *r = &w->reply;

    if (r->refusal) {
        request_refuse(q, r->status, "%s", r->refusal);
    } else {
        q->status = r->status;
        q->body = nr_buf_str(&r->body);
        if (r->type.n)
            q->media_type = r->type.p;
        q->own_cors |= r->own_cors;
        if (r->head.n)
            request_line(q, nr_buf_str(&r->head));
    }
    request_tick(q);
}

static void project(struct web_call *w)
{
    const struct outcome *o = &w->a->outcome;

    web_reply_write(w->target.extension, o->result, o->status != OUTCOME_SUCCESS, &w->reply);
}

static void project_work(struct nr_work *work)
{
    project(nr_container_of(work, struct web_call, work));
}

static void on_projected(struct nr_work *work)
{
    struct web_call *w = nr_container_of(work, struct web_call, work);

    activation_unref(w->a);
    w->a = NULL;
    send_reply(w);
}

/* The function has ended by itself, well or with an error of its own. */
static void reply_with_result(struct web_call *w, struct activation *a)
{
    w->a = a;
    if (a->outcome.result.n > LOOP_WORK_MAX_BYTES) {
        (void)activation_ref(a);
        w->work = (struct nr_work){.work = project_work, .done = on_projected};
        nr_work_post(w->q->http.loop, &w->work);
        return;
    }
    project(w);
    w->a = NULL;
    send_reply(w);
}

static void on_reply(struct activation *a)
{
    struct gateway_request *q = a->owner;
    enum outcome_status status = a->outcome.status;

    q->activation = NULL;
    if (a->reply_head.n)
        request_line(q, nr_buf_str(&a->reply_head));
    if (a->error.code == 0 && a->id[0])
        invoke_tell(q, a);
    if (a->error.code != 0)
        request_refuse(q, nr_err_status(a->error.code), "%s", a->error.text);
    else if (a->reply_status == 202)
        request_refuse(q, 202, "Response not yet ready.");
    else if (status != OUTCOME_SUCCESS && status != OUTCOME_APPLICATION_ERROR)
        request_refuse(q, 400, "There was an error processing your request.");
    else {
        reply_with_result(q->web, a);
        return;
    }
    request_tick(q);
}

/* ---- call ---- */

static void refuse_memory(struct gateway_request *q)
{
    request_head(q, "Retry-After: 1\r\n");
    request_refuse(q, 503, UNAVAILABLE_TEXT);
    request_tick(q);
}

static void call(struct web_call *w)
{
    struct gateway_request *q = w->q;
    struct activation *a = activation_pool_take(q->g->activations);

    if (a == NULL) {
        refuse_memory(q);
        return;
    }
    a->account = account_ref(w->owner);
    a->package = nr_arena_copy(&a->arena, w->target.package);
    a->name = nr_arena_copy(&a->arena, w->target.name);
    a->alias = nr_arena_copy(&a->arena, w->target.alias);
    a->number = w->target.number;
    a->transaction = nr_arena_copy(&a->arena, nr_str_of(q->transaction));
    a->input = nr_buf_str(&w->input);
    a->blocking = a->result_only = a->judged = true;
    a->wait_ms = BLOCKING_WAIT_MAX_MS;
    a->on_reply = on_reply;
    a->owner = q;
    request_asks(q, a);
    controller_invoke(q->g->config.controller, a);
}

static void write_input(struct web_call *w)
{
    const struct web_input in = {
        .http = &w->q->http,
        .path = w->target.path,
        .user = w->caller && !w->caller->refused ? nr_str_of(w->caller->name)
                                                 : (struct nr_str){NULL, 0},
        .raw = w->fn->web.raw,
        .final_names = w->fn->final_names,
        .more = w->target.parameters,
        .more_count = w->target.parameter_count,
        .hide_authorization = w->caller != NULL,
    };

    w->input_status = web_input_write(&in, &w->input, &w->input_err);
}

static void on_input(struct web_call *w)
{
    if (w->input_status == 0) {
        call(w);
        return;
    }
    request_refuse(w->q, w->input_status, "%s", w->input_err.text);
    request_tick(w->q);
}

static void input_work(struct nr_work *work)
{
    write_input(nr_container_of(work, struct web_call, work));
}

static void on_input_written(struct nr_work *work)
{
    on_input(nr_container_of(work, struct web_call, work));
}

static void make_input(struct web_call *w)
{
    if (w->q->http.body.n > LOOP_WORK_MAX_BYTES) {
        w->work = (struct nr_work){.work = input_work, .done = on_input_written};
        nr_work_post(w->q->http.loop, &w->work);
        return;
    }
    write_input(w);
    on_input(w);
}

/* ---- may they ---- */

/* A key that may not call a function may not call this one either. */
static bool shows_key(struct web_call *w)
{
    if (w->caller && w->caller->refused == NULL && (w->caller->scopes & SCOPE_INVOKE))
        return true;
    if (nr_http_header(&w->q->http, "authorization").p)
        auth_refuse_secret(w->q);
    else
        auth_refuse_nothing(w->q);
    return false;
}

static bool shows_secret(struct web_call *w)
{
    struct nr_str secret = nr_str_of(w->fn->web.secret);
    struct nr_str header = nr_http_header(&w->q->http, "x-require-whisk-auth");
    struct nr_str shown = w->target.secret.n ? w->target.secret : header;

    if (shown.p && shown.n == secret.n && nr_same_bytes(shown.p, secret.p, secret.n))
        return true;
    if (w->target.secret.n)
        auth_refuse_route(w->q, w->target.route_account);
    else if (shown.n)
        auth_refuse_secret(w->q);
    else
        auth_refuse_nothing(w->q);
    return false;
}

/* __ow_user tells whether a key is good, so a bad one counts here as everywhere; within the share its bearer is nobody. */
static bool may_ask(struct web_call *w)
{
    return w->caller != NULL || auth_may_guess(w->q);
}

static bool may_call(struct web_call *w)
{
    switch (w->fn->web.access) {
    case WEB_OPEN: return may_ask(w);
    case WEB_KEY: return shows_key(w);
    case WEB_SECRET: return shows_secret(w) && may_ask(w);
    case WEB_CLOSED: break;
    }
    refuse_missing(w->q, NO_EXPORT);
    return false;
}

/* The world is told that it is so, not why. */
static bool may_run(struct web_call *w)
{
    if (w->fn->state == FN_BLOCKED)
        request_refuse(w->q, 423, "The function is blocked.");
    if (w->fn->state == FN_RETIRED)
        request_refuse(w->q, 410, "The function is retired.");
    return w->q->status == 0;
}

/* ---- what ---- */

static void refuse_look_up(struct gateway_request *q, const struct nr_err *err)
{
    int status = nr_err_status(err->code);

    if (status == 503)
        request_head(q, "Retry-After: 1\r\n");
    if (status >= 500)
        request_refuse(q, status, "%s", err->text);
    else
        refuse_missing(
            q, "404: the function is not there, or may not be called by who owns the route");
}

static void on_found(struct function_query *find)
{
    struct web_call *w = find->owner;
    struct gateway_request *q = w->q;
    bool options = q->http.method == NR_HTTP_OPTIONS;

    w->fn = find->fn;
    if (find->err.code != 0) {
        refuse_look_up(q, &find->err);
    } else if (w->fn->web.access == WEB_CLOSED) {
        refuse_missing(q, NO_EXPORT);
    } else if (options && !w->fn->web.custom_options) {
        q->status = 200;
    } else {
        if (w->fn->web.custom_options)
            q->own_cors = CORS_ALL;
        if ((options ? may_ask(w) : may_call(w)) && may_run(w)) {
            make_input(w);
            return;
        }
    }
    request_tick(q);
}

void web_begin(struct gateway_request *q, const struct web_target *t)
{
    struct web_call *w = nr_arena_get(&q->http.arena, sizeof(*w));
    struct nr_err err = {0};

    if (w == NULL) {
        refuse_memory(q);
        return;
    }
    memset(w, 0, sizeof(*w));
    w->q = q;
    w->target = *t;
    nr_buf_init(&w->input, WEB_INPUT_MAX_BYTES);
    q->web = w;
    if (fnmanager_account(q->g->config.fnmanager, t->account, &w->owner, &err) != 0) {
        refuse_missing(q, "404: the account is not there, or is suspended");
        request_tick(q);
        return;
    }
    w->caller = auth_caller(q);
    w->find = (struct function_query){.account = w->owner,
                                      .package = t->package,
                                      .name = t->name,
                                      .number = t->number,
                                      .alias = t->alias,
                                      .done = on_found,
                                      .owner = w};
    controller_find(q->g->config.controller, &w->find);
}

void web_end(struct gateway_request *q)
{
    struct web_call *w = q->web;

    if (w == NULL)
        return;
    account_unref(w->owner);
    account_unref(w->caller);
    function_unref(w->fn);
    nr_buf_fini(&w->input);
    web_reply_fini(&w->reply);
}

/* ---- by its own path ---- */

/* What stands behind so many segments, as it was sent. */
static struct nr_str behind(struct nr_str path, unsigned segments)
{
    for (size_t i = 0; i < path.n; i++)
        if (path.p[i] == '/' && segments-- == 0)
            return (struct nr_str){path.p + i, path.n - i};
    return NR_STR("");
}

/* Takes a known extension off the name. */
static enum web_extension take_extension(struct nr_str *name)
{
    enum web_extension extension = WEB_HTTP;

    for (size_t i = name->n; i > 0; i--) {
        if (name->p[i - 1] != '.')
            continue;
        if (web_extension_of((struct nr_str){name->p + i, name->n - i}, &extension))
            name->n = i - 1;
        break;
    }
    return extension;
}

void web_route_call(struct gateway_request *q)
{
    struct web_target t = {
        .account = q->part[PART_ACCOUNT],
        .package = q->part[PART_PACKAGE],
        .name = q->part[PART_NAME],
        .path = behind(q->http.path, 6),
    };

    t.extension = take_extension(&t.name);
    if (nr_str_eqz(t.package, "default"))
        t.package = (struct nr_str){NULL, 0};
    if (entity_name_check(t.name, NULL) == 0) {
        web_begin(q, &t);
        return;
    }
    refuse_missing(q, "404: that is no name of a function");
    request_tick(q);
}
