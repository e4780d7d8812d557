/* Functions that speak on their container's connection by themselves and begin frames that they never end: what they can make the
 * platform hold, and who pays for it. Skipped where no Engine answers or the runtime images are missing.
 */
#include "tests/contract/invoker/rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "common/base/mem.h"
#include "invoker/internal.h"

/* Says the header of a LOG of `n` bytes and all of it but the last, as call 2 (the first INIT is 1); then waits for the end. */
static const char hoarder[] =
    "import os, socket, struct\n"
    "def main(args):\n"
    "    for fd in range(3, 64):\n"
    "        try:\n"
    "            s = socket.socket(fileno=os.dup(fd))\n"
    "            if s.family != socket.AF_UNIX or s.type != socket.SOCK_STREAM: continue\n"
    "            s.getpeername()\n"
    "        except OSError: continue\n"
    "        s.setblocking(True)\n"
    "        s.sendall(struct.pack('<IBBHQ', args['n'], 4, 0, 0, 2) + b'x' * (args['n'] - 1))\n"
    "        s.recv(1)\n"
    "        break\n"
    "    return {}\n";
static const char talker[] = "def main(args):\n    return {'a': 'x' * args['n']}\n";

enum { ROUNDS_MAX = 2400, ROUND_MS = 25 };

static int setup(void **state)
{
    struct rig *r = nr_alloc(sizeof(*r));

    *state = r;
    return rig_open(r, 2048) ? 0 : -1;
}

static int teardown(void **state)
{
    rig_close(*state);
    free(*state);
    return 0;
}

static bool says(const struct rig_call *c, const char *text)
{
    struct nr_str result = c->a->outcome.result;

    return result.n && memmem(result.p, result.n, text, strlen(text)) != NULL;
}

/* The header alone ends it: the function's time limit is not waited for, nothing is held. */
static void more_than_its_own_limit(void **state)
{
    struct rig *r = *state;
    struct function *f = rig_function(r, "hoarder", "python:3", "", hoarder);
    struct rig_call c;

    f->timeout_ms = 300000;
    f->log_max_bytes = 4096;
    rig_run(r, &c, f, "{\"n\":65536}");
    assert_int_equal(c.a->outcome.status, OUTCOME_DEVELOPER_ERROR);
    assert_false(c.a->outcome.timed_out);
    assert_int_equal(r->invoker->m.protocol_errors, 1);
    assert_int_equal(r->invoker->held_bytes, 0);
    assert_int_equal(c.a->logs.n < 4096, true);
    rig_free(&c);
    function_unref(f);
}

/* Within its own limit, but too much for all together: the hoarder ends and is told why, whoever speaks at that moment does not. */
static void more_than_there_is_for_all(void **state)
{
    struct rig *r = *state;
    struct function *f = rig_function(r, "hoarder", "python:3", "", hoarder), *g;
    struct rig_call hoards, talks;

    r->invoker->held_max_bytes = 1 << 20;
    f->timeout_ms = 300000;
    rig_start(r, &hoards, f, "{\"n\":921600}");
    for (int i = 0; i < ROUNDS_MAX && r->invoker->held_bytes == 0; i++)
        rig_pass(r, ROUND_MS);
    assert_int_equal(r->invoker->held_bytes, 921600);
    (void)snprintf(r->account, sizeof(r->account), "other");
    g = rig_function(r, "talker", "python:3", "", talker);
    rig_start(r, &talks, g, "{\"n\":300000}");
    rig_wait(r);
    assert_int_equal(talks.a->outcome.status, OUTCOME_SUCCESS);
    assert_true(talks.a->outcome.result.n > 300000);
    assert_int_equal(hoards.a->outcome.status, OUTCOME_DEVELOPER_ERROR);
    assert_true(says(&hoards, "made the platform hold 921600 bytes"));
    assert_true(says(&hoards, "the 1 MB"));
    assert_int_equal(r->invoker->held_bytes, 0);
    rig_free(&hoards);
    rig_free(&talks);
    function_unref(f);
    function_unref(g);
}

int main(void)
{
    struct rig probe;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(more_than_its_own_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(more_than_there_is_for_all, setup, teardown),
    };

    if (!rig_open(&probe, 2048))
        return 77;
    rig_close(&probe);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
