/* What is a request and what is not: bytes in, status out, whole and in pieces; ceilings at the limit and one above. */
#include "http_rig.h"

#include <stdio.h>

/* status 0: the connection just closes. `seen`: what the owner must have seen, NULL: nothing. */
struct vector {
    const char *name;
    struct nr_str bytes;
    int status;
    const char *seen;
};

#define V(name, bytes, status, seen)                                                               \
    {                                                                                              \
        name, {bytes, sizeof(bytes) - 1}, status, seen                                             \
    }
#define H "Host: a\r\n"

static const struct vector vectors[] = {
    V("plain", "GET /x?q=1&r HTTP/1.1\r\n" H "\r\n", 200, "0 /x ?q=1&r [host=a] body="),
    V("names are lowered, values trimmed", "PUT / HTTP/1.1\r\nHOST:  a \t\r\nX-Y:\r\n\r\n", 200,
      "3 / [host=a] [x-y=] body="),
    V("empty line before", "\r\n\r\nGET / HTTP/1.1\r\n" H "\r\n", 200, "0 / [host=a] body="),
    V("body", "POST /b HTTP/1.1\r\n" H "Content-Length: 3\r\n\r\nabc", 200,
      "2 /b [host=a] [content-length=3] body=abc"),
    V("chunked",
      "POST /b HTTP/1.1\r\n" H
      "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n",
      200, "2 /b [host=a] [transfer-encoding=chunked] body=abc0123456789"),
    V("chunk extension",
      "POST /b HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n3;a=\"b\"\r\nabc\r\n0\r\n\r\n",
      200, "2 /b [host=a] [transfer-encoding=chunked] body=abc"),
    V("trailer is dropped",
      "POST /b HTTP/1.1\r\n" H
      "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nHost: b\r\nX: y\r\n\r\n",
      200, "2 /b [host=a] [transfer-encoding=chunked] body=a"),
    V("absolute form", "GET http://b.example:80/p?q HTTP/1.1\r\n" H "\r\n", 200,
      "0 /p ?q [host=a] body="),
    V("absolute form without path", "GET http://b.example HTTP/1.1\r\n" H "\r\n", 200,
      "0 / [host=a] body="),
    V("asterisk", "OPTIONS * HTTP/1.1\r\n" H "\r\n", 200, "6 * [host=a] body="),
    V("1.0 without Host", "GET / HTTP/1.0\r\n\r\n", 200, "0 / body="),
    V("upgrade is ignored", "GET / HTTP/1.1\r\n" H "Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
      200, "0 / [host=a] [connection=Upgrade] [upgrade=h2c] body="),
    V("upgrade with a body",
      "POST / HTTP/1.1\r\n" H "Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 1\r\n\r\nz",
      200, "2 / [host=a] [connection=Upgrade] [upgrade=h2c] [content-length=1] body=z"),
    V("other method", "PROPFIND / HTTP/1.1\r\n" H "\r\n", 200, "7 / [host=a] body="),

    V("space before colon", "GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400, NULL),
    V("space in name", "GET / HTTP/1.1\r\nHo st: a\r\n\r\n", 400, NULL),
    V("no name", "GET / HTTP/1.1\r\n" H ": x\r\n\r\n", 400, NULL),
    V("no colon", "GET / HTTP/1.1\r\n" H "foo\r\n\r\n", 400, NULL),
    V("TAB in target", "GET /a\tb HTTP/1.1\r\n" H "\r\n", 400, NULL),
    V("byte above 0x7F in target", "GET /a\xC3\xA4 HTTP/1.1\r\n" H "\r\n", 400, NULL),
    V("NUL in target", "GET /a\0b HTTP/1.1\r\n" H "\r\n", 400, NULL),
    V("fragment", "GET /a#b HTTP/1.1\r\n" H "\r\n", 400, NULL),
    V("target without slash", "GET a HTTP/1.1\r\n" H "\r\n", 400, NULL),
    V("target of another scheme", "GET ftp://a/ HTTP/1.1\r\n" H "\r\n", 400, NULL),
    V("asterisk with GET", "GET * HTTP/1.1\r\n" H "\r\n", 400, NULL),
    V("two spaces", "GET  / HTTP/1.1\r\n" H "\r\n", 400, NULL),
    V("length and chunked",
      "POST / HTTP/1.1\r\n" H "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      400, NULL),
    V("chunked and length",
      "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
      400, NULL),
    V("two lengths", "POST / HTTP/1.1\r\n" H "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
      400, NULL),
    V("two equal lengths",
      "POST / HTTP/1.1\r\n" H "Content-Length: 1\r\nContent-Length: 1\r\n\r\na", 400, NULL),
    V("length list", "POST / HTTP/1.1\r\n" H "Content-Length: 1, 1\r\n\r\na", 400, NULL),
    V("negative length", "POST / HTTP/1.1\r\n" H "Content-Length: -1\r\n\r\n", 400, NULL),
    V("signed length", "POST / HTTP/1.1\r\n" H "Content-Length: +1\r\n\r\na", 400, NULL),
    V("hex length", "POST / HTTP/1.1\r\n" H "Content-Length: 0x1\r\n\r\na", 400, NULL),
    V("empty length", "POST / HTTP/1.1\r\n" H "Content-Length: \r\n\r\n", 400, NULL),
    V("length beyond 64 bits",
      "POST / HTTP/1.1\r\n" H "Content-Length: 18446744073709551616\r\n\r\n", 400, NULL),
    V("length of 64 bits", "POST / HTTP/1.1\r\n" H "Content-Length: 18446744073709551615\r\n\r\n",
      413, NULL),
    V("length beyond 63 bits",
      "POST / HTTP/1.1\r\n" H "Content-Length: 9223372036854775808\r\n\r\n", 413, NULL),
    /* a word of 32 bits would have nothing of it, or what stands for "chunked" */
    V("length that wraps to none",
      "POST / HTTP/1.1\r\n" H "Content-Length: 4294967296\r\n\r\nGET /b HTTP/1.1\r\n" H "\r\n", 413,
      NULL),
    V("length of 32 bits", "POST / HTTP/1.1\r\n" H "Content-Length: 4294967295\r\n\r\n", 413, NULL),
    V("two codings",
      "POST / HTTP/1.1\r\n" H
      "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      400, NULL),
    V("coding we have not",
      "POST / HTTP/1.1\r\n" H "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501, NULL),
    V("chunked not last",
      "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", 400, NULL),
    V("xchunked", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400,
      NULL),
    V("chunked in 1.0", "POST / HTTP/1.0\r\n" H "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400,
      NULL),
    V("bare LF after line", "GET / HTTP/1.1\n" H "\r\n", 400, NULL),
    V("bare LF after header", "GET / HTTP/1.1\r\nHost: a\n\r\n", 400, NULL),
    V("bare LF at the end", "GET / HTTP/1.1\r\n" H "\n", 400, NULL),
    V("bare LF before", "\nGET / HTTP/1.1\r\n" H "\r\n", 400, NULL),
    V("bare CR in value", "GET / HTTP/1.1\r\n" H "X: a\rb\r\n\r\n", 400, NULL),
    V("bare CR in line", "GET / HTTP/1.1\r" H "\r\n\r\n", 400, NULL),
    V("CR CR LF", "GET / HTTP/1.1\r\r\n" H "\r\n", 400, NULL),
    V("folded line", "GET / HTTP/1.1\r\n" H "X: a\r\n b\r\n\r\n", 400, NULL),
    V("folded by TAB", "GET / HTTP/1.1\r\n" H "X: a\r\n\tb\r\n\r\n", 400, NULL),
    V("space before first header", "GET / HTTP/1.1\r\n " H "\r\n", 400, NULL),
    V("NUL in value", "GET / HTTP/1.1\r\n" H "X: a\0b\r\n\r\n", 400, NULL),
    V("NUL in name", "GET / HTTP/1.1\r\n" H "X\0: a\r\n\r\n", 400, NULL),
    V("control in value", "GET / HTTP/1.1\r\n" H "X: a\x01\r\n\r\n", 400, NULL),
    V("0.9", "GET /\r\n\r\n", 400, NULL),
    V("0.9 version", "GET / HTTP/0.9\r\n" H "\r\n", 505, NULL),
    V("1.2", "GET / HTTP/1.2\r\n" H "\r\n", 505, NULL),
    V("2.0", "GET / HTTP/2.0\r\n" H "\r\n", 505, NULL),
    V("HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, NULL),
    V("long version", "GET / HTTP/1.11\r\n" H "\r\n", 400, NULL),
    V("lower-case protocol", "GET / http/1.1\r\n" H "\r\n", 400, NULL),
    V("RTSP", "DESCRIBE / RTSP/1.0\r\n" H "\r\n", 400, NULL),
    V("RTSP by OPTIONS", "OPTIONS * RTSP/1.0\r\n" H "\r\n", 400, NULL),
    V("unknown method", "FOO / HTTP/1.1\r\n" H "\r\n", 400, NULL),
    V("lower-case method", "get / HTTP/1.1\r\n" H "\r\n", 400, NULL),
    V("CONNECT", "CONNECT a:1 HTTP/1.1\r\n" H "\r\n", 501, NULL),
    V("TLS on a plain port", "\x16\x03\x01\x02\x00\x01\x00", 400, NULL),
    V("no Host in 1.1", "GET / HTTP/1.1\r\n\r\n", 400, NULL),
    V("two Hosts", "GET / HTTP/1.1\r\n" H H "\r\n", 400, NULL),
    V("strange Host", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400, NULL),
    V("other expectation",
      "POST / HTTP/1.1\r\n" H "Expect: the-unexpected\r\nContent-Length: 1\r\n\r\n", 417, NULL),
};

static const struct vector in_body[] = {
    V("chunk size is no number", "g\r\n", 400, NULL),
    V("chunk size empty", "\r\nabc\r\n", 400, NULL),
    V("chunk size negative", "-1\r\nabc\r\n", 400, NULL),
    V("chunk size 0x", "0x3\r\nabc\r\n", 400, NULL),
    V("chunk size overflows", "10000000000000000\r\n", 400, NULL),
    V("chunk size just below", "ffffffffffffffff\r\n", 413, NULL),
    V("chunk longer than said", "3\r\nabcd\r\n0\r\n\r\n", 400, NULL),
    V("bare LF after size", "3\nabc\r\n0\r\n\r\n", 400, NULL),
    V("bare LF after bytes", "3\r\nabc\n0\r\n\r\n", 400, NULL),
    V("bare CR in extension", "3;a\rb\r\nabc\r\n0\r\n\r\n", 400, NULL),
    V("bare LF in extension", "3;a\nabc\r\n0\r\n\r\n", 400, NULL),
    V("bare LF in trailer", "0\r\nX: a\n\r\n", 400, NULL),
    V("bare LF at the end", "0\r\n\n", 400, NULL),
};

static void check(const struct vector *v, struct nr_str bytes, size_t piece)
{
    struct rig rig;
    struct client c;

    rig_config(&rig);
    rig_open(&rig);
    client_open(&rig, &c);
    client_send(&rig, &c, bytes, piece);
    client_wait(&rig, &c, "\r\n\r\n");
    if (client_status(&c) != v->status)
        fail_msg("%s (pieces of %zu): %d, not %d", v->name, piece, client_status(&c), v->status);
    if (v->seen) {
        if (rig.requests != 1 || strcmp(rig.seen.p, v->seen) != 0)
            fail_msg("%s (pieces of %zu): owner saw \"%s\"", v->name, piece,
                     rig.requests ? rig.seen.p : "nothing");
    } else {
        if (rig.requests != 0)
            fail_msg("%s (pieces of %zu): owner saw \"%s\"", v->name, piece, rig.seen.p);
        assert_true(client_has(&c, "Connection: close\r\n"));
        client_wait(&rig, &c, "}"); /* our error body, and then the end */
        client_wait(&rig, &c, NULL);
        assert_false(c.reset);
    }
    assert_int_equal(client_count(&c, "HTTP/1.1 "), 1);
    client_close(&c);
    rig_close(&rig);
}

static void test_vectors(void **state)
{
    static const size_t pieces[] = {0, 1, 7};

    for (size_t i = 0; i < nr_countof(vectors); i++) {
        for (size_t p = 0; p < nr_countof(pieces); p++)
            check(&vectors[i], vectors[i].bytes, pieces[p]);
    }
}

static void test_vectors_in_chunked_bodies(void **state)
{
    static const char head[] = "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n";
    static const size_t pieces[] = {0, 1, 7};

    for (size_t i = 0; i < nr_countof(in_body); i++) {
        struct nr_buf all;

        nr_buf_init(&all, 4096);
        nr_buf_adds(&all, head);
        nr_buf_add(&all, in_body[i].bytes.p, in_body[i].bytes.n);
        for (size_t p = 0; p < nr_countof(pieces); p++)
            check(&in_body[i], nr_buf_str(&all), pieces[p]);
        nr_buf_fini(&all);
    }
}

/* ---- ceilings ---- */

static int status_of(struct rig *rig, struct nr_str bytes, size_t piece)
{
    struct client c;
    int status;

    client_open(rig, &c);
    client_send(rig, &c, bytes, piece);
    client_wait(rig, &c, "\r\n\r\n");
    status = client_status(&c);
    client_close(&c);
    rig_turn(rig, 0);
    return status;
}

static void fill(struct nr_buf *b, char c, size_t n)
{
    while (n-- > 0)
        nr_buf_addc(b, c);
}

enum { LINE, HEADERS, LINES, LENGTH, CHUNKED };

/* A request that is `more` bytes (lines) above the ceiling. */
static void make_at_ceiling(struct nr_buf *b, const struct nr_http_config *config, int what,
                            size_t more)
{
    size_t start;

    nr_buf_reset(b, 0);
    nr_buf_adds(b, what >= LENGTH ? "POST /ten" : "GET /");
    if (what == LINE)
        fill(b, 'a', config->line_max_bytes - strlen("GET / HTTP/1.1") + more);
    nr_buf_adds(b, " HTTP/1.1\r\n");
    start = b->n;
    nr_buf_adds(b, H);
    for (size_t i = 1; what == LINES && i < NR_HTTP_HEADERS_MAX + more; i++)
        nr_buf_adds(b, "a: b\r\n");
    if (what == HEADERS) {
        nr_buf_adds(b, "X: ");
        fill(b, 'a', config->headers_max_bytes - (b->n - start) - 4 + more);
        nr_buf_adds(b, "\r\n");
    }
    if (what == LENGTH)
        nr_buf_printf(b, "Content-Length: %zu\r\n", 10 + more);
    if (what == CHUNKED)
        nr_buf_adds(b, "Transfer-Encoding: chunked\r\n");
    nr_buf_adds(b, "\r\n");
    if (what == LENGTH)
        fill(b, 'z', 10 + more);
    if (what == CHUNKED)
        nr_buf_printf(b, "5\r\nabcde\r\n%zx\r\n%.*s\r\n0\r\n\r\n", 5 + more, (int)(5 + more),
                      "abcdefghij");
}

static void test_ceilings(void **state)
{
    static const int above[] = {
        [LINE] = 414, [HEADERS] = 431, [LINES] = 431, [LENGTH] = 413, [CHUNKED] = 413};
    static const size_t pieces[] = {0, 1, 1000};
    struct rig rig;
    struct nr_buf b;

    nr_buf_init(&b, 1 << 20);
    rig_config(&rig);
    rig.config.header_timeout_ms = 300000; /* a byte at a time takes its time under valgrind */
    rig_open(&rig);
    for (int what = LINE; what <= CHUNKED; what++) {
        for (size_t p = 0; p < nr_countof(pieces); p++) {
            make_at_ceiling(&b, &rig.config, what, 0);
            assert_int_equal(status_of(&rig, nr_buf_str(&b), pieces[p]), 200);
            make_at_ceiling(&b, &rig.config, what, 1);
            assert_int_equal(status_of(&rig, nr_buf_str(&b), pieces[p]), above[what]);
        }
    }
    nr_buf_fini(&b);
    rig_close(&rig);
}

static void test_endless_heads_are_cut(void **state)
{
    struct rig rig;
    struct nr_buf b;

    nr_buf_init(&b, 1 << 20);
    rig_config(&rig);
    rig_open(&rig);
    nr_buf_adds(&b, "GET /");
    fill(&b, 'a', rig.config.line_max_bytes);
    assert_int_equal(status_of(&rig, nr_buf_str(&b), 0),
                     414); /* without waiting for the line's end */
    nr_buf_reset(&b, SIZE_MAX);
    nr_buf_adds(&b, "GET / HTTP/1.1\r\nX: ");
    fill(&b, 'a', rig.config.headers_max_bytes);
    assert_int_equal(status_of(&rig, nr_buf_str(&b), 0), 431);
    nr_buf_reset(&b, SIZE_MAX);
    nr_buf_adds(&b, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n1;");
    fill(&b, 'a', 200000);
    assert_int_equal(status_of(&rig, nr_buf_str(&b), 0), 413); /* extensions */
    nr_buf_reset(&b, SIZE_MAX);
    nr_buf_adds(&b, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n0\r\n");
    for (int i = 0; i < 5000; i++)
        nr_buf_adds(&b, "a: b\r\n");
    assert_int_equal(status_of(&rig, nr_buf_str(&b), 0), 413); /* trailers */
    nr_buf_fini(&b);
    rig_close(&rig);
}

static void test_bodies_of_all_sizes(void **state)
{
    static const size_t sizes[] = {1,     100,   4096,  65000,  65300,
                                   65400, 65536, 65537, 200000, 1048576};
    struct rig rig;
    unsigned seed = 3;

    rig_config(&rig);
    rig_open(&rig);
    for (size_t i = 0; i < 2 * nr_countof(sizes); i++) {
        size_t n = sizes[i / 2];
        bool chunked = i % 2;
        struct client c;
        struct nr_buf b, body;

        nr_buf_init(&b, 8 << 20);
        nr_buf_init(&body, 2 << 20);
        for (size_t k = 0; k < n; k++)
            nr_buf_addc(&body, (char)rand_r(&seed));
        nr_buf_adds(&b, "POST /b HTTP/1.1\r\n" H);
        if (chunked) {
            nr_buf_adds(&b, "Transfer-Encoding: chunked\r\n\r\n");
            for (size_t k = 0; k < n;) {
                size_t chunk = 1 + (size_t)rand_r(&seed) % 9000;

                chunk = chunk < n - k ? chunk : n - k;
                nr_buf_printf(&b, "%zX\r\n", chunk);
                nr_buf_add(&b, body.p + k, chunk);
                nr_buf_adds(&b, "\r\n");
                k += chunk;
            }
            nr_buf_adds(&b, "0\r\n\r\n");
        } else {
            nr_buf_printf(&b, "Content-Length: %zu\r\n\r\n", n);
            nr_buf_add(&b, body.p, n);
        }
        nr_buf_adds(&b, "GET /after HTTP/1.1\r\n" H "\r\n"); /* sent ahead */
        client_open(&rig, &c);
        client_send(&rig, &c, nr_buf_str(&b), i % 3 ? 1 + (size_t)rand_r(&seed) % 30000 : 0);
        client_wait(&rig, &c, "\r\n\r\n/after");
        assert_non_null(memmem(c.got.p, c.got.n, body.p, n)); /* the echo */
        assert_int_equal(nr_http_stats(rig.server).inflight_bytes, 0);
        client_close(&c);
        nr_buf_fini(&b);
        nr_buf_fini(&body);
    }
    rig_close(&rig);
}

static void test_query(void **state)
{
    static const struct {
        const char *query, *name;
        bool there;
        const char *value;
    } cases[] = {
        {"a=1&b=2", "b", true, "2"}, {"a=1&b=2", "c", false, NULL},     {"a", "a", true, ""},
        {"a=", "a", true, ""},       {"a=x%20y+z", "a", true, "x y z"}, {"%61=1", "a", true, "1"},
        {"a=%zz", "a", true, NULL},  {"a=1&a=2", "a", true, "1"},       {"ab=1", "a", false, NULL},
        {"a=b=c", "a", true, "b=c"}, {"&&a=1", "a", true, "1"},         {"", "a", false, NULL},
    };

    for (size_t i = 0; i < nr_countof(cases); i++) {
        struct nr_http_req *r = nr_alloc(sizeof(*r));
        struct nr_str value = NR_STR("untouched");

        nr_arena_init(&r->arena, 1 << 16);
        r->query = nr_str_of(cases[i].query);
        assert_int_equal(nr_http_query(r, cases[i].name, &value), cases[i].there);
        if (!cases[i].there)
            assert_true(nr_str_eqz(value, "untouched"));
        else if (cases[i].value == NULL)
            assert_null(value.p);
        else
            assert_true(value.p && nr_str_eqz(value, cases[i].value));
        nr_arena_fini(&r->arena);
        free(r);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_vectors_in_chunked_bodies),
        cmocka_unit_test(test_ceilings),
        cmocka_unit_test(test_endless_heads_are_cut),
        cmocka_unit_test(test_bodies_of_all_sizes),
        cmocka_unit_test(test_query),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
