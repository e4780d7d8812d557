/* The profile says what its table says, and nothing that must stay shut. */
#include "invoker/seccomp.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "common/base/json.h"
#include "common/base/mem.h"
#include "invoker/platform.h"

/* The action of the first rule that names `call` without a condition, or NULL. */
static const char *action_of(const json_t *profile, const char *call, bool with_condition)
{
    json_t *rule, *name;
    size_t i, k;

    json_array_foreach(json_object_get(profile, "syscalls"), i, rule) {
        if ((json_object_get(rule, "args") != NULL) != with_condition)
            continue;
        json_array_foreach(json_object_get(rule, "names"), k, name) {
            if (strcmp(json_string_value(name), call) == 0)
                return nr_json_string(rule, "action");
        }
    }
    return NULL;
}

static void what_is_shut_stays_shut(void **state)
{
    static const char *const shut[] = {
        "ptrace",
        "bpf",
        "io_uring_setup",
        "io_uring_enter",
        "keyctl",
        "add_key",
        "mount",
        "umount2",
        "pivot_root",
        "unshare",
        "setns",
        "kexec_load",
        "init_module",
        "perf_event_open",
        "userfaultfd",
        "process_vm_readv",
        "name_to_handle_at",
        "open_by_handle_at",
        "reboot",
        "swapon",
        "syslog",
        "clone",
        "socket",
        "personality",
        "chroot",
        "acct",
        "quotactl",
        "move_pages",
        /* of these there is one limit for all functions */
        "inotify_init",
        "inotify_init1",
        "inotify_add_watch",
        "mq_open",
        "mq_notify",
        "mq_timedsend",
        "io_setup",
        "io_submit",
    };
    static const char *const by_argument[] = {"clone", "socket", "personality"};
    nr_auto_free char *text = seccomp_profile(platform_here());

    (void)state;
    assert_non_null(text);
    nr_auto_json json_t *profile = nr_json_parse(nr_str_of(text), NULL);
    assert_string_equal(nr_json_string(profile, "defaultAction"), "SCMP_ACT_ERRNO");
    assert_int_equal(json_array_size(json_object_get(profile, "architectures")), 1);
    for (size_t i = 0; i < nr_countof(shut); i++) {
        if (action_of(profile, shut[i], false))
            fail_msg("%s is open", shut[i]);
    }
    for (size_t i = 0; i < nr_countof(by_argument); i++)
        assert_string_equal(action_of(profile, by_argument[i], true), "SCMP_ACT_ALLOW");
}

static void programs_can_run(void **state)
{
    static const char *const open[] = {"read",   "write",      "execve",    "mmap", "futex",
                                       "openat", "epoll_wait", "getrandom", "rseq"};
    nr_auto_free char *text = seccomp_profile(platform_here());

    (void)state;
    nr_auto_json json_t *profile = nr_json_parse(nr_str_of(text), NULL);
    for (size_t i = 0; i < nr_countof(open); i++)
        assert_string_equal(action_of(profile, open[i], false), "SCMP_ACT_ALLOW");
    assert_string_equal(action_of(profile, "clone3", false), "SCMP_ACT_ERRNO");
}

/* 32-bit kernels have calls of their own for the same things; nothing else opens with them. */
static void a_narrow_platform_has_its_own_calls(void **state)
{
    static const char *const open[] = {
        "mmap2",        "fstat64",   "_llseek",          "clock_gettime64",  "futex_time64",
        "ppoll_time64", "set_tls",   "cacheflush",       "getuid32",         "ugetrlimit",
        "statx",        "fstatat64", "utimensat_time64", "timerfd_settime64"};
    static const char *const shut[] = {"ipc",   "socketcall",      "mq_timedsend_time64",
                                       "mount", "clock_settime64", "io_pgetevents_time64",
                                       "clone", "clock_adjtime64", "inotify_init"};
    nr_auto_free char *narrow = seccomp_profile(platform_named("arm"));
    nr_auto_free char *wide = seccomp_profile(platform_named("arm64"));

    (void)state;
    nr_auto_json json_t *arm = nr_json_parse(nr_str_of(narrow), NULL);
    nr_auto_json json_t *arm64 = nr_json_parse(nr_str_of(wide), NULL);
    assert_string_equal(json_string_value(json_array_get(json_object_get(arm, "architectures"), 0)),
                        "SCMP_ARCH_ARM");
    assert_string_equal(
        json_string_value(json_array_get(json_object_get(arm64, "architectures"), 0)),
        "SCMP_ARCH_AARCH64");
    for (size_t i = 0; i < nr_countof(open); i++)
        if (action_of(arm, open[i], false) == NULL)
            fail_msg("%s is shut", open[i]);
    for (size_t i = 0; i < nr_countof(shut); i++)
        if (action_of(arm, shut[i], false) != NULL)
            fail_msg("%s is open", shut[i]);
    assert_null(action_of(arm64, "mmap2", false));
    assert_null(seccomp_profile(NULL));
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(a_narrow_platform_has_its_own_calls),
        cmocka_unit_test(what_is_shut_stays_shut),
        cmocka_unit_test(programs_can_run),
    };

    return cmocka_run_group_tests(cases, NULL, NULL);
}
