/* Whose container is whose, on the host: <run>/c/<8 hex>.json, renamed into place before the code is handed over. No label of the
 * container tells of the tenant. And the clean-up of what an earlier run left behind. Blocking.
 */
#ifndef NR_INVOKER_IDENTITY_H
#define NR_INVOKER_IDENTITY_H

#include "common/base/err.h"
#include "ports/function.h"

struct invoker;

/* folder: <run>/c; id: the Engine's. Any thread. */
int identity_write(const char *folder, const char *name, const char *id, const struct function *f,
                   struct nr_err *err);
/* Removes <name>.json and the socket folder <name>/; absent is fine. Any thread. */
int identity_remove(const char *folder, const char *name, struct nr_err *err);
/* Submits the removal of every container with our installation's label, and removes folders without one. At start. */
int identity_sweep(struct invoker *v, struct nr_err *err);

#endif
