/* Bytes -> request, in the order in which they come:
 *
 *   http_head.c  looks for the empty line
 *   take_head()  gives the whole head to llhttp at once, so that every name and value is one span of the buffer; checks what is
 *                ours to check; on_head
 *   take_body()  counts a body of known length where it lies, or lets llhttp unpack a chunked one; on_request
 *
 * Anything wrong ends in nr_http_conn_refuse() with a status. No hook is called from inside llhttp.
 */
#include "common/net/http_conn.h"

#include "common/base/clock.h"
#include "common/base/size.h"

/* Of a chunked body beside its bytes, and 8 more for each of these. */
#define FRAMING_MAX_BYTES (16 << 10)

/* ---- callbacks of llhttp ---- */

static struct nr_http_conn *conn_of(llhttp_t *p)
{
    return p->data;
}

static int cut(struct nr_http_conn *c, int status)
{
    c->refuse = status;
    return -1;
}

static int on_url(llhttp_t *p, const char *at, size_t n)
{
    conn_of(p)->r->path = (struct nr_str){at, n};
    return 0;
}

static int on_header_field(llhttp_t *p, const char *at, size_t n)
{
    struct nr_http_conn *c = conn_of(p);
    struct nr_http_req *r = c->r;
    char *name = c->in + (at - c->in);

    if (c->phase == NR_HTTP_P_BODY)
        return 0; /* trailers are dropped */
    if (r->header_count == NR_HTTP_HEADERS_MAX)
        return cut(c, 431);
    for (size_t i = 0; i < n; i++)
        name[i] = (char)(name[i] >= 'A' && name[i] <= 'Z' ? name[i] | 0x20 : name[i]);
    r->headers[r->header_count++] =
        (struct nr_http_header){.name = {name, n}, .value = {name + n, 0}};
    return 0;
}

static int on_header_value(llhttp_t *p, const char *at, size_t n)
{
    struct nr_http_conn *c = conn_of(p);

    if (c->phase == NR_HTTP_P_BODY)
        return 0;
    while (n > 0 && (at[n - 1] == ' ' || at[n - 1] == '\t'))
        n--;
    c->r->headers[c->r->header_count - 1].value = (struct nr_str){at, n};
    return 0;
}

static int on_headers_complete(llhttp_t *p)
{
    struct nr_http_conn *c = conn_of(p);

    if (p->method == HTTP_CONNECT)
        return cut(c, 501);
    p->upgrade = 0; /* we offer none: the request is served as it is */
    c->keep = llhttp_should_keep_alive(p);
    c->http10 = p->http_minor == 0;
    c->body_bytes = p->flags & F_CHUNKED ? SIZE_MAX : (size_t)p->content_length;
    c->r->content_length = p->flags & F_CONTENT_LENGTH ? (int64_t)p->content_length : -1;
    c->r->has_body = c->body_bytes > 0;
    return p->content_length > NR_SIZE_MOST ? cut(c, 413) : 0;
}

/* Takes n bytes of the ceiling for all bodies; false above it. */
static bool reserve(struct nr_http_conn *c, size_t n)
{
    struct nr_http_server *s = c->server;

    if (n > s->config.inflight_max_bytes ||
        s->stats.inflight_bytes > s->config.inflight_max_bytes - n)
        return false;
    s->stats.inflight_bytes += n;
    c->reserved_bytes += n;
    return true;
}

static int on_chunk_header(llhttp_t *p)
{
    struct nr_http_conn *c = conn_of(p);

    return p->content_length > c->r->body_max_bytes - c->chunks.n ? cut(c, 413) : 0;
}

/* Sizes, extensions and trailers up to `end`: llhttp takes a bare LF in some places of them, we do in none. */
static bool framing_strict(struct nr_http_conn *c, const char *end)
{
    bool ok = true;

    for (const char *p = c->framing; p < end; p++) {
        ok = ok && (*p != '\n' || c->framing_last == '\r');
        c->framing_last = *p;
    }
    return ok;
}

static int on_chunk_bytes(llhttp_t *p, const char *at, size_t n)
{
    struct nr_http_conn *c = conn_of(p);

    if (!framing_strict(c, at))
        return cut(c, 400);
    c->framing = at + n;
    c->framing_last = '\0';
    if (!reserve(c, n))
        return cut(c, 503);
    nr_buf_add(&c->chunks, at, n);
    return c->chunks.failed ? cut(c, 503) : 0;
}

static int on_message_complete(llhttp_t *p)
{
    conn_of(p)->message_done = true;
    return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
    .on_url = on_url,
    .on_header_field = on_header_field,
    .on_header_value = on_header_value,
    .on_headers_complete = on_headers_complete,
    .on_chunk_header = on_chunk_header,
    .on_body = on_chunk_bytes,
    .on_message_complete = on_message_complete,
};

/* ---- head ---- */

