/* What is said when the platform refuses, or nobody answers: its own sentence, and by one table what to do next. */
#include "cli/cli.h"

int cli_no_answer(const struct cli *c, const struct nr_err *err)
{
    static const struct {
        const char *sign, *next;
    } signs[] = {
        {"self-signed", "the certificate is the platform's own: -i accepts it unchecked"},
        {"wrong version number",
         "what listens there speaks no https: give the address with http:// in front"},
        {"Empty reply", "it may speak https only: give the address with https:// in front"},
        {"", "is naraed running there? start it with scripts/run, or point narae elsewhere with "
             "--apihost or NARAE_APIHOST"},
    };
    const char *why = strstr(err->text, ": "); /* "GET URL: why" */
    size_t i = 0;

    if (c->quiet)
        return CLI_NOT_DONE;
    while (strstr(err->text, signs[i].sign) == NULL)
        i++;
    (void)cli_fail_why(c, WHY_NO_ANSWER, "no answer from %s: %s\n  %s", c->api_host,
                       why ? why + 2 : err->text, signs[i].next);
    if (c->host_from)
        cli_fail_next(c, "the address comes from %s", c->host_from);
    return CLI_NOT_DONE;
}

/* ---- what to do next --------------------------------------------------------------------------------------------------- */

static const struct {
    int status;
    const char *sign; /* in the platform's own sentence; NULL: any */
    const char *verb; /* NULL: any */
    const char *next;
} nexts[] = {
    {400, "its registry has none of this name", NULL,
     "write it as REGISTRY/NAME:TAG; `narae image pull REFERENCE` tries it, `narae image list` shows "
     "what is here already"},
    {400, "Operation not permitted on package binding", NULL,
     "a binding only leads to its package, which `narae package get NAME` tells: functions are "
     "written there"},
    {401, NULL, NULL,
     "there is no key: give one with --auth, NARAE_AUTH, WHISK_AUTH, __OW_API_KEY or AUTH= in "
     "~/.wskprops; a first start writes it to DATA/guest.key"},
    {403, "scope 'admin'", "scale",
     "policies are the administrator's to write: use the key that a first start writes to "
     "DATA/admin.key"},
    {403, "more than its quota", NULL,
     "`narae bucket usage` shows what it has and may have; `narae delete FUNCTION --version N` makes "
     "room, or an administrator raises it: narae account quota ACCOUNT"},
    {403, "its registry", NULL,
     "`narae registry set HOST --username NAME --password -` keeps the credentials of a registry"},
    {403, NULL, NULL,
     "the key may not do this; use one of the right account or with the right scope"},
    {404, "--scaler=off", NULL,
     "start naraed with --scaler=here (which is the rule) or --scaler=elsewhere to have policies"},
    {404, NULL, "scale apply", "`narae functions` lists what a policy can be for"},
    {404, NULL, "scale import", "docs/scaling.md tells what is read"},
    {404, NULL, "scale channels", "`narae scale channels` lists what there is"},
    {404, NULL, "scale", "`narae scale list` lists what there is"},
    {404, "The function has no version", NULL, "`narae versions FUNCTION` lists what there is"},
    {404, "The function has no alias", NULL, "`narae alias list FUNCTION` lists what there is"},
    {404, NULL, "activation", "`narae activations` lists what there is"},
    {404, NULL, "result", "`narae activations` lists what there is"},
    {404, NULL, "bucket verify", "`narae bucket usage` lists the accounts that have one"},
    {404, NULL, "account", "`narae account list` lists what there is"},
    {404, NULL, "package", "`narae package list` lists what there is"},
    {404, NULL, "trigger", "`narae trigger list` lists what there is"},
    {404, NULL, "rule", "`narae rule list` lists what there is"},
    {404, NULL, "api", "`narae api list` lists what there is"},
    {404, NULL, "versions", "`narae functions` lists what there is"},
    {404, NULL, "alias delete", "`narae alias list FUNCTION` lists what there is"},
    {404, NULL, "rollback", "`narae alias list FUNCTION` lists what there is"},
    {404, NULL, "alias set", "`narae versions FUNCTION` lists what there is"},
    {404, NULL, "diff", "`narae versions FUNCTION` lists what there is"},
    {404, NULL, "preenv show", "`narae preenv list FUNCTION` lists what there is"},
    {404, NULL, "key revoke", "`narae key list ACCOUNT` lists what there is"},
    {404, NULL, "key rotate", "`narae key list ACCOUNT` lists what there is"},
    {404, NULL, "key", "`narae account list` lists the accounts that have some"},
    {404, NULL, NULL, "`narae functions` and `narae activations` list what there is"},
    {409, NULL, "action create", "it exists already; `action update` changes it"},
    {409, NULL, "deploy",
     "leave --no-overwrite out to update what exists; `narae history FUNCTION` tells "
     "its state"},
    {409, "requests for it are answered by 404", "api",
     "nothing was made: deploy the function with --web true (`narae action update FUNCTION --web "
     "true` when it is there); --force makes the API all the same"},
    {409, "not in this collection", NULL,
     "something else has that name: `narae package list`, `narae trigger list`, `narae rule list` "
     "and `narae functions` tell what"},
    {409, "resource already exists", "package", "`narae package update` changes what exists"},
    {409, "resource already exists", "trigger", "`narae trigger update` changes what exists"},
    {409, "resource already exists", "rule", "`narae rule update` changes what exists"},
    {409, "scales the same", "scale",
     "`narae scale mode OTHER off` (or dry_run) for one of them, then this again; `narae scale list` "
     "shows whom each is for"},
    {409, NULL, "account create", "`narae account list` lists the names that are taken"},
    {409, NULL, NULL,
     "`narae functions` shows states, `narae history FUNCTION` how they came about"},
    {410, NULL, NULL,
     "it was retired for good: `narae history FUNCTION` tells when and why; deploy it "
     "under another name, or purge it first"},
    {413, NULL, NULL, "make it smaller; `curl HOST/` lists the limits"},
    {423, NULL, NULL,
     "`narae unblock FUNCTION` lets calls in again; `narae history FUNCTION` tells who "
     "blocked it"},
    {429, "failed logins", NULL, "wait a minute, and check the key"},
    {429, "registry", NULL, "wait, and try again"},
    {429, NULL, NULL, "wait, or have the account's limits raised: narae account limits ACCOUNT"},
    {500, NULL, NULL, "`narae doctor` shows what the platform lacks, naraed's log what went wrong"},
    {503, "registry", NULL,
     "is the registry up, and its name right? `narae image list` shows what is here already"},
    {503, NULL, NULL, "the platform is starting, stopping or overloaded; try again"},
    {507, NULL, NULL,
     "`narae bucket usage` shows what the account holds; purge what is not needed"},
};

