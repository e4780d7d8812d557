/* The profile: what is not named fails with EPERM, clone3 with ENOSYS (so that the C library falls back to clone, whose flags can be
 * judged), and a few calls are allowed by argument only. Names that the Engine's libseccomp does not know are skipped by it.
 */
#include "invoker/seccomp.h"

#include <errno.h>
#include <sched.h>
#include <sys/socket.h>

#include "common/base/json.h"
#include "common/base/mem.h"
#include "invoker/platform.h"

/* By purpose; a line may grow, no call may move here that opens the kernel wider without a word in CHANGES. Not here because the kernel
 * counts what they take by uid or by host, and all functions share both: one function could take all of it from the others (inotify_*:
 * 128 instances; mq_*: 800 KB; io_setup: 65536 events). */
static const char *const allowed[] = {
    /* memory */
    "brk",
    "madvise",
    "membarrier",
    "memfd_create",
    "mincore",
    "mlock",
    "mlock2",
    "mlockall",
    "mmap",
    "mprotect",
    "mremap",
    "msync",
    "munlock",
    "munlockall",
    "munmap",
    "pkey_alloc",
    "pkey_free",
    "pkey_mprotect",
    "process_mrelease",
    "remap_file_pages",
    /* files */
    "access",
    "chdir",
    "chmod",
    "chown",
    "close",
    "close_range",
    "copy_file_range",
    "creat",
    "dup",
    "dup2",
    "dup3",
    "faccessat",
    "faccessat2",
    "fadvise64",
    "fallocate",
    "fchdir",
    "fchmod",
    "fchmodat",
    "fchmodat2",
    "fchown",
    "fchownat",
    "fcntl",
    "fdatasync",
    "fgetxattr",
    "flistxattr",
    "flock",
    "fremovexattr",
    "fsetxattr",
    "fstat",
    "fstatfs",
    "fsync",
    "ftruncate",
    "futimesat",
    "getcwd",
    "getdents",
    "getdents64",
    "getxattr",
    "ioctl",
    "lchown",
    "lgetxattr",
    "link",
    "linkat",
    "listxattr",
    "llistxattr",
    "lremovexattr",
    "lseek",
    "lsetxattr",
    "lstat",
    "mkdir",
    "mkdirat",
    "mknod",
    "mknodat",
    "newfstatat",
    "open",
    "openat",
    "openat2",
    "pipe",
    "pipe2",
    "pread64",
    "preadv",
    "preadv2",
    "pwrite64",
    "pwritev",
    "pwritev2",
    "read",
    "readahead",
    "readlink",
    "readlinkat",
    "readv",
    "removexattr",
    "rename",
    "renameat",
    "renameat2",
    "rmdir",
    "sendfile",
    "setxattr",
    "splice",
    "stat",
    "statfs",
    "statx",
    "symlink",
    "symlinkat",
    "sync",
    "sync_file_range",
    "syncfs",
    "tee",
    "truncate",
    "umask",
    "unlink",
    "unlinkat",
    "utime",
    "utimensat",
    "utimes",
    "vmsplice",
    "write",
    "writev",
    /* waiting */
    "epoll_create",
    "epoll_create1",
    "epoll_ctl",
    "epoll_ctl_old",
    "epoll_pwait",
    "epoll_pwait2",
    "epoll_wait",
    "epoll_wait_old",
    "eventfd",
    "eventfd2",
    "pause",
    "poll",
    "ppoll",
    "pselect6",
    "select",
    "signalfd",
    "signalfd4",
    /* time */
    "alarm",
    "clock_getres",
    "clock_gettime",
    "clock_nanosleep",
    "getitimer",
    "gettimeofday",
    "nanosleep",
    "setitimer",
    "time",
    "timer_create",
    "timer_delete",
    "timer_getoverrun",
    "timer_gettime",
    "timer_settime",
    "timerfd_create",
    "timerfd_gettime",
    "timerfd_settime",
    "times",
    /* processes and threads */
    "arch_prctl",
    "capget",
    "capset",
    "execve",
    "execveat",
    "exit",
    "exit_group",
    "fork",
    "futex",
    "futex_requeue",
    "futex_wait",
    "futex_waitv",
    "futex_wake",
    "get_robust_list",
    "get_thread_area",
    "getcpu",
    "getegid",
    "geteuid",
    "getgid",
    "getgroups",
    "getpgid",
    "getpgrp",
    "getpid",
    "getppid",
    "getpriority",
    "getresgid",
    "getresuid",
    "getrlimit",
    "getrusage",
    "getsid",
    "gettid",
    "getuid",
    "ioprio_get",
    "ioprio_set",
    "kill",
    "pidfd_open",
    "pidfd_send_signal",
    "prctl",
    "prlimit64",
    "restart_syscall",
    "rseq",
    "rt_sigaction",
    "rt_sigpending",
    "rt_sigprocmask",
    "rt_sigqueueinfo",
    "rt_sigreturn",
    "rt_sigsuspend",
    "rt_sigtimedwait",
    "rt_tgsigqueueinfo",
    "sched_get_priority_max",
    "sched_get_priority_min",
    "sched_getaffinity",
    "sched_getattr",
    "sched_getparam",
    "sched_getscheduler",
    "sched_rr_get_interval",
    "sched_setaffinity",
    "sched_setattr",
    "sched_setparam",
    "sched_setscheduler",
    "sched_yield",
    "set_robust_list",
    "set_thread_area",
    "set_tid_address",
    "setfsgid",
    "setfsuid",
    "setgid",
    "setgroups",
    "setpgid",
    "setpriority",
    "setregid",
    "setresgid",
    "setresuid",
    "setreuid",
    "setrlimit",
    "setsid",
    "setuid",
    "sigaltstack",
    "tgkill",
    "tkill",
    "vfork",
    "wait4",
    "waitid",
    /* talking */
    "accept",
    "accept4",
    "bind",
    "connect",
    "getpeername",
    "getsockname",
    "getsockopt",
    "listen",
    "recvfrom",
    "recvmmsg",
    "recvmsg",
    "sendmmsg",
    "sendmsg",
    "sendto",
    "setsockopt",
    "shutdown",
    "socketpair",
    /* between processes of one container (a private namespace) */
    "msgctl",
    "msgget",
    "msgrcv",
    "msgsnd",
    "semctl",
    "semget",
    "semop",
    "semtimedop",
    "shmat",
    "shmctl",
    "shmdt",
    "shmget",
    /* asking, and giving up more rights */
    "getrandom",
    "landlock_add_rule",
    "landlock_create_ruleset",
    "landlock_restrict_self",
    "seccomp",
    "sysinfo",
    "uname",
};

