/* Exec Analyzer: figures, judgements on quiet and on noisy hosts, growth. Noise comes from a generator with a fixed seed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/mem.h"
#include "common/base/str.h"
#include "fnmanager/preenv/preenv_advice.h"
#include "fnmanager/preenv/preenv_analyzer.h"

static const double one[] = {1};
static uint64_t seed;

/* 0 to 1. */
static double any(void)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (double)(seed >> 40) / (double)(1u << 24);
}

static void reset(struct preenv_config *c, int64_t mb)
{
    preenv_series_fini(&c->series);
    *c = (struct preenv_config){
        .memory_mb = mb, .init_peak_mb = -1, .run_peak_mb = -1, .high_water_mb = -1, .peak_mb = -1};
    for (unsigned i = 0; i < PREENV_PAYLOADS_MAX; i++)
        c->payload_peak_mb[i] = -1;
}

/* Calls whose CPU time is cpu_ms, within 2 %, and whose wall time is up to `stretch` times as long. */
static void fill(struct preenv_config *c, unsigned calls, double cpu_ms, double stretch,
                 double others)
{
    for (unsigned i = 0; i < calls; i++) {
        double cpu = cpu_ms * (0.98 + 0.04 * any());
        const struct preenv_sample s = {.round = i % 3,
                                        .run_ms = cpu * (1 + (stretch - 1) * any()),
                                        .cpu_ms = cpu,
                                        .user_ms = cpu,
                                        .run_peak_mb = 50,
                                        .init_peak_mb = 10,
                                        .rest_mb = 20,
                                        .high_water_mb = 60,
                                        .others = others};

        assert_true(preenv_series_add(&c->series, &s));
    }
    preenv_analyze(c, one, 1, 2);
}

struct pair {
    struct preenv_config a, b;
};

static void compare(struct pair *p, double ms_a, double ms_b, double stretch, double others,
                    bool final)
{
    reset(&p->a, 1024);
    reset(&p->b, 512);
    fill(&p->a, 18, ms_a, stretch, others);
    fill(&p->b, 18, ms_b, stretch, others);
    preenv_compare(&p->a, &p->b, one, 1, 0.05, false, final);
}

static void end(struct pair *p)
{
    preenv_series_fini(&p->a.series);
    preenv_series_fini(&p->b.series);
}

static void test_quiet_host(void **state)
{
    struct pair p = {0};

    (void)state;
    seed = 1;
    compare(&p, 200, 200, 1.01, 0, false);
    assert_int_equal(p.b.verdict, PREENV_AS_FAST);
    assert_false(p.b.noisy);
    compare(&p, 200, 230, 1.01, 0, false);
    assert_int_equal(p.b.verdict, PREENV_SLOWER);
    assert_true(p.b.slow_by > 0.12 && p.b.slow_by < 0.18);
    end(&p);
}

/* Wall time moves by a factor of three while CPU time stays: no knee is invented, and one that CPU time shows is found. */
static void test_busy_host(void **state)
{
    struct pair p = {0};

    (void)state;
    for (seed = 1; seed < 40; seed += 3) {
        uint64_t from = seed;

        compare(&p, 200, 200, 3, 1.5, true);
        assert_int_equal(p.b.verdict, PREENV_AS_FAST);
        compare(&p, 200, 240, 3, 1.5, true);
        assert_int_equal(p.b.verdict, PREENV_SLOWER);
        seed = from;
    }
    assert_true(p.a.noise > 0.05);
    assert_true(p.a.others > 0.5);
    end(&p);
}

/* A function that waits: CPU time says nothing, so wall time is judged. */
static void test_wall_time_where_there_is_no_cpu_time(void **state)
{
    struct pair p = {0};

    (void)state;
    reset(&p.a, 1024);
    reset(&p.b, 512);
    for (unsigned i = 0; i < 18; i++) {
        struct preenv_sample s = {
            .round = i % 3, .run_ms = 100 + any(), .cpu_ms = 0.2, .user_ms = 0};

        assert_true(preenv_series_add(&p.a.series, &s));
        s.run_ms = 120 + any();
        assert_true(preenv_series_add(&p.b.series, &s));
    }
    preenv_compare(&p.a, &p.b, one, 1, 0.05, false, false);
    assert_int_equal(p.b.verdict, PREENV_SLOWER);
    end(&p);
}

