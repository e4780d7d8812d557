/* Decisions, a row of the language's table each: what is seen, who votes, what clamps, what comes out.
 */
#include "sim.h"

#include "common/base/mem.h"
#include "scaler/decide/state.h"

#define HEAD "{'policy':'p','target':{'account':'acme','function':'parse'},'evaluate_every':'2s',"
#define NO_LIMITS                                                                                  \
    "'limits':{'up':{'stabilize':'0s'},'down':{'max_count':100000,'per':'1s','stabilize':'0s'}}"
#define BUSY                                                                                       \
    "{'id':'busy','when':{'metric':'inflight_per_instance','aggregate':'avg','window':'10s'},"     \
    "'do':{'action':'track','target':0.5,'tolerance':0.1}}"
#define QUIET                                                                                      \
    "{'id':'quiet','when':{'metric':'invocations','aggregate':'sum','window':'60s','op':'<',"      \
    "'value':1},'do':{'action':'set','count':0}}"
#define WHEN(metric, op, value)                                                                    \
    "'when':{'metric':'" metric "','aggregate':'avg','window':'10s','op':'" op "','value':" value  \
    "}"

/* ---- actions ------------------------------------------------------------------------------------------------ */

static void test_track(void **state)
{
    struct sim *s = sim_make(HEAD "'bounds':{'max':100},'rules':[" BUSY "]," NO_LIMITS "}");

    s->instances = 2;
    s->inflight = 1;
    sim_run(s, 10);
    assert_int_equal(sim_decide(s), 2);
    assert_true(s->d.changed); /* the first time */
    s->inflight = 1.05;        /* inside the tolerance */
    sim_evaluate(s, 10, 2, true);
    assert_int_equal(s->d.to, 2);
    assert_false(s->d.changed);
    s->inflight = 6;
    sim_run(s, 10);
    assert_int_equal(sim_decide(s), 12);
    assert_int_equal(sim_vote(s, "busy"), 12);
    s->inflight = 2.1; /* 4.2 */
    sim_evaluate(s, 30, 2, true);
    assert_int_equal(s->d.to, 5);
    /* What it has taken over it gives back only after its windows passed twice: that was 20 s. */
    sim_free(s);
}

/* What rounding adds is no container. */
static void test_track_whole(void **state)
{
    struct sim *s = sim_make(
        HEAD
        "'bounds':{'max':100},'rules':[{'id':'a','when':{'metric':'inflight','aggregate':'last',"
        "'window':'10s'},'do':{'action':'track','target':0.7,'tolerance':0}}]," NO_LIMITS "}");

    for (int n = 1; n <= 30; n++) {
        s->inflight = 0.7 * n;
        sim_run(s, 1);
        assert_int_equal(sim_decide(s), n);
        s->inflight = 0.7 * n + 0.001;
        sim_run(s, 1);
        assert_int_equal(sim_decide(s), n + 1);
    }
    sim_free(s);
}

static void test_numbers(void **state)
{
    static const struct {
        double number;
        const char *text;
    } rows[] = {{0, "0"},
                {0.7, "0.7"},
                {-2.25, "-2.25"},
                {1234.5678, "1234.568"},
                {1e14, "100000000000000"},
                {1e20, "1e+20"},
                {0.0004, "0"},
                {-0.0001, "0"}};

    for (unsigned i = 0; i < nr_countof(rows); i++)
        assert_string_equal(number_text(rows[i].number).z, rows[i].text);
    assert_int_equal(count_up(2.1 / 0.7), 3);
    assert_int_equal(count_up(3.0001), 4);
    assert_int_equal(count_up(-5), 0);
    assert_int_equal(count_up(1e300), POLICY_COUNT_MAX);
}

/* A total is divided by the target, whatever there is; what each container has alike is multiplied. */
static void test_track_totals(void **state)
{
    struct sim *s = sim_make(
        HEAD
        "'bounds':{'max':100},'rules':[{'id':'lag','when':{'metric':'trigger_lag','labels':{'topic':'raw'},"
        "'aggregate':'max','window':'10s','op':'>','value':500},'do':{'action':'track','target':100}},"
        "{'id':'slow','when':{'metric':'duration_ms','aggregate':'p50','window':'10s'},"
        "'do':{'action':'track','target':100}}]," NO_LIMITS "}");

    s->instances = 4;
    s->calls = 3;
    s->duration_us = 95000;
    sim_run(s, 10);
    windows_add_lag(s->windows, "raw", "g", 400, s->now_ms);
    assert_int_equal(sim_decide(s), 4);
    assert_int_equal(sim_vote(s, "lag"), -2);
    windows_add_lag(s->windows, "raw", "g", 1750, s->now_ms);
    s->now_ms += 2000;
    assert_int_equal(sim_decide(s), 18);
    assert_int_equal(sim_vote(s, "lag"), 18);
    assert_int_equal(sim_vote(s, "slow"), 4); /* its target is met: as many as there are */
    sim_free(s);
    s = sim_make(
        HEAD "'bounds':{'max':100},'rules':[{'id':'slow','when':{'metric':'duration_ms',"
             "'aggregate':'p50','window':'10s'},'do':{'action':'track','target':100}}]," NO_LIMITS
             "}");
    s->instances = 4;
    s->calls = 3;
    s->duration_us = 200000;
    sim_run(s, 20);
    (void)sim_decide(s);
    assert_in_range(s->d.to, 8, 9); /* percentiles are wrong by 5 % at most */
    /* The old value is not multiplied with the new containers. */
    s->instances = 8;
    sim_run(s, 2);
    assert_true(sim_decide(s) <= 10);
    sim_free(s);
}

