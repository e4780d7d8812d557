/* The agent: first process of every function container, between the host and the function.
 *
 *   narae-agent --socket=PATH --id=ID [--profile=FILE] [--action=FOLDER] [--stem] [-- COMMAND ARGUMENT...]
 *
 * It dials the host's socket (dial.c), takes INIT (init.c), and serves calls in the mode that the image's profile
 * names: direct, loop, once, or a relay to the image's own server (worker_*.c, relay.c). It keeps the function's logs
 * (logs.c), tells why a worker ended (process.c, oom.c) and buries every process. It never blocks: everything happens
 * in callbacks of one loop (loop.c). It ends when the host cuts the last call, or by the container's end.
 *
 * With --stem nobody waits for this container yet: a direct launcher boots and rehearses before the agent dials.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "runtimes/agent/agent.h"
#include "runtimes/agent/init.h"
#include "runtimes/agent/slot.h"
#include "runtimes/agent/worker.h"

#define EXIT_TERMINATED 143

static const struct {
    const char *name;
    const struct mode *mode;
} profile_modes[] = {
    {"direct", &mode_direct},
    {"loop", &mode_loop},
    {"native", &mode_once}, /* until INIT says which */
    {"relay", &mode_relay},
};

static int usage(void)
{
    fprintf(stderr, "usage: narae-agent --socket=PATH --id=ID [--profile=FILE] [--action=FOLDER] "
                    "[--stem] [-- COMMAND ARGUMENT...]\n");
    return 2;
}

/* The value of --name=VALUE, or NULL. */
static const char *option(const char *argument, const char *name)
{
    size_t n = strlen(name);
    return strncmp(argument, name, n) == 0 ? argument + n : NULL;
}

static bool read_options(struct agent *a, char **argv, const char **ret_profile)
{
    const char *value;
    for (argv++; *argv; argv++) {
        if ((value = option(*argv, "--socket=")))
            a->socket_path = value;
        else if ((value = option(*argv, "--id=")))
            a->id = value;
        else if ((value = option(*argv, "--profile=")))
            *ret_profile = value;
        else if ((value = option(*argv, "--action=")))
            a->action_folder = value;
        else if (strcmp(*argv, "--stem") == 0)
            a->stem = true;
        else if (strcmp(*argv, "--") == 0) {
            a->command = argv + 1;
            break;
        } else
            return false;
    }
    return a->socket_path && a->id && strlen(a->id) <= 64 && !strpbrk(a->id, "\"\\");
}

static void signalled(struct watch *w, uint32_t events)
{
    struct agent *a = container_of(w, struct agent, signals);
    struct signalfd_siginfo info;
    (void)events;
    while (read(w->fd, &info, sizeof info) == sizeof info) {
        if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT)
            agent_exit(a, EXIT_TERMINATED);
    }
    workers_reap(a);
}

static int watch_signals(struct agent *a)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0)
        return -errno;
    loop_watch(&a->loop, &a->signals, fd, EPOLLIN, signalled);
    return 0;
}

static int agent_open(struct agent *a)
{
    prctl(PR_SET_DUMPABLE, 0);
    prctl(PR_SET_CHILD_SUBREAPER, 1); /* also where it is not process 1 */
    a->rehearsal_fd = -1;
    a->code_fd = a->init_fd = a->page_fd = a->placer_note.fd = -1;
    a->setup.slots = 1;
    for (unsigned i = 0; i < AGENT_SLOTS_MAX; i++)
        slot_init(&a->slots[i], a, i);
    int status = loop_open(&a->loop);
    if (status == 0)
        status = watch_signals(a);
    a->oom_kills = oom_kills();
    for (size_t i = 0; i < sizeof profile_modes / sizeof profile_modes[0]; i++) {
        if (strcmp(a->profile.mode, profile_modes[i].name) == 0)
            a->mode = profile_modes[i].mode;
    }
    if (status == 0 && !a->mode)
        status = -EINVAL;
    if (status == 0 && a->mode->boot)
        status = a->mode->boot(a);
    return status;
}

int main(int argc, char **argv)
{
    static char *no_command[] = {NULL};
    const char *profile = "/narae/runtime";
    const char *why = NULL;
    struct agent *a = calloc(1, sizeof *a);
    if (!a)
        return 1;
    a->action_folder = "/action";
    a->command = no_command;
    if (argc < 2 || !read_options(a, argv, &profile))
        return usage();
    int status = profile_read(profile, &a->profile, &why);
    if (status == 0)
        status = agent_open(a);
    if (status < 0) {
        fprintf(stderr, "narae-agent: %s: %s\n", why ? why : "cannot start", strerror(-status));
        return 1;
    }
    if (!(a->stem && a->mode->rehearse && a->mode->rehearse(a) == 0))
        slot_dial(&a->slots[0]);
    for (;;)
        loop_turn(&a->loop);
}
