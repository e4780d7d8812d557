/* What is told about an API: its address on the host by which the client came, and its document with the addresses of the web actions, and the
 * assembly that other gateways carry it out by, filled in. What is served is not read from here: it is the routes.
 */
#include "fnmanager/entities/swagger.h"

#include <ctype.h>

#include "common/base/mem.h"

#define URL_MAX_BYTES 16384

/* A word of a path, percent-encoded. */
static void add_word(struct nr_buf *out, struct nr_str word)
{
    char *room = nr_buf_room(out, 3 * word.n + 1);

    if (room != NULL)
        nr_buf_took(out, nr_pct_encode(word, room));
}

static void add_path(struct nr_buf *out, const char *path)
{
    struct nr_str rest = nr_str_of(path), word;

    while (nr_str_split(&rest, '/', &word)) {
        if (word.n == 0)
            continue;
        nr_buf_addc(out, '/');
        add_word(out, word);
    }
}

/* The address of the web action that an operation calls; the JSON text of it (made). */
static json_t *web_url(const struct swagger_answer *a, const struct api_route *r, const char *tail)
{
    const char *package = r->action.package[0] ? r->action.package : "default";
    struct nr_buf url;
    json_t *text;

    nr_buf_init(&url, URL_MAX_BYTES);
    nr_buf_add(&url, a->host.p, a->host.n);
    nr_buf_adds(&url, "/api/v1/web/");
    add_word(&url, nr_str_of(r->action.account));
    nr_buf_addc(&url, '/');
    add_word(&url, nr_str_of(package));
    nr_buf_addc(&url, '/');
    add_word(&url, nr_str_of(r->action.name));
    nr_buf_printf(&url, ".%s%s", r->extension, tail);
    text = url.failed ? NULL : json_stringn(url.p, url.n);
    nr_buf_fini(&url);
    return text;
}

static json_t *operation_of(const json_t *doc, const struct api_route *r)
{
    char verb[8];
    size_t i = 0;

    for (; r->method[i] && i < 7; i++)
        verb[i] = (char)tolower((unsigned char)r->method[i]);
    verb[i] = '\0';
    return nr_json_object(nr_json_object(nr_json_object(doc, "paths"), r->path), verb);
}

/* How one operation is carried out. */
static json_t *make_case(const struct swagger_answer *a, const struct api_route *r, const char *id)
{
    const char *tail = strcmp(r->extension, "http") == 0 ? "$(request.path)" : "";
    json_t *one = json_pack("{s:[s], s:[{s:{s:o, s:s}}]}", "operations", id, "execute", "invoke",
                            "target-url", web_url(a, r, tail), "verb", "keep");

    if (one != NULL && r->secret[0])
        (void)json_array_append_new(json_object_get(one, "execute"),
                                    json_pack("{s:{s:[{s:s, s:s}]}}", "set-variable", "actions",
                                              "set", API_HEADER_SECRET, "value", r->secret));
    return one;
}

static int fill_in(const struct swagger_answer *a)
{
    json_t *config = nr_json_object(a->doc, "x-ibm-configuration");
    json_t *cases = json_array();
    int r = cases != NULL ? 0 : -1;

    for (size_t i = 0; r == 0 && i < a->routes->n; i++) {
        const struct api_route *route = &a->routes->list[i];
        json_t *op = operation_of(a->doc, route);
        const char *id = nr_json_string(op, "operationId");

        if (id == NULL)
            continue;
        r = json_object_set_new(json_object_get(op, "x-openwhisk"), "url", web_url(a, route, ""));
        if (r == 0)
            r = json_array_append_new(cases, make_case(a, route, id));
    }
    if (config == NULL) {
        config = json_object();
        r |= json_object_set_new(a->doc, "x-ibm-configuration", config);
    }
    json_t *assembly = json_pack("{s:[{s:{s:o}}]}", "execute", "operation-switch", "case", cases);
    return json_object_set_new(config, "assembly", assembly) | r;
}

int swagger_write(const struct swagger_answer *a, struct nr_buf *out)
{
    nr_auto_free char *text = NULL;
    struct nr_buf url;
    size_t n;

    if (fill_in(a) != 0 || (text = nr_json_text(a->doc, &n)) == NULL)
        return NR_ENOMEM;
    nr_buf_init(&url, URL_MAX_BYTES);
    nr_buf_add(&url, a->host.p, a->host.n);
    nr_buf_adds(&url, "/apis/");
    add_word(&url, nr_str_of(a->account));
    add_path(&url, a->base_path);
    nr_buf_adds(out, "{\"namespace\":");
    nr_buf_json(out, nr_str_of(a->account));
    nr_buf_adds(out, ",\"gwApiUrl\":");
    nr_buf_json(out, nr_buf_str(&url));
    nr_buf_adds(out, ",\"gwApiActivated\":true,\"tenantId\":");
    nr_buf_json(out, nr_str_of(a->account));
    nr_buf_adds(out, ",\"apidoc\":");
    nr_buf_add(out, text, n);
    nr_buf_addc(out, '}');
    nr_buf_fini(&url);
    return out->failed ? NR_ETOOBIG : 0;
}
