/* The firewall of our bridge: chains of our own, named by the installation, in the host's iptables.
 *
 *   NARAE-<8>-IN    from INPUT                  nothing of the host but the resolvers and what a grant names
 *   NARAE-<8>-FW    from DOCKER-USER, FORWARD   no private, link-local, multicast address but the same; nobody comes in
 *   NARAE-<8>-GR    from both                   one jump per slot that has grants
 *   NARAE-<8>-<n>   from GR                     the grants of slot n
 *   NARAE-<8>-NO    from IN and FW              refuses
 *   NARAE-<8>-NAT   from nat POSTROUTING        our subnet goes out under the host's address
 *
 * Each change is one transaction of iptables-restore; what exists is read from `iptables -S`, so that a second installing changes nothing.
 * The texts are made by pure functions; the programs are run without a shell. Blocking: never on a loop. Any thread, one at a time.
 */
#ifndef NR_INVOKER_FIREWALL_H
#define NR_INVOKER_FIREWALL_H

#include "common/base/buf.h"
#include "common/base/err.h"
#include "invoker/network_link.h"

enum { RESOLVERS_MAX = 3, FIREWALL_ADDRESSES_MAX = 256, FIREWALL_TEXT_MAX_BYTES = 1 << 20 };

struct grants;
struct firewall_slot;

/* One allowed destination of a slot. */
struct firewall_target {
    struct subnet to;
    uint16_t port;
    bool udp;
};

/* What the rules are about. */
struct firewall {
    char tag[9];                       /* 8 hex of the installation */
    char bridge[LINK_NAME_BYTES];      /* our bridge */
    struct subnet subnet;              /* of it */
    uint32_t resolvers[RESOLVERS_MAX]; /* addresses that are asked for names, port 53 */
    unsigned resolver_count;
    bool ipv6; /* ip6tables works here */
    struct firewall_slot
        *slots; /* what the rules of slots with grants are to be; NULL: there are none */
    struct firewall_target
        api; /* where functions that have an API key may call the platform; port 0: nowhere */
};

/* ---- texts for iptables-restore; `have` is what `iptables -S` printed for the table -------------------------------- */

/* Chains and jumps that are missing; the content of our fixed chains anew. */
void firewall_filter_text(const struct firewall *f, struct nr_str have, struct nr_buf *out);
void firewall_nat_text(const struct firewall *f, struct nr_str have, struct nr_buf *out);
/* For ip6tables: nothing comes from the bridge and nothing goes to it. */
void firewall_ipv6_text(const struct firewall *f, struct nr_str have, struct nr_buf *out);
/* Everything of this installation in the table ("filter", "nat") goes. Empty when there is nothing. */
void firewall_removal_text(const struct firewall *f, const char *table, struct nr_str have,
                           struct nr_buf *out);
/* The grants of the slot with this number and address, in place of those it had; none: its chain goes. */
void firewall_slot_text(const struct firewall *f, struct nr_str have, unsigned slot,
                        uint32_t address, const struct firewall_target *targets, size_t n,
                        struct nr_buf *out);
/* The grants of all slots go, in one transaction. Empty when there are none. */
void firewall_forget_text(const struct firewall *f, struct nr_str have, struct nr_buf *out);
/* Those grants that are kept and not there, and the jumps to all when one is missing or somebody put in another. Empty when they are
 * as they were written. */
void firewall_grants_text(const struct firewall *f, struct nr_str have, struct nr_buf *out);
/* One rule of a slot as `iptables -S` prints it. */
void firewall_target_line(const struct firewall *f, unsigned slot, const struct firewall_target *t,
                          char *out, size_t bytes);
/* Is every jump there, and every rule of our fixed chains as the texts above have it, and no other? */
bool firewall_complete(const struct firewall *f, struct nr_str filter, struct nr_str nat,
                       struct nr_str ipv6);

/* ---- doing it --------------------------------------------------------------------------------------------------- */

/* Installs what is not as it was written; `renew` everything, whatever is there. 0; 1 when something had to be put back; NR_EUNAVAIL with
 * the program's words when this host cannot do it. */
int firewall_install(struct firewall *f, bool renew, struct nr_err *err);
int firewall_remove(const struct firewall *f, struct nr_err *err);
/* Is any chain of this installation there? */
bool firewall_there(const struct firewall *f);
/* Grants that an earlier run has set let nothing through any more. */
int firewall_forget_grants(const struct firewall *f, struct nr_err *err);
/* What the egress grants (NULL: none) let through now. Asks for names, all of them together for a few seconds where nobody answers; one
 * that leads to the host's side of our bridge, to another slot or to a link-local address lets nothing through. Returns how many. */
size_t firewall_targets(const struct firewall *f, const struct grants *grants,
                        struct firewall_target ret[FIREWALL_ADDRESSES_MAX]);
/* Sets the grants of a slot, and keeps a copy, so that they can be put back; n 0: none. */
int firewall_grant(struct firewall *f, unsigned slot, uint32_t address,
                   const struct firewall_target *targets, size_t n, struct nr_err *err);

/* Only what is kept of a slot, n 0: nothing any more. */
void firewall_keep(struct firewall *f, unsigned slot, uint32_t address,
                   const struct firewall_target *targets, size_t n);
/* Frees what is kept; changes no rule. */
void firewall_fini(struct firewall *f);

/* The nameservers of a resolv.conf that a container can reach: IPv4, not loopback. Returns how many. Pure. */
unsigned firewall_resolvers(struct nr_str resolv_conf, uint32_t ret[RESOLVERS_MAX]);

#endif
