/* A list of chunks; the newest standard chunk is the one that is cut. What does not fit in half a chunk gets a chunk of its own,
 * which goes behind the one in use, so that the rest of that one is not lost.
 */
#include "common/base/arena.h"

#include <stdarg.h>
#include <stdio.h>

#include "common/base/mem.h"

/* ALIGN: what malloc aligns to, 16 where words have 64 bits. */
enum { CHUNK_BYTES = 4096, OWN_CHUNK_BYTES = CHUNK_BYTES / 2, ALIGN = 2 * sizeof(void *) };

struct nr_arena_chunk {
    struct nr_arena_chunk *next;
    size_t bytes; /* with this head */
};
_Static_assert(sizeof(struct nr_arena_chunk) % ALIGN == 0, "what follows the head must be aligned");

void nr_arena_init(struct nr_arena *a, size_t max_bytes)
{
    *a = (struct nr_arena){.max_bytes = max_bytes};
}

static void free_chunks(struct nr_arena_chunk *c)
{
    while (c) {
        struct nr_arena_chunk *next = c->next;

        free(c);
        c = next;
    }
}

void nr_arena_fini(struct nr_arena *a)
{
    if (a == NULL)
        return;
    free_chunks(a->chunks);
    *a = (struct nr_arena){.max_bytes = a->max_bytes};
}

void nr_arena_reset(struct nr_arena *a)
{
    struct nr_arena_chunk **at = &a->chunks;

    while (*at && (*at)->bytes != CHUNK_BYTES)
        at = &(*at)->next;
    struct nr_arena_chunk *kept = *at;

    if (kept)
        *at = kept->next;
    free_chunks(a->chunks);
    *a = (struct nr_arena){.chunks = kept, .max_bytes = a->max_bytes};
    if (kept) {
        kept->next = NULL;
        a->at = (char *)(kept + 1);
        a->end = (char *)kept + kept->bytes;
    }
}

static void *own_chunk(struct nr_arena *a, size_t bytes)
{
    struct nr_arena_chunk *c = nr_try_realloc(NULL, sizeof(*c) + bytes);

    if (c == NULL)
        return NULL;
    c->bytes = sizeof(*c) + bytes;
    struct nr_arena_chunk **at = a->chunks ? &a->chunks->next : &a->chunks;

    c->next = *at;
    *at = c;
    return c + 1;
}

static bool next_chunk(struct nr_arena *a)
{
    struct nr_arena_chunk *c = nr_try_realloc(NULL, CHUNK_BYTES);

    if (c == NULL)
        return false;
    c->bytes = CHUNK_BYTES;
    c->next = a->chunks;
    a->chunks = c;
    a->at = (char *)(c + 1);
    a->end = (char *)c + CHUNK_BYTES;
    return true;
}

void *nr_arena_get(struct nr_arena *a, size_t bytes)
{
    if (bytes > a->max_bytes)
        return NULL;
    size_t rounded = bytes ? (bytes + ALIGN - 1) & ~(size_t)(ALIGN - 1) : ALIGN;
    void *p;

    if (bytes > a->max_bytes - a->used_bytes)
        return NULL;
    if ((size_t)(a->end - a->at) >= rounded) {
        p = a->at;
        a->at += rounded;
    } else if (rounded > OWN_CHUNK_BYTES) {
        p = own_chunk(a, rounded);
    } else {
        p = next_chunk(a) ? a->at : NULL;
        if (p)
            a->at += rounded;
    }
    if (p)
        a->used_bytes += bytes;
    return p;
}

struct nr_str nr_arena_copy(struct nr_arena *a, struct nr_str s)
{
    char *p = s.n < SIZE_MAX ? nr_arena_get(a, s.n + 1) : NULL;

    if (p == NULL)
        return (struct nr_str){NULL, 0};
    if (s.n)
        memcpy(p, s.p, s.n);
    p[s.n] = '\0';
    return (struct nr_str){p, s.n};
}

struct nr_str nr_arena_join(struct nr_arena *a, const struct nr_str *parts, size_t count)
{
    size_t bytes = 0;

    for (size_t i = 0; i < count; i++)
        if (__builtin_add_overflow(bytes, parts[i].n, &bytes))
            return (struct nr_str){NULL, 0};
    char *p = bytes < SIZE_MAX ? nr_arena_get(a, bytes + 1) : NULL, *at = p;

    if (p == NULL)
        return (struct nr_str){NULL, 0};
    for (size_t i = 0; i < count; i++)
        if (parts[i].n)
            at = mempcpy(at, parts[i].p, parts[i].n);
    *at = '\0';
    return (struct nr_str){p, bytes};
}

struct nr_str nr_arena_printf(struct nr_arena *a, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    char *p = n < 0 ? NULL : nr_arena_get(a, (size_t)n + 1);

    if (p == NULL)
        return (struct nr_str){NULL, 0};
    va_start(ap, fmt);
    (void)vsnprintf(p, (size_t)n + 1, fmt, ap);
    va_end(ap);
    return (struct nr_str){p, (size_t)n};
}
