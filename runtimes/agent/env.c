/* Environment of processes that are started for a function: the container's own, INIT's, and per call the siblings of
 * the value. Strings are taken as they are, anything else as its JSON text.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtimes/agent/worker.h"

int env_set(struct env *e, const char *name, const char *value)
{
    size_t n = strlen(name);
    char *entry;
    if (n == 0 || strchr(name, '=') || asprintf(&entry, "%s=%s", name, value) < 0)
        return -EINVAL;
    for (size_t i = 0; i < e->length; i++) {
        if (strncmp(e->entries[i], entry, n + 1) == 0) {
            free(e->entries[i]);
            e->entries[i] = entry;
            return 0;
        }
    }
    char **grown = realloc(e->entries, (e->length + 2) * sizeof *grown);
    if (!grown) {
        free(entry);
        return -ENOMEM;
    }
    e->entries = grown;
    e->entries[e->length++] = entry;
    e->entries[e->length] = NULL;
    return 0;
}

static void set_json(struct env *e, const char *name, json_t *value)
{
    if (json_is_string(value)) {
        env_set(e, name, json_string_value(value));
        return;
    }
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    if (text)
        env_set(e, name, text);
    free(text);
}

int env_make(struct env *e, json_t *init_env)
{
    *e = (struct env){.entries = calloc(1, sizeof(char *))};
    if (!e->entries)
        return -ENOMEM;
    for (char **p = environ; *p; p++) {
        char *name = strndup(*p, strcspn(*p, "="));
        if (name)
            env_set(e, name, strchr(*p, '=') ? strchr(*p, '=') + 1 : "");
        free(name);
    }
    const char *name;
    json_t *value;
    json_object_foreach(init_env, name, value)
        set_json(e, name, value);
    return 0;
}

void env_free(struct env *e)
{
    for (size_t i = 0; i < e->length; i++)
        free(e->entries[i]);
    free(e->entries);
    *e = (struct env){0};
}

/* The text before the value ends with `"value":`; with a null behind it, it is a small JSON object. */
static json_t *parse_meta(const struct nr_frame *head, const char *payload)
{
    char text[NR_FRAME_META_MAX_BYTES + 8];
    if (head->value_at > NR_FRAME_META_MAX_BYTES || head->value_at > head->length)
        return NULL;
    memcpy(text, payload, head->value_at);
    memcpy(text + head->value_at, "null}", 5);
    return json_loadb(text, head->value_at + 5u, 0, NULL);
}

void env_add_call(struct env *e, const struct nr_frame *head, const char *payload)
{
    json_t *meta = parse_meta(head, payload);
    const char *key;
    json_t *value;
    json_object_foreach(meta, key, value) {
        char name[128] = "__OW_";
        size_t n = strlen(key);
        if (strcmp(key, "value") == 0 || n > 100)
            continue;
        for (size_t i = 0; i < n; i++)
            name[5 + i] = (char)toupper((unsigned char)key[i]);
        name[5 + n] = 0;
        set_json(e, name, value);
    }
    json_decref(meta);
}
