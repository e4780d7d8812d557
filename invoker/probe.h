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

/* What was chosen where there is a choice; the worst comes first, so that a zeroed probe promises nothing. */
enum freezer {
    FREEZER_OFF,    /* idle containers stay as they are */
    FREEZER_ENGINE, /* pause and unpause by the Engine */
    FREEZER_CGROUP, /* cgroup_freeze(), cgroup_thaw() */
};
enum memory_raise {
    RAISE_OFF, /* no stem of less memory than its function has */
    RAISE_ENGINE,
    RAISE_CGROUP, /* cgroup_raise(); the Engine where one fails */
};
enum egress_network {
    EGRESS_NONE, /* functions that ask for a network get none */
    EGRESS_BRIDGE,
    EGRESS_SLOTS,
};

struct probe {
    struct capability table[CAPABILITIES_MAX];
    unsigned count;
    enum freezer freezer;
    enum memory_raise memory_raise;
    enum egress_network network;
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
