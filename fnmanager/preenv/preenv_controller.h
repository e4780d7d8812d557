/* Env Controller: changes the environment of a function for a test. Blocking; the optimizer's thread.
 */
#ifndef NR_FNMANAGER_PREENV_CONTROLLER_H
#define NR_FNMANAGER_PREENV_CONTROLLER_H

#include "fnmanager/manager.h"
#include "fnmanager/preenv/preenv.h"

/* The function of r as it would be with c's memory and processors: a snapshot (made) with a revision of its own, so it shares no container
 * with real calls. Refuses with a sentence when the function is no longer what the run measures, or may not run. */
int preenv_environment(struct fnmanager *m, const struct preenv_run *r,
                       const struct preenv_config *c, struct function **ret, struct nr_err *err);
/* Makes the chosen size the function's own, as an update by who asked would. Any thread; the change is announced. */
int preenv_apply(struct fnmanager *m, const struct preenv_run *r, struct nr_err *err);

#endif
