/* Replies in every form a server may choose, and those that are none. */
#include "unit.h"

#include <stdlib.h>
#include <string.h>

#include "runtimes/agent/http.h"

struct reply_case {
    const char *text;
    enum http_state state;  /* after the text */
    enum http_state closed; /* after the connection's end */
    int status;
    const char *body;
    size_t total;
};

static const struct reply_case cases[] = {
    {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", HTTP_DONE, HTTP_DONE, 200, "{}", 2},
    {"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\n{}", HTTP_DONE, HTTP_DONE, 200, "{}", 2},
    {"HTTP/1.1 502 Bad Gateway\ncontent-length:2\n\n[]", HTTP_DONE, HTTP_DONE, 502, "[]", 2},
    {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", HTTP_DONE, HTTP_DONE, 200, "", 0},
    {"HTTP/1.1 204 No\r\n\r\n", HTTP_DONE, HTTP_DONE, 204, "", 0},
    {"HTTP/1.1 100 Go\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1", HTTP_DONE, HTTP_DONE,
     200, "1", 1},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{\"\r\nA;x\r\n0123456789\r\n0\r\nT: 1\r\n\r\n",
     HTTP_DONE, HTTP_DONE, 200, "{\"012345", 12},
    {"HTTP/1.0 200 OK\r\n\r\nto the end", HTTP_UNTIL_CLOSE, HTTP_DONE, 200, "to the e", 10},
    {"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nshort", HTTP_BODY, HTTP_BROKEN, 200, "short", 5},
    {"HTTP/1.1 200 OK\r\nContent-Length: 9x\r\n\r\n", HTTP_BROKEN, HTTP_BROKEN, 200, "", 0},
    {"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", HTTP_BROKEN, HTTP_BROKEN, 200, "", 0},
    {"HTTP/1.1 99 Low\r\n\r\n", HTTP_BROKEN, HTTP_BROKEN, 0, "", 0},
    {"HTTP/2 200\r\n\r\n", HTTP_BROKEN, HTTP_BROKEN, 0, "", 0},
    {"220 mail\r\n", HTTP_BROKEN, HTTP_BROKEN, 0, "", 0},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", HTTP_BROKEN, HTTP_BROKEN, 200,
     "", 0},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n", HTTP_BROKEN, HTTP_BROKEN,
     200, "a", 1},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffff\r\n", HTTP_BROKEN,
     HTTP_BROKEN, 200, "", 0},
};

static void check(const struct reply_case *c, size_t piece)
{
    struct http_reply *r = malloc(sizeof *r);
    size_t n = strlen(c->text);
    http_reply_init(r, 8);
    for (size_t at = 0; at < n; at += piece)
        http_reply_feed(r, c->text + at, n - at < piece ? n - at : piece);
    assert_int_equal(r->state, c->state);
    assert_int_equal(http_reply_close(r), c->closed);
    assert_int_equal(r->status, c->status);
    assert_int_equal(r->body.total, c->total);
    assert_int_equal(r->body.stored, strlen(c->body));
    if (r->body.stored > 0)
        assert_memory_equal(r->body.bytes, c->body, r->body.stored);
    http_reply_fini(r);
    free(r);
}

static void replies(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        check(&cases[i], 1);
        check(&cases[i], 3);
        check(&cases[i], 1000);
    }
}

static void headers_are_bounded(void **state)
{
    struct http_reply *r = malloc(sizeof *r);
    static const char line[] = "X-Header: value\r\n";
    int lines = 0;
    (void)state;
    http_reply_init(r, 8);
    http_reply_feed(r, "HTTP/1.1 200 OK\r\n", 17);
    while (http_reply_feed(r, line, sizeof line - 1) == HTTP_HEADER)
        lines++;
    assert_int_equal(r->state, HTTP_BROKEN);
    assert_in_range(lines, 3500, 4000);
    http_reply_init(r, 8);
    for (int i = 0; i < 9000; i++)
        http_reply_feed(r, "x", 1);
    assert_int_equal(r->state, HTTP_BROKEN);
    free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replies),
        cmocka_unit_test(headers_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
