/* Bodies of Narae's own API: JSON objects whose fields are all known. Pure but for memory; any thread.
 */
#ifndef NR_FNMANAGER_API_BODY_H
#define NR_FNMANAGER_API_BODY_H

#include "common/base/json.h"

/* The object (made) of a body; an empty body is an empty object. NULL with NR_EINVAL and a sentence when it is no object, or has a field
 * that is not in `known` (ends with NULL): the sentence lists those that are. */
json_t *api_body_read(struct nr_str text, const char *const *known, struct nr_err *err);

/* A text member of at most max_bytes, lent by `o`; "" when it is absent or null. NR_EINVAL, NR_ETOOBIG with limit and value. */
int api_body_text(const json_t *o, const char *key, size_t max_bytes, struct nr_str *ret,
                  struct nr_err *err);
/* A whole number in [min, max]; *ret is left alone when the member is absent. NR_EINVAL with the range and the value. */
int api_body_int(const json_t *o, const char *key, int64_t min, int64_t max, int64_t *ret,
                 struct nr_err *err);
/* true or false; *ret is left alone when the member is absent. */
int api_body_bool(const json_t *o, const char *key, bool *ret, struct nr_err *err);

#endif
