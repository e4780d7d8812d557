/* Best Env Selector on recorded curves: a search is played through, each configuration that it asks for is answered from the curve. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "common/base/mem.h"
#include "common/base/str.h"
#include "fnmanager/preenv/preenv_selector.h"

enum { POINTS_MAX = 64 };

/* What a size does, as it was measured: the largest row that is not above the size counts. */
struct row {
    int64_t from_mb;
    enum preenv_outcome outcome;
    double ms, peak_mb;
};

/* Recorded on the workloads of examples/preenv-*. */
static const struct row mnist[] = {
    {64, PREENV_OOM, 0, 64}, {832, PREENV_OOM, 0, 832}, {896, PREENV_OK, 2670, 835}, {0}};
static const struct row lru[] = {{64, PREENV_OK, 2200, 47},   {128, PREENV_OK, 1850, 86},
                                 {192, PREENV_OK, 1580, 124}, {256, PREENV_OK, 1370, 162},
                                 {320, PREENV_OK, 1190, 200}, {384, PREENV_OK, 1070, 238},
                                 {448, PREENV_OK, 1000, 263}, {0}};
static const struct row gc[] = {{64, PREENV_ABORT, 0, 60},    {384, PREENV_OK, 12800, 300},
                                {448, PREENV_OK, 6000, 345},  {512, PREENV_OK, 4800, 395},
                                {640, PREENV_OK, 4100, 490},  {768, PREENV_OK, 3000, 585},
                                {896, PREENV_OK, 2300, 680},  {960, PREENV_OK, 1850, 730},
                                {1024, PREENV_OK, 1800, 775}, {0}};
static const struct row fib[] = {{64, PREENV_OK, 20, 6}, {0}};
static const struct row import_heavy[] = {{64, PREENV_OOM, 0, 64}, {320, PREENV_OK, 10, 305}, {0}};
static const struct row hungry[] = {{64, PREENV_OOM, 0, 64}, {600, PREENV_OK, 100, 600}, {0}};
static const struct row bottomless[] = {{64, PREENV_OOM, 0, 64}, {0}};
static const struct row failing[] = {{64, PREENV_ERROR, 0, 5}, {0}};
static const struct row hanging[] = {{64, PREENV_TIMEOUT, 0, 5}, {0}};
static const struct row tight[] = {{64, PREENV_OOM, 0, 60}, {192, PREENV_OK, 50, 230}, {0}};

struct played {
    struct preenv_decision end;
    struct preenv_point points[POINTS_MAX];
    unsigned n;
};

static const struct row *row_of(const struct row *curve, int64_t size)
{
    const struct row *found = curve;

    for (const struct row *r = curve; r->from_mb != 0; r++)
        if (r->from_mb <= size)
            found = r;
    return found;
}

static void play(const struct row *curve, struct preenv_search s, struct played *p)
{
    *p = (struct played){.n = 0};
    for (;;) {
        preenv_select(&s, p->points, p->n, &p->end);
        if (p->end.step != PREENV_TEST)
            return;
        assert_true(p->n < POINTS_MAX);
        assert_int_equal(p->end.size % PREENV_STEP_MB, 0);
        for (unsigned i = 0; i < p->n; i++) /* nothing is tested twice */
            assert_int_not_equal(p->points[i].size, p->end.size);
        const struct row *r = row_of(curve, p->end.size);
        int at = preenv_reference(&s, p->points, p->n);
        double base = at >= 0 ? row_of(curve, p->points[at].size)->ms : r->ms;
        double slow_by = base > 0 ? r->ms / base - 1 : 0;

        p->points[p->n++] = (struct preenv_point){.size = p->end.size,
                                                  .outcome = r->outcome,
                                                  .slower = slow_by > s.tolerance,
                                                  .slow_by = slow_by,
                                                  .peak_mb = r->peak_mb,
                                                  .p95_ms = r->ms,
                                                  .error = "as it was told"};
    }
}

