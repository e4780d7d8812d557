/* The side of who comes: everything that can fail is tried while the other one still serves; only then is it asked to let go. Blocking, before the loop
 * runs. How the two speak is told in takeover.h.
 */
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "daemon/daemon.h"
#include "daemon/runtime_images.h"
#include "daemon/takeover.h"

enum { HELLO_MS = 10000, RELEASE_MS = 30000, OPEN_MS = 120000 };

struct connection {
    int fd; /* given */
    bool untouched;
};

struct takeover {
    int fd;
    uint64_t revision;
    struct connection *connections;
    size_t count, room;
};

static int fail(const struct takeover *t, int r, const char *what, struct nr_err *err)
{
    (void)t;
    return nr_err_set(err, r, "the process that serves %s: it goes on serving", what);
}

/* "listening 1 0.9.0", with the sockets; or "no SENTENCE". */
static int hear_hello(struct daemon *d, struct nr_err *err)
{
    struct takeover *t = d->takeover;
    struct passed p;
    int protocol = 0;
    char version[64];
    int r = pass_receive(t->fd, HELLO_MS, &p);

    if (r < 0)
        return fail(t, r, r == NR_ECLOSED ? "has ended or does not speak to us" : "does not answer",
                    err);
    bool fits = sscanf(p.text, "listening %d %63s", &protocol, version) == 2 &&
                protocol >= TAKEOVER_OLDEST && protocol <= TAKEOVER_PROTOCOL && p.count > 0 &&
                p.count <= LISTENING_MAX;

    if (!fits) {
        pass_close(p.fds, p.count);
        if (strncmp(p.text, "no ", 3) == 0)
            return nr_err_set(err, NR_EBUSY, "nothing was taken over: %s", p.text + 3);
        return fail(t, NR_EPROTO, "gives no sockets that this release understands", err);
    }
    pass_close(d->listening.fds, d->listening.count);
    memcpy(d->listening.fds, p.fds, p.count * sizeof(p.fds[0]));
    d->listening.count = p.count;
    nr_log(&d->log, NR_LOG_INFO, "daemon", "naraed %s serves, and will be asked to hand over",
           version);
    return 0;
}

int takeover_find(struct daemon *d, bool *ret_found, struct nr_err *err)
{
    char path[DAEMON_PATH_BYTES + 16], hello[PASS_TEXT_BYTES];
    int fd = -1;

    (void)snprintf(path, sizeof(path), "%s/takeover", d->run);
    int r = pass_dial(path, &fd);

    *ret_found = r == 0;
    if (r == NR_ENOENT) {
        nr_log(&d->log, NR_LOG_WARN, "daemon",
               "nobody serves at %s: this is a start like any other", path);
        return 0;
    }
    if (r < 0)
        return nr_err_set(err, r, "%s: %s", path, nr_err_text(r));
    d->takeover = nr_alloc(sizeof(*d->takeover));
    d->takeover->fd = fd;
    (void)snprintf(hello, sizeof(hello), "hello %d %d %s %.16s", TAKEOVER_PROTOCOL, TAKEOVER_OLDEST,
                   NARAE_VERSION, d->installation);
    if ((r = pass_send(fd, hello, NULL, 0)) < 0)
        return fail(d->takeover, r, "does not hear", err);
    r = hear_hello(d, err);
    return r == 0 ? listening_judge(d, err) : r;
}

static void keep_connections(struct takeover *t, const struct passed *p)
{
    if (p->count == 0)
        return;
    if (t->count + p->count > t->room) {
        t->room = 2 * (t->count + p->count);
        struct connection *more = nr_alloc(t->room * sizeof(*more));

        if (t->count)
            memcpy(more, t->connections, t->count * sizeof(*more));
        free(t->connections);
        t->connections = more;
    }
    for (size_t i = 0; i < p->count; i++)
        t->connections[t->count++] =
            (struct connection){p->fds[i], strcmp(p->text, "untouched") == 0};
}

int takeover_ask(struct daemon *d, struct nr_err *err)
{
    struct takeover *t = d->takeover;
    unsigned long long revision = 0;
    struct passed p;

    supervisor_extend(RELEASE_MS + OPEN_MS);
    int r = pass_send(t->fd, "ask", NULL, 0);

    while (r == 0 && (r = pass_receive(t->fd, RELEASE_MS, &p)) == 0) {
        keep_connections(t, &p);
        if (sscanf(p.text, "released %llu", &revision) == 1)
            break;
        if (strncmp(p.text, "no ", 3) == 0)
            return nr_err_set(err, NR_EBUSY, "nothing was taken over: %s", p.text + 3);
    }
    if (r < 0 && r != NR_ECLOSED)
        return fail(t, r, "does not let go", err);
    if (r == NR_ECLOSED)
        nr_log(&d->log, NR_LOG_WARN, "daemon",
               "the process that served has died; this start goes on as after a crash");
    t->revision = revision;
    return 0;
}

int takeover_adopt(struct daemon *d, struct nr_err *err)
{
    int r = endings_read(d->endings, err);

    if (r < 0 || d->invoker == NULL)
        return r;
    if (part_adopt(d, err) < 0)
        nr_log(&d->log, NR_LOG_WARN, "daemon",
               "containers of the process before could not be listed: %s", err->text);
    *err = (struct nr_err){0};
    if (!endings_any(d->endings))
        invoker_alone(d->invoker);
    return 0;
}

uint64_t takeover_revision(const struct takeover *t)
{
    return t ? t->revision : 0;
}

void takeover_serving(struct daemon *d)
{
    struct takeover *t = d->takeover;

    if (t == NULL)
        return;
    for (size_t i = 0; i < t->count; i++)
        gateway_adopt(d->gateway, t->connections[i].fd, t->connections[i].untouched);
    nr_log(&d->log, NR_LOG_INFO, "daemon", "taken over, with %zu connections", t->count);
    t->count = 0;
    (void)pass_send(t->fd, "serving", NULL, 0);
    (void)close(t->fd);
    t->fd = -1;
}

void takeover_free(struct takeover *t)
{
    if (t == NULL)
        return;
    for (size_t i = 0; i < t->count; i++)
        (void)close(t->connections[i].fd);
    if (t->fd >= 0)
        (void)close(t->fd);
    free(t->connections);
    free(t);
}
