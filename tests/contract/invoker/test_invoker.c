/* The invoker's contract over the real Engine: every way a call can end, and what becomes of its container.
 * Skipped where no Engine answers or the runtime images are missing.
 */
#include "tests/contract/invoker/rig.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/json.h"
#include "common/net/fetch.h"
#include "invoker/conn.h"
#include "invoker/monitor.h"
#include "invoker/volume.h"
#include "ports/grants.h"

static const char hello[] = "def main(args):\n"
                            "    print('hi', args.get('name'))\n"
                            "    return {'greeting': 'hello ' + args.get('name', 'nobody')}\n";
static const char native_echo[] = "#!/bin/sh\necho noise\nprintf '%s\\n' \"$1\"\n";

static int setup(void **state)
{
    struct rig *r = nr_alloc(sizeof(*r));

    *state = r;
    return rig_open(r, 4096) ? 0 : -1;
}

/* The test opens its rig by itself. */
static int setup_closed(void **state)
{
    *state = nr_alloc(sizeof(struct rig));
    return 0;
}

static int teardown(void **state)
{
    rig_close(*state);
    free(*state);
    return 0;
}

static void expect(const struct rig_call *c, enum outcome_status status, const char *result)
{
    assert_int_equal(c->a->err, 0);
    assert_int_equal(c->a->outcome.status, status);
    nr_auto_free char *got = nr_strndup(c->a->outcome.result.p, c->a->outcome.result.n);

    assert_string_equal(got, result);
}

/* A number of the result; the call is freed. */
static void expect_number(struct rig_call *c, const char *key, int64_t wanted)
{
    assert_int_equal(c->a->outcome.status, OUTCOME_SUCCESS);
    nr_auto_json json_t *result = nr_json_parse(c->a->outcome.result, NULL);

    assert_int_equal(json_integer_value(json_object_get(result, key)), wanted);
    rig_free(c);
}

static bool logged(const struct rig_call *c, const char *text)
{
    return c->a->logs.n && memmem(c->a->logs.p, c->a->logs.n, text, strlen(text)) != NULL;
}

/* ---- cold, warm --------------------------------------------------------------------------------------------- */

static void cold_then_warm(void **state)
{
    struct rig *r = *state;
    struct function *f = rig_function(r, "hello", "python:3", "", hello);
    struct rig_call c;

    rig_run(r, &c, f, "{\"name\":\"a\"}");
    expect(&c, OUTCOME_SUCCESS, "{\"greeting\":\"hello a\"}");
    assert_int_equal(c.a->start, START_COLD);
    assert_int_equal(c.a->cold, COLD_FIRST_CALL);
    assert_true(c.a->init_us > 0 && c.a->create_us > 0 && c.a->boot_us > 0);
    assert_true(logged(&c, "stdout: hi a\n"));
    rig_free(&c);

    rig_run(r, &c, f, "{\"name\":\"b\"}");
    expect(&c, OUTCOME_SUCCESS, "{\"greeting\":\"hello b\"}");
    assert_int_equal(c.a->start, START_WARM);
    assert_true(c.a->init_us == 0);
    assert_true(c.answer_us - c.begun_us < 100000);
    rig_free(&c);
    assert_int_equal(rig_status(r, "containers_by_state", "idle"), 1);
    function_unref(f);
}

static void native_once(void **state)
{
    struct rig *r = *state;
    struct function *f = rig_function(r, "echo", "blackbox", "once", native_echo);
    struct rig_call c;

    rig_run(r, &c, f, "{\"a\":[1,2]}");
    expect(&c, OUTCOME_SUCCESS, "{\"a\":[1,2]}");
    assert_true(logged(&c, "stdout: noise\n"));
    rig_free(&c);
    function_unref(f);
}

static void bound_parameters_are_merged(void **state)
{
    static const struct {
        const char *bound, *input, *result;
    } table[] = {
        {"{\"x\":1}", "{}", "{\"x\":1}"},
        {"{}", " {\"y\":2} ", "{\"y\":2}"},
        {"{\"x\":1,\"y\":1}", "{ \"y\":2 }", "{\"x\":1,\"y\":2}"},
        {"{ }", "{}", "{}"},
    };
    struct rig *r = *state;
    struct rig_call c;

    for (size_t i = 0; i < nr_countof(table); i++) {
        struct function *f =
            rig_function(r, "merge", "python:3", "", "import json\ndef main(a):\n    return a\n");

        free(f->parameters);
        f->parameters = nr_strdup(table[i].bound);
        rig_run(r, &c, f, table[i].input);
        nr_auto_json json_t *got = nr_json_parse(c.a->outcome.result, NULL);
        nr_auto_json json_t *want = nr_json_parse(nr_str_of(table[i].result), NULL);

        assert_true(json_equal(got, want));
        rig_free(&c);
        function_unref(f);
    }
}

/* ---- the function fails ------------------------------------------------------------------------------------- */

static void endings(void **state)
{
    static const struct {
        const char *name, *code, *result; /* NULL: any text */
        enum outcome_status status;
        bool kept; /* the container serves on */
    } table[] = {
        {"own-error", "def main(a):\n    return {'error': 'mine', 'x': 1}\n",
         "{\"error\":\"mine\"}", OUTCOME_APPLICATION_ERROR, true},
        {"array", "def main(a):\n    return [1, 2]\n", "[1,2]", OUTCOME_SUCCESS, true},
        {"no-object", "def main(a):\n    return 7\n", NULL, OUTCOME_DEVELOPER_ERROR, false},
        {"throws", "def main(a):\n    raise Exception('oh')\n", "{\"error\":\"oh\"}",
         OUTCOME_APPLICATION_ERROR, true},
        {"bad-code", "def main(a:\n", NULL, OUTCOME_DEVELOPER_ERROR, false},
        {"exits", "import os\ndef main(a):\n    os._exit(3)\n",
         "{\"error\":\"The action did not produce a valid response and exited unexpectedly.\"}",
         OUTCOME_DEVELOPER_ERROR, false},
        {"exits-in-init", "import os\nos._exit(3)\ndef main(a):\n    return {}\n",
         "{\"error\":\"The action did not initialize and exited unexpectedly.\"}",
         OUTCOME_DEVELOPER_ERROR, false},
        {"eats-memory",
         "def main(a):\n    x = []\n    while True:\n        x.append(bytearray(1 << 20))\n",
         "{\"error\":\"The action exhausted its memory and was aborted.\"}",
         OUTCOME_DEVELOPER_ERROR, false},
    };
    struct rig *r = *state;
    struct rig_call c;

    for (size_t i = 0; i < nr_countof(table); i++) {
        struct function *f = rig_function(r, table[i].name, "python:3", "", table[i].code);

        rig_run(r, &c, f, "{}");
        if (c.a->outcome.status != table[i].status)
            fail_msg("%s: status %d, %.*s", table[i].name, c.a->outcome.status,
                     (int)c.a->outcome.result.n, c.a->outcome.result.p);
        if (table[i].result)
            expect(&c, table[i].status, table[i].result);
        rig_free(&c);
        if (table[i].kept) {
            rig_run(r, &c, f, "{}");
            if (c.a->start != START_WARM)
                fail_msg("%s: its container was not used again", table[i].name);
            rig_free(&c);
        } else if (rig_status(r, "containers_by_state", "idle") != 0) {
            fail_msg("%s: its container may be used again", table[i].name);
        }
        invoker_forget(r->invoker, f->revision);
        function_unref(f);
    }
}

