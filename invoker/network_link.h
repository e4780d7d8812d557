/* Bridge, veth pairs and addresses by netlink: what network slots need of the kernel, and no more. Blocking for as long as the kernel
 * takes to answer (microseconds; the removal of an interface some milliseconds). Any thread; network_link_plug() and network_link_dial()
 * enter the network namespace with the calling thread only, and come back.
 */
#ifndef NR_INVOKER_NETWORK_LINK_H
#define NR_INVOKER_NETWORK_LINK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/base/err.h"
#include "common/base/str.h"

/* IPv4 addresses are numbers in the host's byte order: 10.0.0.1 is 0x0a000001. */
struct subnet {
    uint32_t address;
    uint8_t prefix;
};

enum { SUBNET_PREFIX = 20, SUBNET_TEXT_BYTES = 20, LINK_NAME_BYTES = 16 };

bool subnet_overlaps(struct subnet a, struct subnet b);
bool subnet_has(struct subnet s, uint32_t address);
/* "10.0.0.0/20", or "10.0.0.1" for a prefix of 32. Returns out. */
const char *subnet_text(struct subnet s, char out[SUBNET_TEXT_BYTES]);
/* Reads "10.0.0.0/20" or "10.0.0.1"; false for anything else, also for bits behind the prefix. */
bool subnet_read(struct nr_str text, struct subnet *ret);

/* The subnet for the installation with this hash: the first of 1,024 in 10.192.0.0/10, counted from the hash on, that overlaps with none
 * of `taken`. False when there is none. Pure. */
bool subnet_choose(uint32_t hash, const struct subnet *taken, size_t n, struct subnet *ret);
/* The routes of the main table, as the text of /proc/net/route tells, but for the default route and for those of the interface `but`
 * (NULL: none), whose first one goes to *ret_but (prefix 0: it has none). Returns how many (at most max). Pure. */
size_t subnet_routes(struct nr_str proc_net_route, const char *but, struct subnet *ret, size_t max,
                     struct subnet *ret_but);

/* Makes the bridge when it is not there, without IPv6, gives it the first address of the subnet and sets it up. */
int network_link_bridge(const char *name, struct subnet subnet, struct nr_err *err);
/* Gives a network namespace (its descriptor, lent) an interface eth0 with this address, whose other end `link` is an isolated port of the
 * bridge: it reaches the bridge, but no other isolated port. A `link` that is there is removed first, with its other end. */
int network_link_plug(const char *bridge, const char *link, int namespace_fd, uint32_t address,
                      struct subnet subnet, struct nr_err *err);
/* Connects from inside a network namespace by TCP and hangs up: 0, or why not, as -errno; after timeout_ms -ETIMEDOUT. */
int network_link_dial(int namespace_fd, uint32_t address, uint16_t port, int timeout_ms);
/* Removes an interface; absent is fine. */
int network_link_remove(const char *name, struct nr_err *err);
/* Removes all interfaces whose names begin like this. */
int network_link_remove_all(const char *prefix, struct nr_err *err);

#endif
