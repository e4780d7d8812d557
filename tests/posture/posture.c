/* What a process inside a function's container may do to the kernel and to its surroundings: each probe is tried for real, with
 * arguments that would have an effect or reach the kernel's own checks if nothing stood before it, and the answer is printed by name.
 * One static program, so that the same bytes ask in every image. The expected answers are a table of the test that runs it.
 *
 *   posture      prints one JSON object on one line: {"calls":{..},"sockets":{..},"writes":{..},"reads":{..},"self":{..}}
 *
 * An answer is "ok" or the name of the error. EFAULT and EINVAL mean that the kernel was reached.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LINE_BYTES = 256, ARGUMENTS = 6 };

static const char *answer(long r)
{
    return r >= 0 ? "ok" : strerrorname_np(errno) ? strerrorname_np(errno) : "?";
}

/* ---- system calls ----------------------------------------------------------------------------------------------- */

static const char device_path[] = "/tmp/device";
static unsigned char handle[64] = {8, 0, 0, 0, 1};
static struct timeval new_time = {1, 0};
static unsigned long contexts[1]; /* of io_setup() */

#define P(x) ((long)(x))
struct probe {
    const char *name;
    long number, arguments[ARGUMENTS];
};

/* Numbers that an architecture does not have are left out. */
static const struct probe calls[] = {
    {"ptrace", SYS_ptrace, {0}},
    {"bpf", SYS_bpf, {0, 0, 0}},
    {"io_uring_setup", SYS_io_uring_setup, {1, 0}},
    {"io_uring_enter", SYS_io_uring_enter, {0}},
    {"io_uring_register", SYS_io_uring_register, {0}},
    {"keyctl", SYS_keyctl, {0}},
    {"add_key", SYS_add_key, {0}},
    {"request_key", SYS_request_key, {0}},
    {"perf_event_open", SYS_perf_event_open, {0}},
    {"userfaultfd", SYS_userfaultfd, {0}},
    {"mount", SYS_mount, {P("none"), P("/tmp"), P("tmpfs"), 0, 0}},
    {"umount2", SYS_umount2, {P("/tmp"), 0}},
    {"pivot_root", SYS_pivot_root, {P("/"), P("/")}},
    {"fsopen", SYS_fsopen, {P("tmpfs"), 0}},
    {"fsmount", SYS_fsmount, {0}},
    {"fspick", SYS_fspick, {AT_FDCWD, P("/tmp"), 0}},
    {"open_tree", SYS_open_tree, {AT_FDCWD, P("/tmp"), 1}},
    {"move_mount", SYS_move_mount, {AT_FDCWD, P("/tmp"), AT_FDCWD, P("/action"), 0}},
    {"unshare user", SYS_unshare, {CLONE_NEWUSER}},
    {"unshare net", SYS_unshare, {CLONE_NEWNET}},
    {"unshare mount", SYS_unshare, {CLONE_NEWNS}},
    {"clone user", SYS_clone, {CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0}},
    {"clone3", SYS_clone3, {0, 0}},
    {"setns", SYS_setns, {0, 0}},
    {"chroot", SYS_chroot, {P("/tmp")}},
    {"mknod", SYS_mknodat, {AT_FDCWD, P(device_path), S_IFCHR | 0666, 0x105}},
    {"name_to_handle_at", SYS_name_to_handle_at, {AT_FDCWD, P("/"), P(handle), P(handle + 32), 0}},
    {"open_by_handle_at", SYS_open_by_handle_at, {AT_FDCWD, P(handle), O_RDONLY}},
    {"process_vm_readv", SYS_process_vm_readv, {1, 0, 0, 0, 0, 0}},
    {"process_vm_writev", SYS_process_vm_writev, {1, 0, 0, 0, 0, 0}},
    {"pidfd_getfd", SYS_pidfd_getfd, {0, 0, 0}},
    {"kcmp", SYS_kcmp, {1, 1, 0, 0, 0}},
    {"kexec_load", SYS_kexec_load, {0}},
    {"init_module", SYS_init_module, {0, 0, P("")}},
    {"finit_module", SYS_finit_module, {0, P(""), 0}},
    {"delete_module", SYS_delete_module, {P("none"), 0}},
    {"syslog", SYS_syslog, {10, 0, 0}},
    {"personality", SYS_personality, {0x0040000}},
    {"fanotify_init", SYS_fanotify_init, {0, 0}},
    {"quotactl", SYS_quotactl, {0, 0, 0, 0}},
    {"acct", SYS_acct, {0}},
    {"swapon", SYS_swapon, {P("/tmp"), 0}},
    {"swapoff", SYS_swapoff, {P("/tmp")}},
    {"reboot", SYS_reboot, {0, 0, 0, 0}},
    {"sethostname", SYS_sethostname, {P("x"), 1}},
    {"setdomainname", SYS_setdomainname, {P("x"), 1}},
    {"settimeofday", SYS_settimeofday, {P(&new_time), 0}},
    {"vhangup", SYS_vhangup, {0}},
    {"setuid 0", SYS_setuid, {0}},
    {"setgid 0", SYS_setgid, {0}},
    {"setgroups", SYS_setgroups, {0, 0}},
    {"setpriority", SYS_setpriority, {PRIO_PROCESS, 0, -5}},
    {"inotify_init1", SYS_inotify_init1, {0}},
    {"mq_open", SYS_mq_open, {P("x"), O_RDWR | O_CREAT, 0600, 0}},
    {"io_setup", SYS_io_setup, {1, P(contexts)}},
    {"mlockall", SYS_mlockall, {MCL_CURRENT | MCL_FUTURE}},
    {"memfd_create", SYS_memfd_create, {P("x"), 0}},
#ifdef SYS_inotify_init
    {"inotify_init", SYS_inotify_init, {0}},
#endif
#ifdef SYS_iopl
    {"iopl", SYS_iopl, {3}},
    {"ioperm", SYS_ioperm, {0x80, 1, 1}},
#endif
};

