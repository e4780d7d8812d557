/* Dialing: an address as people write it -> a connected socket. A host's name is looked up on libuv's pool; its addresses are tried one after the
 * other, within the time that the stream has to open. A stream is made with the first of them, and gets a new socket for the next.
 *
 * The request of a lookup or of a connect outlives the stream that asked: it lives in a `stream_dial` that knows whether it is still wanted.
 */
#include <netinet/in.h>
#include <sys/un.h>

#include "common/net/stream_conn.h"

enum { HOST_MAX_BYTES = 253, ADDRESSES_MAX = 8 };

struct target {
    bool tls;
    char host[HOST_MAX_BYTES + 1]; /* or the socket's path */
    char port[8];
};

struct stream_dial {
    struct nr_stream *s; /* NULL: nobody waits any more */
    struct nr_tls *tls;
    uv_getaddrinfo_t lookup;
    uv_connect_t connect;
    struct sockaddr_storage to[ADDRESSES_MAX];
    unsigned count, at;
};

/* ---- addresses ---- */

static int no_address(const char *address, struct nr_err *err)
{
    return nr_err_set(err, NR_EINVAL,
                      "\"%s\" is no address to dial: it is tls://HOST:PORT or unix:/PATH", address);
}

static int read_host(struct nr_str rest, struct target *ret)
{
    const char *colon = memrchr(rest.p, ':', rest.n);
    int64_t port;

    if (colon == NULL)
        return NR_EINVAL;
    struct nr_str host = {rest.p, (size_t)(colon - rest.p)};
    struct nr_str digits = {colon + 1, (size_t)(rest.p + rest.n - colon - 1)};

    if (host.n >= 2 && host.p[0] == '[' && host.p[host.n - 1] == ']') {
        host.p++;
        host.n -= 2;
    } else if (memchr(host.p, ':', host.n)) {
        return NR_EINVAL;
    }
    if (host.n == 0 || host.n > HOST_MAX_BYTES || !nr_str_to_i64(digits, 1, 65535, &port))
        return NR_EINVAL;
    for (size_t i = 0; i < host.n; i++) {
        if (host.p[i] <= ' ' || host.p[i] > '~' || host.p[i] == '/')
            return NR_EINVAL;
    }
    memcpy(ret->host, host.p, host.n);
    ret->host[host.n] = '\0';
    (void)snprintf(ret->port, sizeof(ret->port), "%d", (int)port);
    return 0;
}

static int read_target(const char *address, struct target *ret, struct nr_err *err)
{
    static const char tls[] = "tls://", local[] = "unix:";
    struct nr_str text = nr_str_of(address);

    *ret = (struct target){0};
    if (nr_str_starts(text, local) && text.p[5] == '/' &&
        text.n - 5 < sizeof(((struct sockaddr_un *)NULL)->sun_path)) {
        (void)snprintf(ret->host, sizeof(ret->host), "%s", address + 5);
        return 0;
    }
    ret->tls = true;
    if (!nr_str_starts(text, tls) || read_host((struct nr_str){text.p + 6, text.n - 6}, ret) < 0)
        return no_address(address, err);
    return 0;
}

int nr_stream_check_address(const char *address, bool *ret_tls, struct nr_err *err)
{
    struct target t;
    int r = read_target(address, &t, err);

    if (r == 0)
        *ret_tls = t.tls;
    return r;
}

/* ---- connecting ---- */

void nr_stream_dial_end(struct nr_stream *s)
{
    if (s->dial == NULL)
        return;
    s->dial->s = NULL;
    if (s->reopening) /* no request of it is under way */
        free(s->dial);
    s->dial = NULL;
}

/* The dial is over, one way or the other; d goes. */
static struct nr_stream *take_stream(struct stream_dial *d)
{
    struct nr_stream *s = d->s;

    if (s)
        s->dial = NULL;
    free(d);
    return s;
}

static void connect_to(struct stream_dial *d);

/* The handle of the address before is closed. */
static void on_reopen(uv_handle_t *h)
{
    struct nr_stream *s = h->data;
    int r = 0;

    if (!s->closing && (r = uv_tcp_init_ex(&s->config.loop->uv, &s->u.tcp, AF_UNSPEC)) < 0)
        nr_stream_fail_uv(s, "cannot connect", r);
    if (s->closing) {
        nr_stream_closed(h);
        return;
    }
    s->u.handle.data = s;
    s->reopening = false;
    connect_to(s->dial);
}

static void on_connected(uv_connect_t *req, int status)
{
    struct stream_dial *d = nr_container_of(req, struct stream_dial, connect);
    struct nr_tls *tls = d->tls;

    if (d->s && status < 0 && status != UV_ECANCELED && ++d->at < d->count) {
        d->s->reopening = true;
        uv_close(&d->s->u.handle, on_reopen);
        return;
    }
    struct nr_stream *s = take_stream(d);

    if (s == NULL)
        return;
    nr_loop_enter(s->config.loop);
    if (status < 0)
        nr_stream_fail_uv(s, "cannot connect", status);
    else
        nr_stream_start(s, tls);
    if (!s->closing && tls == NULL)
        nr_stream_open_now(s);
}

static void connect_to(struct stream_dial *d)
{
    int r = uv_tcp_connect(&d->connect, &d->s->u.tcp, (const struct sockaddr *)&d->to[d->at],
                           on_connected);

    if (r < 0)
        nr_stream_fail_uv(take_stream(d), "cannot connect", r);
}

/* ---- names ---- */

static void on_looked_up(uv_getaddrinfo_t *req, int status, struct addrinfo *list)
{
    struct stream_dial *d = nr_container_of(req, struct stream_dial, lookup);

    for (struct addrinfo *a = list; a && d->count < ADDRESSES_MAX; a = a->ai_next)
        memcpy(&d->to[d->count++], a->ai_addr, a->ai_addrlen);
    uv_freeaddrinfo(list);
    if (d->s && d->count > 0) {
        connect_to(d);
        return;
    }
    struct nr_stream *s = take_stream(d);

    if (s)
        nr_stream_fail_uv(s, "cannot find the host", status ? status : UV_EAI_NONAME);
}

static int begin(struct nr_stream *s, struct stream_dial *d, const struct target *t)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};

    if (t->tls)
        return uv_getaddrinfo(&s->config.loop->uv, &d->lookup, on_looked_up, t->host, t->port,
                              &hints);
    uv_pipe_connect(&d->connect, &s->u.pipe, t->host, on_connected);
    return 0;
}

int nr_stream_dial(const struct nr_stream_config *c, const char *address, struct nr_tls *tls,
                   struct nr_stream **ret, struct nr_err *err)
{
    struct target t;
    int r = read_target(address, &t, err);

    if (r < 0)
        return r;
    if (t.tls != (tls != NULL))
        return nr_err_set(err, NR_EINVAL, "\"%s\": %s", address,
                          t.tls ? "the pin of its certificate is needed"
                                : "a unix socket has no pin");
    struct nr_stream *s = nr_stream_make(c->loop, !t.tls, AF_UNSPEC);

    if (s == NULL)
        return nr_err_set(err, NR_ENOMEM, "out of memory");
    s->dial = nr_alloc(sizeof(*s->dial));
    *s->dial = (struct stream_dial){.s = s, .tls = tls};
    nr_stream_begin(s, c);
    if ((r = begin(s, s->dial, &t)) < 0)
        nr_stream_fail_uv(take_stream(s->dial), "cannot find the host", r);
    *ret = s;
    return 0;
}
