/* Windows: what each aggregate says, of one node and of several, of sketches, of producers; what is not told, told twice, told of another time; memory.
 */
#include "sim.h"

#include "common/base/mem.h"

#define ANY                                                                                                        \
    "{'policy':'p','target':{'account':'acme','function':'parse'},'rules':[{'id':'a','when':{'metric':'inflight'," \
    "'aggregate':'avg','window':'60s'},'do':{'action':'track','target':1}}]}"

static void close_to(double is, double wanted)
{
    if (is < wanted - 1e-9 || is > wanted + 1e-9)
        fail_msg("%.12g, not %.12g", is, wanted);
}

static void test_gauge(void **state)
{
    struct sim *s = sim_make(ANY);

    for (int i = 1; i <= 70; i++) {
        s->inflight = i;
        sim_run(s, 1);
    }
    /* 11 .. 70 */
    close_to(sim_value(s, "inflight", AGGREGATE_AVG, 60), 40.5);
    close_to(sim_value(s, "inflight", AGGREGATE_SUM, 60), 60 * 40.5);
    close_to(sim_value(s, "inflight", AGGREGATE_MIN, 60), 11);
    close_to(sim_value(s, "inflight", AGGREGATE_MAX, 60), 70);
    close_to(sim_value(s, "inflight", AGGREGATE_LAST, 60), 70);
    close_to(sim_value(s, "inflight", AGGREGATE_RATE, 60), 1);
    close_to(sim_value(s, "inflight", AGGREGATE_P50, 60), 40);
    close_to(sim_value(s, "inflight", AGGREGATE_P90, 60), 64);
    close_to(sim_value(s, "inflight", AGGREGATE_P95, 60), 67);
    close_to(sim_value(s, "inflight", AGGREGATE_P99, 60), 70);
    close_to(sim_value(s, "inflight", AGGREGATE_AVG, 1), 70);
    close_to(sim_value(s, "inflight", AGGREGATE_AVG, 6), 67.5);
    assert_int_equal(sim_ask(s, "inflight", AGGREGATE_AVG, 60).samples, 60);
    assert_int_equal(sim_ask(s, "inflight", AGGREGATE_AVG, 60).age_ms, 0);
    sim_free(s);
}

static void test_counter(void **state)
{
    struct sim *s = sim_make(ANY);

    (void)sim_ask(s, "invocations", AGGREGATE_SUM, 60);
    for (int i = 1; i <= 60; i++) {
        s->calls = i % 2 ? 0 : 4;
        sim_run(s, 1);
    }
    close_to(sim_value(s, "invocations", AGGREGATE_SUM, 60), 120);
    close_to(sim_value(s, "invocations", AGGREGATE_RATE, 60), 2);
    close_to(sim_value(s, "invocations", AGGREGATE_AVG, 60), 2);
    close_to(sim_value(s, "invocations", AGGREGATE_MAX, 60), 4);
    close_to(sim_value(s, "invocations", AGGREGATE_MIN, 60), 0);
    close_to(sim_value(s, "invocations", AGGREGATE_LAST, 60), 4);
    close_to(sim_value(s, "invocations", AGGREGATE_SUM, 10), 20);
    sim_free(s);
}

/* Tens of seconds: at least as long as asked for, and all of it. */
static void test_long(void **state)
{
    struct sim *s = sim_make(ANY);
    double sum;

    (void)sim_ask(s, "invocations", AGGREGATE_SUM, 600);
    (void)sim_ask(s, "inflight", AGGREGATE_AVG, 600);
    s->calls = 1;
    s->inflight = 3;
    sim_run(s, 2000);
    sum = sim_value(s, "invocations", AGGREGATE_SUM, 600);
    assert_true(sum >= 600 && sum <= 610);
    close_to(sim_value(s, "invocations", AGGREGATE_RATE, 600), 1);
    close_to(sim_value(s, "inflight", AGGREGATE_AVG, 600), 3);
    close_to(sim_value(s, "inflight", AGGREGATE_P99, 600), 3);
    s->calls = 0;
    sim_run(s, 590);
    assert_true(sim_value(s, "invocations", AGGREGATE_SUM, 600) >= 10);
    sim_run(s, 20);
    close_to(sim_value(s, "invocations", AGGREGATE_SUM, 600), 0);
    sim_free(s);
}

