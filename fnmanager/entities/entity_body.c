/* One reader for what all entities share: each field is judged by its type, then by its size; what is kept of it is a cleaned copy, for a
 * client may send one key a hundred thousand times.
 */
#include "fnmanager/entities/entity_body.h"

#include "common/base/mem.h"
#include "fnmanager/functions/version.h"
#include "ports/target.h"

/* What a seal adds to a text, and up to two bytes that base64 fills up. */
#define SEAL_BYTES 31

int entity_malformed(struct nr_err *err, const char *detail)
{
    return nr_err_set(err, NR_EINVAL, "The request content was malformed:\n%s", detail);
}

int entity_fit(const char *field, int64_t is_bytes, int64_t allowed_bytes, struct nr_err *err)
{
    if (is_bytes <= allowed_bytes)
        return 0;
    return nr_err_set(err, NR_ETOOBIG, "%s larger than allowed: %lld > %lld bytes.", field,
                      (long long)is_bytes, (long long)allowed_bytes);
}

int entity_parse(struct nr_str text, json_t **ret, struct nr_err *err)
{
    struct nr_err why = {0};

    *ret = nr_json_parse(text, &why);
    if (*ret != NULL)
        return 0;
    if (why.code == NR_ENOMEM)
        return nr_err_set(err, why.code, "%s", why.text);
    return entity_malformed(err, why.text);
}

/* Nothing is built before it is known how much that will be: one small body could take all memory. */
int entity_json(struct nr_str text, const char *what, json_t **ret, struct nr_err *err)
{
    int64_t built_bytes = (int64_t)nr_json_built_bytes(text);
    int r = 0;

    *ret = NULL;
    if (built_bytes > 0) /* else it is bad, and the parser says where */
        r = entity_fit(what, (int64_t)text.n, BODY_REST_MAX_BYTES, err);
    if (r == 0)
        r = entity_fit("Memory for the values of the request", built_bytes, BODY_BUILT_MAX_BYTES,
                       err);
    return r == 0 ? entity_parse(text, ret, err) : r;
}

int entity_member(const json_t *object, const char *key, json_type type, const char *expected,
                  json_t **ret, struct nr_err *err)
{
    json_t *j = json_object_get(object, key);
    char detail[160];

    *ret = NULL;
    if (j == NULL || json_is_null(j))
        return 0;
    if (json_typeof(j) != type) {
        (void)snprintf(detail, sizeof(detail), "'%s' must be %s", key, expected);
        return entity_malformed(err, detail);
    }
    *ret = j;
    return 0;
}

int entity_string(const json_t *object, const char *key, const char **ret, struct nr_err *err)
{
    char detail[160];
    json_t *j;
    int r = entity_member(object, key, JSON_STRING, "a string", &j, err);

    if (r < 0 || j == NULL)
        return r;
    *ret = json_string_value(j);
    if (strlen(*ret) == json_string_length(j))
        return 0;
    (void)snprintf(detail, sizeof(detail), "'%s' must not hold a NUL", key);
    return entity_malformed(err, detail);
}

bool entity_is_sealed(const json_t *element)
{
    const char *word = json_string_value(json_object_get(element, "encryption"));

    return word != NULL && strcmp(word, ENTITY_ENCRYPTION) == 0;
}

/* Of the text that is in base64 of a sealed one. */
static size_t opened_bytes(const json_t *value)
{
    size_t sealed = json_string_length(value) / 4 * 3;

    return sealed > SEAL_BYTES ? sealed - SEAL_BYTES : 0;
}

int64_t entity_field_bytes(const json_t *array)
{
    int64_t sum = 0;
    size_t i;
    json_t *e;

    json_array_foreach(array, i, e) {
        const json_t *value = json_object_get(e, "value");
        size_t n = entity_is_sealed(e) && json_is_string(value)
                       ? opened_bytes(value)
                       : json_dumpb(value, NULL, 0, JSON_COMPACT | JSON_ENCODE_ANY);
        sum += (int64_t)(n + json_string_length(json_object_get(e, "key")));
    }
    return sum;
}

int entity_key_values(const json_t *doc, const char *field, json_t **ret, struct nr_err *err)
{
    char detail[160];
    size_t i;
    json_t *e;
    int r = entity_member(doc, field, JSON_ARRAY, "an array of objects with 'key' and 'value'", ret,
                          err);

    if (r < 0 || *ret == NULL)
        return r;
    json_array_foreach(*ret, i, e) {
        const char *key = json_string_value(json_object_get(e, "key"));
        if (key != NULL && *key != '\0' && json_object_get(e, "value") != NULL)
            continue;
        (void)snprintf(detail, sizeof(detail),
                       "%s malformed: element %zu needs a 'key' with a text and a 'value'", field,
                       i);
        return entity_malformed(err, detail);
    }
    return entity_fit(field, entity_field_bytes(*ret), BODY_FIELD_MAX_BYTES, err);
}

json_t *entity_value(const json_t *array, const char *key)
{
    json_t *found = NULL, *e;
    size_t i;

    json_array_foreach(array, i, e) {
        const char *has = json_string_value(json_object_get(e, "key"));
        if (has != NULL && strcmp(has, key) == 0)
            found = json_object_get(e, "value");
    }
    return found;
}

/* A secret among them would be stored and shown as it is. */
static int check_annotations(const json_t *annotations, struct nr_err *err)
{
    size_t i;
    json_t *e;

    json_array_foreach(annotations, i, e) {
        const json_t *encryption = json_object_get(e, "encryption");

        if (json_is_true(json_object_get(e, "secret")) ||
            (encryption != NULL && !json_is_null(encryption)))
            return entity_malformed(err, "annotations malformed: only parameters may be secret");
    }
    return 0;
}

