/* The series of functions in Prometheus' text form: family by family, in each the functions by name and then the sum of the others, whose one label is
 * function="other" (a function's series always has an account).
 */
#include "gateway/function_series_state.h"

#include <inttypes.h>
#include <stdlib.h>

#include "common/base/metric.h"

#define OTHER "function=\"other\""

static const struct {
    const char *name, *help;
} figures[FIGURES] = {
    [FIGURE_INVOCATIONS] = {"narae_function_invocations_total", "Calls that were answered."},
    [FIGURE_ARRIVALS] = {"narae_function_arrivals_total",
                         "Calls that came, with those that were refused."},
    [FIGURE_ERRORS] = {"narae_function_errors_total", "Answered calls that failed."},
    [FIGURE_THROTTLED] = {"narae_function_throttled_total", "Calls that a limit refused."},
    [FIGURE_COLD_STARTS] = {"narae_function_cold_starts_total",
                            "Calls that waited for the start of a container."},
    [FIGURE_CPU] = {"narae_function_cpu_seconds_total", "Processor time of its containers."},
    [FIGURE_IDLE] = {"narae_function_idle_seconds_total",
                     "Seconds of its containers without a call."},
    [FIGURE_JOULES] = {"narae_function_joules_total", "Energy that its containers used."},
};

static const struct {
    const char *name, *label, *help;
} gauges[] = {
    {"narae_function_inflight_calls", "", "Calls that are admitted and not answered."},
    {"narae_function_waiting_calls", "", "Calls that wait for a container."},
    {"narae_function_memory_bytes", "", "Memory that its containers use."},
    {"narae_function_containers", ",state=\"busy\"", "Containers of the function by state."},
    {"narae_function_containers", ",state=\"idle\"", NULL},
    {"narae_function_containers", ",state=\"starting\"", NULL},
};
_Static_assert(sizeof(gauges) / sizeof(*gauges) == GAUGES, "in the order of enum series_gauge");

static const struct {
    const char *name, *help;
} times[SERIES_TIMES] = {
    [SERIES_DURATION] = {"narae_function_duration_seconds",
                         "How long it ran; the sum is right to 5 %."},
    [SERIES_WAIT] = {"narae_function_wait_seconds",
                     "How long calls waited for a container; the sum is right to 5 %."},
};

/* What one page tells: rows by name, and the others when all accounts are asked for. */
struct page {
    const struct function_series *of;
    const struct series_row **rows;
    size_t n;
    bool all;
    int64_t now_ms;
    struct nr_buf *out;
};

static int by_name(const void *a, const void *b)
{
    const struct series_row *const *x = a, *const *y = b;

    return strcmp((*x)->labels, (*y)->labels);
}

static bool is_wanted(const struct series_row *row, const char *account)
{
    return account ? strcmp(row->account, account) == 0 : row->shown;
}

static void collect(struct page *p, const char *account, size_t max)
{
    NR_LIST_EACH(&p->of->lru, l) {
        const struct series_row *row = nr_container_of(l, struct series_row, lru);

        if (p->n < max && row->labels && is_wanted(row, account))
            p->rows[p->n++] = row;
    }
    qsort(p->rows, p->n, sizeof(*p->rows), by_name);
}

/* An account is told everything of its functions; a page of all leaves out what is in the sum of the others. */
static double figure_of(const struct page *p, const struct series_row *row, int i)
{
    return row->all.figure[i] - (p->all ? row->hidden.figure[i] : 0);
}

static void write_figures(const struct page *p)
{
    for (int i = 0; i < FIGURES; i++) {
        nr_metric_head(p->out, figures[i].name, "counter", figures[i].help);
        for (size_t k = 0; k < p->n; k++)
            nr_metric_sample(p->out, figures[i].name, p->rows[k]->labels,
                             figure_of(p, p->rows[k], i));
        if (p->all)
            nr_metric_sample(p->out, figures[i].name, OTHER, p->of->others.figure[i]);
    }
}

/* `ready` in a row is idle and busy together. */
static double gauge_of(const struct page *p, const struct series_row *row, int i)
{
    if (p->now_ms - row->told_ms > SERIES_FRESH_MS)
        return 0;
    return i != GAUGE_READY ? row->gauge[i] : row->gauge[GAUGE_READY] - row->gauge[GAUGE_BUSY];
}

static double gauge_of_others(const struct page *p, int i)
{
    double sum = 0;

    NR_LIST_EACH(&p->of->lru, l) {
        const struct series_row *row = nr_container_of(l, struct series_row, lru);

        sum += row->shown ? 0 : gauge_of(p, row, i);
    }
    return sum;
}

