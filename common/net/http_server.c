/* Listeners, the pools of a server, and its two ends.
 *
 * Happy: a listener is readable, a connection is made (http_conn.c), its requests end at the turn's end (on_prepare).
 * Full: above connections_max a connection is not taken: libuv then holds the one it has and does not poll the listener, until
 * uv_accept() is called when another one ends; without memory for one it is tried again soon. Out of descriptors: libuv gives up its reserve, closes what waits, and goes on.
 * Drain: no listener, idle connections closed, the rest close after their reply. Close: everything now; the server is freed in the
 * close callback of its last own handle, which is closed after the last connection.
 */
#include "common/net/http_conn.h"

#include <arpa/inet.h>
#include <unistd.h>

#include "common/net/address.h"

#define BACKLOG 1024
#define POOL_MAX 256 /* free buffers and requests that are kept */
#define ARENA_MAX_BYTES (8 << 20)
#define IN_BYTES (64 << 10)
#define IN_SLACK_BYTES (4 << 10)
#define ACCEPT_RETRY_MS 20
#define SCRATCH_MAX_BYTES (1 << 20)

void nr_http_config_init(struct nr_http_config *c)
{
    *c = (struct nr_http_config){
        .request_bytes = sizeof(struct nr_http_req),
        .line_max_bytes = 8 << 10,
        .headers_max_bytes = 32 << 10,
        .body_max_bytes = 1 << 20,
        .inflight_max_bytes = 256 << 20,
        .connections_max = 16000,
        .header_timeout_ms = 10000,
        .body_timeout_ms = 30000,
        .idle_timeout_ms = 70000,
        .write_timeout_ms = 30000,
        .body_min_rate_bytes_s = 1024,
    };
}

/* ---- pools ---- */

char *nr_http_in_take(struct nr_http_server *s)
{
    struct nr_link *l = nr_list_pop(&s->free_ins);

    if (l == NULL)
        return nr_try_realloc(NULL, s->in_bytes);
    s->free_in_count--;
    return (char *)l;
}

void nr_http_in_give(struct nr_http_server *s, char *in)
{
    struct nr_link *l = (struct nr_link *)(void *)in;

    if (s->free_in_count >= POOL_MAX) {
        free(in);
        return;
    }
    s->free_in_count++;
    nr_list_push(&s->free_ins, l);
}

/* The free list's link lies in the header slots, which are never read before they are written. */
static struct nr_link *req_link(struct nr_http_req *r)
{
    return (struct nr_link *)(void *)r->headers;
}

struct nr_http_req *nr_http_req_take(struct nr_http_server *s)
{
    struct nr_link *l = nr_list_pop(&s->free_reqs);
    struct nr_http_req *r;

    if (l) {
        s->free_req_count--;
        r = nr_container_of(l, struct nr_http_req, headers);
    } else {
        r = nr_try_alloc(s->config.request_bytes);
        if (r == NULL)
            return NULL;
        nr_arena_init(&r->arena, ARENA_MAX_BYTES);
    }
    memset((char *)r + sizeof(*r), 0, s->config.zeroed_bytes - sizeof(*r));
    return r;
}

void nr_http_req_give(struct nr_http_server *s, struct nr_http_req *r)
{
    if (s->free_req_count >= POOL_MAX) {
        nr_arena_fini(&r->arena);
        free(r);
        return;
    }
    nr_arena_reset(&r->arena);
    s->free_req_count++;
    nr_list_push(&s->free_reqs, req_link(r));
}

static void pools_fini(struct nr_http_server *s)
{
    struct nr_link *l;

    while ((l = nr_list_pop(&s->free_ins)))
        free(l);
    while ((l = nr_list_pop(&s->free_reqs))) {
        struct nr_http_req *r = nr_container_of(l, struct nr_http_req, headers);

        nr_arena_fini(&r->arena);
        free(r);
    }
}

/* ---- the two ends ---- */

static void on_own_closed(struct nr_http_server *s)
{
    void (*done)(void *arg) = s->done;
    void *arg = s->done_arg;

    if (--s->handles > 0)
        return;
    pools_fini(s);
    nr_buf_fini(&s->scratch);
    free(s->tls_in);
    free(s);
    if (done)
        done(arg);
}

static void on_prepare_closed(uv_handle_t *h)
{
    on_own_closed(h->data);
}

static void on_listener_closed(uv_handle_t *h)
{
    struct nr_http_listener *l = h->data;
    struct nr_http_server *s = l->server;

    free(l);
    on_own_closed(s);
}

