/* The probe's container, top to bottom: folder and socket, create, start, its hello, a network slot, its control groups (memory limit, parent, freezer,
 * raise, count of OOM kills), the Engine's own pause and update where they are needed, a kill and the exit status.
 */
#include "invoker/probe_container.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "common/base/clock.h"
#include "common/base/json.h"
#include "invoker/cgroup.h"
#include "invoker/identity.h"
#include "invoker/internal.h"
#include "invoker/start.h"

enum {
    PROBE_MEMORY_MB = 64,
    PROBE_RAISED_MB = 128,
    PROBE_CPU_SHARES = 512,
    DIAL_MAX_MS = 5000,
    FREEZE_MAX_US = 500000,
    PATH_MAX_BYTES = 512
};

struct attempt {
    struct invoker *v;
    struct trial *t;
    char folder[128];
    int listener, conn; /* -1 */
    pid_t pid;
    uint64_t create_us, dial_us;
    struct nr_err err;
};

__attribute__((format(printf, 3, 4))) static void answer(struct finding *f, bool yes,
                                                         const char *fmt, ...)
{
    va_list ap;

    f->yes = yes;
    va_start(ap, fmt);
    (void)vsnprintf(f->text, sizeof(f->text), fmt, ap);
    va_end(ap);
}

/* ---- up to its hello ---------------------------------------------------------------------------------------- */

static int listen_at(struct attempt *a)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};

    (void)snprintf(a->folder, sizeof(a->folder), "%s/%s", a->v->folder, a->t->name);
    int n = snprintf(at.sun_path, sizeof(at.sun_path), "%s/s", a->folder);

    a->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (n < 0 || (size_t)n >= sizeof(at.sun_path) || a->listener < 0 ||
        mkdir(a->folder, 0755) < 0 ||
        bind(a->listener, (const struct sockaddr *)&at, sizeof(at)) < 0 ||
        listen(a->listener, 1) < 0 || chmod(a->folder, 0755) < 0 || chmod(at.sun_path, 0666) < 0)
        return nr_err_set(&a->err, NR_EIO, "%s: %s", a->folder, strerror(errno));
    return 0;
}

/* One POST whose reply is not needed, but for its "Id" or "StatusCode". */
static int post(struct attempt *a, const char *path, struct nr_str body, json_t **ret,
                struct nr_err *err)
{
    struct engine_reply reply = {0};
    int r = engine_want(engine_own_worker(a->v->engine), "POST", path, body, ENGINE_ASK_MS, &reply,
                        err);

    if (r == 0 && ret)
        *ret = nr_json_parse(nr_buf_str(&reply.body), NULL);
    nr_buf_fini(&reply.body);
    return r;
}

/* POST /containers/<id>/<what>. */
static int post_to(struct attempt *a, const char *what, struct nr_str body, json_t **ret,
                   struct nr_err *err)
{
    char path[PATH_MAX_BYTES];

    (void)snprintf(path, sizeof(path), "/containers/%s/%s", a->t->id, what);
    return post(a, path, body, ret, err);
}

static int create_and_start(struct attempt *a, const char *image)
{
    struct create_spec spec = create_spec_here(a->v);
    char path[PATH_MAX_BYTES];
    nr_auto_json json_t *made = NULL;
    size_t n = 0;
    uint64_t begun_us = nr_mono_us();

    spec.image = image;
    spec.id = a->t->name;
    spec.socket_dir = a->folder;
    spec.kind = "probe";
    spec.memory_mb = PROBE_MEMORY_MB;
    spec.code_tmpfs_mb = 1;
    spec.seccomp = a->t->seccomp;
    spec.runtime = a->t->runtime;
    spec.cgroup_parent = a->t->cgroup_parent;
    nr_auto_free char *body = create_body(&spec, &n);

    (void)snprintf(path, sizeof(path), "/containers/create?name=narae-%.8s-%s", a->v->installation,
                   a->t->name);
    int r = body ? post(a, path, (struct nr_str){body, n}, &made, &a->err) : NR_ENOMEM;
    const char *id = made ? nr_json_string(made, "Id") : NULL;

    if (r < 0 || !engine_is_id(id))
        return r < 0 ? r : nr_err_set(&a->err, NR_EPROTO, "the Engine named no container id");
    (void)snprintf(a->t->id, sizeof(a->t->id), "%s", id);
    a->create_us = nr_mono_us() - begun_us;
    return post_to(a, "start", (struct nr_str){NULL, 0}, NULL, &a->err);
}

