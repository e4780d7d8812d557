/* Errands over an invoker that holds calls: what an account's departure and their owner do to them, that what follows an earlier call begins only in its
 * container, how an end is told, and that one which is watched ends with its last look.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ports/errand.h"
#include "ports/invoker.h"
#include "tests/unit/controller/fakes.h"

/* The one watch of a case. */
static struct {
    struct activation *of;
    void (*done)(void *arg, const struct call_usage *u);
    void *arg;
    int begun, ended;
} watch;

struct call_watch *invoker_watch(struct activation *a,
                                 void (*done)(void *arg, const struct call_usage *u), void *arg)
{
    watch.of = a;
    watch.done = done;
    watch.arg = arg;
    watch.begun++;
    return (struct call_watch *)(void *)&watch;
}

void invoker_watch_end(struct call_watch *w, uint64_t run_us)
{
    assert_ptr_equal(w, &watch);
    assert_int_equal(run_us, watch.of->started_us);
    watch.ended++;
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
    p->fakes.serves = true;
    memset(&watch, 0, sizeof(watch));
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

    p->fakes.serves = false;
    errands_call(p->errands, &piece);
    fakes_until(&p->fakes, &p->ended, 1);
    assert_int_equal(piece.err.code, NR_ENOENT);
    assert_int_equal(p->fakes.runs, 0);
    p->fakes.serves = true;
    errands_call(p->errands, &another);
    fakes_until(&p->fakes, &p->fakes.runs, 1);
    errands_stop(p->errands);
    fakes_until(&p->fakes, &p->ended, 2);
    nr_buf_fini(&another.result);
}

static void an_owner_cuts_what_is_its_own(void **state)
{
    struct place *p = *state;
    struct errand_call first = call_of(p, false), second = call_of(p, false);

    errands_call(p->errands, &first);
    errands_call(p->errands, &second);
    fakes_until(&p->fakes, &p->fakes.runs, 2);
    errands_cut(p->errands, &first); /* nobody's */
    fakes_turns(&p->fakes, 3);
    assert_int_equal(p->fakes.cuts, 0);
    errands_cut(p->errands, p);
    fakes_until(&p->fakes, &p->ended, 2);
    assert_int_equal(p->fakes.cuts, 2);
    assert_int_equal(first.err.code, NR_ESTOPPING);
    assert_true(first.err.text[0] != '\0');
    nr_buf_fini(&first.result);
    nr_buf_fini(&second.result);
}

static const struct ending {
    enum outcome_status status;
    bool timed_out, out_of_memory;
    const char *result;
    int code;
} endings[] = {
    {OUTCOME_SUCCESS, false, false, "{\"memory\":1}", 0},
    {OUTCOME_APPLICATION_ERROR, false, false, "{\"error\":\"memory is a fine thing\"}", NR_EPROTO},
    {OUTCOME_DEVELOPER_ERROR, false, true, "{\"error\":\"It was aborted.\"}", NR_ENOMEM},
    {OUTCOME_DEVELOPER_ERROR, true, false, "{\"error\":\"It took too long.\"}", NR_ETIMEOUT},
    {OUTCOME_INTERNAL_ERROR, false, false, "{\"error\":\"No container.\"}", NR_EUNAVAIL},
};
static const struct ending *now;

static void set_ending(struct fakes *f, struct activation *a)
{
    f->status = now->status;
    f->result = now->result;
    a->outcome.timed_out = now->timed_out;
    a->outcome.out_of_memory = now->out_of_memory;
}

