/* Stems, hand-over, freezing and eviction over the real Engine, looked at from outside: by the kernel's files and the Engine's list.
 * Skipped where no Engine answers or the runtime images are missing.
 */
#include "tests/contract/invoker/rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/json.h"
#include "invoker/internal.h"
#include "invoker/network_slot.h"

static const char hello[] = "def main(args):\n"
                            "    return {'greeting': 'hello ' + args.get('name', 'nobody')}\n";
static const char native_echo[] = "#!/bin/sh\nprintf '%s\\n' \"$1\"\n";

/* A start would take longer even where the whole machine is busy with other tests. */
enum { HANDOVER_MAX_US = 1000000, WAIT_MS = 30000, TURN_MS = 20 };

static int open_with(void **state, int64_t memory_mb, const struct rig_options *o)
{
    struct rig *r = nr_alloc(sizeof(*r));

    *state = r;
    if (!rig_open_with(r, memory_mb, o))
        return -1;
    return 0;
}

static int setup_stems(void **state)
{
    return open_with(state, 4096, &(struct rig_options){.stems = "python:3=1,native=1"});
}

static int setup_engine_raise(void **state)
{
    return open_with(
        state, 4096,
        &(struct rig_options){.stems = "python:3=1,native=1", .memory_raise = "engine"});
}

static int setup_ceiling(void **state)
{
    return open_with(state, 4096, &(struct rig_options){.stems = "off", .containers_max = 2});
}

static int setup_network(void **state)
{
    return open_with(state, 4096, &(struct rig_options){.stems = "python:3=1", .network = "slots"});
}

static int setup_freezing(void **state)
{
    return open_with(state, 4096, &(struct rig_options){.stems = "off", .freeze_after_ms = 100});
}

static int setup_paused(void **state)
{
    return open_with(
        state, 4096,
        &(struct rig_options){.stems = "off", .freeze_after_ms = 100, .freezer = "engine"});
}

static int teardown(void **state)
{
    rig_close(*state);
    free(*state);
    return 0;
}

