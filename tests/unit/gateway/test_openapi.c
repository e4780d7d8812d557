/* The documents and the table of routes tell the same story: each route is an operation, each operation is a route, and what an operation
 * names is defined. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "common/base/json.h"
#include "gateway/internal.h"
#include "gateway/openapi.h"

#define BASE "/narae/v1/"

static json_t *read_document(enum openapi_which which)
{
    struct nr_err err = {0};
    json_t *j = nr_json_parse(openapi_document(which), &err);

    if (j == NULL)
        fail_msg("%s", err.text);
    return j;
}

static json_t *document(void)
{
    return read_document(OPENAPI_NARAE);
}

/* "/a/:b/c" and "/a/:b/c/?" as "/a/{b}/c". */
static void path_of(const char *pattern, char *out, size_t n)
{
    size_t at = 0;

    for (const char *p = pattern; *p && strcmp(p, "/?") != 0 && at + 2 < n; p++) {
        if (*p != ':') {
            out[at++] = *p;
            continue;
        }
        size_t word = strcspn(p + 1, "/");
        at += (size_t)snprintf(out + at, n - at, "{%.*s}", (int)word, p + 1);
        p += word;
    }
    out[at] = '\0';
}

static const char *method_of(const struct route *r)
{
    static const struct {
        enum nr_http_method method;
        const char *name;
    } names[] = {{NR_HTTP_GET, "get"},
                 {NR_HTTP_PUT, "put"},
                 {NR_HTTP_POST, "post"},
                 {NR_HTTP_DELETE, "delete"}};

    for (size_t i = 0; i < nr_countof(names); i++)
        if (names[i].method == r->method)
            return names[i].name;
    return "?";
}

static const struct route *route_of(const char *path, const char *method)
{
    for (size_t i = 0; i < route_count(); i++) {
        char own[256];

        path_of(routes[i].pattern, own, sizeof(own));
        if (strcmp(own, path) == 0 && strcmp(method_of(&routes[i]), method) == 0)
            return &routes[i];
    }
    return NULL;
}

static void each_route_is_an_operation(void **state)
{
    nr_auto_json json_t *j = document();

    (void)state;
    for (size_t i = 0; i < route_count(); i++) {
        char path[256];

        path_of(routes[i].pattern, path, sizeof(path));
        if (strncmp(path, BASE, strlen(BASE)) != 0)
            continue;
        const json_t *one = json_object_get(json_object_get(j, "paths"), path);
        if (json_object_get(one, method_of(&routes[i])) == NULL)
            fail_msg("openapi.json does not tell of %s %s", method_of(&routes[i]), path);
    }
}

static void each_operation_is_a_route(void **state)
{
    nr_auto_json json_t *j = document();
    json_t *operations, *operation, *paths = json_object_get(j, "paths");
    const char *path, *method;

    (void)state;
    assert_true(json_object_size(paths) > 0);
    json_object_foreach(paths, path, operations) {
        json_object_foreach(operations, method, operation) {
            const struct route *r = route_of(path, method);
            const json_t *security = json_object_get(operation, "security");

            if (r == NULL)
                fail_msg("openapi.json tells of %s %s, which is no route", method, path);
            assert_int_equal(r->scope == 0, security && json_array_size(security) == 0);
            if (json_object_get(operation, "requestBody"))
                assert_int_not_equal(r->body, BODY_IGNORED);
        }
    }
}

/* Each part of a path is one of the operation's parameters. */
static void parts_of_paths_are_parameters(void **state)
{
    nr_auto_json json_t *j = document();
    json_t *operations, *operation, *one;
    const char *path, *method;
    size_t i;

    (void)state;
    json_object_foreach(json_object_get(j, "paths"), path, operations) {
        json_object_foreach(operations, method, operation) {
            unsigned found = 0, wanted = 0;

            for (const char *p = path; (p = strchr(p, '{')) != NULL; p++)
                wanted++;
            json_array_foreach(json_object_get(operation, "parameters"), i, one) {
                const char *ref = nr_json_string(one, "$ref");
                char part[64];

                assert_non_null(ref);
                (void)snprintf(part, sizeof(part), "{%s}", strrchr(ref, '/') + 1);
                found += strstr(path, part) != NULL;
            }
            assert_int_equal(found, wanted);
        }
    }
}

/* "#/a/b/c" */
static const json_t *at(const json_t *j, const char *ref)
{
    struct nr_str rest = nr_str_of(ref + 2), word;
    char key[64];

    while (j && nr_str_split(&rest, '/', &word)) {
        (void)snprintf(key, sizeof(key), "%.*s", (int)word.n, word.p);
        j = json_object_get(j, key);
    }
    return j;
}

static void check_references(const json_t *root, json_t *j, unsigned *count)
{
    const char *key, *ref = nr_json_string(j, "$ref");
    json_t *one;
    size_t i;

    if (ref) {
        (*count)++;
        if (strncmp(ref, "#/", 2) != 0 || at(root, ref) == NULL)
            fail_msg("%s is not defined", ref);
    }
    json_object_foreach(j, key, one)
        check_references(root, one, count);
    json_array_foreach(j, i, one)
        check_references(root, one, count);
}

