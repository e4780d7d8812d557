/* When a function was called: one bit a minute, the youngest first.
 */
#include "scaler/forecast/parts.h"

#include <string.h>

uint64_t past_bits(const struct forecast *f, int64_t back)
{
    if (back <= -64 || back >= PAST_BITS)
        return 0;
    if (back < 0)
        return f->past[0] << -back;
    size_t word = (size_t)back / 64;
    unsigned bit = (unsigned)back % 64;
    uint64_t high = bit == 0 || word + 1 == PAST_WORDS ? 0 : f->past[word + 1] << (64 - bit);
    return f->past[word] >> bit | high;
}

static void count(struct forecast *f)
{
    unsigned n = 0;
    for (size_t i = 0; i < PAST_WORDS; i++)
        n += (unsigned)__builtin_popcountll(f->past[i]);
    f->past_calls = (uint16_t)n;
}

void past_add(struct forecast *f, bool called)
{
    f->past_calls = (uint16_t)(f->past_calls - (f->past[PAST_WORDS - 1] >> 63) + (called ? 1 : 0));
    for (size_t i = PAST_WORDS - 1; i > 0; i--)
        f->past[i] = f->past[i] << 1 | f->past[i - 1] >> 63;
    f->past[0] = f->past[0] << 1 | (called ? 1 : 0);
}

void past_skip(struct forecast *f, int64_t n)
{
    if (n >= PAST_BITS) {
        memset(f->past, 0, sizeof f->past);
        n = 0;
    }
    size_t words = (size_t)n / 64;
    unsigned bits = (unsigned)n % 64;
    for (size_t i = PAST_WORDS; i-- > 0;) {
        uint64_t high = i >= words ? f->past[i - words] : 0;
        uint64_t low = i > words ? f->past[i - words - 1] : 0;
        f->past[i] = bits == 0 ? high : high << bits | low >> (64 - bits);
    }
    count(f);
}
