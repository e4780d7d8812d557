/* narae_serve_in_turn() of narae.h, a step at a time: what becomes of a slot whose connection ends. */
#include "runtimes/native/narae.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

struct rig {
    struct narae_turns turns;
    struct narae_line *page;
    int host, agent; /* the other ends of connection and control */
    int inherited;   /* the connection, as a child that the function forked has it */
};

static void open_slot(struct rig *r)
{
    struct narae_slot model = {.index = 0};
    int connection[2], control[2];

    r->page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(r->page, MAP_FAILED);
    model.line = r->page;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, connection), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, control), 0);
    r->turns.poll = epoll_create1(EPOLL_CLOEXEC);
    r->turns.capacity = NARAE_READ_BYTES;
    r->turns.bytes = malloc(r->turns.capacity);
    r->host = connection[0];
    r->agent = control[0];
    r->inherited = fcntl(connection[1], F_DUPFD_CLOEXEC, 0);
    const int fds[4] = {connection[1], dup(1), dup(2), control[1]};

    narae_turn_add(&r->turns, &model, 0, fds);
}

static uint32_t told(struct rig *r)
{
    struct narae_control c = {0};

    assert_int_equal(recv(r->agent, &c, sizeof(c), MSG_DONTWAIT), sizeof(c));
    return c.type;
}

static int no_function(struct narae_call *call, void *context)
{
    (void)context;
    return narae_reply(call, "{}", 2);
}

/* An end that somebody else keeps open would wake the program for ever. */
static void an_ended_connection_is_not_waited_for(void **state)
{
    struct rig r = {.host = -1};
    struct epoll_event ready[4];

    (void)state;
    open_slot(&r);
    assert_int_equal(told(&r), NARAE_FORKED);
    assert_int_equal(close(r.host), 0);
    assert_int_equal(epoll_wait(r.turns.poll, ready, 4, 0), 1);
    narae_turn(&r.turns, ready[0].data.u32, no_function, NULL);
    assert_int_equal(told(&r), NARAE_LOST);
    assert_int_equal(epoll_wait(r.turns.poll, ready, 4, 0), 0);
    assert_int_equal(r.turns.slots[0].fd, -1);
    free(r.turns.bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_ended_connection_is_not_waited_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
