/* Past activations: lists, one record, its logs, its result. The controller knows them; this file reads the parameters. */
#include "gateway/internal.h"

static void on_done(struct activation_query *query)
{
    struct gateway_request *q = query->owner;

    if (query->err.code != 0) {
        request_refuse(q, nr_err_status(query->err.code), "%s",
                       query->err.code == NR_ENOENT ? MISSING_TEXT : query->err.text);
    } else {
        q->status = 200;
        q->body = nr_buf_str(&query->reply);
    }
    request_tick(q);
}

static bool list_parameters(struct gateway_request *q)
{
    struct activation_query *query = &q->query;

    query->limit = LIST_LIMIT_DEFAULT;
    query->upto_ms = INT64_MAX;
    if (!query_page(q, "activations", &query->limit, &query->skip, &query->count) ||
        !query_bool(q, "docs", &query->docs) || !query_epoch(q, "since", &query->since_ms) ||
        !query_epoch(q, "upto", &query->upto_ms) || !query_entity(q, &query->package, &query->name))
        return false;
    if (query->docs && query->count) {
        request_refuse(q, 400, "The parameter 'docs' is not permitted with 'count'.");
        return false;
    }
    return true;
}

void activations_call(struct gateway_request *q)
{
    struct activation_query *query = &q->query;

    query->op = (enum query_op)q->route->op;
    query->account = q->account;
    query->id = q->part[PART_ID];
    query->done = on_done;
    query->owner = q;
    if (query->op == QUERY_LIST && !list_parameters(q)) {
        request_tick(q);
        return;
    }
    controller_ask(q->g->config.controller, query);
}
