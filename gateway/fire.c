/* Triggers are fired: from a POST to a trigger's activation, and its 202 or 204 back. The payload and the caller's key are lent until then; what
 * lives longer is copied.
 *
 * The functions that its rules start see the headers of the fire as __ow_headers, but for those that frame the message, and the caller's key:
 * the code of a rule may be another account's.
 */
#include "gateway/internal.h"

#define HEADERS_TEXT_MAX_BYTES (256 << 10)

static bool is_hidden(struct nr_str name)
{
    static const char *const hidden[] = {"authorization", "proxy-authorization", "content-length",
                                         "transfer-encoding"};

    for (size_t i = 0; i < nr_countof(hidden); i++)
        if (nr_str_eqz(name, hidden[i]))
            return true;
    return false;
}

/* Of several lines with one name the last counts. */
static bool comes_again(const struct nr_http_req *r, unsigned at)
{
    for (unsigned i = at + 1; i < r->header_count; i++)
        if (nr_str_eq(r->headers[i].name, r->headers[at].name))
            return true;
    return false;
}

/* A JSON object of the headers. */
static void write_headers(const struct nr_http_req *r, struct nr_buf *out)
{
    nr_buf_addc(out, '{');
    for (unsigned i = 0; i < r->header_count; i++) {
        if (is_hidden(r->headers[i].name) || comes_again(r, i))
            continue;
        if (out->n > 1)
            nr_buf_addc(out, ',');
        nr_buf_json(out, r->headers[i].name);
        nr_buf_addc(out, ':');
        nr_buf_json(out, r->headers[i].value);
    }
    nr_buf_addc(out, '}');
}

static void on_fired(struct activation *a)
{
    struct gateway_request *q = a->owner;

    q->activation = NULL;
    if (a->error.code != 0) {
        request_refuse(q, nr_err_status(a->error.code), "%s", a->error.text);
    } else {
        q->status = a->reply_status;
        q->body = nr_buf_str(&a->reply);
    }
    if (a->reply_head.n)
        request_line(q, nr_buf_str(&a->reply_head));
    if (a->error.code == 0 && a->id[0])
        request_head(q, "x-openwhisk-activation-id: %s\r\n", a->id);
    request_tick(q);
}

/* NULL: no memory. */
static struct activation *activation_of(struct gateway_request *q)
{
    struct activation *a = activation_pool_take(q->g->activations);

    if (a == NULL)
        return NULL;
    a->account = account_ref(q->account);
    a->name = nr_arena_copy(&a->arena, q->part[PART_NAME]);
    a->transaction = nr_arena_copy(&a->arena, nr_str_of(q->transaction));
    a->api_key = q->api_key;
    a->input = q->http.body.n ? q->http.body : NR_STR("{}");
    a->on_reply = on_fired;
    a->owner = q;
    if (a->name.p && a->transaction.p)
        return a;
    activation_unref(a);
    return NULL;
}

void fire_call(struct gateway_request *q)
{
    struct activation *a = activation_of(q);
    struct nr_buf headers;

    nr_buf_init(&headers, HEADERS_TEXT_MAX_BYTES);
    write_headers(&q->http, &headers);
    if (a == NULL || headers.failed) {
        request_head(q, "Retry-After: 1\r\n");
        request_refuse(q, 503, UNAVAILABLE_TEXT);
        activation_unref(a);
        nr_buf_fini(&headers);
        request_tick(q);
        return;
    }
    a->client_gone = q->http.gone;
    q->activation = a;
    controller_fire(q->g->config.controller, a, nr_buf_str(&headers));
    nr_buf_fini(&headers);
}