int entity_body_common(const json_t *doc, struct entity_body *ret, struct nr_err *err)
{
    struct entity_body *b = ret;
    json_t *publish = json_object_get(doc, "publish");
    int r;

    *b = (struct entity_body){.publish = -1};
    if ((r = entity_key_values(doc, "parameters", &b->parameters, err)) < 0 ||
        (r = entity_key_values(doc, "annotations", &b->annotations, err)) < 0 ||
        (r = check_annotations(b->annotations, err)) < 0 ||
        (r = entity_string(doc, "version", &b->version, err)) < 0)
        return r;
    if (b->version != NULL && !version_valid(b->version))
        return entity_malformed(err, "'version' must be three numbers with dots between");
    if (publish == NULL || json_is_null(publish))
        return 0;
    if (!json_is_boolean(publish))
        return entity_malformed(err, "'publish' must be true or false");
    b->publish = json_is_true(publish);
    return 0;
}

int entity_body_parse(struct nr_str text, struct entity_body *ret, struct nr_err *err)
{
    json_t *doc = NULL;
    int r;

    *ret = (struct entity_body){.publish = -1};
    if (text.n == 0)
        return entity_malformed(err, "Request entity expected but not supplied");
    r = entity_json(text, "Request", &doc, err);
    if (r == 0 && !json_is_object(doc))
        r = entity_malformed(err, "Object expected");
    if (r == 0)
        r = entity_body_common(doc, ret, err);
    ret->doc = doc;
    return r;
}

void entity_body_fini(struct entity_body *b)
{
    json_decref(b->doc);
    *b = (struct entity_body){.publish = -1};
}

/* Only what we keep of an entry: key, value and, for parameters, `init` when it is true. */
static json_t *clean(const json_t *entry, bool with_init)
{
    json_t *out = json_object();

    (void)json_object_set(out, "key", json_object_get(entry, "key"));
    (void)json_object_set(out, "value", json_object_get(entry, "value"));
    if (with_init && json_is_true(json_object_get(entry, "init")))
        (void)json_object_set_new(out, "init", json_true());
    if (entity_is_sealed(entry))
        (void)json_object_set_new(out, "encryption", json_string(ENTITY_ENCRYPTION));
    return out;
}

struct key_at {
    const char *key;
    size_t at;
};

static int by_key(const void *a, const void *b)
{
    const struct key_at *x = a, *y = b;
    int r = strcmp(x->key, y->key);

    return r != 0 ? r : (x->at > y->at) - (x->at < y->at);
}

/* Sorted once: looking for each key among all others would take hours for 100,000 of them. */
json_t *entity_unique(const json_t *array, bool with_init)
{
    size_t n = json_array_size(array);
    nr_auto_free struct key_at *keys = nr_try_alloc((n + 1) * sizeof(*keys));
    nr_auto_free bool *last = nr_try_alloc(n + 1);
    json_t *out = json_array();

    if (keys == NULL || last == NULL || out == NULL) {
        json_decref(out);
        return NULL;
    }
    for (size_t i = 0; i < n; i++)
        keys[i] =
            (struct key_at){json_string_value(json_object_get(json_array_get(array, i), "key")), i};
    qsort(keys, n, sizeof(*keys), by_key);
    for (size_t i = 0; i < n; i++)
        last[keys[i].at] = i + 1 == n || strcmp(keys[i].key, keys[i + 1].key) != 0;
    for (size_t i = 0; i < n; i++) {
        if (last[i])
            (void)json_array_append_new(out, clean(json_array_get(array, i), with_init));
    }
    return out;
}

int entity_field_text(const json_t *given, bool with_init, const char *old, char **ret,
                      struct nr_err *err)
{
    nr_auto_json json_t *cleaned = NULL;

    if (given == NULL) {
        *ret = nr_strdup(old != NULL ? old : "[]");
        return 0;
    }
    cleaned = entity_unique(given, with_init);
    *ret = cleaned != NULL ? nr_json_text(cleaned, NULL) : NULL;
    return *ret != NULL ? 0 : nr_err_set(err, NR_ENOMEM, "There is no memory to store the entity.");
}

char *entity_version(const struct entity_body *b, const char *old)
{
    char bumped[VERSION_TEXT_BYTES] = VERSION_FIRST;

    if (old != NULL)
        version_bump(old, bumped);
    return nr_strdup(b->version != NULL ? b->version : bumped);
}

bool entity_publish(const struct entity_body *b, bool old)
{
    return b->publish >= 0 ? b->publish != 0 : old;
}

void entity_write_namespace(struct nr_str account, struct nr_str package, struct nr_buf *out)
{
    char both[2 * ENTITY_NAME_MAX_BYTES + 2];
    int n;

    if (package.n == 0) {
        nr_buf_json(out, account);
        return;
    }
    n = snprintf(both, sizeof(both), "%.*s/%.*s", (int)account.n, account.p, (int)package.n,
                 package.p);
    nr_buf_json(out, (struct nr_str){both, (size_t)n});
}

void entity_write_common(const struct entity_common *c, struct nr_buf *out)
{
    nr_buf_adds(out, "{\"namespace\":");
    entity_write_namespace(c->account, c->package, out);
    nr_buf_adds(out, ",\"name\":");
    nr_buf_json(out, c->name);
    nr_buf_adds(out, ",\"version\":");
    nr_buf_json(out, c->version);
    nr_buf_printf(out, ",\"publish\":%s,\"updated\":%lld,\"annotations\":",
                  c->publish ? "true" : "false", (long long)c->updated_ms);
    nr_buf_add(out, c->annotations.p, c->annotations.n);
}
