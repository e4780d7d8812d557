/* How a request is refused, and how its reply leaves: status, headers, body.
 *
 * Every reply carries X-Request-ID, which is also `code` of an error body. A client's own id is used when it consists of visible
 * ASCII, is not too long and does not begin with `sid_`; it is never taken for an idempotency key. Replies of the API and of `/`
 * carry the CORS headers.
 */
#include "gateway/internal.h"

#include <stdarg.h>
#include <stdio.h>

#include "common/base/clock.h"

#define LINES_PER_SECOND 20
#define WHOLE_REPLY_MAX_BYTES (1 << 20)
#define PART_BYTES (256 << 10)

void transaction_take(struct nr_str given, char ret[TRANSACTION_MAX_BYTES + 1])
{
    bool usable = given.n > 0 && given.n <= TRANSACTION_MAX_BYTES && !nr_str_starts(given, "sid_");

    for (size_t i = 0; usable && i < given.n; i++)
        usable = given.p[i] > ' ' && given.p[i] < 127;
    if (usable) {
        memcpy(ret, given.p, given.n);
        ret[given.n] = '\0';
        return;
    }
    nr_new_id(nr_wall_ms(), 0, ret);
}

void request_refuse(struct gateway_request *q, int status, const char *fmt, ...)
{
    va_list ap;

    if (q->status != 0)
        return;
    q->status = status;
    q->err.code = NR_EINVAL;
    va_start(ap, fmt);
    (void)vsnprintf(q->err.text, sizeof(q->err.text), fmt, ap);
    va_end(ap);
}

void request_head(struct gateway_request *q, const char *fmt, ...)
{
    char line[256];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    request_line(q, nr_str_of(line));
}

void request_line(struct gateway_request *q, struct nr_str line)
{
    const struct nr_str parts[] = {q->head, line};

    q->head = nr_arena_join(&q->http.arena, parts, nr_countof(parts));
}

void error_body(struct nr_buf *out, struct nr_str text, const char *transaction)
{
    nr_buf_adds(out, "{\"error\":");
    nr_buf_json(out, text);
    nr_buf_adds(out, ",\"code\":");
    nr_buf_json(out, nr_str_of(transaction));
    nr_buf_addc(out, '}');
}

void error_body_pretty(struct nr_buf *out, struct nr_str text, const char *transaction)
{
    nr_buf_adds(out, "{\n  \"code\": ");
    nr_buf_json(out, nr_str_of(transaction));
    nr_buf_adds(out, ",\n  \"error\": ");
    nr_buf_json(out, text);
    nr_buf_adds(out, "\n}");
}

/* Not more than the bound a second; how many were left out stands in the next line. */
static bool may_log(struct gateway *g, unsigned *ret_left_out)
{
    uint64_t second = nr_mono_ms() / 1000;

    if (g->log_window != second) {
        g->log_window = second;
        g->logged = 0;
    }
    if (g->logged >= LINES_PER_SECOND) {
        g->not_logged++;
        return false;
    }
    g->logged++;
    *ret_left_out = g->not_logged;
    g->not_logged = 0;
    return true;
}

/* One line at info, at most the bound a second. */
static void error_log(struct gateway_request *q)
{
    struct gateway *g = q->g;
    struct nr_buf path;
    unsigned left_out;

    if (!nr_log_on(g->config.log, NR_LOG_INFO) || !may_log(g, &left_out))
        return;
    struct nr_str shown = {q->http.path.p, q->http.path.n < 200 ? q->http.path.n : 200};
    nr_buf_init(&path, 2048);
    nr_buf_json(&path, shown);
    nr_buf_addc(&path, ' ');
    nr_buf_adds(&path, "reason=");
    nr_buf_json(&path, nr_str_of(q->log_reason ? q->log_reason : q->err.text));
    nr_log(g->config.log, NR_LOG_INFO, "gateway",
           "refused status=%d method=%s peer=%.*s account=%s transaction=%s left_out=%u path=%.*s",
           q->status, route_method(q->http.method), (int)q->http.peer.n, q->http.peer.p,
           q->account ? q->account->name : "-", q->transaction, left_out, (int)path.n, path.p);
    nr_buf_fini(&path);
}

void error_of_server(void *gateway, int status, const char *text, struct nr_buf *head,
                     struct nr_buf *out)
{
    struct gateway *g = gateway;
    char transaction[TRANSACTION_MAX_BYTES + 1];
    unsigned left_out;

    nr_count(&g->counts.refused_by_server, 1);
    transaction_take((struct nr_str){NULL, 0}, transaction);
    nr_buf_printf(head, "X-Request-ID: %s\r\n" CORS_PLATFORM, transaction);
    error_body(out, nr_str_of(text), transaction);
    if (nr_log_on(g->config.log, NR_LOG_INFO) && may_log(g, &left_out))
        nr_log(g->config.log, NR_LOG_INFO, "gateway",
               "refused status=%d transaction=%s left_out=%u reason=\"%s\"", status, transaction,
               left_out, text);
}

void reply_write(struct gateway_request *q)
{
    static const struct nr_str none = {"", 0};

    nr_check(q->status != 0);
    if (q->err.code != 0) {
        nr_buf_reset(&q->text, 0);
        (q->route && (q->route->flags & ROUTE_WEB) ? error_body_pretty : error_body)(
            &q->text, q->whole.n ? q->whole : nr_str_of(q->err.text), q->transaction);
        q->body = nr_buf_str(&q->text);
        q->media_type = NULL;
        error_log(q);
    }
    bool content = q->body.n > 0 || q->state == G_STREAM;
    const struct nr_str parts[] = {
        NR_STR("X-Request-ID: "),
        nr_str_of(q->transaction),
        NR_STR("\r\n"),
        cors_lines(q),
        content ? NR_STR("Content-Type: ") : none,
        content ? nr_str_of(q->media_type ? q->media_type : "application/json") : none,
        content ? NR_STR("\r\n") : none,
        q->head,
    };
    struct nr_str head = nr_arena_join(&q->http.arena, parts, nr_countof(parts));

    if (q->state == G_PARTS || q->state == G_STREAM) {
        nr_http_reply_begin(&q->http, q->status, head);
        if (q->state == G_PARTS)
            reply_parts(q);
        return;
    }
    nr_http_reply(&q->http, q->status, head, q->body);
}

void reply_stream(struct gateway_request *q, const char *media_type)
{
    q->status = 200;
    q->state = G_STREAM;
    q->streamed = true;
    q->media_type = media_type;
    request_head(q, "Cache-Control: no-store\r\n");
    reply_write(q);
}

bool reply_is_large(const struct gateway_request *q)
{
    bool kept = q->asks && q->body.p &&
                (q->body.p == q->call.reply.p || q->body.p == q->query.reply.p ||
                 q->body.p == q->scale.reply.p);

    return kept && q->err.code == 0 && q->body.n > WHOLE_REPLY_MAX_BYTES;
}

void reply_parts(struct gateway_request *q)
{
    while (q->body.n > 0) {
        struct nr_str part = {q->body.p, q->body.n < PART_BYTES ? q->body.n : PART_BYTES};

        q->body.p += part.n;
        q->body.n -= part.n;
        if (nr_http_reply_part(&q->http, part) > PART_BYTES && !q->http.gone)
            return; /* on_drained() comes */
    }
    q->state = G_END;
    nr_http_reply_end(&q->http);
}
