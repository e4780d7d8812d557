/* Two doors to memory. The fault countdown stands in front of the second door only: it holds how many calls are still served
 * and how many then fail, as relaxed atomics, so that a torture test may run threads.
 */
#include "common/base/mem.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/base/err.h"

static struct {
    _Atomic long tries; /* since nr_mem_fail_at() */
    _Atomic long at;    /* first call that fails; 0: none */
    _Atomic long times; /* how many fail from there; -1: all */
} fault;

void nr_mem_fail_at(long n, long times)
{
    atomic_store(&fault.at, 0);
    atomic_store(&fault.tries, 0);
    atomic_store(&fault.times, times);
    atomic_store(&fault.at, n);
}

long nr_mem_tries(void)
{
    return atomic_load(&fault.tries);
}

static bool fails_now(void)
{
    long nth = atomic_fetch_add_explicit(&fault.tries, 1, memory_order_relaxed) + 1;
    long at = atomic_load_explicit(&fault.at, memory_order_relaxed);

    if (at == 0 || nth < at)
        return false;
    long times = atomic_load_explicit(&fault.times, memory_order_relaxed);

    return times < 0 || nth - at < times;
}

void *nr_alloc(size_t bytes)
{
    void *p = calloc(1, bytes ? bytes : 1);

    nr_check(p != NULL);
    return p;
}

char *nr_strdup(const char *s)
{
    return s ? nr_strndup(s, strlen(s)) : NULL;
}

char *nr_strndup(const char *s, size_t n)
{
    if (s == NULL)
        return NULL;
    size_t len = strnlen(s, n);
    char *copy = nr_alloc(len + 1);

    memcpy(copy, s, len);
    return copy;
}

void *nr_try_alloc(size_t bytes)
{
    if (bytes > PTRDIFF_MAX || fails_now())
        return NULL;
    return calloc(1, bytes ? bytes : 1);
}

void *nr_try_realloc(void *p, size_t bytes)
{
    if (bytes > PTRDIFF_MAX || fails_now())
        return NULL;
    return realloc(p, bytes ? bytes : 1);
}
