/* The verbs: each is one or two calls of the API and what a person wants to read of the answer. */
#include <inttypes.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"
#include "common/base/clock.h"

#define ACTIONS "/api/v1/namespaces/_/actions"
#define ACTIVATIONS "/api/v1/namespaces/_/activations"
#define PATH_BYTES 4096

static int action_path(const struct cli *c, const char *query, char *out, size_t n)
{
    char name[2048];

    if (!cli_path_name(c->argv[0], name, sizeof(name)))
        return cli_fail("the name %s is too long", c->argv[0]);
    (void)snprintf(out, n, ACTIONS "/%s%s", name, query);
    return 0;
}

static json_t *annotation(const json_t *entity, const char *key)
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

/* ---- deploy ------------------------------------------------------------------------------------------------------ */

static void set_limit(json_t *body, const char *key, int64_t value)
{
    if (value < 0)
        return;
    if (json_object_get(body, "limits") == NULL)
        json_object_set_new(body, "limits", json_object());
    json_object_set_new(json_object_get(body, "limits"), key, json_integer(value));
}

static void add_annotation(json_t *body, const char *key, const char *value)
{
    if (value == NULL)
        return;
    if (json_object_get(body, "annotations") == NULL)
        json_object_set_new(body, "annotations", json_array());
    json_array_append_new(json_object_get(body, "annotations"),
                          json_pack("{s:s,s:s}", "key", key, "value", value));
}

/* NAME --image IMAGE: nothing to upload. */
static bool is_bare(const struct cli *c)
{
    return c->image && c->argc == 1 && access(c->argv[0], F_OK) != 0;
}

static json_t *deployment(const struct cli *c, struct nr_err *err)
{
    json_t *exec = is_bare(c) ? json_pack("{s:s,s:s}", "kind", "blackbox", "image", c->image)
                              : cli_source_exec(c, c->argv[c->argc - 1], err),
           *body, *value;
    const char *key;

    if (exec == NULL)
        return NULL;
    body = json_object();
    json_object_set_new(body, "exec", exec);
    set_limit(body, "memory", c->memory_mb);
    set_limit(body, "timeout", c->timeout_ms);
    set_limit(body, "logs", c->logs_mb);
    set_limit(body, "concurrency", c->concurrency);
    add_annotation(body, "narae.network", c->network);
    add_annotation(body, "narae.exec", c->exec);
    if (c->parameters) {
        json_object_set_new(body, "parameters", json_array());
        json_object_foreach(c->parameters, key, value)
            json_array_append_new(json_object_get(body, "parameters"),
                                  json_pack("{s:s,s:O}", "key", key, "value", value));
    }
    return body;
}

int verb_deploy(struct cli *c)
{
    char name[1024], path[PATH_BYTES], encoded[2048];
    struct nr_err err = {0};
    nr_auto_json json_t *body = deployment(c, &err), *answer = NULL;

    if (body == NULL)
        return cli_fail("%s", err.text);
    if (c->name && c->name[0] == '\0')
        return cli_fail("--name: a name is needed");
    if ((c->argc > 1 || is_bare(c)) && c->name == NULL) /* as wsk: NAME FILE */
        c->name = c->argv[0];
    cli_source_name(c->argv[c->argc - 1], name, sizeof(name));
    if (!cli_path_name(c->name ? c->name : name, encoded, sizeof(encoded)))
        return cli_fail("the name is too long");
    (void)snprintf(path, sizeof(path), ACTIONS "/%s?overwrite=%s", encoded,
                   c->no_overwrite ? "false" : "true");
    int e = cli_call(c, "PUT", path, body, 0, &answer, NULL);
    if (e != 0)
        return e;
    if (c->json) {
        json_object_del(json_object_get(answer, "exec"), "code");
        cli_print_json(answer);
        return 0;
    }
    const char *kind = nr_json_string(json_object_get(answer, "exec"), "kind");
    printf("deployed %s %s (%s)\n", nr_json_string(answer, "name"),
           nr_json_string(answer, "version"), kind ? kind : "?");
    printf("  narae invoke %s -p name you\n", c->name ? c->name : name);
    return 0;
}

/* ---- invoke ------------------------------------------------------------------------------------------------------ */

