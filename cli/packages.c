/* narae package: functions under one name, with parameters of their own; bindings of packages. */
#include <stdio.h>

#include "cli/entities.h"
#include "cli/verbs.h"

#define PACKAGES "packages"

/* In lists the binding is an annotation or an object, or there is none. */
static void write_binding(const json_t *row, struct nr_buf *out)
{
    const json_t *binding = json_object_get(row, "binding");
    const char *space = nr_json_string(binding, "namespace"),
               *name = nr_json_string(binding, "name");

    if (name)
        nr_buf_printf(out, "/%s/%s", space ? space : "_", name);
    else
        nr_buf_addc(out, '-');
}

static const struct column columns[] = {
    {"PACKAGE", "name", CELL_TEXT, 12},   {"VERSION", "version", CELL_TEXT, 0},
    {"SHARED", "publish", CELL_YES, 0},   {"BINDS", NULL, CELL_TEXT, 8, .write = write_binding},
    {"UPDATED", "updated", CELL_TIME, 0},
};

int verb_package_list(struct cli *c)
{
    return entity_list(c, PACKAGES, columns, nr_countof(columns),
                       "no packages; narae package create NAME makes one");
}

int verb_package_get(struct cli *c)
{
    return entity_get(c, PACKAGES);
}

static int put(struct cli *c, bool overwrite)
{
    nr_auto_json json_t *body = entity_body(c);

    if (c->text[OPT_SHARED])
        json_object_set_new(body, "publish", json_boolean(strcmp(c->text[OPT_SHARED], "yes") == 0));
    return entity_put(c, PACKAGES, body, overwrite, NULL);
}

int verb_package_create(struct cli *c)
{
    return put(c, false);
}

int verb_package_update(struct cli *c)
{
    return put(c, true);
}

/* As wsk has it: first what is bound, then the name of the binding. */
int verb_package_bind(struct cli *c)
{
    const char *bound = c->argv[0], *name = entity_short(bound);
    nr_auto_free char *path = entity_path(c, PACKAGES, bound, ""); /* says what is no name */
    nr_auto_json json_t *body = entity_body(c);

    if (path == NULL)
        return CLI_NOT_DONE;
    nr_auto_free char *space =
        name == bound ? nr_strdup("_") : nr_strndup(bound + 1, (size_t)(name - bound - 2));

    json_object_set_new(body, "binding", json_pack("{s:s,s:s}", "namespace", space, "name", name));
    c->argv++;
    c->argc--;
    return entity_put(c, PACKAGES, body, false, NULL);
}

int verb_package_delete(struct cli *c)
{
    nr_auto_json json_t *package = NULL;
    char what[512], functions[64] = "";
    int e = entity_read(c, PACKAGES, &package);

    if (e != 0)
        return e;
    size_t n = json_array_size(json_object_get(package, "actions"));
    bool binding = json_object_size(json_object_get(package, "binding")) > 0;

    if (n > 0 && !binding)
        (void)snprintf(functions, sizeof(functions), " with its %zu function%s", n,
                       n > 1 ? "s" : "");
    (void)snprintf(what, sizeof(what), "the %s %.300s%s", binding ? "binding" : "package",
                   entity_short(c->argv[0]), functions);
    return entity_delete(c, PACKAGES, functions[0] ? "?force=true" : "", what);
}
