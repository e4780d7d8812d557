/* Archives of accounts may be larger than memory: from some size on they lie in a file of the data folder while they come in, which has no name and
 * goes with its request. All of them together have one bound, and the disk keeps room for what must be written.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/statvfs.h>

#include "gateway/internal.h"

#define SPOOL_FROM_BYTES ((int64_t)8 << 20)
#define DISK_KEPT_BYTES ((int64_t)512 << 20)

int64_t archive_max_bytes(const struct gateway_request *q)
{
    const struct gateway_config *c = &q->g->config;
    int64_t held = (int64_t)route_body(q->route)->max_bytes;

    if (c->spool_dir == NULL || q->http.content_length < 0)
        return held; /* its length is not known before it is here */
    return c->import_max_bytes > 0 ? c->import_max_bytes : held;
}

static bool disk_has(const char *dir, int64_t bytes)
{
    struct statvfs s;

    return statvfs(dir, &s) == 0 &&
           (int64_t)(s.f_bavail * (uint64_t)s.f_frsize) - bytes >= DISK_KEPT_BYTES;
}

void archive_body_begin(struct gateway_request *q)
{
    struct gateway *g = q->g;
    int64_t bytes = q->http.content_length;
    int fd;

    if (g->config.spool_dir == NULL || bytes < SPOOL_FROM_BYTES || q->http.body_fd > 0)
        return;
    if (g->spooled_bytes + bytes > archive_max_bytes(q)) {
        request_head(q, "Retry-After: 30\r\n");
        request_refuse(q, 503,
                       "Other archives are coming in (%lld bytes of %lld). Try again later.",
                       (long long)g->spooled_bytes, (long long)archive_max_bytes(q));
        return;
    }
    if (!disk_has(g->config.spool_dir, bytes)) {
        request_refuse(q, 507, "The disk has no room for an archive of %lld bytes.",
                       (long long)bytes);
        return;
    }
    fd = open(g->config.spool_dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd <= 0) {
        request_refuse(q, 503, "The archive cannot be kept in the data folder: %s.",
                       strerror(errno));
        return;
    }
    q->http.body_fd = fd;
    q->spooled_bytes = bytes;
    g->spooled_bytes += bytes;
}

void archive_body_end(struct gateway_request *q)
{
    q->g->spooled_bytes -= q->spooled_bytes;
    q->spooled_bytes = 0;
}
