/* A header that came several times is one text, as if it had been sent so. Keys of accounts are nobody's but the platform's, good or not; and
 * what belongs to the way here, or is the server's own, is not told either.
 */
#include "gateway/headers.h"

#include "gateway/credentials.h"

/* Not of the request but of its way here, or the server's own. */
static const char *const hop_headers[] = {
    "connection",          "content-length",   "expect", "keep-alive",
    "proxy-authorization", "proxy-connection", "te",     "trailer",
    "transfer-encoding",   "upgrade",
};

static bool is_told(const struct headers *w, const struct nr_http_header *h)
{
    const struct nr_str name = h->name;

    if (nr_str_eqz(name, "authorization") &&
        (w->hide_authorization || credentials_show_key(h->value)))
        return false;
    for (size_t i = 0; i < nr_countof(hop_headers); i++)
        if (nr_str_eqz(name, hop_headers[i]))
            return false;
    return true;
}

/* Is there one of the name of the i-th header in [from, to) that is told? */
static bool is_named(const struct headers *w, unsigned i, unsigned from, unsigned to)
{
    const struct nr_http_header *all = w->http->headers;

    for (; from < to; from++)
        if (nr_str_eq(all[from].name, all[i].name) && is_told(w, &all[from]))
            return true;
    return false;
}

static void write_joined(const struct headers *w, unsigned i, struct nr_buf *out)
{
    const struct nr_http_req *r = w->http;
    struct nr_str name = r->headers[i].name;
    struct nr_buf joined;

    nr_buf_init(&joined, 65536);
    for (unsigned at = i; at < r->header_count; at++) {
        if (!nr_str_eq(r->headers[at].name, name) || !is_told(w, &r->headers[at]))
            continue;
        if (at > i)
            nr_buf_adds(&joined, nr_str_eqz(name, "cookie") ? "; " : ", ");
        nr_buf_add(&joined, r->headers[at].value.p, r->headers[at].value.n);
    }
    nr_buf_json(out, nr_buf_str(&joined));
    out->failed |= joined.failed;
    nr_buf_fini(&joined);
}

static void write_header(const struct headers *w, unsigned i, struct nr_buf *out)
{
    const struct nr_http_req *r = w->http;
    struct nr_str value = r->headers[i].value;

    nr_buf_json(out, r->headers[i].name);
    nr_buf_addc(out, ':');
    if (is_named(w, i, i + 1, r->header_count))
        write_joined(w, i, out);
    else
        nr_buf_json(out, value.n ? value : NR_STR(""));
}

void headers_write(const struct headers *w, struct nr_buf *out)
{
    const char *between = "";

    nr_buf_addc(out, '{');
    for (unsigned i = 0; i < w->http->header_count; i++) {
        if (!is_told(w, &w->http->headers[i]) || is_named(w, i, 0, i))
            continue;
        nr_buf_adds(out, between);
        between = ",";
        write_header(w, i, out);
    }
    nr_buf_addc(out, '}');
}
