/* Code that is loaded before any call, over the real Engine: what calls that come meanwhile get, what becomes of code that cannot be loaded, and that
 * nothing waits for a load that nobody wants any more. Skipped where no Engine answers or the runtime images are missing.
 */
#include "tests/contract/invoker/rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "invoker/ahead.h"
#include "invoker/pool_rules.h"

static const char a_while[] = "import time\ntime.sleep(1.5)\nprint('read')\n"
                              "def main(args):\n    return {'is': 'there'}\n";
static const char for_ever[] = "import time\nprint('waits', flush=True)\ntime.sleep(600)\n"
                               "def main(args):\n    return {}\n";
static const char raises[] = "print('connecting')\nraise RuntimeError('no database')\n";
static const char dies_later[] = "import os, threading\n"
                                 "threading.Timer(0.05, lambda: os._exit(3)).start()\n"
                                 "def main(args):\n    return {}\n";
static const char fine[] = "def main(args):\n    return {'is': 'there'}\n";
static const char native_echo[] = "#!/bin/sh\nprintf '%s\\n' \"$1\"\n";

enum {
    WAIT_MS = 60000,
    TURN_MS = 20,
    LONG_MS = 300000,
    MINUTE_MS = 60000,
    TOO_BIG_BYTES = 2200000
};

static int open_with(void **state, const struct rig_options *o)
{
    struct rig *r = nr_alloc(sizeof(*r));

    *state = r;
    return rig_open_with(r, 2048, o) ? 0 : -1;
}

static int setup(void **state)
{
    return open_with(state, &(struct rig_options){.stems = "off"});
}

static int setup_stems(void **state)
{
    return open_with(state, &(struct rig_options){.stems = "python:3=1"});
}

static int setup_for_one(void **state)
{
    return open_with(state, &(struct rig_options){.stems = "off", .containers_max = 1});
}

static int teardown(void **state)
{
    rig_close(*state);
    free(*state);
    return 0;
}

static void wish(struct rig *r, struct function *f, int count)
{
    const struct scaler_wish w = {.account = f->account,
                                  .package = "",
                                  .name = f->name,
                                  .desired = count,
                                  .maximum = -1,
                                  .keep_alive_ms = -1};

    invoker_wish(r->invoker, &w);
    invoker_know(r->invoker, f);
}

/* Runs the loop until so many containers are in this state. */
static void await_state(struct rig *r, const char *name, int64_t count)
{
    for (int i = 0; i < WAIT_MS / TURN_MS; i++) {
        if (rig_status(r, "containers_by_state", name) == count)
            return;
        rig_pass(r, TURN_MS);
    }
    fail_msg("%lld containers are %s, not %lld",
             (long long)rig_status(r, "containers_by_state", name), name, (long long)count);
}

static void await_count(struct rig *r, const nr_counter *n, uint64_t count)
{
    for (int i = 0; i < WAIT_MS / TURN_MS && atomic_load(n) < count; i++)
        rig_pass(r, TURN_MS);
    assert_int_equal(atomic_load(n), count);
}

/* How many containers f has, whatever they do. */
static unsigned count_of(struct rig *r, const struct function *f)
{
    const struct pool *p = pool_find(r->invoker, f->revision);

    return p ? p->container_count : 0;
}

/* f's only container, once it has loaded its code and has no call. */
static struct container *await_idle(struct rig *r, const struct function *f)
{
    for (int i = 0; i < WAIT_MS / TURN_MS; i++) {
        struct pool *p = pool_find(r->invoker, f->revision);
        struct container *ct = p && p->container_count == 1
                                   ? nr_container_of(p->containers.next, struct container, in_pool)
                                   : NULL;

        if (ct && (ct->state == CT_IDLE || ct->state == CT_FROZEN))
            return ct;
        rig_pass(r, TURN_MS);
    }
    fail_msg("%s has %u containers, and none that is idle", f->name, count_of(r, f));
    return NULL;
}

/* Containers have been started for wishes and loaded since this was asked: whatever is wished for could have been. */
static void others_go_on(struct rig *r, const char *name)
{
    struct function *f = rig_function(r, name, "python:3", "", fine);

    wish(r, f, 1);
    (void)await_idle(r, f);
    wish(r, f, -1);
    invoker_forget(r->invoker, f->revision);
    function_unref(f);
}

