/* Documents of APIs: operations in and out, a client's own judged, what is told; and what a createApi request wants. */
#include "fnmanager/entities/swagger.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "common/base/mem.h"
#include "fnmanager/entities/api_order.h"

static json_t *parse(const char *text)
{
    json_t *j = nr_json_parse(nr_str_of(text), NULL);

    assert_non_null(j);
    return j;
}

/* `text` with ' for ". */
static json_t *quoted(const char *text)
{
    nr_auto_free char *copy = nr_strdup(text);

    for (char *c = copy; *c; c++)
        *c = *c == '\'' ? '"' : *c;
    return parse(copy);
}

static void paths_are_judged(void **state)
{
    static const struct {
        const char *path;
        bool base, good;
    } cases[] = {
        {"/", true, true},          {"/a", true, true},
        {"/a/b.c/~d", true, true},  {"/a/", true, true},
        {"", true, false},          {"a", true, false},
        {"//", false, false},       {"/a//b", false, false},
        {"/a/../b", false, false},  {"/.", false, false},
        {"/a b", false, false},     {"/a?b", false, false},
        {"/a#b", false, false},     {"/{id}", true, false},
        {"/{id}", false, true},     {"/{id}/x/{n_2.a-b}", false, true},
        {"/a{id}", false, false},   {"/{id}a", false, false},
        {"/{}", false, false},      {"/{a b}", false, false},
        {"/{a/b}", false, false},   {"/\x01", false, false},
        {"/\xc3\xa4", false, true},
    };
    char longest[API_PATH_MAX_BYTES + 2];

    (void)state;
    for (size_t i = 0; i < nr_countof(cases); i++) {
        struct nr_err err = {0};
        int r = swagger_path_check(nr_str_of(cases[i].path), cases[i].base, &err);

        if ((r == 0) != cases[i].good)
            fail_msg("'%s' base %d: %d %s", cases[i].path, cases[i].base, r, err.text);
        assert_true(r == 0 || err.text[0]);
    }
    memset(longest, 'a', sizeof(longest));
    longest[0] = '/';
    assert_int_equal(swagger_path_check((struct nr_str){longest, API_PATH_MAX_BYTES}, true, NULL),
                     0);
    assert_int_equal(
        swagger_path_check((struct nr_str){longest, API_PATH_MAX_BYTES + 1}, true, NULL),
        NR_EINVAL);
}

static struct api_route route(const char *path, const char *method, const char *secret)
{
    return (struct api_route){.base_path = nr_strdup("/b"),
                              .path = nr_strdup(path),
                              .method = nr_strdup(method),
                              .extension = nr_strdup("http"),
                              .secret = nr_strdup(secret),
                              .action = {.account = nr_strdup("guest"),
                                         .package = nr_strdup(""),
                                         .name = nr_strdup("hello"),
                                         .alias = nr_strdup(""),
                                         .number = 3}};
}

static void operations_go_in_and_out(void **state)
{
    static const char *const paths[] = {"/x", "/x-y", "/x/y", "/{id}"};
    nr_auto_json json_t *doc = swagger_make("/b", "name");
    struct api_routes all = {0};
    struct nr_err err = {0};

    (void)state;
    for (size_t i = 0; i < nr_countof(paths); i++) {
        struct api_route r = route(paths[i], "GET", "");
        assert_int_equal(swagger_put(doc, &r, NULL, &err), 0);
        assert_int_equal(swagger_put(doc, &r, NULL, &err), 0); /* in its own place */
        assert_int_equal(api_routes_add(&all, &r), 0);
    }
    json_t *items = nr_json_object(doc, "paths");
    assert_int_equal(json_object_size(items), 4);
    const char *a =
        nr_json_string(nr_json_object(nr_json_object(items, "/x-y"), "get"), "operationId");
    const char *b =
        nr_json_string(nr_json_object(nr_json_object(items, "/x/y"), "get"), "operationId");
    assert_string_equal(a, "getXY");
    assert_string_equal(b, "getXY_2"); /* no two have one id */

    assert_int_equal(swagger_remove(doc, NR_STR("/z"), NR_STR(""), &err), NR_ENOENT);
    err = (struct nr_err){0};
    assert_int_equal(swagger_remove(doc, NR_STR("/x"), NR_STR("POST"), &err), NR_ENOENT);
    assert_non_null(strstr(err.text, "'POST' does not exist"));
    assert_int_equal(swagger_remove(doc, NR_STR("/x"), NR_STR("get"), NULL), 0);
    assert_int_equal(api_routes_remove(&all, NR_STR("/x"), NR_STR("get")), 1);
    assert_null(json_object_get(items, "/x")); /* a path without operations goes */
    assert_int_equal(api_routes_remove(&all, NR_STR("/x/y"), NR_STR("")), 1);
    assert_int_equal(api_routes_remove(&all, NR_STR("/x/y"), NR_STR("")), 0);
    assert_int_equal(all.n, 2);
    struct api_route more[] = {route("/m", "GET", ""), route("/n", "GET", ""),
                               route("/o", "GET", "")};
    for (size_t i = 0; i < nr_countof(more); i++)
        assert_int_equal(api_routes_add(&all, &more[i]), 0);
    assert_int_equal(all.n, 5);
    assert_false(swagger_is_empty(doc));
    api_routes_fini(&all);
}

