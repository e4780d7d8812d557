/* The documents that tell programs what /narae/v1 and /api/v1 can do. They are written by hand beside the table of routes; tests compare
 * them with it, and with what is answered. */
#include "gateway/openapi.h"

#include "gateway/internal.h"

/* Of the files that openapi_embed.py makes. */
extern const unsigned char openapi_text[], swagger_text[];
extern const size_t openapi_text_bytes, swagger_text_bytes;

struct nr_str openapi_document(enum openapi_which which)
{
    return which == OPENAPI_SWAGGER
               ? (struct nr_str){(const char *)swagger_text, swagger_text_bytes}
               : (struct nr_str){(const char *)openapi_text, openapi_text_bytes};
}

void openapi_call(struct gateway_request *q)
{
    q->status = 200;
    q->body = openapi_document((enum openapi_which)q->route->op);
    request_tick(q);
}

/* There is no page to look at: whoever looks for one gets the document. */
void openapi_page(struct gateway_request *q)
{
    q->status = 302;
    request_line(q, nr_str_of("Location: /api/v1/api-docs\r\n"));
    request_tick(q);
}
