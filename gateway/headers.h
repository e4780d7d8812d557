/* The headers of a request as functions see them: __ow_headers of web actions and of fires. Pure; any thread.
 */
#ifndef NR_GATEWAY_HEADERS_H
#define NR_GATEWAY_HEADERS_H

#include "common/net/http_server.h"

/* Lent during the call. */
struct headers {
    const struct nr_http_req *http;
    bool
        hide_authorization; /* whatever it holds; what has the form of an account's key is never told */
};

/* Adds {"name":"value",...} to out (lent, with a ceiling): each name once. */
void headers_write(const struct headers *w, struct nr_buf *out);

#endif
