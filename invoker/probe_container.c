/* The probe's container, top to bottom: folder and socket, create, start, its hello, its control group's memory limit, a kill and the
 * exit status. Its removal is left to a worker.
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
#include "invoker/internal.h"
#include "invoker/seccomp.h"
#include "invoker/start.h"

enum { PROBE_MEMORY_MB = 64, DIAL_MAX_MS = 5000, PATH_MAX_BYTES = 512 };

struct trial {
    struct invoker *v;
    char name[9], folder[128], id[65];
    int listener, conn; /* -1 */
    pid_t pid;
    uint64_t create_us, dial_us;
    struct nr_err err;
};

static int listen_at(struct trial *t)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};

    (void)snprintf(t->folder, sizeof(t->folder), "%s/%s", t->v->folder, t->name);
    int n = snprintf(at.sun_path, sizeof(at.sun_path), "%s/s", t->folder);

    t->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (n < 0 || (size_t)n >= sizeof(at.sun_path) || t->listener < 0 ||
        mkdir(t->folder, 0755) < 0 ||
        bind(t->listener, (const struct sockaddr *)&at, sizeof(at)) < 0 ||
        listen(t->listener, 1) < 0 || chmod(t->folder, 0755) < 0 || chmod(at.sun_path, 0666) < 0)
        return nr_err_set(&t->err, NR_EIO, "%s: %s", t->folder, strerror(errno));
    return 0;
}

/* One POST whose reply is not needed, but for its "Id" or "StatusCode". */
static int post(struct trial *t, const char *path, struct nr_str body, json_t **ret)
{
    struct engine_reply reply = {0};
    int r = engine_want(engine_own_worker(t->v->engine), "POST", path, body, ENGINE_ASK_MS, &reply,
                        &t->err);

    if (r == 0 && ret)
        *ret = nr_json_parse(nr_buf_str(&reply.body), NULL);
    nr_buf_fini(&reply.body);
    return r;
}

static int create_and_start(struct trial *t, const char *image)
{
    struct create_spec spec = create_spec_here(t->v);
    char path[PATH_MAX_BYTES];
    nr_auto_json json_t *made = NULL;
    size_t n = 0;
    uint64_t begun_us = nr_mono_us();

    spec.image = image;
    spec.id = t->name;
    spec.socket_dir = t->folder;
    spec.kind = "probe";
    spec.memory_mb = PROBE_MEMORY_MB;
    spec.code_tmpfs_mb = 1;
    nr_auto_free char *body = create_body(&spec, &n);

    (void)snprintf(path, sizeof(path), "/containers/create?name=narae-%.8s-%s", t->v->installation,
                   t->name);
    int r = body ? post(t, path, (struct nr_str){body, n}, &made) : NR_ENOMEM;
    const char *id = made ? nr_json_string(made, "Id") : NULL;

    if (r < 0 || id == NULL)
        return r < 0 ? r : nr_err_set(&t->err, NR_EPROTO, "the Engine named no container id");
    (void)snprintf(t->id, sizeof(t->id), "%s", id);
    t->create_us = nr_mono_us() - begun_us;
    (void)snprintf(path, sizeof(path), "/containers/%s/start", t->id);
    return post(t, path, (struct nr_str){NULL, 0}, NULL);
}

static bool readable(int fd, int ms)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};

    return poll(&p, 1, ms) == 1;
}

static int await_hello(struct trial *t, uint64_t begun_us)
{
    struct ucred peer;
    struct nr_frame head;
    socklen_t n = sizeof(peer);

    if (!readable(t->listener, DIAL_MAX_MS) ||
        (t->conn = accept4(t->listener, NULL, NULL, SOCK_CLOEXEC)) < 0)
        return nr_err_set(&t->err, NR_ETIMEOUT, "the agent did not dial in within %d s",
                          DIAL_MAX_MS / 1000);
    if (getsockopt(t->conn, SOL_SOCKET, SO_PEERCRED, &peer, &n) < 0 || peer.uid != CONTAINER_UID ||
        !inside_cgroup(peer.pid, t->id))
        return nr_err_set(
            &t->err, NR_EFORBIDDEN,
            "uid %u, pid %d dialled, which the kernel does not place in the container: are we in another pid namespace than the Engine?",
            (unsigned)peer.uid, (int)peer.pid);
    if (!readable(t->conn, DIAL_MAX_MS) ||
        read(t->conn, &head, sizeof(head)) != (ssize_t)sizeof(head) || head.type != NR_FRAME_HELLO)
        return nr_err_set(&t->err, NR_EPROTO, "the agent did not say hello");
    t->pid = peer.pid;
    t->dial_us = nr_mono_us() - begun_us;
    return 0;
}

