/* narae publish, versions, history, diff. */
#include <stdio.h>

#include "cli/cli.h"
#include "cli/verbs.h"

static const struct column versions[] = {
    {"VERSION", "version", CELL_NUMBER, 0},
    {"STATE", "state", CELL_STATE, 0},
    {"KIND", "kind", CELL_TEXT, 6},
    {"MEMORY", "memory_mb", CELL_MB, 0},
    {"CODE", "code_bytes", CELL_BYTES, 0},
    {"ALIASES", "aliases", CELL_LIST, 8},
    {"NOTE", "note", CELL_TEXT, 8},
    {"UPDATED", "updated_ms", CELL_TIME, 0},
    {"REASON", "reason", CELL_TEXT, 0, .wide = true},
    {"SHA-256", "sha256", CELL_TEXT, 0, .wide = true},
};

static void write_subject(const json_t *row, struct nr_buf *out)
{
    const json_t *version = json_object_get(row, "version");

    if (json_integer_value(version) > 0)
        cell_add(version, CELL_NUMBER, out);
    else
        nr_buf_adds(out, "LATEST");
}

/* A state, or where an alias pointed: {"1":90,"2":10} as "1:90,2:10". */
static void write_end(const char *text, struct nr_buf *out)
{
    nr_auto_json json_t *weights =
        text && text[0] == '{' ? nr_json_parse(nr_str_of(text), NULL) : NULL;
    const char *version, *before = "";
    json_t *weight;

    if (weights == NULL) {
        text_add_clean(nr_str_of(text ? text : "-"), out);
        return;
    }
    json_object_foreach(weights, version, weight) {
        nr_buf_adds(out, before);
        nr_buf_adds(out, version);
        if (json_object_size(weights) > 1)
            nr_buf_printf(out, ":%" JSON_INTEGER_FORMAT, json_integer_value(weight));
        before = ",";
    }
}

static void write_from(const json_t *row, struct nr_buf *out)
{
    write_end(nr_json_string(row, "from"), out);
}

static void write_to(const json_t *row, struct nr_buf *out)
{
    write_end(nr_json_string(row, "to"), out);
}

static const struct column moves[] = {
    {"TIME", "at_ms", CELL_TIME, 0},
    {"MOVE", "move", CELL_TEXT, 8},
    {"VERSION", NULL, CELL_TEXT, 0, .write = write_subject},
    {"FROM", NULL, CELL_STATE, 0, .write = write_from},
    {"TO", NULL, CELL_STATE, 0, .write = write_to},
    {"BY", "by", CELL_TEXT, 6},
    {"REASON", "reason", CELL_TEXT, 8},
    {"KEY", "key", CELL_TEXT, 0, .wide = true},
};

static const struct column settings[] = {
    {"SETTING", "path", CELL_TEXT, 12},
    {"FROM", "from", CELL_OBJECT, 8},
    {"TO", "to", CELL_OBJECT, 8},
};

static const struct column files[] = {
    {"FILE", "path", CELL_TEXT, 12},
    {"CHANGE", "change", CELL_STATE, 0},
    {"FROM", "from_bytes", CELL_BYTES, 0},
    {"TO", "to_bytes", CELL_BYTES, 0},
};

int verb_versions(struct cli *c)
{
    nr_auto_free char *path = cli_function_path(c, "/versions");

    return cli_get_list(c, path, "versions", versions, nr_countof(versions),
                        "no version is published yet; narae publish FUNCTION makes the first");
}

int verb_publish(struct cli *c)
{
    nr_auto_free char *path = cli_function_path(c, "/versions");
    nr_auto_json json_t *body = json_object(), *answer = NULL;

    if (c->text[OPT_NOTE])
        json_object_set_new(body, "note", json_string(c->text[OPT_NOTE]));
    int e = cli_call(c, "POST", path, body, 0, &answer, NULL);
    if (e != 0)
        return e;
    int64_t version = json_integer_value(json_object_get(answer, "version"));
    const char *sha = nr_json_string(answer, "sha256");

    if (cli_json(c))
        cli_print_json(answer);
    else
        printf("published %s as version %lld (%.12s)\n  narae invoke %s --version %lld\n",
               c->argv[0], (long long)version, sha ? sha : "", c->argv[0], (long long)version);
    return CLI_DONE;
}

int verb_history(struct cli *c)
{
    nr_auto_free char *base = cli_function_path(c, "/history"), *path = cli_page(c, base);

    return cli_get_list(c, path, "moves", moves, nr_countof(moves), "nothing is recorded of it");
}

int verb_diff(struct cli *c)
{
    nr_auto_free char *path = cli_path("/narae/v1/functions/%s/versions/%s/diff/%s", c->argv[0],
                                       c->argv[1], c->argc > 2 ? c->argv[2] : "latest");
    nr_auto_json json_t *answer = NULL;
    int e = cli_call(c, "GET", path, NULL, 0, &answer, NULL);

    if (e != 0)
        return e;
    const json_t *changed = json_object_get(answer, "settings"),
                 *listed = json_object_get(answer, "files");
    if (cli_json(c)) {
        cli_print_json(answer);
        return CLI_DONE;
    }
    if (json_array_size(changed))
        table_print(stdout, &c->term, c->form == FORM_WIDE, settings, nr_countof(settings),
                    changed);
    if (json_array_size(changed) && json_array_size(listed))
        (void)fputc('\n', stdout);
    if (json_array_size(listed))
        table_print(stdout, &c->term, c->form == FORM_WIDE, files, nr_countof(files), listed);
    if (json_array_size(changed) + json_array_size(listed) == 0)
        cli_remark(c, "they are the same");
    return CLI_DONE;
}
