/* Bodies of createApi on any bytes, up to the document that is stored and the answer that is given.
 *
 * What must hold: a refusal has a sentence; what is accepted has routes whose paths are good and whose secrets can be headers, and the answer
 * about it is JSON, whose document makes the same routes again.
 */
#include "fuzz.h"

#include <string.h>

#include "common/base/mem.h"
#include "fnmanager/entities/api_order.h"

static void check_route(const struct api_route *r)
{
    nr_check(swagger_path_check(nr_str_of(r->path), false, NULL) == 0);
    nr_check(swagger_path_check(nr_str_of(r->base_path), true, NULL) == 0);
    nr_check(swagger_method(nr_str_of(r->method)) != NULL);
    nr_check(swagger_extension(nr_str_of(r->extension)) != NULL);
    nr_check(strpbrk(r->secret, "\r\n") == NULL);
    nr_check(r->action.account[0] && r->action.name[0]);
}

/* The document of an answer as a client would send it back. */
static void check_again(const char *answer_text, size_t n, const struct api_routes *routes)
{
    nr_auto_json json_t *answer = nr_json_parse((struct nr_str){answer_text, n}, NULL);
    struct api_routes again = {0};

    nr_check(answer != NULL);
    nr_check(swagger_read(nr_json_object(answer, "apidoc"), "other", &again, NULL) == 0);
    nr_check(again.n == routes->n);
    for (size_t i = 0; i < again.n; i++) {
        const struct api_route *a = &again.list[i], *b = &routes->list[i];

        nr_check(strcmp(a->path, b->path) == 0 && strcmp(a->method, b->method) == 0);
        nr_check(strcmp(a->extension, b->extension) == 0 && strcmp(a->secret, b->secret) == 0);
        nr_check(strcmp(a->action.name, b->action.name) == 0 &&
                 strcmp(a->action.account, b->action.account) == 0);
    }
    api_routes_fini(&again);
}

static void check_answer(struct api_order *o, json_t *doc, const struct api_routes *routes)
{
    const struct swagger_answer a = {.account = "me",
                                     .base_path = o->base_path,
                                     .host = {"http://h", 8},
                                     .doc = doc,
                                     .routes = routes};
    struct nr_buf out;

    nr_buf_init(&out, 64 << 20);
    nr_check(swagger_write(&a, &out) == 0);
    check_again(out.p, out.n, routes);
    nr_buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct api_order o;
    struct nr_err err = {0};
    int r = api_order_read((struct nr_str){(const char *)bytes, n}, "me",
                           (struct nr_str){"http", 4}, &o, &err);

    nr_check((r == 0) == (err.code == 0) && (r == 0) == (err.text[0] == '\0'));
    if (r == 0 && o.swagger != NULL) {
        for (size_t i = 0; i < o.routes.n; i++)
            check_route(&o.routes.list[i]);
        check_answer(&o, o.swagger, &o.routes);
    } else if (r == 0) {
        struct api_routes one = {&o.route, 1};
        nr_auto_json json_t *doc = swagger_make(o.base_path, "name");

        check_route(&o.route);
        if (swagger_put(doc, &o.route, o.parameters, NULL) == 0)
            check_answer(&o, doc, &one);
    }
    api_order_fini(&o);
    return 0;
}
