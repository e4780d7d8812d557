/* Reply -> bytes. Head and body leave in one writev; what the socket does not take at once is copied and written by libuv, and what
 * comes meanwhile is gathered for the write after it.
 * The reply is over when it is whole and nothing waits: the connection then goes into server->ended, and the request ends at the
 * turn's end, never inside a call of its owner. A connection that breaks here is closed; its owner hears of it by on_gone.
 */
#include "common/net/http_conn.h"

#include <stdio.h>

#include "common/base/clock.h"

#define CROWDED_BYTES (64 << 10) /* above it the owner wants to hear when fewer wait */
#define DATE_EVERY_MS 500

static const struct {
    int status;
    const char *text;
} statuses[] = {
    {200, "OK"},
    {202, "Accepted"},
    {201, "Created"},
    {204, "No Content"},
    {206, "Partial Content"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {303, "See Other"},
    {304, "Not Modified"},
    {307, "Temporary Redirect"},
    {308, "Permanent Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {417, "Expectation Failed"},
    {422, "Unprocessable Content"},
    {423, "Locked"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
    {507, "Insufficient Storage"},
};

const char *nr_http_status_text(int status)
{
    for (size_t i = 0; i < nr_countof(statuses); i++) {
        if (statuses[i].status == status)
            return statuses[i].text;
    }
    return "Status";
}

/* ---- sending ---- */

size_t nr_http_writing(const struct nr_http_conn *c)
{
    return uv_stream_get_write_queue_size((const uv_stream_t *)&c->tcp);
}

size_t nr_http_unsent(const struct nr_http_conn *c)
{
    return nr_http_writing(c) + c->later.n;
}

/* Whole and written: the end of the request is told when this turn ends. */
static void look_if_over(struct nr_http_conn *c)
{
    if (!c->r || c->r->stage != NR_HTTP_R_DONE || nr_list_linked(&c->ended))
        return;
    if (c->closed || (!c->writing && c->later.n == 0))
        nr_list_add(&c->server->ended, &c->ended);
}

static void on_written(uv_write_t *write, int status);

static void write_out(struct nr_http_conn *c)
{
    uv_buf_t buf = uv_buf_init(c->out.p, (unsigned)c->out.n);

    if (uv_write(&c->write, (uv_stream_t *)&c->tcp, &buf, 1, on_written) < 0) {
        nr_http_conn_close(c);
        return;
    }
    c->writing = true;
    c->stalled_bytes = nr_http_writing(c);
    if (c->phase == NR_HTTP_P_WORK)
        nr_http_conn_limit(c, c->server->config.write_timeout_ms);
}

static void on_written(uv_write_t *write, int status)
{
    struct nr_http_conn *c = write->handle->data;
    struct nr_buf written = c->out;

    c->writing = false;
    if (status < 0) {
        if (status != UV_ECANCELED)
            nr_http_conn_close(c);
        return;
    }
    nr_loop_enter(c->server->loop);
    c->out = c->later;
    c->later = written;
    nr_buf_reset(&c->later, 0);
    if (c->out.n > 0)
        write_out(c);
    else if (c->phase == NR_HTTP_P_WORK)
        nr_http_conn_limit(c, 0);
    if (c->crowded && nr_http_unsent(c) < CROWDED_BYTES) {
        c->crowded = false;
        if (c->r && c->r->stage == NR_HTTP_R_PARTS && c->server->hooks.on_drained)
            c->server->hooks.on_drained(c->r);
    }
    look_if_over(c);
}

static void keep_rest(struct nr_http_conn *c, struct nr_buf *where, const uv_buf_t bufs[2],
                      size_t sent)
{
    for (int i = 0; i < 2; i++) {
        size_t skip = sent < bufs[i].len ? sent : bufs[i].len;

        nr_buf_add(where, bufs[i].base + skip, bufs[i].len - skip);
        sent -= skip;
    }
    if (where->failed)
        nr_http_conn_close(c);
}

static void send_raw(struct nr_http_conn *c, struct nr_str head, struct nr_str body)
{
    union {
        const char *lent;
        char *base; /* libuv's type is not const; it only reads */
    } p0 = {head.p}, p1 = {body.p};
    uv_buf_t bufs[2] = {{.base = p0.base, .len = head.n}, {.base = p1.base, .len = body.n}};
    int sent;

    if (c->phase == NR_HTTP_P_CLOSING)
        return;
    if (c->writing) {
        keep_rest(c, &c->later, bufs, 0);
        return;
    }
    sent = uv_try_write((uv_stream_t *)&c->tcp, bufs, body.n ? 2 : 1);
    if (sent < 0 && sent != UV_EAGAIN) {
        nr_http_conn_close(c);
        return;
    }
    sent = sent < 0 ? 0 : sent;
    if ((size_t)sent == head.n + body.n)
        return;
    nr_buf_reset(&c->out, 0);
    keep_rest(c, &c->out, bufs, (size_t)sent);
    if (c->phase != NR_HTTP_P_CLOSING)
        write_out(c);
}

void nr_http_send_tls(struct nr_http_conn *c)
{
    struct nr_str pending = nr_tls_conn_pending(c->tls);

    if (pending.n == 0)
        return;
    send_raw(c, pending, (struct nr_str){NULL, 0});
    nr_tls_conn_sent(c->tls);
}

void nr_http_send(struct nr_http_conn *c, struct nr_str head, struct nr_str body)
{
    if (c->tls == NULL) {
        send_raw(c, head, body);
        return;
    }
    if (c->phase == NR_HTTP_P_CLOSING)
        return;
    if (nr_tls_conn_write(c->tls, head) < 0 || nr_tls_conn_write(c->tls, body) < 0) {
        nr_http_conn_close(c);
        return;
    }
    nr_http_send_tls(c);
}

/* ---- heads ---- */

static void add_date(struct nr_http_server *s, struct nr_buf *out)
{
    if (s->date[0] == '\0' || s->loop->now_ms - s->date_ms >= DATE_EVERY_MS) {
        static const char days[][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
        static const char months[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
        time_t now = (time_t)(nr_wall_ms() / 1000);
        struct tm t;

        (void)gmtime_r(&now, &t);
        (void)snprintf(s->date, sizeof(s->date), "Date: %s, %02u %s %04u %02u:%02u:%02u GMT\r\n",
                       days[t.tm_wday % 7], (unsigned)t.tm_mday % 100, months[t.tm_mon % 12],
                       (unsigned)(t.tm_year + 1900) % 10000, (unsigned)t.tm_hour % 100,
                       (unsigned)t.tm_min % 100, (unsigned)t.tm_sec % 100);
        s->date_ms = s->loop->now_ms;
    }
    nr_buf_adds(out, s->date);
}

static bool bodiless(int status)
{
    return status == 204 || status == 304;
}

/* body_bytes: SIZE_MAX for a reply in parts. */
static struct nr_str make_head(struct nr_http_conn *c, int status, struct nr_str headers,
                               size_t body_bytes)
{
    struct nr_http_server *s = c->server;
    struct nr_buf *out = &s->scratch;

    nr_buf_reset(out, 64 << 10);
    nr_buf_add(out, "HTTP/1.1 ", 9);
    nr_buf_addu(out, (unsigned)status);
    nr_buf_addc(out, ' ');
    nr_buf_adds(out, nr_http_status_text(status));
    nr_buf_add(out, "\r\n", 2);
    add_date(s, out);
    if (s->config.extra_headers)
        nr_buf_adds(out, s->config.extra_headers);
    nr_buf_add(out, headers.p, headers.n);
    if (body_bytes != SIZE_MAX && !bodiless(status)) {
        nr_buf_adds(out, "Content-Length: ");
        nr_buf_addu(out, body_bytes);
        nr_buf_add(out, "\r\n", 2);
    } else if (c->chunked_reply) {
        nr_buf_adds(out, "Transfer-Encoding: chunked\r\n");
    }
    c->keep = c->keep && !s->draining && !(s->parting && c->tls);
    if (!c->keep)
        nr_buf_adds(out, "Connection: close\r\n");
    else if (c->http10)
        nr_buf_adds(out, "Connection: keep-alive\r\n");
    nr_buf_add(out, "\r\n", 2);
    if (out->failed)
        nr_http_conn_close(c); /* no head, no reply: the client sees the connection end */
    return nr_buf_str(out);
}

/* What every reply checks and settles first. */
static struct nr_http_conn *begin_reply(struct nr_http_req *r, int status)
{
    struct nr_http_conn *c = r->conn;

    nr_check(r->stage != NR_HTTP_R_DONE && r->stage != NR_HTTP_R_PARTS);
    nr_check(status >= 200 && status <= 999);
    if (!c->message_done)
        c->keep = false;
    if (c->phase == NR_HTTP_P_HEAD || c->phase == NR_HTTP_P_BODY) {
        c->phase = NR_HTTP_P_WORK;
        nr_http_conn_limit(c, 0);
    }
    return c;
}

void nr_http_reply(struct nr_http_req *r, int status, struct nr_str headers, struct nr_str body)
{
    struct nr_http_conn *c = begin_reply(r, status);

    if (c->phase != NR_HTTP_P_CLOSING) {
        struct nr_str head = make_head(c, status, headers, body.n);

        if (r->method == NR_HTTP_HEAD || bodiless(status))
            body.n = 0;
        nr_http_send(c, head, body);
    }
    r->stage = NR_HTTP_R_DONE;
    look_if_over(c);
}

void nr_http_reply_begin(struct nr_http_req *r, int status, struct nr_str headers)
{
    struct nr_http_conn *c = begin_reply(r, status);

    c->chunked_reply = !c->http10 && !bodiless(status);
    if (c->http10)
        c->keep = false; /* the end of the connection is the end of the body */
    r->stage = NR_HTTP_R_PARTS;
    if (c->phase != NR_HTTP_P_CLOSING)
        nr_http_send(c, make_head(c, status, headers, SIZE_MAX), (struct nr_str){NULL, 0});
}

size_t nr_http_reply_part(struct nr_http_req *r, struct nr_str bytes)
{
    struct nr_http_conn *c = r->conn;
    struct nr_buf *out = &c->server->scratch;
    size_t waits;

    nr_check(r->stage == NR_HTTP_R_PARTS);
    if (c->phase == NR_HTTP_P_CLOSING || r->method == NR_HTTP_HEAD)
        return 0;
    if (!c->chunked_reply) {
        nr_http_send(c, bytes, (struct nr_str){NULL, 0});
    } else if (bytes.n > 0) { /* a chunk of none would be the last one */
        nr_buf_reset(out, 64 << 10);
        nr_buf_printf(out, "%zx\r\n", bytes.n);
        nr_http_send(c, nr_buf_str(out), bytes);
        nr_http_send(c, NR_STR("\r\n"), (struct nr_str){NULL, 0});
    }
    waits = c->phase == NR_HTTP_P_CLOSING ? 0 : nr_http_unsent(c);
    c->crowded = c->crowded || waits > CROWDED_BYTES;
    return waits;
}

void nr_http_reply_end(struct nr_http_req *r)
{
    struct nr_http_conn *c = r->conn;

    nr_check(r->stage == NR_HTTP_R_PARTS);
    if (c->phase != NR_HTTP_P_CLOSING && c->chunked_reply && r->method != NR_HTTP_HEAD)
        nr_http_send(c, NR_STR("0\r\n\r\n"), (struct nr_str){NULL, 0});
    r->stage = NR_HTTP_R_DONE;
    look_if_over(c);
}
