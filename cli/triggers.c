/* narae trigger: events with a name, that rules wait for; with --feed also the feed that fires it, which is told as wsk does: an event of its life is a
 * call of the feed. A trigger whose feed refuses to begin is taken back.
 */
#include <stdio.h>

#include "cli/entities.h"
#include "cli/verbs.h"

#define TRIGGERS "triggers"

static const struct column columns[] = {
    {"TRIGGER", "name", CELL_TEXT, 12},
    {"VERSION", "version", CELL_TEXT, 0},
    {"UPDATED", "updated", CELL_TIME, 0},
};

int verb_trigger_list(struct cli *c)
{
    return entity_list(c, TRIGGERS, columns, nr_countof(columns),
                       "no triggers; narae trigger create NAME makes one");
}

int verb_trigger_get(struct cli *c)
{
    return entity_get(c, TRIGGERS);
}

/* ---- feeds --------------------------------------------------------------------------------------------------------------- */

/* "/ns/package/feed" (lent) as a path for a call that is waited for (made); NULL: it is no name of a function, which was said. */
static char *feed_path(const struct cli *c, const char *feed)
{
    const char *name = feed[0] == '/' ? strchr(feed + 1, '/') : NULL;
    char encoded[3072];

    if ((feed[0] == '/' && (name == NULL || name == feed + 1)) ||
        !cli_path_name(name ? name + 1 : feed, encoded, sizeof(encoded))) {
        (void)cli_fail(
            c, "--feed %s: a feed is named NAME, PACKAGE/NAME or /NAMESPACE/PACKAGE/NAME", feed);
        return NULL;
    }
    nr_auto_free char *space =
        name ? nr_strndup(feed + 1, (size_t)(name - feed - 1)) : nr_strdup("_");
    nr_auto_free char *base = cli_path("/api/v1/namespaces/%s/actions/", space);
    size_t n = strlen(base) + strlen(encoded) + 32;
    char *path = nr_alloc(n);

    (void)snprintf(path, n, "%s%s?blocking=true", base, encoded);
    return path;
}

/* 0, or the feed's refusal was printed. */
static int tell_feed(struct cli *c, const char *feed, const char *event)
{
    nr_auto_free char *path = feed_path(c, feed), *trigger = entity_full(c->argv[0]);
    nr_auto_json json_t *body = json_object(), *answer = NULL;
    int status = 0;

    if (path == NULL)
        return CLI_NOT_DONE;
    if (c->parameters)
        json_object_update(body, c->parameters);
    json_object_set_new(body, "lifecycleEvent", json_string(event));
    json_object_set_new(body, "triggerName", json_string(trigger));
    json_object_set_new(body, "authKey", json_string(c->auth ? c->auth : ""));
    int e = cli_call(c, "POST", path, body, 502, &answer, &status);

    if (status == 202)
        return cli_fail_why(c, WHY_PARTLY,
                            "the feed %s still works on %s; its result: narae result %s", feed,
                            event, nr_json_string(answer, "activationId"));
    if (status != 502)
        return e;
    nr_auto_free char *why =
        json_dumps(nr_json_object(nr_json_object(answer, "response"), "result"),
                   JSON_COMPACT | JSON_SORT_KEYS);
    return cli_fail_why(
        c, WHY_CONFLICT, "the feed %s refused %s: %s\n  what it wrote, if anything: narae logs %s",
        feed, event, why ? why : "no reason", nr_json_string(answer, "activationId"));
}

/* The feed of a trigger that is there (lent by it), or NULL. */
static const char *feed_of(const json_t *trigger)
{
    return json_string_value(cli_annotation(trigger, "feed"));
}

/* ---- create, update, delete, fire -------------------------------------------------------------------------------------- */

