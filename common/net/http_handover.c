/* Sockets that go to another process, which serves on where this one stops: nobody is refused, and nobody who waits between two requests
 * sees an end.
 *
 * What the kernel has accepted and nobody has read stays in the socket: whoever has the connection next reads it. An encrypted connection
 * has a state beside its socket and stays here; so does one whose request has begun.
 */
#include "common/net/http_conn.h"

#include <fcntl.h>
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
        int fd = c->phase == NR_HTTP_P_IDLE && !c->tls && !c->writing && !c->eof && c->in == NULL &&
                         n < max
                     ? copy_of(&c->tcp)
                     : -1;

        if (fd < 0)
            continue;
        ret_fds[n++] = fd;
        nr_http_conn_close(c);
    }
    return n;
}

unsigned nr_http_reading(const struct nr_http_server *s)
{
    unsigned n = 0;

    for (struct nr_link *it = s->conns.next; it != &s->conns; it = it->next) {
        const struct nr_http_conn *c = nr_container_of(it, struct nr_http_conn, link);

        n += c->phase == NR_HTTP_P_HEAD || c->phase == NR_HTTP_P_BODY;
    }
    return n;
}

void nr_http_adopt(struct nr_http_server *s, int fd)
{
    if (s->draining || s->closing || s->config.tls)
        (void)close(fd);
    else
        nr_http_conn_take(s, fd);
}
