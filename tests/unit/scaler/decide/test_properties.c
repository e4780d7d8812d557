/* What holds whatever the load does: bounds, patience before anything goes down, steps, more for more load, the same twice, the same after a restart, the
 * same in a replay, and no change under steady load at a threshold. Loads are drawn from seeds.
 */
#include "sim.h"

#include "common/base/mem.h"

#define BURST                                                                                      \
    "{'id':'burst','priority':10,'when':{'metric':'inflight_per_instance','aggregate':'avg',"      \
    "'window':'6s','op':'>=','value':1.4},'do':{'action':'add','percent':100,'at_least':2},"       \
    "'block_down_for':'60s'}"
#define REST                                                                                        \
    "{'id':'hot','when':{'all':[{'metric':'duration_ms','aggregate':'p99','window':'30s','op':'>'," \
    "'value':250},{'metric':'cpu_percent','aggregate':'avg','window':'30s','op':'>','value':80}],"  \
    "'for':'10s'},'do':{'action':'add','count':2},'cooldown':'30s'},"                               \
    "{'id':'quiet','when':{'metric':'invocations','aggregate':'sum','window':'60s','op':'<',"       \
    "'value':1},'do':{'action':'set','count':0}}"

static const char policy[] =
    "{'policy':'p','target':{'account':'acme','function':'parse'},'evaluate_every':'2s','bounds':{'min':1,'max':40},"
    "'rules':[{'id':'busy','when':{'metric':'inflight_per_instance','aggregate':'avg','window':'20s'},"
    "'do':{'action':'track','target':0.7,'tolerance':0.1}}," BURST "," REST
    "],'limits':{'up':{'max_count':8,'max_percent':200,'per':'10s','stabilize':'0s'},"
    "'down':{'max_percent':50,'per':'30s','stabilize':'60s'}}}";

static uint64_t draw(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return *seed >> 33;
}

/* The load of the next seconds: now and then another level, noise around it. */
static void change_load(struct sim *s, uint64_t *seed, double *level)
{
    if (draw(seed) % 20 == 0)
        *level = draw(seed) % 4 == 0 ? 0 : (double)(draw(seed) % 60);
    s->inflight = *level * (0.8 + 0.4 * (double)(draw(seed) % 100) / 100);
    s->calls = *level;
    s->cpu = *level * 10;
    s->duration_us = 50000 + draw(seed) % 400000;
    s->free_mb = draw(seed) % 10 ? 100000 : 500;
}

/* Containers come up two a second, and go when they are not desired. */
static void follow(struct sim *s)
{
    if (s->instances + s->starting < (double)s->d.to)
        s->starting = (double)s->d.to - s->instances;
    s->instances += s->starting > 2 ? 2 : s->starting;
    s->starting -= s->starting > 2 ? 2 : s->starting;
    if (s->instances > (double)s->d.to) {
        s->instances = (double)s->d.to;
        s->starting = 0;
    }
}

static bool hard(const struct sim *s)
{
    return sim_clamped(s, CLAMP_BOUNDS) || sim_clamped(s, CLAMP_FUNCTION) ||
           sim_clamped(s, CLAMP_QUOTA) || sim_clamped(s, CLAMP_NODE_MEMORY);
}

static bool votes_up(const struct sim *s)
{
    for (unsigned i = 0; i < s->d.vote_count; i++)
        if (s->d.votes[i].desired > s->d.from)
            return true;
    return false;
}

static void run_one(uint64_t seed)
{
    struct sim *s = sim_make(policy);
    double level = 0;
    int64_t up_ms = 0, low[6] = {0};
    struct decision again;

    for (int tick = 0; tick < 900; tick++) {
        change_load(s, &seed, &level);
        for (int second = 0; second < 2; second++) {
            sim_run(s, 1);
            follow(s);
        }
        s->instances_max = tick < 450 ? 0 : 25;
        (void)sim_decide(s);
        assert_true(s->d.to >= 0 && s->d.to <= (tick < 452 ? 40 : 25));
        if (tick > 0 && s->d.to < s->d.from && !hard(s))
            assert_true(s->now_ms - up_ms >= 60000);
        up_ms = votes_up(s) ? s->now_ms : up_ms;
        /* Within 10 s by 8, or to three times the lowest. */
        if (tick > 6 && s->d.to > s->d.from) {
            int64_t lowest = s->d.from;

            for (int i = 0; i < 5; i++)
                lowest = low[i] < lowest ? low[i] : lowest;
            assert_true(s->d.to <= lowest + 8 || s->d.to <= 3 * lowest);
        }
        low[tick % 5] = s->d.to;
        again = s->d;
        (void)sim_decide(s);
        assert_true(decision_equal(&again, &s->d));
    }
    sim_free(s);
}

