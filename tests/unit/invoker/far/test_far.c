/* The controller's side of a link: joining and who may not, a call from RUN to DONE, claims granted and
 * refused, what is taken back or cut, the limit of a call that was granted, and what is given to nobody.
 */
#include "far_rig.h"

#include "common/base/clock.h"

/* ---- joining ---- */

static void test_welcome(void **state)
{
    const struct seen *s = join(SESSION);

    assert_non_null(strstr(s->meta, "\"protocol\":1"));
    assert_non_null(strstr(s->meta, "\"epoch\":1"));
    assert_non_null(strstr(s->meta, "\"api_host\":\"https://api.example\""));
    assert_int_equal(s->raw_n, 0);
    assert_int_equal(owner.joined, 1);
    assert_string_equal(far_hello(owner.f)->name, "box-1");
    assert_string_equal(far_hello(owner.f)->tags[0].value, "r2");
    assert_false(far_takes(owner.f, true)); /* not before it has reported */
    assert_string_equal(far_why_not(owner.f), "it has not reported yet");
    report("");
    assert_true(far_takes(owner.f, false));
    assert_string_equal(far_why_not(owner.f), "");
}

static void test_a_token_that_is_none(void **state)
{
    for (int i = 0; i < 12; i++) {
        peer_dial();
        say_hello("box-1", SESSION, "bad");
        const struct seen *s = hear(WIRE_REFUSED);

        assert_non_null(strstr(s->meta, i < 10 ? "the token of" : "too many failed tokens"));
        until(&peer->ended, 1);
    }
    assert_int_equal(owner.admitted, 12); /* a good one is taken all the same */
    assert_int_equal(owner.joined, 0);
    assert_true(metric("narae_invoker_refused_total") == 12);
}

static void test_a_protocol_that_is_not_spoken(void **state)
{
    peer_dial();
    say(WIRE_HELLO, 0, 0,
        "{\"protocol\":3,\"oldest\":2,\"name\":\"box-1\",\"token\":\"good\",\"session\":\"" SESSION
        "\"}",
        NULL);
    assert_non_null(strstr(hear(WIRE_REFUSED)->meta, "protocols"));
    until(&peer->ended, 1);
    assert_int_equal(owner.admitted, 0);
}

static void test_two_processes_of_a_name(void **state)
{
    (void)join(SESSION);
    struct peer *first = peer;

    peer_dial();
    say_hello("box-1", OTHER_SESSION, "good");
    assert_non_null(strstr(hear(WIRE_REFUSED)->meta, "a name of its own"));
    until(&peer->ended, 1);
    assert_true(far_is_up(owner.f));
    assert_int_equal(owner.lost, 0);
    nr_stream_close(first->s);
    first->s = NULL;
    until(&owner.lost, 1);
}

/* ---- a call ---- */

static void test_a_call(void **state)
{
    struct function *f = make_function(7);
    struct activation *a = make_call(f), *b = make_call(f);

    (void)join(SESSION);
    far_run(owner.f, a);
    assert_true(far_has(owner.f, a));
    const struct seen *s = hear(WIRE_FUNCTION);

    assert_int_equal(s->head.call, 7);
    assert_memory_equal(s->raw, "{\"bound\":1}{}", 13);
    uint64_t call = hear(WIRE_RUN)->head.call;

    say(WIRE_CLAIM, WIRE_COLD, call, NULL, NULL);
    assert_int_equal(hear(WIRE_CLAIMED)->head.flags, 0);
    assert_int_equal(steps.claims, 1);
    assert_null(a->claim);
    assert_int_equal(steps.steps, 0);
    end_call(call);
    assert_int_equal(steps.answered, 1);
    assert_int_equal(a->outcome.status, OUTCOME_SUCCESS);
    assert_true(nr_str_eqz(a->outcome.result, "{\"ok\":true}"));
    assert_true(nr_str_eqz(nr_buf_str(&a->logs), "2026 stdout: one\n"));
    assert_int_equal(a->start, START_COLD);
    assert_true(a->started_us > 0 && a->answered_us >= a->started_us);
    assert_false(far_has(owner.f, a));
    /* its function is known now */
    call = run(b);
    assert_int_equal(far_calls(owner.f), 1);
    say(WIRE_CLAIM, 0, call, NULL, NULL);
    (void)hear(WIRE_CLAIMED);
    end_call(call);
    assert_int_equal(far_calls(owner.f), 0);
    activation_unref(a);
    activation_unref(b);
    function_unref(f);
}

