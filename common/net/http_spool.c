/* Room is given out until a piece is full; then it is written, and with it gone the connection reads
 * again. A connection that ends in between leaves the piece that is being written to itself.
 */
#include "common/net/http_spool.h"

#include <errno.h>
#include <unistd.h>

#include "common/net/http_conn.h"

enum { PIECE_BYTES = 1 << 20 };

struct nr_http_spool {
    struct nr_work work;
    struct nr_http_conn *conn; /* NULL: it has ended */
    int fd, status;
    size_t filled;
    off_t at;
    bool writing, whole;
    char piece[PIECE_BYTES];
};

struct nr_http_spool *nr_http_spool_begin(struct nr_http_conn *c, int fd)
{
    struct nr_http_spool *s = nr_try_realloc(NULL, sizeof(*s));

    if (s == NULL)
        return NULL;
    memset(s, 0, offsetof(struct nr_http_spool, piece));
    s->conn = c;
    s->fd = fd;
    return s;
}

char *nr_http_spool_room(struct nr_http_spool *s, size_t *ret_n)
{
    *ret_n = s->writing || s->status < 0 ? 0 : PIECE_BYTES - s->filled;
    return s->piece + s->filled;
}

static void work(struct nr_work *w)
{
    struct nr_http_spool *s = nr_container_of(w, struct nr_http_spool, work);
    size_t done = 0;

    while (done < s->filled) {
        ssize_t n = pwrite(s->fd, s->piece + done, s->filled - done, s->at + (off_t)done);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            s->status = n < 0 && (errno == ENOSPC || errno == EDQUOT) ? NR_ENOSPC : NR_EIO;
            return;
        }
        done += (size_t)n;
    }
}

static void done(struct nr_work *w)
{
    struct nr_http_spool *s = nr_container_of(w, struct nr_http_spool, work);

    s->writing = false;
    s->at += (off_t)s->filled;
    s->filled = 0;
    if (s->conn == NULL)
        nr_http_spool_end(s);
    else
        nr_http_conn_go_on(s->conn);
}

void nr_http_spool_took(struct nr_http_spool *s, size_t n, bool last)
{
    s->filled += n;
    s->whole = last;
    if (s->filled < PIECE_BYTES && !last)
        return;
    s->writing = true;
    s->work = (struct nr_work){.work = work, .done = done};
    nr_work_post(s->conn->server->loop, &s->work);
}

int nr_http_spool_state(const struct nr_http_spool *s)
{
    return s->status < 0 ? s->status : s->whole && !s->writing;
}

uint64_t nr_http_spool_filed_bytes(const struct nr_http_spool *s)
{
    return (uint64_t)s->at;
}

void nr_http_spool_end(struct nr_http_spool *s)
{
    if (s == NULL)
        return;
    s->conn = NULL;
    if (s->writing)
        return;
    (void)close(s->fd);
    free(s);
}
