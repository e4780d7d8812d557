/* The record as JSON, the equality of two, and the memory of a policy: what of it a changed policy takes over, and what hostile JSON does.
 */
#include "sim.h"

#include "common/base/json.h"
#include "common/base/mem.h"

#define HEAD                                                                                       \
    "{'policy':'p','target':{'account':'acme','function':'pack/parse'},'evaluate_every':'2s',"
#define RULES                                                                                           \
    "'rules':[{'id':'busy','when':{'metric':'inflight_per_instance','aggregate':'avg','window':'10s'}," \
    "'do':{'action':'track','target':0.7}},{'id':'lag','when':{'metric':'trigger_lag',"                 \
    "'labels':{'topic':'raw'},'aggregate':'max','window':'10s','op':'>','value':500},"                  \
    "'do':{'action':'track','target':100}},{'id':'odd','when':{'metric':'errors','aggregate':'rate',"   \
    "'window':'10s','op':'outside','value':[-1,0.25]},'do':{'action':'freeze'},'notify':['ops']}]"

static json_t *record_of(const struct decision *d)
{
    struct nr_buf out;
    struct nr_err err = {0};
    json_t *j;

    nr_buf_init(&out, 1 << 20);
    decision_write(d, &out);
    assert_false(out.failed);
    j = nr_json_parse(nr_buf_str(&out), &err);
    if (j == NULL)
        fail_msg("%s\n%.*s", err.text, (int)out.n, out.p);
    nr_buf_fini(&out);
    return j;
}

static const char *text(json_t *j, const char *path)
{
    static char name[64];

    while (*path) {
        size_t n = strcspn(path, ".");

        (void)snprintf(name, sizeof name, "%.*s", (int)n, path);
        j = json_is_array(j) ? json_array_get(j, (size_t)strtol(name, NULL, 10))
                             : json_object_get(j, name);
        path += n + (path[n] == '.');
    }
    if (json_is_string(j))
        return json_string_value(j);
    (void)snprintf(name, sizeof name, "%s",
                   json_is_true(j)    ? "true"
                   : json_is_false(j) ? "false"
                   : json_is_null(j)  ? "null"
                   : j == NULL        ? "absent"
                                      : "");
    if (json_is_number(j))
        (void)snprintf(name, sizeof name, "%.6g", json_number_value(j));
    return name;
}

static void test_record(void **state)
{
    static const char *const rows[][2] = {
        {"v", "1"},
        {"kind", "decision"},
        {"policy", "p"},
        {"number", "7"},
        {"target.account", "acme"},
        {"target.function", "pack/parse"},
        {"mode", "enforce"},
        {"inputs.0.metric", "inflight_per_instance"},
        {"inputs.0.aggregate", "avg"},
        {"inputs.0.window", "10s"},
        {"inputs.0.op", "absent"},
        {"inputs.0.value", "6.3"},
        {"inputs.0.samples", "10"},
        {"inputs.0.age_ms", "0"},
        {"inputs.0.held", "true"},
        {"inputs.0.unknown", "false"},
        {"inputs.0.for", "absent"},
        {"inputs.0.holds_ms", "absent"},
        {"inputs.0.containers", "1"},
        {"inputs.1.labels.topic", "raw"},
        {"inputs.1.op", ">"},
        {"inputs.1.than", "500"},
        {"inputs.1.value", "null"},
        {"inputs.1.age_ms", "null"},
        {"inputs.1.held", "false"},
        {"inputs.1.unknown", "true"},
        {"inputs.1.containers", "absent"},
        {"inputs.2.op", "outside"},
        {"inputs.2.than.1", "0.25"},
        {"votes.0.rule", "busy"},
        {"votes.0.action", "track"},
        {"votes.0.desired", "9"},
        {"votes.0.why", "6.3 for all, 0.7 for each"},
        {"votes.1.rule", "odd"},
        {"votes.1.desired", "null"},
        {"forecast.p90", "2.5"},
        {"forecast.class", "regular"},
        {"forecast.shadow", "true"},
        {"floors.forecast", "null"},
        {"floors.schedule", "null"},
        {"floors.min", "null"},
        {"floors.min_warm", "null"},
        {"made_by", "freeze"},
        {"clamps.0.by", "freeze"},
        {"clamps.0.from", "9"},
        {"clamps.0.to", "1"},
        {"fired.0", "odd"},
        {"from", "1"},
        {"to", "1"},
        {"maximum", "null"},
        {"on_demand", "false"},
        {"took_us", "12"},
    };
    struct sim *s = sim_make(HEAD RULES "}");
    json_t *j;

    s->policy->number = 7;
    s->instances = 1;
    sim_run(s, 20);
    (void)sim_decide(s);
    s->inflight = 6.3;
    s->errors = s->calls = 1;
    s->forecast = (struct forecast_view){true, 1, 2.5, 0.4, ARRIVAL_REGULAR};
    sim_run(s, 10);
    (void)sim_decide(s);
    s->d.took_us = 12;
    j = record_of(&s->d);
    for (unsigned i = 0; i < nr_countof(rows); i++)
        if (strcmp(text(j, rows[i][0]), rows[i][1]) != 0)
            fail_msg("%s is %s, not %s", rows[i][0], text(j, rows[i][0]), rows[i][1]);
    json_decref(j);
    sim_free(s);
}

