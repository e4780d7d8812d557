/* Which line is the last is known only at the end, so a line that may be the result waits: it begins with { or [. The next line
 * with a word in it makes it log. Every other line goes to the log as it comes, so that a call that is killed in the
 * middle has said what it said.
 *
 * A held line costs at most the result limit: what is beyond is counted, for the record, and missing in the log if the line
 * turns out to be none. A line that begins with more than OUTPUT_LEAD_BYTES blanks is log.
 */
#include "output.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FIRST_BYTES 1024u
#define KEPT_BYTES (64u << 10)

void output_write(int fd, const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t n = write(fd, bytes, length);
        if (n < 0 && errno == EAGAIN) {
            struct pollfd p = {.fd = fd, .events = POLLOUT};
            (void)poll(&p, 1, -1);
        } else if (n < 0 && errno != EINTR) {
            return;
        }
        bytes += n > 0 ? n : 0;
        length -= n > 0 ? (size_t)n : 0;
    }
}

static bool hold(struct output *o, const char *bytes, size_t length)
{
    size_t room = o->limit - o->stored;
    size_t part = length < room ? length : room;
    size_t need = o->stored + part, capacity = o->capacity ? o->capacity : FIRST_BYTES;
    o->total += length;
    while (capacity < need)
        capacity *= 2;
    if (capacity > o->capacity) {
        char *grown = realloc(o->line, capacity);
        if (!grown)
            return false;
        o->line = grown;
        o->capacity = capacity;
    }
    memcpy(o->line + o->stored, bytes, part);
    o->stored += part;
    return true;
}

static void forget(struct output *o)
{
    if (o->capacity > KEPT_BYTES) {
        free(o->line);
        o->line = NULL;
        o->capacity = 0;
    }
    o->stored = o->total = 0;
    o->blanks = 0;
}

void output_let_go(struct output *o)
{
    if (o->total == 0)
        return;
    output_write(o->fd, o->line, o->stored);
    output_write(o->fd, "\n", 1);
    for (; o->blanks > 0; o->blanks--)
        output_write(o->fd, "\n", 1);
    forget(o);
    o->lead_length = 0;
    o->state = OUTPUT_BEGIN;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* A line with a word in it, or too many blanks: whatever was held is log. */
static void begin_line(struct output *o, bool held)
{
    size_t lead = o->lead_length;
    o->lead_length = 0;
    output_let_go(o);
    o->state = held ? OUTPUT_HELD : OUTPUT_LOG;
    if (!held)
        output_write(o->fd, o->lead, lead);
}

static void end_blank_line(struct output *o)
{
    o->lead_length = 0;
    if (o->total > 0)
        o->blanks++;
    else
        output_write(o->fd, "\n", 1);
}

/* The blanks a line begins with, however they come; what they stand before decides. Bytes taken. */
static size_t begin(struct output *o, const char *bytes, size_t length)
{
    for (size_t n = 0; n < length; n++) {
        if (bytes[n] == '\n') {
            end_blank_line(o);
            return n + 1;
        }
        if (!is_blank(bytes[n]) || o->lead_length == sizeof o->lead) {
            begin_line(o, bytes[n] == '{' || bytes[n] == '[');
            return n;
        }
        o->lead[o->lead_length++] = bytes[n];
    }
    return length;
}

bool output_take(struct output *o, const char *bytes, size_t length)
{
    while (length > 0) {
        if (o->state == OUTPUT_BEGIN || o->state == OUTPUT_ENDED) {
            size_t n = begin(o, bytes, length);
            bytes += n;
            length -= n;
            continue;
        }
        const char *end = memchr(bytes, '\n', length);
        size_t part = end ? (size_t)(end - bytes) : length;
        size_t whole = end ? part + 1 : part;
        if (o->state == OUTPUT_LOG)
            output_write(o->fd, bytes, whole);
        else if (!hold(o, bytes, part))
            return false;
        if (end)
            o->state = o->state == OUTPUT_LOG ? OUTPUT_BEGIN : OUTPUT_ENDED;
        bytes += whole;
        length -= whole;
    }
    return true;
}

void output_reset(struct output *o)
{
    forget(o);
    o->lead_length = 0;
    o->state = OUTPUT_BEGIN;
}