/* A function that no node tells of, while a node lives, has 0; when none lives, what was known gets old. */
static void test_silence(void **state)
{
    struct sim *s = sim_make(ANY);

    s->inflight = 6;
    sim_run(s, 60);
    s->tells = false;
    sim_run(s, 52);
    assert_true(sim_value(s, "inflight", AGGREGATE_AVG, 60) < 2);
    close_to(sim_value(s, "inflight", AGGREGATE_LAST, 60), 0);
    close_to(sim_value(s, "inflight", AGGREGATE_MIN, 60), 0);
    sim_run(s, 60);
    close_to(sim_value(s, "inflight", AGGREGATE_AVG, 60), 0);
    assert_int_equal(sim_ask(s, "inflight", AGGREGATE_AVG, 60).age_ms, 0);
    assert_int_equal(sim_ask(s, "inflight", AGGREGATE_AVG, 60).samples, 60);
    s->lives = false;
    sim_run(s, 45);
    assert_int_equal(sim_ask(s, "inflight", AGGREGATE_AVG, 60).age_ms, 45000);
    sim_free(s);
}

static void test_never_seen(void **state)
{
    struct sim *s = sim_make(ANY);
    struct window_now now;

    assert_int_equal(sim_ask(s, "inflight", AGGREGATE_AVG, 60).age_ms, INT64_MAX);
    assert_int_equal(sim_ask(s, "room_temp", AGGREGATE_AVG, 60).age_ms, INT64_MAX);
    windows_now(s->windows, "acme", "parse", s->now_ms, &now);
    assert_false(now.known);
    s->tells = false;
    sim_run(s, 3);
    assert_int_equal(sim_ask(s, "inflight", AGGREGATE_AVG, 60).age_ms, 0);
    windows_now(s->windows, "acme", "parse", s->now_ms, &now);
    assert_true(now.known);
    assert_int_equal(now.instances, 0);
    assert_int_equal(now.node_free_mb, 100000);
    assert_int_equal(now.nodes, 1);
    sim_free(s);
}

/* One sample late, one early, one lost: a gauge is what it was. */
static void test_jitter(void **state)
{
    struct sim *s = sim_make(ANY);
    static const int late[] = {0, 400, -400, 300, -300, 450, -450, 0};

    s->inflight = 5;
    sim_run(s, 60);
    for (unsigned i = 0; i < nr_countof(late); i++) {
        s->now_ms += late[i];
        sim_run(s, 1);
        s->now_ms -= late[i];
    }
    close_to(sim_value(s, "inflight", AGGREGATE_AVG, 8), 5);
    close_to(sim_value(s, "inflight", AGGREGATE_MIN, 8), 5);
    sim_half(s); /* asked just then */
    close_to(sim_value(s, "inflight", AGGREGATE_LAST, 8), 5);
    close_to(sim_value(s, "inflight", AGGREGATE_AVG, 8), 5);
    sim_run(s, 1);
    close_to(sim_value(s, "inflight", AGGREGATE_MIN, 8), 5);
    sim_free(s);
}

static void function_of(struct sim *s, const char *node, double inflight, double cpu, uint64_t seq)
{
    struct sample of = {.t_ms = s->now_ms, .span_ms = 1000, .seq = seq, .node = nr_str_of(node)};

    of.has = 1ull << METRIC_NODE_MEMORY_PERCENT | 1ull << METRIC_NODE_MEMORY_FREE_MB;
    of.value[METRIC_NODE_MEMORY_PERCENT] = cpu;
    of.value[METRIC_NODE_MEMORY_FREE_MB] = 1000;
    windows_add(s->windows, &of);
    of.account = NR_STR("acme");
    of.function = NR_STR("parse");
    of.has = 1ull << METRIC_INFLIGHT | 1ull << METRIC_INSTANCES | 1ull << METRIC_MEMORY_PERCENT;
    of.value[METRIC_INFLIGHT] = inflight;
    of.value[METRIC_INSTANCES] = 2;
    of.value[METRIC_MEMORY_PERCENT] = cpu;
    windows_add(s->windows, &of);
}

