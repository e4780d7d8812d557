/* Calls that wait, may start nothing, and that nothing on its way will serve: told between two samples (ports/figures.h). Loop's thread.
 */
#ifndef NR_INVOKER_PRESS_H
#define NR_INVOKER_PRESS_H

#include "invoker/internal.h"

/* Calls of p wait that start none; coming: slots that will be there soon. */
void press_look(struct pool *p, unsigned coming);
/* The deadline v->press. */
void press_due(struct nr_deadline *d);
/* Names whose time has come go from those that press into `told` (lent), by past.told; so many at most. */
void press_take(struct invoker *v, struct nr_link *told);

#endif
