/* Reading: our scanner judges the text first (grammar, UTF-8, depth) and says where it is bad; jansson then builds what is known to
 * be right and can only refuse numbers that fit no type. Writing: compact, real numbers in the shortest form that reads back.
 */
#include "common/base/json.h"

#include <math.h>

#include "common/base/buf.h"
#include "common/base/mem.h"

/* More than any body that we send or store. */
enum { TEXT_BYTES_MAX = 256 << 20 };

static void place(struct nr_str text, size_t at, size_t *ret_line, size_t *ret_column)
{
    size_t line = 1, start = 0;

    for (size_t i = 0; i < at; i++)
        if (text.p[i] == '\n') {
            line++;
            start = i + 1;
        }
    *ret_line = line;
    *ret_column = at - start + 1;
}

json_t *nr_json_parse(struct nr_str text, struct nr_err *err)
{
    size_t at, line, column;
    const char *why;
    json_error_t e;

    if (nr_json_scan_why(text, &at, &why) == NR_JSON_BAD) {
        place(text, at, &line, &column);
        nr_err_set(err, NR_EINVAL, "line %zu, column %zu: %s", line, column, why);
        return NULL;
    }
    json_t *j = json_loadb(text.p, text.n, JSON_DECODE_ANY | JSON_ALLOW_NUL, &e);

    if (j == NULL && json_error_code(&e) == json_error_out_of_memory)
        nr_err_set(err, NR_ENOMEM, "no memory for %zu bytes of JSON", text.n);
    else if (j == NULL)
        nr_err_set(err, NR_EINVAL, "line %d, column %d: %s", e.line, e.column, e.text);
    return j;
}

/* Shortest of 15, 16 or 17 digits that reads back as the same number, and never the look of an integer. */
static void add_real(struct nr_buf *b, double v)
{
    char text[40];

    for (int digits = 15; digits <= 17; digits++) {
        (void)snprintf(text, sizeof(text), "%.*g", digits, v);
        if (strtod(text, NULL) == v)
            break;
    }
    nr_buf_adds(b, text);
    if (strpbrk(text, ".en") == NULL)
        nr_buf_adds(b, ".0");
}

static void add_value(struct nr_buf *b, const json_t *j);

static void add_array(struct nr_buf *b, const json_t *j)
{
    nr_buf_addc(b, '[');
    for (size_t i = 0; i < json_array_size(j); i++) {
        if (i)
            nr_buf_addc(b, ',');
        add_value(b, json_array_get(j, i));
    }
    nr_buf_addc(b, ']');
}

/* jansson's iterators want a value that they may change; they do not change it. */
static json_t *writable(const json_t *j)
{
    union {
        const json_t *in;
        json_t *out;
    } u = {.in = j};

    return u.out;
}

static void add_object(struct nr_buf *b, const json_t *j)
{
    const char *key;
    json_t *value;
    bool first = true;

    nr_buf_addc(b, '{');
    json_object_foreach(writable(j), key, value) {
        if (!first)
            nr_buf_addc(b, ',');
        first = false;
        nr_buf_json(b, nr_str_of(key));
        nr_buf_addc(b, ':');
        add_value(b, value);
    }
    nr_buf_addc(b, '}');
}

static void add_value(struct nr_buf *b, const json_t *j)
{
    switch (json_typeof(j)) {
    case JSON_OBJECT: add_object(b, j); break;
    case JSON_ARRAY: add_array(b, j); break;
    case JSON_STRING:
        nr_buf_json(b, (struct nr_str){json_string_value(j), json_string_length(j)});
        break;
    case JSON_INTEGER: nr_buf_addi(b, json_integer_value(j)); break;
    case JSON_REAL: add_real(b, json_real_value(j)); break;
    case JSON_TRUE: nr_buf_adds(b, "true"); break;
    case JSON_FALSE: nr_buf_adds(b, "false"); break;
    case JSON_NULL: nr_buf_adds(b, "null"); break;
    }
}

char *nr_json_text(const json_t *j, size_t *ret_n)
{
    struct nr_buf b;

    nr_buf_init(&b, TEXT_BYTES_MAX);
    if (j)
        add_value(&b, j);
    char *text = j ? nr_buf_detach(&b, ret_n) : NULL;

    nr_buf_fini(&b);
    return text;
}

json_t *nr_json_object(const json_t *j, const char *key)
{
    json_t *member = json_object_get(j, key);

    return json_is_object(member) ? member : NULL;
}

const char *nr_json_string(const json_t *j, const char *key)
{
    return json_string_value(json_object_get(j, key));
}

struct nr_str nr_json_members(struct nr_str object)
{
    while (object.n && object.p[0] != '{')
        object.p++, object.n--;
    while (object.n && object.p[object.n - 1] != '}')
        object.n--;
    if (object.n < 2)
        return (struct nr_str){object.p, 0};
    object.p++;
    object.n -= 2;
    while (object.n && strchr(" \t\r\n", object.p[0]))
        object.p++, object.n--;
    while (object.n && strchr(" \t\r\n", object.p[object.n - 1]))
        object.n--;
    return object;
}
