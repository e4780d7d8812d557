/* A client's whole document. Nobody but the reader of it knows all that may stand in one, so it judges what is served and leaves the rest as it is:
 * paths, operations, who they call, and the words in braces. The first operation that is wrong refuses the document, by name.
 */
#include "fnmanager/entities/swagger.h"

#include "common/base/mem.h"
#include "ports/target.h"

#define PARAMETER_RESERVED "__ow_"

/* ---- words in braces ---- */

static bool is_described(const json_t *list, struct nr_str name)
{
    size_t i;
    json_t *e;

    json_array_foreach((json_t *)(uintptr_t)list, i, e) {
        const char *word = nr_json_string(e, "name");

        if (word != NULL && nr_str_eqz(name, word))
            return true;
    }
    return false;
}

int swagger_parameters_check(const json_t *path_item, const json_t *operation, const char *path,
                             const char *extension, struct nr_err *err)
{
    struct nr_str rest = nr_str_of(path), word;

    while (nr_str_split(&rest, '/', &word)) {
        struct nr_str name = {word.p + 1, word.n - 2};

        if (word.n < 3 || word.p[0] != '{')
            continue;
        if (nr_str_starts(name, PARAMETER_RESERVED))
            return nr_err_set(err, NR_EINVAL,
                              "The parameter '%.*s' defined in path '%.256s' is not allowed: names "
                              "that begin with '" PARAMETER_RESERVED "' are the platform's.",
                              (int)name.n, name.p, path);
        if (strcmp(extension, "http") != 0)
            return nr_err_set(err, NR_EINVAL,
                              "The action must use a response type of '.http' in order to receive "
                              "the path parameters.");
        if (!is_described(json_object_get(path_item, "parameters"), name) &&
            !is_described(json_object_get(operation, "parameters"), name))
            return nr_err_set(err, NR_EINVAL,
                              "The parameter '%.*s' defined in path '%.256s' does not match any of "
                              "the parameters defined for the path in the swagger file.",
                              (int)name.n, name.p, path);
    }
    return 0;
}

/* ---- how an operation is carried out ---- */

static bool names_operation(const json_t *operations, const char *id)
{
    size_t i;
    json_t *e;

    json_array_foreach((json_t *)(uintptr_t)operations, i, e) {
        const char *word = json_string_value(e);

        if (word != NULL && strcmp(word, id) == 0)
            return true;
    }
    return false;
}

/* The secret that the steps of a case set, lent; "". */
static const char *secret_of_case(const json_t *one)
{
    const char *secret = "";
    json_t *step, *action;
    size_t i, k;

    json_array_foreach(json_object_get(one, "execute"), i, step)
        json_array_foreach(json_object_get(nr_json_object(step, "set-variable"), "actions"), k,
                           action) {
            const char *what = nr_json_string(action, "set");
            const char *value = nr_json_string(action, "value");

            if (what != NULL && value != NULL && strcmp(what, API_HEADER_SECRET) == 0)
                secret = value;
        }
    return secret;
}

/* Lent by the document; "" when its assembly sets none for this operation. */
static const char *secret_of(const json_t *doc, const char *id)
{
    const json_t *assembly = nr_json_object(nr_json_object(doc, "x-ibm-configuration"), "assembly");
    const char *secret = "";
    json_t *step, *one;
    size_t i, k;

    json_array_foreach(json_object_get(assembly, "execute"), i, step)
        json_array_foreach(json_object_get(nr_json_object(step, "operation-switch"), "case"), k,
                           one) {
            if (names_operation(json_object_get(one, "operations"), id))
                secret = secret_of_case(one);
        }
    return secret;
}

/* The last word behind a dot of an address, when it is one that we know. */
static const char *extension_of(const char *url)
{
    const char *dot = url != NULL ? strrchr(url, '.') : NULL;
    const char *known = dot != NULL ? swagger_extension(nr_str_of(dot + 1)) : NULL;

    return known != NULL ? known : "http";
}

/* ---- operations ---- */

/* Where in the document: for sentences, and for what it holds. */
struct place {
    json_t *doc, *item, *op;
    json_t *ids; /* of all operations */
    const char *path, *method;
    const char *account;
};

static int refuse(const struct place *at, const char *why, struct nr_err *err)
{
    return nr_err_set(err, NR_EINVAL, "%s %.256s: %s", at->method, at->path, why);
}

/* "/ns/pkg/name" out of the three words. */
static int read_target(const struct place *at, const json_t *ext, struct function_target *ret,
                       struct nr_err *err)
{
    const char *ns = nr_json_string(ext, "namespace"), *package = nr_json_string(ext, "package");
    const char *action = nr_json_string(ext, "action");
    struct nr_buf text;
    int r;

    if (ns == NULL || action == NULL || ns[0] == '\0' || action[0] == '\0')
        return refuse(
            at, "x-openwhisk needs 'namespace', 'action' and, when it is in one, 'package'.", err);
    nr_buf_init(&text, 4 * ENTITY_NAME_MAX_BYTES + 256);
    if (action[0] != '/')
        nr_buf_printf(&text, "/%s/%s%s", ns, package ? package : "",
                      package && *package ? "/" : "");
    nr_buf_adds(&text, action);
    r = text.failed ? refuse(at, "x-openwhisk names no action.", err)
                    : function_target_read(nr_buf_str(&text), at->account, ret, err);
    nr_buf_fini(&text);
    return r < 0 ? nr_err_wrap(err, r, "%s %.128s", at->method, at->path) : 0;
}

