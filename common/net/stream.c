/* One stream, from a connected socket to its end.
 *
 * Happy: start -> [TLS handshake] -> opened -> on_read() cuts bytes into frames -> `frame` for each -> the peer closes -> ended.
 * Fails: whatever goes wrong is kept as code and sentence, the first counts, and the handle is closed; `ended` comes in its close callback, so never
 * from inside a call of the owner.
 * Slow: a payload's memory grows as its bytes come, so an announced length costs nothing.
 * Silent: the deadline looks at heard_ms; any byte counts, so a peer that is busy sending is alive.
 */
#include "common/net/stream_conn.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "common/base/clock.h"

enum { READ_BYTES = 64 << 10, KEEP_BYTES = 64 << 10, WATCH_PARTS = 8 };

/* ---- the end ---- */

void nr_stream_closed(uv_handle_t *h)
{
    struct nr_stream *s = h->data;

    nr_tls_conn_free(s->tls);
    nr_buf_fini(&s->payload);
    nr_buf_fini(&s->out);
    nr_buf_fini(&s->later);
    if (!s->quiet && s->config.hooks)
        s->config.hooks->ended(s->config.arg, s->code, s->why);
    free(s);
}

static void end(struct nr_stream *s)
{
    if (s->closing)
        return;
    s->closing = true;
    nr_deadline_cancel(&s->deadline);
    nr_stream_dial_end(s);
    if (!s->reopening) /* else it is being closed */
        uv_close(&s->u.handle, nr_stream_closed);
}

void nr_stream_fail(struct nr_stream *s, int code, const char *why)
{
    if (s->code == 0) {
        s->code = code;
        (void)snprintf(s->why, sizeof(s->why), "%s", why);
    }
    end(s);
}

void nr_stream_fail_uv(struct nr_stream *s, const char *what, int status)
{
    char why[sizeof(s->why)];

    (void)snprintf(why, sizeof(why), "%s: %s", what, uv_strerror(status));
    nr_stream_fail(s, nr_err_from_errno(status), why);
}

void nr_stream_close(struct nr_stream *s)
{
    if (s == NULL)
        return;
    s->quiet = true;
    end(s);
}

/* ---- time ---- */

static void watch(struct nr_stream *s)
{
    if (s->config.silence_ms)
        nr_deadline_set(s->config.loop, &s->deadline, s->config.silence_ms / WATCH_PARTS + 1);
}

static void on_deadline(struct nr_deadline *d)
{
    struct nr_stream *s = nr_container_of(d, struct nr_stream, deadline);
    uint64_t silent_ms = s->config.loop->now_ms - s->heard_ms;
    char why[80];

    if (s->finishing) {
        nr_stream_close(s);
    } else if (!s->is_open && s->connected && s->tls == NULL) {
        nr_stream_open_now(s);
    } else if (!s->is_open) {
        nr_stream_fail(s, NR_ETIMEOUT, "the connection was not open in time");
    } else if (silent_ms >= s->config.silence_ms && !s->suspected) {
        s->suspected = true; /* it may be we who slept: what has come meanwhile is read first */
        nr_deadline_set(s->config.loop, d, 1);
    } else if (silent_ms >= s->config.silence_ms) {
        (void)snprintf(why, sizeof(why), "nothing was heard for %llu ms",
                       (unsigned long long)silent_ms);
        nr_stream_fail(s, NR_ETIMEOUT, why);
    } else {
        s->suspected = false;
        watch(s);
    }
}

/* ---- frames ---- */

/* The header is whole: how much follows it? */
static void judge_head(struct nr_stream *s)
{
    s->length = s->config.hooks->length(s->config.arg, s->head);
    if (s->length < 0 && !s->closing)
        nr_stream_fail(s, (int)s->length, "a frame that may not be sent");
    nr_buf_reset(&s->payload, KEEP_BYTES);
    s->payload.max_bytes = s->length > 0 ? (size_t)s->length : 0;
}

static void give_frame(struct nr_stream *s)
{
    int r = s->config.hooks->frame(s->config.arg, s->head, nr_buf_str(&s->payload));

    s->head_n = 0;
    s->length = -1;
    if (r < 0)
        nr_stream_fail(s, r, "a frame that breaks the protocol");
}

