/* From text to struct action_body, refusing with the API's own sentences.
 *
 * The code string may be 48 MB: it is found by the scanner and taken out before the rest is parsed, so a large upload costs a scan and
 * no copy. Only a code string with escapes in it (source text) is parsed too. Then each field by its row in a table of types, the
 * kind, the limits by their table, sizes last.
 */
#include "fnmanager/functions/body.h"

#include "fnmanager/storage/code.h"
#include "fnmanager/functions/kinds.h"
#include "fnmanager/functions/sequence.h"

const struct fn_limits body_limits_preset = {
    .timeout_ms = 60000, .memory_mb = 256, .logs_mb = 10, .concurrency = 1, .instances = -1};

#define REST "Request without its code"

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
    if (memchr(b->code.p, '\\', b->code.n) != NULL &&
        (r = entity_parse(code, &b->code_doc, err)) == 0)
        b->code = (struct nr_str){json_string_value(b->code_doc), json_string_length(b->code_doc)};
    return r == 0 ? entity_json((struct nr_str){rest, before + 2 + after}, REST, &b->doc, err) : r;
}

static int parse_text(struct nr_str text, struct action_body *b, struct nr_err *err)
{
    struct nr_str code = find_code(text);
    int r;

    if (code.p != NULL)
        r = parse_apart(text, code, b, err);
    else
        r = entity_json(text, REST, &b->doc, err);
    if (r == 0 && !json_is_object(b->doc))
        return entity_malformed(err, "Object expected");
    return r;
}

static int del_annotations(struct action_body *b, struct nr_err *err)
{
    size_t i;
    json_t *e;
    int r = entity_member(b->doc, "delAnnotations", JSON_ARRAY, "an array of strings",
                          &b->del_annotations, err);

    if (r < 0 || b->del_annotations == NULL)
        return r;
    json_array_foreach(b->del_annotations, i, e) {
        if (!json_is_string(e))
            return entity_malformed(err, "'delAnnotations' must be an array of strings");
    }
    return 0;
}

/* A door that was to be closed must not stay open by a slip: what is neither a yes, a no nor a secret is refused. */
static int web_secret(const json_t *value, struct nr_err *err)
{
    const char *text = json_string_value(value);
    bool is_text = text != NULL && *text != '\0' && strlen(text) == json_string_length(value);

    if (is_text || json_is_boolean(value) || json_is_number(value))
        return 0;
    return nr_err_set(
        err, NR_EINVAL,
        "The annotation 'require-whisk-auth' must be true, false, a number or a text that is not empty.");
}

static const struct own_annotation {
    const char *key, *words[4];
    const char *text;
} own_words[] = {
    {"narae.network", {"egress", "none"}, "'egress' or 'none'"},
    {"narae.exec", {"once", "loop", "direct"}, "'once', 'loop' or 'direct'"},
    {"narae.store", {"all", "errors", "none"}, "'all', 'errors' or 'none'"},
};

static int own_word(const struct own_annotation *own, const json_t *value, struct nr_err *err)
{
    const char *is = json_string_value(value);

    for (size_t w = 0; own->words[w] != NULL; w++) {
        if (is != NULL && strcmp(is, own->words[w]) == 0)
            return 0;
    }
    return nr_err_set(err, NR_EINVAL, "The annotation '%s' must be %s.", own->key, own->text);
}