#define NEW_NAMESPACES                                                                             \
    (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID |  \
     CLONE_NEWNET)

/* Allowed when argument `index` stands in `op` to the values; several rows of one call are alternatives. */
static const struct {
    const char *name, *op;
    unsigned index;
    json_int_t value, value_two;
} by_argument[] = {
    {"clone", "SCMP_CMP_MASKED_EQ", 0, NEW_NAMESPACES, 0},
    {"personality", "SCMP_CMP_EQ", 0, 0, 0},
    {"personality", "SCMP_CMP_EQ", 0, 0xffffffff, 0},
    {"socket", "SCMP_CMP_LT", 0, 38 /* AF_ALG */, 0},
    {"socket", "SCMP_CMP_GT", 0, AF_VSOCK, 0},
};

static json_t *rule(json_t *names, const char *action)
{
    return json_pack("{s:o, s:s}", "names", names, "action", action);
}

static json_t *rules(bool narrow)
{
    json_t *list = json_array(), *names = json_array(), *refused;

    for (size_t i = 0; i < nr_countof(allowed); i++)
        json_array_append_new(names, json_string(allowed[i]));
    for (size_t i = 0; narrow && seccomp_narrow_calls[i]; i++)
        json_array_append_new(names, json_string(seccomp_narrow_calls[i]));
    json_array_append_new(list, rule(names, "SCMP_ACT_ALLOW"));
    for (size_t i = 0; i < nr_countof(by_argument); i++) {
        json_t *one = rule(json_pack("[s]", by_argument[i].name), "SCMP_ACT_ALLOW");

        json_object_set_new(one, "args",
                            json_pack("[{s:i, s:I, s:I, s:s}]", "index", (int)by_argument[i].index,
                                      "value", by_argument[i].value, "valueTwo",
                                      by_argument[i].value_two, "op", by_argument[i].op));
        json_array_append_new(list, one);
    }
    refused = rule(json_pack("[s]", "clone3"), "SCMP_ACT_ERRNO");
    json_object_set_new(refused, "errnoRet", json_integer(ENOSYS));
    json_array_append_new(list, refused);
    return list;
}

char *seccomp_profile(const struct platform *node)
{
    if (node == NULL)
        return NULL;
    nr_auto_json json_t *profile =
        json_pack("{s:s, s:[s], s:o}", "defaultAction", "SCMP_ACT_ERRNO", "architectures",
                  node->seccomp, "syscalls", rules(node->narrow));

    return profile ? nr_json_text(profile, NULL) : NULL;
}
