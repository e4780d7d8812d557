/* Tags of hosts as texts "key=value": what a function wants of its host, and what a host has. Pure; any thread.
 */
#ifndef NR_PORTS_TAGS_H
#define NR_PORTS_TAGS_H

#include <jansson.h>
#include <stdbool.h>

#include "common/base/err.h"

enum { TAGS_MAX = 16, TAG_MAX_BYTES = 63 }; /* in one object; of a key, of a value */

/* {"arch":"arm64","gpu":true,"line":7} -> "arch=arm64", "gpu=true", "line=7": *ret is made (ends with NULL, tags_free()), NULL when there are none. NULL
 * ret: it is judged only. NR_EINVAL with a sentence that begins with `what`. */
int tags_read(const json_t *object, const char *what, char ***ret, struct nr_err *err);
/* NULL is fine. */
void tags_free(char **tags);
/* Is `tag` one of them? NULL: there are none. */
bool tags_have(char *const *tags, const char *tag);

#endif
