/* narae rule: which function runs when a trigger is fired. */
#include <stdio.h>

#include "cli/entities.h"
#include "cli/verbs.h"

#define RULES "rules"

/* "/guest/t" of {"path","name"}. */
static void write_place(const json_t *place, struct nr_buf *out)
{
    const char *path = nr_json_string(place, "path"), *name = nr_json_string(place, "name");
    const char *package = path ? strchr(path, '/') : NULL;

    nr_buf_printf(out, "%s%s%s", package ? package + 1 : "", package ? "/" : "", name ? name : "-");
}

static void write_trigger(const json_t *row, struct nr_buf *out)
{
    write_place(json_object_get(row, "trigger"), out);
}

static void write_function(const json_t *row, struct nr_buf *out)
{
    write_place(json_object_get(row, "action"), out);
}

static const struct column columns[] = {
    {"RULE", "name", CELL_TEXT, 12},
    {"TRIGGER", NULL, CELL_TEXT, 12, .write = write_trigger},
    {"FUNCTION", NULL, CELL_TEXT, 12, .write = write_function},
    {"VERSION", "version", CELL_TEXT, 0, .wide = true},
    {"UPDATED", "updated", CELL_TIME, 0},
};

int verb_rule_list(struct cli *c)
{
    return entity_list(c, RULES, columns, nr_countof(columns),
                       "no rules; narae rule create NAME TRIGGER FUNCTION makes one");
}

int verb_rule_get(struct cli *c)
{
    return entity_get(c, RULES);
}

static int put(struct cli *c, bool overwrite)
{
    nr_auto_free char *trigger = entity_full(c->argv[1]), *function = entity_full(c->argv[2]);
    nr_auto_json json_t *body = entity_body(c);

    json_object_set_new(body, "trigger", json_string(trigger));
    json_object_set_new(body, "action", json_string(function));
    return entity_put(c, RULES, body, overwrite, NULL);
}

int verb_rule_create(struct cli *c)
{
    return put(c, false);
}

int verb_rule_update(struct cli *c)
{
    return put(c, true);
}

static int set_state(struct cli *c, const char *status)
{
    nr_auto_free char *path = entity_path(c, RULES, c->argv[0], "");
    nr_auto_json json_t *body = json_pack("{s:s}", "status", status);

    return path ? cli_do(c, "POST", path, body, "rule %s is %s", entity_short(c->argv[0]), status)
                : CLI_NOT_DONE;
}

int verb_rule_enable(struct cli *c)
{
    return set_state(c, "active");
}

int verb_rule_disable(struct cli *c)
{
    return set_state(c, "inactive");
}

int verb_rule_delete(struct cli *c)
{
    char what[512];

    (void)snprintf(what, sizeof(what), "the rule %.300s", entity_short(c->argv[0]));
    return entity_delete(c, RULES, "", what);
}
