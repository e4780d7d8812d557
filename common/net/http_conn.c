/* One connection, from accept to close.
 *
 * Happy: idle -> on_read() fills the buffer -> run() lets the parser take it (head, body, then the owner works) -> the reply is
 * written -> nr_http_conn_ended() tells on_end and looks at what the client sent ahead -> idle again, buffer given back.
 * Fails: what the server does not take is refused with a status, the rest of the input is dropped for a while (linger), closed.
 * Times out: 408 in the middle of a request, a plain close else.
 * Gone: end of the input while the owner works is told by on_gone; the reply is still tried, for the client may only have closed
 * its half. A broken connection is closed at once; the object waits for the owner's reply.
 * Freed: in the close callback, or when the owner's reply comes after it.
 */
#include "common/net/http_conn.h"

#include <sys/socket.h>
#include <unistd.h>

#define TLS_IN_BYTES (64 << 10)
#define LINGER_MS 2000
#define RATE_GRACE_MS 5000
#define RATE_CHECK_MS 1000
#define PACE_GRACE_PART 60        /* of the whole time nothing is asked */
#define OUT_MAX_BYTES (256 << 20) /* what one client may leave unread */

static void run(struct nr_http_conn *c);

static uint64_t now_ms(const struct nr_http_conn *c)
{
    return c->server->loop->now_ms;
}

/* ---- time limits ---- */

void nr_http_conn_limit(struct nr_http_conn *c, uint64_t after_ms)
{
    if (after_ms == 0 || c->phase == NR_HTTP_P_CLOSING) {
        c->due_ms = 0;
        return;
    }
    c->due_ms = now_ms(c) + after_ms;
    /* An armed deadline that fires before is as good: it looks at due_ms and arms itself again. So a request costs none. */
    if (!nr_deadline_armed(&c->deadline) || c->deadline.at_ms > c->due_ms + 1)
        nr_deadline_set(c->server->loop, &c->deadline, after_ms);
}

/* Of a body that goes to a file: is it where its pace wants it to be? */
static bool body_in_time(const struct nr_http_conn *c, uint64_t elapsed_ms)
{
    uint64_t within_ms = c->r->body_within_ms, grace_ms = within_ms / PACE_GRACE_PART;

    if (within_ms == 0 || elapsed_ms <= grace_ms)
        return true;
    return (double)c->body_n * (double)within_ms >=
           (double)c->body_bytes * (double)(elapsed_ms - grace_ms);
}

/* False: too slow. */
static bool body_fast_enough(const struct nr_http_conn *c, uint64_t elapsed_ms)
{
    const struct nr_http_config *config = &c->server->config;
    size_t got = c->body_bytes == SIZE_MAX ? c->chunks.n : c->body_n;

    if (c->spool ? !body_in_time(c, elapsed_ms)
                 : config->body_timeout_ms && elapsed_ms >= config->body_timeout_ms)
        return false;
    return elapsed_ms < RATE_GRACE_MS || got * 1000 / elapsed_ms >= config->body_min_rate_bytes_s;
}

void nr_http_conn_limit_body(struct nr_http_conn *c)
{
    uint64_t elapsed_ms = now_ms(c) - c->body_start_ms, most_ms = c->server->config.body_timeout_ms;
    uint64_t after_ms = elapsed_ms < RATE_GRACE_MS ? RATE_GRACE_MS - elapsed_ms : RATE_CHECK_MS;

    if (most_ms && !c->spool && elapsed_ms + after_ms > most_ms)
        after_ms = most_ms > elapsed_ms ? most_ms - elapsed_ms : 1;
    nr_http_conn_limit(c, after_ms);
}

