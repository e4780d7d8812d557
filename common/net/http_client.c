/* Happy: connect once, write head and body, read until the message is whole, done(); the connection waits for the next call.
 * Lost while it waited: forgotten, the next call connects again. Lost or late in a call: the call ends with an error and the
 * connection is closed, for what still comes on it belongs to nobody.
 * A connection (struct wire) owns its handle and outlives its place in the client until its close callback; the client is freed after
 * the last of them. done() is always the last thing a callback does, for it may start the next call or close the client.
 */
#include "common/net/http_client.h"

#include <llhttp/llhttp.h>
#include <sys/un.h>

#include "common/net/address.h"

#define IN_BYTES (16 << 10)
#define OUT_MAX_BYTES (64 << 20)

struct wire {
    union {
        uv_handle_t any;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } h;
    uv_connect_t connect;
    uv_write_t write;
    struct nr_http_client *client;
    struct nr_buf out; /* what could not be written at once */
    bool ready;
};

struct nr_http_client {
    struct nr_loop *loop;
    struct sockaddr_storage address;
    char *socket_path; /* or NULL */
    struct wire *wire;
    int wires; /* all that are not yet closed */
    struct nr_http_call *call;
    int failed; /* NR_E* that the deadline tells, when it was not the time */
    llhttp_t parser;
    bool message_done, keep;
    struct nr_str span; /* body in `in`, until it is known to be all of it */
    struct nr_buf reply;
    bool closing;
    void (*closed)(void *arg);
    void *closed_arg;
    char in[IN_BYTES];
};

/* ---- the end of a call, a connection, the client ---- */

static void free_if_unused(struct nr_http_client *c)
{
    void (*closed)(void *arg) = c->closed;
    void *arg = c->closed_arg;

    if (!c->closing || c->wires > 0)
        return;
    nr_buf_fini(&c->reply);
    free(c->socket_path);
    free(c);
    if (closed)
        closed(arg);
}

static void on_wire_closed(uv_handle_t *h)
{
    struct wire *w = h->data;
    struct nr_http_client *c = w->client;

    nr_buf_fini(&w->out);
    free(w);
    c->wires--;
    free_if_unused(c);
}

static void drop_wire(struct nr_http_client *c)
{
    if (c->wire == NULL)
        return;
    uv_close(&c->wire->h.any, on_wire_closed);
    c->wire = NULL;
}

/* Last statement of its caller. */
static void finish(struct nr_http_client *c, int err)
{
    struct nr_http_call *call = c->call;

    nr_deadline_cancel(&call->deadline);
    c->call = NULL;
    call->err = err;
    if (err == 0)
        call->status = c->parser.status_code;
    call->reply = err ? (struct nr_str){NULL, 0} : c->reply.n > 0 ? nr_buf_str(&c->reply) : c->span;
    call->done(call);
}

static void break_off(struct nr_http_client *c, int err)
{
    drop_wire(c);
    if (c->call)
        finish(c, err);
}

static void on_deadline(struct nr_deadline *d)
{
    struct nr_http_client *c = nr_container_of(d, struct nr_http_call, deadline)->client;

    break_off(c, c->failed ? c->failed : NR_ETIMEOUT);
}

/* The call ends with `err`, but not before we have returned to who made it. */
static void fail_soon(struct nr_http_client *c, int err)
{
    drop_wire(c);
    c->failed = err;
    nr_deadline_set(c->loop, &c->call->deadline, 0);
}

/* ---- reading ---- */

static struct nr_http_client *client_of(llhttp_t *p)
{
    return p->data;
}

static int on_headers_complete(llhttp_t *p)
{
    return nr_str_starts(client_of(p)->call->head, "HEAD ") ? 1 : 0;
}

static int on_body(llhttp_t *p, const char *at, size_t n)
{
    struct nr_http_client *c = client_of(p);

    if (c->span.n == 0 && c->reply.n == 0) {
        c->span = (struct nr_str){at, n};
        return n > c->reply.max_bytes ? -1 : 0;
    }
    nr_buf_add(&c->reply, c->span.p, c->span.n);
    nr_buf_add(&c->reply, at, n);
    c->span = (struct nr_str){NULL, 0};
    return c->reply.failed ? -1 : 0;
}

