/* The reply side of a minimal HTTP/1.1 client: enough for a runtime that serves /init and /run, trusting it in nothing.
 */
#ifndef NARAE_AGENT_HTTP_H
#define NARAE_AGENT_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtimes/agent/text.h"

enum http_state {
    HTTP_STATUS_LINE,
    HTTP_HEADER,
    HTTP_BODY,       /* by Content-Length */
    HTTP_CHUNK_SIZE, /* chunked: the line before a chunk */
    HTTP_CHUNK,
    HTTP_CHUNK_END,
    HTTP_TRAILER,
    HTTP_UNTIL_CLOSE,
    HTTP_DONE,
    HTTP_BROKEN, /* not HTTP, or beyond a bound */
};

struct http_reply {
    enum http_state state;
    int status;
    bool chunked;
    bool has_length;
    uint64_t left;       /* of the body or the chunk */
    size_t header_bytes; /* all lines so far */
    char line[8192];
    size_t line_length;
    struct text body;
};

/* Ready for a new reply whose body is kept up to body_limit bytes. */
void http_reply_init(struct http_reply *r, size_t body_limit);
void http_reply_fini(struct http_reply *r);
/* Bytes that came; lent. Returns r->state; after HTTP_DONE or HTTP_BROKEN the rest is ignored. */
enum http_state http_reply_feed(struct http_reply *r, const char *bytes, size_t length);
/* The connection was closed: HTTP_DONE when the reply is complete with that, else HTTP_BROKEN. */
enum http_state http_reply_close(struct http_reply *r);

#endif