/* A condition that is the case and has to last says so; one that nobody tells of any more is unknown. */
static void test_waiting(void **state)
{
    struct sim *s = sim_make(
        HEAD
        "'bounds':{'min':1,'max':9,'min_warm':2},'missing_metrics':{'after':'20s','do':'hold'},"
        "'rules':[{'id':'long','when':{'metric':'inflight','aggregate':'avg','window':'5s','op':'>',"
        "'value':2,'for':'5m'},'do':{'action':'add','count':1}}]}");
    static const char *const rows[][2] = {
        {"inputs.0.held", "false"},
        {"inputs.0.unknown", "false"},
        {"inputs.0.for", "5m"},
        {"floors.min", "1"},
        {"inputs.0.holds_ms", "3000"},
        {"floors.min_warm", "2"},
        {"to", "2"},
        {"inputs.0.containers", "absent"},
        {"made_by", "min_warm"},
    };
    json_t *j;

    s->inflight = 6;
    s->instances = 1;
    sim_run(s, 10);
    (void)sim_decide(s);
    sim_run(s, 3);
    (void)sim_decide(s);
    j = record_of(&s->d);
    for (unsigned i = 0; i < nr_countof(rows); i++)
        assert_string_equal(text(j, rows[i][0]), rows[i][1]);
    json_decref(j);
    s->tells = s->lives = false;
    sim_run(s, 30);
    (void)sim_decide(s);
    j = record_of(&s->d);
    assert_string_equal(text(j, "inputs.0.unknown"), "true");
    assert_string_equal(text(j, "inputs.0.holds_ms"), "absent");
    json_decref(j);
    sim_free(s);
}

static void test_equal(void **state)
{
    struct sim *s = sim_make(HEAD RULES "}");
    struct decision other;

    s->errors = s->calls = 1;
    s->inflight = 5;
    sim_run(s, 20);
    (void)sim_decide(s);
    other = s->d;
    other.took_us++;
    assert_true(decision_equal(&s->d, &other));
#define DIFFERS(member, value)                                                                     \
    other = s->d;                                                                                  \
    other.member = (value);                                                                        \
    assert_false(decision_equal(&s->d, &other))
    DIFFERS(to, s->d.to + 1);
    DIFFERS(t_ms, 1);
    DIFFERS(on_demand, !s->d.on_demand);
    DIFFERS(inputs[0].got.value, 5.0000000001);
    DIFFERS(inputs[1].held, !s->d.inputs[1].held);
    DIFFERS(votes[0].desired, 99);
    DIFFERS(votes[0].why[0], '?');
    DIFFERS(clamp_count, s->d.clamp_count + 1);
    DIFFERS(floor_schedule, 3);
    DIFFERS(floor_min, 3);
    DIFFERS(made_by, MADE_BY_CALLS);
    DIFFERS(inputs[0].unknown, true);
    DIFFERS(inputs[0].holds_ms, 1);
    DIFFERS(forecast.p90, 3);
    DIFFERS(alerts, 8);
    sim_free(s);
}

static json_t *memory_of(const char *document)
{
    struct sim *s = sim_make(document);
    json_t *j;

    s->inflight = 5;
    s->instances = 9;
    sim_run(s, 30);
    (void)sim_decide(s);
    j = decide_state_write(s->state);
    sim_free(s);
    return j;
}

/* An edited policy keeps what it desires; where it looks elsewhere it is young. */
static void test_edited(void **state)
{
    json_t *j = memory_of(HEAD RULES "}");
    struct sim *s = sim_make(
        HEAD "'rules':[{'id':'busy','when':{'metric':'inflight_per_instance','aggregate':'avg',"
             "'window':'60s'},'do':{'action':'track','target':0.9}}]}");
    struct decide_state *kept = decide_state_read(s->policy, j);

    assert_non_null(kept);
    decide_state_free(s->state);
    s->state = kept;
    s->began_ms = SIM_BEGAN_MS;
    s->now_ms += 1000000;
    s->began_ms = SIM_BEGAN_MS - 10000000;
    sim_run(s, 60);
    assert_int_equal(sim_decide(s), 9);
    assert_int_equal(s->d.from, 9);
    assert_true(sim_clamped(s, CLAMP_YOUNG));
    json_decref(j);
    sim_free(s);
}

static void test_hostile_memory(void **state)
{
    static const char *const members[] = {"v",   "now",     "last",  "level", "high",
                                          "low", "changes", "rules", "since", "block"};
    static const char *const values[] = {"null",
                                         "[[1]]",
                                         "{\"busy\":[1]}",
                                         "\"x\"",
                                         "-1",
                                         "9223372036854775807",
                                         "1.5",
                                         "[1,2,3,4,5,6,7,8,9]"};
    struct policy *p = sim_policy(HEAD RULES "}");

    for (unsigned m = 0; m < nr_countof(members); m++)
        for (unsigned v = 0; v < nr_countof(values); v++) {
            json_t *j = memory_of(HEAD RULES "}");
            struct decide_state *s;
            json_t *value = nr_json_parse(nr_str_of(values[v]), NULL);

            (void)json_object_set_new(j, members[m], value);
            s = decide_state_read(p, j);
            if (s) { /* what it takes must not break an evaluation */
                struct windows *w = windows_make(1 << 20);
                struct decide_input in = {.now_ms = SIM_BEGAN_MS, .windows = w};
                struct decision d;

                decide(p, &in, s, &d);
                assert_true(d.to >= 0 && d.to <= POLICY_COUNT_MAX);
                windows_free(w);
            }
            decide_state_free(s);
            json_decref(j);
        }
    assert_null(decide_state_read(p, NULL));
    policy_unref(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_record),         cmocka_unit_test(test_waiting),
        cmocka_unit_test(test_equal),          cmocka_unit_test(test_edited),
        cmocka_unit_test(test_hostile_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
