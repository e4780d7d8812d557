/* Network slots: how an `egress` function gets a network without the Engine's one on the request path.
 *
 * A slot is an address of our own bridge, a pair of interfaces and the rules of the account's grants. The Engine makes an egress
 * function's container without a network, as it does for network none; that costs a start nothing. When its agent has dialled in, and
 * before any code of a tenant is in it, a worker puts one end of the pair into the container's network namespace. The kernel takes the
 * pair away together with the namespace. A slot is taken without waiting, given back when its container has been removed, and only then
 * its address may be given to another container. Nothing of it is kept for an account.
 * On the bridge: no traffic between slots, none to the host's own ports, none to link-local or private addresses except what the
 * account's egress grants name. Never a published port. An interface that somebody else takes away is not put back: its container gets no
 * further call.
 * Loop's thread, except where said.
 */
#ifndef NR_INVOKER_NETWORK_H
#define NR_INVOKER_NETWORK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/base/buf.h"
#include "common/base/err.h"
#include "ports/function.h"

struct invoker;
struct network;
struct net_slot;

/* Whose container is in a slot; embedded by the container, lent until net_slot_return() or net_slot_leave(). */
struct net_user {
    /* its interface is gone while its container lives; comes at most once */
    void (*lost)(struct net_user *u);
};

enum { NET_SLOTS_MAX = 1000 /* ports that a bridge of Linux has, less a few */ };

/* Makes our bridge and its rules (blocking, at start, on the calling thread). Grants of an earlier run let nothing through any more; the
 * rules for everybody are never away meanwhile. NR_EUNAVAIL when this host cannot do it, and then nothing is left: the caller falls back
 * to the Engine's bridge or to none, and says so. */
int network_open(struct invoker *v, struct network **ret, struct nr_err *err);
/* Does it hold? Plugs process `pid` of a container in, and has it call a port of the host that listens: the call must come as far as the
 * firewall and be refused there. Blocking, at start. NR_EUNAVAIL when it does not. */
int network_try(struct network *n, pid_t pid, const char *container_id, struct nr_err *err);
/* Rules, interfaces and bridge go, and n with them (blocking, at start, before anybody has a slot). */
void network_undo(struct network *n);
/* Where network_open() is not called: removes rules, interfaces and bridge that an earlier run left (blocking, at start). */
void network_sweep(struct invoker *v);
/* A slot for u's container; NULL with NR_EBUSY when all are in use. */
struct net_slot *net_slot_take(struct network *n, struct net_user *u, struct nr_err *err);
/* Adoption: u's container has lived in the slot of this name since an earlier run; it is plugged in again when its agent dials. NULL: it
 * is not of our subnet, or in use, and the container must go. At start, after network_open(). */
struct net_slot *net_slot_adopt(struct network *n, const char *name, struct net_user *u);
/* Functions that have an API key may call this address and port from now on, 0: the bridge's own address. Returns the address. Before
 * the loop runs. */
uint32_t network_open_api(struct network *n, uint32_t address, uint16_t port);
/* Will net_slot_plug() or net_slot_grant() for this function (NULL: nobody's) ask for names and run programs? */
bool net_slot_needs_rules(const struct net_slot *s, const struct function *fn);
/* Sets the rules of this function (NULL: nobody's, none), its account's grants and its way to the API, then connects the network namespace of process `pid`, which the kernel must place in this
 * container now. Whether the process runs, is frozen or ends meanwhile makes no difference. Blocking (kernel; the firewall when there are
 * rules): any thread but the loop's, one at a time for a slot. */
int net_slot_plug(struct net_slot *s, pid_t pid, const char *container_id,
                  const struct function *fn, struct nr_err *err);
/* The stem in this slot is handed over to this function. Blocking when there are rules: any thread but the
 * loop's. */
int net_slot_grant(struct net_slot *s, const struct function *fn, struct nr_err *err);
/* The container has been removed: rules go, then the address is free. */
void net_slot_return(struct net_slot *s);
/* The container is left for the next start, with its interface and its rules. */
void net_slot_leave(struct net_slot *s);
/* Its address as a text; goes into the identity file of the container. Any thread. */
const char *net_slot_name(const struct net_slot *s);
/* What containers are mounted: the resolvers' file of containers in slots. Lent for the network's life. Any thread. */
const char *network_resolv_path(const struct network *n);
/* Interfaces, bridge and rules go; with slots that were left for the next start all of it stays. `closed` comes once, on the loop; slots
 * returned after it are left as they are. */
void network_drain(struct network *n, void (*closed)(void *arg), void *arg);
void network_free(struct network *n);
/* {"bridge":..,"subnet":..,"slots":{"used":..,"returning":..},"resolvers":[..]}, for the status. */
void network_status(const struct network *n, struct nr_buf *out);

#endif