static void test_claims(void **state)
{
    struct function *f = make_function(7);
    struct activation *a = make_call(f), *b = make_call(f);

    (void)join(SESSION);
    uint64_t call = first_run(a);

    steps.claim = 1; /* it is being written */
    say(WIRE_CLAIM, 0, call, NULL, NULL);
    until(&steps.claims, 1);
    hear_nothing();
    far_claimed(owner.f, a, 0);
    assert_int_equal(hear(WIRE_CLAIMED)->head.flags, 0);
    end_call(call);
    /* it could not be written */
    call = run(b);
    say(WIRE_CLAIM, 0, call, NULL, NULL);
    until(&steps.claims, 2);
    far_claimed(owner.f, b, NR_ENOSPC);
    assert_int_equal(hear(WIRE_CLAIMED)->head.flags, WIRE_FAILED);
    assert_int_equal(steps.ended, 2);
    assert_int_equal(b->err, NR_ENOSPC);
    assert_int_equal(far_calls(owner.f), 0);
    activation_unref(a);
    activation_unref(b);
    function_unref(f);
}

static void test_taken_back(void **state)
{
    struct function *f = make_function(7);
    struct activation *a = make_call(f);

    (void)join(SESSION);
    uint64_t call = first_run(a);

    assert_true(far_take_back(owner.f, a));
    assert_int_equal(owner.bounced, 0);
    assert_int_equal(a->i, I_IDLE);
    assert_int_equal(hear(WIRE_CUT)->head.call, call);
    say(WIRE_CLAIM, 0, call, NULL, NULL); /* it was on its way */
    assert_int_equal(hear(WIRE_CLAIMED)->head.flags, WIRE_FAILED);
    assert_int_equal(steps.claims, 0);
    call = run(a);
    say(WIRE_CLAIM, 0, call, NULL, NULL);
    (void)hear(WIRE_CLAIMED);
    assert_false(far_take_back(owner.f, a));
    end_call(call);
    call = run(a);
    say(WIRE_BOUNCE, 0, call, NULL, NULL);
    until(&owner.bounced, 1);
    assert_ptr_equal(owner.back, a);
    /* it had asked for its claim, and does not want the call any more */
    call = run(a);
    a->claim = on_claim;
    steps.claim = 1;
    say(WIRE_CLAIM, 0, call, NULL, NULL);
    until(&steps.claims, 2);
    say(WIRE_BOUNCE, 0, call, NULL, NULL);
    hear_nothing();
    assert_int_equal(owner.bounced, 1);
    far_claimed(owner.f, a, 0);
    assert_int_equal(owner.bounced, 2);
    hear_nothing(); /* no CLAIMED */
    activation_unref(a);
    function_unref(f);
}