void nr_http_stop_listening(struct nr_http_server *s)
{
    struct nr_link *it;

    nr_deadline_cancel(&s->retry);
    while ((it = nr_list_pop(&s->listeners))) {
        struct nr_http_listener *l = nr_container_of(it, struct nr_http_listener, link);

        uv_close((uv_handle_t *)&l->tcp, on_listener_closed);
    }
}

/* After every event that may have been the last one. */
static void tell_if_empty(struct nr_http_server *s)
{
    void (*idle)(void *arg) = s->idle;

    if (s->stats.connections > 0)
        return;
    if (s->draining && idle) {
        s->idle = NULL;
        idle(s->idle_arg);
    }
    if (s->closing && !uv_is_closing((uv_handle_t *)&s->prepare))
        uv_close((uv_handle_t *)&s->prepare, on_prepare_closed);
}

void nr_http_drain(struct nr_http_server *s, void (*idle)(void *arg), void *arg)
{
    s->draining = true;
    s->leaving = false;
    s->idle = idle;
    s->idle_arg = arg;
    nr_http_stop_listening(s);
    NR_LIST_EACH(&s->conns, it) {
        struct nr_http_conn *c = nr_container_of(it, struct nr_http_conn, link);

        if (c->phase == NR_HTTP_P_IDLE && c->tls && c->served)
            nr_http_conn_part(c);
        else if (c->phase == NR_HTTP_P_IDLE)
            nr_http_conn_close(c);
    }
    tell_if_empty(s);
}

void nr_http_close(struct nr_http_server *s, void (*closed)(void *arg), void *arg)
{
    if (s == NULL) {
        if (closed)
            closed(arg);
        return;
    }
    s->closing = true;
    s->done = closed;
    s->done_arg = arg;
    nr_http_stop_listening(s);
    NR_LIST_EACH(&s->conns, it)
        nr_http_conn_close(nr_container_of(it, struct nr_http_conn, link));
    tell_if_empty(s);
}

struct nr_http_stats nr_http_stats(const struct nr_http_server *s)
{
    return s->stats;
}

uint64_t nr_http_filed_bytes(const struct nr_http_req *r)
{
    return r->conn->spool ? nr_http_spool_filed_bytes(r->conn->spool) : 0;
}

/* ---- accepting ---- */

/* False: the connection stays with the listener. */
static bool take(struct nr_http_server *s, struct nr_http_listener *l)
{
    if (s->stats.connections >= s->config.connections_max)
        return false;
    if (nr_http_conn_open(s, (uv_stream_t *)&l->tcp))
        return true;
    nr_deadline_set(s->loop, &s->retry, ACCEPT_RETRY_MS);
    return false;
}

static void take_held(struct nr_http_server *s)
{
    NR_LIST_EACH(&s->listeners, it) {
        struct nr_http_listener *l = nr_container_of(it, struct nr_http_listener, link);

        if (l->holds)
            l->holds = !take(s, l);
    }
}

static void on_retry(struct nr_deadline *d)
{
    take_held(nr_container_of(d, struct nr_http_server, retry));
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct nr_http_listener *l = listener->data;

    if (status < 0)
        return; /* the client gave up before we took it */
    nr_loop_enter(l->server->loop);
    l->holds = !take(l->server, l);
}

void nr_http_conn_free(struct nr_http_conn *c)
{
    struct nr_http_server *s = c->server;

    nr_list_del(&c->link);
    nr_list_del(&c->ended);
    nr_deadline_cancel(&c->deadline);
    nr_tls_conn_free(c->tls);
    nr_buf_fini(&c->out);
    nr_buf_fini(&c->later);
    if (c->in)
        nr_http_in_give(s, c->in);
    free(c);
    s->stats.connections--;
    take_held(s);
    tell_if_empty(s);
}

static void on_prepare(uv_prepare_t *prepare)
{
    struct nr_http_server *s = prepare->data;

    while (!nr_list_empty(&s->ended))
        nr_http_conn_ended(nr_container_of(s->ended.next, struct nr_http_conn, ended));
}

/* ---- opening ---- */

