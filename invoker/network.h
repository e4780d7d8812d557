/* Network slots: how an `egress` function gets a network without the Engine's bridge on the request path.
 *
 * A slot is a pause container (the agent with --pause) on our own bridge, made ahead at low rank. A function's container joins it
 * ("NetworkMode": "container:<id>"), which costs a start nothing. At most one live function container per slot; after it the slot may be
 * taken again by the same account only; unused for 10 minutes, or once its account is gone, it is destroyed. A slot's death destroys its
 * function container, which would run on with nothing but lo.
 * On the bridge: no traffic between slots, none to the host's own ports, none to link-local or private addresses except what the
 * account's egress grants name. Never a published port.
 * Loop's thread, except where said; the Engine's and the firewall's work is done by Engine workers.
 */
#ifndef NR_INVOKER_NETWORK_H
#define NR_INVOKER_NETWORK_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/base/list.h"
#include "ports/function.h"

struct invoker;
struct network;
struct net_slot;

/* Who waits for a slot; embedded by the container, lent until `ready` or net_slot_cancel(). */
struct net_wait {
    /* slot given (give it back with net_slot_return()), or NULL with the reason in err */
    void (*ready)(struct net_wait *w, struct net_slot *slot, const struct nr_err *err);
    /* the slot's pause container has died: destroy the function container; comes at most once, after ready */
    void (*died)(struct net_wait *w);
    /* private */
    struct nr_link link;
    char *account;
    struct grants *grants;
    bool needed;
};

enum {
    NET_SLOTS_MAX = 1000, /* ports that a bridge of Linux has, less a few */
    NET_AHEAD_MIN = 4, /* slots of nobody that are kept ready; a take that finds none doubles it */
    NET_AHEAD_MAX = 64,
    NET_UNUSED_MS = 600000
};

/* Makes our bridge, its rules and a first slot, which shows that it works (blocking, at start, on the calling thread). Live slots of an
 * earlier run are found again; those that nobody adopts within a second of the loop's running are removed. NR_EUNAVAIL when this host
 * cannot do it, and then nothing is left: the caller falls back to the Engine's bridge or to none, and says so. `ahead`: slots of nobody
 * kept ready from the beginning; 0: NET_AHEAD_MIN. */
int network_open(struct invoker *v, unsigned ahead, struct network **ret, struct nr_err *err);
/* Where network_open() is not called, or has failed: removes slots, rules and bridge that an earlier run left (blocking, at start). */
void network_sweep(struct invoker *v);
/* Is this container (its labels as the Engine lists them) a slot? The sweep of leftovers leaves slots alone. */
bool network_is_slot(const json_t *labels);
/* A slot for a container of this account with these grants ("" account: a stem's, which becomes the account's by net_slot_own()). Calls
 * w->ready, at once when one is there. `needed`: a call waits for it. */
void net_slot_take(struct network *n, const char *account, const struct grants *grants, bool needed,
                   struct net_wait *w);
/* The stem in this slot is handed over: from now on the slot is this account's; applies its grants. Blocking (firewall) when there are
 * grants: any thread but the loop's. */
int net_slot_own(struct net_slot *s, const char *account, const struct grants *grants,
                 struct nr_err *err);
/* w no longer waits. */
void net_slot_cancel(struct network *n, struct net_wait *w);
/* The function container in it has been removed (reuse), or must not be trusted any more. */
void net_slot_return(struct net_slot *s, bool reuse);
/* The function container is left for the next start: nobody is told of the slot's death any more, and it stays where it is. */
void net_slot_leave(struct net_slot *s);
/* Adoption: the container that w belongs to has lived in the slot of this name (8 hex) since an earlier run; NULL: there is no such slot,
 * the container must go. At start, after network_open(). */
struct net_slot *net_slot_adopt(struct network *n, const char *name, struct net_wait *w);
/* 8 hex; goes into the identity file of the container. */
const char *net_slot_name(const struct net_slot *s);
/* What goes into a create body: "container:<64 hex>"; lent, as long as the slot is held. Any thread. */
const char *net_slot_mode(const struct net_slot *s);
/* What containers left behind are mounted: the resolvers' file of containers in slots. Lent for the network's life. Any thread. */
const char *network_resolv_path(const struct network *n);
/* Waiting takes fail, nothing is made any more; free slots go at once, held ones with their containers. network_drain() is to follow. */
void network_stop(struct network *n);
/* Slots that there are, in whatever state; NULL has none. */
unsigned network_slots(const struct network *n);
/* Waiting takes fail; slots, rules and bridge go, but for the slots that are still held (of containers left for the next start): with one
 * of them the bridge and the rules stay. `closed` comes once, on the loop; slots returned after it are left as they are. */
void network_drain(struct network *n, void (*closed)(void *arg), void *arg);
void network_free(struct network *n);
/* {"slots":{"free":..,"used":..,"making":..}, ...} as an object, for the status. */
void network_status(const struct network *n, struct nr_buf *out);

#endif
