/* What the files of the network share. Not for users of network.h.
 *
 *   USED --returned--> (freed)           USED --left--> LEFT
 *   USED --returned, has rules--> RETURNING --rules are gone--> (freed)
 */
#ifndef NR_INVOKER_NETWORK_SLOT_H
#define NR_INVOKER_NETWORK_SLOT_H

#include <pthread.h>

#include "invoker/firewall.h"
#include "invoker/internal.h"
#include "invoker/network.h"

enum net_state { NET_USED, NET_LEFT, NET_RETURNING, NET_STATES };

/* Numbers of slots: those of a subnet, without network, bridge and broadcast. */
enum { NET_INDEX_MAX = 4000 };

struct net_slot {
    struct network *n;
    enum net_state state;
    unsigned index; /* 1.. ; its address is the subnet's plus 1 plus this */
    uint32_t address;
    char name[SUBNET_TEXT_BYTES];
    char link[LINK_NAME_BYTES]; /* its end of the pair, on the host */
    struct net_user *user;      /* NULL: nobody is told any more */
    struct nr_link link_all;
    _Atomic bool plugged;
    bool looked_for;         /* plugged when the look began */
    bool granted;            /* there may be rules of its own; written by who plugs or grants */
    struct engine_job clear; /* takes them away */
    struct nr_err err;       /* of that */
    struct nr_deadline again;
};

struct network {
    struct invoker *v;
    struct firewall firewall;
    pthread_mutex_t firewall_lock; /* one change at a time */
    char *resolv_path;
    struct nr_link slots;
    unsigned count[NET_STATES], total, next_index;
    bool taken[NET_INDEX_MAX + 1];
    struct nr_deadline tidy;
    struct engine_job look; /* at ports and rules; and the removal of both at the end */
    bool looking, stopping, done;
    bool with_rules, no_verdict;     /* of the look */
    bool put_back;                   /* of the look: somebody had changed the rules */
    bool present[NET_INDEX_MAX + 1]; /* of the look: ports of the bridge */
    uint64_t checked_ms, tell_ms; /* tell_ms: not before is it told again that rules were changed */
    struct nr_err look_err;
    void (*closed)(void *arg);
    void *closed_arg;
};

/* network.c: the slot of this number, used by u. */
struct net_slot *network_add_slot(struct network *n, unsigned index, struct net_user *u);

/* network_life.c: the deadline runs from now on; a look at once, out of turn (not while one is under way); ends a drain that waits for
 * slots to be returned. */
void network_begin(struct network *n);
void network_look(struct network *n, bool with_rules);
void network_end_if_empty(struct network *n);
/* Rules, interfaces, bridge (blocking). */
int network_remove_all(const struct firewall *f, struct nr_err *err);

static inline struct net_slot *net_slot_of(struct nr_link *l)
{
    return nr_container_of(l, struct net_slot, link_all);
}

#endif
