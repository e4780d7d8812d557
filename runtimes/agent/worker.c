/* A worker's process: born in a session of its own (so that it can be killed with what it started), first in line for
 * the out-of-memory killer (so that the agent lives to tell of it), its output read by us for ever.
 *
 * Output that belongs to no call is read too and dropped: a full pipe would stop the function.
 * In direct mode the agent learns from the shared page whether a call is open; control.h has the argument for the order
 * in which the page is touched here.
 */
#include "runtimes/agent/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

struct worker *worker_make(struct agent *a, struct slot *slot)
{
    struct worker *w = calloc(1, sizeof *w);
    if (!w)
        return NULL;
    w->agent = a;
    w->slot = slot;
    w->requests.fd = w->control.fd = w->out.watch.fd = w->err.watch.fd = -1;
    w->out.worker = w->err.worker = w;
    w->err.stream = LOG_STDERR;
    return w;
}

/* The line of the shared page that this worker's output belongs to. */
static struct control_slot *page_line(const struct worker *w)
{
    struct agent *a = w->agent;
    if (!a->page || a->phase != AGENT_READY)
        return NULL;
    if (w->slot)
        return &a->page->slots[w->slot->index];
    return a->setup.slots == 1 ? &a->page->slots[0] : NULL;
}

bool worker_call_open(const struct worker *w, unsigned slot)
{
    struct control_slot *line = &w->agent->page->slots[slot];
    uint32_t ended = __atomic_load_n(&line->ended, __ATOMIC_SEQ_CST);
    return __atomic_load_n(&line->begun, __ATOMIC_SEQ_CST) != ended + w->agent->slots[slot].done;
}

static void bump(struct control_slot *line)
{
    if (line)
        __atomic_add_fetch(&line->activity, 1, __ATOMIC_SEQ_CST);
}

/* V8 and the JVM end themselves when their heap is full; only their last words tell that from any other abort. */
static void note_heap(struct worker *w, const char *bytes, size_t length)
{
    const struct profile *p = &w->agent->profile;
    const char *words = p->node_control ? "heap out of memory" : p->heap_words;
    if (words[0] && memmem(bytes, length, words, strlen(words)))
        w->heap_full = true;
}

static void account(struct worker *w, struct control_slot *line, enum log_stream stream,
                    const char *bytes, size_t length)
{
    struct agent *a = w->agent;
    if (w->stdout_hook && stream == LOG_STDOUT) {
        w->stdout_hook(w, bytes, length);
        return;
    }
    note_heap(w, bytes, length);
    if (line) {
        size_t limit = a->setup.log_max_bytes;
        if (a->profile.node_control && a->setup.slots > 1 && limit > NR_FRAME_LOG_RAW_MAX_BYTES)
            limit = NR_FRAME_LOG_RAW_MAX_BYTES; /* the launcher collects the logs */
        bool open = worker_call_open(w, (unsigned)(line - a->page->slots));
        if (open && !w->logs.collecting)
            logs_begin(&w->logs, limit);
        else if (!open)
            w->logs.collecting = false;
    }
    logs_add(&w->logs, stream, bytes, length);
}

