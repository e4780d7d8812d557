/* What packages, triggers and rules have in common: documents of a collection, that are put, read, listed and deleted by a name. */
#include <stdio.h>

#include "cli/entities.h"
#include "cli/verbs.h"

/* Where the name begins in "/NAMESPACE/NAME"; the word itself when it has none; NULL: it is neither. */
static const char *name_in(const char *word)
{
    const char *slash;

    if (word[0] != '/')
        return strchr(word, '/') ? NULL : word;
    slash = strchr(word + 1, '/');
    return slash && slash > word + 1 && slash[1] && strchr(slash + 1, '/') == NULL ? slash + 1
                                                                                   : NULL;
}

const char *entity_short(const char *word)
{
    const char *name = name_in(word);

    return name ? name : word;
}

char *entity_full(const char *word)
{
    size_t n = strlen(word) + 4;
    char *full = nr_alloc(n);

    (void)snprintf(full, n, "%s%s", word[0] == '/' ? "" : "/_/", word);
    return full;
}

char *entity_path(const struct cli *c, const char *collection, const char *word, const char *query)
{
    const char *name = name_in(word);

    if (name == NULL) {
        (void)cli_fail(c, "%s: it is named NAME or /NAMESPACE/NAME, for these are in no package",
                       word);
        return NULL;
    }
    nr_auto_free char *space =
        name == word ? nr_strdup("_") : nr_strndup(word + 1, (size_t)(name - word - 2));
    nr_auto_free char *base = cli_path("/api/v1/namespaces/%s/%s/%s", space, collection, name);
    size_t n = strlen(base) + strlen(query) + 1;
    char *path = nr_alloc(n);

    (void)snprintf(path, n, "%s%s", base, query);
    return path;
}

json_t *entity_pairs(const json_t *object)
{
    json_t *list = json_array(), *value;
    const char *key;

    json_object_foreach((json_t *)(uintptr_t)object, key, value)
        json_array_append_new(list, json_pack("{s:s,s:O}", "key", key, "value", value));
    return list;
}

json_t *entity_body(const struct cli *c)
{
    json_t *body = json_object(), *value;
    const char *key;

    if (c->parameters || c->secrets) {
        json_t *list = entity_pairs(c->parameters);

        json_object_foreach(c->secrets, key, value)
            json_array_append_new(
                list, json_pack("{s:s,s:O,s:b}", "key", key, "value", value, "secret", true));
        json_object_set_new(body, "parameters", list);
    }
    if (c->annotations)
        json_object_set_new(body, "annotations", entity_pairs(c->annotations));
    return body;
}

/* "packages" -> "package" */
static int singular(const char *collection)
{
    return (int)strlen(collection) - 1;
}

int entity_put(struct cli *c, const char *collection, const json_t *body, bool overwrite,
               json_t **ret)
{
    nr_auto_free char *path =
        entity_path(c, collection, c->argv[0], overwrite ? "?overwrite=true" : "?overwrite=false");
    nr_auto_json json_t *answer = NULL;

    if (path == NULL)
        return CLI_NOT_DONE;
    int e = cli_call(c, "PUT", path, body, 0, &answer, NULL);

    if (e != 0)
        return e;
    if (ret)
        *ret = json_incref(answer);
    else if (cli_json(c))
        cli_print_json(answer);
    else
        printf("%s %.*s %s %s\n", overwrite ? "updated" : "created", singular(collection),
               collection, entity_short(c->argv[0]), nr_json_string(answer, "version"));
    return 0;
}

int entity_read(struct cli *c, const char *collection, json_t **ret)
{
    nr_auto_free char *path = entity_path(c, collection, c->argv[0], "");

    return path ? cli_call(c, "GET", path, NULL, 0, ret, NULL) : CLI_NOT_DONE;
}

int entity_get(struct cli *c, const char *collection)
{
    nr_auto_json json_t *answer = NULL;
    int e = entity_read(c, collection, &answer);

    if (e == 0)
        cli_print_json(answer);
    return e;
}

int entity_delete(struct cli *c, const char *collection, const char *query, const char *what)
{
    nr_auto_free char *path = entity_path(c, collection, c->argv[0], query);

    if (path == NULL || cli_confirm(c, "delete %s", what) != 0)
        return CLI_NOT_DONE;
    return cli_do(c, "DELETE", path, NULL, "deleted %.*s %s", singular(collection), collection,
                  entity_short(c->argv[0]));
}

int entity_list(struct cli *c, const char *collection, const struct column *columns, size_t count,
                const char *none)
{
    nr_auto_free char *base = cli_path("/api/v1/namespaces/_/%s", collection);
    nr_auto_free char *path = cli_page(c, base);

    return cli_get_list(c, path, collection, columns, count, none);
}
