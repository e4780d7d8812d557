/* An operation is found in a document at paths / <path> / <method in lower case>; who it calls stands in its "x-openwhisk": namespace, package,
 * action (which may name a version: "hello?version=3"). The extension of the web action is the end of the address there, and the secret of a
 * protected one is what the document's assembly sets as X-Require-Whisk-Auth for that operation: so a document that was got from here, or
 * written for another OpenWhisk, makes the same API again.
 */
#include "fnmanager/entities/swagger.h"

#include <ctype.h>
#include <stdio.h>

#include "common/base/mem.h"
#include "ports/target.h"

static const char *const methods[] = {"GET", "PUT", "POST", "DELETE", "PATCH", "HEAD", "OPTIONS"};
static const char *const extensions[] = {"http", "json", "html", "svg", "text"};

void api_route_fini(struct api_route *r)
{
    char *const texts[] = {r->base_path, r->path, r->method, r->extension, r->secret};

    for (size_t i = 0; i < nr_countof(texts); i++)
        free(texts[i]);
    function_target_fini(&r->action);
    *r = (struct api_route){0};
}

void api_routes_fini(struct api_routes *r)
{
    for (size_t i = 0; i < r->n; i++)
        api_route_fini(&r->list[i]);
    free(r->list);
    *r = (struct api_routes){0};
}

int api_routes_add(struct api_routes *r, struct api_route *route)
{
    struct api_route *grown = r->list;

    if ((r->n & (r->n - 1)) == 0) /* full at every power of two */
        grown = nr_try_realloc(r->list, (r->n ? 2 * r->n : 1) * sizeof(*grown));
    if (grown == NULL) {
        api_route_fini(route);
        return NR_ENOMEM;
    }
    r->list = grown;
    r->list[r->n++] = *route;
    return 0;
}

size_t api_routes_remove(struct api_routes *r, struct nr_str path, struct nr_str method)
{
    size_t kept = 0, n = r->n;

    for (size_t i = 0; i < n; i++) {
        struct api_route *at = &r->list[i];

        if (nr_str_eqz(path, at->path) && (method.n == 0 || nr_str_ieqz(method, at->method)))
            api_route_fini(at);
        else
            r->list[kept++] = *at;
    }
    r->n = kept;
    return n - kept;
}

static const char *word_of(struct nr_str word, const char *const *words, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (nr_str_ieqz(word, words[i]))
            return words[i];
    }
    return NULL;
}

const char *swagger_method(struct nr_str word)
{
    return word_of(word, methods, nr_countof(methods));
}

const char *swagger_extension(struct nr_str word)
{
    return word_of(word, extensions, nr_countof(extensions));
}

/* ---- paths ---- */

static bool word_is_good(struct nr_str w, bool *ret_braces)
{
    bool open = w.n > 0 && w.p[0] == '{', close = w.n > 0 && w.p[w.n - 1] == '}';
    struct nr_str name = open ? (struct nr_str){w.p + 1, w.n - 1 - close} : w;

    *ret_braces = open;
    if (w.n == 0 || nr_str_eqz(w, ".") || nr_str_eqz(w, "..") || open != close ||
        (open && name.n == 0))
        return false;
    for (size_t i = 0; i < name.n; i++) {
        unsigned char c = (unsigned char)name.p[i];

        if (c <= ' ' || c == 127 || strchr("?#{}\\", c) != NULL ||
            (open && !isalnum(c) && strchr("_.-", c) == NULL))
            return false;
    }
    return true;
}

int swagger_path_check(struct nr_str path, bool is_base, struct nr_err *err)
{
    const char *what = is_base ? "base path" : "path";
    struct nr_str rest = path, word;
    bool braces;

    if (path.n > API_PATH_MAX_BYTES)
        return nr_err_set(err, NR_EINVAL, "The %s has %zu bytes; at most %d are allowed.", what,
                          path.n, API_PATH_MAX_BYTES);
    if (path.n == 0 || path.p[0] != '/')
        return nr_err_set(err, NR_EINVAL, "The %s '%.*s' must begin with a '/'.", what, (int)path.n,
                          path.n ? path.p : "");
    rest.p++;
    rest.n--;
    if (rest.n > 1 && rest.p[rest.n - 1] == '/')
        rest.n--;
    while (rest.n > 0 && nr_str_split(&rest, '/', &word)) {
        if (!word_is_good(word, &braces))
            return nr_err_set(err, NR_EINVAL,
                              "The %s '%.*s' is not valid: '%.*s' can be no part of it.", what,
                              (int)(path.n < 128 ? path.n : 128), path.p,
                              (int)(word.n < 64 ? word.n : 64), word.p);
        if (braces && is_base)
            return nr_err_set(err, NR_EINVAL,
                              "The base path (%.*s) cannot have parameters. Only the relative path "
                              "supports path parameters.",
                              (int)(path.n < 128 ? path.n : 128), path.p);
    }
    return 0;
}

/* ---- documents ---- */

json_t *swagger_make(const char *base_path, const char *title)
{
    return json_pack("{s:s, s:{s:s, s:s}, s:s, s:{}, s:{s:{s:b}}}", "swagger", "2.0", "info",
                     "title", title, "version", "1.0.0", "basePath", base_path, "paths",
                     "x-ibm-configuration", "cors", "enabled", 1);
}

bool swagger_is_empty(const json_t *doc)
{
    return json_object_size(nr_json_object(doc, "paths")) == 0;
}