/* In a child of its own: a call that is open changes only that child. */
static void ask(const struct probe *p, char out[LINE_BYTES])
{
    int pipe_fds[2];

    (void)snprintf(out, LINE_BYTES, "no answer");
    if (pipe(pipe_fds) < 0)
        return;
    pid_t pid = fork();

    if (pid == 0) {
        const long *a = p->arguments;
        pid_t before = getpid();

        errno = 0;
        const char *text = answer(syscall(p->number, a[0], a[1], a[2], a[3], a[4], a[5]));

        if (getpid() == before) /* not the child of a clone */
            (void)!write(pipe_fds[1], text, strlen(text));
        _exit(0);
    }
    (void)close(pipe_fds[1]);
    ssize_t n = read(pipe_fds[0], out, LINE_BYTES - 1);

    if (n > 0)
        out[n] = '\0';
    (void)close(pipe_fds[0]);
    (void)waitpid(pid, NULL, 0);
}

/* ---- sockets ---------------------------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    int family, type, protocol;
} sockets[] = {
    {"packet", AF_PACKET, SOCK_RAW, 0},  {"raw icmp", AF_INET, SOCK_RAW, 1},
    {"raw tcp", AF_INET, SOCK_RAW, 6},   {"raw ipv6", AF_INET6, SOCK_RAW, 58},
    {"vsock", AF_VSOCK, SOCK_STREAM, 0}, {"alg", AF_ALG, SOCK_SEQPACKET, 0},
    {"key", AF_KEY, SOCK_RAW, 2},        {"xdp", AF_XDP, SOCK_RAW, 0},
    {"audit", AF_NETLINK, SOCK_RAW, 9},  {"bluetooth", AF_BLUETOOTH, SOCK_RAW, 1},
    {"can", AF_CAN, SOCK_RAW, 1},        {"inet", AF_INET, SOCK_STREAM, 0},
    {"unix", AF_UNIX, SOCK_STREAM, 0},
};

/* ---- files ------------------------------------------------------------------------------------------------------ */