/* The stored form of an operation: an id, and whom it calls with nothing left to resolve. */
static int tidy(const struct place *at, const struct function_target *t, struct nr_err *err)
{
    json_t *ext = swagger_target(t);
    int r;

    r = ext != NULL ? json_object_set_new(at->op, "x-openwhisk", ext) : -1;
    if (r == 0 && json_object_get(at->op, "responses") == NULL)
        r = json_object_set_new(
            at->op, "responses",
            json_pack("{s:{s:s}}", "default", "description", "Default response"));
    return r == 0 ? 0 : nr_err_set(err, NR_ENOMEM, "out of memory");
}

static int operation_id(const struct place *at, const char **ret, struct nr_err *err)
{
    const char *id = nr_json_string(at->op, "operationId");

    if (id == NULL || *id == '\0') {
        nr_auto_free char *made = swagger_operation_id(at->ids, at->path, at->method);
        if (made == NULL || json_object_set_new(at->op, "operationId", json_string(made)) != 0)
            return nr_err_set(err, NR_ENOMEM, "out of memory");
        id = nr_json_string(at->op, "operationId");
    }
    *ret = id;
    return 0;
}

static int read_operation(const struct place *at, struct api_routes *ret, struct nr_err *err)
{
    const json_t *ext = nr_json_object(at->op, "x-openwhisk");
    const char *extension = extension_of(nr_json_string(ext, "url")), *id, *secret;
    struct api_route r = {0};
    int e;

    if (!json_is_object(at->op) || ext == NULL)
        return refuse(at, "it needs an object 'x-openwhisk' that names the action.", err);
    if ((e = swagger_parameters_check(at->item, at->op, at->path, extension, err)) < 0 ||
        (e = operation_id(at, &id, err)) < 0 || (e = read_target(at, ext, &r.action, err)) < 0)
        return e;
    secret = secret_of(at->doc, id);
    if (strlen(secret) > API_SECRET_MAX_BYTES || strpbrk(secret, "\r\n") != NULL)
        e = refuse(at, "its X-Require-Whisk-Auth can be no header.", err);
    else
        e = tidy(at, &r.action, err);
    r.path = nr_strdup(at->path);
    r.method = nr_strdup(at->method);
    r.extension = nr_strdup(extension);
    r.secret = nr_strdup(secret);
    r.base_path = nr_strdup(nr_json_string(at->doc, "basePath"));
    if (e == 0)
        return api_routes_add(ret, &r);
    api_route_fini(&r);
    return e;
}

static int read_path(struct place *at, struct api_routes *ret, struct nr_err *err)
{
    int r = swagger_path_check(nr_str_of(at->path), false, err);
    const char *verb;

    if (r == 0 && !json_is_object(at->item))
        r = nr_err_set(err, NR_EINVAL, "The path '%.256s' of the swagger file must be an object.",
                       at->path);
    if (r < 0)
        return r;
    json_object_foreach(at->item, verb, at->op) {
        at->method = swagger_method(nr_str_of(verb));
        if (at->method == NULL)
            continue;
        if (verb[0] == at->method[0])
            return refuse(at, "methods are written in lower case.", err);
        if (ret->n == API_OPERATIONS_MAX)
            return nr_err_set(err, NR_EINVAL, "The swagger file has more than %d operations.",
                              API_OPERATIONS_MAX);
        if ((r = read_operation(at, ret, err)) < 0)
            return r;
    }
    return 0;
}

/* What must be there at all. */
static int check_frame(const json_t *doc, struct nr_err *err)
{
    const char *base = nr_json_string(doc, "basePath");

    if (json_object_get(doc, "openapi") != NULL && json_object_get(doc, "swagger") == NULL)
        return nr_err_set(err, NR_EINVAL,
                          "The file is an OpenAPI 3 document; what is read is Swagger 2.0 "
                          "(\"swagger\": \"2.0\", with basePath and paths).");
    if (base == NULL || *base == '\0')
        return nr_err_set(err, NR_EINVAL, "swagger is missing the basePath field.");
    if (nr_json_object(doc, "paths") == NULL)
        return nr_err_set(err, NR_EINVAL, "swagger is missing the paths field.");
    if (nr_json_object(doc, "info") == NULL)
        return nr_err_set(err, NR_EINVAL, "swagger is missing the info field.");
    return swagger_path_check(nr_str_of(base), true, err);
}

static int read_paths(struct place *at, struct api_routes *ret, struct nr_err *err)
{
    int r = 0;

    json_object_foreach(nr_json_object(at->doc, "paths"), at->path, at->item) {
        if (r == 0)
            r = read_path(at, ret, err);
    }
    if (r == 0 && ret->n == 0)
        r = nr_err_set(err, NR_EINVAL, "The swagger file has no operation.");
    return r;
}

int swagger_read(json_t *doc, const char *account, struct api_routes *ret, struct nr_err *err)
{
    struct place at = {.doc = doc, .account = account};
    struct api_routes all = {0};
    const char *twice;
    int r = check_frame(doc, err);

    if (r < 0)
        return r;
    nr_auto_json json_t *ids = swagger_ids(doc, NULL, &twice);
    at.ids = ids;
    if (ids == NULL)
        r = nr_err_set(err, NR_ENOMEM, "out of memory");
    else if (twice != NULL)
        r = nr_err_set(err, NR_EINVAL,
                       "Several operations of the swagger file have the operationId '%.128s'.",
                       twice);
    else
        r = read_paths(&at, &all, err);
    if (r < 0) {
        api_routes_fini(&all);
        return r;
    }
    (void)json_object_del(nr_json_object(doc, "x-ibm-configuration"), "assembly");
    *ret = all;
    return 0;
}
