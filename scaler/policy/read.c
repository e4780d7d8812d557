/* A document becomes a policy: parsed, expanded when it is in the short form, its parts read one after another into memory that lives with the policy.
 * All that is wrong is collected; only a document without a problem becomes one.
 */
#include "scaler/policy/reader.h"

#include <stdio.h>

#include "common/base/json.h"

enum { ARENA_MAX_BYTES = 4 << 20, DESCRIPTION_MAX_BYTES = 1024 };

enum { P_NAME, P_DESCRIPTION, P_TARGET };
static const struct field policy_fields[] = {
    [P_NAME] = {"policy", FIELD_NAME, offsetof(struct policy, name)},
    [P_DESCRIPTION] = {"description", FIELD_TEXT, offsetof(struct policy, description),
                       .max = DESCRIPTION_MAX_BYTES},
    [P_TARGET] = {"target", FIELD_PART, 0, .read = target_read, .write = target_write},
    {"webhook", FIELD_NAME, offsetof(struct policy, webhook)},
    {"mode", FIELD_WORD, offsetof(struct policy, mode), .words = mode_words},
    {"evaluate_every", FIELD_DURATION, offsetof(struct policy, evaluate_every_ms), 1000, 600000},
    {"bounds", FIELD_PART, 0, .read = bounds_read, .write = bounds_write},
    {"rules", FIELD_PART, 0, .read = rules_read, .write = rules_write},
    {"schedule", FIELD_PART, 0, .read = schedules_read, .write = schedules_write},
    {"predict", FIELD_PART, 0, .read = predict_read, .write = predict_write},
    {"limits", FIELD_PART, 0, .read = limits_read, .write = limits_write},
    {"missing_metrics", FIELD_PART, 0, .read = missing_read, .write = missing_write},
    {NULL}};

static struct policy *make(void)
{
    struct policy *p = nr_alloc(sizeof(*p));
    struct nr_arena *arena = nr_alloc(sizeof(*arena));

    nr_arena_init(arena, ARENA_MAX_BYTES);
    p->memory = arena;
    p->refs = 1;
    p->evaluate_every_ms = 2000;
    p->max = -1;
    p->on_demand = true;
    p->missing_after_ms = 30000;
    p->predict = (struct predict){.may_prewarm = true,
                                  .may_raise_min = true,
                                  .history_ms = 14 * INT64_C(86400000),
                                  .season_ms = {3600000, 86400000, 7 * INT64_C(86400000)},
                                  .season_count = 3,
                                  .quantile = 0.9,
                                  .min_confidence = 0.6,
                                  .max_extra = 6};
    limits_default(p);
    return p;
}

struct policy *policy_ref(struct policy *p)
{
    (void)__atomic_add_fetch(&p->refs, 1, __ATOMIC_RELAXED);
    return p;
}

void policy_unref(struct policy *p)
{
    if (p == NULL || __atomic_sub_fetch(&p->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    for (unsigned i = 0; i < p->schedule_count; i++)
        timetable_free(p->schedules[i].when);
    nr_arena_fini(p->memory);
    free(p->memory);
    free(p->document);
    free(p);
}

static void read_document(struct reader *r, json_t *document, const char *name)
{
    struct policy *p = r->p;
    uint32_t given = object_read(r, document, policy_fields, p);

    if (!json_is_object(document))
        return;
    if (p->name == NULL && name && name_fits_here(nr_str_of(name)))
        p->name = nr_arena_copy(r->arena, nr_str_of(name)).p;
    else if (p->name == NULL && json_object_get(document, "policy") == NULL)
        problem_at(r, "policy", NULL, NULL, "the policy's name is missing");
    if (!(given & (UINT32_C(1) << P_TARGET)))
        problem_at(r, "target", NULL, NULL, "it is missing");
    if (p->target == TARGET_NODES && p->webhook == NULL && r->count == 0)
        problem_at(r, "webhook", NULL, NULL, "whom to tell how many nodes are wished for");
    p->conditions = reader_memory(r, r->condition_count * sizeof(*p->conditions));
    if (p->conditions)
        memcpy(p->conditions, r->conditions, r->condition_count * sizeof(*p->conditions));
    p->condition_count = r->condition_count;
}

/* A member that stands there twice would be read once. */
static void find_doubles(struct reader *r, struct nr_str text)
{
    json_error_t e;
    nr_auto_json json_t *again =
        json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, &e);

    if (again == NULL && json_error_code(&e) == json_error_duplicate_key)
        problem(r, NULL, NULL, "a member is written twice, the second time in line %d: %s", e.line,
                e.text);
}

static int parse(struct nr_str text, json_t **ret, struct nr_err *err)
{
    if (text.n > POLICY_MAX_BYTES)
        return nr_err_set(err, NR_EINVAL, "a policy of %zu bytes; at most %d are allowed", text.n,
                          POLICY_MAX_BYTES);
    *ret = nr_json_parse(text, err);
    return *ret ? 0 : NR_EINVAL;
}

/* The first problem as a sentence. */
static int refuse(const struct reader *r, struct nr_err *err)
{
    const struct policy_problem *p = &r->first;

    return nr_err_set(err, NR_EINVAL, "%s%s%s: %s%s%s", p->path[0] ? p->path : "the policy",
                      p->value[0] ? " " : "", p->value, p->why, p->nearest[0] ? "; nearest: " : "",
                      p->nearest);
}

static void tell_parse_problem(const struct nr_err *err, struct policy_problem *problems,
                               size_t room, size_t *ret_count)
{
    if (room > 0) {
        memset(&problems[0], 0, sizeof(problems[0]));
        (void)snprintf(problems[0].why, sizeof(problems[0].why), "%.190s", err->text);
    }
    *ret_count = room > 0;
}

static int read_parsed(struct reader *r, json_t *document, struct nr_str text, const char *name,
                       struct nr_err *err)
{
    nr_auto_json json_t *full = NULL;
    size_t n;

    r->is_short = short_form(document);
    full = r->is_short ? short_expand(document) : json_incref(document);
    find_doubles(r, text);
    read_document(r, full, name);
    if (r->no_memory || (r->p->document = nr_json_text(document, &n)) == NULL)
        return nr_err_set(err, NR_ENOMEM, "no memory for the policy");
    return r->count > 0 ? refuse(r, err) : 0;
}

int policy_read(struct nr_str text, const char *name, struct policy **ret,
                struct policy_problem *problems, size_t room, size_t *ret_count, struct nr_err *err)
{
    nr_auto_json json_t *document = NULL;
    struct nr_err why = {0};
    struct reader *r;
    int result = parse(text, &document, &why);

    if (result < 0) {
        tell_parse_problem(&why, problems, room, ret_count);
        return nr_err_set(err, result, "%s", why.text);
    }
    r = nr_alloc(sizeof(*r));
    r->p = make();
    r->arena = r->p->memory;
    r->problems = problems;
    r->room = room;
    result = read_parsed(r, document, text, name, err);
    *ret_count = r->count < room ? r->count : room;
    if (result == 0)
        *ret = r->p;
    else
        policy_unref(r->p);
    free(r);
    return result;
}

json_t *policy_write(const struct policy *p)
{
    return object_write(p, policy_fields, p, UINT32_MAX);
}
