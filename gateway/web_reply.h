/* From the result of a web action to the reply that its caller gets. Any thread.
 */
#ifndef NR_GATEWAY_WEB_REPLY_H
#define NR_GATEWAY_WEB_REPLY_H

#include "gateway/internal.h"

/* A result laid out for people may be larger than it was; above this it is not laid out. */
#define WEB_BODY_MAX_BYTES (4 << 20)
/* Header lines of a function, all together, and one name or type. */
#define WEB_HEAD_MAX_BYTES 32768

struct web_reply {
    int status;
    const char *refusal; /* NULL, or the text of an error of this status (lent by the program) */
    struct nr_buf head;  /* header lines */
    struct nr_buf body;
    struct nr_buf type; /* Content-Type, a NUL behind it; n == 0: the body is empty */
    unsigned own_cors;  /* enum cors_line: what is in head */
};

/* Projects the result (JSON text) of a function that ended by itself; `error`: it is {"error": ...}. ret->head, body and type are
 * initialised here; web_reply_fini(). */
void web_reply_write(enum web_extension extension, struct nr_str result, bool error,
                     struct web_reply *ret);
void web_reply_fini(struct web_reply *r);

#endif
