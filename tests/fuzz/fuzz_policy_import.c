/* Settings of other platforms on any bytes, by every importer.
 *
 * What must hold: a refusal has a sentence; what is imported is a policy that is accepted once it has an account; notes are lines of text.
 */
#include "common/base/json.h"
#include "common/base/mem.h"
#include "fuzz.h"
#include "scaler/policy/policy.h"

static void check_document(json_t *document)
{
    json_t *target = json_object_get(document, "target");
    struct policy *p = NULL;
    struct nr_err err = {0};
    size_t count, n;
    char *text;

    if (json_object_get(target, "account") == NULL)
        (void)json_object_set_new(target, "account", json_string("guest"));
    text = nr_json_text(document, &n);
    nr_check(policy_read((struct nr_str){text, n}, NULL, &p, NULL, 0, &count, &err) == 0);
    free(text);
    policy_unref(p);
}

static void import_by(enum import_from from, struct nr_str text)
{
    json_t *document = NULL;
    struct nr_err err = {0};
    struct nr_buf notes;
    int r;

    nr_buf_init(&notes, 1 << 20);
    r = policy_import(from, text, &document, &notes, &err);
    nr_check((r == 0) == (err.code == 0) && (r == 0) == (document != NULL));
    nr_check(r == 0 || err.text[0] != '\0');
    nr_check(!notes.failed && (notes.n == 0 || notes.p[notes.n - 1] == '\n'));
    if (document)
        check_document(document);
    json_decref(document);
    nr_buf_fini(&notes);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    for (int from = IMPORT_KNATIVE; from <= IMPORT_FISSION; from++)
        import_by((enum import_from)from, (struct nr_str){(const char *)bytes, n});
    return 0;
}