int nr_http_open(struct nr_loop *l, const struct nr_http_config *c, const struct nr_http_hooks *h,
                 void *user, struct nr_http_server **ret, struct nr_err *err)
{
    struct nr_http_server *s;
    size_t head_bytes = c->line_max_bytes + c->headers_max_bytes + IN_SLACK_BYTES;

    if (c->request_bytes < sizeof(struct nr_http_req) || c->connections_max == 0 || !h->on_head ||
        !h->on_request)
        return nr_err_set(
            err, NR_EINVAL,
            "http server: request_bytes, connections_max, on_head and on_request must be set");
    s = nr_alloc(sizeof(*s));
    s->loop = l;
    s->config = *c;
    if (c->zeroed_bytes < sizeof(struct nr_http_req) || c->zeroed_bytes > c->request_bytes)
        s->config.zeroed_bytes = c->request_bytes;
    s->hooks = *h;
    s->user = user;
    s->retry.fire = on_retry;
    s->in_bytes = head_bytes > IN_BYTES ? head_bytes : IN_BYTES;
    nr_buf_init(&s->scratch, SCRATCH_MAX_BYTES);
    nr_list_init(&s->conns);
    nr_list_init(&s->listeners);
    nr_list_init(&s->ended);
    nr_list_init(&s->free_ins);
    nr_list_init(&s->free_reqs);
    (void)uv_prepare_init(&l->uv, &s->prepare);
    s->prepare.data = s;
    (void)uv_prepare_start(&s->prepare, on_prepare);
    uv_unref((uv_handle_t *)&s->prepare);
    s->handles = 1;
    *ret = s;
    return 0;
}

/* Of a socket that has its address. */
static int begin_listening(struct nr_http_listener *l, int *ret_port)
{
    struct sockaddr_storage bound;
    int n = sizeof(bound), r;

    (void)uv_tcp_nodelay(&l->tcp, 1); /* Linux hands it on to what is accepted */
    if ((r = uv_listen((uv_stream_t *)&l->tcp, BACKLOG, on_connection)) < 0)
        return r;
    if ((r = uv_tcp_getsockname(&l->tcp, (struct sockaddr *)&bound, &n)) < 0)
        return r;
    *ret_port = ntohs(bound.ss_family == AF_INET ? ((struct sockaddr_in *)&bound)->sin_port
                                                 : ((struct sockaddr_in6 *)&bound)->sin6_port);
    return 0;
}

static struct nr_http_listener *listener_make(struct nr_http_server *s, unsigned family)
{
    struct nr_http_listener *l = nr_alloc(sizeof(*l));

    l->server = s;
    if (uv_tcp_init_ex(&s->loop->uv, &l->tcp, family) < 0) {
        free(l);
        return NULL;
    }
    l->tcp.data = l;
    s->handles++;
    return l;
}

/* What the listener lacks is in r; it is among those of the server, or closed. */
static int listener_add(struct nr_http_listener *l, int r)
{
    if (r < 0)
        uv_close((uv_handle_t *)&l->tcp, on_listener_closed);
    else
        nr_list_add(&l->server->listeners, &l->link);
    return r;
}

int nr_http_listen(struct nr_http_server *s, const char *address, int *ret_port, struct nr_err *err)
{
    struct sockaddr_storage addr = {0};
    int r = UV_ENOMEM, port = 0;

    if (nr_net_address(address, &addr) < 0)
        return nr_err_set(err, NR_EINVAL,
                          "cannot listen on %s: not an address and a port, as in 127.0.0.1:3233",
                          address);
    struct nr_http_listener *l = listener_make(s, addr.ss_family);

    if (l && (r = uv_tcp_bind(&l->tcp, (const struct sockaddr *)&addr, 0)) == 0)
        r = begin_listening(l, &port);
    if (l == NULL || listener_add(l, r) < 0)
        return nr_err_set(err, nr_err_from_errno(r), "cannot listen on %s: %s", address,
                          uv_strerror(r));
    if (ret_port)
        *ret_port = port;
    return 0;
}

int nr_http_listen_fd(struct nr_http_server *s, int fd, int *ret_port, struct nr_err *err)
{
    struct nr_http_listener *l = listener_make(s, AF_UNSPEC);
    int r = UV_ENOMEM, port = 0;

    if (l && (r = uv_tcp_open(&l->tcp, fd)) == 0)
        r = begin_listening(l, &port);
    else
        (void)close(fd);
    if (l == NULL || listener_add(l, r) < 0)
        return nr_err_set(err, nr_err_from_errno(r),
                          "cannot listen on the socket that was given: %s", uv_strerror(r));
    if (ret_port)
        *ret_port = port;
    return 0;
}
