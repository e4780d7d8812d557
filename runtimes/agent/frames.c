/* Reading: bytes gather in one buffer that is 64 KiB until a header asks for more, so that a usual frame comes in one
 * read; a large buffer is given back once its frame is done. The code of a function rides as a descriptor on the first
 * byte of INIT; a second descriptor on one connection is closed unseen.
 * Writing: chunks go out by scatter lists, up to sixteen at a time, so that ANSWER and END leave in one call.
 * Every failure of the peer, a reset included, is told as -EPIPE.
 */
#include "runtimes/agent/frames.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define INBOX_BYTES (64 << 10)

void inbox_init(struct inbox *in)
{
    *in = (struct inbox){.passed_fd = -1};
}

void inbox_fini(struct inbox *in)
{
    free(in->bytes);
    if (in->passed_fd >= 0)
        close(in->passed_fd);
    inbox_init(in);
}

size_t frame_ceiling(uint8_t type)
{
    switch (type) {
    case NR_FRAME_INIT: return NR_FRAME_INIT_MAX_BYTES;
    case NR_FRAME_RUN: return NR_FRAME_META_MAX_BYTES + NR_FRAME_VALUE_MAX_BYTES;
    default: return 0;
    }
}

/* Makes room for the frame that has begun to arrive. */
static int make_room(struct inbox *in)
{
    struct nr_frame head;
    size_t need = INBOX_BYTES;
    if (in->filled >= sizeof head) {
        memcpy(&head, in->bytes, sizeof head);
        if (!frame_ceiling(head.type) || head.length > frame_ceiling(head.type))
            return -EPROTO;
        if (sizeof head + head.length > need)
            need = sizeof head + head.length;
    }
    if (need <= in->capacity)
        return 0;
    char *bytes = realloc(in->bytes, need);
    if (!bytes)
        return -EPROTO;
    in->bytes = bytes;
    in->capacity = need;
    return 0;
}

static void take_passed(struct inbox *in, struct msghdr *m)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
            if (in->passed_fd < 0)
                in->passed_fd = fd;
            else
                close(fd);
        }
    }
}

int inbox_fill(struct inbox *in, int fd)
{
    char control[CMSG_SPACE(4 * sizeof(int))];
    int status = make_room(in);
    if (status < 0)
        return status;
    if (in->filled == in->capacity)
        return 0;
    struct iovec iov = {in->bytes + in->filled, in->capacity - in->filled};
    struct msghdr m = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = control,
        .msg_controllen = sizeof control,
    };
    ssize_t n = recvmsg(fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? -EAGAIN : -EPIPE;
    if (n == 0)
        return -EPIPE;
    take_passed(in, &m);
    in->filled += (size_t)n;
    return make_room(in);
}

bool inbox_peek(const struct inbox *in, struct nr_frame *ret_head, char **ret_payload)
{
    struct nr_frame head;
    if (in->filled < sizeof head)
        return false;
    memcpy(&head, in->bytes, sizeof head);
    if (in->filled - sizeof head < head.length)
        return false;
    *ret_head = head;
    *ret_payload = in->bytes + sizeof head;
    return true;
}

void inbox_drop(struct inbox *in)
{
    struct nr_frame head;
    char *payload;
    if (!inbox_peek(in, &head, &payload))
        return;
    size_t used = sizeof head + head.length;
    in->filled -= used;
    memmove(in->bytes, in->bytes + used, in->filled);
    if (in->filled == 0 && in->capacity > INBOX_BYTES) {
        free(in->bytes);
        in->bytes = NULL;
        in->capacity = 0;
    }
}

int inbox_take_fd(struct inbox *in)
{
    int fd = in->passed_fd;
    in->passed_fd = -1;
    return fd;
}

struct chunk *chunk_make(size_t size)
{
    struct chunk *c = malloc(sizeof *c + size);
    if (c)
        *c = (struct chunk){.size = size};
    return c;
}

struct chunk *chunk_frame(uint8_t type, uint8_t flags, uint64_t call, const void *payload,
                          size_t length)
{
    struct nr_frame head = {(uint32_t)length, type, flags, 0, call};
    struct chunk *c = chunk_make(sizeof head + length);
    if (!c)
        return NULL;
    memcpy(c->bytes, &head, sizeof head);
    if (length > 0)
        memcpy(c->bytes + sizeof head, payload, length);
    return c;
}

void outbox_add(struct outbox *out, struct chunk *list)
{
    if (!list)
        return;
    if (out->last)
        out->last->next = list;
    else
        out->first = list;
    while (list->next)
        list = list->next;
    out->last = list;
}

/* Takes n sent bytes off the list. */
static void outbox_sent(struct outbox *out, size_t n)
{
    while (n > 0) {
        struct chunk *c = out->first;
        size_t left = c->size - c->sent;
        if (n < left) {
            c->sent += n;
            return;
        }
        n -= left;
        out->first = c->next;
        free(c);
    }
    if (!out->first)
        out->last = NULL;
}

int outbox_flush(struct outbox *out, int fd)
{
    while (out->first) {
        struct iovec iov[16];
        struct msghdr m = {.msg_iov = iov};
        for (struct chunk *c = out->first; c && m.msg_iovlen < 16; c = c->next)
            iov[m.msg_iovlen++] = (struct iovec){c->bytes + c->sent, c->size - c->sent};
        ssize_t n = sendmsg(fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0)
            return errno == EAGAIN || errno == EINTR ? -EAGAIN : -EPIPE;
        outbox_sent(out, (size_t)n);
    }
    return 0;
}

void outbox_fini(struct outbox *out)
{
    while (out->first) {
        struct chunk *c = out->first;
        out->first = c->next;
        free(c);
    }
    out->last = NULL;
}
