/* The document that tells programs what /narae/v1 can do. It is written by hand beside the table of routes; a test compares both. */
#include "gateway/openapi.h"

#include "gateway/internal.h"

/* Of openapi_text.c, which openapi_embed.py makes. */
extern const unsigned char openapi_text[];
extern const size_t openapi_text_bytes;

struct nr_str openapi_document(void)
{
    return (struct nr_str){(const char *)openapi_text, openapi_text_bytes};
}

void openapi_call(struct gateway_request *q)
{
    q->status = 200;
    q->body = openapi_document();
    request_tick(q);
}