static bool readable(int fd, int ms)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};

    return poll(&p, 1, ms) == 1;
}

static int await_hello(struct attempt *a, uint64_t begun_us)
{
    struct ucred peer;
    struct nr_frame head;
    socklen_t n = sizeof(peer);

    if (!readable(a->listener, DIAL_MAX_MS) ||
        (a->conn = accept4(a->listener, NULL, NULL, SOCK_CLOEXEC)) < 0)
        return nr_err_set(&a->err, NR_ETIMEOUT, "the agent did not dial in within %d s",
                          DIAL_MAX_MS / 1000);
    if (getsockopt(a->conn, SOL_SOCKET, SO_PEERCRED, &peer, &n) < 0 || peer.uid != CONTAINER_UID ||
        !inside_cgroup(peer.pid, a->t->id))
        return nr_err_set(
            &a->err, NR_EFORBIDDEN,
            "uid %u, pid %d dialled, which the kernel does not place in the container: are we in another pid namespace than the Engine?",
            (unsigned)peer.uid, (int)peer.pid);
    if (!readable(a->conn, DIAL_MAX_MS) ||
        read(a->conn, &head, sizeof(head)) != (ssize_t)sizeof(head) || head.type != NR_FRAME_HELLO)
        return nr_err_set(&a->err, NR_EPROTO, "the agent did not say hello");
    a->pid = peer.pid;
    a->dial_us = nr_mono_us() - begun_us;
    return 0;
}

/* ---- what its control groups let us do ---------------------------------------------------------------------- */

static bool await_frozen(const struct cgroup *g)
{
    uint64_t until_us = nr_mono_us() + FREEZE_MAX_US;

    while (!cgroup_frozen(g))
        if (nr_mono_us() > until_us)
            return false;
    return true;
}

/* Thawed whatever came before: a container that stays frozen could not be removed. */
static void try_freezer(struct trial *t, const struct cgroup *g)
{
    struct nr_err err = {0};
    bool froze = cgroup_freeze(g, &err) == 0 && await_frozen(g);
    uint64_t begun_us = nr_mono_us();
    bool thawed = cgroup_thaw(g, &err) == 0 && !cgroup_frozen(g);

    if (froze && thawed)
        answer(&t->freezer, true, "the container's own control group, thawed in %llu us",
               (unsigned long long)(nr_mono_us() - begun_us));
    else
        answer(&t->freezer, false, "%s", err.text[0] ? err.text : "the kernel does not freeze it");
}

static void try_raise(struct trial *t, const struct cgroup *g)
{
    int64_t bytes = (int64_t)PROBE_RAISED_MB << 20;
    struct cgroup_usage u = {0};
    struct nr_err err = {0};
    uint64_t begun_us = nr_mono_us();
    int r = cgroup_raise(g, bytes, PROBE_CPU_SHARES, &err);
    uint64_t us = nr_mono_us() - begun_us;

    if (r == 0 && cgroup_read(g, &u) == 0 && u.memory_limit_bytes == bytes)
        answer(&t->raise, true, "the container's own control group, in %llu us",
               (unsigned long long)us);
    else
        answer(&t->raise, false, "%s", err.text[0] ? err.text : "the kernel did not take it");
}

static void try_cgroup(struct attempt *a)
{
    struct trial *t = a->t;
    struct cgroup g = {0};
    struct cgroup_usage u = {0};
    struct nr_err err = {0};

    if (cgroup_open(a->pid, a->t->id, &g, &err) < 0 || cgroup_read(&g, &u) < 0) {
        struct finding *const unknown[] = {&t->memory_limit, &t->freezer, &t->raise, &t->oom_count,
                                           &t->pool_cap};

        for (size_t i = 0; i < nr_countof(unknown); i++)
            answer(unknown[i], false, "%s", err.text);
    } else {
        bool below = g.memory && strstr(g.memory, t->cgroup_parent) != NULL;

        answer(&t->memory_limit, u.memory_limit_bytes == (int64_t)PROBE_MEMORY_MB << 20,
               "%lld MB of %d asked for", (long long)(u.memory_limit_bytes >> 20), PROBE_MEMORY_MB);
        answer(&t->oom_count, u.oom_kills >= 0, "%s",
               u.oom_kills >= 0 ? "the kernel counts the kills of each container"
                                : "this kernel does not count the kills of a container");
        answer(&t->pool_cap, t->cgroup_parent[0] && below, "the Engine put it into %s",
               g.memory ? g.memory : "?");
        try_freezer(t, &g);
        try_raise(t, &g);
    }
    cgroup_fini(&g);
}

