/* Functions as Narae's own API shows them. Blocking; on the handler's threads. Each operation returns 0 with call->reply filled, or a
 * NR_E* with call->err set.
 */
#ifndef NR_FNMANAGER_FUNCTIONS_API_H
#define NR_FNMANAGER_FUNCTIONS_API_H

#include "fnmanager/manager.h"
#include "fnmanager/registry/metadata_aliases.h"

/* Ceiling of a reply. */
#define FUNCTIONS_REPLY_MAX_BYTES (16u << 20)

int function_list(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old);
/* A function, or one of its versions when the call names a number. */
int function_get(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old);
int function_history(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old);

/* The document of a function (number 0) or of a version as call->reply, in place of what is there. */
int functions_answer(struct fnmanager *m, struct fn_call *call, int64_t number);
/* "name" or "package/name", as a JSON string. */
void functions_write_name(struct fn_key key, struct nr_buf *out);
/* {"network":…} and the rest of the settings, of the annotations that are stored. */
void functions_write_settings(const char *annotations, struct nr_buf *out);

#endif
