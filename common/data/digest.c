/* The algorithm is fetched from OpenSSL once per process, and each thread keeps one context; the one-shot calls look it up by name
 * and allocate each time, which costs more than hashing a short text. HMAC is written out (RFC 2104) for the same reason.
 */
#include "common/data/digest.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <unistd.h>

#include "common/base/err.h"

enum { BLOCK_BYTES = 64, KEY_BYTES = 32, READ_BYTES = 32 * 1024 };

static struct {
    pthread_once_t once;
    pthread_key_t context; /* a thread's, freed when it ends */
    EVP_MD *md;
} sha256 = {.once = PTHREAD_ONCE_INIT};

static void free_context(void *context)
{
    EVP_MD_CTX_free(context);
}

static void fetch(void)
{
    sha256.md = EVP_MD_fetch(NULL, "SHA256", NULL);
    nr_check(sha256.md != NULL && pthread_key_create(&sha256.context, free_context) == 0);
}

static EVP_MD_CTX *start(void)
{
    (void)pthread_once(&sha256.once, fetch);
    EVP_MD_CTX *c = pthread_getspecific(sha256.context);

    if (c == NULL) {
        c = EVP_MD_CTX_new();
        nr_check(c != NULL && pthread_setspecific(sha256.context, c) == 0);
    }
    nr_check(EVP_DigestInit_ex2(c, sha256.md, NULL) == 1);
    return c;
}

static void finish(EVP_MD_CTX *c, unsigned char out[NR_SHA256_BYTES])
{
    nr_check(EVP_DigestFinal_ex(c, out, NULL) == 1);
}

/* Hash of two pieces. */
static void hash2(const void *a, size_t a_bytes, const void *b, size_t b_bytes,
                  unsigned char out[NR_SHA256_BYTES])
{
    EVP_MD_CTX *c = start();

    nr_check(EVP_DigestUpdate(c, a, a_bytes) == 1 && EVP_DigestUpdate(c, b, b_bytes) == 1);
    finish(c, out);
}

void nr_sha256(struct nr_str bytes, unsigned char out[NR_SHA256_BYTES])
{
    hash2(bytes.p, bytes.n, NULL, 0, out);
}

bool nr_sha256_fd(int fd, unsigned char out[NR_SHA256_BYTES])
{
    unsigned char part[READ_BYTES], digest[NR_SHA256_BYTES];
    ssize_t n;

    if (lseek(fd, 0, SEEK_SET) < 0)
        return false;
    EVP_MD_CTX *c = start();

    while ((n = read(fd, part, sizeof(part))) > 0 || (n < 0 && errno == EINTR))
        if (n > 0)
            nr_check(EVP_DigestUpdate(c, part, (size_t)n) == 1);
    finish(c, digest);
    if (n < 0)
        return false;
    memcpy(out, digest, sizeof(digest));
    return true;
}

void nr_hmac(const unsigned char key[KEY_BYTES], struct nr_str bytes,
             unsigned char out[NR_SHA256_BYTES])
{
    unsigned char inner[BLOCK_BYTES], outer[BLOCK_BYTES], digest[NR_SHA256_BYTES];

    for (size_t i = 0; i < BLOCK_BYTES; i++) {
        unsigned char k = i < KEY_BYTES ? key[i] : 0;

        inner[i] = k ^ 0x36;
        outer[i] = k ^ 0x5C;
    }
    hash2(inner, sizeof(inner), bytes.p, bytes.n, digest);
    hash2(outer, sizeof(outer), digest, sizeof(digest), out);
    OPENSSL_cleanse(inner, sizeof(inner));
    OPENSSL_cleanse(outer, sizeof(outer));
}
