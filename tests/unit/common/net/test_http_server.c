/* The life of requests and connections: order, replies, time limits, clients that leave, too many of everything, drain and close. */
#include "http_rig.h"

#include <arpa/inet.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "common/base/clock.h"

#define H "Host: a\r\n"
#define GET(path) "GET " path " HTTP/1.1\r\n" H "\r\n"

static void send_z(struct rig *rig, struct client *c, const char *text)
{
    client_send(rig, c, nr_str_of(text), 0);
}

static void test_keep_alive_and_headers(void **state)
{
    struct rig rig;
    struct client c;

    rig_config(&rig);
    rig_open(&rig);
    client_open(&rig, &c);
    for (int i = 1; i <= 50; i++) {
        send_z(&rig, &c, i % 2 ? GET("/now") : GET("/later"));
        client_wait(&rig, &c, i % 2 ? "\r\n\r\n/now" : "\r\n\r\n/later");
        assert_int_equal(client_count(&c, "HTTP/1.1 200 OK\r\n"), i);
        nr_buf_reset(&c.got, SIZE_MAX);
        for (int k = 0; k < i; k++)
            nr_buf_adds(&c.got, "HTTP/1.1 200 OK\r\n");
    }
    client_close(&c);
    client_open(&rig, &c);
    send_z(&rig, &c, "GET /later HTTP/1.1\r\n" H "Connection: close\r\n\r\n");
    client_wait(&rig, &c, NULL);
    assert_true(client_has(&c, "\r\nX-Late: yes\r\n"));
    assert_true(client_has(&c, "\r\nServer: rig\r\n"));
    assert_true(client_has(&c, "\r\nDate: "));
    assert_true(client_has(&c, "\r\nConnection: close\r\n"));
    assert_true(client_has(&c, "\r\nContent-Length: 6\r\n"));
    assert_int_equal(rig.ends, 51);
    client_close(&c);
    rig_close(&rig);
}

