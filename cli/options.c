/* The options: one table that parsing, help, completion and the manual read. */
#include <getopt.h>

#include "cli/cli.h"
#include "common/base/file.h"

const struct cli_option_row cli_options[OPT_COUNT] = {
    [OPT_APIHOST] = {"apihost", 0, VALUE_TEXT, "URL",
                     "where the platform is (NARAE_APIHOST, ~/.wskprops; http://127.0.0.1:3233)"},
    [OPT_AUTH] = {"auth", 'u', VALUE_TEXT, "UUID:KEY", "who calls (NARAE_AUTH, ~/.wskprops)"},
    [OPT_INSECURE] = {"insecure", 'i', VALUE_NONE, NULL, "do not check the certificate"},
    [OPT_OUTPUT] = {"output", 'o', VALUE_CHOICE, "json|table|wide", "form of the output"},
    [OPT_YES] = {"yes", 'y', VALUE_NONE, NULL, "do not ask before what cannot be undone"},
    [OPT_HELP] = {"help", 'h', VALUE_NONE, NULL, "what the verb does, its options, an example"},

    [OPT_PARAM] = {"param", 'p', VALUE_TEXT, "KEY VALUE",
                   "a parameter; VALUE is JSON, or text (repeatable)"},
    [OPT_SECRET] = {"secret", 's', VALUE_TEXT, "KEY VALUE|-",
                    "a secret parameter, as text; - reads a line of the standard input"},
    [OPT_ANNOTATION] = {"annotation", 'a', VALUE_TEXT, "KEY VALUE",
                        "an annotation; VALUE is JSON, or text (repeatable)"},
    [OPT_WEB] = {"web", 0, VALUE_CHOICE, "true|raw|false",
                 "whether anybody may call it over /api/v1/web, and with its body as it comes"},
    [OPT_PARAM_FILE] = {"param-file", 'P', VALUE_FILE, "FILE", "parameters as one JSON object"},
    [OPT_ANNOTATION_FILE] = {"annotation-file", 'A', VALUE_FILE, "FILE",
                             "annotations as one JSON object"},
    [OPT_DATA] = {"data", 'd', VALUE_TEXT, "JSON|@FILE|-",
                  "parameters as one JSON object: the text, a file, or the standard input"},
    [OPT_NAME] = {"name", 0, VALUE_TEXT, "NAME", "another name than the file's"},
    [OPT_KIND] = {"kind", 0, VALUE_TEXT, "KIND",
                  "python:3, nodejs:18, native or blackbox instead of a guess"},
    [OPT_IMAGE] = {"image", 0, VALUE_TEXT, "IMAGE",
                   "own image that serves port 8080; needs a NAME, a FILE only if it wants code"},
    [OPT_SEQUENCE] = {"sequence", 0, VALUE_TEXT, "FUNCTION,...",
                      "what runs one after the other; needs a NAME and no FILE"},
    [OPT_MAIN] = {"main", 0, VALUE_TEXT, "ENTRY", "function to call"},
    [OPT_EXEC] = {"exec", 0, VALUE_CHOICE, "once|loop|direct", "how a native program is run"},
    [OPT_NETWORK] = {"network", 0, VALUE_CHOICE, "egress|none", "what it may reach"},
    [OPT_MEMORY] = {"memory", 'm', VALUE_NUMBER, "MB", "memory of a container"},
    [OPT_TIMEOUT] = {"timeout", 't', VALUE_NUMBER, "MS", "longest run of a call"},
    [OPT_LOGSIZE] = {"logsize", 'l', VALUE_NUMBER, "MB", "most that a call may write to its logs"},
    [OPT_CONCURRENCY] = {"concurrency", 'c', VALUE_NUMBER, "N", "calls at a time in one container"},
    [OPT_CPUS] = {"cpus", 0, VALUE_REAL, "CORES", "at most so much of the processors"},
    [OPT_CPU_SHARE] = {"cpu-share", 0, VALUE_NUMBER, "N",
                       "weight when the processors are wanted by several"},
    [OPT_GPU] = {"gpu", 0, VALUE_NUMBER, "COUNT", "GPUs, whole"},
    [OPT_GPU_MEMORY] = {"gpu-memory", 0, VALUE_NUMBER, "MB", "memory of each GPU"},
    [OPT_GPU_PERCENTAGE] = {"gpu-percentage", 0, VALUE_NUMBER, "N", "share of each GPU, 1 to 100"},
    [OPT_NO_OVERWRITE] = {"no-overwrite", 0, VALUE_NONE, NULL, "fail when it exists"},
    [OPT_WATCH] = {"watch", 'w', VALUE_NONE, NULL, "deploy again after each change of the files"},
    [OPT_PUBLISH] = {"publish", 0, VALUE_NONE, NULL, "freeze it as the next version"},
    [OPT_NOTE] = {"note", 0, VALUE_TEXT, "TEXT", "what the new version is for"},
    [OPT_VERSION] = {"version", 0, VALUE_TEXT, "N", "of this version only, not of all"},
    [OPT_ALIAS] = {"alias", 0, VALUE_TEXT, "NAME", "of the version that the alias points to"},
    [OPT_LOGS] = {"logs", 0, VALUE_NONE, NULL, "print what the call wrote, on the error channel"},
    [OPT_ASYNC] = {"async", 0, VALUE_NONE, NULL, "print the activation id and do not wait"},
    [OPT_RECORD] = {"record", 0, VALUE_NONE, NULL, "print the whole record"},
    [OPT_BLOCKING] = {"blocking", 'b', VALUE_NONE, NULL, "as wsk has it: --record"},
    [OPT_RESULT] = {"result", 'r', VALUE_NONE, NULL,
                    "as wsk has it: print the result, which is the rule"},
    [OPT_LIMIT] = {"limit", 'n', VALUE_NUMBER, "N", "at most so many (30; 0 is 200)"},
    [OPT_SKIP] = {"skip", 0, VALUE_NUMBER, "N", "leave out the first"},
    [OPT_FOLLOW] = {"follow", 'f', VALUE_NONE, NULL,
                    "go on with what comes, also when the platform was away"},
    [OPT_SINCE] = {"since", 0, VALUE_TEXT, "WHEN",
                   "not older than 90s, 10m, 2h, 1d, or 2026-01-31T12:00:00 (Z: UTC)"},
    [OPT_REASON] = {"reason", 0, VALUE_TEXT, "TEXT", "why: callers and the history are told"},
    [OPT_RUNNING] = {"running", 0, VALUE_CHOICE, "finish|cancel", "what becomes of running calls"},
    [OPT_PROTECTED] = {"protected", 0, VALUE_CHOICE, "yes|no",
                       "whether the function can be deleted while the alias exists"},
    [OPT_WHILE_UPDATING] = {"while-updating", 0, VALUE_CHOICE, "hold|old",
                            "calls meanwhile: wait, or run the old code"},
    [OPT_HOLD] = {"hold", 0, VALUE_NUMBER, "SECONDS", "longest time that a call waits"},
    [OPT_DEADLINE] = {"deadline", 0, VALUE_NUMBER, "SECONDS", "after it, it ends by itself"},
    [OPT_PAYLOAD] = {"payload", 0, VALUE_TEXT, "FILE[:WEIGHT]",
                     "a JSON object to call with, and how often (repeatable)"},
    [OPT_TOLERANCE] = {"tolerance", 0, VALUE_REAL, "PERCENT",
                       "slower than the best by so much (5)"},
    [OPT_REPEATS] = {"repeats", 0, VALUE_NUMBER, "N", "calls of each payload and setting"},
    [OPT_AXIS] = {"axis", 0, VALUE_CHOICE, "memory|cpu", "what is varied"},
    [OPT_APPLY] = {"apply", 0, VALUE_NONE, NULL, "take over the choice"},
    [OPT_ONCE] = {"once", 0, VALUE_NONE, NULL, "print one picture and end; the rule in a pipe"},
    [OPT_EVERY] = {"every", 0, VALUE_NUMBER, "SECONDS", "from picture to picture (2)"},
    [OPT_PROFILE] = {"profile", 0, VALUE_CHOICE, "default|iot|local", "limits to begin with"},
    [OPT_SCOPES] = {"scopes", 0, VALUE_TEXT, "LIST", "of invoke,read,write,admin"},
    [OPT_EXPIRES] = {"expires", 0, VALUE_TEXT, "WHEN", "30d, 12h, or 2026-01-31T12:00:00Z"},
    [OPT_USERNAME] = {"username", 0, VALUE_TEXT, "NAME", "of the registry"},
    [OPT_PASSWORD] = {"password", 0, VALUE_TEXT, "TEXT|-",
                      "of the registry; - reads it from the standard input"},
    [OPT_MODE] = {"mode", 0, VALUE_CHOICE, "enforce|dry_run|off",
                  "instead of the document's: dry_run decides and does nothing"},
    [OPT_FULL] = {"full", 0, VALUE_NONE, NULL, "with every default written out"},
    [OPT_ALL] = {"all", 0, VALUE_NONE, NULL, "also what changed nothing (administrator)"},
    [OPT_UPTO] = {"upto", 0, VALUE_TEXT, "WHEN",
                  "not newer than 90s, 10m, 2h, 1d, or 2026-01-31T12:00:00 (Z: UTC)"},
    [OPT_ACCOUNT] = {"account", 0, VALUE_TEXT, "ACCOUNT", "of the functions of this account"},
    [OPT_SHARED] = {"shared", 0, VALUE_CHOICE, "yes|no",
                    "whether every account may read, bind and call what is in it"},
    [OPT_FEED] = {"feed", 0, VALUE_TEXT, "FUNCTION",
                  "the feed that fires it; the parameters are the feed's"},
    [OPT_RESPONSE_TYPE] = {"response-type", 0, VALUE_CHOICE, "json|http|html|svg|text",
                           "what becomes of the result: json is all of it, http what it says"},
    [OPT_WEB_SECURE] =
        {"web-secure", 0, VALUE_TEXT, "SECRET|true|false",
         "what callers of the web action show in X-Require-Whisk-Auth; true makes one"},
    [OPT_COPY] = {"copy", 0, VALUE_NONE, NULL,
                  "code and settings of the function whose name stands in the place of a FILE"},
    [OPT_DOCKER] = {"docker", 0, VALUE_TEXT, "IMAGE", "as wsk has it: --image"},
    [OPT_NATIVE] = {"native", 0, VALUE_NONE, NULL, "as wsk has it: --kind native"},
    [OPT_DEL_ANNOTATION] = {"del-annotation", 0, VALUE_TEXT, "KEY",
                            "an annotation that goes (repeatable)"},
    [OPT_URL] = {"url", 0, VALUE_NONE, NULL, "print the address it is called by, and no more"},
    [OPT_SAVE] = {"save", 0, VALUE_NONE, NULL,
                  "write its code to a new file of its name, in the folder where you are"},
    [OPT_SAVE_AS] = {"save-as", 0, VALUE_TEXT, "FILE", "write its code to this new file"},
    [OPT_EXIT] = {"exit", 'e', VALUE_NUMBER, "SECONDS", "end after so long"},
};

