/* Running the programs: iptables -S tells what is there, iptables-restore changes it in one transaction, both with fixed arguments.
 *
 * The programs take the host's lock (-w) themselves; in this process one change is made at a time, by who calls.
 */
#include "invoker/firewall.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <resolv.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/program.h"
#include "ports/grants.h"

/* RUN_MS: of a program, with the ten seconds that it may wait for the host's lock. */
enum { OUTPUT_MAX_BYTES = 4 << 20, RUN_MS = 30000, LINK_LOCAL = 169 << 8 | 254 };
/* NAMES_MS: for all names of a slot together; the one that is being asked for then is still waited for. */
enum { NAME_SERVER_S = 1, NAMES_MS = 3000 };

/* ---- programs ----------------------------------------------------------------------------------------------- */

static int list(const char *program, const char *table, struct nr_buf *out, struct nr_err *err)
{
    const char *const argv[] = {program, "-w", "10", "-t", table, "-S", NULL};

    return nr_program_run(&(struct nr_program){.argv = argv, .out = out, .max_ms = RUN_MS}, err);
}

static int restore(const char *program, const struct nr_buf *text, struct nr_err *err)
{
    const char *const argv[] = {program, "-w", "10", "--noflush", NULL};

    if (text->failed)
        return nr_err_set(err, NR_ETOOBIG, "the firewall's rules are longer than allowed");
    return text->n == 0 ? 0
                        : nr_program_run(&(struct nr_program){.argv = argv,
                                                              .input = nr_buf_str(text),
                                                              .max_ms = RUN_MS},
                                         err);
}

/* ---- installing and removing -------------------------------------------------------------------------------- */

/* What is there: filter, nat, IPv6's filter. */
struct tables {
    struct nr_buf filter, nat, ipv6, text;
};

static void tables_init(struct tables *t)
{
    nr_buf_init(&t->filter, OUTPUT_MAX_BYTES);
    nr_buf_init(&t->nat, OUTPUT_MAX_BYTES);
    nr_buf_init(&t->ipv6, OUTPUT_MAX_BYTES);
    nr_buf_init(&t->text, OUTPUT_MAX_BYTES);
}

static void tables_fini(struct tables *t)
{
    nr_buf_fini(&t->filter);
    nr_buf_fini(&t->nat);
    nr_buf_fini(&t->ipv6);
    nr_buf_fini(&t->text);
}

static int tables_read(struct tables *t, bool ipv6, struct nr_err *err)
{
    int r = list("iptables", "filter", &t->filter, err);

    if (r == 0)
        r = list("iptables", "nat", &t->nat, err);
    return r == 0 && ipv6 ? list("ip6tables", "filter", &t->ipv6, err) : r;
}

/* The bridge has no IPv6 of its own (network_link.c); where ip6tables works its rules stand behind that. */
static bool ipv6_works(void)
{
    struct nr_buf out;

    nr_buf_init(&out, OUTPUT_MAX_BYTES);
    bool works =
        access("/proc/net/if_inet6", F_OK) == 0 && list("ip6tables", "filter", &out, NULL) == 0;

    nr_buf_fini(&out);
    return works;
}

static int install(const struct firewall *f, struct tables *t, struct nr_err *err)
{
    firewall_filter_text(f, nr_buf_str(&t->filter), &t->text);
    int r = restore("iptables-restore", &t->text, err);

    nr_buf_reset(&t->text, SIZE_MAX);
    firewall_nat_text(f, nr_buf_str(&t->nat), &t->text);
    if (r == 0)
        r = restore("iptables-restore", &t->text, err);
    nr_buf_reset(&t->text, SIZE_MAX);
    firewall_ipv6_text(f, nr_buf_str(&t->ipv6), &t->text);
    return r == 0 && f->ipv6 ? restore("ip6tables-restore", &t->text, err) : r;
}

int firewall_install(struct firewall *f, bool renew, struct nr_err *err)
{
    struct tables t;

    tables_init(&t);
    if (renew)
        f->ipv6 = ipv6_works();
    int r = tables_read(&t, f->ipv6, err);
    bool changed =
        r == 0 && !renew &&
        !firewall_complete(f, nr_buf_str(&t.filter), nr_buf_str(&t.nat), nr_buf_str(&t.ipv6));

    if (r == 0 && (renew || changed))
        r = install(f, &t, err);
    nr_buf_reset(&t.text, SIZE_MAX);
    firewall_grants_text(f, nr_buf_str(&t.filter), &t.text);
    changed = changed || t.text.n > 0;
    if (r == 0)
        r = restore("iptables-restore", &t.text, err);
    tables_fini(&t);
    return r == 0 && !renew ? changed : r;
}

