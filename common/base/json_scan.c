/* The scanner: one pass over the text, a state per place in the grammar, open brackets as one bit each (1: object). What a byte
 * starts is read from a table. It stops at the first byte that cannot be, and says why.
 *
 *   value -> `{` first_key | `[` first_item | anything else -> after
 *   first_key, key -> string `:` -> value          first_item -> `]` or value
 *   after -> `,` -> key or value | closing bracket -> after | end of the text at depth 0
 */
#include "common/base/json.h"
#include "common/base/json_walk.h"

struct scan {
    const char *p, *end;
    const char *why; /* set when the text is bad; p is where */
    uint64_t open;   /* lowest bit: innermost bracket is an object */
    unsigned depth;
    size_t built_bytes; /* of the values so far, without the characters of texts */
    /* what nr_json_scan_key() looks for */
    const char *key;
    struct nr_str found;
    const char *value; /* start of the value of the key, while inside it */
};

/* First byte -> what value begins there. */
static const unsigned char starts[256] = {
    ['{'] = NR_JSON_OBJECT, ['['] = NR_JSON_ARRAY,          ['"'] = NR_JSON_STRING,
    ['-'] = NR_JSON_NUMBER, ['0' ... '9'] = NR_JSON_NUMBER, ['t'] = NR_JSON_TRUE,
    ['f'] = NR_JSON_FALSE,  ['n'] = NR_JSON_NULL,
};

/* What jansson allocates of each kind, and what the bracket around it needs to hold it, also while it grows. */
enum { KEY_BYTES = 128, SLOT_BYTES = 24 };
static const unsigned char bytes_of[] = {
    [NR_JSON_OBJECT] = 224, [NR_JSON_ARRAY] = 128, [NR_JSON_STRING] = 96,
    [NR_JSON_NUMBER] = 32,  [NR_JSON_NULL] = 0,
};

/* Bytes in a string that end the quick run. */
static const bool special[256] = {
    [0x00 ... 0x1F] = true, ['"'] = true, ['\\'] = true, [0x80 ... 0xFF] = true};

static bool bad(struct scan *s, const char *at, const char *why)
{
    s->p = at;
    s->why = why;
    return false;
}

static inline void skip_blanks(struct scan *s)
{
    while (s->p < s->end && (*s->p == ' ' || *s->p == '\n' || *s->p == '\r' || *s->p == '\t'))
        s->p++;
}

static inline bool is_digit(const char *p, const char *end)
{
    return p < end && *p >= '0' && *p <= '9';
}

/* Eight bytes without quote, backslash, control and non-ASCII bytes. */
static inline bool plain_word(const char *p)
{
    const uint64_t ones = 0x0101010101010101u, tops = 0x8080808080808080u;
    uint64_t w, quote, slash;

    memcpy(&w, p, 8);
    quote = w ^ (ones * '"');
    slash = w ^ (ones * '\\');
    return (((w - ones * 0x20) | (quote - ones) | (slash - ones) | w) & tops) == 0;
}

/* Four hex digits, or -1. */
static int hex4(const char *p, const char *end)
{
    int v = 0;

    if (end - p < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        char c = p[i];
        int digit = c >= '0' && c <= '9'                 ? c - '0'
                    : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10
                                                         : -1;

        if (digit < 0)
            return -1;
        v = v << 4 | digit;
    }
    return v;
}

const char *nr_json_unescape(const char *p, const char *end, uint32_t *ret_char)
{
    static const char plain[256] = {
        ['"'] = '"',  ['\\'] = '\\', ['/'] = '/',  ['b'] = '\b',
        ['f'] = '\f', ['n'] = '\n',  ['r'] = '\r', ['t'] = '\t',
    };

    if (p >= end)
        return NULL;
    if (*p != 'u') {
        *ret_char = (unsigned char)plain[(unsigned char)*p];
        return *ret_char ? p + 1 : NULL;
    }
    int hi = hex4(p + 1, end), lo;

    if (hi < 0 || (hi >= 0xDC00 && hi <= 0xDFFF))
        return NULL;
    *ret_char = (uint32_t)hi;
    if (hi < 0xD800 || hi > 0xDFFF)
        return p + 5;
    if (end - p < 11 || p[5] != '\\' || p[6] != 'u' || (lo = hex4(p + 7, end)) < 0xDC00 ||
        lo > 0xDFFF)
        return NULL;
    *ret_char = 0x10000 + ((uint32_t)(hi - 0xD800) << 10) + (uint32_t)(lo - 0xDC00);
    return p + 11;
}

