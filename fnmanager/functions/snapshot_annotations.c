/* Annotations that mean something for what runs, as fields of the snapshot. They were checked when they were stored. */
#include "common/base/json.h"
#include "fnmanager/functions/settings.h"
#include "fnmanager/functions/snapshot.h"

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

static bool is_true(const json_t *annotations, const char *key)
{
    return json_is_true(annotation(annotations, key));
}

/* Anything but false wants something of the caller; what a PUT takes is true, a text or a number. */
static void set_secret(const json_t *require, struct function_web *w)
{
    nr_auto_free char *number = json_is_number(require) ? nr_json_text(require, NULL) : NULL;
    const char *text = json_is_string(require) ? json_string_value(require) : number;

    if (require == NULL || json_is_false(require))
        w->access = WEB_OPEN;
    else if (text == NULL || *text == '\0')
        w->access = WEB_KEY;
    else
        w->access = WEB_SECRET;
    w->secret = nr_strdup(w->access == WEB_SECRET ? text : "");
}

static void set_web(const json_t *annotations, struct function_web *w)
{
    if (!is_true(annotations, "web-export")) {
        w->secret = nr_strdup("");
        return;
    }
    set_secret(annotation(annotations, "require-whisk-auth"), w);
    w->raw = is_true(annotations, "raw-http");
    w->custom_options = is_true(annotations, "web-custom-options");
}

bool snapshot_has_label(const char *stored, const char *label)
{
    nr_auto_json json_t *all = nr_json_parse(nr_str_of(stored), NULL);
    struct nr_str value = nr_str_of(label), key;
    size_t i;
    json_t *e;

    if (!nr_str_split(&value, '=', &key) || value.p == NULL)
        return false;
    json_array_foreach(all, i, e) {
        const char *text = json_string_value(json_object_get(e, "value"));

        if (text && nr_str_eqz(key, json_string_value(json_object_get(e, "key"))) &&
            nr_str_eqz(value, text))
            return true;
    }
    return false;
}

static enum store_policy store_of(const json_t *annotations)
{
    const char *word = json_string_value(annotation(annotations, "narae.store"));

    if (word == NULL || strcmp(word, "all") == 0)
        return STORE_ALL;
    return strcmp(word, "errors") == 0 ? STORE_ERRORS : STORE_NONE;
}

/* Adds the keys of an object text, with `only_given` those whose value is neither null nor an empty text. */
static int add_names(const char *object, bool only_given, char **names, size_t *n)
{
    nr_auto_json json_t *all = nr_json_parse(nr_str_of(object), NULL);
    const char *key;
    json_t *value;

    if (all == NULL)
        return NR_ENOMEM;
    json_object_foreach(all, key, value) {
        bool empty = only_given &&
                     (json_is_null(value) || (json_is_string(value) && !json_string_length(value)));

        if (!empty && names != NULL)
            names[*n] = nr_strdup(key);
        *n += !empty;
    }
    return 0;
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The names in two object texts, sorted (made); NULL: none. */
static int list_names(const char *one, const char *other, bool only_given, char ***ret)
{
    size_t n = 0, again = 0;
    int r;

    if ((r = add_names(one, only_given, NULL, &n)) < 0 ||
        (r = add_names(other, only_given, NULL, &n)) < 0 || n == 0)
        return r;
    *ret = nr_try_alloc((n + 1) * sizeof(**ret));
    if (*ret == NULL)
        return NR_ENOMEM;
    memset(*ret, 0, (n + 1) * sizeof(**ret));
    if ((r = add_names(one, only_given, *ret, &again)) == 0)
        r = add_names(other, only_given, *ret, &again);
    qsort(*ret, again, sizeof(**ret), by_bytes);
    return r;
}

int snapshot_final(const char *stored, struct function *f)
{
    nr_auto_json json_t *all = nr_json_parse(nr_str_of(stored), NULL);
    int r = list_names(f->parameters, "{}", false, &f->bound_names);

    if (r == 0 && is_truthy(annotation(all, "final")))
        r = list_names(f->parameters, f->init_parameters, true, &f->final_names);
    return r;
}

void snapshot_annotations(const char *stored, bool native, struct function *f)
{
    nr_auto_json json_t *all = nr_json_parse(nr_str_of(stored), NULL);
    const char *network = json_string_value(annotation(all, "narae.network"));
    const char *exec = json_string_value(annotation(all, "narae.exec"));

    f->network = network != NULL && strcmp(network, "none") == 0 ? FN_NET_NONE : FN_NET_EGRESS;
    f->exec = nr_strdup(!native ? "" : exec != NULL ? exec : "once");
    f->provide_api_key = is_truthy(annotation(all, "provide-api-key"));
    f->conductor = f->steps == NULL && is_truthy(annotation(all, "conductor"));
    f->store = store_of(all);
    set_web(all, &f->web);
    struct settings s = {.cpus_milli = 0};

    (void)settings_read(all, &s, NULL); /* checked when it was stored */
    f->cpus_milli = s.cpus_milli;
    f->cpu_share = s.cpu_share;
    f->gpu = s.gpu;
    f->place = settings_place(&s);
}