int firewall_remove(const struct firewall *f, struct nr_err *err)
{
    struct tables t;
    bool ipv6 = ipv6_works();

    tables_init(&t);
    int r = tables_read(&t, ipv6, err);

    firewall_removal_text(f, "nat", nr_buf_str(&t.nat), &t.text);
    if (r == 0)
        r = restore("iptables-restore", &t.text, err);
    nr_buf_reset(&t.text, SIZE_MAX);
    firewall_removal_text(f, "filter", nr_buf_str(&t.filter), &t.text);
    if (r == 0)
        r = restore("iptables-restore", &t.text, err);
    nr_buf_reset(&t.text, SIZE_MAX);
    firewall_removal_text(f, "filter", nr_buf_str(&t.ipv6), &t.text);
    if (r == 0 && ipv6)
        r = restore("ip6tables-restore", &t.text, err);
    tables_fini(&t);
    return r;
}

/* ---- grants ------------------------------------------------------------------------------------------------- */

/* A name may lead anywhere but to the host: its loopback, our bridge, what it tells about itself on link-local addresses (a cloud's keys);
 * nor to many at once. Whoever answers for the name decides that, not who has given the grant. */
static bool may_be_named(const struct firewall *f, uint32_t address)
{
    return address >> 24 != 0 && address >> 24 != 127 && address >> 16 != LINK_LOCAL &&
           address >> 28 < 14 && !subnet_has(f->subnet, address);
}

/* A name that does not resolve now lets nothing through for the life of the container: it is asked for once. */
static size_t resolve(const struct firewall *f, const struct grant_egress *g,
                      struct firewall_target *ret, size_t max)
{
    const struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    size_t n = 0;

    if (getaddrinfo(g->name, NULL, &hints, &list) != 0)
        return 0;
    for (const struct addrinfo *a = list; a && n < max; a = a->ai_next) {
        uint32_t address =
            ntohl(((const struct sockaddr_in *)(const void *)a->ai_addr)->sin_addr.s_addr);

        if (may_be_named(f, address))
            ret[n++] = (struct firewall_target){{address, 32}, g->port, g->udp};
    }
    freeaddrinfo(list);
    return n;
}

/* Of this thread: a server that is silent would hold it for ten seconds and more. */
static void be_quick(void)
{
    if (res_init() != 0)
        return;
    _res.retrans = NAME_SERVER_S;
    _res.retry = 1;
}

size_t firewall_targets(const struct firewall *f, const struct grants *g,
                        struct firewall_target ret[FIREWALL_ADDRESSES_MAX])
{
    enum { max = FIREWALL_ADDRESSES_MAX };
    uint64_t until_ms = nr_mono_ms() + NAMES_MS;
    size_t n = 0;

    be_quick();
    for (unsigned i = 0; g && i < g->egress_count && n < max; i++) {
        const struct grant_egress *e = &g->egress[i];

        if (e->name && nr_mono_ms() < until_ms)
            n += resolve(f, e, ret + n, max - n);
        else if (e->name == NULL)
            ret[n++] = (struct firewall_target){{e->address, e->prefix}, e->port, e->udp};
    }
    return n;
}

bool firewall_there(const struct firewall *f)
{
    struct nr_buf have;

    nr_buf_init(&have, OUTPUT_MAX_BYTES);
    bool there = list("iptables", "filter", &have, NULL) == 0 && have.n > 0 &&
                 memmem(have.p, have.n, f->tag, strlen(f->tag)) != NULL;

    nr_buf_fini(&have);
    return there;
}

int firewall_forget_grants(const struct firewall *f, struct nr_err *err)
{
    struct nr_buf have, text;

    nr_buf_init(&have, OUTPUT_MAX_BYTES);
    nr_buf_init(&text, FIREWALL_TEXT_MAX_BYTES);
    int r = list("iptables", "filter", &have, err);

    if (r == 0)
        firewall_forget_text(f, nr_buf_str(&have), &text);
    if (r == 0)
        r = restore("iptables-restore", &text, err);
    nr_buf_fini(&have);
    nr_buf_fini(&text);
    return r;
}

int firewall_grant(struct firewall *f, unsigned slot, uint32_t address,
                   const struct firewall_target *targets, size_t n, struct nr_err *err)
{
    struct nr_buf have, text;

    nr_buf_init(&have, OUTPUT_MAX_BYTES);
    nr_buf_init(&text, FIREWALL_TEXT_MAX_BYTES);
    int r = list("iptables", "filter", &have, err);

    if (r == 0)
        firewall_slot_text(f, nr_buf_str(&have), slot, address, targets, n, &text);
    if (n == 0)
        firewall_keep(f, slot, address, NULL, 0);
    if (r == 0)
        r = restore("iptables-restore", &text, err);
    if (r == 0 && n > 0)
        firewall_keep(f, slot, address, targets, n);
    nr_buf_fini(&have);
    nr_buf_fini(&text);
    return r;
}