static void references_lead_somewhere(void **state)
{
    nr_auto_json json_t *j = document();
    unsigned count = 0;

    (void)state;
    check_references(j, j, &count);
    assert_true(count > 20);
}

static void operations_have_names_of_their_own(void **state)
{
    nr_auto_json json_t *j = document(), *seen = json_object();
    json_t *operations, *operation;
    const char *path, *method;

    (void)state;
    json_object_foreach(json_object_get(j, "paths"), path, operations) {
        json_object_foreach(operations, method, operation) {
            const char *id = nr_json_string(operation, "operationId");

            assert_non_null(id);
            assert_null(json_object_get(seen, id));
            json_object_set_new(seen, id, json_true());
            assert_non_null(nr_json_string(operation, "summary"));
        }
    }
    assert_string_equal(nr_json_string(j, "openapi"), "3.1.0");
    assert_null(strchr(nr_json_string(json_object_get(j, "info"), "version"), '@'));
}

/* ---- /api/v1 ------------------------------------------------------------------------------------------------ */

#define WHISK "/api/v1"

/* What stands between braces does not matter: the document calls parts as OpenWhisk does. */
static void shape_of(const char *path, char *out, size_t n)
{
    size_t at = 0;

    for (const char *p = path; *p && at + 3 < n; p++) {
        out[at++] = *p;
        if (*p == '{')
            p += strcspn(p + 1, "}");
    }
    out[at] = '\0';
}

/* The document's path for a pattern below /api/v1; false: not one that it tells of by itself. */
static bool whisk_path(const struct route *r, char *out, size_t n)
{
    static const char managers[] = "/web/whisk.system/apimgmt/";
    char path[256];

    path_of(r->pattern, path, sizeof(path));
    if (strncmp(path, WHISK, strlen(WHISK)) != 0 || r->method == NR_HTTP_OPTIONS)
        return false;
    const char *rest = path + strlen(WHISK);

    if (strncmp(rest, managers, strlen(managers)) == 0 && strstr(rest, ".http") == NULL)
        return false; /* the same without its suffix */
    shape_of(*rest ? rest : "/", out, n);
    return true;
}

static const char *whisk_method(const struct route *r)
{
    return r->method == NR_HTTP_HEAD ? "head" : r->method == NR_HTTP_PATCH ? "patch" : method_of(r);
}

static bool whisk_operation(json_t *j, const char *shape, const char *method)
{
    json_t *operations;
    const char *path;

    json_object_foreach(json_object_get(j, "paths"), path, operations) {
        char own[256];

        shape_of(path, own, sizeof(own));
        if (strcmp(own, shape) == 0 && json_object_get(operations, method))
            return true;
    }
    return false;
}

static void each_route_of_openwhisk_is_an_operation(void **state)
{
    nr_auto_json json_t *j = read_document(OPENAPI_SWAGGER);
    char shape[256];
    unsigned count = 0;

    (void)state;
    for (size_t i = 0; i < route_count(); i++) {
        if (!whisk_path(&routes[i], shape, sizeof(shape)))
            continue;
        count++;
        if (!whisk_operation(j, shape, whisk_method(&routes[i])))
            fail_msg("swagger.json does not tell of %s %s", whisk_method(&routes[i]), shape);
    }
    assert_true(count > 30);
}

static bool is_whisk_route(const char *shape, const char *method, bool open)
{
    for (size_t i = 0; i < route_count(); i++) {
        char own[256];

        if (whisk_path(&routes[i], own, sizeof(own)) && strcmp(own, shape) == 0 &&
            strcmp(whisk_method(&routes[i]), method) == 0)
            return (routes[i].scope == 0) == open;
    }
    return false;
}

static void each_operation_of_openwhisk_is_a_route(void **state)
{
    nr_auto_json json_t *j = read_document(OPENAPI_SWAGGER);
    json_t *operations, *operation;
    const char *path, *method;
    unsigned count = 0;

    (void)state;
    json_object_foreach(json_object_get(j, "paths"), path, operations) {
        json_object_foreach(operations, method, operation) {
            const json_t *security = json_object_get(operation, "security");
            char shape[256];

            shape_of(path, shape, sizeof(shape));
            if (!is_whisk_route(shape, method, security && json_array_size(security) == 0))
                fail_msg("swagger.json tells of %s %s, which is no route, or not for everybody",
                         method, path);
        }
    }
    check_references(j, j, &count);
    assert_true(count > 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_route_is_an_operation),
        cmocka_unit_test(each_operation_is_a_route),
        cmocka_unit_test(parts_of_paths_are_parameters),
        cmocka_unit_test(references_lead_somewhere),
        cmocka_unit_test(operations_have_names_of_their_own),
        cmocka_unit_test(each_route_of_openwhisk_is_an_operation),
        cmocka_unit_test(each_operation_of_openwhisk_is_a_route),
    };

    return cmocka_run_group_tests_name("gateway/openapi", tests, NULL, NULL);
}
