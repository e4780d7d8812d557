/* Docker's rules: the first part is a host when it has a dot or a colon or is "localhost"; paths are of small letters; a tag and a digest may
 * both be there, and then the digest counts. What the rules do not allow is refused here, so that nothing else reaches the Engine's paths.
 */
#include "fnmanager/images/image_name.h"

#include <arpa/inet.h>

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/str.h"

static const char hub[] = "docker.io";

enum { TAG_MAX_BYTES = 128, SHA256_HEX_BYTES = 64, PORT_MAX = 65535 };

static int bad(const char *text, struct nr_err *err)
{
    return nr_err_set(err, NR_EINVAL, "The image reference '%.128s' is not valid.", text);
}

static bool is_host(struct nr_str part)
{
    return memchr(part.p, '.', part.n) || memchr(part.p, ':', part.n) ||
           nr_str_eqz(part, "localhost");
}

/* name[:port], of letters that names and IPv4 addresses have. */
static bool good_host(struct nr_str host)
{
    struct nr_str rest = host, name = {NULL, 0};
    int64_t port;

    (void)nr_str_split(&rest, ':', &name);
    if (name.n == 0 || name.n >= IMAGE_HOST_BYTES - 8 || !isalnum((unsigned char)name.p[0]) ||
        !isalnum((unsigned char)name.p[name.n - 1]))
        return false;
    for (size_t i = 0; i < name.n; i++)
        if (!isalnum((unsigned char)name.p[i]) &&
            (name.p[i] != '-' && (name.p[i] != '.' || name.p[i - 1] == '.')))
            return false;
    return memchr(host.p, ':', host.n) == NULL || nr_str_to_i64(rest, 1, PORT_MAX, &port);
}

/* Between letters: one dot, one or two underscores, or any number of dashes. */
static bool good_separator(const char *p, size_t n)
{
    size_t dashes = 0;

    while (dashes < n && p[dashes] == '-')
        dashes++;
    return dashes == n || (n == 1 && (*p == '.' || *p == '_')) ||
           (n == 2 && p[0] == '_' && p[1] == '_');
}

/* Small letters and digits with separators between. */
static bool good_part(struct nr_str s)
{
    size_t run = 0;

    if (s.n == 0)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        bool letter = islower((unsigned char)s.p[i]) || isdigit((unsigned char)s.p[i]);

        if (!letter && (i == 0 || i + 1 == s.n))
            return false;
        if (letter && !good_separator(s.p + i - run, run))
            return false;
        run = letter ? 0 : run + 1;
    }
    return true;
}

static bool good_path(struct nr_str path)
{
    struct nr_str rest = path, part;

    if (path.n == 0 || path.p[path.n - 1] == '/')
        return false;
    while (nr_str_split(&rest, '/', &part))
        if (!good_part(part))
            return false;
    return true;
}

static bool good_tag(struct nr_str tag)
{
    if (tag.n == 0 || tag.n > TAG_MAX_BYTES || tag.p[0] == '.' || tag.p[0] == '-')
        return false;
    for (size_t i = 0; i < tag.n; i++)
        if (!isalnum((unsigned char)tag.p[i]) && strchr("._-", tag.p[i]) == NULL)
            return false;
    return true;
}

static bool good_digest(struct nr_str digest)
{
    struct nr_str hex = {digest.p + 7, digest.n - 7};

    if (!nr_str_starts(digest, "sha256:") || hex.n != SHA256_HEX_BYTES)
        return false;
    for (size_t i = 0; i < hex.n; i++)
        if (!isdigit((unsigned char)hex.p[i]) && (hex.p[i] < 'a' || hex.p[i] > 'f'))
            return false;
    return true;
}

int image_host_parse(const char *text, char out[static IMAGE_HOST_BYTES], struct nr_err *err)
{
    struct nr_str host = nr_str_of(text);

    if (!good_host(host))
        return nr_err_set(err, NR_EINVAL, "'%.128s' names no registry: HOST or HOST:PORT.", text);
    if (nr_str_ieqz(host, "index.docker.io") || nr_str_ieqz(host, "registry-1.docker.io"))
        host = nr_str_of(hub);
    for (size_t i = 0; i <= host.n; i++)
        out[i] = i < host.n ? (char)tolower((unsigned char)host.p[i]) : '\0';
    return 0;
}

/* What a text has of each; absent: {NULL, 0}. */
struct parts {
    struct nr_str host, path, tag, digest;
};

static struct parts split(struct nr_str text)
{
    struct parts p = {.digest = text};
    const char *slash, *colon;

    (void)nr_str_split(&p.digest, '@', &p.path);
    slash = p.path.p ? memchr(p.path.p, '/', p.path.n) : NULL;
    if (slash) {
        struct nr_str first = {p.path.p, (size_t)(slash - p.path.p)};

        if (first.n > 0 && is_host(first)) {
            p.host = first;
            p.path = (struct nr_str){slash + 1, p.path.n - first.n - 1};
        }
    }
    colon = p.path.p ? memchr(p.path.p, ':', p.path.n) : NULL;
    if (colon) {
        p.tag = (struct nr_str){colon + 1, (size_t)(p.path.p + p.path.n - colon - 1)};
        p.path.n = (size_t)(colon - p.path.p);
    }
    return p;
}

