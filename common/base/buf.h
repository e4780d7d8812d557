/* A growing buffer with a ceiling from birth. A failed add (ceiling, memory) makes the buffer sticky-failed, so that a
 * writer of long texts checks once at the end: `if (b.failed)`. One thread at a time.
 */
#ifndef NR_COMMON_BASE_BUF_H
#define NR_COMMON_BASE_BUF_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/str.h"

struct nr_buf {
    char *p;    /* content, not terminated; read-only for users */
    size_t n;   /* bytes of content */
    size_t cap; /* private */
    size_t max_bytes;
    bool failed; /* an add did not fit; content is incomplete */
};

void nr_buf_init(struct nr_buf *b, size_t max_bytes);
void nr_buf_fini(struct nr_buf *b);
/* Content away, memory kept (freed when it is above keep_bytes). */
void nr_buf_reset(struct nr_buf *b, size_t keep_bytes);
/* Room for `bytes` more at p + n, or NULL; then nr_buf_took(). */
char *nr_buf_room(struct nr_buf *b, size_t bytes);
void nr_buf_took(struct nr_buf *b, size_t bytes);
void nr_buf_add(struct nr_buf *b, const void *bytes, size_t n);
void nr_buf_adds(struct nr_buf *b, const char *z);
void nr_buf_addc(struct nr_buf *b, char c);
void nr_buf_addu(struct nr_buf *b, uint64_t number);
void nr_buf_addi(struct nr_buf *b, int64_t number);
void nr_buf_printf(struct nr_buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Adds `s` as a JSON string with its quotes; bytes that are no UTF-8 become U+FFFD. */
void nr_buf_json(struct nr_buf *b, struct nr_str s);
/* Drops the first n bytes. */
void nr_buf_drop(struct nr_buf *b, size_t n);
/* The content with a NUL behind it, given to the caller (made); the buffer is empty after it. NULL when failed. */
char *nr_buf_detach(struct nr_buf *b, size_t *ret_n);
static inline struct nr_str nr_buf_str(const struct nr_buf *b)
{
    return (struct nr_str){b->p, b->n};
}

#endif