/* The verb, or every verb of a noun: "scale" is also of "scale show". */
static bool is_of(const char *row, const char *verb)
{
    size_t n = row ? strlen(row) : 0;

    return row == NULL || (strncmp(row, verb, n) == 0 && (verb[n] == '\0' || verb[n] == ' '));
}

static const char *next_of(const struct cli *c, int status, const char *said)
{
    const char *verb = c->verb == NULL ? "" : c->as_wsk ? c->verb->wsk : c->verb->name;

    if (status == 401 && c->auth)
        return "the key in use is not known there, or its secret is another one";
    for (size_t i = 0; i < nr_countof(nexts); i++)
        if (nexts[i].status == status && is_of(nexts[i].verb, verb) &&
            (nexts[i].sign == NULL || (said && strstr(said, nexts[i].sign))))
            return nexts[i].next;
    return NULL;
}

/* Where a key came from that is refused, or may too little; a quota is no matter of the key. */
static void say_key(const struct cli *c, int status, const char *said)
{
    char from[256];
    bool asks = status == 401 || (said && status == 403 && strstr(said, "authentication")) ||
                (said && status == 429 && strstr(said, "failed logins"));

    cli_say_key(c, from, sizeof(from));
    if (asks && from[0])
        cli_fail_next(c, "%s", from);
}

int cli_refused(const struct cli *c, int status, const json_t *answer)
{
    const char *text = nr_json_string(answer, "error"), *said = text;

    if (c->quiet)
        return CLI_NOT_DONE;
    if (text == NULL) /* the platform's own failure of a call comes as its record */
        text =
            nr_json_string(nr_json_object(nr_json_object(answer, "response"), "result"), "error");
    int e = cli_fail_http(c, status, text ? text : "the call failed", next_of(c, status, said),
                          nr_json_string(answer, "code"));

    say_key(c, status, said);
    return e;
}
