/* Archives of accounts may be larger than memory: from some size on they lie in a file of the data folder while they come in, which has no name and
 * goes with its request. One comes in for an account at a time, so that who sends slowly holds up only himself; all of them together have a bound, and
 * the disk keeps room for what must be written.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/statvfs.h>

#include "common/base/size.h"
#include "gateway/internal.h"

#define SPOOL_FROM_BYTES ((int64_t)8 << 20)
#define DISK_KEPT_BYTES ((int64_t)512 << 20)
#define TOGETHER 4 /* times the largest one */

int64_t archive_max_bytes(const struct gateway_request *q)
{
    const struct gateway_config *c = &q->g->config;
    int64_t held = (int64_t)route_body(q->route)->max_bytes;

    if (c->spool_dir == NULL || q->http.content_length < 0)
        return held; /* its length is not known before it is here */
    return c->import_max_bytes > 0 ? (int64_t)nr_size_of(c->import_max_bytes) : held;
}

/* Beside all that was announced and may still have to be written. */
static bool disk_has(const struct gateway *g, int64_t bytes)
{
    struct statvfs s;

    return statvfs(g->config.spool_dir, &s) == 0 &&
           (int64_t)(s.f_bavail * (uint64_t)s.f_frsize) - g->spooled_bytes - bytes >=
               DISK_KEPT_BYTES;
}

/* One more for this account: why not now? */
static bool may_come(struct gateway_request *q, int64_t bytes)
{
    struct gateway *g = q->g;
    struct nr_str into = q->part[PART_ACCOUNT];

    if ((q->account->scopes & SCOPE_ADMIN) == 0 && !nr_str_eqz(into, q->account->name)) {
        request_refuse(q, 403,
                       "The supplied authentication is not authorized to access this "
                       "resource.");
        return false;
    }
    NR_LIST_EACH(&g->spooling, l) {
        if (nr_str_eq(nr_container_of(l, struct gateway_request, spooling)->part[PART_ACCOUNT],
                      into)) {
            request_refuse(q, 429, "An archive is coming in for this account; try again after it.");
            return false;
        }
    }
    if (g->spooled_bytes + bytes > TOGETHER * archive_max_bytes(q)) {
        request_head(q, "Retry-After: 30\r\n");
        request_refuse(q, 503,
                       "Other archives are coming in (%lld bytes of %lld). Try again later.",
                       (long long)g->spooled_bytes, TOGETHER * (long long)archive_max_bytes(q));
        return false;
    }
    if (!disk_has(g, bytes)) {
        request_refuse(q, 507, "The disk has no room for an archive of %lld bytes.",
                       (long long)bytes);
        return false;
    }
    return true;
}

void archive_body_begin(struct gateway_request *q)
{
    struct gateway *g = q->g;
    int64_t bytes = q->http.content_length;
    int fd;

    if (g->config.spool_dir == NULL || bytes < SPOOL_FROM_BYTES || q->http.body_fd > 0 ||
        !may_come(q, bytes))
        return;
    fd = open(g->config.spool_dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd <= 0) {
        request_refuse(q, 503, "The archive cannot be kept in the data folder: %s.",
                       strerror(errno));
        return;
    }
    q->http.body_fd = fd;
    q->spooled_bytes = bytes;
    g->spooled_bytes += bytes;
    nr_list_add(&g->spooling, &q->spooling);
}

void archive_body_end(struct gateway_request *q)
{
    if (q->spooled_bytes == 0)
        return;
    nr_list_del(&q->spooling);
    q->g->spooled_bytes -= q->spooled_bytes;
    q->spooled_bytes = 0;
}