static int create_with_feed(struct cli *c, const char *feed)
{
    nr_auto_free char *full = entity_full(feed), *path = entity_path(c, TRIGGERS, c->argv[0], ""),
                      *call = feed_path(c, feed);
    nr_auto_json json_t *body = json_object(), *answer = NULL;
    json_t *annotations = entity_pairs(c->annotations);

    json_array_append_new(annotations, json_pack("{s:s,s:s}", "key", "feed", "value", full));
    json_object_set_new(body, "annotations", annotations);
    if (path == NULL || call == NULL)
        return CLI_NOT_DONE;
    int e = entity_put(c, TRIGGERS, body, false, &answer);

    if (e != 0)
        return e;
    if ((e = tell_feed(c, feed, "CREATE")) != 0) {
        if (cli_call(c, "DELETE", path, NULL, 404, NULL, NULL) == 0)
            cli_fail_next(c, "the trigger %s was taken back: nothing is left of it",
                          entity_short(c->argv[0]));
        return e;
    }
    if (cli_json(c))
        cli_print_json(answer);
    else
        printf("created trigger %s, which %s fires\n", entity_short(c->argv[0]), feed);
    return 0;
}

int verb_trigger_create(struct cli *c)
{
    nr_auto_json json_t *body = NULL;

    if (c->text[OPT_FEED])
        return create_with_feed(c, c->text[OPT_FEED]);
    body = entity_body(c);
    return entity_put(c, TRIGGERS, body, false, NULL);
}

/* Parameters of a trigger with a feed are the feed's. */
int verb_trigger_update(struct cli *c)
{
    nr_auto_free char *path = entity_path(c, TRIGGERS, c->argv[0], "");
    nr_auto_json json_t *trigger = NULL, *body = entity_body(c);

    if (path == NULL)
        return CLI_NOT_DONE;
    int status = 0, e = cli_call(c, "GET", path, NULL, 404, &trigger, &status);
    const char *feed = e == 0 ? feed_of(trigger) : NULL;

    if (e != 0 && status != 404) /* what is not there is made */
        return e;

    if (feed == NULL)
        return entity_put(c, TRIGGERS, body, true, NULL);
    if (c->annotations)
        return cli_fail_why(c, WHY_CONFLICT,
                            "%s is fired by %s: delete and create it to change its annotations",
                            c->argv[0], feed);
    e = tell_feed(c, feed, "UPDATE");
    if (e == 0)
        printf("updated %s of the trigger %s\n", feed, entity_short(c->argv[0]));
    return e;
}

/* The names of the rules that wait for it (made). */
static json_t *rules_of(const json_t *trigger)
{
    json_t *names = json_array(), *rule;
    const char *key;

    json_object_foreach(json_object_get(trigger, "rules"), key, rule) {
        const char *slash = strrchr(key, '/');

        json_array_append_new(names, json_string(slash ? slash + 1 : key));
    }
    return names;
}

int verb_trigger_delete(struct cli *c)
{
    nr_auto_json json_t *trigger = NULL, *rules = NULL;
    struct nr_buf what;
    int e = entity_read(c, TRIGGERS, &trigger);

    if (e != 0)
        return e;
    rules = rules_of(trigger);
    nr_buf_init(&what, 1 << 16);
    nr_buf_printf(&what, "the trigger %s", entity_short(c->argv[0]));
    if (json_array_size(rules)) {
        nr_buf_adds(&what, json_array_size(rules) > 1 ? ", for which the rules "
                                                      : ", for which the rule ");
        uses_add_names(rules, &what);
        nr_buf_adds(&what, json_array_size(rules) > 1 ? " wait" : " waits");
    }
    nr_buf_addc(&what, '\0');
    const char *feed = feed_of(trigger);

    e = cli_confirm(c, "delete %s", what.p);
    nr_buf_fini(&what);
    if (e == 0 && feed)
        e = tell_feed(c, feed, "DELETE");
    if (e != 0)
        return e;
    nr_auto_free char *path = entity_path(c, TRIGGERS, c->argv[0], "");

    return cli_do(c, "DELETE", path, NULL, "deleted trigger %s", entity_short(c->argv[0]));
}

int verb_trigger_fire(struct cli *c)
{
    nr_auto_free char *path = entity_path(c, TRIGGERS, c->argv[0], "");
    nr_auto_json json_t *body = c->parameters ? json_incref(c->parameters) : json_object(),
                        *answer = NULL;
    int status = 0;

    if (path == NULL)
        return CLI_NOT_DONE;
    int e = cli_call(c, "POST", path, body, 0, &answer, &status);

    if (e != 0)
        return e;
    if (cli_json(c) && answer)
        cli_print_json(answer);
    else if (status == 204)
        cli_note(c, "no rule waits for %s, so nothing is run", c->argv[0]);
    else
        printf("%s\n", nr_json_string(answer, "activationId"));
    return 0;
}
