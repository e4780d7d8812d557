/* A restore that is killed before any one of its renames, and whose repair is killed likewise: what was there before comes back whole, and until
 * then the folder says that it is no whole one. renameat() is wrapped by the linker: the process kills itself instead of the n-th call.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "cli/backup/backup.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/data/folder_marks.h"
#include "tests/unit/common/base/check.h"

enum { RENAMES_MAX = 40 };

static char root[] = "/tmp/narae-swap-XXXXXX";
static char data[64];
static int die_at; /* the call before which the process dies; 0: never */

static const char *const old_names[] = {"meta.db",    "meta.db-wal", "calls.db",
                                        "secret.key", "guest.key",   "buckets/guest"};
static const char *const new_names[] = {"meta.db", "scaling.db", "secret.key", "buckets/other"};

int __real_renameat(int from_fd, const char *from, int to_fd, const char *to);
int __wrap_renameat(int from_fd, const char *from, int to_fd, const char *to);

int __wrap_renameat(int from_fd, const char *from, int to_fd, const char *to)
{
    if (die_at > 0 && --die_at == 0)
        (void)raise(SIGKILL);
    return __real_renameat(from_fd, from, to_fd, to);
}

static void fill(const char *folder, const char *const *names, size_t n, const char *text)
{
    char path[256];

    (void)snprintf(path, sizeof(path), "%s/buckets", folder);
    assert_int_equal(nr_dir_make(path, 0700, NULL), 0);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(nr_file_write(folder, names[i], nr_str_of(text), 0600, NULL), 0);
}

/* All of `names`, with `text`, and nothing of `others` that is not among them. */
static void holds(const char *const *names, size_t n, const char *const *others, size_t m,
                  const char *text)
{
    char path[256];

    for (size_t i = 0; i < n; i++) {
        nr_auto_free char *got = NULL;
        size_t bytes;

        (void)snprintf(path, sizeof(path), "%s/%s", data, names[i]);
        if (nr_file_read(path, 64, &got, &bytes, NULL) < 0)
            fail_msg("%s is not there", names[i]);
        assert_string_equal(got, text);
    }
    for (size_t i = 0; i < m; i++) {
        bool among = false;

        for (size_t j = 0; j < n; j++)
            among = among || strcmp(others[i], names[j]) == 0;
        (void)snprintf(path, sizeof(path), "%s/%s", data, others[i]);
        if (!among)
            assert_int_equal(access(path, F_OK), -1);
    }
}

/* In a process of its own, which dies before its n-th rename. With `restores`: the new names come in. True: it lived. */
static bool lives(int n, bool restores)
{
    pid_t child = fork();

    if (child == 0) {
        struct nr_err err = {0};
        struct backup_place p;
        char staged[128];

        if (freopen("/dev/null", "w", stderr) == NULL)
            _exit(4);
        die_at = n;
        if (backup_place_open(&p, data, true, &err) < 0)
            _exit(2);
        if (restores) {
            (void)snprintf(staged, sizeof(staged), "%s/%s", data, p.staged);
            fill(staged, new_names, nr_countof(new_names), "new");
            if (backup_place_swap(&p, &err) < 0)
                _exit(3);
        }
        backup_place_close(&p);
        _exit(0);
    }
    int status = 0;

    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
        return false;
    assert_int_equal(status, 0);
    return true;
}

static bool is_marked(void)
{
    char path[128];

    (void)snprintf(path, sizeof(path), "%s/" NR_MARK_RESTORING, data);
    return access(path, F_OK) == 0;
}

static void begin(void)
{
    assert_int_equal(nr_dir_remove(data, NULL), 0);
    assert_int_equal(nr_dir_make(data, 0700, NULL), 0);
    fill(data, old_names, nr_countof(old_names), "old");
}

static void is_old(void)
{
    holds(old_names, nr_countof(old_names), new_names, nr_countof(new_names), "old");
}

/* The wrapped calls of a whole restore. */
static int count_renames(void)
{
    int n = 1;

    for (begin(); n < RENAMES_MAX && !lives(n, true); n++)
        begin();
    assert_true(n > 8 && n < RENAMES_MAX);
    holds(new_names, nr_countof(new_names), old_names, nr_countof(old_names), "new");
    assert_false(is_marked());
    return n - 1;
}

static void a_kill_before_any_rename_is_undone(void **state)
{
    int renames = count_renames();

    for (int n = 1; n <= renames; n++) {
        begin();
        assert_false(lives(n, true));
        if (!is_marked()) /* it died while it wrote the marks */
            is_old();
        assert_true(lives(0, false));
        assert_false(is_marked());
        is_old();
    }
}

static void so_is_a_kill_of_the_repair(void **state)
{
    int renames = count_renames();

    for (int n = 4; n <= renames; n += 4) {
        begin();
        assert_false(lives(n, true));
        for (int m = 1; !lives(m, false); m++)
            assert_true(is_marked() && m < 2 * RENAMES_MAX);
        assert_false(is_marked());
        is_old();
        assert_true(lives(0, true)); /* and the restore itself, run again */
        holds(new_names, nr_countof(new_names), old_names, nr_countof(old_names), "new");
    }
}

static void a_mark_that_leads_elsewhere_is_refused(void **state)
{
    static const char *const marks[] = {"", "away", "in before-restore-1/../../etc .restore-1\n",
                                        "in before-restore-1 ../x\n",
                                        "back before-restore-1 .restore-1\n"};
    struct backup_place p;
    struct nr_err err;

    for (size_t i = 0; i < nr_countof(marks); i++) {
        begin();
        assert_int_equal(nr_file_write(data, NR_MARK_RESTORING, nr_str_of(marks[i]), 0600, NULL),
                         0);
        assert_int_equal(backup_place_open(&p, data, true, &err), NR_ECORRUPT);
        backup_place_close(&p);
        is_old();
    }
}

static int setup(void **state)
{
    if (mkdtemp(root) == NULL)
        return -1;
    (void)snprintf(data, sizeof(data), "%s/data", root);
    return 0;
}

static int teardown(void **state)
{
    return nr_dir_remove(root, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_kill_before_any_rename_is_undone),
        cmocka_unit_test(so_is_a_kill_of_the_repair),
        cmocka_unit_test(a_mark_that_leads_elsewhere_is_refused),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