static void time_limits(void **state)
{
    struct rig *r = *state;
    struct function *run = rig_function(
        r, "hangs", "python:3", "",
        "import time\ndef main(a):\n    print('before', flush=True)\n    time.sleep(60)\n");
    struct function *init =
        rig_function(r, "hangs-in-init", "python:3", "", "import time\ntime.sleep(60)\n");
    struct rig_call c;

    run->timeout_ms = init->timeout_ms = 500;
    rig_run(r, &c, run, "{}");
    expect(&c, OUTCOME_DEVELOPER_ERROR,
           "{\"error\":\"The action exceeded its time limits of 500 milliseconds.\"}");
    assert_true(c.a->outcome.timed_out);
    assert_true(c.a->answered_us - c.a->started_us < 1000000);
    rig_free(&c);
    rig_run(r, &c, init, "{}");
    expect(
        &c, OUTCOME_DEVELOPER_ERROR,
        "{\"error\":\"The action exceeded its time limits of 500 milliseconds during initialization.\"}");
    assert_true(c.a->outcome.timed_out && c.a->started_us == 0);
    rig_free(&c);
    assert_int_equal(rig_status(r, "containers_by_state", "idle"), 0);
    function_unref(run);
    function_unref(init);
}

static void floods(void **state)
{
    struct rig *r = *state;
    struct function *f = rig_function(
        r, "flood", "python:3", "",
        "def main(a):\n    for i in range(400000):\n        print('0123456789012345678901234567890123456789')\n    return {}\n");
    struct function *big =
        rig_function(r, "big", "python:3", "", "def main(a):\n    return {'x': 'y' * a['n']}\n");
    struct rig_call c;
    char input[64];

    f->log_max_bytes = 1 << 20;
    rig_run(r, &c, f, "{}");
    expect(&c, OUTCOME_SUCCESS, "{}");
    assert_true(c.a->logs.n <= (1 << 20) + 512 && c.a->logs.n > 900000);
    assert_true(logged(
        &c,
        "Logs were truncated because the total bytes size exceeds the limit of 1048576 bytes."));
    rig_free(&c);
    assert_int_equal(rig_status(r, "containers_by_state", "idle"), 0);

    (void)snprintf(input, sizeof(input), "{\"n\":%d}", NR_RESULT_MAX_BYTES - 8); /* {"x":"..."} */
    rig_run(r, &c, big, input);
    assert_int_equal(c.a->outcome.status, OUTCOME_SUCCESS);
    assert_int_equal(c.a->outcome.result.n, NR_RESULT_MAX_BYTES);
    rig_free(&c);
    (void)snprintf(input, sizeof(input), "{\"n\":%d}", NR_RESULT_MAX_BYTES - 7);
    rig_run(r, &c, big, input);
    assert_int_equal(c.a->outcome.status, OUTCOME_APPLICATION_ERROR);
    assert_non_null(memmem(
        c.a->outcome.result.p, c.a->outcome.result.n,
        "exceeded the allowed length: 1048577 > 1048576 bytes. The truncated response was: {", 82));
    rig_free(&c);
    function_unref(f);
    function_unref(big);
}

/* ---- the container fails ------------------------------------------------------------------------------------ */

/* Kills the one container of the rig through the Engine. */
static void kill_container(struct rig *r)
{
    nr_auto_free char *ids = rig_containers(r);

    rig_kill(ids);
}

static void killed_from_outside(void **state)
{
    struct rig *r = *state;
    struct function *f = rig_function(
        r, "victim", "python:3", "",
        "import time\ndef main(a):\n    time.sleep(a.get('s', 0))\n    return {'ok': 1}\n");
    struct rig_call c;

    rig_run(r, &c, f, "{}");
    rig_free(&c);
    kill_container(r); /* idle: the next call is not told */
    rig_run(r, &c, f, "{}");
    expect(&c, OUTCOME_SUCCESS, "{\"ok\":1}");
    assert_int_equal(c.a->start, START_COLD);
    assert_int_equal(c.a->cold, COLD_CRASHED);
    rig_free(&c);

    rig_pass(r, 500); /* the removal of the first one */
    rig_start(r, &c, f, "{\"s\":30}");
    rig_pass(r, 200);
    kill_container(r);
    rig_wait(r);
    expect(&c, OUTCOME_DEVELOPER_ERROR,
           "{\"error\":\"The action did not produce a valid response and exited unexpectedly.\"}");
    rig_free(&c);
    function_unref(f);
}

/* One that has lost a process for want of memory, and lived; the monitor has seen it. */
static struct container *after_a_kill(struct rig *r, struct function *f)
{
    struct rig_call c;

    rig_run(r, &c, f, "{\"hog\":true}");
    expect(&c, OUTCOME_SUCCESS, "{\"signal\":9}");
    rig_free(&c);
    struct container *ct = nr_container_of(r->invoker->containers.next, struct container, in_all);

    for (int i = 0; i < 1200 && monitor_oom_kills(ct) == 0; i++)
        rig_pass(r, 25);
    return ct;
}

