/* Triggers are fired: from a POST to a trigger's activation, and its 202 or 204 back. The payload and the caller's key are lent until then; what
 * lives longer is copied.
 *
 * The functions that its rules start see the headers of the fire as __ow_headers, but not Authorization, whatever it holds: the code of a rule may
 * be another account's.
 */
#include "gateway/headers.h"
#include "gateway/internal.h"

#define HEADERS_TEXT_MAX_BYTES (256 << 10)

static void on_fired(struct activation *a)
{
    struct gateway_request *q = a->owner;

    invoke_take(q, a);
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
    headers_write(&(struct headers){.http = &q->http, .hide_authorization = true}, &headers);
    if (a == NULL || headers.failed) {
        request_head(q, "Retry-After: 1\r\n");
        request_refuse(q, 503, UNAVAILABLE_TEXT);
        activation_unref(a);
        nr_buf_fini(&headers);
        request_tick(q);
        return;
    }
    request_asks(q, a);
    controller_fire(q->g->config.controller, a, nr_buf_str(&headers));
    nr_buf_fini(&headers);
}
