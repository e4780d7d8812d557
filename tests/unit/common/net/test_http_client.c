/* The client against our server, and against a peer that speaks a script over a unix socket. */
#include "http_rig.h"

#include <sys/socket.h>
#include <sys/un.h>

#include "common/base/clock.h"
#include "common/net/http_client.h"

struct exchange {
    struct nr_http_call call;
    int dones, err, status;
    struct nr_buf reply;
    int again; /* calls still to be made from done */
    struct nr_buf head;
};

static void on_done(struct nr_http_call *call)
{
    struct exchange *x = nr_container_of(call, struct exchange, call);

    x->dones++;
    x->err = call->err;
    x->status = call->status;
    nr_buf_reset(&x->reply, SIZE_MAX);
    nr_buf_add(&x->reply, call->reply.p, call->reply.n);
    if (x->again-- > 0)
        assert_int_equal(nr_http_client_call(call->client, call), 0);
}

static bool is_done(void *arg)
{
    return ((struct exchange *)arg)->dones > 0;
}

static void begin(struct exchange *x, const char *method, const char *target, struct nr_str body)
{
    memset(x, 0, sizeof(*x));
    nr_buf_init(&x->reply, 64 << 20);
    nr_buf_init(&x->head, 1 << 16);
    nr_http_call_head(&x->head, method, target, "h", "X-Extra: 1\r\n", body.n);
    x->call.head = nr_buf_str(&x->head);
    x->call.body = body;
    x->call.done = on_done;
    x->call.timeout_ms = 5000;
}

static void end(struct exchange *x)
{
    assert_int_equal(x->dones, 1);
    nr_buf_fini(&x->reply);
    nr_buf_fini(&x->head);
}

static void on_flag(void *arg)
{
    *(bool *)arg = true;
}

static bool is_set(void *arg)
{
    return *(bool *)arg;
}

static void shut(struct rig *rig, struct nr_http_client *c)
{
    bool closed = false;

    nr_http_client_close(c, on_flag, &closed);
    rig_until(rig, is_set, &closed);
}

static struct nr_http_client *to_rig(struct rig *rig, size_t reply_max_bytes)
{
    struct nr_http_client *c = NULL;
    char address[64];

    rig_config(rig);
    rig_open(rig);
    (void)snprintf(address, sizeof(address), "127.0.0.1:%d", rig->port);
    assert_int_equal(nr_http_client_open(&rig->loop, address, reply_max_bytes, &c, NULL), 0);
    return c;
}

static void test_calls_on_one_connection(void **state)
{
    static const char *const targets[] = {"/a", "/later", "/parts", "/none", "/big", "/b"};
    static const size_t sizes[] = {2, 6, 7, 0, 8388608, 2};
    struct rig rig;
    struct nr_http_client *c = to_rig(&rig, 16 << 20);
    struct exchange x;

    for (size_t i = 0; i < nr_countof(targets); i++) {
        begin(&x, "GET", targets[i], (struct nr_str){NULL, 0});
        assert_int_equal(nr_http_client_call(c, &x.call), 0);
        assert_int_equal(nr_http_client_call(c, &x.call), NR_EBUSY);
        rig_until(&rig, is_done, &x);
        assert_int_equal(x.err, 0);
        assert_int_equal(x.status, sizes[i] ? 200 : 204);
        assert_int_equal(x.reply.n, sizes[i]);
        end(&x);
    }
    begin(&x, "HEAD", "/a", (struct nr_str){NULL, 0});
    assert_int_equal(nr_http_client_call(c, &x.call), 0);
    rig_until(&rig, is_done, &x);
    assert_int_equal(x.status, 200);
    end(&x);
    assert_int_equal(nr_http_stats(rig.server).connections, 1);
    shut(&rig, c);
    rig_close(&rig);
}

static bool all_done(void *arg)
{
    return ((struct exchange *)arg)->dones == 1001;
}

static void test_next_call_from_done(void **state)
{
    struct rig rig;
    struct nr_http_client *c = to_rig(&rig, 1 << 20);
    struct exchange x;

    begin(&x, "POST", "/echo", NR_STR("payload"));
    x.again = 1000;
    assert_int_equal(nr_http_client_call(c, &x.call), 0);
    rig_until(&rig, all_done, &x);
    assert_true(nr_str_eqz(nr_buf_str(&x.reply), "payload"));
    assert_int_equal(rig.requests, 1001);
    assert_int_equal(nr_http_stats(rig.server).connections, 1);
    x.dones = 1;
    end(&x);
    shut(&rig, c);
    rig_close(&rig);
}

