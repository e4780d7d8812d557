/* The documents of the API, compact, as the build has put them into the program: gateway/openapi.json (OpenAPI 3.1, of /narae/v1) and
 * gateway/swagger.json (Swagger 2.0, of /api/v1).
 */
#ifndef NR_GATEWAY_OPENAPI_H
#define NR_GATEWAY_OPENAPI_H

#include "common/base/str.h"

struct gateway_request;

enum openapi_which { OPENAPI_NARAE, OPENAPI_SWAGGER };

/* A document (lent for ever). */
struct nr_str openapi_document(enum openapi_which which);
/* Answers GET /narae/v1/openapi.json and GET /api/v1/api-docs; op: enum openapi_which. */
void openapi_call(struct gateway_request *q);
/* Answers GET /api/v1/docs, where people look for the document. */
void openapi_page(struct gateway_request *q);

#endif
