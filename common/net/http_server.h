/* HTTP/1.1 server on libuv and llhttp (strict), with every ceiling and timeout, optional TLS. Not a router, knows no accounts.
 * Loop's thread only.
 *
 * A connection reads one request at a time; a pipelined one waits its turn. Every request that reached on_head gets exactly one
 * whole reply from its owner, also when the client went away (the bytes are then dropped): the object lives until that reply is
 * complete, so there is one place where things end.
 *
 *   on_head     the line and the headers are there: set body_max_bytes by route, or reply at once (the body is then not read
 *               and the connection closes after the reply when a body was announced)
 *   on_request  the whole body is there (r->body, lent until the reply is complete)
 *   on_gone     at most once, after on_head: the client went away; keep working or not, but reply
 *   on_end      the reply is written or dropped; release what the request holds; the object is gone after it. Never comes from
 *               inside nr_http_reply*(): r may still be touched after the call
 *
 * Between on_head and on_request the server itself may end a request: refused (too large, too slow, overload: it replies), or the
 * client left in the middle of the body. Then on_end comes without on_request.
 *
 * Sources: RFC 9112 (framing, smuggling), RFC 9110 (statuses, Expect).
 */
#ifndef NR_COMMON_NET_HTTP_SERVER_H
#define NR_COMMON_NET_HTTP_SERVER_H

#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/net/loop.h"

#define NR_HTTP_HEADERS_MAX 100

struct nr_http_server;
struct nr_http_conn;
struct nr_tls;

enum nr_http_method {
    NR_HTTP_GET,
    NR_HTTP_HEAD,
    NR_HTTP_POST,
    NR_HTTP_PUT,
    NR_HTTP_DELETE,
    NR_HTTP_PATCH,
    NR_HTTP_OPTIONS,
    NR_HTTP_OTHER,
};

struct nr_http_header {
    struct nr_str name, value;
};

/* The first member of the owner's request struct (config.request_bytes). Fields are read-only for the owner unless said. */
struct nr_http_req {
    /* in: from the client, lent until on_end */
    enum nr_http_method method;
    struct nr_str path;  /* as sent, not decoded, without the query */
    struct nr_str query; /* without '?' ; {NULL,0} when there is none */
    struct nr_http_header headers[NR_HTTP_HEADERS_MAX]; /* names lower-cased */
    unsigned header_count;
    int64_t content_length; /* -1: chunked or none */
    bool has_body;          /* announced by Content-Length > 0 or chunked */
    struct nr_str body;
    struct nr_str peer; /* address as text, without the port */
    void *user;         /* of the server */
    struct nr_loop *loop;
    uint64_t received_us; /* monotonic: first byte of the request seen */
    /* set by the owner in on_head */
    size_t body_max_bytes; /* default: config.body_max_bytes */
    /* An empty file (given; > 0) for a body of announced length: it is written there as it comes instead of being held, counts into no bound and
     * has no time limit but the least rate and the next; `body` stays empty. At on_request the file is whole; it is closed after on_end. */
    int body_fd;
    /* Of a body that goes to a file: from a sixtieth of this time on it is held to a pace that has it whole after this time and that sixtieth, and
     * gets 408 when it falls behind. 0: no such pace. */
    uint64_t body_within_ms;
    /* state, read-only */
    bool gone;             /* the client went away */
    struct nr_arena arena; /* for the owner too; freed after on_end */
    /* private */
    struct nr_http_conn *conn;
    int stage;
};

struct nr_http_hooks {
    void (*on_head)(struct nr_http_req *r);
    void (*on_request)(struct nr_http_req *r);
    void (*on_gone)(struct nr_http_req *r);
    void (*on_end)(struct nr_http_req *r);
    /* For replies in parts: of the bytes that waited, above 64 KiB, fewer than that are left. May be NULL. */
    void (*on_drained)(struct nr_http_req *r);
    /* The server itself refuses (bad syntax 400, too large 413/414/431, timeout 408, overload 503, expect 417): the owner makes
     * the body of the error in `out`, as JSON, and may add header lines to `head`. May be NULL: an empty body. */
    void (*error_body)(void *user, int status, const char *text, struct nr_buf *head,
                       struct nr_buf *out);
};