static void test_add_remove(void **state)
{
    struct sim *s = sim_make(
        HEAD
        "'bounds':{'max':100},'rules':["
        "{'id':'more'," WHEN(
            "cpu_percent", ">",
            "80") ",'do':{'action':'add','percent':100,'at_least':2}},"
                  "{'id':'two'," WHEN(
                      "cpu_percent", "between",
                      "[60,70]") ",'do':{'action':'add','count':2}},"
                                 "{'id':'less'," WHEN(
                                     "cpu_percent", "<",
                                     "10") ",'do':{'action':'remove','percent':50}}]," NO_LIMITS
                                           "}");

    s->cpu = 90;
    sim_run(s, 20);
    assert_int_equal(sim_decide(s), 2);
    sim_evaluate(s, 2, 2, true);
    assert_int_equal(s->d.to, 4);
    sim_evaluate(s, 2, 2, true);
    assert_int_equal(s->d.to, 8);
    s->cpu = 65;
    sim_run(s, 10);
    assert_int_equal(sim_decide(s), 10);
    s->cpu = 5;
    sim_run(s, 20);
    assert_int_equal(sim_decide(s), 5);
    sim_run(s, 2);
    assert_int_equal(sim_decide(s), 2);
    sim_run(s, 2);
    assert_int_equal(sim_decide(s), 1);
    sim_run(s, 2);
    assert_int_equal(sim_decide(s), 0);
    sim_free(s);
}

/* More than desired may run, by demand: what is added is added to what there is. */
static void test_add_to_demand(void **state)
{
    struct sim *s = sim_make(HEAD "'bounds':{'max':100},'rules':[{'id':'more'," WHEN(
        "cpu_percent", ">", "80") ",'do':{'action':'add','count':2}}]," NO_LIMITS "}");

    sim_run(s, 20);
    assert_int_equal(sim_decide(s), 0);
    s->instances = 8;
    s->cpu = 500;
    sim_run(s, 10);
    assert_int_equal(sim_decide(s), 10);
    sim_free(s);
}

static void test_prewarm(void **state)
{
    struct sim *s = sim_make(HEAD "'bounds':{'max':100},'rules':[{'id':'ready'," WHEN(
        "throttles", ">", "0") ",'do':{'action':'prewarm','count':3}}]," NO_LIMITS "}");

    sim_run(s, 20);
    assert_int_equal(sim_decide(s), 0);
    s->throttles = 1;
    sim_run(s, 10);
    assert_int_equal(sim_decide(s), 3);
    assert_int_equal(s->d.min_warm, 3);
    s->throttles = 0;
    sim_run(s, 60);
    assert_int_equal(sim_decide(s), 0);
    assert_int_equal(s->d.min_warm, 0);
    sim_free(s);
}

static void test_alert(void **state)
{
    struct sim *s = sim_make(HEAD "'rules':[{'id':'odd'," WHEN(
        "errors", ">", "0") ",'do':{'action':'alert'},'notify':['ops']}]}");

    sim_run(s, 20);
    (void)sim_decide(s);
    assert_int_equal(s->d.alerts, 0);
    s->errors = s->calls = 1;
    sim_run(s, 10);
    (void)sim_decide(s);
    assert_int_equal(s->d.alerts, 1);
    assert_true(s->d.raise_first);
    sim_run(s, 10);
    (void)sim_decide(s);
    assert_int_equal(s->d.alerts, 0);
    assert_false(s->d.raise_first);
    s->errors = 0;
    sim_run(s, 20);
    (void)sim_decide(s);
    s->errors = 1;
    sim_run(s, 10);
    (void)sim_decide(s);
    assert_int_equal(s->d.alerts, 1);
    sim_free(s);
}

/* ---- conditions --------------------------------------------------------------------------------------------- */

