/* One projection an extension. What a function says that cannot be is answered 400, and nothing of it goes out.
 *
 *   .http          statusCode, headers and body of the result; the body's type decides how it is decoded
 *   .json          the whole result
 *   .html .svg     body, else the member of that name: a string
 *   .text          body, else text: whatever it is, as text
 *
 * Framing and whatever belongs to a connection is the server's: such headers of a function are left out. No header of it holds a control
 * character, and its status is no 1xx, so a reply is always one reply.
 */
#include "gateway/web_reply.h"

#include "common/base/json_walk.h"
#include "gateway/media.h"

#define TYPE_MAX_BYTES 1024
#define NOT_HTTP "Response is not valid 'message/http'."
#define NOT_JSON "Response is not valid 'application/json'."
#define NOT_HTML "Response is not valid 'text/html'."
#define NOT_SVG "Response is not valid 'image/svg+xml'."
#define NO_PROPERTY "Response does not include requested property."
#define OTHER_TYPE "Response type in header did not match generated content type."
#define NO_TYPE "Response did not specify a known content-type."

static void refuse(struct web_reply *r, int status, const char *text)
{
    if (r->refusal)
        return;
    r->status = status;
    r->refusal = text;
}

/* The members that a projection wants, by the order of `names`; the last one of a name wins, absent: {NULL, 0}. */
static void pick(struct nr_str object, const char *const *names, size_t count, struct nr_str *ret)
{
    struct nr_json_walk walk;
    struct nr_json_member m;

    memset(ret, 0, count * sizeof(*ret));
    nr_json_walk_begin(&walk, object);
    while (nr_json_walk_next(&walk, &m)) {
        char name[64];
        struct nr_str key = m.key;

        if (key.n <= sizeof(name) && memchr(key.p, '\\', key.n))
            key = (struct nr_str){name, nr_json_decode(m.key, name)};
        for (size_t i = 0; i < count; i++)
            if (nr_str_eqz(key, names[i]))
                ret[i] = m.value;
    }
}

/* Adds a string of JSON, decoded. */
static void add_string(struct nr_buf *out, struct nr_str value)
{
    struct nr_str raw = nr_json_unquoted(value);
    char *room = nr_buf_room(out, raw.n ? raw.n : 1);

    if (room)
        nr_buf_took(out, nr_json_decode(raw, room));
}

/* Any value as JSON; over several lines when that does not make it too large. */
static void add_json(struct nr_buf *out, struct nr_str value, bool pretty)
{
    nr_json_layout(out, value, pretty);
    if (!out->failed)
        return;
    nr_buf_fini(out);
    nr_buf_init(out, WEB_BODY_MAX_BYTES);
    nr_json_layout(out, value, false);
}

/* ---- .json .html .svg .text ---- */

static void project_json(struct nr_str value, struct web_reply *r)
{
    enum nr_json_kind kind = nr_json_kind_of(value);

    if (kind != NR_JSON_OBJECT && kind != NR_JSON_ARRAY) {
        refuse(r, 400, NOT_JSON);
        return;
    }
    nr_buf_adds(&r->type, "application/json");
    add_json(&r->body, value, false);
}

/* The body of an object, else its member `other`; anything else stands for itself. */
static struct nr_str body_or(struct nr_str value, const char *other)
{
    const char *const names[] = {"body", other};
    struct nr_str found[2];

    if (nr_json_kind_of(value) != NR_JSON_OBJECT)
        return value;
    pick(value, names, 2, found);
    return found[0].p ? found[0] : found[1];
}

static void project_string(struct nr_str value, const char *other, const char *type,
                           const char *refusal, struct web_reply *r)
{
    struct nr_str text = body_or(value, other);

    if (nr_json_kind_of(text) != NR_JSON_STRING) {
        refuse(r, 400, refusal);
        return;
    }
    nr_buf_adds(&r->type, type);
    add_string(&r->body, text);
}

static void project_html(struct nr_str value, struct web_reply *r)
{
    project_string(value, "html", "text/html; charset=UTF-8", NOT_HTML, r);
}

static void project_svg(struct nr_str value, struct web_reply *r)
{
    project_string(value, "svg", "image/svg+xml", NOT_SVG, r);
}

static void project_text(struct nr_str value, struct web_reply *r)
{
    struct nr_str text = body_or(value, "text");

    nr_buf_adds(&r->type, "text/plain; charset=UTF-8");
    if (text.p == NULL)
        refuse(r, 404, NO_PROPERTY);
    else if (nr_json_kind_of(text) == NR_JSON_STRING)
        add_string(&r->body, text);
    else
        add_json(&r->body, text, true);
}

/* ---- .http: headers ---- */

/* These are the server's, or the platform's. */
static const char *const not_of_functions[] = {
    "connection",
    "content-length",
    "date",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "upgrade",
    "x-request-id",
    "x-openwhisk-activation-id",
    "transfer-encoding",
};

