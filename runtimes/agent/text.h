/* A result as it comes in pieces: kept up to a limit, counted beyond it. */
#ifndef NARAE_AGENT_TEXT_H
#define NARAE_AGENT_TEXT_H

#include <stdbool.h>
#include <stddef.h>

struct text {
    char *bytes;
    size_t stored;
    size_t capacity;
    size_t total; /* bytes that came, stored or not */
    size_t limit; /* at most so many are stored */
};

/* Takes bytes; lent. Without memory they are only counted, as beyond the limit. */
void text_add(struct text *t, const char *bytes, size_t length);
/* Empty again, memory freed; the limit stays. */
void text_clear(struct text *t);
/* Does it begin like a JSON object or array? */
bool text_is_composite(const struct text *t);
/* Is there nothing but white space? */
bool text_is_blank(const struct text *t);

#endif
