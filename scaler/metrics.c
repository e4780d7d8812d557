/* The scaler's own figures for /metrics. */
#include "common/base/metric.h"
#include "scaler/alive.h"

void scaler_metrics(struct scaler *s, struct nr_buf *out)
{
    const struct {
        const char *name, *type, *help;
        const _Atomic uint64_t *value;
    } rows[] = {
        {"narae_scaler_policies", "gauge", "Policies, those that are off too.", &s->n.policies},
        {"narae_scaler_functions", "gauge", "Functions that are forecast.", &s->n.functions},
        {"narae_scaler_samples_total", "counter", "Samples that were heard.", &s->n.samples},
        {"narae_scaler_bad_samples_total", "counter", "Messages that are no sample.",
         &s->n.bad_samples},
        {"narae_scaler_evaluations_total", "counter", "Evaluations of policies.",
         &s->n.evaluations},
        {"narae_scaler_evaluations_at_once_total", "counter",
         "Evaluations of policies between their times, since calls waited.", &s->n.at_once},
        {"narae_scaler_decisions_total", "counter", "Evaluations that changed something.",
         &s->n.changes},
        {"narae_scaler_plans_total", "counter", "Changes of what forecasts keep warm.",
         &s->n.plans},
        {"narae_scaler_wishes_total", "counter", "Wishes that were sent to the invoker.",
         &s->n.wishes},
        {"narae_scaler_late_evaluations_total", "counter",
         "Evaluations that came a whole interval too late.", &s->n.late_ticks},
        {"narae_scaler_clock_steps_total", "counter", "Times that the clock was set back.",
         &s->n.clock_steps},
        {"narae_scaler_refused_total", "counter",
         "Decisions, plans and releases of others that were of a time to come.", &s->n.refused},
    };
    struct store_stats store = store_stats(s->store);
    struct channels_stats channels = channels_stats(s->channels);

    for (size_t i = 0; i < nr_countof(rows); i++)
        nr_metric_one(out, rows[i].name, rows[i].type, rows[i].help,
                      (double)atomic_load(rows[i].value));
    nr_metric_one(out, "narae_scaler_evaluation_seconds_total", "counter",
                  "Time that evaluations took.", (double)atomic_load(&s->n.evaluate_us) / 1e6);
    nr_metric_one(out, "narae_scaler_heard_seconds", "gauge",
                  "Since a scaler that decides was last heard of, wherever it is.", alive_age_s(s));
    nr_metric_one(out, "narae_scaler_store_dropped_total", "counter",
                  "Records that the store had no room for.", (double)store.dropped);
    nr_metric_one(out, "narae_scaler_store_failed_total", "counter",
                  "Records that could not be written.", (double)store.failed);
    nr_metric_one(out, "narae_scaler_channel_messages_total", "counter",
                  "Alerts and node wishes that were told.", (double)channels.told);
    nr_metric_one(out, "narae_scaler_channel_failures_total", "counter",
                  "Alerts and node wishes that could not be told.",
                  (double)(channels.failed + channels.dropped));
}