static void succeeds(const struct rig_call *c)
{
    if (c->a->err != 0 || c->a->outcome.status != OUTCOME_SUCCESS)
        fail_msg("%d %.*s", c->a->err, (int)c->a->outcome.result.n, c->a->outcome.result.p);
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

/* Runs the loop until so many stems stand ready; or more, unless `exactly`, when none is being started or removed either. */
static void await_some_stems(struct rig *r, unsigned count, bool exactly)
{
    for (int i = 0; i < WAIT_MS / TURN_MS; i++) {
        unsigned ready = 0, others = 0;

        NR_LIST_EACH(&r->invoker->containers, l) {
            const struct container *ct = nr_container_of(l, struct container, in_all);

            ready += nr_list_linked(&ct->in_shelf);
            others += ct->fn == NULL && !nr_list_linked(&ct->in_shelf);
        }
        if (exactly ? ready == count && others == 0 : ready >= count)
            return;
        rig_pass(r, TURN_MS);
    }
    fail_msg("there are not %u stems", count);
}

static void await_stems(struct rig *r, unsigned count)
{
    await_some_stems(r, count, true);
}

/* The first container in the invoker's list that is of this function; NULL f: a stem. */
static struct container *container_of_function(struct rig *r, const struct function *f)
{
    NR_LIST_EACH(&r->invoker->containers, l) {
        struct container *ct = nr_container_of(l, struct container, in_all);

        if (ct->state < CT_DYING && ct->fn == f)
            return ct;
    }
    return NULL;
}

static int64_t number_in(const char *folder, const char *file)
{
    nr_auto_free char *text = NULL;
    char path[512];
    size_t n = 0;
    int64_t value = -1;

    (void)snprintf(path, sizeof(path), "%s/%s", folder, file);
    assert_int_equal(nr_file_read(path, 4096, &text, &n, NULL), 0);
    text[strcspn(text, "\n")] = '\0';
    assert_true(nr_str_to_i64(nr_str_of(text), 0, INT64_MAX, &value));
    return value;
}

/* What the kernel says of its memory limit. */
static int64_t limit_mb(const struct container *ct)
{
    if (ct->cgroup_state != CGROUP_OPEN || ct->cgroup.memory == NULL)
        skip();
    return number_in(ct->cgroup.memory, ct->cgroup.v2 ? "memory.max" : "memory.limit_in_bytes") >>
           20;
}

/* ---- hand-over ---------------------------------------------------------------------------------------------- */

static void handed_over(void **state)
{
    struct rig *r = *state;
    struct function *f = rig_function(r, "hello", "python:3", "", hello);
    struct rig_call c;
    char id[65];

    f->network = FN_NET_EGRESS;
    f->memory_mb = 256;
    await_stems(r, 2);
    rig_pass(r, 100);
    rig_run(r, &c, f, "{\"name\":\"a\"}");
    succeeds(&c);
    assert_int_equal(c.a->start, START_STEM);
    assert_int_equal(c.a->cold, COLD_FIRST_CALL);
    assert_false(c.a->stem_empty);
    assert_true(c.a->handover_us > 0 && c.a->create_us == 0 && c.a->boot_us == 0);
    assert_true(c.a->init_us > 0);
    assert_in_range(c.answer_us - c.begun_us, 1, HANDOVER_MAX_US);
    rig_free(&c);

    const struct container *ct = container_of_function(r, f);

    assert_non_null(ct);
    assert_int_equal(limit_mb(ct), 256);
    if (ct->cgroup.cpu)
        assert_int_equal(number_in(ct->cgroup.cpu, ct->cgroup.v2 ? "cpu.weight" : "cpu.shares"),
                         ct->cgroup.v2 ? 1 + ((1024 - 2) * 9999) / 262142 : 1024);
    memcpy(id, ct->id, sizeof(id));
    await_some_stems(r, 2, false); /* another one stands ready */

    rig_run(r, &c, f, "{}");
    assert_int_equal(c.a->start, START_WARM);
    assert_string_equal(container_of_function(r, f)->id, id);
    rig_free(&c);
    function_unref(f);
}

/* ---- beside heavy work ---------------------------------------------------------------------------------------- */

enum { LARGE_BYTES = 48 << 20, LARGE_JOBS = 8 };

struct large_job {
    struct nr_work work;
    struct function *f;
    int *done;
    int status;
};

static void hash_work(struct nr_work *w)
{
    struct large_job *j = nr_container_of(w, struct large_job, work);
    int fd = -1;

    j->status = container_open_code(j->f, &fd);
    if (fd >= 0)
        (void)close(fd);
}

static void on_hashed(struct nr_work *w)
{
    (*nr_container_of(w, struct large_job, work)->done)++;
}

/* Work threads have hashes of 48 MB to do: a stem that is handed over does not wait for them. */
static void handed_over_beside_large_hashes(void **state)
{
    struct rig *r = *state;
    char *code = nr_alloc(LARGE_BYTES + 1);
    struct large_job jobs[LARGE_JOBS];
    struct rig_call c;
    int done = 0;

    memset(code, 'x', LARGE_BYTES);
    code[LARGE_BYTES] = '\0';
    struct function *large = rig_function(r, "large", "python:3", "", code);
    struct function *f = rig_function(r, "hello", "python:3", "", hello);

    free(code);
    await_stems(r, 2);
    f->network = FN_NET_EGRESS;
    for (size_t i = 0; i < LARGE_JOBS; i++) {
        jobs[i] = (struct large_job){
            .work = {.work = hash_work, .done = on_hashed}, .f = large, .done = &done};
        nr_work_post(&r->loop, &jobs[i].work);
    }
    uint64_t begun_us = nr_mono_us();

    rig_run(r, &c, f, "{}");
    int before = done;

    assert_int_equal(c.a->start, START_STEM);
    while (done < LARGE_JOBS)
        rig_pass(r, TURN_MS);
    printf("hand-over %llu us, %d hashes of 48 MB %llu us\n", (unsigned long long)c.a->handover_us,
           LARGE_JOBS, (unsigned long long)(nr_mono_us() - begun_us));
    for (size_t i = 0; i < LARGE_JOBS; i++)
        assert_int_equal(jobs[i].status, 0);
    assert_in_range(before, 0, LARGE_JOBS - 1);
    assert_true(c.a->handover_us < (nr_mono_us() - begun_us) / 4);
    rig_free(&c);
    function_unref(f);
    function_unref(large);
}

/* Every container serves one account only, whatever it was born as. */
static void never_across_accounts(void **state)
{
    enum { N = 6 };
    struct rig *r = *state;
    struct rig_call c;
    struct function *f[N];
    char used[N][65];

    for (int i = 0; i < N; i++) {
        char name[16];

        (void)snprintf(name, sizeof(name), "of%d", i);
        (void)snprintf(r->account, sizeof(r->account), "%s", i % 2 ? "other" : "guest");
        await_some_stems(r, i == 0 ? 2 : 3, false); /* without a network: from the first use on */
        f[i] = rig_function(r, name, "python:3", "", hello);
        rig_run(r, &c, f[i], "{}");
        succeeds(&c);
        assert_int_equal(c.a->start, i == 0 ? START_COLD : START_STEM);
        assert_int_equal(c.a->stem_empty, i == 0);
        rig_free(&c);
        memcpy(used[i], container_of_function(r, f[i])->id, sizeof(used[i]));
        for (int j = 0; j < i; j++)
            assert_string_not_equal(used[i], used[j]);
    }
    for (int i = 0; i < N; i++)
        function_unref(f[i]);
}

/* Where the files are not visible the Engine raises the memory; the call waits for that. */
static void raised_by_the_engine(void **state)
{
    struct rig *r = *state;
    struct function *f = rig_function(r, "slow", "python:3", "", hello);
    struct rig_call c;

    f->network = FN_NET_EGRESS;
    f->memory_mb = 192;
    await_stems(r, 2);
    rig_run(r, &c, f, "{}");
    succeeds(&c);
    assert_int_equal(c.a->start, START_STEM);
    assert_int_equal(limit_mb(container_of_function(r, f)), 192);
    rig_free(&c);
    function_unref(f);
}

/* One stem with several slots to come: calls at once in one container. */
static void many_slots_from_a_stem(void **state)
{
    enum { N = 8 };
    struct rig *r = *state;
    struct function *f =
        rig_function(r, "slots", "python:3", "",
                     "import time\ndef main(a):\n    time.sleep(0.2)\n    return {'i': a['i']}\n");
    struct rig_call c[N];
    char input[N][32];

    f->network = FN_NET_EGRESS;
    f->concurrency = N;
    await_stems(r, 2);
    for (int i = 0; i < N; i++) {
        (void)snprintf(input[i], sizeof(input[i]), "{\"i\":%d}", i);
        rig_start(r, &c[i], f, input[i]);
    }
    rig_wait(r);
    for (int i = 0; i < N; i++) {
        succeeds(&c[i]);
        assert_true(memmem(c[i].a->outcome.result.p, c[i].a->outcome.result.n, input[i] + 4, 2));
        rig_free(&c[i]);
    }
    assert_int_equal(container_of_function(r, f)->connected, N);
    function_unref(f);
}

/* A stem that cannot be handed over costs the call a start, not its answer. */
static void broken_stems(void **state)
{
    struct rig *r = *state;
    struct function *f = rig_function(r, "unlucky", "python:3", "", hello);
    struct rig_call c;
    char path[256];

    f->network = FN_NET_EGRESS;
    await_stems(r, 2);
    NR_LIST_EACH(&r->invoker->containers,
                 l) { /* whose it is cannot be written: there is a folder */
        const struct container *ct = nr_container_of(l, struct container, in_all);

        (void)snprintf(path, sizeof(path), "%s/c/%s.json", r->run_dir, ct->name);
        assert_int_equal(unlink(path), 0);
        assert_int_equal(mkdir(path, 0700), 0);
    }
    r->log.level = -1;
    rig_run(r, &c, f, "{}");
    succeeds(&c);
    assert_int_equal(c.a->start, START_COLD);
    rig_free(&c);
    assert_int_equal(atomic_load(&r->invoker->m.handover_failures), 1);
    assert_int_equal(atomic_load(&r->invoker->m.ended[ENDED_HANDOVER_FAILED]), 1);
    function_unref(f);
}

static int claim_later(struct activation *a)
{
    return 1;
}

/* A stem that dies before its first byte of the call costs a start, not the answer. */
static void stem_dies_under_its_handover(void **state)
{
    struct rig *r = *state;
    struct function *f = rig_function(r, "orphaned", "python:3", "", hello);
    struct rig_call c;

    f->network = FN_NET_EGRESS;
    await_stems(r, 2);
    rig_start_claimed(r, &c, f, "{}", claim_later);
    assert_int_equal(c.a->i, I_CLAIM);

    const struct container *ct = container_of_function(r, f);

    r->log.level = -1;
    rig_kill(ct->id);
    for (int i = 0; i < WAIT_MS / TURN_MS && !ct->retired; i++)
        rig_pass(r, TURN_MS);
    assert_true(ct->retired);
    invoker_claimed(c.a, 0);
    rig_wait(r);
    succeeds(&c);
    assert_int_equal(c.a->start, START_COLD);
    assert_int_equal(c.answers, 1);
    rig_free(&c);
    function_unref(f);
}

/* A container with several connections is lost while one of them has a call: that one is told, all are closed. */
static void lost_with_calls_and_without(void **state)
{
    enum { SLOTS = 4 };
    struct rig *r = *state;
    struct function *f =
        rig_function(r, "several", "python:3", "",
                     "import time\ndef main(a):\n    time.sleep(a.get('s', 0))\n    return {}\n");
    struct rig_call c;

    f->network = FN_NET_EGRESS;
    f->concurrency = SLOTS;
    await_stems(r, 2);
    rig_start(r, &c, f, "{}");
    rig_wait(r);
    succeeds(&c);
    rig_free(&c);

    struct container *ct = container_of_function(r, f);

    for (int i = 0; i < WAIT_MS / TURN_MS && ct->connected < SLOTS; i++)
        rig_pass(r, TURN_MS);
    assert_int_equal(ct->connected, SLOTS);
    NR_LIST_EACH(&ct->slots[0].ct->pool->free, l) /* the slot that dialled first is the next one */
        if (l == &ct->slots[0].free) {
            nr_list_del(l);
            nr_list_push(&ct->pool->free, l);
        }
    rig_start(r, &c, f, "{\"s\":60}");
    assert_ptr_equal(c.a->slot, &ct->slots[0]);
    r->log.level = -1;
    container_lose(ct, ENDED_NETWORK_LOST, "a test takes it");
    rig_wait(r);
    assert_int_equal(c.a->outcome.status, OUTCOME_DEVELOPER_ERROR);
    assert_int_equal(c.answers, 1);
    assert_int_equal(c.ends, 1);
    rig_free(&c);
    assert_null(container_of_function(r, f));
    function_unref(f);
}

static bool anybody(pid_t pid, const char *container_id)
{
    return true;
}

/* A connection to the container's socket from this process, with a hello for the slot. */
static int dial_as(struct rig *r, const struct container *ct, unsigned slot)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    char text[128];
    int n = snprintf(text, sizeof(text),
                     "{\"protocol\":%d,\"id\":\"%s\",\"slot\":%u,\"kind\":\"x\",\"ready\":false}",
                     NR_FRAME_PROTOCOL, ct->name, slot);
    const struct nr_frame head = {.type = NR_FRAME_HELLO, .length = (uint32_t)n};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)snprintf(at.sun_path, sizeof(at.sun_path), "%s/c/%s/s", r->run_dir, ct->name);
    assert_int_equal(connect(fd, (const struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(write(fd, &head, sizeof(head)), sizeof(head));
    assert_int_equal(write(fd, text, (size_t)n), n);
    return fd;
}

/* The server of an own image dials the socket itself, as a slot that cannot be there before the code is: it is turned away, and calls
 * are served by somebody else. */
static void slots_before_the_code(void **state)
{
    enum { CALLS = 2 };
    struct rig *r = *state;
    struct function *f = rig_function(r, "early", "python:3", "", hello);
    struct rig_call c[CALLS];
    const struct peer_rule rule = r->invoker->peer;
    const struct scaler_wish one = {.account = "guest",
                                    .package = "",
                                    .name = "early",
                                    .desired = 1,
                                    .maximum = -1,
                                    .keep_alive_ms = -1};

    f->concurrency = CALLS;
    rig_start(r, &c[0], f, "{}"); /* makes the function known */
    invoker_cut(c[0].a, NR_ECANCELED);
    rig_free(&c[0]);
    await_state(r, "fresh", 1);
    invoker_wish(r->invoker, &one);

    const struct container *ct = container_of_function(r, f);

    r->log.level = -1;
    r->invoker->peer = (struct peer_rule){.uid = getuid(), .inside = anybody};
    int fd = dial_as(r, ct, 1);

    for (int i = 0; i < WAIT_MS / TURN_MS && ct->conn_count == 1 && !ct->retired; i++)
        rig_pass(r, TURN_MS);
    for (int i = 0; i < WAIT_MS / TURN_MS && ct->connected == 1 && !ct->retired; i++)
        rig_pass(r, TURN_MS);
    r->invoker->peer = rule;
    for (int i = 0; i < CALLS; i++)
        rig_start(r, &c[i], f, "{}");
    rig_wait(r);
    for (int i = 0; i < CALLS; i++) {
        succeeds(&c[i]);
        rig_free(&c[i]);
    }
    (void)close(fd);
    function_unref(f);
}

/* ---- how many stems ----------------------------------------------------------------------------------------- */

static void wishes_for_stems(void **state)
{
    struct rig *r = *state;
    struct scaler_wish w = {
        .stem_kind = "python:3", .desired = 3, .maximum = -1, .keep_alive_ms = -1};

    await_stems(r, 2);
    invoker_wish(r->invoker, &w);
    await_stems(r, 4);
    w.desired = 0;
    invoker_wish(r->invoker, &w);
    await_stems(r, 1);
    w.desired = -1;
    invoker_wish(r->invoker, &w);
    await_stems(r, 2);
}

/* Memory that a call waits for is taken from stems first, from whoever is worth least then; and not from anybody when it would not do. */
static void evictions(void **state)
{
    struct rig *r = *state;
    struct function *often = rig_function(r, "often", "blackbox", "once", native_echo);
    struct function *seldom = rig_function(r, "seldom", "blackbox", "once", native_echo);
    struct function *third = rig_function(r, "third", "blackbox", "once", native_echo);
    struct function *large = rig_function(r, "large", "blackbox", "once", native_echo);
    struct function *busy = rig_function(
        r, "busy", "python:3", "", "import time\ndef main(a):\n    time.sleep(3)\n    return {}\n");
    struct rig_call c, waits;
    const struct invoker_metrics *m = &r->invoker->m;

    await_stems(r, 2); /* 128 MB */
    for (int i = 0; i < 10; i++) {
        rig_run(r, &c, often, "{}");
        rig_free(&c);
    }
    rig_run(r, &c, seldom, "{}"); /* the one idle for shortest, and the one that goes */
    rig_free(&c);
    invoker_wish(r->invoker,
                 &(struct scaler_wish){
                     .stem_kind = "native", .desired = 0, .maximum = -1, .keep_alive_ms = -1});
    invoker_wish(r->invoker,
                 &(struct scaler_wish){
                     .stem_kind = "python:3", .desired = 1, .maximum = -1, .keep_alive_ms = -1});
    await_stems(r, 1);
    await_state(r, "dying", 0);
    r->node.memory_max_mb =
        atomic_load(&r->node.memory_used_mb) + 64; /* with the stem's: enough for one more */

    rig_run(r, &c, third, "{}");
    succeeds(&c);
    rig_free(&c);
    assert_int_equal(atomic_load(&m->ended[ENDED_EVICTED]), 1);
    assert_int_equal(rig_status(r, "containers_by_state", "stem"), 0);
    assert_non_null(container_of_function(r, often));
    assert_non_null(container_of_function(r, seldom));

    rig_start(r, &c, busy, "{}");
    for (int i = 0; i < WAIT_MS / TURN_MS && c.a->i != I_AWAIT; i++)
        rig_pass(r, TURN_MS);
    assert_int_equal(c.a->i, I_AWAIT);
    assert_int_equal(atomic_load(&m->ended[ENDED_EVICTED]), 2);
    assert_non_null(container_of_function(r, often));
    large->memory_mb =
        r->node.memory_max_mb / 64 * 64; /* all there is: while one is busy nobody goes for it */
    rig_start(r, &waits, large, "{}");
    rig_pass(r, 200);
    assert_int_equal(atomic_load(&m->ended[ENDED_EVICTED]), 2);
    rig_wait(r);
    succeeds(&c);
    succeeds(&waits);
    rig_free(&c);
    rig_free(&waits);

    rig_run(r, &c, often, "{}");
    assert_int_equal(c.a->cold, COLD_EVICTED);
    rig_free(&c);
    function_unref(often);
    function_unref(seldom);
    function_unref(third);
    function_unref(large);
    function_unref(busy);
}

static void containers_have_a_ceiling(void **state)
{
    enum { N = 4 };
    struct rig *r = *state;
    struct function *f[N];
    struct rig_call c[N];

    for (int i = 0; i < N; i++) {
        char name[16];

        (void)snprintf(name, sizeof(name), "max%d", i);
        f[i] = rig_function(r, name, "blackbox", "once", native_echo);
        rig_start(r, &c[i], f[i], "{}");
    }
    rig_wait(r);
    for (int i = 0; i < N; i++) {
        succeeds(&c[i]);
        rig_free(&c[i]);
        function_unref(f[i]);
    }
    assert_true(r->invoker->container_count <= 2);
}

/* ---- freezing ----------------------------------------------------------------------------------------------- */

/* The kernel's word on every process inside. */
static bool is_frozen(const struct container *ct)
{
    char path[512];
    nr_auto_free char *text = NULL;
    size_t n = 0;

    if (ct->frozen_by_engine || ct->cgroup.freezer == NULL)
        return ct->frozen && ct->freeze_job == NULL;
    if (ct->cgroup.v2)
        return number_in(ct->cgroup.freezer, "cgroup.freeze") == 1;
    (void)snprintf(path, sizeof(path), "%s/freezer.state", ct->cgroup.freezer);
    assert_int_equal(nr_file_read(path, 64, &text, &n, NULL), 0);
    return strcmp(text, "FROZEN\n") == 0;
}

static void await_frozen(struct rig *r, const struct container *ct)
{
    for (int i = 0; i < WAIT_MS / TURN_MS; i++) {
        if (ct->state == CT_FROZEN && is_frozen(ct))
            return;
        rig_pass(r, TURN_MS);
    }
    fail_msg("%s is not frozen", ct->name);
}

static void frozen_and_thawed(void **state)
{
    struct rig *r = *state;
    struct function *f = rig_function(r, "cold", "python:3", "", hello);
    struct rig_call c;

    rig_run(r, &c, f, "{}");
    rig_free(&c);
    for (int i = 0; i < 5; i++) {
        const struct container *ct = container_of_function(r, f);

        await_frozen(r, ct);
        rig_run(r, &c, f, "{\"name\":\"again\"}");
        succeeds(&c);
        assert_int_equal(c.a->start, START_FROZEN);
        assert_true(c.a->thaw_us > 0);
        assert_true(c.a->init_us == 0);
        rig_free(&c);
        assert_ptr_equal(container_of_function(r, f), ct);
        rig_run(r, &c, f, "{}"); /* before its grace time is over */
        assert_int_equal(c.a->start, START_WARM);
        rig_free(&c);
    }
    await_frozen(r, container_of_function(r, f)); /* the teardown removes it frozen */
    function_unref(f);
}

static int refuse_claim(struct activation *a)
{
    return NR_ECONFLICT;
}

/* A call that took a frozen container's slot and was refused leaves it thawed, and it freezes again. */
static void refused_while_frozen(void **state)
{
    struct rig *r = *state;
    struct function *f = rig_function(r, "refused", "python:3", "", hello);
    struct rig_call c;

    rig_run(r, &c, f, "{}");
    rig_free(&c);
    await_frozen(r, container_of_function(r, f));
    rig_start_claimed(r, &c, f, "{}", refuse_claim);
    rig_wait(r);
    assert_int_equal(c.a->err, NR_ECONFLICT);
    rig_free(&c);
    await_frozen(r, container_of_function(r, f));
    rig_run(r, &c, f, "{}");
    succeeds(&c);
    rig_free(&c);
    function_unref(f);
}

/* The kernel does not take the order to thaw: the call is told at once, not at its time limit, and the container goes. */
static void thaw_is_refused(void **state)
{
    struct rig *r = *state;
    struct function *f = rig_function(r, "stuck", "python:3", "", hello);
    struct rig_call c;
    char folder[256], file[300];

    rig_run(r, &c, f, "{}");
    rig_free(&c);

    struct container *ct = container_of_function(r, f);

    await_frozen(r, ct);
    if (ct->frozen_by_engine)
        skip();
    nr_auto_free char *real = ct->cgroup.freezer;

    (void)snprintf(folder, sizeof(folder), "%s/%s", r->run_dir, ct->id);
    (void)snprintf(file, sizeof(file), "%s/%s", folder,
                   ct->cgroup.v2 ? "cgroup.freeze" : "freezer.state");
    assert_int_equal(nr_dir_make(file, 0755, NULL), 0); /* a folder takes no order */
    ct->cgroup.freezer = nr_strdup(folder);
    r->log.level = -1;
    rig_start(r, &c, f, "{}");
    if (r->running > 0) /* it has its answer; its last words do not come */
        assert_int_equal(c.answers, 1);
    assert_int_equal(c.a->outcome.status, OUTCOME_INTERNAL_ERROR);
    free(ct->cgroup.freezer);
    ct->cgroup.freezer = nr_steal(&real); /* before it is removed it works again */
    rig_wait(r);
    assert_int_equal(c.ends, 1);
    rig_free(&c);
    rig_run(r, &c, f, "{}");
    succeeds(&c);
    assert_int_equal(c.a->cold, COLD_CRASHED);
    rig_free(&c);
    function_unref(f);
}

/* Whoever is frozen goes like anybody else: evicted by the memory that a call needs, and by an update. */
static void frozen_ones_go(void **state)
{
    struct rig *r = *state;
    struct function *f = rig_function(r, "goes", "python:3", "", hello);
    struct function *g = rig_function(r, "comes", "python:3", "", hello);
    struct rig_call c;

    r->node.memory_max_mb = 128;
    rig_run(r, &c, f, "{}");
    rig_free(&c);
    await_frozen(r, container_of_function(r, f));
    rig_run(r, &c, g, "{}");
    succeeds(&c);
    assert_in_range(c.answer_us - c.begun_us, 1, 8000000);
    rig_free(&c);
    await_frozen(r, container_of_function(r, g));
    invoker_forget(r->invoker, g->revision);
    await_state(r, "frozen", 0);
    await_state(r, "dying", 0);
    function_unref(f);
    function_unref(g);
}

/* ---- network slots ------------------------------------------------------------------------------------------ */

static bool two_interfaces(const struct rig_call *c)
{
    nr_auto_json json_t *o = nr_json_parse(c->a->outcome.result, NULL);

    return json_integer_value(json_object_get(o, "interfaces")) == 2;
}

static void in_a_network_slot(void **state)
{
    static const char code[] = "import socket\n"
                               "def main(a):\n"
                               "    socket.getaddrinfo('localhost', 80)\n"
                               "    return {'interfaces': len(socket.if_nameindex())}\n";
    struct rig *r = *state;
    struct function *f;
    struct rig_call c;

    if (r->invoker->network == NULL)
        skip();
    for (int i = 0; i < 2; i++) { /* by a start, then by a stem */
        f = rig_function(r, i ? "netb" : "neta", "python:3", "", code);
        f->network = FN_NET_EGRESS;
        rig_run(r, &c, f, "{}");
        succeeds(&c);
        assert_int_equal(c.a->start, i == 0 ? START_COLD : START_STEM);
        assert_true(two_interfaces(&c));
        rig_free(&c);
        assert_non_null(container_of_function(r, f)->net_slot);
        function_unref(f);
        await_some_stems(r, 1, false);
    }

    /* Somebody takes the interface away: no further call gets there, and the next one has its network again. */
    f = rig_function(r, "netlost", "python:3", "", code);
    f->network = FN_NET_EGRESS;
    rig_run(r, &c, f, "{}");
    succeeds(&c);
    rig_free(&c);
    r->log.level = -1;
    assert_int_equal(network_link_remove(container_of_function(r, f)->net_slot->link, NULL), 0);
    for (int i = 0; i < WAIT_MS / TURN_MS && container_of_function(r, f); i++)
        rig_pass(r, TURN_MS);
    assert_int_equal(atomic_load(&r->invoker->m.ended[ENDED_NETWORK_LOST]), 1);
    rig_run(r, &c, f, "{}");
    succeeds(&c);
    assert_true(two_interfaces(&c));
    rig_free(&c);
    function_unref(f);
}

/* An argument names the tests to be run, by a pattern. */
int main(int argc, char **argv)
{
    struct rig probe;

    (void)setenv("UV_THREADPOOL_SIZE", "2", 1); /* as naraed has it */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(handed_over, setup_stems, teardown),
        cmocka_unit_test_setup_teardown(handed_over_beside_large_hashes, setup_stems, teardown),
        cmocka_unit_test_setup_teardown(never_across_accounts, setup_stems, teardown),
        cmocka_unit_test_setup_teardown(raised_by_the_engine, setup_engine_raise, teardown),
        cmocka_unit_test_setup_teardown(many_slots_from_a_stem, setup_stems, teardown),
        cmocka_unit_test_setup_teardown(broken_stems, setup_stems, teardown),
        cmocka_unit_test_setup_teardown(stem_dies_under_its_handover, setup_stems, teardown),
        cmocka_unit_test_setup_teardown(lost_with_calls_and_without, setup_stems, teardown),
        cmocka_unit_test_setup_teardown(slots_before_the_code, setup_ceiling, teardown),
        cmocka_unit_test_setup_teardown(wishes_for_stems, setup_stems, teardown),
        cmocka_unit_test_setup_teardown(evictions, setup_stems, teardown),
        cmocka_unit_test_setup_teardown(containers_have_a_ceiling, setup_ceiling, teardown),
        cmocka_unit_test_setup_teardown(frozen_and_thawed, setup_freezing, teardown),
        cmocka_unit_test_setup_teardown(refused_while_frozen, setup_freezing, teardown),
        cmocka_unit_test_setup_teardown(thaw_is_refused, setup_freezing, teardown),
        cmocka_unit_test_setup_teardown(frozen_ones_go, setup_freezing, teardown),
        cmocka_unit_test_setup_teardown(frozen_and_thawed, setup_paused, teardown),
        cmocka_unit_test_setup_teardown(frozen_ones_go, setup_paused, teardown),
        cmocka_unit_test_setup_teardown(in_a_network_slot, setup_network, teardown),
    };

    if (!rig_open(&probe, 4096))
        return 77;
    rig_close(&probe);
    cmocka_set_test_filter(argc > 1 ? argv[1] : NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