/* A call of a tenth of a millisecond on a host that lets it wait at random: no knee, however far its wall times are apart. */
static void test_short_calls_on_a_busy_host(void **state)
{
    struct pair p = {0};

    (void)state;
    reset(&p.a, 1024);
    reset(&p.b, 512);
    for (unsigned i = 0; i < 3; i++) {
        struct preenv_sample s = {
            .round = i, .run_ms = 1 + any(), .cpu_ms = 0.1 + 0.1 * any(), .others = 2};

        assert_true(preenv_series_add(&p.a.series, &s));
        s.run_ms = 40 + 30 * any();
        assert_true(preenv_series_add(&p.b.series, &s));
    }
    preenv_analyze(&p.a, one, 1, 2);
    preenv_analyze(&p.b, one, 1, 2);
    preenv_compare(&p.a, &p.b, one, 1, 0.05, false, false);
    assert_int_equal(p.b.verdict, PREENV_AS_FAST);
    assert_true(p.b.noisy);
    end(&p);
}

/* Half a millisecond more is what schedulers do, were it 50 %. */
static void test_blur_is_no_knee(void **state)
{
    struct pair p = {0};

    (void)state;
    reset(&p.a, 1024);
    reset(&p.b, 512);
    for (unsigned i = 0; i < 18; i++) {
        struct preenv_sample s = {.round = i % 3, .run_ms = 1 + 0.01 * any(), .cpu_ms = 0.5};

        assert_true(preenv_series_add(&p.a.series, &s));
        s.run_ms += 0.5;
        assert_true(preenv_series_add(&p.b.series, &s));
    }
    preenv_compare(&p.a, &p.b, one, 1, 0.05, false, false);
    assert_int_equal(p.b.verdict, PREENV_AS_FAST);
    end(&p);
}

static enum preenv_verdict of_three_calls(struct pair *p, const double *ms, bool final)
{
    static const double reference_ms[] = {180, 200, 260};

    reset(&p->a, 1024);
    reset(&p->b, 512);
    for (unsigned i = 0; i < 3; i++) {
        const double a_ms = reference_ms[i];
        const struct preenv_sample a = {.run_ms = a_ms, .cpu_ms = a_ms, .user_ms = a_ms},
                                   b = {.run_ms = ms[i], .cpu_ms = ms[i], .user_ms = ms[i]};

        assert_true(preenv_series_add(&p->a.series, &a) && preenv_series_add(&p->b.series, &b));
    }
    preenv_compare(&p->a, &p->b, one, 1, 0.05, false, final);
    return p->b.verdict;
}

/* At last three of four draws must say so, and the host be quiet. */
static void test_few_calls_leave_it_undecided(void **state)
{
    static const double a_bit[] = {190, 220, 270}, more[] = {230, 260, 300};
    struct pair p = {0};

    (void)state;
    assert_int_equal(of_three_calls(&p, a_bit, false), PREENV_UNDECIDED);
    assert_int_equal(of_three_calls(&p, a_bit, true), PREENV_AS_FAST);
    assert_true(p.b.noisy);
    assert_int_equal(of_three_calls(&p, more, false), PREENV_UNDECIDED);
    assert_int_equal(of_three_calls(&p, more, true), PREENV_SLOWER);
    assert_true(p.b.noisy);
    p.a.others = 0.6; /* on a busy host it is no knee */
    preenv_compare(&p.a, &p.b, one, 1, 0.05, false, true);
    assert_int_equal(p.b.verdict, PREENV_AS_FAST);
    assert_true(p.b.noisy);
    end(&p);
}

/* Only rounds that both were tested in are compared: what the reference did before does not count. */
static void test_rounds_are_paired(void **state)
{
    struct pair p = {0};

    (void)state;
    reset(&p.a, 1024);
    reset(&p.b, 512);
    for (unsigned i = 0; i < 20; i++) {
        const struct preenv_sample early = {.round = 1,
                                            .run_ms = 100,
                                            .cpu_ms = 100,
                                            .user_ms = 100},
                                   late = {
                                       .round = 2, .run_ms = 150, .cpu_ms = 150, .user_ms = 150};

        assert_true(preenv_series_add(&p.a.series, &early));
        assert_true(preenv_series_add(&p.a.series, &late));
        assert_true(preenv_series_add(&p.b.series, &late));
    }
    preenv_compare(&p.a, &p.b, one, 1, 0.05, false, false);
    assert_int_equal(p.b.verdict, PREENV_AS_FAST);
    end(&p);
}