struct nr_http_config {
    size_t request_bytes; /* sizeof the owner's struct */
    size_t
        zeroed_bytes; /* of it, zeroed before on_head; what lies behind is as the request before left it. 0: all */
    size_t line_max_bytes;     /* 8 KiB: 414 */
    size_t headers_max_bytes;  /* 32 KiB and 100 lines: 431 */
    size_t body_max_bytes;     /* default of a route: 413 */
    size_t inflight_max_bytes; /* all bodies together: 503 with Retry-After */
    unsigned connections_max;  /* accept stops above it and goes on below */
    uint32_t header_timeout_ms, body_timeout_ms, idle_timeout_ms,
        write_timeout_ms;           /* 10 s, 30 s, 70 s, 30 s */
    uint32_t body_min_rate_bytes_s; /* after the first 5 s of a body; 0: off */
    struct nr_tls *tls;             /* kept; NULL: plain */
    const char *extra_headers;      /* "Name: value\r\n..." on every reply; may be NULL */
};

struct nr_http_stats {
    uint64_t connections, requests, refused, inflight_bytes; /* connections: open now */
};

/* Defaults as in DESIGN section 4. */
void nr_http_config_init(struct nr_http_config *c);

/* Makes a server; config and hooks are copied, user is kept. */
int nr_http_open(struct nr_loop *l, const struct nr_http_config *c, const struct nr_http_hooks *h,
                 void *user, struct nr_http_server **ret, struct nr_err *err);
/* Listens on "127.0.0.1:3233" or "[::1]:0"; may be called more than once. *ret_port (may be NULL) tells the port taken. */
int nr_http_listen(struct nr_http_server *s, const char *address, int *ret_port,
                   struct nr_err *err);
/* The same on a socket that listens already (fd given, also on failure): of a supervisor, or of the process that was here before. */
int nr_http_listen_fd(struct nr_http_server *s, int fd, int *ret_port, struct nr_err *err);
/* Copies (given) of the listening sockets, at most max of them; returns how many. */
size_t nr_http_listeners(const struct nr_http_server *s, int *ret_fds, size_t max);
/* It may be asked to hand over soon: a reply on a connection that cannot change hands (TLS) is the last one of it; off: it is not. */
void nr_http_part(struct nr_http_server *s, bool on);
/* Begins to leave: accepts nothing any more, and every connection closes after its next reply. Those between two requests that are not
 * encrypted are not closed but given away as descriptors (given), at most max of them; returns how many. Encrypted ones between two requests are
 * told that they end. Once more before nr_http_drain() it gives away those that have come between two requests since. Not from inside a hook. */
size_t nr_http_hand_over(struct nr_http_server *s, int *ret_fds, size_t max);
/* The same, after it, of encrypted connections of which not a byte was read. */
size_t nr_http_hand_over_untouched(struct nr_http_server *s, int *ret_fds, size_t max);
/* Connections whose request has begun and is not whole. */
unsigned nr_http_reading(const struct nr_http_server *s);
/* Encrypted connections that were opened and have not asked yet. */
unsigned nr_http_greeting(const struct nr_http_server *s);
/* Goes on with a connection that another process gave away (fd given), maybe before it had read a byte. One that cannot be served is closed. */
void nr_http_adopt(struct nr_http_server *s, int fd, bool untouched);
/* Stops accepting and closes idle connections; running requests go on, then their connections close. `idle` comes once, when the
 * last connection is gone (at once when there is none). */
void nr_http_drain(struct nr_http_server *s, void (*idle)(void *arg), void *arg);
/* Closes everything now; `closed` comes once all handles are closed and the server is freed. Requests in the owner's hands are told
 * on_gone and still want their reply: closed waits for it. NULL server: closed is called at once. */
void nr_http_close(struct nr_http_server *s, void (*closed)(void *arg), void *arg);
struct nr_http_stats nr_http_stats(const struct nr_http_server *s);

/* Header by lower-case name; {NULL,0} when absent (of several the first). */
struct nr_str nr_http_header(const struct nr_http_req *r, const char *name);
/* Query parameter by name, decoded into the request's arena; false when absent; *ret = {NULL,0} and true when badly encoded. */
bool nr_http_query(struct nr_http_req *r, const char *name, struct nr_str *ret);

/* How much of a body that goes to a file is in it. */
uint64_t nr_http_filed_bytes(const struct nr_http_req *r);

/* The whole reply at once: status, headers ("Name: value\r\n" lines, lent, may be empty), body (lent, copied when it cannot be
 * written at once). Adds Content-Length, Connection when needed and config.extra_headers. HEAD: body left out. 204/304: no body. */
void nr_http_reply(struct nr_http_req *r, int status, struct nr_str headers, struct nr_str body);
/* A reply in parts (chunked): begin, any number of parts, end. nr_http_reply_part returns how many bytes wait to be written
 * (and only that with no bytes). */
void nr_http_reply_begin(struct nr_http_req *r, int status, struct nr_str headers);
size_t nr_http_reply_part(struct nr_http_req *r, struct nr_str bytes);
void nr_http_reply_end(struct nr_http_req *r);

#endif
