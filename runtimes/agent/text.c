/* Grows by doubling up to the limit; a text of 2 GB costs the limit and a counter. */
#include "runtimes/agent/text.h"

#include <stdlib.h>
#include <string.h>

static bool grow(struct text *t, size_t need)
{
    size_t capacity = t->capacity ? t->capacity : 1024;
    while (capacity < need)
        capacity *= 2;
    if (capacity > t->limit)
        capacity = t->limit;
    if (capacity == t->capacity)
        return true;
    char *bytes = realloc(t->bytes, capacity);
    if (!bytes)
        return false;
    t->bytes = bytes;
    t->capacity = capacity;
    return true;
}

void text_add(struct text *t, const char *bytes, size_t length)
{
    size_t room = t->limit - t->stored;
    size_t part = t->stored < t->total ? 0 : length < room ? length : room;
    t->total += length;
    if (part == 0)
        return;
    if (t->stored + part > t->capacity && !grow(t, t->stored + part)) {
        t->limit = t->stored;
        return;
    }
    memcpy(t->bytes + t->stored, bytes, part);
    t->stored += part;
}

void text_clear(struct text *t)
{
    free(t->bytes);
    *t = (struct text){.limit = t->limit};
}

static size_t blanks(const struct text *t)
{
    size_t i = 0;
    while (i < t->stored && strchr(" \t\r\n", t->bytes[i]) && t->bytes[i])
        i++;
    return i;
}

bool text_is_composite(const struct text *t)
{
    size_t i = blanks(t);
    return i < t->stored && (t->bytes[i] == '{' || t->bytes[i] == '[');
}

bool text_is_blank(const struct text *t)
{
    return t->stored == t->total && blanks(t) == t->stored;
}