/* Exactly as functions are: before the Engine's start call may have returned, by the process that dialled. */
static void try_network(struct attempt *a)
{
    struct trial *t = a->t;
    struct nr_err err = {0};
    uint64_t begun_us = nr_mono_us();

    if (t->network == NULL)
        return;
    if (network_try(t->network, a->pid, t->id, &err) == 0)
        answer(&t->plug, true, "tried in %llu us", (unsigned long long)(nr_mono_us() - begun_us));
    else
        answer(&t->plug, false, "%s", err.text);
}

/* ---- what the Engine does ----------------------------------------------------------------------------------- */

static void try_engine(struct attempt *a)
{
    static const struct nr_str none = {NULL, 0};
    struct trial *t = a->t;
    struct nr_err err = {0};
    char body[128];

    if (!t->freezer.yes || t->ask_engine_freezer) {
        uint64_t begun_us = nr_mono_us();
        int r = post_to(a, "pause", none, NULL, &err);

        if (r == 0)
            r = post_to(a, "unpause", none, NULL, &err);
        if (r == 0)
            answer(&t->engine_freezer, true, "the Engine's pause; both ways %llu us",
                   (unsigned long long)(nr_mono_us() - begun_us));
        else
            answer(&t->engine_freezer, false, "%s", err.text);
    }
    if (!t->raise.yes || t->ask_engine_raise) {
        int n = snprintf(body, sizeof(body), "{\"Memory\":%lld,\"MemorySwap\":%lld}",
                         (long long)PROBE_RAISED_MB << 20, (long long)PROBE_RAISED_MB << 20);
        int r = post_to(a, "update", (struct nr_str){body, (size_t)n}, NULL, &err);

        answer(&t->engine_raise, r == 0, "%s", r == 0 ? "the Engine's update" : err.text);
    }
}

static void read_exit(struct attempt *a)
{
    static const struct nr_str none = {NULL, 0};
    nr_auto_json json_t *waited = NULL;
    struct nr_err err = {0};
    int r = post_to(a, "kill?signal=KILL", none, NULL, &err);

    if (r == 0)
        r = post_to(a, "wait", none, &waited, &err);
    json_int_t code = json_integer_value(json_object_get(waited, "StatusCode"));

    if (r == 0)
        answer(&a->t->exit_status, code == 137, "%d after a kill", (int)code);
    else
        answer(&a->t->exit_status, false, "%s", err.text);
}

void trial_run(struct invoker *v, const char *image, struct trial *t)
{
    struct attempt a = {.v = v, .t = t, .listener = -1, .conn = -1};
    unsigned char random[4];
    uint64_t begun_us = nr_mono_us();

    t->id[0] = '\0';
    nr_random(random, sizeof(random));
    nr_hex(random, sizeof(random), t->name);
    if (listen_at(&a) == 0 && create_and_start(&a, image) == 0 && await_hello(&a, begun_us) == 0) {
        answer(&t->dial_in, true, "hello after %llu ms, of which create %llu",
               (unsigned long long)a.dial_us / 1000, (unsigned long long)a.create_us / 1000);
        try_network(&a);
        try_cgroup(&a);
        try_engine(&a);
        read_exit(&a);
    } else {
        answer(&t->dial_in, false, "%s", a.err.text);
    }
    if (a.conn >= 0)
        (void)close(a.conn);
    if (a.listener >= 0)
        (void)close(a.listener);
}

void trial_remove(struct invoker *v, const struct trial *t, bool now)
{
    char path[PATH_MAX_BYTES];
    struct engine_reply reply = {0};

    if (t->id[0] && !now) {
        remove_orphan(v, t->id, t->name);
        return;
    }
    (void)snprintf(path, sizeof(path), "/containers/%s?force=1&v=1", t->id);
    if (t->id[0])
        (void)engine_call(engine_own_worker(v->engine), "DELETE", path, (struct nr_str){NULL, 0},
                          ENGINE_ASK_MS, &reply, NULL);
    nr_buf_fini(&reply.body);
    if (t->name[0])
        (void)identity_remove(v->folder, t->name, NULL);
}
