/* One pass over libyaml's events, a stack of open lists and maps. Each value that is finished goes into what is open above it.
 *
 * Anchors keep the finished value; an alias copies it, and its nodes are counted again, so that a few lines cannot become a billion values. A value that
 * is not finished has no alias: nothing holds itself.
 */
#include "scaler/policy/yaml_json.h"

#include <yaml.h>

#include "common/base/json.h"
#include "common/base/mem.h"

/* One list or map that is open. */
struct level {
    json_t *value; /* made until it is closed */
    char *key;     /* of a map: waits for its value */
    int anchor;    /* -1: none */
};

struct yaml_reader {
    yaml_parser_t parser;
    struct level level[YAML_DEPTH_MAX];
    int depth;
    json_t *documents;
    struct {
        char *name;
        json_t *value; /* NULL: it is not finished */
    } anchor[YAML_ANCHORS_MAX];
    int anchors;
    size_t nodes;
    unsigned line;
    struct nr_err *err;
};

static int refuse(struct yaml_reader *y, const char *why)
{
    return nr_err_set(y->err, NR_EINVAL, "YAML, line %u: %s", y->line, why);
}

/* The place of a new anchor; -1: there is none, -2: a ceiling. A later one of the same name takes its place. */
static int anchor_make(struct yaml_reader *y, const yaml_char_t *name)
{
    if (name == NULL)
        return -1;
    if (y->anchors == YAML_ANCHORS_MAX)
        return -2;
    y->anchor[y->anchors].name = nr_strdup((const char *)name);
    return y->anchors++;
}

static void anchor_fill(struct yaml_reader *y, int at, json_t *value)
{
    if (at >= 0)
        y->anchor[at].value = json_incref(value);
}

static int key_take(struct yaml_reader *y, struct level *l, json_t *value)
{
    nr_auto_free char *text = NULL;

    if (json_is_string(value) && strlen(json_string_value(value)) == json_string_length(value))
        text = nr_strdup(json_string_value(value));
    else if (json_is_integer(value) || json_is_boolean(value))
        text = nr_json_text(value, &(size_t){0});
    if (text == NULL)
        return refuse(y, "a key must be a text");
    l->key = nr_steal(&text);
    return 0;
}

/* A finished value (given) goes where it belongs. */
static int put(struct yaml_reader *y, json_t *value)
{
    struct level *l = y->depth ? &y->level[y->depth - 1] : NULL;
    int r = 0;

    if (l == NULL) {
        if (json_array_size(y->documents) == YAML_DOCUMENTS_MAX)
            r = refuse(y, "more documents than are read");
        else
            (void)json_array_append(y->documents, value);
    } else if (json_is_array(l->value))
        (void)json_array_append(l->value, value);
    else if (l->key == NULL)
        r = key_take(y, l, value);
    else {
        if (json_object_get(l->value, l->key))
            r = refuse(y, "a key comes twice");
        else if (json_object_set(l->value, l->key, value) < 0)
            r = refuse(y, "a key is no UTF-8");
        free(nr_steal(&l->key));
    }
    json_decref(value);
    return r;
}

static bool one_of(const char *text, const char *const *words)
{
    for (; *words; words++)
        if (strcmp(text, *words) == 0)
            return true;
    return false;
}

/* What a text without quotes means. */
static json_t *plain(const char *text, size_t n)
{
    static const char *const yes[] = {"true", "True", "TRUE", NULL},
                             *const no[] = {"false", "False", "FALSE", NULL},
                             *const nothing[] = {"", "~", "null", "Null", "NULL", NULL};
    struct nr_str s = {text, n};
    int64_t whole;
    json_t *number;

    if (strlen(text) != n)
        return json_stringn(text, n);
    if (one_of(text, nothing))
        return json_null();
    if (one_of(text, yes) || one_of(text, no))
        return json_boolean(one_of(text, yes));
    if (nr_str_to_i64(s, INT64_MIN, INT64_MAX, &whole))
        return json_integer(whole);
    if (strspn(text, "0123456789+-.eE") == n && (number = nr_json_parse(s, NULL)) != NULL) {
        if (json_is_number(number))
            return number;
        json_decref(number);
    }
    return json_stringn(text, n);
}

