/* The log of one call: lines with a stamp, bounded, valid UTF-8, held as LOG frames that only wait for their header.
 *
 * Not for reading pipes (worker.c) and not for sending (slot.c): text goes in, frames come out.
 */
#ifndef NARAE_AGENT_LOGS_H
#define NARAE_AGENT_LOGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtimes/agent/frames.h"

#define LOG_LINE_MAX_BYTES (64 << 10) /* a longer line is split */

enum log_stream { LOG_STDOUT, LOG_STDERR };

/* The beginning of a line whose end has not come yet. */
struct log_partial {
    char *bytes;
    size_t filled;
    size_t capacity;
};

struct logs {
    size_t limit_bytes; /* 0: nothing is collected */
    size_t used_bytes;
    uint64_t dropped_bytes; /* over the limit, or outside of any call */
    bool collecting;
    bool truncated;
    bool
        strip_sentinel; /* lines that end an activation in the logs of OpenWhisk images are not log */
    unsigned sentinels[2]; /* seen since logs_begin(), per stream */
    struct chunk *first;
    struct chunk *last;
    size_t last_capacity;
    struct log_partial partial[2];
};

/* A call begins: what comes from now on belongs to it. */
void logs_begin(struct logs *l, size_t limit_bytes);
/* Bytes of a stream, in any pieces; lent. */
void logs_add(struct logs *l, enum log_stream stream, const char *bytes, size_t length);
/* The call ends: the frames of its log, each with its header; NULL when there is none. made. *ret_truncated tells
 * whether the marker line had to be added. */
struct chunk *logs_end(struct logs *l, uint64_t call, bool *ret_truncated);
void logs_fini(struct logs *l);

/* Copies text so that it is valid UTF-8 without NUL: what is not becomes U+FFFD. `to` has room for 3 * length bytes.
 * Returns the bytes written. */
size_t utf8_clean(char *to, const char *from, size_t length);
/* Is it valid UTF-8 without NUL? */
bool utf8_valid(const char *text, size_t length);

#endif
