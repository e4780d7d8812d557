/* A bound on failed logins of one address. Each address has a bucket of tokens that fills up again within a minute; a failed attempt takes one, and is told
 * when there is none. The table holds 4,096 of them, the one that failed longest ago goes. An IPv6 address counts with its /64. Verify first and count what
 * failed only: a good key works from every address at any time then. One thread's.
 */
#ifndef NR_COMMON_NET_LOGINS_H
#define NR_COMMON_NET_LOGINS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/list.h"
#include "common/base/map.h"
#include "common/base/str.h"

/* Room for an address of which all counts; a longer text counts by its first 47 bytes. */
#define NR_LOGINS_ADDRESS_BYTES 48

/* Embedded by its owner; all of it is private. */
struct nr_logins {
    struct nr_map by_address;
    struct nr_link lru; /* front is the most recent */
    unsigned per_minute;
};

/* per_minute > 0: attempts of one address. */
void nr_logins_init(struct nr_logins *l, unsigned per_minute);
void nr_logins_fini(struct nr_logins *l);
/* Counts one failed login of `address` (lent; any text will do); false when it has used up its share: *ret_wait_s until the next is listened to. */
bool nr_logins_failed(struct nr_logins *l, struct nr_str address, uint64_t now_ms,
                      uint64_t *ret_wait_s);

#endif
