/* The side of who serves: it waits at <run>/takeover for one who comes after it, and lets go when it is asked to.
 *
 * release_tick() is the story: the cases stand in the order in which things happen, `return` means that somebody ticks again. Up to `ask` nothing is
 * changed, and one who goes away is forgotten. From then on there is no way back: what follows is short, and one who dies after it is replaced by a
 * process of the program that runs here, which has the sockets that everybody knows. So is one who does not serve in time; it is ended first, for two
 * that have the data folder at the same time must never be.
 * What remains is a process that ends its calls, however long these take: the same stop as after a signal, without a bound on their time.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "daemon/daemon.h"
#include "daemon/runtime_images.h"
#include "daemon/sampler.h"
#include "daemon/takeover.h"
#include "ports/errand.h"
#include "ports/preenv.h"

enum {
    HELLO_MS = 5000,     /* to say who it is */
    PREPARE_MS = 600000, /* from then on to ask */
    STEP_MS = 2,
    SHORT_MS =
        500, /* so long what has begun may come in, and short calls may end, while new connections wait */
    SCALER_MS = 2000, /* for its last words */
    GREETING_MS =
        3000, /* so long one may take who opens an encrypted connection in the very moment */
    OPEN_MS = 120000,    /* for the other one to serve */
    CALLS_MS = 86400000, /* no call may last so long */
    CONNECTIONS_MAX = 16000,
};

enum stage {
    WAITS,   /* nobody is here */
    GREETED, /* one who comes prepares itself */
    TAKES,   /* asked: what has begun comes in */
    ENDS,    /* nothing new: short calls end */
    LETS_GO, /* what is idle, the registry, the lock */
    TELLS,   /* it is given all that */
    AWAITS,  /* the other one opens, or ends */
    FINISHES /* it serves; our calls end */
};

/* Connections of one sort that are given away. */
struct gift {
    int *fds; /* given */
    size_t count, sent;
};

struct release {
    struct daemon *d;
    enum stage stage;
    uv_poll_t door, peer, end;
    int door_fd, peer_fd, peer_pidfd; /* -1: none */
    struct own_ending ending;
    pid_t peer_pid, child;
    struct nr_deadline step;
    uint64_t until_ms;
    struct listening sockets; /* copies */
    struct gift idle, untouched;
    uint64_t begun_ms;
    char released[64];
    bool calls_done, scaler_done, hurried;
    bool peer_closing;  /* its handle is */
    bool serves, ended; /* the other one */
    bool watched;       /* `end` is open */
    bool gone;          /* its end of the socket is closed */
    bool killed;
};

static void release_tick(struct release *r);

static void on_step(struct nr_deadline *d)
{
    release_tick(nr_container_of(d, struct release, step));
}

/* Ticked again soon; false: the time of this stage is over. */
static bool later(struct release *r)
{
    if (r->d->loop.now_ms >= r->until_ms)
        return false;
    nr_deadline_set(&r->d->loop, &r->step, STEP_MS);
    return true;
}

static void on_calls_done(void *arg)
{
    struct release *r = arg;

    r->calls_done = true;
    if (r->stage == FINISHES)
        release_tick(r);
}

static void on_scaler_stopped(void *arg)
{
    ((struct release *)arg)->scaler_done = true;
}

static void on_door_closed(void *arg)
{
    (void)arg; /* answers are out; what matters is that no call runs */
}

static void on_peer_closed(uv_handle_t *h)
{
    ((struct release *)h->data)->peer_closing = false;
}

static void forget_peer(struct release *r)
{
    if (r->peer_fd < 0)
        return;
    (void)uv_poll_stop(&r->peer);
    r->peer_closing = true;
    uv_close((uv_handle_t *)&r->peer, on_peer_closed);
    (void)close(r->peer_fd);
    r->peer_fd = -1;
    if (r->stage <= GREETED) { /* else its end is waited for */
        pass_close(&r->peer_pidfd, r->peer_pidfd >= 0);
        r->peer_pidfd = -1;
    }
}

static void close_door(struct release *r)
{
    if (r->door_fd < 0)
        return;
    uv_close((uv_handle_t *)&r->door, NULL);
    (void)close(r->door_fd);
    r->door_fd = -1;
}

/* ---- letting go ------------------------------------------------------------------------------------------------- */

/* Idle connections, and those that are quite new. */
static void collect(struct release *r)
{
    struct gift *i = &r->idle, *u = &r->untouched;

    i->count += gateway_hand_over(r->d->gateway, i->fds + i->count, CONNECTIONS_MAX - i->count);
    u->count +=
        gateway_hand_over_untouched(r->d->gateway, u->fds + u->count, CONNECTIONS_MAX - u->count);
}