/* By what the invoker found out, never by the words. */
static void how_it_ended_is_told(void **state)
{
    struct place *p = *state;

    p->fakes.answer = set_ending;
    for (size_t i = 0; i < nr_countof(endings); i++) {
        struct errand_call c = call_of(p, false);

        now = &endings[i];
        errands_call(p->errands, &c);
        fakes_until(&p->fakes, &p->fakes.runs, (int)i + 1);
        fakes_claim(&p->fakes, p->fakes.held[i]);
        fakes_until(&p->fakes, &p->ended, (int)i + 1);
        assert_int_equal(c.err.code, now->code);
        assert_string_equal(c.err.text, "");
        assert_true(nr_str_eqz(nr_buf_str(&c.result), now->result));
        nr_buf_fini(&c.result);
    }
    assert_int_equal(watch.begun, 0);
}

static void what_is_watched_ends_with_the_last_look(void **state)
{
    struct place *p = *state;
    struct errand_call c = call_of(p, false);
    const struct call_usage seen = {.known = true, .run_peak_bytes = 4711};

    c.watched = true;
    errands_call(p->errands, &c);
    fakes_until(&p->fakes, &p->fakes.runs, 1);
    fakes_claim(&p->fakes, p->fakes.held[0]);
    assert_int_equal(watch.begun, 1);
    assert_int_equal(watch.ended, 0); /* nothing was sent yet */
    invoker_claimed(watch.of, 0);
    assert_int_equal(watch.ended, 1);
    assert_int_equal(p->ended, 0);
    watch.done(watch.arg, &seen);
    assert_int_equal(p->ended, 1);
    assert_int_equal(c.err.code, 0);
    assert_int_equal(c.usage.run_peak_bytes, 4711);
    assert_false(c.cold);
    nr_buf_fini(&c.result);
}

static void another_host_watches_itself(void **state)
{
    struct place *p = *state;
    struct errand_call c = call_of(p, false), unwatched = call_of(p, false);

    c.watched = true;
    errands_call(p->errands, &c);
    errands_call(p->errands, &unwatched);
    fakes_until(&p->fakes, &p->fakes.runs, 2);
    struct activation *a = p->fakes.held[0];

    assert_non_null(a->usage);
    assert_null(p->fakes.held[1]->usage);
    a->far = (struct far *)(void *)p; /* nobody looks into it */
    a->usage->known = true;
    a->usage->run_peak_bytes = 4711;
    fakes_claim(&p->fakes, a);
    assert_int_equal(watch.begun, 0);
    fakes_until(&p->fakes, &p->ended, 1);
    assert_int_equal(c.err.code, 0);
    assert_true(c.usage.known);
    assert_int_equal(c.usage.run_peak_bytes, 4711);
    errands_stop(p->errands);
    fakes_until(&p->fakes, &p->ended, 2);
    nr_buf_fini(&c.result);
    nr_buf_fini(&unwatched.result);
}

/* Asked on this host, and by the wire of another one. */
static void another_host_may_have_nothing_to_follow(void **state)
{
    struct place *p = *state;
    struct errand_call c = call_of(p, true);

    p->fakes.serves = true;
    errands_call(p->errands, &c);
    fakes_until(&p->fakes, &p->fakes.runs, 1);
    struct activation *a = p->fakes.held[0];

    assert_true(a->follows);
    activation_fail(a, NR_ENOENT, "its container is gone");
    a->i = I_END;
    a->on_step(a);
    assert_int_equal(p->ended, 1);
    assert_int_equal(c.err.code, NR_ENOENT);
    assert_string_equal(c.err.text, "its container is gone");
    nr_buf_fini(&c.result);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_an_account_asked_ends_with_it, begin, end),
        cmocka_unit_test_setup_teardown(what_follows_starts_nothing, begin, end),
        cmocka_unit_test_setup_teardown(an_owner_cuts_what_is_its_own, begin, end),
        cmocka_unit_test_setup_teardown(how_it_ended_is_told, begin, end),
        cmocka_unit_test_setup_teardown(what_is_watched_ends_with_the_last_look, begin, end),
        cmocka_unit_test_setup_teardown(another_host_watches_itself, begin, end),
        cmocka_unit_test_setup_teardown(another_host_may_have_nothing_to_follow, begin, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