static void test_operators(void **state)
{
    static const struct {
        const char *op, *value;
        bool at_9, at_10, at_11;
    } rows[] = {
        {">", "10", false, false, true},           {">=", "10", false, true, true},
        {"<", "10", true, false, false},           {"<=", "10", true, true, false},
        {"==", "10", false, true, false},          {"!=", "10", true, false, true},
        {"between", "[10,20]", false, true, true}, {"outside", "[10,10.5]", true, false, true}};

    for (unsigned i = 0; i < nr_countof(rows); i++) {
        char text[512];
        const bool is[] = {rows[i].at_9, rows[i].at_10, rows[i].at_11};

        (void)snprintf(text, sizeof text,
                       HEAD "'rules':[{'id':'a','when':{'metric':'inflight','aggregate':'last',"
                            "'window':'10s','op':'%s','value':%s},'do':{'action':'alert'}}]}",
                       rows[i].op, rows[i].value);
        struct sim *s = sim_make(text);

        for (int v = 0; v < 3; v++) {
            s->inflight = 9 + v;
            sim_run(s, 2);
            (void)sim_decide(s);
            if ((sim_vote(s, "a") == -1) != is[v])
                fail_msg("%d %s %s", 9 + v, rows[i].op, rows[i].value);
            assert_int_equal(s->d.inputs[0].held, is[v]);
        }
        sim_free(s);
    }
}

static void test_nesting(void **state)
{
    struct sim *s = sim_make(
        HEAD
        "'rules':[{'id':'a','when':{'all':["
        "{'metric':'inflight','aggregate':'last','window':'10s','op':'>','value':5},"
        "{'any':[{'metric':'cpu_percent','aggregate':'last','window':'10s','op':'>','value':80},"
        "{'not':{'metric':'errors','aggregate':'last','window':'10s','op':'==','value':0}}]}]},"
        "'do':{'action':'alert'}}]}");
    static const struct {
        double inflight, cpu, errors;
        bool fires;
    } rows[] = {
        {4, 90, 1, false}, {6, 0, 0, false}, {6, 90, 0, true}, {6, 0, 2, true}, {6, 90, 1, true}};

    for (unsigned i = 0; i < nr_countof(rows); i++) {
        s->inflight = rows[i].inflight;
        s->cpu = rows[i].cpu;
        s->errors = rows[i].errors;
        sim_run(s, 3);
        (void)sim_decide(s);
        assert_int_equal(sim_vote(s, "a") == -1, rows[i].fires);
        assert_int_equal(s->d.input_count, 3); /* all are told, also where the first decides */
    }
    sim_free(s);
}

static void test_for(void **state)
{
    struct sim *s = sim_make(
        HEAD
        "'rules':[{'id':'a','when':{'all':[{'metric':'inflight','aggregate':'last','window':'4s',"
        "'op':'>','value':5}],'for':'10s'},'do':{'action':'alert'}}]}");

    s->inflight = 6;
    sim_run(s, 4);
    for (int i = 0; i < 5; i++) {
        (void)sim_decide(s);
        assert_int_equal(sim_vote(s, "a"), -2);
        sim_run(s, 2);
    }
    (void)sim_decide(s);
    assert_int_equal(sim_vote(s, "a"), -1);
    s->inflight = 5; /* once not: it begins anew */
    sim_evaluate(s, 2, 2, false);
    s->inflight = 6;
    sim_evaluate(s, 10, 2, false);
    assert_int_equal(sim_vote(s, "a"), -2);
    sim_evaluate(s, 2, 2, false);
    assert_int_equal(sim_vote(s, "a"), -1);
    sim_free(s);
}

/* ---- merge -------------------------------------------------------------------------------------------------- */

static void test_highest(void **state)
{
    struct sim *s = sim_make(HEAD "'bounds':{'max':100},'rules':[" BUSY ",{'id':'five'," WHEN(
        "cpu_percent", ">", "10") ",'do':{'action':'set','count':5}}]," NO_LIMITS "}");

    s->cpu = 20;
    s->inflight = 1;
    s->instances = 1;
    sim_run(s, 20);
    assert_int_equal(sim_decide(s), 5);
    s->inflight = 4;
    sim_run(s, 10);
    assert_int_equal(sim_decide(s), 8);
    s->inflight = 0.5;
    sim_run(s, 20);
    assert_int_equal(sim_decide(s), 5);
    sim_free(s);
}

/* Nothing goes down before the whole stabilisation has passed without a vote for more; then to the highest of it. */
static void test_stabilize(void **state)
{
    struct sim *s = sim_make(
        HEAD
        "'bounds':{'max':100},'rules':[" BUSY
        "],'limits':{'up':{'stabilize':'0s'},'down':{'max_count':100000,'per':'1s','stabilize':'60s'}}}");

    s->inflight = 5;
    s->instances = 10;
    sim_run(s, 20);
    sim_evaluate(s, 60, 2, true);
    assert_int_equal(s->d.to, 10);
    s->inflight = 1;
    sim_evaluate(s, 30, 2, true);
    assert_int_equal(s->d.to, 10);
    assert_true(sim_clamped(s, CLAMP_STABILIZE));
    s->inflight = 3;
    sim_evaluate(s, 10, 2, true);
    s->inflight = 1;
    sim_evaluate(s, 30, 2, true);
    assert_int_equal(s->d.to, 6); /* what was wanted within the last minute */
    sim_evaluate(s, 60, 2, true);
    assert_int_equal(s->d.to, 2);
    sim_free(s);
}

