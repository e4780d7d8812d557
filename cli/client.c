/* Where the platform is and who calls; and one call with its answer.
 *
 * Order of strength: flags, environment, ~/.wskprops (or WSK_CONFIG_FILE), the preset address. `wsk` reads the same file.
 */
#include "cli/cli.h"

#include <stdarg.h>
#include <stdio.h>

#include "common/base/file.h"

#define PRESET_HOST "http://127.0.0.1:3233"
#define STREAM_SILENCE_S 45 /* a stream is kept alive every 15 s */

int cli_fail(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    (void)fputs("narae: ", stderr);
    (void)vfprintf(stderr, fmt, ap);
    (void)fputc('\n', stderr);
    va_end(ap);
    return 1;
}

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

    if (c->api_host == NULL)
        c->api_host = first_of(hosts);
    if (c->auth == NULL)
        c->auth = first_of(keys);
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

bool cli_path_name(const char *name, char *out, size_t n)
{
    size_t at = 0;

    if (name[0] == '/') { /* "/guest/pkg/name": the namespace is the key's own */
        const char *slash = strchr(name + 1, '/');

        name = slash ? slash + 1 : name;
    }
    if (3 * strlen(name) + 1 > n)
        return false;
    for (const char *part = name; part; part = strchr(part, '/') ? strchr(part, '/') + 1 : NULL) {
        size_t part_n = strcspn(part, "/");

        if (part != name)
            out[at++] = '/';
        at += nr_pct_encode((struct nr_str){part, part_n}, out + at);
    }
    out[at] = '\0';
    return true;
}

void cli_print_json(const json_t *j)
{
    (void)json_dumpf(j, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY | JSON_SORT_KEYS);
    (void)fputc('\n', stdout);
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

    while (strstr(err->text, nexts[i].sign) == NULL)
        i++;
    return cli_fail("no answer from %s: %s\n  %s", c->api_host, why ? why + 2 : err->text,
                    nexts[i].next);
}

static int explain(const struct cli *c, int status, const json_t *answer)
{
    static const struct {
        int status;
        const char *next;
    } nexts[] = {
        {401,
         "give the key with --auth, NARAE_AUTH or AUTH= in ~/.wskprops; a first start writes it to DATA/guest.key"},
        {403, "the key may not do this; use one of the right account or with the right scope"},
        {404, "`narae functions` and `narae activations` list what there is"},
        {409, "it exists already; leave --no-overwrite out to update it"},
        {413, "make it smaller; `curl HOST/` lists the limits"},
        {429, "wait, or have the account's limits raised"},
        {500, "`narae doctor` shows what the platform lacks, naraed's log what went wrong"},
        {503, "the platform is starting, stopping or overloaded; try again"},
    };
    const char *text = nr_json_string(answer, "error");

    if (text ==
        NULL) /* the platform's own failure of a call comes as its record, or as its result */
        text =
            nr_json_string(nr_json_object(nr_json_object(answer, "response"), "result"), "error");
    (void)fprintf(stderr, "narae: %s (HTTP %d)\n", text ? text : "the call failed", status);
    for (size_t i = 0; i < nr_countof(nexts); i++) {
        if (nexts[i].status == status)
            (void)fprintf(stderr, "  %s\n",
                          status == 401 && c->auth ? "the key in use is not known there"
                                                   : nexts[i].next);
    }
    return 1;
}

int cli_call(struct cli *c, const char *method, const char *path, const json_t *body,
             int quiet_status, json_t **ret, int *ret_status)
{
    nr_auto_free char *url = nr_alloc(strlen(c->api_host) + strlen(path) + 1), *text = NULL;
    nr_auto_json json_t *answer = NULL;
    struct nr_err err = {0};
    size_t n = 0;

    memcpy(url, c->api_host, strlen(c->api_host));
    memcpy(url + strlen(c->api_host), path, strlen(path) + 1);
    if (body && (text = nr_json_text(body, &n)) == NULL)
        return cli_fail("no memory for the request");
    struct nr_fetch_req r = {.method = method,
                             .url = url,
                             .user_password = c->auth,
                             .body = {text, n},
                             .content_type = body ? "application/json" : NULL,
                             .timeout_ms = 90000,
                             .reply_max_bytes = 256u << 20,
                             .insecure = c->insecure};
    int e = nr_fetch_call(c->fetch, &r, &err);
    if (e == 0)
        answer = r.reply.n ? nr_json_parse(nr_buf_str(&r.reply), NULL) : NULL;
    nr_buf_fini(&r.reply);
    if (e != 0)
        return explain_no_answer(c, &err);
    if (ret_status)
        *ret_status = r.status;
    if (ret)
        *ret = json_incref(answer);
    if (r.status / 100 == 2 || r.status == quiet_status)
        return r.status / 100 == 2 ? 0 : 1;
    return explain(c, r.status, answer);
}

/* What comes before the status is known to be good is the text of a refusal. */
struct stream {
    struct nr_fetch_req r;
    struct nr_buf refusal;
    bool (*on_bytes)(void *arg, struct nr_str bytes);
    void *arg;
};

static bool on_stream_bytes(void *arg, struct nr_str bytes)
{
    struct stream *s = arg;

    if (s->r.status / 100 == 2)
        return s->on_bytes(s->arg, bytes);
    nr_buf_add(&s->refusal, bytes.p, bytes.n);
    return !s->refusal.failed;
}

int cli_stream(struct cli *c, const char *path, const char *const *headers, bool again,
               bool (*on_bytes)(void *arg, struct nr_str bytes), void *arg)
{
    nr_auto_free char *url = nr_alloc(strlen(c->api_host) + strlen(path) + 1);
    struct stream s = {.on_bytes = on_bytes, .arg = arg};
    struct nr_err err = {0};

    memcpy(url, c->api_host, strlen(c->api_host));
    memcpy(url + strlen(c->api_host), path, strlen(path) + 1);
    nr_buf_init(&s.refusal, 1 << 20);
    s.r = (struct nr_fetch_req){.method = "GET",
                                .url = url,
                                .user_password = c->auth,
                                .headers = headers,
                                .silence_max_s = STREAM_SILENCE_S,
                                .insecure = c->insecure,
                                .on_bytes = on_stream_bytes,
                                .arg = &s};
    int e = nr_fetch_call(c->fetch, &s.r, &err);
    bool away = e != 0 || (again && s.r.status == 503);

    if (e != 0 && !again && s.r.status == 0)
        e = explain_no_answer(c, &err);
    else if (away && e == 0)
        e = NR_EUNAVAIL;
    else if (e == 0 && s.r.status / 100 != 2) {
        nr_auto_json json_t *answer =
            s.refusal.n ? nr_json_parse(nr_buf_str(&s.refusal), NULL) : NULL;

        e = explain(c, s.r.status, answer);
    }
    nr_buf_fini(&s.r.reply);
    nr_buf_fini(&s.refusal);
    return e;
}