static int take_scalar(struct yaml_reader *y, const yaml_event_t *e)
{
    const char *text = (const char *)e->data.scalar.value;
    size_t n = e->data.scalar.length;
    int anchor = anchor_make(y, e->data.scalar.anchor);
    json_t *value;

    if (anchor == -2)
        return refuse(y, "more anchors than are read");
    if (e->data.scalar.plain_implicit)
        value = plain(text, n);
    else
        value = json_stringn(text, n);
    if (value == NULL)
        return refuse(y, "a text is no UTF-8");
    anchor_fill(y, anchor, value);
    return put(y, value);
}

static int open_level(struct yaml_reader *y, json_t *value, const yaml_char_t *anchor)
{
    struct level *l;

    if (y->depth == YAML_DEPTH_MAX) {
        json_decref(value);
        return refuse(y, "nested more deeply than is read");
    }
    l = &y->level[y->depth++];
    *l = (struct level){.value = value, .anchor = anchor_make(y, anchor)};
    return l->anchor == -2 ? refuse(y, "more anchors than are read") : 0;
}

static int close_level(struct yaml_reader *y)
{
    struct level *l = &y->level[--y->depth];
    json_t *value = nr_steal(&l->value);

    anchor_fill(y, l->anchor, value);
    return put(y, value);
}

static size_t count_nodes(const json_t *value)
{
    size_t n = 1, i;
    const char *key;
    json_t *item;

    json_array_foreach(value, i, item)
        n += count_nodes(item);
    json_object_foreach((json_t *)(uintptr_t)value, key, item)
        n += count_nodes(item);
    return n;
}

static int take_alias(struct yaml_reader *y, const char *name)
{
    json_t *value = NULL;

    for (int i = 0; i < y->anchors; i++)
        if (strcmp(y->anchor[i].name, name) == 0)
            value = y->anchor[i].value;
    if (value == NULL)
        return refuse(y, "an alias stands for nothing that is finished");
    y->nodes += count_nodes(value);
    if (y->nodes > YAML_NODES_MAX)
        return refuse(y, "its aliases stand for more values than are read");
    value = json_deep_copy(value);
    return value ? put(y, value) : refuse(y, "no memory");
}

static int take_event(struct yaml_reader *y, const yaml_event_t *e)
{
    y->line = (unsigned)e->start_mark.line + 1;
    switch (e->type) {
    case YAML_SCALAR_EVENT: return take_scalar(y, e);
    case YAML_SEQUENCE_START_EVENT:
        return open_level(y, json_array(), e->data.sequence_start.anchor);
    case YAML_MAPPING_START_EVENT:
        return open_level(y, json_object(), e->data.mapping_start.anchor);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT: return close_level(y);
    case YAML_ALIAS_EVENT: return take_alias(y, (const char *)e->data.alias.anchor);
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_STREAM_END_EVENT:
    case YAML_DOCUMENT_START_EVENT:
    case YAML_DOCUMENT_END_EVENT: return 0;
    }
    return 0;
}

static int read_events(struct yaml_reader *y)
{
    bool end = false;
    int r = 0;

    while (r == 0 && !end) {
        yaml_event_t e;

        if (!yaml_parser_parse(&y->parser, &e)) {
            y->line = (unsigned)y->parser.problem_mark.line + 1;
            return refuse(y, y->parser.problem ? y->parser.problem : "it cannot be read");
        }
        end = e.type == YAML_STREAM_END_EVENT;
        r = ++y->nodes > YAML_NODES_MAX ? refuse(y, "more values than are read")
                                        : take_event(y, &e);
        yaml_event_delete(&e);
    }
    return r;
}

static void fini(struct yaml_reader *y)
{
    for (int i = 0; i < y->depth; i++) {
        json_decref(y->level[i].value);
        free(y->level[i].key);
    }
    for (int i = 0; i < y->anchors; i++) {
        free(y->anchor[i].name);
        json_decref(y->anchor[i].value);
    }
    json_decref(y->documents);
    yaml_parser_delete(&y->parser);
}

int yaml_read(struct nr_str text, json_t **ret, struct nr_err *err)
{
    struct yaml_reader y = {.documents = json_array(), .err = err};
    int r;

    if (!yaml_parser_initialize(&y.parser)) {
        json_decref(y.documents);
        return nr_err_set(err, NR_ENOMEM, "no memory to read YAML");
    }
    yaml_parser_set_input_string(&y.parser, (const unsigned char *)(text.n ? text.p : ""), text.n);
    yaml_parser_set_encoding(&y.parser, YAML_UTF8_ENCODING);
    r = read_events(&y);
    if (r == 0) {
        *ret = nr_steal(&y.documents);
    }
    fini(&y);
    return r;
}
