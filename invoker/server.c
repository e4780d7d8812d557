/* The door of a container: <run>/c/<8 hex>/s, a listening socket in a folder of its own that is mounted read-only into the
 * container. The host listens and the container dials, never the reverse: a path the tenant can write is never opened by us.
 *
 * On accept the kernel says who dials: the uid must be the functions' one and the process must be in this container's control group.
 * The Engine's id is needed for that; a connection that comes before the id is known waits in the backlog. So does one that comes when
 * there are as many as the container has slots: a function that dials without end is heard once, not once for each time.
 */
#include "invoker/internal.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

enum { PATH_MAX_BYTES = 100 }; /* of sun_path's 108; libuv cuts longer ones silently */
/* All slots of a container may dial at once; how many a stem will have is not known yet. */
enum { BACKLOG = 512 };

/* Writes folder and socket path; false when the path would not fit. */
static bool paths(const struct container *ct, char folder[static PATH_MAX_BYTES],
                  char sock[static PATH_MAX_BYTES])
{
    int n = snprintf(folder, PATH_MAX_BYTES, "%s/%s", ct->v->folder, ct->name);
    int m = snprintf(sock, PATH_MAX_BYTES, "%s/%s/s", ct->v->folder, ct->name);

    return n > 0 && m > 0 && m < PATH_MAX_BYTES;
}

static bool may_accept(const struct container *ct)
{
    return ct->server_open && ct->id[0] != '\0' && !ct->retired && ct->conn_count < ct->slot_count;
}

/* Until what came is accepted libuv does not look at the socket again. */
static void on_connection(uv_stream_t *server, int status)
{
    struct container *ct = server->data;

    if (status < 0)
        return;
    if (may_accept(ct))
        conn_open(ct);
    else
        ct->accept_later = true;
}

void server_accept_waiting(struct container *ct)
{
    if (!ct->accept_later || !may_accept(ct))
        return;
    ct->accept_later = false;
    conn_open(ct);
}

static void on_closed(uv_handle_t *h)
{
    container_unref(h->data);
}

void server_close(struct container *ct)
{
    if (!ct->server_open)
        return;
    ct->server_open = false;
    uv_close((uv_handle_t *)&ct->server, on_closed);
}

int server_open(struct container *ct, struct nr_err *err)
{
    char folder[PATH_MAX_BYTES], sock[PATH_MAX_BYTES];

    if (!paths(ct, folder, sock))
        return nr_err_set(err, NR_EINVAL, "the run folder %s is too deep for a socket",
                          ct->v->folder);
    bool again = ct->state == CT_ADOPTING; /* the folder is mounted into it already */

    if (again)
        (void)unlink(sock);
    if (mkdir(folder, 0755) < 0 && !(again && errno == EEXIST))
        return nr_err_set(err, nr_err_from_errno(errno), "%s: %s", folder, strerror(errno));
    int r = uv_pipe_init(&ct->v->loop->uv, &ct->server, 0);

    nr_check(r == 0);
    ct->server.data = container_ref(ct);
    ct->server_open = true;
    if ((r = uv_pipe_bind(&ct->server, sock)) < 0 ||
        (r = uv_listen((uv_stream_t *)&ct->server, BACKLOG, on_connection)) < 0)
        return nr_err_set(err, nr_err_from_errno(r), "%s: %s", sock, uv_strerror(r));
    if (chmod(folder, 0755) < 0 || chmod(sock, 0666) < 0)
        return nr_err_set(err, nr_err_from_errno(errno), "%s: %s", sock, strerror(errno));
    return 0;
}
