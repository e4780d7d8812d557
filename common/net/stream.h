/* A framed byte stream on the loop, for both ends of a link: TCP, with TLS when there is a context, or a unix socket.
 *
 * A frame is a header of a fixed size and as many bytes as its owner reads in it. Both ends are alike once they are open:
 *   dial, or a listener's connection -> [TLS handshake] -> `opened` -> `frame` ... -> `ended`, once; the stream is freed after it
 * Bytes that the peer does not take at once are copied and wait, up to a ceiling; above it the stream ends. Nothing was heard for silence_ms: it ends.
 * Loop's thread only. No hook is called from inside a call of this header.
 */
#ifndef NR_COMMON_NET_STREAM_H
#define NR_COMMON_NET_STREAM_H

#include "common/base/str.h"
#include "common/net/loop.h"
#include "common/net/tls.h"

struct nr_stream;
struct nr_stream_listener;

enum { NR_STREAM_HEAD_MAX_BYTES = 64, NR_STREAM_PEER_BYTES = 48 };

struct nr_stream_hooks {
    size_t head_bytes; /* of each frame's header */
    /* How many bytes follow this header (lent); < 0: an NR_E* that ends the stream. */
    int64_t (*length)(void *arg, const char *head);
    /* A whole frame, lent; the header is aligned as malloc() does. < 0: an NR_E* that ends the stream. */
    int (*frame)(void *arg, const char *head, struct nr_str payload);
    /* Frames may be sent: connected, and the server is who it is to be. May be NULL. */
    void (*opened)(void *arg);
    /* Less than half of water_bytes waits, after more than water_bytes did. May be NULL. */
    void (*drained)(void *arg);
    /* It is over, by itself; never after nr_stream_close(). s is gone when this returns. */
    void (*ended)(void *arg, int code, const char *why);
};

struct nr_stream_config {
    struct nr_loop *loop;
    const struct nr_stream_hooks *hooks; /* kept */
    void *arg;
    uint64_t open_ms;        /* until `opened`, at most */
    uint64_t silence_ms;     /* 0: no limit */
    size_t unsent_max_bytes; /* ceiling of what waits to be sent */
    size_t water_bytes;      /* see `drained`; 0: never */
};

/* Dials "tls://HOST:PORT" (tls: a client's, kept) or "unix:/PATH" (tls: NULL). *ret is made; what goes wrong from then on is told by `ended`.
 * NR_EINVAL when the address is none. */
int nr_stream_dial(const struct nr_stream_config *c, const char *address, struct nr_tls *tls,
                   struct nr_stream **ret, struct nr_err *err);
/* NR_EINVAL with a sentence when nr_stream_dial() would not take it; *ret_tls: it is one of TLS. */
int nr_stream_check_address(const char *address, bool *ret_tls, struct nr_err *err);
/* A stream over a connected socket (given). tls: of this end, kept; NULL: none. NR_EIO with a sentence; fd is closed then. */
int nr_stream_adopt(const struct nr_stream_config *c, int fd, struct nr_tls *tls,
                    struct nr_stream **ret, struct nr_err *err);

/* Listens on "ADDRESS:PORT" (port 0: any) or "unix:/PATH" (made 0600, what an earlier process left there goes). on_dialed: s is given;
 * nr_stream_begin() or nr_stream_close() is to be called at once. tls: a server's, kept; NULL: none. */
int nr_stream_listen(struct nr_loop *l, const char *address, struct nr_tls *tls,
                     void (*on_dialed)(void *arg, struct nr_stream *s), void *arg,
                     struct nr_stream_listener **ret, struct nr_err *err);
/* 0 for a unix socket. */
uint16_t nr_stream_listener_port(const struct nr_stream_listener *l);
/* Nobody is taken any more; streams stay. `closed` comes later; NULL: nobody waits. */
void nr_stream_listener_close(struct nr_stream_listener *l, void (*closed)(void *arg), void *arg);
/* Takes a connection of a listener; the hooks begin. */
void nr_stream_begin(struct nr_stream *s, const struct nr_stream_config *c);

/* Sends the parts (lent) in a row. After `ended` was due, or when too much waits, they are dropped, and `ended` comes. */
void nr_stream_send(struct nr_stream *s, const struct nr_str *parts, size_t count);
/* Bytes that wait to be taken by the peer's host. */
size_t nr_stream_unsent(const struct nr_stream *s);
/* Ends it with these words; `ended` comes later. */
void nr_stream_fail(struct nr_stream *s, int code, const char *why);
/* As nr_stream_close(), after what waits is sent, or 2 s. */
void nr_stream_finish(struct nr_stream *s);
/* Now; no hook comes any more. NULL is fine. */
void nr_stream_close(struct nr_stream *s);
/* The peer's address without its port, or "unix" (lent). */
const char *nr_stream_peer(const struct nr_stream *s);
/* Of the peer of a unix socket; -1: not told. */
int64_t nr_stream_peer_uid(const struct nr_stream *s);

#endif
