/* The rules as texts. Everything is written from numbers and names of our own; the only foreign text is what `iptables -S` printed, of
 * which whole lines that jump to our chains are repeated to delete them.
 */
#include "invoker/firewall.h"

#include <string.h>

#include "common/base/mem.h"

enum { CHAIN_BYTES = 28, LINE_BYTES = 160 };

/* Never to be reached from a slot: this network, private, carrier, loopback, link-local, protocol, benchmark, multicast, reserved. */
static const char *const forbidden[] = {
    "0.0.0.0/8",     "10.0.0.0/8",   "100.64.0.0/10",  "127.0.0.0/8",   "169.254.0.0/16",
    "172.16.0.0/12", "192.0.0.0/24", "192.168.0.0/16", "198.18.0.0/15", "224.0.0.0/3",
};

static const char established[] = "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT";

/* ---- reading what is there ---------------------------------------------------------------------------------- */

/* The next line of *text, without its end; false behind the last one. */
static bool next_line(struct nr_str *text, struct nr_str *ret)
{
    if (text->n == 0)
        return false;
    const char *end = memchr(text->p, '\n', text->n);
    size_t n = end ? (size_t)(end - text->p) : text->n;

    *ret = (struct nr_str){text->p, n};
    text->p += n + (end ? 1 : 0);
    text->n -= n + (end ? 1 : 0);
    return true;
}

__attribute__((format(printf, 2, 3))) static bool has_line(struct nr_str have, const char *fmt, ...)
{
    char wanted[LINE_BYTES];
    struct nr_str line;
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(wanted, sizeof(wanted), fmt, ap);
    va_end(ap);
    while (next_line(&have, &line))
        if (nr_str_eq(line, nr_str_of(wanted)))
            return true;
    return false;
}

/* ---- our chains --------------------------------------------------------------------------------------------- */

static const char *chain(const struct firewall *f, const char *last, char out[CHAIN_BYTES])
{
    (void)snprintf(out, CHAIN_BYTES, "NARAE-%s-%s", f->tag, last);
    return out;
}

/* Declared: made when it is not there, emptied when it is. */
static void declare(const struct firewall *f, const char *last, struct nr_buf *out)
{
    nr_buf_printf(out, ":NARAE-%s-%s - [0:0]\n", f->tag, last);
}

/* Where a chain is jumped to from. */
struct jump {
    const char *from, *match, *last;
};
static const struct jump filter_jumps[] = {
    {"INPUT", "-i", "IN"},       {"FORWARD", "-i", "FW"},     {"FORWARD", "-o", "FW"},
    {"DOCKER-USER", "-i", "FW"}, {"DOCKER-USER", "-o", "FW"},
};
static const struct jump ipv6_jumps[] = {
    {"INPUT", "-i", "V6"},
    {"FORWARD", "-i", "V6"},
    {"FORWARD", "-o", "V6"},
};

/* Is it there, or is there nowhere to jump from? DOCKER-USER exists where an Engine keeps rules. */
static bool jump_there(const struct firewall *f, const struct jump *j, struct nr_str have)
{
    char to[CHAIN_BYTES];

    if (strcmp(j->from, "DOCKER-USER") == 0 && !has_line(have, "-N %s", j->from))
        return true;
    return has_line(have, "-A %s %s %s -j %s", j->from, j->match, f->bridge, chain(f, j->last, to));
}

static void add_jumps(const struct firewall *f, const struct jump *jumps, size_t n,
                      struct nr_str have, struct nr_buf *out)
{
    for (size_t i = 0; i < n; i++)
        if (!jump_there(f, &jumps[i], have))
            nr_buf_printf(out, "-I %s 1 %s %s -j NARAE-%s-%s\n", jumps[i].from, jumps[i].match,
                          f->bridge, f->tag, jumps[i].last);
}

static void add_rule(const struct firewall *f, const char *last, const char *rule,
                     struct nr_buf *out)
{
    nr_buf_printf(out, "-A NARAE-%s-%s %s\n", f->tag, last, rule);
}

static void add_resolvers(const struct firewall *f, const char *last, struct nr_buf *out)
{
    static const char *const protocols[] = {"udp", "tcp"};

    for (unsigned i = 0; i < f->resolver_count; i++)
        for (size_t k = 0; k < nr_countof(protocols); k++) {
            char to[SUBNET_TEXT_BYTES];

            nr_buf_printf(out, "-A NARAE-%s-%s -d %s/32 -p %s -m %s --dport 53 -j ACCEPT\n", f->tag,
                          last, subnet_text((struct subnet){f->resolvers[i], 32}, to), protocols[k],
                          protocols[k]);
        }
}

/* Refused at once, not silently: a function that tries finds out without waiting, and learns the same about every address. A reset for TCP,
 * for the kernel sends few ICMP errors a second. */