/* What would lead to an image by its id, whoever's that is. */
static bool is_id(const struct parts *p)
{
    size_t i = 0;

    if (p->host.p)
        return false;
    while (i < p->path.n && isxdigit((unsigned char)p->path.p[i]))
        i++;
    return nr_str_eqz(p->path, "sha256") || (i == p->path.n && i == SHA256_HEX_BYTES);
}

int image_name_parse(const char *text, struct image_name *ret, struct nr_err *err)
{
    struct parts p = split(nr_str_of(text));
    struct image_name name = {.host = "docker.io"};
    bool has_digest = strchr(text, '@') != NULL;
    char host[IMAGE_HOST_BYTES];

    if (!good_path(p.path) || is_id(&p) || (p.tag.p && !good_tag(p.tag)) ||
        (has_digest && (p.digest.p == NULL || !good_digest(p.digest))))
        return bad(text, err);
    if (p.host.p) {
        (void)snprintf(host, sizeof(host), "%.*s", (int)p.host.n, p.host.p);
        if (p.host.n >= sizeof(host) || image_host_parse(host, name.host, NULL) < 0)
            return bad(text, err);
    }
    bool of_hub = strcmp(name.host, hub) == 0;

    if (of_hub && nr_str_starts(p.path, "library/"))
        p.path = (struct nr_str){p.path.p + 8, p.path.n - 8};
    int n = snprintf(name.repository, sizeof(name.repository), "%s%s%.*s", of_hub ? "" : name.host,
                     of_hub ? "" : "/", (int)p.path.n, p.path.p);

    if (n < 0 || (size_t)n >= sizeof(name.repository))
        return bad(text, err);
    if (has_digest)
        (void)snprintf(name.reference, sizeof(name.reference), "%s@%.*s", name.repository,
                       (int)p.digest.n, p.digest.p);
    else
        (void)snprintf(name.reference, sizeof(name.reference), "%s:%.*s", name.repository,
                       p.tag.p ? (int)p.tag.n : 6, p.tag.p ? p.tag.p : "latest");
    *ret = name;
    return 0;
}

/* RFC 6890, and what is multicast or reserved. */
static bool is_local_v4(uint32_t a)
{
    static const struct {
        uint32_t net;
        unsigned bits;
    } nets[] = {
        {0x00000000, 8},  {0x0a000000, 8},  {0x64400000, 10}, {0x7f000000, 8},  {0xa9fe0000, 16},
        {0xac100000, 12}, {0xc0000000, 24}, {0xc0a80000, 16}, {0xc6120000, 15}, {0xe0000000, 3},
    };

    for (size_t i = 0; i < nr_countof(nets); i++)
        if ((a ^ nets[i].net) >> (32 - nets[i].bits) == 0)
            return true;
    return false;
}

/* Public ones are in 2000::/3; those that stand for an IPv4 address by way of a relay are not ours to tell. */
static bool is_local_v6(const struct in6_addr *a)
{
    static const unsigned char sixtofour[] = {0x20, 0x02}, teredo[] = {0x20, 0x01, 0, 0};

    return (a->s6_addr[0] & 0xe0) != 0x20 || memcmp(a->s6_addr, sixtofour, 2) == 0 ||
           memcmp(a->s6_addr, teredo, 4) == 0;
}

static bool has_local_zone(struct nr_str name)
{
    static const char *const zones[] = {".local", ".localhost", ".internal", ".home.arpa", ".lan"};

    for (size_t i = 0; i < nr_countof(zones); i++) {
        size_t n = strlen(zones[i]);

        if (name.n > n && nr_str_ieqz((struct nr_str){name.p + name.n - n, n}, zones[i]))
            return true;
    }
    return memchr(name.p, '.', name.n) == NULL;
}

bool image_host_is_local(const char *host)
{
    const char *end = host[0] == '[' ? strchr(host, ']') : strchr(host, ':');
    struct nr_str name = {host, end ? (size_t)(end - host) : strlen(host)};
    char text[IMAGE_HOST_BYTES];
    struct in6_addr six;
    struct in_addr four;

    if (host[0] == '[') {
        name.p++;
        name.n -= name.n > 0;
    }
    (void)snprintf(text, sizeof(text), "%.*s", (int)name.n, name.p);
    if (inet_pton(AF_INET6, text, &six) == 1)
        return is_local_v6(&six);
    if (inet_pton(AF_INET, text, &four) == 1)
        return is_local_v4(ntohl(four.s_addr));
    /* digits and dots that are no such address: a resolver may take them as one all the same */
    return strspn(text, "0123456789abcdefxABCDEFX.") == name.n || has_local_zone(name);
}