/* One round of six calls of both; `host` is how slow the host is in it, `ratio` how slow b is beside a. */
static void add_round(struct pair *p, unsigned round, double host, double ratio)
{
    for (unsigned i = 0; i < 6; i++) {
        double ms = 800 * host * (0.99 + 0.02 * any());
        struct preenv_sample s = {.round = round, .run_ms = ms, .cpu_ms = ms, .user_ms = ms};

        assert_true(preenv_series_add(&p->a.series, &s));
        s.run_ms = s.cpu_ms = s.user_ms = ms * ratio;
        assert_true(preenv_series_add(&p->b.series, &s));
    }
}

static enum preenv_verdict judged(struct pair *p, const double *hosts, const double *ratios,
                                  unsigned rounds, bool final)
{
    reset(&p->a, 1024);
    reset(&p->b, 512);
    for (unsigned i = 0; i < rounds; i++)
        add_round(p, i + 1, hosts[i], ratios[i]);
    preenv_compare(&p->a, &p->b, one, 1, 0.05, false, final);
    return p->b.verdict;
}

/* A host that gets slower and faster by a third hides nothing and makes nothing up: both sides of a round have it. */
static void test_a_host_that_changes(void **state)
{
    static const double hosts[] = {1, 1.35, 0.9, 1.2, 1.05, 1.3}, same[] = {1, 1, 1, 1, 1, 1},
                        slower[] = {1.15, 1.15, 1.15, 1.15, 1.15, 1.15};
    struct pair p = {0};

    (void)state;
    seed = 7;
    assert_int_equal(judged(&p, hosts, same, 3, false), PREENV_AS_FAST);
    assert_false(p.b.noisy);
    assert_int_equal(judged(&p, hosts, slower, 3, false), PREENV_SLOWER);
    assert_false(p.b.noisy);
    end(&p);
}

/* The calls of a container share its luck: rounds that disagree are no verdict, however alike the calls within each are. */
static void test_rounds_that_disagree(void **state)
{
    static const double hosts[] = {1, 1, 1, 1, 1, 1}, luck[] = {1.14, 0.93, 1.12, 0.95, 1.09, 0.97},
                        knee[] = {1.3, 1.08, 1.22, 1.02, 1.19, 1.17};
    struct pair p = {0};

    (void)state;
    seed = 11;
    assert_int_equal(judged(&p, hosts, luck, 3, false), PREENV_UNDECIDED);
    assert_int_equal(judged(&p, hosts, luck, 6, true), PREENV_AS_FAST);
    assert_true(p.b.noisy);
    assert_int_equal(judged(&p, hosts, knee, 6, true), PREENV_SLOWER);
    end(&p);
}

/* Weights 9:1 over the same number of calls: the median is the small payload's, p95 the large one's; cold calls are apart. */
static void test_weights_and_series(void **state)
{
    static const double weights[] = {9, 1};
    struct preenv_config c = {.memory_mb = 1024};

    (void)state;
    reset(&c, 1024);
    for (unsigned i = 0; i < 10; i++) {
        const struct preenv_sample small = {.payload = 0,
                                            .run_ms = 10 + i * 0.1,
                                            .cpu_ms = 9,
                                            .user_ms = 8,
                                            .run_peak_mb = i == 5 ? 90 : 28,
                                            .init_peak_mb = 10,
                                            .high_water_mb = 1},
                                   large = {.payload = 1,
                                            .run_ms = 100,
                                            .cpu_ms = 90,
                                            .user_ms = 80,
                                            .run_peak_mb = 300,
                                            .init_peak_mb = 10,
                                            .high_water_mb = 400};

        assert_true(preenv_series_add(&c.series, &small) && preenv_series_add(&c.series, &large));
    }
    const struct preenv_sample cold = {.cold = true,
                                       .start_ms = 100,
                                       .init_ms = 20,
                                       .run_ms = 500,
                                       .init_peak_mb = 120,
                                       .run_peak_mb = 28,
                                       .user_ms = -1};

    assert_true(preenv_series_add(&c.series, &cold));
    preenv_analyze(&c, weights, 2, 2);
    assert_true(c.p50_ms > 10 && c.p50_ms < 11);
    assert_true(c.p95_ms > 99);
    assert_true(c.cold_ms > 619 && c.cold_ms < 621);
    assert_int_equal(c.cold_runs, 1);
    assert_int_equal(c.runs, 21);
    assert_int_equal((int)c.peak_mb, 300);
    assert_int_equal((int)c.init_peak_mb, 120);
    assert_int_equal((int)c.high_water_mb, 400);
    assert_int_equal((int)c.payload_peak_mb[0], 28); /* not what the large one left behind */
    assert_int_equal((int)preenv_peak_without(&c, 2, 1), 120);
    assert_true(preenv_peak_without(&c, 1, 0) < 0);
    preenv_series_fini(&c.series);
}

