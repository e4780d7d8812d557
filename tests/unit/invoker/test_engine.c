/* The Engine's workers against a server of our own on a unix socket: what it may do to us (say nothing, nonsense, too much, close, come back),
 * and in which order jobs are run.
 */
#include "invoker/engine.h"
#include "invoker/engine_state.h"
#include "invoker/images.h"
#include "invoker/platform.h"
#include "invoker/internal.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/mem.h"

enum { WORKERS = 4, BOOTS_MAX = 3, GIVE_UP_MS = 20000 };

enum manner {
    NORMAL,
    SILENT,
    NONSENSE,
    HALF_A_HEADER,
    BAD_JSON,
    ENDLESS,
    CLOSES,
    IMAGE,
    DISK,
    STRANGE
};

/* ---- the server --------------------------------------------------------------------------------------------- */

struct server {
    char folder[32], path[64];
    int listener;
    pthread_t thread;
    _Atomic int manner;
    _Atomic int requests;
};

static struct server server;

static void say(int fd, const char *text)
{
    (void)send(fd, text, strlen(text), MSG_NOSIGNAL);
}

static void say_endlessly(int fd)
{
    static char zeros[65536];

    say(fd,
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 999999999\r\n\r\n");
    while (send(fd, zeros, sizeof(zeros), MSG_NOSIGNAL) > 0)
        ;
}

static void say_json(int fd, const char *json)
{
    char text[512];

    (void)snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s",
                   strlen(json), json);
    say(fd, text);
}

/* An image that this node can run. */
static void say_image(int fd, const char *volumes)
{
    char text[256];

    (void)snprintf(text, sizeof(text),
                   "{\"Os\":\"linux\",\"Architecture\":\"%s\",\"Config\":{\"Cmd\":[\"/x\"],"
                   "\"Volumes\":%s}}",
                   platform_here()->architecture, volumes);
    say_json(fd, text);
}

/* Answers one request; false: the connection ends. */
static bool answer(int fd)
{
    static const char version[] =
        "{\"ApiVersion\":\"1.43\",\"MinAPIVersion\":\"1.12\",\"Version\":\"t\"}";

    atomic_fetch_add(&server.requests, 1);
    switch ((enum manner)atomic_load(&server.manner)) {
    case NORMAL:
    case CLOSES: say_json(fd, version); return atomic_load(&server.manner) == NORMAL;
    case IMAGE: say_image(fd, "null"); return true;
    case DISK: say_image(fd, "{\"/scratch\":{}}"); return true;
    case STRANGE:
        say_json(fd, "[{\"Id\":\"../images/x\",\"Names\":[\"/narae-0-0123abcd\"]},{\"Id\":7},"
                     "{\"Id\":\"0123456789ABCDEF\",\"State\":\"running\"}]");
        return true;
    case SILENT: return true;
    case NONSENSE: say(fd, "220 welcome to a mail server\r\n"); return false;
    case HALF_A_HEADER: say(fd, "HTTP/1.1 200 OK\r\nContent-Le"); return false;
    case BAD_JSON: say(fd, "HTTP/1.1 500 no\r\nContent-Length: 9\r\n\r\n{\"message"); return true;
    case ENDLESS: say_endlessly(fd); return false;
    }
    return false;
}

static void *serve_one(void *arg)
{
    int fd = (int)(intptr_t)arg;
    char text[8192];

    while (recv(fd, text, sizeof(text), 0) > 0 && answer(fd))
        ;
    (void)close(fd);
    return NULL;
}

static void *serve(void *arg)
{
    (void)arg;
    for (;;) {
        int fd = accept4(server.listener, NULL, NULL, SOCK_CLOEXEC);
        pthread_t t;

        if (fd < 0)
            return NULL;
        assert_int_equal(pthread_create(&t, NULL, serve_one, (void *)(intptr_t)fd), 0);
        assert_int_equal(pthread_detach(t), 0);
    }
}

