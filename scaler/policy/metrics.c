/* Which series a condition looks at: a metric of the platform's by its name, or anybody's own, and the labels that say whose it is.
 *
 * A name that nobody knows is a producer's own metric, unless it is nearly one of ours: then it was mistyped.
 */
#include "scaler/policy/reader.h"

#include <ctype.h>

#include "common/base/json.h"
#include "ports/target.h"

static bool custom_fits(const char *name)
{
    for (size_t i = 0; name[i]; i++) {
        unsigned char c = (unsigned char)name[i];
        bool letter = isascii(c) && (isalpha(c) || c == '_' || c == ':');

        if (!letter && (i == 0 || !(isascii(c) && (isdigit(c) || c == '.' || c == '-'))))
            return false;
    }
    return name[0] != '\0';
}

/* Nearly one of ours, or the beginning of one: mistyped, not a producer's own. */
static bool mistyped(const struct nearest *n)
{
    return n->best[0] != '\0' && (n->edits <= 2 || strncmp(n->word, n->best, strlen(n->word)) == 0);
}

void metric_read(struct reader *r, json_t *value, void *at)
{
    struct metric_ref *m = at;
    const char *meant;
    struct nearest n;

    if ((m->name = text_read(r, value, SAMPLE_NAME_MAX_BYTES)) == NULL)
        return;
    m->id = metric_find(nr_str_of(m->name));
    if (m->id != METRICS)
        return;
    nearest_begin(&n, nr_str_of(m->name));
    for (int i = 0; i < METRICS; i++)
        nearest_try(&n, sample_metrics[i].name);
    meant = word_elsewhere(nr_str_of(m->name));
    if (meant && metric_find(nr_str_of(meant)) != METRICS)
        problem(r, value, meant,
                "there is no such metric, and one of a producer may not be named so");
    else if (mistyped(&n))
        problem(r, value, n.best,
                "there is no such metric, and one of a producer may not be named so much alike");
    else if (!custom_fits(m->name))
        problem(
            r, value, n.best,
            "a metric's name has letters, digits and \"_:.-\", and does not begin with a digit");
}

static void add_label(struct reader *r, struct metric_ref *m, const char *name, json_t *value)
{
    const char *text = text_read(r, value, SAMPLE_NAME_MAX_BYTES);
    struct nr_str copy = nr_arena_copy(r->arena, nr_str_of(name));

    if (text == NULL || copy.p == NULL)
        return;
    if (m->label_count == SAMPLE_LABELS_MAX) {
        problem(r, value, NULL, "more than %d labels", SAMPLE_LABELS_MAX);
        return;
    }
    m->label[m->label_count++] = (struct sample_label){copy, nr_str_of(text)};
}

/* Which labels a metric takes. */
static const struct label_row {
    const char *name;
    size_t offset; /* in struct metric_ref; SIZE_MAX: among the others */
} of_function[] = {{"account", offsetof(struct metric_ref, account)},
                   {"function", offsetof(struct metric_ref, function)},
                   {NULL}},
  of_lag[] = {{"topic", offsetof(struct metric_ref, topic)},
              {"group", offsetof(struct metric_ref, group)},
              {NULL}},
  of_node[] = {{"node", SIZE_MAX}, {NULL}};

static const struct label_row *rows_of(enum metric_id id)
{
    if (id == METRIC_TRIGGER_LAG)
        return of_lag;
    return sample_metrics[id].node ? of_node : of_function;
}

static void known_label(struct reader *r, struct metric_ref *m, const char *name, json_t *value)
{
    const struct label_row *row = rows_of(m->id);
    struct nearest n;

    nearest_begin(&n, nr_str_of(name));
    for (; row->name && strcmp(row->name, name) != 0; row++)
        nearest_try(&n, row->name);
    if (row->name == NULL) {
        row = rows_of(m->id);
        problem(r, value, n.best, "%s takes %s%s%s", m->name, row[0].name,
                row[1].name ? " and " : " only", row[1].name ? row[1].name : "");
    } else if (row->offset == SIZE_MAX)
        add_label(r, m, name, value);
    else
        *(const char **)(void *)((char *)m + row->offset) =
            text_read(r, value, 2 * ENTITY_NAME_MAX_BYTES);
}

void labels_read(struct reader *r, json_t *value, void *at)
{
    struct metric_ref *m = at;
    const char *name;
    json_t *item;

    if (!json_is_object(value)) {
        problem(r, value, NULL, "it must be an object { \"name\": \"value\" }");
        return;
    }
    json_object_foreach(value, name, item) {
        size_t was = path_member(r, name);

        if (m->id != METRICS)
            known_label(r, m, name, item);
        else if (m->label_count < SAMPLE_LABELS_MAX && !custom_fits(name))
            problem(r, item, NULL, "a label's name has letters, digits and \"_:.-\"");
        else
            add_label(r, m, name, item);
        path_back(r, was);
        if (r->count > POLICY_CONDITIONS_MAX)
            return;
    }
}

void metric_range(const struct metric_ref *m, enum aggregate a, double *ret_low, double *ret_high)
{
    bool adds = a == AGGREGATE_SUM || a == AGGREGATE_RATE;

    *ret_low =
        m->id == METRICS || m->id == METRIC_NODE_MEMORY_FREE_MB || a == AGGREGATE_RATE ? -1e15 : 0;
    *ret_high = 1e15;
    if (m->id == METRIC_ERROR_RATIO && !adds)
        *ret_high = 1;
    if ((m->id == METRIC_MEMORY_PERCENT || m->id == METRIC_NODE_MEMORY_PERCENT ||
         m->id == METRIC_NODE_CPU_PERCENT) &&
        !adds)
        *ret_high = 100;
}

void metric_judge(struct reader *r, const struct metric_ref *m, const json_t *labels)
{
    bool of_none = r->p->target != TARGET_FUNCTION;

    if (m->id == METRICS || sample_metrics[m->id].node)
        return;
    if (m->id == METRIC_TRIGGER_LAG) {
        if (m->topic == NULL)
            problem_at(r, "labels", labels, NULL, "trigger_lag needs the topic");
    } else if (m->function == NULL && (m->account || of_none))
        problem_at(r, "labels", labels, NULL, "%s needs the function, as this policy %s", m->name,
                   of_none ? "has none of its own" : "names another account");
    else if (m->function && m->account == NULL && of_none)
        problem_at(r, "labels", labels, NULL, "the account of the function is missing");
}

json_t *labels_write(const struct metric_ref *m)
{
    const struct label_row *row = m->id == METRICS ? of_node : rows_of(m->id);
    json_t *object = json_object();

    for (; row->name; row++) {
        const char *text =
            row->offset == SIZE_MAX
                ? NULL
                : *(const char *const *)(const void *)((const char *)m + row->offset);

        if (text)
            (void)json_object_set_new(object, row->name, json_string(text));
    }
    for (unsigned i = 0; i < m->label_count; i++)
        (void)json_object_set_new(object, m->label[i].name.p, json_string(m->label[i].value.p));
    if (json_object_size(object) > 0)
        return object;
    json_decref(object);
    return NULL;
}
