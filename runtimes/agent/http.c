/* A reply is read line by line until its body begins: status line, headers (64 KiB of them at most), then the body by
 * length, by chunks, or until the connection closes. Replies 1xx are passed over. What is beyond the body's limit is
 * counted, not kept.
 */
#include "runtimes/agent/http.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define HEADERS_MAX_BYTES (64 << 10)

void http_reply_init(struct http_reply *r, size_t body_limit)
{
    *r = (struct http_reply){.body.limit = body_limit};
}

void http_reply_fini(struct http_reply *r)
{
    text_clear(&r->body);
}

/* Digits of `base` only, at least one; false beyond 2^40. */
static bool parse_number(const char *text, int base, uint64_t *ret)
{
    uint64_t n = 0;
    const char *p = text;
    for (; *p; p++) {
        const char *digits = "0123456789abcdef";
        const char *d = strchr(digits, *p >= 'A' && *p <= 'F' ? *p + 32 : *p);
        if (!d || d - digits >= base)
            break;
        n = n * (unsigned)base + (unsigned)(d - digits);
        if (n >> 40)
            return false;
    }
    *ret = n;
    return p > text && (*p == 0 || *p == ';' || *p == ' ');
}

static enum http_state take_status(struct http_reply *r)
{
    uint64_t status;
    if (strncmp(r->line, "HTTP/1.", 7) != 0 || !r->line[7] || r->line[8] != ' ' ||
        !parse_number(r->line + 9, 10, &status) || status < 100 || status > 599)
        return HTTP_BROKEN;
    r->status = (int)status;
    return HTTP_HEADER;
}

static enum http_state headers_end(struct http_reply *r)
{
    if (r->status < 200) {
        r->chunked = r->has_length = false;
        return HTTP_STATUS_LINE;
    }
    if (r->chunked)
        return HTTP_CHUNK_SIZE;
    if (r->status == 204 || r->status == 304 || (r->has_length && r->left == 0))
        return HTTP_DONE;
    return r->has_length ? HTTP_BODY : HTTP_UNTIL_CLOSE;
}

static enum http_state take_header(struct http_reply *r)
{
    if (r->line_length == 0)
        return headers_end(r);
    char *value = strchr(r->line, ':');
    if (!value)
        return HTTP_BROKEN;
    *value++ = 0;
    value += strspn(value, " \t");
    if (strcasecmp(r->line, "transfer-encoding") == 0)
        r->chunked = strcasecmp(value, "chunked") == 0;
    if (strcasecmp(r->line, "content-length") == 0) {
        uint64_t length;
        if (!parse_number(value, 10, &length) || (r->has_length && r->left != length))
            return HTTP_BROKEN;
        r->has_length = true;
        r->left = length;
    }
    return HTTP_HEADER;
}

static enum http_state take_line(struct http_reply *r)
{
    switch (r->state) {
    case HTTP_STATUS_LINE: return take_status(r);
    case HTTP_HEADER: return take_header(r);
    case HTTP_CHUNK_SIZE:
        if (!parse_number(r->line, 16, &r->left))
            return HTTP_BROKEN;
        return r->left ? HTTP_CHUNK : HTTP_TRAILER;
    case HTTP_CHUNK_END: return r->line_length == 0 ? HTTP_CHUNK_SIZE : HTTP_BROKEN;
    case HTTP_TRAILER: return r->line_length == 0 ? HTTP_DONE : HTTP_TRAILER;
    default: return HTTP_BROKEN;
    }
}

/* Takes bytes up to the end of a line; returns how many. */
static size_t feed_line(struct http_reply *r, const char *bytes, size_t length)
{
    const char *end = memchr(bytes, '\n', length);
    size_t n = end ? (size_t)(end - bytes) : length;
    if (r->state == HTTP_STATUS_LINE || r->state == HTTP_HEADER || r->state == HTTP_TRAILER)
        r->header_bytes += n + 1;
    if (n >= sizeof r->line - r->line_length || r->header_bytes > HEADERS_MAX_BYTES) {
        r->state = HTTP_BROKEN;
        return length;
    }
    memcpy(r->line + r->line_length, bytes, n);
    r->line_length += n;
    if (!end)
        return length;
    if (r->line_length > 0 && r->line[r->line_length - 1] == '\r')
        r->line_length--;
    r->line[r->line_length] = 0;
    r->state = take_line(r);
    r->line_length = 0;
    return n + 1;
}

static size_t feed_body(struct http_reply *r, const char *bytes, size_t length)
{
    size_t n = length;
    if (r->state != HTTP_UNTIL_CLOSE && n > r->left)
        n = (size_t)r->left;
    text_add(&r->body, bytes, n);
    if (r->state == HTTP_UNTIL_CLOSE)
        return n;
    r->left -= n;
    if (r->left == 0)
        r->state = r->state == HTTP_BODY ? HTTP_DONE : HTTP_CHUNK_END;
    return n;
}

enum http_state http_reply_feed(struct http_reply *r, const char *bytes, size_t length)
{
    while (length > 0 && r->state != HTTP_DONE && r->state != HTTP_BROKEN) {
        bool body = r->state == HTTP_BODY || r->state == HTTP_CHUNK || r->state == HTTP_UNTIL_CLOSE;
        size_t n = body ? feed_body(r, bytes, length) : feed_line(r, bytes, length);
        bytes += n;
        length -= n;
    }
    return r->state;
}

enum http_state http_reply_close(struct http_reply *r)
{
    if (r->state == HTTP_UNTIL_CLOSE)
        r->state = HTTP_DONE;
    else if (r->state != HTTP_DONE)
        r->state = HTTP_BROKEN;
    return r->state;
}
