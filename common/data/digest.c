/* OpenSSL's plain functions for SHA-256: they work in a struct on our stack. The general ones look the algorithm up by name and
 * allocate for every hash, which costs more than hashing a short text. HMAC is written out (RFC 2104) for the same reason.
 */
#define OPENSSL_SUPPRESS_DEPRECATED /* "plain" is what newer releases call low-level */
#include "common/data/digest.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <unistd.h>

#include "common/base/err.h"

enum { BLOCK_BYTES = 64, KEY_BYTES = 32, READ_BYTES = 32 * 1024 };

/* Hash of two pieces. */
static void hash2(const void *a, size_t a_bytes, const void *b, size_t b_bytes,
                  unsigned char out[NR_SHA256_BYTES])
{
    SHA256_CTX c;

    nr_check(SHA256_Init(&c) == 1 && SHA256_Update(&c, a, a_bytes) == 1 &&
             SHA256_Update(&c, b, b_bytes) == 1 && SHA256_Final(out, &c) == 1);
    OPENSSL_cleanse(&c, sizeof(c));
}

void nr_sha256(struct nr_str bytes, unsigned char out[NR_SHA256_BYTES])
{
    hash2(bytes.p, bytes.n, NULL, 0, out);
}

bool nr_sha256_fd(int fd, unsigned char out[NR_SHA256_BYTES])
{
    unsigned char part[READ_BYTES];
    SHA256_CTX c;
    ssize_t n;

    if (lseek(fd, 0, SEEK_SET) < 0)
        return false;
    nr_check(SHA256_Init(&c) == 1);
    while ((n = read(fd, part, sizeof(part))) > 0 || (n < 0 && errno == EINTR))
        if (n > 0)
            nr_check(SHA256_Update(&c, part, (size_t)n) == 1);
    if (n < 0)
        return false;
    nr_check(SHA256_Final(out, &c) == 1);
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
