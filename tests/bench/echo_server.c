/* The function behind nginx, and inside Docker's default container: an HTTP/1.1 server that answers every request with its own
 * body. One thread, epoll, keep-alive, static: what is left to measure is what stands in front of it.
 *
 *   echo_server unix:PATH | tcp:PORT        runs until it is killed
 *
 * Story: accept -> read until a whole request is there -> head and body in one write -> next request.
 * A head over 8 KiB, chunked bodies and bodies over 1 MiB are not spoken here: the connection is closed.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

enum { HEAD_MAX = 8 << 10, BODY_MAX = 1 << 20, EVENTS = 64 };

struct connection {
    int fd;
    size_t used;
    char bytes[HEAD_MAX + BODY_MAX];
};

static int die(const char *what)
{
    (void)fprintf(stderr, "echo_server: %s: %s\n", what, strerror(errno));
    return 1;
}

static int listen_at(const char *address)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    struct sockaddr_in in = {.sin_family = AF_INET};
    bool local = strncmp(address, "unix:", 5) == 0;
    int on = 1;

    if (!local && strncmp(address, "tcp:", 4) != 0) {
        errno = EINVAL;
        return -1;
    }
    if (local) {
        (void)snprintf(un.sun_path, sizeof(un.sun_path), "%s", address + 5);
        (void)unlink(un.sun_path);
    } else {
        in.sin_port = htons((unsigned short)strtoul(address + 4, NULL, 10));
    }
    int fd = socket(local ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0)
        return -1;
    const struct sockaddr *at = local ? (const struct sockaddr *)&un : (const struct sockaddr *)&in;
    if (bind(fd, at, local ? sizeof(un) : sizeof(in)) != 0 || listen(fd, 1024) != 0)
        return -1;
    return fd;
}

/* Content-Length of a head; 0 when it names none, -1 when it is none we speak. */
static long body_length(const char *head, size_t n)
{
    static const char name[] = "content-length:";

    for (const char *line = head; line < head + n;) {
        const char *end = memchr(line, '\n', (size_t)(head + n - line));

        if (strncasecmp(line, name, sizeof(name) - 1) == 0) {
            long value = strtol(line + sizeof(name) - 1, NULL, 10);

            return value > BODY_MAX ? -1 : value;
        }
        if (end == NULL)
            break;
        line = end + 1;
    }
    return 0;
}

static bool write_all(int fd, struct iovec *v, int count)
{
    while (count > 0) {
        ssize_t n = writev(fd, v, count);

        if (n < 0)
            return false;
        while (count > 0 && (size_t)n >= v->iov_len) {
            n -= (ssize_t)v->iov_len;
            v++;
            count--;
        }
        if (count > 0) {
            v->iov_base = (char *)v->iov_base + n;
            v->iov_len -= (size_t)n;
        }
    }
    return true;
}

/* Answers the first request in the buffer: 1 done, 0 not whole yet, -1 close. */
static int answer(struct connection *c)
{
    char head[128];
    const char *end = memmem(c->bytes, c->used, "\r\n\r\n", 4);

    if (end == NULL)
        return c->used < HEAD_MAX ? 0 : -1;
    size_t head_bytes = (size_t)(end - c->bytes) + 4;
    long body = body_length(c->bytes, head_bytes);
    if (body < 0)
        return -1;
    size_t all = head_bytes + (size_t)body;
    if (c->used < all)
        return 0;
    int n = snprintf(
        head, sizeof(head),
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %ld\r\n\r\n", body);
    struct iovec v[] = {{head, (size_t)n}, {c->bytes + head_bytes, (size_t)body}};
    if (!write_all(c->fd, v, 2))
        return -1;
    c->used -= all;
    memmove(c->bytes, c->bytes + all, c->used);
    return 1;
}

/* false: the connection is to be closed. */
static bool serve(struct connection *c)
{
    ssize_t n = recv(c->fd, c->bytes + c->used, sizeof(c->bytes) - c->used, MSG_DONTWAIT);
    int done;

    if (n <= 0)
        return n < 0 && errno == EAGAIN;
    c->used += (size_t)n;
    while ((done = answer(c)) > 0)
        continue;
    return done == 0;
}

static void take(int poll, int listener)
{
    int on = 1, fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    struct connection *c = fd < 0 ? NULL : malloc(sizeof(*c));
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};

    if (c == NULL) {
        if (fd >= 0)
            (void)close(fd);
        return;
    }
    c->fd = fd;
    c->used = 0;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* a unix socket has none */
    if (epoll_ctl(poll, EPOLL_CTL_ADD, fd, &e) != 0) {
        (void)close(fd);
        free(c);
    }
}

int main(int argc, char **argv)
{
    struct epoll_event events[EVENTS], first = {.events = EPOLLIN};
    int listener, poll = epoll_create1(EPOLL_CLOEXEC), n;

    (void)signal(SIGPIPE, SIG_IGN);
    if (argc != 2) {
        (void)fprintf(stderr, "usage: echo_server unix:PATH | tcp:PORT\n");
        return 1;
    }
    if ((listener = listen_at(argv[1])) < 0 ||
        epoll_ctl(poll, EPOLL_CTL_ADD, listener, &first) != 0)
        return die(argv[1]);
    while ((n = epoll_wait(poll, events, EVENTS, -1)) >= 0 || errno == EINTR) {
        for (int i = 0; i < n; i++) {
            struct connection *c = events[i].data.ptr;

            if (c == NULL) {
                take(poll, listener);
            } else if (!serve(c)) {
                (void)close(c->fd);
                free(c);
            }
        }
    }
    return die("epoll_wait");
}
