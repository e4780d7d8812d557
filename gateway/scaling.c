/* Scaling: policies, what was decided and why, replays, forecasts, channels: from a request to a call of the scaler, and its answer back. The JSON of
 * bodies is read and written over there, on its thread; this file only knows which parameters a call takes.
 *
 * Who may: writing, and what costs the scaler work on a document that is not stored, is the administrator's (the table of routes). Reading is
 * everybody's of their own functions; the scaler leaves out what is of others. A platform without a scaler has none of it.
 */
#include "gateway/internal.h"

#define WITHOUT_TEXT                                                                               \
    "There is no scaler here: naraed runs with --scaler=off, so there are no policies, decisions " \
    "and forecasts."

/* What a call may be asked with. */
enum parameter {
    TAKES_PAGE = 1,
    TAKES_LIMIT = 2,
    TAKES_SPAN = 4, /* since, upto */
    TAKES_ALL = 8,
    TAKES_FULL = 16,
    TAKES_VERSION = 32,
    TAKES_FROM = 64,
    TAKES_WHOSE = 128 /* account, function */
};

static const unsigned taken[] = {
    [SCALE_LIST] = TAKES_PAGE,
    [SCALE_SHOW] = TAKES_VERSION | TAKES_FULL,
    [SCALE_EXPLAIN] = TAKES_LIMIT | TAKES_SPAN | TAKES_ALL,
    [SCALE_REPLAY] = TAKES_SPAN,
    [SCALE_IMPORT] = TAKES_FROM,
    [SCALE_FORECASTS] = TAKES_LIMIT | TAKES_WHOSE,
    [SCALE_STATUS] = 0,
};

/* In the order of enum import_from. */
static const char *const platforms[] = {"knative", "keda", "hpa", "openfaas", "fission"};

/* {"error","problems"} of the scaler with the request's id, as every refusal has it. */
static void refuse_with_problems(struct gateway_request *q, struct nr_str reply)
{
    nr_buf_add(&q->text, reply.p, reply.n - 1);
    nr_buf_adds(&q->text, ",\"code\":");
    nr_buf_json(&q->text, nr_str_of(q->transaction));
    nr_buf_addc(&q->text, '}');
    q->status = 400;
    q->body = nr_buf_str(&q->text);
}

static void on_done(struct scale_call *call)
{
    struct gateway_request *q = call->owner;
    struct nr_str reply = nr_buf_str(&call->reply);

    if (call->err.code == 0) {
        q->status = call->created ? 201 : 200;
        q->body = reply;
    } else if (call->err.code == NR_EINVAL && reply.n > 2 && reply.p[reply.n - 1] == '}') {
        refuse_with_problems(q, reply);
    } else {
        request_refuse(q, nr_err_status(call->err.code), "%s", call->err.text);
    }
    request_tick(q);
}

static bool take_span(struct gateway_request *q, struct scale_call *call)
{
    if (!query_epoch(q, "since", &call->since_ms) || !query_epoch(q, "upto", &call->upto_ms))
        return false;
    if (call->since_ms <= call->upto_ms)
        return true;
    request_refuse(q, 400, "since (%lld) is later than upto (%lld).", (long long)call->since_ms,
                   (long long)call->upto_ms);
    return false;
}

static bool take_version(struct gateway_request *q, struct scale_call *call)
{
    struct nr_str value = {NULL, 0};

    if (!query_text(q, "version", &value))
        return false;
    if (value.p == NULL || nr_str_eqz(value, "latest") ||
        nr_str_to_i64(value, 1, INT32_MAX, &call->number))
        return true;
    request_refuse(q, 400, "A version is a number from 1, or 'latest', not '%.*s'.",
                   value.n < 64 ? (int)value.n : 64, value.p);
    return false;
}

static bool take_from(struct gateway_request *q, struct scale_call *call)
{
    struct nr_str value = {NULL, 0};

    if (!query_text(q, "from", &value))
        return false;
    for (size_t i = 0; value.p && i < nr_countof(platforms); i++)
        if (nr_str_eqz(value, platforms[i])) {
            call->from = (int)i;
            return true;
        }
    request_refuse(q, 400,
                   "The query parameter 'from' names the platform whose settings the body holds: "
                   "knative, keda, hpa, openfaas or fission, not '%.*s'.",
                   value.n < 64 ? (int)value.n : 64, value.p ? value.p : "");
    return false;
}

/* "name", "package/name", or nothing. */
static bool function_is_good(struct nr_str function)
{
    struct nr_str rest = function, first;

    if (function.n == 0)
        return true;
    (void)nr_str_split(&rest, '/', &first);
    return entity_name_check(first, NULL) == 0 &&
           (rest.p == NULL || entity_name_check(rest, NULL) == 0);
}

/* An account without the administrator's scope sees its own, whatever it asks for. */
static bool take_whose(struct gateway_request *q, struct scale_call *call)
{
    if (!query_text(q, "account", &call->whose) || !query_text(q, "function", &call->function))
        return false;
    if (!call->admin && call->whose.n && !nr_str_eqz(call->whose, q->account->name)) {
        request_refuse(q, 403, "Forecasts of other accounts are the administrator's to read.");
        return false;
    }
    if (!call->admin)
        call->whose = nr_str_of(q->account->name);
    if (function_is_good(call->function))
        return true;
    request_refuse(q, 400, "A function is 'name' or 'package/name', not '%.*s'.",
                   call->function.n < 128 ? (int)call->function.n : 128, call->function.p);
    return false;
}

/* Decisions that changed nothing are not stored: they are made again out of what was recorded, which takes as long as a replay. */
static bool take_all(struct gateway_request *q, struct scale_call *call)
{
    if (!query_bool(q, "all", &call->all))
        return false;
    if (call->admin || !call->all)
        return true;
    request_refuse(q, 403,
                   "Decisions that changed nothing (all) are the administrator's to ask for; "
                   "'evaluate' tells what would be decided now.");
    return false;
}

static bool parameters(struct gateway_request *q, struct scale_call *call)
{
    unsigned takes = (size_t)call->op < nr_countof(taken) ? taken[call->op] : 0;
    bool count = false;

    call->limit = LIST_LIMIT_DEFAULT;
    call->upto_ms = INT64_MAX;
    if ((takes & TAKES_PAGE) && !query_page(q, "policies", &call->limit, &call->skip, &count))
        return false;
    if ((takes & TAKES_LIMIT) && !query_limit(q, "decisions", &call->limit))
        return false;
    if (call->limit == 0)
        call->limit = LIST_LIMIT_MAX;
    return (!(takes & TAKES_SPAN) || take_span(q, call)) &&
           (!(takes & TAKES_ALL) || take_all(q, call)) &&
           (!(takes & TAKES_FULL) || query_bool(q, "full", &call->full)) &&
           (!(takes & TAKES_VERSION) || take_version(q, call)) &&
           (!(takes & TAKES_FROM) || take_from(q, call)) &&
           (!(takes & TAKES_WHOSE) || take_whose(q, call));
}

void scaling_call(struct gateway_request *q)
{
    struct scale_call *call = &q->scale;

    call->op = (enum scale_op)q->route->op;
    call->account = q->account;
    call->admin = q->account->scopes & SCOPE_ADMIN;
    call->name = q->part[PART_ITEM];
    call->body = q->http.body;
    call->done = on_done;
    call->owner = q;
    if (q->g->config.scaler == NULL)
        request_refuse(q, 404, WITHOUT_TEXT);
    if (q->status != 0 || !parameters(q, call)) {
        request_tick(q);
        return;
    }
    scaler_post(q->g->config.scaler, call);
}
