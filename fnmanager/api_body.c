/* A field that nobody knows is most often a typing error of one that somebody needs: it is refused by name, with those that there are.
 * A value is told back, cut, beside what it may be.
 */
#include "fnmanager/api_body.h"

#include <string.h>

#include "common/base/mem.h"

#define VALUE_SHOWN_BYTES 64

static int refuse_field(const char *key, const char *const *known, struct nr_err *err)
{
    char list[256] = "none";
    size_t n = 0;

    for (size_t i = 0; known[i] != NULL && n < sizeof(list); i++)
        n += (size_t)snprintf(list + n, sizeof(list) - n, "%s%s", i > 0 ? ", " : "", known[i]);
    return nr_err_set(err, NR_EINVAL, "The field '%.64s' is not known; the fields are: %s.", key,
                      list);
}

static bool is_known(const char *key, const char *const *known)
{
    for (size_t i = 0; known[i] != NULL; i++) {
        if (strcmp(known[i], key) == 0)
            return true;
    }
    return false;
}

json_t *api_body_read(struct nr_str text, const char *const *known, struct nr_err *err)
{
    struct nr_err why = {0};
    json_t *o = text.n == 0 ? json_object() : nr_json_parse(text, &why);
    const char *key;
    json_t *value;
    int r = 0;

    if (o == NULL)
        r = nr_err_set(err, NR_EINVAL, "The request content was malformed:\n%s", why.text);
    else if (!json_is_object(o))
        r = nr_err_set(err, NR_EINVAL, "The request content was malformed:\nObject expected");
    else
        json_object_foreach(o, key, value) {
            if (r == 0 && !is_known(key, known))
                r = refuse_field(key, known, err);
        }
    if (r == 0)
        return o;
    json_decref(o);
    return NULL;
}

/* What was given, as JSON, cut. */
static void show(const json_t *value, char out[VALUE_SHOWN_BYTES])
{
    nr_auto_free char *text = nr_json_text(value, NULL);

    (void)snprintf(out, VALUE_SHOWN_BYTES, "%s", text != NULL ? text : "?");
}

int api_body_text(const json_t *o, const char *key, size_t max_bytes, struct nr_str *ret,
                  struct nr_err *err)
{
    const json_t *value = json_object_get(o, key);
    char shown[VALUE_SHOWN_BYTES];
    size_t n = json_string_length(value);

    *ret = NR_STR("");
    if (value == NULL || json_is_null(value))
        return 0;
    show(value, shown);
    if (!json_is_string(value))
        return nr_err_set(err, NR_EINVAL, "The field '%s' must be a text, not %s.", key, shown);
    if (n > max_bytes)
        return nr_err_set(err, NR_ETOOBIG, "The field '%s' has %zu bytes; at most %zu are allowed.",
                          key, n, max_bytes);
    *ret = (struct nr_str){json_string_value(value), n};
    return 0;
}

int api_body_int(const json_t *o, const char *key, int64_t min, int64_t max, int64_t *ret,
                 struct nr_err *err)
{
    const json_t *value = json_object_get(o, key);
    int64_t n = json_integer_value(value);
    char shown[VALUE_SHOWN_BYTES];

    if (value == NULL)
        return 0;
    show(value, shown);
    if (!json_is_integer(value) || n < min || n > max)
        return nr_err_set(err, NR_EINVAL,
                          "The field '%s' must be a whole number from %lld to %lld, not %s.", key,
                          (long long)min, (long long)max, shown);
    *ret = n;
    return 0;
}

int api_body_bool(const json_t *o, const char *key, bool *ret, struct nr_err *err)
{
    const json_t *value = json_object_get(o, key);
    char shown[VALUE_SHOWN_BYTES];

    if (value == NULL)
        return 0;
    show(value, shown);
    if (!json_is_boolean(value))
        return nr_err_set(err, NR_EINVAL, "The field '%s' must be true or false, not %s.", key,
                          shown);
    *ret = json_is_true(value);
    return 0;
}
