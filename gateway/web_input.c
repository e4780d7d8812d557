/* The parameters of a web action: what the query says, then what the body says, then what an API route's path says, each name once, the
 * last one wins; and what the platform says of the request, as `__ow_*`, which nobody else may name.
 *
 *   JSON object, form   its members are parameters            any other JSON   __ow_body, as the value it is
 *   text                __ow_body                             anything else    __ow_body in base64
 *   raw                 __ow_query as it was sent, __ow_body as text, or in base64 when it is binary or application/json
 *
 * Parameters of the query and of forms are collected (struct field), for each may stand there again. Members of a JSON body are not: they
 * are walked through once to be judged, and go out as they came.
 */
#include "gateway/web_input.h"

#include "common/base/json_walk.h"
#include "gateway/headers.h"
#include "gateway/media.h"
#include "ports/final.h"

#define FIRST_BYTES 1024
#define FIELDS_MAX 10000
/* A body up to this fits, whatever it is, unless there is no memory. */
#define SMALL_BYTES (128 << 10)
#define RESERVED "__ow_"

#define DEFINES_TEXT "Request defines parameters that are not allowed (e.g., reserved properties)."

/* A parameter with a text as its value. */
struct field {
    struct nr_map_node node; /* its key is the name, decoded */
    struct nr_str value;
    bool dropped; /* named again later */
};

struct writer {
    const struct web_input *in;
    struct final_names final;
    struct nr_buf *out;
    struct nr_err *err;
    struct field *fields;
    size_t count;
    struct nr_map by_name;
    char *room; /* made: where names and values are decoded to */
    size_t room_n;
    struct nr_str members; /* of the JSON body; n == 0: none */
    struct nr_buf name;    /* of a member, decoded */
};

static int refuse(struct writer *w, int status, const char *text)
{
    (void)nr_err_set(w->err, NR_EINVAL, "%s", text);
    return status;
}

/* ---- names ---- */

static bool may_be_named(const struct writer *w, struct nr_str name)
{
    if (nr_str_starts(name, RESERVED))
        return false;
    return !final_names_have(&w->final, name);
}

/* The name of a member, decoded. */
static struct nr_str member_name(struct writer *w, struct nr_str key)
{
    if (memchr(key.p, '\\', key.n) == NULL)
        return key;
    nr_buf_reset(&w->name, 4096);
    char *room = nr_buf_room(&w->name, key.n);

    return (struct nr_str){room, room ? nr_json_decode(key, room) : 0};
}

/* ---- the query, forms, and the route's parameters ---- */

static size_t pairs_in(struct nr_str text)
{
    size_t n = text.n > 0;

    for (size_t i = 0; i < text.n; i++)
        n += text.p[i] == '&';
    return n;
}

static int add_field(struct writer *w, struct nr_str name, struct nr_str value)
{
    struct field *f = &w->fields[w->count++];
    struct nr_map_node *old;

    if (!may_be_named(w, name))
        return refuse(w, 400, DEFINES_TEXT);
    *f = (struct field){.node.key = name, .value = value};
    if ((old = nr_map_put(&w->by_name, &f->node)) != NULL)
        nr_container_of(old, struct field, node)->dropped = true;
    return 0;
}

/* Decodes into the room; false: a bad escape, or not UTF-8. */
static bool decode(struct writer *w, struct nr_str *text)
{
    ssize_t n = text->n ? nr_pct_decode(*text, true, w->room + w->room_n) : 0;

    if (n < 0)
        return false;
    *text = (struct nr_str){w->room + w->room_n, (size_t)n};
    w->room_n += (size_t)n;
    return true;
}

/* "a=1&b=2"; `where` is the beginning of the refusal. */
static int add_pairs(struct writer *w, struct nr_str text, const char *where)
{
    struct nr_str rest = text, pair, name;
    int status = 0;

    while (status == 0 && rest.n > 0 && nr_str_split(&rest, '&', &pair)) {
        if (pair.n == 0)
            continue;
        (void)nr_str_split(&pair, '=', &name);
        if (!decode(w, &name) || !decode(w, &pair) || !nr_utf8_valid(name))
            status = refuse(w, 400, where);
        else
            status = add_field(w, name, pair);
    }
    return status;
}