static void add_gauge(struct nr_buf *out, int i, const char *labels, double value)
{
    nr_buf_printf(out, "%s{%s%s} %.15g\n", gauges[i].name, labels, gauges[i].label, value);
}

static void write_gauges(const struct page *p)
{
    for (int i = 0; i < GAUGES; i++) {
        if (gauges[i].help)
            nr_metric_head(p->out, gauges[i].name, "gauge", gauges[i].help);
        for (size_t k = 0; k < p->n; k++)
            add_gauge(p->out, i, p->rows[k]->labels, gauge_of(p, p->rows[k], i));
        if (p->all)
            add_gauge(p->out, i, OTHER, gauge_of_others(p, i));
    }
}

static void write_histogram(struct nr_buf *out, const char *name, const char *labels,
                            const struct series_times *t, const struct series_times *less)
{
    double sum_s = t->sum_s - (less ? less->sum_s : 0);
    uint64_t total = 0;

    for (int i = 0; i <= SERIES_BUCKETS; i++) {
        total += t->bucket[i] - (less ? less->bucket[i] : 0);
        if (i < SERIES_BUCKETS)
            nr_buf_printf(out, "%s_bucket{%s,le=\"%g\"} %" PRIu64 "\n", name, labels,
                          series_ends_s[i], total);
        else
            nr_buf_printf(out, "%s_bucket{%s,le=\"+Inf\"} %" PRIu64 "\n", name, labels, total);
    }
    nr_buf_printf(out, "%s_sum{%s} %.9g\n%s_count{%s} %" PRIu64 "\n", name, labels,
                  sum_s > 0 ? sum_s : 0, name, labels, total);
}

static void write_times(const struct page *p)
{
    for (int i = 0; i < SERIES_TIMES; i++) {
        nr_metric_head(p->out, times[i].name, "histogram", times[i].help);
        for (size_t k = 0; k < p->n; k++)
            write_histogram(p->out, times[i].name, p->rows[k]->labels, &p->rows[k]->all.times[i],
                            p->all ? &p->rows[k]->hidden.times[i] : NULL);
        if (p->all)
            write_histogram(p->out, times[i].name, OTHER, &p->of->others.times[i], NULL);
    }
}

/* The names under which dashboards for Kepler ask for a container's energy: the account is its namespace. All of it is of the processor package and its memory. */
static void write_kepler(const struct page *p)
{
    static const char *const names[] = {"kepler_container_joules_total",
                                        "kepler_container_package_joules_total"};

    for (size_t i = 0; i < nr_countof(names); i++) {
        nr_metric_head(p->out, names[i], "counter", figures[FIGURE_JOULES].help);
        for (size_t k = 0; k < p->n; k++) {
            struct nr_str account = nr_str_of(p->rows[k]->account);
            struct nr_str key = p->rows[k]->node.key;

            nr_buf_printf(p->out, "%s{", names[i]);
            nr_metric_label(p->out, "container_namespace", account);
            nr_buf_addc(p->out, ',');
            nr_metric_label(p->out, "container_name",
                            (struct nr_str){key.p + account.n + 1, key.n - account.n - 1});
            nr_buf_printf(p->out, ",mode=\"dynamic\"} %.15g\n",
                          figure_of(p, p->rows[k], FIGURE_JOULES));
        }
        if (p->all)
            nr_buf_printf(p->out, "%s{container_name=\"other\",mode=\"dynamic\"} %.15g\n", names[i],
                          p->of->others.figure[FIGURE_JOULES]);
    }
}

static void write_page(const struct function_series *t, const char *account, int64_t now_ms,
                       struct nr_buf *out)
{
    size_t max = account ? SERIES_TOP_MAX : t->rows.count;
    nr_auto_free const struct series_row **rows = nr_alloc(max * sizeof(*rows) + 1);
    struct page p = {t, rows, 0, account == NULL, now_ms, out};

    collect(&p, account, max);
    if (p.n == 0 && !p.all)
        return;
    write_figures(&p);
    write_gauges(&p);
    write_times(&p);
    write_kepler(&p);
}

void function_series_write(struct function_series *t, const char *account, int64_t now_ms,
                           struct nr_buf *out)
{
    (void)pthread_mutex_lock(&t->lock);
    write_page(t, account, now_ms, out);
    (void)pthread_mutex_unlock(&t->lock);
}

void function_series_count(struct function_series *t, struct nr_buf *out)
{
    (void)pthread_mutex_lock(&t->lock);
    double known = (double)t->rows.count, shown = t->shown;
    (void)pthread_mutex_unlock(&t->lock);

    nr_metric_one(out, "narae_functions_known", "gauge",
                  "Functions that had calls or containers of late.", known);
    nr_metric_one(out, "narae_functions_with_series", "gauge",
                  "Of them, those that have series of their own; the others are summed.", shown);
}
