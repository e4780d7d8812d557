/* Functions, packages, triggers, rules and accounts: from a request to a call of the function manager, and its answer back. The JSON of bodies is read and
 * written over there; this file only knows which parameters a call takes.
 */
#include "gateway/internal.h"

static void on_done(struct fn_call *call)
{
    struct gateway_request *q = call->owner;

    if (call->err.code != 0) {
        request_refuse(q, call->status ? call->status : nr_err_status(call->err.code), "%s",
                       call->err.text);
        if (call->whole)
            q->whole = nr_buf_str(&call->reply);
        if (q->route->body == BODY_ARCHIVE && q->status == 429)
            archive_retry_later(q);
    } else {
        q->status = call->status;
        q->body = nr_buf_str(&call->reply);
    }
    request_tick(q);
}

/* Lends everything of the request to the call. */
static void post(struct gateway_request *q, void (*done)(struct fn_call *call))
{
    struct fn_call *call = &q->call;

    call->op = (enum fn_op)q->route->op;
    call->account = q->account;
    call->space = request_space(q);
    call->package = q->part[PART_PACKAGE];
    call->body = q->http.body;
    call->transaction = nr_str_of(q->transaction);
    call->loop = q->http.loop;
    call->done = done;
    call->owner = q;
    fnmanager_post(q->g->config.fnmanager, call);
}

static bool parameters(struct gateway_request *q)
{
    struct fn_call *call = &q->call;

    call->with_code = true;
    call->limit = LIST_LIMIT_DEFAULT;
    switch ((enum fn_op)q->route->op) {
    case FN_ACTION_PUT:
        call->sha256 = nr_http_header(&q->http, "x-narae-sha256");
        return query_bool(q, "overwrite", &call->overwrite);
    case FN_ACTION_GET: return query_bool(q, "code", &call->with_code);
    case FN_ACTION_LIST: return query_page(q, "actions", &call->limit, &call->skip, &call->count);
    case FN_PACKAGE_LIST: return query_page(q, "packages", &call->limit, &call->skip, &call->count);
    case FN_PACKAGE_DELETE: return query_bool(q, "force", &call->force);
    case FN_TRIGGER_LIST: return query_page(q, "triggers", &call->limit, &call->skip, &call->count);
    case FN_RULE_LIST: return query_page(q, "rules", &call->limit, &call->skip, &call->count);
    case FN_PACKAGE_PUT:
    case FN_TRIGGER_PUT:
    case FN_RULE_PUT: return query_bool(q, "overwrite", &call->overwrite);
    default: return true;
    }
}

void actions_call(struct gateway_request *q)
{
    q->call.name = q->part[PART_NAME];
    if (parameters(q))
        post(q, on_done);
    else
        request_tick(q);
}

static void on_exported(struct fn_call *call)
{
    struct gateway_request *q = call->owner;

    if (call->err.code != 0)
        on_done(call);
    else
        file_reply_begin(q, call->file, call->file_bytes, "application/x-tar");
}

void export_call(struct gateway_request *q)
{
    q->call.name = q->part[PART_ACCOUNT];
    post(q, on_exported);
}

void accounts_call(struct gateway_request *q)
{
    q->call.name = q->part[PART_ACCOUNT];
    q->call.item = q->part[q->part[PART_HOST].p ? PART_HOST : PART_ITEM];
    q->call.body_file = q->http.body_fd;
    post(q, on_done);
}

/* Lists come in pages. */
static bool function_parameters(struct gateway_request *q)
{
    struct fn_call *call = &q->call;
    bool count;

    call->limit = LIST_LIMIT_DEFAULT;
    switch ((enum fn_op)q->route->op) {
    case FN_FUNCTION_LIST: return query_page(q, "functions", &call->limit, &call->skip, &count);
    case FN_FUNCTION_HISTORY: return query_page(q, "moves", &call->limit, &call->skip, &count);
    default: return true;
    }
}

void functions_call(struct gateway_request *q)
{
    struct nr_str number = q->part[PART_NUMBER];

    q->call.name = q->part[PART_NAME];
    q->call.item = q->part[PART_ITEM];
    q->call.number = number.p ? 0 : FN_EVERY_VERSION; /* "latest" stays 0 */
    if (number.p && !nr_str_eqz(number, "latest"))
        (void)nr_str_to_i64(number, 1, INT32_MAX, &q->call.number);
    if (!function_parameters(q)) {
        request_tick(q);
        return;
    }
    post(q, on_done);
}
