/* Numbers of 64 bits that become sizes, which have 32 on some platforms: there a plain cast takes 4 GB for nothing at all. Pure; any thread. */
#ifndef NR_COMMON_BASE_SIZE_H
#define NR_COMMON_BASE_SIZE_H

#include <stddef.h>
#include <stdint.h>

/* The largest number of bytes that a size and what is added to it can count: 2 GB where words have 32 bits. */
#define NR_SIZE_MOST (SIZE_MAX >> 1)

/* A number of bytes that somebody set or sent: what is more than NR_SIZE_MOST is that, what is less than 0 is 0. */
static inline size_t nr_size_of(int64_t bytes)
{
    return bytes < 0 ? 0 : (uint64_t)bytes > NR_SIZE_MOST ? NR_SIZE_MOST : (size_t)bytes;
}

#endif
