/* Memory: two doors, cleanup words, the fault countdown of the tests.
 *
 * nr_alloc() and friends abort when memory is out: for small fixed sizes. nr_try_alloc() returns NULL: for every size that the
 * outside world chooses, and it is the one that the torture test makes fail. Any thread.
 */
#ifndef NR_COMMON_BASE_MEM_H
#define NR_COMMON_BASE_MEM_H

#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

/* Zeroed memory, made; aborts when there is none. */
void *nr_alloc(size_t bytes) __attribute__((malloc, returns_nonnull));
/* A copy of a string (made); aborts when there is no memory. nr_strndup stops after `n` bytes. NULL gives NULL. */
char *nr_strdup(const char *s);
char *nr_strndup(const char *s, size_t n);

/* Zeroed memory (made) or NULL; for sizes that a client chooses. */
void *nr_try_alloc(size_t bytes) __attribute__((malloc, warn_unused_result));
/* Grows `p` (given, made anew) to `bytes`, or returns NULL and leaves p alone. */
void *nr_try_realloc(void *p, size_t bytes) __attribute__((warn_unused_result));

/* Test seam: the n-th nr_try_* call from now on fails, `times` times (-1: for ever). n = 0 switches it off. Per process. */
void nr_mem_fail_at(long n, long times);
/* How many nr_try_* calls there were since the last nr_mem_fail_at(). */
long nr_mem_tries(void);

/* Cleanup words for synchronous scopes: NULL and -1 are fine. */
static inline void nr_cleanup_free(void *p)
{
    free(*(void **)p);
}
static inline void nr_cleanup_close(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
}
#define nr_auto_free __attribute__((cleanup(nr_cleanup_free)))
#define nr_auto_close __attribute__((cleanup(nr_cleanup_close)))

/* Takes the value out of an automatic variable, so that its cleanup finds nothing: `return nr_steal(&p);`, nr_steal_fd(&fd). */
#define nr_steal(pp)                                                                               \
    ({                                                                                             \
        __typeof__(*(pp)) nr_stolen_ = *(pp);                                                      \
        *(pp) = NULL;                                                                              \
        nr_stolen_;                                                                                \
    })
static inline int nr_steal_fd(int *fd)
{
    int taken = *fd;
    *fd = -1;
    return taken;
}

#define nr_container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))
#define nr_countof(array) (sizeof(array) / sizeof((array)[0]))

#endif
