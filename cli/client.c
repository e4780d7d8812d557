/* Where the platform is and who calls; and one call with its answer.
 *
 * Order of strength: flags, environment, ~/.wskprops (or WSK_CONFIG_FILE), the preset address. `wsk` reads the same file.
 */
#include "cli/cli.h"

#include <stdio.h>

#include "common/base/file.h"

#define SLOWEST_BYTES_MS 64 /* a body may come as slowly as that: 64 KB/s */
#define PRESET_HOST "http://127.0.0.1:3233"
#define STREAM_SILENCE_S 45 /* a stream is kept alive every 15 s */

static char *first_of(const char *const *names)
{
    for (; *names; names++) {
        const char *value = getenv(*names);

        if (value && value[0])
            return nr_strdup(value);
    }
    return NULL;
}

/* KEY=VALUE lines. */
static void read_properties(struct cli *c)
{
    char path[4096];
    nr_auto_free char *text = NULL;
    const char *file = getenv("WSK_CONFIG_FILE"), *home = getenv("HOME");
    size_t n;

    (void)snprintf(path, sizeof(path), "%s/.wskprops", home ? home : "");
    if (nr_file_read(file && file[0] ? file : path, 1 << 20, &text, &n, NULL) != 0)
        return;
    struct nr_str rest = {text, n}, line;
    while (nr_str_split(&rest, '\n', &line)) {
        const char *equals = memchr(line.p, '=', line.n);
        struct nr_str key = {line.p, equals ? (size_t)(equals - line.p) : 0};
        size_t value_n = equals ? line.n - key.n - 1 : 0;

        while (value_n && (equals[value_n] == '\r' || equals[value_n] == ' '))
            value_n--;
        if (c->api_host == NULL && nr_str_eqz(key, "APIHOST") && value_n)
            c->api_host = nr_strndup(equals + 1, value_n);
        if (c->auth == NULL && nr_str_eqz(key, "AUTH") && value_n)
            c->auth = nr_strndup(equals + 1, value_n);
    }
}

/* "http://host/" and "http://host/api/v1" are the same place as "http://host". */
static void tidy_host(char *host)
{
    char *path = strchr(strstr(host, "://") + 3, '/');

    if (path && (strspn(path, "/") == strlen(path) || strcmp(path, "/api/v1") == 0))
        *path = '\0';
}

int cli_configure(struct cli *c, struct nr_err *err)
{
    static const char *const hosts[] = {"NARAE_APIHOST", "WHISK_APIHOST", "__OW_API_HOST", NULL};
    static const char *const keys[] = {"NARAE_AUTH", "WHISK_AUTH", "__OW_API_KEY", NULL};

    c->api_host = c->text[OPT_APIHOST] ? nr_strdup(c->text[OPT_APIHOST]) : first_of(hosts);
    c->auth = c->text[OPT_AUTH] ? nr_strdup(c->text[OPT_AUTH]) : first_of(keys);
    read_properties(c);
    if (c->api_host == NULL)
        c->api_host = nr_strdup(PRESET_HOST);
    if (strstr(c->api_host, "://") == NULL) { /* as wsk: https unless it says otherwise */
        size_t n = strlen(c->api_host) + sizeof("https://");
        char *with = nr_alloc(n);

        (void)snprintf(with, n, "https://%s", c->api_host);
        free(c->api_host);
        c->api_host = with;
    }
    tidy_host(c->api_host);
    c->fetch = nr_fetch_make(NULL);
    return c->fetch ? 0 : nr_err_set(err, NR_ENOMEM, "no memory");
}

static int explain_no_answer(const struct cli *c, const struct nr_err *err)
{
    static const struct {
        const char *sign, *next;
    } nexts[] = {
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
    while (strstr(err->text, nexts[i].sign) == NULL)
        i++;
    return cli_fail("no answer from %s: %s\n  %s", c->api_host, why ? why + 2 : err->text,
                    nexts[i].next);
}

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
     "give the key with --auth, NARAE_AUTH or AUTH= in ~/.wskprops; a first start writes it to "
     "DATA/guest.key"},
    {403, "scope 'admin'", "scale",
     "policies are the administrator's to write: use the key that a first start writes to "
     "DATA/admin.key"},
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
    {429, "failed logins", NULL,
     "wait a minute, and check the key: --auth, NARAE_AUTH or AUTH= in ~/.wskprops"},
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

static int explain(const struct cli *c, int status, const json_t *answer)
{
    const char *text = nr_json_string(answer, "error"), *next = next_of(c, status, text);
    struct nr_buf clean;

    if (c->quiet)
        return CLI_NOT_DONE;
    if (text == NULL) /* the platform's own failure of a call comes as its record */
        text =
            nr_json_string(nr_json_object(nr_json_object(answer, "response"), "result"), "error");
    nr_buf_init(&clean, 1 << 20);
    text_add_clean(nr_str_of(text ? text : "the call failed"), &clean);
    (void)fprintf(stderr, "narae: %.*s (HTTP %d)\n", (int)clean.n, clean.p, status);
    nr_buf_fini(&clean);
    if (next)
        (void)fprintf(stderr, "  %s\n", next);
    return CLI_NOT_DONE;
}

static char *url_of(const struct cli *c, const char *path)
{
    size_t n = strlen(c->api_host) + strlen(path) + 1;
    char *url = nr_alloc(n);

    (void)snprintf(url, n, "%s%s", c->api_host, path);
    return url;
}

