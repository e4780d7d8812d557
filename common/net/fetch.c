/* One libcurl easy handle, reset before each call so that nothing of the last one stays but its connections.
 * The reply is bounded while it comes; a transfer that we cut ourselves (too large, on_bytes said stop) is told apart from one that
 * broke.
 */
#include "common/net/fetch.h"

#include <curl/curl.h>
#include <pthread.h>
#include <strings.h>

#include "common/base/mem.h"

#define CONNECT_TIMEOUT_MS 5000
#define TIMEOUT_MS 60000
#define REPLY_MAX_BYTES (16 << 20)
#define TEXT_MAX_BYTES 200 /* of curl's sentence in ours */

struct nr_fetch {
    CURL *curl;
    char *socket_path;
};

/* What the callbacks of one call see. */
struct transfer {
    struct nr_fetch_req *r;
    CURL *curl;
    size_t max_bytes;
    bool too_big, stopped, no_memory;
    bool
        head_ended; /* its empty line has come; curl takes a head that breaks off for a whole one */
};

static void init_curl(void)
{
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
}

struct nr_fetch *nr_fetch_make(const char *socket_path)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct nr_fetch *f = nr_alloc(sizeof(*f));

    (void)pthread_once(&once, init_curl);
    f->curl = curl_easy_init();
    nr_check(f->curl != NULL);
    f->socket_path = nr_strdup(socket_path);
    return f;
}

void nr_fetch_free(struct nr_fetch *f)
{
    if (f == NULL)
        return;
    curl_easy_cleanup(f->curl);
    free(f->socket_path);
    free(f);
}

static size_t on_bytes(char *p, size_t one, size_t n, void *arg)
{
    struct transfer *t = arg;

    if (t->r->on_bytes) {
        long status = 0;

        (void)curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &status);
        t->r->status = (int)status;
        t->stopped = !t->r->on_bytes(t->r->arg, (struct nr_str){p, n});
        return t->stopped ? 0 : n;
    }
    if (n > t->max_bytes - t->r->reply.n) {
        t->too_big = true;
        return 0;
    }
    nr_buf_add(&t->r->reply, p, n);
    t->no_memory = t->r->reply.failed;
    return t->no_memory ? 0 : n;
}

/* Copies the value of the header when the line is of that name; one that does not fit is passed over. */
static void take_header(struct nr_str line, const char *name, char *room, size_t room_bytes)
{
    size_t n = strlen(name);

    if (line.n <= n || line.p[n] != ':' || strncasecmp(line.p, name, n) != 0)
        return;
    struct nr_str value = {line.p + n + 1, line.n - n - 1};

    while (value.n && (value.p[0] == ' ' || value.p[0] == '\t'))
        value = (struct nr_str){value.p + 1, value.n - 1};
    while (value.n && strchr(" \t\r\n", value.p[value.n - 1]))
        value.n--;
    if (value.n >= room_bytes)
        return;
    memcpy(room, value.p, value.n);
    room[value.n] = '\0';
}

static size_t on_header(char *p, size_t one, size_t n, void *arg)
{
    struct transfer *t = arg;
    struct nr_str line = {p, n};

    if (n <= 2 && (p[0] == '\r' || p[0] == '\n'))
        t->head_ended = true;
    take_header(line, "x-openwhisk-activation-id", t->r->activation_id,
                sizeof(t->r->activation_id));
    take_header(line, "x-narae-warning", t->r->warning, sizeof(t->r->warning));
    return n;
}

/* The list of header lines, NULL when there is none or no memory. */
static struct curl_slist *make_headers(const struct nr_fetch_req *r)
{
    struct curl_slist *list = NULL, *longer;
    char type[256];

    for (size_t i = 0; r->headers && r->headers[i]; i++) {
        if ((longer = curl_slist_append(list, r->headers[i])))
            list = longer;
    }
    if (snprintf(type, sizeof(type), r->content_type ? "Content-Type: %s" : "Content-Type:%s",
                 r->content_type ? r->content_type : "") < (int)sizeof(type) &&
        (longer = curl_slist_append(list, type)))
        list = longer;
    if ((longer = curl_slist_append(list, "Expect:"))) /* no round trip for a larger body */
        list = longer;
    return list;
}

/* 0: none. */
static long total_ms(const struct nr_fetch_req *r)
{
    return r->timeout_ms ? (long)r->timeout_ms : r->silence_max_s ? 0 : TIMEOUT_MS;
}

static int on_time(void *arg, curl_off_t down_max, curl_off_t down, curl_off_t up_max,
                   curl_off_t up)
{
    struct transfer *t = arg;

    t->stopped = t->stopped || atomic_load(t->r->stop);
    return t->stopped;
}

