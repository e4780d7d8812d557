/* The connection of a slot, from dialling to its end.
 *
 *   dial       connect to the host's socket, say HELLO, give the connection to the mode; else try again in 10 ms .. 1 s
 *   frames     INIT and RUN go to init.c and the mode; in direct mode the worker reads the frames after INIT itself
 *   hang-up    while a call runs: it is cut (time limit, cancel, drain): its worker is killed, and with one slot the
 *              whole container goes. A host that closed only its sending side still gets the log of that call and its
 *              END. Between calls: the host restarts; dial again.
 * The descriptor is shared with a direct worker, which wants to block on it: it is left blocking, and the agent sends
 * and receives with MSG_DONTWAIT.
 *
 * A direct worker may have taken a RUN that we know nothing of yet. So after a hang-up nothing is decided until either
 * a call is seen (unread bytes, or the shared page) or the worker says that it met the end of the stream.
 */
#include "runtimes/agent/slot.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "runtimes/agent/init.h"
#include "runtimes/agent/worker.h"

#define BACKOFF_MIN_MS 10
#define BACKOFF_MAX_MS 1000
#define LOST_CHECK_MS 10
#define LOST_CHECKS_MAX 200 /* 2 s: then the worker is taken for hung */
#define LAST_WORDS_MS 250   /* the host waits 300 */

void slot_init(struct slot *s, struct agent *a, unsigned index)
{
    *s = (struct slot){.agent = a, .index = index, .fd = -1, .backoff_ms = BACKOFF_MIN_MS};
    s->watch.fd = -1;
    inbox_init(&s->in);
}

static bool agent_reads(const struct slot *s)
{
    return s->agent->mode->reads_slots || s->agent->phase == AGENT_FRESH ||
           s->agent->phase == AGENT_STARTING;
}

static void disconnect(struct slot *s)
{
    loop_drop(&s->agent->loop, &s->watch);
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
    inbox_fini(&s->in);
    outbox_fini(&s->out);
}

static void redial_fired(struct timer *t)
{
    slot_dial(container_of(t, struct slot, timer));
}

static void redial_later(struct slot *s)
{
    disconnect(s);
    s->state = SLOT_REDIAL;
    timer_set(&s->agent->loop, &s->timer, s->backoff_ms, redial_fired);
    s->backoff_ms = s->backoff_ms * 2 > BACKOFF_MAX_MS ? BACKOFF_MAX_MS : s->backoff_ms * 2;
}

void slot_close(struct slot *s)
{
    struct agent *a = s->agent;
    disconnect(s);
    timer_clear(&a->loop, &s->timer);
    s->state = SLOT_CLOSED;
    for (unsigned i = 0; i < a->setup.slots; i++) {
        if (a->slots[i].state != SLOT_CLOSED)
            return;
    }
    agent_exit(a, EXIT_CUT);
}

static void slot_ready(struct watch *w, uint32_t events);
static uint32_t wanted_events(const struct slot *s);

static void end_cut(struct slot *s)
{
    struct agent *a = s->agent;
    if (a->phase == AGENT_STARTING || a->phase == AGENT_FAILED || a->setup.slots <= 1)
        agent_exit(a, EXIT_CUT);
    slot_close(s);
}

static void last_words_missed(struct timer *t)
{
    end_cut(container_of(t, struct slot, timer));
}

/* Kills what runs the call of this slot and no other; its burial says LOG and END. false: there is no such process. */
static bool kill_call(struct slot *s)
{
    struct agent *a = s->agent;
    bool alone = a->phase == AGENT_STARTING || a->setup.slots <= 1;
    struct worker *w = s->worker ? s->worker : alone ? a->launcher : NULL;
    if (a->placer > 0)
        return kill(a->placer, SIGKILL) == 0;
    if (!w || w->pid <= 0 || (w->slot != s && !alone))
        return false;
    worker_kill(w);
    return true;
}

/* The host wants this call gone. */
static void cut(struct slot *s)
{
    struct agent *a = s->agent;
    loop_drop(&a->loop, &s->watch);
    if (a->mode->cut)
        a->mode->cut(s);
    if (a->phase == AGENT_FAILED || !kill_call(s)) {
        end_cut(s);
        return;
    }
    s->shut = true;
    s->state = SLOT_OPEN;
    loop_watch(&a->loop, &s->watch, s->fd, wanted_events(s), slot_ready);
    timer_set(&a->loop, &s->timer, LAST_WORDS_MS, last_words_missed);
}

static bool call_runs(struct slot *s)
{
    int unread = 0;
    if (s->busy || s->out.first)
        return true;
    if (agent_reads(s) || !s->worker)
        return false;
    if (ioctl(s->fd, FIONREAD, &unread) == 0 && unread > 0)
        return true;
    return worker_call_open(s->worker, s->index);
}

static void lost_fired(struct timer *t);