static void test_stabilize_up(void **state)
{
    struct sim *s = sim_make(HEAD "'bounds':{'max':100},'rules':[{'id':'n'," WHEN(
        "cpu_percent", ">",
        "10") ",'do':{'action':'set','count':9}}],"
              "'limits':{'up':{'stabilize':'20s'},'down':{'max_count':100000,'per':'1s','stabilize':'20s'}}}");

    sim_evaluate(s, 60, 2, true);
    s->cpu = 1000;
    sim_evaluate(s, 18, 2, true);
    assert_int_equal(s->d.to, 0);
    assert_true(sim_clamped(s, CLAMP_STABILIZE));
    sim_evaluate(s, 6, 2, true);
    assert_int_equal(s->d.to, 9);
    sim_free(s);
}

static void test_freeze(void **state)
{
    struct sim *s =
        sim_make(HEAD "'bounds':{'max':100},'rules':[" BUSY ",{'id':'errors','priority':20," WHEN(
            "error_ratio", ">",
            "0.5") ",'do':{'action':'freeze'},'notify':['ops']},"
                   "{'id':'strong','priority':30," WHEN(
                       "throttles", ">", "0") ",'do':{'action':'set','count':40}}]," NO_LIMITS "}");

    s->instances = 4;
    s->inflight = 2;
    s->calls = 10;
    sim_run(s, 20);
    assert_int_equal(sim_decide(s), 4);
    assert_true(s->d.on_demand);
    s->errors = 8;
    s->inflight = 20;
    sim_run(s, 10);
    assert_int_equal(sim_decide(s), 4); /* neither up ... */
    assert_false(s->d.on_demand);
    assert_true(s->d.changed);
    assert_true(s->d.raise_first);
    assert_true(sim_clamped(s, CLAMP_FREEZE));
    s->inflight = 0.1;
    sim_run(s, 30);
    assert_int_equal(sim_decide(s), 4); /* ... nor down ... */
    s->throttles = 5;
    sim_run(s, 10);
    assert_int_equal(sim_decide(s), 40); /* ... but for who is above it */
    s->errors = s->throttles = 0;
    sim_run(s, 30);
    assert_int_equal(sim_decide(s), 1);
    assert_true(s->d.on_demand);
    sim_free(s);
}

static void test_block_down(void **state)
{
    struct sim *s = sim_make(
        HEAD
        "'bounds':{'max':100},'rules':[" BUSY
        ",{'id':'burst','priority':10,'when':{'metric':'inflight_per_instance',"
        "'aggregate':'avg','window':'6s','op':'>=','value':1.4},'do':{'action':'add','percent':100,'at_least':2},"
        "'block_down_for':'60s'},{'id':'off','priority':11," WHEN(
            "cpu_percent", ">", "50") ",'do':{'action':'set','count':1}}]," NO_LIMITS "}");

    s->instances = 2;
    s->inflight = 1;
    sim_run(s, 30);
    assert_int_equal(sim_decide(s), 2);
    s->inflight = 8;
    sim_evaluate(s, 6, 2, true);
    assert_true(s->d.to >= 8);
    int64_t reached = sim_evaluate(s, 10, 2, true);

    s->inflight = 1;
    sim_evaluate(s, 30, 2, true);
    assert_int_equal(s->d.to, reached);
    assert_true(sim_clamped(s, CLAMP_BLOCK_DOWN));
    s->cpu = 60; /* a rule of a higher priority may */
    sim_run(s, 10);
    assert_int_equal(sim_decide(s), 1);
    sim_free(s);
    s = sim_make(HEAD "'bounds':{'max':100},'rules':[" BUSY ",{'id':'burst'," WHEN(
        "cpu_percent", ">", "50") ",'do':{'action':'set',"
                                  "'count':9},'block_down_for':'30s'}]," NO_LIMITS "}");
    s->inflight = 0.5;
    s->instances = 1;
    sim_run(s, 60);
    (void)sim_decide(s);
    s->cpu = 100;
    sim_run(s, 8);
    assert_int_equal(sim_decide(s), 9);
    s->cpu = 0;
    sim_evaluate(s, 20, 2, true);
    assert_int_equal(s->d.to, 9);
    sim_evaluate(s, 30, 2, true);
    assert_int_equal(s->d.to, 1);
    sim_free(s);
}