/* Reads at most `most` bytes from a pipe. false: it is closed. */
static bool take(struct log_pipe *p, size_t most)
{
    char *bytes = p->worker->agent->scratch;
    struct control_slot *line = page_line(p->worker);
    bump(line);
    ssize_t n = read(p->watch.fd, bytes, most < AGENT_READ_BYTES ? most : AGENT_READ_BYTES);
    if (n > 0)
        account(p->worker, line, p->stream, bytes, (size_t)n);
    bump(line);
    return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

static void close_watched(struct worker *w, struct watch *watch)
{
    int fd = watch->fd;
    if (fd < 0)
        return;
    loop_drop(&w->agent->loop, watch);
    close(fd);
}

static void output_ready(struct watch *watch, uint32_t events)
{
    struct log_pipe *p = container_of(watch, struct log_pipe, watch);
    (void)events;
    if (!take(p, AGENT_READ_BYTES)) {
        struct worker *w = p->worker;
        close_watched(w, &p->watch);
        if (w->output_closed)
            w->output_closed(w);
    }
}

void worker_watch_output(struct worker *w, enum log_stream stream, int fd)
{
    struct log_pipe *p = stream == LOG_STDOUT ? &w->out : &w->err;
    fcntl(fd, F_SETFL, O_NONBLOCK);
    loop_watch(&w->agent->loop, &p->watch, fd, EPOLLIN, output_ready);
}

static void drain_pipe(struct log_pipe *p)
{
    int left = 0;
    if (p->watch.fd < 0 || ioctl(p->watch.fd, FIONREAD, &left) < 0)
        return;
    while (left > 0) {
        size_t part = left < AGENT_READ_BYTES ? (size_t)left : AGENT_READ_BYTES;
        if (!take(p, part))
            return;
        left -= (int)part;
    }
}

void worker_drain(struct worker *w)
{
    drain_pipe(&w->out);
    drain_pipe(&w->err);
}

static void write_oom_score(void)
{
    prctl(PR_SET_DUMPABLE, 1); /* else /proc/self is root's; exec would set it too */
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    if (write(fd, "1000", 4) != 4) {
        /* it then counts like the agent: the kernel still kills the larger one first */
    }
    close(fd);
}

/* In the child: puts the descriptors where they belong. They are first moved out of the way of each other. */
static void place_fds(const int *fds)
{
    int high[SPAWN_FDS];
    for (int i = 0; i < SPAWN_FDS; i++)
        high[i] = fds[i] < 0 ? -1 : fcntl(fds[i], F_DUPFD_CLOEXEC, 64);
    for (int i = 0; i < SPAWN_FDS; i++) {
        if (high[i] >= 0)
            dup2(high[i], i);
    }
}

static void run_child(const struct spawn *sp)
{
    sigset_t none;
    setsid();
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    write_oom_score();
    place_fds(sp->fds);
    if (sp->folder && chdir(sp->folder) < 0)
        dprintf(2, "cannot enter %s: %s\n", sp->folder, strerror(errno));
    execvpe(sp->argv[0], sp->argv, sp->env);
    bool there = errno == ENOENT && access(sp->argv[0], F_OK) == 0;
    dprintf(
        2, "cannot execute %s: %s\n", sp->argv[0],
        there ? "the interpreter that it names does not exist (a first line that ends with CR LF?)"
              : strerror(errno));
    _exit(127);
}

int worker_spawn(struct worker *w, struct spawn *sp)
{
    int pipes[2][2] = {{-1, -1}, {-1, -1}};
    int null = -1;
    if (pipe2(pipes[0], O_CLOEXEC) < 0 || pipe2(pipes[1], O_CLOEXEC) < 0)
        return -errno;
    if (sp->fds[0] < 0)
        sp->fds[0] = null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    sp->fds[1] = pipes[0][1];
    sp->fds[2] = pipes[1][1];
    pid_t pid = fork();
    if (pid == 0)
        run_child(sp);
    int status = pid < 0 ? -errno : 0;
    close(pipes[0][1]);
    close(pipes[1][1]);
    if (null >= 0)
        close(null);
    if (status < 0) {
        close(pipes[0][0]);
        close(pipes[1][0]);
        return status;
    }
    w->pid = pid;
    worker_watch_output(w, LOG_STDOUT, pipes[0][0]);
    worker_watch_output(w, LOG_STDERR, pipes[1][0]);
    return 0;
}

void worker_free(struct worker *w)
{
    if (!w)
        return;
    close_watched(w, &w->control);
    close_watched(w, &w->requests);
    close_watched(w, &w->out.watch);
    close_watched(w, &w->err.watch);
    logs_fini(&w->logs);
    free(w);
}