static const char *const writes[] = {
    "/x",
    "/etc/passwd",
    "/etc/hosts",
    "/etc/resolv.conf",
    "/usr/x",
    "/narae/x",
    "/.narae/x",
    "/.narae/agent",
    "/.narae/s/x",
    "/proc/sys/kernel/hostname",
    "/proc/sys/kernel/core_pattern",
    "/proc/sys/vm/overcommit_memory",
    "/proc/sys/net/ipv4/ip_forward",
    "/proc/sysrq-trigger",
    "/proc/1/oom_score_adj",
    "/proc/1/mem",
    "/sys/fs/cgroup/x",
    "/sys/kernel/mm/ksm/run",
    "/sys/class/net/lo/mtu",
    "/dev/x",
    "/dev/mem",
    "/dev/kmsg",
    "/dev/loop0",
    "/dev/vda",
    "/dev/sda",
    "/dev/net/tun",
    "/dev/fuse",
    "/tmp/x",
    "/action/x",
    "/dev/shm/x",
};
static const char *const reads[] = {
    "/proc/kcore",
    "/proc/keys",
    "/proc/timer_list",
    "/proc/sched_debug",
    "/proc/kmsg",
    "/proc/1/environ",
    "/proc/1/maps",
    "/proc/1/mem",
    "/proc/1/root/etc/passwd",
    "/proc/1/fd/0",
    "/proc/1/cwd/etc/passwd",
    "/etc/shadow",
    "/run/docker.sock",
    "/var/run/docker.sock",
    "/run/containerd/containerd.sock",
    "/.dockerenv/x",
    "/sys/kernel/debug/x",
    "/sys/kernel/tracing/trace",
    "/sys/kernel/vmcoreinfo",
    "/dev/mem",
    "/dev/vda",
};
/* Folders that must look empty. */
static const char *const folders[] = {"/proc/acpi",
                                      "/proc/scsi",
                                      "/proc/asound",
                                      "/sys/firmware",
                                      "/sys/kernel/security",
                                      "/sys/kernel/debug",
                                      "/sys/devices/virtual/powercap"};
/* Of these what stands there says nothing of others: their number is told. */
static const char *try_open(const char *path, int flags)
{
    char byte;
    int fd = open(path, flags, 0600);

    if (fd < 0)
        return answer(-1);
    ssize_t n = flags == O_RDONLY ? read(fd, &byte, 1) : 0;
    const char *text = n == 0 && flags == O_RDONLY ? "empty" : answer(n);

    (void)close(fd);
    return text;
}

static const char *look_into(const char *path)
{
    DIR *d = opendir(path);
    bool found = false;

    if (d == NULL)
        return answer(-1);
    for (const struct dirent *e; (e = readdir(d)) != NULL;)
        found = found || e->d_name[0] != '.';
    (void)closedir(d);
    return found ? "something" : "empty";
}

/* A copy of this program in a folder that may only hold data. */
static const char *execute_in(const char *path)
{
    char buffer[4096];
    int from = open("/proc/self/exe", O_RDONLY), to = open(path, O_WRONLY | O_CREAT, 0755);
    ssize_t n;
    int status = 0;

    while (from >= 0 && to >= 0 && (n = read(from, buffer, sizeof(buffer))) > 0)
        (void)!write(to, buffer, (size_t)n);
    (void)close(from);
    (void)close(to);
    pid_t pid = fork();

    if (pid == 0) {
        (void)execl(path, path, "nothing", (char *)NULL);
        _exit(errno == EACCES ? 13 : 1);
    }
    (void)waitpid(pid, &status, 0);
    (void)unlink(path);
    return WEXITSTATUS(status) == 0 ? "ok" : WEXITSTATUS(status) == 13 ? "EACCES" : "other";
}

