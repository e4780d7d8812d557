/* From a stored version to the snapshot that controller and invoker work with. Blocking; manage plane.
 */
#ifndef NR_FNMANAGER_RESOLVE_H
#define NR_FNMANAGER_RESOLVE_H

#include "fnmanager/functions/place.h"

/* A version of the function that the names lead to (0: LATEST) as a shared snapshot, given; also one that may not run: see its state. NR_ENOENT, NR_ECORRUPT ("code
 * unavailable"), NR_EFORBIDDEN (a grant was taken away) with a sentence. What has yet to be compiled is compiled in the name of `who` (shared), which takes as
 * long as a compiler; with NULL it is HANDLER_LATER. */
int function_resolve_names(struct fnmanager *m, struct place_names names, int64_t number,
                           struct account *who, struct function **ret, struct nr_err *err);
/* The same for the caller's own function; NR_EUNAVAIL when it has yet to be compiled. */
int function_resolve(struct fnmanager *m, struct fn_key key, int64_t number, struct function **ret,
                     struct nr_err *err);
/* Where an alias of it points, with the sentence of a call by it. */
int alias_resolve(struct fnmanager *m, struct place_names names, struct nr_str alias,
                  struct alias_split *ret, struct nr_err *err);

#endif