static int on_message_complete(llhttp_t *p)
{
    struct nr_http_client *c = client_of(p);

    if (p->status_code < 200)
        return 0; /* the real one follows */
    c->message_done = true;
    c->keep = llhttp_should_keep_alive(p);
    return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
    .on_headers_complete = on_headers_complete,
    .on_body = on_body,
    .on_message_complete = on_message_complete,
};

static void on_alloc(uv_handle_t *h, size_t hint, uv_buf_t *buf)
{
    struct wire *w = h->data;

    *buf = uv_buf_init(w->client->in, sizeof(w->client->in));
}

static void take(struct nr_http_client *c, const char *p, size_t n)
{
    llhttp_errno_t e = llhttp_execute(&c->parser, p, n);

    if (c->message_done) {
        if (!c->keep || llhttp_get_error_pos(&c->parser) != p + n)
            drop_wire(c);
        finish(c, 0);
        return;
    }
    if (e != HPE_OK) {
        break_off(c, c->reply.failed || c->span.n > c->reply.max_bytes ? NR_ETOOBIG : NR_EPROTO);
        return;
    }
    nr_buf_add(&c->reply, c->span.p, c->span.n); /* `in` is about to be used again */
    c->span = (struct nr_str){NULL, 0};
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct wire *w = stream->data;
    struct nr_http_client *c = w->client;

    if (n == 0 || c->wire != w)
        return;
    nr_loop_enter(c->loop);
    if (c->call == NULL) { /* the server closes what waits, or sends what nobody asked for */
        drop_wire(c);
    } else if (n > 0) {
        take(c, buf->base, (size_t)n);
    } else {
        (void)llhttp_finish(&c->parser); /* a body may be ended by the end of the connection */
        if (n == UV_EOF && c->message_done) {
            drop_wire(c);
            finish(c, 0);
        } else {
            break_off(c, NR_ECLOSED);
        }
    }
}

/* ---- writing ---- */

static void on_written(uv_write_t *write, int status)
{
    struct wire *w = write->handle->data;

    if (status < 0 && w->client->wire == w)
        break_off(w->client, NR_ECLOSED);
}

/* What is left of head and body after `sent` bytes: copied, for the call may end before it is written. */
static int write_rest(struct wire *w, const struct nr_http_call *call, size_t sent)
{
    size_t of_head = sent < call->head.n ? sent : call->head.n;
    uv_buf_t buf;

    nr_buf_reset(&w->out, 0);
    nr_buf_add(&w->out, call->head.p + of_head, call->head.n - of_head);
    nr_buf_add(&w->out, call->body.p + (sent - of_head), call->body.n - (sent - of_head));
    if (w->out.failed)
        return NR_ENOMEM;
    buf = uv_buf_init(w->out.p, (unsigned)w->out.n);
    return uv_write(&w->write, &w->h.stream, &buf, 1, on_written) < 0 ? NR_ECLOSED : 0;
}

static int send_call(struct nr_http_client *c)
{
    struct nr_http_call *call = c->call;
    union {
        const char *lent;
        char *base; /* libuv's type is not const; it only reads */
    } head = {call->head.p}, body = {call->body.p};
    uv_buf_t bufs[2] = {{.base = head.base, .len = call->head.n},
                        {.base = body.base, .len = call->body.n}};
    int sent;

    llhttp_init(&c->parser, HTTP_RESPONSE, &settings);
    c->parser.data = c;
    c->message_done = false;
    c->span = (struct nr_str){NULL, 0};
    nr_buf_reset(&c->reply, IN_BYTES);
    sent = uv_try_write(&c->wire->h.stream, bufs, call->body.n ? 2 : 1);
    if (sent < 0 && sent != UV_EAGAIN)
        return NR_ECLOSED;
    sent = sent < 0 ? 0 : sent;
    return (size_t)sent < call->head.n + call->body.n ? write_rest(c->wire, call, (size_t)sent) : 0;
}

/* ---- connecting ---- */

