/* The OpenAPI 3.1 document of /narae/v1: gateway/openapi.json, compact, as the build has put it into the program.
 */
#ifndef NR_GATEWAY_OPENAPI_H
#define NR_GATEWAY_OPENAPI_H

#include "common/base/str.h"

struct gateway_request;

/* The document (lent for ever). */
struct nr_str openapi_document(void);
/* Answers GET /narae/v1/openapi.json. */
void openapi_call(struct gateway_request *q);

#endif
