/* The table of verbs: parsing, help, completion and the manual are made of it. */
#include "cli/verbs.h"

#include "cli/cli.h"

#define DEPLOYMENT                                                                                 \
    OPT_KIND, OPT_MAIN, OPT_MEMORY, OPT_TIMEOUT, OPT_NETWORK, OPT_EXEC, OPT_IMAGE, OPT_SEQUENCE,   \
        OPT_LOGSIZE, OPT_CONCURRENCY, OPT_CPUS, OPT_CPU_SHARE, OPT_GPU, OPT_GPU_MEMORY,            \
        OPT_GPU_PERCENTAGE, OPT_PARAM, OPT_SECRET, OPT_PARAM_FILE, OPT_ANNOTATION,                 \
        OPT_ANNOTATION_FILE, OPT_DEL_ANNOTATION, OPT_WEB, OPT_WEB_SECURE, OPT_NAME, OPT_DOCKER,    \
        OPT_NATIVE
#define FUNCTION                                                                                   \
    {                                                                                              \
        WORD_FUNCTION                                                                              \
    }
#define PACKAGE                                                                                    \
    {                                                                                              \
        WORD_PACKAGE                                                                               \
    }
#define TRIGGER                                                                                    \
    {                                                                                              \
        WORD_TRIGGER                                                                               \
    }
#define RULE                                                                                       \
    {                                                                                              \
        WORD_RULE                                                                                  \
    }
#define PAIRS OPT_PARAM, OPT_PARAM_FILE, OPT_DATA, OPT_ANNOTATION, OPT_ANNOTATION_FILE
#define ACCOUNT                                                                                    \
    {                                                                                              \
        WORD_ACCOUNT                                                                               \
    }

const char *const cli_groups[GROUP_COUNT] = {
    [GROUP_FUNCTIONS] = "Functions",
    [GROUP_CALLS] = "Calls",
    [GROUP_VERSIONS] = "Versions",
    [GROUP_LIFE] = "Life of a function",
    [GROUP_ENTITIES] = "Packages, triggers, rules, APIs",
    [GROUP_PREENV] = "Memory by trial",
    [GROUP_ACCOUNTS] = "Accounts",
    [GROUP_IMAGES] = "Images",
    [GROUP_PLATFORM] = "Platform",
    [GROUP_SCALING] = "Scaling",
    [GROUP_SELF] = "This program",
};

