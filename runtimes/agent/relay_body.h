/* Texts that the relay exchanges with an image's server. */
#ifndef NARAE_AGENT_RELAY_BODY_H
#define NARAE_AGENT_RELAY_BODY_H

#include <jansson.h>
#include <stddef.h>

#include "runtimes/agent/text.h"

/* Head and body of a POST; body lent. made; NULL without memory. */
char *relay_request(const char *path, const char *body, size_t length, size_t *ret_length);
/* {"value":{...,"code":...,"binary":...}}: value as INIT said, the code from code_fd (lent; -1: no code) as text, or as
 * base64 when it is not text. made; NULL when it cannot be read. */
char *relay_init_body(json_t *value, int code_fd, size_t *ret_length);
/* The JSON of an error from the body of a failed /init: its own, or one that quotes it. made. */
char *relay_init_error(const struct text *body);

#endif
