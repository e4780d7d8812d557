/* References to functions as clients write them: components of sequences, actions of rules, what a conductor calls, what a route serves.
 * Pure but for memory; any thread.
 */
#ifndef NR_PORTS_TARGET_H
#define NR_PORTS_TARGET_H

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/base/str.h"
#include "ports/function.h"

#define ENTITY_NAME_MAX_BYTES 256

/* OpenWhisk's rule for names: 0, or NR_EINVAL with the exact text. */
int entity_name_check(struct nr_str name, struct nr_err *err);

/* Reads "/ns/name", "/ns/pkg/name", "name" or "pkg/name", with "?version=3" or "?alias=prod" behind it; "_" and no namespace at all are
 * `account` (lent); "/ns/default/name" is no package. *ret (made; function_target_fini) with names that entity_name_check() accepts.
 * NR_EINVAL with a sentence that names the text. */
int function_target_read(struct nr_str text, const char *account, struct function_target *ret,
                         struct nr_err *err);
/* Frees the texts, not t itself. */
void function_target_fini(struct function_target *t);
/* Adds "/ns/pkg/name?version=3" to out (lent). */
void function_target_write(const struct function_target *t, struct nr_buf *out);
/* Adds "ns/pkg", the `path` of a reference {"path","name"}. */
void function_target_path(const struct function_target *t, struct nr_buf *out);
/* Adds "name?version=3", the `name` of a reference {"path","name"}. */
void function_target_name(const struct function_target *t, struct nr_buf *out);

#endif