static enum nr_http_method method_of(unsigned llhttp_method)
{
    static const unsigned char methods[] = {
        [HTTP_DELETE] = NR_HTTP_DELETE,   [HTTP_GET] = NR_HTTP_GET,
        [HTTP_HEAD] = NR_HTTP_HEAD,       [HTTP_POST] = NR_HTTP_POST,
        [HTTP_PUT] = NR_HTTP_PUT,         [HTTP_CONNECT] = NR_HTTP_OTHER,
        [HTTP_OPTIONS] = NR_HTTP_OPTIONS, [HTTP_TRACE... HTTP_PATCH] = NR_HTTP_OTHER,
    };

    if (llhttp_method == HTTP_PATCH)
        return NR_HTTP_PATCH;
    return llhttp_method < nr_countof(methods) ? (enum nr_http_method)methods[llhttp_method]
                                               : NR_HTTP_OTHER;
}

static int parse_head(struct nr_http_conn *c)
{
    llhttp_errno_t e;
    int status = nr_http_check_request_line(c);

    if (status)
        return status;
    llhttp_init(&c->parser, HTTP_REQUEST, &settings);
    c->parser.data = c;
    c->refuse = 0;
    e = llhttp_execute(&c->parser, c->in + c->head_at, c->in_at - c->head_at);
    if (e != (c->message_done ? HPE_PAUSED : HPE_OK))
        return c->refuse ? c->refuse : 400;
    c->r->method = method_of(c->parser.method);
    status = nr_http_split_target(c->r);
    return status ? status : nr_http_check_headers(c);
}

/* ---- body ---- */

static void to_work(struct nr_http_conn *c, struct nr_str body)
{
    c->message_done = true;
    c->phase = NR_HTTP_P_WORK;
    nr_http_conn_limit(c, 0);
    c->r->body = body;
    c->r->stage = NR_HTTP_R_WORK;
    c->server->hooks.on_request(c->r);
}

/* What came with the head is the beginning of the file; it is less than the room, and may be more than the body. */
static int begin_spool(struct nr_http_conn *c, size_t here)
{
    size_t room;

    c->spool = nr_http_spool_begin(c, c->r->body_fd);
    if (c->spool == NULL)
        return 503;
    here = here < c->body_bytes ? here : c->body_bytes;
    memcpy(nr_http_spool_room(c->spool, &room), c->in + c->in_at, here);
    c->in_at += here;
    c->body_n = here;
    nr_http_spool_took(c->spool, here, c->body_n == c->body_bytes);
    return 0;
}

static bool take_spooled(struct nr_http_conn *c)
{
    int state = nr_http_spool_state(c->spool);

    if (state == 0)
        return false;
    if (state < 0)
        nr_http_conn_refuse(c, state == NR_ENOSPC ? 507 : 500);
    else
        to_work(c, (struct nr_str){NULL, 0});
    return true;
}

/* Finds the place for an announced body: behind the head, if it fits there. */
static int begin_body(struct nr_http_conn *c)
{
    size_t here = c->in_n - c->in_at;

    c->body_at = c->in_at;
    c->body_n = 0;
    c->framing_bytes = 0;
    c->framing_last = '\0';
    c->body_start_ms = c->server->loop->now_ms;
    if (c->body_bytes == SIZE_MAX) {
        nr_buf_init(&c->chunks, c->r->body_max_bytes);
        return 0;
    }
    if (c->body_bytes > c->r->body_max_bytes)
        return 413;
    if (c->r->body_fd > 0)
        return begin_spool(c, here);
    if (!reserve(c, c->body_bytes))
        return 503;
    if (c->body_bytes <= c->server->in_bytes - c->in_at)
        return 0;
    c->body = nr_try_realloc(NULL, c->body_bytes);
    if (c->body == NULL)
        return 503;
    memcpy(c->body, c->in + c->in_at,
           here); /* `here` is less: the body does not fit into what `in` has room for */
    c->body_n = here;
    c->in_at = c->in_n;
    return 0;
}

static bool take_known(struct nr_http_conn *c)
{
    if (c->spool)
        return take_spooled(c);
    if (c->body == NULL) {
        size_t here = c->in_n - c->in_at, missing = c->body_bytes - c->body_n;

        here = here < missing ? here : missing;
        c->body_n += here;
        c->in_at += here;
    }
    if (c->body_n < c->body_bytes)
        return false;
    to_work(c, (struct nr_str){c->body ? c->body : c->in + c->body_at, c->body_bytes});
    return true;
}

static bool take_chunked(struct nr_http_conn *c)
{
    size_t before = c->chunks.n, taken = c->in_n - c->in_at;
    llhttp_errno_t e;

    if (taken == 0)
        return false;
    c->framing = c->in + c->in_at;
    e = llhttp_execute(&c->parser, c->in + c->in_at, taken);
    if (c->message_done && e == HPE_PAUSED)
        taken = (size_t)(llhttp_get_error_pos(&c->parser) - (c->in + c->in_at));
    c->framing_bytes += taken - (c->chunks.n - before);
    if (c->framing_bytes > FRAMING_MAX_BYTES + 8 * c->chunks.n)
        c->refuse = 413;
    if (!c->refuse && !framing_strict(c, c->in + c->in_at + taken))
        c->refuse = 400;
    if (c->refuse || e != (c->message_done ? HPE_PAUSED : HPE_OK)) {
        c->message_done = false;
        nr_http_conn_refuse(c, c->refuse ? c->refuse : 400);
        return true;
    }
    c->in_at += taken;
    if (!c->message_done) {
        c->in_at = c->in_n = c->body_at; /* all unpacked: the room is free again */
        return false;
    }
    to_work(c, nr_buf_str(&c->chunks));
    return true;
}