/* All fields there will be, at most; `form` is the body, or empty. */
static int collect(struct writer *w, struct nr_str query, struct nr_str form)
{
    const struct web_input *in = w->in;
    size_t n = pairs_in(query) + pairs_in(form) + in->more_count;
    int status;

    if (n > FIELDS_MAX) {
        (void)nr_err_set(w->err, NR_EINVAL, "The request has too many parameters: %zu, at most %d.",
                         n, FIELDS_MAX);
        return 400;
    }
    if (n == 0)
        return 0;
    w->fields = nr_try_alloc(n * sizeof(*w->fields));
    w->room = nr_try_alloc(query.n + form.n + 1);
    if (w->fields == NULL || w->room == NULL)
        return refuse(w, 503, UNAVAILABLE_TEXT);
    status = add_pairs(w, query, "The request target was malformed:\nbad escape in the query.");
    if (status == 0)
        status = add_pairs(w, form, "The request content was malformed:\nbad escape in the form.");
    for (size_t i = 0; status == 0 && i < in->more_count; i++)
        status = add_field(w, in->more[i].name, in->more[i].value);
    return status;
}

/* ---- writing ---- */

static void begin_member(struct nr_buf *out)
{
    if (out->n > 1)
        nr_buf_addc(out, ',');
}

static void write_text(struct nr_buf *out, struct nr_str name, struct nr_str value)
{
    begin_member(out);
    nr_buf_json(out, name);
    nr_buf_addc(out, ':');
    nr_buf_json(out, value);
}

static void write_base64(struct nr_buf *out, struct nr_str bytes)
{
    char *room;

    begin_member(out);
    nr_buf_adds(out, "\"" RESERVED "body\":\"");
    if ((room = nr_buf_room(out, (bytes.n + 2) / 3 * 4 + 1)) != NULL)
        nr_buf_took(out, nr_base64_encode(bytes.p, bytes.n, room));
    nr_buf_addc(out, '"');
}

static void write_fields(struct writer *w)
{
    for (size_t i = 0; i < w->count; i++)
        if (!w->fields[i].dropped)
            write_text(w->out, w->fields[i].node.key, w->fields[i].value);
}

/* ---- JSON bodies ---- */

/* The route's parameters stand in the map, behind all others of their name. */
static bool is_of_route(const struct writer *w, const struct field *f)
{
    return f >= w->fields + w->count - w->in->more_count;
}

/* Judges the members, and drops what the query said of the same names. */
static int judge_members(struct writer *w, struct nr_str object)
{
    struct nr_json_walk walk;
    struct nr_json_member m;

    nr_json_walk_begin(&walk, object);
    while (nr_json_walk_next(&walk, &m)) {
        struct nr_str name = member_name(w, m.key);
        struct nr_map_node *node;

        if (name.p == NULL)
            return refuse(w, 503, UNAVAILABLE_TEXT);
        if (!may_be_named(w, name))
            return refuse(w, 400, DEFINES_TEXT);
        if (w->count == 0 || (node = nr_map_get(&w->by_name, name)) == NULL)
            continue;
        struct field *f = nr_container_of(node, struct field, node);

        f->dropped = !is_of_route(w, f);
    }
    w->members = object;
    return 0;
}

static void write_member(struct writer *w, const struct nr_json_member *m)
{
    struct nr_map_node *node = w->count ? nr_map_get(&w->by_name, member_name(w, m->key)) : NULL;

    if (node && is_of_route(w, nr_container_of(node, struct field, node)))
        return;
    begin_member(w->out);
    nr_buf_addc(w->out, '"');
    nr_buf_add(w->out, m->key.p, m->key.n);
    nr_buf_adds(w->out, "\":");
    nr_buf_add(w->out, m->value.p, m->value.n);
}

static void write_members(struct writer *w)
{
    struct nr_json_walk walk;
    struct nr_json_member m;

    nr_json_walk_begin(&walk, w->members);
    while (nr_json_walk_next(&walk, &m))
        write_member(w, &m);
}

static struct nr_str trimmed(struct nr_str s)
{
    while (s.n && memchr(" \t\r\n", s.p[0], 4))
        s.p++, s.n--;
    while (s.n && memchr(" \t\r\n", s.p[s.n - 1], 4))
        s.n--;
    return s;
}

