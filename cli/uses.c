/* Who uses a function: rules that run it, sequences that have it as a component, APIs that lead to it, policies that scale it; and who uses a channel. Asked before it is deleted, so that nobody finds out
 * afterwards. What the platform does not tell in a moment is left out.
 */
#include "cli/entities.h"

#define NAMED_MAX 5
#define SEQUENCES_MAX 100

void uses_add_names(const json_t *names, struct nr_buf *out)
{
    size_t n = json_array_size(names), shown = n > NAMED_MAX ? NAMED_MAX : n;

    for (size_t i = 0; i < shown; i++) {
        const char *name = json_string_value(json_array_get(names, i));

        nr_buf_adds(out, i == 0 ? "" : i + 1 == n ? " and " : ", ");
        text_add_clean(nr_str_of(name ? name : "?"), out);
    }
    if (n > shown)
        nr_buf_printf(out, " and %zu more", n - shown);
}

/* "f?version=1" and "f" are the function "f". */
static bool is_function(const char *text, const char *function)
{
    size_t n = strcspn(text, "?");

    return n == strlen(function) && strncmp(text, function, n) == 0;
}

/* {"path":"guest/p","name":"f"} */
static bool is_place(const json_t *place, const char *function)
{
    const char *path = nr_json_string(place, "path"), *name = nr_json_string(place, "name");
    const char *package = path ? strchr(path, '/') : NULL;
    char whole[1024];

    if (name == NULL)
        return false;
    (void)snprintf(whole, sizeof(whole), "%s%s%s", package ? package + 1 : "", package ? "/" : "",
                   name);
    return strcmp(whole, function) == 0;
}

static json_t *ask(struct cli *c, const char *path)
{
    json_t *answer = NULL;

    return cli_call(c, "GET", path, NULL, 0, &answer, NULL) == 0 ? answer : NULL;
}

static void find_rules(struct cli *c, const char *function, json_t *found)
{
    nr_auto_json json_t *rules = ask(c, "/api/v1/namespaces/_/rules?limit=200");
    json_t *rule;
    size_t i;

    json_array_foreach(rules, i, rule) {
        if (is_place(json_object_get(rule, "action"), function))
            json_array_append(found, json_object_get(rule, "name"));
    }
}

/* Components are "/NAMESPACE/[PACKAGE/]NAME". */
static bool has_component(const json_t *sequence, const char *function)
{
    const char *space = nr_json_string(sequence, "namespace");
    char whole[1024];
    json_t *one;
    size_t i;

    (void)snprintf(whole, sizeof(whole), "/%.*s/%s", space ? (int)strcspn(space, "/") : 0,
                   space ? space : "", function);
    json_array_foreach(json_object_get(json_object_get(sequence, "exec"), "components"), i, one) {
        if (json_is_string(one) && is_function(json_string_value(one), whole))
            return true;
    }
    return false;
}

static void find_sequences(struct cli *c, const char *function, json_t *found)
{
    nr_auto_json json_t *functions = ask(c, "/narae/v1/functions?limit=0");
    unsigned looked = 0;
    json_t *row;
    size_t i;

    json_array_foreach(json_object_get(functions, "functions"), i, row) {
        const char *name = nr_json_string(row, "name"), *kind = nr_json_string(row, "kind");
        char encoded[3072], path[3200];

        if (name == NULL || kind == NULL || strcmp(kind, "sequence") != 0 ||
            looked++ >= SEQUENCES_MAX || !cli_path_name(name, encoded, sizeof(encoded)))
            continue;
        (void)snprintf(path, sizeof(path), "/api/v1/namespaces/_/actions/%s?code=false", encoded);
        nr_auto_json json_t *sequence = ask(c, path);

        if (has_component(sequence, function))
            json_array_append_new(found, json_string(name));
    }
}

static bool api_leads_to(const json_t *doc, const char *function)
{
    json_t *methods, *operation;
    const char *path, *method;

    json_object_foreach(json_object_get(doc, "paths"), path, methods) {
        json_object_foreach(methods, method, operation) {
            const json_t *whisk = json_object_get(operation, "x-openwhisk");
            const char *package = nr_json_string(whisk, "package"),
                       *name = nr_json_string(whisk, "action");
            bool plain = package == NULL || package[0] == '\0' || strcmp(package, "default") == 0;
            char whole[1024];

            (void)snprintf(whole, sizeof(whole), "%s%s%s", plain ? "" : package, plain ? "" : "/",
                           name ? name : "");
            if (is_function(whole, function))
                return true;
        }
    }
    return false;
}