static void on_limit(struct nr_http_conn *c)
{
    uint64_t elapsed_ms = now_ms(c) - c->body_start_ms;

    switch (c->phase) {
    case NR_HTTP_P_HEAD: nr_http_conn_refuse(c, 408); return;
    case NR_HTTP_P_BODY:
        if (body_fast_enough(c, elapsed_ms))
            nr_http_conn_limit_body(c);
        else
            nr_http_conn_refuse(c, 408);
        return;
    case NR_HTTP_P_WORK:
        if (nr_http_writing(c) != c->stalled_bytes) { /* slow, but it takes something */
            c->stalled_bytes = nr_http_writing(c);
            nr_http_conn_limit(c, c->server->config.write_timeout_ms);
            return;
        }
        nr_http_conn_close(c);
        return;
    case NR_HTTP_P_IDLE:
    case NR_HTTP_P_LINGER: nr_http_conn_close(c); return;
    case NR_HTTP_P_CLOSING: return;
    }
}

static void on_deadline(struct nr_deadline *d)
{
    struct nr_http_conn *c = nr_container_of(d, struct nr_http_conn, deadline);

    if (c->due_ms == 0)
        return;
    if (now_ms(c) < c->due_ms)
        nr_deadline_set(c->server->loop, d, c->due_ms - now_ms(c));
    else
        on_limit(c);
}

/* ---- the end of a request ---- */

/* Tells on_end, if the owner knows of the request, and gives back all it held. */
static void release(struct nr_http_conn *c)
{
    struct nr_http_server *s = c->server;
    struct nr_http_req *r = c->r;

    nr_list_del(&c->ended);
    if (c->seen && s->hooks.on_end)
        s->hooks.on_end(r);
    if (r->body_fd > 0 && c->spool == NULL)
        (void)close(r->body_fd);
    c->r = NULL;
    c->seen = false;
    s->stats.inflight_bytes -= c->reserved_bytes;
    c->reserved_bytes = 0;
    nr_http_req_give(s, r);
    nr_buf_fini(&c->chunks);
    free(c->body);
    c->body = NULL;
    nr_http_spool_end(c->spool);
    c->spool = NULL;
}

/* The reply is out and nothing may follow it. What was not read of the request is still coming: closing now would reset the
 * connection and the client might lose the reply. */
void nr_http_conn_part(struct nr_http_conn *c)
{
    uv_os_fd_t fd;

    if (c->tls) {
        nr_tls_conn_shutdown(c->tls);
        nr_http_send_tls(c);
    }
    if (c->message_done || c->eof || c->server->closing ||
        uv_fileno((uv_handle_t *)&c->tcp, &fd) < 0) {
        nr_http_conn_close(c);
        return;
    }
    (void)shutdown(fd, SHUT_WR);
    c->phase = NR_HTTP_P_LINGER;
    nr_http_conn_limit(c, LINGER_MS);
}

static void next_request(struct nr_http_conn *c)
{
    if (c->phase == NR_HTTP_P_CLOSING)
        return;
    if (!c->keep || (c->server->draining && !c->server->leaving)) {
        nr_http_conn_part(c);
        return;
    }
    c->served = true;
    nr_http_parse_reset(c);
    c->phase = NR_HTTP_P_IDLE;
    nr_http_conn_limit(c, c->server->config.idle_timeout_ms);
}

void nr_http_conn_ended(struct nr_http_conn *c)
{
    release(c);
    if (c->closed) {
        nr_http_conn_free(c);
        return;
    }
    next_request(c);
    run(c);
}

/* ---- the end of a connection ---- */

static void tell_gone(struct nr_http_conn *c)
{
    struct nr_http_req *r = c->r;

    if (c->gone_told || (r->stage != NR_HTTP_R_WORK && r->stage != NR_HTTP_R_PARTS))
        return;
    c->gone_told = true;
    r->gone = true;
    if (c->server->hooks.on_gone)
        c->server->hooks.on_gone(r);
}

static void on_closed(uv_handle_t *h)
{
    struct nr_http_conn *c = h->data;

    c->closed = true;
    if (c->r)
        tell_gone(c);
    if (c->r && (c->r->stage == NR_HTTP_R_WORK || c->r->stage == NR_HTTP_R_PARTS))
        return; /* the owner still owes its reply, which will free us */
    if (c->r) {
        c->r->gone = true;
        release(c);
    }
    nr_http_conn_free(c);
}

