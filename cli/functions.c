/* narae functions, get, delete. */
#include <stdio.h>

#include "cli/entities.h"
#include "cli/verbs.h"

static const struct column columns[] = {
    {"NAME", "name", CELL_TEXT, 20},           {"STATE", "state", CELL_STATE, 0},
    {"VERSION", "version", CELL_TEXT, 0},      {"KIND", "kind", CELL_TEXT, 6},
    {"MEMORY", "memory_mb", CELL_MB, 0},       {"TIMEOUT", "timeout_ms", CELL_MS, 0},
    {"PUBLISHED", "versions", CELL_NUMBER, 0}, {"ALIASES", "aliases", CELL_LIST, 8},
    {"UPDATED", "updated_ms", CELL_TIME, 0},   {"CODE", "code_bytes", CELL_BYTES, 0, .wide = true},
};

int verb_functions(struct cli *c)
{
    nr_auto_free char *path = cli_page(c, "/narae/v1/functions");
    nr_auto_json json_t *answer = NULL;
    int e = cli_call(c, "GET", path, NULL, 0, &answer, NULL);

    if (e != 0)
        return e;
    size_t shown = json_array_size(json_object_get(answer, "functions"));
    int64_t total = json_integer_value(json_object_get(answer, "total"));
    int64_t skip = c->number[OPT_SKIP] < 0 ? 0 : c->number[OPT_SKIP];

    cli_show_list(c, answer, "functions", columns, nr_countof(columns),
                  total ? "there are no more" : "no functions yet; deploy one: narae deploy FILE");
    if (shown && total > skip + (int64_t)shown && !cli_json(c))
        (void)fprintf(stderr, "%lld more: --skip %lld\n", (long long)(total - skip - shown),
                      (long long)(skip + (int64_t)shown));
    return 0;
}

static int action_path(const struct cli *c, const char *query, char *out, size_t n)
{
    char name[3072];

    if (!cli_path_name(c->argv[0], name, sizeof(name)))
        return cli_fail("the name %s is too long", c->argv[0]);
    (void)snprintf(out, n, "/api/v1/namespaces/%s/actions/%s%s", cli_space(c), name, query);
    return 0;
}

int verb_get(struct cli *c)
{
    nr_auto_free char *version = c->text[OPT_VERSION] ? cli_function_path(c, "") : NULL;
    nr_auto_json json_t *answer = NULL;
    char path[4096];
    int e = action_path(c, "?code=false", path, sizeof(path));

    if (e == 0 && (e = cli_call(c, "GET", version ? version : path, NULL, 0, &answer, NULL)) == 0)
        cli_print_json(answer);
    return e;
}

/* The words of wsk do not ask, as wsk does not. */
int verb_delete(struct cli *c)
{
    const char *number = c->text[OPT_VERSION];
    nr_auto_free char *version = number ? cli_function_path(c, "") : NULL;
    char path[4096];
    struct nr_buf users;
    int e = action_path(c, "", path, sizeof(path));

    nr_buf_init(&users, 1 << 16);
    if (e == 0 && !c->as_wsk && !number)
        uses_of_function(c, c->argv[0], &users);
    if (users.n && c->text[OPT_YES])
        (void)fprintf(stderr, "narae: deleting %s%.*s\n", c->argv[0], (int)users.n, users.p);
    if (e == 0 && !c->as_wsk)
        e = number ? cli_confirm(c, "delete %s, version %s", c->argv[0], number)
                   : cli_confirm(c, "delete %s with all versions%.*s", c->argv[0], (int)users.n,
                                 users.n ? users.p : "");
    nr_buf_fini(&users);
    if (e != 0)
        return e;
    return cli_do(c, "DELETE", version ? version : path, NULL, "deleted %s%s%s", c->argv[0],
                  number ? ", version " : "", number ? number : "");
}
