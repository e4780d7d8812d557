/* narae deploy: a file or a folder becomes LATEST; with --publish the next version, with --alias what an alias points to; with --watch
 * again after each change.
 */
#include <stdio.h>
#include <sys/random.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/verbs.h"

#define ACTION "/api/v1/namespaces/_/actions/"

static const struct {
    enum cli_option option;
    const char *limit;
} limits[] = {{OPT_MEMORY, "memory"},
              {OPT_TIMEOUT, "timeout"},
              {OPT_LOGSIZE, "logs"},
              {OPT_CONCURRENCY, "concurrency"}};

static const struct {
    enum cli_option option;
    const char *key;
} annotations[] = {{OPT_NETWORK, "narae.network"},
                   {OPT_EXEC, "narae.exec"},
                   {OPT_CPUS, "narae.cpus"},
                   {OPT_CPU_SHARE, "narae.cpu_share"}};

static void add_limits(const struct cli *c, json_t *body)
{
    json_t *object = json_object();

    for (size_t i = 0; i < nr_countof(limits); i++)
        if (c->number[limits[i].option] >= 0)
            json_object_set_new(object, limits[i].limit, json_integer(c->number[limits[i].option]));
    if (json_object_size(object))
        json_object_set(body, "limits", object);
    json_decref(object);
}

static json_t *option_value(const struct cli *c, enum cli_option option)
{
    switch (cli_options[option].value) {
    case VALUE_NUMBER: return json_integer(c->number[option]);
    case VALUE_REAL: return json_real(c->real[option]);
    default: return json_string(c->text[option]);
    }
}

static json_t *gpu_wish(const struct cli *c)
{
    json_t *gpu = json_pack("{s:I}", "count", (json_int_t)c->number[OPT_GPU]);

    if (c->text[OPT_GPU_MEMORY])
        json_object_set_new(gpu, "memory_mb", json_integer(c->number[OPT_GPU_MEMORY]));
    if (c->text[OPT_GPU_PERCENTAGE])
        json_object_set_new(gpu, "percentage", json_integer(c->number[OPT_GPU_PERCENTAGE]));
    return gpu;
}

static void add_annotation(json_t *list, const char *key, json_t *value)
{
    json_array_append_new(list, json_pack("{s:s,s:o}", "key", key, "value", value));
}

/* What wsk makes of --web. */
static void add_web(json_t *list, const char *how)
{
    bool raw = strcmp(how, "raw") == 0, web = raw || strcmp(how, "true") == 0;

    add_annotation(list, "web-export", json_boolean(web));
    add_annotation(list, "raw-http", json_boolean(raw));
    add_annotation(list, "final", json_boolean(web));
}

/* What wsk makes of --web-secure: a secret, a number that is one, or the end of it. */
static void add_web_secure(const struct cli *c, json_t *list, json_t *body)
{
    static const char key[] = "require-whisk-auth";
    const char *how = c->text[OPT_WEB_SECURE];
    uint64_t random = 0;

    if (strcmp(how, "false") == 0) {
        if (json_object_get(body, "delAnnotations") == NULL)
            json_object_set_new(body, "delAnnotations", json_array());
        json_array_append_new(json_object_get(body, "delAnnotations"), json_string(key));
        return;
    }
    if (strcmp(how, "true") != 0) {
        add_annotation(list, key, json_string(how));
        return;
    }
    while (getrandom(&random, sizeof(random), 0) != (ssize_t)sizeof(random))
        ;
    random = (random >> 11) | 1; /* what every reader of JSON takes as it is */
    add_annotation(list, key, json_integer((json_int_t)random));
    cli_note(c, "callers show X-Require-Whisk-Auth: %llu", (unsigned long long)random);
}

static void add_annotations(const struct cli *c, json_t *body)
{
    json_t *list = json_array(), *value;
    const char *key;

    for (size_t i = 0; i < nr_countof(annotations); i++)
        if (c->text[annotations[i].option])
            add_annotation(list, annotations[i].key, option_value(c, annotations[i].option));
    if (c->text[OPT_GPU])
        add_annotation(list, "narae.gpu", gpu_wish(c));
    if (c->text[OPT_WEB])
        add_web(list, c->text[OPT_WEB]);
    if (c->text[OPT_WEB_SECURE])
        add_web_secure(c, list, body);
    json_object_foreach(c->annotations, key, value)
        add_annotation(list, key, json_incref(value));
    if (json_array_size(list))
        json_object_set(body, "annotations", list);
    json_decref(list);
}

