/* From text to struct action_body, refusing with the API's own sentences.
 *
 * The code string may be 48 MB: it is found by the scanner and taken out before the rest is parsed, so a large upload costs a scan and
 * no copy. Only a code string with escapes in it (source text) is parsed too. Then each field by its row in a table of types, the
 * kind, the limits by their table, sizes last.
 */
#include "fnmanager/body.h"

#include "fnmanager/code.h"
#include "fnmanager/kinds.h"
#include "fnmanager/version.h"

const struct fn_limits body_limits_preset = {
    .timeout_ms = 60000, .memory_mb = 256, .logs_mb = 10, .concurrency = 1, .instances = -1};

static int malformed(struct nr_err *err, const char *detail)
{
    return nr_err_set(err, NR_EINVAL, "The request content was malformed:\n%s", detail);
}

static int parse(struct nr_str text, json_t **ret, struct nr_err *err)
{
    struct nr_err why = {0};

    *ret = nr_json_parse(text, &why);
    if (*ret != NULL)
        return 0;
    if (why.code == NR_ENOMEM)
        return nr_err_set(err, why.code, "%s", why.text);
    return malformed(err, why.text);
}

/* Where the text of `exec.code` stands when it is a string; absent else. */
static struct nr_str find_code(struct nr_str text)
{
    struct nr_str exec = {NULL, 0}, code = {NULL, 0};

    if (nr_json_scan_key(text, "exec", &exec) != NR_JSON_OBJECT || exec.p == NULL)
        return code;
    if (nr_json_scan_key(exec, "code", &code) != NR_JSON_OBJECT || code.p == NULL || *code.p != '"')
        return (struct nr_str){NULL, 0};
    return code;
}

static int fit(const char *field, int64_t is_bytes, int64_t allowed_bytes, struct nr_err *err)
{
    if (is_bytes <= allowed_bytes)
        return 0;
    return nr_err_set(err, NR_ETOOBIG, "%s larger than allowed: %lld > %lld bytes.", field,
                      (long long)is_bytes, (long long)allowed_bytes);
}

/* Nothing is built before it is known how much that will be: one small body could take all memory. */
static int parse_rest(struct nr_str text, json_t **ret, struct nr_err *err)
{
    int64_t built_bytes = (int64_t)nr_json_built_bytes(text);
    int r = 0;

    if (built_bytes > 0) /* else it is bad, and the parser says where */
        r = fit("Request without its code", (int64_t)text.n, BODY_REST_MAX_BYTES, err);
    if (r == 0)
        r = fit("Memory for the values of the request", built_bytes, BODY_BUILT_MAX_BYTES, err);
    return r == 0 ? parse(text, ret, err) : r;
}

/* The document without the code, and the code: as it stands in the text when it has no escapes, else parsed. */
static int parse_apart(struct nr_str text, struct nr_str code, struct action_body *b,
                       struct nr_err *err)
{
    size_t before = (size_t)(code.p - text.p), after = text.n - before - code.n;
    nr_auto_free char *rest = nr_try_alloc(before + 2 + after + 1);
    int r = 0;

    if (rest == NULL)
        return nr_err_set(err, NR_ENOMEM, "There is no memory to read the body.");
    memcpy(rest, text.p, before);
    memcpy(rest + before, "\"\"", 2);
    memcpy(rest + before + 2, code.p + code.n, after);
    b->code = (struct nr_str){code.p + 1, code.n - 2};
    if (memchr(b->code.p, '\\', b->code.n) != NULL && (r = parse(code, &b->code_doc, err)) == 0)
        b->code = (struct nr_str){json_string_value(b->code_doc), json_string_length(b->code_doc)};
    return r == 0 ? parse_rest((struct nr_str){rest, before + 2 + after}, &b->doc, err) : r;
}

static int parse_text(struct nr_str text, struct action_body *b, struct nr_err *err)
{
    struct nr_str code = find_code(text);
    int r;

    if (code.p != NULL)
        r = parse_apart(text, code, b, err);
    else
        r = parse_rest(text, &b->doc, err);
    if (r == 0 && !json_is_object(b->doc))
        return malformed(err, "Object expected");
    return r;
}

/* A member that is there and not null; *ret NULL else. NR_EINVAL when it is of another type. */
static int member(const json_t *object, const char *key, json_type type, const char *expected,
                  json_t **ret, struct nr_err *err)
{
    json_t *j = json_object_get(object, key);
    char detail[160];

    *ret = NULL;
    if (j == NULL || json_is_null(j))
        return 0;
    if (json_typeof(j) != type) {
        (void)snprintf(detail, sizeof(detail), "'%s' must be %s", key, expected);
        return malformed(err, detail);
    }
    *ret = j;
    return 0;
}

static int string_member(const json_t *object, const char *key, const char **ret,
                         struct nr_err *err)
{
    char detail[160];
    json_t *j;
    int r = member(object, key, JSON_STRING, "a string", &j, err);

