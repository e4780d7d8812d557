/* narae status: is it there, is it ready, what does it hold. */
#include <stdio.h>

#include "cli/cli.h"
#include "cli/verbs.h"

static const struct column fields[] = {
    {"platform", "url", CELL_TEXT, 0},          {"state", "state", CELL_STATE, 0},
    {"version", "version", CELL_TEXT, 0},       {"account", "account", CELL_TEXT, 0},
    {"functions", "functions", CELL_NUMBER, 0}, {"invoker", "invoker", CELL_STATE, 0},
    {"engine", "engine", CELL_TEXT, 0},         {"containers", "containers", CELL_NUMBER, 0},
    {"memory", "memory", CELL_TEXT, 0},         {"waiting", "waiting", CELL_NUMBER, 0},
};

static void set_invoker(json_t *out, const json_t *answer)
{
    static const struct {
        const char *field, *of;
    } same[] = {{"invoker", "state"}, {"engine", "engine"}, {"waiting", "waiting"}};
    const json_t *one = json_is_array(answer) ? json_array_get(answer, 0) : answer;
    char text[64];

    for (size_t i = 0; i < nr_countof(same); i++)
        json_object_set(out, same[i].field, json_object_get(one, same[i].of));
    json_object_set_new(
        out, "containers",
        json_integer((json_int_t)json_array_size(json_object_get(one, "containers"))));
    (void)snprintf(text, sizeof(text), "%.0f of %.0f MB given to containers",
                   json_number_value(json_object_get(one, "memory_used_mb")),
                   json_number_value(json_object_get(one, "memory_max_mb")));
    json_object_set_new(out, "memory", json_string(text));
}

/* What needs a key comes after what needs none, so that a status without a key says as much as it can. */
static int gather(struct cli *c, json_t *out)
{
    nr_auto_json json_t *api = NULL, *names = NULL, *functions = NULL, *invokers = NULL;
    int e;

    if (cli_call(c, "GET", "/api/v1", NULL, 0, &api, NULL) == 0) {
        const char *build = nr_json_string(api, "build");

        if (build)
            json_object_set_new(out, "version", json_string(build));
    }
    if ((e = cli_call(c, "GET", "/api/v1/namespaces", NULL, 0, &names, NULL)) != 0)
        return e;
    json_object_set(out, "account", json_array_get(names, 0));
    if ((e = cli_call(c, "GET", "/narae/v1/functions?limit=1", NULL, 0, &functions, NULL)) == 0)
        json_object_set(out, "functions", json_object_get(functions, "total"));
    if (e == 0 && (e = cli_call(c, "GET", "/narae/v1/invokers", NULL, 0, &invokers, NULL)) == 0)
        set_invoker(out, invokers);
    return e;
}

int verb_status(struct cli *c)
{
    nr_auto_json json_t *out = json_object();
    int status = 0;

    json_object_set_new(out, "url", json_string(c->api_host));
    int e = cli_call(c, "GET", "/readyz", NULL, 503, NULL, &status);
    if (status == 0)
        return e;
    json_object_set_new(out, "state", json_string(status == 200 ? "ready" : "not ready"));
    e = status == 200 ? gather(c, out) : CLI_NOT_DONE;
    cli_show_fields(c, out, fields, nr_countof(fields));
    if (status != 200)
        (void)cli_fail_why(
            c, WHY_UNAVAILABLE,
            "it takes no calls: it is starting or stopping\n  naraed's log says more");
    return e;
}
