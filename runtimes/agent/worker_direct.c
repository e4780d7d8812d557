/* Direct mode: the launcher serves its slots itself, so a warm call does not pass through the agent.
 *
 *   boot        the launcher starts with the container and boots its interpreter before any code is known
 *   rehearse    a container that waits without code: it serves one call of nobody's, and says when it has
 *   init        it is told that INIT is there; it loads, and says so
 *   connected   each slot's connection is handed over. With one slot the launcher serves it; with more it forks one
 *               worker per slot (with pipes and a control channel of its own), or serves all in one process: as Node does, or
 *               in turn, and then it is the worker of each slot as if it had been forked for it
 *   done        a call that logged: the agent drains the pipes and adds LOG and END
 *   ended       the worker is gone: the agent writes LOG and END in its place, unless an ANSWER is half written
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtimes/agent/init.h"
#include "runtimes/agent/slot.h"
#include "runtimes/agent/worker.h"

static void control_ready(struct watch *watch, uint32_t events);

static int make_shared(struct agent *a)
{
    a->page_fd = memfd_create("narae-page", MFD_CLOEXEC);
    a->init_fd = memfd_create("narae-init", MFD_CLOEXEC);
    if (a->page_fd < 0 || a->init_fd < 0 || ftruncate(a->page_fd, sizeof *a->page) < 0)
        return -errno;
    void *page = mmap(NULL, sizeof *a->page, PROT_READ | PROT_WRITE, MAP_SHARED, a->page_fd, 0);
    if (page == MAP_FAILED)
        return -errno;
    a->page = page;
    return 0;
}

static int make_control(const struct agent *a, int pair[2])
{
    int type = a->profile.node_control ? SOCK_STREAM : SOCK_SEQPACKET;
    return socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, pair) < 0 ? -errno : 0;
}

static int start_launcher(struct agent *a, char *const *argv, char *const *env, const char *folder)
{
    int pair[2];
    int status = make_shared(a);
    if (status == 0)
        status = make_control(a, pair);
    if (status < 0)
        return status;
    a->launcher = worker_make(a, NULL);
    if (!a->launcher)
        return -ENOMEM;
    struct spawn sp = {
        .argv = argv,
        .env = env,
        .folder = folder,
        .fds = {-1, -1, -1, pair[1], a->init_fd, a->page_fd},
    };
    loop_watch(&a->loop, &a->launcher->control, pair[0], EPOLLIN, control_ready);
    status = worker_spawn(a->launcher, &sp);
    close(pair[1]);
    return status;
}

/* Replaces {heap_mb} in the launcher's arguments by three quarters of the container's memory; without a limit the whole
 * argument goes. text is kept as long as argv. */
static void fill_heap(char **argv, char *text, size_t size)
{
    static const char hole[] = "{heap_mb}";
    unsigned long long mb = memory_limit_bytes() / 4 * 3 >> 20;
    for (char **p = argv; *p; p++) {
        char *at = strstr(*p, hole);
        if (!at)
            continue;
        if (mb == 0) {
            for (char **q = p; *q; q++)
                q[0] = q[1];
            return;
        }
        snprintf(text, size, "%.*s%llu%s", (int)(at - *p), *p, mb, at + sizeof hole - 1);
        *p = text;
        return;
    }
}

static int direct_boot(struct agent *a)
{
    char *argv[32], heap[128];
    struct env env;
    if (split_words(a->profile.exec, argv, 32) == 0)
        return -EINVAL;
    fill_heap(argv, heap, sizeof heap);
    int status = env_make(&env, NULL);
    if (status == 0 && a->profile.node_control) {
        env_set(&env, "NODE_CHANNEL_FD", "3");
        env_set(&env, "NODE_CHANNEL_SERIALIZATION_MODE", "json");
    }
    if (status == 0)
        status = start_launcher(a, argv, env.entries, a->action_folder);
    env_free(&env);
    return status;
}