static bool scan_string(struct scan *s)
{
    const char *p = s->p + 1, *end = s->end;

    for (;;) {
        while (end - p >= 8 && plain_word(p))
            p += 8;
        while (p < end && !special[(unsigned char)*p])
            p++;
        if (p >= end)
            return bad(s, p, "the text ends inside a string");
        unsigned char c = (unsigned char)*p;
        uint32_t character;

        if (c == '"')
            break;
        if (c < 0x20)
            return bad(s, p, "a control character inside a string");
        size_t n = c < 0x80 ? 0 : nr_utf8_len(p, end);
        const char *next = c == '\\' ? nr_json_unescape(p + 1, end, &character) : n ? p + n : NULL;

        if (next == NULL)
            return bad(s, p, c == '\\' ? "no such escape" : "not UTF-8");
        p = next;
    }
    s->p = p + 1;
    return true;
}

static bool scan_number(struct scan *s)
{
    const char *p = s->p, *end = s->end;

    if (*p == '-')
        p++;
    if (!is_digit(p, end))
        return bad(s, p, "a digit must stand here");
    if (*p++ != '0')
        while (is_digit(p, end))
            p++;
    if (p < end && *p == '.') {
        if (!is_digit(++p, end))
            return bad(s, p, "a digit must stand here");
        while (is_digit(p, end))
            p++;
    }
    if (p < end && (*p == 'e' || *p == 'E')) {
        p++;
        if (p < end && (*p == '+' || *p == '-'))
            p++;
        if (!is_digit(p, end))
            return bad(s, p, "a digit must stand here");
        while (is_digit(p, end))
            p++;
    }
    s->p = p;
    return true;
}

static bool scan_word(struct scan *s, const char *word)
{
    size_t n = strlen(word);

    if ((size_t)(s->end - s->p) < n || memcmp(s->p, word, n) != 0)
        return bad(s, s->p, "no such word");
    s->p += n;
    return true;
}

/* Is the raw text of a key, without its quotes, the key that is looked for? */
static bool is_key(struct nr_str raw, const char *key)
{
    size_t left = strlen(key);

    if (memchr(raw.p, '\\', raw.n) == NULL)
        return nr_str_eq(raw, (struct nr_str){key, left});
    for (const char *p = raw.p, *end = raw.p + raw.n; p < end;) {
        char out[4];
        uint32_t c = (unsigned char)*p;
        size_t n = 1;

        if (*p != '\\')
            out[0] = *p++;
        else if ((p = nr_json_unescape(p + 1, end, &c)) == NULL)
            return false;
        else
            n = nr_utf8_put(c, out);
        if (n > left || memcmp(out, key, n) != 0)
            return false;
        key += n;
        left -= n;
    }
    return left == 0;
}

enum state { VALUE, FIRST_KEY, KEY, FIRST_ITEM, AFTER };

static bool scan_key(struct scan *s, enum state *state)
{
    const char *start = s->p + 1;

    if (*s->p != '"')
        return bad(s, s->p, "a key in quotes must stand here");
    if (!scan_string(s))
        return false;
    bool match = s->key && s->depth == 1 &&
                 is_key((struct nr_str){start, (size_t)(s->p - 1 - start)}, s->key);

    skip_blanks(s);
    if (s->p >= s->end || *s->p != ':')
        return bad(s, s->p, "a colon must stand here");
    s->p++;
    s->built_bytes += KEY_BYTES;
    skip_blanks(s);
    if (s->depth == 1)
        s->value = match ? s->p : NULL;
    *state = VALUE;
    return true;
}

static bool open_bracket(struct scan *s, bool object)
{
    if (s->depth == NR_JSON_DEPTH_MAX)
        return bad(s, s->p, "nested deeper than 64");
    s->p++;
    s->depth++;
    s->open = s->open << 1 | object;
    return true;
}