static void find_apis(struct cli *c, const char *function, json_t *found)
{
    nr_auto_json json_t *answer = ask(c, "/api/v1/web/whisk.system/apimgmt/getApi?limit=200");
    json_t *api;
    size_t i;

    json_array_foreach(json_object_get(answer, "apis"), i, api) {
        const json_t *doc = json_object_get(json_object_get(api, "value"), "apidoc");

        if (api_leads_to(doc, function))
            json_array_append(found, json_object_get(doc, "basePath"));
    }
}

/* Those of others may be seen by an administrator, but are not about this function. */
static void find_policies(struct cli *c, const char *function, json_t *found)
{
    nr_auto_json json_t *answer = ask(c, "/narae/v1/scaling/policies?limit=200"),
                        *names = ask(c, "/api/v1/namespaces");
    const char *own = json_string_value(json_array_get(names, 0));
    json_t *row;
    size_t i;

    json_array_foreach(json_object_get(answer, "policies"), i, row) {
        const json_t *target = json_object_get(row, "target");
        const char *account = nr_json_string(target, "account"),
                   *name = nr_json_string(target, "function");

        if (account && name && own && strcmp(account, own) == 0 && strcmp(name, function) == 0)
            json_array_append(found, json_object_get(row, "policy"));
    }
}

static bool tells(const json_t *document, const char *channel)
{
    const char *webhook = nr_json_string(document, "webhook");
    json_t *rule, *name;
    size_t i, n;

    if (webhook && strcmp(webhook, channel) == 0)
        return true;
    json_array_foreach(json_object_get(document, "rules"), i, rule) {
        json_array_foreach(json_object_get(rule, "notify"), n, name) {
            if (json_is_string(name) && strcmp(json_string_value(name), channel) == 0)
                return true;
        }
    }
    return false;
}

static void find_tellers(struct cli *c, const char *channel, json_t *found)
{
    nr_auto_json json_t *answer = ask(c, "/narae/v1/scaling/policies?limit=200");
    json_t *row;
    size_t i;

    json_array_foreach(json_object_get(answer, "policies"), i, row) {
        const char *name = nr_json_string(row, "policy");

        if (name == NULL)
            continue;
        nr_auto_free char *path = cli_path("/narae/v1/scaling/policies/%s", name);
        nr_auto_json json_t *policy = ask(c, path);

        if (tells(json_object_get(policy, "document"), channel))
            json_array_append_new(found, json_string(name));
    }
}

struct user {
    const char *one, *several;
    void (*find)(struct cli *c, const char *function, json_t *found);
};

static const struct user users_of_functions[] = {
    {"the rule ", "the rules ", find_rules},
    {"the sequence ", "the sequences ", find_sequences},
    {"the API ", "the APIs ", find_apis},
    {"the policy ", "the policies ", find_policies},
};

static const struct user users_of_channels[] = {{"the policy ", "the policies ", find_tellers}};

static void add_uses(struct cli *c, const struct user *users, size_t n, const char *name,
                     struct nr_buf *out)
{
    bool quiet = c->quiet;
    int status = c->status;
    size_t count = 0;

    c->quiet = true;
    for (size_t i = 0; i < n; i++) {
        nr_auto_json json_t *found = json_array();

        users[i].find(c, name, found);
        if (json_array_size(found) == 0)
            continue;
        nr_buf_adds(out, count == 0 ? ", which " : ", ");
        nr_buf_adds(out, json_array_size(found) > 1 ? users[i].several : users[i].one);
        uses_add_names(found, out);
        count += json_array_size(found);
    }
    if (count > 0)
        nr_buf_adds(out, count > 1 ? " use" : " uses");
    c->quiet = quiet;
    c->status = status;
}

void uses_of_function(struct cli *c, const char *function, struct nr_buf *out)
{
    add_uses(c, users_of_functions, nr_countof(users_of_functions), function, out);
}

void uses_of_channel(struct cli *c, const char *channel, struct nr_buf *out)
{
    add_uses(c, users_of_channels, nr_countof(users_of_channels), channel, out);
}