/* Nobody votes any more: what was wanted decays after two of the longest window, or the time that a start may take. */
static void test_decay(void **state)
{
    struct sim *s = sim_make(HEAD "'rules':[{'id':'hot'," WHEN(
        "cpu_percent", ">", "50") ",'do':{'action':'set','count':7}}]," NO_LIMITS "}");

    sim_run(s, 20);
    (void)sim_decide(s);
    s->cpu = 90;
    sim_run(s, 10);
    assert_int_equal(sim_decide(s), 7);
    s->cpu = 0;
    sim_evaluate(s, 30, 2, true);
    assert_int_equal(s->d.to, 7);
    sim_evaluate(s, 10, 2, true);
    assert_int_equal(s->d.to, 0);
    sim_free(s);
}

/* ---- cooldown, zero, pending, missing ------------------------------------------------------------------------ */

static void test_cooldown(void **state)
{
    struct sim *s = sim_make(HEAD "'bounds':{'max':1000},'rules':[{'id':'slow'," WHEN(
        "cpu_percent", ">",
        "80") ",'do':{'action':'add','count':2},"
              "'cooldown':'30s'},{'id':'burst','priority':10," WHEN(
                  "throttles", ">",
                  "0") ",'do':{'action':'add','count':5}},"
                       "{'id':'fall'," WHEN(
                           "errors", ">",
                           "0") ",'do':{'action':'remove','count':1},'cooldown':'30s'}]," NO_LIMITS
                                "}");

    s->cpu = 100;
    sim_run(s, 20);
    assert_int_equal(sim_decide(s), 2);
    assert_false(sim_clamped(s, CLAMP_COOLDOWN));
    sim_run(s, 2);
    assert_int_equal(sim_decide(s), 2);
    assert_true(sim_clamped(s, CLAMP_COOLDOWN));
    assert_int_equal(sim_vote(s, "slow"), 2);
    s->throttles = 1; /* another rule's cooldown delays no burst */
    sim_run(s, 2);
    assert_int_equal(sim_decide(s), 7);
    sim_run(s, 2);
    assert_int_equal(sim_decide(s), 12);
    s->throttles = s->cpu = 0;
    s->errors = s->calls = 1; /* nor the other direction */
    sim_run(s, 14);
    assert_int_equal(sim_decide(s), 11);
    sim_run(s, 20);
    assert_int_equal(sim_decide(s), 11);
    sim_run(s, 12);
    assert_int_equal(sim_decide(s), 10);
    sim_free(s);
}

/* The last container is for the rule that sets 0; the first call wakes one. */
static void test_zero(void **state)
{
    struct sim *s = sim_make(HEAD "'bounds':{'min':0,'max':40,'on_demand':false},'rules':[" BUSY
                                  "," QUIET "]," NO_LIMITS "}");

    s->instances = 3;
    s->inflight = 1.5;
    s->calls = 1;
    sim_run(s, 130);
    assert_int_equal(sim_decide(s), 3);
    s->inflight = s->calls = 0;
    sim_evaluate(s, 130, 2, true);
    assert_int_equal(s->d.to, 0);
    s->inflight = s->calls = 1;
    sim_evaluate(s, 10, 2, true);
    assert_true(s->d.to >= 1);
    s->inflight = s->calls = 0;
    sim_evaluate(s, 40, 2, true);
    assert_int_equal(s->d.to, 1); /* idle, not yet quiet */
    sim_evaluate(s, 40, 2, true);
    assert_int_equal(s->d.to, 0);
    s->waiting = 1;
    sim_run(s, 2);
    assert_int_equal(sim_decide(s), 1);
    assert_false(s->d.on_demand); /* the policy says so */
    sim_free(s);
    s = sim_make(HEAD "'bounds':{'min':0,'max':0},'rules':[" BUSY "]}");
    s->inflight = 5;
    sim_run(s, 30);
    assert_int_equal(sim_decide(s), 0);
    assert_false(s->d.on_demand);
    sim_free(s);
}

/* What is starting, and what was decided a moment ago, counts as capacity: a burst is not voted for twice. */
static void test_pending(void **state)
{
    struct sim *s = sim_make(
        HEAD
        "'bounds':{'max':100},'rules':[{'id':'burst','when':{'metric':'inflight_per_instance','aggregate':'avg',"
        "'window':'4s','op':'>=','value':1.5},'do':{'action':'add','percent':100}}]," NO_LIMITS
        "}");

    s->instances = 4;
    sim_run(s, 20);
    assert_int_equal(sim_decide(s), 4);
    s->inflight = 8;
    sim_run(s, 4);
    assert_int_equal(sim_decide(s), 8);
    sim_run(s, 4); /* nothing came up yet */
    assert_int_equal(sim_decide(s), 8);
    assert_int_equal(sim_vote(s, "burst"), -2);
    s->starting = 2;
    sim_run(s, 4);
    assert_int_equal(sim_decide(s), 8);
    /* After the time that a start may take, only what there is counts. */
    s->starting = 0;
    sim_evaluate(s, 30, 2, false);
    assert_true(s->d.to > 8);
    sim_free(s);
}