/* The connection breaks in a later call: it was not want of memory. */
static void an_earlier_kill_is_not_this_calls(void **state)
{
    static const char code[] = "import os, time\n"
                               "def main(args):\n"
                               "    if not args.get('hog'):\n"
                               "        time.sleep(60)\n"
                               "    pid = os.fork()\n"
                               "    kept = []\n"
                               "    while pid == 0:\n"
                               "        kept.append(os.urandom(1 << 20))\n"
                               "    return {'signal': os.WTERMSIG(os.waitpid(pid, 0)[1])}\n";
    struct rig *r = *state;
    struct function *f = rig_function(r, "hog", "python:3", "", code);
    const struct container *ct = after_a_kill(r, f);
    struct rig_call c;
    uv_os_fd_t fd;

    if (monitor_oom_kills(ct) == 0)
        skip(); /* this host does not count them */
    rig_start(r, &c, f, "{}");
    while (c.a->i != I_AWAIT)
        (void)uv_run(&r->loop.uv, UV_RUN_ONCE);
    assert_int_equal(uv_fileno((uv_handle_t *)&ct->slots[0].conn->pipe, &fd), 0);
    assert_int_equal(shutdown(fd, SHUT_RDWR), 0);
    rig_wait(r);
    expect(&c, OUTCOME_DEVELOPER_ERROR,
           "{\"error\":\"The action did not produce a valid response and exited unexpectedly.\"}");
    rig_free(&c);
    function_unref(f);
}

static void damaged_code_never_runs(void **state)
{
    struct rig *r = *state;
    struct function *f = rig_function(r, "damaged", "python:3", "", hello);
    struct rig_call c;

    f->sha256[0] ^= 1;
    r->log.level = -1;
    rig_run(r, &c, f, "{}");
    expect(&c, OUTCOME_INTERNAL_ERROR, "{\"error\":\"Action could not be fetched.\"}");
    rig_free(&c);
    function_unref(f);
}

static void missing_image(void **state)
{
    struct rig *r = *state;
    struct function *f = rig_function(r, "nowhere", "python:3", "", hello);
    struct rig_call c;

    free(f->image);
    f->image = nr_strdup("narae/none:000000000000");
    r->log.level = -1;
    rig_run(r, &c, f, "{}");
    expect(&c, OUTCOME_INTERNAL_ERROR,
           "{\"error\":\"Failed to provision resources to run the action.\"}");
    rig_free(&c);
    function_unref(f);
}

static void image_that_cannot_be_pulled(void **state)
{
    struct rig *r = *state;
    struct function *f = rig_function(r, "stranger", "blackbox", "", "x");
    struct rig_call c;

    free(f->image);
    f->image = nr_strdup("127.0.0.1:1/none:1"); /* nobody listens there */
    f->relay = true;
    r->log.level = -1;
    rig_run(r, &c, f, "{}");
    expect(&c, OUTCOME_DEVELOPER_ERROR,
           "{\"error\":\"Failed to pull container image '127.0.0.1:1/none:1'.\"}");
    rig_free(&c);
    function_unref(f);
}

/* The two networks: lo alone, and with the Engine's bridge where it has one; "localhost" is known in both. */
static void networks(void **state)
{
    static const char code[] = "import socket\n"
                               "def main(a):\n"
                               "    socket.getaddrinfo('localhost', 80)\n"
                               "    return {'interfaces': len(socket.if_nameindex())}\n";
    struct rig *r = *state;
    struct rig_call c;

    for (int egress = 0; egress < 2; egress++) {
        struct function *f = rig_function(r, "net", "python:3", "", code);

        f->network = egress ? FN_NET_EGRESS : FN_NET_NONE;
        rig_run(r, &c, f, "{}");
        if (c.a->outcome.status != OUTCOME_SUCCESS)
            fail_msg("egress %d: %.*s", egress, (int)c.a->outcome.result.n, c.a->outcome.result.p);
        nr_auto_json json_t *j = nr_json_parse(c.a->outcome.result, NULL);
        json_int_t n = json_integer_value(json_object_get(j, "interfaces"));

        assert_true(n >= 1 && (egress || n == 1));
        if (egress && rig_has_bridge())
            assert_true(n >= 2);
        rig_free(&c);
        function_unref(f);
    }
}

/* The Engine goes away: warm calls go on, new starts fail at once and say so, and all is well when it is back. */
static void engine_away(void **state)
{
    static const char no_place[] =
        "{\"error\":\"Failed to provision resources to run the action.\"}";
    struct rig *r = *state;
    struct function *warm = rig_function(r, "warm", "blackbox", "once", native_echo);
    struct function *cold = rig_function(r, "cold", "blackbox", "once", native_echo);
    struct function *dies =
        rig_function(r, "dies", "blackbox", "loop", "#!/bin/sh\nread x\nexit 1\n");
    struct rig_call c, d[6];

    rig_run(r, &c, warm, "{}");
    rig_free(&c);
    rig_start(r, &c, dies, "{}");
    rig_pass(r, 150);
    r->log.level = -1;
    proxy_switch(&r->engine, false);
    rig_wait(r); /* however its start ended, its container cannot be removed now */
    rig_free(&c);
    for (int i = 0; i < 6; i++) {
        uint64_t begun_us = nr_mono_us();

        rig_run(r, &c, cold, "{}");
        expect(&c, OUTCOME_INTERNAL_ERROR, no_place);
        assert_true(nr_mono_us() - begun_us < 2500000);
        rig_free(&c);
        rig_run(r, &c, warm, "{}");
        expect(&c, OUTCOME_SUCCESS, "{}");
        assert_int_equal(c.a->start, START_WARM);
        rig_free(&c);
    }
    for (int i = 0; i < 6;
         i++) /* more than the warm container can take at once: they wait for it */
        rig_start(r, &d[i], warm, "{}");
    rig_wait(r);
    for (int i = 0; i < 6; i++) {
        expect(&d[i], OUTCOME_SUCCESS, "{}");
        rig_free(&d[i]);
    }
    char why[INVOKER_WHY_BYTES] = "";

    for (int i = 0; i < 600 && invoker_ready(r->invoker, why); i++)
        rig_pass(r, 50);
    assert_non_null(strstr(why, "the Docker Engine has not answered for 1"));
    proxy_switch(&r->engine, true);
    for (int i = 0; i < 600 && !invoker_ready(r->invoker, why); i++)
        rig_pass(r, 50); /* nobody calls: it is asked all the same */
    assert_true(invoker_ready(r->invoker, why));
    rig_run(r, &c, cold, "{}");
    expect(&c, OUTCOME_SUCCESS, "{}");
    rig_free(&c);
    for (int i = 0; i < 600 && rig_status(r, "containers_by_state", "dying") > 0; i++)
        rig_pass(r, 50); /* each is tried again in its own time */
    assert_int_equal(rig_status(r, "containers_by_state", "dying"), 0);
    function_unref(warm);
    function_unref(cold);
    function_unref(dies);
}