/* One exchange; the answer is left in r->reply. 0, or said why there is none. */
static int exchange(struct cli *c, struct nr_fetch_req *r, const char *path)
{
    nr_auto_free char *url = url_of(c, path);
    struct nr_err err = {0};

    r->url = url;
    r->user_password = c->auth;
    r->timeout_ms = c->quiet ? 3000 : 90000 + (uint32_t)(r->body.n / SLOWEST_BYTES_MS);
    r->reply_max_bytes = 256u << 20;
    r->insecure = c->text[OPT_INSECURE] != NULL;
    int e = nr_fetch_call(c->fetch, r, &err);
    c->status = e == 0 ? r->status : 0;
    if (e == 0)
        return 0;
    nr_buf_fini(&r->reply);
    return explain_no_answer(c, &err);
}

/* What the platform says beside an answer. */
static void print_warning(const struct cli *c, const struct nr_fetch_req *r)
{
    struct nr_buf clean;

    if (c->quiet || r->warning[0] == '\0')
        return;
    nr_buf_init(&clean, 1 << 16);
    text_add_clean(nr_str_of(r->warning), &clean);
    (void)fprintf(stderr, "narae: %.*s\n", (int)clean.n, clean.p);
    nr_buf_fini(&clean);
}

static int answer_of(struct cli *c, struct nr_fetch_req *r, int quiet_status, json_t **ret)
{
    nr_auto_json json_t *answer = r->reply.n ? nr_json_parse(nr_buf_str(&r->reply), NULL) : NULL;

    nr_buf_fini(&r->reply);
    print_warning(c, r);
    if (ret)
        *ret = json_incref(answer);
    if (r->status / 100 == 2 || r->status == quiet_status)
        return r->status / 100 == 2 ? 0 : CLI_NOT_DONE;
    return explain(c, r->status, answer);
}

int cli_call(struct cli *c, const char *method, const char *path, const json_t *body,
             int quiet_status, json_t **ret, int *ret_status)
{
    nr_auto_free char *text = NULL;
    size_t n = 0;

    if (body && (text = nr_json_text(body, &n)) == NULL)
        return cli_fail("no memory for the request");
    struct nr_fetch_req r = {
        .method = method, .body = {text, n}, .content_type = body ? "application/json" : NULL};
    int e = exchange(c, &r, path);
    if (e != 0)
        return e;
    if (ret_status)
        *ret_status = r.status;
    return answer_of(c, &r, quiet_status, ret);
}

int cli_send(struct cli *c, const char *method, const char *path, struct nr_str body,
             const char *media_type, json_t **ret)
{
    struct nr_fetch_req r = {.method = method, .body = body, .content_type = media_type};
    int e = exchange(c, &r, path);

    return e != 0 ? e : answer_of(c, &r, 0, ret);
}

int cli_text(struct cli *c, const char *path, char **ret)
{
    struct nr_fetch_req r = {.method = "GET"};
    int e = exchange(c, &r, path);

    if (e != 0)
        return e;
    if (r.status / 100 != 2)
        return answer_of(c, &r, 0, NULL);
    *ret = nr_buf_detach(&r.reply, NULL);
    return *ret ? 0 : cli_fail("no memory for the answer");
}

/* ---- streams ---------------------------------------------------------------------------------------------------------- */

/* What comes before the status is known to be good is the text of a refusal. */
struct stream {
    struct nr_fetch_req r;
    struct nr_buf refusal;
    const struct cli_stream *of;
};

static bool on_stream_bytes(void *arg, struct nr_str bytes)
{
    struct stream *s = arg;

    if (s->r.status / 100 == 2)
        return s->of->on_bytes(s->of->arg, bytes);
    nr_buf_add(&s->refusal, bytes.p, bytes.n);
    return !s->refusal.failed;
}

static int stream_end(struct cli *c, struct stream *s, int e, const struct nr_err *err)
{
    if (e != 0)
        return !s->of->again && s->r.status == 0 ? explain_no_answer(c, err) : e;
    if (s->of->again && s->r.status == 503)
        return NR_EUNAVAIL;
    if (s->r.status / 100 == 2)
        return 0;
    nr_auto_json json_t *answer =
        s->refusal.n ? nr_json_parse(nr_buf_str(&s->refusal), NULL) : NULL;
    return explain(c, s->r.status, answer);
}

int cli_stream(struct cli *c, const struct cli_stream *of)
{
    nr_auto_free char *url = url_of(c, of->path), *text = NULL;
    struct stream s = {.of = of};
    struct nr_err err = {0};
    size_t n = 0;

    if (of->body && (text = nr_json_text(of->body, &n)) == NULL)
        return cli_fail("no memory for the request");
    nr_buf_init(&s.refusal, 1 << 20);
    s.r = (struct nr_fetch_req){.method = of->method,
                                .url = url,
                                .user_password = c->auth,
                                .headers = of->headers,
                                .body = {text, n},
                                .content_type = of->body ? "application/json" : NULL,
                                .silence_max_s = STREAM_SILENCE_S,
                                .insecure = c->text[OPT_INSECURE] != NULL,
                                .on_bytes = on_stream_bytes,
                                .arg = &s};
    int e = stream_end(c, &s, nr_fetch_call(c->fetch, &s.r, &err), &err);
    nr_buf_fini(&s.r.reply);
    nr_buf_fini(&s.refusal);
    return e;
}