static void test_nodes(void **state)
{
    struct sim *s = sim_make(ANY);
    struct window_now now;
    struct metric_ref one = {.id = METRIC_NODE_MEMORY_PERCENT,
                             .name = "node_memory_percent",
                             .label = {{NR_STR("node"), NR_STR("b")}},
                             .label_count = 1};

    (void)sim_ask(s, "memory_percent", AGGREGATE_MAX, 10);
    (void)sim_ask(s, "node_memory_percent", AGGREGATE_MAX, 10);
    (void)sim_ask(s, "node_memory_free_mb", AGGREGATE_MAX, 10);
    for (int i = 1; i <= 20; i++) {
        s->now_ms += 1000;
        function_of(s, "a", 3, 20, (uint64_t)i);
        function_of(s, "b", 4, 60, (uint64_t)i);
    }
    close_to(sim_value(s, "inflight", AGGREGATE_AVG, 10), 7);
    close_to(sim_value(s, "inflight_per_instance", AGGREGATE_AVG, 10), 7 / 4.0);
    close_to(sim_value(s, "memory_percent", AGGREGATE_AVG, 10), 60);
    close_to(sim_value(s, "node_memory_percent", AGGREGATE_AVG, 10), 40);
    close_to(sim_value(s, "node_memory_free_mb", AGGREGATE_LAST, 10), 2000);
    close_to(windows_ask(s->windows, &one, NULL, NULL, AGGREGATE_AVG, 10000, s->now_ms).value, 60);
    windows_now(s->windows, "acme", "parse", s->now_ms, &now);
    assert_int_equal(now.instances, 4);
    assert_int_equal(now.inflight, 7);
    assert_int_equal(now.nodes, 2);
    /* One node dies: what it had is gone. */
    for (int i = 21; i <= 45; i++) {
        s->now_ms += 1000;
        function_of(s, "a", 3, 20, (uint64_t)i);
    }
    close_to(sim_value(s, "inflight", AGGREGATE_AVG, 10), 3);
    windows_now(s->windows, "acme", "parse", s->now_ms, &now);
    assert_int_equal(now.instances, 2);
    assert_int_equal(now.nodes, 1);
    sim_free(s);
}

/* A message that the bus brings twice counts once; a node that began anew counts on. */
static void test_twice(void **state)
{
    struct sim *s = sim_make(ANY);

    (void)sim_ask(s, "invocations", AGGREGATE_SUM, 60);
    s->calls = 7;
    sim_run(s, 1);
    s->seq -= 2;
    s->now_ms -= 1000;
    sim_run(s, 1);
    close_to(sim_value(s, "invocations", AGGREGATE_SUM, 60), 7);
    s->seq = 0;
    sim_run(s, 1);
    close_to(sim_value(s, "invocations", AGGREGATE_SUM, 60), 14);
    sim_free(s);
}

static void test_other_times(void **state)
{
    struct sim *s = sim_make(ANY);
    uint64_t dropped;

    s->inflight = 5;
    sim_run(s, 60);
    close_to(sim_value(s, "inflight", AGGREGATE_AVG, 60), 5);
    dropped = windows_dropped(s->windows);
    windows_clock(s->windows, s->now_ms);
    s->now_ms += 3600000;
    s->inflight = 1000;
    sim_run(s, 1);
    s->now_ms -= 3601000;
    assert_int_equal(windows_dropped(s->windows), dropped + 2);
    close_to(sim_value(s, "inflight", AGGREGATE_AVG, 60), 5);
    /* The node's clock is set back by 20 s: from there on it tells anew. */
    s->now_ms -= 20000;
    s->inflight = 9;
    sim_run(s, 10);
    close_to(sim_value(s, "inflight", AGGREGATE_AVG, 10), 9);
    sim_free(s);
}

static void test_sketches(void **state)
{
    struct sim *s = sim_make(ANY);
    double p99, avg;

    (void)sim_ask(s, "duration_ms", AGGREGATE_P99, 30);
    (void)sim_ask(s, "duration_ms", AGGREGATE_P99, 300);
    s->calls = 10;
    s->duration_us = 20000;
    sim_run(s, 29);
    s->duration_us = 500000;
    sim_run(s, 1);
    assert_int_equal(sim_ask(s, "duration_ms", AGGREGATE_P99, 30).samples, 300);
    p99 = sim_value(s, "duration_ms", AGGREGATE_P99, 30);
    assert_true(p99 > 475 && p99 < 525);
    assert_true(sim_value(s, "duration_ms", AGGREGATE_P50, 30) < 21);
    assert_true(sim_value(s, "duration_ms", AGGREGATE_MIN, 30) < 21);
    assert_true(sim_value(s, "duration_ms", AGGREGATE_MAX, 30) > 475);
    assert_true(sim_value(s, "duration_ms", AGGREGATE_LAST, 30) > 475);
    avg = sim_value(s, "duration_ms", AGGREGATE_AVG, 30);
    assert_true(avg > 34 && avg < 38);
    assert_true(sim_value(s, "duration_ms", AGGREGATE_P99, 300) > 475);
    s->calls = 0;
    sim_run(s, 31);
    assert_int_equal(sim_ask(s, "duration_ms", AGGREGATE_P99, 30).samples, 0);
    close_to(sim_value(s, "duration_ms", AGGREGATE_P99, 30), 0);
    assert_int_equal(sim_ask(s, "duration_ms", AGGREGATE_P99, 30).age_ms, 0);
    sim_free(s);
}

