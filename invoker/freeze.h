/* Freezing: containers that nobody calls use no CPU. Loop's thread.
 */
#ifndef NR_INVOKER_FREEZE_H
#define NR_INVOKER_FREEZE_H

#include "invoker/internal.h"

/* A container has become idle: it is frozen once its grace time is over. */
void freeze_later(struct invoker *v);
/* v->freeze fires. */
void freeze_due(struct nr_deadline *d);
/* The call's bytes are written: lets the container run again. It is still `frozen` afterwards when the kernel refuses: its call is to be
 * told, and it must go. */
void freeze_thaw(struct container *ct);
/* How long the thaw of its last call took, or takes so far. */
uint64_t freeze_thaw_us(const struct container *ct);
/* It dies: it must not be frozen when it is killed. */
void freeze_end(struct container *ct);

#endif
