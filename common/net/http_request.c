/* What an owner asks of a request: a header by name, a query parameter by name. */
#include "common/net/http_server.h"

struct nr_str nr_http_header(const struct nr_http_req *r, const char *name)
{
    size_t n = strlen(name);

    for (unsigned i = 0; i < r->header_count; i++) {
        if (r->headers[i].name.n == n && memcmp(r->headers[i].name.p, name, n) == 0)
            return r->headers[i].value;
    }
    return (struct nr_str){NULL, 0};
}

/* Decoded into the arena; {NULL, 0} when badly encoded or without room. */
static struct nr_str decoded(struct nr_http_req *r, struct nr_str s)
{
    char *out = nr_arena_get(&r->arena, s.n + 1);
    ssize_t n = out ? nr_pct_decode(s, true, out) : -1;

    return n < 0 ? (struct nr_str){NULL, 0} : (struct nr_str){out, (size_t)n};
}

static bool is_coded(struct nr_str s)
{
    return s.n > 0 && (memchr(s.p, '%', s.n) || memchr(s.p, '+', s.n));
}

bool nr_http_query(struct nr_http_req *r, const char *name, struct nr_str *ret)
{
    struct nr_str rest = r->query, pair;

    while (nr_str_split(&rest, '&', &pair)) {
        struct nr_str value = pair, key;

        if (!nr_str_split(&value, '=', &key))
            continue;
        if (is_coded(key))
            key = decoded(r, key);
        if (!nr_str_eqz(key, name))
            continue;
        *ret = decoded(r, value.p ? value : (struct nr_str){"", 0});
        return true;
    }
    return false;
}
