/* The probe's choices; used by probe.c only. At start, blocking. Each fills its part of v->probe and its lines of the table: 0, or NR_EINVAL or
 * NR_EUNAVAIL when the forced way is unknown or does not work.
 */
#ifndef NR_INVOKER_PROBE_CHOICE_H
#define NR_INVOKER_PROBE_CHOICE_H

#include <jansson.h>

#include "invoker/probe_container.h"
#include "ports/invoker.h"

enum { RUNTIMES_MAX = 3 };

/* What is known while the probe runs. */
struct probing {
    struct invoker *v;
    const struct invoker_config *c;
    char runtimes[RUNTIMES_MAX][32]; /* candidates, best first */
    unsigned runtime_count, chosen;
    char usual[32]; /* the Engine's default */
    bool cgroupfs;
    const char *image; /* any of ours; NULL: none is there */
    char *
        profile; /* our seccomp profile; NULL: none for this machine, or the Engine cannot filter */
    char parent_why[sizeof(((struct nr_err *)NULL)->text)];
    struct nr_err network_why; /* there is no bridge of ours */
    struct trial trials[RUNTIMES_MAX];
};

/* Is the way left to us? (NULL or "auto") */
bool probe_is_auto(const char *forced);
/* GET path -> parsed JSON (made), or NULL; *ret_status is the HTTP status, 0 without an answer. */
json_t *probe_get(struct invoker *v, const char *path, int *ret_status);

/* The ways by what is known; pure. Index of probe_seccomp(): 0 our profile, 1 the Engine's; of probe_network(): 0 slots, 1 bridge, 2 none.
 * What takes no filter at all, and the Engine's bridge, from which functions reach each other and the host, are taken by name only. */
int probe_seccomp(const char *forced, bool own, const char *why_not_own, bool engine_filters,
                  struct nr_err *err);
int probe_network(const char *forced, bool slots, const char *why_no_slots, bool bridge,
                  struct nr_err *err);

/* The first candidate that dialled in: p->chosen, v->probe.runtime. */
int choose_runtime(struct probing *p, struct nr_err *err);
/* Our profile becomes v->seccomp. */
int choose_seccomp(struct probing *p, struct nr_err *err);
/* Freezer and raising memory. */
int choose_doers(struct probing *p, struct nr_err *err);
/* Makes our bridge where slots may be chosen (v->network), for the trials to try it; else what is left of it goes. */
void open_network(struct probing *p);
/* How functions that ask for a network get one. */
int choose_network(struct probing *p, struct nr_err *err);
/* The lines of what has no choice; gives up the pool's parent group where the chosen runtime does not use it. */
void tell_trial(struct probing *p);

#endif
