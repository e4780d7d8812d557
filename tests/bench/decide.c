/* What deciding costs a scaler: an evaluation of 1,000 policies with six rules each, windows of six seconds to ten minutes, over functions that are all
 * busy; and each minute's plan of 10,000 functions by their forecasts. No container, no bus: samples come from a generator. Single-threaded, as the scaler.
 *
 *   decide [-j]          status 1: a mark was missed
 *
 * Marks: 1,000 policies 5 ms, 10,000 functions 20 ms; medians of CPU time.
 */
#include <stdio.h>
#include <stdlib.h>

#include "scaler/decide/decide.h"

enum {
    POLICIES = 1000,
    FUNCTIONS = 10000,
    ROUNDS = 60,
    PAST_SECONDS = 660,
    PAST_MINUTES = 2880,
    NAME_BYTES = 32
};
static const int64_t begin_ms = 1767603600000;

static const char document[] =
    "{\"policy\":\"p%d\",\"target\":{\"account\":\"acme\",\"function\":\"f%d\"},\"evaluate_every\":\"2s\","
    "\"bounds\":{\"min\":0,\"max\":40,\"min_warm\":1},\"rules\":["
    "{\"id\":\"busy\",\"when\":{\"metric\":\"inflight_per_instance\",\"aggregate\":\"avg\",\"window\":\"60s\"},"
    "\"do\":{\"action\":\"track\",\"target\":0.7,\"tolerance\":0.1}},"
    "{\"id\":\"burst\",\"priority\":10,\"when\":{\"metric\":\"inflight_per_instance\",\"aggregate\":\"avg\",\"window\":\"6s\","
    "\"op\":\">=\",\"value\":1.4},\"do\":{\"action\":\"add\",\"percent\":100,\"at_least\":2},\"block_down_for\":\"60s\"},"
    "{\"id\":\"lag\",\"when\":{\"metric\":\"trigger_lag\",\"labels\":{\"topic\":\"raw\"},\"aggregate\":\"max\",\"window\":\"10s\","
    "\"op\":\">\",\"value\":500},\"do\":{\"action\":\"track\",\"target\":100}},"
    "{\"id\":\"hot\",\"when\":{\"all\":[{\"metric\":\"duration_ms\",\"aggregate\":\"p99\",\"window\":\"30s\",\"op\":\">\",\"value\":250},"
    "{\"metric\":\"cpu_percent\",\"aggregate\":\"avg\",\"window\":\"30s\",\"op\":\">\",\"value\":80}],\"for\":\"10s\"},"
    "\"do\":{\"action\":\"add\",\"count\":2},\"cooldown\":\"30s\"},"
    "{\"id\":\"quiet\",\"when\":{\"metric\":\"invocations\",\"aggregate\":\"sum\",\"window\":\"10m\",\"op\":\"<\",\"value\":1},"
    "\"do\":{\"action\":\"set\",\"count\":0}},"
    "{\"id\":\"errors\",\"priority\":20,\"when\":{\"metric\":\"error_ratio\",\"aggregate\":\"avg\",\"window\":\"1m\",\"op\":\">\","
    "\"value\":0.5},\"do\":{\"action\":\"freeze\"}}],"
    "\"schedule\":[{\"cron\":\"0 6 * * 1-5\",\"timezone\":\"UTC\",\"for\":\"12h\",\"min_warm\":4}]}";

struct fleet {
    struct windows *windows;
    struct policy *policy[POLICIES];
    struct decide_state *state[POLICIES];
    char name[POLICIES][NAME_BYTES];
    int64_t now_ms;
    uint64_t seed, seq;
    unsigned changes;
};

/* CPU time of this thread: it waits for nothing, and others may be at work. */
static uint64_t cpu_us(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static unsigned draw(uint64_t *seed, unsigned below)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(*seed >> 33) % below;
}

static void put(struct sample *s, enum metric_id id, double value)
{
    s->has |= 1ull << id;
    s->value[id] = value;
}

static void make(struct fleet *f)
{
    struct nr_err err = {0};

    f->windows = windows_make(256u << 20);
    f->now_ms = begin_ms;
    for (int i = 0; i < POLICIES; i++) {
        char text[sizeof document + 32];
        struct policy_problem problem;
        size_t problems;

        (void)snprintf(f->name[i], NAME_BYTES, "f%d", i);
        (void)snprintf(text, sizeof text, document, i, i);
        if (policy_read(nr_str_of(text), NULL, &f->policy[i], &problem, 1, &problems, &err) < 0) {
            (void)fprintf(stderr, "%s\n", err.text);
            exit(2);
        }
        f->state[i] = decide_state_make(f->policy[i]);
        windows_want(f->windows, f->policy[i], f->now_ms);
    }
}

