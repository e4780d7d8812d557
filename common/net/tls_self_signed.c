/* A certificate of one's own, for a box that nobody gave one: P-256, SHA-256, names and addresses as given. Blocking. */
#include "common/net/tls.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

#include "common/base/buf.h"
#include "common/base/file.h"
#include "common/base/mem.h"

#define VALID_DAYS 825
#define NAMES_MAX_BYTES 4096
#define PEM_MAX_BYTES (64 << 10)

/* "DNS:box.local,IP:10.0.0.1" out of "box.local, 10.0.0.1". */
static int alt_names(const char *names, struct nr_buf *out, struct nr_err *err)
{
    struct nr_str rest = nr_str_of(names), name;

    while (nr_str_split(&rest, ',', &name)) {
        unsigned char address[16];
        char text[256];

        while (name.n > 0 && name.p[0] == ' ') {
            name.p++;
            name.n--;
        }
        while (name.n > 0 && name.p[name.n - 1] == ' ')
            name.n--;
        if (name.n == 0 || name.n >= sizeof(text))
            return nr_err_set(err, NR_EINVAL,
                              "certificate names: an empty or too long name in \"%s\"", names);
        for (size_t i = 0; i < name.n; i++) {
            if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:*_",
                        name.p[i]) ||
                !name.p[i])
                return nr_err_set(err, NR_EINVAL,
                                  "certificate names: \"%.*s\" is no name and no address",
                                  (int)name.n, name.p);
        }
        memcpy(text, name.p, name.n);
        text[name.n] = '\0';
        if (out->n > 0)
            nr_buf_addc(out, ',');
        nr_buf_adds(out, inet_pton(AF_INET, text, address) == 1 ||
                                 inet_pton(AF_INET6, text, address) == 1
                             ? "IP:"
                             : "DNS:");
        nr_buf_adds(out, text);
    }
    nr_buf_add(out, "", 1);
    return out->failed ? nr_err_set(err, NR_ETOOBIG, "certificate names: longer than %d bytes",
                                    NAMES_MAX_BYTES)
                       : 0;
}

static bool add_extension(X509 *cert, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509_EXTENSION *extension;
    bool ok;

    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, cert, cert, NULL, NULL, 0);
    extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    ok = extension && X509_add_ext(cert, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return ok;
}

static bool fill(X509 *cert, EVP_PKEY *key, const char *names)
{
    BIGNUM *serial = BN_new();
    X509_NAME *subject = X509_get_subject_name(cert);
    bool ok = serial && BN_rand(serial, 120, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) == 1 &&
              BN_to_ASN1_INTEGER(serial, X509_get_serialNumber(cert)) &&
              X509_set_version(cert, X509_VERSION_3) == 1 &&
              X509_gmtime_adj(X509_getm_notBefore(cert), -300) && /* clocks differ by minutes */
              X509_gmtime_adj(X509_getm_notAfter(cert), (long)VALID_DAYS * 86400) &&
              X509_set_pubkey(cert, key) == 1 &&
              X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
                                         (const unsigned char *)"narae", -1, -1, 0) == 1 &&
              X509_set_issuer_name(cert, subject) == 1 &&
              add_extension(cert, NID_basic_constraints, "critical,CA:FALSE") &&
              add_extension(cert, NID_key_usage, "critical,digitalSignature") &&
              add_extension(cert, NID_ext_key_usage, "serverAuth") &&
              add_extension(cert, NID_subject_alt_name, names) &&
              X509_sign(cert, key, EVP_sha256()) > 0;

    BN_free(serial);
    return ok;
}

/* Writes what a BIO holds to `path`. */
static int save(BIO *pem, const char *path, mode_t mode, struct nr_err *err)
{
    const char *slash = strrchr(path, '/');
    nr_auto_free char *dir =
        slash ? nr_strndup(path, slash == path ? 1 : (size_t)(slash - path)) : nr_strdup(".");
    char *p = NULL;
    long n = BIO_get_mem_data(pem, &p);

    return nr_file_write(dir, slash ? slash + 1 : path, (struct nr_str){p, (size_t)n}, mode, err);
}

int nr_tls_self_signed(const char *cert_path, const char *key_path, const char *names,
                       struct nr_err *err)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();
    BIO *cert_pem = BIO_new(BIO_s_mem()), *key_pem = BIO_new(BIO_s_secmem());
    struct nr_buf alt;
    int r;

    nr_buf_init(&alt, NAMES_MAX_BYTES);
    r = alt_names(names, &alt, err);
    if (r == 0 && (!key || !cert || !cert_pem || !key_pem || !fill(cert, key, alt.p) ||
                   PEM_write_bio_X509(cert_pem, cert) != 1 ||
                   PEM_write_bio_PrivateKey(key_pem, key, NULL, NULL, 0, NULL, NULL) != 1))
        r = nr_err_set(err, NR_EINVAL, "cannot make a certificate for \"%s\"", names);
    /* The key first: a certificate without its key would be the worse half. */
    if (r == 0)
        r = save(key_pem, key_path, S_IRUSR | S_IWUSR, err);
    if (r == 0)
        r = save(cert_pem, cert_path, S_IRUSR | S_IWUSR | S_IRGRP | S_IROTH, err);
    ERR_clear_error();
    nr_buf_fini(&alt);
    BIO_free(key_pem);
    BIO_free(cert_pem);
    X509_free(cert);
    EVP_PKEY_free(key);
    return r;
}
