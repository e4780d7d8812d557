/* Certificates of one's own, TLS through the server by OpenSSL's client, reload under a standing connection, and what is refused. */
#include "http_rig.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/net/tls.h"

#define GET(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"

static char dir[] = "/tmp/nr-test-tls-XXXXXX", cert_path[64], key_path[64];

static int make_dir(void **state)
{
    assert_non_null(mkdtemp(dir));
    (void)snprintf(cert_path, sizeof(cert_path), "%s/cert.pem", dir);
    (void)snprintf(key_path, sizeof(key_path), "%s/key.pem", dir);
    return 0;
}

static int remove_dir(void **state)
{
    return nr_dir_remove(dir, NULL);
}

static void make_cert(void)
{
    struct nr_err err = {0};

    if (nr_tls_self_signed(cert_path, key_path, "localhost, 127.0.0.1,::1", &err) < 0)
        fail_msg("%s", err.text);
}

static X509 *load_cert(void)
{
    FILE *f = fopen(cert_path, "re");
    X509 *cert;

    assert_non_null(f);
    cert = PEM_read_X509(f, NULL, NULL, NULL);
    (void)fclose(f);
    assert_non_null(cert);
    return cert;
}

static void test_self_signed(void **state)
{
    X509 *cert;
    struct stat st;
    int days, seconds;

    make_cert();
    assert_int_equal(stat(key_path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    cert = load_cert();
    assert_int_equal(X509_check_host(cert, "localhost", 0, 0, NULL), 1);
    assert_int_equal(X509_check_ip_asc(cert, "127.0.0.1", 0), 1);
    assert_int_equal(X509_check_ip_asc(cert, "::1", 0), 1);
    assert_int_equal(X509_check_host(cert, "example.org", 0, 0, NULL), 0);
    assert_int_equal(X509_verify(cert, X509_get0_pubkey(cert)), 1);
    assert_int_equal(EVP_PKEY_get_bits(X509_get0_pubkey(cert)), 256);
    assert_int_equal(
        ASN1_TIME_diff(&days, &seconds, X509_get0_notBefore(cert), X509_get0_notAfter(cert)), 1);
    assert_int_equal(days, 825);
    X509_free(cert);
    assert_int_equal(nr_tls_self_signed(cert_path, key_path, "", NULL), NR_EINVAL);
    assert_int_equal(nr_tls_self_signed(cert_path, key_path, "a,,b", NULL), NR_EINVAL);
    assert_int_equal(nr_tls_self_signed(cert_path, key_path, "a\nDNS:b", NULL), NR_EINVAL);
    assert_true(nr_tls_self_signed("/nonexistent/cert.pem", key_path, "a", NULL) < 0);
}

static void test_open_checks_the_pair(void **state)
{
    struct nr_tls *t = NULL;
    struct nr_err err = {0};
    char other_cert[80], other_key[80];

    make_cert();
    (void)snprintf(other_cert, sizeof(other_cert), "%s.other", cert_path);
    (void)snprintf(other_key, sizeof(other_key), "%s.other", key_path);
    assert_int_equal(nr_tls_self_signed(other_cert, other_key, "b", NULL), 0);
    assert_int_equal(nr_tls_open(cert_path, other_key, &t, &err), NR_EINVAL);
    assert_non_null(strstr(err.text, other_key));
    assert_non_null(strstr(err.text, ": key values mismatch"));
    err = (struct nr_err){0};
    assert_int_equal(nr_tls_open("/nonexistent", key_path, &t, &err), NR_EINVAL);
    assert_string_equal(err.text,
                        "cannot use the certificate /nonexistent: No such file or directory");
    err = (struct nr_err){0};
    assert_int_equal(nr_tls_open(key_path, key_path, &t, &err), NR_EINVAL);
    assert_non_null(strstr(err.text, ": no start line"));
    assert_null(t);
    nr_tls_close(NULL);
}

/* ---- a client by OpenSSL over a non-blocking socket ---- */

struct tls_client {
    struct client plain;
    SSL_CTX *ctx;
    SSL *ssl;
};

/* max_version 0: the newest. */
static void tls_open(struct rig *rig, struct tls_client *c, int max_version, const char *alpn)
{
    client_open(rig, &c->plain);
    assert_int_equal(fcntl(c->plain.fd, F_SETFL, O_NONBLOCK), 0);
    c->ctx = SSL_CTX_new(TLS_client_method());
    assert_non_null(c->ctx);
    (void)SSL_CTX_set_min_proto_version(c->ctx, TLS1_VERSION);
    (void)SSL_CTX_set_max_proto_version(c->ctx, max_version);
    SSL_CTX_set_security_level(c->ctx, 0);
    c->ssl = SSL_new(c->ctx);
    assert_non_null(c->ssl);
    if (alpn)
        (void)SSL_set_alpn_protos(c->ssl, (const unsigned char *)alpn, (unsigned)strlen(alpn));
    assert_int_equal(SSL_set_fd(c->ssl, c->plain.fd), 1);
    SSL_set_connect_state(c->ssl);
}

static void tls_end(struct tls_client *c)
{
    SSL_free(c->ssl);
    SSL_CTX_free(c->ctx);
    client_close(&c->plain);
}

/* Repeats `step` while it wants more of the socket; what it returned at last. */
static int tls_do(struct rig *rig, struct tls_client *c, int (*step)(struct tls_client *c))
{
    uint64_t end_ms = nr_mono_ms() + 30000;

    for (;;) {
        int r, e;

        ERR_clear_error();
        r = step(c);
        e = SSL_get_error(c->ssl, r);
        if (r > 0 || (e != SSL_ERROR_WANT_READ && e != SSL_ERROR_WANT_WRITE))
            return r;
        assert_true(nr_mono_ms() < end_ms);
        rig_turn(rig, 0);
    }
}

static int step_handshake(struct tls_client *c)
{
    return SSL_do_handshake(c->ssl);
}

static int step_read(struct tls_client *c)
{
    char bytes[20000];
    int n = SSL_read(c->ssl, bytes, sizeof(bytes));

    if (n > 0)
        nr_buf_add(&c->plain.got, bytes, (size_t)n);
    return n;
}

static void tls_wait(struct rig *rig, struct tls_client *c, const char *text)
{
    while (!client_has(&c->plain, text)) {
        if (tls_do(rig, c, step_read) <= 0)
            fail_msg("ended without \"%s\"", text);
    }
}

static void tls_send(struct rig *rig, struct tls_client *c, struct nr_str bytes, size_t piece)
{
    while (bytes.n > 0) {
        int n = SSL_write(c->ssl, bytes.p, (int)(piece && piece < bytes.n ? piece : bytes.n));

        rig_turn(rig, 0);
        if (n > 0) {
            bytes.p += n;
            bytes.n -= (size_t)n;
        }
    }
}

static struct nr_tls *rig_tls(struct rig *rig)
{
    struct nr_tls *t = NULL;

    make_cert();
    assert_int_equal(nr_tls_open(cert_path, key_path, &t, NULL), 0);
    rig_config(rig);
    rig->config.tls = t;
    rig_open(rig);
    return t;
}

static void test_requests(void **state)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    struct rig rig;
    struct nr_tls *t = rig_tls(&rig);
    char *body = nr_alloc(900000);

    for (size_t i = 0; i < 900000; i++)
        body[i] = (char)('a' + i % 23);
    for (size_t v = 0; v < nr_countof(versions); v++) {
        struct tls_client c;
        const unsigned char *protocol;
        unsigned protocol_bytes;

        tls_open(&rig, &c, versions[v], "\x02h2\x08http/1.1");
        assert_int_equal(tls_do(&rig, &c, step_handshake), 1);
        assert_int_equal(SSL_version(c.ssl), versions[v]);
        SSL_get0_alpn_selected(c.ssl, &protocol, &protocol_bytes);
        assert_int_equal(protocol_bytes, 8);
        assert_memory_equal(protocol, "http/1.1", 8);
        tls_send(&rig, &c, NR_STR(GET("/one") GET("/later") GET("/parts")), 0);
        tls_wait(&rig, &c, "\r\n0\r\n\r\n");
        tls_send(&rig, &c, NR_STR(GET("/tiny")), 1);
        tls_wait(&rig, &c, "\r\n\r\n/tiny");
        tls_send(&rig, &c,
                 NR_STR("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 900000\r\n\r\n"), 0);
        tls_send(&rig, &c, (struct nr_str){body, 900000}, 50000);
        tls_send(&rig, &c, NR_STR(GET("/big") GET("/after")), 0);
        tls_wait(&rig, &c, "\r\n\r\n/after");
        assert_non_null(memmem(c.plain.got.p, c.plain.got.n, body, 900000));
        assert_int_equal(client_count(&c.plain, "HTTP/1.1 200"), 7);
        tls_end(&c);
    }
    free(body);
    rig_close(&rig);
    nr_tls_close(t);
}

static void test_end_is_announced(void **state)
{
    struct rig rig;
    struct nr_tls *t = rig_tls(&rig);
    struct tls_client c;
    int r;

    tls_open(&rig, &c, 0, NULL);
    assert_int_equal(tls_do(&rig, &c, step_handshake), 1);
    tls_send(&rig, &c, NR_STR("GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"), 0);
    while ((r = tls_do(&rig, &c, step_read)) > 0)
        ;
    assert_int_equal(SSL_get_error(c.ssl, r),
                     SSL_ERROR_ZERO_RETURN); /* close_notify, so nothing was cut off */
    assert_true(client_has(&c.plain, "\r\n\r\n/x"));
    tls_end(&c);
    rig_close(&rig);
    nr_tls_close(t);
}

static void tls_ask(struct rig *rig, struct tls_client *c, const char *path)
{
    char request[100], end[100];

    (void)snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", path);
    (void)snprintf(end, sizeof(end), "\r\n\r\n%s", path);
    tls_send(rig, c, nr_str_of(request), 0);
    tls_wait(rig, c, end);
}

/* Its end was told, and not by a reset. */
static void assert_told(struct rig *rig, struct tls_client *c)
{
    int r;

    while ((r = tls_do(rig, c, step_read)) > 0)
        ;
    assert_int_equal(SSL_get_error(c->ssl, r), SSL_ERROR_ZERO_RETURN);
}

static bool one_greets(void *arg)
{
    return nr_http_greeting(((struct rig *)arg)->server) == 1;
}

/* What cannot change hands ends after a reply or while nothing is asked; what is just being opened is known of, or given away unread. */
static void test_another_process_comes(void **state)
{
    struct rig rig;
    struct nr_tls *t = rig_tls(&rig);
    struct tls_client often, idle, opens;
    struct client untouched;
    int fds[4];

    tls_open(&rig, &often, 0, NULL);
    tls_open(&rig, &idle, 0, NULL);
    tls_ask(&rig, &often, "/first");
    tls_ask(&rig, &idle, "/first");
    nr_http_part(rig.server, true);
    tls_ask(&rig, &often, "/second");
    assert_int_equal(client_count(&often.plain, "Connection: close"), 1);
    assert_told(&rig, &often);
    nr_http_part(rig.server, false); /* it went away */
    tls_ask(&rig, &idle, "/second");
    assert_false(client_has(&idle.plain, "Connection: close"));
    rig_turn(&rig, 0);
    nr_http_part(rig.server, true); /* the next one came */
    tls_open(&rig, &opens, 0, NULL);
    (void)SSL_do_handshake(opens.ssl); /* its first words */
    rig_until(&rig, one_greets, &rig);
    client_open(&rig, &untouched);
    while (nr_http_stats(rig.server).connections < 3 || nr_http_greeting(rig.server) < 2)
        rig_turn(&rig, 0);
    assert_int_equal(nr_http_hand_over(rig.server, fds, 4), 0);
    assert_int_equal(nr_http_hand_over_untouched(rig.server, fds, 4), 1);
    assert_int_equal(nr_http_greeting(rig.server), 1);
    assert_told(&rig, &idle);
    assert_int_equal(tls_do(&rig, &opens, step_handshake), 1);
    tls_ask(&rig, &opens, "/last");
    assert_told(&rig, &opens);
    assert_int_equal(nr_http_greeting(rig.server), 0);
    assert_int_equal(send(untouched.fd, "x", 1, 0), 1); /* it is open: who has it reads that */
    char byte = 0;

    assert_int_equal(recv(fds[0], &byte, 1, 0), 1);
    assert_int_equal(byte, 'x');
    (void)close(fds[0]);
    client_close(&untouched);
    tls_end(&often);
    tls_end(&idle);
    tls_end(&opens);
    rig_close(&rig);
    nr_tls_close(t);
}

static void test_refused_handshakes(void **state)
{
    struct rig rig;
    struct nr_tls *t = rig_tls(&rig);
    struct tls_client c;
    struct client plain;

    tls_open(&rig, &c, TLS1_1_VERSION, NULL);
    assert_int_not_equal(tls_do(&rig, &c, step_handshake), 1);
    tls_end(&c);
    tls_open(&rig, &c, 0, "\x02h2");
    assert_int_not_equal(tls_do(&rig, &c, step_handshake), 1);
    tls_end(&c);
    client_open(&rig, &plain);
    client_send(&rig, &plain, NR_STR(GET("/x")), 0);
    client_wait(&rig, &plain, NULL);
    assert_int_equal(client_count(&plain, "HTTP/1.1"), 0);
    client_close(&plain);
    assert_int_equal(rig.heads, 0);
    rig_close(&rig);
    nr_tls_close(t);
}

static void test_handshake_has_a_limit(void **state)
{
    struct rig rig;
    struct nr_tls *t = NULL;
    struct client c;

    make_cert();
    assert_int_equal(nr_tls_open(cert_path, key_path, &t, NULL), 0);
    rig_config(&rig);
    rig.config.tls = t;
    rig.config.header_timeout_ms = 40;
    rig_open(&rig);
    client_open(&rig, &c);
    client_send(&rig, &c, NR_STR("\x16\x03\x01"), 0);
    client_wait(&rig, &c, NULL);
    client_close(&c);
    rig_close(&rig);
    nr_tls_close(t);
}

static void test_reload(void **state)
{
    struct rig rig;
    struct nr_tls *t = rig_tls(&rig);
    struct tls_client before, after;
    X509 *first = load_cert(), *second, *seen;

    tls_open(&rig, &before, 0, NULL);
    assert_int_equal(tls_do(&rig, &before, step_handshake), 1);
    assert_int_equal(nr_file_write(dir, "key.pem", NR_STR("no key"), 0600, NULL), 0);
    assert_int_equal(nr_tls_reload(t, NULL), NR_EINVAL); /* nothing changes */
    tls_open(&rig, &after, 0, NULL);
    assert_int_equal(tls_do(&rig, &after, step_handshake), 1);
    tls_end(&after);
    make_cert();
    second = load_cert();
    assert_int_equal(nr_tls_reload(t, NULL), 0);
    tls_open(&rig, &after, 0, NULL);
    assert_int_equal(tls_do(&rig, &after, step_handshake), 1);
    seen = SSL_get1_peer_certificate(after.ssl);
    assert_int_equal(X509_cmp(seen, second), 0);
    assert_int_not_equal(X509_cmp(seen, first), 0);
    tls_send(&rig, &before, NR_STR(GET("/still")), 0);
    tls_wait(&rig, &before, "\r\n\r\n/still");
    X509_free(seen);
    X509_free(first);
    X509_free(second);
    tls_end(&before);
    tls_end(&after);
    rig_close(&rig);
    nr_tls_close(t);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_self_signed),
        cmocka_unit_test(test_open_checks_the_pair),
        cmocka_unit_test(test_requests),
        cmocka_unit_test(test_end_is_announced),
        cmocka_unit_test(test_another_process_comes),
        cmocka_unit_test(test_refused_handshakes),
        cmocka_unit_test(test_handshake_has_a_limit),
        cmocka_unit_test(test_reload),
    };

    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
