/* Listeners: a TCP address, or the path of a unix socket. Who is taken is given to the owner at once; a stream that he does not begin goes.
 */
#include <netinet/in.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "common/net/address.h"
#include "common/net/stream_conn.h"

enum { BACKLOG = 128, RETRY_MS = 20 };

struct nr_stream_listener {
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } u;
    struct nr_loop *loop;
    struct nr_tls *tls;
    struct nr_deadline retry; /* of a connection for which there was no memory: libuv holds it */
    bool is_pipe;
    uint16_t port;
    void (*on_dialed)(void *arg, struct nr_stream *s);
    void *arg;
    void (*closed)(void *arg);
    void *closed_arg;
};

/* ---- taking ---- */

static void on_connection(uv_stream_t *listener, int status)
{
    struct nr_stream_listener *l = listener->data;
    struct nr_stream *s = status < 0 ? NULL : nr_stream_make(l->loop, l->is_pipe, AF_UNSPEC);

    if (s == NULL) {
        nr_deadline_set(l->loop, &l->retry, RETRY_MS);
        return;
    }
    nr_loop_enter(l->loop);
    if (uv_accept(listener, &s->u.stream) < 0) {
        nr_stream_close(s);
        return;
    }
    nr_stream_start(s, l->tls);
    if (s->closing)
        return;
    l->on_dialed(l->arg, s);
    nr_check(s->config.hooks || s->closing);
}

static void on_retry(struct nr_deadline *d)
{
    struct nr_stream_listener *l = nr_container_of(d, struct nr_stream_listener, retry);

    on_connection(&l->u.stream, 0);
}

/* ---- listening ---- */

static int refuse(struct nr_err *err, const char *address, int r)
{
    return nr_err_set(err, nr_err_from_errno(r), "cannot listen on %s: %s", address,
                      uv_strerror(r));
}

static int bind_tcp(struct nr_stream_listener *l, const char *address, struct nr_err *err)
{
    struct sockaddr_storage addr = {0}, bound;
    int n = sizeof(bound), r;

    if (nr_net_address(address, &addr) < 0) {
        (void)uv_tcp_init(&l->loop->uv, &l->u.tcp);
        return nr_err_set(err, NR_EINVAL,
                          "cannot listen on %s: not an address and a port, as in 0.0.0.0:3234, "
                          "and not unix:/PATH",
                          address);
    }
    (void)uv_tcp_init(&l->loop->uv, &l->u.tcp);
    if ((r = uv_tcp_bind(&l->u.tcp, (const struct sockaddr *)&addr, 0)) < 0 ||
        (r = uv_listen(&l->u.stream, BACKLOG, on_connection)) < 0 ||
        (r = uv_tcp_getsockname(&l->u.tcp, (struct sockaddr *)&bound, &n)) < 0)
        return refuse(err, address, r);
    l->port = ntohs(bound.ss_family == AF_INET ? ((struct sockaddr_in *)&bound)->sin_port
                                               : ((struct sockaddr_in6 *)&bound)->sin6_port);
    return 0;
}

/* Only a socket is taken away: whatever else is there is somebody's. */
static void remove_old(const char *path)
{
    struct stat st;

    if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode))
        (void)unlink(path);
}

static int bind_unix(struct nr_stream_listener *l, const char *address, struct nr_err *err)
{
    const char *path = address + strlen("unix:");
    int r;

    (void)uv_pipe_init(&l->loop->uv, &l->u.pipe, 0);
    if (path[0] != '/' || strlen(path) >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
        return nr_err_set(err, NR_EINVAL,
                          "cannot listen on %s: not an absolute path of at most 107 bytes",
                          address);
    remove_old(path);
    mode_t mask = umask(0177);

    r = uv_pipe_bind(&l->u.pipe, path);
    (void)umask(mask);
    if (r < 0 || (r = uv_listen(&l->u.stream, BACKLOG, on_connection)) < 0)
        return refuse(err, address, r);
    return 0;
}

static void on_closed(uv_handle_t *h)
{
    struct nr_stream_listener *l = h->data;

    if (l->closed)
        l->closed(l->closed_arg);
    free(l);
}

int nr_stream_listen(struct nr_loop *l, const char *address, struct nr_tls *tls,
                     void (*on_dialed)(void *arg, struct nr_stream *s), void *arg,
                     struct nr_stream_listener **ret, struct nr_err *err)
{
    struct nr_stream_listener *made = nr_alloc(sizeof(*made));

    made->loop = l;
    made->retry.fire = on_retry;
    made->tls = tls;
    made->on_dialed = on_dialed;
    made->arg = arg;
    made->is_pipe = strncmp(address, "unix:", 5) == 0;
    int r = made->is_pipe ? bind_unix(made, address, err) : bind_tcp(made, address, err);

    made->u.handle.data = made;
    if (r < 0) {
        uv_close(&made->u.handle, on_closed);
        return r;
    }
    *ret = made;
    return 0;
}

uint16_t nr_stream_listener_port(const struct nr_stream_listener *l)
{
    return l->port;
}

void nr_stream_listener_close(struct nr_stream_listener *l, void (*closed)(void *arg), void *arg)
{
    l->closed = closed;
    l->closed_arg = arg;
    nr_deadline_cancel(&l->retry);
    uv_close(&l->u.handle, on_closed);
}
