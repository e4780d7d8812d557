/* Packets with descriptors between two processes of one host: SOCK_SEQPACKET keeps them apart, SCM_RIGHTS carries the descriptors, and the kernel says
 * who is at the other end.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "daemon/takeover.h"

enum { WAITING_MAX = 4 };

union control {
    struct cmsghdr align;
    char room[CMSG_SPACE(PASS_FDS_MAX * sizeof(int))];
};

static int address_of(const char *path, struct sockaddr_un *ret, struct nr_err *err)
{
    *ret = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (snprintf(ret->sun_path, sizeof(ret->sun_path), "%s", path) < (int)sizeof(ret->sun_path))
        return 0;
    return nr_err_set(err, NR_EINVAL, "the path of the socket %s is longer than %zu letters", path,
                      sizeof(ret->sun_path) - 1);
}

bool pass_answers(const char *path)
{
    struct sockaddr_un at;
    nr_auto_close int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (address_of(path, &at, NULL) < 0 || fd < 0)
        return false;
    return connect(fd, (const struct sockaddr *)&at, sizeof(at)) == 0 ||
           (errno != ECONNREFUSED && errno != ENOENT && errno != ENOTDIR);
}

int pass_listen(const char *path, int *ret_fd, struct nr_err *err)
{
    struct sockaddr_un at;
    int r = address_of(path, &at, err);
    nr_auto_close int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (r < 0)
        return r;
    if (pass_answers(path))
        return nr_err_set(err, NR_EBUSY, "%s: another process listens there", path);
    (void)unlink(path);
    mode_t before = umask(0177); /* at the start: no other thread makes a file */
    bool bound = fd >= 0 && bind(fd, (const struct sockaddr *)&at, sizeof(at)) == 0;

    (void)umask(before);
    if (!bound || listen(fd, WAITING_MAX) < 0)
        return nr_err_set(err, nr_err_from_errno(errno), "%s: %s", path, strerror(errno));
    *ret_fd = nr_steal_fd(&fd);
    return 0;
}

int pass_dial(const char *path, int *ret_fd)
{
    struct sockaddr_un to;
    int r = address_of(path, &to, NULL);
    nr_auto_close int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    if (r < 0 || fd < 0)
        return r < 0 ? r : nr_err_from_errno(errno);
    if (connect(fd, (const struct sockaddr *)&to, sizeof(to)) < 0)
        return errno == ECONNREFUSED ? NR_ENOENT : nr_err_from_errno(errno);
    *ret_fd = nr_steal_fd(&fd);
    return 0;
}

/* Of the process that dialled, not of one that has its number by now, where the kernel can say so. -1: it can neither. */
static int pidfd_of(int fd, pid_t pid)
{
    int pidfd = -1;
#ifdef SO_PEERPIDFD
    socklen_t n = sizeof(pidfd);

    if (getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &n) == 0)
        return pidfd;
#endif
    (void)fd;
    pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    return pidfd;
}

int pass_accept(int listen_fd, int *ret_fd, pid_t *ret_pid, int *ret_pidfd)
{
    struct ucred peer;
    socklen_t n = sizeof(peer);
    nr_auto_close int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (fd < 0)
        return NR_EBUSY;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) < 0 ||
        (peer.uid != 0 && peer.uid != geteuid()))
        return NR_EFORBIDDEN;
    *ret_pid = peer.pid;
    *ret_pidfd = pidfd_of(fd, peer.pid);
    *ret_fd = nr_steal_fd(&fd);
    return 0;
}

int pass_send(int fd, const char *text, const int *fds, size_t n)
{
    union {
        const char *lent;
        char *base; /* sendmsg() only reads */
    } words = {text};
    struct iovec iov = {.iov_base = words.base, .iov_len = strlen(text)};
    union control control = {0};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

    nr_check(n <= PASS_FDS_MAX);
    if (n > 0) {
        m.msg_control = control.room;
        m.msg_controllen = CMSG_SPACE(n * sizeof(int));
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);

        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(n * sizeof(int));
        memcpy(CMSG_DATA(c), fds, n * sizeof(int));
    }
    if (sendmsg(fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
        return 0;
    return errno == EAGAIN || errno == ETOOMANYREFS || errno == ENOBUFS ? NR_EBUSY : NR_ECLOSED;
}

static void take_fds(struct msghdr *m, struct passed *ret)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

        nr_check(ret->count + n <= PASS_FDS_MAX); /* the room is not larger */
        memcpy(ret->fds + ret->count, CMSG_DATA(c), n * sizeof(int));
        ret->count += n;
    }
}

int pass_receive(int fd, int timeout_ms, struct passed *ret)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    struct iovec iov = {.iov_base = ret->text, .iov_len = sizeof(ret->text) - 1};
    union control control;
    struct msghdr m = {.msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = control.room,
                       .msg_controllen = sizeof(control.room)};
    int ready;

    ret->count = 0;
    do
        ready = poll(&p, 1, timeout_ms);
    while (ready < 0 && errno == EINTR);
    if (ready <= 0)
        return NR_ETIMEOUT;
    ssize_t n = recvmsg(fd, &m, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);

    if (n <= 0)
        return n < 0 && errno == EAGAIN ? NR_ETIMEOUT : NR_ECLOSED;
    ret->text[n] = '\0';
    take_fds(&m, ret);
    return 0;
}

void pass_close(const int *fds, size_t n)
{
    for (size_t i = 0; i < n; i++)
        (void)close(fds[i]);
}