static struct preenv_search search_for(int64_t declared)
{
    return (struct preenv_search){.declared = declared,
                                  .floor = PREENV_STEP_MB,
                                  .ceiling = 16384,
                                  .tested_max = PREENV_TESTED_MAX,
                                  .tolerance = 0.05};
}

static int64_t sweep(const struct row *curve, int64_t declared)
{
    struct preenv_search s = search_for(declared);
    int64_t sizes[POINTS_MAX];
    struct played p;

    for (int64_t mb = declared; mb >= PREENV_STEP_MB; mb -= PREENV_STEP_MB)
        sizes[s.grid_count++] = mb;
    s.grid = sizes;
    play(curve, s, &p);
    assert_int_equal(p.end.step, PREENV_CHOOSE);
    assert_int_equal(p.n, s.grid_count);
    return p.end.size;
}

/* What the search finds is what a sweep of all sizes finds, at a few configurations. */
static void test_searches(void **state)
{
    static const struct {
        const struct row *curve;
        int64_t declared, chosen;
        unsigned tested_max;
    } cases[] = {
        {mnist, 3072, 1024, 3}, {lru, 1024, 448, 6},          {gc, 1024, 960, 8},
        {fib, 1024, 64, 2},     {import_heavy, 1024, 384, 2}, {mnist, 1024, 1024, 2},
    };

    (void)state;
    for (size_t i = 0; i < nr_countof(cases); i++) {
        struct played p;

        play(cases[i].curve, search_for(cases[i].declared), &p);
        assert_int_equal(p.end.step, PREENV_CHOOSE);
        assert_int_equal(p.end.size, cases[i].chosen);
        assert_true(p.n <= cases[i].tested_max);
        assert_int_equal(sweep(cases[i].curve, cases[i].declared), cases[i].chosen);
    }
}

/* Every shape of knee is found within the number of configurations that a search may test. */
static void test_every_knee_is_found(void **state)
{
    (void)state;
    for (int64_t knee = 64; knee <= 1024; knee += 64) {
        const struct row curve[] = {{64, PREENV_OK, 200, 30}, {knee, PREENV_OK, 100, 40}, {0}};
        struct played p;

        play(knee == 64 ? fib : curve, search_for(1024), &p);
        assert_int_equal(p.end.step, PREENV_CHOOSE);
        assert_int_equal(p.end.size, knee);
        assert_true(p.n <= 6);
    }
}

static void test_reason_tells_what_failed_below(void **state)
{
    struct played p;

    (void)state;
    play(lru, search_for(1024), &p);
    assert_non_null(strstr(p.end.reason, "448 MB"));
    assert_non_null(strstr(p.end.reason, "384 MB does not do: 7.0 % slower"));
    assert_non_null(strstr(p.end.reason, " run time "));
    const struct preenv_search search = search_for(1024);
    for (unsigned i = 0; i < p.n; i++)
        p.points[i].by_cpu = true;
    preenv_select(&search, p.points, p.n, &p.end);
    assert_non_null(strstr(p.end.reason, "7.0 % slower by CPU time"));
    assert_null(strstr(p.end.reason, "run time"));
}

static void test_too_little_is_declared(void **state)
{
    struct played p;

    (void)state;
    play(hungry, search_for(128), &p);
    assert_int_equal(p.end.step, PREENV_CHOOSE);
    assert_int_equal(p.end.size, 768); /* 600 MB are 78 % of it, and 88 % of 704 */
    assert_int_equal(p.points[0].size, 128);
}

static void test_more_than_the_node_has(void **state)
{
    struct preenv_search s = search_for(256);
    struct played p;

    (void)state;
    s.ceiling = 512;
    play(bottomless, s, &p);
    assert_int_equal(p.end.step, PREENV_GIVE_UP);
    assert_int_equal(p.n, 2);
    assert_non_null(strstr(p.end.reason, "512 MB is the limit"));
    s.ceiling = 1 << 20; /* not every size up to there is tried, the last one is */
    play(bottomless, s, &p);
    assert_int_equal(p.end.step, PREENV_GIVE_UP);
    assert_int_equal(p.n, PREENV_TESTED_MAX);
    assert_int_equal(p.points[p.n - 1].size, s.ceiling);
}