static void test_http_10(void **state)
{
    struct rig rig;
    struct client c;

    rig_config(&rig);
    rig_open(&rig);
    client_open(&rig, &c);
    send_z(&rig, &c, "GET /a HTTP/1.0\r\n\r\n");
    client_wait(&rig, &c, NULL);
    assert_true(client_has(&c, "Connection: close\r\n"));
    client_close(&c);
    client_open(&rig, &c);
    send_z(&rig, &c, "GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    client_wait(&rig, &c, "\r\n\r\n/a");
    assert_true(client_has(&c, "Connection: keep-alive\r\n"));
    send_z(&rig, &c, "GET /parts HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    client_wait(&rig, &c, NULL); /* parts without chunks: the end is the end of the connection */
    assert_true(client_has(&c, "\r\n\r\none,two"));
    assert_false(client_has(&c, "chunked"));
    client_close(&c);
    rig_close(&rig);
}

static void test_pipelined_requests_wait_their_turn(void **state)
{
    static const char all[] =
        GET("/hold") "POST /echo HTTP/1.1\r\n" H "Content-Length: 4\r\n\r\nbody" GET("/later")
            GET("/last");
    static const size_t pieces[] = {0, 1, 40};

    for (size_t p = 0; p < nr_countof(pieces); p++) {
        struct rig rig;
        struct client c;

        rig_config(&rig);
        rig_open(&rig);
        client_open(&rig, &c);
        client_send(&rig, &c, nr_str_of(all), pieces[p]);
        rig_wait_held(&rig, 1);
        rig_turn(&rig, 20);
        assert_int_equal(rig.heads, 1); /* the second has not been looked at */
        assert_int_equal(c.got.n, 0);
        nr_http_reply(&rig_held(&rig)->http, 200, (struct nr_str){NULL, 0}, NR_STR("/held"));
        client_wait(&rig, &c, "\r\n\r\n/last");
        assert_int_equal(client_count(&c, "HTTP/1.1 200"), 4);
        assert_true(client_find(&c, "/held") < client_find(&c, "\r\n\r\nbody"));
        assert_true(client_find(&c, "\r\n\r\nbody") < client_find(&c, "\r\n\r\n/later"));
        client_close(&c);
        rig_close(&rig);
    }
}

static void test_more_ahead_than_one_buffer(void **state)
{
    struct rig rig;
    struct client c;
    struct nr_buf b;

    rig_config(&rig);
    rig_open(&rig);
    nr_buf_init(&b, 8 << 20);
    nr_buf_adds(&b, GET("/hold"));
    for (int i = 0; i < 20000; i++)
        nr_buf_adds(&b, GET("/x"));
    client_open(&rig, &c);
    client_send(&rig, &c, (struct nr_str){b.p, 200000},
                0); /* fits into the socket buffers and ours */
    rig_wait_held(&rig, 1);
    nr_http_reply(&rig_held(&rig)->http, 200, (struct nr_str){NULL, 0}, (struct nr_str){NULL, 0});
    client_send(&rig, &c, (struct nr_str){b.p + 200000, b.n - 200000}, 0);
    while (rig.ends < 20001)
        client_wait(&rig, &c, "HTTP/1.1"), rig_turn(&rig, 0);
    client_close(&c);
    nr_buf_fini(&b);
    rig_close(&rig);
}

static void test_reply_at_the_head(void **state)
{
    struct rig rig;
    struct client c;

    rig_config(&rig);
    rig_open(&rig);
    client_open(&rig, &c); /* no body: the connection stays */
    send_z(&rig, &c, GET("/refuse") GET("/next"));
    client_wait(&rig, &c, "\r\n\r\n/next");
    assert_int_equal(client_status(&c), 401);
    client_close(&c);
    client_open(&rig,
                &c); /* a body on its way: it is not read, and the reply arrives all the same */
    send_z(&rig, &c, "POST /refuse HTTP/1.1\r\n" H "Content-Length: 900000\r\n\r\n");
    for (int i = 0; i < 100; i++)
        send_z(
            &rig, &c,
            "some of the body that nobody wants, more than enough of it to fill what a socket takes\r\n");
    client_wait(&rig, &c, "who are you");
    assert_true(client_has(&c, "Connection: close\r\n"));
    client_wait(&rig, &c, NULL);
    assert_false(c.reset);
    assert_int_equal(rig.requests, 1);
    client_close(&c);
    rig_close(&rig);
}

static void test_head_and_bodiless(void **state)
{
    struct rig rig;
    struct client c;

    rig_config(&rig);
    rig_open(&rig);
    client_open(&rig, &c);
    send_z(&rig, &c,
           "HEAD /some HTTP/1.1\r\n" H "\r\nHEAD /parts HTTP/1.1\r\n" H "\r\n" GET("/none")
               GET("/end"));
    client_wait(&rig, &c, "\r\n\r\n/end");
    assert_true(client_has(&c, "Content-Length: 5\r\n\r\nHTTP/1.1 200"));
    assert_true(client_has(&c, "chunked\r\n\r\nHTTP/1.1 204 No Content"));
    assert_false(client_has(&c, "not sent"));
    client_close(&c);
    rig_close(&rig);
}

static void test_expect(void **state)
{
    struct rig rig;
    struct client c;

    rig_config(&rig);
    rig_open(&rig);
    client_open(&rig, &c);
    send_z(&rig, &c,
           "POST /echo HTTP/1.1\r\n" H "Expect: 100-Continue\r\nContent-Length: 5\r\n\r\n");
    client_wait(&rig, &c, "HTTP/1.1 100 Continue\r\n\r\n");
    send_z(&rig, &c, "hello");
    client_wait(&rig, &c, "\r\n\r\nhello");
    client_close(&c);
    client_open(&rig, &c); /* refused: no 100 */
    send_z(&rig, &c,
           "POST /refuse HTTP/1.1\r\n" H "Expect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    client_wait(&rig, &c, "who are you");
    assert_int_equal(client_status(&c), 401);
    client_close(&c);
    client_open(&rig, &c); /* too large: no 100 */
    send_z(&rig, &c,
           "POST /ten HTTP/1.1\r\n" H "Expect: 100-continue\r\nContent-Length: 11\r\n\r\n");
    client_wait(&rig, &c, "\r\n\r\n");
    assert_int_equal(client_status(&c), 413);
    client_close(&c);
    rig_close(&rig);
}

static void test_parts(void **state)
{
    struct rig rig;
    struct client c;
    struct own *o;

    rig_config(&rig);
    rig_open(&rig);
    client_open(&rig, &c);
    send_z(&rig, &c, GET("/parts") GET("/stream"));
    client_wait(&rig, &c, "\r\n\r\n4\r\none,\r\n3\r\ntwo\r\n0\r\n\r\nHTTP");
    rig_wait_held(&rig, 1);
    o = rig_held(&rig);
    nr_http_reply_part(&o->http, NR_STR("first"));
    client_wait(&rig, &c, "\r\n5\r\nfirst\r\n");
    nr_http_reply_end(&o->http);
    client_wait(&rig, &c, "first\r\n0\r\n\r\n");
    client_close(&c);
    rig_close(&rig);
}

static void test_a_slow_reader_is_told_and_hears_of_room(void **state)
{
    struct rig rig;
    struct client c;
    struct own *o;
    char *part = nr_alloc(65536);
    int drained;

    rig_config(&rig);
    rig_open(&rig);
    client_open(&rig, &c);
    send_z(&rig, &c, GET("/stream"));
    rig_wait_held(&rig, 1);
    o = rig_held(&rig);
    /* The kernel's buffers grow: full is when it stays so. */
    for (int parts = 0; nr_http_reply_part(&o->http, (struct nr_str){NULL, 0}) < (256 << 10);
         rig_turn(&rig, 20)) {
        while (nr_http_reply_part(&o->http, (struct nr_str){part, 65536}) < (256 << 10))
            assert_true(++parts < 1000);
    }
    drained = rig.drained;
    while (rig.drained == drained) {
        client_poll(&c);
        rig_turn(&rig, 0);
    }
    assert_true(nr_http_reply_part(&o->http, NR_STR("end")) < (64 << 10));
    nr_http_reply_end(&o->http);
    client_wait(&rig, &c, "3\r\nend\r\n0\r\n\r\n");
    assert_int_equal(rig.drained, drained + 1);
    free(part);
    client_close(&c);
    rig_close(&rig);
}

static void test_big_reply_is_copied_and_written_on(void **state)
{
    struct rig rig;
    struct client c;

    rig_config(&rig);
    rig_open(&rig);
    client_open(&rig, &c);
    send_z(&rig, &c, GET("/big") GET("/after"));
    rig_turn(&rig, 10);
    assert_int_equal(rig.ends, 0); /* not over before it is written */
    client_wait(&rig, &c, "\r\n\r\n/after");
    assert_true(client_has(&c, "Content-Length: 8388608\r\n"));
    assert_true(c.got.n > 8388608);
    client_close(&c);
    rig_close(&rig);
}

/* ---- clients that leave ---- */

static bool one_gone(void *arg)
{
    return ((struct rig *)arg)->gones == 1;
}

static bool none_connected(void *arg)
{
    return nr_http_stats(((struct rig *)arg)->server).connections == 0;
}

static void test_gone_while_the_owner_works(void **state)
{
    for (int reset = 0; reset < 2; reset++) {
        struct rig rig;
        struct client c;
        struct own *o;

        rig_config(&rig);
        rig_open(&rig);
        client_open(&rig, &c);
        send_z(&rig, &c, GET("/hold"));
        rig_wait_held(&rig, 1);
        if (reset)
            (void)setsockopt(c.fd, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0},
                             sizeof(struct linger));
        client_close(&c);
        rig_until(&rig, one_gone, &rig);
        assert_int_equal(rig.ends, 0);
        o = rig_held(&rig);
        assert_true(o->http.gone);
        nr_http_reply(&o->http, 200, (struct nr_str){NULL, 0}, NR_STR("too late"));
        rig_until(&rig, none_connected, &rig);
        assert_int_equal(rig.ends, 1);
        assert_int_equal(rig.gones, 1);
        rig_close(&rig);
    }
}

static void test_half_closed_client_gets_its_replies(void **state)
{
    struct rig rig;
    struct client c;

    rig_config(&rig);
    rig_open(&rig);
    client_open(&rig, &c);
    send_z(&rig, &c, GET("/later") GET("/second"));
    assert_int_equal(shutdown(c.fd, SHUT_WR), 0);
    client_wait(&rig, &c, NULL);
    assert_true(client_has(&c, "\r\n\r\n/later"));
    assert_true(client_has(&c, "\r\n\r\n/second"));
    client_close(&c);
    rig_close(&rig);
}

static void test_gone_in_the_middle(void **state)
{
    static const char *const parts[] = {
        "GET / HT", "POST /b HTTP/1.1\r\n" H "Content-Length: 10\r\n\r\nabc",
        "POST /b HTTP/1.1\r\n" H "Content-Length: 1000000\r\n\r\nabc",
        "POST /b HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n5\r\nab"};
    struct rig rig;

    rig_config(&rig);
    rig_open(&rig);
    for (size_t i = 0; i < nr_countof(parts); i++) {
        struct client c;

        client_open(&rig, &c);
        send_z(&rig, &c, parts[i]);
        rig_turn(&rig, 5);
        client_close(&c);
        rig_until(&rig, none_connected, &rig);
    }
    assert_int_equal(rig.heads, 3);
    assert_int_equal(rig.requests, 0);
    assert_int_equal(rig.ends, 3);
    assert_int_equal(nr_http_stats(rig.server).inflight_bytes, 0);
    rig_close(&rig);
}

static void test_gone_in_a_stream(void **state)
{
    struct rig rig;
    struct client c;
    struct own *o;

    rig_config(&rig);
    rig_open(&rig);
    client_open(&rig, &c);
    send_z(&rig, &c, GET("/stream"));
    client_wait(&rig, &c, "\r\n\r\n");
    rig_wait_held(&rig, 1);
    (void)setsockopt(c.fd, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger));
    client_close(&c);
    o = rig_held(&rig);
    while (!o->http.gone) {
        nr_http_reply_part(&o->http, NR_STR("into the void"));
        rig_turn(&rig, 1);
    }
    assert_int_equal(rig.gones, 1);
    assert_int_equal(nr_http_reply_part(&o->http, NR_STR("more")), 0);
    nr_http_reply_end(&o->http);
    rig_until(&rig, none_connected, &rig);
    rig_close(&rig);
}

/* ---- time limits ---- */

static void limited(struct rig *rig)
{
    rig_config(rig);
    rig->config.header_timeout_ms = 40;
    rig->config.body_timeout_ms = 60;
    rig->config.idle_timeout_ms = 80;
    rig->config.write_timeout_ms = 50;
    rig_open(rig);
}

static void test_time_limits(void **state)
{
    static const struct {
        const char *bytes;
        unsigned least_ms;
        int status;
    } cases[] = {
        {"", 80, 0},
        {"GET / HTTP/1.1\r\nHo", 40, 408},
        {"\r\n", 40, 408},
        {"POST / HTTP/1.1\r\n" H "Content-Length: 10\r\n\r\nabc", 60, 408},
        {"POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n3\r\nab", 60, 408},
    };

    for (size_t i = 0; i < nr_countof(cases); i++) {
        struct rig rig;
        struct client c;
        uint64_t start_us;

        limited(&rig);
        client_open(&rig, &c);
        start_us = nr_mono_us();
        send_z(&rig, &c, cases[i].bytes);
        client_wait(&rig, &c, NULL);
        assert_true(nr_mono_us() - start_us >= cases[i].least_ms * 1000);
        assert_int_equal(client_status(&c), cases[i].status);
        client_close(&c);
        rig_close(&rig);
    }
}

static void test_trickling_does_not_extend_the_limit(void **state)
{
    struct rig rig;
    struct client c;

    limited(&rig);
    client_open(&rig, &c);
    send_z(&rig, &c, "GET / HTTP/1.1\r\nX: ");
    for (int i = 0; i < 500 && !c.eof; i++) {
        send_z(&rig, &c, "a");
        rig_turn(&rig, 2);
        client_poll(&c);
    }
    assert_int_equal(client_status(&c), 408);
    client_close(&c);
    rig_close(&rig);
}

static void test_no_limit_while_the_owner_works_and_idle_afterwards(void **state)
{
    struct rig rig;
    struct client c;

    limited(&rig);
    client_open(&rig, &c);
    send_z(&rig, &c, GET("/hold"));
    rig_wait_held(&rig, 1);
    rig_turn(&rig, 200);
    assert_int_equal(rig.gones, 0);
    nr_http_reply(&rig_held(&rig)->http, 200, (struct nr_str){NULL, 0}, NR_STR("patience"));
    client_wait(&rig, &c, "patience");
    client_wait(&rig, &c, NULL); /* idle */
    client_close(&c);
    rig_close(&rig);
}

static bool one_request(void *arg)
{
    return ((struct rig *)arg)->requests == 1;
}

static void test_write_stall(void **state)
{
    struct rig rig;
    struct client c;
    int small = 4096;

    limited(&rig);
    client_open(&rig, &c);
    (void)setsockopt(c.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
    send_z(&rig, &c, GET("/big"));
    rig_until(&rig, one_request, &rig);
    rig_until(&rig, none_connected, &rig); /* nobody reads: cut */
    assert_int_equal(rig.ends, 1);
    client_close(&c);
    rig_close(&rig);
}

/* A stream with nothing to say is no stall; one whose reader takes nothing is, also when its owner goes on adding to it. */
static void test_stream_stall(void **state)
{
    struct rig rig;
    struct client c;
    struct own *o;
    char *part = nr_alloc(1 << 20);
    uint64_t end_us;

    limited(&rig);
    client_open(&rig, &c);
    send_z(&rig, &c, GET("/stream"));
    rig_wait_held(&rig, 1);
    o = rig_held(&rig);
    rig_turn(&rig, 200); /* four times the limit */
    nr_http_reply_part(&o->http, NR_STR("still here"));
    client_wait(&rig, &c, "still here");
    for (int i = 0; i < 16; i++)
        nr_http_reply_part(&o->http, (struct nr_str){part, 1 << 20});
    end_us = nr_mono_us() + 5000000;
    while (rig.gones == 0 && nr_mono_us() < end_us) {
        nr_http_reply_part(&o->http, NR_STR("."));
        rig_turn(&rig, 5);
    }
    assert_int_equal(rig.gones, 1);
    nr_http_reply_end(&o->http);
    free(part);
    client_close(&c);
    rig_close(&rig);
}

static void test_body_rate(void **state)
{
    struct rig rig;
    struct client c;

    rig_config(&rig);
    rig.config.body_min_rate_bytes_s = 100;
    rig_open(&rig);
    client_open(&rig, &c);
    send_z(&rig, &c, "POST / HTTP/1.1\r\n" H "Content-Length: 10000\r\n\r\nabc");
    rig_turn(&rig, 5);
    nr_clock_fake(4000000, 4000); /* within the first 5 s nothing is asked */
    rig_turn(&rig, 20);
    client_poll(&c);
    assert_int_equal(c.got.n, 0);
    nr_clock_fake(6000000, 6000);
    client_wait(&rig, &c, "408 Request Timeout");
    nr_clock_fake(0, 0);
    client_close(&c);
    rig_close(&rig);
}

/* ---- too many ---- */

static void test_connections_max(void **state)
{
    struct rig rig;
    struct client c[3];

    rig_config(&rig);
    rig.config.connections_max = 2;
    rig_open(&rig);
    for (int i = 0; i < 3; i++) {
        client_open(&rig, &c[i]); /* the kernel's backlog takes the third */
        send_z(&rig, &c[i], GET("/x"));
    }
    client_wait(&rig, &c[1], "\r\n\r\n/x");
    rig_turn(&rig, 30);
    client_poll(&c[2]);
    assert_int_equal(c[2].got.n, 0);
    assert_int_equal(nr_http_stats(rig.server).connections, 2);
    client_close(&c[0]);
    client_wait(&rig, &c[2], "\r\n\r\n/x");
    client_close(&c[1]);
    client_close(&c[2]);
    rig_close(&rig);
}

static void test_out_of_descriptors(void **state)
{
    struct rig rig;
    struct client first, refused, later;
    struct rlimit old, tight;
    uint64_t cpu_us;

    rig_config(&rig);
    rig_open(&rig);
    client_open(&rig, &first);
    send_z(&rig, &first, GET("/x"));
    client_wait(&rig, &first, "\r\n\r\n/x");
    client_open(&rig, &refused);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    tight = old;
    tight.rlim_cur = (rlim_t)refused.fd + 1;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
    client_wait(&rig, &refused,
                NULL); /* taken with the reserve and closed: nobody waits for nothing */
    cpu_us = nr_thread_cpu_us();
    rig_turn(&rig, 100);
    assert_true(nr_thread_cpu_us() - cpu_us <
                70000); /* no spinning on a listener that stays readable */
    send_z(&rig, &first, GET("/y"));
    client_wait(&rig, &first, "\r\n\r\n/y");
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    client_open(&rig, &later);
    send_z(&rig, &later, GET("/z"));
    client_wait(&rig, &later, "\r\n\r\n/z");
    client_close(&first);
    client_close(&refused);
    client_close(&later);
    rig_close(&rig);
}

static void test_inflight_bytes(void **state)
{
    struct rig rig;
    struct client a, b;

    rig_config(&rig);
    rig.config.inflight_max_bytes = 1000;
    rig_open(&rig);
    client_open(&rig, &a);
    client_open(&rig, &b);
    send_z(&rig, &a, "POST /echo HTTP/1.1\r\n" H "Content-Length: 600\r\n\r\nabc");
    rig_turn(&rig, 5);
    assert_int_equal(nr_http_stats(rig.server).inflight_bytes, 600);
    send_z(&rig, &b, "POST /echo HTTP/1.1\r\n" H "Content-Length: 401\r\n\r\n");
    client_wait(&rig, &b, "\r\n\r\n{");
    assert_int_equal(client_status(&b), 503);
    assert_true(client_has(&b, "Retry-After: 1\r\n"));
    client_close(&b);
    client_open(&rig, &b);
    send_z(&rig, &b, "POST /echo HTTP/1.1\r\n" H "Content-Length: 400\r\n\r\n");
    rig_turn(&rig, 5);
    assert_int_equal(nr_http_stats(rig.server).inflight_bytes, 1000);
    client_close(&b);
    client_close(&a);
    rig_until(&rig, none_connected, &rig);
    assert_int_equal(nr_http_stats(rig.server).inflight_bytes, 0);
    assert_int_equal(nr_http_stats(rig.server).refused, 1);
    rig_close(&rig);
}

/* ---- ends ---- */

static void on_idle(void *arg)
{
    ((struct rig *)arg)->drain_idle = true;
}

static bool is_idle(void *arg)
{
    return ((struct rig *)arg)->drain_idle;
}

static void test_drain(void **state)
{
    struct rig rig;
    struct client busy, idle, late;
    struct sockaddr_in to = {.sin_family = AF_INET};

    rig_config(&rig);
    rig_open(&rig);
    client_open(&rig, &idle);
    send_z(&rig, &idle, GET("/x"));
    client_wait(&rig, &idle, "\r\n\r\n/x");
    client_open(&rig, &busy);
    send_z(&rig, &busy, GET("/hold"));
    rig_wait_held(&rig, 1);
    nr_http_drain(rig.server, on_idle, &rig);
    client_wait(&rig, &idle, NULL);
    assert_false(rig.drain_idle);
    late.fd = socket(AF_INET, SOCK_STREAM, 0);
    to.sin_port = htons((uint16_t)rig.port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(late.fd, (struct sockaddr *)&to, sizeof(to)), -1);
    close(late.fd);
    nr_http_reply(&rig_held(&rig)->http, 200, (struct nr_str){NULL, 0}, NR_STR("done"));
    client_wait(&rig, &busy, NULL);
    assert_true(client_has(&busy, "Connection: close\r\n"));
    assert_true(client_has(&busy, "done"));
    rig_until(&rig, is_idle, &rig);
    client_close(&idle);
    client_close(&busy);
    rig_close(&rig);
}

static void test_close_with_everything_under_way(void **state)
{
    static const char *const what[] = {"",
                                       "GET / HT",
                                       "POST /b HTTP/1.1\r\n" H "Content-Length: 10\r\n\r\nabc",
                                       "POST /b HTTP/1.1\r\n" H "Content-Length: 900000\r\n\r\nabc",
                                       GET("/big"),
                                       GET("/hold"),
                                       GET("/stream"),
                                       GET("/refuse")};
    struct rig rig;
    struct client c[nr_countof(what)];
    struct own *held[2];

    rig_config(&rig);
    rig_open(&rig);
    for (size_t i = 0; i < nr_countof(what); i++) {
        client_open(&rig, &c[i]);
        send_z(&rig, &c[i], what[i]);
    }
    rig_wait_held(&rig, 2);
    rig_turn(&rig, 10);
    nr_http_close(rig.server, on_idle, &rig);
    rig_turn(&rig, 20);
    assert_int_equal(rig.gones, 2);
    assert_false(rig.drain_idle); /* two owners still owe their reply */
    for (int i = 0; i < 2; i++)
        held[i] = rig_held(&rig);
    nr_http_reply(&held[0]->http, 200, (struct nr_str){NULL, 0}, NR_STR("late"));
    nr_http_reply_part(&held[1]->http, NR_STR("late"));
    nr_http_reply_end(&held[1]->http);
    rig_until(&rig, is_idle, &rig);
    for (size_t i = 0; i < nr_countof(what); i++)
        client_close(&c[i]);
    rig.server = NULL; /* closing nothing is fine */
    rig_close(&rig);
}

static void test_listen_errors(void **state)
{
    static const char *const bad[] = {
        "",       "127.0.0.1", "127.0.0.1:", "127.0.0.1:70000", "127.0.0.1:-1", "localhost:1",
        "[::1:0", ":80"};
    struct rig rig;
    struct nr_err err = {0};
    char taken[32];
    int port = 0;

    rig_config(&rig);
    rig_open(&rig);
    for (size_t i = 0; i < nr_countof(bad); i++)
        assert_int_equal(nr_http_listen(rig.server, bad[i], &port, NULL), NR_EINVAL);
    (void)snprintf(taken, sizeof(taken), "127.0.0.1:%d", rig.port);
    assert_true(nr_http_listen(rig.server, taken, &port, &err) < 0);
    assert_non_null(strstr(err.text, taken));
    assert_int_equal(port, 0);
    assert_int_equal(nr_http_listen(rig.server, "[::1]:0", &port, NULL), 0);
    assert_int_not_equal(port, 0);
    rig_close(&rig);
}

static void test_no_memory_is_survived(void **state)
{
    struct rig rig;
    int ok = 0;

    rig_config(&rig);
    rig_open(&rig);
    for (long n = 1; n < 40; n++) {
        struct client c;

        client_open(&rig, &c);
        nr_mem_fail_at(n, 1);
        send_z(&rig, &c,
               "POST /echo HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\nhello"
               "POST /parts HTTP/1.1\r\n" H
               "Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n");
        rig_turn(&rig, 3);
        nr_mem_fail_at(0, 0);
        client_wait(&rig, &c, NULL); /* served or cut, but never left waiting */
        ok += client_has(&c, "0\r\n\r\n");
        client_close(&c);
        rig_until(&rig, none_connected, &rig);
    }
    assert_true(ok > 10);
    rig_close(&rig);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keep_alive_and_headers),
        cmocka_unit_test(test_http_10),
        cmocka_unit_test(test_pipelined_requests_wait_their_turn),
        cmocka_unit_test(test_more_ahead_than_one_buffer),
        cmocka_unit_test(test_reply_at_the_head),
        cmocka_unit_test(test_head_and_bodiless),
        cmocka_unit_test(test_expect),
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_a_slow_reader_is_told_and_hears_of_room),
        cmocka_unit_test(test_big_reply_is_copied_and_written_on),
        cmocka_unit_test(test_gone_while_the_owner_works),
        cmocka_unit_test(test_half_closed_client_gets_its_replies),
        cmocka_unit_test(test_gone_in_the_middle),
        cmocka_unit_test(test_gone_in_a_stream),
        cmocka_unit_test(test_time_limits),
        cmocka_unit_test(test_trickling_does_not_extend_the_limit),
        cmocka_unit_test(test_no_limit_while_the_owner_works_and_idle_afterwards),
        cmocka_unit_test(test_write_stall),
        cmocka_unit_test(test_stream_stall),
        cmocka_unit_test(test_body_rate),
        cmocka_unit_test(test_connections_max),
        cmocka_unit_test(test_out_of_descriptors),
        cmocka_unit_test(test_inflight_bytes),
        cmocka_unit_test(test_drain),
        cmocka_unit_test(test_close_with_everything_under_way),
        cmocka_unit_test(test_listen_errors),
        cmocka_unit_test(test_no_memory_is_survived),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
