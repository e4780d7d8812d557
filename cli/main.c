/* narae VERB [WORDS] [--OPTION VALUE]: finds the verb in one table, reads the options, runs it. */
#include <getopt.h>
#include <locale.h>
#include <stdio.h>

#include "cli/cli.h"
#include "common/base/file.h"

static const struct cli_verb verbs[] = {
    {"deploy", "action create", "[NAME] [FILE|FOLDER]",
     "create or update a function; the kind is guessed", "narae deploy hello.py --memory 128", 1, 2,
     verb_deploy},
    {"invoke", "action invoke", "FUNCTION", "call a function and print its result",
     "narae invoke hello -p name you", 1, 1, verb_invoke},
    {"functions", "action list", "", "list functions", "narae functions --limit 100", 0, 0,
     verb_functions},
    {"get", "action get", "FUNCTION", "show a function's settings", "narae get hello", 1, 1,
     verb_get},
    {"delete", "action delete", "FUNCTION", "delete a function with its code", "narae delete hello",
     1, 1, verb_delete},
    {"activations", "activation list", "[FUNCTION]", "list past calls", "narae activations hello",
     0, 1, verb_activations},
    {"activation", "activation get", "[ID|FUNCTION]",
     "show a past call whole; without words the latest", "narae activation", 0, 1, verb_activation},
    {"logs", "activation logs", "[ID|FUNCTION]",
     "print what a call wrote; with -f, -n or --since what those of a function wrote",
     "narae logs -f hello", 0, 1, verb_logs},
    {"result", "activation result", "[ID|FUNCTION]", "print what a call returned", "narae result",
     0, 1, verb_result},
    {"invokers", NULL, "", "containers and what they and the host use", "narae invokers", 0, 0,
     verb_invokers},
    {"doctor", NULL, "", "what the platform found on its host, and what it does without",
     "narae doctor", 0, 0, verb_doctor},
};

enum {
    OPT_APIHOST = 256,
    OPT_AUTH,
    OPT_NAME,
    OPT_KIND,
    OPT_MAIN,
    OPT_NETWORK,
    OPT_EXEC,
    OPT_IMAGE,
    OPT_MEMORY,
    OPT_TIMEOUT,
    OPT_LOGS,
    OPT_CONCURRENCY,
    OPT_LIMIT,
    OPT_SKIP,
    OPT_SINCE,
    OPT_ASYNC,
    OPT_RECORD,
    OPT_NO_OVERWRITE
};

static const struct {
    struct option option;
    const char *help;
} options[] = {
    {{"apihost", required_argument, NULL, OPT_APIHOST},
     "URL   where the platform is (NARAE_APIHOST, ~/.wskprops; http://127.0.0.1:3233)"},
    {{"auth", required_argument, NULL, OPT_AUTH}, "UUID:KEY   who calls (NARAE_AUTH, ~/.wskprops)"},
    {{"insecure", no_argument, NULL, 'i'}, "do not check the certificate (-i)"},
    {{"output", required_argument, NULL, 'o'}, "json|text   form of the output (-o)"},
    {{"param", required_argument, NULL, 'p'},
     "KEY VALUE   a parameter; VALUE is JSON, or text (-p, repeatable)"},
    {{"param-file", required_argument, NULL, 'P'}, "FILE   parameters as one JSON object (-P)"},
    {{"name", required_argument, NULL, OPT_NAME}, "NAME   deploy: another name than the file's"},
    {{"kind", required_argument, NULL, OPT_KIND},
     "KIND   deploy: python:3, nodejs:18, native, blackbox"},
    {{"image", required_argument, NULL, OPT_IMAGE},
     "IMAGE   deploy: own image that serves port 8080; needs a NAME, a FILE only if it wants code"},
    {{"main", required_argument, NULL, OPT_MAIN}, "ENTRY   deploy: function to call"},
    {{"exec", required_argument, NULL, OPT_EXEC},
     "once|loop|direct   deploy: how a native program is run"},
    {{"network", required_argument, NULL, OPT_NETWORK}, "egress|none   deploy"},
    {{"memory", required_argument, NULL, OPT_MEMORY}, "MB   deploy"},
    {{"timeout", required_argument, NULL, OPT_TIMEOUT}, "MS   deploy"},
    {{"logsize", required_argument, NULL, OPT_LOGS}, "MB   deploy"},
    {{"concurrency", required_argument, NULL, OPT_CONCURRENCY},
     "N   deploy: calls at a time in one container"},
    {{"no-overwrite", no_argument, NULL, OPT_NO_OVERWRITE}, "deploy: fail when it exists"},
    {{"async", no_argument, NULL, OPT_ASYNC}, "invoke: print the activation id and do not wait"},
    {{"record", no_argument, NULL, OPT_RECORD}, "invoke: print the whole record"},
    {{"blocking", no_argument, NULL, 'b'}, "as wsk has it: --record (-b)"},
    {{"result", no_argument, NULL, 'r'}, "as wsk has it: print the result, which is the rule (-r)"},
    {{"limit", required_argument, NULL, OPT_LIMIT},
     "N   lists: at most (30; 0 is 200); logs: of the last N calls (-n)"},
    {{"follow", no_argument, NULL, 'f'},
     "logs: go on with what comes, also when the platform was away (-f)"},
    {{"since", required_argument, NULL, OPT_SINCE},
     "WHEN   logs: not older than 90s, 10m, 2h, 1d, or 2026-01-31T12:00:00Z"},
    {{"skip", required_argument, NULL, OPT_SKIP}, "N   lists: leave out the first"},
    {{"help", no_argument, NULL, 'h'}, "this text (-h)"},
};

