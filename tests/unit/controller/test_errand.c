/* Errands over an invoker that holds calls: what an account's departure does to them, and what follows an earlier call begins only in its container.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ports/errand.h"
#include "ports/invoker.h"
#include "tests/unit/controller/fakes.h"

static bool serves;

bool invoker_serves(const struct invoker *v, uint64_t revision)
{
    (void)v;
    assert_int_equal(revision, 9);
    return serves;
}

struct place {
    struct fakes fakes; /* first: the cases' state */
    struct errands *errands;
    struct function *fn;
    int ended;
};

static int begin(void **state)
{
    struct place *p = nr_alloc(sizeof(*p));

    fakes_open(&p->fakes, false);
    p->fakes.run = FAKE_QUEUED;
    p->errands = errands_open(&p->fakes.loop, NULL);
    p->fn = nr_alloc(sizeof(*p->fn));
    *p->fn = (struct function){.refs = 1, .revision = 9, .timeout_ms = 1000, .memory_mb = 256};
    p->fn->account = nr_strdup(p->fakes.account->name);
    serves = true;
    *state = p;
    return 0;
}

static int end(void **state)
{
    struct place *p = *state;

    errands_stop(p->errands);
    errands_close(p->errands);
    function_unref(p->fn);
    fakes_close(&p->fakes, false);
    free(p);
    return 0;
}

static void on_done(struct errand_call *c)
{
    ((struct place *)c->owner)->ended++;
}

static struct errand_call call_of(struct place *p, bool follows)
{
    return (struct errand_call){.fn = p->fn,
                                .account = p->fakes.account,
                                .input = NR_STR("{}"),
                                .follows = follows,
                                .done = on_done,
                                .owner = p};
}

static void what_an_account_asked_ends_with_it(void **state)
{
    struct place *p = *state;
    struct errand_call first = call_of(p, false), second = call_of(p, false),
                       third = call_of(p, false), other = call_of(p, false);

    errands_call(p->errands, &first);
    fakes_until(&p->fakes, &p->fakes.runs, 1);
    errands_forget_account(p->errands, "somebody-else");
    assert_int_equal(p->fakes.cuts, 0);
    errands_forget_account(p->errands, p->fakes.account->name);
    assert_int_equal(p->fakes.cuts, 1);
    fakes_until(&p->fakes, &p->ended, 1);
    assert_int_equal(first.err.code, NR_ESTOPPING);
    errands_call(p->errands, &second);
    fakes_until(&p->fakes, &p->ended, 2);
    assert_int_equal(second.err.code, NR_ESTOPPING);
    assert_string_equal(second.err.text, "the account is leaving");
    assert_int_equal(p->fakes.runs, 1);
    errands_account_gone(p->errands, p->fakes.account->name); /* the name may be given anew */
    errands_call(p->errands, &third);
    fakes_until(&p->fakes, &p->fakes.runs, 2);
    errands_stop(p->errands);
    fakes_until(&p->fakes, &p->ended, 3);
    errands_call(p->errands, &other);
    assert_int_equal(p->ended, 4);
    nr_buf_fini(&first.result);
    nr_buf_fini(&third.result);
}

static void what_follows_starts_nothing(void **state)
{
    struct place *p = *state;
    struct errand_call piece = call_of(p, true), another = call_of(p, true);

    serves = false;
    errands_call(p->errands, &piece);
    fakes_until(&p->fakes, &p->ended, 1);
    assert_int_equal(piece.err.code, NR_ENOENT);
    assert_int_equal(p->fakes.runs, 0);
    serves = true;
    errands_call(p->errands, &another);
    fakes_until(&p->fakes, &p->fakes.runs, 1);
    errands_stop(p->errands);
    fakes_until(&p->fakes, &p->ended, 2);
    nr_buf_fini(&another.result);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_an_account_asked_ends_with_it, begin, end),
        cmocka_unit_test_setup_teardown(what_follows_starts_nothing, begin, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