void nr_http_conn_close(struct nr_http_conn *c)
{
    if (c->phase == NR_HTTP_P_CLOSING)
        return;
    c->phase = NR_HTTP_P_CLOSING;
    c->due_ms = 0;
    nr_deadline_cancel(&c->deadline);
    uv_close((uv_handle_t *)&c->tcp, on_closed);
}

void nr_http_conn_refuse(struct nr_http_conn *c, int status)
{
    struct nr_http_server *s = c->server;
    struct nr_buf head, body;

    s->stats.refused++;
    c->phase = NR_HTTP_P_WORK;
    nr_buf_init(&head, 4096);
    nr_buf_init(&body, 4096);
    nr_buf_adds(&head, "Content-Type: application/json\r\n");
    if (status == 503)
        nr_buf_adds(&head, "Retry-After: 1\r\n");
    if (s->hooks.error_body)
        s->hooks.error_body(s->user, status, nr_http_status_text(status), &head, &body);
    c->keep = false;
    nr_http_reply(c->r, status, head.failed ? (struct nr_str){NULL, 0} : nr_buf_str(&head),
                  body.failed ? (struct nr_str){NULL, 0} : nr_buf_str(&body));
    nr_buf_fini(&head);
    nr_buf_fini(&body);
}

/* ---- reading ---- */

static void on_alloc(uv_handle_t *h, size_t hint, uv_buf_t *buf)
{
    struct nr_http_conn *c = h->data;

    if (c->tls || c->phase == NR_HTTP_P_LINGER) {
        if (c->server->tls_in == NULL)
            c->server->tls_in = nr_try_realloc(NULL, TLS_IN_BYTES);
        *buf = uv_buf_init(c->server->tls_in, c->server->tls_in ? TLS_IN_BYTES : 0);
        return;
    }
    buf->base = nr_http_parse_room(c, &buf->len);
}

static void pause_reading(struct nr_http_conn *c)
{
    (void)uv_read_stop((uv_stream_t *)&c->tcp);
    c->reading = false;
}

/* End of the input; what is whole is still answered. */
static void input_ended(struct nr_http_conn *c)
{
    c->eof = true;
    if (c->phase == NR_HTTP_P_CLOSING)
        return;
    pause_reading(c);
    if (c->phase == NR_HTTP_P_WORK && c->r)
        tell_gone(c);
    else
        nr_http_conn_close(c);
}

/* Takes decrypted bytes while there is room for them. */
static void pump_tls(struct nr_http_conn *c)
{
    while (c->phase != NR_HTTP_P_CLOSING && c->phase != NR_HTTP_P_LINGER) {
        size_t room_bytes;
        char *room = nr_http_parse_room(c, &room_bytes);
        ssize_t n;

        if (room_bytes == 0) {
            pause_reading(c);
            return;
        }
        n = nr_tls_conn_read(c->tls, room, room_bytes);
        nr_http_send_tls(c);
        if (n == 0 || c->phase == NR_HTTP_P_CLOSING)
            return;
        if (n == NR_ECLOSED) {
            input_ended(c);
            return;
        }
        if (n < 0) {
            nr_http_conn_close(c);
            return;
        }
        nr_http_parse_took(c, (size_t)n);
        run(c);
    }
}

/* An idle connection keeps no buffer. */
static void settle(struct nr_http_conn *c)
{
    if (c->phase != NR_HTTP_P_IDLE || c->in == NULL)
        return;
    nr_http_in_give(c->server, c->in);
    c->in = NULL;
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct nr_http_conn *c = stream->data;

    if (n == 0) {
        settle(c);
        return;
    }
    nr_loop_enter(c->server->loop);
    c->touched = true;
    if (nr_list_linked(&c->ended))
        nr_http_conn_ended(c);
    if (c->phase == NR_HTTP_P_CLOSING)
        return;
    if (n == UV_ENOBUFS) { /* no room while the owner works: wait for it; no memory else */
        if (c->phase == NR_HTTP_P_WORK || c->spool)
            pause_reading(c);
        else
            nr_http_conn_close(c);
    } else if (n == UV_EOF) {
        input_ended(c);
    } else if (n < 0) {
        nr_http_conn_close(c);
    } else if (c->phase == NR_HTTP_P_LINGER) {
        return;
    } else if (c->tls) {
        if (nr_tls_conn_feed(c->tls, (struct nr_str){buf->base, (size_t)n}) < 0)
            nr_http_conn_close(c);
        else
            pump_tls(c);
    } else {
        nr_http_parse_took(c, (size_t)n);
        run(c);
    }
    settle(c);
}

