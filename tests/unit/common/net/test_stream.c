/* Framed streams, both ends in one loop: frames whole and in their order over a socket pair, a unix socket, and TLS; the pin; what is slow, silent, too large
 * or torn. The header is four bytes, the length of what follows.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/socket.h>
#include <sys/stat.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/net/stream.h"

enum { HEAD = 4, FRAME_MAX = 1 << 20 };

static struct nr_loop loop;

static char dir[] = "/tmp/nr-test-stream-XXXXXX";
static struct nr_tls *server_tls;
static char pin[NR_TLS_PIN_BYTES];

/* One end of a stream. */
struct end {
    struct nr_stream *s;
    int opened, ended, frames, drained;
    int code;
    char why[200];
    size_t bytes; /* of payloads */
    char last[64];
    bool echo;
    int refuse; /* what `frame` returns */
};

static int64_t on_length(void *arg, const char *head)
{
    uint32_t n;

    memcpy(&n, head, sizeof(n));
    return n <= FRAME_MAX ? (int64_t)n : NR_EPROTO;
}

static void send_frame(struct end *e, struct nr_str payload)
{
    uint32_t n = (uint32_t)payload.n;

    nr_stream_send(e->s, (struct nr_str[]){{(const char *)&n, sizeof(n)}, payload}, 2);
}

static int on_frame(void *arg, const char *head, struct nr_str payload)
{
    struct end *e = arg;

    e->frames++;
    e->bytes += payload.n;
    (void)snprintf(e->last, sizeof(e->last), "%.*s", (int)(payload.n < 60 ? payload.n : 60),
                   payload.n ? payload.p : "");
    if (e->echo)
        send_frame(e, payload);
    return e->refuse;
}

static void on_opened(void *arg)
{
    ((struct end *)arg)->opened++;
}

static void on_drained(void *arg)
{
    ((struct end *)arg)->drained++;
}

static void on_ended(void *arg, int code, const char *why)
{
    struct end *e = arg;

    e->ended++;
    e->code = code;
    e->s = NULL;
    (void)snprintf(e->why, sizeof(e->why), "%s", why);
}

static const struct nr_stream_hooks hooks = {.head_bytes = HEAD,
                                             .length = on_length,
                                             .frame = on_frame,
                                             .opened = on_opened,
                                             .drained = on_drained,
                                             .ended = on_ended};

static struct nr_stream_config config_of(struct end *e)
{
    return (struct nr_stream_config){.loop = &loop,
                                     .hooks = &hooks,
                                     .arg = e,
                                     .open_ms = 30000,
                                     .unsent_max_bytes = 64 << 20,
                                     .water_bytes = 1 << 20};
}

/* ---- the loop ---- */

static void on_wake(struct nr_deadline *d) {}

/* Turns the loop until a count is there; fails the test after 30 s. */
static void until(const int *value, int wanted)
{
    uint64_t end_ms = nr_mono_ms() + 30000;
    struct nr_deadline wake = {.fire = on_wake};

    while (*value < wanted) {
        if (nr_mono_ms() > end_ms)
            fail_msg("waited 30 s for %d, it is %d", wanted, *value);
        nr_deadline_set(&loop, &wake, 20); /* or whatever happens before */
        (void)uv_run(&loop.uv, UV_RUN_ONCE);
    }
    nr_deadline_cancel(&wake);
}

static int open_loop(void **state)
{
    return nr_loop_init(&loop, NULL);
}

static int close_loop(void **state)
{
    return nr_loop_fini(&loop);
}

static void open_pair(struct end *a, struct end *b)
{
    int fd[2];
    const struct nr_stream_config ca = config_of(a), cb = config_of(b);

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fd), 0);
    assert_int_equal(nr_stream_adopt(&ca, fd[0], NULL, &a->s, NULL), 0);
    assert_int_equal(nr_stream_adopt(&cb, fd[1], NULL, &b->s, NULL), 0);
    assert_int_equal(a->opened + b->opened, 0); /* not from inside the call */
}

/* ---- a pair ---- */

