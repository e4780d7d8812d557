/* One TLS connection between a socket and who reads and writes plain text: bytes go in and come out of memory, never of a socket.
 * Private to common/net. Loop's thread only.
 */
#ifndef NR_COMMON_NET_TLS_CONN_H
#define NR_COMMON_NET_TLS_CONN_H

#include "common/base/str.h"
#include "common/net/tls.h"

struct nr_tls_conn;

/* A new connection of t's side, or NULL without memory. It keeps the certificate it was born with. */
struct nr_tls_conn *nr_tls_conn_make(struct nr_tls *t);
void nr_tls_conn_free(struct nr_tls_conn *c);
/* Ciphertext from the socket. NR_ENOMEM. */
int nr_tls_conn_feed(struct nr_tls_conn *c, struct nr_str bytes);
/* Plain text out: its length, 0 when more ciphertext is needed, NR_ECLOSED after the client's close, NR_EPROTO. */
ssize_t nr_tls_conn_read(struct nr_tls_conn *c, char *out, size_t n);
/* Plain text in. NR_EPROTO before the handshake is over. */
int nr_tls_conn_write(struct nr_tls_conn *c, struct nr_str bytes);
/* Ciphertext for the socket (lent until the next call), and that it was taken. */
struct nr_str nr_tls_conn_pending(struct nr_tls_conn *c);
void nr_tls_conn_sent(struct nr_tls_conn *c);
/* A client's first words, to be sent. */
void nr_tls_conn_greet(struct nr_tls_conn *c);
/* Is the handshake over? */
bool nr_tls_conn_is_open(const struct nr_tls_conn *c);
/* The server is another one than the client was told. */
bool nr_tls_conn_mistaken(const struct nr_tls_conn *c);
/* Our close, to be sent. */
void nr_tls_conn_shutdown(struct nr_tls_conn *c);

#endif