static void begin(struct release *r)
{
    struct daemon *d = r->d;

    nr_log(&d->log, NR_LOG_INFO, "daemon", "process %d takes over", (int)r->peer_pid);
    supervisor_extend(SHORT_MS + SCALER_MS + OPEN_MS);
    d->handed = true;
    d->stopping = true; /* the next signal but one ends at once */
    r->idle.fds = nr_alloc(CONNECTIONS_MAX * sizeof(*r->idle.fds));
    r->untouched.fds = nr_alloc(CONNECTIONS_MAX * sizeof(*r->untouched.fds));
    collect(r);
    preenv_tester_stop(d->tester);
    errands_stop(d->errands);
    if (d->scaler)
        scaler_stop(d->scaler, on_scaler_stopped, r);
    r->scaler_done = d->scaler == NULL;
    r->begun_ms = d->loop.now_ms;
    r->until_ms = r->begun_ms + SHORT_MS;
}

/* What has begun becomes a call; who has just opened an encrypted connection is about to ask, and nobody else can hear him. */
static bool still_takes(struct release *r)
{
    unsigned greeting = gateway_greeting(r->d->gateway);

    if (greeting > 0)
        r->until_ms = r->begun_ms + GREETING_MS;
    return (greeting > 0 || gateway_reading(r->d->gateway) > 0) && later(r);
}

static void refuse_new(struct release *r)
{
    struct daemon *d = r->d;

    collect(r);
    gateway_set_ready(d->gateway, false);
    gateway_drain(d->gateway, on_door_closed, r);
    controller_drain(d->controller, r->hurried ? (uint64_t)d->options.drain_s * 1000 : CALLS_MS,
                     on_calls_done, r);
}

/* Without that of processes that were here before us. */
static int64_t own_memory_mb(void *arg)
{
    struct daemon *d = arg;

    return atomic_load(&d->node.memory_used_mb) - endings_memory_mb(d->endings);
}

/* Files, the registry's last commit and the door: nobody is served here any more who could wait for it. */
static void let_go(struct release *r)
{
    struct daemon *d = r->d;
    struct nr_buf ours;
    struct nr_err err = {0};

    sampler_hush(d->sampler); /* the other one tells what happens from now on */
    nr_buf_init(&ours, 1 << 20);
    int64_t memory_mb = d->invoker ? invoker_hand_over(d->invoker, &ours) : 0;

    if (own_ending_write(&r->ending, d->run, memory_mb, controller_run(d->controller),
                         nr_buf_str(&ours), &err) < 0)
        nr_log(&d->log, NR_LOG_ERROR, "daemon",
               "calls that run will be taken for those of a process that died: %s", err.text);
    invokers_hand_over(d->invokers);
    own_ending_tell(&r->ending, &d->loop, own_memory_mb, d);
    nr_buf_fini(&ours);
    (void)snprintf(r->released, sizeof(r->released), "released %llu",
                   (unsigned long long)fnmanager_freeze(d->fnmanager));
    close_door(r); /* the path is the other one's */
    (void)close(d->lock_fd);
    d->lock_fd = -1;
    r->until_ms = d->loop.now_ms + OPEN_MS;
}

static int send_gift(const struct release *r, const char *words, struct gift *g)
{
    int e = 0;

    while (e == 0 && g->sent < g->count) {
        size_t n = g->count - g->sent < PASS_FDS_MAX ? g->count - g->sent : PASS_FDS_MAX;

        e = pass_send(r->peer_fd, words, g->fds + g->sent, n);
        if (e < 0)
            break;
        pass_close(g->fds + g->sent, n);
        g->sent += n;
    }
    return e;
}

/* Connections, and that the folder is free. NR_EBUSY: it has not read yet what it was told before. */
static int tell(struct release *r)
{
    int e = send_gift(r, "connections", &r->idle);

    if (e == 0)
        e = send_gift(r, "untouched", &r->untouched);
    if (e == 0)
        e = pass_send(r->peer_fd, r->released, NULL, 0);
    return e;
}

static void drop_gift(struct gift *g)
{
    pass_close(g->fds + g->sent, g->count - g->sent);
    free(g->fds);
    *g = (struct gift){0};
}