const unsigned char cli_common_options[] = {OPT_OUTPUT, OPT_YES,      OPT_APIHOST, OPT_AUTH,
                                            OPT_HELP,   OPT_INSECURE, OPT_NONE};

enum cli_option cli_option_find(const char *name)
{
    for (int i = 1; i < OPT_COUNT; i++)
        if (strcmp(cli_options[i].name, name) == 0 ||
            (name[0] == cli_options[i].letter && name[0] && name[1] == '\0'))
            return (enum cli_option)i;
    return OPT_NONE;
}

bool cli_verb_takes(const struct cli_verb *verb, enum cli_option option)
{
    for (const unsigned char *o = cli_common_options; *o; o++)
        if (*o == option)
            return true;
    for (const unsigned char *o = verb->options; *o; o++)
        if (*o == option)
            return true;
    return false;
}

/* ---- values ---------------------------------------------------------------------------------------------------------------- */

static void add_pair(json_t **object, const char *key, const char *value)
{
    json_t *j = nr_json_parse(nr_str_of(value), NULL);

    if (*object == NULL)
        *object = json_object();
    json_object_set_new(*object, key, j ? j : json_string(value));
}

/* The object in a text (lent) is added to *object. */
static int add_object(json_t **object, const char *what, struct nr_str text)
{
    struct nr_err err = {0};
    nr_auto_json json_t *j = nr_json_parse(text, &err);

    if (!json_is_object(j))
        return cli_fail("%s is not one JSON object%s%s", what, j ? "" : ": ", j ? "" : err.text);
    if (*object == NULL)
        *object = json_object();
    return json_object_update(*object, j) == 0 ? 0 : cli_fail("no memory");
}

