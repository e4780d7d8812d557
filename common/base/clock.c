/* Clocks with an offset that tests set, and random bytes. Ids draw their random part from a small store per thread, because a
 * system call for nine bytes costs more than the rest of the id; what was drawn is wiped.
 */
#include "common/base/clock.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/random.h>

#include "common/base/err.h"
#include "common/base/str.h"

static struct {
    _Atomic int64_t mono_us, wall_ms;
} faked;

static int64_t read_us(clockid_t id)
{
    struct timespec t;

    nr_check(clock_gettime(id, &t) == 0);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

uint64_t nr_mono_us(void)
{
    return (uint64_t)(read_us(CLOCK_MONOTONIC) +
                      atomic_load_explicit(&faked.mono_us, memory_order_relaxed));
}

uint64_t nr_mono_ms(void)
{
    return nr_mono_us() / 1000;
}

struct timespec nr_mono_after(unsigned ms)
{
    struct timespec t;

    nr_check(clock_gettime(CLOCK_MONOTONIC, &t) == 0);
    t.tv_sec += ms / 1000;
    t.tv_nsec += (long)(ms % 1000) * 1000000;
    if (t.tv_nsec >= 1000000000) {
        t.tv_sec++;
        t.tv_nsec -= 1000000000;
    }
    return t;
}

void nr_mono_cond_init(pthread_cond_t *c)
{
    pthread_condattr_t a;

    nr_check(pthread_condattr_init(&a) == 0 && pthread_condattr_setclock(&a, CLOCK_MONOTONIC) == 0);
    nr_check(pthread_cond_init(c, &a) == 0);
    (void)pthread_condattr_destroy(&a);
}

int64_t nr_wall_ms(void)
{
    return read_us(CLOCK_REALTIME) / 1000 +
           atomic_load_explicit(&faked.wall_ms, memory_order_relaxed);
}

uint64_t nr_thread_cpu_us(void)
{
    return (uint64_t)read_us(CLOCK_THREAD_CPUTIME_ID);
}

void nr_clock_fake(int64_t mono_add_us, int64_t wall_add_ms)
{
    atomic_store(&faked.mono_us, mono_add_us);
    atomic_store(&faked.wall_ms, wall_add_ms);
}

void nr_random(void *out, size_t bytes)
{
    unsigned char *p = out;

    while (bytes) {
        ssize_t n = getrandom(p, bytes, 0);

        nr_check(n > 0 || errno == EINTR);
        if (n > 0) {
            p += n;
            bytes -= (size_t)n;
        }
    }
}

enum { ID_RANDOM_BYTES = 9, ID_STORE = 28 };

static void draw(unsigned char out[ID_RANDOM_BYTES])
{
    static _Thread_local unsigned char store[ID_STORE * ID_RANDOM_BYTES];
    static _Thread_local unsigned left;

    if (left == 0) {
        nr_random(store, sizeof(store));
        left = ID_STORE;
    }
    unsigned char *at = store + (size_t)--left * ID_RANDOM_BYTES;

    memcpy(out, at, ID_RANDOM_BYTES);
    explicit_bzero(at, ID_RANDOM_BYTES);
}

void nr_new_id(int64_t wall_ms, uint8_t owner, char out[33])
{
    unsigned char id[16];

    for (int i = 0; i < 6; i++)
        id[i] = (unsigned char)((uint64_t)wall_ms >> (40 - 8 * i));
    id[6] = owner;
    draw(id + 7);
    nr_hex(id, sizeof(id), out);
}

static char *digits(char *at, int count, unsigned value, char behind)
{
    for (int i = count - 1; i >= 0; i--, value /= 10)
        at[i] = (char)('0' + value % 10);
    at[count] = behind;
    return at + count + 1;
}

void nr_wall_text(int64_t wall_ms, char out[25])
{
    static const int64_t last_ms = 253402300799999; /* 9999-12-31T23:59:59.999Z */
    struct tm t;
    int64_t ms = wall_ms < 0 ? 0 : wall_ms > last_ms ? last_ms : wall_ms;
    time_t seconds = (time_t)(ms / 1000);

    nr_check(gmtime_r(&seconds, &t) != NULL);
    out = digits(out, 4, (unsigned)t.tm_year + 1900, '-');
    out = digits(out, 2, (unsigned)t.tm_mon + 1, '-');
    out = digits(out, 2, (unsigned)t.tm_mday, 'T');
    out = digits(out, 2, (unsigned)t.tm_hour, ':');
    out = digits(out, 2, (unsigned)t.tm_min, ':');
    out = digits(out, 2, (unsigned)t.tm_sec, '.');
    out = digits(out, 3, (unsigned)(ms % 1000), 'Z');
    *out = '\0';
}
