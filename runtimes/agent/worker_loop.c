/* Loop mode (ActionLoop): one process per slot that lives as long as its slot. A call is one line of JSON on its
 * stdin; its answer one line on its descriptor 3; its stdout and stderr are log.
 *
 * A launcher that acknowledges its start (profile: acks=yes) writes {"ok":true} first; any other has started once it waits
 * for something, most likely its first line, or still computes shortly after its start. An answer is kept up to the result limit and counted beyond it. Lines that come
 * while no call runs are dropped.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtimes/agent/init.h"
#include "runtimes/agent/slot.h"
#include "runtimes/agent/text.h"
#include "runtimes/agent/worker.h"

#define LOOK_AGAIN_MS 1
#define ALIVE_LOOKS 10

/* A slot's request on its way and the answer as far as it has come; lives as long as the slot. */
struct loop_call {
    char *request; /* one line; NULL: none on the way */
    size_t length;
    size_t sent;
    bool acked; /* its launcher has said that it has started */
    struct text reply;
};

static void requests_ready(struct watch *watch, uint32_t events);
static void replies_ready(struct watch *watch, uint32_t events);

static int start_process(struct slot *s, char *const *argv, char *const *env)
{
    struct agent *a = s->agent;
    int in[2], reply[2];
    s->worker = worker_make(a, s);
    s->loop = calloc(1, sizeof *s->loop);
    if (!s->worker || !s->loop || pipe2(in, O_CLOEXEC) < 0 || pipe2(reply, O_CLOEXEC) < 0)
        return -ENOMEM;
    s->loop->reply.limit = a->setup.result_max_bytes;
    struct spawn sp = {
        .argv = argv,
        .env = env,
        .folder = a->action_folder,
        .fds = {in[0], -1, -1, reply[1], -1, -1},
    };
    fcntl(in[1], F_SETFL, O_NONBLOCK);
    fcntl(reply[0], F_SETFL, O_NONBLOCK);
    loop_watch(&a->loop, &s->worker->requests, in[1], 0, requests_ready);
    loop_watch(&a->loop, &s->worker->control, reply[0], EPOLLIN, replies_ready);
    if (s->index == 0) /* of the others it is nobody's log */
        logs_begin(&s->worker->logs, a->setup.log_max_bytes);
    int status = worker_spawn(s->worker, &sp);
    close(in[0]);
    close(reply[1]);
    return status;
}

static bool all_wait(const struct agent *a)
{
    for (unsigned i = 0; i < a->setup.slots; i++) {
        if (a->slots[i].worker && !worker_waits(a->slots[i].worker))
            return false;
    }
    return true;
}

/* What they wrote until now is INIT's, not the first call's: that of slot 0 is its log. */
static void alive(struct timer *t)
{
    struct agent *a = container_of(t, struct agent, start_timer);
    if (a->start_looks++ < ALIVE_LOOKS * a->setup.slots && !all_wait(a)) {
        timer_set(&a->loop, t, LOOK_AGAIN_MS, alive);
        return;
    }
    for (unsigned i = 0; i < a->setup.slots; i++) {
        if (a->slots[i].worker)
            worker_drain(a->slots[i].worker);
    }
    init_done(a, NULL);
}

static int start_all(struct agent *a, char *const *argv)
{
    struct env env;
    int status = env_make(&env, json_object_get(a->setup.value, "env"));
    if (a->profile.acks)
        env_set(&env, "__OW_WAIT_FOR_ACK", "1");
    for (unsigned i = 0; status == 0 && i < a->setup.slots; i++)
        status = start_process(&a->slots[i], argv, env.entries);
    env_free(&env);
    return status;
}

static void loop_init(struct agent *a)
{
    char path[512];
    char *argv[32] = {path, NULL};
    snprintf(path, sizeof path, "%s/exec", a->action_folder);
    if (a->profile.exec[0]) {
        split_words(a->profile.exec, argv, 32);
    } else if (chmod(path, 0755) < 0) {
        init_failed(a, "The action failed to generate or locate a binary. See logs for details.");
        return;
    }
    if (start_all(a, argv) < 0)
        init_failed(a, "Cannot start action. Check logs for details.");
    else if (!a->profile.acks)
        timer_set(&a->loop, &a->start_timer, LOOK_AGAIN_MS, alive);
}

static void send_request(struct slot *s)
{
    struct loop_call *c = s->loop;
    struct watch *w = &s->worker->requests;
    while (c->request && c->sent < c->length) {
        ssize_t n = write(w->fd, c->request + c->sent, c->length - c->sent);
        if (n < 0 && errno == EAGAIN) {
            loop_change(&s->agent->loop, w, EPOLLOUT);
            return;
        }
        if (n < 0) { /* the process has closed its stdin: it ends, or answers without it */
            break;
        }
        c->sent += (size_t)n;
    }
    free(c->request);
    c->request = NULL;
    loop_change(&s->agent->loop, w, 0);
}

