/* One call with its answer, whole or as a stream. What is no 2xx, and no answer at all, is told by refusal.c. */
#include "cli/cli.h"

#include <stdio.h>

#define SLOWEST_BYTES_MS 64 /* a body may come as slowly as that: 64 KB/s */
#define STREAM_SILENCE_S 45 /* a stream is kept alive every 15 s */

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
    return cli_no_answer(c, &err);
}

/* What the platform says beside an answer. */
static void print_warning(const struct cli *c, const struct nr_fetch_req *r)
{
    struct nr_buf clean;

    if (c->quiet || r->warning[0] == '\0')
        return;
    nr_buf_init(&clean, 1 << 16);
    text_add_clean(nr_str_of(r->warning), &clean);
    cli_note(c, "%.*s", (int)clean.n, clean.p);
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
    return cli_refused(c, r->status, answer);
}

int cli_call(struct cli *c, const char *method, const char *path, const json_t *body,
             int quiet_status, json_t **ret, int *ret_status)
{
    nr_auto_free char *text = NULL;
    size_t n = 0;

    if (body && (text = nr_json_text(body, &n)) == NULL)
        return cli_fail_why(c, WHY_MEMORY, "no memory for the request");
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
    return *ret ? 0 : cli_fail_why(c, WHY_MEMORY, "no memory for the answer");
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
        return !s->of->again && s->r.status == 0 ? cli_no_answer(c, err) : e;
    if (s->of->again && s->r.status == 503)
        return NR_EUNAVAIL;
    if (s->r.status / 100 == 2)
        return 0;
    nr_auto_json json_t *answer =
        s->refusal.n ? nr_json_parse(nr_buf_str(&s->refusal), NULL) : NULL;
    return cli_refused(c, s->r.status, answer);
}

int cli_stream(struct cli *c, const struct cli_stream *of)
{
    nr_auto_free char *url = url_of(c, of->path), *text = NULL;
    struct stream s = {.of = of};
    struct nr_err err = {0};
    size_t n = 0;

    if (of->body && (text = nr_json_text(of->body, &n)) == NULL)
        return cli_fail_why(c, WHY_MEMORY, "no memory for the request");
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
