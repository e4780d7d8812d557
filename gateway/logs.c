/* The logs of one function as a stream: what is stored, and with follow=1 what every activation writes, as it ends.
 *
 *   find     does the function exist; then it is followed, so that nothing falls between what is stored and what comes
 *   list     the ids of the stored activations that are asked for
 *   write    small logs go out as they come while the client has taken everything before; all else is a list of ids, whose
 *            logs are read from the store as the client takes them (read), so a slow client costs 32 bytes an activation
 *   end      the client went away, all was written, the key is not good any more, or the platform stops; a last event says which
 *
 * A client that falls behind by more than the list holds loses the activations beyond it and is told how many, where they are missing.
 * One that takes nothing at all is cut by the server's write timeout; one for which there is nothing to write is not, for nothing waits
 * then, and a comment every 15 s keeps the ways between open.
 *
 * Whether its key is still good is asked before anything that comes later is handed to it, and every few seconds: a stream outlives neither its
 * key nor its account, nor does it go on with whoever gets the name.
 *
 * Server-sent events (Accept: text/event-stream): `activation` with one JSON object, id is the activation's, so a client that comes
 * back with Last-Event-ID goes on behind it; those that ended within 5 s before it may come twice. `dropped` with their number; `end`.
 * Else plain text: "ACTIVATION-ID LINE".
 */
#include "gateway/internal.h"
#include "gateway/log_list.h"

#define ID_BYTES LOG_ID_BYTES
#define DIRECT_MAX_BYTES (64 << 10) /* larger logs are written out of the loop's thread */
#define BEHIND_BYTES (256 << 10)    /* that wait in the connection: nothing more is handed to it */
#define READ_BYTES (256 << 10)      /* of logs that one read brings, or one log */
#define TEXT_MAX_BYTES (96 << 20)   /* one log of 10 MB, were every byte of it escaped */
#define LOOK_MS 3000
#define HEARTBEAT_LOOKS 5 /* a comment with every fifth */
#define DEFAULT_COUNT 10
#define CLIENT_RETRY_MS 1000

enum log_state { L_FIND, L_LIST, L_WRITE, L_READ, L_END };

struct log_stream {
    struct gateway_request *q;
    struct nr_link link; /* in the gateway's list */
    enum log_state state;
    bool events, follow, following, stopping;
    bool refused; /* its key is not good any more */
    unsigned looks;
    struct log_follower follower;
    struct log_query query;
    struct nr_deadline heartbeat;
    struct nr_buf text;   /* what is about to be written */
    size_t waits;         /* bytes that the client has not taken, when last told */
    struct log_list list; /* what is still to be read */
};

/* ---- the two forms ------------------------------------------------------------------------------------------------- */

static void write_event(struct nr_buf *out, const struct activation_log *l)
{
    struct nr_str rest = l->logs, line;
    const char *before = "[";

    nr_buf_printf(
        out, "id: %.*s\nevent: activation\ndata: {\"activationId\":\"%.*s\",\"start\":\"%.*s\"",
        ID_BYTES, l->id.p, ID_BYTES, l->id.p, (int)l->start.n, l->start.p);
    nr_buf_printf(out, ",\"status\":\"%s\",\"end\":%lld,\"duration\":%lld,\"logs\":",
                  outcome_status_text(l->status), (long long)l->end_ms, (long long)l->duration_ms);
    while (rest.n > 0 && nr_str_split(&rest, '\n', &line)) {
        nr_buf_adds(out, before);
        nr_buf_json(out, line);
        before = ",";
    }
    nr_buf_adds(out, before[0] == '[' ? "[]}\n\n" : "]}\n\n");
}

static void write_lines(struct nr_buf *out, const struct activation_log *l)
{
    struct nr_str rest = l->logs, line;

    while (rest.n > 0 && nr_str_split(&rest, '\n', &line)) {
        nr_buf_add(out, l->id.p, ID_BYTES);
        nr_buf_addc(out, ' ');
        nr_buf_add(out, line.p, line.n);
        nr_buf_addc(out, '\n');
    }
}

static void write_dropped(struct log_stream *s)
{
    unsigned long long n = log_list_gap_told(&s->list);

    nr_count(&s->q->g->counts.logs_dropped, n);
    if (s->events)
        nr_buf_printf(&s->text, "event: dropped\ndata: {\"activations\":%llu}\n\n", n);
    else
        nr_buf_printf(&s->text, "dropped %llu activations: this reader is too slow\n", n);
}

/* Hands s->text to the connection. */
static void send_text(struct log_stream *s)
{
    s->waits = nr_http_reply_part(&s->q->http, nr_buf_str(&s->text));
    nr_buf_reset(&s->text, READ_BYTES * 2);
}

/* ---- asking the store ------------------------------------------------------------------------------------------------ */

static void logs_tick(struct log_stream *s);
static void logs_free(struct log_stream *s);