/* ---- itself ------------------------------------------------------------------------------------------------------- */

static void say(bool *first, const char *name, const char *value)
{
    printf("%s\"%s\":\"%s\"", *first ? "" : ",", name, value);
    *first = false;
}

static void status_lines(bool *first)
{
    static const char *const wanted[] = {"CapInh", "CapPrm", "CapEff", "CapBnd",  "CapAmb",
                                         "Uid",    "Gid",    "Groups", "Seccomp", "NoNewPrivs"};
    char line[LINE_BYTES];
    FILE *f = fopen("/proc/self/status", "r");

    while (f && fgets(line, sizeof(line), f)) {
        char *value = strchr(line, ':');

        if (value == NULL)
            continue;
        *value++ = '\0';
        value += strspn(value, "\t ");
        value[strcspn(value, "\n")] = '\0';
        for (char *c = value; *c; c++)
            *c = *c == '\t' ? ' ' : *c;
        for (size_t n = strlen(value); n > 0 && value[n - 1] == ' '; n--)
            value[n - 1] = '\0';
        for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
            if (strcmp(line, wanted[i]) == 0)
                say(first, line, value);
    }
    if (f)
        (void)fclose(f);
}

static void limits(bool *first)
{
    static const struct {
        const char *name;
        int resource;
    } all[] = {{"nofile", RLIMIT_NOFILE},
               {"core", RLIMIT_CORE},
               {"fsize", RLIMIT_FSIZE},
               {"memlock", RLIMIT_MEMLOCK}};
    char text[64];

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        struct rlimit r = {0};

        (void)getrlimit(all[i].resource, &r);
        (void)snprintf(text, sizeof(text), "%lld %lld", (long long)r.rlim_cur,
                       (long long)r.rlim_max);
        say(first, all[i].name, text);
    }
    (void)snprintf(text, sizeof(text), "%d", prctl(PR_GET_DUMPABLE));
    say(first, "dumpable", text);
}

static void print_calls(void)
{
    char text[LINE_BYTES];
    bool first = true;

    printf("{\"calls\":{");
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        ask(&calls[i], text);
        say(&first, calls[i].name, text);
    }
    printf("},\"sockets\":{");
    first = true;
    for (size_t i = 0; i < sizeof(sockets) / sizeof(sockets[0]); i++) {
        int fd = socket(sockets[i].family, sockets[i].type, sockets[i].protocol);

        say(&first, sockets[i].name, answer(fd));
        if (fd >= 0)
            (void)close(fd);
    }
}

static void print_files(void)
{
    bool first = true;

    printf("},\"writes\":{");
    for (size_t i = 0; i < sizeof(writes) / sizeof(writes[0]); i++)
        say(&first, writes[i],
            try_open(writes[i], O_WRONLY | (strncmp(writes[i], "/dev/", 5) != 0 ||
                                                    strstr(writes[i], "/x") != NULL
                                                ? O_CREAT
                                                : 0)));
    printf("},\"reads\":{");
    first = true;
    for (size_t i = 0; i < sizeof(reads) / sizeof(reads[0]); i++)
        say(&first, reads[i], try_open(reads[i], O_RDONLY));
    for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++)
        say(&first, folders[i], look_into(folders[i]));
    printf("},\"execute\":{");
    first = true;
    say(&first, "/tmp", execute_in("/tmp/program"));
    say(&first, "/dev/shm", execute_in("/dev/shm/program"));
    say(&first, "/action", execute_in("/action/program"));
}

int main(int argc, char **argv)
{
    bool first = true;

    (void)argv;
    if (argc > 1 && strcmp(argv[1], "nothing") == 0)
        return 0;
    print_calls();
    print_files();
    printf("},\"self\":{");
    status_lines(&first);
    limits(&first);
    printf("}}\n");
    return 0;
}