int verb_invoke(struct cli *c)
{
    char path[PATH_BYTES];
    nr_auto_json json_t *body = c->parameters ? json_incref(c->parameters) : json_object(),
                        *answer = NULL;
    int status = 0, e = action_path(c, c->non_blocking ? "?blocking=false" : "?blocking=true", path,
                                    sizeof(path));

    if (e != 0)
        return e;
    e = cli_call(c, "POST", path, body, 502, &answer, &status);
    if (status == 202) {
        const char *id = nr_json_string(answer, "activationId");

        if (c->json)
            cli_print_json(answer);
        else
            printf("%s\n", id ? id : "");
        if (!c->non_blocking)
            (void)fprintf(stderr, "narae: it still runs; its result: narae result %s\n",
                          id ? id : "");
        return 0;
    }
    const json_t *response = json_object_get(answer, "response");
    if (e != 0 && !(status == 502 && response))
        return status == 502 ? cli_fail("%s", nr_json_string(answer, "error")
                                                  ? nr_json_string(answer, "error")
                                                  : "the call failed")
                             : e;
    cli_print_json((c->record && !c->result) || response == NULL
                       ? answer
                       : json_object_get(response, "result"));
    if (status == 502) {
        (void)fprintf(stderr, "narae: %s; its logs: narae logs %s\n",
                      nr_json_string(response, "status"), nr_json_string(answer, "activationId"));
        return 2;
    }
    return 0;
}

/* ---- functions ---------------------------------------------------------------------------------------------------- */

static int list_path(const struct cli *c, const char *base, char *out, size_t n)
{
    return snprintf(out, n, "%s?limit=%" PRId64 "&skip=%" PRId64, base,
                    c->limit < 0 ? 30 : c->limit, c->skip < 0 ? 0 : c->skip);
}

static void print_time(int64_t ms)
{
    time_t s = (time_t)(ms / 1000);
    struct tm tm;
    char text[32];

    if (localtime_r(&s, &tm) && strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm))
        printf("%-20s", text);
}

int verb_functions(struct cli *c)
{
    char path[PATH_BYTES];
    nr_auto_json json_t *answer = NULL;
    json_t *one;
    size_t i;

    (void)list_path(c, ACTIONS, path, sizeof(path));
    int e = cli_call(c, "GET", path, NULL, 0, &answer, NULL);
    if (e != 0 || c->json) {
        if (e == 0)
            cli_print_json(answer);
        return e;
    }
    if (json_array_size(answer) == 0) {
        (void)fprintf(stderr, "no functions yet; deploy one: narae deploy FILE\n");
        return 0;
    }
    printf("%-32s %-12s %-10s %8s %10s  %s\n", "NAME", "KIND", "VERSION", "MEMORY", "TIMEOUT",
           "UPDATED");
    json_array_foreach(answer, i, one) {
        const json_t *limits = json_object_get(one, "limits");
        const char *kind = json_string_value(annotation(one, "exec")),
                   *space = strchr(nr_json_string(one, "namespace"), '/');
        char name[600];

        (void)snprintf(name, sizeof(name), "%s%s%s", space ? space + 1 : "", space ? "/" : "",
                       nr_json_string(one, "name"));
        printf("%-32s %-12s %-10s %5" PRId64 " MB %7" PRId64 " ms  ", name, kind ? kind : "?",
               nr_json_string(one, "version"),
               (int64_t)json_integer_value(json_object_get(limits, "memory")),
               (int64_t)json_integer_value(json_object_get(limits, "timeout")));
        print_time(json_integer_value(json_object_get(one, "updated")));
        printf("\n");
    }
    return 0;
}

int verb_get(struct cli *c)
{
    char path[PATH_BYTES];
    nr_auto_json json_t *answer = NULL;
    int e = action_path(c, "?code=false", path, sizeof(path));

    if (e == 0 && (e = cli_call(c, "GET", path, NULL, 0, &answer, NULL)) == 0)
        cli_print_json(answer);
    return e;
}

int verb_delete(struct cli *c)
{
    char path[PATH_BYTES];
    nr_auto_json json_t *answer = NULL;
    int e = action_path(c, "", path, sizeof(path));

    if (e == 0 && (e = cli_call(c, "DELETE", path, NULL, 0, &answer, NULL)) == 0) {
        if (c->json)
            cli_print_json(answer);
        else
            printf("deleted %s\n", c->argv[0]);
    }
    return e;
}

/* ---- activations -------------------------------------------------------------------------------------------------- */

/* How it started. Records of earlier releases tell only whether code was loaded. */
static const char *start_word(const json_t *one)
{
    const char *told = json_string_value(annotation(one, "narae.start"));

    if (told)
        return strcmp(told, "none") == 0 ? "-" : told;
    return annotation(one, "initTime") ? "cold" : "warm";
}

