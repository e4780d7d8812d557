/* Invoke: from a request to an activation, and its answer back. The activation outlives the request (logs and record come after
 * the answer), so what it needs of the request is copied into its own arena; only the payload and the caller's key are lent.
 */
#include "gateway/internal.h"

#include "ports/timing.h"

static struct nr_str trimmed(struct nr_str s)
{
    while (s.n && memchr(" \t\r\n", s.p[0], 4)) {
        s.p++;
        s.n--;
    }
    while (s.n && memchr(" \t\r\n", s.p[s.n - 1], 4))
        s.n--;
    return s;
}

void invoke_tell(struct gateway_request *q, const struct activation *a)
{
    char timing[TIMING_MAX_BYTES];
    const struct nr_str parts[] = {
        q->head,
        NR_STR("x-openwhisk-activation-id: "),
        {a->id, 32},
        NR_STR("\r\nServer-Timing: "),
        {timing, timing_write(a, 0, timing)},
        NR_STR("\r\n"),
    };

    q->head = nr_arena_join(&q->http.arena, parts, nr_countof(parts));
}

void invoke_take(struct gateway_request *q, struct activation *a)
{
    q->activation = NULL;
    if (a->error.code != 0) {
        request_refuse(q, nr_err_status(a->error.code), "%s", a->error.text);
    } else {
        q->status = a->reply_status;
        q->body = nr_buf_str(&a->reply);
    }
    if (a->reply_head.n)
        request_line(q, nr_buf_str(&a->reply_head));
}

static void on_reply(struct activation *a)
{
    struct gateway_request *q = a->owner;

    invoke_take(q, a);
    if (a->error.code == 0 && a->id[0])
        invoke_tell(q, a);
    request_tick(q);
}

/* NULL: no memory. */
static struct activation *activation_of(struct gateway_request *q)
{
    struct activation *a = activation_pool_take(q->g->activations);

    if (a == NULL)
        return NULL;
    a->account = account_ref(q->account);
    struct nr_str space = request_space(q);

    a->space = space.n ? nr_arena_copy(&a->arena, space) : space;
    a->package = nr_arena_copy(&a->arena, q->part[PART_PACKAGE]);
    a->name = nr_arena_copy(&a->arena, q->part[PART_NAME]);
    a->transaction = nr_arena_copy(&a->arena, nr_str_of(q->transaction));
    a->api_key = q->api_key;
    a->input = trimmed(q->http.body);
    if (a->input.n == 0)
        a->input = NR_STR("{}");
    a->wait_ms = BLOCKING_WAIT_MAX_MS;
    a->on_reply = on_reply;
    a->owner = q;
    if (a->name.p && a->transaction.p && a->space.n == space.n)
        return a;
    activation_unref(a);
    return NULL;
}

/* Which version of the function is wanted. */
static bool target(struct gateway_request *q, struct activation *a)
{
    struct nr_str alias = {NULL, 0};

    if (!query_version(q, &a->number, &alias))
        return false;
    a->alias = alias.n ? nr_arena_copy(&a->arena, alias) : alias;
    if (a->alias.n == alias.n)
        return true;
    request_refuse(q, 503, UNAVAILABLE_TEXT);
    return false;
}

void request_asks(struct gateway_request *q, struct activation *a)
{
    a->client_gone = q->http.gone;
    a->asked = true;
    q->activation = a;
    nr_count(&q->g->counts.asked, 1);
}

void invoke_call(struct gateway_request *q)
{
    struct activation *a = activation_of(q);

    if (a == NULL) {
        request_head(q, "Retry-After: 1\r\n");
        request_refuse(q, 503, UNAVAILABLE_TEXT);
        request_tick(q);
        return;
    }
    if (!query_bool(q, "blocking", &a->blocking) || !query_bool(q, "result", &a->result_only) ||
        !query_timeout(q, &a->wait_ms) || !target(q, a)) {
        activation_unref(a);
        request_tick(q);
        return;
    }
    request_asks(q, a);
    controller_invoke(q->g->config.controller, a);
}
