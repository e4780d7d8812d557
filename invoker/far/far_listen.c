/* The listener that invokers on other hosts dial: by TLS with a certificate whose pin the operator gives them, or by a unix socket of this host, whose
 * peers' user counts.
 */
#include "invoker/far/far_state.h"

#include <sys/stat.h>

#include "common/base/clock.h"
#include "common/base/file.h"

enum { ARENA_MAX_BYTES = 4 << 20, FAILED_PER_MINUTE = 10 /* tokens, of one address */ };

#define CERTIFICATE_NAMES "localhost,127.0.0.1,::1"

/* ---- opening ---- */

static char *own_path(const struct far_listener_config *c, const char *name)
{
    char path[4096];

    (void)snprintf(path, sizeof(path), "%s/%s", c->data_dir, name);
    return nr_strdup(path);
}

static int open_tls(struct far_listener *l, struct nr_err *err)
{
    const struct far_listener_config *c = &l->config;
    bool own = c->cert_path == NULL;
    int r = 0;

    if (own == (c->key_path != NULL) || (own && c->data_dir == NULL))
        return nr_err_set(err, NR_EINVAL, "a certificate and its key go together");
    l->cert_path = own ? own_path(c, "invokers.crt") : nr_strdup(c->cert_path);
    l->key_path = own ? own_path(c, "invokers.key") : nr_strdup(c->key_path);
    if (own && access(l->cert_path, R_OK) != 0)
        r = nr_tls_self_signed(l->cert_path, l->key_path, CERTIFICATE_NAMES, err);
    if (r == 0)
        r = nr_tls_open(l->cert_path, l->key_path, &l->tls, err);
    if (r == 0)
        nr_tls_pin(l->tls, l->pin);
    return r;
}

/* Who may open the socket's file; who he is, is looked at when he has dialed. */
static void give_socket(const struct far_listener_config *c)
{
    const char *path = c->listen + strlen("unix:");

    if (c->invoker_uid >= 0 && chown(path, (uid_t)c->invoker_uid, (gid_t)-1) < 0)
        (void)chmod(path, 0666);
}

static struct far_listener *make(const struct far_listener_config *c)
{
    struct far_listener *l = nr_alloc(sizeof(*l));
    unsigned char bytes[16];

    l->config = *c;
    l->api_host = nr_strdup(c->api_host);
    nr_list_init(&l->fars);
    nr_list_init(&l->links);
    nr_list_init(&l->free_calls);
    nr_arena_init(&l->arena, ARENA_MAX_BYTES);
    nr_logins_init(&l->failed, FAILED_PER_MINUTE);
    nr_random(bytes, sizeof(bytes));
    nr_hex(bytes, sizeof(bytes), l->process);
    nr_random(&l->next_call, sizeof(l->next_call));
    l->next_call >>= 2; /* no process uses a number of another one */
    return l;
}

static void free_listener(struct far_listener *l)
{
    struct nr_link *it;

    while ((it = nr_list_pop(&l->free_calls)))
        free(nr_container_of(it, struct far_call, link));
    nr_logins_fini(&l->failed);
    nr_tls_close(l->tls);
    nr_arena_fini(&l->arena);
    free(l->api_host);
    free(l->cert_path);
    free(l->key_path);
    free(l);
}

int far_listen(const struct far_listener_config *c, struct far_listener **ret, struct nr_err *err)
{
    struct far_listener *l = make(c);
    bool local = strncmp(c->listen, "unix:", 5) == 0;
    int r = local ? 0 : open_tls(l, err);

    if (r == 0)
        r = nr_stream_listen(c->loop, c->listen, l->tls, far_link_open, l, &l->stream, err);
    if (r < 0) {
        free_listener(l);
        return r;
    }
    if (local)
        give_socket(c);
    *ret = l;
    return 0;
}

uint16_t far_port(const struct far_listener *l)
{
    return nr_stream_listener_port(l->stream);
}

const char *far_pin(const struct far_listener *l)
{
    return l->tls ? l->pin : NULL;
}

int far_listener_reload(struct far_listener *l, bool commit, struct nr_err *err)
{
    int r = 0;

    if (l->tls)
        r = commit ? nr_tls_reload(l->tls, err) : nr_tls_check(l->tls, err);
    if (r == 0 && commit && l->tls)
        nr_tls_pin(l->tls, l->pin);
    return r;
}

/* ---- closing ---- */

void far_listener_look_if_closed(struct far_listener *l)
{
    if (!l->closing || !l->stream_closed || l->works > 0)
        return;
    void (*closed)(void *arg) = l->closed;
    void *arg = l->closed_arg;

    free_listener(l);
    if (closed)
        closed(arg);
}

static void on_stream_closed(void *arg)
{
    struct far_listener *l = arg;

    l->stream_closed = true;
    far_listener_look_if_closed(l);
}

void far_listener_deafen(struct far_listener *l)
{
    if (l->deaf)
        return;
    l->deaf = true;
    NR_LIST_EACH(&l->links, it) {
        struct far_link *link = nr_container_of(it, struct far_link, in_all);

        if (link->f == NULL)
            far_link_close(link);
    }
    nr_stream_listener_close(l->stream, on_stream_closed, l);
}

void far_listener_close(struct far_listener *l, void (*closed)(void *arg), void *arg)
{
    nr_check(nr_list_empty(&l->fars));
    l->closing = true;
    l->closed = closed;
    l->closed_arg = arg;
    while (!nr_list_empty(&l->links))
        far_link_close(nr_container_of(l->links.next, struct far_link, in_all));
    far_listener_deafen(l);
    far_listener_look_if_closed(l);
}
