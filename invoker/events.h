/* What containers do, told to whoever publishes it (invoker_config.event). Loop's thread; NULL there: nobody.
 */
#ifndef NR_INVOKER_EVENTS_H
#define NR_INVOKER_EVENTS_H

#include "invoker/internal.h"

/* It said its first hello, or was handed over to its function. */
void event_started(const struct container *ct);
void event_handed_over(const struct container *ct);
void event_start_failed(const struct container *ct);
/* Its code was loaded before any call, in so long; log (lent): the last lines that were written. Or it was not. */
void event_init_ahead(const struct container *ct, uint64_t took_us, const char *log);
void event_init_ahead_failed(const struct container *ct, uint64_t took_us,
                             const struct ahead_failure *f);
void event_ended(const struct container *ct);
void event_oom(const struct container *ct, int64_t kills);
/* A call waits for a container of so many MB and there is no room. Once a minute is told. */
void event_node_full(struct invoker *v, int64_t wanted_mb);

#endif