/* Those that nobody was given. */
static void drop_connections(struct release *r)
{
    size_t left = r->idle.count - r->idle.sent + r->untouched.count - r->untouched.sent;

    if (left > 0)
        nr_log(&r->d->log, NR_LOG_WARN, "daemon",
               "%zu idle connections could not be handed over, and are closed", left);
    drop_gift(&r->idle);
    drop_gift(&r->untouched);
}

/* ---- the end of who took over ------------------------------------------------------------------------------------- */

static void reap(struct release *r)
{
    if (r->child > 0 && waitpid(r->child, NULL, WNOHANG) == r->child)
        r->child = 0;
}

static void stop_watching(struct release *r)
{
    if (!r->watched)
        return;
    r->watched = false;
    uv_close((uv_handle_t *)&r->end, NULL);
}

static void on_end(uv_poll_t *p, int status, int events)
{
    struct release *r = p->data;

    (void)status;
    (void)events;
    stop_watching(r);
    reap(r);
    r->ended = true;
    if (r->stage == AWAITS)
        release_tick(r);
}

static void watch_end(struct release *r)
{
    (void)uv_poll_init(&r->d->loop.uv, &r->end, r->peer_pidfd);
    r->end.data = r;
    r->watched = true;
    (void)uv_poll_start(&r->end, UV_READABLE, on_end);
}

/* It may have the data folder, so nobody else gets it before its end is certain. */
static void kill_peer(struct release *r)
{
    if (r->killed)
        return;
    r->killed = true;
    if (!r->gone)
        nr_log(&r->d->log, NR_LOG_ERROR, "daemon",
               "process %d took over and does not serve after %d s: it is ended", (int)r->peer_pid,
               OPEN_MS / 1000);
    if (syscall(SYS_pidfd_send_signal, r->peer_pidfd, SIGKILL, NULL, 0) < 0 && errno != ESRCH) {
        r->killed = false;
        nr_log(&r->d->log, NR_LOG_ERROR, "daemon",
               "process %d cannot be ended (%s): its own end is waited for", (int)r->peer_pid,
               strerror(errno));
    }
}

/* The one who took over has ended before it served. */
static void replace(struct release *r)
{
    struct nr_err err = {0};
    pid_t pid = 0;

    if (successor_spawn(r->d, &r->sockets, &pid, &err) < 0) {
        nr_log(
            &r->d->log, NR_LOG_ERROR, "daemon",
            "the process that took over ended before it served, and none could be put in its place: %s",
            err.text);
        r->d->left_some = true; /* the exit status says it */
    } else {
        char words[64];

        nr_log(
            &r->d->log, NR_LOG_ERROR, "daemon",
            "the process that took over ended before it served; process %d of this release goes on",
            (int)pid);
        (void)snprintf(words, sizeof(words), "MAINPID=%d", (int)pid);
        supervisor_tell(words);
    }
}

static void told_serving(struct release *r)
{
    char words[64];

    (void)snprintf(words, sizeof(words), "MAINPID=%d", (int)r->peer_pid);
    supervisor_tell(words);
    nr_log(&r->d->log, NR_LOG_INFO, "daemon", "process %d serves; %lld calls end here",
           (int)r->peer_pid, (long long)controller_running(r->d->controller));
}

static void peer_late(struct release *r);

static void release_tick(struct release *r)
{
    struct daemon *d = r->d;

    switch (r->stage) {
    case WAITS: /* `hello` or `ask` are not said in time */
    case GREETED: peer_late(r); return;
    case TAKES: /* requests that have begun become calls */
        if (still_takes(r))
            return;
        r->until_ms = r->begun_ms + SHORT_MS;
        refuse_new(r);
        r->stage = ENDS;
        /* fall through */
    case ENDS: /* containers that are idle by then can be adopted */
        if (!r->calls_done && later(r))
            return;
        r->until_ms = d->loop.now_ms + SCALER_MS;
        r->stage = LETS_GO;
        /* fall through */
    case LETS_GO:
        if (!r->scaler_done && later(r))
            return;
        let_go(r);
        watch_end(r);
        r->stage = TELLS;
        /* fall through */
    case TELLS: {
        int e = tell(r);

        if (e == NR_EBUSY && !r->ended && later(r))
            return;
        drop_connections(r);
        r->stage = AWAITS;
        nr_deadline_set(&d->loop, &r->step, OPEN_MS);
        if (e == 0)
            return;
    }
        /* fall through */
    case AWAITS: /* ticked by `serving`, by its end, or when it takes too long */
        if (!r->serves && !r->ended) {
            kill_peer(r);
            return;
        }
        if (!r->serves && !r->hurried)
            replace(r);
        stop_watching(r);
        forget_peer(r);
        nr_deadline_cancel(&r->step);
        pass_close(r->sockets.fds, r->sockets.count);
        r->sockets.count = 0;
        r->stage = FINISHES;
        /* fall through */
    case FINISHES: /* the last call has ended, and its answer is out */
        if (r->calls_done)
            daemon_end(d);
        return;
    }
}