static int add_file(json_t **object, const char *path)
{
    struct nr_err err = {0};
    nr_auto_free char *text = NULL;
    size_t n;

    if (nr_file_read(path, 1 << 20, &text, &n, &err) != 0)
        return cli_fail("%s", err.text);
    return add_object(object, path, (struct nr_str){text, n});
}

static int add_parameter_file(struct cli *c, const char *path)
{
    return add_file(&c->parameters, path);
}

static int add_annotation_file(struct cli *c, const char *path)
{
    return add_file(&c->annotations, path);
}

static int add_data(struct cli *c, const char *value)
{
    if (value[0] == '@')
        return add_parameter_file(c, value + 1);
    return strcmp(value, "-") == 0 ? add_parameter_file(c, "/dev/stdin")
                                   : add_object(&c->parameters, "--data", nr_str_of(value));
}

static int take_docker(struct cli *c, const char *value)
{
    c->text[OPT_IMAGE] = value;
    return 0;
}

static int take_native(struct cli *c, const char *value)
{
    c->text[OPT_KIND] = "native";
    return 0;
}

static int add_gone(struct cli *c, const char *value)
{
    if (c->gone == NULL)
        c->gone = json_array();
    return json_array_append_new(c->gone, json_string(value)) == 0
               ? 0
               : cli_fail("--del-annotation: the key is no UTF-8");
}