/* ---- lost without knowing ----------------------------------------------------------------------------------- */

/* A process in a control group of its own in this rig's parent group, as one that the Engine has forgotten. 0: there is no parent group. */
static pid_t forgotten_process(const struct rig *r, const char *id)
{
    static const char *const roots[] = {"/sys/fs/cgroup/memory", "/sys/fs/cgroup"};
    char path[256], text[32];

    for (size_t i = 0; i < nr_countof(roots); i++) {
        (void)snprintf(path, sizeof(path), "%s/narae-%s", roots[i], r->installation);
        if (access(path, F_OK) != 0)
            continue;
        (void)snprintf(path, sizeof(path), "%s/narae-%s/%s", roots[i], r->installation, id);
        assert_int_equal(mkdir(path, 0755), 0);
        pid_t pid = fork();

        if (pid == 0) {
            (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
            for (;;)
                (void)pause();
        }
        (void)snprintf(text, sizeof(text), "%d", (int)pid);
        (void)snprintf(path, sizeof(path), "%s/narae-%s/%s/cgroup.procs", roots[i], r->installation,
                       id);
        FILE *f = fopen(path, "we");

        assert_non_null(f);
        assert_true(fputs(text, f) >= 0 && fclose(f) == 0);
        return pid;
    }
    return 0;
}

/* A folder without a process in one hierarchy, as a runtime leaves it that was killed at work. */
static void half_made_group(const struct rig *r, const char *id)
{
    char path[256];

    (void)snprintf(path, sizeof(path), "/sys/fs/cgroup/cpuset/narae-%s/%s", r->installation, id);
    assert_true(mkdir(path, 0755) == 0 || errno == ENOENT); /* v2 has no such hierarchy */
}

static bool has_group(const struct rig *r, const char *id)
{
    static const char *const roots[] = {"memory/", "cpuset/", ""};
    bool has = false;
    char path[256];

    for (size_t i = 0; i < nr_countof(roots); i++) {
        (void)snprintf(path, sizeof(path), "/sys/fs/cgroup/%snarae-%s/%s", roots[i],
                       r->installation, id);
        has = has || access(path, F_OK) == 0;
    }
    return has;
}

/* A container that the Engine made when nobody waited for it any more, and one that the Engine has forgotten, go while we run; ours stay. */
static void what_is_lost_is_found(void **state)
{
    static const char id[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
                      half[] = "f123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    struct rig *r = *state;
    struct function *f = rig_function(r, "mine", "blackbox", "once", native_echo);
    struct rig_call c;
    int ended;

    rig_run(r, &c, f, "{}");
    rig_free(&c);
    pid_t pid = forgotten_process(r, id);

    half_made_group(r, half);
    nr_auto_free char *mine = rig_containers(r), *late = rig_create(r, "0badcafe", NULL);
    bool done = false;

    for (int i = 0; i < 300 && !done; i++) {
        nr_auto_free char *now = rig_containers(r);

        rig_pass(r, 100);
        done = strstr(now, late) == NULL && !has_group(r, id) && !has_group(r, half);
    }
    assert_true(done);
    if (pid > 0) {
        assert_int_equal(waitpid(pid, &ended, 0), pid);
        assert_true(WIFSIGNALED(ended) && WTERMSIG(ended) == SIGKILL);
    }
    nr_auto_free char *now = rig_containers(r);

    assert_string_equal(now, mine);
    rig_run(r, &c, f, "{}");
    assert_int_equal(c.a->start, START_WARM);
    rig_free(&c);
    function_unref(f);
}

/* ---- many --------------------------------------------------------------------------------------------------- */

static void one_container_many_slots(void **state)
{
    enum { N = 64 };
    struct rig *r = *state;
    struct function *f =
        rig_function(r, "slots", "python:3", "",
                     "import time\ndef main(a):\n    time.sleep(0.3)\n    return {'i': a['i']}\n");
    struct rig_call c[N];
    char input[N][32];

    f->concurrency = N;
    f->memory_mb = 1024;
    for (int i = 0; i < N; i++) {
        (void)snprintf(input[i], sizeof(input[i]), "{\"i\":%d}", i);
        rig_start(r, &c[i], f, input[i]);
    }
    rig_wait(r);
    for (int i = 0; i < N; i++) {
        char want[32];

        (void)snprintf(want, sizeof(want), "{\"i\":%d}", i);
        expect(&c[i], OUTCOME_SUCCESS, want);
        rig_free(&c[i]);
    }
    assert_int_equal(rig_status(r, "containers_by_state", "idle"), 1);
    uint64_t begun_us = nr_mono_us();

    for (int i = 0; i < N; i++)
        rig_start(r, &c[i], f, input[i]);
    rig_wait(r);
    assert_true(nr_mono_us() - begun_us < 3000000); /* one after the other they would take 19 s */
    for (int i = 0; i < N; i++)
        rig_free(&c[i]);
    function_unref(f);
}

static void memory_is_shared_out(void **state)
{
    enum { N = 6 };
    struct rig *r = *state;
    struct function *f[N];
    struct rig_call c[N];

    r->node.memory_max_mb = 256; /* two containers of 128 */
    for (int i = 0; i < N; i++) {
        char name[16];

        (void)snprintf(name, sizeof(name), "share%d", i);
        f[i] = rig_function(r, name, "blackbox", "once", native_echo);
        rig_start(r, &c[i], f[i], "{}");
        assert_true(atomic_load(&r->node.memory_used_mb) <= 256);
    }
    rig_wait(r);
    for (int i = 0; i < N; i++) {
        expect(&c[i], OUTCOME_SUCCESS, "{}");
        rig_free(&c[i]);
    }
    rig_run(r, &c[0], f[0], "{}");
    assert_int_equal(c[0].a->cold, COLD_EVICTED);
    rig_free(&c[0]);
    struct function *huge = rig_function(r, "huge", "blackbox", "once", native_echo);

    huge->memory_mb = 300;
    rig_run(r, &c[0], huge, "{}");
    expect(&c[0], OUTCOME_INTERNAL_ERROR,
           "{\"error\":\"Failed to provision resources to run the action.\"}");
    rig_free(&c[0]);
    function_unref(huge);
    for (int i = 0; i < N; i++)
        function_unref(f[i]);
}

/* At most one start per waiting call, and a call takes whatever becomes free first. */
static void waiting_calls_take_what_is_free(void **state)
{
    enum { N = 8 };
    struct rig *r = *state;
    struct function *f = rig_function(r, "burst", "blackbox", "once", native_echo);
    struct rig_call c[N];
    int cold = 0;

    for (int i = 0; i < N; i++)
        rig_start(r, &c[i], f, "{}");
    rig_wait(r);
    for (int i = 0; i < N; i++) {
        expect(&c[i], OUTCOME_SUCCESS, "{}");
        cold += c[i].a->start == START_COLD;
        rig_free(&c[i]);
    }
    assert_true(cold >= 1 && cold < N);
    function_unref(f);
}

static void updates_and_wishes(void **state)
{
    struct rig *r = *state;
    struct function *one = rig_function(r, "same", "blackbox", "once", native_echo);
    struct function *two = rig_function(r, "same", "blackbox", "once", native_echo);
    struct rig_call c;

    rig_run(r, &c, one, "{}");
    rig_free(&c);
    invoker_forget(r->invoker, one->revision);
    rig_run(r, &c, two, "{}");
    assert_int_equal(c.a->cold, COLD_UPDATED);
    rig_free(&c);
    rig_pass(r, 500);
    assert_int_equal(rig_status(r, "containers_by_state", "idle"), 1);

    struct scaler_wish wish = {.account = "guest",
                               .package = "",
                               .name = "same",
                               .desired = 3,
                               .maximum = -1,
                               .keep_alive_ms = 0};

    invoker_wish(r->invoker, &wish);
    for (int i = 0; i < 1200 && rig_status(r, "containers_by_state", "idle") < 3; i++)
        rig_pass(r, 25);
    assert_int_equal(rig_status(r, "containers_by_state", "idle"), 3); /* with their code */
    assert_int_equal(atomic_load(&r->invoker->m.inits_ahead), 2);
    wish.desired = 0;
    invoker_wish(r->invoker, &wish);
    rig_pass(r, 2000);
    assert_int_equal(rig_status(r, "containers_by_state", "idle"), 0);
    assert_int_equal(rig_status(r, "containers_by_state", "fresh"), 0);
    function_unref(one);
    function_unref(two);
}

static int64_t pools_of(const struct rig *r)
{
    return (int64_t)r->invoker->pools.count;
}

/* Many are wished for: they are begun a few at a time. A wish that is taken back leaves nothing. */
static void a_large_wish_and_none(void **state)
{
    enum { MANY = 14, AT_A_TIME = 8 }; /* of two cores */
    struct rig *r = *state;
    struct function *f = rig_function(r, "many", "blackbox", "once", native_echo);
    struct scaler_wish wish = {.account = "guest",
                               .package = "",
                               .name = "many",
                               .desired = MANY,
                               .maximum = -1,
                               .keep_alive_ms = 0};
    struct rig_call c;

    rig_run(r, &c, f, "{}");
    rig_free(&c);
    invoker_wish(r->invoker, &wish);
    for (int i = 0; i < 1200 && rig_status(r, "containers_by_state", "idle") < MANY; i++) {
        assert_in_range(rig_status(r, "containers_by_state", "starting"), 0, AT_A_TIME);
        rig_pass(r, 25);
    }
    assert_int_equal(rig_status(r, "containers_by_state", "idle"), MANY);
    wish.desired = -1; /* with no wish but to keep nothing */
    invoker_wish(r->invoker, &wish);
    for (int i = 0; i < 1200 && pools_of(r) > 0; i++)
        rig_pass(r, 25);
    assert_int_equal(pools_of(r), 0);
    wish.keep_alive_ms = -1;
    invoker_wish(r->invoker, &wish);
    rig_run(r, &c, f, "{}");
    rig_free(&c);
    rig_pass(r, 1500);
    assert_int_equal(rig_status(r, "containers_by_state", "idle"),
                     1); /* kept as long as any other */
    wish.desired = 1;
    invoker_wish(r->invoker, &wish);
    invoker_forget(r->invoker, f->revision);
    wish.desired = -1;
    invoker_wish(r->invoker, &wish);
    assert_int_equal(r->invoker->wishes, 0);
    function_unref(f);
}

/* A function that was never called comes up when its wish and its snapshot are known, whichever comes last. */
static void a_wish_before_the_first_call(void **state)
{
    struct rig *r = *state;
    struct function *f = rig_function(r, "ahead", "blackbox", "once", native_echo);
    struct scaler_wish wish = {
        .account = "guest", .package = "", .name = "ahead", .desired = 1, .maximum = -1};
    struct rig_call c;

    invoker_know(r->invoker, f); /* nobody wishes for it: nothing is kept */
    assert_int_equal(pools_of(r), 0);
    invoker_wish(r->invoker, &wish);
    invoker_know(r->invoker, f);
    for (int i = 0; i < 1200 && rig_status(r, "containers_by_state", "idle") < 1; i++)
        rig_pass(r, 25);
    assert_int_equal(rig_status(r, "containers_by_state", "idle"), 1);
    rig_run(r, &c, f, "{}");
    expect(&c, OUTCOME_SUCCESS, "{}");
    assert_int_equal(c.a->start, START_WARM);
    assert_int_equal(c.a->init_us, 0);
    assert_int_equal(r->invoker->container_count, 1);
    rig_free(&c);
    invoker_forget(r->invoker, f->revision);
    invoker_know(r->invoker, f); /* too late: it is another one now */
    for (int i = 0; i < 1200 && pools_of(r) > 0; i++)
        rig_pass(r, 25);
    assert_int_equal(pools_of(r), 0);
    function_unref(f);
}

/* Where calls may start nothing they wait for what is wished for: for none at all, until there is one; then for that one, one after another. */
static void calls_that_may_start_nothing(void **state)
{
    enum { N = 6 };
    struct rig *r = *state;
    struct function *f = rig_function(r, "held", "blackbox", "once", native_echo);
    struct scaler_wish wish = {.account = "guest",
                               .package = "",
                               .name = "held",
                               .maximum = -1,
                               .keep_alive_ms = 0,
                               .ahead_only = true};
    struct rig_call c[N];

    invoker_wish(r->invoker, &wish);
    for (int i = 0; i < N; i++)
        rig_start(r, &c[i], f, "{}");
    rig_pass(r, 1500); /* longer than anything would take to be begun */
    assert_int_equal(r->invoker->container_count, 0);
    assert_int_equal(r->running, N);
    wish.desired = 1;
    invoker_wish(r->invoker, &wish);
    while (r->running > 0) {
        assert_in_range(r->invoker->container_count, 0, 1);
        rig_pass(r, 5);
    }
    for (int i = 0; i < N; i++) {
        expect(&c[i], OUTCOME_SUCCESS, "{}");
        rig_free(&c[i]);
    }
    wish = (struct scaler_wish){.account = "guest",
                                .package = "",
                                .name = "held",
                                .desired = -1,
                                .maximum = -1,
                                .keep_alive_ms = -1};
    invoker_wish(r->invoker, &wish); /* and as ever without a wish */
    rig_run(r, &c[0], f, "{}");
    expect(&c[0], OUTCOME_SUCCESS, "{}");
    rig_free(&c[0]);
    function_unref(f);
}

/* A call that comes with the snapshot of a revision that was forgotten before: it is run, and nothing of it is kept. */
static void a_late_call_of_an_old_revision(void **state)
{
    struct rig *r = *state;
    struct function *old = rig_function(r, "late", "blackbox", "once", native_echo);
    struct rig_call c;

    invoker_forget(r->invoker, old->revision);
    rig_run(r, &c, old, "{}");
    expect(&c, OUTCOME_SUCCESS, "{}");
    rig_free(&c);
    assert_int_equal(rig_status(r, "containers_by_state", "idle"), 0);
    for (int i = 0; i < 1200 && pools_of(r) > 0; i++)
        rig_pass(r, 25);
    assert_int_equal(pools_of(r), 0);
    function_unref(old);
}

static int64_t containers_of(struct rig *r)
{
    return (int64_t)r->invoker->container_count;
}

/* Whoever was to tell that it is over may have forgotten of it: what was derived ends with what is stored, before and after. */
static void what_was_derived_ends_with_the_stored_one(void **state)
{
    enum { STORED = 1 << 20 };
    struct rig *r = *state;
    struct function *derived = rig_function(r, "derived", "blackbox", "once", native_echo);
    struct function *other = rig_function(r, "other", "blackbox", "once", native_echo);
    struct rig_call c;

    derived->stored = STORED;
    other->stored = STORED + 1;
    rig_run(r, &c, derived, "{}");
    rig_free(&c);
    rig_run(r, &c, other, "{}");
    rig_free(&c);
    assert_int_equal(containers_of(r), 2);
    invoker_forget(r->invoker, STORED);
    for (int i = 0; i < 1200 && containers_of(r) > 1; i++)
        rig_pass(r, 25);
    assert_int_equal(containers_of(r), 1);
    rig_run(r, &c, derived, "{}"); /* with a snapshot of before */
    expect(&c, OUTCOME_SUCCESS, "{}");
    rig_free(&c);
    for (int i = 0; i < 1200 && containers_of(r) > 1; i++)
        rig_pass(r, 25);
    assert_int_equal(rig_status(r, "containers_by_state", "idle"), 1);
    invoker_forget(r->invoker, other->revision);
    for (int i = 0; i < 1200 && pools_of(r) > 0; i++)
        rig_pass(r, 25);
    assert_int_equal(pools_of(r), 0);
    function_unref(derived);
    function_unref(other);
}

/* The first container serves all calls of a burst; those that come up after it are of a revision that is gone by then. */
static void an_update_in_the_middle_of_a_burst(void **state)
{
    enum { N = 4 };
    const struct rig_options one_worker = {.stems = "off", .engine_workers = 1};
    struct rig *r = *state;
    struct function *f;
    struct rig_call c[N];

    assert_true(rig_open_with(r, 4096, &one_worker));
    f = rig_function(r, "burst", "blackbox", "once", native_echo);
    for (int i = 0; i < N; i++)
        rig_start(r, &c[i], f, "{}");
    invoker_forget(r->invoker, f->revision);
    rig_wait(r);
    for (int i = 0; i < N; i++) {
        expect(&c[i], OUTCOME_SUCCESS, "{}");
        rig_free(&c[i]);
    }
    for (int i = 0; i < 1200 && containers_of(r) > 0; i++)
        rig_pass(r, 25);
    assert_int_equal(containers_of(r), 0);
    assert_int_equal(pools_of(r), 0);
    function_unref(f);
}

/* Those that can have calls. */
static int64_t living(const struct rig *r)
{
    return (int64_t)r->invoker->container_count - (int64_t)r->invoker->dying_count;
}

/* Waits for all calls; more than two containers at any moment are a mistake. */
static void end_with_two(struct rig *r, struct rig_call *c, int n)
{
    while (r->running > 0) {
        assert_in_range(living(r), 0, 2);
        (void)uv_run(&r->loop.uv, UV_RUN_ONCE);
    }
    for (int i = 0; i < n; i++) {
        expect(&c[i], OUTCOME_SUCCESS, "{}");
        rig_free(&c[i]);
    }
}

/* limits.instances: over all revisions; calls wait for a slot, and what is idle of an old revision goes for the new one. */
static void no_more_instances_than_allowed(void **state)
{
    enum { N = 6 };
    static const char code[] = "#!/bin/sh\nsleep 0.2\nprintf '{}\\n'\n";
    struct rig *r = *state;
    struct function *one = rig_function(r, "few", "blackbox", "once", code);
    struct function *two = rig_function(r, "few", "blackbox", "once", code);
    struct rig_call c[2 * N];

    one->instances = two->instances = 2;
    for (int i = 0; i < N; i++)
        rig_start(r, &c[i], one, "{}");
    end_with_two(r, c, N);
    assert_in_range(living(r), 1, 2);
    for (int i = 0; i < N; i++) /* two versions, both in use */
        rig_start(r, &c[i], two, "{}");
    end_with_two(r, c, N);
    for (int i = 0; i < 2 * N; i++)
        rig_start(r, &c[i], i < N ? two : one, "{}");
    invoker_forget(r->invoker, one->revision);
    end_with_two(r, c, 2 * N);
    function_unref(one);
    function_unref(two);
}

/* ---- claims and cuts ---------------------------------------------------------------------------------------- */

static int claim_refused(struct activation *a)
{
    return NR_ECONFLICT;
}

static int claim_later(struct activation *a)
{
    return 1;
}

static void claims(void **state)
{
    struct rig *r = *state;
    struct function *f = rig_function(r, "claimed", "blackbox", "once", native_echo);
    struct rig_call c;

    rig_run(r, &c, f, "{}");
    rig_free(&c);

    /* asked while the slot is held; answered later */
    rig_start_claimed(r, &c, f, "{}", claim_later);
    rig_pass(r, 50);
    assert_int_equal(c.a->i, I_CLAIM);
    assert_non_null(c.a->slot);
    invoker_claimed(c.a, 0);
    rig_wait(r);
    expect(&c, OUTCOME_SUCCESS, "{}");
    assert_int_equal(c.a->start, START_WARM);
    rig_free(&c);

    rig_start_claimed(r, &c, f, "{}", claim_refused);
    rig_wait(r);
    assert_int_equal(c.a->err, NR_ECONFLICT);
    assert_true(c.a->started_us == 0);
    assert_int_equal(c.answers, 1);
    assert_int_equal(c.ends, 1);
    rig_free(&c);
    assert_int_equal(rig_status(r, "containers_by_state", "idle"), 1); /* the slot came back */
    function_unref(f);
}

static void cuts(void **state)
{
    struct rig *r = *state;
    struct function *f =
        rig_function(r, "cut", "python:3", "",
                     "import time\ndef main(a):\n    time.sleep(a.get('s', 0))\n    return {}\n");
    struct rig_call c;

    rig_start(r, &c, f, "{}"); /* while it waits for its container */
    invoker_cut(c.a, NR_ECANCELED);
    rig_wait(r);
    assert_int_equal(c.a->err, NR_ECANCELED);
    rig_free(&c);
    rig_run(r, &c, f, "{}");
    rig_free(&c);
    rig_start(r, &c, f, "{\"s\":60}");
    rig_pass(r, 100);
    invoker_cut(c.a, NR_ECANCELED);
    rig_wait(r);
    assert_int_equal(c.a->err, NR_ECANCELED);
    assert_int_equal(c.answers, 1);
    rig_free(&c);
    assert_int_equal(rig_status(r, "containers_by_state", "idle"), 0);
    function_unref(f);
}

/* Another process with an invoker of its own does something and ends without a word. *before: what there is to know of its rig. */
static void in_a_crashed_process(struct rig *r, struct rig *before,
                                 void (*something)(struct rig *r))
{
    int told[2];

    assert_int_equal(pipe(told), 0);
    pid_t child = fork();

    if (child == 0) {
        (void)rig_open(r, 4096);
        something(r);
        _exit(write(told[1], r, sizeof(*r)) == (ssize_t)sizeof(*r) ? 0 : 1);
    }
    assert_int_equal(read(told[0], before, sizeof(*before)), sizeof(*before));
    assert_int_equal(waitpid(child, NULL, 0), child);
    (void)close(told[0]);
    (void)close(told[1]);
}

static void leave_a_call_under_way(struct rig *r)
{
    struct function *f =
        rig_function(r, "left", "python:3", "", "import time\ndef main(a):\n    time.sleep(60)\n");
    struct rig_call c;

    rig_start(r, &c, f, "{}");
    while (c.a->i != I_AWAIT)
        (void)uv_run(&r->loop.uv, UV_RUN_ONCE);
}

/* The next start removes what it left. */
static void crash_and_sweep(void **state)
{
    struct rig *r = *state;
    struct rig before;

    rig_close(r);
    in_a_crashed_process(r, &before, leave_a_call_under_way);
    nr_auto_free char *left = rig_containers(&before);

    assert_int_not_equal(strlen(left), 0);
    assert_true(rig_open_after(r, &before, NULL));
    for (int i = 0; i < 50; i++) {
        nr_auto_free char *now = rig_containers(r);

        if (now[0] == '\0')
            return; /* teardown closes and looks again */
        rig_pass(r, 100);
    }
    fail_msg("containers of the earlier run are still there after 5 s");
}

/* ---- adoption: a second invoker takes the first one's containers --------------------------------------------- */

/* Says which process answers, and how often it has. */
static const char counts[] =
    "import os\nn = 0\ndef main(a):\n    global n\n    n += 1\n"
    "    return {\"pid\": os.stat('/proc/self/ns/mnt').st_ino, \"n\": n}\n";
static const char *const counting[] = {"kept", "changed", "gone"};

static struct function *make_counting(struct rig *r, const char *name)
{
    return rig_function(r, name, "python:3", "", counts);
}

/* What an earlier run left has its volume until the Engine has removed it: nobody else gets it before. */
static void a_volume_of_an_earlier_run(void **state)
{
    struct rig *r = *state;
    struct rig before;
    char rows[] = "rows", row[] = "row";
    struct grant_volume volumes[] = {{rows, 1, NULL}};
    struct grants grants = {.refs = 1, .volumes = volumes, .volume_count = 1};
    char folder[256];

    (void)snprintf(folder, sizeof(folder), "%s/volumes/guest/rows/mnt", r->run_dir);
    rig_close(r);
    before = *r;
    nr_auto_free char *id = rig_create(&before, "0badcafe", folder);

    assert_true(rig_open_after(r, &before, NULL));
    struct function *f = rig_function(r, "rows", "blackbox", "once", native_echo);
    struct function *other = rig_function(r, "other", "blackbox", "once", native_echo);

    f->grants = other->grants = &grants;
    assert_true(volume_is_held(r->invoker, f));
    volumes[0].name = row;
    assert_false(volume_is_held(r->invoker, other));
    volumes[0].name = rows;
    for (int i = 0; i < 1200 && !nr_list_empty(&r->invoker->orphans); i++)
        rig_pass(r, 25);
    assert_false(volume_is_held(r->invoker, f));
    f->grants = other->grants = NULL;
    function_unref(f);
    function_unref(other);
}

static void leave_idle_containers(struct rig *r)
{
    for (size_t i = 0; i < nr_countof(counting); i++) {
        struct function *f = make_counting(r, counting[i]);
        struct rig_call c;

        rig_run(r, &c, f, "{}");
        expect_number(&c, "n", 1);
    }
}

/* As the function manager answers the second invoker: one as it was, one that was changed meanwhile, one that was removed. */
static struct function *function_now(void *arg, const struct function_names *names)
{
    struct rig *r = arg;
    uint64_t before = r->revisions;
    struct function *f = NULL;

    assert_string_equal(names->account, "guest");
    assert_string_equal(names->package, "");
    assert_int_equal(names->number, 0);
    for (size_t i = 0; i < nr_countof(counting); i++)
        if (strcmp(names->name, counting[i]) == 0 && strcmp(names->name, "gone") != 0) {
            r->revisions = strcmp(names->name, "kept") == 0 ? i : 99;
            f = make_counting(r, names->name);
        }
    r->revisions = before;
    return f;
}

static void adopted_by_the_next(void **state)
{
    static const struct rig_options options = {.stems = "off", .function_of = function_now};
    struct rig *r = *state;
    struct rig before;
    struct rig_call c;

    rig_close(r);
    in_a_crashed_process(r, &before, leave_idle_containers);
    nr_auto_free char *left = rig_containers(&before);

    assert_int_equal(strlen(left), 3 * 65);
    assert_true(rig_open_after(r, &before, &options));
    assert_int_equal(atomic_load(&r->node.memory_used_mb), 128); /* counted before it has dialled */
    for (int i = 0; i < 300 && (rig_status(r, "containers_by_state", "idle") != 1 ||
                                rig_status(r, "containers_by_state", "adopting") != 0);
         i++)
        rig_pass(r, 50);
    struct function *kept =
        function_now(r, &(struct function_names){"guest", "guest", "", "kept", 0});

    rig_run(r, &c, kept, "{}");
    assert_int_equal(c.a->start, START_WARM);
    expect_number(&c, "n", 2); /* the very process that answered the first invoker */
    nr_auto_free char *now = rig_containers(r);

    for (int i = 0; i < 200 && strlen(now) > 65; i++) { /* the others are being removed */
        rig_pass(r, 50);
        free(now);
        now = rig_containers(r);
    }
    assert_int_equal(strlen(now), 65);
    assert_non_null(strstr(left, now));
    /* One of its own from now on: an update takes it away. */
    invoker_forget(r->invoker, kept->revision);
    for (int i = 0; i < 200 && rig_status(r, "containers_by_state", "dying") +
                                       rig_status(r, "containers_by_state", "idle") >
                                   0;
         i++)
        rig_pass(r, 50);
    assert_int_equal(atomic_load(&r->node.memory_used_mb), 0);
    function_unref(kept);
}

/* ---- stopping ------------------------------------------------------------------------------------------------- */

/* A drain with calls that wait, start and run: each gets its answer and its end. */
static void drain_in_the_middle(void **state)
{
    struct rig *r = *state;
    struct function *f = rig_function(r, "drained", "python:3", "",
                                      "import time\ndef main(a):\n    time.sleep(60)\n");
    struct rig_call c[4];

    rig_start(r, &c[0], f, "{}");
    rig_pass(r, 1000);
    rig_start(r, &c[1], f, "{}");
    rig_start(r, &c[2], f, "{}");
    rig_close(r);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(c[i].answers, 1);
        assert_int_equal(c[i].ends, 1);
        assert_int_equal(c[i].a->err, NR_ESTOPPING);
        rig_free(&c[i]);
    }
    function_unref(f);
    assert_true(rig_open(r, 4096));
}

/* What the Engine does not remove in time is counted, and gone once it can be. */
static void drain_without_engine(void **state)
{
    struct rig *r = *state;
    struct function *f = rig_function(r, "left", "blackbox", "once", native_echo);
    struct rig_call c;

    rig_run(r, &c, f, "{}");
    rig_free(&c);
    r->log.level = -1;
    proxy_switch(&r->engine, false);
    uint64_t begun_us = nr_mono_us();

    assert_int_equal(rig_drain(r, 300), 1);
    assert_in_range(nr_mono_us() - begun_us, 250000, 5000000);
    proxy_switch(&r->engine, true);
    rig_close(r);
    function_unref(f);
    assert_true(rig_open(r, 4096));
}

/* An argument names the tests to be run, by a pattern. */
int main(int argc, char **argv)
{
    struct rig probe;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(cold_then_warm, setup, teardown),
        cmocka_unit_test_setup_teardown(native_once, setup, teardown),
        cmocka_unit_test_setup_teardown(bound_parameters_are_merged, setup, teardown),
        cmocka_unit_test_setup_teardown(endings, setup, teardown),
        cmocka_unit_test_setup_teardown(time_limits, setup, teardown),
        cmocka_unit_test_setup_teardown(floods, setup, teardown),
        cmocka_unit_test_setup_teardown(killed_from_outside, setup, teardown),
        cmocka_unit_test_setup_teardown(an_earlier_kill_is_not_this_calls, setup, teardown),
        cmocka_unit_test_setup_teardown(damaged_code_never_runs, setup, teardown),
        cmocka_unit_test_setup_teardown(missing_image, setup, teardown),
        cmocka_unit_test_setup_teardown(image_that_cannot_be_pulled, setup, teardown),
        cmocka_unit_test_setup_teardown(networks, setup, teardown),
        cmocka_unit_test_setup_teardown(engine_away, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_lost_is_found, setup, teardown),
        cmocka_unit_test_setup_teardown(one_container_many_slots, setup, teardown),
        cmocka_unit_test_setup_teardown(memory_is_shared_out, setup, teardown),
        cmocka_unit_test_setup_teardown(waiting_calls_take_what_is_free, setup, teardown),
        cmocka_unit_test_setup_teardown(updates_and_wishes, setup, teardown),
        cmocka_unit_test_setup_teardown(a_large_wish_and_none, setup, teardown),
        cmocka_unit_test_setup_teardown(a_wish_before_the_first_call, setup, teardown),
        cmocka_unit_test_setup_teardown(calls_that_may_start_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(a_late_call_of_an_old_revision, setup, teardown),
        cmocka_unit_test_setup_teardown(what_was_derived_ends_with_the_stored_one, setup, teardown),
        cmocka_unit_test_setup_teardown(an_update_in_the_middle_of_a_burst, setup_closed, teardown),
        cmocka_unit_test_setup_teardown(no_more_instances_than_allowed, setup, teardown),
        cmocka_unit_test_setup_teardown(claims, setup, teardown),
        cmocka_unit_test_setup_teardown(cuts, setup, teardown),
        cmocka_unit_test_setup_teardown(crash_and_sweep, setup, teardown),
        cmocka_unit_test_setup_teardown(a_volume_of_an_earlier_run, setup, teardown),
        cmocka_unit_test_setup_teardown(adopted_by_the_next, setup, teardown),
        cmocka_unit_test_setup_teardown(drain_in_the_middle, setup, teardown),
        cmocka_unit_test_setup_teardown(drain_without_engine, setup, teardown),
    };

    if (!rig_open(&probe, 4096))
        return 77;
    rig_close(&probe);
    cmocka_set_test_filter(argc > 1 ? argv[1] : NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
