/* Start and stop: what was there is there again, what does not fit is refused with one sentence, a kill loses nothing. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "common/base/file.h"
#include "common/base/mem.h"
#include "fnmanager/manager.h"
#include "tests/unit/fnmanager/rig.h"

#define PY "{\"exec\":{\"kind\":\"python:3\",\"code\":\"def main(a): return a\"}"

static int setup(void **state)
{
    struct rig *r = nr_alloc(sizeof(*r));

    rig_begin(r);
    *state = r;
    return 0;
}

static int teardown(void **state)
{
    rig_end(*state);
    free(*state);
    return 0;
}

static void test_reopen_keeps_all(void **state)
{
    struct rig *r = *state;
    nr_auto_free char *made = rig_put(
        r, "a", PY ",\"parameters\":[{\"key\":\"p\",\"value\":[1,{\"q\":null}]}]}", false, 200);
    nr_auto_free char *key = rig_file(r, "guest.key");
    struct rig_reply before = rig_call(r, r->guest, FN_RESOLVE, NULL, "a", NULL, false);

    rig_close(r);
    rig_open(r);
    nr_auto_free char *key_after = rig_file(r, "guest.key");
    struct rig_reply got = rig_call(r, r->guest, FN_ACTION_GET, NULL, "a", NULL, false);
    struct rig_reply after = rig_call(r, r->guest, FN_RESOLVE, NULL, "a", NULL, false);
    assert_string_equal(got.body, made);
    assert_string_equal(key_after, key);
    assert_int_equal(after.fn->revision, before.fn->revision);
    assert_string_equal(after.fn->code_path, before.fn->code_path);
    struct rig_reply gone = rig_call(r, r->guest, FN_ACTION_DELETE, NULL, "a", NULL, false);
    rig_close(r);
    rig_open(r);
    free(rig_put(r, "a", PY "}", false, 200));
    struct rig_reply fresh = rig_call(r, r->guest, FN_RESOLVE, NULL, "a", NULL, false);
    assert_true(fresh.fn->revision >
                before.fn->revision); /* never twice, not even after the last row went */
    rig_reply_fini(&before);
    rig_reply_fini(&got);
    rig_reply_fini(&after);
    rig_reply_fini(&gone);
    rig_reply_fini(&fresh);
}

static void sql(struct rig *r, const char *text)
{
    char path[256];
    sqlite3 *db;

    (void)snprintf(path, sizeof(path), "%s/meta.db", r->dir);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void assert_refused(struct rig *r, int code, const char *word)
{
    struct nr_err err = {0};
    struct fnmanager *m = NULL;

    assert_int_equal(fnmanager_open(&r->config, &m, &err), code);
    assert_null(m);
    assert_non_null(strstr(err.text, word));
    assert_null(strchr(err.text, '\n'));
}

static void test_newer_schema(void **state)
{
    struct rig *r = *state;

    rig_close(r);
    sql(r, "PRAGMA user_version = 40");
    assert_refused(r, NR_EINVAL, "meta.db");
}

static void test_damaged_database(void **state)
{
    struct rig *r = *state;
    char path[256];
    int fd;

    for (int i = 0; i < 50; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "f%d", i);
        free(rig_put(r, name, PY "}", false, 200));
    }
    rig_close(r);
    (void)snprintf(path, sizeof(path), "%s/meta.db", r->dir);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    for (int page = 2; page < 20; page++)
        assert_int_equal(pwrite(fd, "damaged damaged damaged damaged ", 32, page * 4096 + 8), 32);
    assert_int_equal(close(fd), 0);
    assert_refused(r, NR_ECORRUPT, "meta.db");
    assert_int_equal(
        nr_file_write(r->dir, "meta.db",
                      NR_STR("this is no database, but a text that is long enough to be one.\n"),
                      0600, NULL),
        0);
    assert_refused(r, NR_ECORRUPT, "meta.db");
}

static void test_unwritable_folder(void **state)
{
    struct rig *r = *state;

    rig_close(r);
    r->config.data_dir = "/proc/narae";
    assert_refused(r, NR_ENOENT, "/proc/narae");
    r->config.data_dir = r->dir;
}

