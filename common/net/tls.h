/* TLS by OpenSSL with memory BIOs: TLS 1.2 and 1.3, P-256 by default, certificates reloadable; as server, and as a client that knows the
 * public key of its server. Loop's thread, except nr_tls_self_signed().
 */
#ifndef NR_COMMON_NET_TLS_H
#define NR_COMMON_NET_TLS_H

#include "common/base/err.h"

struct nr_tls;

/* Loads a PEM chain and key; both are checked to belong together. */
int nr_tls_open(const char *cert_path, const char *key_path, struct nr_tls **ret,
                struct nr_err *err);
/* Loads both files again; connections that stand keep the old ones. On failure nothing changes. */
int nr_tls_reload(struct nr_tls *t, struct nr_err *err);
/* Could both be loaded again? Nothing changes. */
int nr_tls_check(const struct nr_tls *t, struct nr_err *err);
void nr_tls_close(struct nr_tls *t);

/* "sha256:" and 64 hex, and a NUL. */
enum { NR_TLS_PIN_BYTES = 7 + 64 + 1 };
/* The pin of a server's certificate: the SHA-256 of its public key, as a client is to be told. */
void nr_tls_pin(const struct nr_tls *t, char out[static NR_TLS_PIN_BYTES]);
/* A client's side that takes one server only: whose certificate has this public key. NR_EINVAL when `pin` is none. */
int nr_tls_open_client(const char *pin, struct nr_tls **ret, struct nr_err *err);

/* Writes a self-signed P-256 certificate for `names` (comma separated DNS names and addresses), valid 825 days; key 0600. */
int nr_tls_self_signed(const char *cert_path, const char *key_path, const char *names,
                       struct nr_err *err);

#endif
