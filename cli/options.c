/* The options: one table that parsing, help, completion and the manual read. */
#include "cli/cli.h"

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
    [OPT_DATA] =
        {"data", 'd', VALUE_TEXT, "JSON|@FILE|-",
         "parameters as one JSON object: the text, a file, or the standard input; of backup "
         "and restore: the data folder (NARAE_DATA, /var/lib/narae)"},
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
    [OPT_FORCE] =
        {"force", 0, VALUE_NONE, NULL,
         "api: although a function of it is missing or no web action; backup, restore: over "
         "what is there"},
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