#define MISSING(what)                                                                              \
    HEAD "'bounds':{'max':100},'rules':[" BUSY                                                     \
         ",{'id':'temp','when':{'metric':'room_temp','aggregate':'avg','window':'10s'},"           \
         "'do':{'action':'track','target':10}}],'missing_metrics':{'after':'30s'," what            \
         "}," NO_LIMITS "}"

static void test_missing(void **state)
{
    static const struct {
        const char *policy;
        int64_t from_2, from_9;
    } rows[] = {{MISSING("'do':'hold'"), 2, 9},
                {MISSING("'do':'fallback','count':5"), 5, 5},
                {MISSING("'do':'current_if_higher','count':5"), 5, 9}};

    for (unsigned i = 0; i < nr_countof(rows); i++)
        for (int nine = 0; nine < 2; nine++) {
            struct sim *s = sim_make(rows[i].policy);

            s->instances = nine ? 9 : 2;
            for (int t = 0; t < 40; t++) {
                sim_run(s, 1);
                sim_custom(s, "room_temp", nine ? 85 : 15, NULL, NULL);
            }
            assert_int_equal(sim_decide(s), nine ? 9 : 2);
            assert_false(sim_clamped(s, CLAMP_MISSING));
            sim_run(s, 30); /* the last value stands so long */
            assert_int_equal(sim_decide(s), nine ? 9 : 2);
            assert_false(sim_clamped(s, CLAMP_MISSING));
            sim_run(s, 2);
            assert_int_equal(sim_decide(s), nine ? rows[i].from_9 : rows[i].from_2);
            if (!nine || i != 2)
                assert_true(sim_clamped(s, CLAMP_MISSING));
            s->inflight = 10; /* what is known may still raise */
            sim_run(s, 10);
            assert_int_equal(sim_decide(s), 20);
            sim_free(s);
        }
}

/* The node is gone: its function's metrics get old, nothing goes down. */
static void test_node_gone(void **state)
{
    struct sim *s = sim_make(HEAD "'rules':[" BUSY
                                  "],'missing_metrics':{'after':'30s','do':'hold'}," NO_LIMITS "}");

    s->instances = 6;
    s->inflight = 3;
    sim_run(s, 60);
    assert_int_equal(sim_decide(s), 6);
    s->lives = false;
    for (int i = 0; i < 100; i++) {
        sim_run(s, 10);
        assert_int_equal(sim_decide(s), 6);
    }
    assert_int_equal(s->d.made_by, MADE_BY_MISSING);
    assert_false(sim_clamped(s, CLAMP_MISSING)); /* 6 to 6 is no clamp */
    sim_free(s);
}

static void test_young(void **state)
{
    struct sim *s = sim_make(HEAD "'rules':[" BUSY "," QUIET "]," NO_LIMITS "}");

    s->instances = 6;
    sim_run(s, 1);
    (void)sim_decide(s);
    sim_evaluate(s, 118, 2, true);
    assert_int_equal(s->d.to, 6);
    assert_true(sim_clamped(s, CLAMP_YOUNG));
    sim_evaluate(s, 6, 2, true);
    assert_int_equal(s->d.to, 0);
    sim_free(s);
}

/* ---- limits ------------------------------------------------------------------------------------------------- */

static void test_steps(void **state)
{
    struct sim *s = sim_make(
        HEAD "'bounds':{'max':1000},'rules':[" BUSY
             "],'limits':{'up':{'max_count':8,'max_percent':200,'per':'10s','stabilize':'0s'},"
             "'down':{'max_percent':50,'per':'20s','stabilize':'0s'}}}");

    s->instances = 1;
    sim_run(s, 30);
    (void)sim_decide(s);
    assert_int_equal(s->d.to, 1);
    s->inflight = 300;
    sim_run(s, 10);
    assert_int_equal(sim_decide(s), 9); /* 1 + 8 */
    assert_true(sim_clamped(s, CLAMP_STEP_UP));
    sim_run(s, 4);
    assert_int_equal(sim_decide(s), 9);
    sim_run(s, 6);
    assert_int_equal(sim_decide(s), 27); /* 9 + 200 % */
    sim_run(s, 10);
    assert_int_equal(sim_decide(s), 81);
    s->instances = 81;
    s->inflight = 1;
    sim_run(s, 20);
    assert_int_equal(sim_decide(s), 40);
    assert_true(sim_clamped(s, CLAMP_STEP_DOWN));
    sim_run(s, 10);
    assert_int_equal(sim_decide(s), 40);
    sim_run(s, 10);
    assert_int_equal(sim_decide(s), 20);
    sim_run(s, 20);
    assert_int_equal(sim_decide(s), 10);
    sim_free(s);
}

