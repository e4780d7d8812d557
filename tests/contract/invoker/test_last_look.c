/* What a container had killed for want of memory is counted however soon it dies, and whatever the threads that look are busy with: here they do
 * not come to it before the call has its answer and the container is to go.
 */
#include "tests/contract/invoker/rig.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "invoker/conn.h"
#include "invoker/monitor_state.h"

enum { BLOCKERS = 16 }; /* more than the pool has threads */

static const char hog[] = "import os, time\n"
                          "def main(args):\n"
                          "    kept = []\n"
                          "    while args.get('wait') and not os.path.exists('/tmp/go'):\n"
                          "        time.sleep(0.01)\n"
                          "    while args.get('all'):\n"
                          "        kept.append(bytearray(8 << 20))\n"
                          "    return {}\n";

/* ---- the pool of threads that look, held up ------------------------------------------------------------------- */

struct gate {
    pthread_mutex_t lock;
    pthread_cond_t opened;
    bool open;
    struct blocker {
        struct nr_work work;
        struct gate *gate;
    } blockers[BLOCKERS];
    int left;
};

static void wait_at_gate(struct nr_work *w)
{
    struct gate *g = nr_container_of(w, struct blocker, work)->gate;

    (void)pthread_mutex_lock(&g->lock);
    while (!g->open)
        (void)pthread_cond_wait(&g->opened, &g->lock);
    (void)pthread_mutex_unlock(&g->lock);
}

static void passed(struct nr_work *w)
{
    nr_container_of(w, struct blocker, work)->gate->left--;
}

static void gate_close(struct rig *r, struct gate *g)
{
    *g = (struct gate){.lock = PTHREAD_MUTEX_INITIALIZER, .opened = PTHREAD_COND_INITIALIZER};
    for (int i = 0; i < BLOCKERS; i++) {
        g->blockers[i] =
            (struct blocker){.work = {.work = wait_at_gate, .done = passed}, .gate = g};
        g->left++;
        nr_work_post(&r->loop, &g->blockers[i].work);
    }
}

static void gate_open(struct rig *r, struct gate *g)
{
    (void)pthread_mutex_lock(&g->lock);
    g->open = true;
    (void)pthread_cond_broadcast(&g->opened);
    (void)pthread_mutex_unlock(&g->lock);
    while (g->left > 0)
        (void)uv_run(&r->loop.uv, UV_RUN_ONCE);
}

/* ---- what is known ---------------------------------------------------------------------------------------------- */

static int64_t kills(const struct rig *r)
{
    const struct monitor *m = r->invoker->monitor;
    int64_t sum = 0;

    for (unsigned i = 0; i < m->kind_count; i++)
        sum += m->kinds[i].sum.oom_kills;
    return sum;
}

/* The only container, held. */
static struct container *container_of(struct rig *r)
{
    while (nr_list_empty(&r->invoker->containers))
        (void)uv_run(&r->loop.uv, UV_RUN_ONCE);
    return container_ref(nr_container_of(r->invoker->containers.next, struct container, in_all));
}

/* Once, by the time of the answer; and no look that still comes counts it again. */
static void is_counted_once(struct rig *r, struct container *ct, struct rig_call *c, struct gate *g)
{
    rig_wait(r);
    nr_auto_free char *result = nr_strndup(c->a->outcome.result.p, c->a->outcome.result.n);

    assert_string_equal(result, "{\"error\":\"The action exhausted its memory and was aborted.\"}");
    rig_free(c);
    assert_int_equal(ct->state, CT_DYING);
    assert_int_equal(kills(r), 1);
    gate_open(r, g);
    for (int i = 0; i < 2400 && ct->state != CT_GONE; i++)
        rig_pass(r, 25);
    assert_int_equal(ct->state, CT_GONE);
    container_unref(ct);
    assert_int_equal(kills(r), 1);
}

/* ---- the tests ----------------------------------------------------------------------------------------------------- */

/* Where its groups are was not even looked up. */
static void a_kill_before_the_first_look(void **state)
{
    struct rig *r = *state;
    struct function *f = rig_function(r, "hog", "python:3", "", hog);
    struct rig_call c;
    struct gate g;

    rig_start(r, &c, f, "{\"all\":true}");
    struct container *ct = container_of(r);

    while (ct->code_status == 1)
        (void)uv_run(&r->loop.uv, UV_RUN_ONCE);
    assert_int_equal(ct->cgroup_state, CGROUP_UNKNOWN);
    gate_close(r, &g);
    is_counted_once(r, ct, &c, &g);
    function_unref(f);
}

/* One look is asked for already, and has not come to it. */
static void a_kill_while_a_look_is_under_way(void **state)
{
    struct rig *r = *state;
    struct function *f = rig_function(r, "hog", "python:3", "", hog);
    char path[64];
    struct rig_call c;
    struct gate g;

    rig_start(r, &c, f, "{\"wait\":true,\"all\":true}");
    struct container *ct = container_of(r);

    while (ct->cgroup_state <= CGROUP_LOOKING || c.a->i != I_AWAIT)
        (void)uv_run(&r->loop.uv, UV_RUN_ONCE);
    gate_close(r, &g);
    while (!ct->watched || !ct->watched->busy)
        (void)uv_run(&r->loop.uv, UV_RUN_ONCE);
    (void)snprintf(path, sizeof(path), "/proc/%d/root/tmp/go", (int)ct->pid);
    nr_auto_close int go = open(path, O_WRONLY | O_CREAT, 0644);

    assert_true(go >= 0);
    is_counted_once(r, ct, &c, &g);
    function_unref(f);
}

static int setup(void **state)
{
    struct rig *r = nr_alloc(sizeof(*r));

    *state = r;
    return rig_open(r, 4096) ? 0 : -1;
}

static int teardown(void **state)
{
    rig_close(*state);
    free(*state);
    return 0;
}

int main(int argc, char **argv)
{
    struct rig probe;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_kill_before_the_first_look, setup, teardown),
        cmocka_unit_test_setup_teardown(a_kill_while_a_look_is_under_way, setup, teardown),
    };

    if (!rig_open(&probe, 4096))
        return 77;
    rig_close(&probe);
    cmocka_set_test_filter(argc > 1 ? argv[1] : NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