/* An object gives parameters; any other value is written as __ow_body. */
static int take_json(struct writer *w, struct nr_str body, struct nr_str *ret_value)
{
    const char *why = "";
    size_t at = 0;
    enum nr_json_kind kind = nr_json_scan_why(body, &at, &why);

    if (kind == NR_JSON_BAD) {
        (void)nr_err_set(w->err, NR_EINVAL, "The request content was malformed:\n%s at byte %zu",
                         why, at);
        return 400;
    }
    if (kind == NR_JSON_OBJECT)
        return judge_members(w, body);
    *ret_value = body;
    return 0;
}

/* ---- what the platform says ---- */

static void write_request(struct writer *w)
{
    const struct nr_http_req *r = w->in->http;
    const struct headers headers = {r, w->in->hide_authorization};
    char method[16];
    size_t n = 0;

    for (const char *p = route_method(r->method); *p && n < sizeof(method); p++)
        method[n++] = (char)(*p | 32);
    write_text(w->out, NR_STR(RESERVED "method"), (struct nr_str){method, n});
    nr_buf_adds(w->out, ",\"" RESERVED "headers\":");
    headers_write(&headers, w->out);
    write_text(w->out, NR_STR(RESERVED "path"), w->in->path);
    if (w->in->user.p)
        write_text(w->out, NR_STR(RESERVED "user"), w->in->user);
}

/* ---- */

static int write_raw(struct writer *w)
{
    const struct nr_http_req *r = w->in->http;
    const enum media_kind kind = media_kind_of(nr_http_header(r, "content-type"));
    struct nr_str query = r->query.p ? r->query : NR_STR("");

    write_text(w->out, NR_STR(RESERVED "query"), query);
    if (r->body.n && (kind == MEDIA_NONE || kind == MEDIA_BINARY || kind == MEDIA_JSON))
        write_base64(w->out, r->body);
    else
        write_text(w->out, NR_STR(RESERVED "body"), r->body.n ? r->body : NR_STR(""));
    return 0;
}

static int write_read(struct writer *w)
{
    const struct nr_http_req *r = w->in->http;
    enum media_kind kind = media_kind_of(nr_http_header(r, "content-type"));
    struct nr_str body = r->body, value = {NULL, 0};
    bool json = kind == MEDIA_JSON || kind == MEDIA_JSON_LIKE;
    int status;

    if (json)
        body = trimmed(body);
    if (body.n > 0 && kind == MEDIA_BAD)
        return refuse(w, 400, "Content type is not supported.");
    status = collect(w, r->query, kind == MEDIA_FORM ? body : (struct nr_str){NULL, 0});
    if (status == 0 && json && body.n)
        status = take_json(w, body, &value);
    if (status != 0)
        return status;
    write_members(w);
    write_fields(w);
    if (value.n) {
        begin_member(w->out);
        nr_buf_adds(w->out, "\"" RESERVED "body\":");
        nr_buf_add(w->out, value.p, value.n);
    } else if (body.n && !json && kind != MEDIA_FORM) {
        if (kind == MEDIA_TEXT)
            write_text(w->out, NR_STR(RESERVED "body"), body);
        else
            write_base64(w->out, body);
    }
    return 0;
}

int web_input_write(const struct web_input *in, struct nr_buf *out, struct nr_err *err)
{
    struct writer w = {.in = in, .final = final_names_of(in->final_names), .out = out, .err = err};
    int status;

    nr_map_init(&w.by_name);
    nr_buf_init(&w.name, NR_PAYLOAD_MAX_BYTES);
    (void)nr_buf_room(out, FIRST_BYTES); /* most fit into it */
    nr_buf_addc(out, '{');
    status = in->raw ? write_raw(&w) : write_read(&w);
    if (status == 0)
        write_request(&w);
    nr_buf_addc(out, '}');
    if (status == 0 && out->failed && in->http->body.n <= SMALL_BYTES)
        status = refuse(&w, 503, UNAVAILABLE_TEXT);
    if (status == 0 && out->failed) {
        (void)nr_err_set(err, NR_ETOOBIG,
                         "Request larger than allowed: as parameters it is above %d bytes.",
                         WEB_INPUT_MAX_BYTES);
        status = 413;
    }
    nr_map_fini(&w.by_name);
    nr_buf_fini(&w.name);
    free(w.fields);
    free(w.room);
    return status;
}
