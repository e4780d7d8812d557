/* Who is called is what the action's namespace and name say. The address that clients send beside them is not read: it holds the "_" and the host
 * that the client was given, and not always a valid one. Neither is the id of the API, nor the key.
 */
#include "fnmanager/entities/api_order.h"

#include <stdio.h>

#include "common/base/mem.h"
#include "fnmanager/entities/entity_body.h"
#include "ports/target.h"

#define API_NAME_MAX_BYTES 256

void api_order_fini(struct api_order *o)
{
    json_decref(o->doc);
    json_decref(o->apidoc);
    json_decref(o->swagger);
    free(o->base_path);
    api_route_fini(&o->route);
    api_routes_fini(&o->routes);
    *o = (struct api_order){0};
}

/* A member that is an object, or the JSON text of one (made); *ret NULL: there is none. */
static int object_or_text(const json_t *in, const char *key, json_t **ret, struct nr_err *err)
{
    json_t *value = json_object_get(in, key), *made = NULL;
    struct nr_err why = {0};
    struct nr_str text = {json_string_value(value), json_string_length(value)};

    if (value == NULL || json_is_null(value) || (json_is_string(value) && text.n == 0))
        return 0;
    if (!json_is_object(value) && !json_is_string(value))
        return nr_err_set(err, NR_EINVAL, "%s field should be a JSON object or a JSON string.",
                          key);
    if (json_is_object(value)) {
        made = json_incref(value);
    } else if (entity_json(text, key, &made, &why) < 0) {
        if (why.code == NR_ETOOBIG)
            return nr_err_set(err, why.code, "%s", why.text);
        return nr_err_set(err, NR_EINVAL,
                          "%s field cannot be parsed. Ensure it is valid JSON. (%s)", key,
                          why.text);
    }
    if (json_is_object(made)) {
        *ret = made;
        return 0;
    }
    json_decref(made);
    return nr_err_set(err, NR_EINVAL, "%s field should be a JSON object or a JSON string.", key);
}

/* A text that must be there; `where` begins the sentence. */
static int need(const json_t *in, const char *key, const char *where, const char **ret,
                struct nr_err *err)
{
    int r;

    *ret = NULL;
    if ((r = entity_string(in, key, ret, err)) < 0)
        return r;
    return *ret != NULL && **ret
               ? 0
               : nr_err_set(err, NR_EINVAL, "%s is missing the %s field.", where, key);
}

/* Without a slash at its end, so that there are no two of one meaning. */
static char *plain_base(const char *text)
{
    size_t n = strlen(text);

    return nr_strndup(text, n > 1 && text[n - 1] == '/' ? n - 1 : n);
}

/* "hello", "pkg/hello" or "/ns/pkg/hello", in the namespace beside it. */
static int read_action(const json_t *action, const char *account, struct function_target *ret,
                       struct nr_err *err)
{
    const char *ns, *name;
    struct nr_buf text;
    int r;

    if ((r = need(action, "namespace", "action", &ns, err)) < 0 ||
        (r = need(action, "name", "action", &name, err)) < 0)
        return r;
    nr_buf_init(&text, 4 * ENTITY_NAME_MAX_BYTES + 256);
    if (name[0] != '/')
        nr_buf_printf(&text, "/%s/", ns);
    nr_buf_adds(&text, name);
    r = text.failed ? nr_err_set(err, NR_EINVAL, "The name of the action is too long.")
                    : function_target_read(nr_buf_str(&text), account, ret, err);
    nr_buf_fini(&text);
    return r;
}

/* A text, or a number (clients make such secrets up). */
static int read_secret(const json_t *action, char **ret, struct nr_err *err)
{
    const json_t *value = json_object_get(action, "secureKey");
    char number[32] = "";
    const char *text = value == NULL || json_is_null(value) ? "" : json_string_value(value);

    if (json_is_integer(value)) {
        (void)snprintf(number, sizeof(number), "%lld", (long long)json_integer_value(value));
        text = number;
    }
    if (text == NULL)
        return nr_err_set(err, NR_EINVAL, "action field secureKey must be a text or a number.");
    for (const char *c = text; *c; c++) {
        if ((unsigned char)*c < ' ' || *c == 127 || c - text >= API_SECRET_MAX_BYTES)
            return nr_err_set(err, NR_EINVAL,
                              "action field secureKey can be no header: it has control characters, "
                              "or more than %d bytes.",
                              API_SECRET_MAX_BYTES);
    }
    *ret = nr_strdup(text);
    return 0;
}

