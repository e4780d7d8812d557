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

static void write_kind(const json_t *row, struct nr_buf *out)
{
    cell_add(cli_annotation(row, "exec"), CELL_TEXT, out);
}

static const struct column of_package[] = {
    {"NAME", "name", CELL_TEXT, 20},         {"PACKAGE", "namespace", CELL_TEXT, 8},
    {"VERSION", "version", CELL_TEXT, 0},    {"KIND", NULL, CELL_TEXT, 6, .write = write_kind},
    {"MEMORY", "limits.memory", CELL_MB, 0}, {"TIMEOUT", "limits.timeout", CELL_MS, 0},
    {"UPDATED", "updated", CELL_TIME, 0},
};

/* PACKAGE, /NAMESPACE/PACKAGE, or as wsk has it /NAMESPACE alone. */
static int functions_of(struct cli *c, const char *word)
{
    const char *slash = word[0] == '/' ? strchr(word + 1, '/') : NULL;
    nr_auto_free char *space = slash            ? nr_strndup(word + 1, (size_t)(slash - word - 1))
                               : word[0] == '/' ? nr_strdup(word + 1)
                                                : nr_strdup("_");
    const char *package = slash ? slash + 1 : word[0] == '/' ? "" : word;

    if (strchr(package, '/'))
        return cli_fail(c, "%s: a package is named NAME or /NAMESPACE/NAME", word);
    nr_auto_free char *path = package[0]
                                  ? cli_path("/api/v1/namespaces/%s/actions/%s/", space, package)
                                  : cli_path("/api/v1/namespaces/%s/actions", space);
    nr_auto_free char *page = cli_page(c, path);

    nr_auto_json json_t *answer = NULL;
    int e = cli_call(c, "GET", page, NULL, 0, &answer, NULL);

    if (e == 0)
        cli_show_list(c, answer, NULL, of_package, nr_countof(of_package),
                      "no functions in it; deploy one: narae deploy FILE --name PACKAGE/NAME");
    return e;
}

int verb_functions(struct cli *c)
{
    if (c->argc > 0)
        return functions_of(c, c->argv[0]);
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
        cli_remark(c, "%lld more: --skip %lld", (long long)(total - skip - shown),
                   (long long)(skip + (int64_t)shown));
    return 0;
}

static int action_path(const struct cli *c, const char *query, char *out, size_t n)
{
    char name[3072];

    if (!cli_path_name(c->argv[0], name, sizeof(name)))
        return cli_fail(c, "the name %s is too long", c->argv[0]);
    (void)snprintf(out, n, "/api/v1/namespaces/%s/actions/%s%s", cli_space(c), name, query);
    return 0;
}

int verb_get(struct cli *c)
{
    nr_auto_free char *version = c->text[OPT_VERSION] ? cli_function_path(c, "") : NULL;
    nr_auto_json json_t *answer = NULL;
    char path[4096];
    bool saves = c->text[OPT_SAVE] || c->text[OPT_SAVE_AS];
    int e = action_path(c, saves ? "" : "?code=false", path, sizeof(path));

    if (version && (saves || c->text[OPT_URL]))
        return cli_fail(c, "--save, --save-as and --url are of the function, without --version");
    if (e == 0)
        e = cli_call(c, "GET", version ? version : path, NULL, 0, &answer, NULL);
    if (e != 0)
        return e;
    if (saves)
        return cli_save_code(c, answer);
    if (c->text[OPT_URL])
        return cli_print_url(c, answer);
    cli_print_json(answer);
    return 0;
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
        cli_note(c, "deleting %s%.*s", c->argv[0], (int)users.n, users.p);
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
