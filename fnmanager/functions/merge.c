/* Field by field:
 *   exec          as a whole, else the old one; its kind is also the annotation `exec`
 *   parameters    replaced when given; of a sequence they are one, _actions, which shows its components
 *   annotations   delAnnotations go first, then the given ones are merged by key; `provide-api-key` is false on create unless given
 *   limits        each by itself, else the old one, else the preset
 *   version       as given, else the old one with its last number one higher, else the first
 */
#include "fnmanager/functions/merge.h"

#include "common/base/mem.h"
#include "fnmanager/functions/entity.h"
#include "fnmanager/functions/lifecycle.h"
#include "fnmanager/functions/version.h"

static const char *key_of(const json_t *array, size_t i)
{
    return json_string_value(json_object_get(json_array_get(array, i), "key"));
}

static void append_new(json_t *array, const char *key, json_t *value)
{
    (void)json_array_append_new(array, json_pack("{s:s, s:o}", "key", key, "value", value));
}

static int text_of(json_t *array, char **ret, struct nr_err *err)
{
    char *text = array != NULL ? nr_json_text(array, NULL) : NULL;

    if (text == NULL)
        return nr_err_set(err, NR_ENOMEM, "There is no memory to store the action.");
    *ret = text;
    return 0;
}

/* Old clients read the components of a sequence there. */
static int sequence_parameters(struct fn_row *ret, struct nr_err *err)
{
    nr_auto_json json_t *components = nr_json_parse(nr_str_of(ret->components), NULL);
    nr_auto_json json_t *one = json_pack("[{s:s, s:O}]", "key", "_actions", "value", components);

    return text_of(one, &ret->parameters, err);
}

static int merge_parameters(const struct action_body *body, const struct fn_row *old,
                            struct fn_row *ret, struct nr_err *err)
{
    bool was_sequence = old != NULL && old->components[0] != '\0';
    nr_auto_json json_t *parameters = NULL;

    if (ret->components[0] != '\0')
        return sequence_parameters(ret, err);
    if (body->parameters == NULL) {
        ret->parameters = nr_strdup(old != NULL && !was_sequence ? old->parameters : "[]");
        return 0;
    }
    parameters = entity_unique(body->parameters, true);
    return text_of(parameters, &ret->parameters, err);
}

/* The old annotations without the deleted ones; on create what every action has. */
static json_t *annotations_before(const struct action_body *body, const struct fn_row *old)
{
    nr_auto_json json_t *stored =
        old != NULL ? nr_json_parse(nr_str_of(old->annotations), NULL) : NULL;
    nr_auto_json json_t *deleted = json_object();
    json_t *kept = json_array(), *e;
    size_t i;

    if (old == NULL)
        append_new(kept, "provide-api-key", json_false());
    json_array_foreach(body->del_annotations, i, e)
        (void)json_object_set(deleted, json_string_value(e), e);
    json_array_foreach(stored, i, e) {
        if (json_object_get(deleted, key_of(stored, i)) == NULL)
            (void)json_array_append(kept, e);
    }
    return kept;
}

static bool is_shown_only(const char *key)
{
    return strcmp(key, ENTITY_STATE) == 0 || strcmp(key, ENTITY_PUBLISHED) == 0;
}

static int merge_annotations(const struct action_body *body, const struct fn_row *old,
                             struct fn_row *ret, struct nr_err *err)
{
    nr_auto_json json_t *all = annotations_before(body, old);
    nr_auto_json json_t *merged = NULL;
    size_t i;
    json_t *e;

    json_array_foreach(body->annotations, i, e) {
        if (!is_shown_only(key_of(body->annotations, i)))
            (void)json_array_append(all, e);
    }
    append_new(all, "exec", json_string(ret->kind));
    merged = entity_unique(all, false);
    if (entity_field_bytes(merged) > BODY_FIELD_MAX_BYTES)
        return nr_err_set(err, NR_ETOOBIG, "annotations larger than allowed: %lld > %lld bytes.",
                          (long long)entity_field_bytes(merged), (long long)BODY_FIELD_MAX_BYTES);
    return text_of(merged, &ret->annotations, err);
}

static void merge_exec(const struct action_body *body, const struct fn_row *old, struct fn_row *ret)
{
    ret->kind = nr_strdup(body->has_exec ? body->kind : old->kind);
    ret->image = nr_strdup(body->has_exec ? body->image : old->image);
    ret->main = nr_strdup(body->has_exec ? body->main : old->main);
    ret->components = nr_strdup(!body->has_exec    ? old->components
                                : body->components ? body->components
                                                   : "");
    ret->folder = nr_strdup(body->has_exec ? "" : old->folder);
    ret->file = nr_strdup(body->has_exec ? "" : old->file);
    if (body->has_exec)
        return;
    ret->has_code = old->has_code;
    ret->binary = old->binary;
    ret->upload = old->upload;
    ret->code_bytes = old->code_bytes;
    ret->sent_bytes = old->sent_bytes;
    memcpy(ret->sha256, old->sha256, sizeof(ret->sha256));
}

static void merge_limits(const struct action_body *body, const struct fn_row *old,
                         struct fn_row *ret)
{
    const struct fn_limits *given = &body->limits,
                           *base = old != NULL ? &old->limits : &body_limits_preset;

    ret->limits = (struct fn_limits){
        .timeout_ms = given->timeout_ms >= 0 ? given->timeout_ms : base->timeout_ms,
        .memory_mb = given->memory_mb >= 0 ? given->memory_mb : base->memory_mb,
        .logs_mb = given->logs_mb >= 0 ? given->logs_mb : base->logs_mb,
        .concurrency = given->concurrency >= 0 ? given->concurrency : base->concurrency,
        .instances = given->instances >= 0 ? given->instances : base->instances,
    };
}

static void merge_version(const struct action_body *body, const struct fn_row *old,
                          struct fn_row *ret)
{
    char bumped[VERSION_TEXT_BYTES] = VERSION_FIRST;

    if (old != NULL)
        version_bump(old->version, bumped);
    ret->version = nr_strdup(body->version != NULL ? body->version : bumped);
    ret->publish = body->publish >= 0 ? body->publish != 0 : old != NULL && old->publish;
}

int action_merge(const struct action_body *body, const struct fn_row *old, enum lifecycle_move move,
                 struct fn_row *ret, struct nr_err *err)
{
    struct fn_row row = {.from = old != NULL ? old->state : FN_LATEST,
                         .newest = old != NULL ? old->newest : 0};
    int to = FN_LATEST, r = 0;

    if (old == NULL && !body->has_exec)
        return nr_err_set(err, NR_EINVAL, "exec undefined");
    if (old != NULL)
        r = lifecycle_judge(&(struct lifecycle_subject){.state = old->state}, move, &to, err);
    if (r < 0)
        return r;
    row.state = (enum function_state)to;
    merge_exec(body, old, &row);
    merge_limits(body, old, &row);
    merge_version(body, old, &row);
    if ((r = merge_parameters(body, old, &row, err)) == 0)
        r = merge_annotations(body, old, &row, err);
    if (r < 0) {
        fn_row_fini(&row);
        return r;
    }
    *ret = row;
    return 0;
}
