/* The end of processes: killing a worker with all it started, burying who ended, and telling why.
 *
 * A worker leads a session; what left that session is found by nobody, but the last slot's end is the container's end,
 * and with it every process there is.
 */
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtimes/agent/init.h"
#include "runtimes/agent/worker.h"

/* State and session of a process; false: it cannot be seen. */
static bool read_stat(const char *pid, char *ret_state, int *ret_session)
{
    char path[64], text[512];
    snprintf(path, sizeof path, "/proc/%.20s/stat", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    text[n > 0 ? n : 0] = 0;
    const char *behind_name = strrchr(text, ')');
    return behind_name && sscanf(behind_name, ") %c %*d %*d %d", ret_state, ret_session) == 2;
}

/* The session a process belongs to, or -1. */
static pid_t session_of(const char *pid)
{
    char state;
    int session;
    return read_stat(pid, &state, &session) ? session : -1;
}

bool worker_waits(const struct worker *w)
{
    char pid[24], state;
    int session;
    snprintf(pid, sizeof pid, "%d", (int)w->pid);
    return read_stat(pid, &state, &session) && state == 'S';
}

void worker_kill(struct worker *w)
{
    if (w->pid <= 1)
        return;
    kill(-w->pid, SIGKILL);
    kill(w->pid, SIGKILL);
    DIR *proc = opendir("/proc");
    if (!proc)
        return;
    for (struct dirent *e = readdir(proc); e; e = readdir(proc)) {
        if (isdigit((unsigned char)e->d_name[0]) && session_of(e->d_name) == w->pid)
            kill((pid_t)strtol(e->d_name, NULL, 10), SIGKILL);
    }
    closedir(proc);
}

void agent_exit(struct agent *a, int status)
{
    if (a->launcher)
        worker_kill(a->launcher);
    for (unsigned i = 0; i < AGENT_SLOTS_MAX; i++) {
        if (a->slots[i].worker)
            worker_kill(a->slots[i].worker);
    }
    if (a->placer > 0)
        kill(a->placer, SIGKILL);
    _exit(status);
}

static bool ended_by_memory(struct worker *w, int status)
{
    struct agent *a = w->agent;
    worker_drain(w); /* its last words may say so */
    uint64_t kills = oom_kills();
    bool oom = kills > a->oom_kills ||
               (w->heap_full && WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL);
    a->oom_kills = kills;
    return oom;
}

static void bury(struct worker *w, int status, bool oom)
{
    struct agent *a = w->agent;
    worker_drain(w);
    if (w->pid > 1)
        kill(-w->pid, SIGKILL); /* what it left running */
    w->pid = 0;
    a->mode->ended(w, status, oom);
}

void worker_gone(struct worker *w, int status)
{
    bury(w, status, ended_by_memory(w, status));
}

static struct worker *find_worker(struct agent *a, pid_t pid)
{
    if (a->launcher && a->launcher->pid == pid)
        return a->launcher;
    for (unsigned i = 0; i < AGENT_SLOTS_MAX; i++) {
        if (a->slots[i].worker && a->slots[i].worker->pid == pid)
            return a->slots[i].worker;
    }
    return NULL;
}

void workers_reap(struct agent *a)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        struct worker *w = find_worker(a, pid);
        if (pid == a->placer)
            init_placed(a, status);
        /* A process that serves its slots in turn is the worker of each of them. */
        bool oom = w && ended_by_memory(w, status);
        for (; w; w = find_worker(a, pid))
            bury(w, status, oom);
    }
}
