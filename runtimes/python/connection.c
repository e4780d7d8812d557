/* Most frames come with one read, whole, and go with one write; large ones take what it takes. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "connection.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Bytes; 0 at the end of the connection, however it ended; -1: a signal's handler raised. */
static ssize_t read_some(int fd, char *to, size_t size)
{
    for (;;) {
        PyThreadState *state = PyEval_SaveThread();
        ssize_t n = read(fd, to, size);
        PyEval_RestoreThread(state);
        if (n >= 0)
            return n;
        if (errno != EINTR)
            return 0;
        if (PyErr_CheckSignals() < 0)
            return -1;
    }
}

int connection_read(struct connection *c, int fd, struct wire_frame *ret_head, char **ret_payload)
{
    size_t filled = 0, whole = sizeof *ret_head;
    while (filled < whole) {
        ssize_t n = c->large ? read_some(fd, c->large + filled, whole - filled)
                             : read_some(fd, c->buffer + filled, READ_BYTES - filled);
        if (n <= 0)
            return (int)n;
        filled += (size_t)n;
        if (c->large || filled < sizeof *ret_head)
            continue;
        memcpy(ret_head, c->buffer, sizeof *ret_head);
        whole = sizeof *ret_head + ret_head->length;
        if (ret_head->length > FRAME_MAX_BYTES || filled > whole)
            return 0;
        if (whole <= READ_BYTES)
            continue;
        c->large = PyMem_RawMalloc(whole);
        if (!c->large) {
            PyErr_NoMemory();
            return -1;
        }
        memcpy(c->large, c->buffer, filled);
    }
    *ret_payload = (c->large ? c->large : c->buffer) + sizeof *ret_head;
    return 1;
}

void connection_drop(struct connection *c)
{
    PyMem_RawFree(c->large);
    c->large = NULL;
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
    ssize_t n = sendmsg(fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (n >= 0 || errno == EAGAIN || errno == EINTR) {
        m.msg_iovlen = skip(&m.msg_iov, m.msg_iovlen, n > 0 ? (size_t)n : 0);
        if (m.msg_iovlen == 0)
            return;
        PyThreadState *state = PyEval_SaveThread();
        n = sendmsg(fd, &m, MSG_NOSIGNAL);
        PyEval_RestoreThread(state);
    }
}