/* ---- the story ---- */

static bool begin(struct nr_http_conn *c)
{
    struct nr_http_server *s = c->server;
    struct nr_http_req *r = nr_http_req_take(s);

    if (r == NULL)
        return false;
    r->header_count = 0;
    r->path = r->query = r->body = (struct nr_str){NULL, 0};
    r->content_length = -1;
    r->body_fd = 0;
    r->has_body = r->gone = false;
    r->peer = nr_str_of(c->peer);
    r->user = s->user;
    r->loop = s->loop;
    r->received_us = nr_mono_us();
    r->body_max_bytes = s->config.body_max_bytes;
    r->conn = c;
    r->stage = NR_HTTP_R_UNSEEN;
    c->r = r;
    c->phase = NR_HTTP_P_HEAD;
    return true;
}

static void take_head(struct nr_http_conn *c)
{
    struct nr_http_req *r = c->r;
    int status = parse_head(c);

    if (status) {
        c->message_done = false;
        nr_http_conn_refuse(c, status);
        return;
    }
    c->server->stats.requests++;
    c->phase = NR_HTTP_P_BODY;
    r->stage = NR_HTTP_R_SEEN;
    c->seen = true;
    c->server->hooks.on_head(r);
    if (r->stage != NR_HTTP_R_SEEN) { /* replied at once */
        c->phase = c->phase == NR_HTTP_P_BODY ? NR_HTTP_P_WORK : c->phase;
        return;
    }
    if (c->message_done) {
        to_work(c, (struct nr_str){NULL, 0});
        return;
    }
    if ((status = begin_body(c))) {
        nr_http_conn_refuse(c, status);
        return;
    }
    if (c->body_bytes == SIZE_MAX || c->body_n + (c->in_n - c->in_at) < c->body_bytes)
        nr_http_conn_limit_body(c);
    if (c->expect && c->in_n == c->in_at)
        nr_http_send(c, NR_STR("HTTP/1.1 100 Continue\r\n\r\n"), (struct nr_str){NULL, 0});
}

bool nr_http_parse(struct nr_http_conn *c)
{
    bool first = c->phase == NR_HTTP_P_IDLE;
    int found;

    switch (c->phase) {
    case NR_HTTP_P_IDLE:
        if (c->in_n == c->in_at)
            return false;
        if (!begin(c)) {
            nr_http_conn_close(c);
            return false;
        }
        /* fall through */
    case NR_HTTP_P_HEAD:
        found = nr_http_find_head(c);
        if (found == NR_HTTP_HEAD_NOT_YET && first)
            nr_http_conn_limit(c, c->server->config.header_timeout_ms);
        if (found == NR_HTTP_HEAD_NOT_YET)
            return false;
        if (found == NR_HTTP_HEAD_WHOLE)
            take_head(c);
        else
            nr_http_conn_refuse(c, found);
        return true;
    case NR_HTTP_P_BODY: return c->body_bytes == SIZE_MAX ? take_chunked(c) : take_known(c);
    case NR_HTTP_P_WORK:
    case NR_HTTP_P_LINGER:
    case NR_HTTP_P_CLOSING: return false;
    }
    return false;
}

char *nr_http_parse_room(struct nr_http_conn *c, size_t *ret_n)
{
    if (c->spool && c->phase == NR_HTTP_P_BODY) {
        char *room = nr_http_spool_room(c->spool, ret_n);
        size_t missing = c->body_bytes - c->body_n;

        *ret_n = *ret_n < missing ? *ret_n : missing;
        return room;
    }
    if (c->body && c->phase == NR_HTTP_P_BODY) {
        *ret_n = c->body_bytes - c->body_n;
        return c->body + c->body_n;
    }
    if (c->in == NULL) {
        c->in = nr_http_in_take(c->server);
        c->in_at = c->in_n = 0;
    }
    *ret_n = c->in ? c->server->in_bytes - c->in_n : 0;
    return c->in ? c->in + c->in_n : NULL;
}

void nr_http_parse_took(struct nr_http_conn *c, size_t n)
{
    if (c->phase == NR_HTTP_P_BODY && (c->body || c->spool)) {
        c->body_n += n;
        if (c->spool)
            nr_http_spool_took(c->spool, n, c->body_n == c->body_bytes);
    } else {
        c->in_n += n;
    }
}

void nr_http_parse_reset(struct nr_http_conn *c)
{
    size_t ahead = c->in_n - c->in_at;

    if (ahead > 0 && c->in_at > 0)
        memmove(c->in, c->in + c->in_at, ahead);
    c->in_n = ahead;
    c->in_at = c->head_at = c->line_at = c->lines_end = 0;
    c->body_n = c->body_bytes = 0;
    c->message_done = c->gone_told = c->expect = c->chunked_reply = c->crowded = false;
}