static void close_bracket(struct scan *s)
{
    s->p++;
    s->depth--;
    s->open >>= 1;
}

/* The bracket that was just opened is closed at once. */
static bool close_empty(struct scan *s, char bracket, enum state *state)
{
    if (*s->p != bracket)
        return false;
    close_bracket(s);
    *state = AFTER;
    return true;
}

static bool scan_value(struct scan *s, enum state *state)
{
    const enum nr_json_kind kind = (enum nr_json_kind)starts[(unsigned char)*s->p];

    *state = AFTER;
    s->built_bytes += SLOT_BYTES + bytes_of[kind];
    switch (kind) {
    case NR_JSON_OBJECT: *state = FIRST_KEY; return open_bracket(s, true);
    case NR_JSON_ARRAY: *state = FIRST_ITEM; return open_bracket(s, false);
    case NR_JSON_STRING: return scan_string(s);
    case NR_JSON_NUMBER: return scan_number(s);
    case NR_JSON_TRUE: return scan_word(s, "true");
    case NR_JSON_FALSE: return scan_word(s, "false");
    case NR_JSON_NULL: return scan_word(s, "null");
    default: return bad(s, s->p, "a value must stand here");
    }
}

/* Behind a value, inside a bracket. */
static bool scan_after(struct scan *s, enum state *state)
{
    bool object = s->open & 1;

    if (s->value && s->depth == 1) {
        const char *end = s->p;

        while (end[-1] == ' ' || end[-1] == '\n' || end[-1] == '\r' || end[-1] == '\t')
            end--;
        s->found = (struct nr_str){s->value, (size_t)(end - s->value)};
        s->value = NULL;
    }
    if (*s->p == ',') {
        s->p++;
        *state = object ? KEY : VALUE;
        return true;
    }
    if (*s->p != (object ? '}' : ']'))
        return bad(s, s->p,
                   object ? "a comma or } must stand here" : "a comma or ] must stand here");
    close_bracket(s);
    return true;
}

static bool scan_text(struct scan *s)
{
    enum state state = VALUE;
    bool ok = true;

    while (ok) {
        skip_blanks(s);
        if (state == AFTER && s->depth == 0)
            return s->p == s->end || bad(s, s->p, "something stands behind the value");
        if (s->p >= s->end)
            return bad(s, s->p, "the text ends too early");
        switch (state) {
        case FIRST_KEY:
        case KEY:
            ok = (state == FIRST_KEY && close_empty(s, '}', &state)) || scan_key(s, &state);
            break;
        case FIRST_ITEM:
        case VALUE:
            ok = (state == FIRST_ITEM && close_empty(s, ']', &state)) || scan_value(s, &state);
            break;
        case AFTER: ok = scan_after(s, &state); break;
        }
    }
    return false;
}

static enum nr_json_kind run(struct scan *s, struct nr_str text)
{
    s->p = text.p ? text.p : "";
    s->end = s->p + text.n;
    skip_blanks(s);
    enum nr_json_kind kind =
        s->p < s->end ? (enum nr_json_kind)starts[(unsigned char)*s->p] : NR_JSON_BAD;

    return scan_text(s) ? kind : NR_JSON_BAD;
}

enum nr_json_kind nr_json_scan(struct nr_str text)
{
    struct scan s = {0};

    return run(&s, text);
}

enum nr_json_kind nr_json_scan_key(struct nr_str text, const char *key, struct nr_str *ret_value)
{
    struct scan s = {.key = key};
    enum nr_json_kind kind = run(&s, text);

    if (kind != NR_JSON_BAD)
        *ret_value = kind == NR_JSON_OBJECT ? s.found : (struct nr_str){NULL, 0};
    return kind;
}

enum nr_json_kind nr_json_scan_why(struct nr_str text, size_t *ret_at, const char **ret_why)
{
    struct scan s = {0};
    enum nr_json_kind kind = run(&s, text);

    if (kind == NR_JSON_BAD) {
        *ret_at = (size_t)(s.p - (text.p ? text.p : s.p));
        *ret_why = s.why;
    }
    return kind;
}

size_t nr_json_built_bytes(struct nr_str text)
{
    struct scan s = {0};

    return run(&s, text) != NR_JSON_BAD ? s.built_bytes + text.n : 0;
}