static const struct ahead_failure *failure_of(struct rig *r, const struct function *f)
{
    const struct pool *p = pool_find(r->invoker, f->revision);

    assert_non_null(p);
    assert_non_null(p->failure);
    return p->failure;
}

/* Calls that come while it is loaded wait for it, and load nothing. */
static void a_call_meanwhile(struct rig *r)
{
    struct function *f = rig_function(r, "slow", "python:3", "", a_while);
    struct rig_call c[2];

    wish(r, f, 1);
    await_state(r, "init", 1);
    rig_start(r, &c[0], f, "{}");
    rig_wait(r);
    rig_run(r, &c[1], f, "{}");
    for (size_t i = 0; i < nr_countof(c); i++) {
        assert_int_equal(c[i].a->outcome.status, OUTCOME_SUCCESS);
        assert_int_equal(c[i].a->start, START_WARM);
        assert_int_equal(c[i].a->init_us, 0);
        assert_int_equal(c[i].a->cold, COLD_NOT);
        assert_int_equal(c[i].a->logs.n, 0);
        rig_free(&c[i]);
    }
    assert_int_equal(atomic_load(&r->invoker->m.inits_ahead), 1);
    assert_int_equal(atomic_load(&r->invoker->m.borrowed_cold), 0);
    assert_int_equal(rig_status(r, "containers_by_state", "idle"), 1);
    wish(r, f, -1);
    function_unref(f);
}

/* A call gets its own error; for wishes the version is left alone. */
static void code_that_cannot_be_loaded(struct rig *r)
{
    struct function *f = rig_function(r, "broken", "python:3", "", raises);
    struct rig_call c;

    wish(r, f, 1);
    await_count(r, &r->invoker->m.init_ahead_failures, 1);
    const struct ahead_failure *failure = failure_of(r, f);

    assert_int_equal(failure->count, 1);
    assert_int_equal(failure->why, ENDED_INIT_FAILED);
    assert_int_equal(failure->not_before_ms - failure->at_ms, ahead_again_ms(1));
    assert_non_null(strstr(failure->log, "connecting"));
    assert_non_null(strstr(failure->log, "no database"));
    assert_int_equal(atomic_load(&r->invoker->m.ended[ENDED_INIT_FAILED]), 1);
    pool_find(r->invoker, f->revision)->failure->not_before_ms = r->loop.now_ms + LONG_MS;
    others_go_on(r, "beside");
    assert_int_equal(count_of(r, f), 0);
    rig_run(r, &c, f, "{}");
    assert_int_equal(c.a->outcome.status, OUTCOME_DEVELOPER_ERROR);
    assert_true(c.a->init_us > 0);
    rig_free(&c);
    pool_find(r->invoker, f->revision)->failure->not_before_ms = 0;
    await_count(r, &r->invoker->m.init_ahead_failures, 2);
    assert_int_equal(failure_of(r, f)->count, 2);
    wish(r, f, -1);
    function_unref(f);
}

static void from_stems(void **state)
{
    a_call_meanwhile(*state);
    code_that_cannot_be_loaded(*state);
}

/* By its time limit, and by a kill from outside. */
static void loads_that_are_ended(void **state)
{
    struct rig *r = *state;
    struct function *late = rig_function(r, "late", "python:3", "", for_ever);
    struct function *killed = rig_function(r, "killed", "python:3", "", for_ever);

    late->timeout_ms = 500;
    wish(r, late, 1);
    await_count(r, &r->invoker->m.init_ahead_failures, 1);
    assert_int_equal(failure_of(r, late)->why, ENDED_TIMED_OUT);
    assert_non_null(strstr(failure_of(r, late)->error, "500 milliseconds"));
    wish(r, late, -1);
    invoker_forget(r->invoker, late->revision);
    killed->timeout_ms = LONG_MS;
    wish(r, killed, 1);
    await_state(r, "init", 1);
    rig_kill(nr_container_of(r->invoker->ahead.next, struct container, in_ahead)->id);
    await_count(r, &r->invoker->m.init_ahead_failures, 2);
    assert_int_equal(failure_of(r, killed)->why, ENDED_INIT_FAILED);
    wish(r, killed, -1);
    function_unref(late);
    function_unref(killed);
}

/* One of a version until it is known to load, one account's with another's; an update ends what nobody wants any more, and so does the end of the
 * platform. */