static void test_invariants(void **state)
{
    for (uint64_t seed = 1; seed <= 20; seed++)
        run_one(seed * 7919);
}

/* Two that have the same past: who has more to do has no less. */
static void test_monotone(void **state)
{
    for (uint64_t seed = 1; seed <= 100; seed++) {
        struct sim *s[2] = {sim_make(policy), sim_make(policy)};
        uint64_t draws = seed;
        double level = 0;
        int past = (int)(draw(&draws) % 60);

        for (int tick = 0; tick < past; tick++) {
            change_load(s[0], &draws, &level);
            s[1]->inflight = s[0]->inflight;
            s[1]->calls = s[0]->calls;
            for (int i = 0; i < 2; i++) {
                s[i]->cpu = s[0]->cpu;
                s[i]->duration_us = s[0]->duration_us;
                s[i]->free_mb = 100000;
                (void)sim_evaluate(s[i], 2, 2, true);
            }
        }
        assert_int_equal(s[0]->d.to, s[1]->d.to);
        for (int step = 0; step < 40; step++) {
            double more = (double)(draw(&draws) % 3);

            s[0]->inflight = (double)(draw(&draws) % 40);
            s[1]->inflight = s[0]->inflight + more;
            sim_run(s[0], 1);
            sim_run(s[1], 1);
        }
        (void)sim_decide(s[0]);
        (void)sim_decide(s[1]);
        assert_true(s[1]->d.to >= s[0]->d.to);
        sim_free(s[0]);
        sim_free(s[1]);
    }
}

/* A restart between two evaluations changes nothing, wherever it is. */
static void test_restart(void **state)
{
    struct sim *a = sim_make(policy), *b = sim_make(policy);
    uint64_t seed = 4711;
    double level = 10;

    for (int tick = 0; tick < 600; tick++) {
        uint64_t same = seed;
        double same_level = level;

        change_load(a, &seed, &level);
        change_load(b, &same, &same_level);
        sim_evaluate(a, 2, 2, true);
        sim_evaluate(b, 2, 2, true);
        assert_true(decision_equal(&a->d, &b->d));

        json_t *j = decide_state_write(b->state);
        struct decide_state *s = decide_state_read(b->policy, j);

        assert_non_null(s);
        json_decref(j);
        decide_state_free(b->state);
        b->state = s;
    }
    sim_free(a);
    sim_free(b);
}

/* Other windows, the same samples, evaluations at the same times, the policy read anew: the same bits. */
static void test_replay(void **state)
{
    enum { TICKS = 200 };
    struct decision *first = nr_alloc(TICKS * sizeof *first);
    struct policy *read[2];

    for (int round = 0; round < 2; round++) {
        struct sim *s = sim_make(policy);
        uint64_t seed = 99;
        double level = 0;

        read[round] = policy_ref(s->policy);
        for (int tick = 0; tick < TICKS; tick++) {
            change_load(s, &seed, &level);
            sim_evaluate(s, 2, 2, true);
            if (round == 0)
                first[tick] = s->d;
            else
                assert_true(decision_equal(&first[tick], &s->d));
        }
        sim_free(s);
    }
    policy_unref(read[0]);
    policy_unref(read[1]);
    free(first);
}

/* Five minutes of steady load just at the threshold, with the noise that calls have: once it has settled nothing changes. */
static void steady(const char *document, double inflight, double noise)
{
    struct sim *s = sim_make(document);
    uint64_t seed = 5;

    for (int second = 0; second < 300 + 600; second++) {
        s->inflight = inflight * (1 + noise * ((double)(draw(&seed) % 201) / 100 - 1));
        s->calls = 10;
        sim_run(s, 1);
        follow(s);
        if (second == 600)
            s->changes = 0;
        if (second % 2 == 0)
            (void)sim_decide(s);
    }
    if (s->changes != 0)
        fail_msg("%u changes at %g calls, noise %g", s->changes, inflight, noise);
    sim_free(s);
}

static void test_no_flapping(void **state)
{
    static const char short_form[] =
        "{'policy':'p','account':'acme','function':'parse','min':0,'max':40,'target_inflight':0.7}";

    for (int i = 1; i <= 12; i++)
        for (int noise = 0; noise <= 3; noise++) {
            steady(short_form, i * 0.7, noise * 0.1);   /* at the target of track */
            steady(short_form, i * 1.4, noise * 0.1);   /* at burst's threshold */
            steady(policy, i * 0.7 * 1.1, noise * 0.1); /* at the end of the tolerance */
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_invariants),  cmocka_unit_test(test_monotone),
        cmocka_unit_test(test_restart),     cmocka_unit_test(test_replay),
        cmocka_unit_test(test_no_flapping),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
