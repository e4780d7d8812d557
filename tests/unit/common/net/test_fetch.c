/* Blocking calls from this thread against our server in another one. */
#include "http_rig.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "common/net/fetch.h"

struct served {
    struct rig rig;
    pthread_t thread;
    _Atomic bool stop;
    char base[64];
};

static void *serve(void *arg)
{
    struct served *s = arg;

    while (!s->stop)
        rig_turn(&s->rig, 1);
    return NULL;
}

static struct served *start(void)
{
    struct served *s = nr_alloc(sizeof(*s));

    rig_config(&s->rig);
    rig_open(&s->rig);
    (void)snprintf(s->base, sizeof(s->base), "http://127.0.0.1:%d", s->rig.port);
    assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
    return s;
}

static void stop(struct served *s)
{
    s->stop = true;
    pthread_join(s->thread, NULL);
    while (s->rig.held_count > 0)
        nr_http_reply(&rig_held(&s->rig)->http, 200, (struct nr_str){NULL, 0},
                      (struct nr_str){NULL, 0});
    rig_close(&s->rig);
    free(s);
}

static int get(struct nr_fetch *f, const struct served *s, const char *path, struct nr_fetch_req *r,
               struct nr_err *err)
{
    char url[128];

    (void)snprintf(url, sizeof(url), "%s%s", s->base, path);
    r->method = r->method ? r->method : "GET";
    r->url = url;
    memset(err, 0, sizeof(*err));
    return nr_fetch_call(f, r, err);
}

static void test_calls(void **state)
{
    static const char *const headers[] = {"X-One: 1", "X-Two: 2", NULL};
    struct served *s = start();
    struct nr_fetch *f = nr_fetch_make(NULL);
    struct nr_fetch_req r = {0}, post = {.method = "POST",
                                         .body = NR_STR("{\"a\":1}"),
                                         .content_type = "application/json",
                                         .user_password = "user:word",
                                         .headers = headers};
    struct nr_err err;

    assert_int_equal(get(f, s, "/x?y=1", &r, &err), 0);
    assert_int_equal(r.status, 200);
    assert_true(nr_str_eqz(nr_buf_str(&r.reply), "/x"));
    assert_true(r.seconds > 0);
    assert_string_equal(r.activation_id, "");
    nr_buf_fini(&r.reply);
    assert_int_equal(get(f, s, "/echo", &post, &err), 0);
    assert_true(nr_str_eqz(nr_buf_str(&post.reply), "{\"a\":1}"));
    nr_buf_fini(&post.reply);
    assert_int_equal(get(f, s, "/refuse", &r, &err), 0); /* an answer is an answer */
    assert_int_equal(r.status, 401);
    nr_buf_fini(&r.reply);
    r = (struct nr_fetch_req){.method = "HEAD"};
    assert_int_equal(get(f, s, "/x", &r, &err), 0);
    assert_int_equal(r.reply.n, 0);
    nr_buf_fini(&r.reply);
    r = (struct nr_fetch_req){.method = "DELETE"};
    assert_int_equal(get(f, s, "/x", &r, &err), 0);
    nr_buf_fini(&r.reply);
    s->stop = true; /* so that this thread may look */
    pthread_join(s->thread, NULL);
    assert_int_equal(nr_http_stats(s->rig.server).connections, 1); /* kept for all of them */
    nr_fetch_free(f);
    nr_fetch_free(NULL);
    rig_close(&s->rig);
    free(s);
}

static void test_what_is_sent(void **state)
{
    static const char *const headers[] = {"X-One: 1", NULL};
    struct served *s = start();
    struct nr_fetch *f = nr_fetch_make(NULL);
    struct nr_fetch_req r = {.method = "PUT",
                             .body = NR_STR("b"),
                             .content_type = "text/plain",
                             .user_password = "user:word",
                             .headers = headers};
    struct nr_err err;
    struct rig *rig = &s->rig;

    assert_int_equal(get(f, s, "/seen", &r, &err), 0);
    nr_buf_fini(&r.reply);
    nr_fetch_free(f);
    s->stop = true; /* so that this thread may look */
    pthread_join(s->thread, NULL);
    assert_non_null(strstr(rig->seen.p, "3 /seen"));
    assert_non_null(strstr(rig->seen.p, "[authorization=Basic dXNlcjp3b3Jk]"));
    assert_non_null(strstr(rig->seen.p, "[x-one=1]"));
    assert_non_null(strstr(rig->seen.p, "[content-type=text/plain]"));
    assert_null(strstr(rig->seen.p, "[expect="));
    rig_close(rig);
    free(s);
}

static bool count_bytes(void *arg, struct nr_str bytes)
{
    size_t *left = arg;

    *left = bytes.n < *left ? *left - bytes.n : 0;
    return *left > 0;
}