static void requests_ready(struct watch *watch, uint32_t events)
{
    struct worker *w = container_of(watch, struct worker, requests);
    if (events & EPOLLOUT)
        send_request(w->slot);
    else if (events & (EPOLLERR | EPOLLHUP)) {
        int fd = watch->fd;
        loop_drop(&w->agent->loop, watch);
        close(fd);
    }
}

static void loop_run(struct slot *s, const struct nr_frame *head, const char *payload)
{
    struct loop_call *c = s->loop;
    worker_drain(s->worker);
    logs_begin(&s->worker->logs, s->agent->setup.log_max_bytes);
    text_clear(&c->reply);
    free(c->request);
    c->request = malloc(head->length + 1u);
    if (!c->request || s->worker->requests.fd < 0) {
        worker_kill(s->worker);
        return;
    }
    for (uint32_t i = 0; i < head->length; i++)
        c->request[i] = payload[i] == '\n' || payload[i] == '\r' ? ' ' : payload[i];
    c->request[head->length] = '\n';
    c->length = head->length + 1u;
    c->sent = 0;
    send_request(s);
}

static void answered(struct slot *s)
{
    struct text *t = &s->loop->reply;
    bool good = text_is_composite(t);
    worker_drain(s->worker);
    if (good)
        slot_answer(s, t->bytes, t->total, false);
    else
        slot_fail(s, "The action did not return a dictionary or array.");
    text_clear(t);
    slot_end(s, s->call, s->worker, good ? NR_VERDICT_OK : NR_VERDICT_TAINTED, 0);
}

static bool says_ok(const struct text *t)
{
    json_t *o =
        t->total == t->stored ? json_loadb(t->bytes ? t->bytes : "", t->stored, 0, NULL) : NULL;
    bool ok = json_is_true(json_object_get(o, "ok"));
    json_decref(o);
    return ok;
}

static bool all_acked(const struct agent *a)
{
    for (unsigned i = 0; i < a->setup.slots; i++) {
        if (!a->slots[i].loop || !a->slots[i].loop->acked)
            return false;
    }
    return true;
}

/* The first line of a launcher that acknowledges: INIT is over with the last one's. */
static void take_ack(struct slot *s)
{
    struct agent *a = s->agent;
    bool ok = says_ok(&s->loop->reply);
    s->loop->acked = true;
    text_clear(&s->loop->reply);
    worker_drain(s->worker);
    if (!ok)
        init_failed(a, "Cannot start action. Check logs for details.");
    else if (all_acked(a))
        init_done(a, NULL);
}

/* One whole line has come on descriptor 3. */
static void take_line(struct slot *s)
{
    struct agent *a = s->agent;
    if (a->profile.acks && !s->loop->acked) {
        take_ack(s);
    } else if (s->busy && a->phase == AGENT_READY) {
        answered(s);
    } else {
        text_clear(&s->loop->reply);
    }
}

static void replies_ready(struct watch *watch, uint32_t events)
{
    struct worker *w = container_of(watch, struct worker, control);
    struct agent *a = w->agent;
    struct slot *s = w->slot;
    (void)events;
    ssize_t n = read(watch->fd, a->scratch, AGENT_READ_BYTES);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        int fd = watch->fd;
        loop_drop(&a->loop, watch);
        close(fd);
        return;
    }
    char *end = memchr(a->scratch, '\n', (size_t)n);
    text_add(&s->loop->reply, a->scratch, end ? (size_t)(end - a->scratch) : (size_t)n);
    if (end)
        take_line(s); /* what a process writes behind its answer belongs to no call */
}

static void forget_call(struct slot *s)
{
    if (!s->loop)
        return;
    free(s->loop->request);
    text_clear(&s->loop->reply);
    free(s->loop);
    s->loop = NULL;
}

static void loop_ended(struct worker *w, int status, bool oom)
{
    struct slot *s = w->slot;
    struct agent *a = w->agent;
    enum nr_frame_verdict verdict = oom ? NR_VERDICT_OOM : NR_VERDICT_EXITED;
    s->worker = NULL;
    forget_call(s);
    timer_clear(&a->loop, &a->start_timer);
    if (a->phase == AGENT_STARTING && (s->index == 0 || a->profile.acks))
        init_lost(a, w, verdict, status);
    else if (a->phase == AGENT_READY && s->busy && s->state == SLOT_OPEN)
        slot_end(s, s->call, w, verdict, status);
    else if (a->phase == AGENT_READY && s->state != SLOT_CLOSED)
        slot_close(s);
    worker_free(w);
}

const struct mode mode_loop = {
    .name = "loop",
    .reads_slots = true,
    .init = loop_init,
    .run = loop_run,
    .ended = loop_ended,
};
