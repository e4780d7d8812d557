/* narae api: web functions at addresses of one's own. An operation is a method and a path below the API's base path; a whole API is a Swagger 2.0 document. */
#include <ctype.h>
#include <stdio.h>

#include "cli/cli.h"
#include "cli/verbs.h"
#include "common/base/file.h"

#define MANAGE "/api/v1/web/whisk.system/apimgmt/"
#define DOCUMENT_MAX_BYTES (1 << 20)

/* ---- what there is --------------------------------------------------------------------------------------------------------- */

/* A row for each operation of an API. */
static void add_operations(json_t *rows, const json_t *api)
{
    const json_t *value = json_object_get(api, "value"), *doc = json_object_get(value, "apidoc");
    const char *url = nr_json_string(value, "gwApiUrl"), *path, *method;
    json_t *methods, *operation;

    json_object_foreach(json_object_get(doc, "paths"), path, methods) {
        json_object_foreach(methods, method, operation) {
            const json_t *whisk = json_object_get(operation, "x-openwhisk");
            const char *package = nr_json_string(whisk, "package"),
                       *function = nr_json_string(whisk, "action");
            bool plain = package == NULL || package[0] == '\0' || strcmp(package, "default") == 0;
            char upper[16] = "", name[640], address[2048];

            if (function == NULL)
                continue; /* "parameters" of the path */
            for (size_t i = 0; method[i] && i + 1 < sizeof(upper); i++)
                upper[i] = (char)toupper((unsigned char)method[i]);
            (void)snprintf(name, sizeof(name), "%s%s%s", plain ? "" : package, plain ? "" : "/",
                           function);
            (void)snprintf(address, sizeof(address), "%s%s", url ? url : "", path);
            json_array_append_new(rows, json_pack("{s:s,s:s,s:s,s:O?}", "method", upper, "url",
                                                  address, "function", name, "base",
                                                  json_object_get(doc, "basePath")));
        }
    }
}

static const struct column columns[] = {
    {"METHOD", "method", CELL_TEXT, 0},
    {"URL", "url", CELL_TEXT, 24},
    {"FUNCTION", "function", CELL_TEXT, 10},
    {"API", "base", CELL_TEXT, 8, .wide = true},
};

int verb_api_list(struct cli *c)
{
    nr_auto_free char *path = cli_page(c, MANAGE "getApi");
    nr_auto_json json_t *answer = NULL, *rows = json_array();
    int e = cli_call(c, "GET", path, NULL, 0, &answer, NULL);
    json_t *api;
    size_t i;

    if (e != 0)
        return e;
    if (cli_json(c)) {
        cli_print_json(answer);
        return 0;
    }
    json_array_foreach(json_object_get(answer, "apis"), i, api)
        add_operations(rows, api);
    cli_show_list(c, rows, NULL, columns, nr_countof(columns),
                  "no APIs; narae api create BASE PATH METHOD FUNCTION makes one");
    return 0;
}

/* The document, so that it can be written to a file, edited and given to `api create`. */
int verb_api_get(struct cli *c)
{
    nr_auto_free char *path = cli_path(MANAGE "getApi?basepath=%s", c->argv[0]);
    nr_auto_json json_t *answer = NULL;
    int e = cli_call(c, "GET", path, NULL, 0, &answer, NULL);
    const json_t *apis = json_object_get(answer, "apis"),
                 *value = json_object_get(json_array_get(apis, 0), "value");

    if (e != 0)
        return e;
    if (json_array_size(apis) == 0)
        return cli_fail_why(c, WHY_NOT_FOUND,
                            "there is no API %s\n  `narae api list` lists what there is",
                            c->argv[0]);
    if (json_array_size(apis) > 1 && !cli_json(c))
        return cli_fail(c, "%zu APIs have the name %s: say which by its base path",
                        json_array_size(apis), c->argv[0]);
    cli_print_json(cli_json(c) ? answer : json_object_get(value, "apidoc"));
    return 0;
}

/* ---- create ------------------------------------------------------------------------------------------------------------------ */

/* The words in braces of a path, as the document names them (made). */
static json_t *path_parameters(const char *path)
{
    json_t *list = json_array();

    for (const char *p = path; (p = strchr(p, '{')) != NULL; p++) {
        size_t n = strcspn(p + 1, "}/");

        if (p[1 + n] == '}' && n > 0)
            json_array_append_new(list, json_pack("{s:s%,s:s,s:b,s:s}", "name", p + 1, n, "in",
                                                  "path", "required", true, "type", "string"));
    }
    return list;
}

