/* A body that is written to a file as it comes, a piece at a time, on a work thread: the connection is not read while a piece is being written.
 * Private to common/net. Loop's thread.
 */
#ifndef NR_COMMON_NET_HTTP_SPOOL_H
#define NR_COMMON_NET_HTTP_SPOOL_H

#include <stddef.h>

#include "common/base/str.h"

struct nr_http_conn;
struct nr_http_spool;

/* For the body that c begins with; fd is lent until nr_http_spool_end() and what is under way then. NULL: no memory. */
struct nr_http_spool *nr_http_spool_begin(struct nr_http_conn *c, int fd);
/* Where the next bytes go, and how many; 0: a piece is being written. */
char *nr_http_spool_room(struct nr_http_spool *s, size_t *ret_n);
/* So many came; the body is whole when `last`. A piece that is full, or the last one, is written: the connection goes on by itself then. */
void nr_http_spool_took(struct nr_http_spool *s, size_t n, bool last);
/* 1: all that came is in the file; 0: not yet; < 0: it cannot be written (NR_ENOSPC, NR_EIO). */
int nr_http_spool_state(const struct nr_http_spool *s);
/* Bytes that are in the file. */
uint64_t nr_http_spool_filed_bytes(const struct nr_http_spool *s);
/* The request is over; closes the file when nobody writes to it any more. NULL is fine. */
void nr_http_spool_end(struct nr_http_spool *s);

#endif
