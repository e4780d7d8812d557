/* TLS in memory: the connection reads ciphertext from one BIO and leaves ciphertext in another; sockets are somebody else's.
 * A context is built whole before it replaces the old one, so a reload that fails changes nothing; a connection holds a reference to
 * the context it was born with.
 */
#include "common/net/tls.h"

#include <openssl/err.h>
#include <openssl/sha.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "common/base/mem.h"
#include "common/net/tls_conn.h"

#define PIN_PREFIX "sha256:"

struct nr_tls {
    SSL_CTX *ctx;
    char *cert_path, *key_path; /* NULL: a client */
    unsigned char pin[SHA256_DIGEST_LENGTH];
};

struct nr_tls_conn {
    SSL *ssl;
    BIO *in, *out; /* owned by ssl */
};

/* The first error of the queue is the cause; the later ones only say which function met it. */
static int fail(struct nr_err *err, const char *what, const char *path)
{
    unsigned long e = ERR_peek_error();
    const char *why =
        ERR_SYSTEM_ERROR(e) ? strerror(ERR_GET_REASON(e)) : ERR_reason_error_string(e);

    ERR_clear_error();
    return nr_err_set(err, NR_EINVAL, "%s %s: %s", what, path, why ? why : "unknown error");
}

static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_n,
                           const unsigned char *in, unsigned in_n, void *arg)
{
    static const unsigned char ours[] = "\x08http/1.1";
    unsigned char *chosen;

    if (SSL_select_next_proto(&chosen, out_n, ours, sizeof(ours) - 1, in, in_n) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static int load(const char *cert_path, const char *key_path, SSL_CTX **ret, struct nr_err *err)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    int r = 0;

    if (ctx == NULL)
        return nr_err_set(err, NR_ENOMEM, "cannot make a TLS context");
    (void)SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    (void)SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                       SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA |
                                       SSL_OP_IGNORE_UNEXPECTED_EOF);
    (void)SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                    SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    (void)SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"narae", 5);
    SSL_CTX_set_alpn_select_cb(ctx, choose_protocol, NULL);
    if (SSL_CTX_set_cipher_list(ctx, "ECDHE+AESGCM:ECDHE+CHACHA20") != 1)
        r = fail(err, "cannot set the ciphers of", cert_path);
    else if (SSL_CTX_use_certificate_chain_file(ctx, cert_path) != 1)
        r = fail(err, "cannot use the certificate", cert_path);
    else if (SSL_CTX_use_PrivateKey_file(ctx, key_path, SSL_FILETYPE_PEM) != 1)
        r = fail(err, "cannot use the key", key_path);
    else if (SSL_CTX_check_private_key(ctx) != 1)
        r = fail(err, "the key does not belong to the certificate", cert_path);
    if (r < 0) {
        SSL_CTX_free(ctx);
        return r;
    }
    *ret = ctx;
    return 0;
}

int nr_tls_open(const char *cert_path, const char *key_path, struct nr_tls **ret,
                struct nr_err *err)
{
    SSL_CTX *ctx;
    struct nr_tls *t;
    int r = load(cert_path, key_path, &ctx, err);

    if (r < 0)
        return r;
    t = nr_alloc(sizeof(*t));
    t->ctx = ctx;
    t->cert_path = nr_strdup(cert_path);
    t->key_path = nr_strdup(key_path);
    *ret = t;
    return 0;
}

int nr_tls_reload(struct nr_tls *t, struct nr_err *err)
{
    SSL_CTX *ctx;
    int r = load(t->cert_path, t->key_path, &ctx, err);

    if (r < 0)
        return r;
    SSL_CTX_free(t->ctx);
    t->ctx = ctx;
    return 0;
}

int nr_tls_check(const struct nr_tls *t, struct nr_err *err)
{
    SSL_CTX *ctx;
    int r = load(t->cert_path, t->key_path, &ctx, err);

    if (r == 0)
        SSL_CTX_free(ctx);
    return r;
}

void nr_tls_close(struct nr_tls *t)
{
    if (t == NULL)
        return;
    SSL_CTX_free(t->ctx);
    free(t->cert_path);
    free(t->key_path);
    free(t);
}

/* ---- pins ---- */

static bool key_digest(X509 *cert, unsigned char out[static SHA256_DIGEST_LENGTH])
{
    unsigned char *der = NULL;
    int n = cert ? i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &der) : -1;

    if (n <= 0)
        return false;
    (void)SHA256(der, (size_t)n, out);
    OPENSSL_free(der);
    return true;
}

void nr_tls_pin(const struct nr_tls *t, char out[static NR_TLS_PIN_BYTES])
{
    unsigned char digest[SHA256_DIGEST_LENGTH] = {0};

    nr_check(key_digest(SSL_CTX_get0_certificate(t->ctx), digest));
    memcpy(out, PIN_PREFIX, strlen(PIN_PREFIX));
    nr_hex(digest, sizeof(digest), out + strlen(PIN_PREFIX));
}

