/* Which host a call goes to: a pure function over what is known of the hosts. No state, no clock; any thread.
 *
 *   warm    a slot is free there: of such hosts the least loaded one, of equals the home
 *   coming  a container is being started for which no call waits
 *   start   a new container: at the function's home, unless that has more to do than another host by more than a call for two cores; hosts with
 *           memory left come first
 *   home    of each function the hosts have an order of their own (rendezvous hashing), so that its calls, images and code gather; when a host comes
 *           or goes only functions that had it as their home get another one
 */
#ifndef NR_CONTROLLER_PLACEMENT_H
#define NR_CONTROLLER_PLACEMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/str.h"
#include "ports/load.h"

enum { PLACE_HOSTS_MAX = 257 }; /* this one and 256 others */

/* A host, as it is for one function. */
struct place_host {
    uint64_t id;              /* placement_hash() of its name */
    bool fits;                /* it has what the function must find: tags, GPUs */
    bool warm;                /* calls that find a free slot may go there */
    bool starts;              /* calls that need a container may go there */
    struct invoker_load load; /* of the function's revision */
    unsigned calls;           /* of all functions: in use and waiting */
    unsigned cores;           /* 1 at least */
    int64_t room_mb;          /* memory that no container has */
};

struct place_call {
    uint64_t key; /* placement_hash() of the function */
    int64_t memory_mb;
    size_t
        hosts_max; /* it may only be on so many hosts, the first in its order that take it; 0: on all */
};

/* Why there is no place: no host has what it must find; those that have it take nothing now. */
enum { PLACE_UNFIT = -1, PLACE_NONE = -2 };

uint64_t placement_hash(struct nr_str text);
/* The weight of a host for a function: the home has the highest. */
uint64_t placement_weight(uint64_t key, uint64_t host);
/* The host of the call: its index, or PLACE_*. At most PLACE_HOSTS_MAX hosts. */
int placement_choose(const struct place_host *hosts, size_t n, const struct place_call *call);
/* Those that something of the function is shared out over, which fit and start, the home first; *ret has room for n. Returns how many. */
size_t placement_order(const struct place_host *hosts, size_t n, const struct place_call *call,
                       uint16_t *ret);
/* The share of the one with this rank in an order of so many, of `count`; all together are `count`. */
int placement_share(size_t rank, size_t sharers, int count);

#endif