/* clang-format off */
const struct cli_verb cli_verbs[] = {
    {"deploy", "action create", "[NAME] FILE|FOLDER", GROUP_FUNCTIONS,
     "create or update a function; the kind is guessed", "narae deploy hello.py --memory 128 --publish", 1, 2,
     verb_deploy, {DEPLOYMENT, OPT_NO_OVERWRITE, OPT_WATCH, OPT_PUBLISH, OPT_NOTE, OPT_ALIAS, OPT_COPY}, {WORD_FILE}},
    {"functions", "action list", "[PACKAGE]", GROUP_FUNCTIONS,
     "list functions with their state and versions, or those of a package", "narae functions --limit 100", 0, 1,
     verb_functions, {OPT_LIMIT, OPT_SKIP}, PACKAGE},
    {"get", "action get", "FUNCTION", GROUP_FUNCTIONS,
     "show a function whole, or one of its versions, as JSON; or save its code", "narae get hello --save-as old.py", 1, 1,
     verb_get, {OPT_VERSION, OPT_URL, OPT_SAVE, OPT_SAVE_AS}, FUNCTION},
    {"delete", "action delete", "FUNCTION", GROUP_FUNCTIONS,
     "delete a function with its code, or one of its versions", "narae delete hello --yes", 1, 1,
     verb_delete, {OPT_VERSION}, FUNCTION},

    {"invoke", "action invoke", "FUNCTION", GROUP_CALLS,
     "call a function and print its result", "narae invoke hello -p name you --logs", 1, 1,
     verb_invoke, {OPT_PARAM, OPT_PARAM_FILE, OPT_DATA, OPT_VERSION, OPT_ALIAS, OPT_LOGS, OPT_ASYNC, OPT_RECORD,
      OPT_BLOCKING, OPT_RESULT}, FUNCTION},
    {"activations", "activation list", "[FUNCTION]", GROUP_CALLS,
     "list past calls, the latest first", "narae activations hello", 0, 1,
     verb_activations, {OPT_LIMIT, OPT_SKIP}, FUNCTION},
    {"activation", "activation get", "[ID|FUNCTION]", GROUP_CALLS,
     "show a past call whole; without words the latest", "narae activation", 0, 1,
     verb_activation, {0}, FUNCTION},
    {"logs", "activation logs", "[ID|FUNCTION]", GROUP_CALLS,
     "print what a call wrote; with -f, -n or --since what those of a function wrote", "narae logs -f hello", 0, 1,
     verb_logs, {OPT_FOLLOW, OPT_LIMIT, OPT_SINCE}, FUNCTION},
    {"poll", "activation poll", "[FUNCTION]", GROUP_CALLS,
     "print what is called from now on, by whomever, and what it writes", "narae poll --exit 60", 0, 1,
     verb_poll, {OPT_EXIT, OPT_SINCE}, FUNCTION},
    {"result", "activation result", "[ID|FUNCTION]", GROUP_CALLS,
     "print what a call returned", "narae result", 0, 1,
     verb_result, {0}, FUNCTION},

    {"publish", NULL, "FUNCTION", GROUP_VERSIONS,
     "freeze code and settings of LATEST as the next version", "narae publish hello --note 'first customers'", 1, 1,
     verb_publish, {OPT_NOTE}, FUNCTION},
    {"versions", NULL, "FUNCTION", GROUP_VERSIONS,
     "list the published versions", "narae versions hello", 1, 1,
     verb_versions, {0}, FUNCTION},
    {"diff", NULL, "FUNCTION VERSION [VERSION]", GROUP_VERSIONS,
     "settings and files that differ between two versions, or a version and LATEST", "narae diff hello 1 2", 2, 3,
     verb_diff, {0}, {WORD_FUNCTION, WORD_ANY}},
    {"alias list", NULL, "FUNCTION", GROUP_VERSIONS,
     "list aliases and where they point", "narae alias list hello", 1, 1,
     verb_alias_list, {0}, FUNCTION},
    {"alias set", NULL, "FUNCTION ALIAS[=VERSION[:PERCENT,...]]", GROUP_VERSIONS,
     "point an alias to a version, or to several by weight", "narae alias set hello prod=1:90,2:10", 2, 2,
     verb_alias_set, {OPT_PROTECTED}, {WORD_FUNCTION, WORD_ALIAS}},
    {"alias delete", NULL, "FUNCTION ALIAS", GROUP_VERSIONS,
     "delete an alias", "narae alias delete hello beta --yes", 2, 2,
     verb_alias_delete, {0}, {WORD_FUNCTION, WORD_ALIAS}},
    {"rollback", NULL, "FUNCTION ALIAS", GROUP_VERSIONS,
     "point an alias to where it pointed before", "narae rollback hello prod", 2, 2,
     verb_rollback, {0}, {WORD_FUNCTION, WORD_ALIAS}},

    {"block", NULL, "FUNCTION", GROUP_LIFE,
     "refuse calls until it is unblocked; running calls finish", "narae block hello --reason 'wrong prices'", 1, 1,
     verb_block, {OPT_VERSION, OPT_REASON}, FUNCTION},
    {"unblock", NULL, "FUNCTION", GROUP_LIFE,
     "take calls again", "narae unblock hello", 1, 1,
     verb_unblock, {OPT_VERSION, OPT_REASON}, FUNCTION},
    {"retire", NULL, "FUNCTION", GROUP_LIFE,
     "end it: calls are refused for good, containers go", "narae retire hello --version 1 --running finish --yes", 1, 1,
     verb_retire, {OPT_VERSION, OPT_REASON, OPT_RUNNING}, FUNCTION},
    {"purge", NULL, "FUNCTION", GROUP_LIFE,
     "remove a retired function or version with its code", "narae purge hello --version 1 --yes", 1, 1,
     verb_purge, {OPT_VERSION, OPT_REASON}, FUNCTION},
    {"update begin", NULL, "FUNCTION", GROUP_LIFE,
     "open a window for a change that must not be seen half done", "narae update begin hello --while-updating old", 1, 1,
     verb_update_begin, {OPT_WHILE_UPDATING, OPT_HOLD, OPT_DEADLINE, OPT_REASON}, FUNCTION},
    {"update commit", NULL, "FUNCTION [FILE|FOLDER]", GROUP_LIFE,
     "close the window with new code and settings", "narae update commit hello hello.py", 1, 2,
     verb_update_commit, {DEPLOYMENT}, {WORD_FUNCTION, WORD_FILE}},
    {"update abort", NULL, "FUNCTION", GROUP_LIFE,
     "close the window with the old code", "narae update abort hello", 1, 1,
     verb_update_abort, {0}, FUNCTION},
    {"history", NULL, "FUNCTION", GROUP_LIFE,
     "who changed it, when, and why", "narae history hello", 1, 1,
     verb_history, {OPT_LIMIT, OPT_SKIP}, FUNCTION},

    {"package list", NULL, "", GROUP_ENTITIES,
     "list packages and bindings", "narae package list", 0, 0,
     verb_package_list, {OPT_LIMIT, OPT_SKIP}},
    {"package get", NULL, "PACKAGE", GROUP_ENTITIES,
     "show a package with its functions and feeds, as JSON", "narae package get weather", 1, 1,
     verb_package_get, {0}, PACKAGE},
    {"package create", NULL, "PACKAGE", GROUP_ENTITIES,
     "create a package; its parameters are those of all its functions", "narae package create weather -p unit C", 1, 1,
     verb_package_create, {PAIRS, OPT_SECRET, OPT_SHARED}, PACKAGE},
    {"package update", NULL, "PACKAGE", GROUP_ENTITIES,
     "change its parameters, its annotations, or who may use it", "narae package update weather --shared yes", 1, 1,
     verb_package_update, {PAIRS, OPT_SECRET, OPT_SHARED}, PACKAGE},
    {"package bind", NULL, "PACKAGE NAME", GROUP_ENTITIES,
     "another name for a package, one's own or a shared one, with parameters of its own", "narae package bind /acme/weather mine -p unit F", 2, 2,
     verb_package_bind, {PAIRS, OPT_SECRET}, PACKAGE},
    {"package delete", NULL, "PACKAGE", GROUP_ENTITIES,
     "delete a package with its functions, or a binding", "narae package delete weather --yes", 1, 1,
     verb_package_delete, {0}, PACKAGE},
    {"trigger list", NULL, "", GROUP_ENTITIES,
     "list triggers", "narae trigger list", 0, 0,
     verb_trigger_list, {OPT_LIMIT, OPT_SKIP}},
    {"trigger get", NULL, "TRIGGER", GROUP_ENTITIES,
     "show a trigger and the rules that wait for it, as JSON", "narae trigger get reading", 1, 1,
     verb_trigger_get, {0}, TRIGGER},
    {"trigger create", NULL, "TRIGGER", GROUP_ENTITIES,
     "create a trigger; with --feed also what fires it", "narae trigger create reading -p plant 7", 1, 1,
     verb_trigger_create, {PAIRS, OPT_FEED}, TRIGGER},
    {"trigger update", NULL, "TRIGGER", GROUP_ENTITIES,
     "change its parameters and annotations, or those of its feed", "narae trigger update reading -p plant 8", 1, 1,
     verb_trigger_update, {PAIRS}, TRIGGER},
    {"trigger fire", NULL, "TRIGGER", GROUP_ENTITIES,
     "run what its rules say", "narae trigger fire reading -p value 21.5", 1, 1,
     verb_trigger_fire, {OPT_PARAM, OPT_PARAM_FILE, OPT_DATA}, TRIGGER},
    {"trigger delete", NULL, "TRIGGER", GROUP_ENTITIES,
     "delete a trigger; its feed is told, its rules wait for nothing", "narae trigger delete reading --yes", 1, 1,
     verb_trigger_delete, {0}, TRIGGER},
    {"rule list", NULL, "", GROUP_ENTITIES,
     "list rules: which function runs when which trigger is fired", "narae rule list", 0, 0,
     verb_rule_list, {OPT_LIMIT, OPT_SKIP}},
    {"rule get", NULL, "RULE", GROUP_ENTITIES,
     "show a rule and whether it is active, as JSON", "narae rule get on-reading", 1, 1,
     verb_rule_get, {0}, RULE},
    {"rule create", NULL, "RULE TRIGGER FUNCTION", GROUP_ENTITIES,
     "run a function whenever a trigger is fired", "narae rule create on-reading reading parse-telemetry", 3, 3,
     verb_rule_create, {OPT_ANNOTATION}, {WORD_RULE, WORD_TRIGGER, WORD_FUNCTION}},
    {"rule update", NULL, "RULE TRIGGER FUNCTION", GROUP_ENTITIES,
     "another trigger or another function", "narae rule update on-reading reading parse-telemetry", 3, 3,
     verb_rule_update, {OPT_ANNOTATION}, {WORD_RULE, WORD_TRIGGER, WORD_FUNCTION}},
    {"rule enable", NULL, "RULE", GROUP_ENTITIES,
     "let it act again", "narae rule enable on-reading", 1, 1,
     verb_rule_enable, {0}, RULE},
    {"rule disable", NULL, "RULE", GROUP_ENTITIES,
     "let it rest: fires run nothing by it", "narae rule disable on-reading", 1, 1,
     verb_rule_disable, {0}, RULE},
    {"rule delete", NULL, "RULE", GROUP_ENTITIES,
     "delete a rule", "narae rule delete on-reading --yes", 1, 1,
     verb_rule_delete, {0}, RULE},
    {"api list", NULL, "", GROUP_ENTITIES,
     "list the operations of APIs, where they are and what they call", "narae api list", 0, 0,
     verb_api_list, {OPT_LIMIT, OPT_SKIP}},
    {"api get", NULL, "API", GROUP_ENTITIES,
     "print an API, by its base path or name, as a Swagger 2.0 document", "narae api get /club >club.json", 1, 1,
     verb_api_get, {0}},
    {"api create", NULL, "BASE PATH METHOD FUNCTION|FILE", GROUP_ENTITIES,
     "give a web function an address; or all of an API out of a Swagger 2.0 document", "narae api create /club /books get hello", 1, 4,
     verb_api_create, {OPT_RESPONSE_TYPE, OPT_NAME}, {WORD_FILE}},
    {"api update", NULL, "BASE PATH METHOD FUNCTION|FILE", GROUP_ENTITIES,
     "the same: an operation that is there leads to another function from then on", "narae api update /club /books get hello?alias=prod", 1, 4,
     verb_api_create, {OPT_RESPONSE_TYPE, OPT_NAME}, {WORD_FILE}},
    {"api delete", NULL, "API [PATH [METHOD]]", GROUP_ENTITIES,
     "delete an API, one of its paths, or one operation", "narae api delete /club /books get --yes", 1, 3,
     verb_api_delete, {0}},

    {"preenv run", NULL, "FUNCTION", GROUP_PREENV,
     "find the smallest memory that costs no speed, by running it", "narae preenv run hello --payload day.json:9 --payload peak.json --apply", 1, 1,
     verb_preenv, {OPT_PAYLOAD, OPT_TOLERANCE, OPT_REPEATS, OPT_DEADLINE, OPT_AXIS, OPT_APPLY, OPT_ASYNC, OPT_VERSION}, FUNCTION},
    {"preenv list", NULL, "FUNCTION", GROUP_PREENV,
     "list the trials of a function", "narae preenv list hello", 1, 1,
     verb_preenv_list, {0}, FUNCTION},
    {"preenv show", NULL, "FUNCTION [ID]", GROUP_PREENV,
     "the curve, the choice and its reason; without ID of the latest trial", "narae preenv show hello", 1, 2,
     verb_preenv_show, {0}, FUNCTION},
    {"preenv apply", NULL, "FUNCTION [ID]", GROUP_PREENV,
     "give the function what a trial has chosen", "narae preenv apply hello", 1, 2,
     verb_preenv_apply, {0}, FUNCTION},
    {"preenv cancel", NULL, "FUNCTION [ID]", GROUP_PREENV,
     "end a trial that is running", "narae preenv cancel hello", 1, 2,
     verb_preenv_cancel, {0}, FUNCTION},

    {"scale apply", NULL, "FILE|- ...", GROUP_SCALING,
     "take over scaling policies; one that differs is a new version (administrator)", "narae scale apply telemetry-burst.json --mode dry_run", 1, 64,
     verb_scale_apply, {OPT_NAME, OPT_MODE}, {WORD_FILE}},
    {"scale check", NULL, "FILE|- ...", GROUP_SCALING,
     "find every mistake in policies; nothing is changed (administrator)", "narae scale check telemetry-burst.json", 1, 64,
     verb_scale_check, {OPT_NAME, OPT_MODE}, {WORD_FILE}},
    {"scale list", NULL, "", GROUP_SCALING,
     "list policies and how many containers they want now", "narae scale list", 0, 0,
     verb_scale_list, {OPT_LIMIT, OPT_SKIP}},
    {"scale show", NULL, "POLICY", GROUP_SCALING,
     "print the document of a policy; --full writes its defaults out", "narae scale show telemetry-burst --full", 1, 1,
     verb_scale_show, {OPT_VERSION, OPT_FULL}, {WORD_POLICY}},
    {"scale versions", NULL, "POLICY", GROUP_SCALING,
     "who changed a policy, and when", "narae scale versions telemetry-burst", 1, 1,
     verb_scale_versions, {0}, {WORD_POLICY}},
    {"scale mode", NULL, "POLICY enforce|dry_run|off", GROUP_SCALING,
     "change the mode of a policy and nothing else (administrator)", "narae scale mode telemetry-burst off", 2, 2,
     verb_scale_mode, {0}, {WORD_POLICY, WORD_ANY}},
    {"scale delete", NULL, "POLICY", GROUP_SCALING,
     "delete a policy; what it asked for ends with it (administrator)", "narae scale delete telemetry-burst --yes", 1, 1,
     verb_scale_delete, {0}, {WORD_POLICY}},
    {"scale explain", NULL, "POLICY", GROUP_SCALING,
     "what was decided and why: what was seen, who voted, what clamped", "narae scale explain telemetry-burst --since 10m", 1, 1,
     verb_scale_explain, {OPT_SINCE, OPT_UPTO, OPT_LIMIT, OPT_ALL}, {WORD_POLICY}},
    {"scale dry-run", NULL, "POLICY|FILE|-", GROUP_SCALING,
     "what a policy or a document would decide now; nothing is done", "narae scale dry-run telemetry-burst.json", 1, 1,
     verb_scale_dry_run, {OPT_NAME}, {WORD_FILE}},
    {"scale replay", NULL, "POLICY [FILE|-]", GROUP_SCALING,
     "decide again what was recorded, with the edited document in FILE: what would differ (administrator)", "narae scale replay telemetry-burst edited.json --since 1d", 1, 2,
     verb_scale_replay, {OPT_SINCE, OPT_UPTO}, {WORD_POLICY, WORD_FILE}},
    {"scale import", NULL, "knative|keda|hpa|openfaas|fission FILE|-", GROUP_SCALING,
     "settings of another platform as a policy, on the output; nothing is changed (administrator)", "narae scale import keda scaledobject.yaml --account guest >policy.json", 2, 2,
     verb_scale_import, {OPT_ACCOUNT}, {WORD_PLATFORM, WORD_FILE}},
    {"scale forecasts", NULL, "[FUNCTION]", GROUP_SCALING,
     "what is foreseen of functions, and how far that is trusted", "narae scale forecasts parse-telemetry", 0, 1,
     verb_scale_forecasts, {OPT_LIMIT, OPT_ACCOUNT}, FUNCTION},
    {"scale channels", NULL, "[NAME=URL|none ...]", GROUP_SCALING,
     "show or set where alerts and node wishes are told (administrator)", "narae scale channels ops=https://ops.example/narae", 0, 8,
     verb_scale_channels},
    {"scale status", NULL, "", GROUP_SCALING,
     "who decides, over which bus, and how much (administrator)", "narae scale status", 0, 0,
     verb_scale_status},

    {"account list", NULL, "", GROUP_ACCOUNTS,
     "list accounts with their limits (administrator)", "narae account list", 0, 0,
     verb_account_list},
    {"account create", NULL, "ACCOUNT", GROUP_ACCOUNTS,
     "create an account; its key is printed once (administrator)", "narae account create farm --profile iot", 1, 1,
     verb_account_create, {OPT_PROFILE}},
    {"account show", NULL, "ACCOUNT", GROUP_ACCOUNTS,
     "show one account", "narae account show guest", 1, 1,
     verb_account_show, {0}, ACCOUNT},
    {"account suspend", NULL, "ACCOUNT", GROUP_ACCOUNTS,
     "refuse everything of it until it is resumed", "narae account suspend farm --reason 'unpaid'", 1, 1,
     verb_account_suspend, {OPT_REASON}, ACCOUNT},
    {"account resume", NULL, "ACCOUNT", GROUP_ACCOUNTS,
     "take its calls again", "narae account resume farm", 1, 1,
     verb_account_resume, {0}, ACCOUNT},
    {"account delete", NULL, "ACCOUNT", GROUP_ACCOUNTS,
     "delete it with all functions, keys and records", "narae account delete farm --yes", 1, 1,
     verb_account_delete, {0}, ACCOUNT},
    {"account quota", NULL, "ACCOUNT [KEY=NUMBER|none ...]", GROUP_ACCOUNTS,
     "show or set what its bucket may hold: bytes, functions, versions", "narae account quota farm bytes=1000000000", 1, 8,
     verb_account_quota, {0}, {WORD_ACCOUNT, WORD_ANY}},
    {"account limits", NULL, "ACCOUNT [KEY=NUMBER ...]", GROUP_ACCOUNTS,
     "show or set its calls a minute and at a time", "narae account limits farm invocationsPerMinute=600", 1, 8,
     verb_account_limits, {0}, {WORD_ACCOUNT, WORD_ANY}},
    {"account export", NULL, "ACCOUNT FILE", GROUP_ACCOUNTS,
     "write all of it to one archive", "narae account export farm farm.tar", 2, 2,
     verb_account_export, {0}, {WORD_ACCOUNT, WORD_FILE}},
    {"account import", NULL, "ACCOUNT FILE", GROUP_ACCOUNTS,
     "read an archive that `account export` has written", "narae account import farm farm.tar", 2, 2,
     verb_account_import, {0}, {WORD_ACCOUNT, WORD_FILE}},
    {"key list", NULL, "[ACCOUNT]", GROUP_ACCOUNTS,
     "list an account's keys; without a word of the account in use", "narae key list farm", 0, 1,
     verb_key_list, {0}, ACCOUNT},
    {"key create", NULL, "[ACCOUNT]", GROUP_ACCOUNTS,
     "make another key; it is printed once", "narae key create farm --scopes invoke --expires 30d", 0, 1,
     verb_key_create, {OPT_SCOPES, OPT_EXPIRES, OPT_NOTE}, ACCOUNT},
    {"key rotate", NULL, "[ACCOUNT] UUID", GROUP_ACCOUNTS,
     "give a key a new secret; the old one ends at once", "narae key rotate farm 5ea1b8c4-1111-4222-8333-123456789abc --yes", 1, 2,
     verb_key_rotate, {0}, ACCOUNT},
    {"key revoke", NULL, "[ACCOUNT] UUID", GROUP_ACCOUNTS,
     "end a key at once", "narae key revoke farm 5ea1b8c4-1111-4222-8333-123456789abc --yes", 1, 2,
     verb_key_revoke, {0}, ACCOUNT},
    {"bucket usage", NULL, "", GROUP_ACCOUNTS,
     "what the buckets hold, and what they may", "narae bucket usage", 0, 0,
     verb_bucket_usage},
    {"bucket verify", NULL, "[ACCOUNT]", GROUP_ACCOUNTS,
     "read every file of a bucket and compare it with its SHA-256", "narae bucket verify farm", 0, 1,
     verb_bucket_verify, {0}, ACCOUNT},

    {"image list", NULL, "", GROUP_IMAGES,
     "list own images, their digests and who uses them", "narae image list", 0, 0,
     verb_image_list},
    {"image pull", NULL, "REFERENCE", GROUP_IMAGES,
     "fetch an image ahead of the first call", "narae image pull registry.local:5000/sums:2", 1, 1,
     verb_image_pull},
    {"image prune", NULL, "", GROUP_IMAGES,
     "remove images that no function uses", "narae image prune --yes", 0, 0,
     verb_image_prune},
    {"registry list", NULL, "", GROUP_IMAGES,
     "list registries with credentials", "narae registry list", 0, 0,
     verb_registry_list},
    {"registry set", NULL, "HOST[:PORT]", GROUP_IMAGES,
     "keep credentials of a registry, encrypted", "narae registry set registry.local:5000 --username ci --password -", 1, 1,
     verb_registry_set, {OPT_USERNAME, OPT_PASSWORD}},
    {"registry delete", NULL, "HOST[:PORT]", GROUP_IMAGES,
     "forget the credentials of a registry", "narae registry delete registry.local:5000 --yes", 1, 1,
     verb_registry_delete},

    {"status", NULL, "", GROUP_PLATFORM,
     "is it there, is it ready, what does it hold", "narae status", 0, 0,
     verb_status},
    {"top", NULL, "", GROUP_PLATFORM,
     "functions by what they use, drawn again and again", "narae top --every 5", 0, 0,
     verb_top, {OPT_ONCE, OPT_EVERY, OPT_LIMIT}},
    {"invokers", NULL, "", GROUP_PLATFORM,
     "containers and what they and the host use", "narae invokers", 0, 0,
     verb_invokers},
    {"doctor", NULL, "", GROUP_PLATFORM,
     "what the platform found on its host, and what it does without", "narae doctor", 0, 0,
     verb_doctor},

    {"completion", NULL, "bash|zsh|fish", GROUP_SELF,
     "print a script that completes words at TAB", "source <(narae completion bash)", 1, 1,
     verb_completion, {0}, {WORD_SHELL}, true},
    {"man", NULL, "", GROUP_SELF,
     "the manual: shown on a terminal, its source in a pipe", "narae man", 0, 0,
     verb_man, {0}, {0}, true},
    {"help", NULL, "[VERB]", GROUP_SELF,
     "this text, or that of a verb", "narae help alias set", 0, 2,
     verb_help, {0}, {WORD_VERB}, true},
};
/* clang-format on */

