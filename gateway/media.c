/* A type is "main/sub" of token characters, parameters behind a semicolon. Whoever names a charset means text. */
#include "gateway/media.h"

#include <strings.h>

#include "common/base/mem.h"

static const struct {
    const char *type;
    enum media_kind kind;
} known[] = {
    {"application/json", MEDIA_JSON},         {"application/x-www-form-urlencoded", MEDIA_FORM},
    {"image/svg+xml", MEDIA_DRAWING},         {"application/javascript", MEDIA_TEXT},
    {"application/x-javascript", MEDIA_TEXT}, {"application/ecmascript", MEDIA_TEXT},
    {"application/xml", MEDIA_TEXT},          {"application/graphql", MEDIA_TEXT},
    {"application/x-yaml", MEDIA_TEXT},       {"application/yaml", MEDIA_TEXT},
};

static const struct {
    const char *tail;
    enum media_kind kind;
} tails[] = {{"+json", MEDIA_JSON_LIKE}, {"+xml", MEDIA_TEXT}};

static bool is_token(struct nr_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];

        if (c <= ' ' || c >= 127 || memchr("()<>@,;:\\\"/[]?={}", c, 17) != NULL)
            return false;
    }
    return s.n > 0;
}

static struct nr_str trimmed(struct nr_str s)
{
    while (s.n && (s.p[0] == ' ' || s.p[0] == '\t'))
        s.p++, s.n--;
    while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
        s.n--;
    return s;
}

static bool has_charset(struct nr_str parameters)
{
    struct nr_str one, name;

    while (parameters.n && nr_str_split(&parameters, ';', &one))
        if (one.n && nr_str_split(&one, '=', &name) && one.p &&
            nr_str_ieqz(trimmed(name), "charset"))
            return true;
    return false;
}

static bool ends_with(struct nr_str s, const char *tail)
{
    size_t n = strlen(tail);

    return s.n > n && strncasecmp(s.p + s.n - n, tail, n) == 0;
}

/* "main/sub" without parameters; false when it is none. */
static bool split_type(struct nr_str type, struct nr_str *ret_media, struct nr_str *ret_parameters)
{
    struct nr_str rest = type, media, main, sub;

    if (!nr_str_split(&rest, ';', &media))
        return false;
    sub = media = trimmed(media);
    if (!nr_str_split(&sub, '/', &main) || sub.p == NULL || !is_token(main) || !is_token(sub))
        return false;
    *ret_media = media;
    *ret_parameters = rest;
    return true;
}

static bool is_text(struct nr_str media)
{
    return media.n > 5 && strncasecmp(media.p, "text/", 5) == 0;
}

enum media_kind media_kind_of(struct nr_str type)
{
    struct nr_str media, parameters;

    if (type.p == NULL)
        return MEDIA_NONE;
    if (!split_type(type, &media, &parameters))
        return MEDIA_BAD;
    for (size_t i = 0; i < nr_countof(known); i++)
        if (nr_str_ieqz(media, known[i].type))
            return known[i].kind;
    for (size_t i = 0; i < nr_countof(tails); i++)
        if (ends_with(media, tails[i].tail))
            return tails[i].kind;
    return is_text(media) || has_charset(parameters) ? MEDIA_TEXT : MEDIA_BINARY;
}

bool media_wants_charset(struct nr_str type)
{
    struct nr_str media, parameters;

    return split_type(type, &media, &parameters) && is_text(media) && !has_charset(parameters);
}