int verb_activations(struct cli *c)
{
    static const char *const statuses[] = {"success", "application error", "developer error",
                                           "internal error"};
    char path[PATH_BYTES], name[2048];
    nr_auto_json json_t *answer = NULL;
    json_t *one;
    size_t i;
    int n = list_path(c, ACTIVATIONS, path, sizeof(path));

    if (c->argc > 0 && cli_path_name(c->argv[0], name, sizeof(name)))
        (void)snprintf(path + n, sizeof(path) - (size_t)n, "&name=%s", name);
    int e = cli_call(c, "GET", path, NULL, 0, &answer, NULL);
    if (e != 0 || c->json) {
        if (e == 0)
            cli_print_json(answer);
        return e;
    }
    printf("%-20s%-34s %-12s %-6s %10s %8s %10s  %-18s %s\n", "TIME", "ID", "KIND", "START", "WAIT",
           "INIT", "DURATION", "STATUS", "FUNCTION");
    json_array_foreach(answer, i, one) {
        int64_t status = json_integer_value(json_object_get(one, "statusCode"));
        const char *kind = json_string_value(annotation(one, "kind"));
        const json_t *init = annotation(one, "initTime");
        char init_text[32] = "-";

        if (init)
            (void)snprintf(init_text, sizeof(init_text), "%" JSON_INTEGER_FORMAT " ms",
                           json_integer_value(init));
        print_time(json_integer_value(json_object_get(one, "start")));
        printf("%-34s %-12s %-6s %7" PRId64 " ms %8s %7" PRId64 " ms  %-18s %s\n",
               nr_json_string(one, "activationId"), kind ? kind : "unknown", start_word(one),
               (int64_t)json_integer_value(annotation(one, "waitTime")), init_text,
               (int64_t)json_integer_value(json_object_get(one, "duration")),
               status >= 0 && status < 4 ? statuses[status] : "?", nr_json_string(one, "name"));
    }
    return 0;
}

static bool is_id(const char *word)
{
    return strlen(word) == 32 && strspn(word, "0123456789abcdef") == 32;
}

/* The id that was given, else the latest call's, of the function that was given or of any. */
static int activation_path(struct cli *c, const char *tail, char *out, size_t n)
{
    nr_auto_json json_t *list = NULL;
    const char *word = c->argc > 0 ? c->argv[0] : NULL, *id = word;
    char path[PATH_BYTES], name[2048] = "";

    if (word == NULL || !is_id(word)) {
        if (word && !cli_path_name(word, name, sizeof(name)))
            return cli_fail("the name %s is too long", word);
        (void)snprintf(path, sizeof(path), ACTIVATIONS "?limit=1&skip=0%s%s", word ? "&name=" : "",
                       name);
        int e = cli_call(c, "GET", path, NULL, 0, &list, NULL);

        if (e != 0)
            return e;
        id = nr_json_string(json_array_get(list, 0), "activationId");
        if (id == NULL && word)
            return cli_fail("%s is not an activation id (32 hex digits), and no function of that "
                            "name was called; `narae activations` lists the calls",
                            word);
        if (id == NULL)
            return cli_fail("nothing was invoked yet; try: narae invoke FUNCTION");
    }
    (void)snprintf(out, n, ACTIVATIONS "/%s%s", id, tail);
    return 0;
}

int cli_activation(struct cli *c, const char *tail, json_t **ret)
{
    char path[PATH_BYTES];
    int e = activation_path(c, tail, path, sizeof(path));

    return e != 0 ? e : cli_call(c, "GET", path, NULL, 0, ret, NULL);
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
        cli_print_json(c->json ? answer : json_object_get(answer, "result"));
    return e;
}

/* ---- doctor ------------------------------------------------------------------------------------------------------- */

int verb_doctor(struct cli *c)
{
    nr_auto_json json_t *answer = NULL;
    json_t *invoker, *row;
    size_t i, k;
    int bad = 0, e = cli_call(c, "GET", "/narae/v1/invokers", NULL, 0, &answer, NULL);

    if (e != 0 || c->json) {
        if (e == 0)
            cli_print_json(answer);
        return e;
    }
    json_t *list = json_is_array(answer) ? json_incref(answer) : json_pack("[O]", answer);
    json_array_foreach(list, i, invoker) {
        json_array_foreach(json_object_get(invoker, "capabilities"), k, row) {
            bool ok = json_is_true(json_object_get(row, "yes"));
            const char *detail = nr_json_string(row, "value");
            const char *next = nr_json_string(row, "next");

            bad += !ok;
            printf("%-4s %-24s %s\n", ok ? "yes" : "no", nr_json_string(row, "name"),
                   detail ? detail : "");
            if (next)
                printf("%-4s %-24s -> %s\n", "", "", next);
        }
    }
    json_decref(list);
    if (bad)
        (void)fprintf(
            stderr,
            "%d of these are missing; each line says what is done instead, and what helps\n", bad);
    return 0;
}