static json_t *operation(const struct cli *c, const char *method)
{
    const char *base = c->argv[0], *path = c->argv[1], *function = c->argv[3];
    char url[2048], id[1024];
    bool packaged = strchr(function, '/') != NULL;
    json_t *doc;

    (void)snprintf(url, sizeof(url), "%s/api/v1/web/_/%s%s.%s", c->api_host,
                   packaged ? "" : "default/", function,
                   c->text[OPT_RESPONSE_TYPE] ? c->text[OPT_RESPONSE_TYPE] : "json");
    (void)snprintf(id, sizeof(id), "API:_:%s", base);
    doc = json_pack("{s:s,s:s,s:s,s:s,s:s,s:o,s:{s:s,s:s,s:s,s:s,s:s}}", "namespace", "_",
                    "gatewayBasePath", base, "gatewayPath", path, "gatewayMethod", method, "id", id,
                    "pathParameters", path_parameters(path), "action", "name", function,
                    "namespace", "_", "backendMethod", method, "backendUrl", url, "authkey",
                    c->auth ? c->auth : "");
    if (doc && c->text[OPT_NAME])
        json_object_set_new(doc, "apiName", json_string(c->text[OPT_NAME]));
    return doc;
}

static int created(const struct cli *c, const json_t *answer, const char *method, const char *path)
{
    const char *url = nr_json_string(answer, "gwApiUrl");

    if (cli_json(c))
        cli_print_json(answer);
    else
        printf("%s%s%s%s\n", method, method[0] ? "  " : "", url ? url : "?", path);
    return 0;
}

static int send(struct cli *c, json_t *doc, const char *method, const char *path)
{
    const char *type = c->text[OPT_RESPONSE_TYPE];
    nr_auto_free char *to =
        cli_path(MANAGE "createApi?responsetype=%s&functions=%s", type ? type : "json",
                 c->text[OPT_FORCE] ? "any" : "reachable");
    nr_auto_json json_t *body = json_pack("{s:o}", "apidoc", doc), *answer = NULL;

    if (body == NULL)
        return cli_fail(c, "a word is no UTF-8");
    int e = cli_call(c, "POST", to, body, 0, &answer, NULL);

    return e ? e : created(c, answer, method, path);
}

/* The whole API is the document in the file. */
static int create_of_file(struct cli *c)
{
    nr_auto_free char *text = NULL;
    struct nr_err err = {0};
    size_t n;

    if (nr_file_read(strcmp(c->argv[0], "-") == 0 ? "/dev/stdin" : c->argv[0], DOCUMENT_MAX_BYTES,
                     &text, &n, &err) != 0)
        return cli_fail_why(c, WHY_FILE, "%s\n  for example: %s", err.text, c->verb->example);
    nr_auto_json json_t *doc = nr_json_parse((struct nr_str){text, n}, &err);

    if (!json_is_object(doc))
        return cli_fail_why(c, WHY_FILE, "%s is no Swagger document in JSON%s%s", c->argv[0],
                            doc ? "" : ": ", doc ? "" : err.text);
    return send(c, json_pack("{s:s,s:s%}", "namespace", "_", "swagger", text, n), "", "");
}

static const char *const methods[] = {"GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"};

/* "get" -> "GET"; NULL after saying what there is. */
static const char *method_of(const struct cli *c, const char *word)
{
    for (size_t i = 0; i < nr_countof(methods); i++)
        if (strcasecmp(methods[i], word) == 0)
            return methods[i];
    (void)cli_fail(c, "%s: a method is get, post, put, delete, patch, head or options", word);
    return NULL;
}

int verb_api_create(struct cli *c)
{
    const char *method;

    if (c->argc == 1)
        return create_of_file(c);
    if (c->argc != 4)
        return cli_fail(c, "words are missing: narae %s %s\n  for example: %s", c->verb->name,
                        c->verb->words, c->verb->example);
    if ((method = method_of(c, c->argv[2])) == NULL)
        return CLI_NOT_DONE;
    if (c->argv[0][0] != '/' || c->argv[1][0] != '/')
        return cli_fail(c, "%s: base path and path begin with a slash\n  for example: %s",
                        c->argv[c->argv[0][0] == '/'], c->verb->example);
    json_t *doc = operation(c, method);

    return send(c, doc, method, c->argv[1]);
}

/* ---- delete ------------------------------------------------------------------------------------------------------------------ */

int verb_api_delete(struct cli *c)
{
    const char *base = c->argv[0], *path = c->argc > 1 ? c->argv[1] : "",
               *method = c->argc > 2 ? method_of(c, c->argv[2]) : "";
    nr_auto_free char *to =
        path[0] && method && method[0]
            ? cli_path(MANAGE "deleteApi?basepath=%s&relpath=%s&operation=%s", base, path, method)
        : path[0] ? cli_path(MANAGE "deleteApi?basepath=%s&relpath=%s", base, path)
                  : cli_path(MANAGE "deleteApi?basepath=%s", base);

    if (method == NULL)
        return CLI_NOT_DONE;
    int e =
        cli_confirm(c, "delete %s%s%s%s of the API %s", method[0] ? method : "",
                    method[0] ? " " : "", path[0] ? path : "all", path[0] ? "" : " paths", base);
    return e ? e
             : cli_do(c, "DELETE", to, NULL, "deleted %s%s%s%s", method, method[0] ? " " : "", base,
                      path);
}