static void test_error_ratio(void **state)
{
    struct sim *s = sim_make(ANY);

    (void)sim_ask(s, "error_ratio", AGGREGATE_AVG, 60);
    sim_run(s, 60);
    close_to(sim_value(s, "error_ratio", AGGREGATE_AVG, 60), 0);
    s->calls = 10;
    s->errors = 1;
    sim_run(s, 10);
    s->calls = 30;
    s->errors = 30;
    sim_run(s, 10);
    close_to(sim_value(s, "error_ratio", AGGREGATE_AVG, 60), 310 / 400.0);
    close_to(sim_value(s, "error_ratio", AGGREGATE_MIN, 60), 0.1);
    close_to(sim_value(s, "error_ratio", AGGREGATE_MAX, 60), 1);
    close_to(sim_value(s, "error_ratio", AGGREGATE_LAST, 60), 1);
    sim_free(s);
}

static void test_producers(void **state)
{
    struct sim *s = sim_make(ANY);
    struct metric_ref room = {
        .id = METRICS, .name = "temp", .label = {{NR_STR("room"), NR_STR("a")}}, .label_count = 1};

    (void)sim_ask(s, "temp", AGGREGATE_AVG, 60);
    (void)windows_ask(s->windows, &room, NULL, NULL, AGGREGATE_AVG, 60000, s->now_ms);
    for (int i = 0; i < 10; i++) {
        sim_custom(s, "temp", 20 + i, "room", "a");
        sim_custom(s, "temp", 10, "room", "b");
        sim_custom(s, "tempo", 1e6, "room", "a");
        s->now_ms += 1000;
    }
    close_to(sim_value(s, "temp", AGGREGATE_AVG, 60), (245 + 100) / 20.0);
    close_to(sim_value(s, "temp", AGGREGATE_SUM, 60), 345);
    assert_int_equal(sim_ask(s, "temp", AGGREGATE_AVG, 60).samples, 20);
    close_to(windows_ask(s->windows, &room, NULL, NULL, AGGREGATE_AVG, 60000, s->now_ms).value,
             24.5);
    close_to(windows_ask(s->windows, &room, NULL, NULL, AGGREGATE_RATE, 60000, s->now_ms).value, 1);
    close_to(windows_ask(s->windows, &room, NULL, NULL, AGGREGATE_MAX, 5000, s->now_ms).value, 29);
    /* None in the window: the last one stands, and is as old as it is. */
    s->now_ms += 600000;
    close_to(windows_ask(s->windows, &room, NULL, NULL, AGGREGATE_AVG, 60000, s->now_ms).value, 29);
    close_to(windows_ask(s->windows, &room, NULL, NULL, AGGREGATE_SUM, 60000, s->now_ms).value, 0);
    assert_int_equal(sim_ask(s, "temp", AGGREGATE_LAST, 60).age_ms, 601000);
    sim_free(s);
}

static void tell_of(struct sim *s, const char *account, double value)
{
    struct sample c = {.t_ms = s->now_ms,
                       .metric = NR_STR("temp"),
                       .metric_value = value,
                       .label = {{NR_STR("room"), NR_STR("a")},
                                 {NR_STR("account"), nr_str_of(account)},
                                 {NR_STR("function"), NR_STR("f")}},
                       .label_count = 3};

    windows_add(s->windows, &c);
}

