/* Sockets that were open before this process began, and processes that are begun with ours: of a supervisor that listens in our place, and of ourselves
 * when another process of naraed is to go on.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "daemon/daemon.h"
#include "daemon/takeover.h"

enum { FIRST_FD = 3, FAR_FD = 64, ADDRESS_BYTES = 64, ENVIRONMENT_MAX = 4096, WORDS_MAX = 512 };

extern char **environ;

/* ---- sockets that listen ---------------------------------------------------------------------------------------- */

static bool listens(int fd)
{
    int on = 0;
    socklen_t n = sizeof(on);

    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &on, &n) == 0 && on;
}

/* "127.0.0.1:3233", "[::1]:3233"; false: it is none of the two. */
static bool address_of(int fd, char ret[ADDRESS_BYTES])
{
    struct sockaddr_storage at;
    socklen_t n = sizeof(at);
    char host[INET6_ADDRSTRLEN];

    if (getsockname(fd, (struct sockaddr *)&at, &n) < 0)
        return false;
    if (at.ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)&at;

        (void)inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host));
        (void)snprintf(ret, ADDRESS_BYTES, "%s:%d", host, ntohs(in->sin_port));
    } else if (at.ss_family == AF_INET6) {
        const struct sockaddr_in6 *in = (const struct sockaddr_in6 *)(const void *)&at;

        (void)inet_ntop(AF_INET6, &in->sin6_addr, host, sizeof(host));
        (void)snprintf(ret, ADDRESS_BYTES, "[%s]:%d", host, ntohs(in->sin6_port));
    }
    return at.ss_family == AF_INET || at.ss_family == AF_INET6;
}

static int64_t number_of(const char *name, int64_t max)
{
    const char *text = getenv(name);
    int64_t n = 0;

    return text && nr_str_to_i64(nr_str_of(text), 0, max, &n) ? n : 0;
}

