/* A field that nobody knows is a mistake of somebody tired, who would take the 2xx for what he meant: it is refused by name.
 */
#include "fnmanager/fields.h"

#include "common/base/buf.h"

#define MALFORMED "The request content was malformed:\n"

static bool is_known(const char *key, const char *const *known)
{
    for (size_t i = 0; known[i] != NULL; i++) {
        if (strcmp(known[i], key) == 0)
            return true;
    }
    return false;
}

/* "a, b and c". */
static void write_known(const char *const *known, struct nr_buf *out)
{
    for (size_t i = 0; known[i] != NULL; i++) {
        if (i > 0)
            nr_buf_adds(out, known[i + 1] != NULL ? ", " : " and ");
        nr_buf_adds(out, known[i]);
    }
}

static int refuse_unknown(const char *key, const char *const *known, struct nr_err *err)
{
    struct nr_buf list;
    int r;

    nr_buf_init(&list, 256);
    write_known(known, &list);
    r = known[0] == NULL
            ? nr_err_set(err, NR_EINVAL, "The field '%.64s' is not known; there are none.", key)
            : nr_err_set(err, NR_EINVAL, "The field '%.64s' is not known; there %s %.*s.", key,
                         known[1] != NULL ? "are" : "is", (int)list.n, list.p);
    nr_buf_fini(&list);
    return r;
}

json_t *fields_parse(struct nr_str body, const char *const *known, struct nr_err *err)
{
    struct nr_err why = {0};
    nr_auto_json json_t *o = body.n != 0 ? nr_json_parse(body, &why) : json_object();
    const char *key;
    json_t *value;

    if (!json_is_object(o)) {
        (void)nr_err_set(err, NR_EINVAL, MALFORMED "%s", o == NULL ? why.text : "Object expected");
        return NULL;
    }
    json_object_foreach(o, key, value) {
        if (!is_known(key, known)) {
            (void)refuse_unknown(key, known, err);
            return NULL;
        }
    }
    return json_incref(o);
}

int fields_text(const json_t *body, const char *key, size_t max, bool may_be_empty,
                const char **ret, struct nr_err *err)
{
    const json_t *value = json_object_get(body, key);
    size_t n;

    if (value == NULL || json_is_null(value))
        return 0;
    n = json_string_length(value);
    if (!json_is_string(value) || strlen(json_string_value(value)) != n)
        return nr_err_set(err, NR_EINVAL, "The field '%s' must be a text.", key);
    if (n > max || (n == 0 && !may_be_empty))
        return nr_err_set(err, NR_EINVAL,
                          "The field '%s' must be a text of %d to %zu bytes, not of %zu.", key,
                          may_be_empty ? 0 : 1, max, n);
    *ret = json_string_value(value);
    return 0;
}

int fields_integer(const json_t *body, const char *key, int64_t min, int64_t max, int64_t null_is,
                   int64_t *ret, struct nr_err *err)
{
    const json_t *value = json_object_get(body, key);
    int64_t n = json_integer_value(value);

    if (value == NULL)
        return 0;
    if (json_is_null(value) && null_is != FIELDS_NO_NULL)
        n = null_is;
    else if (!json_is_integer(value) || n < min || n > max)
        return nr_err_set(err, NR_EINVAL, "The field '%s' must be an integer from %lld to %lld.",
                          key, (long long)min, (long long)max);
    *ret = n;
    return 0;
}
