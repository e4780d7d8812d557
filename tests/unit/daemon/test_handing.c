/* What two processes of one installation keep apart by files and sockets: a door that somebody has is not taken; files of processes that end their calls
 * say what is theirs, as long as these live. */
#include "../common/base/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/file.h"
#include "common/base/mem.h"
#include "daemon/takeover.h"
#include "ports/node.h"

struct rig {
    char dir[64];
    struct nr_loop loop;
    struct nr_log log;
    struct node node;
    struct endings *endings;
    struct own_ending own;
    int64_t own_mb;
    unsigned rooms;
    bool alone;
};

static int set_up(void **state)
{
    struct rig *r = nr_alloc(sizeof(*r));

    (void)snprintf(r->dir, sizeof(r->dir), "/tmp/narae-handing.XXXXXX");
    assert_non_null(mkdtemp(r->dir));
    assert_int_equal(nr_loop_init(&r->loop, NULL), 0);
    r->log = (struct nr_log){.out = stderr, .level = NR_LOG_ERROR};
    r->own.fd = -1;
    *state = r;
    return 0;
}

static int tear_down(void **state)
{
    struct rig *r = *state;

    endings_close(r->endings);
    assert_int_equal(nr_loop_fini(&r->loop), 0);
    assert_int_equal(nr_dir_remove(r->dir, NULL), 0);
    free(r);
    return 0;
}

static const char *in(const struct rig *r, const char *name)
{
    static char path[200];

    (void)snprintf(path, sizeof(path), "%s/%s", r->dir, name);
    return path;
}

/* ---- the door --------------------------------------------------------------------------------------------------- */

static void test_a_door_that_somebody_has(void **state)
{
    const struct rig *r = *state;
    struct nr_err err = {0};
    int first = -1, second = -1, got = -1, pidfd = -1;
    pid_t pid = 0;

    assert_false(pass_answers(in(r, "door")));
    assert_int_equal(pass_listen(in(r, "door"), &first, &err), 0);
    assert_true(pass_answers(in(r, "door")));
    assert_int_equal(pass_listen(in(r, "door"), &second, &err), NR_EBUSY);
    assert_says(&err, "another process listens there");
    assert_int_equal(pass_accept(first, &got, &pid, &pidfd), 0); /* it works as before */
    assert_int_equal(pid, getpid());
    assert_true(pidfd >= 0);
    pass_close(&pidfd, 1);
    pass_close(&got, 1);
    pass_close(&first, 1);
    assert_false(pass_answers(in(r, "door")));
    assert_int_equal(pass_listen(in(r, "door"), &second, &err), 0); /* nobody has it any more */
    pass_close(&second, 1);
}

/* ---- files ------------------------------------------------------------------------------------------------------ */

static void open_endings(struct rig *r)
{
    assert_int_equal(endings_open(&r->loop, r->dir, &r->node, &r->log, &r->endings, NULL), 0);
}

static void write_own(struct rig *r, int64_t mb)
{
    assert_int_equal(
        own_ending_write(&r->own, r->dir, mb, 4711,
                         NR_STR("{\"prefix\":\"beefcafe\",\"containers\":[\"0123abcd\"]}"), NULL),
        0);
}

static void test_what_a_process_says_of_itself(void **state)
{
    struct rig *r = *state;
    nr_auto_free char *runs = NULL;

    r->node.memory_used_mb = 100;
    write_own(r, 640);
    open_endings(r);
    assert_true(endings_any(r->endings));
    assert_int_equal(r->node.memory_used_mb, 740);
    assert_int_equal(endings_memory_mb(r->endings), 640);
    runs = endings_runs(r->endings);
    assert_string_equal(runs, "[4711]");
    assert_true(endings_foreign(r->endings, "0123abcd"));
    assert_true(endings_foreign(r->endings, "beefcafe"));
    assert_false(endings_foreign(r->endings, "0123abce"));
    assert_int_equal(endings_read(r->endings, NULL), 0); /* counted once */
    assert_int_equal(r->node.memory_used_mb, 740);
    own_ending_remove(&r->own, r->dir);
    assert_int_equal(endings_read(r->endings, NULL), 0);
    assert_false(endings_any(r->endings));
    assert_null(endings_runs(r->endings));
    assert_int_equal(r->node.memory_used_mb, 100);
}

static void test_what_a_crash_has_left(void **state)
{
    struct rig *r = *state;

    assert_int_equal(nr_file_write(r->dir, "ending-77", NR_STR("{}"), 0600, NULL), 0);
    assert_int_equal(nr_file_write(r->dir, ".new-ending-78", NR_STR("{"), 0600, NULL), 0);
    open_endings(r);
    assert_false(endings_any(r->endings));
    assert_int_equal(access(in(r, "ending-77"), F_OK), -1);
    assert_int_equal(access(in(r, ".new-ending-78"), F_OK), -1);
}

static void test_a_file_that_cannot_be_read(void **state)
{
    struct rig *r = *state;
    struct nr_err err = {0};

    assert_int_equal(own_ending_write(&r->own, r->dir, 1, 2, NR_STR("{\"prefix\":\"\"}"), NULL), 0);
    assert_int_equal(endings_open(&r->loop, r->dir, &r->node, &r->log, &r->endings, &err),
                     NR_ECORRUPT);
    assert_says(&err, "cannot be read");
    own_ending_remove(&r->own, r->dir);
}

static int64_t own_mb(void *arg)
{
    return ((struct rig *)arg)->own_mb;
}

static void on_room(void *arg)
{
    ((struct rig *)arg)->rooms++;
}

static void on_alone(void *arg)
{
    ((struct rig *)arg)->alone = true;
}

static void test_memory_is_given_back_as_it_goes(void **state)
{
    struct rig *r = *state;

    r->own_mb = 256;
    write_own(r, 640);
    open_endings(r);
    endings_watch(r->endings, on_room, on_alone, r);
    own_ending_tell(&r->own, &r->loop, own_mb, r);
    while (r->node.memory_used_mb != 256)
        (void)uv_run(&r->loop.uv, UV_RUN_ONCE);
    assert_int_equal(r->rooms, 1);
    assert_false(r->alone);
    own_ending_stop(&r->own);
    own_ending_remove(&r->own, r->dir);
    while (!r->alone)
        (void)uv_run(&r->loop.uv, UV_RUN_ONCE);
    assert_int_equal(r->node.memory_used_mb, 0);
    assert_int_equal(r->rooms, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_door_that_somebody_has, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_a_process_says_of_itself, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_a_crash_has_left, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_file_that_cannot_be_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_memory_is_given_back_as_it_goes, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
