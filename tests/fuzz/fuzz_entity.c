/* The body of a PUT of an action on any bytes: parsed, judged, merged as a creation and as an update, written.
 *
 * What must hold: a refusal has a sentence; what is accepted is within all limits, merges, and is written as JSON that reads back; an
 * update with the same body changes nothing but the version.
 */
#include "common/base/mem.h"
#include "fnmanager/storage/code.h"
#include "fnmanager/functions/entity.h"
#include "fnmanager/functions/merge.h"
#include "fnmanager/functions/sequence.h"
#include "fuzz.h"

static const struct runtime_kind kinds[] = {
    {"nodejs:18", "nodejs", "narae/nodejs:0", ".js", true, NULL},
    {"python:3", "python", "narae/python:0", ".py", true, NULL},
    {"python:3.11", "python", "narae/python:0", ".py", false, "python:3"},
    {0},
};
static const struct body_ranges ranges = {4096, 1000, {"guest", 5}};

static void check_limits(const struct fn_limits *l)
{
    nr_check(l->memory_mb >= 64 && l->memory_mb <= 4096);
    nr_check(l->timeout_ms >= 100 && l->timeout_ms <= 600000);
    nr_check(l->logs_mb >= 0 && l->logs_mb <= 10);
    nr_check(l->concurrency >= 1 && l->concurrency <= 64);
    nr_check(l->instances >= -1 && l->instances <= 1000);
}

static void check_row(const struct fn_row *row)
{
    struct fn_key key = {NR_STR("guest"), NR_STR("pkg"), NR_STR("name")};
    struct nr_buf out;

    check_limits(&row->limits);
    nr_buf_init(&out, 64 << 20);
    entity_write_head(key, row, false, &out);
    entity_write_tail(&out);
    nr_check(!out.failed && nr_json_scan(nr_buf_str(&out)) == NR_JSON_OBJECT);
    nr_buf_fini(&out);
}

/* What is stored is read back as it was written. */
static void check_components(const char *components)
{
    struct sequence s;

    if (components == NULL)
        return;
    nr_check(sequence_load(components, &s, NULL) == 0 && s.count >= 1 && s.count <= SEQUENCE_MAX);
    char *again = sequence_text(&s);

    nr_check(strcmp(again, components) == 0);
    free(again);
    sequence_fini(&s);
}

static void merge_twice(const struct action_body *body)
{
    struct fn_row first = {0}, second = {0};
    struct nr_err err = {0};
    int r = action_merge(body, NULL, MOVE_UPDATE, &first, &err);

    nr_check((r == 0) == (err.code == 0));
    if (r == 0) {
        check_row(&first);
        nr_check(action_merge(body, &first, MOVE_UPDATE, &second, &err) == 0);
        check_row(&second);
        nr_check(strcmp(first.parameters, second.parameters) == 0 &&
                 strcmp(first.kind, second.kind) == 0);
        if (body->del_annotations == NULL)
            nr_check(strlen(first.annotations) == strlen(second.annotations));
    }
    fn_row_fini(&first);
    fn_row_fini(&second);
}

/* What packages, triggers and rules read of the same text. */
static void check_common(struct nr_str text)
{
    struct entity_body body;
    struct nr_err err = {0};
    char *parameters = NULL;
    int r = entity_body_parse(text, &body, &err);

    nr_check((r == 0) == (err.code == 0) && (r == 0) == (err.text[0] == '\0'));
    if (r == 0 && entity_field_text(body.parameters, true, NULL, &parameters, &err) == 0) {
        nr_check(nr_json_scan(nr_str_of(parameters)) == NR_JSON_ARRAY);
        nr_check(body.publish >= -1 && body.publish <= 1);
    }
    free(parameters);
    entity_body_fini(&body);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct nr_str text = {(const char *)bytes, n};
    struct action_body body;
    struct nr_err err = {0};
    int r = action_body_parse(text, kinds, &ranges, &body, &err);

    check_common(text);
    nr_check((r == 0) == (err.code == 0) && (r == 0) == (err.text[0] == '\0'));
    if (r == 0) {
        nr_check(!body.has_exec || (body.kind != NULL && body.image != NULL && body.main != NULL));
        nr_check((int64_t)body.code.n <= CODE_MAX_BYTES);
        check_components(body.components);
        merge_twice(&body);
    }
    action_body_fini(&body);
    (void)entity_name_check(text, NULL);
    return 0;
}