static void test_cuts(void **state)
{
    struct function *f = make_function(7);
    struct activation *a = make_call(f), *b = make_call(f);

    (void)join(SESSION);
    uint64_t call = first_run(a);

    far_cut(owner.f, a, NR_ECANCELED); /* it waits there */
    assert_int_equal(steps.ended, 1);
    assert_int_equal(a->err, NR_ECANCELED);
    assert_int_equal(hear(WIRE_CUT)->head.call, call);
    say(WIRE_ANSWER, 0, call, "{\"status\":3,\"err\":-24,\"why\":\"canceled\"}", NULL);
    say(WIRE_END, 0, call, NULL, NULL);
    assert_int_equal(hear(WIRE_DONE)->head.call, call);
    /* it runs there: the answer is ours at once, its logs are still taken */
    call = run(b);
    say(WIRE_CLAIM, 0, call, NULL, NULL);
    (void)hear(WIRE_CLAIMED);
    far_cut(owner.f, b, NR_ETIMEOUT);
    assert_int_equal(steps.answered, 2);
    assert_int_equal(steps.ended, 1);
    (void)hear(WIRE_CUT);
    far_cut(owner.f, b, NR_ESTOPPING); /* once is enough */
    end_call(call);
    assert_int_equal(b->err, NR_ETIMEOUT);
    assert_int_equal(b->outcome.result.n, 0);
    assert_int_equal(b->logs.n, 17);
    assert_true(metric("narae_invoker_late_results_total") == 0);
    activation_unref(a);
    activation_unref(b);
    function_unref(f);
}

/* A call that was granted has no more time than its own limit, whether its invoker comes back or not. */
static void test_a_limit(void **state)
{
    struct function *f = make_function(7);
    struct activation *a = make_call(f);

    f->timeout_ms = 10;
    (void)join(SESSION);
    uint64_t call = first_run(a);

    say(WIRE_CLAIM, 0, call, NULL, NULL);
    (void)hear(WIRE_CLAIMED);
    peer_hang_up();
    turn();
    assert_int_equal(steps.steps, 0);
    nr_clock_fake(20000000, 0);
    until(&steps.ended, 1);
    assert_int_equal(a->outcome.status, OUTCOME_INTERNAL_ERROR);
    assert_int_equal(join(SESSION)->raw_n, 0);
    activation_unref(a);
    function_unref(f);
}

/* Given to one that is away: it comes back, later. */
static void test_given_to_nobody(void **state)
{
    struct function *f = make_function(7);
    struct activation *a = make_call(f), *b = make_call(f);

    (void)join(SESSION);
    peer_hang_up();
    far_run(owner.f, a);
    far_run(owner.f, b);
    assert_int_equal(owner.bounced, 0);
    far_cut(owner.f, b, NR_ECANCELED);
    assert_int_equal(steps.ended, 1);
    until(&owner.bounced, 1);
    assert_ptr_equal(owner.back, a);
    assert_int_equal(owner.bounced, 1);
    activation_unref(a);
    activation_unref(b);
    function_unref(f);
}

/* ---- who says nothing, and who says too much ---- */

static uint64_t ahead_us; /* by so much the clock has been moved */

static void later(uint64_t ms)
{
    ahead_us += ms * 1000;
    nr_clock_fake((int64_t)ahead_us, 0);
}

/* A report that names these calls (0: none), and the pings that are due. */
static void name(uint64_t one, uint64_t other)
{
    const uint64_t numbers[] = {one, other};
    int before = owner.reported;
    size_t n = one == 0 ? 0 : other == 0 ? 1 : 2;

    wire_send(peer->s, &(struct wire_head){.type = WIRE_REPORT, .flags = WIRE_ON},
              NR_STR("{\"node\":{\"ready\":true}}"),
              (struct nr_str){(const char *)numbers, n * sizeof(*numbers)});
    until(&owner.reported, before + 1);
}

