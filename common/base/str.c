/* Views of bytes: comparing, splitting, numbers and UTF-8. The codings of the web are in str_coding.c. */
#include "common/base/str.h"

static unsigned char lower(char c)
{
    return (unsigned char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

bool nr_str_eq(struct nr_str a, struct nr_str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

bool nr_str_eqz(struct nr_str a, const char *z)
{
    return nr_str_eq(a, nr_str_of(z));
}

bool nr_str_ieqz(struct nr_str a, const char *z)
{
    size_t i = 0;

    while (i < a.n && z[i] != '\0' && lower(a.p[i]) == lower(z[i]))
        i++;
    return i == a.n && z[i] == '\0';
}

bool nr_str_starts(struct nr_str a, const char *prefix)
{
    size_t n = strlen(prefix);

    return a.n >= n && (n == 0 || memcmp(a.p, prefix, n) == 0);
}

bool nr_str_split(struct nr_str *rest, char c, struct nr_str *ret_part)
{
    if (rest->p == NULL)
        return false;
    const char *at = rest->n ? memchr(rest->p, c, rest->n) : NULL;

    if (at == NULL) {
        *ret_part = *rest;
        *rest = (struct nr_str){NULL, 0};
        return true;
    }
    *ret_part = (struct nr_str){rest->p, (size_t)(at - rest->p)};
    *rest = (struct nr_str){at + 1, rest->n - ret_part->n - 1};
    return true;
}

void nr_str_wipe(struct nr_str s)
{
    union {
        const char *p;
        char *own;
    } unconst = {.p = s.p};

    if (s.p)
        explicit_bzero(unconst.own, s.n);
}

bool nr_same_bytes(const void *a, const void *b, size_t n)
{
    const volatile unsigned char *x = a, *y = b;
    unsigned differs = 0;

    for (size_t i = 0; i < n; i++)
        differs |= (unsigned)(x[i] ^ y[i]);
    return differs == 0;
}

bool nr_str_to_i64(struct nr_str s, int64_t min, int64_t max, int64_t *ret)
{
    bool negative = min < 0 && s.n > 0 && s.p[0] == '-';
    size_t i = negative ? 1 : 0;
    int64_t v = 0;

    if (i >= s.n)
        return false;
    /* Counted downwards, because the negative side is one longer. */
    for (; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
        if (__builtin_mul_overflow(v, 10, &v) || __builtin_sub_overflow(v, s.p[i] - '0', &v))
            return false;
    }
    if (!negative && __builtin_sub_overflow((int64_t)0, v, &v))
        return false;
    if (v < min || v > max)
        return false;
    *ret = v;
    return true;
}

/* What may follow a lead byte: the range of the second byte; the others are 0x80..0xBF. */
static inline size_t sequence(const unsigned char *p, size_t left, size_t n, unsigned lo,
                              unsigned hi)
{
    if (left < n || p[1] < lo || p[1] > hi)
        return 0;
    for (size_t i = 2; i < n; i++)
        if ((p[i] & 0xC0) != 0x80)
            return 0;
    return n;
}

size_t nr_utf8_len(const char *at, const char *end)
{
    const unsigned char *p = (const unsigned char *)at;
    size_t left = (size_t)(end - at);

    switch (left ? p[0] : 0xFF) {
    case 0x00 ... 0x7F: return 1;
    case 0xC2 ... 0xDF: return sequence(p, left, 2, 0x80, 0xBF);
    case 0xE0: return sequence(p, left, 3, 0xA0, 0xBF);
    case 0xE1 ... 0xEC: return sequence(p, left, 3, 0x80, 0xBF);
    case 0xED: return sequence(p, left, 3, 0x80, 0x9F); /* no surrogates */
    case 0xEE ... 0xEF: return sequence(p, left, 3, 0x80, 0xBF);
    case 0xF0: return sequence(p, left, 4, 0x90, 0xBF);
    case 0xF1 ... 0xF3: return sequence(p, left, 4, 0x80, 0xBF);
    case 0xF4: return sequence(p, left, 4, 0x80, 0x8F); /* up to U+10FFFF */
    default: return 0;
    }
}

bool nr_utf8_valid(struct nr_str s)
{
    const char *p = s.p, *end = s.p + s.n;

    while (p < end) {
        uint64_t word;

        if (end - p >= 8) {
            memcpy(&word, p, 8);
            if ((word & 0x8080808080808080u) == 0) {
                p += 8;
                continue;
            }
        }
        size_t n = nr_utf8_len(p, end);

        if (n == 0)
            return false;
        p += n;
    }
    return true;
}

size_t nr_utf8_put(uint32_t character, char *out)
{
    if (character < 0x80) {
        out[0] = (char)character;
        return 1;
    }
    size_t n = character < 0x800 ? 2 : character < 0x10000 ? 3 : 4;
    static const unsigned char leads[] = {0, 0, 0xC0, 0xE0, 0xF0};

    for (size_t i = n - 1; i > 0; i--, character >>= 6)
        out[i] = (char)(0x80 | (character & 0x3F));
    out[0] = (char)(leads[n] | character);
    return n;
}