/* FILE or FILE:WEIGHT. */
static int add_payload(struct cli *c, const char *value)
{
    const char *colon = strrchr(value, ':');
    struct nr_err err = {0};
    nr_auto_free char *path = NULL, *text = NULL;
    int64_t weight = 1;
    size_t n;

    if (colon && !nr_str_to_i64(nr_str_of(colon + 1), 1, 1000000, &weight))
        colon = NULL;
    path = nr_strndup(value, colon ? (size_t)(colon - value) : strlen(value));
    if (nr_file_read(path, 1 << 20, &text, &n, &err) != 0)
        return cli_fail("%s", err.text);
    json_t *j = nr_json_parse((struct nr_str){text, n}, &err);
    if (!json_is_object(j)) {
        json_decref(j);
        return cli_fail("--payload %s is not one JSON object%s%s", value, j ? "" : ": ",
                        j ? "" : err.text);
    }
    if (c->payloads == NULL)
        c->payloads = json_array();
    return json_array_append_new(c->payloads,
                                 json_pack("{s:I,s:o}", "weight", (json_int_t)weight, "value", j));
}

static bool is_choice(const char *choices, const char *value)
{
    struct nr_str rest = nr_str_of(choices), one;

    while (nr_str_split(&rest, '|', &one))
        if (nr_str_eqz(one, value))
            return true;
    return false;
}

static int take_value(struct cli *c, enum cli_option option, const char *value)
{
    const struct cli_option_row *row = &cli_options[option];
    char *end;

    c->text[option] = value ? value : "";
    switch (row->value) {
    case VALUE_NUMBER:
        if (!nr_str_to_i64(nr_str_of(value), 0, INT64_MAX, &c->number[option]))
            return cli_fail("--%s %s: a whole number is needed (%s)", row->name, value, row->meta);
        return 0;
    case VALUE_REAL:
        c->real[option] = strtod(value, &end);
        if (end == value || *end || !(c->real[option] >= 0))
            return cli_fail("--%s %s: a number is needed (%s)", row->name, value, row->meta);
        return 0;
    case VALUE_CHOICE:
        if (option == OPT_OUTPUT && strcmp(value, "text") == 0)
            return 0;
        return is_choice(row->meta, value)
                   ? 0
                   : cli_fail("--%s %s: it can be %s", row->name, value, row->meta);
    default: return 0;
    }
}

static const struct {
    enum cli_option option;
    int (*take)(struct cli *c, const char *value);
} takers[] = {{OPT_PARAM_FILE, add_parameter_file},
              {OPT_ANNOTATION_FILE, add_annotation_file},
              {OPT_DATA, add_data},
              {OPT_PAYLOAD, add_payload},
              {OPT_DOCKER, take_docker},
              {OPT_NATIVE, take_native},
              {OPT_DEL_ANNOTATION, add_gone}};

