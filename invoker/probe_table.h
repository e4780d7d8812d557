/* The probe's table of capabilities: filling it, telling it. Loop's thread, or at start. */
#ifndef NR_INVOKER_PROBE_TABLE_H
#define NR_INVOKER_PROBE_TABLE_H

#include "common/base/log.h"
#include "invoker/probe.h"

/* Adds a line; the name is copied. */
void probe_found(struct probe *p, const char *name, bool yes, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* When the last line is a no: what a person can do. */
void probe_next(struct probe *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Writes it to the log; each no is a warning. */
void probe_tell(const struct probe *p, struct nr_log *log);

#endif
