/* A backup may take a minute: a terminal sees where it is. Signals are taken from a descriptor between two pieces of work, so that whoever
 * presses Ctrl-C leaves neither half a file nor a half-restored folder behind; there is no handler and so nothing global.
 */
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "cli/backup/backup.h"
#include "common/base/clock.h"

enum { TELL_EVERY_MS = 200 };

static void choose(sigset_t *set)
{
    (void)sigemptyset(set);
    (void)sigaddset(set, SIGINT);
    (void)sigaddset(set, SIGTERM);
    (void)sigaddset(set, SIGHUP);
}

void backup_progress_open(struct backup_progress *p, bool shown)
{
    sigset_t set;

    choose(&set);
    *p = (struct backup_progress){.shown = shown, .began_ms = nr_mono_ms()};
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    p->signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

void backup_progress_close(struct backup_progress *p)
{
    sigset_t set;

    if (p->shown && p->told_ms)
        (void)fputs("\r\033[K", stderr);
    if (p->signals >= 0)
        (void)close(p->signals);
    p->signals = -1;
    choose(&set);
    (void)sigprocmask(SIG_UNBLOCK, &set, NULL);
}

int backup_progress_tell(struct backup_progress *p, const char *what, int64_t bytes,
                         int64_t total_bytes, struct nr_err *err)
{
    struct signalfd_siginfo came;
    uint64_t now_ms = nr_mono_ms();

    if (p->signals >= 0 && read(p->signals, &came, sizeof(came)) == (ssize_t)sizeof(came))
        return nr_err_set(err, NR_ECANCELED, "ended by signal %u; nothing was changed",
                          came.ssi_signo);
    if (!p->shown || now_ms - p->told_ms < TELL_EVERY_MS)
        return 0;
    p->told_ms = now_ms;
    if (total_bytes > 0)
        (void)fprintf(stderr, "\r\033[K%s: %lld of %lld MB", what, (long long)(bytes >> 20),
                      (long long)(total_bytes >> 20));
    else
        (void)fprintf(stderr, "\r\033[K%s: %lld MB", what, (long long)(bytes >> 20));
    (void)fflush(stderr);
    return 0;
}

double backup_progress_s(const struct backup_progress *p)
{
    return (double)(nr_mono_ms() - p->began_ms) / 1000;
}