static void who_loads_at_a_time(void **state)
{
    struct rig *r = *state;
    struct function *mine = rig_function(r, "mine", "python:3", "", for_ever), *theirs, *last;

    mine->timeout_ms = LONG_MS;
    wish(r, mine, 3);
    await_state(r, "fresh", 2);
    assert_int_equal(rig_status(r, "containers_by_state", "init"), 1);
    (void)snprintf(r->account, sizeof(r->account), "other");
    theirs = rig_function(r, "theirs", "python:3", "", a_while);
    wish(r, theirs, 2);
    await_state(r, "idle", 2);
    assert_int_equal(rig_status(r, "containers_by_state", "init"), 1);
    invoker_forget(r->invoker, mine->revision);
    assert_int_equal(rig_status(r, "containers_by_state", "init"), 0);
    assert_true(nr_list_empty(&r->invoker->ahead));
    assert_int_equal(atomic_load(&r->invoker->m.ended[ENDED_UPDATED]), 3);
    last = rig_function(r, "last", "python:3", "", for_ever);
    last->timeout_ms = LONG_MS;
    wish(r, last, 1);
    await_state(r, "init", 1);
    assert_int_equal(rig_drain(r, WAIT_MS), 0);
    assert_true(nr_list_empty(&r->invoker->ahead));
    assert_int_equal(atomic_load(&r->invoker->m.init_ahead_failures), 0);
    function_unref(mine);
    function_unref(theirs);
    function_unref(last);
}

static void leave_alone(struct rig *r, const struct function *f, uint64_t ms)
{
    pool_find(r->invoker, f->revision)->failure->not_before_ms = ms ? r->loop.now_ms + ms : 0;
}

/* That its code could be loaded says nothing: it is no reason to start the next one at once. */
static void loaded_and_died(void **state)
{
    struct rig *r = *state;
    struct function *f = rig_function(r, "dies", "python:3", "", dies_later);

    wish(r, f, 1);
    await_count(r, &r->invoker->m.init_ahead_failures, 1);
    assert_int_equal(failure_of(r, f)->count, 1);
    leave_alone(r, f, LONG_MS);
    others_go_on(r, "beside");
    assert_int_equal(count_of(r, f), 0);
    assert_int_equal(atomic_load(&r->invoker->m.started[FOR_PREWARM]), 2);
    leave_alone(r, f, 0);
    await_count(r, &r->invoker->m.init_ahead_failures, 2);
    assert_int_equal(failure_of(r, f)->count, 2);
    assert_int_equal(failure_of(r, f)->not_before_ms - failure_of(r, f)->at_ms, ahead_again_ms(2));
    wish(r, f, -1);
    function_unref(f);
}

/* All that end while the version is left alone were begun before: that is one failure. */
static void died_together(void **state)
{
    struct rig *r = *state;
    struct function *f = rig_function(r, "many", "python:3", "", fine);
    char id[3][65];
    size_t n = 0;

    wish(r, f, 3);
    await_state(r, "idle", 3);
    struct pool *p = pool_find(r->invoker, f->revision);

    NR_LIST_EACH(&p->containers, l)
        memcpy(id[n++], nr_container_of(l, struct container, in_pool)->id, sizeof(id[0]));
    wish(r, f, 1); /* none is started in the place of the others, however late they go */
    for (n = 0; n < nr_countof(id); n++)
        rig_kill(id[n]);
    await_count(r, &r->invoker->m.init_ahead_failures, 3);
    assert_int_equal(failure_of(r, f)->count, 1);
    assert_int_equal(failure_of(r, f)->why, ENDED_CRASHED);
    assert_non_null(strstr(failure_of(r, f)->error, "after its code was loaded"));
    wish(r, f, -1);
    function_unref(f);
}

