/* What this host and its Engine can do, found out once at start and told to people: yes, or no with the reason and what is done
 * instead. Blocking; before the loop runs.
 */
#ifndef NR_INVOKER_PROBE_H
#define NR_INVOKER_PROBE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"

struct invoker;

/* One line of the table of capabilities. */
struct capability {
    const char *name; /* static */
    bool yes;
    bool warn;       /* worth a warning line when it is a no */
    char value[160]; /* what was found, or why not and what is done instead */
};

enum { CAPABILITIES_MAX = 24 };

struct probe {
    struct capability table[CAPABILITIES_MAX];
    unsigned count;
    bool has_bridge; /* egress functions get the Engine's bridge */
    bool cgroup_v1;
    bool seccomp; /* the Engine can filter system calls */
    int64_t probe_ms;
};

/* Fills v->probe and writes the table to the log. */
void probe_run(struct invoker *v, const char *const *images);
/* {"capabilities":[{"name","yes","value"},...]} without the braces around it. */
void probe_status(const struct probe *p, struct nr_buf *out);

#endif