/* ---- who comes -------------------------------------------------------------------------------------------------- */

static const char stopping[] = "no it is stopping";

static void greet(struct release *r, const char *text)
{
    int highest = 0, oldest = 0, mine = TAKEOVER_PROTOCOL;
    char version[64], installation[17], answer[PASS_TEXT_BYTES];

    if (sscanf(text, "hello %d %d %63s %16s", &highest, &oldest, version, installation) != 4)
        return;
    int protocol = highest < mine ? highest : mine;
    const char *no =
        r->d->stopping ? stopping
        : r->peer_pidfd < 0
            ? "no this kernel does not tell when a process ends (pidfd_open, Linux 5.3): stop and start"
        : strncmp(installation, r->d->installation, 16) != 0
            ? "no it serves another data folder: give --data and --run of the process that serves"
        : protocol < TAKEOVER_OLDEST || protocol < oldest
            ? "no the releases are too far apart: stop and start"
            : NULL;

    if (no) {
        (void)pass_send(r->peer_fd, no, NULL, 0);
        return;
    }
    (void)snprintf(answer, sizeof(answer), "listening %d %s", protocol, NARAE_VERSION);
    if (r->sockets.count == 0)
        r->sockets.count = gateway_listeners(r->d->gateway, r->sockets.fds, LISTENING_MAX);
    if (pass_send(r->peer_fd, answer, r->sockets.fds, r->sockets.count) < 0)
        return;
    nr_log(&r->d->log, NR_LOG_INFO, "daemon", "process %d, naraed %s, prepares itself to take over",
           (int)r->peer_pid, version);
    if (r->d->invoker)
        invoker_expect(r->d->invoker, true);
    gateway_part(r->d->gateway, true);
    nr_deadline_set(&r->d->loop, &r->step, PREPARE_MS);
    r->stage = GREETED;
}

static void hear(struct release *r, const char *text)
{
    if (r->stage == WAITS && strncmp(text, "hello ", 6) == 0) {
        greet(r, text);
    } else if (r->stage == GREETED && strcmp(text, "ask") == 0) {
        if (r->d->stopping) {
            (void)pass_send(r->peer_fd, stopping, NULL, 0);
            return;
        }
        begin(r);
        r->stage = TAKES;
        release_tick(r);
    } else if (r->stage == AWAITS && !r->killed && strcmp(text, "serving") == 0) {
        r->serves = true;
        told_serving(r);
        release_tick(r);
    }
}

static void peer_gone(struct release *r)
{
    r->gone = r->stage > GREETED;
    if (r->stage == AWAITS) {
        (void)uv_poll_stop(&r->peer);
        release_tick(r);
        return;
    }
    if (r->stage <= GREETED)
        nr_deadline_cancel(&r->step);
    if (r->stage == GREETED) {
        nr_log(&r->d->log, NR_LOG_WARN, "daemon",
               "process %d has gone and took nothing over; this one serves on", (int)r->peer_pid);
        if (r->d->invoker)
            invoker_expect(r->d->invoker, false);
        gateway_part(r->d->gateway, false);
        pass_close(r->sockets.fds,
                   r->sockets.count); /* or a stop would leave a door open behind which nobody is */
        r->sockets.count = 0;
        r->stage = WAITS;
    }
    if (r->stage <= GREETED)
        forget_peer(r);
    else
        (void)uv_poll_stop(&r->peer); /* it is replaced when we have let go */
    reap(r);
}

/* The door is not held for one who says nothing. */
static void peer_late(struct release *r)
{
    if (r->peer_fd < 0)
        return;
    nr_log(&r->d->log, NR_LOG_WARN, "daemon", "process %d has said nothing for %d s",
           (int)r->peer_pid, (r->stage == WAITS ? HELLO_MS : PREPARE_MS) / 1000);
    peer_gone(r);
}

static void on_peer(uv_poll_t *p, int status, int events)
{
    struct release *r = p->data;
    struct passed m;

    (void)events;
    int got = status < 0 ? NR_ECLOSED : pass_receive(r->peer_fd, 0, &m);

    if (got == 0) {
        pass_close(m.fds, m.count); /* we want none */
        hear(r, m.text);
    } else if (got == NR_ECLOSED) {
        peer_gone(r);
    }
}

