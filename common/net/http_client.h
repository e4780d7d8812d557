/* HTTP/1.1 client for the hot path, on libuv and llhttp: keep-alive connections over TCP or a unix socket, one request at a time
 * on each. Not for the blocking side (see fetch.h) and no TLS. Loop's thread only. The load program of the benchmarks uses it.
 */
#ifndef NR_COMMON_NET_HTTP_CLIENT_H
#define NR_COMMON_NET_HTTP_CLIENT_H

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/net/loop.h"

struct nr_http_client; /* one connection */

/* One exchange; embedded by the caller, lent until done. */
struct nr_http_call {
    /* in */
    struct nr_str
        head; /* request line and headers up to and including the empty line; made once by nr_http_call_head() */
    struct nr_str body;
    uint32_t timeout_ms;
    void (*done)(struct nr_http_call *c);
    /* out */
    int err; /* 0 or NR_E*; a connection that broke after the request was written: NR_ECLOSED */
    int status;
    struct nr_str reply; /* body; lent until done returns */
    /* private */
    struct nr_deadline deadline;
    struct nr_http_client *client;
};

/* Opens a connection object for "127.0.0.1:3233" or "unix:/path"; it connects at the first call and again after a loss. */
int nr_http_client_open(struct nr_loop *l, const char *address, size_t reply_max_bytes,
                        struct nr_http_client **ret, struct nr_err *err);
/* One call at a time; NR_EBUSY else. */
int nr_http_client_call(struct nr_http_client *c, struct nr_http_call *call);
/* Ends a running call with NR_ECANCELED; closed comes once. */
void nr_http_client_close(struct nr_http_client *c, void (*closed)(void *arg), void *arg);
/* "POST /x HTTP/1.1\r\nHost: ..\r\nContent-Length: n\r\n<extra>\r\n" into out. */
void nr_http_call_head(struct nr_buf *out, const char *method, const char *target, const char *host,
                       const char *extra_lines, size_t body_bytes);

#endif
