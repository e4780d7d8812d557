/* posix_spawn with files in memory for input and output, so that neither side waits for the other; the end is waited for on a descriptor of
 * the process. It begins with no signal blocked, whatever the thread that starts it has.
 */
#include "common/base/program.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/mem.h"

enum { PATH_BYTES = 512, WORDS_MAX_BYTES = 200 };

struct streams {
    int in, out, errors;
};

static bool is_program(struct nr_str folder, const char *name, char path[PATH_BYTES])
{
    if (folder.n == 0 || folder.p[0] != '/')
        return false;
    int n = snprintf(path, PATH_BYTES, "%.*s/%s", (int)folder.n, folder.p, name);

    return n < PATH_BYTES && access(path, X_OK) == 0;
}

static bool find_program(const char *name, char path[PATH_BYTES])
{
    static const char *const folders[] = {"/usr/sbin", "/sbin",           "/usr/bin",
                                          "/bin",      "/usr/local/sbin", "/usr/local/bin"};

    const char *more = getenv("PATH");
    struct nr_str rest = nr_str_of(more ? more : ""), folder;

    for (size_t i = 0; i < nr_countof(folders); i++)
        if (is_program(nr_str_of(folders[i]), name, path))
            return true;
    while (nr_str_split(&rest, ':', &folder))
        if (is_program(folder, name, path))
            return true;
    return false;
}

static int memory_file(struct nr_str text)
{
    int fd = memfd_create("program", MFD_CLOEXEC);
    size_t at = 0;

    while (fd >= 0 && at < text.n) {
        ssize_t n = write(fd, text.p + at, text.n - at);

        if (n <= 0) {
            (void)close(fd);
            return -1;
        }
        at += (size_t)n;
    }
    if (fd >= 0)
        (void)lseek(fd, 0, SEEK_SET);
    return fd;
}

static void read_back(int fd, struct nr_buf *out)
{
    off_t size = lseek(fd, 0, SEEK_END), at = 0;

    while (at < size) {
        char *p = nr_buf_room(out, (size_t)(size - at));
        ssize_t n = p ? pread(fd, p, (size_t)(size - at), at) : -1;

        if (n <= 0)
            return;
        nr_buf_took(out, (size_t)n);
        at += n;
    }
}

/* 0 or an errno. */
static int start(const char *path, const char *const *argv, const struct streams *s, pid_t *ret_pid)
{
    char path_line[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin", locale[] = "LC_ALL=C";
    char *const env[] = {path_line, locale, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none;
    int r = posix_spawn_file_actions_init(&actions);

    if (r != 0)
        return r;
    (void)sigemptyset(&none);
    (void)posix_spawnattr_init(&attributes);
    (void)posix_spawnattr_setsigmask(&attributes, &none);
    (void)posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    (void)posix_spawn_file_actions_adddup2(&actions, s->in, STDIN_FILENO);
    (void)posix_spawn_file_actions_adddup2(&actions, s->out, STDOUT_FILENO);
    (void)posix_spawn_file_actions_adddup2(&actions, s->errors, STDERR_FILENO);
    r = posix_spawn(ret_pid, path, &actions, &attributes, (char *const *)(uintptr_t)argv, env);
    (void)posix_spawnattr_destroy(&attributes);
    (void)posix_spawn_file_actions_destroy(&actions);
    return r;
}

/* Waits for its end, or kills it. false: it took too long. A kernel without descriptors of processes waits without a deadline. */
static bool wait_for(pid_t pid, uint32_t max_ms, int *ret_status)
{
    nr_auto_close int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    struct pollfd p = {.fd = fd, .events = POLLIN};
    uint64_t until_ms = nr_mono_ms() + max_ms;
    int r = fd < 0 ? 1 : 0;

    while (r == 0) {
        uint64_t now_ms = nr_mono_ms();

        if (now_ms >= until_ms)
            break;
        r = poll(&p, 1, (int)(until_ms - now_ms));
        if (r < 0 && errno == EINTR)
            r = 0;
    }
    if (r == 0)
        (void)kill(pid, SIGKILL);
    while (waitpid(pid, ret_status, 0) < 0 && errno == EINTR)
        continue;
    return r != 0;
}

static int said(const char *name, int errors, struct nr_err *err)
{
    struct nr_buf words;

    nr_buf_init(&words, 1 << 20);
    read_back(errors, &words);
    for (size_t i = 0; i < words.n; i++)
        if (words.p[i] == '\n')
            words.p[i] = ' ';
    int r = nr_err_set(err, NR_EUNAVAIL, "%s failed: %.*s", name,
                       (int)(words.n < WORDS_MAX_BYTES ? words.n : WORDS_MAX_BYTES),
                       words.n ? words.p : "");
    nr_buf_fini(&words);
    return r;
}

static int run(const struct nr_program *p, const char *path, const struct streams *s,
               struct nr_err *err)
{
    const char *name = p->argv[0];
    int status = -1;
    pid_t pid;
    int r = start(path, p->argv, s, &pid);

    if (r != 0)
        return nr_err_set(err, NR_EUNAVAIL, "%s cannot be run: %s", name, strerror(r));
    if (!wait_for(pid, p->max_ms, &status))
        return nr_err_set(err, NR_EUNAVAIL, "%s was killed: it took more than %u ms", name,
                          (unsigned)p->max_ms);
    if (status != 0)
        return said(name, s->errors, err);
    if (p->out)
        read_back(s->out, p->out);
    return p->out && p->out->failed
               ? nr_err_set(err, NR_ETOOBIG, "%s printed more than is allowed", name)
               : 0;
}

int nr_program_run(const struct nr_program *p, struct nr_err *err)
{
    char path[PATH_BYTES];

    if (!find_program(p->argv[0], path))
        return nr_err_set(err, NR_EUNAVAIL, "there is no %s on this host", p->argv[0]);
    nr_auto_close int in = memory_file(p->input);
    nr_auto_close int out = memory_file((struct nr_str){NULL, 0});
    nr_auto_close int errors = memory_file((struct nr_str){NULL, 0});

    if (in < 0 || out < 0 || errors < 0)
        return nr_err_set(err, NR_EUNAVAIL, "%s: %s", p->argv[0], strerror(errno));
    return run(p, path, &(struct streams){in, out, errors}, err);
}
