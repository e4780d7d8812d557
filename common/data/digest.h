/* SHA-256 and keyed hashes by OpenSSL. Any thread.
 */
#ifndef NR_COMMON_DATA_DIGEST_H
#define NR_COMMON_DATA_DIGEST_H

#include "common/base/str.h"

#define NR_SHA256_BYTES 32

void nr_sha256(struct nr_str bytes, unsigned char out[NR_SHA256_BYTES]);
/* SHA-256 of an open file from its start; false on a read error. The offset is left at the end. */
bool nr_sha256_fd(int fd, unsigned char out[NR_SHA256_BYTES]);
/* HMAC-SHA-256 under a 32-byte key; about a microsecond for short texts. */
void nr_hmac(const unsigned char key[32], struct nr_str bytes, unsigned char out[NR_SHA256_BYTES]);

#endif
