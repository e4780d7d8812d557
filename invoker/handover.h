/* Hand-over: a stem becomes a function's container, once and for ever. Loop's thread.
 */
#ifndef NR_INVOKER_HANDOVER_H
#define NR_INVOKER_HANDOVER_H

#include "invoker/internal.h"

/* ct, a ready stem, is p's from now on, FRESH, and its slot is free; what must be done before its code is loaded goes on meanwhile
 * (code_status is 1). The memory it is raised by is reserved already. A failure makes its call look for another container. */
void handover_begin(struct container *ct, struct pool *p, enum start_reason why,
                    enum cold_cause cold);

#endif