/* The folder of the process's memory control group, below where such groups are mounted. */
static bool memory_file(pid_t pid, bool v1, char out[PATH_MAX_BYTES])
{
    char path[64], line[PATH_MAX_BYTES];
    bool found = false;

    (void)snprintf(path, sizeof(path), "/proc/%d/cgroup", (int)pid);
    FILE *f = fopen(path, "re");

    while (f && !found && fgets(line, sizeof(line), f)) {
        struct nr_str rest = nr_str_of(line), number, controllers;

        line[strcspn(line, "\n")] = '\0';
        rest = nr_str_of(line);
        if (!nr_str_split(&rest, ':', &number) || !nr_str_split(&rest, ':', &controllers))
            continue;
        found = v1 ? nr_str_eqz(controllers, "memory") : controllers.n == 0;
        if (found)
            found = snprintf(out, PATH_MAX_BYTES, "/sys/fs/cgroup%s%.*s/%s", v1 ? "/memory" : "",
                             (int)rest.n, rest.p,
                             v1 ? "memory.limit_in_bytes" : "memory.max") < PATH_MAX_BYTES;
    }
    if (f)
        (void)fclose(f);
    return found;
}

static void read_limit(struct trial *t)
{
    struct probe *p = &t->v->probe;
    char path[PATH_MAX_BYTES], text[64] = "";
    FILE *f = memory_file(t->pid, p->cgroup_v1, path) ? fopen(path, "re") : NULL;
    bool read = f && fgets(text, sizeof(text), f);
    int64_t bytes = 0;

    if (f)
        (void)fclose(f);
    text[strcspn(text, "\n")] = '\0';
    if (!read || !nr_str_to_i64(nr_str_of(text), 0, INT64_MAX, &bytes))
        probe_found(p, "memory limit", false,
                    "the control group's files are not visible here; the Engine's word is taken");
    else
        probe_found(p, "memory limit", bytes == (int64_t)PROBE_MEMORY_MB << 20,
                    "%lld MB of %d asked for", (long long)(bytes >> 20), PROBE_MEMORY_MB);
}

static void read_exit(struct trial *t)
{
    char path[PATH_MAX_BYTES];
    nr_auto_json json_t *waited = NULL;

    (void)snprintf(path, sizeof(path), "/containers/%s/kill?signal=KILL", t->id);
    int r = post(t, path, (struct nr_str){NULL, 0}, NULL);

    (void)snprintf(path, sizeof(path), "/containers/%s/wait", t->id);
    if (r == 0)
        r = post(t, path, (struct nr_str){NULL, 0}, &waited);
    json_int_t code = json_integer_value(json_object_get(waited, "StatusCode"));

    probe_found(&t->v->probe, "exit status", r == 0 && code == 137,
                r == 0 ? "%d after a kill" : "%d: not told", (int)code);
}

static bool try_once(struct invoker *v, const char *image, struct nr_err *err)
{
    struct trial t = {.v = v, .listener = -1, .conn = -1};
    unsigned char random[4];
    uint64_t begun_us = nr_mono_us();

    nr_random(random, sizeof(random));
    nr_hex(random, sizeof(random), t.name);
    bool dialled =
        listen_at(&t) == 0 && create_and_start(&t, image) == 0 && await_hello(&t, begun_us) == 0;
    if (dialled) {
        probe_found(&v->probe, "dial-in", true, "hello after %llu ms, of which create %llu",
                    (unsigned long long)t.dial_us / 1000, (unsigned long long)t.create_us / 1000);
        read_limit(&t);
        read_exit(&t);
    }
    if (t.conn >= 0)
        (void)close(t.conn);
    if (t.listener >= 0)
        (void)close(t.listener);
    if (t.id[0])
        remove_orphan(v, t.id, t.name);
    *err = t.err;
    return dialled;
}

void probe_container(struct invoker *v, const char *image)
{
    struct nr_err err = {0};

    v->seccomp = v->probe.seccomp ? seccomp_profile() : NULL;
    bool dialled = try_once(v, image, &err);
    if (!dialled && v->seccomp) { /* is it the profile? */
        free(v->seccomp);
        v->seccomp = NULL;
        dialled = try_once(v, image, &err);
    }
    if (!dialled)
        probe_found(&v->probe, "dial-in", false, "%s", err.text);
    probe_found(&v->probe, "seccomp", v->probe.seccomp, "%s",
                v->seccomp         ? "our profile, for one architecture"
                : v->probe.seccomp ? "the Engine's default profile"
                                   : "the Engine was built without; functions run unfiltered");
}
