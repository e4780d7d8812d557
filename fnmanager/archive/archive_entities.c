/* Export and import ask the operations that clients ask, so an archive holds what a client could have read, and brings nothing that a client could not
 * have sent. One row of a table is one kind.
 *
 * The account's own name is "_" in what leaves, for the account that it comes into may have another one; the names of others stay.
 */
#include "fnmanager/archive/archive_entities.h"

#include "fnmanager/entities/apis_api.h"
#include "fnmanager/entities/entity_body.h"
#include "fnmanager/registry/metadata_packages.h"
#include "fnmanager/entities/packages_api.h"
#include "fnmanager/entities/rules_api.h"
#include "fnmanager/entities/triggers_api.h"

#define PAGE 200
/* In addresses of documents, which a PUT does not look at. */
#define HOST "http://localhost"
#define BINDINGS "bindings"

typedef int operation(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old);

/* How a kind is found, and how it goes: `document` makes the whole one of an element of the list, NULL when it went meanwhile. */
struct kind {
    const char *folder, *word;
    bool before_functions;
    operation *list, *get, *put;
    int (*document)(const struct archive_owner *o, const struct kind *k, const json_t *item,
                    json_t **ret, struct nr_err *err);
    int (*import)(const struct archive_owner *o, const struct kind *k, json_t *document,
                  struct nr_err *err);
};

/* One question of the account to itself; the answer (made) into *ret, NULL when it is empty. */
static int ask(const struct archive_owner *o, operation *run, struct fn_call *call, json_t **ret,
               struct nr_err *err)
{
    nr_auto_free char *name = nr_strndup(o->account.p, o->account.n);
    nr_auto_free char *uuid = nr_strndup(o->key_uuid.n ? o->key_uuid.p : "", o->key_uuid.n);
    struct account self = {.name = name, .uuid = uuid};
    uint64_t old = 0;
    int r;

    call->account = &self;
    if ((r = run(o->m, call, &old)) < 0)
        r = nr_err_set(err, r, "%s", call->err.text);
    else if (ret != NULL && call->reply.n > 0)
        *ret = nr_json_parse(nr_buf_str(&call->reply), NULL);
    if (r == 0 && (call->reply.failed || (ret != NULL && *ret == NULL)))
        r = nr_err_set(err, NR_ENOMEM, "There is no memory to read the account.");
    nr_buf_fini(&call->reply);
    call->account = NULL;
    return r;
}

/* ---- out ----------------------------------------------------------------------------------------------------------- */

/* The own name, and what begins with it and a slash, becomes "_". */
static void make_movable(json_t *object, const char *key, struct nr_str account)
{
    const char *text = nr_json_string(object, key);
    struct nr_buf out;

    if (text == NULL || strncmp(text, account.p, account.n) != 0 ||
        (text[account.n] != '\0' && text[account.n] != '/'))
        return;
    nr_buf_init(&out, 4096);
    nr_buf_addc(&out, '_');
    nr_buf_adds(&out, text + account.n);
    if (!out.failed)
        (void)json_object_set_new(object, key, json_stringn(out.p, out.n));
    nr_buf_fini(&out);
}

/* Of a package what it is itself, not what it has of what it binds. */
static int package_document(const struct archive_owner *o, const struct kind *k, const json_t *item,
                            json_t **ret, struct nr_err *err)
{
    const char *name = nr_json_string(item, "name");
    struct package_row row = {0};
    json_t *binding;
    int r = metadata_package_load(o->m->db, o->account, nr_str_of(name), &row);

    if (r < 0)
        return r == NR_ENOENT ? 0 : nr_err_set(err, r, TEXT_INTERNAL);
    binding = json_object();
    if (package_is_binding(&row)) {
        (void)json_object_set_new(binding, "namespace", json_string(row.binding_account));
        (void)json_object_set_new(binding, "name", json_string(row.binding_name));
        make_movable(binding, "namespace", o->account);
    }
    if (package_is_binding(&row) == (strcmp(k->folder, BINDINGS) == 0))
        *ret = json_pack("{s:s, s:s, s:b, s:o, s:o, s:O}", "name", name, "version", row.version,
                         "publish", row.publish, "parameters",
                         nr_json_parse(nr_str_of(row.parameters), NULL), "annotations",
                         nr_json_parse(nr_str_of(row.annotations), NULL), "binding", binding);
    json_decref(binding);
    package_row_fini(&row);
    return 0;
}

