/* From a stored version to the snapshot that controller and invoker work with. Blocking; manage plane.
 */
#ifndef NR_FNMANAGER_RESOLVE_H
#define NR_FNMANAGER_RESOLVE_H

#include "fnmanager/manager.h"

/* LATEST of `key` as a shared snapshot. NR_ENOENT, NR_EBLOCKED, NR_EGONE, NR_ECORRUPT ("code unavailable") with a sentence. */
int function_resolve(struct fnmanager *m, struct fn_key key, struct function **ret,
                     struct nr_err *err);

#endif
