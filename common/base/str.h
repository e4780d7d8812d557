/* Text as (pointer, length), and the codings of the web: base64, hex, percent. Not for building long texts: see buf.h.
 * Nothing here allocates. Any thread.
 */
#ifndef NR_COMMON_BASE_STR_H
#define NR_COMMON_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>

/* A view of bytes, lent: not terminated, may hold NULs. {NULL, 0} is "absent". */
struct nr_str {
    const char *p;
    size_t n;
};

#define NR_STR(literal) ((struct nr_str){"" literal, sizeof(literal) - 1})

static inline struct nr_str nr_str_of(const char *s)
{
    return (struct nr_str){s, s ? strlen(s) : 0};
}
bool nr_str_eq(struct nr_str a, struct nr_str b);
bool nr_str_eqz(struct nr_str a, const char *z);
/* ASCII only. */
bool nr_str_ieqz(struct nr_str a, const char *z);
bool nr_str_starts(struct nr_str a, const char *prefix);
/* Cuts the text before the first `c` off *rest (lent, moved past it). False when *rest is used up (absent). */
bool nr_str_split(struct nr_str *rest, char c, struct nr_str *ret_part);

/* Zeros over the bytes, which must be memory of the caller's own: a secret that nobody needs any more. Absent is fine. */
void nr_str_wipe(struct nr_str s);
/* Compares in a time that depends on n only. */
bool nr_same_bytes(const void *a, const void *b, size_t n);

/* A whole decimal number in [min, max]; false on anything else (empty, sign where min >= 0, blanks, overflow). */
bool nr_str_to_i64(struct nr_str s, int64_t min, int64_t max, int64_t *ret);

/* Valid UTF-8 (no surrogates, no overlong forms). */
bool nr_utf8_valid(struct nr_str s);
/* Bytes of the one valid UTF-8 sequence at `at` (1 to 4, not past `end`), or 0. */
size_t nr_utf8_len(const char *at, const char *end);
/* Writes a character (not a surrogate, <= 0x10FFFF) as UTF-8 to out (lent, 4 bytes); returns the count. */
size_t nr_utf8_put(uint32_t character, char *out);

/* Standard base64 with or without padding, white space around it skipped; returns bytes written to out (lent, >= 3 * n / 4 + 3 bytes) or -1. */
ssize_t nr_base64_decode(struct nr_str s, unsigned char *out);
/* Writes 4 * ((n + 2) / 3) characters and a NUL to out (lent); returns the count without the NUL. */
size_t nr_base64_encode(const void *bytes, size_t n, char *out);
/* OpenWhisk's rule for `exec.binary`: trimmed length > 0, a multiple of four, base64 alphabet with at most two '=' at the end. */
bool nr_base64_looks(struct nr_str s);

/* Lower-case hex, 2 * n characters and a NUL. */
void nr_hex(const void *bytes, size_t n, char *out);
bool nr_hex_decode(struct nr_str s, void *out);

/* Decodes %XX (and '+' when `plus`) into out (lent, >= s.n bytes); returns the length or -1 on a bad escape or a NUL. */
ssize_t nr_pct_decode(struct nr_str s, bool plus, char *out);
/* Percent-encodes all but [A-Za-z0-9_.-] into out (lent, >= 3 * s.n + 1 bytes); returns the length. For names on disk. */
size_t nr_pct_encode(struct nr_str s, char *out);

#endif