static void add_refusal_rules(const struct firewall *f, struct nr_buf *out)
{
    add_rule(f, "NO", "-p tcp -j REJECT --reject-with tcp-reset", out);
    add_rule(f, "NO", "-j REJECT --reject-with icmp-admin-prohibited", out);
}

static void add_input_rules(const struct firewall *f, struct nr_buf *out)
{
    add_rule(f, "IN", established, out);
    add_resolvers(f, "IN", out);
    nr_buf_printf(out, "-A NARAE-%s-IN -j NARAE-%s-GR\n", f->tag, f->tag);
    nr_buf_printf(out, "-A NARAE-%s-IN -j NARAE-%s-NO\n", f->tag, f->tag);
}

/* Packets that go on are judged one by one, so that a grant taken away cuts what runs. */
static void add_forward_rules(const struct firewall *f, struct nr_buf *out)
{
    char own[SUBNET_TEXT_BYTES];

    nr_buf_printf(out, "-A NARAE-%s-FW -o %s %s\n", f->tag, f->bridge, established);
    nr_buf_printf(out, "-A NARAE-%s-FW -o %s -j DROP\n", f->tag, f->bridge);
    nr_buf_printf(out, "-A NARAE-%s-FW ! -s %s -j DROP\n", f->tag, subnet_text(f->subnet, own));
    add_resolvers(f, "FW", out);
    nr_buf_printf(out, "-A NARAE-%s-FW -j NARAE-%s-GR\n", f->tag, f->tag);
    for (size_t i = 0; i < nr_countof(forbidden); i++)
        nr_buf_printf(out, "-A NARAE-%s-FW -d %s -j NARAE-%s-NO\n", f->tag, forbidden[i], f->tag);
    add_rule(f, "FW", "-j ACCEPT", out);
}

void firewall_filter_text(const struct firewall *f, struct nr_str have, struct nr_buf *out)
{
    char grants[CHAIN_BYTES];

    nr_buf_adds(out, "*filter\n");
    declare(f, "NO", out);
    declare(f, "IN", out);
    declare(f, "FW", out);
    if (!has_line(have, "-N %s", chain(f, "GR", grants)))
        declare(f, "GR", out);
    add_refusal_rules(f, out);
    add_input_rules(f, out);
    add_forward_rules(f, out);
    add_jumps(f, filter_jumps, nr_countof(filter_jumps), have, out);
    nr_buf_adds(out, "COMMIT\n");
}

static bool nat_jump_there(const struct firewall *f, struct nr_str have)
{
    char own[SUBNET_TEXT_BYTES];

    return has_line(have, "-A POSTROUTING -s %s -j NARAE-%s-NAT", subnet_text(f->subnet, own),
                    f->tag);
}

void firewall_nat_text(const struct firewall *f, struct nr_str have, struct nr_buf *out)
{
    char own[SUBNET_TEXT_BYTES];

    nr_buf_adds(out, "*nat\n");
    declare(f, "NAT", out);
    nr_buf_printf(out, "-A NARAE-%s-NAT ! -o %s -j MASQUERADE\n", f->tag, f->bridge);
    if (!nat_jump_there(f, have))
        nr_buf_printf(out, "-I POSTROUTING 1 -s %s -j NARAE-%s-NAT\n", subnet_text(f->subnet, own),
                      f->tag);
    nr_buf_adds(out, "COMMIT\n");
}

void firewall_ipv6_text(const struct firewall *f, struct nr_str have, struct nr_buf *out)
{
    nr_buf_adds(out, "*filter\n");
    declare(f, "V6", out);
    add_rule(f, "V6", "-j DROP", out);
    add_jumps(f, ipv6_jumps, nr_countof(ipv6_jumps), have, out);
    nr_buf_adds(out, "COMMIT\n");
}

/* ---- removal ------------------------------------------------------------------------------------------------ */

/* The chain that a line "-X CHAIN ..." is about. */
static struct nr_str chain_of(struct nr_str line)
{
    struct nr_str s = line.n > 3 ? (struct nr_str){line.p + 3, line.n - 3} : (struct nr_str){0};
    const char *end = s.n ? memchr(s.p, ' ', s.n) : NULL;

    return end ? (struct nr_str){s.p, (size_t)(end - s.p)} : s;
}

/* Lines of others that jump to us are deleted, then our chains are emptied, then they go. */
static void remove_pass(const char *ours, struct nr_str have, char pass, struct nr_buf *out)
{
    char jump[LINE_BYTES];
    struct nr_str line;

    (void)snprintf(jump, sizeof(jump), " -j %s", ours);
    while (next_line(&have, &line)) {
        bool mine = nr_str_starts(chain_of(line), ours);

        if (pass == 'D' && !mine && nr_str_starts(line, "-A ") &&
            memmem(line.p, line.n, jump, strlen(jump)) != NULL)
            nr_buf_printf(out, "-D%.*s\n", (int)(line.n - 2), line.p + 2);
        else if (pass != 'D' && mine && nr_str_starts(line, "-N "))
            nr_buf_printf(out, "-%c%.*s\n", pass, (int)(line.n - 2), line.p + 2);
    }
}

