/* Sending. What the socket takes at once is never copied; the rest waits in `out`, which libuv writes, and what comes meanwhile in `later`, which
 * is written next. The sum is bounded: a peer that does not read ends its own stream and delays nobody else.
 */
#include <sys/socket.h>

#include "common/net/stream_conn.h"

enum { PARTS_MAX = 8, LAST_WORDS_MS = 2000 };

size_t nr_stream_unsent(const struct nr_stream *s)
{
    return uv_stream_get_write_queue_size(&s->u.stream) + s->later.n;
}

/* ---- writing ---- */

static void on_written(uv_write_t *write, int status);

static void write_out(struct nr_stream *s)
{
    uv_buf_t buf = uv_buf_init(s->out.p, (unsigned)s->out.n);
    int r = uv_write(&s->write, &s->u.stream, &buf, 1, on_written);

    if (r < 0)
        nr_stream_fail_uv(s, "writing", r);
    else
        s->writing = true;
}

static void tell_drained(struct nr_stream *s)
{
    if (!s->crowded || s->closing || nr_stream_unsent(s) >= s->config.water_bytes / 2)
        return;
    s->crowded = false;
    if (s->config.hooks->drained && !s->finishing)
        s->config.hooks->drained(s->config.arg);
}

static void on_written(uv_write_t *write, int status)
{
    struct nr_stream *s = write->handle->data;
    struct nr_buf written = s->out;

    s->writing = false;
    if (status < 0) {
        if (status != UV_ECANCELED)
            nr_stream_fail_uv(s, "writing", status);
        return;
    }
    nr_loop_enter(s->config.loop);
    s->out = s->later;
    s->later = written;
    nr_buf_reset(&s->later, 0);
    if (s->out.n > 0 && !s->closing)
        write_out(s);
    tell_drained(s);
    nr_stream_look_if_over(s);
}

/* Keeps what of the parts follows the first `sent` bytes. */
static void keep_rest(struct nr_stream *s, struct nr_buf *where, const struct nr_str *parts,
                      size_t count, size_t sent)
{
    for (size_t i = 0; i < count; i++) {
        size_t skip = sent < parts[i].n ? sent : parts[i].n;

        nr_buf_add(where, parts[i].p + skip, parts[i].n - skip);
        sent -= skip;
    }
    if (where->failed)
        nr_stream_fail(s, NR_ENOMEM, "out of memory");
}

/* What goes out at once; < 0: it has failed. */
static ssize_t try_write(struct nr_stream *s, const struct nr_str *parts, size_t count)
{
    uv_buf_t bufs[PARTS_MAX];
    unsigned n = 0;

    for (size_t i = 0; i < count; i++) {
        union {
            const char *lent;
            char *base; /* libuv's type is not const; it only reads */
        } p = {parts[i].p};

        if (parts[i].n > 0)
            bufs[n++] = uv_buf_init(p.base, (unsigned)parts[i].n);
    }
    int r = uv_try_write(&s->u.stream, bufs, n);

    if (r >= 0 || r == UV_EAGAIN)
        return r < 0 ? 0 : r;
    nr_stream_fail_uv(s, "writing", r);
    return -1;
}

static void send_raw(struct nr_stream *s, const struct nr_str *parts, size_t count, size_t bytes)
{
    if (s->closing || bytes == 0)
        return;
    if (s->writing) {
        keep_rest(s, &s->later, parts, count, 0);
        return;
    }
    ssize_t sent = try_write(s, parts, count);

    if (sent < 0 || (size_t)sent == bytes)
        return;
    nr_buf_reset(&s->out, 0);
    keep_rest(s, &s->out, parts, count, (size_t)sent);
    if (!s->closing)
        write_out(s);
}

void nr_stream_send_tls(struct nr_stream *s)
{
    struct nr_str pending = nr_tls_conn_pending(s->tls);

    if (pending.n == 0)
        return;
    send_raw(s, &pending, 1, pending.n);
    nr_tls_conn_sent(s->tls);
}

static void send_sealed(struct nr_stream *s, const struct nr_str *parts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (nr_tls_conn_write(s->tls, parts[i]) < 0) {
            nr_stream_fail(s, NR_EPROTO, "the TLS connection takes nothing");
            return;
        }
    }
    nr_stream_send_tls(s);
}

void nr_stream_send(struct nr_stream *s, const struct nr_str *parts, size_t count)
{
    size_t bytes = 0;
    char why[96];

    nr_check(count <= PARTS_MAX);
    if (s->closing || s->finishing)
        return;
    for (size_t i = 0; i < count; i++)
        bytes += parts[i].n;
    if (nr_stream_unsent(s) + bytes > s->config.unsent_max_bytes) {
        (void)snprintf(why, sizeof(why), "more than %zu bytes wait to be taken by the peer",
                       s->config.unsent_max_bytes);
        nr_stream_fail(s, NR_ETOOBIG, why);
        return;
    }
    if (s->tls)
        send_sealed(s, parts, count);
    else
        send_raw(s, parts, count, bytes);
    if (s->config.water_bytes && !s->closing && nr_stream_unsent(s) > s->config.water_bytes)
        s->crowded = true;
}

/* ---- the last words ---- */

void nr_stream_look_if_over(struct nr_stream *s)
{
    uv_os_fd_t fd;

    if (!s->finishing || s->closing || s->writing || s->later.n > 0)
        return;
    /* What is unread of the peer would reset the connection, and the peer might lose our words: it is to close first. */
    if (uv_fileno(&s->u.handle, &fd) == 0)
        (void)shutdown(fd, SHUT_WR);
}

void nr_stream_finish(struct nr_stream *s)
{
    if (s->finishing)
        return;
    if (s->tls && !s->closing) {
        nr_tls_conn_shutdown(s->tls);
        nr_stream_send_tls(s);
    }
    s->quiet = s->finishing = true;
    if (s->closing)
        return;
    nr_deadline_set(s->config.loop, &s->deadline, LAST_WORDS_MS);
    nr_stream_look_if_over(s);
}