/* One second of all functions: each a few calls in flight, durations in a few buckets. */
static void second(struct fleet *f)
{
    struct sample node = {.node = NR_STR("box"), .span_ms = 1000};
    struct sketch durations;

    f->now_ms += 1000;
    node.t_ms = f->now_ms;
    node.seq = ++f->seq;
    put(&node, METRIC_NODE_MEMORY_FREE_MB, 1e6);
    windows_clock(f->windows, f->now_ms);
    windows_add(f->windows, &node);
    windows_add_lag(f->windows, "raw", "g", draw(&f->seed, 600), f->now_ms);
    for (int i = 0; i < POLICIES; i++) {
        struct sample s = {.node = NR_STR("box"),
                           .span_ms = 1000,
                           .t_ms = f->now_ms,
                           .seq = ++f->seq,
                           .account = NR_STR("acme"),
                           .function = nr_str_of(f->name[i])};

        durations = (struct sketch){.count = 0};
        for (int c = 0; c < 8; c++)
            sketch_add_us(&durations, 100000 + draw(&f->seed, 200000));
        s.sketch[SAMPLE_DURATION] = &durations;
        put(&s, METRIC_INFLIGHT, draw(&f->seed, 12));
        put(&s, METRIC_INSTANCES, 8);
        put(&s, METRIC_STARTING, draw(&f->seed, 2));
        put(&s, METRIC_INVOCATIONS, 8);
        put(&s, METRIC_ERRORS, draw(&f->seed, 3) == 0);
        put(&s, METRIC_CPU_PERCENT, draw(&f->seed, 200));
        put(&s, METRIC_INSTANCE_MB, 128);
        windows_add(f->windows, &s);
    }
}

static void evaluate(struct fleet *f, struct decision *d)
{
    for (int i = 0; i < POLICIES; i++) {
        struct decide_input in = {.now_ms = f->now_ms, .windows = f->windows, .began_ms = begin_ms};

        windows_now(f->windows, "acme", f->name[i], f->now_ms, &in.now);
        decide(f->policy[i], &in, f->state[i], d);
        f->changes += d->changed;
    }
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static double median(double *figures, unsigned n)
{
    qsort(figures, n, sizeof *figures, by_size);
    return figures[n / 2];
}

static void policies(double *ret_evaluate_ms, double *ret_add_ms, size_t *ret_bytes)
{
    static struct fleet f;
    static struct decision d;
    double evaluations[ROUNDS], adds[ROUNDS];

    make(&f);
    for (int i = 0; i < PAST_SECONDS; i++)
        second(&f);
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t begun_us = cpu_us(), added_us;

        second(&f);
        second(&f);
        added_us = cpu_us();
        evaluate(&f, &d);
        adds[i] = (double)(added_us - begun_us) / 2000;
        evaluations[i] = (double)(cpu_us() - added_us) / 1000;
    }
    *ret_evaluate_ms = median(evaluations, ROUNDS);
    *ret_add_ms = median(adds, ROUNDS);
    *ret_bytes = windows_bytes(f.windows);
    for (int i = 0; i < POLICIES; i++) {
        decide_state_free(f.state[i]);
        policy_unref(f.policy[i]);
    }
    windows_free(f.windows);
}

/* Functions as they are: some each minute, most now and then. */
static double forecasts(void)
{
    static struct forecast *all[FUNCTIONS];
    struct forecast_population *population = forecast_population_make();
    int64_t first = begin_ms / 60000;
    double plans[ROUNDS];
    uint64_t seed = 1;

    for (int i = 0; i < FUNCTIONS; i++) {
        unsigned every = 1 + draw(&seed, 600);

        all[i] = forecast_make(population);
        for (int64_t m = first + draw(&seed, every); m < first + PAST_MINUTES;
             m += 1 + draw(&seed, 2 * every))
            forecast_minute(all[i], m, 1 + draw(&seed, 5), 1 + draw(&seed, 3), false);
    }
    for (int r = 0; r < ROUNDS; r++) {
        uint64_t begun_us = cpu_us();
        int64_t keep, next, kept = 0;

        for (int i = 0; i < FUNCTIONS; i++) {
            forecast_plan(all[i], first + PAST_MINUTES + r, 0.02, 128, &keep, &next);
            kept += keep;
        }
        plans[r] = (double)(cpu_us() - begun_us) / 1000 + (kept < 0);
    }
    for (int i = 0; i < FUNCTIONS; i++)
        forecast_free(all[i]);
    forecast_population_free(population);
    return median(plans, ROUNDS);
}

int main(int argc, char **argv)
{
    bool json = argc > 1 && strcmp(argv[1], "-j") == 0, met;
    double evaluate_ms, add_ms, plan_ms = forecasts();
    size_t bytes;

    policies(&evaluate_ms, &add_ms, &bytes);
    met = evaluate_ms <= 5 && plan_ms <= 20;
    if (json)
        printf(
            "{\"figures\":{\"samples_1000_ms\":%.3f,\"windows_bytes\":%zu},\"marks\":["
            "{\"what\":\"1000 policies, ms\",\"value\":%.3f,\"limit\":5,\"met\":%s},"
            "{\"what\":\"plans of 10000 functions, ms\",\"value\":%.3f,\"limit\":20,\"met\":%s}]}\n",
            add_ms, bytes, evaluate_ms, evaluate_ms <= 5 ? "true" : "false", plan_ms,
            plan_ms <= 20 ? "true" : "false");
    else
        printf("samples of 1,000 functions into windows: %.3f ms; windows: %.1f MB\n"
               "%s  evaluation of 1,000 policies, ms: %.3f (at most 5)\n"
               "%s  plans of 10,000 functions, ms: %.3f (at most 20)\n",
               add_ms, (double)bytes / 1048576, evaluate_ms <= 5 ? "met   " : "MISSED", evaluate_ms,
               plan_ms <= 20 ? "met   " : "MISSED", plan_ms);
    return met ? 0 : 1;
}