/* As its GET shows it. */
static int shown_document(const struct archive_owner *o, const struct kind *k, const json_t *item,
                          json_t **ret, struct nr_err *err)
{
    struct fn_call call = {.name = nr_str_of(nr_json_string(item, "name"))};
    struct nr_err why = {0};
    int r = ask(o, k->get, &call, ret, &why);

    if (r < 0)
        return r == NR_ENOENT ? 0 : nr_err_set(err, r, "%s", why.text);
    make_movable(nr_json_object(*ret, "trigger"), "path", o->account);
    make_movable(nr_json_object(*ret, "action"), "path", o->account);
    (void)json_object_del(*ret, "rules"); /* files of their own */
    return 0;
}

/* Its Swagger document. */
static int api_document(const struct archive_owner *o, const struct kind *k, const json_t *item,
                        json_t **ret, struct nr_err *err)
{
    json_t *doc = json_object_get(json_object_get(item, "value"), "apidoc"), *path, *one;
    const char *key;

    (void)k;
    (void)err;
    json_object_foreach(nr_json_object(doc, "paths"), key, path) {
        const char *method;

        json_object_foreach(path, method, one)
            make_movable(nr_json_object(one, "x-openwhisk"), "namespace", o->account);
    }
    *ret = json_incref(doc);
    return 0;
}

/* ---- in ------------------------------------------------------------------------------------------------------------ */

/* Secrets of another account or installation do not keep the entity out. */
static int take_secrets(const struct archive_owner *o, const json_t *document,
                        struct sealed_lost *lost, struct nr_err *err)
{
    json_t *parameters = NULL;
    int r = entity_key_values(document, "parameters", &parameters, err);
    uint64_t account;

    (void)account_names_look(&o->m->accounts.names, o->account, &account);
    return r < 0 ? r : sealed_take(&o->m->secrets, account, parameters, lost, err);
}

/* The PUT of it, as of something new. */
static int put_entity(const struct archive_owner *o, const struct kind *k, json_t *document,
                      struct nr_err *err)
{
    const char *name = nr_json_string(document, "name");
    nr_auto_free char *body = nr_json_text(document, NULL);
    struct fn_call call = {
        .package = nr_str_of(name), .name = nr_str_of(name), .body = nr_str_of(body)};

    if (body == NULL)
        return nr_err_set(err, NR_ENOMEM, "There is no memory to store it.");
    if (name == NULL || entity_name_check(nr_str_of(name), NULL) < 0)
        return nr_err_set(err, NR_EINVAL, "It has no valid name.");
    return ask(o, k->put, &call, NULL, err);
}

static int put_rule(const struct archive_owner *o, const struct kind *k, json_t *document,
                    struct nr_err *err)
{
    const char *status = nr_json_string(document, "status");
    struct fn_call call = {.name = nr_str_of(nr_json_string(document, "name")),
                           .body = NR_STR("{\"status\":\"inactive\"}")};
    int r = put_entity(o, k, document, err);

    if (r < 0 || status == NULL || strcmp(status, "active") == 0)
        return r;
    return ask(o, rule_state, &call, NULL, err);
}

static int put_api(const struct archive_owner *o, const struct kind *k, json_t *document,
                   struct nr_err *err)
{
    const char *base = nr_json_string(document, "basePath");
    const struct api_query q = {.base_path = nr_str_of(base), .limit = 1};
    struct fn_call look = {.api = &q, .item = NR_STR(HOST)}, call = {.item = NR_STR(HOST)};
    nr_auto_free char *swagger = nr_json_text(document, NULL);
    nr_auto_free char *body = NULL;
    nr_auto_json json_t *there = NULL;
    nr_auto_json json_t *order = NULL;
    int r;

    if (base == NULL || base[0] != '/')
        return nr_err_set(err, NR_EINVAL, "It has no 'basePath'.");
    if ((r = ask(o, k->list, &look, &there, err)) < 0)
        return r;
    if (json_array_size(json_object_get(there, "apis")) > 0)
        return nr_err_set(err, NR_EEXIST, "There is an API of this base path already.");
    order = json_pack("{s:{s:s, s:s}}", "apidoc", "namespace", "_", "swagger",
                      swagger != NULL ? swagger : "");
    body = order != NULL ? nr_json_text(order, NULL) : NULL;
    call.body = nr_str_of(body);
    return body != NULL ? ask(o, k->put, &call, NULL, err)
                        : nr_err_set(err, NR_ENOMEM, "There is no memory to store it.");
}