/* One call on a connection of our own. Nothing waits for its answer: that is what the launcher's CONTROL_BOOTED is for. */
static int direct_rehearse(struct agent *a)
{
    static const char value_head[] = "{\"activation_id\":\"rehearsal\",\"value\":";
    static const char text[] =
        "{\"activation_id\":\"rehearsal\",\"value\":{\"a\":[1,2.5,\"b\"],\"c\":{\"d\":null}}}";
    struct nr_frame head = {
        .length = sizeof text - 1, .type = NR_FRAME_RUN, .value_at = sizeof value_head - 1};
    struct control m = {.type = CONTROL_REHEARSE};
    int pair[2];
    if (!a->launcher || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return -errno;
    bool sent =
        write(pair[0], &head, sizeof head) == (ssize_t)sizeof head &&
        write(pair[0], text, sizeof text - 1) == (ssize_t)sizeof text - 1 &&
        shutdown(pair[0], SHUT_WR) == 0 &&
        control_send(a->launcher->control.fd, a->profile.node_control, &m, NULL, &pair[1], 1) == 0;
    close(pair[1]);
    if (sent)
        a->rehearsal_fd = pair[0];
    else
        close(pair[0]);
    return sent ? 0 : -EPIPE;
}

static void booted(struct agent *a)
{
    struct slot *s = &a->slots[0];
    if (a->rehearsal_fd < 0)
        return;
    close(a->rehearsal_fd);
    a->rehearsal_fd = -1;
    worker_drain(a->launcher); /* of nobody */
    slot_dial(s);
}

/* native: the user's executable is the launcher; it is known only now. */
static int start_executable(struct agent *a)
{
    char path[512];
    char *argv[] = {path, NULL};
    struct env env;
    snprintf(path, sizeof path, "%s/exec", a->action_folder);
    if (chmod(path, 0755) < 0)
        return -ENOENT;
    if (env_make(&env, json_object_get(a->setup.value, "env")) < 0)
        return -ENOMEM;
    int status = start_launcher(a, argv, env.entries, a->action_folder);
    env_free(&env);
    if (status < 0)
        return status;
    logs_begin(&a->launcher->logs, a->setup.log_max_bytes);
    return 0;
}

static void direct_init(struct agent *a)
{
    struct control m = {
        .type = CONTROL_INIT,
        .call = a->setup.result_max_bytes,
        .value = (int32_t)a->setup.slots,
    };
    if (!a->launcher) {
        int status = start_executable(a);
        if (status == -ENOENT) {
            init_failed(a,
                        "The action failed to generate or locate a binary. See logs for details.");
            return;
        }
        if (status < 0) {
            init_failed(a, "Cannot start action. Check logs for details.");
            return;
        }
    }
    bool code = a->code_fd >= 0 && !a->placed && !a->profile.node_control;
    control_send(a->launcher->control.fd, a->profile.node_control, &m, NULL, &a->code_fd, code);
}

/* A slot gets a worker of its own: pipes and control for the process that the launcher will fork. */
static int fork_for(struct slot *s)
{
    struct agent *a = s->agent;
    struct control m = {.type = CONTROL_SERVE, .slot = s->index};
    int out[2], err[2], pair[2];
    struct worker *w = worker_make(a, s);
    if (!w)
        return -ENOMEM;
    if (pipe2(out, O_CLOEXEC) < 0 || pipe2(err, O_CLOEXEC) < 0 || make_control(a, pair) < 0) {
        worker_free(w);
        return -EMFILE;
    }
    s->worker = w;
    worker_watch_output(w, LOG_STDOUT, out[0]);
    worker_watch_output(w, LOG_STDERR, err[0]);
    loop_watch(&a->loop, &w->control, pair[0], EPOLLIN, control_ready);
    int fds[] = {s->fd, out[1], err[1], pair[1]};
    int status = control_send(a->launcher->control.fd, false, &m, NULL, fds, 4);
    close(out[1]);
    close(err[1]);
    close(pair[1]);
    return status;
}

static void direct_connected(struct slot *s)
{
    struct agent *a = s->agent;
    struct control m = {.type = CONTROL_SERVE, .slot = s->index};
    int status;
    if (!s->worker && a->profile.forks && a->setup.slots > 1) {
        status = a->launcher ? fork_for(s) : -EPIPE;
    } else {
        if (s->worker)
            m.type = CONTROL_REDIALLED;
        else
            s->worker = a->launcher;
        status = s->worker ? control_send(s->worker->control.fd, a->profile.node_control, &m, NULL,
                                          &s->fd, 1)
                           : -EPIPE;
    }
    if (status < 0)
        slot_close(s);
}

static void call_done(struct slot *s, struct worker *w, const struct control *m)
{
    enum nr_frame_verdict verdict = m->value == NR_VERDICT_OK ? NR_VERDICT_OK : NR_VERDICT_TAINTED;
    worker_drain(w); /* while the call is still open, so that what is found counts as its log */
    s->done++;
    slot_end(s, m->call, w, verdict, 0);
}

static void take_message(struct worker *w, const struct control *m, const char *text)
{
    struct agent *a = w->agent;
    struct slot *s = w->slot ? w->slot : m->slot < a->setup.slots ? &a->slots[m->slot] : NULL;
    switch (m->type) {
    case CONTROL_BOOTED:
        if (w == a->launcher)
            booted(a);
        break;
    case CONTROL_LOADED:
        if (w == a->launcher) {
            worker_drain(w);
            init_done(a, m->value ? text : NULL);
        }
        break;
    case CONTROL_FORKED:
        if (w->slot && w->pid == 0)
            w->pid = m->value;
        break;
    case CONTROL_DONE:
        if (s && s->worker == w)
            call_done(s, w, m);
        break;
    case CONTROL_LOST:
        if (s && s->worker == w)
            slot_let_go(s);
        break;
    default: break; /* the tenant's own code may write here: what is not understood is nothing */
    }
}

/* Takes all messages that are there. false: the other side is gone. */
static bool take_messages(struct worker *w)
{
    struct agent *a = w->agent;
    struct control m;
    const char *text;
    int status = 0;
    while (w->control.fd >= 0 && (status = control_receive(w->control.fd, a->profile.node_control,
                                                           &a->control_inbox, &m, &text)) > 0)
        take_message(w, &m, text);
    return status == 0;
}

/* The control channel closes with the process; a worker that closed it and lives cannot be told anything any more. */
static void control_ready(struct watch *watch, uint32_t events)
{
    struct worker *w = container_of(watch, struct worker, control);
    (void)events;
    if (take_messages(w))
        return;
    int fd = w->control.fd;
    loop_drop(&w->agent->loop, &w->control);
    close(fd);
    if (w->pid > 0)
        worker_kill(w); /* its burial does the rest */
    else
        worker_gone(w, 0);
}

static void end_in_its_place(struct slot *s, struct worker *w, int status, bool oom)
{
    struct control_slot *line = &s->agent->page->slots[s->index];
    bool half_answered = __atomic_load_n(&line->answering, __ATOMIC_SEQ_CST) != 0;
    s->worker = NULL;
    if (s->state != SLOT_OPEN || half_answered || !worker_call_open(w, s->index)) {
        slot_close(s);
        return;
    }
    slot_end(s, line->call, w, oom ? NR_VERDICT_OOM : NR_VERDICT_EXITED, status);
}

static void direct_ended(struct worker *w, int status, bool oom)
{
    struct agent *a = w->agent;
    take_messages(w);
    if (w == a->launcher)
        a->launcher = NULL;
    if (a->phase == AGENT_FRESH)
        agent_exit(a, 1);
    if (a->phase == AGENT_STARTING)
        init_lost(a, w, oom ? NR_VERDICT_OOM : NR_VERDICT_EXITED, status);
    for (unsigned i = 0; a->phase == AGENT_READY && i < a->setup.slots; i++) {
        struct slot *s = &a->slots[i];
        if (s->worker == w && s->state != SLOT_CLOSED)
            end_in_its_place(s, w, status, oom);
    }
    worker_free(w);
}

const struct mode mode_direct = {
    .name = "direct",
    .boot = direct_boot,
    .rehearse = direct_rehearse,
    .init = direct_init,
    .connected = direct_connected,
    .ended = direct_ended,
};
