/* Sketches: percentiles of times out of counts in buckets. A bucket's upper end is 1.1 times that of the one below it, so what is said of a value in it, the
 * middle in the harmonic sense, is wrong by (1.1 - 1) / (1.1 + 1), less than 5 %, at most. Ends are multiplied out of constants, no library's
 * logarithm is asked: the same times give the same sketch everywhere.
 */
#include "ports/sample.h"

/* The upper end of a bucket in us: SKETCH_GROWTH to the power of its number. */
static double upper_us(unsigned bucket)
{
    /* 1.1 to the 1, 2, 4, ... 128 */
    static const double powers[] = {1.1,
                                    1.21,
                                    1.4641,
                                    2.14358881,
                                    4.594972986357216,
                                    21.113776745352553,
                                    445.79156845259024,
                                    198730.12250342045};
    double end = 1;

    for (unsigned i = 0; i < sizeof powers / sizeof *powers; i++)
        if (bucket & 1u << i)
            end *= powers[i];
    return end;
}

unsigned sketch_bucket(uint64_t us)
{
    if (us <= 1)
        return 0;
    /* A doubling is 7.27 buckets: from the highest bit it is at most nine further. */
    unsigned bucket = (63u - (unsigned)__builtin_clzll(us)) * 727 / 100;
    double end, value = (double)us;

    if (bucket >= SKETCH_BUCKETS)
        return SKETCH_BUCKETS - 1;
    for (end = upper_us(bucket); end < value && bucket < SKETCH_BUCKETS - 1; bucket++)
        end *= SKETCH_GROWTH;
    return bucket;
}

void sketch_add_us(struct sketch *s, uint64_t us)
{
    s->bucket[sketch_bucket(us)]++;
    s->count++;
}

static uint32_t sum(uint32_t a, uint32_t b)
{
    return a > UINT32_MAX - b ? UINT32_MAX : a + b;
}

void sketch_merge(struct sketch *to, const struct sketch *more)
{
    if (more->count == 0)
        return;
    to->count = sum(to->count, more->count);
    for (unsigned i = 0; i < SKETCH_BUCKETS; i++)
        to->bucket[i] = sum(to->bucket[i], more->bucket[i]);
}

/* Most buckets have nothing: so many are passed over at a time. */
enum { BLOCK = 16 };
_Static_assert(SKETCH_BUCKETS % BLOCK == 0, "blocks of buckets");

static bool is_empty(const uint32_t *bucket)
{
    uint32_t any = 0;

    for (unsigned i = 0; i < BLOCK; i++)
        any |= bucket[i];
    return any == 0;
}

/* The first one with which there are at least so many, or the last that has any. */
static unsigned bucket_of_rank(const struct sketch *s, double rank)
{
    uint64_t below = 0;
    unsigned last = 0;

    for (unsigned i = 0; i < SKETCH_BUCKETS; i++) {
        while (i % BLOCK == 0 && i < SKETCH_BUCKETS && is_empty(&s->bucket[i]))
            i += BLOCK;
        if (i >= SKETCH_BUCKETS || s->bucket[i] == 0)
            continue;
        below += s->bucket[i];
        last = i;
        if ((double)below >= rank)
            break;
    }
    return last;
}

double sketch_quantile_ms(const struct sketch *s, double q)
{
    unsigned last = s->count ? bucket_of_rank(s, q * s->count) : 0;

    if (s->count == 0)
        return 0;
    return last == 0 ? 0.001 : upper_us(last) * (2 / (1 + SKETCH_GROWTH)) / 1000;
}
