/* Between a policy's times, when calls wait: what a sample at once changes in windows, that only a raise counts, and that nothing else is left of it.
 */
#include "sim.h"

#include "common/base/json.h"
#include "common/base/mem.h"

#define HEAD "{'policy':'p','target':{'account':'acme','function':'parse'},'evaluate_every':'1s',"
#define OPEN                                                                                       \
    "'limits':{'up':{'stabilize':'0s'},'down':{'max_percent':100,'per':'1s','stabilize':'2s'}}}"
#define TRACK                                                                                      \
    "{'id':'busy','when':{'metric':'inflight','aggregate':'max','window':'3s'},"                   \
    "'do':{'action':'track','target':1}}"

static void test_a_rise_is_decided_at_once(void **state)
{
    struct sim *s =
        sim_make(HEAD "'bounds':{'min':1,'max':60,'on_demand':false},'rules':[" TRACK "]," OPEN);
    struct nr_buf text;

    s->inflight = s->instances = 1;
    assert_int_equal(sim_evaluate(s, 10, 1, true), 1);
    s->inflight = 40;
    s->waiting = 39;
    assert_int_equal(sim_at_once(s, 350), 40);
    assert_int_equal(s->d.from, 1);
    assert_true(s->d.changed && s->d.at_once);
    nr_buf_init(&text, 65536);
    decision_write(&s->d, &text);
    nr_auto_json json_t *j = nr_json_parse(nr_buf_str(&text), NULL);

    assert_string_equal(nr_json_string(j, "at_once"), "calls wait");
    nr_buf_fini(&text);
    assert_int_equal(sim_evaluate(s, 1, 1, true), 40);
    assert_int_equal(s->d.from, 40);
    assert_false(s->d.changed || s->d.at_once);
    sim_free(s);
}

/* Bounds, steps, freezes and the account's limit hold as ever. */
static void test_limits_hold(void **state)
{
    static const struct {
        const char *policy;
        int64_t to;
    } rows[] = {
        {HEAD "'bounds':{'min':1,'max':12},'rules':[" TRACK "]," OPEN, 12},
        {HEAD "'bounds':{'min':1,'max':60},'rules':[" TRACK "],"
              "'limits':{'up':{'max_count':3,'per':'60s','stabilize':'0s'}}}",
         4},
        {HEAD
         "'bounds':{'min':1,'max':60},'rules':[" TRACK
         ",{'id':'ill','priority':9,'when':{'metric':'inflight','aggregate':'last','window':'3s',"
         "'op':'>','value':0},'do':{'action':'freeze'}}]," OPEN,
         1},
        {HEAD "'bounds':{'min':1,'max':60},'rules':[" TRACK "],'limits':{'up':{'stabilize':'5s'}}}",
         1},
    };

    for (unsigned i = 0; i < nr_countof(rows); i++) {
        struct sim *s = sim_make(rows[i].policy);

        s->inflight = s->instances = 1;
        assert_int_equal(sim_evaluate(s, 10, 1, true), 1);
        s->inflight = 40;
        if (sim_at_once(s, 350) != rows[i].to)
            fail_msg("row %u: %lld, not %lld", i, (long long)s->d.to, (long long)rows[i].to);
        sim_free(s);
    }
}

static char *state_of(const struct sim *s)
{
    nr_auto_json json_t *j = decide_state_write(s->state);

    return nr_json_text(j, NULL);
}

/* With timers of every kind under way: what does not raise is neither decided nor remembered. */
static void test_what_does_not_raise_leaves_no_trace(void **state)
{
    struct sim *s = sim_make(
        HEAD
        "'bounds':{'min':1,'max':60},'rules':[" TRACK
        ",{'id':'long','when':{'metric':'queue_depth','aggregate':'last','window':'3s','op':'>',"
        "'value':2,'for':'4s'},'do':{'action':'add','count':5},'cooldown':'20s'},"
        "{'id':'told','when':{'metric':'inflight','aggregate':'last','window':'3s','op':'>','value':5},"
        "'do':{'action':'alert'},'notify':['x']},"
        "{'id':'held','when':{'metric':'inflight','aggregate':'last','window':'3s','op':'<','value':4},"
        "'do':{'action':'prewarm','count':1},'block_down_for':'30s'}]," OPEN);
    unsigned seed = 7;

    sim_old(s);
    s->instances = 1;
    for (int i = 0; i < 400; i++) {
        seed = seed * 1103515245 + 12345;
        s->inflight = seed >> 16 & 7;
        s->waiting = seed >> 20 & 3;
        sim_run(s, 1);
        (void)sim_decide(s);
        s->instances = (double)s->d.to;
        nr_auto_free char *before = state_of(s);
        int64_t is = s->d.to, warm = s->d.min_warm;

        s->inflight = s->inflight > 3 ? 3 : s->inflight;
        if (sim_at_once(s, 100 + (seed >> 8 & 511)) > is)
            continue;
        nr_auto_free char *after = state_of(s);

        assert_int_equal(s->d.to, is);
        assert_true(s->d.min_warm >= warm);
        assert_false(s->d.changed || s->d.raise_first);
        assert_true(s->d.alerts == 0);
        assert_string_equal(before, after);
    }
    sim_free(s);
}