/* In place of a chain of authorities. That the server has the key is what the handshake proves. */
static int check_pin(X509_STORE_CTX *store, void *arg)
{
    const struct nr_tls *t = arg;
    unsigned char digest[SHA256_DIGEST_LENGTH];

    if (key_digest(X509_STORE_CTX_get0_cert(store), digest) &&
        nr_same_bytes(digest, t->pin, sizeof(digest)))
        return 1;
    X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_REJECTED);
    return 0;
}

int nr_tls_open_client(const char *pin, struct nr_tls **ret, struct nr_err *err)
{
    struct nr_str hex = nr_str_of(pin);
    unsigned char digest[SHA256_DIGEST_LENGTH];
    struct nr_tls *t;

    if (!nr_str_starts(hex, PIN_PREFIX) || hex.n != NR_TLS_PIN_BYTES - 1 ||
        !nr_hex_decode((struct nr_str){hex.p + strlen(PIN_PREFIX), 64}, digest))
        return nr_err_set(err, NR_EINVAL,
                          "\"%s\" is no pin: it is " PIN_PREFIX " and 64 hexadecimal digits", pin);
    t = nr_alloc(sizeof(*t));
    memcpy(t->pin, digest, sizeof(digest));
    t->ctx = SSL_CTX_new(TLS_client_method());
    if (t->ctx == NULL) {
        free(t);
        return nr_err_set(err, NR_ENOMEM, "cannot make a TLS context");
    }
    (void)SSL_CTX_set_min_proto_version(t->ctx, TLS1_2_VERSION);
    (void)SSL_CTX_set_mode(t->ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                       SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_verify(t->ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_cert_verify_callback(t->ctx, check_pin, t);
    *ret = t;
    return 0;
}

/* ---- one connection ---- */

struct nr_tls_conn *nr_tls_conn_make(struct nr_tls *t)
{
    struct nr_tls_conn *c = nr_try_alloc(sizeof(*c));

    if (c == NULL)
        return NULL;
    c->ssl = SSL_new(t->ctx);
    c->in = BIO_new(BIO_s_mem());
    c->out = BIO_new(BIO_s_mem());
    if (c->ssl == NULL || c->in == NULL || c->out == NULL) {
        SSL_free(c->ssl);
        BIO_free(c->in);
        BIO_free(c->out);
        free(c);
        return NULL;
    }
    (void)BIO_set_mem_eof_return(c->in, -1);
    SSL_set_bio(c->ssl, c->in, c->out);
    if (t->cert_path)
        SSL_set_accept_state(c->ssl);
    else
        SSL_set_connect_state(c->ssl);
    return c;
}

void nr_tls_conn_greet(struct nr_tls_conn *c)
{
    ERR_clear_error();
    (void)SSL_do_handshake(c->ssl);
    ERR_clear_error();
}

bool nr_tls_conn_is_open(const struct nr_tls_conn *c)
{
    return SSL_is_init_finished(c->ssl);
}

bool nr_tls_conn_mistaken(const struct nr_tls_conn *c)
{
    return SSL_get_verify_result(c->ssl) == X509_V_ERR_CERT_REJECTED;
}

void nr_tls_conn_free(struct nr_tls_conn *c)
{
    if (c == NULL)
        return;
    SSL_free(c->ssl);
    free(c);
}

int nr_tls_conn_feed(struct nr_tls_conn *c, struct nr_str bytes)
{
    return BIO_write(c->in, bytes.p, (int)bytes.n) == (int)bytes.n ? 0 : NR_ENOMEM;
}

ssize_t nr_tls_conn_read(struct nr_tls_conn *c, char *out, size_t n)
{
    int got;

    ERR_clear_error();
    got = SSL_read(c->ssl, out, n < INT32_MAX ? (int)n : INT32_MAX);
    if (got > 0)
        return got;
    switch (SSL_get_error(c->ssl, got)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE: return 0;
    case SSL_ERROR_ZERO_RETURN: return NR_ECLOSED;
    default: ERR_clear_error(); return NR_EPROTO;
    }
}

int nr_tls_conn_write(struct nr_tls_conn *c, struct nr_str bytes)
{
    while (bytes.n > 0) {
        int n;

        ERR_clear_error();
        n = SSL_write(c->ssl, bytes.p, bytes.n < INT32_MAX ? (int)bytes.n : INT32_MAX);
        if (n <= 0) {
            ERR_clear_error();
            return NR_EPROTO;
        }
        bytes.p += n;
        bytes.n -= (size_t)n;
    }
    return 0;
}

struct nr_str nr_tls_conn_pending(struct nr_tls_conn *c)
{
    char *p = NULL;
    long n = BIO_get_mem_data(c->out, &p);

    return (struct nr_str){p, n > 0 ? (size_t)n : 0};
}

void nr_tls_conn_sent(struct nr_tls_conn *c)
{
    (void)BIO_reset(c->out);
}

void nr_tls_conn_shutdown(struct nr_tls_conn *c)
{
    if (!SSL_is_init_finished(c->ssl))
        return;
    ERR_clear_error();
    (void)SSL_shutdown(c->ssl);
    ERR_clear_error();
}
