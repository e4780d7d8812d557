/* A forecast across restarts: {"v":1,"state":BASE64}, the fields of the tables below one after the other, little end first. What does not fit, or holds
 * a number that cannot be, is no forecast; the function then begins anew.
 */
#include "scaler/forecast/parts.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/str.h"

enum { VERSION = 1 };
#define FLOAT_MOST 1e12

/* Members of one struct: where, how wide a number is, how many. */
struct member {
    size_t at, width, count;
    bool real, negative; /* a float; one that may be below 0 */
};
#define MEMBER(type, name, number, ...)                                                            \
    {                                                                                              \
        offsetof(struct type, name), sizeof(number),                                               \
            (sizeof(((struct type *)0)->name)) / (sizeof(number)), __VA_ARGS__                     \
    }

static const struct member of_function[] = {
    MEMBER(forecast, heard, int64_t, false),     MEMBER(forecast, called, int64_t, false),
    MEMBER(forecast, began, int64_t, false),     MEMBER(forecast, past, uint64_t, false),
    MEMBER(forecast, gap, uint16_t, false),      MEMBER(forecast, calls, uint32_t, false),
    MEMBER(forecast, asked, float, true),        MEMBER(forecast, came, float, true),
    MEMBER(forecast, lag, float, true),          MEMBER(forecast, chance, float, true),
    MEMBER(forecast, hour, uint8_t, false),      MEMBER(forecast, day, uint8_t, false),
    MEMBER(forecast, week, uint8_t, false),      MEMBER(forecast, late, float, true),
    MEMBER(forecast, hour_sum, float, true),     MEMBER(forecast, says, float, true),
    MEMBER(forecast, promised, float, true),     MEMBER(forecast, slot_most, float, true),
    MEMBER(forecast, slot_told, uint8_t, false), MEMBER(forecast, hour_told, uint8_t, false),
    MEMBER(forecast, season, float, true),       MEMBER(forecast, look, float, true),
    MEMBER(forecast, miss, uint8_t, false),
};
static const struct member of_population[] = {
    MEMBER(forecast_population, told, uint64_t, false),
    MEMBER(forecast_population, weight, float, true, true),
    MEMBER(forecast_population, cell, float, true),
};
#define COUNT(table) (sizeof(table) / sizeof(table)[0])

static size_t bytes_of(const struct member *m, size_t n)
{
    size_t bytes = 0;
    for (size_t i = 0; i < n; i++)
        bytes += m[i].width * m[i].count;
    return bytes;
}

static uint64_t get_number(const unsigned char *from, size_t width)
{
    uint8_t b8;
    uint16_t b16;
    uint32_t b32;
    uint64_t b64;
    switch (width) {
    case sizeof b8: memcpy(&b8, from, width); return b8;
    case sizeof b16: memcpy(&b16, from, width); return b16;
    case sizeof b32: memcpy(&b32, from, width); return b32;
    default: memcpy(&b64, from, width); return b64;
    }
}

static void put_number(unsigned char *to, size_t width, uint64_t v)
{
    uint8_t b8 = (uint8_t)v;
    uint16_t b16 = (uint16_t)v;
    uint32_t b32 = (uint32_t)v;
    switch (width) {
    case sizeof b8: memcpy(to, &b8, width); return;
    case sizeof b16: memcpy(to, &b16, width); return;
    case sizeof b32: memcpy(to, &b32, width); return;
    default: memcpy(to, &v, width); return;
    }
}

static json_t *save(const void *from, const struct member *m, size_t n)
{
    size_t bytes = bytes_of(m, n);
    nr_auto_free unsigned char *raw = nr_alloc(bytes);
    nr_auto_free char *text = nr_alloc((bytes + 2) / 3 * 4 + 1);
    unsigned char *to = raw;
    for (size_t i = 0; i < n; i++) {
        const unsigned char *number = (const unsigned char *)from + m[i].at;
        for (size_t k = 0; k < m[i].count; k++, number += m[i].width) {
            uint64_t v = get_number(number, m[i].width);
            for (size_t b = 0; b < m[i].width; b++)
                *to++ = (unsigned char)(v >> (8 * b));
        }
    }
    size_t length = nr_base64_encode(raw, bytes, text);
    return json_pack("{s:i,s:o}", "v", VERSION, "state", json_stringn(text, length));
}

static bool sane(const struct member *m, uint64_t v)
{
    if (!m->real)
        return true;
    uint32_t bits = (uint32_t)v;
    float real;
    memcpy(&real, &bits, sizeof real);
    return isfinite(real) && fabs((double)real) <= FLOAT_MOST && (m->negative || real >= 0);
}

static bool load(void *into, const struct member *m, size_t n, const json_t *j)
{
    const json_t *state = json_object_get(j, "state");
    size_t bytes = bytes_of(m, n), length = json_string_length(state);
    if (json_integer_value(json_object_get(j, "v")) != VERSION || !json_is_string(state) ||
        length != (bytes + 2) / 3 * 4)
        return false;
    nr_auto_free unsigned char *raw = nr_alloc(length);
    const char *text = json_string_value(state);
    if (nr_base64_decode((struct nr_str){text, length}, raw) != (ssize_t)bytes)
        return false;
    const unsigned char *from = raw;
    for (size_t i = 0; i < n; i++) {
        unsigned char *number = (unsigned char *)into + m[i].at;
        for (size_t k = 0; k < m[i].count; k++, number += m[i].width) {
            uint64_t v = 0;
            for (size_t b = 0; b < m[i].width; b++)
                v |= (uint64_t)*from++ << (8 * b);
            if (!sane(&m[i], v))
                return false;
            put_number(number, m[i].width, v);
        }
    }
    return true;
}

json_t *forecast_save(const struct forecast *f)
{
    return save(f, of_function, COUNT(of_function));
}

/* Times must be in order, and sums must have minutes. */
static bool in_order(const struct forecast *f)
{
    return f->heard >= -1 && f->called >= -1 && f->began >= -1 && f->called <= f->heard &&
           f->began <= f->called && (f->called < 0) == (f->calls == 0) &&
           (f->called < 0) == (f->began < 0) && f->heard < INT64_MAX / 2;
}

struct forecast *forecast_load(struct forecast_population *p, const json_t *j)
{
    struct forecast *f = forecast_make(p);
    if (!load(f, of_function, COUNT(of_function), j) || !in_order(f)) {
        forecast_free(f);
        return NULL;
    }
    past_skip(f, 0); /* counts */
    return f;
}

json_t *forecast_population_save(const struct forecast_population *p)
{
    return save(p, of_population, COUNT(of_population));
}

struct forecast_population *forecast_population_load(const json_t *j)
{
    struct forecast_population *p = forecast_population_make();
    if (!load(p, of_population, COUNT(of_population), j)) {
        forecast_population_free(p);
        return NULL;
    }
    return p;
}
