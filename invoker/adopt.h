/* Adoption: containers of an earlier run that are found alive, healthy and idle serve on; all others go.
 * Loop's thread, except where said.
 */
#ifndef NR_INVOKER_ADOPT_H
#define NR_INVOKER_ADOPT_H

#include "common/base/json.h"
#include "ports/invoker.h"

struct container;
struct engine_worker;

/* How the containers of an earlier run fared. */
struct adoption {
    unsigned found, adopted;
    unsigned left;   /* by this run's drain, for the next one */
    bool to_be_told; /* the summary has not been logged */
};

/* Lists what an earlier run left and decides about each: candidates get their socket again, their memory counts from now on; the rest
 * is removed by the workers, thawed first. Folders and files without a container go. At start, after the probe; blocking: one list of
 * the Engine, one small file and one snapshot per container. */
int adopt_open(struct invoker *v, const struct invoker_config *c, struct nr_err *err);
/* What the hello of a candidate says: is its code loaded? A new container's may say anything. */
bool adopt_hello_fits(const struct container *ct, bool ready);
/* One more slot of a candidate has said hello; with the last one it is adopted. */
void adopt_greeted(struct container *ct);
/* A candidate's time is over. */
void adopt_late(struct container *ct);
/* Says once how many were adopted. Once a second. */
void adopt_tidy(struct invoker *v);
/* A drain with keep_containers: marks the idle ones, which are then let go of, thawed, instead of removed. */
void adopt_leave(struct invoker *v);
/* The network slot of this name (8 hex; "": none) becomes ct's again (container.c). False: it is not there, and ct must go. */
bool container_adopt_network(struct container *ct, const char *slot);
/* The Engine's list of all containers of this installation (made), or NULL. Blocking, on the worker's thread. */
json_t *adopt_list(const struct invoker *v, struct engine_worker *w, struct nr_err *err);
/* Our name (8 hex) of one of them, or ""; lent with the list. */
const char *adopt_name_of(const json_t *container);
/* Submits the letting go of a container that was marked; container_removed() comes as after a removal. */
void leave_container(struct container *ct);

#endif
