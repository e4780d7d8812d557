/* Arena: memory of one request, freed as a whole. Chunks of 4 KiB, grown by need up to a ceiling set at birth.
 * One thread at a time. Zeroed when asked.
 */
#ifndef NR_COMMON_BASE_ARENA_H
#define NR_COMMON_BASE_ARENA_H

#include "common/base/str.h"

struct nr_arena_chunk;

/* Embedded; fields are private. */
struct nr_arena {
    struct nr_arena_chunk *chunks;
    char *at, *end;
    size_t used_bytes, max_bytes;
};

/* max_bytes: allocations above it in all return NULL. The first chunk is taken at the first use. */
void nr_arena_init(struct nr_arena *a, size_t max_bytes);
/* Frees everything; the arena may be used again. NULL and zeroed arenas are fine. */
void nr_arena_fini(struct nr_arena *a);
/* Forgets everything but keeps one chunk for the next request of the connection. */
void nr_arena_reset(struct nr_arena *a);
/* Aligned as malloc does (16 bytes; 8 where words have 32 bits), not zeroed, lent until fini/reset; NULL above the ceiling or without memory. */
void *nr_arena_get(struct nr_arena *a, size_t bytes) __attribute__((warn_unused_result));
/* Copies with a NUL behind; {NULL, 0} when there is no room. */
struct nr_str nr_arena_copy(struct nr_arena *a, struct nr_str s);
/* The parts in a row with a NUL behind; {NULL, 0} when there is no room. */
struct nr_str nr_arena_join(struct nr_arena *a, const struct nr_str *parts, size_t count);
/* printf into the arena; {NULL, 0} when there is no room. */
struct nr_str nr_arena_printf(struct nr_arena *a, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

#endif