#define OPERATION "'x-openwhisk':{'namespace':'_','action':'a','url':'http://h/a.http'}"

static void documents_are_judged(void **state)
{
    static const struct {
        const char *text, *part; /* of the sentence; NULL: good */
    } cases[] = {
        {"{'basePath':'/b','info':{},'paths':{'/p':{'get':{" OPERATION "}}}}", NULL},
        {"{'basePath':'/b','info':{},'paths':{'/p':{'x-mine':7,'get':{" OPERATION "}}}}", NULL},
        {"{'basePath':7,'info':{},'paths':{}}", "basePath"},
        {"{'openapi':'3.0.1','info':{},'paths':{'/p':{'get':{" OPERATION "}}}}",
         "is an OpenAPI 3 document; what is read is Swagger 2.0"},
        {"{'openapi':3,'info':{},'paths':{}}", "is an OpenAPI 3 document"},
        {"{'openapi':'3','swagger':'2.0','basePath':'/b','info':{},'paths':{'/p':{'get':{" OPERATION
         "}}}}",
         NULL},
        {"{'basePath':'/b','paths':{}}", "info"},
        {"{'basePath':'/b','info':{}}", "paths"},
        {"{'basePath':'/b','info':{},'paths':[]}", "paths"},
        {"{'basePath':'/b','info':{},'paths':{}}", "no operation"},
        {"{'basePath':'/b','info':{},'paths':{'/p':{'parameters':[]}}}", "no operation"},
        {"{'basePath':'/b','info':{},'paths':{'/p':[]}}", "'/p'"},
        {"{'basePath':'/b','info':{},'paths':{'p':{}}}", "'p'"},
        {"{'basePath':'/b','info':{},'paths':{'/p':{'get':7}}}", "GET /p"},
        {"{'basePath':'/b','info':{},'paths':{'/p':{'put':{}}}}", "PUT /p"},
        {"{'basePath':'/b','info':{},'paths':{'/p':{'get':{'x-openwhisk':{'namespace':'_','action':''}}}}}",
         "GET /p"},
        {"{'basePath':'/b','info':{},'paths':{'/p':{'get':{'x-openwhisk':{'namespace':'_','action':'a$'}}}}}",
         "GET /p"},
        {"{'basePath':'/b','info':{},'paths':{'/{i}':{'get':{" OPERATION "}}}}", "'i'"},
        {"{'basePath':'/b','info':{},'paths':{'/{i}':{'get':{'parameters':[{'name':'i'}]," OPERATION
         "}}}}",
         NULL},
        {"{'basePath':'/b','info':{},'paths':{'/{i}':{'parameters':[7,{'name':'i'}],'get':{" OPERATION
         "}}}}",
         NULL},
        {"{'basePath':'/b','info':{},'paths':{'/{__ow_user}':{'parameters':[{'name':'__ow_user'}],'get':{" OPERATION
         "}}}}",
         "'__ow_user' defined in path '/{__ow_user}' is not allowed: names that begin with '__ow_'"},
        {"{'basePath':'/{b}','info':{},'paths':{}}", "cannot have parameters"},
        {"{'basePath':'/b','info':{},'paths':{'/p':{'GET':{" OPERATION "},'get':{" OPERATION "}}}}",
         "GET /p: methods are written in lower case"},
        {"{'basePath':'/b','info':{},'paths':{'/p':{'get':{'operationId':'o'," OPERATION
         "},'put':{'operationId':'o'," OPERATION "}}}}",
         "operationId 'o'"},
    };

    (void)state;
    for (size_t i = 0; i < nr_countof(cases); i++) {
        nr_auto_json json_t *doc = quoted(cases[i].text);
        struct api_routes routes = {0};
        struct nr_err err = {0};
        int r = swagger_read(doc, "guest", &routes, &err);

        if ((r == 0) != (cases[i].part == NULL) ||
            (r != 0 && strstr(err.text, cases[i].part) == NULL))
            fail_msg("%s: %d %s", cases[i].text, r, err.text);
        assert_int_equal(routes.n, r == 0);
        if (r == 0)
            assert_string_equal(routes.list[0].action.account, "guest");
        api_routes_fini(&routes);
    }
}

