/* Messages keep their borders (the channel is a SEQPACKET pair), so one read is one message. */
#include "control.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define TEXT_MAX_BYTES (30u << 10)

struct wire_control control_hear(int fd, int fds[CONTROL_FDS])
{
    struct wire_control c;
    union {
        char bytes[CMSG_SPACE(CONTROL_FDS * sizeof(int))];
        struct cmsghdr align;
    } room;
    struct iovec iov = {&c, sizeof c};
    struct msghdr m = {.msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = room.bytes,
                       .msg_controllen = sizeof room.bytes};
    ssize_t n;
    do
        n = recvmsg(fd, &m, MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n < (ssize_t)sizeof c)
        _exit(1);
    for (int i = 0; i < CONTROL_FDS; i++)
        fds[i] = -1;
    struct cmsghdr *h = CMSG_FIRSTHDR(&m);
    if (h && h->cmsg_type == SCM_RIGHTS)
        memcpy(fds, CMSG_DATA(h), h->cmsg_len - CMSG_LEN(0));
    return c;
}

void control_say(int fd, struct wire_control message, const char *text)
{
    size_t length = text ? strlen(text) : 0;
    if (length > TEXT_MAX_BYTES)
        length = TEXT_MAX_BYTES;
    message.length = (uint32_t)length;
    struct iovec iov[2] = {{&message, sizeof message}, {(void *)(uintptr_t)text, length}};
    struct msghdr m = {.msg_iov = iov, .msg_iovlen = length > 0 ? 2 : 1};
    if (sendmsg(fd, &m, MSG_NOSIGNAL) < 0)
        _exit(1);
}
