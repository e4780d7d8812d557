/* Most frames come with one read, whole, and go with one write; large ones take what it takes. Memory that a large frame
 * needed is given back before the next one is read. */
#include "connection.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_BYTES (64u << 10)

static void resize(struct connection *c, size_t size)
{
    char *bytes = realloc(c->bytes, size);
    if (!bytes)
        _exit(1);
    c->bytes = bytes;
    c->capacity = size;
}

/* Bytes; 0 at the end of the connection, however it ended. */
static size_t read_some(int fd, char *to, size_t size)
{
    ssize_t n;
    do
        n = read(fd, to, size);
    while (n < 0 && errno == EINTR);
    return n < 0 ? 0 : (size_t)n;
}

int connection_read(struct connection *c, int fd, struct wire_frame *ret_head,
                    const char **ret_payload)
{
    size_t filled = 0, whole = sizeof *ret_head;
    if (c->capacity != READ_BYTES)
        resize(c, READ_BYTES);
    while (filled < whole) {
        size_t n = read_some(fd, c->bytes + filled, c->capacity - filled);
        if (n == 0)
            return 0;
        filled += n;
        if (filled < sizeof *ret_head)
            continue;
        memcpy(ret_head, c->bytes, sizeof *ret_head);
        whole = sizeof *ret_head + ret_head->length;
        if (ret_head->length > FRAME_MAX_BYTES || ret_head->value_at > ret_head->length ||
            filled > whole)
            return 0;
        if (whole > c->capacity)
            resize(c, whole);
    }
    *ret_payload = c->bytes + sizeof *ret_head;
    return 1;
}

/* What is left of the parts after n bytes; their number. */
static size_t skip(struct iovec **parts, size_t count, size_t n)
{
    for (; count > 0 && (*parts)->iov_len <= n; count--, (*parts)++)
        n -= (*parts)->iov_len;
    if (count > 0) {
        (*parts)->iov_base = (char *)(*parts)->iov_base + n;
        (*parts)->iov_len -= n;
    }
    return count;
}

void connection_write(int fd, struct iovec *parts, size_t count)
{
    struct msghdr m = {.msg_iov = parts, .msg_iovlen = count};
    while (m.msg_iovlen > 0) {
        ssize_t n = sendmsg(fd, &m, MSG_NOSIGNAL);
        if (n < 0 && errno != EINTR)
            return;
        m.msg_iovlen = skip(&m.msg_iov, m.msg_iovlen, n > 0 ? (size_t)n : 0);
    }
}
