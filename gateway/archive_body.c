/* Archives of accounts may be larger than memory: from some size on they lie in a file of the data folder while they come in, which has no name and
 * goes with its request. One comes in for an account at a time; all of them together have a bound, and the disk keeps room for what must be written.
 * What one has announced others cannot take: so who sends slowly holds up himself, and others when there is no room beside him, and is cut off when he
 * falls behind a pace that ends within about an hour.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/statvfs.h>

#include "common/base/size.h"
#include "gateway/internal.h"

#define SPOOL_FROM_BYTES ((int64_t)8 << 20)
#define DISK_KEPT_BYTES ((int64_t)512 << 20)
#define TOGETHER 4 /* times the largest one */
#define WITHIN_MS ((uint64_t)3600 * 1000)
#define PACE_MAX_BYTES_S ((uint64_t)16 << 20)
#define RETRY_AFTER_S 30

int64_t archive_max_bytes(const struct gateway_request *q)
{
    const struct gateway_config *c = &q->g->config;
    int64_t held = (int64_t)route_body(q->route)->max_bytes;

    if (c->spool_dir == NULL || q->http.content_length < 0)
        return held; /* its length is not known before it is here */
    return c->import_max_bytes > 0 ? (int64_t)nr_size_of(c->import_max_bytes) : held;
}

void archive_retry_later(struct gateway_request *q)
{
    request_head(q, "Retry-After: %d\r\n", RETRY_AFTER_S);
}

/* Of those that are coming in: what is in their files is gone from the disk's room already. */
static int64_t to_come_bytes(const struct gateway *g)
{
    int64_t bytes = 0;

    NR_LIST_EACH(&g->spooling, l) {
        const struct gateway_request *q = nr_container_of(l, struct gateway_request, spooling);

        bytes += q->spooled_bytes - (int64_t)nr_http_filed_bytes(&q->http);
    }
    return bytes;
}

/* What archives may take of the disk. */
static int64_t disk_room_bytes(const struct gateway *g)
{
    struct statvfs s;

    if (statvfs(g->config.spool_dir, &s) < 0)
        return 0;
    return (int64_t)(s.f_bavail * (uint64_t)s.f_frsize) - DISK_KEPT_BYTES;
}

/* Who waits for others is told so. */
static bool disk_has_room(struct gateway_request *q, int64_t bytes)
{
    int64_t room = disk_room_bytes(q->g), to_come = to_come_bytes(q->g);

    if (bytes > room) {
        request_refuse(q, 507,
                       "The disk has no room for an archive of %lld bytes (allowed now: %lld).",
                       (long long)bytes, (long long)(room > 0 ? room : 0));
        return false;
    }
    if (bytes > room - to_come) {
        archive_retry_later(q);
        request_refuse(
            q, 503,
            "Other archives are coming in, and beside what is still to come of them (%lld "
            "bytes) the disk has no room for one of %lld. Try again later.",
            (long long)to_come, (long long)bytes);
        return false;
    }
    return true;
}

static bool is_coming(const struct gateway *g, struct nr_str account)
{
    NR_LIST_EACH(&g->spooling, l) {
        if (nr_str_eq(nr_container_of(l, struct gateway_request, spooling)->part[PART_ACCOUNT],
                      account))
            return true;
    }
    return false;
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
    if (is_coming(g, into)) {
        archive_retry_later(q);
        request_refuse(q, 429,
                       "An archive is coming in for this account (allowed: 1 per account); try "
                       "again after it.");
        return false;
    }
    if (g->spooled_bytes + bytes > TOGETHER * archive_max_bytes(q)) {
        archive_retry_later(q);
        request_refuse(q, 503,
                       "Other archives are coming in (%lld bytes of %lld). Try again later.",
                       (long long)g->spooled_bytes, TOGETHER * (long long)archive_max_bytes(q));
        return false;
    }
    return disk_has_room(q, bytes);
}

/* A place is held for about an hour at most; of very large ones no more is asked than this pace. */
static uint64_t within_ms(int64_t bytes)
{
    uint64_t at_most_asked_ms = (uint64_t)bytes / (PACE_MAX_BYTES_S / 1000);

    return at_most_asked_ms > WITHIN_MS ? at_most_asked_ms : WITHIN_MS;
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
    q->http.body_within_ms = within_ms(bytes);
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
