/* The controller's side when links end: what bounces and what is lost, a session that comes back, on another link or as another process, and the end of all.
 */
#include "far_rig.h"

/* What was not granted bounces, what was goes on with the session. */
static void test_a_session_comes_back(void **state)
{
    struct four x;

    (void)join(SESSION);
    four_calls(&x);
    peer_hang_up();
    assert_int_equal(owner.bounced, 1);
    assert_ptr_equal(owner.back, x.a[0]);
    assert_false(far_takes(owner.f, true));
    far_claimed(owner.f, x.a[1], 0); /* CLAIMED was never sent */
    assert_int_equal(owner.bounced, 2);
    assert_ptr_equal(owner.back, x.a[1]);
    const struct seen *s = join(SESSION);

    assert_int_equal(owner.joined, 2);
    assert_non_null(strstr(s->meta, "\"epoch\":2"));
    assert_int_equal(s->raw_n, 16);
    assert_true(wants(s, x.call[2]) && wants(s, x.call[3]));
    end_call(x.call[2]);
    end_call(x.call[3]); /* told again from its beginning */
    assert_int_equal(steps.answered, 2);
    assert_int_equal(steps.ended, 2);
    assert_true(nr_str_eqz(nr_buf_str(&x.a[3]->logs), "2026 stdout: one\n"));
    /* a result of a call that bounced is late */
    say(WIRE_ANSWER, 0, x.call[0], an_answer, "{}");
    say(WIRE_END, 0, x.call[0], NULL, NULL);
    assert_int_equal(hear(WIRE_DONE)->head.call, x.call[0]);
    assert_true(metric("narae_invoker_late_results_total") == 1);
    assert_true(metric("narae_invoker_bounced_total") == 2);
    /* and the function is told anew on a new link */
    steps.claim = 0;
    uint64_t call = first_run(x.a[0]);

    say(WIRE_CLAIM, 0, call, NULL, NULL);
    (void)hear(WIRE_CLAIMED);
    end_call(call);
    four_free(&x);
}

/* The session is quicker than the end of its old link. */
static void test_a_session_on_two_links(void **state)
{
    struct four x;

    (void)join(SESSION);
    four_calls(&x);
    struct peer *first = peer;

    assert_int_equal(join(SESSION)->raw_n, 16);
    assert_int_equal(owner.lost, 1);
    assert_int_equal(owner.joined, 2);
    assert_true(far_is_up(owner.f));
    nr_stream_close(first->s);
    first->s = NULL;
    far_claimed(owner.f, x.a[1], NR_ENOSPC);
    assert_int_equal(steps.ended, 1);
    end_call(x.call[2]);
    end_call(x.call[3]);
    four_free(&x);
}

/* The process died: what was granted to it is lost, once, and the next one is told of nothing. */
static void test_another_session(void **state)
{
    struct four x;

    (void)join(SESSION);
    four_calls(&x);
    peer_hang_up();
    assert_int_equal(steps.ended, 0);
    assert_int_equal(join(OTHER_SESSION)->raw_n, 0);
    assert_int_equal(steps.ended, 2);
    assert_int_equal(x.a[2]->err, 0);
    assert_int_equal(x.a[2]->outcome.status, OUTCOME_INTERNAL_ERROR);
    assert_non_null(strstr(x.a[2]->outcome.result.p, "started anew"));
    assert_int_equal(x.a[3]->outcome.status, OUTCOME_SUCCESS); /* only its logs are missing */
    assert_true(metric("narae_invoker_lost_calls_total") == 1);
    say(WIRE_ANSWER, 0, x.call[2], an_answer, "{}");
    hear_nothing();
    assert_true(metric("narae_invoker_late_results_total") == 1);
    far_claimed(owner.f, x.a[1], 0);
    assert_int_equal(owner.bounced, 2);
    four_free(&x);
}

/* Removed while a claim is on its way to the disk: it comes back when that is known, and only then is all gone. */
static void test_the_end(void **state)
{
    struct four x;
    struct far *f;

    (void)join(SESSION);
    four_calls(&x);
    f = owner.f;
    far_forget_account(f, "gone", on_forgotten, NULL);
    far_drain(f, on_drained, NULL);
    owner.f = NULL;
    far_end(f);
    assert_int_equal(owner.bounced, 1);
    assert_int_equal(steps.ended, 2);
    assert_int_equal(owner.forgotten, 1);
    assert_int_equal(owner.drained, 1);
    far_claimed(f, x.a[1], 0);
    assert_int_equal(owner.bounced, 2);
    until(&peer->ended, 1);
    four_free(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_a_session_comes_back),
        T(test_a_session_on_two_links),
        T(test_another_session),
        T(test_the_end),
    };

    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
