/* Is every rule as it was written? Pure.
 *
 * The rules for everybody: the text that would install them now is held against what `iptables -S` printed, chain by chain and line by
 * line, in order. The grants of slots: each line against what is kept of its slot. A line too many is as bad as one that is missing.
 */
#include "invoker/firewall.h"

#include <string.h>

#include "common/base/mem.h"

enum { NAME_BYTES = 40, RULE_BYTES = 160 };

/* ---- the rules for everybody ------------------------------------------------------------------------------------ */

/* The next line of *text that begins like this. */
static bool next_of(struct nr_str *text, const char *begin, struct nr_str *ret)
{
    while (nr_str_split(text, '\n', ret))
        if (nr_str_starts(*ret, begin))
            return true;
    return false;
}

static bool chain_is(const struct firewall *f, const char *last, struct nr_str want,
                     struct nr_str have)
{
    char begin[NAME_BYTES];
    struct nr_str a, b;
    bool more, as_written = true;

    (void)snprintf(begin, sizeof(begin), "-A NARAE-%s-%s ", f->tag, last);
    do {
        more = next_of(&want, begin, &a);
        as_written = next_of(&have, begin, &b) == more && (!more || nr_str_eq(a, b));
    } while (more && as_written);
    return as_written;
}

/* One of the texts for iptables-restore. */
typedef void text_of(const struct firewall *f, struct nr_str have, struct nr_buf *out);

/* A text that installs a jump, or the chain of the grants, says that it was missing. */
static bool table_is(const struct firewall *f, text_of *text, const char *const *chains,
                     struct nr_str have)
{
    char grants[NAME_BYTES];
    struct nr_buf want;
    struct nr_str line, all;

    (void)snprintf(grants, sizeof(grants), ":NARAE-%s-GR ", f->tag);
    nr_buf_init(&want, FIREWALL_TEXT_MAX_BYTES);
    text(f, have, &want);
    bool as_written = !want.failed;

    all = nr_buf_str(&want);
    as_written = as_written && !next_of(&all, "-I ", &line);
    all = nr_buf_str(&want);
    as_written = as_written && !next_of(&all, grants, &line);
    for (; *chains && as_written; chains++)
        as_written = chain_is(f, *chains, nr_buf_str(&want), have);
    nr_buf_fini(&want);
    return as_written;
}

bool firewall_complete(const struct firewall *f, struct nr_str filter, struct nr_str nat,
                       struct nr_str ipv6)
{
    static const char *const filter_chains[] = {"NO", "IN", "FW", NULL};
    static const char *const nat_chains[] = {"NAT", NULL}, *const ipv6_chains[] = {"V6", NULL};

    return table_is(f, firewall_filter_text, filter_chains, filter) &&
           table_is(f, firewall_nat_text, nat_chains, nat) &&
           (!f->ipv6 || table_is(f, firewall_ipv6_text, ipv6_chains, ipv6));
}

/* ---- the grants of slots ---------------------------------------------------------------------------------------- */

/* What is kept of a slot with grants, and what a look has found of it. */
struct firewall_slot {
    struct firewall_slot *next;
    unsigned number;
    uint32_t address;
    size_t n, seen; /* rules: wanted, found in order */
    bool jumped, changed;
    struct firewall_target targets[];
};

void firewall_keep(struct firewall *f, unsigned slot, uint32_t address,
                   const struct firewall_target *targets, size_t n)
{
    struct firewall_slot **at = &f->slots, *s;

    while (*at && (*at)->number != slot)
        at = &(*at)->next;
    if ((s = *at) != NULL) {
        *at = s->next;
        free(s);
    }
    if (n == 0)
        return;
    s = nr_alloc(sizeof(*s) + n * sizeof(*targets));
    s->number = slot;
    s->address = address;
    s->n = n;
    memcpy(s->targets, targets, n * sizeof(*targets));
    s->next = f->slots;
    f->slots = s;
}

void firewall_fini(struct firewall *f)
{
    while (f->slots)
        firewall_keep(f, f->slots->number, 0, NULL, 0);
}

static void jump_line(const struct firewall *f, const struct firewall_slot *s, char out[RULE_BYTES])
{
    char from[SUBNET_TEXT_BYTES];

    (void)snprintf(out, RULE_BYTES, "-A NARAE-%s-GR -s %s/32 -j NARAE-%s-%u", f->tag,
                   subnet_text((struct subnet){s->address, 32}, from), f->tag, s->number);
}