int listening_inherit(struct daemon *d, struct nr_err *err)
{
    int64_t pid = number_of("LISTEN_PID", INT32_MAX), count = number_of("LISTEN_FDS", INT32_MAX);
    char address[ADDRESS_BYTES];

    (void)unsetenv("LISTEN_PID");
    (void)unsetenv("LISTEN_FDS");
    (void)unsetenv("LISTEN_FDNAMES");
    if (pid != getpid() || count == 0)
        return 0;
    if (count > LISTENING_MAX)
        return nr_err_set(err, NR_EINVAL,
                          "%lld sockets were given to listen on, at most %d are taken",
                          (long long)count, LISTENING_MAX);
    for (int fd = FIRST_FD; fd < FIRST_FD + (int)count; fd++) {
        if (!listens(fd) || !address_of(fd, address))
            return nr_err_set(
                err, NR_EINVAL,
                "descriptor %d was given to listen on (LISTEN_FDS), and is no TCP socket that listens",
                fd);
        (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
        d->listening.fds[d->listening.count++] = fd;
    }
    return 0;
}

/* Is this what the option says? Port 0 is any. */
static bool agrees(const char *listen, const char *address)
{
    const char *port = strrchr(listen, ':'), *real = strrchr(address, ':');

    return strcmp(listen, address) == 0 ||
           (port && strcmp(port, ":0") == 0 && port - listen == real - address &&
            strncmp(listen, address, (size_t)(port - listen)) == 0);
}

static const char *preset_listen(void)
{
    const struct nr_option *o = daemon_options;

    while (o->name && strcmp(o->name, "listen") != 0)
        o++;
    return o->name ? o->preset : "";
}

int listening_judge(struct daemon *d, struct nr_err *err)
{
    bool preset = strcmp(d->options.listen, preset_listen()) == 0;
    char address[ADDRESS_BYTES] = "";

    for (size_t i = 0; i < d->listening.count; i++) {
        if (!address_of(d->listening.fds[i], address) ||
            (!preset && !agrees(d->options.listen, address)))
            continue;
        free(d->options.listen);
        d->options.listen = nr_strdup(address);
        return 0;
    }
    return d->listening.count == 0
               ? 0
               : nr_err_set(
                     err, NR_EINVAL,
                     "--listen=%s is not where the socket that was given listens, which is %s: "
                     "leave the option out, or stop and start",
                     d->options.listen, address);
}

/* ---- a process of our own program ------------------------------------------------------------------------------- */

/* What the child of a fork may need, all of it made before. */
struct child {
    char path[DAEMON_PATH_BYTES];
    char *argv[WORDS_MAX + 2], *env[ENVIRONMENT_MAX + 3];
    char listen_pid[32], listen_fds[32], takeover[16];
    const struct listening *l;
};

static int fill_words(struct child *c, const struct daemon *d, bool takeover)
{
    char *const word = c->takeover;
    size_t n = 0;

    (void)snprintf(c->takeover, sizeof(c->takeover), "--takeover");
    for (int i = 0; i < d->argc; i++) {
        if (strncmp(d->argv[i], word, strlen(word)) == 0)
            continue;
        if (n == WORDS_MAX)
            return NR_ETOOBIG;
        c->argv[n++] = d->argv[i];
    }
    if (takeover)
        c->argv[n++] = word;
    n = 0;
    for (char **e = environ; *e; e++) {
        if (n == ENVIRONMENT_MAX)
            return NR_ETOOBIG;
        c->env[n++] = *e;
    }
    if (c->l) {
        (void)snprintf(c->listen_fds, sizeof(c->listen_fds), "LISTEN_FDS=%zu", c->l->count);
        (void)snprintf(c->listen_pid, sizeof(c->listen_pid), "LISTEN_PID=");
        c->env[n++] = c->listen_fds;
        c->env[n++] = c->listen_pid;
    }
    return 0;
}

/* Only what a signal handler may do: other threads of the parent held whatever locks they held. */
static void write_pid(char *at)
{
    char digits[16];
    int n = 0;

    for (pid_t pid = getpid(); pid > 0 && n < (int)sizeof(digits); pid /= 10)
        digits[n++] = (char)('0' + pid % 10);
    while (n > 0)
        *at++ = digits[--n];
    *at = '\0';
}

static void run_child(struct child *c)
{
    sigset_t none;

    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    if (c->l) {
        int far[LISTENING_MAX];

        for (size_t i = 0; i < c->l->count; i++)
            far[i] = fcntl(c->l->fds[i], F_DUPFD_CLOEXEC, FAR_FD);
        for (size_t i = 0; i < c->l->count; i++)
            if (dup2(far[i], FIRST_FD + (int)i) < 0)
                _exit(127);
        write_pid(c->listen_pid + strlen(c->listen_pid));
    }
    (void)execve(c->path, c->argv, c->env);
    _exit(127);
}

int successor_spawn(const struct daemon *d, const struct listening *l, pid_t *ret_pid,
                    struct nr_err *err)
{
    static const char gone[] = " (deleted)";
    nr_auto_free struct child *c = nr_alloc(sizeof(*c));
    ssize_t n = readlink("/proc/self/exe", c->path, sizeof(c->path) - 1);

    c->path[n > 0 ? n : 0] = '\0';
    size_t bytes = strlen(c->path);

    c->l = l;
    if (l) /* as we are, whatever has become of the file */
        (void)snprintf(c->path, sizeof(c->path), "/proc/self/exe");
    else if (bytes > strlen(gone) && strcmp(c->path + bytes - strlen(gone), gone) == 0)
        c->path[bytes - strlen(gone)] = '\0';
    if (fill_words(c, d, l == NULL) < 0)
        return nr_err_set(err, NR_ETOOBIG, "more than %d options or %d variables", WORDS_MAX,
                          ENVIRONMENT_MAX);
    *ret_pid = fork();
    if (*ret_pid == 0)
        run_child(c);
    return *ret_pid > 0
               ? 0
               : nr_err_set(err, nr_err_from_errno(errno), "no process: %s", strerror(errno));
}

void supervisor_extend(uint64_t ms)
{
    char words[64];

    (void)snprintf(words, sizeof(words), "EXTEND_TIMEOUT_USEC=%llu", (unsigned long long)ms * 1000);
    supervisor_tell(words);
}

void supervisor_tell(const char *text)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    const char *path = getenv("NOTIFY_SOCKET");
    size_t n = path ? strlen(path) : 0;

    if (n < 2 || n >= sizeof(to.sun_path))
        return;
    memcpy(to.sun_path, path, n);
    if (path[0] == '@')
        to.sun_path[0] = '\0';
    nr_auto_close int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (fd >= 0)
        (void)sendto(fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT,
                     (const struct sockaddr *)&to,
                     (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n));
}