/* A package and a rule that a later release will have made: the columns are there, and names are one space. */
static void test_packages_and_other_collections(void **state)
{
    struct rig *r = *state;

    rig_close(r);
    sql(r,
        "INSERT INTO packages(account, name, revision, version, updated_ms) VALUES('guest', 'pkg', 1, '0.0.1', 1);"
        "INSERT INTO triggers(account, name, revision, version, updated_ms) VALUES('guest', 'tick', 1, '0.0.1', 1);");
    rig_open(r);
    struct rig_reply made = rig_call(r, r->guest, FN_ACTION_PUT, "pkg", "a", PY "}", false);
    assert_int_equal(made.status, 200);
    assert_non_null(strstr(made.body, "\"namespace\":\"guest/pkg\""));
    struct rig_reply fn = rig_call(r, r->guest, FN_RESOLVE, "pkg", "a", NULL, false);
    assert_string_equal(fn.fn->path, "guest/pkg/a");
    assert_non_null(strstr(fn.fn->code_path, "/buckets/guest/pkg+a/"));
    struct rig_reply list = rig_call(r, r->guest, FN_ACTION_LIST, "pkg", NULL, NULL, false);
    assert_non_null(strstr(list.body, "\"namespace\":\"guest/pkg\""));
    struct rig_reply none = rig_call(r, r->guest, FN_ACTION_GET, NULL, "a", NULL, false);
    assert_int_equal(none.status, 404);
    struct rig_reply taken = rig_call(r, r->guest, FN_ACTION_PUT, NULL, "tick", PY "}", true);
    assert_int_equal(taken.status, 409);
    assert_string_equal(taken.body, "Resource by this name exists but is not in this collection.");
    rig_reply_fini(&made);
    rig_reply_fini(&fn);
    rig_reply_fini(&list);
    rig_reply_fini(&none);
    rig_reply_fini(&taken);
}

/* States that later releases set: they are obeyed already. */
static void test_blocked_and_retired(void **state)
{
    struct rig *r = *state;

    free(rig_put(r, "a", PY "}", false, 200));
    rig_close(r);
    sql(r, "UPDATE versions SET state = 'BLOCKED', state_before = 'LATEST'");
    rig_open(r);
    struct rig_reply blocked = rig_call(r, r->guest, FN_RESOLVE, NULL, "a", NULL, false);
    assert_int_equal(blocked.fn->state, FN_BLOCKED);
    free(rig_put(r, "a", "{}", true, 200));
    struct rig_reply still = rig_call(r, r->guest, FN_RESOLVE, NULL, "a", NULL, false);
    assert_int_equal(still.fn->state, FN_BLOCKED);
    assert_null(fnmanager_function(r->m, &(struct function_names){"guest", "guest", "", "a", 0}));
    rig_close(r);
    sql(r, "UPDATE versions SET state = 'RETIRED'");
    rig_open(r);
    struct rig_reply retired = rig_call(r, r->guest, FN_RESOLVE, NULL, "a", NULL, false);
    assert_int_equal(retired.fn->state, FN_RETIRED);
    struct rig_reply update = rig_call(r, r->guest, FN_ACTION_PUT, NULL, "a", "{}", true);
    assert_int_equal(update.status, 409);
    assert_string_equal(
        update.body,
        "The function is RETIRED and does not allow 'update'; it allows purge, delete.");
    rig_reply_fini(&blocked);
    rig_reply_fini(&still);
    rig_reply_fini(&retired);
    rig_reply_fini(&update);
}

/* Puts code whose text names its round, until it is killed. Says each answer on the pipe. */
static void child_main(struct rig *r, int say)
{
    char body[256];

    for (int round = 1;; round++) {
        (void)snprintf(
            body, sizeof(body),
            "{\"exec\":{\"kind\":\"python:3\",\"code\":\"# %d\\n\"},\"parameters\":[{\"key\":\"round\",\"value\":%d}]}",
            round, round);
        struct rig_reply reply = rig_call(r, r->guest, FN_ACTION_PUT, NULL, "a", body, true);
        if (reply.status != 200 || write(say, &round, sizeof(round)) != sizeof(round))
            _exit(1);
        rig_reply_fini(&reply);
    }
}

