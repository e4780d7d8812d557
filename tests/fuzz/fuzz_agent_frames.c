/* Everything foreign that the agent reads: frames of the host, in pieces of any size; a server's HTTP reply; the bytes
 * that a function writes as its log. The first byte chooses, the second says how large the pieces are.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtimes/agent/frames.h"
#include "runtimes/agent/http.h"
#include "runtimes/agent/logs.h"
#include "tests/fuzz/fuzz.h"

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Frames that come out must be what went in, in order and without a gap. */
static void feed_inbox(const uint8_t *bytes, size_t n, size_t piece)
{
    struct inbox in;
    struct nr_frame head;
    char *payload;
    int pair[2];
    size_t at = 0, taken = 0;
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
        abort();
    inbox_init(&in);
    bool good = true;
    while (good && at < n) {
        size_t part = least(piece, n - at);
        if (send(pair[0], bytes + at, part, 0) != (ssize_t)part)
            abort();
        at += part;
        good = inbox_fill(&in, pair[1]) == 0;
        while (good && inbox_peek(&in, &head, &payload)) {
            good = head.length <=
                   frame_ceiling(head.type); /* else the reader hangs up, as the agent does */
            if (memcmp(payload, bytes + taken + sizeof head, head.length) != 0)
                abort();
            taken += sizeof head + head.length;
            inbox_drop(&in);
        }
    }
    inbox_fini(&in);
    close(pair[0]);
    close(pair[1]);
}

/* However it is cut, a reply means the same. */
static void feed_http(const uint8_t *bytes, size_t n, size_t piece)
{
    struct http_reply cut, whole;
    http_reply_init(&cut, 64);
    http_reply_init(&whole, 64);
    for (size_t at = 0; at < n; at += piece)
        http_reply_feed(&cut, (const char *)bytes + at, least(piece, n - at));
    http_reply_feed(&whole, (const char *)bytes, n);
    if (cut.state != whole.state || cut.body.total != whole.body.total || cut.body.stored > 64)
        abort();
    http_reply_close(&cut);
    http_reply_fini(&cut);
    http_reply_fini(&whole);
}

/* The log is valid, bounded, and every frame ends with a line's end. */
static void feed_logs(const uint8_t *bytes, size_t n, size_t piece)
{
    struct logs l = {.strip_sentinel = piece % 2};
    bool truncated;
    size_t total = 0;
    logs_begin(&l, 1000);
    for (size_t at = 0; at < n; at += piece)
        logs_add(&l, at % 3 == 0, (const char *)bytes + at, least(piece, n - at));
    struct outbox out = {0};
    outbox_add(&out, logs_end(&l, 7, &truncated));
    for (struct chunk *c = out.first; c; c = c->next) {
        const char *text = c->bytes + sizeof(struct nr_frame);
        size_t length = c->size - sizeof(struct nr_frame);
        if (length == 0 || text[length - 1] != '\n' || !utf8_valid(text, length))
            abort();
        total += length;
    }
    if (total > 1000 + 256)
        abort();
    outbox_fini(&out);
    logs_fini(&l);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    static void (*const feeds[])(const uint8_t *, size_t, size_t) = {feed_inbox, feed_http,
                                                                     feed_logs};
    if (n < 2 || n > 32 << 10)
        return 0;
    feeds[bytes[0] % 3](bytes + 2, n - 2, bytes[1] ? bytes[1] : 1);
    return 0;
}
