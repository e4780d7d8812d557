/* The door of a container: how many connections are taken, and whose process its agent is. The container is made by hand; who dials are
 * this process and children of it.
 */
#include "invoker/conn.h"

#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "ports/frames.h"

enum { SLOTS = 2, DIALS = 200, GIVE_UP_MS = 30000, QUIET_TURNS = 50 };

struct rig {
    struct nr_loop loop;
    struct nr_log log;
    struct invoker v;
    struct container ct;
    char folder[32];
    char read_buf[READ_BUF_BYTES];
};

/* How often the invoker has asked who dials. */
static int asked;

static bool inside(pid_t pid, const char *container_id)
{
    (void)pid;
    (void)container_id;
    asked++;
    return true;
}

static int rig_open(void **state)
{
    struct rig *r = nr_alloc(sizeof(*r));
    struct container *ct = &r->ct;

    asked = 0;
    r->log = (struct nr_log){.out = stderr, .level = NR_LOG_ERROR};
    (void)snprintf(r->folder, sizeof(r->folder), "/tmp/narae-door-XXXXXX");
    assert_non_null(mkdtemp(r->folder));
    assert_int_equal(nr_loop_init(&r->loop, NULL), 0);
    r->v = (struct invoker){.loop = &r->loop,
                            .log = &r->log,
                            .folder = r->folder,
                            .read_buf = r->read_buf,
                            .peer = {.uid = getuid(), .inside = inside}};
    *ct = (struct container){.v = &r->v, .refs = 1, .cgroup_state = CGROUP_HIDDEN};
    (void)snprintf(ct->name, sizeof(ct->name), "0123abcd");
    nr_list_init(&ct->conns);
    container_set_slots(ct, SLOTS);
    assert_int_equal(server_open(ct, NULL), 0);
    *state = r;
    return 0;
}

static int rig_close(void **state)
{
    struct rig *r = *state;
    struct container *ct = &r->ct;

    server_close(ct);
    while (!nr_list_empty(&ct->conns))
        conn_close(nr_container_of(ct->conns.next, struct conn, in_ct));
    while (ct->refs > 1)
        (void)uv_run(&r->loop.uv, UV_RUN_ONCE);
    for (unsigned i = 0; i < ct->slot_count; i++)
        nr_buf_fini(&ct->slots[i].parts);
    free(ct->slots);
    assert_int_equal(nr_loop_fini(&r->loop), 0);
    assert_int_equal(nr_dir_remove(r->folder, NULL), 0);
    free(r);
    return 0;
}

static int dial(const struct rig *r)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)snprintf(at.sun_path, sizeof(at.sun_path), "%s/%s/s", r->folder, r->ct.name);
    assert_int_equal(connect(fd, (const struct sockaddr *)&at, sizeof(at)), 0);
    return fd;
}

static void on_wake(struct nr_deadline *d)
{
    (void)d;
}

/* Turns until so many have been asked for and the container has so many connections. */
static void turn_until(struct rig *r, int asked_for, unsigned conns)
{
    struct nr_deadline wake = {.fire = on_wake};
    uint64_t end_ms = nr_mono_ms() + GIVE_UP_MS;

    while ((asked < asked_for || r->ct.conn_count != conns) && nr_mono_ms() < end_ms) {
        nr_deadline_set(&r->loop, &wake, 10);
        (void)uv_run(&r->loop.uv, UV_RUN_ONCE);
    }
    nr_deadline_cancel(&wake);
    assert_int_equal(asked, asked_for);
    assert_int_equal(r->ct.conn_count, conns);
}

/* Whatever is ready now is done, and what that makes ready. */
static void turn_quietly(struct rig *r)
{
    for (int i = 0; i < QUIET_TURNS; i++)
        (void)uv_run(&r->loop.uv, UV_RUN_NOWAIT);
}

/* A function that dials without end: as many as there are slots, then nothing happens until one of those has ended; and none while the
 * container's id is not known. */
static void no_more_than_slots(void **state)
{
    struct rig *r = *state;
    int fds[DIALS];

    r->ct.state = CT_STARTING;
    for (int i = 0; i < DIALS; i++)
        fds[i] = dial(r);
    turn_quietly(r);
    assert_int_equal(asked, 0);
    (void)snprintf(r->ct.id, sizeof(r->ct.id), "it");
    server_accept_waiting(&r->ct);
    turn_until(r, SLOTS, SLOTS);
    turn_quietly(r);
    assert_int_equal(asked, SLOTS);
    struct pollfd last = {.fd = fds[DIALS - 1], .events = POLLIN};

    assert_int_equal(poll(&last, 1, 0), 0); /* not refused: it waits */
    (void)close(fds[0]);
    turn_until(r, SLOTS + 1, SLOTS);
    turn_quietly(r);
    assert_int_equal(asked, SLOTS + 1);
    container_set_slots(&r->ct, SLOTS + 2); /* a stem that was handed over */
    turn_until(r, SLOTS + 3, SLOTS + 2);
    for (int i = 1; i < DIALS; i++)
        (void)close(fds[i]);
}

/* A child that dials, says this (NULL: nothing) and stays. */
static pid_t dial_from_a_child(const struct rig *r, const char *hello)
{
    pid_t pid = fork();

    if (pid != 0)
        return pid;
    int fd = dial(r);
    const struct nr_frame head = {.length = hello ? (uint32_t)strlen(hello) : 0,
                                  .type = NR_FRAME_HELLO};

    if (hello && (write(fd, &head, sizeof(head)) != sizeof(head) ||
                  write(fd, hello, head.length) != (ssize_t)head.length))
        _exit(1);
    for (;;)
        (void)pause();
}

/* Somebody else inside dials before the agent does: whose hello is taken is the agent, and its namespaces are looked at. */
static void the_agent_is_who_said_hello(void **state)
{
    struct rig *r = *state;
    uint64_t end_ms = nr_mono_ms() + GIVE_UP_MS;

    r->ct.state = CT_ADOPTING;
    (void)snprintf(r->ct.id, sizeof(r->ct.id), "it");
    pid_t other = dial_from_a_child(r, NULL);

    turn_until(r, 1, 1);
    pid_t agent = dial_from_a_child(
        r, "{\"protocol\":1,\"id\":\"0123abcd\",\"slot\":0,\"kind\":\"python:3\",\"ready\":true}");

    turn_until(r, 2, 2);
    while (r->ct.connected == 0 && nr_mono_ms() < end_ms)
        turn_quietly(r);
    pid_t taken = r->ct.pid;

    (void)kill(other, SIGKILL);
    (void)kill(agent, SIGKILL);
    assert_int_equal(waitpid(other, NULL, 0), other);
    assert_int_equal(waitpid(agent, NULL, 0), agent);
    assert_int_equal(r->ct.connected, 1);
    assert_int_equal(taken, agent);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(no_more_than_slots, rig_open, rig_close),
        cmocka_unit_test_setup_teardown(the_agent_is_who_said_hello, rig_open, rig_close),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