/* The order: steps, bounds, the function's limit, the account's, the memory of the node; each is told. */
static void test_clamp_order(void **state)
{
    struct sim *s = sim_make(HEAD "'bounds':{'max':50},'rules':[" BUSY
                                  "],'limits':{'up':{'max_count':60,'per':'10s','stabilize':'0s'},"
                                  "'down':{'stabilize':'0s'}}}");
    static const enum clamp_kind order[] = {CLAMP_STEP_UP, CLAMP_BOUNDS, CLAMP_FUNCTION,
                                            CLAMP_QUOTA, CLAMP_NODE_MEMORY};
    static const int64_t to[] = {61, 50, 30, 20, 11};

    s->instances = 1;
    sim_run(s, 30);
    (void)sim_decide(s);
    s->inflight = 100;
    s->instances_max = 30;
    s->concurrent_max = 20;
    s->free_mb = 1300; /* ten of 128 MB */
    sim_run(s, 10);
    assert_int_equal(sim_decide(s), 11);
    assert_int_equal(s->d.clamp_count, 5);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(s->d.clamps[i].kind, order[i]);
        assert_int_equal(s->d.clamps[i].to, to[i]);
        assert_int_equal(s->d.clamps[i].from, i ? to[i - 1] : 200);
        assert_true(s->d.clamps[i].why[0] != '\0');
    }
    assert_int_equal(s->d.maximum, 50);
    sim_free(s);
}

static void test_bounds(void **state)
{
    struct sim *s =
        sim_make(HEAD "'bounds':{'min':2,'max':5,'min_warm':3},'rules':[" BUSY "]," NO_LIMITS "}");

    sim_run(s, 30);
    assert_int_equal(sim_decide(s), 3);
    assert_int_equal(s->d.min_warm, 3);
    assert_int_equal(s->d.floor_min, 2);
    assert_int_equal(s->d.floor_min_warm, 3);
    assert_int_equal(s->d.made_by, MADE_BY_MIN_WARM);
    s->inflight = 50;
    sim_run(s, 10);
    assert_int_equal(sim_decide(s), 5);
    assert_true(sim_clamped(s, CLAMP_BOUNDS));
    assert_int_equal(s->d.made_by, MADE_BY_RULES);
    sim_free(s);
}

/* What the minimum keeps is the minimum's, and waits for nothing: no clamp is told of it. */
static void test_minimum_alone(void **state)
{
    struct sim *s = sim_make(HEAD "'bounds':{'min':2,'max':5},'rules':[" BUSY "]}");

    sim_evaluate(s, 60, 10, true);
    assert_int_equal(s->d.to, 2);
    assert_int_equal(s->d.clamp_count, 0);
    assert_int_equal(s->d.made_by, MADE_BY_MIN);
    assert_int_equal(s->d.floor_min_warm, -1);
    sim_free(s);
}

/* ---- schedules, forecast, modes ----------------------------------------------------------------------------- */

/* It is Monday, 9 in UTC, 10 in Berlin. */
static void test_schedules(void **state)
{
    struct sim *s = sim_make(
        HEAD "'bounds':{'min':0,'max':10},'rules':[" BUSY "],'schedule':["
             "{'cron':'10 10 * * 1-5','timezone':'Europe/Berlin','for':'20m','min_warm':4},"
             "{'cron':'20 9 * * *','for':'20m','min_warm':2,'min':6,'max':20}]," NO_LIMITS "}");

    sim_evaluate(s, 9 * 60, 10, true);
    assert_int_equal(s->d.to, 0);
    assert_int_equal(s->d.floor_schedule, -1);
    sim_evaluate(s, 70, 10, true);
    assert_int_equal(s->d.to, 4);
    assert_int_equal(s->d.floor_schedule, 4);
    assert_int_equal(s->d.maximum, 10);
    sim_evaluate(s, 10 * 60, 10, true); /* both: the highest of each */
    assert_int_equal(s->d.to, 6);
    assert_int_equal(s->d.min_warm, 4);
    assert_int_equal(s->d.maximum, 20);
    sim_evaluate(s, 10 * 60, 10, true);
    assert_int_equal(s->d.min_warm, 2);
    assert_int_equal(s->d.to, 6);
    sim_evaluate(s, 15 * 60, 10, true);
    assert_int_equal(s->d.to, 0);
    assert_int_equal(s->d.maximum, 10);
    sim_free(s);
}

/* Only a schedule: what there was when it began goes, the schedule comes and goes. */
static void test_schedule_alone(void **state)
{
    struct sim *s = sim_make(
        HEAD
        "'bounds':{'max':10},'rules':[],'schedule':[{'cron':'10 9 * * *','for':'10m','min_warm':4}],"
        "'limits':{'down':{'max_count':100000,'per':'1s','stabilize':'60s'}}}");

    s->instances = 5;
    sim_run(s, 2);
    assert_int_equal(sim_decide(s), 5);
    sim_evaluate(s, 80, 2, true);
    assert_int_equal(s->d.to, 0);
    sim_evaluate(s, 10 * 60, 2, true);
    assert_int_equal(s->d.to, 4);
    sim_evaluate(s, 12 * 60, 2, true);
    assert_int_equal(s->d.to, 0);
    sim_free(s);
}