static void on_answer(struct activation_query *query)
{
    logs_tick(query->owner);
}

static void ask(struct log_stream *s, enum query_op op)
{
    struct activation_query *query = &s->query.q;

    nr_buf_fini(&query->reply);
    query->op = op;
    query->account = s->q->account;
    query->package = s->q->part[PART_PACKAGE];
    query->name = s->q->part[PART_NAME];
    query->done = on_answer;
    query->owner = s;
    s->query.missing = s->query.read = 0;
    controller_ask(s->q->g->config.controller, query);
}

static void read_on(struct log_stream *s)
{
    s->query.ids = log_list_next(&s->list);
    s->query.max_bytes = READ_BYTES;
    s->query.write = s->events ? write_event : write_lines;
    ask(s, QUERY_LOG_READ);
}

static void take_answer(struct log_stream *s)
{
    struct log_query *l = &s->query;

    if (l->q.err.code != 0)
        return; /* the stream ends and says so */
    log_list_took(&s->list, l->read);
    if (l->missing > 0)
        log_list_gap(&s->list, l->missing);
    s->waits = nr_http_reply_part(&s->q->http, nr_buf_str(&l->q.reply));
    nr_buf_fini(&l->q.reply);
}

/* ---- the stream ------------------------------------------------------------------------------------------------------ */

static bool behind(const struct log_stream *s)
{
    return s->waits > BEHIND_BYTES;
}

static bool still_good(struct log_stream *s)
{
    s->refused = s->refused || !fnmanager_still_good(s->q->g->config.fnmanager, s->q->account);
    return !s->refused;
}

/* An activation has ended. */
static void on_end(struct log_follower *f, const struct activation_log *l)
{
    struct log_stream *s = nr_container_of(f, struct log_stream, follower);

    if (!still_good(s)) {
        if (s->state == L_WRITE)
            nr_deadline_set(s->q->http.loop, &s->heartbeat, 0);
        return;
    }
    if (s->state == L_WRITE && log_list_empty(&s->list) && !behind(s) &&
        l->logs.n <= DIRECT_MAX_BYTES) {
        (s->events ? write_event : write_lines)(&s->text, l);
        send_text(s);
        return;
    }
    log_list_add(&s->list, l->id.p);
    if (s->state == L_WRITE)
        nr_deadline_set(s->q->http.loop, &s->heartbeat,
                        0); /* not from inside the controller's story */
}

static void on_heartbeat(struct nr_deadline *d)
{
    struct log_stream *s = nr_container_of(d, struct log_stream, heartbeat);

    nr_deadline_set(s->q->http.loop, d, LOOK_MS);
    s->waits = nr_http_reply_part(&s->q->http, (struct nr_str){NULL, 0});
    if (++s->looks % HEARTBEAT_LOOKS == 0 && s->events && s->state == L_WRITE && s->waits == 0 &&
        log_list_empty(&s->list)) {
        nr_buf_adds(&s->text, ": alive\n\n");
        send_text(s);
    }
    if (s->state == L_WRITE) /* else the store is being asked, and its answer comes and looks */
        logs_tick(s);
}

static void finish(struct log_stream *s)
{
    struct gateway_request *q = s->q;
    const char *why = s->query.q.err.code != 0 ? "the records cannot be read"
                      : s->stopping            ? "stopping"
                      : s->refused             ? "the key is not valid any more"
                                               : "complete";

    if (s->events)
        nr_buf_printf(&s->text, "event: end\ndata: {\"reason\":\"%s\"}\n\n", why);
    else if (s->query.q.err.code != 0 || s->refused)
        nr_buf_printf(&s->text, "%s\n", why);
    send_text(s);
    q->logs = NULL;
    logs_free(s);
    q->state = G_END;
    nr_http_reply_end(&q->http);
}

static void logs_free(struct log_stream *s)
{
    controller_unfollow(s->q->g->config.controller, &s->follower);
    nr_list_del(&s->link);
    nr_deadline_cancel(&s->heartbeat);
    nr_buf_fini(&s->text);
    nr_buf_fini(&s->query.q.reply);
    free(s);
}

/* Refused before the first byte of the stream. */
static void refuse(struct log_stream *s, const struct nr_err *err, int status)
{
    struct gateway_request *q = s->q;

    if (status == 429)
        request_head(q, "Retry-After: 5\r\n");
    request_refuse(q, status, "%s", err->text);
    q->logs = NULL;
    logs_free(s);
    request_tick(q);
}

static void begin(struct log_stream *s)
{
    struct gateway_request *q = s->q;

    reply_stream(q, s->events ? "text/event-stream" : "text/plain; charset=utf-8");
    log_list_put_first(&s->list, nr_buf_str(&s->query.q.reply));
    if (s->query.left_out > 0)
        log_list_gap(&s->list, (uint64_t)s->query.left_out);
    if (s->events) {
        nr_buf_printf(&s->text, "retry: %d\n\n", CLIENT_RETRY_MS);
        send_text(s);
    }
    if (s->follow)
        nr_deadline_set(q->http.loop, &s->heartbeat, LOOK_MS);
}

