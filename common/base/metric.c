/* The Prometheus text form, version 0.0.4. */
#include "common/base/metric.h"

#include <inttypes.h>
#include <math.h>

/* Upper ends in microseconds and as the text of the label `le`. */
static const struct {
    uint64_t us;
    const char *le;
} ends[NR_HIST_BUCKETS] = {
    {100, "0.0001"},  {250, "0.00025"}, {500, "0.0005"},  {1000, "0.001"},  {2500, "0.0025"},
    {5000, "0.005"},  {10000, "0.01"},  {25000, "0.025"}, {50000, "0.05"},  {100000, "0.1"},
    {250000, "0.25"}, {500000, "0.5"},  {1000000, "1"},   {2500000, "2.5"}, {5000000, "5"},
    {10000000, "10"}, {30000000, "30"}, {60000000, "60"},
};

void nr_hist_add_us(struct nr_hist *h, uint64_t us)
{
    size_t i = 0;

    while (i < NR_HIST_BUCKETS && us > ends[i].us)
        i++;
    nr_count(&h->bucket[i], 1);
    nr_count(&h->sum_us, us);
    nr_count(&h->count, 1);
}

void nr_metric_head(struct nr_buf *out, const char *name, const char *type, const char *help)
{
    nr_buf_printf(out, "# HELP %s ", name);
    for (const char *p = help; *p; p++)
        if (*p == '\\' || *p == '\n')
            nr_buf_adds(out, *p == '\n' ? "\\n" : "\\\\");
        else
            nr_buf_addc(out, *p);
    nr_buf_printf(out, "\n# TYPE %s %s\n", name, type);
}

void nr_metric_label(struct nr_buf *out, const char *name, struct nr_str value)
{
    nr_buf_adds(out, name);
    nr_buf_adds(out, "=\"");
    for (size_t i = 0; i < value.n; i++)
        switch (value.p[i]) {
        case '\\': nr_buf_adds(out, "\\\\"); break;
        case '"': nr_buf_adds(out, "\\\""); break;
        case '\n': nr_buf_adds(out, "\\n"); break;
        default: nr_buf_addc(out, value.p[i]);
        }
    nr_buf_addc(out, '"');
}

static void add_value(struct nr_buf *out, double value)
{
    if (isnan(value))
        nr_buf_adds(out, " NaN\n");
    else if (isinf(value))
        nr_buf_adds(out, value > 0 ? " +Inf\n" : " -Inf\n");
    else
        nr_buf_printf(out, " %.15g\n", value);
}

void nr_metric_sample(struct nr_buf *out, const char *name, const char *labels, double value)
{
    nr_buf_adds(out, name);
    if (*labels)
        nr_buf_printf(out, "{%s}", labels);
    add_value(out, value);
}

void nr_metric_one(struct nr_buf *out, const char *name, const char *type, const char *help,
                   double value)
{
    nr_metric_head(out, name, type, help);
    nr_metric_sample(out, name, "", value);
}

/* Counters run on while we read: the total is what the buckets say, so that +Inf and _count agree. */
void nr_metric_hist(struct nr_buf *out, const char *name, const char *labels,
                    const struct nr_hist *h)
{
    const char *comma = *labels ? "," : "";
    const char *open = *labels ? "{" : "", *close = *labels ? "}" : "";
    uint64_t total = 0;

    for (size_t i = 0; i <= NR_HIST_BUCKETS; i++) {
        total += atomic_load_explicit(&h->bucket[i], memory_order_relaxed);
        nr_buf_printf(out, "%s_bucket{%s%sle=\"%s\"} %" PRIu64 "\n", name, labels, comma,
                      i < NR_HIST_BUCKETS ? ends[i].le : "+Inf", total);
    }
    nr_buf_printf(out, "%s_sum%s%s%s", name, open, labels, close);
    add_value(out, (double)atomic_load_explicit(&h->sum_us, memory_order_relaxed) / 1e6);
    nr_buf_printf(out, "%s_count%s%s%s %" PRIu64 "\n", name, open, labels, close, total);
}
