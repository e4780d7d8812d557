/* Truths and whole numbers are tags too, as their texts. */
#include "ports/tags.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

/* "true", "7", a text as it is. False: it cannot be the value of a tag. */
static bool value_text(const json_t *value, char out[TAG_MAX_BYTES + 1])
{
    const char *text = json_is_boolean(value) ? (json_is_true(value) ? "true" : "false")
                                              : json_string_value(value);
    size_t room = TAG_MAX_BYTES + 1;
    int n = json_is_integer(value)
                ? snprintf(out, room, "%lld", (long long)json_integer_value(value))
                : snprintf(out, room, "%s", text ? text : "");

    return n > 0 && n <= TAG_MAX_BYTES &&
           (!json_is_string(value) || strlen(text) == json_string_length(value));
}

static int judge(const char *what, const char *key, const json_t *value, struct nr_err *err)
{
    char text[TAG_MAX_BYTES + 1];

    if (*key == '\0' || strlen(key) > TAG_MAX_BYTES || strchr(key, '='))
        return nr_err_set(err, NR_EINVAL, "%s: '%.80s' is no tag: 1 to %d bytes without '='.", what,
                          key, TAG_MAX_BYTES);
    if (!value_text(value, text))
        return nr_err_set(err, NR_EINVAL,
                          "%s.%s must be true, false, a whole number or a text of 1 to %d bytes.",
                          what, key, TAG_MAX_BYTES);
    return 0;
}

int tags_read(const json_t *object, const char *what, char ***ret, struct nr_err *err)
{
    json_t *o = (json_t *)(uintptr_t)object, *value;
    const char *key;
    size_t n = 0;
    int r = 0;

    if (!json_is_object(o) || json_object_size(o) > TAGS_MAX)
        return nr_err_set(err, NR_EINVAL,
                          "%s must be an object of at most %d tags, like "
                          "{\"arch\":\"arm64\",\"gpu\":true}.",
                          what, TAGS_MAX);
    json_object_foreach(o, key, value) {
        if (r == 0)
            r = judge(what, key, value, err);
    }
    if (r < 0 || ret == NULL)
        return r;
    *ret = json_object_size(o) ? nr_alloc((json_object_size(o) + 1) * sizeof(**ret)) : NULL;
    json_object_foreach(o, key, value) {
        char text[TAG_MAX_BYTES + 1], tag[2 * TAG_MAX_BYTES + 2];

        (void)value_text(value, text);
        (void)snprintf(tag, sizeof(tag), "%s=%s", key, text);
        (*ret)[n++] = nr_strdup(tag);
    }
    return 0;
}

void tags_free(char **tags)
{
    for (size_t i = 0; tags && tags[i]; i++)
        free(tags[i]);
    free(tags);
}

bool tags_have(char *const *tags, const char *tag)
{
    for (size_t i = 0; tags && tags[i]; i++)
        if (strcmp(tags[i], tag) == 0)
            return true;
    return false;
}
