/* Moves while the process is killed: what was answered is there, and what is there is whole. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/json.h"
#include "common/base/mem.h"
#include "rig.h"

#define PUT(n) "{\"exec\":{\"kind\":\"python:3\",\"code\":\"def main(args): return " #n "\"}}"
#define KILLS 6

/* What the child does, again and again. None is refused when the one before it was done. */
static const struct {
    enum fn_op op;
    int64_t number;
    const char *item, *body, *move; /* move: as the history calls it */
} steps[] = {
    {FN_VERSION_PUBLISH, FN_EVERY_VERSION, NULL, NULL, "publish"},
    {FN_MOVE_BLOCK, FN_EVERY_VERSION, NULL, "{\"reason\":\"kill\"}", "block"},
    {FN_ALIAS_PUT, FN_EVERY_VERSION, "prod", "{\"version\":1}", "alias"},
    {FN_MOVE_UNBLOCK, FN_EVERY_VERSION, NULL, NULL, "unblock"},
    {FN_UPDATE_BEGIN, FN_EVERY_VERSION, NULL, NULL, "update-begin"},
    {FN_UPDATE_COMMIT, FN_EVERY_VERSION, NULL, PUT(2), "update-commit"},
    {FN_ACTION_PUT, FN_EVERY_VERSION, NULL, PUT(3), "update"},
};

static struct rig_reply ask(struct rig *r, enum fn_op op, int64_t number, const char *item,
                            const char *body)
{
    struct fn_call call = {.op = op,
                           .account = r->guest,
                           .name = nr_str_of("f"),
                           .number = number,
                           .item = nr_str_of(item),
                           .body = nr_str_of(body),
                           .overwrite = true,
                           .limit = 200};

    return rig_run(r, &call);
}

static json_t *document(struct rig *r, enum fn_op op, int64_t number)
{
    struct rig_reply reply = ask(r, op, number, NULL, NULL);
    json_t *o = reply.status == 200 ? nr_json_parse(nr_str_of(reply.body), NULL) : NULL;

    if (o == NULL)
        fail_msg("%d of %lld: %d %.300s", (int)op, (long long)number, reply.status, reply.body);
    rig_reply_fini(&reply);
    return o;
}

static _Noreturn void child_main(struct rig *r, int say)
{
    for (;;) {
        for (unsigned char i = 0; i < nr_countof(steps); i++) {
            struct rig_reply reply =
                ask(r, steps[i].op, steps[i].number, steps[i].item, steps[i].body);

            if (reply.status < 200 || reply.status > 201 || write(say, &i, 1) != 1)
                _exit(1);
            rig_reply_fini(&reply);
        }
    }
}