static void print_help(FILE *out)
{
    (void)fputs(
        "narae VERB [WORDS] [--OPTION VALUE ...]\n\nVerbs (in brackets what wsk calls it):\n", out);
    for (size_t i = 0; i < nr_countof(verbs); i++) {
        (void)fprintf(out, "  %-12s %-21s %s%s%s%s\n", verbs[i].name, verbs[i].words, verbs[i].help,
                      verbs[i].alias ? " [" : "", verbs[i].alias ? verbs[i].alias : "",
                      verbs[i].alias ? "]" : "");
    }
    (void)fputs("\nOptions:\n", out);
    for (size_t i = 0; i < nr_countof(options); i++)
        (void)fprintf(out, "  --%-13s %s\n", options[i].option.name, options[i].help);
    (void)fputs("\nExit status: 0 done, 1 not done, 2 the function failed.\nExamples:\n", out);
    for (size_t i = 0; i < nr_countof(verbs); i++)
        (void)fprintf(out, "  %s\n", verbs[i].example);
}

/* "deploy", or the two words "action create". Moves *at behind them. */
static const struct cli_verb *find_verb(int argc, char **argv, int *at)
{
    char two[64] = "";

    if (*at >= argc)
        return NULL;
    if (*at + 1 < argc)
        (void)snprintf(two, sizeof(two), "%s %s", argv[*at],
                       strcmp(argv[*at + 1], "update") == 0 ? "create" : argv[*at + 1]);
    for (size_t i = 0; i < nr_countof(verbs); i++) {
        if (verbs[i].alias && strcmp(verbs[i].alias, two) == 0) {
            *at += 2;
            return &verbs[i];
        }
    }
    for (size_t i = 0; i < nr_countof(verbs); i++) {
        if (strcmp(verbs[i].name, argv[*at]) == 0) {
            *at += 1;
            return &verbs[i];
        }
    }
    return NULL;
}

static void add_parameter(struct cli *c, const char *key, const char *value)
{
    json_t *j = nr_json_parse(nr_str_of(value), NULL);

    if (c->parameters == NULL)
        c->parameters = json_object();
    json_object_set_new(c->parameters, key, j ? j : json_string(value));
}

static int add_parameter_file(struct cli *c, const char *path)
{
    struct nr_err err = {0};
    nr_auto_free char *text = NULL;
    size_t n;

    if (nr_file_read(path, 1 << 20, &text, &n, &err) != 0)
        return cli_fail("%s", err.text);
    nr_auto_json json_t *j = nr_json_parse((struct nr_str){text, n}, &err);
    if (!json_is_object(j))
        return cli_fail("%s is not one JSON object%s%s", path, j ? "" : ": ", j ? "" : err.text);
    if (c->parameters == NULL)
        c->parameters = json_object();
    return json_object_update(c->parameters, j) == 0 ? 0 : cli_fail("no memory");
}

static int take_number(const char *name, int64_t *field)
{
    if (nr_str_to_i64(nr_str_of(optarg), 0, INT64_MAX, field))
        return 0;
    return cli_fail("--%s %s: a whole number is needed", name, optarg);
}

