/* What the files of the stream share. Private to common/net.
 *
 *   stream.c         one stream: reading frames, the silence watch, its end
 *   stream_write.c   sending, what waits to be sent, the last words
 *   stream_dial.c    addresses, dialing
 *   stream_listen.c  listeners, and what they took
 */
#ifndef NR_COMMON_NET_STREAM_CONN_H
#define NR_COMMON_NET_STREAM_CONN_H

#include "common/base/buf.h"
#include "common/net/stream.h"
#include "common/net/tls_conn.h"

struct nr_stream {
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } u;
    struct nr_stream_config config;
    struct nr_tls_conn *tls;
    struct nr_deadline
        deadline; /* until it is open; then the silence watch; then of the last words */
    uint64_t heard_ms;
    bool is_pipe, connected, is_open, writing, closing, finishing, crowded;
    bool suspected; /* it was silent for too long when it was looked at last */
    bool reopening; /* the handle is closed to be made anew, for another address of the host */
    bool quiet;     /* its owner has closed it: no hook comes any more */
    int code;       /* why it ended, and the sentence; the first counts */
    char why[200];
    char peer[NR_STREAM_PEER_BYTES];

    /* the frame that is being read */
    _Alignas(16) char head[NR_STREAM_HEAD_MAX_BYTES];
    size_t head_n;
    int64_t length; /* of its payload; -1: the header is not whole */
    struct nr_buf payload;

    /* `out` is what libuv writes now, `later` waits for it */
    struct nr_buf out, later;
    uv_write_t write;

    struct stream_dial *dial; /* while it is being dialed */
};

/* A stream with its handle initialized, or NULL. pipe: of a unix socket; else of this address family. */
struct nr_stream *nr_stream_make(struct nr_loop *l, bool pipe, int family);
/* Its socket is connected: TLS, if there is to be any, and reading begin. */
void nr_stream_start(struct nr_stream *s, struct nr_tls *tls);
/* Its handle is closed: tells the owner and frees. */
void nr_stream_closed(uv_handle_t *h);
/* Frames may be sent from now on: tells the owner. */
void nr_stream_open_now(struct nr_stream *s);
/* As nr_stream_fail(), for a libuv error. */
void nr_stream_fail_uv(struct nr_stream *s, const char *what, int status);

/* ---- stream_write.c ---- */
/* Sends what the TLS layer has made. */
void nr_stream_send_tls(struct nr_stream *s);
/* After a write: are the last words out? */
void nr_stream_look_if_over(struct nr_stream *s);

/* ---- stream_dial.c ---- */
/* It closes: nothing of the dial comes back to it. */
void nr_stream_dial_end(struct nr_stream *s);

#endif
