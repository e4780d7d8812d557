/* Subnets as numbers and as texts, and the choice of one that nobody on this host uses. */
#include <stdio.h>
#include <string.h>

#include "invoker/network_link.h"
#include "ports/grants.h"

/* The range that subnets are chosen from: 10.192.0.0/10, 1,024 of them. */
enum { CHOICES = 1024 };
static const uint32_t range_address = 0x0ac00000;

static uint32_t mask_of(uint8_t prefix)
{
    return prefix == 0 ? 0 : ~(uint32_t)0 << (32 - prefix);
}

bool subnet_has(struct subnet s, uint32_t address)
{
    return ((s.address ^ address) & mask_of(s.prefix)) == 0;
}

bool subnet_overlaps(struct subnet a, struct subnet b)
{
    return subnet_has(a.prefix < b.prefix ? a : b, a.prefix < b.prefix ? b.address : a.address);
}

const char *subnet_text(struct subnet s, char out[SUBNET_TEXT_BYTES])
{
    const uint32_t a = s.address;
    int n = snprintf(out, SUBNET_TEXT_BYTES, "%u.%u.%u.%u", a >> 24, a >> 16 & 0xff, a >> 8 & 0xff,
                     a & 0xff);

    if (s.prefix < 32)
        (void)snprintf(out + n, (size_t)(SUBNET_TEXT_BYTES - n), "/%u", (unsigned)s.prefix);
    return out;
}

bool subnet_read(struct nr_str text, struct subnet *ret)
{
    return grants_read_address(text, &ret->address, &ret->prefix);
}

bool subnet_choose(uint32_t hash, const struct subnet *taken, size_t n, struct subnet *ret)
{
    for (uint32_t i = 0; i < CHOICES; i++) {
        struct subnet s = {range_address + ((hash + i) % CHOICES << (32 - SUBNET_PREFIX)),
                           SUBNET_PREFIX};
        size_t k = 0;

        while (k < n && !subnet_overlaps(s, taken[k]))
            k++;
        if (k == n) {
            *ret = s;
            return true;
        }
    }
    return false;
}

/* One line of /proc/net/route: numbers are the wire's bytes read as a little-endian number, that is on every machine of ours. */
static bool read_route(const char *line, char name[LINK_NAME_BYTES], struct subnet *ret)
{
    unsigned destination, gateway, flags, mask;

    if (sscanf(line, "%15s %x %x %x %*d %*d %*d %x", name, &destination, &gateway, &flags, &mask) !=
        5)
        return false;
    *ret = (struct subnet){__builtin_bswap32(destination), (uint8_t)__builtin_popcount(mask)};
    return true;
}

size_t subnet_routes(struct nr_str text, const char *but, struct subnet *ret, size_t max,
                     struct subnet *ret_but)
{
    size_t n = 0;

    *ret_but = (struct subnet){0};
    while (text.n > 0) {
        const char *end = memchr(text.p, '\n', text.n);
        size_t bytes = end ? (size_t)(end - text.p) : text.n;
        char line[256], name[LINK_NAME_BYTES];
        struct subnet s;

        (void)snprintf(line, sizeof(line), "%.*s", (int)(bytes < 255 ? bytes : 255), text.p);
        text.p += bytes + (end ? 1 : 0);
        text.n -= bytes + (end ? 1 : 0);
        if (!read_route(line, name, &s) || s.prefix == 0)
            continue;
        if (but && strcmp(name, but) == 0)
            *ret_but = ret_but->prefix == 0 ? s : *ret_but;
        else if (n < max)
            ret[n++] = s;
    }
    return n;
}