static void add_parameters(const struct cli *c, json_t *body)
{
    json_t *list = json_array(), *value;
    const char *key;

    json_object_foreach(c->parameters, key, value)
        json_array_append_new(list, json_pack("{s:s,s:O}", "key", key, "value", value));
    json_object_foreach(c->secrets, key, value)
        json_array_append_new(
            list, json_pack("{s:s,s:O,s:b}", "key", key, "value", value, "secret", true));
    json_object_set_new(body, "parameters", list);
}

/* "a,pkg/b?version=3": each as the platform reads it. */
static json_t *sequence_exec(const struct cli *c)
{
    struct nr_str rest = nr_str_of(c->text[OPT_SEQUENCE]), one;
    json_t *components = json_array();

    while (nr_str_split(&rest, ',', &one))
        json_array_append_new(components, json_stringn(one.p, one.n));
    return json_pack("{s:s,s:o}", "kind", "sequence", "components", components);
}

json_t *cli_deployment(struct cli *c, const char *path, struct nr_err *err)
{
    json_t *exec = NULL, *body;

    if ((c->text[OPT_GPU_MEMORY] || c->text[OPT_GPU_PERCENTAGE]) && c->text[OPT_GPU] == NULL) {
        nr_err_set(err, NR_EINVAL, "--gpu-memory and --gpu-percentage are of a --gpu COUNT");
        return NULL;
    }
    if (c->text[OPT_SEQUENCE] && (path || c->text[OPT_IMAGE] || c->text[OPT_KIND])) {
        nr_err_set(err, NR_EINVAL,
                   "--sequence names functions: it takes no file, --image or --kind");
        return NULL;
    }
    if (c->text[OPT_SEQUENCE] && c->secrets) {
        nr_err_set(err, NR_EINVAL, "--sequence has no parameters, so no --secret");
        return NULL;
    }
    if (c->text[OPT_SEQUENCE])
        exec = sequence_exec(c);
    else if (path == NULL && c->text[OPT_IMAGE])
        exec = json_pack("{s:s,s:s}", "kind", "blackbox", "image", c->text[OPT_IMAGE]);
    else if (path && (exec = cli_source_exec(c, path, err)) == NULL)
        return NULL;
    body = json_object();
    if (c->gone)
        json_object_set(body, "delAnnotations", c->gone);
    if (exec)
        json_object_set_new(body, "exec", exec);
    add_limits(c, body);
    add_annotations(c, body);
    if (c->parameters || c->secrets)
        add_parameters(c, body);
    return body;
}

/* NAME --image IMAGE, NAME --sequence A,B, NAME OTHER --copy, action update NAME: nothing to upload. */
static bool is_bare(const struct cli *c)
{
    return (c->text[OPT_SEQUENCE] && c->argc == 1) || c->text[OPT_COPY] ||
           (c->update && c->argc == 1 && access(c->argv[0], F_OK) != 0) ||
           (c->text[OPT_IMAGE] && c->argc == 1 && access(c->argv[0], F_OK) != 0);
}

/* --name, else NAME FILE as wsk has it, else what the file is called. */
static const char *name_of(const struct cli *c, char *room, size_t n)
{
    if (c->text[OPT_NAME])
        return c->text[OPT_NAME];
    if (c->argc > 1 || is_bare(c))
        return c->argv[0];
    cli_source_name(c->argv[c->argc - 1], room, n);
    return room;
}

/* ---- what follows a deployment: two more calls, of which each may fail when the ones before are done ---------------------- */

/* Behind a refusal: what is done all the same, what is not, and how to go on. */
static void say_undone(const struct cli *c, const char *name, const char *deployed, int64_t version)
{
    const char *alias = c->text[OPT_ALIAS];

    if (version) {
        cli_fail_next(c, "done: %s %s is deployed and published as version %lld", name, deployed,
                      (long long)version);
        cli_fail_next(c,
                      "not done: the alias %s is as it was; to go on: narae alias set %s %s=%lld",
                      alias, name, alias, (long long)version);
    } else {
        cli_fail_next(c, "done: %s %s is deployed: calls without a version run it", name, deployed);
        cli_fail_next(c, "not done: it is not published%s%s%s; to go on: narae publish %s",
                      alias ? ", and the alias " : "", alias ? alias : "",
                      alias ? " is as it was" : "", name);
        if (alias)
            cli_fail_next(c, "then: narae alias set %s %s=VERSION", name, alias);
    }
    cli_fail_set(
        c, "done",
        version ? json_pack("{s:s,s:I}", "deployed", deployed, "published", (json_int_t)version)
                : json_pack("{s:s}", "deployed", deployed));
}

