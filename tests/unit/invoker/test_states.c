/* The table of a container's states: each move that it allows, and that no other is. And the reasons' texts. */
#include "invoker/internal.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/wait.h>
#include <cmocka.h>

/* A container in which everything holds that state `to` promises. */
static struct container fit_for(enum container_state to, struct pool *p, struct function *f)
{
    struct container ct = {.calls = to == CT_INIT || to == CT_BUSY, .frozen = to == CT_FROZEN};

    if (to != CT_STEM && to != CT_GONE) {
        ct.pool = p;
        ct.fn = f;
    }
    return ct;
}

static const struct {
    enum container_state from, to;
} moves[] = {
    {CT_STARTING, CT_STEM}, {CT_STARTING, CT_FRESH}, {CT_STARTING, CT_DYING},
    {CT_ADOPTING, CT_IDLE}, {CT_ADOPTING, CT_DYING}, {CT_STEM, CT_FRESH},
    {CT_STEM, CT_DYING},    {CT_FRESH, CT_INIT},     {CT_FRESH, CT_DYING},
    {CT_INIT, CT_BUSY},     {CT_INIT, CT_DYING},     {CT_BUSY, CT_IDLE},
    {CT_BUSY, CT_DYING},    {CT_IDLE, CT_BUSY},      {CT_IDLE, CT_FROZEN},
    {CT_IDLE, CT_DYING},    {CT_FROZEN, CT_BUSY},    {CT_FROZEN, CT_DYING},
    {CT_DYING, CT_GONE},    {CT_INIT, CT_IDLE},
};

static bool in_table(enum container_state from, enum container_state to)
{
    for (size_t i = 0; i < nr_countof(moves); i++)
        if (moves[i].from == from && moves[i].to == to)
            return true;
    return false;
}

static void every_move(void **state)
{
    struct function f = {.refs = 1};
    struct pool p = {.fn = &f};

    (void)state;
    for (int from = 0; from < CT_STATES; from++)
        for (int to = 0; to < CT_STATES; to++) {
            struct container ct = fit_for((enum container_state)to, &p, &f);

            ct.state = (enum container_state)from;
            if (container_may_move(&ct, (enum container_state)to) !=
                in_table((enum container_state)from, (enum container_state)to))
                fail_msg("%s -> %s", container_state_name((enum container_state)from),
                         container_state_name((enum container_state)to));
        }
}

/* A move of the table is refused when the container is not what the new state promises. */
static void guards(void **state)
{
    struct function f = {.refs = 1};
    struct pool p = {.fn = &f};
    struct activation nobody = {.refs = 1};
    struct stems *none = NULL;
    union {
        void *p;
        struct shelf *shelf;
    } shelf = {.p = &none};
    const struct {
        const char *what;
        struct container ct;
        enum container_state to;
    } table[] = {
        {"a stem of a function", {.state = CT_STARTING, .fn = &f}, CT_STEM},
        {"a stem of a pool", {.state = CT_STARTING, .pool = &p}, CT_STEM},
        {"a function's that is still a stem",
         {.state = CT_STEM, .pool = &p, .fn = &f, .shelf = shelf.shelf},
         CT_FRESH},
        {"fresh and nobody's", {.state = CT_STEM}, CT_FRESH},
        {"loading for nobody", {.state = CT_FRESH, .pool = &p, .fn = &f}, CT_INIT},
        {"loading for two", {.state = CT_FRESH, .pool = &p, .fn = &f, .calls = 2}, CT_INIT},
        {"loading for a call and for none",
         {.state = CT_FRESH, .pool = &p, .fn = &f, .calls = 1, .ahead = &nobody},
         CT_INIT},
        {"loaded ahead while it has a call",
         {.state = CT_INIT, .pool = &p, .fn = &f, .calls = 1},
         CT_IDLE},
        {"busy without a call", {.state = CT_IDLE, .pool = &p, .fn = &f}, CT_BUSY},
        {"idle with a call", {.state = CT_BUSY, .pool = &p, .fn = &f, .calls = 1}, CT_IDLE},
        {"frozen with a call",
         {.state = CT_IDLE, .pool = &p, .fn = &f, .calls = 1, .frozen = true},
         CT_FROZEN},
        {"frozen but running", {.state = CT_IDLE, .pool = &p, .fn = &f}, CT_FROZEN},
        {"dying with a call", {.state = CT_BUSY, .pool = &p, .fn = &f, .calls = 1}, CT_DYING},
        {"gone but in a pool", {.state = CT_DYING, .pool = &p}, CT_GONE},
    };

    (void)state;
    for (size_t i = 0; i < nr_countof(table); i++)
        if (container_may_move(&table[i].ct, table[i].to))
            fail_msg("%s", table[i].what);
}

/* Code that is loaded before any call: the same way, with nobody's call and no other, to a container that waits for its first one. */
static void loaded_ahead(void **state)
{
    struct function f = {.refs = 1};
    struct pool p = {.fn = &f};
    struct activation nobody = {.refs = 1};
    struct container ct = {.state = CT_FRESH, .pool = &p, .fn = &f, .ahead = &nobody};

    (void)state;
    assert_true(container_may_move(&ct, CT_INIT));
    assert_true(container_may_move(&ct, CT_DYING));
    assert_false(container_may_move(&ct, CT_IDLE));
    ct.state = CT_INIT;
    assert_true(container_may_move(&ct, CT_IDLE));
    assert_true(container_may_move(&ct, CT_DYING)); /* evicted, forgotten: it has no call */
    assert_false(container_may_move(&ct, CT_BUSY));
    assert_false(container_may_move(&ct, CT_FROZEN));
    ct = (struct container){.state = CT_STARTING, .ahead = &nobody};
    assert_false(container_may_move(&ct, CT_INIT));
}

/* A mistake stops the process. */
static void an_illegal_move_aborts(void **state)
{
    pid_t child = fork();
    int status;

    (void)state;
    if (child == 0) {
        struct container ct = {.state = CT_GONE};

        (void)signal(SIGABRT, SIG_DFL);
        (void)close(STDERR_FILENO);
        container_move(&ct, CT_IDLE);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
}

static void reasons(void **state)
{
    static const struct {
        enum end_reason end;
        enum cold_cause want;
    } table[] = {
        {ENDED_EXPIRED, COLD_EVICTED},     {ENDED_EVICTED, COLD_EVICTED},
        {ENDED_UPDATED, COLD_UPDATED},     {ENDED_CRASHED, COLD_CRASHED},
        {ENDED_TIMED_OUT, COLD_CRASHED},   {ENDED_NETWORK_LOST, COLD_CRASHED},
        {ENDED_NOT_ADOPTED, COLD_EVICTED},
    };

    (void)state;
    for (size_t i = 0; i < nr_countof(table); i++)
        assert_int_equal(cold_cause_after(table[i].end), table[i].want);
    for (int i = 0; i < START_REASONS; i++)
        assert_non_null(start_reason_text((enum start_reason)i));
    for (int i = 1; i < END_REASONS; i++)
        assert_true(end_reason_text((enum end_reason)i)[0] != '\0');
    for (int i = 0; i < CT_STATES; i++)
        assert_non_null(container_state_name((enum container_state)i));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_move),   cmocka_unit_test(guards),
        cmocka_unit_test(loaded_ahead), cmocka_unit_test(an_illegal_move_aborts),
        cmocka_unit_test(reasons),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