    if (r < 0 || j == NULL)
        return r;
    *ret = json_string_value(j);
    if (strlen(*ret) == json_string_length(j))
        return 0;
    (void)snprintf(detail, sizeof(detail), "'%s' must not hold a NUL", key);
    return malformed(err, detail);
}

int64_t body_field_bytes(const json_t *array)
{
    int64_t sum = 0;
    size_t i;
    json_t *e;

    json_array_foreach(array, i, e) {
        size_t n = json_dumpb(json_object_get(e, "value"), NULL, 0, JSON_COMPACT | JSON_ENCODE_ANY);
        sum += (int64_t)(n + json_string_length(json_object_get(e, "key")));
    }
    return sum;
}

/* An array of {"key": text, "value": anything}. */
static int key_values(const json_t *doc, const char *field, json_t **ret, struct nr_err *err)
{
    char detail[160];
    size_t i;
    json_t *e;
    int r = member(doc, field, JSON_ARRAY, "an array of objects with 'key' and 'value'", ret, err);

    if (r < 0 || *ret == NULL)
        return r;
    json_array_foreach(*ret, i, e) {
        const char *key = json_string_value(json_object_get(e, "key"));
        if (key != NULL && *key != '\0' && json_object_get(e, "value") != NULL)
            continue;
        (void)snprintf(detail, sizeof(detail),
                       "%s malformed: element %zu needs a 'key' with a text and a 'value'", field,
                       i);
        return malformed(err, detail);
    }
    return fit(field, body_field_bytes(*ret), BODY_FIELD_MAX_BYTES, err);
}

static int del_annotations(struct action_body *b, struct nr_err *err)
{
    size_t i;
    json_t *e;
    int r = member(b->doc, "delAnnotations", JSON_ARRAY, "an array of strings", &b->del_annotations,
                   err);

    if (r < 0 || b->del_annotations == NULL)
        return r;
    json_array_foreach(b->del_annotations, i, e) {
        if (!json_is_string(e))
            return malformed(err, "'delAnnotations' must be an array of strings");
    }
    return 0;
}

/* Annotations of ours have a meaning; words that we do not know are refused, not ignored. */
static int own_annotations(const json_t *annotations, struct nr_err *err)
{
    static const struct {
        const char *key, *words[4];
        const char *text;
    } own[] = {
        {"narae.network", {"egress", "none"}, "'egress' or 'none'"},
        {"narae.exec", {"once", "loop", "direct"}, "'once', 'loop' or 'direct'"},
    };
    size_t i;
    json_t *e;

    json_array_foreach(annotations, i, e) {
        const char *key = json_string_value(json_object_get(e, "key"));
        const char *value = json_string_value(json_object_get(e, "value"));
        for (size_t o = 0; o < nr_countof(own); o++) {
            bool known = false;
            for (size_t w = 0; own[o].words[w] != NULL; w++)
                known |= value != NULL && strcmp(value, own[o].words[w]) == 0;
            if (strcmp(key, own[o].key) == 0 && !known)
                return nr_err_set(err, NR_EINVAL, "The annotation '%s' must be %s.", own[o].key,
                                  own[o].text);
        }
    }
    return 0;
}

static const struct limit_rule {
    const char *key, *what, *unit;
    size_t offset;
    int64_t min, max; /* max -1: of the machine */
} limit_rules[] = {
    {"memory", "memory size", " MB", offsetof(struct fn_limits, memory_mb), 64, -1},
    {"timeout", "duration", " milliseconds", offsetof(struct fn_limits, timeout_ms), 100, 600000},
    {"logs", "log size", " MB", offsetof(struct fn_limits, logs_mb), 0, 10},
    {"concurrency", "concurrency", "", offsetof(struct fn_limits, concurrency), 1, 64},
};

static int one_limit(const json_t *limits, const struct limit_rule *rule, int64_t max,
                     struct fn_limits *out, struct nr_err *err)
{
    json_t *j;
    int64_t n;
    int r = member(limits, rule->key, JSON_INTEGER, "an integer", &j, err);

    if (r < 0 || j == NULL)
        return r;
    n = json_integer_value(j);
    if (n < rule->min || n > max)
        return nr_err_set(err, NR_EINVAL, "%s %lld%s %s allowed threshold of %lld%s", rule->what,
                          (long long)n, rule->unit, n > max ? "exceeds" : "below",
                          (long long)(n > max ? max : rule->min), rule->unit);
    memcpy((char *)out + rule->offset, &n, sizeof(n));
    return 0;
}

static int limits(struct action_body *b, const struct body_ranges *ranges, struct nr_err *err)
{
    json_t *l, *instances;
    int r = member(b->doc, "limits", JSON_OBJECT, "an object", &l, err);

    if (r < 0 || l == NULL)
        return r;
    for (size_t i = 0; i < nr_countof(limit_rules); i++) {
        int64_t max = limit_rules[i].max >= 0 ? limit_rules[i].max : ranges->memory_max_mb;
        if ((r = one_limit(l, &limit_rules[i], max, &b->limits, err)) < 0)
            return r;
    }
    if ((r = member(l, "instances", JSON_INTEGER, "an integer", &instances, err)) < 0 ||
        instances == NULL)
        return r;
    b->limits.instances = json_integer_value(instances);
    if (b->limits.instances < 0)
        return malformed(err, "'instances' must not be negative");
    if (b->limits.instances > ranges->instances_max)
        return nr_err_set(
            err, NR_EINVAL,
            "Max action instance concurrency must not exceed your namespace concurrency of %lld.",
            (long long)ranges->instances_max);
    return 0;
}

