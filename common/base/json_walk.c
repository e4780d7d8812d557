/* The text is known to be good, so a value ends where its brackets close, and a string at the first quote without a backslash. */
#include "common/base/json_walk.h"

#define INDENT "                                                                "

static bool is_blank(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static const char *skip_blanks(const char *p, const char *end)
{
    while (p < end && is_blank(*p))
        p++;
    return p;
}

/* Behind the string that begins at p. */
static const char *skip_string(const char *p, const char *end)
{
    for (p++; p < end && *p != '"'; p++)
        if (*p == '\\')
            p++;
    return p < end ? p + 1 : end;
}

/* Behind a number, true, false or null. */
static const char *skip_word(const char *p, const char *end)
{
    while (p < end && !is_blank(*p) && *p != ',' && *p != '}' && *p != ']' && *p != ':')
        p++;
    return p;
}

static const char *skip_value(const char *p, const char *end)
{
    unsigned depth = 0;

    do {
        if (*p == '"') {
            p = skip_string(p, end);
            continue;
        }
        if (*p == '{' || *p == '[')
            depth++;
        else if (*p == '}' || *p == ']')
            depth--;
        else if (depth == 0)
            return skip_word(p, end);
        p++;
    } while (depth > 0 && p < end);
    return p;
}

void nr_json_walk_begin(struct nr_json_walk *w, struct nr_str text)
{
    const char *end = text.p + text.n;

    *w = (struct nr_json_walk){.p = end, .end = end};
    if (text.n == 0)
        return;
    const char *p = skip_blanks(text.p, end);

    if (p < end && (*p == '{' || *p == '[')) {
        w->object = *p == '{';
        w->p = p + 1;
    }
}

bool nr_json_walk_next(struct nr_json_walk *w, struct nr_json_member *ret)
{
    const char *p = skip_blanks(w->p, w->end);

    w->p = w->end;
    if (p < w->end && *p == ',')
        p = skip_blanks(p + 1, w->end);
    if (p >= w->end || *p == '}' || *p == ']')
        return false;
    ret->key = (struct nr_str){NULL, 0};
    if (w->object) {
        const char *key = p + 1;

        p = skip_string(p, w->end);
        ret->key = (struct nr_str){key, (size_t)(p - 1 - key)};
        p = skip_blanks(p, w->end);
        p = skip_blanks(p < w->end ? p + 1 : p, w->end); /* the colon */
    }
    if (p >= w->end)
        return false;
    ret->value.p = p;
    w->p = skip_value(p, w->end);
    ret->value.n = (size_t)(w->p - p);
    return true;
}

enum nr_json_kind nr_json_kind_of(struct nr_str value)
{
    switch (value.n ? value.p[0] : '\0') {
    case '{': return NR_JSON_OBJECT;
    case '[': return NR_JSON_ARRAY;
    case '"': return NR_JSON_STRING;
    case 't': return NR_JSON_TRUE;
    case 'f': return NR_JSON_FALSE;
    case 'n': return NR_JSON_NULL;
    case '-':
    case '0' ... '9': return NR_JSON_NUMBER;
    default: return NR_JSON_BAD;
    }
}

struct nr_str nr_json_unquoted(struct nr_str value)
{
    return (struct nr_str){value.p + 1, value.n - 2};
}

size_t nr_json_decode(struct nr_str raw, char *out)
{
    const char *p = raw.p, *end = raw.p + raw.n;
    char *at = out;

    while (p < end) {
        const char *slash = memchr(p, '\\', (size_t)(end - p));
        size_t plain = (size_t)((slash ? slash : end) - p);
        uint32_t character;

        memcpy(at, p, plain);
        at += plain;
        if (slash == NULL || (p = nr_json_unescape(slash + 1, end, &character)) == NULL)
            break;
        at += nr_utf8_put(character, at);
    }
    return (size_t)(at - out);
}

/* A new line at a depth. */
static void add_line(struct nr_buf *out, unsigned depth)
{
    nr_buf_addc(out, '\n');
    for (; depth > 32; depth -= 32)
        nr_buf_add(out, INDENT, 64);
    nr_buf_add(out, INDENT, (size_t)depth * 2);
}

void nr_json_layout(struct nr_buf *out, struct nr_str text, bool pretty)
{
    const char *p = text.p, *end = text.p + text.n;
    uint64_t objects = 0; /* lowest bit: the innermost bracket is an object */
    unsigned depth = 0;

    while ((p = skip_blanks(p, end)) < end && !out->failed) {
        const char *word = p;
        bool opens = *p == '{' || *p == '[', closes = *p == '}' || *p == ']';

        if (closes) {
            bool lines = pretty && (objects & 1) && out->p[out->n - 1] != '{';

            objects >>= 1;
            depth--;
            if (lines)
                add_line(out, depth);
        }
        if (pretty && *p != '}' && out->n > 0 && out->p[out->n - 1] == '{')
            add_line(out, depth);
        p = *p == '"'                                   ? skip_string(p, end)
            : opens || closes || *p == ',' || *p == ':' ? p + 1
                                                        : skip_word(p, end);
        nr_buf_add(out, word, (size_t)(p - word));
        if (opens) {
            objects = objects << 1 | (*word == '{');
            depth++;
        } else if (pretty && *word == ',' && (objects & 1)) {
            add_line(out, depth);
        } else if (pretty && (*word == ',' || *word == ':')) {
            nr_buf_addc(out, ' ');
        }
    }
}
