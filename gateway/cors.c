/* Who may read a reply in a browser: everybody. The platform's own replies and those of functions differ in the methods; a preflight of
 * a function is answered with the headers that it asks for, and a function's own lines are never doubled.
 */
#include "gateway/internal.h"

#define HEADERS "Access-Control-Allow-Headers: "
#define METHODS "Access-Control-Allow-Methods: "

static const char platform_lines[] = CORS_PLATFORM;
static const char web_lines[] = CORS_ORIGIN_LINE HEADERS CORS_HEADER_LIST
    "\r\n" METHODS "OPTIONS, GET, DELETE, POST, PUT, HEAD, PATCH\r\n";

/* Without those that are there already. */
static struct nr_str chosen_lines(struct gateway_request *q, struct nr_str wanted)
{
    const struct nr_str none = {"", 0};
    bool headers = !(q->own_cors & CORS_HEADERS);
    const struct nr_str parts[] = {
        q->own_cors & CORS_ORIGIN ? none : NR_STR(CORS_ORIGIN_LINE),
        headers ? NR_STR(HEADERS) : none,
        !headers   ? none
        : wanted.n ? wanted
                   : NR_STR(CORS_HEADER_LIST),
        headers ? NR_STR("\r\n") : none,
        q->own_cors & CORS_METHODS
            ? none
            : NR_STR(METHODS "OPTIONS, GET, DELETE, POST, PUT, HEAD, PATCH\r\n"),
    };

    return nr_arena_join(&q->http.arena, parts, nr_countof(parts));
}

struct nr_str cors_lines(struct gateway_request *q)
{
    struct nr_str wanted;

    if (q->route && (q->route->flags & ROUTE_WEB)) {
        wanted = nr_http_header(&q->http, "access-control-request-headers");
        if (q->own_cors == 0 && wanted.n == 0)
            return (struct nr_str){web_lines, sizeof(web_lines) - 1};
        return q->own_cors == CORS_ALL ? (struct nr_str){"", 0} : chosen_lines(q, wanted);
    }
    if (path_is_below(q->http.path, "/api/v1") || nr_str_eqz(q->http.path, "/"))
        return (struct nr_str){platform_lines, sizeof(platform_lines) - 1};
    return (struct nr_str){"", 0};
}