/* Two courses of the same load, one of them with evaluations at once that see nothing new: all that is decided is equal. */
static void test_decisions_are_as_without_it(void **state)
{
    static const char policy[] =
        HEAD "'bounds':{'min':1,'max':60},'rules':[" TRACK
             ",{'id':'mean','when':{'metric':'inflight','aggregate':'avg','window':'20s'},"
             "'do':{'action':'track','target':0.7}}]," OPEN;
    struct sim *a = sim_make(policy), *b = sim_make(policy);
    unsigned seed = 11;

    for (int i = 0; i < 600; i++) {
        seed = seed * 1103515245 + 12345;
        a->inflight = b->inflight = seed >> 16 & 15;
        sim_run(a, 1);
        sim_run(b, 1);
        (void)sim_decide(a);
        (void)sim_decide(b);
        assert_true(decision_equal(&a->d, &b->d));
        a->instances = b->instances = (double)a->d.to;
        (void)sim_at_once(b, 300);
        b->seq = a->seq;
    }
    sim_free(a);
    sim_free(b);
}

/* A gauge is what it is now, in the newest second that is whole; what was counted is not told twice, and the most of a second stays the most. */
static void test_windows(void **state)
{
    struct sim *s = sim_make(HEAD "'rules':[" TRACK "]," OPEN);

    (void)sim_ask(s, "invocations", AGGREGATE_SUM, 60);
    (void)sim_ask(s, "inflight_max", AGGREGATE_MAX, 60);
    (void)sim_ask(s, "inflight", AGGREGATE_AVG, 600);
    s->calls = 5;
    s->inflight = 9;
    sim_run(s, 30);
    s->inflight = 4;
    (void)sim_at_once(s, 400);
    assert_true(sim_value(s, "inflight", AGGREGATE_LAST, 60) == 4);
    assert_true(sim_value(s, "inflight_max", AGGREGATE_LAST, 60) == 9);
    assert_true(sim_value(s, "invocations", AGGREGATE_SUM, 10) == 50);
    assert_int_equal(sim_ask(s, "inflight", AGGREGATE_AVG, 10).samples, 10);
    s->inflight = 30;
    (void)sim_at_once(s, 700);
    assert_true(sim_value(s, "inflight", AGGREGATE_SUM, 10) == 9 * 9 + 30);
    assert_true(sim_value(s, "inflight_max", AGGREGATE_LAST, 60) == 30);
    sim_run(s, 1);
    assert_true(sim_value(s, "inflight", AGGREGATE_SUM, 10) == 8 * 9 + 30 + 30);
    assert_true(sim_value(s, "invocations", AGGREGATE_SUM, 10) == 50);
    sim_free(s);
}

/* Of a function that had been quiet, or was never told of. */
static void test_out_of_nothing(void **state)
{
    for (int quiet = 0; quiet < 2; quiet++) {
        struct sim *s = sim_make(HEAD "'bounds':{'max':60},'rules':[" TRACK "]," OPEN);
        struct window_now now;

        s->tells = quiet;
        sim_run(s, 20);
        s->tells = false;
        sim_run(s, 60);
        assert_int_equal(sim_decide(s), 0);
        s->inflight = s->waiting = 7;
        assert_int_equal(sim_at_once(s, 350), 7);
        windows_now(s->windows, "acme", "parse", s->now_ms + 350, &now);
        assert_int_equal(now.waiting, 7);
        sim_free(s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_rise_is_decided_at_once),
        cmocka_unit_test(test_limits_hold),
        cmocka_unit_test(test_what_does_not_raise_leaves_no_trace),
        cmocka_unit_test(test_decisions_are_as_without_it),
        cmocka_unit_test(test_windows),
        cmocka_unit_test(test_out_of_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
