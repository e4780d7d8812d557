/* One element of an array of {"key","value"}. */
#include "fnmanager/images/image_annotation.h"

#include "common/base/json.h"
#include "common/base/mem.h"

static bool is_pin(const json_t *e)
{
    const char *key = nr_json_string(e, "key");

    return key && strcmp(key, IMAGE_ANNOTATION) == 0;
}

char *image_pin_of(struct nr_str annotations)
{
    nr_auto_json json_t *all = nr_json_parse(annotations, NULL);
    size_t i;
    json_t *e;

    json_array_foreach(all, i, e) {
        const char *value = nr_json_string(e, "value");

        if (is_pin(e) && value)
            return nr_strdup(value);
    }
    return nr_strdup("");
}

int image_pin_set(char **annotations, const char *pin, struct nr_err *err)
{
    nr_auto_json json_t *all = nr_json_parse(nr_str_of(*annotations), NULL);
    size_t i = 0;

    if (pin[0] == '\0' && strstr(*annotations, IMAGE_ANNOTATION) == NULL)
        return 0;
    while (i < json_array_size(all))
        if (is_pin(json_array_get(all, i)))
            (void)json_array_remove(all, i);
        else
            i++;
    if (pin[0] != '\0')
        (void)json_array_append_new(all,
                                    json_pack("{s:s, s:s}", "key", IMAGE_ANNOTATION, "value", pin));
    char *text = all ? nr_json_text(all, NULL) : NULL;

    if (text == NULL)
        return nr_err_set(err, NR_ENOMEM, "There is no memory to store the action.");
    free(*annotations);
    *annotations = text;
    return 0;
}