static void test_ceilings_and_streams(void **state)
{
    struct served *s = start();
    struct nr_fetch *f = nr_fetch_make(NULL);
    struct nr_fetch_req r = {.reply_max_bytes = 8388608};
    struct nr_err err;
    size_t left;

    assert_int_equal(get(f, s, "/big", &r, &err), 0);
    assert_int_equal(r.reply.n, 8388608);
    nr_buf_fini(&r.reply);
    r.reply_max_bytes--;
    assert_int_equal(get(f, s, "/big", &r, &err), NR_ETOOBIG);
    assert_non_null(strstr(err.text, "8388607"));
    nr_buf_fini(&r.reply);
    r = (struct nr_fetch_req){.on_bytes = count_bytes, .arg = &left};
    left = 8388609;
    assert_int_equal(get(f, s, "/big", &r, &err), 0);
    assert_int_equal(left, 1);
    nr_buf_fini(&r.reply);
    left = 1000;
    assert_int_equal(get(f, s, "/big", &r, &err), NR_ECANCELED);
    nr_buf_fini(&r.reply);
    nr_fetch_free(f);
    stop(s);
}

/* A stream knows its status before its first byte, has no limit in all, and one on silence. */
static void test_a_silent_stream(void **state)
{
    struct served *s = start();
    struct nr_fetch *f = nr_fetch_make(NULL);
    size_t left = 1 << 20;
    struct nr_fetch_req r = {.on_bytes = count_bytes, .arg = &left, .silence_max_s = 1};
    struct nr_err err;

    assert_int_equal(get(f, s, "/parts", &r, &err), 0);
    assert_int_equal(left, (1 << 20) - 7);
    nr_buf_fini(&r.reply);
    assert_int_equal(get(f, s, "/stream", &r, &err), NR_ETIMEOUT); /* a head, and then nothing */
    assert_int_equal(r.status, 200);
    nr_buf_fini(&r.reply);
    nr_fetch_free(f);
    s->stop = true;
    pthread_join(s->thread, NULL);
    nr_http_reply_end(&rig_held(&s->rig)->http);
    rig_close(&s->rig);
    free(s);
}

static void test_failures(void **state)
{
    struct served *s = start(), none = {.base = "http://127.0.0.1:1"};
    struct nr_fetch *f = nr_fetch_make(NULL), *u = nr_fetch_make("/nonexistent/socket");
    struct nr_fetch_req r = {.timeout_ms = 50};
    struct nr_err err;

    assert_int_equal(get(f, s, "/hold", &r, &err), NR_ETIMEOUT);
    nr_buf_fini(&r.reply);
    r.timeout_ms = 0;
    assert_int_equal(get(f, &none, "/", &r, &err), NR_EUNAVAIL);
    assert_non_null(strstr(err.text, "http://127.0.0.1:1/"));
    nr_buf_fini(&r.reply);
    assert_int_equal(get(u, s, "/", &r, &err), NR_EUNAVAIL);
    nr_buf_fini(&r.reply);
    (void)snprintf(none.base, sizeof(none.base), "file:///etc");
    assert_int_equal(get(f, &none, "/passwd", &r, &err), NR_EINVAL);
    nr_buf_fini(&r.reply);
    nr_fetch_free(f);
    nr_fetch_free(u);
    stop(s);
}

/* One answer over a unix socket, then the same connection closed in the middle of the next. */
static void *answer_once(void *arg)
{
    static const char whole[] =
        "HTTP/1.1 202 A\r\nx-openwhisk-activation-id: 0123456789abcdef0123456789abcdef\r\n"
        "Content-Length: 2\r\n\r\nok",
                      half[] = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nha";
    int fd = accept(*(int *)arg, NULL, NULL);
    char request[4096];

    if (recv(fd, request, sizeof(request), 0) > 0)
        (void)!write(fd, whole, strlen(whole));
    if (recv(fd, request, sizeof(request), 0) > 0)
        (void)!write(fd, half, strlen(half));
    close(fd);
    return NULL;
}

static void test_unix_socket(void **state)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct nr_fetch_req r = {.method = "GET", .url = "http://engine/v1.41/version"};
    struct nr_fetch *f;
    pthread_t thread;

    (void)snprintf(addr.sun_path, sizeof(addr.sun_path), "/tmp/nr-test-fetch-%d", (int)getpid());
    assert_int_equal(bind(listener, (struct sockaddr *)&addr, sizeof(addr)), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(pthread_create(&thread, NULL, answer_once, &listener), 0);
    f = nr_fetch_make(addr.sun_path);
    assert_int_equal(nr_fetch_call(f, &r, NULL), 0);
    assert_int_equal(r.status, 202);
    assert_string_equal(r.activation_id, "0123456789abcdef0123456789abcdef");
    nr_buf_fini(&r.reply);
    assert_int_equal(nr_fetch_call(f, &r, NULL), NR_ECLOSED);
    nr_buf_fini(&r.reply);
    nr_fetch_free(f);
    pthread_join(thread, NULL);
    close(listener);
    unlink(addr.sun_path);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_calls),
        cmocka_unit_test(test_what_is_sent),
        cmocka_unit_test(test_ceilings_and_streams),
        cmocka_unit_test(test_a_silent_stream),
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_unix_socket),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
