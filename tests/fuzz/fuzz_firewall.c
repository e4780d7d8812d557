/* What the host tells of its network, on any bytes: its rules as `iptables -S` prints them, its routes, its resolv.conf.
 *
 * What must hold: what is made for iptables-restore is whole lines of ours, and a removal only deletes jumps to our chains and only
 * empties and removes chains of ours; no resolver is this host's loopback.
 */
#include "fuzz.h"

#include <string.h>

#include "common/base/mem.h"
#include "invoker/firewall.h"

#define OURS "NARAE-01234567-"

enum { ROUTES_MAX = 8 };

static const struct firewall wall = {
    .tag = "01234567",
    .bridge = "nr-01234567",
    .subnet = {0x0ac00000, 20},
    .resolvers = {0x0affff35},
    .resolver_count = 1,
    .ipv6 = true,
};
static const struct firewall_target targets[] = {
    {{0x0a000005, 32}, 502, false},
    {{0xc0a80100, 24}, 161, true},
};

/* May a removal say this? */
static bool fair(struct nr_str line)
{
    return line.n == 0 || nr_str_eqz(line, "*filter") || nr_str_eqz(line, "COMMIT") ||
           nr_str_eqz(line, ":" OURS "GR - [0:0]") || nr_str_starts(line, "-F " OURS) ||
           nr_str_starts(line, "-X " OURS) ||
           (nr_str_starts(line, "-D ") && !nr_str_starts(line, "-D " OURS) &&
            memmem(line.p, line.n, " -j " OURS, strlen(" -j " OURS)) != NULL);
}

static void check_fair(struct nr_buf *out)
{
    struct nr_str rest = nr_buf_str(out), line;

    while (nr_str_split(&rest, '\n', &line))
        nr_check(fair(line));
    nr_buf_reset(out, SIZE_MAX);
}

static void rules(struct nr_str have)
{
    struct nr_buf out;

    nr_buf_init(&out, FIREWALL_TEXT_MAX_BYTES);
    firewall_removal_text(&wall, "filter", have, &out);
    check_fair(&out);
    firewall_forget_text(&wall, have, &out);
    check_fair(&out);
    firewall_filter_text(&wall, have, &out);
    firewall_nat_text(&wall, have, &out);
    firewall_ipv6_text(&wall, have, &out);
    firewall_slot_text(&wall, have, 7, 0x0ac00009, targets, nr_countof(targets), &out);
    firewall_slot_text(&wall, have, 7, 0x0ac00009, NULL, 0, &out);
    firewall_grants_text(&wall, have, &out);
    nr_check(!out.failed && memchr(out.p, '\0', out.n) == NULL);
    nr_buf_fini(&out);
    (void)firewall_complete(&wall, have, have, have);
}

static void routes(struct nr_str text)
{
    struct subnet list[ROUTES_MAX], own, choice;
    size_t n = subnet_routes(text, wall.bridge, list, ROUTES_MAX, &own);

    nr_check(n <= ROUTES_MAX && own.prefix <= 32);
    for (size_t i = 0; i < n; i++)
        nr_check(list[i].prefix >= 1 && list[i].prefix <= 32);
    if (subnet_choose(7, list, n, &choice))
        for (size_t i = 0; i < n; i++)
            nr_check(!subnet_overlaps(choice, list[i]));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    const struct nr_str text = {(const char *)bytes, n};
    uint32_t resolvers[RESOLVERS_MAX];
    unsigned count = firewall_resolvers(text, resolvers);

    nr_check(count <= RESOLVERS_MAX);
    for (unsigned i = 0; i < count; i++)
        nr_check(resolvers[i] >> 24 != 127 && resolvers[i] != 0);
    routes(text);
    /* The kernel's names of chains and interfaces have no NUL. */
    if (n == 0 || memchr(bytes, '\0', n) == NULL)
        rules(text);
    return 0;
}