/* One at a time; the others find the door closed. */
static void on_door(uv_poll_t *p, int status, int events)
{
    struct release *r = p->data;
    int fd = -1, pidfd = -1;
    pid_t pid = 0;

    (void)status;
    (void)events;
    int got = r->peer_closing ? NR_EBUSY : pass_accept(r->door_fd, &fd, &pid, &pidfd);

    if (got == NR_EFORBIDDEN)
        nr_log(&r->d->log, NR_LOG_WARN, "daemon", "another user was turned away from %s/takeover",
               r->d->run);
    if (got < 0)
        return;
    if (r->peer_fd >= 0 || r->stage != WAITS || uv_is_closing((uv_handle_t *)&r->door)) {
        (void)pass_send(fd, "no another process is taking over already", NULL, 0);
        (void)close(fd);
        pass_close(&pidfd, pidfd >= 0);
        return;
    }
    r->peer_fd = fd;
    r->peer_pid = pid;
    r->peer_pidfd = pidfd;
    nr_deadline_set(&r->d->loop, &r->step, HELLO_MS);
    (void)uv_poll_init(&r->d->loop.uv, &r->peer, fd);
    r->peer.data = r;
    (void)uv_poll_start(&r->peer, UV_READABLE | UV_DISCONNECT, on_peer);
}

/* ---- life ------------------------------------------------------------------------------------------------------- */

int release_open(struct daemon *d, struct nr_err *err)
{
    char path[DAEMON_PATH_BYTES + 16];
    struct release *r = nr_alloc(sizeof(*r));

    *r = (struct release){.d = d, .door_fd = -1, .peer_fd = -1, .peer_pidfd = -1, .ending.fd = -1};
    r->step.fire = on_step;
    d->release = r;
    (void)snprintf(path, sizeof(path), "%s/takeover", d->run);
    int e = pass_listen(path, &r->door_fd, err);

    if (e < 0)
        return e;
    (void)uv_poll_init(&d->loop.uv, &r->door, r->door_fd);
    r->door.data = r;
    (void)uv_poll_start(&r->door, UV_READABLE, on_door);
    uv_unref((uv_handle_t *)&r->door);
    return 0;
}

bool release_hurry(struct release *r)
{
    struct daemon *d = r ? r->d : NULL;

    if (r == NULL || r->stage < TAKES || r->hurried)
        return false;
    r->hurried = true;
    nr_log(&d->log, NR_LOG_INFO, "daemon",
           "a signal: %lld calls end here and may do so within %lld s; a second one ends at once",
           (long long)controller_running(d->controller), (long long)d->options.drain_s);
    if (r->stage >= ENDS && !r->calls_done)
        controller_drain(d->controller, (uint64_t)d->options.drain_s * 1000, on_calls_done, r);
    if (r->stage < FINISHES &&
        r->peer_pidfd >=
            0) /* who asks for a stop means the platform: that process obeys when its start is through */
        (void)syscall(SYS_pidfd_send_signal, r->peer_pidfd, SIGTERM, NULL, 0);
    return true;
}

void release_upgrade(struct release *r)
{
    struct nr_err err = {0};

    if (r == NULL || r->stage != WAITS || r->d->stopping) {
        return;
    }
    if (r->child > 0)
        (void)waitpid(r->child, NULL, WNOHANG);
    if (successor_spawn(r->d, NULL, &r->child, &err) < 0)
        nr_log(&r->d->log, NR_LOG_ERROR, "daemon", "no upgrade, this process serves on: %s",
               err.text);
    else
        nr_log(&r->d->log, NR_LOG_INFO, "daemon", "process %d was started to take over",
               (int)r->child);
}

void release_close(struct release *r)
{
    char path[DAEMON_PATH_BYTES + 16];

    if (r == NULL)
        return;
    nr_deadline_cancel(&r->step);
    own_ending_stop(&r->ending);
    stop_watching(r);
    forget_peer(r);
    if (r->door_fd < 0)
        return;
    if (r->stage < TAKES) { /* else the path is the other one's */
        (void)snprintf(path, sizeof(path), "%s/takeover", r->d->run);
        (void)unlink(path);
    }
    close_door(r);
}

void release_free(struct release *r)
{
    if (r == NULL)
        return;
    own_ending_remove(&r->ending, r->d->run);
    pass_close(&r->peer_pidfd, r->peer_pidfd >= 0);
    pass_close(r->sockets.fds, r->sockets.count);
    drop_gift(&r->idle);
    drop_gift(&r->untouched);
    free(r);
}
