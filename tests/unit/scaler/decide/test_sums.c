/* What is cheap is what it stands for: a window by its totals is to the last bit the window walked second by second, sketches of a window are their cells
 * one by one, short texts are what printf makes of them.
 */
#include "sim.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>

#include "common/base/mem.h"
#include "scaler/decide/state.h"
#include "scaler/decide/walk.h"

enum { SECONDS = 700, COURSES = 12, DRAWS = 2000 };

static uint64_t seed;

static unsigned draw(unsigned below)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(seed >> 33) % below;
}

/* ---- windows ---------------------------------------------------------------------------------------------------- */

static const enum metric_id metrics[] = {METRIC_INFLIGHT, METRIC_INVOCATIONS, METRIC_CPU_PERCENT,
                                         METRIC_MEMORY_MB};

/* Whole numbers for a while, then others: fractions, too large ones, all of them mixed. */
static double some_value(unsigned kind)
{
    switch (kind) {
    case 0: return draw(50);
    case 1: return draw(1000000);
    case 2: return draw(10000) / 100.0;
    case 3: return draw(3) ? draw(9) : 1e13 * draw(900);
    default: return draw(4) ? draw(20) : draw(700) / 7.0;
    }
}

struct course {
    struct windows *windows;
    int64_t now_ms;
    uint64_t seq;
    unsigned kind;
};

static void tell(struct course *c, const char *function, bool at_once)
{
    struct sample s = {.t_ms = c->now_ms,
                       .span_ms = 1000,
                       .seq = ++c->seq,
                       .node = NR_STR("box-1"),
                       .account = function ? NR_STR("acme") : (struct nr_str){NULL, 0},
                       .function = nr_str_of(function)};

    for (unsigned i = 0; function && i < nr_countof(metrics); i++) {
        s.has |= 1ull << metrics[i];
        s.value[metrics[i]] = some_value(i == 3 ? 4 : c->kind);
    }
    if (at_once)
        sample_at_once(&s);
    windows_add(c->windows, &s);
}

/* A second: mostly told once; also not at all, twice, between two, or by a clock that was set back. */
static void second(struct course *c)
{
    c->now_ms += 1000;
    if (draw(200) == 0)
        c->now_ms -= 1000 * (1 + draw(30));
    if (draw(60) == 0)
        c->kind = draw(5);
    for (unsigned n = draw(20) ? 1 : draw(3); n; n--)
        tell(c, "parse", false);
    if (draw(50))
        tell(c, NULL, false);
    if (draw(15) == 0) {
        c->now_ms += 300;
        tell(c, "parse", true);
        c->now_ms -= 300;
    }
}

static struct tally walked(struct windows *w, const struct thing *t, enum metric_id id,
                           const struct span *of, double *each, bool extremes, bool cell_by_cell)
{
    const struct metric_ref m = {.id = id};
    struct tally all = {.each = each, .extremes = extremes};

    if (!cell_by_cell)
        walk(w, t, &m, of, &all);
    for (int64_t n = of->first; cell_by_cell && n <= of->last; n++) {
        struct cell one = cell_of(w, t, id, NULL, of, n);

        tally_add(&all, &one, n);
    }
    return all;
}

static void compare(struct windows *w, const struct thing *t, enum metric_id id,
                    const struct span *of, enum aggregate a)
{
    double x[CELLS_MAX], y[CELLS_MAX];
    bool quantile = aggregate_quantile(a) > 0, extremes = a == AGGREGATE_MIN || a == AGGREGATE_MAX,
         counter = sample_metrics[id].kind == METRIC_COUNTER;
    struct tally is = walked(w, t, id, of, quantile ? x : NULL, extremes, false),
                 was = walked(w, t, id, of, quantile ? y : NULL, extremes, true);
    double now = tally_value(&is, a, counter, of->coarse),
           before = tally_value(&was, a, counter, of->coarse);

    assert_int_equal(is.known, was.known);
    if (memcmp(&now, &before, sizeof now) != 0)
        fail_msg("%s of cells %lld to %lld, aggregate %u: %.17g, not %.17g",
                 sample_metrics[id].name, (long long)of->first, (long long)of->last, (unsigned)a,
                 now, before);
}

static void compare_all(struct course *c)
{
    static const int64_t seconds[] = {1, 2, 6, 10, 60, 120};
    struct thing *t = thing_find(c->windows, NR_STR("acme"), NR_STR("parse"));
    int64_t end = c->now_ms / 1000 - draw(4);
    enum aggregate a = (enum aggregate)draw(AGGREGATE_P99 + 1);

    for (unsigned m = 0; m < nr_countof(metrics); m++) {
        struct span coarse = {end / COARSE_SECONDS - 60, end / COARSE_SECONDS, true};

        for (unsigned i = 0; i < nr_countof(seconds); i++) {
            struct span of = {end - seconds[i] + 1, end, false};

            compare(c->windows, t, metrics[m], &of, a);
        }
        compare(c->windows, t, metrics[m], &coarse, a);
    }
}