static void grow(struct preenv_config *c, const double *rest_mb, unsigned n)
{
    reset(c, 1024);
    for (unsigned i = 0; i < n; i++) {
        const struct preenv_sample s = {.round = 7, .rest_mb = rest_mb[i]};

        assert_true(preenv_series_add(&c->series, &s));
    }
}

static void test_growth(void **state)
{
    double leak[15], settles[15], saw[15], slow[15];
    struct preenv_config c = {.memory_mb = 1024};

    (void)state;
    for (unsigned i = 0; i < 15; i++) {
        leak[i] = 10 + 8.0 * i;
        settles[i] = i < 7 ? 10 + 4.0 * i : 38;
        saw[i] = 10 + 3.0 * (i % 5);
        slow[i] = 10 + 0.1 * i;
    }
    grow(&c, leak, 15);
    assert_true(preenv_may_grow(&c.series, 7));
    assert_true(preenv_growth_mb(&c.series, 7) > 7.9 && preenv_growth_mb(&c.series, 7) < 8.1);
    assert_true(preenv_growth_mb(&c.series, 6) == 0); /* of another round */
    grow(&c, leak, 5);
    assert_true(preenv_growth_mb(&c.series, 7) == 0); /* too few to tell */
    grow(&c, settles, 15);
    assert_true(preenv_growth_mb(&c.series, 7) == 0);
    grow(&c, saw, 15);
    assert_false(preenv_may_grow(&c.series, 7));
    assert_true(preenv_growth_mb(&c.series, 7) == 0);
    grow(&c, slow, 15);
    assert_true(preenv_growth_mb(&c.series, 7) == 0);
    preenv_series_fini(&c.series);
}

static void test_drift(void **state)
{
    static const struct {
        struct preenv_production p;
        const char *said; /* NULL: it still holds */
    } cases[] = {
        {{.calls = 0, .p95_ms = 900, .peak_mb = 900}, NULL},
        {{.calls = 19, .p95_ms = 900, .peak_mb = 900}, NULL},
        {{.calls = 20, .p95_ms = 114, .peak_mb = 117}, NULL},
        {{.calls = 20, .p95_ms = 116, .peak_mb = 100}, "p95"},
        {{.calls = 20, .p95_ms = 100, .peak_mb = 119}, "119 MB"},
        {{.calls = 20, .p95_ms = 1, .peak_mb = -1}, NULL},
    };
    struct preenv_run *r = preenv_run_make();
    char text[240];

    (void)state;
    r->state = PREENV_DONE;
    r->request.tolerance = 0.05;
    r->chosen = 128;
    r->config_count = 2;
    r->configs[0] = (struct preenv_config){.memory_mb = 256, .p95_ms = 1, .peak_mb = 1};
    r->configs[1] = (struct preenv_config){.memory_mb = 128, .p95_ms = 100, .peak_mb = 100};
    for (size_t i = 0; i < nr_countof(cases); i++) {
        assert_int_equal(preenv_drifted(r, &cases[i].p, text), cases[i].said != NULL);
        if (cases[i].said)
            assert_non_null(strstr(text, cases[i].said));
    }
    r->configs[1].noise = 0.5; /* what was not known better cannot be left */
    assert_false(preenv_drifted(r, &cases[3].p, text));
    r->state = PREENV_FAILED;
    assert_false(preenv_drifted(r, &cases[4].p, text));
    preenv_run_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quiet_host),
        cmocka_unit_test(test_busy_host),
        cmocka_unit_test(test_wall_time_where_there_is_no_cpu_time),
        cmocka_unit_test(test_short_calls_on_a_busy_host),
        cmocka_unit_test(test_blur_is_no_knee),
        cmocka_unit_test(test_few_calls_leave_it_undecided),
        cmocka_unit_test(test_rounds_are_paired),
        cmocka_unit_test(test_a_host_that_changes),
        cmocka_unit_test(test_rounds_that_disagree),
        cmocka_unit_test(test_weights_and_series),
        cmocka_unit_test(test_growth),
        cmocka_unit_test(test_drift),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