static int exec_kind(struct action_body *b, const json_t *exec, const struct runtime_kind *kinds,
                     struct nr_err *err)
{
    const struct runtime_kind *kind;
    const char *word = NULL;
    int r = string_member(exec, "kind", &word, err);

    if (r < 0)
        return r;
    if (word == NULL)
        return malformed(err, "'kind' must be a string defined in 'exec'");
    if (nr_str_ieqz(nr_str_of(word), KIND_SEQUENCE))
        return nr_err_set(err, NR_EINVAL,
                          "Sequences are not supported by this version of the platform.");
    if (nr_str_ieqz(nr_str_of(word), KIND_BLACKBOX)) {
        b->kind = KIND_BLACKBOX;
        return 0;
    }
    if ((kind = kinds_resolve(kinds, word, err)) == NULL)
        return NR_EINVAL;
    b->kind = kind->kind;
    b->extension = kind->extension;
    return 0;
}

static int exec_image(struct action_body *b, const json_t *exec, struct nr_err *err)
{
    const char *image = NULL;
    int r;

    if (strcmp(b->kind, KIND_BLACKBOX) != 0)
        return 0;
    if ((r = string_member(exec, "image", &image, err)) < 0)
        return r;
    if (image == NULL)
        return malformed(err, "'image' must be a string defined in 'exec' for 'blackbox' actions");
    if (!kinds_image_valid(image))
        return nr_err_set(err, NR_EINVAL, "The image reference '%.128s' is not valid.", image);
    b->image = image;
    return 0;
}

static int exec_code(struct action_body *b, const json_t *exec, struct nr_err *err)
{
    const char *main = NULL, *code = NULL;
    char detail[160];
    int r;

    if ((r = string_member(exec, "main", &main, err)) < 0 ||
        (r = string_member(exec, "code", &code, err)) < 0)
        return r;
    b->main = main != NULL ? main : "";
    if (strlen(b->main) > 256)
        return malformed(err, "'main' is longer than 256 bytes");
    b->has_code = code != NULL;
    if (!b->has_code && strcmp(b->kind, KIND_BLACKBOX) != 0) {
        (void)snprintf(detail, sizeof(detail),
                       "'code' must be a string defined in 'exec' for '%s' actions", b->kind);
        return malformed(err, detail);
    }
    return fit("exec", (int64_t)b->code.n, CODE_MAX_BYTES, err);
}

static int exec_member(struct action_body *b, const struct runtime_kind *kinds, struct nr_err *err)
{
    json_t *exec;
    int r = member(b->doc, "exec", JSON_OBJECT, "an object", &exec, err);

    if (r < 0 || exec == NULL)
        return r;
    b->has_exec = true;
    if ((r = exec_kind(b, exec, kinds, err)) == 0 && (r = exec_image(b, exec, err)) == 0)
        r = exec_code(b, exec, err);
    return r;
}

static int others(struct action_body *b, struct nr_err *err)
{
    json_t *publish = json_object_get(b->doc, "publish");
    int r = string_member(b->doc, "version", &b->version, err);

    if (r < 0)
        return r;
    if (b->version != NULL && !version_valid(b->version))
        return malformed(err, "'version' must be three numbers with dots between");
    if (publish == NULL || json_is_null(publish))
        return 0;
    if (!json_is_boolean(publish))
        return malformed(err, "'publish' must be true or false");
    b->publish = json_is_true(publish);
    return 0;
}

int action_body_parse(struct nr_str text, const struct runtime_kind *kinds,
                      const struct body_ranges *ranges, struct action_body *ret, struct nr_err *err)
{
    struct action_body *b = ret;
    int r;

    *b = (struct action_body){
        .image = "", .main = "", .limits = {-1, -1, -1, -1, -1}, .publish = -1};
    if (text.n == 0)
        return malformed(err, "Request entity expected but not supplied");
    if ((r = parse_text(text, b, err)) < 0 || (r = exec_member(b, kinds, err)) < 0)
        return r;
    if ((r = key_values(b->doc, "parameters", &b->parameters, err)) < 0)
        return r;
    if ((r = key_values(b->doc, "annotations", &b->annotations, err)) < 0 ||
        (r = own_annotations(b->annotations, err)) < 0)
        return r;
    if ((r = del_annotations(b, err)) < 0 || (r = limits(b, ranges, err)) < 0)
        return r;
    return others(b, err);
}

void action_body_fini(struct action_body *b)
{
    json_decref(b->doc);
    json_decref(b->code_doc);
    *b = (struct action_body){0};
}
