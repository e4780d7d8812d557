/* Each line gets its stamp when its end arrives ("2026-01-02T03:04:05.123456789Z stdout: text") and is appended to the
 * newest chunk. A chunk begins with room for a frame header and never splits a line, so at the end of the call the
 * chunks are the LOG frames: no copy of the log is made. Chunks grow from 4 KiB to 256 KiB, by need.
 *
 * Beyond the limit bytes are thrown away at once and the marker line closes the log, so a flood costs no memory and
 * never stops the function. Without memory the same happens. Text outside of any call is counted and dropped.
 */
#include "runtimes/agent/logs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define STAMP_BYTES 30  /* 2026-01-02T03:04:05.123456789Z */
#define PREFIX_BYTES 39 /* stamp, space, "stdout: " */
#define MARKER_ROOM 256 /* the marker line stands beyond the limit */
#define CHUNK_MIN_BYTES (4 << 10)
#define CHUNK_MAX_BYTES (256 << 10)
#define SENTINEL "XXX_THE_END_OF_A_WHISK_ACTIVATION_XXX"

static const char *const stream_names[] = {"stdout: ", "stderr: "};

/* Length of the UTF-8 character at s, 0 when it is not one, NUL included. */
static size_t utf8_char(const unsigned char *s, size_t left)
{
    unsigned char c = s[0];
    if (c < 0x80)
        return c != 0;
    size_t n = c >= 0xc2 && c <= 0xdf ? 2 : (c & 0xf0) == 0xe0 ? 3 : c >= 0xf0 && c <= 0xf4 ? 4 : 0;
    if (n == 0 || n > left)
        return 0;
    for (size_t i = 1; i < n; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    }
    if ((c == 0xe0 && s[1] < 0xa0) || (c == 0xed && s[1] > 0x9f) || (c == 0xf0 && s[1] < 0x90) ||
        (c == 0xf4 && s[1] > 0x8f))
        return 0;
    return n;
}

size_t utf8_clean(char *to, const char *from, size_t length)
{
    char *start = to;
    for (size_t i = 0; i < length;) {
        size_t n = utf8_char((const unsigned char *)from + i, length - i);
        if (n == 0) {
            memcpy(to, "\xef\xbf\xbd", 3);
            to += 3;
            i++;
            continue;
        }
        memcpy(to, from + i, n);
        to += n;
        i += n;
    }
    return (size_t)(to - start);
}

bool utf8_valid(const char *text, size_t length)
{
    size_t n;
    for (size_t i = 0; i < length; i += n) {
        n = utf8_char((const unsigned char *)text + i, length - i);
        if (n == 0)
            return false;
    }
    return true;
}

/* Bytes at the end that may be the beginning of a character. */
static size_t utf8_tail(const char *s, size_t length)
{
    for (size_t back = 1; back <= 3 && back <= length; back++) {
        unsigned char c = (unsigned char)s[length - back];
        if (c >= 0xc0)
            return back;
        if (c < 0x80)
            break;
    }
    return 0;
}

static void write_prefix(char *to, enum log_stream stream)
{
    struct timespec t;
    struct tm tm;
    char text[STAMP_BYTES + 34];
    clock_gettime(CLOCK_REALTIME, &t);
    gmtime_r(&t.tv_sec, &tm);
    size_t n = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(text + n, sizeof text - n, ".%09ldZ", t.tv_nsec);
    memcpy(to, text, STAMP_BYTES);
    to[STAMP_BYTES] = ' ';
    memcpy(to + STAMP_BYTES + 1, stream_names[stream], 8);
}

/* Room for `need` bytes at the end of the newest chunk, or NULL. */
static char *reserve(struct logs *l, size_t need)
{
    if (l->last && l->last_capacity - l->last->size >= need)
        return l->last->bytes + l->last->size;
    size_t capacity = l->last ? l->last_capacity * 4 : CHUNK_MIN_BYTES;
    if (capacity > CHUNK_MAX_BYTES)
        capacity = CHUNK_MAX_BYTES;
    if (capacity < need + sizeof(struct nr_frame))
        capacity = need + sizeof(struct nr_frame);
    struct chunk *c = chunk_make(capacity);
    if (!c)
        return NULL;
    c->size = sizeof(struct nr_frame);
    if (l->last)
        l->last->next = c;
    else
        l->first = c;
    l->last = c;
    l->last_capacity = capacity;
    return c->bytes + c->size;
}

/* One line without its end; at most LOG_LINE_MAX_BYTES. */
static void put_line(struct logs *l, enum log_stream stream, const char *text, size_t length)
{
    if (l->strip_sentinel && length == sizeof SENTINEL - 1 &&
        memcmp(text, SENTINEL, sizeof SENTINEL - 1) == 0) {
        l->sentinels[stream]++;
        return;
    }
    if (!l->collecting) {
        l->dropped_bytes += length;
        return;
    }
    size_t left = l->limit_bytes - l->used_bytes;
    bool fits = PREFIX_BYTES + length + 1 <= left;
    if (l->truncated || (!fits && left <= PREFIX_BYTES + 1)) {
        l->dropped_bytes += length;
        l->truncated = true;
        return;
    }
    if (!fits) {
        l->dropped_bytes += length - (left - PREFIX_BYTES - 1);
        length = left - PREFIX_BYTES - 1;
        length -= utf8_tail(text, length);
    }
    char *to = reserve(l, PREFIX_BYTES + 3 * length + 1);
    if (to) {
        write_prefix(to, stream);
        size_t n = PREFIX_BYTES + utf8_clean(to + PREFIX_BYTES, text, length);
        to[n++] = '\n';
        if (n > left) { /* replaced bytes are longer than what they replace */
            n = left - 1;
            n -= utf8_tail(to, n);
            to[n++] = '\n';
            fits = false;
        }
        l->last->size += n;
        l->used_bytes += n;
    }
    l->truncated = !to || !fits;
}