/* Takes a part of the bytes for what is being read; returns how many. */
static size_t take_some(struct nr_stream *s, const char *p, size_t n)
{
    size_t want;

    if (s->length < 0) {
        want = s->config.hooks->head_bytes - s->head_n;
        want = want < n ? want : n;
        memcpy(s->head + s->head_n, p, want);
        s->head_n += want;
        if (s->head_n == s->config.hooks->head_bytes)
            judge_head(s);
    } else {
        want = (size_t)s->length - s->payload.n;
        want = want < n ? want : n;
        nr_buf_add(&s->payload, p, want);
        if (s->payload.failed)
            nr_stream_fail(s, NR_ENOMEM, "out of memory");
    }
    return want;
}

static void take(struct nr_stream *s, const char *p, size_t n)
{
    while (n > 0 && !s->closing && !s->finishing) {
        size_t took = take_some(s, p, n);

        p += took;
        n -= took;
        if (!s->closing && s->length >= 0 && s->payload.n == (size_t)s->length)
            give_frame(s);
    }
}

/* ---- reading ---- */

void nr_stream_open_now(struct nr_stream *s)
{
    s->is_open = true;
    s->heard_ms = s->config.loop->now_ms;
    nr_deadline_cancel(&s->deadline);
    watch(s);
    if (s->config.hooks->opened)
        s->config.hooks->opened(s->config.arg);
}

static void tls_failed(struct nr_stream *s)
{
    if (nr_tls_conn_mistaken(s->tls))
        nr_stream_fail(s, NR_EAUTH,
                       "the server's certificate has another public key than the pin says");
    else
        nr_stream_fail(s, NR_EPROTO,
                       s->is_open ? "what came is no TLS of this connection"
                                  : "the TLS handshake failed");
}

static void take_tls(struct nr_stream *s, struct nr_str bytes)
{
    char plain[16 << 10];
    ssize_t n = 1;

    if (nr_tls_conn_feed(s->tls, bytes) < 0) {
        nr_stream_fail(s, NR_ENOMEM, "out of memory");
        return;
    }
    while (n > 0 && !s->closing && !s->finishing) {
        n = nr_tls_conn_read(s->tls, plain, sizeof(plain));
        nr_stream_send_tls(s); /* also the alert that says why */
        if (!s->is_open && !s->closing && n >= 0 && nr_tls_conn_is_open(s->tls))
            nr_stream_open_now(s);
        if (n > 0)
            take(s, plain, (size_t)n);
    }
    if (s->finishing)
        return;
    if (n == NR_ECLOSED)
        nr_stream_fail(s, NR_ECLOSED, "the peer closed the connection");
    else if (n < 0)
        tls_failed(s);
}

/* Every read of a loop goes through this one: what came is taken before the callback returns. */
static void on_alloc(uv_handle_t *h, size_t hint, uv_buf_t *buf)
{
    char *room = nr_try_realloc(NULL, READ_BYTES);

    *buf = uv_buf_init(room, room ? READ_BYTES : 0);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct nr_stream *s = stream->data;

    if (n > 0 && !s->finishing) {
        nr_loop_enter(s->config.loop);
        s->heard_ms = s->config.loop->now_ms;
        if (!s->is_open && s->tls == NULL)
            nr_stream_open_now(s);
        if (s->tls)
            take_tls(s, (struct nr_str){buf->base, (size_t)n});
        else
            take(s, buf->base, (size_t)n);
    } else if (n == UV_EOF) {
        nr_stream_fail(s, NR_ECLOSED, "the peer closed the connection");
    } else if (n < 0) {
        nr_stream_fail_uv(s, "reading", (int)n);
    }
    free(buf->base);
}

/* ---- the start ---- */

struct nr_stream *nr_stream_make(struct nr_loop *l, bool pipe, int family)
{
    struct nr_stream *s = nr_try_alloc(sizeof(*s));

