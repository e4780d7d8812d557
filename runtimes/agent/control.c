/* Two forms of the same messages: packets for launchers that can receive descriptors themselves, and for Node, whose
 * programs get descriptors only through its own IPC channel, lines of JSON as that channel carries them: a message is
 * {"type","slot","call","value","text"}, and one with a socket is wrapped the way Node wraps a handle.
 */
#include "runtimes/agent/control.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int send_all(int fd, struct iovec *iov, size_t iov_count, const int *fds, unsigned fd_count)
{
    union {
        char bytes[CMSG_SPACE(4 * sizeof(int))];
        struct cmsghdr align;
    } control;
    struct msghdr m = {.msg_iov = iov, .msg_iovlen = iov_count};
    size_t want = 0;
    for (size_t i = 0; i < iov_count; i++)
        want += iov[i].iov_len;
    if (fd_count > 0) {
        m.msg_control = control.bytes;
        m.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
        memcpy(CMSG_DATA(c), fds, fd_count * sizeof(int));
    }
    ssize_t n = sendmsg(fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0)
        return -errno;
    return (size_t)n == want ? 0 : -EPIPE;
}

static int send_node(int fd, const struct control *c, const char *text, const int *fds,
                     unsigned fd_count)
{
    char type[2] = {(char)c->type, 0};
    char call[24];
    snprintf(call, sizeof call, "%llu", (unsigned long long)c->call);
    json_t *m = json_pack("{s:s,s:i,s:s,s:i,s:s}", "type", type, "slot", (int)c->slot, "call", call,
                          "value", (int)c->value, "text", text);
    if (m && fd_count > 0)
        m = json_pack("{s:s,s:s,s:o}", "cmd", "NODE_HANDLE", "type", "net.Native", "msg", m);
    char *line = m ? json_dumps(m, JSON_COMPACT) : NULL;
    json_decref(m);
    if (!line)
        return -ENOMEM;
    char end[] = "\n";
    struct iovec iov[2] = {{line, strlen(line)}, {end, 1}};
    int status = send_all(fd, iov, 2, fds, fd_count);
    free(line);
    return status;
}

int control_send(int fd, bool node, const struct control *c, const char *text, const int *fds,
                 unsigned fd_count)
{
    if (node)
        return send_node(fd, c, text ? text : "", fds, fd_count);
    struct control head = *c;
    char *body = NULL;
    if (text) {
        head.length = (uint32_t)strnlen(text, CONTROL_TEXT_MAX_BYTES);
        body = strndup(text, head.length);
        if (!body)
            return -ENOMEM;
    }
    struct iovec iov[2] = {{&head, sizeof head}, {body, head.length}};
    int status = send_all(fd, iov, body ? 2 : 1, fds, fd_count);
    free(body);
    return status;
}

static int receive_packet(int fd, struct control_inbox *in, struct control *ret,
                          const char **ret_text)
{
    ssize_t n = recv(fd, in->bytes, sizeof in->bytes - 1, MSG_DONTWAIT);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -EPIPE;
    if (n == 0)
        return -EPIPE;
    if ((size_t)n < sizeof *ret)
        return 0;
    memcpy(ret, in->bytes, sizeof *ret);
    ret->length = (uint32_t)((size_t)n - sizeof *ret);
    in->bytes[n] = 0;
    *ret_text = in->bytes + sizeof *ret;
    return 1;
}

/* Understands one line; the text is copied to the front of in->bytes. */
static bool parse_line(struct control_inbox *in, const char *line, size_t length,
                       struct control *ret)
{
    const char *type = "", *call = "0", *text = "";
    int slot = 0, value = 0;
    json_t *m = json_loadb(line, length, 0, NULL);
    bool good = m && json_unpack(m, "{s:s,s?i,s?s,s?i,s?s}", "type", &type, "slot", &slot, "call",
                                 &call, "value", &value, "text", &text) == 0;
    if (good) {
        *ret = (struct control){
            .type = (unsigned char)type[0],
            .slot = (uint32_t)slot,
            .call = strtoull(call, NULL, 10),
            .value = value,
            .length = (uint32_t)strnlen(text, CONTROL_TEXT_MAX_BYTES),
        };
        memmove(in->bytes, text, ret->length);
        in->bytes[ret->length] = 0;
    }
    json_decref(m);
    return good;
}

/* A line is looked at with MSG_PEEK first and taken from the socket whole, so that none waits in our memory while the
 * loop sleeps; a line longer than the buffer cannot be ours and ends the channel. */
static int receive_line(int fd, struct control_inbox *in, struct control *ret,
                        const char **ret_text)
{
    for (;;) {
        ssize_t n = recv(fd, in->bytes, sizeof in->bytes - 1, MSG_DONTWAIT | MSG_PEEK);
        if (n < 0)
            return errno == EAGAIN || errno == EINTR ? 0 : -EPIPE;
        if (n == 0)
            return -EPIPE;
        const char *end = memchr(in->bytes, '\n', (size_t)n);
        if (!end)
            return (size_t)n == sizeof in->bytes - 1 ? -EPIPE : 0;
        size_t length = (size_t)(end - in->bytes);
        if (recv(fd, in->bytes, length + 1, MSG_DONTWAIT) != (ssize_t)length + 1)
            return -EPIPE;
        if (!parse_line(in, in->bytes, length, ret))
            continue;
        *ret_text = in->bytes;
        return 1;
    }
}

int control_receive(int fd, bool node, struct control_inbox *in, struct control *ret,
                    const char **ret_text)
{
    return node ? receive_line(fd, in, ret, ret_text) : receive_packet(fd, in, ret, ret_text);
}