static int read_extension(struct nr_str response_type, char **ret, struct nr_err *err)
{
    const char *known = swagger_extension(response_type.n ? response_type : NR_STR("json"));

    if (known == NULL)
        return nr_err_set(err, NR_EINVAL,
                          "The response type '%.*s' is not one of http, json, html, svg, text.",
                          (int)(response_type.n < 32 ? response_type.n : 32), response_type.p);
    *ret = nr_strdup(known);
    return 0;
}

static int read_operation(struct api_order *o, const char *account, struct nr_str response_type,
                          struct nr_err *err)
{
    const char *base, *path, *method, *word;
    json_t *action;
    int r;

    if ((r = need(o->apidoc, "gatewayBasePath", "apidoc", &base, err)) < 0 ||
        (r = need(o->apidoc, "gatewayPath", "apidoc", &path, err)) < 0 ||
        (r = need(o->apidoc, "gatewayMethod", "apidoc", &method, err)) < 0 ||
        (r = swagger_path_check(nr_str_of(base), true, err)) < 0 ||
        (r = swagger_path_check(nr_str_of(path), false, err)) < 0)
        return r;
    if ((word = swagger_method(nr_str_of(method))) == NULL)
        return nr_err_set(err, NR_EINVAL, "The method '%.32s' of the operation is not known.",
                          method);
    if ((action = nr_json_object(o->apidoc, "action")) == NULL)
        return nr_err_set(err, NR_EINVAL, "apidoc is missing the action field.");
    if ((r = entity_member(o->apidoc, "pathParameters", JSON_ARRAY, "an array", &o->parameters,
                           err)) < 0)
        return r;
    o->base_path = plain_base(base);
    o->route.base_path = nr_strdup(o->base_path);
    o->route.path = nr_strdup(path);
    o->route.method = nr_strdup(word);
    if ((r = read_action(action, account, &o->route.action, err)) < 0 ||
        (r = read_extension(response_type, &o->route.extension, err)) < 0)
        return r;
    return read_secret(action, &o->route.secret, err);
}

static int read_document(struct api_order *o, const char *account, struct nr_err *err)
{
    const json_t *info = nr_json_object(o->swagger, "info");
    const char *base = nr_json_string(o->swagger, "basePath");
    int r;

    if (json_object_get(o->apidoc, "gatewayBasePath") != NULL)
        return nr_err_set(err, NR_EINVAL,
                          "swagger and gatewayBasePath are mutually exclusive and cannot be "
                          "specified together.");
    if (base != NULL) {
        o->base_path = plain_base(base);
        if (json_object_set_new(o->swagger, "basePath", json_string(o->base_path)) != 0)
            return nr_err_set(err, NR_ENOMEM, "out of memory");
    }
    if ((r = swagger_read(o->swagger, account, &o->routes, err)) < 0)
        return r;
    return entity_string(info, "title", &o->name, err);
}

int api_order_read(struct nr_str body, const char *account, struct nr_str response_type,
                   struct api_order *ret, struct nr_err *err)
{
    int r;

    *ret = (struct api_order){0};
    if ((r = entity_json(body, "Request", &ret->doc, err)) < 0)
        return r;
    if (!json_is_object(ret->doc))
        return entity_malformed(err, "Object expected");
    if ((r = object_or_text(ret->doc, "apidoc", &ret->apidoc, err)) < 0)
        return r;
    if (ret->apidoc == NULL)
        return nr_err_set(err, NR_EINVAL, "apidoc is required.");
    if ((r = object_or_text(ret->apidoc, "swagger", &ret->swagger, err)) < 0 ||
        (r = entity_string(ret->apidoc, "apiName", &ret->name, err)) < 0)
        return r;
    r = ret->swagger != NULL ? read_document(ret, account, err)
                             : read_operation(ret, account, response_type, err);
    if (r == 0 && ret->name != NULL && strlen(ret->name) > API_NAME_MAX_BYTES)
        r = nr_err_set(err, NR_EINVAL, "The name of the API has %zu bytes; at most %d are allowed.",
                       strlen(ret->name), API_NAME_MAX_BYTES);
    return r;
}