static void test_frames_come_whole(void **state)
{
    struct end a = {0}, b = {.echo = true};
    char *big = nr_alloc(FRAME_MAX);

    open_pair(&a, &b);
    memset(big, 'x', FRAME_MAX);
    send_frame(&a, NR_STR("first"));
    send_frame(&a, (struct nr_str){NULL, 0});
    send_frame(&a, (struct nr_str){big, FRAME_MAX});
    send_frame(&a, NR_STR("last"));
    until(&a.frames, 4);
    assert_int_equal(b.frames, 4);
    assert_int_equal(a.bytes, 5 + FRAME_MAX + 4);
    assert_string_equal(a.last, "last");
    assert_int_equal(a.opened, 1);
    assert_int_equal(b.opened, 1);
    assert_string_equal(nr_stream_peer(a.s), "unix");
    assert_int_equal(nr_stream_peer_uid(a.s), geteuid());
    nr_stream_close(a.s);
    until(&b.ended, 1);
    assert_int_equal(b.code, NR_ECLOSED);
    assert_int_equal(a.ended, 0);
    free(big);
}

static void test_a_frame_above_its_ceiling(void **state)
{
    struct end a = {0}, b = {0};
    const uint32_t n = FRAME_MAX + 1;

    open_pair(&a, &b);
    nr_stream_send(a.s, &(struct nr_str){(const char *)&n, sizeof(n)}, 1);
    until(&b.ended, 1);
    assert_int_equal(b.code, NR_EPROTO);
    assert_int_equal(b.frames, 0);
    until(&a.ended, 1);
}

static void test_a_frame_that_is_refused(void **state)
{
    struct end a = {0}, b = {.refuse = NR_EPROTO};

    open_pair(&a, &b);
    send_frame(&a, NR_STR("x"));
    send_frame(&a, NR_STR("y"));
    until(&b.ended, 1);
    assert_int_equal(b.frames, 1);
    until(&a.ended, 1);
}

/* Whoever does not read costs his own stream, up to the ceiling. */
static void test_nobody_reads(void **state)
{
    struct end a = {0};
    struct nr_stream_config c = config_of(&a);
    char *big = nr_alloc(FRAME_MAX);
    int fd[2];

    c.unsent_max_bytes = 3 << 20;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fd), 0);
    assert_int_equal(nr_stream_adopt(&c, fd[0], NULL, &a.s, NULL), 0);
    until(&a.opened, 1);
    for (int i = 0; i < 5 && a.ended == 0; i++)
        send_frame(&a, (struct nr_str){big, FRAME_MAX});
    assert_int_equal(a.ended, 0); /* told later, never from inside */
    until(&a.ended, 1);
    assert_int_equal(a.code, NR_ETOOBIG);
    assert_non_null(strstr(a.why, "3145728"));
    (void)close(fd[1]);
    free(big);
}

static void test_drained(void **state)
{
    struct end a = {0}, b = {0};
    char *big = nr_alloc(FRAME_MAX);

    open_pair(&a, &b);
    for (int i = 0; i < 4; i++)
        send_frame(&a, (struct nr_str){big, FRAME_MAX});
    assert_true(nr_stream_unsent(a.s) > 1 << 20);
    until(&a.drained, 1);
    until(&b.frames, 4);
    assert_int_equal(a.drained, 1);
    nr_stream_close(a.s);
    nr_stream_close(b.s);
    free(big);
}

/* What was sent before is still read, and nothing is told. */
static void test_finish(void **state)
{
    struct end a = {0}, b = {0};

    open_pair(&a, &b);
    until(&a.opened, 1);
    send_frame(&a, NR_STR("last words"));
    nr_stream_finish(a.s);
    until(&b.ended, 1);
    assert_string_equal(b.last, "last words");
    assert_int_equal(b.code, NR_ECLOSED);
    assert_int_equal(a.ended, 0);
}

static void test_silence(void **state)
{
    struct end a = {0};
    struct nr_stream_config c = config_of(&a);
    int fd[2];

    c.silence_ms = 40;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fd), 0);
    assert_int_equal(nr_stream_adopt(&c, fd[0], NULL, &a.s, NULL), 0);
    until(&a.ended, 1);
    assert_int_equal(a.code, NR_ETIMEOUT);
    (void)close(fd[1]);
}

/* ---- listeners and dials ---- */

static struct end taken;
static int taken_count;

static void on_dialed(void *arg, struct nr_stream *s)
{
    const struct nr_stream_config c = config_of(&taken);

    taken = (struct end){.s = s, .echo = true};
    taken_count++;
    nr_stream_begin(s, &c);
}

static void dial(struct end *e, const char *address, struct nr_tls *tls)
{
    const struct nr_stream_config c = config_of(e);
    struct nr_err err = {0};

    if (nr_stream_dial(&c, address, tls, &e->s, &err) < 0)
        fail_msg("%s", err.text);
}

static struct nr_stream_listener *listen_at(const char *address, struct nr_tls *tls)
{
    struct nr_stream_listener *l = NULL;
    struct nr_err err = {0};

