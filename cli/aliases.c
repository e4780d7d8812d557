/* narae alias list, set, delete; narae rollback. */
#include <inttypes.h>
#include <stdio.h>

#include "cli/cli.h"
#include "cli/verbs.h"

/* "2", or "1:90 2:10". */
static void write_target(const json_t *row, struct nr_buf *out)
{
    json_t *weights = json_object_get(row, "weights"), *weight;
    const char *version;
    size_t i = 0;

    if (weights == NULL)
        cell_add(json_object_get(row, "version"), CELL_NUMBER, out);
    json_object_foreach(weights, version, weight) {
        nr_buf_printf(out, "%s%s:%" JSON_INTEGER_FORMAT, i++ ? "," : "", version,
                      json_integer_value(weight));
    }
}

static void write_before(const json_t *row, struct nr_buf *out)
{
    const json_t *history = json_object_get(row, "history");

    if (json_array_size(history))
        write_target(json_array_get(history, 0), out);
}

static const struct column columns[] = {
    {"ALIAS", "name", CELL_TEXT, 8},
    {"VERSION", NULL, CELL_TEXT, 0, .write = write_target},
    {"PROTECTED", "protected", CELL_YES, 0},
    {"MOVED", "updated_ms", CELL_TIME, 0, .wide = true},
    {"BEFORE", NULL, CELL_TEXT, 0, .wide = true, .write = write_before},
};

static char *alias_path(const struct cli *c, const char *alias, const char *tail)
{
    nr_auto_free char *base = cli_path("/narae/v1/functions/%s/aliases/%s", c->argv[0], alias);
    size_t n = strlen(base) + strlen(tail) + 1;
    char *path = nr_alloc(n);

    (void)snprintf(path, n, "%s%s", base, tail);
    return path;
}

int verb_alias_list(struct cli *c)
{
    nr_auto_free char *path = cli_function_path(c, "/aliases");

    return cli_get_list(c, path, "aliases", columns, nr_countof(columns),
                        "no aliases; narae alias set FUNCTION prod=1 makes one");
}

/* "1:90,2:10" (lent) as {"1":90,"2":10} (made), or NULL. */
static json_t *weights_of(struct nr_str text)
{
    json_t *weights = json_object();
    struct nr_str one, version;
    int64_t weight, number;
    char key[32];

    while (nr_str_split(&text, ',', &one)) {
        if (!nr_str_split(&one, ':', &version) || !nr_str_to_i64(version, 1, INT32_MAX, &number) ||
            !nr_str_to_i64(one, 0, 100, &weight)) {
            json_decref(weights);
            return NULL;
        }
        (void)snprintf(key, sizeof(key), "%" PRId64, number);
        json_object_set_new(weights, key, json_integer(weight));
    }
    return weights;
}

static void say_target(const struct cli *c, const char *alias, const json_t *answer)
{
    struct nr_buf text;

    nr_buf_init(&text, 1 << 20);
    write_target(answer, &text);
    printf("%s of %s is version %.*s\n", alias, c->argv[0], (int)text.n, text.p);
    nr_buf_fini(&text);
}

static int change(struct cli *c, const char *method, const char *path, const json_t *body,
                  const char *alias)
{
    nr_auto_json json_t *answer = NULL;
    int e = cli_call(c, method, path, body, 0, &answer, NULL);

    if (e == 0 && cli_json(c))
        cli_print_json(answer);
    else if (e == 0)
        say_target(c, alias, answer);
    return e;
}

int verb_alias_set(struct cli *c)
{
    const char *equals = strchr(c->argv[1], '=');
    nr_auto_free char *alias =
        nr_strndup(c->argv[1], equals ? (size_t)(equals - c->argv[1]) : strlen(c->argv[1]));
    nr_auto_free char *path = alias_path(c, alias, "");
    nr_auto_json json_t *body = json_object();
    int64_t version;

    if (equals && nr_str_to_i64(nr_str_of(equals + 1), 1, INT32_MAX, &version))
        json_object_set_new(body, "version", json_integer(version));
    else if (equals && strchr(equals, ':'))
        json_object_set_new(body, "weights", weights_of(nr_str_of(equals + 1)));
    bool named = json_object_size(body) > 0 || (equals == NULL && c->text[OPT_PROTECTED]);

    if (alias[0] == '\0' || !named)
        return cli_fail(c,
                        "%s: give ALIAS=VERSION, or ALIAS=VERSION:PERCENT,VERSION:PERCENT\n"
                        "  for example: %s",
                        c->argv[1], c->verb->example);
    if (c->text[OPT_PROTECTED])
        json_object_set_new(body, "protected",
                            json_boolean(strcmp(c->text[OPT_PROTECTED], "yes") == 0));
    return change(c, "PUT", path, body, alias);
}

int verb_alias_delete(struct cli *c)
{
    nr_auto_free char *path = alias_path(c, c->argv[1], "");
    int e = cli_confirm(c, "delete alias %s of %s", c->argv[1], c->argv[0]);

    return e != 0
               ? e
               : cli_do(c, "DELETE", path, NULL, "deleted alias %s of %s", c->argv[1], c->argv[0]);
}

int verb_rollback(struct cli *c)
{
    nr_auto_free char *path = alias_path(c, c->argv[1], "/rollback");

    return change(c, "POST", path, NULL, c->argv[1]);
}