#define PREDICT                                                                                    \
    "'predict':{'enabled':true,'min_confidence':0.6,'may':['prewarm','raise_min'],'max_extra':6}"

static void test_forecast(void **state)
{
    struct sim *s =
        sim_make(HEAD "'bounds':{'max':40},'rules':[" BUSY "]," PREDICT "," NO_LIMITS "}");

    s->instances = 2;
    s->inflight = 1;
    sim_run(s, 30);
    s->forecast = (struct forecast_view){true, 1, 2, 0.5, ARRIVAL_REGULAR};
    assert_int_equal(sim_decide(s), 2); /* not trusted yet: a shadow */
    assert_true(s->d.forecast_shadow);
    assert_int_equal(s->d.floor_forecast, -1);
    s->forecast.confidence = 0.7;
    sim_run(s, 2);
    assert_int_equal(sim_decide(s), 4); /* 2 calls at a time of 0.5 */
    assert_false(s->d.forecast_shadow);
    assert_int_equal(s->d.floor_forecast, 4);
    s->forecast.p90 = 100;
    sim_run(s, 2);
    assert_int_equal(sim_decide(s), 8); /* max_extra more than without it */
    s->forecast.p90 = 0;                /* it raises, it never lowers */
    s->inflight = 5;
    sim_run(s, 20);
    assert_int_equal(sim_decide(s), 10);
    sim_free(s);
}

static void test_modes(void **state)
{
    struct sim *s = sim_make(HEAD "'mode':'off','bounds':{'min':3},'rules':[" BUSY "]}");

    sim_run(s, 30);
    (void)sim_decide(s);
    assert_false(s->d.changed);
    assert_int_equal(s->d.vote_count, 0);
    sim_free(s);
    s = sim_make(HEAD "'mode':'dry_run','bounds':{'max':9},'rules':[" BUSY "]," NO_LIMITS "}");
    s->inflight = 2;
    sim_run(s, 30);
    assert_int_equal(sim_decide(s), 4);
    assert_true(s->d.changed);
    sim_run(s, 2);
    (void)sim_decide(s);
    assert_false(s->d.changed);
    sim_free(s);
}

static void test_other_targets(void **state)
{
    struct sim *s = sim_make(
        "{'policy':'p','target':{'stems':'python:3'},'bounds':{'min':1,'max':9},'rules':[{'id':'w','when':{'metric':"
        "'node_memory_percent','aggregate':'avg','window':'10s','op':'<','value':60},'do':{'action':'set','count':4}}]," NO_LIMITS
        "}");

    sim_run(s, 30);
    assert_int_equal(sim_decide(s), 4);
    sim_free(s);
    s = sim_make(
        "{'policy':'p','target':{'nodes':true},'webhook':'grow','bounds':{'min':1,'max':9},'rules':[{'id':'full','when':{'metric':"
        "'node_memory_free_mb','aggregate':'min','window':'10s','op':'<','value':1000},'do':{'action':'add','count':1},"
        "'cooldown':'5m'}]}");
    sim_run(s, 30);
    assert_int_equal(sim_decide(s), 1);
    s->free_mb = 500;
    sim_run(s, 10);
    assert_int_equal(sim_decide(s), 2);
    sim_run(s, 10);
    assert_int_equal(sim_decide(s), 2);
    sim_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_track),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_track_whole),
        cmocka_unit_test(test_track_totals),
        cmocka_unit_test(test_add_remove),
        cmocka_unit_test(test_add_to_demand),
        cmocka_unit_test(test_prewarm),
        cmocka_unit_test(test_alert),
        cmocka_unit_test(test_operators),
        cmocka_unit_test(test_nesting),
        cmocka_unit_test(test_for),
        cmocka_unit_test(test_highest),
        cmocka_unit_test(test_stabilize),
        cmocka_unit_test(test_stabilize_up),
        cmocka_unit_test(test_freeze),
        cmocka_unit_test(test_block_down),
        cmocka_unit_test(test_decay),
        cmocka_unit_test(test_cooldown),
        cmocka_unit_test(test_zero),
        cmocka_unit_test(test_pending),
        cmocka_unit_test(test_missing),
        cmocka_unit_test(test_node_gone),
        cmocka_unit_test(test_young),
        cmocka_unit_test(test_steps),
        cmocka_unit_test(test_clamp_order),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_minimum_alone),
        cmocka_unit_test(test_schedules),
        cmocka_unit_test(test_schedule_alone),
        cmocka_unit_test(test_forecast),
        cmocka_unit_test(test_modes),
        cmocka_unit_test(test_other_targets),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
