/* narae activations, activation, result: what was called before. */
#include <stdio.h>

#include "cli/cli.h"
#include "cli/verbs.h"

#define ACTIVATIONS "/api/v1/namespaces/_/activations"

json_t *cli_annotation(const json_t *entity, const char *key)
{
    json_t *one;
    size_t i;

    json_array_foreach(json_object_get(entity, "annotations"), i, one) {
        const char *k = nr_json_string(one, "key");

        if (k && strcmp(k, key) == 0)
            return json_object_get(one, "value");
    }
    return NULL;
}

/* The record of a trigger: it does not last, and so has no end. */
static bool is_fire(const json_t *row)
{
    return json_object_get(row, "start") && json_object_get(row, "end") == NULL;
}

/* How it started; a sequence is given no container. Records of earlier releases tell only whether code was loaded. */
static void write_start(const json_t *row, struct nr_buf *out)
{
    const char *told = json_string_value(cli_annotation(row, "narae.start"));

    nr_buf_adds(out, told ? strcmp(told, "none") == 0 ? "-" : told
                     : is_fire(row) || cli_annotation(row, "topmost") ? "-"
                     : cli_annotation(row, "initTime")                ? "cold"
                                                                      : "warm");
}

static void write_kind(const json_t *row, struct nr_buf *out)
{
    if (is_fire(row)) {
        nr_buf_adds(out, "trigger");
        return;
    }
    cell_add(cli_annotation(row, "kind"), CELL_TEXT, out);
}

static void write_wait(const json_t *row, struct nr_buf *out)
{
    cell_add(cli_annotation(row, "waitTime"), CELL_MS, out);
}

static void write_init(const json_t *row, struct nr_buf *out)
{
    cell_add(cli_annotation(row, "initTime"), CELL_MS, out);
}

static void write_version(const json_t *row, struct nr_buf *out)
{
    cell_add(cli_annotation(row, "narae.version"), CELL_TEXT, out);
}

static void write_status(const json_t *row, struct nr_buf *out)
{
    static const char *const statuses[] = {"success", "application error", "developer error",
                                           "internal error"};
    json_int_t status = json_integer_value(json_object_get(row, "statusCode"));

    nr_buf_adds(out, status >= 0 && status < 4 ? statuses[status] : "?");
}

static const struct column columns[] = {
    {"TIME", "start", CELL_TIME, 0},
    {"ID", "activationId", CELL_TEXT, 8, .whole = true},
    {"STATUS", NULL, CELL_STATE, 7, .write = write_status},
    {"FUNCTION", "name", CELL_TEXT, 8},
    {"DURATION", "duration", CELL_MS, 0},
    {"START", NULL, CELL_TEXT, 0, .write = write_start},
    {"WAIT", NULL, CELL_MS, 0, .write = write_wait},
    {"INIT", NULL, CELL_MS, 0, .write = write_init},
    {"KIND", NULL, CELL_TEXT, 6, .write = write_kind},
    {"VERSION", "version", CELL_TEXT, 0, .wide = true},
    {"PUBLISHED", NULL, CELL_TEXT, 0, .wide = true, .write = write_version},
};

int verb_activations(struct cli *c)
{
    nr_auto_free char *page = cli_page(c, ACTIVATIONS);
    char name[3072] = "", path[4096];

    if (c->argc > 0 && !cli_path_name(c->argv[0], name, sizeof(name)))
        return cli_fail(c, "the name %s is too long", c->argv[0]);
    (void)snprintf(path, sizeof(path), "%s%s%s", page, name[0] ? "&name=" : "", name);
    return cli_get_list(c, path, "activations", columns, nr_countof(columns),
                        name[0] ? "no function of that name was called; `narae functions` lists "
                                  "what there is, `narae activations` what was called"
                                : "nothing was invoked yet; try: narae invoke FUNCTION");
}

static bool is_id(const char *word)
{
    return strlen(word) == 32 && strspn(word, "0123456789abcdef") == 32;
}

/* The id of the latest call of a function, or of any (made); NULL after saying why. */
static char *latest(struct cli *c, const char *function)
{
    char path[4096], name[3072] = "";
    nr_auto_json json_t *list = NULL;

    if (function && !cli_path_name(function, name, sizeof(name))) {
        (void)cli_fail(c, "the name %s is too long", function);
        return NULL;
    }
    (void)snprintf(path, sizeof(path), ACTIVATIONS "?limit=1&skip=0%s%s", function ? "&name=" : "",
                   name);
    if (cli_call(c, "GET", path, NULL, 0, &list, NULL) != 0)
        return NULL;
    const char *id = nr_json_string(json_array_get(list, 0), "activationId");
    if (id == NULL && function)
        (void)cli_fail_why(c, WHY_NOT_FOUND,
                           "%s is not an activation id (32 hex digits), and no function of that "
                           "name was called; `narae activations` lists the calls",
                           function);
    else if (id == NULL)
        (void)cli_fail_why(c, WHY_NOT_FOUND, "nothing was invoked yet; try: narae invoke FUNCTION");
    return nr_strdup(id);
}

int cli_activation(struct cli *c, const char *tail, json_t **ret)
{
    const char *word = c->argc > 0 ? c->argv[0] : NULL;
    nr_auto_free char *id = word && is_id(word) ? nr_strdup(word) : latest(c, word);
    char path[256];

    if (id == NULL)
        return CLI_NOT_DONE;
    (void)snprintf(path, sizeof(path), ACTIVATIONS "/%.32s%s", id, tail);
    return cli_call(c, "GET", path, NULL, 0, ret, NULL);
}

int verb_activation(struct cli *c)
{
    nr_auto_json json_t *answer = NULL;
    int e = cli_activation(c, "", &answer);

    if (e == 0)
        cli_print_json(answer);
    return e;
}

int verb_result(struct cli *c)
{
    nr_auto_json json_t *answer = NULL;
    int e = cli_activation(c, "/result", &answer);

    if (e == 0)
        cli_print_json(cli_json(c) ? answer : json_object_get(answer, "result"));
    return e;
}
