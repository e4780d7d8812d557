/* The head of a request, apart from its grammar, which is llhttp's.
 *
 * Lines: looks for the empty line, line by line, each byte once however the pieces come. Here are the ceilings, and what llhttp would
 * let pass or see in pieces only: bare CR and LF, NUL, folded lines, empty names.
 * Meaning: form and version of the request line, form of the target, Host, codings, Expect.
 */
#include "common/net/http_conn.h"

/* ---- lines ---- */

static int line_too_long(const struct nr_http_conn *c)
{
    const struct nr_http_config *config = &c->server->config;

    if (c->lines_end == 0)
        return c->in_n - c->line_at >= config->line_max_bytes + 2 ? 414 : NR_HTTP_HEAD_NOT_YET;
    return c->in_n - c->lines_end >= config->headers_max_bytes ? 431 : NR_HTTP_HEAD_NOT_YET;
}

/* Looks at the line from line_at to in_at, which ends in LF. */
static int check_line(struct nr_http_conn *c)
{
    const struct nr_http_config *config = &c->server->config;
    const char *line = c->in + c->line_at;
    size_t n = c->in_at - c->line_at;

    if (n < 2 || line[n - 2] != '\r' || memchr(line, '\r', n - 2) || memchr(line, '\0', n - 2))
        return 400;
    n -= 2;
    if (c->lines_end == 0) {
        if (n > config->line_max_bytes)
            return 414;
        if (n > 0)
            c->lines_end = c->in_at;
        else
            c->head_at = c->in_at; /* an empty line before a request is allowed */
    } else {
        if (c->in_at - c->lines_end > config->headers_max_bytes)
            return 431;
        if (n == 0)
            return NR_HTTP_HEAD_WHOLE;
        if (line[0] == ' ' || line[0] == '\t' || line[0] == ':')
            return 400;
    }
    c->line_at = c->in_at;
    return NR_HTTP_HEAD_NOT_YET;
}

int nr_http_find_head(struct nr_http_conn *c)
{
    for (;;) {
        const char *nl = memchr(c->in + c->in_at, '\n', c->in_n - c->in_at);
        int r;

        if (c->lines_end == 0 && c->line_at < c->in_n && c->in[c->line_at] != '\r' &&
            (c->in[c->line_at] < 'A' || c->in[c->line_at] > 'Z'))
            return 400; /* no method begins like this; TLS on a plain port does */
        if (nl == NULL) {
            c->in_at = c->in_n;
            return line_too_long(c);
        }
        c->in_at = (size_t)(nl - c->in) + 1;
        if ((r = check_line(c)) != NR_HTTP_HEAD_NOT_YET)
            return r;
    }
}

/* ---- meaning ---- */

/* Path and query out of the target: "/path?query", "http://host/path?query" or "*" for OPTIONS. */
int nr_http_split_target(struct nr_http_req *r)
{
    struct nr_str target = r->path;
    const char *mark;

    if (!nr_str_starts(target, "/") && !(nr_str_eqz(target, "*") && r->method == NR_HTTP_OPTIONS)) {
        size_t skip = nr_str_starts(target, "http://")    ? 7
                      : nr_str_starts(target, "https://") ? 8
                                                          : 0;

        if (skip == 0 || target.n == skip)
            return 400;
        mark = target.p + skip;
        while (mark < target.p + target.n && *mark != '/' && *mark != '?')
            mark++;
        target.n -= (size_t)(mark - target.p);
        target.p = mark;
    }
    if (target.n > 0 && memchr(target.p, '#', target.n))
        return 400;
    mark = target.n ? memchr(target.p, '?', target.n) : NULL;
    r->query = mark ? (struct nr_str){mark + 1, target.n - (size_t)(mark + 1 - target.p)}
                    : (struct nr_str){NULL, 0};
    r->path = mark ? (struct nr_str){target.p, (size_t)(mark - target.p)} : target;
    if (r->path.n == 0)
        r->path = NR_STR("/");
    return 0;
}

/* "METHOD target HTTP/1.x", one space each; llhttp also takes more spaces, other protocols, and no version. */
int nr_http_check_request_line(const struct nr_http_conn *c)
{
    const char *line = c->in + c->head_at, *end = c->in + c->lines_end - 2,
               *space = memchr(line, ' ', (size_t)(end - line));

    if (end - line < 12 || memcmp(end - 9, " HTTP/", 6) != 0)
        return 400;
    if (space == end - 9 || space + 1 == end - 9 ||
        memchr(space + 1, ' ', (size_t)(end - space - 1)) != end - 9)
        return 400;
    return end[-3] == '1' && end[-2] == '.' && (end[-1] == '0' || end[-1] == '1') ? 0 : 505;
}

static bool host_valid(struct nr_str host)
{
    for (size_t i = 0; i < host.n; i++) {
        unsigned char c = (unsigned char)host.p[i];

        if (c <= ' ' || c >= 0x7F || strchr("\"#,/<>?@\\^`{|}", c))
            return false;
    }
    return true;
}

/* A header's name against a literal: lengths first, and no call. */
#define is(h, literal)                                                                             \
    ((h)->name.n == sizeof(literal) - 1 && memcmp((h)->name.p, literal, sizeof(literal) - 1) == 0)

int nr_http_check_headers(struct nr_http_conn *c)
{
    struct nr_http_req *r = c->r;
    unsigned hosts = 0, codings = 0;

    for (unsigned i = 0; i < r->header_count; i++) {
        const struct nr_http_header *h = &r->headers[i];

        if (is(h, "host")) {
            if (++hosts > 1 || !host_valid(h->value))
                return 400;
        } else if (is(h, "transfer-encoding")) {
            if (++codings > 1 || c->http10)
                return 400;
            if (!nr_str_ieqz(h->value, "chunked"))
                return 501;
        } else if (is(h, "expect")) {
            if (!nr_str_ieqz(h->value, "100-continue"))
                return 417;
            c->expect = !c->http10;
        }
    }
    return hosts == 0 && !c->http10 ? 400 : 0;
}
