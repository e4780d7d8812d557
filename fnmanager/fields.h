/* Bodies of the platform's own API: JSON objects whose fields are all known. Pure; any thread.
 */
#ifndef NR_FNMANAGER_FIELDS_H
#define NR_FNMANAGER_FIELDS_H

#include "common/base/json.h"

/* The body (empty: no fields) as an object (made) whose fields are all among `known` (kept; ends with NULL), or NULL with NR_EINVAL and a
 * sentence that names the unknown field and those that there are. */
json_t *fields_parse(struct nr_str body, const char *const *known, struct nr_err *err);
/* A text of 1 (0 when `may_be_empty`) to `max` bytes, lent by `body`; absent or null: *ret stays as it is. NR_EINVAL with a sentence. */
int fields_text(const json_t *body, const char *key, size_t max, bool may_be_empty,
                const char **ret, struct nr_err *err);
#define FIELDS_NO_NULL INT64_MIN
/* An integer from min to max, or null for `null_is` (FIELDS_NO_NULL: refused); absent: *ret stays as it is. NR_EINVAL with a sentence. */
int fields_integer(const json_t *body, const char *key, int64_t min, int64_t max, int64_t null_is,
                   int64_t *ret, struct nr_err *err);

#endif