static void test_large_body_is_written_on(void **state)
{
    struct rig rig;
    struct nr_http_client *c = to_rig(&rig, 1 << 20);
    struct exchange x;
    char *body = nr_alloc(1 << 20);

    memset(body, 'q', 1 << 20);
    begin(&x, "PUT", "/echo", (struct nr_str){body, 1 << 20});
    assert_int_equal(nr_http_client_call(c, &x.call), 0);
    rig_until(&rig, is_done, &x);
    assert_int_equal(x.err, 0);
    assert_int_equal(x.reply.n, 1 << 20);
    assert_memory_equal(x.reply.p, body, 1 << 20);
    end(&x);
    free(body);
    shut(&rig, c);
    rig_close(&rig);
}

static void test_timeout_and_the_call_after_it(void **state)
{
    struct rig rig;
    struct nr_http_client *c = to_rig(&rig, 1 << 20);
    struct exchange x;

    begin(&x, "GET", "/hold", (struct nr_str){NULL, 0});
    x.call.timeout_ms = 30;
    assert_int_equal(nr_http_client_call(c, &x.call), 0);
    rig_until(&rig, is_done, &x);
    assert_int_equal(x.err, NR_ETIMEOUT);
    end(&x);
    rig_wait_held(&rig, 1);
    nr_http_reply(&rig_held(&rig)->http, 200, (struct nr_str){NULL, 0}, NR_STR("for nobody"));
    begin(&x, "GET", "/next", (struct nr_str){NULL, 0});
    assert_int_equal(nr_http_client_call(c, &x.call), 0);
    rig_until(&rig, is_done, &x);
    assert_true(nr_str_eqz(nr_buf_str(&x.reply), "/next")); /* not the late reply */
    end(&x);
    shut(&rig, c);
    rig_close(&rig);
}

static void test_close_cancels(void **state)
{
    struct rig rig;
    struct nr_http_client *c = to_rig(&rig, 1 << 20);
    struct exchange x;

    begin(&x, "GET", "/hold", (struct nr_str){NULL, 0});
    assert_int_equal(nr_http_client_call(c, &x.call), 0);
    rig_wait_held(&rig, 1);
    shut(&rig, c);
    assert_int_equal(x.err, NR_ECANCELED);
    end(&x);
    nr_http_reply(&rig_held(&rig)->http, 200, (struct nr_str){NULL, 0}, (struct nr_str){NULL, 0});
    c = NULL;
    shut(&rig, c); /* nothing to close is fine */
    rig_close(&rig);
}

static void test_addresses(void **state)
{
    struct rig rig;
    struct nr_http_client *c = to_rig(&rig, 1 << 20), *none = NULL;
    struct nr_err err = {0};
    struct exchange x;
    char too_long[200];

    (void)snprintf(too_long, sizeof(too_long), "unix:/%0150d", 0);
    assert_int_equal(nr_http_client_open(&rig.loop, too_long, 1, &none, &err), NR_EINVAL);
    assert_int_equal(nr_http_client_open(&rig.loop, "somewhere", 1, &none, NULL), NR_EINVAL);
    assert_null(none);
    shut(&rig, c);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(
            nr_http_client_open(&rig.loop, i ? "127.0.0.1:1" : "unix:/nonexistent/s", 1, &c, NULL),
            0);
        for (int k = 0; k < 2; k++) {
            begin(&x, "GET", "/", (struct nr_str){NULL, 0});
            assert_int_equal(nr_http_client_call(c, &x.call), 0);
            rig_until(&rig, is_done, &x);
            assert_int_equal(x.err, NR_EUNAVAIL);
            end(&x);
        }
        shut(&rig, c);
    }
    rig_close(&rig);
}

/* ---- a peer with a script ---- */

struct script {
    const char *name, *reply;
    bool close;
    int err, status;
    const char *body;
};

