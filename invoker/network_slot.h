/* What the files of the network share: one slot, and what Engine workers do for it. Not for users of network.h.
 *
 *   MAKING --plugged in--> FREE <--taken, returned--> USED
 *   FOUND (of an earlier run) --adopted--> USED         FREE --grants to be set--> GRANTING --set--> USED
 *      any of them --died, unused, not to be trusted--> REMOVING --gone--> (freed)
 */
#ifndef NR_INVOKER_NETWORK_SLOT_H
#define NR_INVOKER_NETWORK_SLOT_H

#include "invoker/firewall.h"
#include "invoker/internal.h"
#include "invoker/network.h"

enum net_state {
    NET_MAKING,
    NET_FOUND,
    NET_FREE,
    NET_GRANTING,
    NET_USED,
    NET_REMOVING,
    NET_STATES
};

struct net_slot {
    struct network *n;
    enum net_state state;
    unsigned index; /* 1.. ; its address is the subnet's plus 1 plus this */
    uint32_t address;
    char name[9];               /* 8 hex */
    char link[LINK_NAME_BYTES]; /* its end of the pair, on the host */
    char number[8];             /* the index as a label */
    char id[65];                /* the Engine's; "" until created */
    char mode[sizeof("container:") + 64];
    char *account;         /* whose; "": nobody's yet; NULL: not known, never reused */
    struct grants *grants; /* whose rules are set; NULL: none */
    bool granted;          /* there may be rules of it */
    bool needed;           /* it was begun because a call waits */
    bool dead, held;       /* held: by `w`, or by who adopted it */
    struct net_wait *w;
    struct nr_link link_all;
    uint64_t free_since_ms;
    struct engine_job job; /* one at a time: make, grant or remove */
    struct nr_deadline again;
    struct create_spec spec;
    char *image;
    int pidfd;
    uv_poll_t watch;
    bool watched;
    struct nr_err err;
};

struct network {
    struct invoker *v;
    struct firewall firewall;
    pthread_mutex_t firewall_lock; /* one change at a time */
    char *image, *resolv_path, *installation;
    struct nr_link slots, waiting;
    unsigned count[NET_STATES], total, next_index;
    unsigned ahead, ahead_min;
    uint64_t missed_ms;     /* when a take last found none */
    uint64_t not_before_ms; /* the last making failed: none is made ahead before */
    bool stale; /* rules of slots that are gone may be left: each new slot begins with none */
    struct nr_deadline tidy, found_deadline;
    struct engine_job check; /* of the rules; and their removal at the end */
    bool checking, stopping, done;
    uint64_t checked_ms;
    struct nr_err check_err;
    unsigned closing; /* handles */
    void (*closed)(void *arg);
    void *closed_arg;
};

/* ---- network_slot.c: workers' side; blocking ---------------------------------------------------------------- */

/* Makes the pause container, plugs it into the bridge and opens its pidfd. */
int slot_make(struct engine_worker *w, struct net_slot *s, struct nr_err *err);
/* Opens the pidfd of a slot that runs: it has s->id. */
int slot_open_pid(struct engine_worker *w, struct net_slot *s, pid_t *ret_pid, struct nr_err *err);
/* Container, interface and rules go; what is not there is fine. */
int slot_remove(struct engine_worker *w, struct net_slot *s, struct nr_err *err);
/* Sets the rules of s for these grants. */
int slot_grant(struct net_slot *s, const struct grants *grants, struct nr_err *err);
/* The reference (made) of an image of ours that the Engine has; NULL: none. */
char *slot_find_image(struct engine_worker *w);
/* The Engine's list of slots of this installation (made); NULL with the reason. */
json_t *slot_list(struct engine_worker *w, const char *installation, struct nr_err *err);
/* Address and names of a slot by its index. */
void slot_name(struct net_slot *s, unsigned index);

/* ---- network_life.c: the loop's side ------------------------------------------------------------------------- */

/* The one change of state; checked against the picture above. */
void network_move(struct net_slot *s, enum net_state to);
/* A new one; index 0: any free one. */
struct net_slot *network_add_slot(struct network *n, enum net_state state, unsigned index);
/* Tells its death from now on. */
void network_watch(struct net_slot *s);
/* It is plugged in: free, and watched. */
void network_made_slot(struct net_slot *s);
void network_remove_slot(struct net_slot *s);
/* Submits the making of one more. */
void network_begin_slot(struct network *n, bool needed);
/* Begins what is missing to the number that is kept ready. */
void network_refill(struct network *n);
/* The deadlines run from now on. */
void network_begin(struct network *n);

/* ---- network.c ------------------------------------------------------------------------------------------------ */

/* Gives free slots to who waits, and begins slots for who still does. */
void network_feed(struct network *n);
/* The wish that waits longest fails; nobody waits: nothing. */
void network_tell_waiting(struct network *n, const struct nr_err *err);
/* How many are in this state; account: only of this one ("": of nobody), NULL: all; needed: only those that a call waits for. */
unsigned network_count(struct network *n, enum net_state state, const char *account, bool needed);

static inline struct net_slot *net_slot_of(struct nr_link *l)
{
    return nr_container_of(l, struct net_slot, link_all);
}

#endif