static void lost(struct slot *s)
{
    struct agent *a = s->agent;
    if (call_runs(s)) {
        cut(s);
    } else if (agent_reads(s) || s->let_go || !s->worker) {
        redial_later(s);
    } else if (s->lost_checks++ >= LOST_CHECKS_MAX) {
        cut(s);
    } else {
        s->state = SLOT_LOST;
        timer_set(&a->loop, &s->timer, LOST_CHECK_MS, lost_fired);
    }
}

static void lost_fired(struct timer *t)
{
    lost(container_of(t, struct slot, timer));
}

static void hung_up(struct slot *s)
{
    loop_drop(&s->agent->loop, &s->watch);
    s->lost_checks = 0;
    lost(s);
}

void slot_let_go(struct slot *s)
{
    s->let_go = true;
    if (s->state == SLOT_OPEN)
        hung_up(s);
    else if (s->state == SLOT_LOST)
        lost(s);
}

static void read_frames(struct slot *s)
{
    struct nr_frame head;
    char *payload;
    int status = inbox_fill(&s->in, s->fd);
    if (status == -EAGAIN)
        return;
    if (status < 0) {
        hung_up(s);
        return;
    }
    while (s->fd >= 0 && inbox_peek(&s->in, &head, &payload)) {
        if (s->busy || !frame_ceiling(head.type) || head.length > frame_ceiling(head.type) ||
            (head.type == NR_FRAME_RUN && s->agent->phase != AGENT_READY)) {
            cut(s); /* the host never does this: nothing after it can be understood */
            return;
        }
        s->busy = true;
        s->call = head.call;
        if (head.type == NR_FRAME_INIT)
            init_begin(s, &head, payload);
        else
            s->agent->mode->run(s, &head, payload);
        inbox_drop(&s->in);
    }
}

static uint32_t wanted_events(const struct slot *s)
{
    uint32_t out = s->out.first ? EPOLLOUT : 0u;
    return s->shut ? out : EPOLLRDHUP | (agent_reads(s) ? EPOLLIN : 0u) | out;
}

static void flush(struct slot *s)
{
    int status = outbox_flush(&s->out, s->fd);
    if (status == -EPIPE && !s->shut) {
        hung_up(s);
        return;
    }
    if (status == -EPIPE || (status == 0 && s->last_words)) {
        slot_close(s);
        return;
    }
    loop_change(&s->agent->loop, &s->watch, wanted_events(s));
}

static void slot_ready(struct watch *w, uint32_t events)
{
    struct slot *s = container_of(w, struct slot, watch);
    if (events & EPOLLOUT)
        flush(s);
    if (s->fd < 0 || s->watch.fd < 0)
        return;
    if (s->shut) {
        if (events & (EPOLLHUP | EPOLLERR)) /* it does not listen either */
            end_cut(s);
        return;
    }
    if ((events & EPOLLIN) && agent_reads(s))
        read_frames(s);
    else if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        hung_up(s);
}

void slot_send(struct slot *s, struct chunk *frames)
{
    if (s->fd < 0) {
        struct outbox gone = {0};
        outbox_add(&gone, frames);
        outbox_fini(&gone);
        return;
    }
    outbox_add(&s->out, frames);
    if (s->watch.fd >= 0)
        flush(s);
}

static struct chunk *hello(const struct slot *s)
{
    char text[256];
    int n = snprintf(text, sizeof text,
                     "{\"protocol\":%d,\"id\":\"%s\",\"slot\":%u,\"kind\":\"%s\",\"ready\":%s}",
                     NR_FRAME_PROTOCOL, s->agent->id, s->index, s->agent->profile.kind,
                     s->agent->phase == AGENT_READY ? "true" : "false");
    return chunk_frame(NR_FRAME_HELLO, 0, 0, text, (size_t)n);
}

/* A connected socket, or -1. connect() on a full backlog would wait, so it is asked not to. */
static int connect_to(const char *path)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    size_t n = strlen(path);
    if (n >= sizeof to.sun_path)
        return -1;
    memcpy(to.sun_path, path, n);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    if (connect(fd, (struct sockaddr *)&to, sizeof to) < 0) {
        close(fd);
        return -1;
    }
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
    return fd;
}

void slot_dial(struct slot *s)
{
    struct agent *a = s->agent;
    s->fd = connect_to(a->socket_path);
    if (s->fd < 0) {
        redial_later(s);
        return;
    }
    s->state = SLOT_OPEN;
    s->let_go = false;
    loop_watch(&a->loop, &s->watch, s->fd, wanted_events(s), slot_ready);
    slot_send(s, hello(s));
    if (s->state != SLOT_OPEN)
        return;
    s->backoff_ms = BACKOFF_MIN_MS;
    if (a->phase == AGENT_READY && a->mode->connected)
        a->mode->connected(s);
}