static void test_failures_are_told(void **state)
{
    struct played p;

    (void)state;
    play(failing, search_for(256), &p);
    assert_int_equal(p.end.step, PREENV_GIVE_UP);
    assert_int_equal(p.n, 1);
    assert_non_null(strstr(p.end.reason, "as it was told"));
    play(hanging, search_for(256), &p);
    assert_int_equal(p.end.step, PREENV_GIVE_UP);
    assert_non_null(strstr(p.end.reason, "time limit"));
}

/* A peak at 90 % of what is declared: more is recommended where the node has it. */
static void test_headroom_upward(void **state)
{
    struct preenv_search s = search_for(256);
    struct played p;

    (void)state;
    play(tight, s, &p);
    assert_int_equal(p.end.step, PREENV_CHOOSE);
    assert_int_equal(p.end.size, 320);
    s.ceiling = 256;
    play(tight, s, &p);
    assert_int_equal(p.end.step, PREENV_CHOOSE);
    assert_int_equal(p.end.size, 256);
    assert_non_null(strstr(p.end.reason, "no larger size"));
}

static void test_growth_has_no_size(void **state)
{
    struct preenv_search s = search_for(1024);
    const struct preenv_point one = {.size = 1024, .peak_mb = 100};
    struct preenv_decision d;

    (void)state;
    s.growth_mb = 8;
    preenv_select(&s, &one, 1, &d);
    assert_int_equal(d.step, PREENV_NO_CHOICE);
    assert_non_null(strstr(d.reason, "8.0 MB per call"));
}

static void test_processors(void **state)
{
    static const int64_t sizes[] = {2000, 1000, 500, 250};
    struct preenv_search s = {.cpu = true, .grid = sizes, .grid_count = 4, .tolerance = 0.05};
    struct preenv_point points[4] = {0};
    struct preenv_decision d;

    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        preenv_select(&s, points, i, &d);
        assert_int_equal(d.step, PREENV_TEST);
        assert_int_equal(d.size, sizes[i]);
        points[i] = (struct preenv_point){.size = sizes[i],
                                          .slower = i > 1,
                                          .p95_ms = i < 2 ? 100 : 100.0 * 1000 / (double)sizes[i]};
    }
    preenv_select(&s, points, 4, &d);
    assert_int_equal(d.step, PREENV_CHOOSE);
    assert_int_equal(d.size, 1000);
    s.target_ms = 250;
    preenv_select(&s, points, 4, &d);
    assert_int_equal(d.size, 500);
    s.target_ms = 50;
    preenv_select(&s, points, 4, &d);
    assert_int_equal(d.step, PREENV_NO_CHOICE);
    assert_non_null(strstr(d.reason, "above the target of 50.0 ms"));
}

static void test_step_for(void **state)
{
    (void)state;
    assert_int_equal(preenv_step_for(0), 64);
    assert_int_equal(preenv_step_for(54.3), 64);
    assert_int_equal(preenv_step_for(54.5), 128);
    assert_int_equal(preenv_step_for(835), 1024);
    assert_int_equal(preenv_step_for(816), 960);
    assert_int_equal(preenv_step_for(870), 1024);
    assert_int_equal(preenv_step_for(871), 1088);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_searches),
        cmocka_unit_test(test_every_knee_is_found),
        cmocka_unit_test(test_reason_tells_what_failed_below),
        cmocka_unit_test(test_too_little_is_declared),
        cmocka_unit_test(test_more_than_the_node_has),
        cmocka_unit_test(test_failures_are_told),
        cmocka_unit_test(test_headroom_upward),
        cmocka_unit_test(test_growth_has_no_size),
        cmocka_unit_test(test_processors),
        cmocka_unit_test(test_step_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
