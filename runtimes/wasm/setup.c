/* Texts become variables as they are, anything else as its JSON text. A name that no variable can have ("", "a=b") is left
 * out, as is a text with a NUL in it. What INIT says of the call it came with, every call says anew: a call's own count.
 */
#include "setup.h"

#include <ctype.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define INIT_MAX_BYTES (16u << 20)
#define NAME_MAX_BYTES 100u

static bool grow(struct variables *v)
{
    if (v->count < v->capacity)
        return true;
    size_t capacity = v->capacity ? 2 * v->capacity : 32;
    const char **names = realloc(v->names, capacity * sizeof *names);
    if (names)
        v->names = names;
    const char **values = realloc(v->values, capacity * sizeof *values);
    if (values)
        v->values = values;
    if (!names || !values)
        return false;
    v->capacity = capacity;
    return true;
}

/* name is lent, text given. */
static void add(struct variables *v, const char *name, char *text)
{
    char *own = text && name[0] && !strchr(name, '=') ? strdup(name) : NULL;
    if (!own || !grow(v)) {
        free(own);
        free(text);
        return;
    }
    v->names[v->count] = own;
    v->values[v->count++] = text;
    v->own = v->count;
}

static bool has(const struct variables *v, const char *name)
{
    for (size_t i = 0; i < v->own; i++) {
        if (strcmp(v->names[i], name) == 0)
            return true;
    }
    return false;
}

static void add_json(struct variables *v, const char *name, const json_t *value)
{
    if (!json_is_string(value))
        add(v, name, json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY));
    else if (strlen(json_string_value(value)) == json_string_length(value))
        add(v, name, strdup(json_string_value(value)));
}

static json_t *read_json(int fd)
{
    struct stat st;
    json_t *root = NULL;
    if (fstat(fd, &st) < 0 || st.st_size <= 0 || st.st_size > INIT_MAX_BYTES)
        return NULL;
    char *text = malloc((size_t)st.st_size);
    if (text && pread(fd, text, (size_t)st.st_size, 0) == (ssize_t)st.st_size)
        root = json_loadb(text, (size_t)st.st_size, JSON_ALLOW_NUL, NULL);
    free(text);
    return root;
}

bool setup_read(struct setup *s, int init_fd)
{
    json_t *root = read_json(init_fd), *value;
    json_int_t memory_mb = 0, result_max = 1 << 20;
    const char *name;
    bool good = root && json_unpack(root, "{s?I,s?I}", "memory_mb", &memory_mb, "result_max_bytes",
                                    &result_max) == 0;
    s->memory_bytes = memory_mb > 0 ? (int64_t)memory_mb << 20 : -1;
    s->result_max_bytes = result_max > 0 ? (size_t)result_max : 0;
    if (good)
        json_object_foreach(json_object_get(json_object_get(root, "value"), "env"), name, value)
            add_json(&s->env, name, value);
    json_decref(root);
    return good;
}

static json_t *parse_meta(const char *meta, size_t length)
{
    static const char rest[] = "null}"; /* meta ends with `"value":` */
    char *text = malloc(length + sizeof rest);
    if (!text)
        return NULL;
    memcpy(text, meta, length);
    memcpy(text + length, rest, sizeof rest);
    json_t *root = json_loadb(text, length + sizeof rest - 1, JSON_ALLOW_NUL, NULL);
    free(text);
    return root;
}

void setup_begin_call(struct setup *s, const char *meta, size_t length)
{
    json_t *root = parse_meta(meta, length), *value;
    struct variables *v = &s->call;
    const char *key;
    json_object_foreach(root, key, value) {
        char name[NAME_MAX_BYTES + 8] = "__OW_";
        size_t n = strlen(key);
        if (strcmp(key, "value") == 0 || n > NAME_MAX_BYTES)
            continue;
        for (size_t i = 0; i <= n; i++)
            name[5 + i] = (char)toupper((unsigned char)key[i]);
        add_json(v, name, value);
    }
    json_decref(root);
    for (size_t i = 0; i < s->env.count; i++) {
        if (has(v, s->env.names[i]) || !grow(v))
            continue;
        v->names[v->count] = s->env.names[i];
        v->values[v->count++] = s->env.values[i];
    }
}

void setup_end_call(struct setup *s)
{
    struct variables *v = &s->call;
    for (size_t i = 0; i < v->own; i++) {
        free((void *)(uintptr_t)v->names[i]);
        free((void *)(uintptr_t)v->values[i]);
    }
    v->count = v->own = 0;
}