/* The line goes on beyond what one may hold. */
static void split_partial(struct logs *l, enum log_stream stream)
{
    struct log_partial *p = &l->partial[stream];
    size_t tail = utf8_tail(p->bytes, p->filled);
    put_line(l, stream, p->bytes, p->filled - tail);
    memmove(p->bytes, p->bytes + p->filled - tail, tail);
    p->filled = tail;
}

/* Text of which no line end is known: waits for more, at most LOG_LINE_MAX_BYTES of it. */
static void keep_partial(struct logs *l, enum log_stream stream, const char *bytes, size_t length)
{
    struct log_partial *p = &l->partial[stream];
    while (length > 0) {
        if (p->filled == LOG_LINE_MAX_BYTES)
            split_partial(l, stream);
        size_t part =
            LOG_LINE_MAX_BYTES - p->filled < length ? LOG_LINE_MAX_BYTES - p->filled : length;
        if (p->filled + part > p->capacity) {
            size_t capacity = p->filled + part < 256 ? 256 : p->filled + part;
            capacity = capacity * 2 > LOG_LINE_MAX_BYTES ? LOG_LINE_MAX_BYTES : capacity * 2;
            char *grown = realloc(p->bytes, capacity);
            if (!grown) {
                l->truncated = true;
                l->dropped_bytes += length;
                return;
            }
            p->bytes = grown;
            p->capacity = capacity;
        }
        memcpy(p->bytes + p->filled, bytes, part);
        p->filled += part;
        bytes += part;
        length -= part;
    }
}

static void flush_partial(struct logs *l, enum log_stream stream)
{
    struct log_partial *p = &l->partial[stream];
    put_line(l, stream, p->bytes, p->filled);
    p->filled = 0;
}

void logs_begin(struct logs *l, size_t limit_bytes)
{
    l->limit_bytes = limit_bytes;
    l->used_bytes = 0;
    l->truncated = false;
    l->collecting = true;
    l->partial[LOG_STDOUT].filled = l->partial[LOG_STDERR].filled = 0;
    l->sentinels[LOG_STDOUT] = l->sentinels[LOG_STDERR] = 0;
}

void logs_add(struct logs *l, enum log_stream stream, const char *bytes, size_t length)
{
    struct log_partial *p = &l->partial[stream];
    if (!l->strip_sentinel && (!l->collecting || l->truncated || l->limit_bytes == 0)) {
        l->dropped_bytes += length;
        p->filled = 0;
        return;
    }
    while (length > 0) {
        const char *end = memchr(bytes, '\n', length);
        if (!end) {
            keep_partial(l, stream, bytes, length);
            return;
        }
        size_t n = (size_t)(end - bytes);
        if (p->filled == 0 && n <= LOG_LINE_MAX_BYTES) {
            put_line(l, stream, bytes, n);
        } else {
            keep_partial(l, stream, bytes, n);
            flush_partial(l, stream);
        }
        bytes += n + 1;
        length -= n + 1;
    }
}

static void put_marker(struct logs *l)
{
    char *to = reserve(l, MARKER_ROOM);
    if (!to)
        return;
    write_prefix(to, LOG_STDERR);
    int n = snprintf(to + PREFIX_BYTES, MARKER_ROOM - PREFIX_BYTES,
                     "Logs were truncated because the total bytes size exceeds the limit of "
                     "%zu bytes.\n",
                     l->limit_bytes);
    l->last->size += PREFIX_BYTES + (size_t)n;
}

struct chunk *logs_end(struct logs *l, uint64_t call, bool *ret_truncated)
{
    for (int s = LOG_STDOUT; s <= LOG_STDERR; s++) {
        if (l->partial[s].filled > 0)
            flush_partial(l, (enum log_stream)s);
    }
    *ret_truncated = l->truncated && l->limit_bytes > 0;
    if (*ret_truncated)
        put_marker(l);
    struct chunk *list = l->first;
    for (struct chunk *c = list; c; c = c->next) {
        struct nr_frame head = {
            .length = (uint32_t)(c->size - sizeof head),
            .type = NR_FRAME_LOG,
            .flags = *ret_truncated ? NR_FRAME_TRUNCATED : 0,
            .call = call,
        };
        memcpy(c->bytes, &head, sizeof head);
    }
    l->first = l->last = NULL;
    l->last_capacity = 0;
    l->collecting = false;
    return list;
}

void logs_fini(struct logs *l)
{
    while (l->first) {
        struct chunk *c = l->first;
        l->first = c->next;
        free(c);
    }
    free(l->partial[0].bytes);
    free(l->partial[1].bytes);
    *l = (struct logs){0};
}