static void logs_tick(struct log_stream *s)
{
    struct nr_err *err = &s->query.q.err;

    for (;;) {
        switch (s->state) {
        case L_FIND: /* ticked when the function manager knows it: follow first, then look back */
            if (s->follow &&
                controller_follow(s->q->g->config.controller, &s->follower, err) != 0) {
                refuse(s, err, 429);
                return;
            }
            s->state = L_LIST;
            ask(s, QUERY_LOG_IDS);
            return;
        case L_LIST: /* ticked with the ids */
            if (err->code != 0) {
                refuse(s, err, nr_err_status(err->code));
                return;
            }
            begin(s);
            s->state = L_WRITE;
            continue;
        case L_WRITE: /* ticked by on_drained(), on_gone(), an end, the heartbeat, the drain */
            if (s->q->http.gone || (s->stopping && s->follow) || err->code != 0 || !still_good(s)) {
                s->state = L_END;
                continue;
            }
            if (behind(s))
                return;
            if (log_list_gap_is_next(&s->list)) {
                write_dropped(s);
                send_text(s);
                continue;
            }
            if (!log_list_empty(&s->list)) {
                s->state = L_READ;
                read_on(s);
                return;
            }
            if (s->follow)
                return;
            s->state = L_END;
            continue;
        case L_READ: /* ticked with their logs */
            s->state = L_WRITE;
            if (still_good(s))
                take_answer(s);
            continue;
        case L_END: finish(s); return;
        }
    }
}

void logs_wake(struct gateway_request *q)
{
    struct log_stream *s = q->logs;

    if (s == NULL || s->state != L_WRITE)
        return; /* an answer comes and looks */
    s->waits = q->http.gone ? 0 : nr_http_reply_part(&q->http, (struct nr_str){NULL, 0});
    logs_tick(s);
}

void logs_stop_all(struct gateway *g)
{
    NR_LIST_EACH(&g->log_streams, it) {
        struct log_stream *s = nr_container_of(it, struct log_stream, link);

        s->stopping = true;
        logs_wake(s->q);
    }
}

/* ---- the request ------------------------------------------------------------------------------------------------------ */

static void on_found(struct fn_call *call)
{
    struct gateway_request *q = call->owner;
    struct log_stream *s = q->logs;

    if (call->err.code != 0)
        refuse(s, &call->err, call->status ? call->status : nr_err_status(call->err.code));
    else
        logs_tick(s);
}

static bool wants_events(const struct gateway_request *q)
{
    struct nr_str accept = nr_http_header(&q->http, "accept");

    return accept.n > 0 && memmem(accept.p, accept.n, "text/event-stream", 17) != NULL;
}

/* limit, since, follow; after whom a client that lost its connection goes on. */
static bool parameters(struct log_stream *s)
{
    struct gateway_request *q = s->q;
    struct log_query *l = &s->query;
    struct nr_str last = nr_http_header(&q->http, "last-event-id");

    l->q.limit = -1;
    if (!query_limit(q, "logs", &l->q.limit) || !query_epoch(q, "since", &l->ended_since_ms) ||
        !query_bool(q, "follow", &s->follow))
        return false;
    if (last.n == ID_BYTES)
        l->after_id = last;
    if (last.n == ID_BYTES)
        l->q.limit = LOG_LIST_MAX;
    else if (l->q.limit < 0)
        l->q.limit = l->ended_since_ms > 0 ? LIST_LIMIT_MAX : DEFAULT_COUNT;
    return true;
}

void logs_call(struct gateway_request *q)
{
    struct log_stream *s = nr_try_alloc(sizeof(*s));
    struct fn_call *call = &q->call;

    if (s == NULL) {
        request_refuse(q, 503, UNAVAILABLE_TEXT);
        request_tick(q);
        return;
    }
    q->logs = s;
    s->q = q;
    s->events = wants_events(q);
    s->heartbeat.fire = on_heartbeat;
    s->follower = (struct log_follower){.account = q->account,
                                        .package = q->part[PART_PACKAGE],
                                        .name = q->part[PART_NAME],
                                        .on_end = on_end};
    nr_buf_init(&s->text, TEXT_MAX_BYTES);
    nr_list_add(&q->g->log_streams, &s->link);
    if (!parameters(s)) {
        q->logs = NULL;
        logs_free(s);
        request_tick(q);
        return;
    }
    *call = (struct fn_call){.op = FN_ACTION_GET,
                             .account = q->account,
                             .package = q->part[PART_PACKAGE],
                             .name = q->part[PART_NAME],
                             .transaction = nr_str_of(q->transaction),
                             .loop = q->http.loop,
                             .done = on_found,
                             .owner = q};
    fnmanager_post(q->g->config.fnmanager, call);
}