static int point_alias(struct cli *c, const char *name, int64_t version)
{
    nr_auto_free char *path =
        cli_path("/narae/v1/functions/%s/aliases/%s", name, c->text[OPT_ALIAS]);
    nr_auto_json json_t *body = json_pack("{s:I}", "version", (json_int_t)version);
    int e = cli_call(c, "PUT", path, body, 0, NULL, NULL);

    if (e == 0 && !cli_json(c))
        printf("  alias %s is version %lld\n", c->text[OPT_ALIAS], (long long)version);
    return e;
}

static int publish(struct cli *c, const char *name, const char *deployed, json_t **ret)
{
    nr_auto_free char *path = cli_path("/narae/v1/functions/%s/versions", name);
    nr_auto_json json_t *body = json_object();

    if (c->text[OPT_NOTE])
        json_object_set_new(body, "note", json_string(c->text[OPT_NOTE]));
    int e = cli_call(c, "POST", path, body, 0, ret, NULL);
    int64_t version = e ? 0 : json_integer_value(json_object_get(*ret, "version"));

    if (e == 0 && !cli_json(c))
        printf("  published as version %lld\n", (long long)version);
    if (e == 0 && c->text[OPT_ALIAS])
        e = point_alias(c, name, version);
    if (e != 0)
        say_undone(c, name, deployed, version);
    return e;
}

/* A name without a file is often an update of settings. */
static const char *hint_of_settings(const struct cli *c, const struct nr_err *err)
{
    const char *word = c->argv[c->argc - 1];

    return err->code == NR_ENOENT && c->argc == 1 && strpbrk(word, "./") == NULL
               ? "\n  settings of a function that is there: narae action update NAME -p KEY VALUE"
               : "";
}

static int deploy(struct cli *c)
{
    char room[1024], path[4096];
    const char *name = name_of(c, room, sizeof(room));
    bool publishes = c->text[OPT_PUBLISH] || c->text[OPT_ALIAS] || c->text[OPT_NOTE];
    struct nr_err err = {0};
    nr_auto_json json_t *body = cli_deployment(c, is_bare(c) ? NULL : c->argv[c->argc - 1], &err),
                        *answer = NULL, *version = NULL;
    size_t base = strlen(ACTION);

    if (body == NULL)
        return cli_fail_why(c, c->text[OPT_SEQUENCE] ? WHY_USAGE : WHY_FILE, "%s%s", err.text,
                            hint_of_settings(c, &err));
    if (c->text[OPT_COPY] && (c->argc != 2 || c->text[OPT_IMAGE] || c->text[OPT_SEQUENCE]))
        return cli_fail(c, "--copy: narae deploy NEW OLD --copy, without --image or --sequence");
    if (c->argc > 1 && !c->text[OPT_COPY] && strchr(c->argv[0], '.') &&
        access(c->argv[0], F_OK) == 0) {
        return cli_fail(c,
                        "%s is a file as well: one file or folder becomes one function\n"
                        "  several files go into a folder; another name is given with --name",
                        c->argv[0]);
    }
    (void)snprintf(path, sizeof(path), ACTION);
    if (name[0] == '\0' || !cli_path_name(name, path + base, sizeof(path) - base - 32))
        return cli_fail(c, name[0] ? "the name is too long" : "--name: a name is needed");
    (void)snprintf(path + strlen(path), 32, "?overwrite=%s",
                   c->text[OPT_NO_OVERWRITE] ? "false" : "true");
    cli_hint_annotations(c);
    int e = c->text[OPT_COPY] ? cli_copy_function(c, c->argv[1], body) : 0;
    if (e != 0)
        return e;
    e = cli_call(c, "PUT", path, body, 0, &answer, NULL);
    if (e != 0 && c->text[OPT_SEQUENCE] && c->status / 100 == 4)
        cli_hint_components(c);
    if (e != 0)
        return e;
    const char *kind = nr_json_string(json_object_get(answer, "exec"), "kind");
    if (!cli_json(c))
        printf("deployed %s %s (%s)\n", name, nr_json_string(answer, "version"), kind ? kind : "?");
    if (publishes && (e = publish(c, name, nr_json_string(answer, "version"), &version)) != 0)
        return e;
    if (cli_json(c)) {
        json_object_del(json_object_get(answer, "exec"), "code");
        cli_print_json(version ? version : answer);
    } else if (!c->text[OPT_WATCH]) {
        printf("  narae invoke %s -p name you\n", name);
    }
    return 0;
}

int verb_deploy(struct cli *c)
{
    if (!c->text[OPT_WATCH])
        return deploy(c);
    if (is_bare(c))
        return cli_fail(c, "--watch: an image or a sequence is no file to watch");
    return cli_watch(c, c->argv[c->argc - 1], deploy);
}