/* What its invoker names waits there as long as it likes; what it does not name is placed elsewhere, and claimed in vain. */
static void test_silence(void **state)
{
    struct function *f = make_function(7);
    struct activation *a = make_call(f), *b = make_call(f);

    ahead_us = 0;
    (void)join(SESSION);
    name(0, 0);
    uint64_t first = first_run(a), second = run(b);

    for (int i = 0; i < 40; i++) { /* a minute and a half */
        later(2600);
        name(first, second);
    }
    assert_int_equal(owner.bounced, 0);
    assert_true(far_takes(owner.f, false));
    for (int i = 0; owner.bounced == 0 && i < 10; i++) {
        later(2600);
        name(second, 0);
        turn();
    }
    assert_int_equal(owner.bounced, 1);
    assert_ptr_equal(owner.back, a);
    assert_int_equal(hear(WIRE_CUT)->head.call, first);
    assert_true(metric("narae_invoker_silent_calls_total") == 1);
    assert_false(far_takes(owner.f, true));
    assert_string_equal(far_why_not(owner.f), "it was given a call and says nothing of it");
    say(WIRE_CLAIM, 0, first, NULL, NULL); /* too late: it may run elsewhere */
    assert_int_equal(hear(WIRE_CLAIMED)->head.flags, WIRE_FAILED);
    assert_int_equal(steps.claims, 0);
    say(WIRE_CLAIM, 0, second, NULL, NULL); /* it lives: it gets calls again */
    assert_int_equal(hear(WIRE_CLAIMED)->head.flags, 0);
    assert_true(far_takes(owner.f, true));
    end_call(second);
    activation_unref(a);
    activation_unref(b);
    function_unref(f);
}

/* No report that names calls at all: not for ever. */
static void test_no_report(void **state)
{
    struct function *f = make_function(7);
    struct activation *a = make_call(f);

    ahead_us = 0;
    (void)join(SESSION);
    (void)first_run(a);
    for (int i = 0; i < 40 && owner.bounced == 0; i++) {
        later(2600);
        for (int k = 0; k < 5; k++)
            turn();
    }
    assert_int_equal(owner.bounced, 1);
    assert_in_range(ahead_us / 1000, 30000, 70000);
    assert_true(far_is_up(owner.f));
    activation_unref(a);
    function_unref(f);
}

/* A result is as long as one may be, whoever has sent it; one that was let go of is counted. */
static void test_a_result_that_is_too_long(void **state)
{
    struct function *f = make_function(7);
    struct activation *a = make_call(f), *b = make_call(f);
    char *text = nr_alloc(NR_RESULT_MAX_BYTES + 2);

    (void)join(SESSION);
    memset(text, ' ', NR_RESULT_MAX_BYTES);
    text[0] = '{';
    text[NR_RESULT_MAX_BYTES - 1] = '}';
    for (int i = 0; i < 2; i++) {
        struct activation *one = i ? b : a;
        uint64_t call = i ? run(one) : first_run(one);

        say(WIRE_CLAIM, 0, call, NULL, NULL);
        (void)hear(WIRE_CLAIMED);
        text[NR_RESULT_MAX_BYTES - 1 + i] = '}';
        if (i)
            text[NR_RESULT_MAX_BYTES - 1] = ' ';
        say(WIRE_ANSWER, 0, call, i ? "{\"ran\":true,\"dropped\":true}" : "{\"ran\":true}", text);
        say(WIRE_END, 0, call, NULL, NULL);
        until(&steps.ended, i + 1);
        (void)hear(WIRE_DONE);
    }
    assert_int_equal(a->outcome.status, OUTCOME_SUCCESS);
    assert_int_equal(a->outcome.result.n, NR_RESULT_MAX_BYTES);
    assert_int_equal(b->outcome.status, OUTCOME_APPLICATION_ERROR);
    assert_non_null(memmem(b->outcome.result.p, b->outcome.result.n,
                           "exceeded the allowed length: 1048577 > 1048576 bytes", 52));
    assert_true(metric("narae_invoker_dropped_answers_total") == 1);
    assert_true(far_is_up(owner.f));
    free(text);
    activation_unref(a);
    activation_unref(b);
    function_unref(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_welcome),
        T(test_a_token_that_is_none),
        T(test_a_protocol_that_is_not_spoken),
        T(test_two_processes_of_a_name),
        T(test_a_call),
        T(test_claims),
        T(test_taken_back),
        T(test_cuts),
        T(test_a_limit),
        T(test_given_to_nobody),
        T(test_silence),
        T(test_no_report),
        T(test_a_result_that_is_too_long),
    };

    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
