/* Processor time and energy of functions by their names, and the figures of samples (ports/figures.h). Loop's thread.
 */
#ifndef NR_INVOKER_FIGURES_H
#define NR_INVOKER_FIGURES_H

#include "invoker/internal.h"

/* Containers of fn used so much more. */
void figures_used(struct invoker *v, const struct function *fn, int64_t cpu_us);
/* What functions used since figures_pay(). */
double figures_unpaid_seconds(const struct invoker *v);
void figures_pay(struct invoker *v, double joules_per_second);

#endif