static void set_up(struct nr_fetch *f, struct transfer *t, struct curl_slist *headers)
{
    struct nr_fetch_req *r = t->r;
    CURL *curl = f->curl;

    curl_easy_reset(curl);
    (void)curl_easy_setopt(curl, CURLOPT_URL, r->url);
    (void)curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    (void)curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    (void)curl_easy_setopt(curl, CURLOPT_TCP_NODELAY, 1L);
    (void)curl_easy_setopt(
        curl, CURLOPT_CONNECTTIMEOUT_MS,
        (long)(r->connect_timeout_ms ? r->connect_timeout_ms : CONNECT_TIMEOUT_MS));
    (void)curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, total_ms(r));
    (void)curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, r->silence_max_s ? 1L : 0L);
    (void)curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, (long)r->silence_max_s);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_bytes);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEDATA, t);
    (void)curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
    (void)curl_easy_setopt(curl, CURLOPT_HEADERDATA, t);
    (void)curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    if (f->socket_path) {
        (void)curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, f->socket_path);
        (void)curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
    }
    if (r->stop) {
        (void)curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
        (void)curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_time);
        (void)curl_easy_setopt(curl, CURLOPT_XFERINFODATA, t);
    }
    if (r->user_password) {
        (void)curl_easy_setopt(curl, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
        (void)curl_easy_setopt(curl, CURLOPT_USERPWD, r->user_password);
    }
    if (r->insecure) {
        (void)curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L);
        (void)curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
    }
    if (strcmp(r->method, "HEAD") == 0) {
        (void)curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
    } else if (r->body.n > 0 || strcmp(r->method, "POST") == 0 || strcmp(r->method, "PUT") == 0) {
        (void)curl_easy_setopt(curl, CURLOPT_POSTFIELDS, r->body.n ? r->body.p : "");
        (void)curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body.n);
    }
    if (strcmp(r->method, "HEAD") != 0)
        (void)curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, r->method);
}

static const struct {
    CURLcode curl;
    int code;
} codes[] = {
    {CURLE_COULDNT_CONNECT, NR_EUNAVAIL},
    {CURLE_COULDNT_RESOLVE_HOST, NR_EUNAVAIL},
    {CURLE_COULDNT_RESOLVE_PROXY, NR_EUNAVAIL},
    {CURLE_SSL_CONNECT_ERROR, NR_EUNAVAIL},
    {CURLE_PEER_FAILED_VERIFICATION, NR_EUNAVAIL},
    {CURLE_OPERATION_TIMEDOUT, NR_ETIMEOUT},
    {CURLE_URL_MALFORMAT, NR_EINVAL},
    {CURLE_UNSUPPORTED_PROTOCOL, NR_EINVAL},
    {CURLE_OUT_OF_MEMORY, NR_ENOMEM},
    {CURLE_WEIRD_SERVER_REPLY, NR_EPROTO},
};

static int code_of(const struct nr_fetch *f, CURLcode e)
{
    curl_off_t ready_us = 0;

    /* A timeout before the connection stood is a peer that is not there; a connection of an earlier call stands from the start. */
    (void)curl_easy_getinfo(f->curl, CURLINFO_PRETRANSFER_TIME_T, &ready_us);
    if (e == CURLE_OPERATION_TIMEDOUT && ready_us == 0)
        return NR_EUNAVAIL;
    for (size_t i = 0; i < nr_countof(codes); i++) {
        if (codes[i].curl == e)
            return codes[i].code;
    }
    return NR_ECLOSED;
}

static int judge(const struct nr_fetch *f, const struct transfer *t, CURLcode e, const char *detail,
                 struct nr_err *err)
{
    const struct nr_fetch_req *r = t->r;

    if (e == CURLE_OK && !t->head_ended)
        return nr_err_set(err, NR_ECLOSED, "%s %s: the reply broke off in its head", r->method,
                          r->url);
    if (e == CURLE_OK)
        return 0;
    if (t->stopped)
        return nr_err_set(err, NR_ECANCELED, "%s %s: stopped while the reply came", r->method,
                          r->url);
    if (t->too_big)
        return nr_err_set(err, NR_ETOOBIG, "%s %s: the reply is larger than %zu bytes", r->method,
                          r->url, t->max_bytes);
    if (t->no_memory)
        return nr_err_set(err, NR_ENOMEM, "%s %s: no memory for the reply", r->method, r->url);
    return nr_err_set(err, code_of(f, e), "%s %s: %.*s", r->method, r->url, TEXT_MAX_BYTES,
                      detail[0] ? detail : curl_easy_strerror(e));
}

int nr_fetch_call(struct nr_fetch *f, struct nr_fetch_req *r, struct nr_err *err)
{
    struct transfer t = {.r = r,
                         .curl = f->curl,
                         .max_bytes = r->reply_max_bytes ? r->reply_max_bytes : REPLY_MAX_BYTES};
    struct curl_slist *headers = make_headers(r);
    char detail[CURL_ERROR_SIZE] = "";
    long status = 0;
    CURLcode e;
    int result;

    nr_buf_init(&r->reply, t.max_bytes);
    r->status = 0;
    r->activation_id[0] = r->warning[0] = '\0';
    set_up(f, &t, headers);
    (void)curl_easy_setopt(f->curl, CURLOPT_ERRORBUFFER, detail);
    e = curl_easy_perform(f->curl);
    (void)curl_easy_setopt(f->curl, CURLOPT_ERRORBUFFER, NULL);
    (void)curl_easy_getinfo(f->curl, CURLINFO_RESPONSE_CODE, &status);
    (void)curl_easy_getinfo(f->curl, CURLINFO_TOTAL_TIME, &r->seconds);
    curl_slist_free_all(headers);
    r->status = (int)status;
    result = judge(f, &t, e, detail, err);
    return result;
}