static void want(struct course *c, unsigned seconds)
{
    for (unsigned m = 0; m < nr_countof(metrics); m++)
        (void)windows_ask(
            c->windows,
            &(struct metric_ref){.id = metrics[m], .name = sample_metrics[metrics[m]].name}, "acme",
            "parse", AGGREGATE_AVG, seconds * 1000, c->now_ms);
}

/* Rings become longer on the way. */
static void test_totals_are_the_walk(void **state)
{
    for (unsigned n = 0; n < COURSES; n++) {
        struct course c = {windows_make(16u << 20), SIM_BEGAN_MS, 0, n % 5};

        seed = n + 1;
        want(&c, 10);
        for (int i = 0; i < SECONDS; i++) {
            if (i == 50 || i == 130)
                want(&c, i == 50 ? 60 : 600);
            if (i == 200)
                want(&c, 120);
            second(&c);
            compare_all(&c);
        }
        windows_free(c.windows);
    }
}

/* ---- sketches --------------------------------------------------------------------------------------------------- */

static double quantile_of(const struct sketch *s, double q)
{
    struct sketch one = {.count = 1};
    uint64_t below = 0;

    for (unsigned i = 0; i < SKETCH_BUCKETS; i++) {
        below += s->bucket[i];
        if (s->bucket[i] == 0 || (double)below < q * s->count)
            continue;
        one.bucket[i] = 1;
        return sketch_quantile_ms(&one, 1);
    }
    return 0;
}

static void test_sketches_are_their_cells(void **state)
{
    struct budget budget = {0, 1u << 20};
    struct sketch_series s = {0};

    seed = 5;
    assert_true(sketches_room(&s, &budget, 60, 0));
    for (int64_t second = 1000; second < 1300; second++) {
        struct sketch cell = {.count = 0}, all = {.count = 0}, each = {.count = 0};

        for (unsigned n = draw(6); n; n--) {
            unsigned bucket = draw(SKETCH_BUCKETS);
            uint32_t count = draw(40) ? draw(9) : 1000000000 + draw(1000000000);

            count = count > UINT32_MAX - cell.count ? 0 : count;
            cell.bucket[bucket] += count;
            cell.count += count;
        }
        assert_true(sketches_add(&s, &budget, second, &cell));
        sketches_merge(&s, false, second - 59, second, &all);
        for (int64_t at = second - 59; at <= second; at++) {
            struct sketch one = {.count = 0};

            sketches_merge(&s, false, at, at, &one);
            sketch_merge(&each, &one);
        }
        assert_memory_equal(&all, &each, sizeof all);
        for (unsigned q = 1; q <= 100 && all.count && all.count < UINT32_MAX; q++)
            assert_true(sketch_quantile_ms(&all, q / 100.0) >= quantile_of(&all, q / 100.0) &&
                        sketch_quantile_ms(&all, q / 100.0) <= quantile_of(&all, q / 100.0));
    }
    sketches_free(&s, &budget);
    assert_int_equal(budget.used, 0);
}

/* ---- texts ------------------------------------------------------------------------------------------------------ */

static void same_text(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void same_text(const char *fmt, ...)
{
    char is[DECISION_WHY_BYTES], wanted[DECISION_WHY_BYTES];
    va_list ap;

    va_start(ap, fmt);
    why_write(is, fmt, ap);
    va_end(ap);
    va_start(ap, fmt);
    (void)vsnprintf(wanted, sizeof wanted, fmt, ap);
    va_end(ap);
    assert_string_equal(is, wanted);
}

static void test_texts_are_as_printf_writes_them(void **state)
{
    static const long long edges[] = {0, 1, -1, 9, 10, -10, LLONG_MAX, LLONG_MIN};
    char longest[2 * DECISION_WHY_BYTES];

    seed = 3;
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    for (unsigned i = 0; i < nr_countof(edges); i++)
        same_text("%lld more than %lld", edges[i], edges[nr_countof(edges) - 1 - i]);
    for (unsigned i = 0; i < DRAWS; i++) {
        const char *some = longest + draw(sizeof longest);

        same_text("%s of %.20s, within %.20s %% of the target", number_text(draw(99999) / 100.0).z,
                  some, some);
        same_text("%s for %s s more", some, number_text(draw(5000) / 1000.0).z);
        same_text("from %lld at most %lld in %s s", (long long)draw(70) - 9,
                  (long long)draw(9999999), some);
    }
    same_text("stays as it is");
    same_text("%s", "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_totals_are_the_walk),
        cmocka_unit_test(test_sketches_are_their_cells),
        cmocka_unit_test(test_texts_are_as_printf_writes_them),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
