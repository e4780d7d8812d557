/* Grows by doubling, never above max_bytes and one byte for the NUL of nr_buf_detach(). The first add that does not fit sets
 * `failed`, and from then on nothing is added.
 */
#include "common/base/buf.h"

#include <stdarg.h>
#include <stdio.h>

#include "common/base/mem.h"

enum { FIRST_BYTES = 64 };

void nr_buf_init(struct nr_buf *b, size_t max_bytes)
{
    *b = (struct nr_buf){.max_bytes = max_bytes < SIZE_MAX / 4 ? max_bytes : SIZE_MAX / 4};
}

void nr_buf_fini(struct nr_buf *b)
{
    if (b == NULL)
        return;
    free(b->p);
    *b = (struct nr_buf){.max_bytes = b->max_bytes};
}

void nr_buf_reset(struct nr_buf *b, size_t keep_bytes)
{
    if (b->cap > keep_bytes)
        nr_buf_fini(b);
    b->n = 0;
    b->failed = false;
}

static bool grow(struct nr_buf *b, size_t need)
{
    size_t most = b->max_bytes + 1;
    size_t cap = b->cap ? b->cap * 2 : FIRST_BYTES;

    if (cap < need)
        cap = need;
    if (cap > most)
        cap = most;
    char *p = nr_try_realloc(b->p, cap);

    if (p == NULL)
        return false;
    b->p = p;
    b->cap = cap;
    return true;
}

char *nr_buf_room(struct nr_buf *b, size_t bytes)
{
    if (!b->failed && (bytes > b->max_bytes - b->n ||
                       ((b->p == NULL || bytes > b->cap - b->n) && !grow(b, b->n + bytes))))
        b->failed = true;
    return b->failed ? NULL : b->p + b->n;
}

void nr_buf_took(struct nr_buf *b, size_t bytes)
{
    b->n += bytes;
}

void nr_buf_add(struct nr_buf *b, const void *bytes, size_t n)
{
    char *at = nr_buf_room(b, n);

    if (at == NULL || n == 0)
        return;
    memcpy(at, bytes, n);
    b->n += n;
}

void nr_buf_adds(struct nr_buf *b, const char *z)
{
    nr_buf_add(b, z, strlen(z));
}

void nr_buf_addc(struct nr_buf *b, char c)
{
    nr_buf_add(b, &c, 1);
}

void nr_buf_addu(struct nr_buf *b, uint64_t number)
{
    char text[20];
    size_t at = sizeof(text);

    do {
        text[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number);
    nr_buf_add(b, text + at, sizeof(text) - at);
}

void nr_buf_addi(struct nr_buf *b, int64_t number)
{
    if (number < 0)
        nr_buf_addc(b, '-');
    nr_buf_addu(b, number < 0 ? 0 - (uint64_t)number : (uint64_t)number);
}

void nr_buf_printf(struct nr_buf *b, const char *fmt, ...)
{
    char text[256];
    va_list ap;

    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (n < 0) {
        b->failed = true;
        return;
    }
    if ((size_t)n < sizeof(text)) {
        nr_buf_add(b, text, (size_t)n);
        return;
    }
    /* vsnprintf writes a NUL, for which there is always room behind the ceiling. */
    if (nr_buf_room(b, (size_t)n) == NULL ||
        (b->cap - b->n <= (size_t)n && !grow(b, b->n + (size_t)n + 1))) {
        b->failed = true;
        return;
    }
    va_start(ap, fmt);
    (void)vsnprintf(b->p + b->n, (size_t)n + 1, fmt, ap);
    va_end(ap);
    b->n += (size_t)n;
}

/* How a byte below 0x80 is written in a JSON string: 0 as it is, 'u' as \u00XX, else backslash and this letter. */
static const char json_escapes[128] = {
    [0x00 ... 0x07] = 'u', ['\b'] = 'b', ['\t'] = 't',          ['\n'] = 'n', [0x0B] = 'u',
    ['\f'] = 'f',          ['\r'] = 'r', [0x0E ... 0x1F] = 'u', ['"'] = '"',  ['\\'] = '\\',
};

static void json_escape(struct nr_buf *b, unsigned char c)
{
    char text[6] = {
        '\\', json_escapes[c], '0', '0', "0123456789abcdef"[c >> 4], "0123456789abcdef"[c & 15]};

    nr_buf_add(b, text, text[1] == 'u' ? 6 : 2);
}

void nr_buf_json(struct nr_buf *b, struct nr_str s)
{
    const char *p = s.p, *end = s.p + s.n, *plain = p;

    nr_buf_addc(b, '"');
    while (p < end) {
        unsigned char c = (unsigned char)*p;
        size_t n = c < 0x80 ? (size_t)(json_escapes[c] == 0) : nr_utf8_len(p, end);

        if (n) {
            p += n;
            continue;
        }
        nr_buf_add(b, plain, (size_t)(p - plain));
        if (c < 0x80)
            json_escape(b, c);
        else
            nr_buf_adds(b, "\xEF\xBF\xBD");
        plain = ++p;
    }
    if (p > plain)
        nr_buf_add(b, plain, (size_t)(p - plain));
    nr_buf_addc(b, '"');
}

void nr_buf_drop(struct nr_buf *b, size_t n)
{
    if (n > b->n)
        n = b->n;
    b->n -= n;
    if (b->n)
        memmove(b->p, b->p + n, b->n);
}

char *nr_buf_detach(struct nr_buf *b, size_t *ret_n)
{
    if (b->failed)
        return NULL;
    if (b->cap <= b->n && !grow(b, b->n + 1)) {
        b->failed = true;
        return NULL;
    }
    char *p = b->p;

    p[b->n] = '\0';
    if (ret_n)
        *ret_n = b->n;
    b->p = NULL;
    b->n = b->cap = 0;
    return p;
}