static int take_option(struct cli *c, int option, int argc, char **argv)
{
    switch (option) {
    case OPT_APIHOST:
        free(c->api_host);
        c->api_host = nr_strdup(optarg);
        return 0;
    case OPT_AUTH:
        free(c->auth);
        c->auth = nr_strdup(optarg);
        return 0;
    case 'i': c->insecure = true; return 0;
    case 'o':
        c->json = strcmp(optarg, "json") == 0;
        return c->json || strcmp(optarg, "text") == 0 ? 0 : cli_fail("-o %s: json or text", optarg);
    case 'p':
        if (optind >= argc)
            return cli_fail("-p %s: a value is needed: -p KEY VALUE", optarg);
        add_parameter(c, optarg, argv[optind++]);
        return 0;
    case 'P': return add_parameter_file(c, optarg);
    case OPT_NAME: c->name = optarg; return 0;
    case OPT_KIND: c->kind = optarg; return 0;
    case OPT_IMAGE: c->image = optarg; return 0;
    case OPT_MAIN: c->main = optarg; return 0;
    case OPT_NETWORK: c->network = optarg; return 0;
    case OPT_EXEC: c->exec = optarg; return 0;
    case OPT_MEMORY: return take_number("memory", &c->memory_mb);
    case OPT_TIMEOUT: return take_number("timeout", &c->timeout_ms);
    case OPT_LOGS: return take_number("logsize", &c->logs_mb);
    case OPT_CONCURRENCY: return take_number("concurrency", &c->concurrency);
    case 'f': c->follow = true; return 0;
    case OPT_SINCE: c->since = optarg; return 0;
    case 'n':
    case OPT_LIMIT: return take_number("limit", &c->limit);
    case OPT_SKIP: return take_number("skip", &c->skip);
    case OPT_ASYNC: c->non_blocking = true; return 0;
    case 'b':
    case OPT_RECORD: c->record = true; return 0;
    case 'r': c->result = true; return 0;
    case OPT_NO_OVERWRITE: c->no_overwrite = true; return 0;
    default: return cli_fail("narae --help lists what there is");
    }
}

/* Options may stand before, between and behind the words. */
static int read_options(struct cli *c, int argc, char **argv, char **words, int *ret_words,
                        bool *ret_help)
{
    struct option table[nr_countof(options) + 1] = {0};
    int option, n = 0;

    for (size_t i = 0; i < nr_countof(options); i++)
        table[i] = options[i].option;
    while ((option = getopt_long(argc, argv, "-io:p:P:hbrfn:", table, NULL)) != -1) {
        if (option == 1)
            words[n++] = optarg;
        else if (option == 'h')
            *ret_help = true;
        else if (take_option(c, option, argc, argv) != 0)
            return 1;
    }
    while (optind < argc)
        words[n++] = argv[optind++];
    *ret_words = n;
    return 0;
}

static int run(struct cli *c, int words, char **word)
{
    struct nr_err err = {0};
    int at = 0;
    const struct cli_verb *verb = find_verb(words, word, &at);

    if (verb == NULL)
        return words ? cli_fail("%s is no verb; narae --help lists them", word[0])
                     : (print_help(stderr), 1);
    c->argc = words - at;
    c->argv = word + at;
    if (c->argc < verb->words_min || c->argc > verb->words_max)
        return cli_fail("narae %s %s\n  for example: %s", verb->name, verb->words, verb->example);
    if (cli_configure(c, &err) != 0)
        return cli_fail("%s", err.text);
    return verb->run(c);
}

int main(int argc, char **argv)
{
    struct cli c = {.memory_mb = -1,
                    .timeout_ms = -1,
                    .logs_mb = -1,
                    .concurrency = -1,
                    .limit = -1,
                    .skip = -1};
    nr_auto_free char **words = nr_alloc((size_t)argc * sizeof(*words));
    bool help = false;
    int n = 0, status;

    (void)setlocale(LC_CTYPE, "");
    status = read_options(&c, argc, argv, words, &n, &help);
    if (status == 0 && help)
        print_help(stdout);
    else if (status == 0)
        status = run(&c, n, words);
    nr_fetch_free(c.fetch);
    json_decref(c.parameters);
    free(c.api_host);
    free(c.auth);
    return status;
}
