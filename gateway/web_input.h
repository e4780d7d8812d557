/* From a request to the parameters of a web action. Any thread: nothing of the request is changed, and its arena is not used.
 */
#ifndef NR_GATEWAY_WEB_INPUT_H
#define NR_GATEWAY_WEB_INPUT_H

#include "gateway/internal.h"

/* The parameters of one call, as JSON: a body of the largest size in base64, and the headers. */
#define WEB_INPUT_MAX_BYTES (NR_PAYLOAD_MAX_BYTES + (576 << 10))

/* Lent during the call. */
struct web_input {
    const struct nr_http_req *http;
    struct nr_str path;               /* __ow_path */
    struct nr_str user;               /* __ow_user; p NULL: nobody logged in */
    bool raw;                         /* query and body are not read */
    char **final_names;               /* as of a function; NULL: none */
    const struct web_parameter *more; /* win over the query and the body */
    size_t more_count;
    bool hide_authorization; /* whatever it holds; what has the form of a key is never told */
};

/* Writes the JSON object into out (empty, with a ceiling of WEB_INPUT_MAX_BYTES). 0, or the status of the refusal, whose sentence is in *err. */
int web_input_write(const struct web_input *in, struct nr_buf *out, struct nr_err *err);

#endif