void firewall_target_line(const struct firewall *f, unsigned slot, const struct firewall_target *t,
                          char *out, size_t bytes)
{
    const char *protocol = t->udp ? "udp" : "tcp";
    char to[SUBNET_TEXT_BYTES];

    (void)snprintf(out, bytes, "-A NARAE-%s-%u -d %s%s -p %s -m %s --dport %u -j ACCEPT", f->tag,
                   slot, subnet_text(t->to, to), t->to.prefix == 32 ? "/32" : "", protocol,
                   protocol, (unsigned)t->port);
}

/* The slot of this number; *last is where the line before was: a chain's lines come together. */
static struct firewall_slot *slot_of(const struct firewall *f, struct firewall_slot **last,
                                     unsigned number)
{
    struct firewall_slot *s = *last && (*last)->number == number ? *last : f->slots;

    while (s && s->number != number)
        s = s->next;
    if (s)
        *last = s;
    return s;
}

/* The number at the beginning of a text; 0: none. */
static unsigned number_at(struct nr_str text)
{
    unsigned n = 0;

    for (size_t i = 0; i < text.n && text.p[i] >= '0' && text.p[i] <= '9' && n < 1000000; i++)
        n = n * 10 + (unsigned)(text.p[i] - '0');
    return n;
}

/* A jump of the chain GR. False: it is none of ours. */
static bool found_jump(const struct firewall *f, struct firewall_slot **last, struct nr_str line)
{
    char want[RULE_BYTES];
    const char *dash = line.n ? memrchr(line.p, '-', line.n) : NULL;
    unsigned number =
        dash ? number_at((struct nr_str){dash + 1, line.n - (size_t)(dash + 1 - line.p)}) : 0;
    struct firewall_slot *s = slot_of(f, last, number);

    if (s == NULL || s->jumped)
        return false;
    jump_line(f, s, want);
    s->jumped = nr_str_eqz(line, want);
    return s->jumped;
}

/* A line of a slot's chain; those of slots that are not kept are reached by nobody. */
static void found_rule(const struct firewall *f, struct firewall_slot **last, unsigned number,
                       struct nr_str line)
{
    struct firewall_slot *s = slot_of(f, last, number);
    char want[RULE_BYTES];

    if (s == NULL)
        return;
    if (s->seen < s->n)
        firewall_target_line(f, number, &s->targets[s->seen], want, sizeof(want));
    s->changed = s->changed || s->seen >= s->n || !nr_str_eqz(line, want);
    s->seen++;
}

/* Marks the slots. False: the chain of jumps is not as it was written. */
static bool look(const struct firewall *f, struct nr_str have)
{
    char ours[NAME_BYTES];
    struct firewall_slot *last = NULL;
    struct nr_str line;
    bool as_written = true;

    for (struct firewall_slot *s = f->slots; s; s = s->next) {
        s->seen = 0;
        s->jumped = s->changed = false;
    }
    (void)snprintf(ours, sizeof(ours), "-A NARAE-%s-", f->tag);
    while (next_of(&have, ours, &line)) {
        size_t n = strlen(ours);
        const struct nr_str rest = {line.p + n, line.n - n};

        if (nr_str_starts(rest, "GR "))
            as_written = found_jump(f, &last, line) && as_written;
        else
            found_rule(f, &last, number_at(rest), line);
    }
    for (const struct firewall_slot *s = f->slots; s; s = s->next)
        as_written = as_written && s->jumped;
    return as_written;
}

void firewall_grants_text(const struct firewall *f, struct nr_str have, struct nr_buf *out)
{
    char line[RULE_BYTES];
    bool jumps = !look(f, have), any = jumps;

    nr_buf_adds(out, "*filter\n");
    for (const struct firewall_slot *s = f->slots; s; s = s->next) {
        if (!s->changed && s->seen == s->n)
            continue;
        any = true;
        nr_buf_printf(out, ":NARAE-%s-%u - [0:0]\n", f->tag, s->number);
        for (size_t i = 0; i < s->n; i++) {
            firewall_target_line(f, s->number, &s->targets[i], line, sizeof(line));
            nr_buf_printf(out, "%s\n", line);
        }
    }
    if (jumps)
        nr_buf_printf(out, ":NARAE-%s-GR - [0:0]\n", f->tag);
    for (const struct firewall_slot *s = f->slots; s && jumps; s = s->next) {
        jump_line(f, s, line);
        nr_buf_printf(out, "%s\n", line);
    }
    if (any)
        nr_buf_adds(out, "COMMIT\n");
    else
        nr_buf_reset(out, SIZE_MAX);
}