/* What is over: a call was answered; a container that came later has stayed. A call waits for no pause, and who had calls may die as it likes. */
static void trouble_that_is_over(void **state)
{
    struct rig *r = *state;
    struct function *f = rig_function(r, "mended", "python:3", "", fine);
    struct rig_call c;

    wish(r, f, 1);
    rig_kill(await_idle(r, f)->id);
    await_count(r, &r->invoker->m.init_ahead_failures, 1);
    leave_alone(r, f, LONG_MS);
    rig_run(r, &c, f, "{}");
    assert_int_equal(c.a->outcome.status, OUTCOME_SUCCESS);
    rig_free(&c);
    assert_null(pool_find(r->invoker, f->revision)->failure);
    rig_kill(await_idle(r, f)->id);
    await_count(r, &r->invoker->m.inits_ahead, 2);
    assert_int_equal(atomic_load(&r->invoker->m.init_ahead_failures), 1);
    rig_kill(await_idle(r, f)->id);
    await_count(r, &r->invoker->m.init_ahead_failures, 2);
    leave_alone(r, f, 0);
    await_count(r, &r->invoker->m.inits_ahead, 3);
    assert_int_equal(failure_of(r, f)->count, 1);
    pool_find(r->invoker, f->revision)->failure->at_ms -= 2 * MINUTE_MS;
    await_idle(r, f)->idle_since_ms -= MINUTE_MS;
    for (int i = 0; i < WAIT_MS / TURN_MS && pool_find(r->invoker, f->revision)->failure; i++)
        rig_pass(r, TURN_MS);
    assert_null(pool_find(r->invoker, f->revision)->failure);
    wish(r, f, -1);
    function_unref(f);
}

/* More than INIT holds is the function's doing, and told as such: to a call too, which costs no container. */
static void settings_that_are_too_big(void **state)
{
    struct rig *r = *state;
    struct function *f = rig_function(r, "big", "python:3", "", fine);
    char *text = nr_alloc(TOO_BIG_BYTES + 1);
    struct rig_call c;

    memset(text, 'x', TOO_BIG_BYTES);
    memcpy(text, "{\"A\":\"", 6);
    memcpy(text + TOO_BIG_BYTES - 2, "\"}", 2);
    free(f->init_parameters);
    f->init_parameters = text;
    wish(r, f, 1);
    await_count(r, &r->invoker->m.init_ahead_failures, 1);
    assert_int_equal(failure_of(r, f)->why, ENDED_INIT_FAILED);
    assert_string_equal(
        failure_of(r, f)->error,
        "The action cannot be initialized: its parameters that belong to init are "
        "2200000 bytes, and all that its code is loaded with may be 2097152 bytes.");
    leave_alone(r, f, LONG_MS);
    rig_run(r, &c, f, "{}");
    assert_int_equal(c.a->outcome.status, OUTCOME_DEVELOPER_ERROR);
    assert_non_null(memmem(c.a->outcome.result.p, c.a->outcome.result.n, "2097152 bytes", 13));
    rig_free(&c);
    assert_int_equal(count_of(r, f), 1);
    wish(r, f, -1);
    function_unref(f);
}

/* Whoever has a call goes before whoever has none. */
static void room_for_a_call(void **state)
{
    struct rig *r = *state;
    struct function *waits = rig_function(r, "waits", "python:3", "", for_ever);
    struct function *f = rig_function(r, "called", "blackbox", "once", native_echo);
    struct rig_call c;

    waits->timeout_ms = LONG_MS;
    wish(r, waits, 1);
    await_state(r, "init", 1);
    rig_run(r, &c, f, "{}");
    assert_int_equal(c.a->outcome.status, OUTCOME_SUCCESS);
    rig_free(&c);
    assert_int_equal(atomic_load(&r->invoker->m.ended[ENDED_EVICTED]), 1);
    assert_int_equal(atomic_load(&r->invoker->m.init_ahead_failures), 0);
    function_unref(waits);
    function_unref(f);
}

int main(void)
{
    struct rig probe;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(from_stems, setup_stems, teardown),
        cmocka_unit_test_setup_teardown(loads_that_are_ended, setup, teardown),
        cmocka_unit_test_setup_teardown(who_loads_at_a_time, setup, teardown),
        cmocka_unit_test_setup_teardown(loaded_and_died, setup, teardown),
        cmocka_unit_test_setup_teardown(died_together, setup, teardown),
        cmocka_unit_test_setup_teardown(trouble_that_is_over, setup_stems, teardown),
        cmocka_unit_test_setup_teardown(settings_that_are_too_big, setup_stems, teardown),
        cmocka_unit_test_setup_teardown(room_for_a_call, setup_for_one, teardown),
    };

    if (!rig_open(&probe, 2048))
        return 77;
    rig_close(&probe);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