/* What is told of an API makes the same API. */
static void answers_make_the_api_again(void **state)
{
    nr_auto_json json_t *doc = swagger_make("/b", "name");
    struct api_routes routes = {0}, again = {0};
    struct api_route open = route("/club/{id}", "GET", ""), shut = route("/shut", "POST", "s3cret");
    struct nr_buf out;

    (void)state;
    assert_int_equal(swagger_put(doc, &open, NULL, NULL) | swagger_put(doc, &shut, NULL, NULL), 0);
    assert_int_equal(api_routes_add(&routes, &open) | api_routes_add(&routes, &shut), 0);
    const struct swagger_answer a = {.account = "my account",
                                     .base_path = "/b",
                                     .host = NR_STR("http://h:1"),
                                     .doc = doc,
                                     .routes = &routes};
    nr_buf_init(&out, 65536);
    assert_int_equal(swagger_write(&a, &out), 0);
    nr_auto_json json_t *told = nr_json_parse(nr_buf_str(&out), NULL);
    nr_buf_fini(&out);
    assert_string_equal(nr_json_string(told, "gwApiUrl"), "http://h:1/apis/my%20account/b");
    assert_int_equal(swagger_read(nr_json_object(told, "apidoc"), "somebody", &again, NULL), 0);
    assert_int_equal(again.n, 2);
    for (size_t i = 0; i < 2; i++) {
        const struct api_route *x = &routes.list[i], *y = &again.list[i];
        assert_string_equal(x->path, y->path);
        assert_string_equal(x->method, y->method);
        assert_string_equal(x->extension, y->extension);
        assert_string_equal(x->secret, y->secret);
        assert_string_equal(x->action.account, y->action.account);
        assert_int_equal(x->action.number, y->action.number);
    }
    api_routes_fini(&routes);
    api_routes_fini(&again);
}

static void orders_are_read(void **state)
{
    static const struct {
        const char *name, *package, *action, *key; /* key: JSON of secureKey */
        const char *secret;                        /* NULL: refused */
    } cases[] = {
        {"hello", "", "hello", "null", ""},
        {"pkg/hello", "pkg", "hello", "'x y'", "x y"},
        {"/guest/pkg/hello", "pkg", "hello", "7", "7"},
        {"default/hello", "", "hello", "-123456789012", "-123456789012"},
        {"hello", "", "hello", "true", NULL},
        {"hello", "", "hello", "1.5", NULL},
        {"hello", "", "hello", "'a\\nb'", NULL},
        {"a/b/c", "", "", "null", NULL},
        {"", "", "", "null", NULL},
    };

    (void)state;
    for (size_t i = 0; i < nr_countof(cases); i++) {
        char text[512];
        struct api_order o;
        struct nr_err err = {0};

        (void)snprintf(
            text, sizeof(text),
            "{'apidoc':{'gatewayBasePath':'/b/','gatewayPath':'/p','gatewayMethod':'get','action':"
            "{'name':'%s','namespace':'_','secureKey':%s,'backendUrl':'https://http://h/'}}}",
            cases[i].name, cases[i].key);
        for (char *c = text; *c; c++)
            *c = *c == '\'' ? '"' : *c;
        int r = api_order_read(nr_str_of(text), "guest", NR_STR(""), &o, &err);
        if ((r == 0) != (cases[i].secret != NULL))
            fail_msg("%s: %d %s", text, r, err.text);
        if (r == 0) {
            assert_string_equal(o.base_path, "/b");
            assert_string_equal(o.route.method, "GET");
            assert_string_equal(o.route.extension, "json");
            assert_string_equal(o.route.action.account, "guest");
            assert_string_equal(o.route.action.package, cases[i].package);
            assert_string_equal(o.route.action.name, cases[i].action);
            assert_string_equal(o.route.secret, cases[i].secret);
        }
        api_order_fini(&o);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_are_judged),     cmocka_unit_test(operations_go_in_and_out),
        cmocka_unit_test(documents_are_judged), cmocka_unit_test(answers_make_the_api_again),
        cmocka_unit_test(orders_are_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