/* What a function tells counts for policies of its account, and for those that name it; what nobody's account is on, for all. */
static void test_accounts(void **state)
{
    static const struct metric_ref any = {.id = METRICS, .name = "temp"},
                                   guests = {.id = METRICS,
                                             .name = "temp",
                                             .label = {{NR_STR("account"), NR_STR("guest")}},
                                             .label_count = 1},
                                   function = {.id = METRICS,
                                               .name = "temp",
                                               .label = {{NR_STR("function"), NR_STR("f")}},
                                               .label_count = 1};
    static const struct {
        const struct metric_ref *m;
        const char *account;
        double max;
        unsigned samples;
    } asked[] = {{&any, "acme", 20, 2},      {&any, "guest", 9999, 2}, {&any, NULL, 7, 1},
                 {&guests, "acme", 9999, 1}, {&guests, NULL, 9999, 1}, {&function, "acme", 20, 1},
                 {&function, NULL, 0, 0},    {&any, "nobody", 7, 1}};
    struct sim *s = sim_make(ANY);

    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < nr_countof(asked); i++) {
            struct window_value v = windows_ask(s->windows, asked[i].m, asked[i].account, "parse",
                                                AGGREGATE_MAX, 60000, s->now_ms);

            close_to(v.value, pass ? asked[i].max : 0);
            assert_int_equal(v.samples, pass ? asked[i].samples : 0);
        }
        tell_of(s, "acme", 20);
        tell_of(s, "guest", 9999);
        sim_custom(s, "temp", 7, "room", "b");
    }
    /* An account that is gone is not remembered. */
    windows_forget(s->windows, "acme");
    assert_int_equal(
        windows_ask(s->windows, &any, "acme", "parse", AGGREGATE_MAX, 60000, s->now_ms).samples, 0);
    assert_int_equal(
        windows_ask(s->windows, &any, "guest", "parse", AGGREGATE_MAX, 60000, s->now_ms).samples,
        4);
    sim_free(s);
}

static void test_lag(void **state)
{
    struct sim *s = sim_make(ANY);
    struct metric_ref all = {.id = METRIC_TRIGGER_LAG, .name = "trigger_lag", .topic = "raw"},
                      one = {.id = METRIC_TRIGGER_LAG,
                             .name = "trigger_lag",
                             .topic = "raw",
                             .group = "g"};

    (void)windows_ask(s->windows, &all, NULL, NULL, AGGREGATE_MAX, 10000, s->now_ms);
    (void)windows_ask(s->windows, &one, NULL, NULL, AGGREGATE_MAX, 10000, s->now_ms);
    windows_add_lag(s->windows, "raw", "g", 500, s->now_ms);
    windows_add_lag(s->windows, "raw", "h", 900, s->now_ms);
    windows_add_lag(s->windows, "other", "g", 9000, s->now_ms);
    sim_custom(s, "trigger_lagged", 1e9, "topic", "raw");
    close_to(windows_ask(s->windows, &all, NULL, NULL, AGGREGATE_MAX, 10000, s->now_ms).value, 900);
    close_to(windows_ask(s->windows, &one, NULL, NULL, AGGREGATE_MAX, 10000, s->now_ms).value, 500);
    sim_free(s);
}

static void flood(struct windows *w, int n, int64_t now_ms)
{
    char name[64];

    (void)snprintf(name, sizeof name, "f%d", n);
    struct sample f = {.t_ms = now_ms,
                       .span_ms = 1000,
                       .seq = 1,
                       .node = NR_STR("box"),
                       .account = NR_STR("mallory"),
                       .function = nr_str_of(name)};

    f.has = 1ull << METRIC_INFLIGHT;
    windows_add(w, &f);
}

/* A hundred thousand functions, nodes, names: memory stays below its bound, and who was asked for stays known. */
static void test_bounds(void **state)
{
    struct windows *w = windows_make(1 << 20);
    struct metric_ref m = {.id = METRIC_INFLIGHT, .name = "inflight"};
    char name[64];

    for (int i = 0; i < 100000; i++) {
        (void)snprintf(name, sizeof name, "n%d", i);
        flood(w, i, SIM_BEGAN_MS + i / 1000);
        struct sample n = {.t_ms = SIM_BEGAN_MS, .node = nr_str_of(name), .seq = 1};
        windows_add(w, &n);
        struct sample c = {.t_ms = SIM_BEGAN_MS, .metric = nr_str_of(name), .metric_value = 1};
        windows_add(w, &c);
        if (i == 50000) {
            flood(w, -1, SIM_BEGAN_MS + i / 1000);
            (void)windows_ask(w, &m, "mallory", "f-1", AGGREGATE_MAX, 10000, SIM_BEGAN_MS + 100);
        }
    }
    assert_true(windows_bytes(w) <= 1 << 20);
    assert_true(windows_dropped(w) > 0);
    flood(w, -1, SIM_BEGAN_MS + 1000);
    assert_int_equal(
        windows_ask(w, &m, "mallory", "f-1", AGGREGATE_MAX, 10000, SIM_BEGAN_MS + 1000).samples, 1);
    windows_free(w);
    /* No memory at all. */
    w = windows_make(100);
    flood(w, 1, SIM_BEGAN_MS);
    (void)windows_ask(w, &m, "mallory", "f1", AGGREGATE_MAX, 10000, SIM_BEGAN_MS);
    assert_true(windows_bytes(w) <= 100);
    windows_free(w);
}

