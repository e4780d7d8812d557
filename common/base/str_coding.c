/* Base64, hex and percent: each a table of 256 entries, so that a byte costs one look-up and no branch. */
#include "common/base/str.h"

static const char base64_letters[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char hex_letters[] = "0123456789abcdef";

/* Value + 1 of a letter; 0: not in the alphabet. */
static const unsigned char base64_values[256] = {
    ['A'] = 1,  ['B'] = 2,  ['C'] = 3,  ['D'] = 4,  ['E'] = 5,  ['F'] = 6,  ['G'] = 7,  ['H'] = 8,
    ['I'] = 9,  ['J'] = 10, ['K'] = 11, ['L'] = 12, ['M'] = 13, ['N'] = 14, ['O'] = 15, ['P'] = 16,
    ['Q'] = 17, ['R'] = 18, ['S'] = 19, ['T'] = 20, ['U'] = 21, ['V'] = 22, ['W'] = 23, ['X'] = 24,
    ['Y'] = 25, ['Z'] = 26, ['a'] = 27, ['b'] = 28, ['c'] = 29, ['d'] = 30, ['e'] = 31, ['f'] = 32,
    ['g'] = 33, ['h'] = 34, ['i'] = 35, ['j'] = 36, ['k'] = 37, ['l'] = 38, ['m'] = 39, ['n'] = 40,
    ['o'] = 41, ['p'] = 42, ['q'] = 43, ['r'] = 44, ['s'] = 45, ['t'] = 46, ['u'] = 47, ['v'] = 48,
    ['w'] = 49, ['x'] = 50, ['y'] = 51, ['z'] = 52, ['0'] = 53, ['1'] = 54, ['2'] = 55, ['3'] = 56,
    ['4'] = 57, ['5'] = 58, ['6'] = 59, ['7'] = 60, ['8'] = 61, ['9'] = 62, ['+'] = 63, ['/'] = 64,
};

static struct nr_str trimmed(struct nr_str s)
{
    while (s.n && (unsigned char)s.p[0] <= ' ') {
        s.p++;
        s.n--;
    }
    while (s.n && (unsigned char)s.p[s.n - 1] <= ' ')
        s.n--;
    return s;
}

/* Takes the padding off; false when its place or length is wrong. */
static bool unpadded(struct nr_str *s)
{
    size_t pads = 0;

    while (pads < 2 && pads < s->n && s->p[s->n - 1 - pads] == '=')
        pads++;
    if (pads && s->n % 4 != 0)
        return false;
    s->n -= pads;
    return s->n % 4 != 1;
}

/* The last two or three letters. */
static unsigned char *base64_tail(const unsigned char *p, size_t left, unsigned char *out)
{
    unsigned v = 0;

    for (size_t i = 0; i < left; i++) {
        if (base64_values[p[i]] == 0)
            return NULL;
        v |= (base64_values[p[i]] - 1u) << (18 - 6 * i);
    }
    if (left >= 2)
        *out++ = (unsigned char)(v >> 16);
    if (left == 3)
        *out++ = (unsigned char)(v >> 8);
    return out;
}

ssize_t nr_base64_decode(struct nr_str s, unsigned char *out)
{
    const unsigned char *start = out;
    unsigned bad = 0;

    s = trimmed(s);
    if (!unpadded(&s))
        return -1;
    const unsigned char *p = (const unsigned char *)s.p;
    size_t groups = s.n / 4;

    /* A letter outside the alphabet turns to all ones, which `bad` collects in bits above the six. */
    for (size_t i = 0; i < groups; i++, p += 4, out += 3) {
        unsigned a = base64_values[p[0]] - 1u, b = base64_values[p[1]] - 1u;
        unsigned c = base64_values[p[2]] - 1u, d = base64_values[p[3]] - 1u;
        unsigned v = a << 18 | b << 12 | c << 6 | d;

        bad |= a | b | c | d;
        out[0] = (unsigned char)(v >> 16);
        out[1] = (unsigned char)(v >> 8);
        out[2] = (unsigned char)v;
    }
    if (bad > 63)
        return -1;
    out = base64_tail(p, s.n % 4, out);
    return out ? out - start : -1;
}

size_t nr_base64_encode(const void *bytes, size_t n, char *out)
{
    const unsigned char *p = bytes;
    char *start = out;

    for (; n >= 3; n -= 3, p += 3, out += 4) {
        unsigned v = (unsigned)p[0] << 16 | (unsigned)p[1] << 8 | p[2];

        out[0] = base64_letters[v >> 18];
        out[1] = base64_letters[v >> 12 & 63];
        out[2] = base64_letters[v >> 6 & 63];
        out[3] = base64_letters[v & 63];
    }
    if (n) {
        unsigned v = (unsigned)p[0] << 16 | (n == 2 ? (unsigned)p[1] << 8 : 0);

        *out++ = base64_letters[v >> 18];
        *out++ = base64_letters[v >> 12 & 63];
        *out++ = n == 2 ? base64_letters[v >> 6 & 63] : '=';
        *out++ = '=';
    }
    *out = '\0';
    return (size_t)(out - start);
}

bool nr_base64_looks(struct nr_str s)
{
    s = trimmed(s);
    if (s.n == 0 || s.n % 4 != 0 || !unpadded(&s))
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (base64_values[(unsigned char)s.p[i]] == 0)
            return false;
    return true;
}

void nr_hex(const void *bytes, size_t n, char *out)
{
    const unsigned char *p = bytes;

    for (size_t i = 0; i < n; i++) {
        *out++ = hex_letters[p[i] >> 4];
        *out++ = hex_letters[p[i] & 15];
    }
    *out = '\0';
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool nr_hex_decode(struct nr_str s, void *out)
{
    unsigned char *o = out;

    if (s.n % 2 != 0)
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (hex_value(s.p[i]) < 0)
            return false;
    for (size_t i = 0; i < s.n; i += 2)
        *o++ = (unsigned char)(hex_value(s.p[i]) << 4 | hex_value(s.p[i + 1]));
    return true;
}

ssize_t nr_pct_decode(struct nr_str s, bool plus, char *out)
{
    char *start = out;

    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];

        if (c == '%') {
            int hi = s.n - i > 2 ? hex_value(s.p[i + 1]) : -1;
            int lo = hi < 0 ? -1 : hex_value(s.p[i + 2]);

            if (lo < 0)
                return -1;
            c = (char)(hi << 4 | lo);
            i += 2;
        } else if (c == '+' && plus) {
            c = ' ';
        }
        if (c == '\0')
            return -1;
        *out++ = c;
    }
    return out - start;
}

size_t nr_pct_encode(struct nr_str s, char *out)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
    char *start = out;

    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];

        if (c != '\0' && strchr(plain, c)) {
            *out++ = (char)c;
            continue;
        }
        *out++ = '%';
        *out++ = "0123456789ABCDEF"[c >> 4];
        *out++ = "0123456789ABCDEF"[c & 15];
    }
    *out = '\0';
    return (size_t)(out - start);
}