static int add_secret(struct cli *c, const char *key, const char *value)
{
    bool read = strcmp(value, "-") == 0;
    char *line = NULL;

    if (read && (line = terminal_secret(&c->term, key)) == NULL)
        return cli_fail("-s %s -: there is no line with a text on the standard input", key);
    if (c->secrets == NULL)
        c->secrets = json_object();
    int e = json_object_set_new(c->secrets, key, json_string(read ? line : value));

    nr_str_wipe(nr_str_of(line));
    free(line);
    return e == 0 ? 0 : cli_fail("-s %s: the value is no UTF-8", key);
}

/* KEY VALUE: the value is the word behind. */
static int take_pair(struct cli *c, enum cli_option option, const char *key, const char *value)
{
    if (option == OPT_SECRET)
        return add_secret(c, key, value);
    add_pair(option == OPT_PARAM ? &c->parameters : &c->annotations, key, value);
    return 0;
}

static int take_option(struct cli *c, enum cli_option option, int argc, char **argv)
{
    int e = take_value(c, option, optarg);

    if (e == 0 && (option == OPT_PARAM || option == OPT_ANNOTATION || option == OPT_SECRET)) {
        if (optind >= argc)
            return cli_fail("-%c %s: a value is needed: -%c KEY VALUE", cli_options[option].letter,
                            optarg, cli_options[option].letter);
        e = take_pair(c, option, optarg, argv[optind++]);
    }
    for (size_t i = 0; e == 0 && i < nr_countof(takers); i++)
        if (takers[i].option == option)
            e = takers[i].take(c, optarg);
    return e;
}

/* ---- argv ----------------------------------------------------------------------------------------------------------------------- */

static int explain_unknown(const char *word)
{
    struct cli_nearest n = {.word = word + strspn(word, "-")};
    char name[64];

    (void)snprintf(name, sizeof(name), "%.*s", (int)strcspn(n.word, "="), n.word);
    n.word = name;
    for (int i = 1; i < OPT_COUNT; i++)
        cli_nearest_try(&n, cli_options[i].name);
    return n.best ? cli_fail("%s is no option; did you mean --%s? (narae --help lists them)", word,
                             n.best)
                  : cli_fail("%s is no option; narae --help lists them", word);
}

static void make_tables(struct option *longs, char *shorts)
{
    char *s = shorts;

    *s++ = '-'; /* words come as option 1, wherever they stand */
    *s++ = ':';
    for (int i = 1; i < OPT_COUNT; i++) {
        bool value = cli_options[i].value != VALUE_NONE;

        longs[i - 1] = (struct option){cli_options[i].name, value ? required_argument : no_argument,
                                       NULL, 256 + i};
        if (cli_options[i].letter) {
            *s++ = cli_options[i].letter;
            if (value)
                *s++ = ':';
        }
    }
    *s = '\0';
}

static enum cli_option option_of(int code)
{
    char letter[2] = {(char)code, '\0'};

    return code > 256 ? (enum cli_option)(code - 256) : cli_option_find(letter);
}

int cli_read_options(struct cli *c, int argc, char **argv, char **words, int *ret_words)
{
    struct option longs[OPT_COUNT + 1] = {0};
    char shorts[2 * OPT_COUNT + 3];
    int code, n = 0;

    make_tables(longs, shorts);
    for (int i = 0; i < OPT_COUNT; i++)
        c->number[i] = -1;
    opterr = 0;
    while ((code = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
        if (code == 1)
            words[n++] = optarg;
        else if (code == ':')
            return cli_fail("%s needs a value: %s", argv[optind - 1],
                            cli_options[option_of(optopt)].meta);
        else if (code == '?')
            return explain_unknown(argv[optind - 1]);
        else if (take_option(c, option_of(code), argc, argv) != 0)
            return CLI_NOT_DONE;
    }
    while (optind < argc)
        words[n++] = argv[optind++];
    *ret_words = n;
    if (c->text[OPT_OUTPUT])
        c->form = strcmp(c->text[OPT_OUTPUT], "json") == 0   ? FORM_JSON
                  : strcmp(c->text[OPT_OUTPUT], "wide") == 0 ? FORM_WIDE
                                                             : FORM_TABLE;
    return 0;
}