static void test_forgotten(void **state)
{
    struct sim *s = sim_make(ANY);
    size_t before = windows_bytes(s->windows), known;

    s->inflight = 4;
    sim_run(s, 60);
    known = windows_bytes(s->windows);
    windows_forget(s->windows, "acm");
    assert_int_equal(windows_bytes(s->windows), known);
    windows_forget(s->windows, "acme");
    assert_true(windows_bytes(s->windows) < before + 2000);
    close_to(sim_value(s, "inflight", AGGREGATE_AVG, 60), 0);
    /* What is quiet and was not asked for goes by itself. */
    sim_run(s, 2);
    flood(s->windows, 1, s->now_ms);
    known = windows_bytes(s->windows);
    for (int i = 0; i < 1300; i++)
        sim_run(s, 1);
    assert_true(windows_bytes(s->windows) < known);
    sim_free(s);
}

/* What nodes tell of functions is late, what they tell of themselves is not: that is no 0, it is not known yet, and gets old. */
static void test_behind(void **state)
{
    struct window_now now;
    struct sim *s = sim_make(ANY);
    int64_t heard_ms;

    s->inflight = 5;
    s->instances = 3;
    (void)sim_value(s, "inflight", AGGREGATE_AVG, 10);
    sim_run(s, 30);
    heard_ms = s->now_ms;
    s->tells = false;
    sim_run(s, 60);
    windows_heard(s->windows, heard_ms);
    close_to(sim_value(s, "inflight", AGGREGATE_AVG, 10), 5);
    close_to(sim_value(s, "inflight_per_instance", AGGREGATE_AVG, 10), 5.0 / 3);
    assert_int_equal(sim_ask(s, "inflight", AGGREGATE_AVG, 10).age_ms, 60000);
    assert_int_equal(sim_ask(s, "node_memory_free_mb", AGGREGATE_LAST, 10).age_ms, 0);
    windows_now(s->windows, "acme", "parse", s->now_ms, &now);
    assert_int_equal(now.instances, 3);
    assert_int_equal(now.nodes, 1);
    windows_heard(s->windows, heard_ms + 20000); /* by then there was nothing of it */
    close_to(sim_value(s, "inflight", AGGREGATE_AVG, 10), 0);
    assert_int_equal(sim_ask(s, "inflight", AGGREGATE_AVG, 10).age_ms, 40000);
    windows_now(s->windows, "acme", "parse", s->now_ms, &now);
    assert_int_equal(now.instances, 0);
    windows_heard(s->windows, INT64_MAX);
    assert_int_equal(sim_ask(s, "inflight", AGGREGATE_AVG, 10).age_ms, 0);
    sim_free(s);
}

/* A longer window of the same metric keeps what is known. */
static void test_longer(void **state)
{
    struct sim *s = sim_make(ANY);

    s->inflight = 2;
    sim_run(s, 60);
    close_to(sim_value(s, "inflight", AGGREGATE_AVG, 120), 2);
    s->inflight = 4;
    sim_run(s, 60);
    close_to(sim_value(s, "inflight", AGGREGATE_AVG, 120), 3);
    assert_int_equal(sim_ask(s, "inflight", AGGREGATE_AVG, 120).samples, 120);
    sim_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gauge),       cmocka_unit_test(test_counter),
        cmocka_unit_test(test_long),        cmocka_unit_test(test_silence),
        cmocka_unit_test(test_never_seen),  cmocka_unit_test(test_jitter),
        cmocka_unit_test(test_nodes),       cmocka_unit_test(test_twice),
        cmocka_unit_test(test_other_times), cmocka_unit_test(test_sketches),
        cmocka_unit_test(test_error_ratio), cmocka_unit_test(test_producers),
        cmocka_unit_test(test_accounts),    cmocka_unit_test(test_lag),
        cmocka_unit_test(test_bounds),      cmocka_unit_test(test_forgotten),
        cmocka_unit_test(test_longer),      cmocka_unit_test(test_behind),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