static void lower(const char *method, char out[8])
{
    size_t i = 0;

    for (; method[i] && i < 7; i++)
        out[i] = (char)tolower((unsigned char)method[i]);
    out[i] = '\0';
}

json_t *swagger_ids(const json_t *doc, const json_t *but, const char **ret_twice)
{
    json_t *ids = json_object();
    const char *path, *verb;
    json_t *item, *op;

    *ret_twice = NULL;
    json_object_foreach(nr_json_object(doc, "paths"), path, item)
        json_object_foreach(item, verb, op) {
            const char *id = op != but ? nr_json_string(op, "operationId") : NULL;

            if (id != NULL && *id && json_object_get(ids, id) != NULL)
                *ret_twice = id;
            if (id != NULL && *id && json_object_set_new(ids, id, json_true()) != 0) {
                json_decref(ids);
                return NULL;
            }
        }
    return ids;
}

char *swagger_operation_id(json_t *ids, const char *path, const char *method)
{
    bool first = true;
    struct nr_buf id;
    char verb[8];
    size_t n;
    char *text;

    lower(method, verb);
    nr_buf_init(&id, API_PATH_MAX_BYTES + 64);
    nr_buf_adds(&id, verb);
    for (const char *c = path; *c; c++) {
        if (isalnum((unsigned char)*c))
            nr_buf_addc(&id, (char)(first ? toupper((unsigned char)*c) : *c));
        first = !isalnum((unsigned char)*c);
    }
    text = nr_buf_detach(&id, &n);
    for (unsigned i = 2; text != NULL && json_object_get(ids, text) != NULL; i++) {
        nr_buf_init(&id, n + 16);
        nr_buf_add(&id, text, n);
        nr_buf_printf(&id, "_%u", i);
        free(text);
        text = nr_buf_detach(&id, NULL);
    }
    if (text != NULL && json_object_set_new(ids, text, json_true()) == 0)
        return text;
    free(text);
    return NULL;
}

json_t *swagger_target(const struct function_target *t)
{
    struct nr_buf name;
    json_t *o;

    nr_buf_init(&name, 4096);
    function_target_name(t, &name);
    o = json_pack("{s:s, s:s, s:s%}", "namespace", t->account, "package", t->package, "action",
                  name.p, name.n);
    nr_buf_fini(&name);
    return o;
}

/* {"name","in":"path",…} for every word in braces. */
static json_t *make_parameters(const char *path)
{
    struct nr_str rest = nr_str_of(path), word;
    json_t *all = json_array();

    while (nr_str_split(&rest, '/', &word)) {
        if (word.n > 2 && word.p[0] == '{')
            (void)json_array_append_new(all, json_pack("{s:s%, s:s, s:b, s:s}", "name", word.p + 1,
                                                       word.n - 2, "in", "path", "required", 1,
                                                       "type", "string"));
    }
    return all;
}

int swagger_put(json_t *doc, const struct api_route *r, json_t *parameters, struct nr_err *err)
{
    json_t *paths = nr_json_object(doc, "paths"), *item = nr_json_object(paths, r->path);
    const char *twice;
    char verb[8];
    int e;

    lower(r->method, verb);
    nr_auto_json json_t *list =
        parameters != NULL ? json_incref(parameters) : make_parameters(r->path);
    nr_auto_json json_t *op = json_pack("{s:s, s:o, s:{s:{s:s}}}", "operationId", "", "x-openwhisk",
                                        swagger_target(&r->action), "responses", "default",
                                        "description", "Default response");
    nr_auto_json json_t *ids = swagger_ids(doc, nr_json_object(item, verb), &twice);
    nr_auto_free char *id = swagger_operation_id(ids, r->path, r->method);
    if (op == NULL || id == NULL || json_object_set_new(op, "operationId", json_string(id)) != 0)
        return nr_err_set(err, NR_ENOMEM, "out of memory");
    if (json_array_size(list) > 0)
        (void)json_object_set(op, "parameters", list);
    if ((e = swagger_parameters_check(item, op, r->path, r->extension, err)) < 0)
        return e;
    if (item == NULL) {
        item = json_object();
        (void)json_object_set_new(paths, r->path, item);
    }
    return json_object_set(item, verb, op) == 0 ? 0 : nr_err_set(err, NR_ENOMEM, "out of memory");
}

static bool has_operations(const json_t *item)
{
    const char *verb;
    json_t *op;

    json_object_foreach((json_t *)(uintptr_t)item, verb, op) {
        if (swagger_method(nr_str_of(verb)) != NULL)
            return true;
    }
    return false;
}

int swagger_remove(json_t *doc, struct nr_str path, struct nr_str method, struct nr_err *err)
{
    json_t *paths = nr_json_object(doc, "paths");
    nr_auto_free char *key = nr_strndup(path.p, path.n);
    json_t *item = nr_json_object(paths, key);
    const char *word = swagger_method(method);
    char verb[8];

    if (method.n == 0) {
        return json_object_del(paths, key) == 0
                   ? 0
                   : nr_err_set(err, NR_ENOENT, "path '%.256s' does not exist in the API", key);
    }
    lower(word != NULL ? word : "", verb);
    if (json_object_del(item, verb) != 0)
        return nr_err_set(err, NR_ENOENT,
                          "path '%.256s' with operation '%.*s' does not exist in the API", key,
                          (int)(method.n < 32 ? method.n : 32), method.p);
    if (!has_operations(item))
        (void)json_object_del(paths, key);
    return 0;
}