static const struct script scripts[] = {
    {"length", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", false, 0, 200, "abc"},
    {"chunks",
     "HTTP/1.1 201 C\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", false,
     0, 201, "abcde"},
    {"until the end", "HTTP/1.1 200 OK\r\n\r\nall of it", true, 0, 200, "all of it"},
    {"1.0", "HTTP/1.0 404 N\r\nContent-Length: 1\r\n\r\nx", true, 0, 404, "x"},
    {"100 first", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\ny",
     false, 0, 200, "y"},
    {"no body", "HTTP/1.1 204 No\r\n\r\n", false, 0, 204, ""},
    {"nothing", "", true, NR_ECLOSED, 0, ""},
    {"half a head", "HTTP/1.1 200 OK\r\nContent-L", true, NR_ECLOSED, 0, ""},
    {"half a body", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab", true, NR_ECLOSED, 0, ""},
    {"no HTTP", "SSH-2.0-x\r\n", false, NR_EPROTO, 0, ""},
    {"at the limit", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789", false, 0, 200,
     "0123456789"},
    {"above the limit", "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n01234567890", false,
     NR_ETOOBIG, 0, ""},
};

static void play(const struct script *s, size_t piece)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct nr_http_client *c = NULL;
    struct client peer = {0};
    char address[140];
    struct rig rig;
    struct exchange x;

    (void)snprintf(addr.sun_path, sizeof(addr.sun_path), "/tmp/nr-test-client-%d", (int)getpid());
    (void)snprintf(address, sizeof(address), "unix:%s", addr.sun_path);
    assert_int_equal(bind(listener, (struct sockaddr *)&addr, sizeof(addr)), 0);
    assert_int_equal(listen(listener, 8), 0);
    rig_config(&rig);
    rig_open(&rig);
    assert_int_equal(nr_http_client_open(&rig.loop, address, 10, &c, NULL), 0);
    for (int round = 0; round < 2;
         round++) { /* the second call finds the connection as the first left it */
        begin(&x, "POST", "/p", NR_STR("in"));
        assert_int_equal(nr_http_client_call(c, &x.call), 0);
        rig_turn(&rig, 0);
        if (peer.fd <= 0) {
            nr_buf_init(&peer.got, 1 << 20);
            peer.fd = accept(listener, NULL, NULL);
        }
        nr_buf_reset(&peer.got, SIZE_MAX);
        client_wait(&rig, &peer,
                    "POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nX-Extra: 1\r\n\r\nin");
        client_send(&rig, &peer, nr_str_of(s->reply), piece);
        if (s->close)
            assert_int_equal(shutdown(peer.fd, SHUT_WR), 0);
        rig_until(&rig, is_done, &x);
        if (x.err != s->err || x.status != s->status || !nr_str_eqz(nr_buf_str(&x.reply), s->body))
            fail_msg("%s: err %d status %d \"%.*s\"", s->name, x.err, x.status, (int)x.reply.n,
                     x.reply.p);
        end(&x);
        if (s->close || s->err) {
            client_close(&peer);
            memset(&peer, 0, sizeof(peer));
        }
    }
    if (peer.fd > 0)
        client_close(&peer);
    shut(&rig, c);
    rig_close(&rig);
    close(listener);
    unlink(addr.sun_path);
}

static void test_scripts(void **state)
{
    for (size_t i = 0; i < nr_countof(scripts); i++) {
        play(&scripts[i], 0);
        play(&scripts[i], 1);
    }
}

static void test_connection_lost_while_idle(void **state)
{
    struct rig rig;
    struct nr_http_client *c;
    char address[64];
    struct exchange x;

    rig_config(&rig);
    rig.config.idle_timeout_ms = 20;
    rig_open(&rig);
    (void)snprintf(address, sizeof(address), "127.0.0.1:%d", rig.port);
    assert_int_equal(nr_http_client_open(&rig.loop, address, 1 << 20, &c, NULL), 0);
    for (int i = 0; i < 3; i++) {
        begin(&x, "GET", "/x", (struct nr_str){NULL, 0});
        assert_int_equal(nr_http_client_call(c, &x.call), 0);
        rig_until(&rig, is_done, &x);
        assert_int_equal(x.err, 0);
        end(&x);
        while (nr_http_stats(rig.server).connections > 0)
            rig_turn(&rig, 5);
        rig_turn(&rig, 5);
    }
    shut(&rig, c);
    rig_close(&rig);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_calls_on_one_connection),
        cmocka_unit_test(test_next_call_from_done),
        cmocka_unit_test(test_large_body_is_written_on),
        cmocka_unit_test(test_timeout_and_the_call_after_it),
        cmocka_unit_test(test_close_cancels),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_scripts),
        cmocka_unit_test(test_connection_lost_while_idle),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