void firewall_removal_text(const struct firewall *f, const char *table, struct nr_str have,
                           struct nr_buf *out)
{
    char ours[CHAIN_BYTES];
    size_t before;

    (void)chain(f, "", ours);
    nr_buf_printf(out, "*%s\n", table);
    before = out->n;
    remove_pass(ours, have, 'D', out);
    remove_pass(ours, have, 'F', out);
    remove_pass(ours, have, 'X', out);
    if (out->n == before)
        nr_buf_reset(out, SIZE_MAX);
    else
        nr_buf_adds(out, "COMMIT\n");
}

/* ---- grants of a slot --------------------------------------------------------------------------------------- */

void firewall_slot_text(const struct firewall *f, struct nr_str have, unsigned slot,
                        uint32_t address, const struct firewall_target *targets, size_t n,
                        struct nr_buf *out)
{
    char from[SUBNET_TEXT_BYTES], name[CHAIN_BYTES], line[LINE_BYTES];

    (void)subnet_text((struct subnet){address, 32}, from);
    (void)snprintf(name, sizeof(name), "NARAE-%s-%u", f->tag, slot);
    bool there = has_line(have, "-N %s", name);
    bool jumped = has_line(have, "-A NARAE-%s-GR -s %s/32 -j %s", f->tag, from, name);

    if (n == 0 && !there)
        return;
    nr_buf_adds(out, "*filter\n");
    nr_buf_printf(out, ":%s - [0:0]\n", name);
    for (size_t i = 0; i < n; i++) {
        firewall_target_line(f, slot, &targets[i], line, sizeof(line));
        nr_buf_printf(out, "%s\n", line);
    }
    if (n > 0 && !jumped)
        nr_buf_printf(out, "-A NARAE-%s-GR -s %s/32 -j %s\n", f->tag, from, name);
    if (n == 0 && jumped)
        nr_buf_printf(out, "-D NARAE-%s-GR -s %s/32 -j %s\n", f->tag, from, name);
    if (n == 0)
        nr_buf_printf(out, "-X %s\n", name);
    nr_buf_adds(out, "COMMIT\n");
}

/* Does a number stand behind the first n letters? */
static bool ends_in_number(struct nr_str name, size_t n)
{
    for (size_t i = n; i < name.n; i++)
        if (name.p[i] < '0' || name.p[i] > '9')
            return false;
    return name.n > n;
}

/* Chains that end in a number; the chain that jumps to them is emptied first. */
void firewall_forget_text(const struct firewall *f, struct nr_str have, struct nr_buf *out)
{
    char ours[CHAIN_BYTES];
    struct nr_str line, rest = have;
    size_t n = strlen(chain(f, "", ours));
    bool any = false;

    for (const char *pass = "FX"; *pass; pass++, rest = have)
        while (next_line(&rest, &line)) {
            struct nr_str name = chain_of(line);

            if (!nr_str_starts(line, "-N ") || !nr_str_starts(name, ours) ||
                !ends_in_number(name, n))
                continue;
            if (!any) {
                nr_buf_adds(out, "*filter\n");
                declare(f, "GR", out);
            }
            any = true;
            nr_buf_printf(out, "-%c %.*s\n", *pass, (int)name.n, name.p);
        }
    if (any)
        nr_buf_adds(out, "COMMIT\n");
}

/* ---- resolvers ---------------------------------------------------------------------------------------------- */

unsigned firewall_resolvers(struct nr_str text, uint32_t ret[RESOLVERS_MAX])
{
    static const char word[] = "nameserver";
    struct nr_str line;
    unsigned n = 0;

    while (n < RESOLVERS_MAX && next_line(&text, &line)) {
        struct subnet s;

        if (!nr_str_starts(line, word) || line.n <= sizeof(word) ||
            (line.p[sizeof(word) - 1] != ' ' && line.p[sizeof(word) - 1] != '\t'))
            continue;
        struct nr_str value = {line.p + sizeof(word), line.n - sizeof(word)};

        while (value.n > 0 && strchr(" \t\r", value.p[value.n - 1]))
            value.n--;
        while (value.n > 0 && strchr(" \t", value.p[0]))
            value = (struct nr_str){value.p + 1, value.n - 1};

        if (subnet_read(value, &s) && s.prefix == 32 && s.address >> 24 != 127 && s.address != 0)
            ret[n++] = s.address;
    }
    return n;
}
