/* narae block, unblock, retire, purge: a move of a function with all versions, or with --version of one; and update windows. */
#include <stdio.h>

#include "cli/cli.h"
#include "cli/verbs.h"

static void write_version(const json_t *row, struct nr_buf *out)
{
    json_int_t n = json_integer_value(json_object_get(row, "version"));

    if (n > 0)
        nr_buf_addi(out, n);
    else
        nr_buf_adds(out, "LATEST");
}

static void write_state(const json_t *row, struct nr_buf *out)
{
    const char *state = nr_json_string(row, "state");

    nr_buf_adds(out, state ? state : "gone");
}

static const struct column states[] = {
    {"VERSION", NULL, CELL_TEXT, 0, .write = write_version},
    {"STATE", NULL, CELL_STATE, 0, .write = write_state},
};

static int move(struct cli *c, const char *tail)
{
    nr_auto_free char *path = cli_function_path(c, tail);
    nr_auto_json json_t *body = json_object(), *answer = NULL;

    if (c->text[OPT_REASON])
        json_object_set_new(body, "reason", json_string(c->text[OPT_REASON]));
    if (c->text[OPT_RUNNING])
        json_object_set_new(body, "running", json_string(c->text[OPT_RUNNING]));
    int e = cli_call(c, "POST", path, json_object_size(body) ? body : NULL, 0, &answer, NULL);
    if (e == 0)
        cli_show_list(c, answer, "states", states, nr_countof(states), "it is gone");
    return e;
}

/* Asks first; the sentence names the version. */
static int final_move(struct cli *c, const char *what, const char *tail)
{
    const char *version = c->text[OPT_VERSION];
    int e = cli_confirm(
        c, version ? "%s %s, version %s, for good" : "%s %s with all versions, for good", what,
        c->argv[0], version);

    return e != 0 ? e : move(c, tail);
}

int verb_block(struct cli *c)
{
    return move(c, "/block");
}

int verb_unblock(struct cli *c)
{
    return move(c, "/unblock");
}

int verb_retire(struct cli *c)
{
    return final_move(c, "retire", "/retire");
}

int verb_purge(struct cli *c)
{
    return final_move(c, "purge", "/purge");
}

/* ---- update windows ---------------------------------------------------------------------------------------------------- */

int verb_update_begin(struct cli *c)
{
    static const struct {
        enum cli_option option;
        const char *field;
    } fields[] = {{OPT_HOLD, "hold_s"}, {OPT_DEADLINE, "deadline_s"}};
    nr_auto_free char *path = cli_function_path(c, "/update");
    nr_auto_json json_t *body = json_object();

    if (c->text[OPT_REASON])
        json_object_set_new(body, "reason", json_string(c->text[OPT_REASON]));
    if (c->text[OPT_WHILE_UPDATING])
        json_object_set_new(body, "while_updating", json_string(c->text[OPT_WHILE_UPDATING]));
    for (size_t i = 0; i < nr_countof(fields); i++)
        if (c->text[fields[i].option])
            json_object_set_new(body, fields[i].field, json_integer(c->number[fields[i].option]));
    return cli_do(c, "POST", path, body,
                  "%s is being updated: calls %s\n  narae update commit %s FILE, or narae update "
                  "abort %s",
                  c->argv[0],
                  c->text[OPT_WHILE_UPDATING] && strcmp(c->text[OPT_WHILE_UPDATING], "old") == 0
                      ? "run the old code"
                      : "wait",
                  c->argv[0], c->argv[0]);
}

int verb_update_commit(struct cli *c)
{
    nr_auto_free char *path = cli_function_path(c, "/update/commit");
    struct nr_err err = {0};
    nr_auto_json json_t *body = cli_deployment(c, c->argc > 1 ? c->argv[1] : NULL, &err);

    if (body == NULL)
        return cli_fail_why(c, WHY_FILE, "%s", err.text);
    return cli_do(c, "POST", path, body, "%s has its new code", c->argv[0]);
}

int verb_update_abort(struct cli *c)
{
    nr_auto_free char *path = cli_function_path(c, "/update/abort");

    return cli_do(c, "POST", path, NULL, "%s keeps its old code", c->argv[0]);
}