/* ---- the kinds ----------------------------------------------------------------------------------------------------- */

static const struct kind kinds[] = {
    {"packages", "package", true, package_list, NULL, package_put, package_document, put_entity},
    {BINDINGS, "package", true, package_list, NULL, package_put, package_document, put_entity},
    {"triggers", "trigger", false, trigger_list, trigger_get, trigger_put, shown_document,
     put_entity},
    {"rules", "rule", false, rule_list, rule_get, rule_put, shown_document, put_rule},
    {"apis", "api", false, api_get, NULL, api_create, api_document, put_api},
};

/* A list of the account, all pages, the newest first (made). */
static int list_all(const struct archive_owner *o, const struct kind *k, json_t **ret,
                    struct nr_err *err)
{
    json_t *all = json_array();
    size_t n = PAGE;
    int r = 0;

    for (int skip = 0; r == 0 && n == PAGE; skip += PAGE) {
        const struct api_query q = {.limit = PAGE, .skip = skip};
        struct fn_call call = {.limit = PAGE, .skip = skip, .api = &q, .item = NR_STR(HOST)};
        nr_auto_json json_t *page = NULL;
        const json_t *items;

        r = ask(o, k->list, &call, &page, err);
        items = json_is_array(page) ? page : json_object_get(page, "apis");
        n = json_array_size(items);
        for (size_t i = 0; i < n; i++)
            (void)json_array_append(all, json_array_get(items, i));
    }
    *ret = all;
    return r;
}

static int export_kind(const struct archive_owner *o, const struct kind *k,
                       int (*add)(void *arg, const char *path, json_t *document), void *arg,
                       struct nr_err *err)
{
    nr_auto_json json_t *items = NULL;
    int number = 0, r = list_all(o, k, &items, err);

    for (size_t i = json_array_size(items); r == 0 && i-- > 0;) {
        json_t *document = NULL;
        char path[64];

        r = k->document(o, k, json_array_get(items, i), &document, err);
        if (r < 0 || document == NULL)
            continue;
        (void)snprintf(path, sizeof(path), "%s/%d.json", k->folder, ++number);
        r = add(arg, path, document);
    }
    return r;
}

int archive_entities_export(const struct archive_owner *o, bool before_functions,
                            int (*add)(void *arg, const char *path, json_t *document), void *arg,
                            struct nr_err *err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < nr_countof(kinds); i++) {
        if (kinds[i].before_functions == before_functions)
            r = export_kind(o, &kinds[i], add, arg, err);
    }
    return r;
}

/* Of "rules/7.json"; NULL: it is no such name. */
static const struct kind *kind_of(const char *path)
{
    for (size_t i = 0; i < nr_countof(kinds); i++) {
        size_t n = strlen(kinds[i].folder);
        long long number;
        int end = 0;

        if (strncmp(path, kinds[i].folder, n) == 0 && path[n] == '/' &&
            sscanf(path + n, "/%18lld.json%n", &number, &end) == 1 && end > 0 &&
            path[n + (size_t)end] == '\0')
            return &kinds[i];
    }
    return NULL;
}

bool archive_entity_is(const char *path)
{
    return kind_of(path) != NULL;
}

int archive_entity_import(const struct archive_owner *o, const char *path, struct nr_str text,
                          char ret_name[ARCHIVE_ENTITY_NAME_BYTES], struct sealed_lost *ret_lost,
                          struct nr_err *err)
{
    const struct kind *k = kind_of(path);
    nr_auto_json json_t *document = NULL;
    int r = entity_json(text, "Document", &document, err);
    const char *name = nr_json_string(document, k->import == put_api ? "basePath" : "name");

    (void)snprintf(ret_name, ARCHIVE_ENTITY_NAME_BYTES, "%s:%.512s", k->word, name ? name : "?");
    if (r == 0 && k->import != put_api)
        r = take_secrets(o, document, ret_lost, err);
    return r < 0 ? r : k->import(o, k, document, err);
}
