/* Programs of the host: output, input, a fixed environment, refusals, the deadline, and that none of our blocked signals is theirs. */
#include "check.h"

#include <signal.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/program.h"

static int run(const char *const *argv, struct nr_str input, struct nr_buf *out, struct nr_err *err)
{
    return nr_program_run(
        &(struct nr_program){.argv = argv, .input = input, .out = out, .max_ms = 60000}, err);
}

static void test_output_and_input(void **state)
{
    const char *const argv[] = {"cat", NULL};
    size_t n = 1 << 20; /* more than a pipe holds */
    nr_auto_free char *text = nr_alloc(n);
    struct nr_buf out;

    memset(text, 'x', n);
    nr_buf_init(&out, 2 << 20);
    nr_buf_adds(&out, "before");
    assert_int_equal(run(argv, (struct nr_str){text, n}, &out, NULL), 0);
    assert_int_equal(out.n, n + 6);
    assert_memory_equal(out.p, "beforexxx", 9);
    nr_buf_fini(&out);
}

static void test_environment_is_fixed(void **state)
{
    const char *const argv[] = {"env", NULL};
    struct nr_buf out;

    assert_int_equal(setenv("NARAE_SECRET_OF_TEST", "1", 1), 0);
    nr_buf_init(&out, 4096);
    assert_int_equal(run(argv, NR_STR(""), &out, NULL), 0);
    nr_buf_addc(&out, '\0');
    assert_string_equal(out.p, "PATH=/usr/sbin:/usr/bin:/sbin:/bin\nLC_ALL=C\n");
    nr_buf_fini(&out);
}

static void test_refusals(void **state)
{
    const char *const absent[] = {"narae-no-such-program", NULL};
    const char *const fails[] = {"ls", "/narae-no-such-file", NULL};
    const char *const path[] = {"cat", NULL};
    struct nr_err err = {0};
    struct nr_buf out;

    assert_int_equal(run(absent, NR_STR(""), NULL, &err), NR_EUNAVAIL);
    assert_string_equal(err.text, "there is no narae-no-such-program on this host");
    err = (struct nr_err){0};
    assert_int_equal(run(fails, NR_STR(""), NULL, &err), NR_EUNAVAIL);
    assert_non_null(strstr(err.text, "ls failed: "));
    assert_non_null(strstr(err.text, "No such file"));
    nr_buf_init(&out, 4);
    assert_int_equal(run(path, NR_STR("five bytes"), &out, &err), NR_ETOOBIG);
    nr_buf_fini(&out);
}

static void test_deadline(void **state)
{
    const char *const argv[] = {"sleep", "600", NULL};
    struct nr_err err = {0};
    uint64_t before_ms = nr_mono_ms();

    assert_int_equal(nr_program_run(&(struct nr_program){.argv = argv, .max_ms = 50}, &err),
                     NR_EUNAVAIL);
    assert_non_null(strstr(err.text, "it took more than 50 ms"));
    assert_true(nr_mono_ms() - before_ms < 60000);
}

static void test_no_signal_is_blocked(void **state)
{
    const char *const argv[] = {"grep", "SigBlk", "/proc/self/status", NULL};
    struct nr_buf out;
    sigset_t term, old;

    (void)sigemptyset(&term);
    (void)sigaddset(&term, SIGTERM);
    assert_int_equal(sigprocmask(SIG_BLOCK, &term, &old), 0);
    nr_buf_init(&out, 4096);
    assert_int_equal(run(argv, NR_STR(""), &out, NULL), 0);
    assert_int_equal(sigprocmask(SIG_SETMASK, &old, NULL), 0);
    nr_buf_addc(&out, '\0');
    assert_string_equal(out.p, "SigBlk:\t0000000000000000\n");
    nr_buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_output_and_input),
        cmocka_unit_test(test_environment_is_fixed),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_deadline),
        cmocka_unit_test(test_no_signal_is_blocked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
