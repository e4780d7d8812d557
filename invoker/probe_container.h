/* One real container at start: made with the same body as every function's, it must dial in from where we expect it. Blocking.
 */
#ifndef NR_INVOKER_PROBE_CONTAINER_H
#define NR_INVOKER_PROBE_CONTAINER_H

#include <stdbool.h>

struct invoker;
struct probe;

/* Adds lines "dial-in", "memory limit" and "exit status" to v->probe. */
void probe_container(struct invoker *v, const char *image);

/* Adds a line to the table (probe.c). */
void probe_found(struct probe *p, const char *name, bool yes, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

#endif
