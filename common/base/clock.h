/* All time and all randomness of the platform. Durations use the monotonic clock, the wall clock labels records.
 * Tests may fake both clocks. Any thread, but no ids in the child of a fork.
 */
#ifndef NR_COMMON_BASE_CLOCK_H
#define NR_COMMON_BASE_CLOCK_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

uint64_t nr_mono_us(void);
uint64_t nr_mono_ms(void);
/* Milliseconds since 1970 UTC. */
int64_t nr_wall_ms(void);
/* So many milliseconds from now on the monotonic clock, not faked: for conditions that are waited for until then. */
struct timespec nr_mono_after(unsigned ms);
/* Makes such a condition: pthread_cond_timedwait() on it takes what nr_mono_after() gives. The caller destroys it. */
void nr_mono_cond_init(pthread_cond_t *c);
/* CPU time of the calling thread. */
uint64_t nr_thread_cpu_us(void);

/* Test seam: fixed offsets are added to both clocks from now on. */
void nr_clock_fake(int64_t mono_add_us, int64_t wall_add_ms);

/* getrandom(2); aborts when the kernel has none. */
void nr_random(void *out, size_t bytes);

/* An activation id: 32 lower-case hex = 48-bit wall ms, 8-bit owner (controller number), 72 random bits; and a NUL. */
void nr_new_id(int64_t wall_ms, uint8_t owner, char out[33]);

/* "2026-01-02T03:04:05.123Z" and a NUL. */
void nr_wall_text(int64_t wall_ms, char out[25]);

#endif