static int serve_begin(void **state)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};

    (void)state;
    (void)snprintf(server.folder, sizeof(server.folder), "/tmp/narae-engine-XXXXXX");
    assert_non_null(mkdtemp(server.folder));
    (void)snprintf(server.path, sizeof(server.path), "%s/s", server.folder);
    (void)snprintf(at.sun_path, sizeof(at.sun_path), "%s", server.path);
    server.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(server.listener, (const struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(listen(server.listener, 64), 0);
    return pthread_create(&server.thread, NULL, serve, NULL);
}

static int serve_end(void **state)
{
    (void)state;
    (void)shutdown(server.listener, SHUT_RDWR);
    (void)pthread_join(server.thread, NULL);
    (void)close(server.listener);
    (void)unlink(server.path);
    return rmdir(server.folder);
}

/* ---- the rig ------------------------------------------------------------------------------------------------ */

struct rig {
    struct nr_loop loop;
    struct nr_log log;
    struct engine *engine;
    bool closed;
};

static int rig_open(void **state)
{
    struct rig *r = nr_alloc(sizeof(*r));
    struct nr_err err = {0};

    atomic_store(&server.manner, NORMAL);
    r->log = (struct nr_log){.out = stderr, .level = NR_LOG_ERROR};
    assert_int_equal(nr_loop_init(&r->loop, &err), 0);
    const struct engine_config c = {.loop = &r->loop,
                                    .socket_path = server.path,
                                    .workers = WORKERS,
                                    .boots_max = BOOTS_MAX,
                                    .log = &r->log};

    assert_int_equal(engine_open(&c, &r->engine, &err), 0);
    assert_string_equal(engine_api(r->engine), "1.41");
    *state = r;
    return 0;
}

static void on_closed(void *arg)
{
    struct rig *r = arg;

    r->closed = true;
}

static int rig_close(void **state)
{
    struct rig *r = *state;

    atomic_store(&server.manner, NORMAL);
    engine_close(r->engine, on_closed, r);
    while (!r->closed)
        (void)uv_run(&r->loop.uv, UV_RUN_ONCE);
    int e = nr_loop_fini(&r->loop);

    free(r);
    return e;
}

static int ask(struct rig *r, uint32_t timeout_ms, struct nr_err *err)
{
    struct engine_reply reply = {0};
    int e = engine_want(engine_own_worker(r->engine), "GET", "/info", (struct nr_str){NULL, 0},
                        timeout_ms, &reply, err);

    nr_buf_fini(&reply.body);
    return e;
}

/* ---- what an Engine may do ---------------------------------------------------------------------------------- */

static void nonsense_is_an_error(void **state)
{
    static const struct {
        enum manner manner;
        int want;
    } table[] = {{NONSENSE, NR_EPROTO},
                 {HALF_A_HEADER, NR_ECLOSED},
                 {BAD_JSON, NR_EIO},
                 {ENDLESS, NR_ETOOBIG}};
    struct rig *r = *state;

    for (size_t i = 0; i < nr_countof(table); i++) {
        struct nr_err err = {0};

        atomic_store(&server.manner, table[i].manner);
        int e = ask(r, 5000, &err);

        if (e != table[i].want || err.text[0] == '\0')
            fail_msg("manner %d: %d \"%s\"", (int)table[i].manner, e, err.text);
        atomic_store(&server.manner, NORMAL);
        assert_int_equal(ask(r, 5000, NULL), 0);
        assert_true(engine_reachable(r->engine));
    }
}

/* The connection was closed after the last answer: the call is made again on a new one. */
static void stale_connections(void **state)
{
    struct rig *r = *state;

    for (int i = 0; i < 5; i++) {
        atomic_store(&server.manner, i % 2 ? NORMAL : CLOSES);
        assert_int_equal(ask(r, 5000, NULL), 0);
    }
    assert_true(engine_reachable(r->engine));
}

/* An Engine that hangs: deadlines, then the breaker; back again as soon as it answers. */
static void hangs(void **state)
{
    struct rig *r = *state;
    struct nr_err err = {0};

    atomic_store(&server.manner, SILENT);
    for (int i = 0; i < 3; i++) {
        int e = ask(r, 100, NULL);

        assert_true(e == NR_ETIMEOUT || e == NR_EUNAVAIL); /* on an old connection, or a new one */
    }
    assert_false(engine_reachable(r->engine));
    int asked = atomic_load(&server.requests);

    assert_int_equal(ask(r, 30000, &err), NR_EUNAVAIL);
    assert_non_null(strstr(err.text, server.path));
    assert_int_equal(atomic_load(&server.requests), asked); /* nothing was sent */
    atomic_store(&server.manner, NORMAL);
    uint64_t until_ms = nr_mono_ms() + GIVE_UP_MS;

    while (ask(r, 30000, NULL) != 0)
        assert_true(nr_mono_ms() < until_ms);
    assert_true(engine_reachable(r->engine));
}

/* ---- ids ---------------------------------------------------------------------------------------------------- */

static void ids_of_containers(void **state)
{
#define EIGHT "01abcdef"
#define FIFTY_SIX EIGHT EIGHT EIGHT EIGHT EIGHT EIGHT EIGHT
    static const char *const no[] = {
        "",  EIGHT, FIFTY_SIX "01abcde",  FIFTY_SIX EIGHT "0", FIFTY_SIX "01abcdeF",
        "/", "..",  FIFTY_SIX "/../../x", FIFTY_SIX "01abcde?"};

    (void)state;
    assert_true(engine_is_id(FIFTY_SIX EIGHT));
    assert_false(engine_is_id(NULL));
    for (size_t i = 0; i < nr_countof(no); i++)
        if (engine_is_id(no[i]))
            fail_msg("'%s'", no[i]);
}

/* What is in the Engine's list and is no id is neither adopted nor asked for nor removed. */
static void strange_ids_go_nowhere(void **state)
{
    struct rig *r = *state;
    char installation[] = "0123456789abcdef";
    struct invoker v = {.engine = r->engine,
                        .loop = &r->loop,
                        .log = &r->log,
                        .folder = server.folder,
                        .installation = installation};
    const struct invoker_config c = {.loop = &r->loop};

    nr_list_init(&v.orphans);
    atomic_store(&server.manner, STRANGE);
    int asked = atomic_load(&server.requests);

    assert_int_equal(adopt_open(&v, &c, NULL), 0);
    assert_int_equal(v.adoption.found, 0);
    assert_int_equal(v.alive, 0);
    assert_int_equal(engine_waiting(r->engine), 0);
    assert_int_equal(atomic_load(&server.requests), asked + 1); /* the list */
}

/* ---- the queue ---------------------------------------------------------------------------------------------- */

enum { JOBS_MAX = 32 };

struct load {
    struct rig *r;
    _Atomic int running[RANK_COUNT], most_low;
    _Atomic bool may_end; /* removals wait for it */
    _Atomic int phase;
    int order[JOBS_MAX]; /* ranks, as they began */
    _Atomic int placed, began;
    int done;
};

struct test_job {
    struct engine_job job;
    struct load *load;
    int lasts_until; /* phase; 0: it ends at once */
};

static void work(struct engine_worker *w, struct engine_job *j)
{
    const struct test_job *t = nr_container_of(j, struct test_job, job);
    struct load *l = t->load;
    uint64_t until_ms = nr_mono_ms() + GIVE_UP_MS;

    (void)w;
    l->order[atomic_fetch_add(&l->placed, 1)] = (int)j->rank;
    (void)atomic_fetch_add(&l->began, 1);
    int low = atomic_fetch_add(&l->running[j->rank], 1) + 1;

    if (j->rank == RANK_REMOVE) {
        if (low > atomic_load(&l->most_low))
            atomic_store(&l->most_low, low);
        while (!atomic_load(&l->may_end) && nr_mono_ms() < until_ms)
            (void)sched_yield();
    }
    while (atomic_load(&l->phase) < t->lasts_until && nr_mono_ms() < until_ms)
        (void)sched_yield();
    atomic_fetch_sub(&l->running[j->rank], 1);
}

static void done(struct engine_job *j)
{
    nr_container_of(j, struct test_job, job)->load->done++;
}

static void submit_until(struct load *l, struct test_job *j, enum engine_rank rank, int phase)
{
    *j = (struct test_job){
        .job = {.rank = rank, .work = work, .done = done}, .load = l, .lasts_until = phase};
    engine_submit(l->r->engine, &j->job);
}

static void submit(struct load *l, struct test_job *j, enum engine_rank rank)
{
    submit_until(l, j, rank, 0);
}

static void wait_done(struct load *l, int count)
{
    while (l->done < count)
        (void)uv_run(&l->r->loop.uv, UV_RUN_ONCE);
}

/* However many removals wait and however long they take, a start and a thaw are run. */
static void removals_leave_room(void **state)
{
    struct load l = {.r = *state};
    struct test_job low[8], start, thaw;

    for (size_t i = 0; i < nr_countof(low); i++)
        submit(&l, &low[i], RANK_REMOVE);
    submit(&l, &start, RANK_START);
    submit(&l, &thaw, RANK_THAW);
    wait_done(&l, 2);
    assert_true(atomic_load(&l.most_low) <= WORKERS / 2);
    assert_false(atomic_load(&l.may_end));
    atomic_store(&l.may_end, true);
    wait_done(&l, (int)nr_countof(low) + 2);
    assert_int_equal(engine_waiting(l.r->engine), 0);
}

/* With every place taken: thaws first, then starts, prewarms, removals. */
static void best_rank_first(void **state)
{
    static const enum engine_rank ranks[] = {RANK_REMOVE, RANK_PREWARM, RANK_START, RANK_THAW};
    struct load l = {.r = *state};
    struct test_job blocks[2], jobs[4];

    for (int i = 0; i < (int)nr_countof(blocks); i++)
        submit_until(&l, &blocks[i], RANK_PREWARM, i + 1);
    while (atomic_load(&l.began) < 2)
        (void)sched_yield();
    for (size_t i = 0; i < nr_countof(ranks); i++)
        submit(&l, &jobs[i], ranks[i]);
    wait_done(&l, 2); /* the start and the thaw */
    assert_int_equal(engine_waiting(l.r->engine), 2);
    atomic_store(&l.may_end, true);
    atomic_store(&l.phase, 1); /* one place for both that are left */
    wait_done(&l, 5);
    atomic_store(&l.phase, 2);
    wait_done(&l, 6);
    assert_int_equal(l.order[4], RANK_PREWARM);
    assert_int_equal(l.order[5], RANK_REMOVE);
}

/* Starts without a pause do not keep removals waiting for ever: when many wait, one goes before the starts. */
static void late_removals_have_their_turn(void **state)
{
    struct load l = {.r = *state};
    struct test_job blocks[WORKERS], starts[WORKERS], low[REMOVALS_LATE + 1];
    int removals = 0;

    for (int i = 0; i < WORKERS; i++)
        submit_until(&l, &blocks[i], RANK_START, 1);
    while (atomic_load(&l.began) < WORKERS)
        (void)sched_yield();
    for (int i = 0; i < WORKERS; i++)
        submit_until(&l, &starts[i], RANK_START, 2);
    for (size_t i = 0; i < nr_countof(low); i++)
        submit(&l, &low[i], RANK_REMOVE);
    atomic_store(&l.phase, 1);
    while (atomic_load(&l.began) < 2 * WORKERS)
        (void)sched_yield();
    for (int i = WORKERS; i < 2 * WORKERS; i++)
        removals += l.order[i] == RANK_REMOVE;
    assert_int_equal(removals, 1); /* then no more wait than may */
    atomic_store(&l.phase, 2);
    atomic_store(&l.may_end, true);
    wait_done(&l, 2 * WORKERS + (int)nr_countof(low));
}

/* More containers than may boot at a time are not begun, however idle the workers are; whatever boots nothing is run all the same. */
static void boots_are_bounded(void **state)
{
    struct load l = {.r = *state, .may_end = true};
    struct test_job boots[BOOTS_MAX + 3], thaw, removal;

    for (size_t i = 0; i < nr_countof(boots); i++) {
        boots[i] = (struct test_job){
            .job = {.rank = RANK_START, .boots = true, .work = work, .done = done}, .load = &l};
        engine_submit(l.r->engine, &boots[i].job);
    }
    wait_done(&l, BOOTS_MAX);
    submit(&l, &thaw, RANK_THAW);
    submit(&l, &removal, RANK_REMOVE);
    wait_done(&l, BOOTS_MAX + 2);
    assert_int_equal(engine_waiting(l.r->engine), 3);
    engine_boot_over(l.r->engine);
    wait_done(&l, BOOTS_MAX + 3);
    assert_int_equal(engine_waiting(l.r->engine), 2);
    engine_boot_over(l.r->engine);
    engine_boot_over(l.r->engine); /* all but the last three that were begun are over */
    wait_done(&l, BOOTS_MAX + 5);
    assert_int_equal(engine_waiting(l.r->engine), 0);
}

/* However many containers wait for the names of their grants, starts, thaws and hand-overs are run. */
static void grants_leave_room(void **state)
{
    static const enum engine_rank others[] = {RANK_THAW, RANK_START, RANK_REMOVE, RANK_PULL,
                                              RANK_HANDOVER};
    struct load l = {.r = *state, .may_end = true};
    struct test_job grants[4 * WORKERS], jobs[nr_countof(others)];

    for (size_t i = 0; i < nr_countof(grants); i++)
        submit_until(&l, &grants[i], RANK_GRANT, 1);
    while (atomic_load(&l.running[RANK_GRANT]) == 0)
        (void)sched_yield();
    for (size_t i = 0; i < nr_countof(others); i++)
        submit(&l, &jobs[i], others[i]);
    wait_done(&l, (int)nr_countof(others));
    assert_int_equal(atomic_load(&l.phase), 0);
    for (size_t i = 0; i < nr_countof(others); i++)
        assert_int_equal(atomic_load(&l.running[others[i]]), 0);
    assert_true(atomic_load(&l.running[RANK_GRANT]) > 0); /* none of them has ended */
    atomic_store(&l.phase, 1);
    wait_done(&l, (int)(nr_countof(others) + nr_countof(grants)));
}

/* ---- an image that is started ------------------------------------------------------------------------------- */

/* However it was deployed: its volume would be disk of the host without a bound. Nothing of it is remembered. */
static void no_start_with_volumes(void **state)
{
    static const char image[] = "sha256:0123";
    struct rig *r = *state;
    struct image_commands *k = image_commands_make();
    struct engine_worker *w = engine_own_worker(r->engine);
    struct nr_err err = {0};
    json_t *command = NULL;

    atomic_store(&server.manner, DISK);
    assert_int_equal(image_command(k, w, image, &command, &err), NR_EFORBIDDEN);
    assert_non_null(strstr(err.text, "declares volumes"));
    assert_null(command);
    atomic_store(&server.manner, IMAGE);
    assert_int_equal(image_command(k, w, image, &command, &err), 0);
    assert_int_equal(json_array_size(command), 1);
    json_decref(command);
    image_commands_free(k);
}

#define IN_RIG(f) cmocka_unit_test_setup_teardown(f, rig_open, rig_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_RIG(nonsense_is_an_error),
        IN_RIG(stale_connections),
        IN_RIG(hangs),
        IN_RIG(boots_are_bounded),
        cmocka_unit_test(ids_of_containers),
        IN_RIG(strange_ids_go_nowhere),
        IN_RIG(removals_leave_room),
        IN_RIG(best_rank_first),
        IN_RIG(late_removals_have_their_turn),
        IN_RIG(grants_leave_room),
        IN_RIG(no_start_with_volumes),
    };

    return cmocka_run_group_tests(tests, serve_begin, serve_end);
}