/* Killed in the middle of it: what was answered is there, what was not is old or new, and code and settings belong together. */
static void test_kill(void **state)
{
    for (int i = 0; i < 8; i++) {
        struct rig r;
        int pipe_fd[2], round = 0, last = 0, status;
        char expected[64];
        rig_begin(&r);
        rig_close(&r);
        assert_int_equal(pipe2(pipe_fd, O_CLOEXEC), 0);
        pid_t pid = fork();
        if (pid == 0) {
            assert_int_equal(uv_loop_fork(&r.loop.uv), 0);
            rig_open(&r);
            child_main(&r, pipe_fd[1]);
        }
        (void)close(pipe_fd[1]);
        while (last < 3 + 5 * i && read(pipe_fd[0], &round, sizeof(round)) == sizeof(round))
            last = round;
        assert_int_equal(kill(pid, SIGKILL), 0);
        while (read(pipe_fd[0], &round, sizeof(round)) == sizeof(round))
            last = round;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status));
        (void)close(pipe_fd[0]);
        rig_open(&r);
        struct rig_reply got = rig_call(&r, r.guest, FN_ACTION_GET, NULL, "a", NULL, false);
        assert_int_equal(got.status, 200);
        (void)snprintf(expected, sizeof(expected), "\"value\":%d}", last);
        int at = strstr(got.body, expected) != NULL ? last : last + 1;
        (void)snprintf(expected, sizeof(expected), "[{\"key\":\"round\",\"value\":%d}]", at);
        assert_non_null(strstr(got.body, expected));
        (void)snprintf(expected, sizeof(expected), "\"code\":\"# %d\\n\"", at);
        assert_non_null(strstr(got.body, expected));
        assert_int_equal(rig_bucket_files(&r), 1);
        rig_reply_fini(&got);
        rig_end(&r);
    }
}

static void test_metrics_and_runtimes(void **state)
{
    struct rig *r = *state;
    struct nr_buf out;

    free(rig_put(r, "a", PY "}", false, 200));
    nr_buf_init(&out, 1 << 20);
    fnmanager_metrics(r->m, &out);
    nr_buf_addc(&out, '\0');
    assert_non_null(strstr(out.p, "narae_fnmanager_calls_total{op=\"action_put\"} 1\n"));
    assert_non_null(strstr(out.p, "narae_fnmanager_auth_accepted_total 2\n"));
    assert_non_null(strstr(out.p, "narae_fnmanager_files_damaged_total 0\n"));
    nr_buf_reset(&out, 0);
    fnmanager_runtimes(r->m, &out);
    assert_int_equal(out.p[0], '{');
    nr_buf_fini(&out);
}

/* Everything that was posted before the close is answered. */
static void count_done(struct fn_call *call)
{
    ++*(int *)call->owner;
}

static void test_close_finishes(void **state)
{
    enum { CALLS = 50 };
    struct rig *r = *state;
    static char names[CALLS][8];
    struct fn_call *calls = nr_alloc(CALLS * sizeof(*calls));
    struct account *guest = account_ref(r->guest);
    int done = 0;

    for (int i = 0; i < CALLS; i++) {
        (void)snprintf(names[i], sizeof(names[i]), "n%d", i);
        calls[i] = (struct fn_call){.op = FN_ACTION_PUT,
                                    .account = guest,
                                    .name = nr_str_of(names[i]),
                                    .body = NR_STR(PY "}"),
                                    .loop = &r->loop,
                                    .done = count_done,
                                    .owner = &done};
        fnmanager_post(r->m, &calls[i]);
    }
    rig_close(r);
    while (done < CALLS)
        (void)uv_run(&r->loop.uv, UV_RUN_ONCE);
    for (int i = 0; i < CALLS; i++) {
        assert_int_equal(calls[i].status, 200);
        nr_buf_fini(&calls[i].reply);
    }
    account_unref(guest);
    free(calls);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kill),    CASE(test_reopen_keeps_all),
        CASE(test_newer_schema),        CASE(test_damaged_database),
        CASE(test_unwritable_folder),   CASE(test_packages_and_other_collections),
        CASE(test_blocked_and_retired), CASE(test_metrics_and_runtimes),
        CASE(test_close_finishes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