    if (s == NULL)
        return NULL;
    if ((pipe ? uv_pipe_init(&l->uv, &s->u.pipe, 0)
              : uv_tcp_init_ex(&l->uv, &s->u.tcp, (unsigned)family)) < 0) {
        free(s);
        return NULL;
    }
    s->u.handle.data = s;
    s->config.loop = l;
    s->is_pipe = pipe;
    s->length = -1;
    s->deadline.fire = on_deadline;
    nr_buf_init(&s->payload, SIZE_MAX / 2);
    nr_buf_init(&s->out, SIZE_MAX / 2);
    nr_buf_init(&s->later, SIZE_MAX / 2);
    return s;
}

static void name_peer(struct nr_stream *s)
{
    struct sockaddr_storage addr;
    int n = sizeof(addr);

    (void)snprintf(s->peer, sizeof(s->peer), "unix");
    if (s->is_pipe || uv_tcp_getpeername(&s->u.tcp, (struct sockaddr *)&addr, &n) < 0)
        return;
    if (addr.ss_family == AF_INET)
        (void)uv_ip4_name((const struct sockaddr_in *)&addr, s->peer, sizeof(s->peer));
    else
        (void)uv_ip6_name((const struct sockaddr_in6 *)&addr, s->peer, sizeof(s->peer));
}

/* Small frames leave at once, and what nobody acknowledges is given up when silence would be. */
static void set_options(struct nr_stream *s)
{
    unsigned patience_ms = (unsigned)s->config.silence_ms;
    uv_os_fd_t fd;

    if (s->is_pipe)
        return;
    (void)uv_tcp_nodelay(&s->u.tcp, 1);
    if (patience_ms && uv_fileno(&s->u.handle, &fd) == 0)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &patience_ms, sizeof(patience_ms));
}

void nr_stream_begin(struct nr_stream *s, const struct nr_stream_config *c)
{
    s->config = *c;
    nr_check(c->hooks->head_bytes <= sizeof(s->head) && c->open_ms > 0);
    s->heard_ms = c->loop->now_ms;
    set_options(s);
    if (!s->closing) /* one that needs no handshake opens at the next turn */
        nr_deadline_set(c->loop, &s->deadline, s->connected && !s->tls ? 0 : c->open_ms);
}

void nr_stream_start(struct nr_stream *s, struct nr_tls *tls)
{
    s->connected = true;
    name_peer(s);
    set_options(s);
    if (tls && (s->tls = nr_tls_conn_make(tls)) == NULL) {
        nr_stream_fail(s, NR_ENOMEM, "out of memory");
        return;
    }
    int r = uv_read_start(&s->u.stream, on_alloc, on_read);

    if (r < 0) {
        nr_stream_fail_uv(s, "reading", r);
    } else if (s->tls) {
        nr_tls_conn_greet(s->tls); /* a server has nothing to say yet */
        nr_stream_send_tls(s);
    }
}

int nr_stream_adopt(const struct nr_stream_config *c, int fd, struct nr_tls *tls,
                    struct nr_stream **ret, struct nr_err *err)
{
    int family = 0;
    socklen_t n = sizeof(family);
    nr_auto_close int taken = fd;

    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &n) < 0)
        return nr_err_set(err, NR_EIO, "not a socket");
    struct nr_stream *s = nr_stream_make(c->loop, family == AF_UNIX, AF_UNSPEC);

    if (s == NULL)
        return nr_err_set(err, NR_ENOMEM, "out of memory");
    int r = s->is_pipe ? uv_pipe_open(&s->u.pipe, taken) : uv_tcp_open(&s->u.tcp, taken);

    if (r < 0) {
        nr_stream_close(s);
        return nr_err_set(err, NR_EIO, "cannot take the socket: %s", uv_strerror(r));
    }
    (void)nr_steal_fd(&taken);
    nr_stream_start(s, tls);
    nr_stream_begin(s, c);
    *ret = s;
    return 0;
}

/* ---- what it is ---- */

const char *nr_stream_peer(const struct nr_stream *s)
{
    return s->peer;
}

int64_t nr_stream_peer_uid(const struct nr_stream *s)
{
    struct ucred who;
    socklen_t n = sizeof(who);
    uv_os_fd_t fd;

    if (!s->is_pipe || uv_fileno(&s->u.handle, &fd) < 0 ||
        getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &n) < 0)
        return -1;
    return who.uid;
}