/* Annotations that have a meaning; words that we do not know are refused, not ignored. */
static int own_annotations(const json_t *annotations, struct nr_err *err)
{
    size_t i;
    json_t *e;
    int r = 0;

    json_array_foreach(annotations, i, e) {
        const char *key = json_string_value(json_object_get(e, "key"));
        const json_t *value = json_object_get(e, "value");
        if (strcmp(key, "require-whisk-auth") == 0 && (r = web_secret(value, err)) < 0)
            return r;
        for (size_t o = 0; o < nr_countof(own_words); o++) {
            if (strcmp(key, own_words[o].key) == 0 && (r = own_word(&own_words[o], value, err)) < 0)
                return r;
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
    int r = entity_member(limits, rule->key, JSON_INTEGER, "an integer", &j, err);

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
    int r = entity_member(b->doc, "limits", JSON_OBJECT, "an object", &l, err);

    if (r < 0 || l == NULL)
        return r;
    for (size_t i = 0; i < nr_countof(limit_rules); i++) {
        int64_t max = limit_rules[i].max >= 0 ? limit_rules[i].max : ranges->memory_max_mb;
        if ((r = one_limit(l, &limit_rules[i], max, &b->limits, err)) < 0)
            return r;
    }
    if ((r = entity_member(l, "instances", JSON_INTEGER, "an integer", &instances, err)) < 0 ||
        instances == NULL)
        return r;
    b->limits.instances = json_integer_value(instances);
    if (b->limits.instances < 0)
        return entity_malformed(err, "'instances' must not be negative");
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
    static const char *const special[] = {KIND_BLACKBOX, KIND_SEQUENCE};
    const struct runtime_kind *kind;
    const char *word = NULL;
    int r = entity_string(exec, "kind", &word, err);

    if (r < 0)
        return r;
    if (word == NULL)
        return entity_malformed(err, "'kind' must be a string defined in 'exec'");
    for (size_t i = 0; i < nr_countof(special); i++) {
        if (nr_str_ieqz(nr_str_of(word), special[i])) {
            b->kind = special[i];
            return 0;
        }
    }
    if ((kind = kinds_resolve(kinds, word, err)) == NULL)
        return NR_EINVAL;
    if ((r = kinds_judge(kinds, kind->kind, err)) < 0)
        return r;
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
    if ((r = entity_string(exec, "image", &image, err)) < 0)
        return r;
    if (image == NULL)
        return entity_malformed(
            err, "'image' must be a string defined in 'exec' for 'blackbox' actions");
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

    if ((r = entity_string(exec, "main", &main, err)) < 0 ||
        (r = entity_string(exec, "code", &code, err)) < 0)
        return r;
    b->main = main != NULL ? main : "";
    if (strlen(b->main) > 256)
        return entity_malformed(err, "'main' is longer than 256 bytes");
    b->has_code = code != NULL;
    if (!b->has_code && strcmp(b->kind, KIND_BLACKBOX) != 0) {
        (void)snprintf(detail, sizeof(detail),
                       "'code' must be a string defined in 'exec' for '%s' actions", b->kind);
        return entity_malformed(err, detail);
    }
    return entity_fit("exec", (int64_t)b->code.n, CODE_MAX_BYTES, err);
}

/* Its members are judged one by one here; what they name is looked up when the row is known. */
static int exec_components(struct action_body *b, const json_t *exec, struct nr_str account,
                           struct nr_err *err)
{
    static const char must[] =
        "'components' must be an array of strings defined in 'exec' for 'sequence' actions";
    nr_auto_free char *own = nr_strndup(account.p != NULL ? account.p : "", account.n);
    const json_t *components = json_object_get(exec, "components"), *e;
    struct sequence s;
    size_t i;
    int r;

    if (!json_is_array(components))
        return entity_malformed(err, must);
    json_array_foreach(components, i, e) {
        if (!json_is_string(e))
            return entity_malformed(err, must);
    }
    if ((r = sequence_read(components, own, &s, err)) == 0) {
        b->components = sequence_text(&s);
        r = b->components != NULL ? 0 : nr_err_set(err, NR_ENOMEM, "%s", nr_err_text(NR_ENOMEM));
    }
    sequence_fini(&s);
    return r;
}

static int exec_member(struct action_body *b, const struct runtime_kind *kinds,
                       struct nr_str account, struct nr_err *err)
{
    json_t *exec;
    int r = entity_member(b->doc, "exec", JSON_OBJECT, "an object", &exec, err);

    if (r < 0 || exec == NULL)
        return r;
    b->has_exec = true;
    if ((r = exec_kind(b, exec, kinds, err)) < 0)
        return r;
    if (strcmp(b->kind, KIND_SEQUENCE) == 0)
        return exec_components(b, exec, account, err);
    r = exec_image(b, exec, err);
    return r == 0 ? exec_code(b, exec, err) : r;
}

static int common(struct action_body *b, struct nr_err *err)
{
    struct entity_body has;
    int r = entity_body_common(b->doc, &has, err);

    b->parameters = has.parameters;
    b->annotations = has.annotations;
    b->version = has.version;
    b->publish = has.publish;
    return r;
}

int action_body_parse(struct nr_str text, const struct runtime_kind *kinds,
                      const struct body_ranges *ranges, struct action_body *ret, struct nr_err *err)
{
    struct action_body *b = ret;
    int r;

    *b = (struct action_body){
        .image = "", .main = "", .limits = {-1, -1, -1, -1, -1}, .publish = -1};
    if (text.n == 0)
        return entity_malformed(err, "Request entity expected but not supplied");
    if ((r = parse_text(text, b, err)) < 0 || (r = exec_member(b, kinds, ranges->account, err)) < 0)
        return r;
    if ((r = common(b, err)) < 0 || (r = own_annotations(b->annotations, err)) < 0 ||
        (r = del_annotations(b, err)) < 0)
        return r;
    return limits(b, ranges, err);
}

void action_body_fini(struct action_body *b)
{
    json_decref(b->doc);
    json_decref(b->code_doc);
    free(b->components);
    *b = (struct action_body){0};
}