/* Runs a child until it has said `until` moves, and a little longer; done[i] are those that it has said in all. */
static void run_and_kill(struct rig *r, int until, int done[nr_countof(steps)])
{
    unsigned char said;
    unsigned wait_us;
    int pipe_fd[2], status;

    assert_int_equal(pipe(pipe_fd), 0);
    pid_t pid = fork();
    if (pid == 0) {
        (void)close(pipe_fd[0]);
        rig_open(r);
        child_main(r, pipe_fd[1]);
    }
    (void)close(pipe_fd[1]);
    nr_random(&wait_us, sizeof(wait_us));
    for (int n = 0; read(pipe_fd[0], &said, 1) == 1; n++) {
        done[said]++;
        if (n == until) {
            (void)usleep(wait_us % 20000);
            assert_int_equal(kill(pid, SIGKILL), 0);
        }
    }
    (void)close(pipe_fd[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
}

static int count_moves(const json_t *moves, const char *move)
{
    size_t i;
    json_t *e;
    int n = 0;

    json_array_foreach((json_t *)(uintptr_t)moves, i, e) {
        n += json_integer_value(json_object_get(e, "version")) == 0 || strcmp(move, "publish") == 0
                 ? strcmp(nr_json_string(e, "move"), move) == 0
                 : 0;
    }
    return n;
}

/* The state that the newest move of a version has led to. */
static const char *told_state(const json_t *moves, int64_t number)
{
    size_t i;
    json_t *e;

    json_array_foreach((json_t *)(uintptr_t)moves, i, e) {
        const char *move = nr_json_string(e, "move");
        if (json_integer_value(json_object_get(e, "version")) == number &&
            strncmp(move, "alias", 5) != 0)
            return nr_json_string(e, "to");
    }
    return "none";
}

static void check_versions(struct rig *r, const json_t *function, const json_t *moves)
{
    const json_t *versions = json_object_get(function, "versions");

    assert_int_equal(json_array_size(versions), count_moves(moves, "publish"));
    assert_string_equal(nr_json_string(function, "state"), told_state(moves, 0));
    for (size_t i = 0; i < json_array_size(versions); i++) {
        nr_auto_json json_t *v = document(r, FN_FUNCTION_GET, (int64_t)i + 1);

        assert_int_equal(json_integer_value(json_array_get(versions, i)), i + 1);
        assert_string_equal(nr_json_string(v, "state"), told_state(moves, (int64_t)i + 1));
        struct rig_reply fn = ask(r, FN_RESOLVE, (int64_t)i + 1, NULL, NULL);
        assert_non_null(fn.fn); /* its file is there, with its hash */
        assert_int_equal(access(fn.fn->code_path, R_OK), 0);
        rig_reply_fini(&fn);
    }
}

/* All of it, the newest first, page by page. */
static json_t *all_moves(struct rig *r)
{
    json_t *all = json_array();

    for (;;) {
        struct fn_call call = {.op = FN_FUNCTION_HISTORY,
                               .account = r->guest,
                               .name = nr_str_of("f"),
                               .limit = 200,
                               .skip = (int)json_array_size(all)};
        struct rig_reply reply = rig_run(r, &call);
        nr_auto_json json_t *page = nr_json_parse(nr_str_of(reply.body), NULL);

        assert_int_equal(reply.status, 200);
        rig_reply_fini(&reply);
        (void)json_array_extend(all, json_object_get(page, "moves"));
        if (json_array_size(json_object_get(page, "moves")) < 200)
            return all;
    }
}

static void check(struct rig *r, const int done[nr_countof(steps)])
{
    nr_auto_json json_t *function = document(r, FN_FUNCTION_GET, FN_EVERY_VERSION);
    nr_auto_json json_t *moves = all_moves(r);
    nr_auto_json json_t *aliases = document(r, FN_ALIAS_LIST, FN_EVERY_VERSION);
    char version[32];

    for (size_t i = 0; i < nr_countof(steps); i++) {
        /* To point where it points already is no move; the first is one. */
        if (steps[i].op != FN_ALIAS_PUT && count_moves(moves, steps[i].move) < done[i])
            fail_msg("%s: %d in the history, %d answered", steps[i].move,
                     count_moves(moves, steps[i].move), done[i]);
    }
    assert_true(done[2] == 0 || json_array_size(json_object_get(aliases, "aliases")) == 1);
    (void)snprintf(version, sizeof(version), "0.0.%d",
                   1 + count_moves(moves, "update") + count_moves(moves, "update-commit"));
    assert_string_equal(nr_json_string(function, "version"), version);
    check_versions(r, function, moves);
}

/* Back to LATEST, from whatever the kill has left: these are moves, too. */
static void settle(struct rig *r)
{
    struct rig_reply abort = ask(r, FN_UPDATE_ABORT, 0, NULL, NULL);
    struct rig_reply unblock = ask(r, FN_MOVE_UNBLOCK, FN_EVERY_VERSION, NULL, NULL);

    assert_true(abort.status == 200 || abort.status == 409);
    assert_true(unblock.status == 200 || unblock.status == 409);
    rig_reply_fini(&abort);
    rig_reply_fini(&unblock);
}

static void kills_around_moves(void **state)
{
    int done[nr_countof(steps)] = {0};
    struct rig r;

    (void)state;
    rig_begin(&r);
    free(rig_put(&r, "f", PUT(1), true, 200));
    for (int i = 0; i < KILLS; i++) {
        rig_close(&r);
        run_and_kill(&r, 1 + 3 * i % 7, done);
        rig_open(&r);
        check(&r, done);
        settle(&r);
        check(&r, done);
    }
    rig_end(&r);
}

/* Who moves at the same time as others has his way whole, or not at all: of those who begin an update one does. */
static int answered, begun;

static void note_begun(struct fn_call *call)
{
    assert_true(call->status == 200 || call->status == 409);
    begun += call->status == 200;
    answered++;
    nr_buf_fini(&call->reply);
}

static void one_of_many_opens_the_update(void **state)
{
    struct fn_call calls[16];
    struct rig r;

    (void)state;
    rig_begin(&r);
    free(rig_put(&r, "f", PUT(1), true, 200));
    for (size_t i = 0; i < nr_countof(calls); i++) {
        calls[i] = (struct fn_call){.op = FN_UPDATE_BEGIN,
                                    .account = r.guest,
                                    .name = nr_str_of("f"),
                                    .loop = &r.loop,
                                    .done = note_begun};
        fnmanager_post(r.m, &calls[i]);
    }
    while (answered < (int)nr_countof(calls))
        (void)uv_run(&r.loop.uv, UV_RUN_ONCE);
    assert_int_equal(begun, 1);
    rig_end(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kills_around_moves),
        cmocka_unit_test(one_of_many_opens_the_update),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