static void on_connect(uv_connect_t *connect, int status)
{
    struct wire *w = connect->handle->data;
    struct nr_http_client *c = w->client;
    int r = 0;

    if (c->wire != w)
        return; /* dropped meanwhile */
    if (status < 0 || uv_read_start(&w->h.stream, on_alloc, on_read) < 0) {
        break_off(c, NR_EUNAVAIL);
        return;
    }
    w->ready = true;
    if (c->call && (r = send_call(c)) < 0)
        break_off(c, r);
}

static int connect_wire(struct nr_http_client *c)
{
    struct wire *w = nr_alloc(sizeof(*w));
    int r = c->socket_path ? uv_pipe_init(&c->loop->uv, &w->h.pipe, 0)
                           : uv_tcp_init(&c->loop->uv, &w->h.tcp);

    if (r < 0) {
        free(w);
        return NR_EUNAVAIL;
    }
    w->client = c;
    w->h.any.data = w;
    nr_buf_init(&w->out, OUT_MAX_BYTES);
    c->wire = w;
    c->wires++;
    if (c->socket_path) {
        uv_pipe_connect(&w->connect, &w->h.pipe, c->socket_path, on_connect);
        return 0;
    }
    r = uv_tcp_connect(&w->connect, &w->h.tcp, (const struct sockaddr *)&c->address, on_connect);
    (void)uv_tcp_nodelay(&w->h.tcp, 1);
    return r < 0 ? NR_EUNAVAIL : 0;
}

/* ---- the port ---- */

int nr_http_client_open(struct nr_loop *l, const char *address, size_t reply_max_bytes,
                        struct nr_http_client **ret, struct nr_err *err)
{
    static const char unix_prefix[] = "unix:";
    bool is_unix = nr_str_starts(nr_str_of(address), unix_prefix);
    struct sockaddr_storage addr = {0};
    struct nr_http_client *c;

    if (is_unix &&
        strlen(address + strlen(unix_prefix)) >= sizeof(((struct sockaddr_un *)0)->sun_path))
        return nr_err_set(err, NR_EINVAL, "path of a unix socket is too long: %s", address);
    if (!is_unix && nr_net_address(address, &addr) < 0)
        return nr_err_set(err, NR_EINVAL, "not an address and a port, as in 127.0.0.1:3233: %s",
                          address);
    c = nr_alloc(sizeof(*c));
    c->loop = l;
    c->address = addr;
    c->socket_path = is_unix ? nr_strdup(address + strlen(unix_prefix)) : NULL;
    nr_buf_init(&c->reply, reply_max_bytes);
    *ret = c;
    return 0;
}

int nr_http_client_call(struct nr_http_client *c, struct nr_http_call *call)
{
    int r = 0;

    if (c->call || c->closing)
        return NR_EBUSY;
    c->call = call;
    c->failed = 0;
    call->client = c;
    call->err = call->status = 0;
    call->reply = (struct nr_str){NULL, 0};
    call->deadline = (struct nr_deadline){.fire = on_deadline};
    if (call->timeout_ms)
        nr_deadline_set(c->loop, &call->deadline, call->timeout_ms);
    if (c->wire == NULL)
        r = connect_wire(c);
    else if (c->wire->ready)
        r = send_call(c);
    if (r < 0)
        fail_soon(c, r);
    return 0;
}

void nr_http_client_close(struct nr_http_client *c, void (*closed)(void *arg), void *arg)
{
    if (c == NULL) {
        if (closed)
            closed(arg);
        return;
    }
    c->closing = true;
    drop_wire(c);
    if (c->call)
        finish(c, NR_ECANCELED);
    c->closed = closed;
    c->closed_arg = arg;
    free_if_unused(c);
}

void nr_http_call_head(struct nr_buf *out, const char *method, const char *target, const char *host,
                       const char *extra_lines, size_t body_bytes)
{
    nr_buf_printf(out, "%s %s HTTP/1.1\r\nHost: %s\r\n", method, target, host);
    if (body_bytes > 0 || strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0 ||
        strcmp(method, "PATCH") == 0)
        nr_buf_printf(out, "Content-Length: %zu\r\n", body_bytes);
    nr_buf_adds(out, extra_lines ? extra_lines : "");
    nr_buf_adds(out, "\r\n");
}