static const struct {
    const char *name;
    enum cors_line line;
} cors_names[] = {
    {"access-control-allow-origin", CORS_ORIGIN},
    {"access-control-allow-headers", CORS_HEADERS},
    {"access-control-allow-methods", CORS_METHODS},
};

static bool is_header_name(struct nr_str name)
{
    for (size_t i = 0; i < name.n; i++) {
        unsigned char c = (unsigned char)name.p[i];

        if (c <= ' ' || c >= 127 || memchr("()<>@,;:\\\"/[]?={}", c, 17) != NULL)
            return false;
    }
    return name.n > 0;
}

/* What would end the line or confuse who reads it. */
static bool is_header_value(struct nr_str value)
{
    for (size_t i = 0; i < value.n; i++) {
        unsigned char c = (unsigned char)value.p[i];

        if ((c < ' ' && c != '\t') || c == 127)
            return false;
    }
    return true;
}

/* Adds a string, number or boolean as text; false: it is no such thing, or cannot stand in a header. */
static bool add_scalar(struct nr_buf *out, struct nr_str value)
{
    enum nr_json_kind kind = nr_json_kind_of(value);
    size_t start = out->n;

    if (kind == NR_JSON_STRING)
        add_string(out, value);
    else if (kind == NR_JSON_NUMBER || kind == NR_JSON_TRUE || kind == NR_JSON_FALSE)
        nr_buf_add(out, value.p, value.n);
    else
        return false;
    return !out->failed && is_header_value((struct nr_str){out->p + start, out->n - start});
}

static bool add_line(struct web_reply *r, struct nr_str name, struct nr_str value)
{
    nr_buf_add(&r->head, name.p, name.n);
    nr_buf_adds(&r->head, ": ");
    if (!add_scalar(&r->head, value))
        return false;
    nr_buf_adds(&r->head, "\r\n");
    return true;
}

static bool is_left_out(struct nr_str name)
{
    for (size_t i = 0; i < nr_countof(not_of_functions); i++)
        if (nr_str_ieqz(name, not_of_functions[i]))
            return true;
    return false;
}

/* One line, or with an array as many as it has items. */
static bool add_header(struct web_reply *r, struct nr_str name, struct nr_str value)
{
    struct nr_json_walk walk;
    struct nr_json_member item;

    if (!is_header_name(name))
        return false;
    if (nr_str_ieqz(name, "content-type")) {
        nr_buf_reset(&r->type, 0);
        return nr_json_kind_of(value) == NR_JSON_STRING && add_scalar(&r->type, value) &&
               r->type.n <= TYPE_MAX_BYTES;
    }
    if (is_left_out(name))
        return true;
    for (size_t i = 0; i < nr_countof(cors_names); i++)
        if (nr_str_ieqz(name, cors_names[i].name))
            r->own_cors |= cors_names[i].line;
    if (nr_json_kind_of(value) != NR_JSON_ARRAY)
        return add_line(r, name, value);
    nr_json_walk_begin(&walk, value);
    while (nr_json_walk_next(&walk, &item))
        if (!add_line(r, name, item.value))
            return false;
    return true;
}

static bool add_headers(struct web_reply *r, struct nr_str headers)
{
    struct nr_json_walk walk;
    struct nr_json_member m;
    enum nr_json_kind kind = nr_json_kind_of(headers);

    if (headers.p == NULL || kind == NR_JSON_NULL)
        return true;
    if (kind != NR_JSON_OBJECT)
        return false;
    nr_json_walk_begin(&walk, headers);
    while (nr_json_walk_next(&walk, &m)) {
        char name[256];

        if (m.key.n > sizeof(name) ||
            !add_header(r, (struct nr_str){name, nr_json_decode(m.key, name)}, m.value))
            return false;
    }
    return !r->head.failed && !r->type.failed;
}

/* ---- .http: status and body ---- */

/* 200 to 999, as a number or its text; *ret stays when there is none. */
static bool take_status(struct nr_str value, int *ret)
{
    struct nr_str digits = value, zeros;
    int64_t n;

    if (value.p == NULL)
        return true;
    if (nr_json_kind_of(value) == NR_JSON_STRING)
        digits = nr_json_unquoted(value);
    zeros = digits;
    (void)nr_str_split(&zeros, '.', &digits); /* 200.0 is a whole number */
    for (size_t i = 0; i < zeros.n; i++)
        if (zeros.p[i] != '0')
            return false;
    if (!nr_str_to_i64(digits, 200, 999, &n))
        return false;
    *ret = (int)n;
    return true;
}

