/* Work that goes on after its 202, told as it goes: a GET with Accept: text/event-stream is a stream of its events, any other the state as it
 * is now.
 *
 *   ask    the function manager for the events beyond those that were written
 *   write  them; the last answer says that it is the last, then the stream ends with it
 *   wait   a moment, or for the client, and ask again
 *
 * Events have numbers, so a client that lost its connection goes on behind the one that it names in Last-Event-ID. A client that does not
 * read is asked for nothing, and cut by the server's write timeout; a comment every 15 s keeps the ways between open. An account may have so
 * many streams at a time, for each asks four times a second.
 */
#include "gateway/internal.h"

#define ASK_EVERY_MS 250
#define QUIET_ASKS 60 /* between two comments */
#define BEHIND_BYTES (256 << 10)
#define STREAMS_OF_ACCOUNT_MAX 16

struct progress {
    struct gateway_request *q;
    struct nr_link link; /* in the gateway's list */
    struct nr_deadline next;
    enum fn_op op; /* that gives events */
    int seen;
    bool begun, asking, stopping;
    unsigned quiet;
    size_t waits; /* bytes that the client has not taken, when last told */
};

/* What a row asks for, and what its stream does. */
static const struct {
    enum fn_op state, events;
} ops[] = {
    {FN_PREENV_GET, FN_PREENV_EVENTS},
};

static void progress_free(struct progress *s)
{
    nr_deadline_cancel(&s->next);
    nr_list_del(&s->link);
    s->q->progress = NULL;
    free(s);
}

static void finish(struct progress *s)
{
    struct gateway_request *q = s->q;

    progress_free(s);
    q->state = G_END;
    nr_http_reply_end(&q->http);
}

static void on_answer(struct fn_call *call);

static void ask(struct progress *s)
{
    struct gateway_request *q = s->q;

    nr_buf_fini(&q->call.reply);
    q->call = (struct fn_call){.op = s->op,
                               .account = q->account,
                               .package = q->part[PART_PACKAGE],
                               .name = q->part[PART_NAME],
                               .item = q->part[PART_ITEM],
                               .transaction = nr_str_of(q->transaction),
                               .skip = s->seen,
                               .loop = q->http.loop,
                               .done = on_answer,
                               .owner = s};
    s->asking = true;
    fnmanager_post(q->g->config.fnmanager, &q->call);
}

static void refuse(struct progress *s, const struct fn_call *call)
{
    struct gateway_request *q = s->q;

    request_refuse(q, call->status ? call->status : nr_err_status(call->err.code), "%s",
                   call->err.text);
    progress_free(s);
    request_tick(q);
}

static void write_answer(struct progress *s, const struct fn_call *call)
{
    struct nr_str text = nr_buf_str(&call->reply);

    s->quiet = text.n > 0 ? 0 : s->quiet + 1;
    if (s->quiet == QUIET_ASKS) {
        text = NR_STR(": alive\n\n");
        s->quiet = 0;
    }
    s->waits = nr_http_reply_part(&s->q->http, text);
}

static void on_answer(struct fn_call *call)
{
    struct progress *s = call->owner;

    s->asking = false;
    if (!s->begun && call->err.code != 0) {
        refuse(s, call);
        return;
    }
    if (!s->begun) {
        s->begun = true;
        reply_stream(s->q, "text/event-stream");
    }
    if (s->q->http.gone || s->stopping || call->err.code != 0) {
        finish(s);
        return;
    }
    s->seen = call->skip;
    write_answer(s, call);
    if (call->last)
        finish(s);
    else
        nr_deadline_set(s->q->http.loop, &s->next, ASK_EVERY_MS);
}

static void on_next(struct nr_deadline *d)
{
    struct progress *s = nr_container_of(d, struct progress, next);

    s->waits = nr_http_reply_part(&s->q->http, (struct nr_str){NULL, 0});
    if (s->waits > BEHIND_BYTES)
        nr_deadline_set(s->q->http.loop, d, ASK_EVERY_MS);
    else
        ask(s);
}

void progress_wake(struct gateway_request *q)
{
    struct progress *s = q->progress;

    if (s && !s->asking && (q->http.gone || s->stopping))
        finish(s);
}

void progress_stop_all(struct gateway *g)
{
    NR_LIST_EACH(&g->progress_streams, it) {
        struct progress *s = nr_container_of(it, struct progress, link);

        s->stopping = true;
        progress_wake(s->q);
    }
}

/* Refuses the one too many. */
static bool may_stream(struct gateway_request *q)
{
    unsigned own = 0;

    NR_LIST_EACH(&q->g->progress_streams, it)
        own += strcmp(nr_container_of(it, struct progress, link)->q->account->name,
                      q->account->name) == 0;
    if (own < STREAMS_OF_ACCOUNT_MAX)
        return true;
    request_head(q, "Retry-After: 5\r\n");
    request_refuse(
        q, 429,
        "Too many clients follow the progress of this account's work (count: %u, allowed: %u).",
        own + 1, STREAMS_OF_ACCOUNT_MAX);
    return false;
}

void progress_call(struct gateway_request *q)
{
    struct nr_str accept = nr_http_header(&q->http, "accept");
    struct nr_str last = nr_http_header(&q->http, "last-event-id");
    int64_t seen = 0;
    struct progress *s;

    if (accept.n == 0 || memmem(accept.p, accept.n, "text/event-stream", 17) == NULL) {
        functions_call(q);
        return;
    }
    s = may_stream(q) ? nr_try_alloc(sizeof(*s)) : NULL;
    if (s == NULL) {
        request_refuse(q, 503, UNAVAILABLE_TEXT); /* unless it was refused already */
        request_tick(q);
        return;
    }
    if (last.n)
        (void)nr_str_to_i64(last, 0, INT32_MAX, &seen);
    *s = (struct progress){.q = q, .next = {.fire = on_next}, .seen = (int)seen};
    for (size_t i = 0; i < nr_countof(ops); i++)
        if (ops[i].state == (enum fn_op)q->route->op)
            s->op = ops[i].events;
    q->progress = s;
    nr_list_add(&q->g->progress_streams, &s->link);
    ask(s);
}
