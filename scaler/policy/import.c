/* Settings of other platforms become a document: the text is read as JSON or YAML, the first document of the right kind is taken, its importer writes ours,
 * and what came out is judged as any other policy. What could not be said is in the notes.
 */
#include "scaler/policy/import.h"

#include <stdio.h>

#include "common/base/json.h"
#include "common/base/mem.h"
#include "scaler/policy/yaml_json.h"

enum { KINDS_MAX = 3 };

static const struct {
    const char *name;
    const char *kinds[KINDS_MAX + 1]; /* of Kubernetes; the first is the usual one */
    const char *member;               /* what a document without a kind has instead */
    int (*run)(struct import *m, const json_t *from);
} importers[] = {
    [IMPORT_KNATIVE] = {"Knative", {"Service", "Configuration", "Revision"}, NULL, import_knative},
    [IMPORT_KEDA] = {"KEDA", {"ScaledObject"}, NULL, import_keda},
    [IMPORT_HPA] = {"HPA", {"HorizontalPodAutoscaler"}, NULL, import_hpa},
    [IMPORT_OPENFAAS] = {"OpenFaaS", {"Function"}, "functions", import_openfaas},
    [IMPORT_FISSION] = {"Fission", {"Function"}, NULL, import_fission},
};

static int parse(struct nr_str text, json_t **ret, struct nr_err *err)
{
    struct nr_str rest = text;
    json_t *one;

    if (text.n > POLICY_MAX_BYTES)
        return nr_err_set(err, NR_EINVAL, "settings of %zu bytes; at most %d are allowed", text.n,
                          POLICY_MAX_BYTES);
    while (rest.n > 0 && strchr(" \t\r\n", *rest.p) && *rest.p)
        rest.p++, rest.n--;
    if (rest.n == 0 || *rest.p != '{')
        return yaml_read(text, ret, err);
    if ((one = nr_json_parse(text, err)) == NULL)
        return NR_EINVAL;
    *ret = json_pack("[o]", one);
    return 0;
}

static bool fits(enum import_from from, const json_t *document)
{
    const char *kind = nr_json_string(document, "kind");

    for (int i = 0; kind && importers[from].kinds[i]; i++)
        if (strcmp(kind, importers[from].kinds[i]) == 0)
            return true;
    return kind == NULL && importers[from].member &&
           nr_json_object(document, importers[from].member);
}

/* Also one of the items of a list, as `kubectl get` writes it. */
static const json_t *find(enum import_from from, const json_t *documents, struct import *m)
{
    const json_t *found = NULL;
    size_t i, k, others = 0;
    json_t *document, *item;

    json_array_foreach(documents, i, document) {
        const json_t *items = json_object_get(document, "items");

        if (fits(from, document)) {
            others += found != NULL;
            found = found ? found : document;
        }
        json_array_foreach(items, k, item) {
            others += found && fits(from, item);
            found = found == NULL && fits(from, item) ? item : found;
        }
    }
    if (others > 0)
        import_note(m, "%zu more of the kind were in the text; only the first was taken", others);
    return found;
}

static void begin(struct import *m, struct nr_buf *notes, struct nr_err *err)
{
    *m = (struct import){
        .document = json_object(), .notes = notes, .tick_ms = 2000, .max = -1, .err = err};
    (void)json_object_set_new(m->document, "policy", json_string("imported"));
    (void)json_object_set_new(m->document, "target", json_object());
    (void)json_object_set_new(m->document, "mode", json_string("enforce"));
    import_tick(m, m->tick_ms);
    (void)json_object_set_new(m->document, "bounds", json_object());
    m->left_out = json_array();
    m->rules = json_array();
    m->schedule = json_array();
    (void)json_object_set_new(m->document, "rules", m->rules);
    (void)json_object_set_new(m->document, "schedule", m->schedule);
}

/* The account is all that may be missing: other platforms have none. */
static int judge(const struct import *m, struct nr_err *err)
{
    nr_auto_json json_t *copy = json_deep_copy(m->document);
    json_t *target = json_object_get(copy, "target");
    nr_auto_free char *text = NULL;
    struct policy *p = NULL;
    struct nr_err why = {0};
    size_t count, n;
    int r;

    if (json_object_get(target, "account") == NULL)
        (void)json_object_set_new(target, "account", json_string("guest"));
    if ((text = nr_json_text(copy, &n)) == NULL)
        return nr_err_set(err, NR_ENOMEM, "no memory for the policy");
    r = policy_read((struct nr_str){text, n}, NULL, &p, NULL, 0, &count, &why);
    policy_unref(p);
    if (r < 0)
        return nr_err_set(err, NR_EINVAL, "the settings make no good policy: %s", why.text);
    return 0;
}

static int run(enum import_from from, struct import *m, const json_t *documents, struct nr_err *err)
{
    const json_t *document = find(from, documents, m);
    int r;

    if (document == NULL)
        return nr_err_set(err, NR_EINVAL, "there is no %s of %s in it", importers[from].kinds[0],
                          importers[from].name);
    r = importers[from].run(m, document);
    if (r == 0 && json_array_size(m->schedule) == 0)
        (void)json_object_del(m->document, "schedule");
    return r == 0 ? judge(m, err) : r;
}

int policy_import(enum import_from from, struct nr_str text, json_t **ret, struct nr_buf *notes,
                  struct nr_err *err)
{
    nr_auto_json json_t *documents = NULL;
    struct import m;
    int r = parse(text, &documents, err);

    if (r < 0)
        return r;
    begin(&m, notes, err);
    r = run(from, &m, documents, err);
    json_decref(m.left_out);
    if (r == 0)
        *ret = m.document;
    else
        json_decref(m.document);
    return r;
}