/* Words that stand for a verb of two words when the second is not there, or is none of its verbs. */
static const struct {
    const char *noun, *verb;
} presets[] = {
    {"preenv", "preenv run"},    {"bucket", "bucket usage"},    {"image", "image list"},
    {"account", "account list"}, {"registry", "registry list"}, {"scale", "scale list"},
    {"package", "package list"}, {"trigger", "trigger list"},   {"rule", "rule list"},
    {"api", "api list"},
};

size_t cli_verb_count(void)
{
    return nr_countof(cli_verbs);
}

static const struct cli_verb *find(const char *name, bool wsk)
{
    for (size_t i = 0; i < nr_countof(cli_verbs); i++) {
        const char *have = wsk ? cli_verbs[i].wsk : cli_verbs[i].name;

        if (have && strcmp(have, name) == 0)
            return &cli_verbs[i];
    }
    return NULL;
}

bool cli_is_noun(const char *word)
{
    size_t n = strlen(word);

    for (size_t i = 0; i < nr_countof(cli_verbs); i++)
        if (strncmp(cli_verbs[i].name, word, n) == 0 && cli_verbs[i].name[n] == ' ')
            return true;
    return false;
}

/* "preenv hello" is "preenv run hello"; "bucket" alone is "bucket usage", "bucket sage" a mistake. */
static const struct cli_verb *preset(int argc, char **argv)
{
    for (size_t i = 0; i < nr_countof(presets); i++)
        if (strcmp(presets[i].noun, argv[0]) == 0) {
            const struct cli_verb *verb = find(presets[i].verb, false);

            return argc == 1 || verb->words_max > 0 ? verb : NULL;
        }
    return NULL;
}

const struct cli_verb *cli_verb_find(int argc, char **argv, int *ret_took, bool *ret_wsk)
{
    const struct cli_verb *verb = NULL;
    char two[64] = "";

    *ret_wsk = false;
    *ret_took = 2;
    if (argc > 1) { /* what is cut here is no verb either */
        (void)snprintf(two, sizeof(two), "%.30s %.30s", argv[0], argv[1]);
        if ((verb = find(two, false)) != NULL)
            return verb;
        *ret_wsk = true;
        if ((verb = find(strcmp(two, "action update") == 0 ? "action create" : two, true)) != NULL)
            return verb;
    }
    *ret_wsk = false;
    *ret_took = 1;
    if (argc == 0)
        return NULL;
    return (verb = find(argv[0], false)) ? verb : preset(argc, argv);
}