static void resume_reading(struct nr_http_conn *c)
{
    if (uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read) < 0)
        nr_http_conn_close(c);
    else
        c->reading = true;
}

static bool awaits_disk(const struct nr_http_conn *c)
{
    size_t room = 1;

    if (c->spool && c->phase == NR_HTTP_P_BODY)
        (void)nr_http_spool_room(c->spool, &room);
    return room == 0;
}

/* Lets the parser go on until it needs bytes or it is somebody else's turn. */
static void run(struct nr_http_conn *c)
{
    if (c->running)
        return;
    c->running = true;
    while (nr_http_parse(c)) {
        if (nr_list_linked(&c->ended)) {
            release(c);
            next_request(c);
        }
    }
    c->running = false;
    if (c->phase == NR_HTTP_P_CLOSING)
        return;
    if (c->eof && c->phase != NR_HTTP_P_WORK) {
        nr_http_conn_close(c);
        return;
    }
    settle(c);
    if (!c->reading && !c->eof && c->phase != NR_HTTP_P_WORK && !awaits_disk(c)) {
        resume_reading(c);
        if (c->tls)
            pump_tls(c);
    }
}

void nr_http_conn_go_on(struct nr_http_conn *c)
{
    if (c->phase == NR_HTTP_P_BODY)
        run(c);
}

/* ---- opening ---- */

static void name_peer(struct nr_http_conn *c)
{
    struct sockaddr_storage addr;
    int n = sizeof(addr);

    if (uv_tcp_getpeername(&c->tcp, (struct sockaddr *)&addr, &n) < 0)
        return;
    if (addr.ss_family == AF_INET)
        (void)uv_ip4_name((const struct sockaddr_in *)&addr, c->peer, sizeof(c->peer));
    else
        (void)uv_ip6_name((const struct sockaddr_in6 *)&addr, c->peer, sizeof(c->peer));
}

static struct nr_http_conn *make(struct nr_http_server *s)
{
    struct nr_http_conn *c = nr_try_alloc(sizeof(*c));

    if (c == NULL)
        return NULL;
    c->server = s;
    c->deadline.fire = on_deadline;
    c->tcp.data = c;
    nr_buf_init(&c->out, OUT_MAX_BYTES);
    nr_buf_init(&c->later, OUT_MAX_BYTES);
    if (uv_tcp_init(&s->loop->uv, &c->tcp) < 0) {
        free(c);
        return NULL;
    }
    nr_list_add(&s->conns, &c->link);
    s->stats.connections++;
    return c;
}

/* It has its socket, or does not. */
static void begin(struct nr_http_conn *c, bool whole)
{
    struct nr_http_server *s = c->server;

    if (!whole || (s->config.tls && (c->tls = nr_tls_conn_make(s->config.tls)) == NULL)) {
        nr_http_conn_close(c);
        return;
    }
    name_peer(c);
    c->phase = NR_HTTP_P_IDLE;
    c->keep = true;
    nr_http_conn_limit(c, c->tls ? s->config.header_timeout_ms : s->config.idle_timeout_ms);
    resume_reading(c);
}

bool nr_http_conn_open(struct nr_http_server *s, uv_stream_t *listener)
{
    struct nr_http_conn *c = make(s);

    if (c)
        begin(c, uv_accept(listener, (uv_stream_t *)&c->tcp) == 0);
    return c != NULL;
}

void nr_http_conn_take(struct nr_http_server *s, int fd)
{
    struct nr_http_conn *c = make(s);
    bool whole = c && uv_tcp_open(&c->tcp, fd) == 0;

    if (!whole)
        (void)close(fd);
    if (c)
        begin(c, whole);
}