    taken_count = 0;
    if (nr_stream_listen(&loop, address, tls, on_dialed, NULL, &l, &err) < 0)
        fail_msg("%s", err.text);
    return l;
}

static void echo_over(struct end *e)
{
    until(&e->opened, 1);
    send_frame(e, NR_STR("hello"));
    until(&e->frames, 1);
    assert_string_equal(e->last, "hello");
    nr_stream_close(e->s);
    until(&taken.ended, 1);
}

static void test_unix_socket(void **state)
{
    char address[80];
    struct end e = {0};
    struct stat st;

    (void)snprintf(address, sizeof(address), "unix:%s/s", dir);
    struct nr_stream_listener *l = listen_at(address, NULL);

    assert_int_equal(stat(address + 5, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    dial(&e, address, NULL);
    echo_over(&e);
    nr_stream_listener_close(l, NULL, NULL);
    (void)uv_run(&loop.uv, UV_RUN_NOWAIT);
    l = listen_at(address, NULL); /* what an earlier process left is in nobody's way */
    nr_stream_listener_close(l, NULL, NULL);
}

static void test_tls_with_its_pin(void **state)
{
    char address[80];
    struct end e = {0};
    struct nr_tls *client = NULL;
    struct nr_stream_listener *l = listen_at("127.0.0.1:0", server_tls);

    assert_int_equal(nr_tls_open_client(pin, &client, NULL), 0);
    (void)snprintf(address, sizeof(address), "tls://localhost:%u", nr_stream_listener_port(l));
    dial(&e, address, client); /* by name: one address after the other */
    echo_over(&e);
    assert_int_equal(taken_count, 1);
    nr_stream_listener_close(l, NULL, NULL);
    (void)uv_run(&loop.uv, UV_RUN_NOWAIT);
    nr_tls_close(client);
}

static void test_tls_carries_much(void **state)
{
    char address[80];
    struct end e = {0};
    struct nr_tls *client = NULL;
    struct nr_stream_listener *l = listen_at("127.0.0.1:0", server_tls);
    char *big = nr_alloc(FRAME_MAX);

    assert_int_equal(nr_tls_open_client(pin, &client, NULL), 0);
    (void)snprintf(address, sizeof(address), "tls://127.0.0.1:%u", nr_stream_listener_port(l));
    dial(&e, address, client);
    until(&e.opened, 1);
    for (int i = 0; i < 8; i++)
        send_frame(&e, (struct nr_str){big, FRAME_MAX});
    until(&e.frames, 8);
    assert_int_equal(e.bytes, 8 * FRAME_MAX);
    assert_string_equal(nr_stream_peer(taken.s), "127.0.0.1");
    assert_int_equal(nr_stream_peer_uid(taken.s), -1);
    nr_stream_close(e.s);
    until(&taken.ended, 1);
    nr_stream_listener_close(l, NULL, NULL);
    (void)uv_run(&loop.uv, UV_RUN_NOWAIT);
    nr_tls_close(client);
    free(big);
}

/* Another server under the address: not a byte of ours reaches it. */
static void test_tls_with_another_pin(void **state)
{
    char address[80], wrong[NR_TLS_PIN_BYTES];
    struct end e = {0};
    struct nr_tls *client = NULL;
    struct nr_stream_listener *l = listen_at("127.0.0.1:0", server_tls);

    memcpy(wrong, pin, sizeof(wrong));
    wrong[NR_TLS_PIN_BYTES - 2] = (char)(wrong[NR_TLS_PIN_BYTES - 2] == '0' ? '1' : '0');
    assert_int_equal(nr_tls_open_client(wrong, &client, NULL), 0);
    (void)snprintf(address, sizeof(address), "tls://127.0.0.1:%u", nr_stream_listener_port(l));
    dial(&e, address, client);
    until(&e.ended, 1);
    assert_int_equal(e.code, NR_EAUTH);
    assert_non_null(strstr(e.why, "pin"));
    assert_int_equal(e.opened, 0);
    until(&taken.ended, 1);
    assert_int_equal(taken.frames, 0);
    nr_stream_listener_close(l, NULL, NULL);
    (void)uv_run(&loop.uv, UV_RUN_NOWAIT);
    nr_tls_close(client);
}

/* No TLS where it is wanted, and the other way round. */
static void test_plain_words_to_tls(void **state)
{
    struct end e = {0};
    struct nr_stream_config c = config_of(&e);
    struct nr_stream_listener *l = listen_at("127.0.0.1:0", server_tls);
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(nr_stream_listener_port(l)),
                             .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    assert_int_equal(nr_stream_adopt(&c, fd, NULL, &e.s, NULL), 0);
    until(&taken_count, 1);
    send_frame(&e, NR_STR("GET / HTTP/1.1"));
    until(&taken.ended, 1);
    assert_int_equal(taken.code, NR_EPROTO);
    assert_int_equal(taken.frames, 0);
    until(&e.ended, 1);
    nr_stream_listener_close(l, NULL, NULL);
}

static void test_nobody_listens(void **state)
{
    char address[80];
    struct end e = {0}, gone = {0};
    struct nr_tls *client = NULL;
    struct nr_stream_listener *l = listen_at("127.0.0.1:0", server_tls);
    uint16_t port = nr_stream_listener_port(l);

    nr_stream_listener_close(l, NULL, NULL);
    (void)uv_run(&loop.uv, UV_RUN_NOWAIT);
    assert_int_equal(nr_tls_open_client(pin, &client, NULL), 0);
    (void)snprintf(address, sizeof(address), "tls://localhost:%u", port);
    dial(&e, address, client);
    dial(&gone, address, client);
    nr_stream_close(gone.s); /* its look-up comes back to nobody */
    until(&e.ended, 1);
    assert_int_equal(e.opened, 0);
    assert_non_null(strstr(e.why, "cannot connect"));
    e = (struct end){0};
    dial(&e, "unix:/nonexistent/socket", NULL);
    until(&e.ended, 1);
    assert_int_equal(gone.ended, 0);
    nr_tls_close(client);
}

static void test_addresses(void **state)
{
    static const struct {
        const char *address;
        int r;
        bool tls;
    } rows[] = {
        {"tls://host.example:3234", 0, true},   {"tls://[::1]:3234", 0, true},
        {"tls://10.0.0.1:1", 0, true},          {"unix:/run/s", 0, false},
        {"unix:run/s", NR_EINVAL, false},       {"tls://host", NR_EINVAL, false},
        {"tls://:3234", NR_EINVAL, false},      {"tls://host:0", NR_EINVAL, false},
        {"tls://host:65536", NR_EINVAL, false}, {"tls://::1:3234", NR_EINVAL, false},
        {"tls://ho st:3234", NR_EINVAL, false}, {"https://host:3234", NR_EINVAL, false},
        {"host:3234", NR_EINVAL, false},        {"", NR_EINVAL, false},
    };

    for (size_t i = 0; i < nr_countof(rows); i++) {
        struct nr_err err = {0};
        bool tls = false;

        if (nr_stream_check_address(rows[i].address, &tls, &err) != rows[i].r || tls != rows[i].tls)
            fail_msg("%s: %s", rows[i].address, err.text);
    }
}

static void test_pins(void **state)
{
    struct nr_tls *t = NULL;
    struct nr_err err = {0};

    assert_int_equal(strncmp(pin, "sha256:", 7), 0);
    assert_int_equal(strlen(pin), 71);
    assert_int_equal(nr_tls_open_client("sha256:00", &t, &err), NR_EINVAL);
    assert_non_null(strstr(err.text, "sha256:00"));
    assert_int_equal(nr_tls_open_client(pin + 7, &t, NULL), NR_EINVAL);
    assert_int_equal(nr_tls_open_client("", &t, NULL), NR_EINVAL);
    assert_null(t);
}

static int setup(void **state)
{
    char cert[64], key[64];

    assert_non_null(mkdtemp(dir));
    (void)snprintf(cert, sizeof(cert), "%s/cert", dir);
    (void)snprintf(key, sizeof(key), "%s/key", dir);
    assert_int_equal(nr_tls_self_signed(cert, key, "localhost", NULL), 0);
    assert_int_equal(nr_tls_open(cert, key, &server_tls, NULL), 0);
    nr_tls_pin(server_tls, pin);
    return 0;
}

static int teardown(void **state)
{
    nr_tls_close(server_tls);
    return nr_dir_remove(dir, NULL);
}

#define LOOP(test) cmocka_unit_test_setup_teardown(test, open_loop, close_loop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOOP(test_frames_come_whole),
        LOOP(test_a_frame_above_its_ceiling),
        LOOP(test_a_frame_that_is_refused),
        LOOP(test_nobody_reads),
        LOOP(test_drained),
        LOOP(test_finish),
        LOOP(test_silence),
        LOOP(test_unix_socket),
        LOOP(test_tls_with_its_pin),
        LOOP(test_tls_carries_much),
        LOOP(test_tls_with_another_pin),
        LOOP(test_plain_words_to_tls),
        LOOP(test_nobody_listens),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_pins),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
