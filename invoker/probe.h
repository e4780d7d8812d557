/* What this host and its Engine can do, found out once at start and told to people: yes, or no with the reason and what is done
 * instead, and what to do about it. Blocking; before the loop runs.
 */
#ifndef NR_INVOKER_PROBE_H
#define NR_INVOKER_PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/err.h"

struct invoker;
struct invoker_config;

/* One line of the table of capabilities. */
struct capability {
    char name[32];
    bool yes;
    char value[200]; /* what was found, or why not and what is done instead */
    char next[160];  /* of a no: what a person can do about it; "": nothing */
};

enum { CAPABILITIES_MAX = 32 };

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
    bool seccomp;           /* the Engine can filter system calls */
    char runtime[32];       /* of every container; "": the Engine's default */
    char cgroup_parent[64]; /* of every container, "/narae-<16 hex>"; "": the Engine's */
    int64_t probe_ms;
};

/* The table as a JSON array. */
void probe_capabilities(const struct probe *p, struct nr_buf *out);
/* Fills v->probe, v->seccomp and v->network, and writes the table to the log. c: lent. 0; NR_EINVAL or NR_EUNAVAIL when a choice that the
 * configuration forces is unknown or does not work here: nothing else ends the start. */
int probe_run(struct invoker *v, const struct invoker_config *c, struct nr_err *err);
/* {"capabilities":[{"name","yes","value","next"},...]} without the braces around it; "next" is there with a no only. */
void probe_status(const struct probe *p, struct nr_buf *out);

/* One of the ways to do a thing, best first in their table; texts lent. */
struct way {
    const char *word;
    bool works;
    const char *why_not;
};
/* The way that `forced` names, or with "auto" or NULL the first that works (there is one). Pure. Its index; NR_EINVAL or NR_EUNAVAIL with a
 * line that names the option and what can be done. */
int probe_choose(const char *option, const char *forced, const struct way *ways, size_t count,
                 struct nr_err *err);

#endif
