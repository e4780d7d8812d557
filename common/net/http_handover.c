/* Sockets that go to another process, which serves on where this one stops: nobody is refused, and nobody who waits between two requests
 * sees an end.
 *
 * What the kernel has accepted and nobody has read stays in the socket: whoever has the connection next reads it. One whose request has begun stays
 * here, and so does an encrypted one, which has a state beside its socket, unless not a byte of it was read yet. Those end where no client loses a
 * request by it:
 *
 *   parting    while another process only prepares itself each of their replies says that it is the last one: who has much to ask opens another
 *              connection, which that process may get untouched
 *   idle       the few that asked nothing in all that time are told that they end, and what they send in that very moment is still taken
 *   greeting   one that has just been opened is about to ask: it is waited for
 */
#include "common/net/http_conn.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

static int copy_of(const uv_tcp_t *tcp)
{
    uv_os_fd_t fd;

    return uv_fileno((const uv_handle_t *)tcp, &fd) == 0 ? fcntl(fd, F_DUPFD_CLOEXEC, 3) : -1;
}

size_t nr_http_listeners(const struct nr_http_server *s, int *ret_fds, size_t max)
{
    size_t n = 0;

    for (struct nr_link *it = s->listeners.next; it != &s->listeners && n < max; it = it->next) {
        const struct nr_http_listener *l = nr_container_of(it, struct nr_http_listener, link);
        int fd = copy_of(&l->tcp);

        if (fd >= 0)
            ret_fds[n++] = fd;
    }
    return n;
}

/* A connection that libuv took and nobody had room for would be closed with its listener. */
static void take_held(struct nr_http_server *s)
{
    NR_LIST_EACH(&s->listeners, it) {
        struct nr_http_listener *l = nr_container_of(it, struct nr_http_listener, link);

        if (l->holds)
            l->holds = !nr_http_conn_open(s, (uv_stream_t *)&l->tcp);
    }
}

void nr_http_part(struct nr_http_server *s, bool on)
{
    s->parting = on;
}

static bool is_idle(const struct nr_http_conn *c)
{
    return c->phase == NR_HTTP_P_IDLE && !c->writing && !c->eof && c->in == NULL;
}

/* The kernel has bytes of it that nobody has read. */
static bool has_bytes(const struct nr_http_conn *c)
{
    uv_os_fd_t fd;
    char byte;

    return uv_fileno((const uv_handle_t *)&c->tcp, &fd) == 0 &&
           recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

static size_t give(struct nr_http_conn *c, int *ret_fd)
{
    int fd = copy_of(&c->tcp);

    if (fd < 0)
        return 0;
    *ret_fd = fd;
    nr_http_conn_close(c);
    return 1;
}

size_t nr_http_hand_over_untouched(struct nr_http_server *s, int *ret_fds, size_t max)
{
    size_t n = 0;

    NR_LIST_EACH(&s->conns, it) {
        struct nr_http_conn *c = nr_container_of(it, struct nr_http_conn, link);

        if (c->tls && !c->touched && is_idle(c) && n < max)
            n += give(c, &ret_fds[n]);
    }
    return n;
}

size_t nr_http_hand_over(struct nr_http_server *s, int *ret_fds, size_t max)
{
    size_t n = 0;

    take_held(s);
    while (!nr_list_empty(&s->ended)) /* was told that the connection stays */
        nr_http_conn_ended(nr_container_of(s->ended.next, struct nr_http_conn, ended));
    s->draining = s->leaving = true;
    nr_http_stop_listening(s);
    NR_LIST_EACH(&s->conns, it) {
        struct nr_http_conn *c = nr_container_of(it, struct nr_http_conn, link);

        if (!is_idle(c))
            continue;
        if (!c->tls && n < max)
            n += give(c, &ret_fds[n]);
        else if (c->tls && c->served && !has_bytes(c))
            nr_http_conn_part(c);
    }
    return n;
}

unsigned nr_http_reading(const struct nr_http_server *s)
{
    unsigned n = 0;

    for (struct nr_link *it = s->conns.next; it != &s->conns; it = it->next) {
        const struct nr_http_conn *c = nr_container_of(it, struct nr_http_conn, link);

        n += c->phase == NR_HTTP_P_HEAD || c->phase == NR_HTTP_P_BODY ||
             (c->tls && c->served && is_idle(c) && has_bytes(c));
    }
    return n;
}

unsigned nr_http_greeting(const struct nr_http_server *s)
{
    unsigned n = 0;

    for (struct nr_link *it = s->conns.next; it != &s->conns; it = it->next) {
        const struct nr_http_conn *c = nr_container_of(it, struct nr_http_conn, link);

        n += c->tls && !c->served && c->phase == NR_HTTP_P_IDLE;
    }
    return n;
}

void nr_http_adopt(struct nr_http_server *s, int fd, bool untouched)
{
    if (s->draining || s->closing || (s->config.tls && !untouched))
        (void)close(fd);
    else
        nr_http_conn_take(s, fd);
}