/* A base64 text in place of itself; false: it is none, and stays as it is. */
static bool unpack(struct nr_buf *body)
{
    struct nr_buf bytes;
    unsigned char *room;
    ssize_t n = -1;

    nr_buf_init(&bytes, WEB_BODY_MAX_BYTES);
    room = (unsigned char *)nr_buf_room(&bytes, body->n / 4 * 3 + 6);
    if (room)
        n = nr_base64_decode(nr_buf_str(body), room);
    if (n < 0) {
        nr_buf_fini(&bytes);
        return false;
    }
    nr_buf_took(&bytes, (size_t)n);
    nr_buf_fini(body);
    *body = bytes;
    return true;
}

static void string_body(struct web_reply *r, struct nr_str value, enum media_kind kind)
{
    add_string(&r->body, value);
    if (kind == MEDIA_BINARY) {
        if (!unpack(&r->body))
            refuse(r, 400, OTHER_TYPE);
    } else if (kind == MEDIA_DRAWING) {
        (void)unpack(&r->body);
    } else if ((kind == MEDIA_JSON || kind == MEDIA_JSON_LIKE) &&
               nr_json_scan(nr_buf_str(&r->body)) == NR_JSON_BAD) {
        (void)unpack(&r->body); /* "1234" is base64 too, and JSON already */
    }
    if (kind == MEDIA_NONE)
        nr_buf_adds(&r->type, "text/html; charset=UTF-8");
    else if (media_wants_charset(nr_buf_str(&r->type)))
        nr_buf_adds(&r->type, "; charset=UTF-8");
}

static void json_body(struct web_reply *r, struct nr_str value, enum media_kind kind)
{
    if (kind == MEDIA_NONE)
        nr_buf_adds(&r->type, "application/json");
    else if (kind != MEDIA_JSON && kind != MEDIA_JSON_LIKE)
        refuse(r, 400, OTHER_TYPE);
    add_json(&r->body, value, kind == MEDIA_JSON_LIKE);
}

static void project_http(struct nr_str value, struct web_reply *r)
{
    static const char *const names[] = {"statusCode", "headers", "body"};
    struct nr_str found[3];

    if (nr_json_kind_of(value) != NR_JSON_OBJECT) {
        refuse(r, 400, NOT_HTTP);
        return;
    }
    pick(value, names, 3, found);
    enum nr_json_kind kind = nr_json_kind_of(found[2]);
    bool empty =
        found[2].p == NULL || kind == NR_JSON_NULL || (kind == NR_JSON_STRING && found[2].n == 2);

    r->status = empty ? 204 : 200;
    if (!take_status(found[0], &r->status) || !add_headers(r, found[1])) {
        refuse(r, 400, NOT_HTTP);
        return;
    }
    if (empty)
        return;
    enum media_kind type =
        media_kind_of(r->type.n ? nr_buf_str(&r->type) : (struct nr_str){NULL, 0});

    if (type == MEDIA_BAD)
        refuse(r, 400, NO_TYPE);
    else if (kind == NR_JSON_STRING)
        string_body(r, found[2], type);
    else
        json_body(r, found[2], type);
}

/* ---- */

static void (*const projections[WEB_EXTENSIONS])(struct nr_str value, struct web_reply *r) = {
    [WEB_HTTP] = project_http, [WEB_JSON] = project_json, [WEB_HTML] = project_html,
    [WEB_SVG] = project_svg,   [WEB_TEXT] = project_text,
};

void web_reply_write(enum web_extension extension, struct nr_str result, bool error,
                     struct web_reply *ret)
{
    static const char *const names[] = {"error"};
    struct nr_str value = result, found;
    char *end;

    *ret = (struct web_reply){.status = 200};
    nr_buf_init(&ret->head, WEB_HEAD_MAX_BYTES);
    nr_buf_init(&ret->body, WEB_BODY_MAX_BYTES);
    nr_buf_init(&ret->type, TYPE_MAX_BYTES + 32);
    if (nr_json_scan(result) == NR_JSON_BAD) {
        refuse(ret, 400, "There was an error processing your request.");
        return;
    }
    while (value.n && memchr(" \t\r\n", value.p[0], 4))
        value.p++, value.n--;
    while (value.n && memchr(" \t\r\n", value.p[value.n - 1], 4))
        value.n--;
    if (error) {
        pick(value, names, 1, &found);
        value = found;
    }
    if (value.p == NULL)
        refuse(ret, 404, NO_PROPERTY);
    else
        projections[extension](value, ret);
    if ((end = nr_buf_room(&ret->type, 1)) != NULL)
        *end = '\0';
    if (end == NULL || ret->body.failed || ret->type.failed) /* they are within their ceilings */
        refuse(ret, 503, UNAVAILABLE_TEXT);
}

void web_reply_fini(struct web_reply *r)
{
    nr_buf_fini(&r->head);
    nr_buf_fini(&r->body);
    nr_buf_fini(&r->type);
}
