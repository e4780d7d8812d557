/* Annotations that mean something for what runs, as fields of the snapshot. They were checked when they were stored. */
#include "common/base/json.h"
#include "fnmanager/settings.h"
#include "fnmanager/snapshot.h"

/* The value of an annotation, lent; NULL when there is none. */
static const json_t *annotation(const json_t *annotations, const char *key)
{
    size_t i;
    json_t *e;

    json_array_foreach(annotations, i, e) {
        if (strcmp(json_string_value(json_object_get(e, "key")), key) == 0)
            return json_object_get(e, "value");
    }
    return NULL;
}

/* As clients write truth: true, a number other than 0, a text that is neither empty nor "false", anything else but null. */
static bool is_truthy(const json_t *j)
{
    if (j == NULL || json_is_null(j) || json_is_false(j))
        return false;
    if (json_is_number(j))
        return json_number_value(j) < 0 || json_number_value(j) > 0;
    if (json_is_string(j))
        return *json_string_value(j) != '\0' && strcmp(json_string_value(j), "false") != 0;
    return true;
}

void snapshot_annotations(const char *stored, bool native, struct function *f)
{
    nr_auto_json json_t *all = nr_json_parse(nr_str_of(stored), NULL);
    const char *network = json_string_value(annotation(all, "narae.network"));
    const char *exec = json_string_value(annotation(all, "narae.exec"));

    f->network = network != NULL && strcmp(network, "none") == 0 ? FN_NET_NONE : FN_NET_EGRESS;
    f->exec = nr_strdup(!native ? "" : exec != NULL ? exec : "once");
    f->provide_api_key = is_truthy(annotation(all, "provide-api-key"));
    struct settings s = {.cpus_milli = 0};

    (void)settings_read(all, &s, NULL); /* checked when it was stored */
    f->cpus_milli = s.cpus_milli;
    f->cpu_share = s.cpu_share;
    f->gpu = s.gpu;
}
