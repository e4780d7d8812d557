/* How calls started, as metrics: by kind, why they were not warm, and how long each stage took. Counted once per call, at its end; a
 * warm call costs one addition.
 */
#include "controller/internal.h"

#include <stdio.h>

void told_count(struct start_metrics *m, const struct activation *a)
{
    nr_count(&m->kinds[a->start], 1);
    if (a->start == START_WARM && a->queue_us == 0 && a->init_us == 0)
        return;
    if (a->start == START_COLD) {
        nr_count(&m->causes[a->cold], 1);
        nr_count(&m->stem_empty, a->stem_empty);
    }
    for (int s = 0; s < STAGES; s++) {
        uint64_t us = start_stage_us(a, (enum start_stage)s);

        if (us)
            nr_hist_add_us(&m->stages[s][a->cold], us);
    }
}

static void counts(const struct start_metrics *m, struct nr_buf *out)
{
    char label[64];

    nr_metric_head(out, "narae_starts_total", "counter",
                   "Calls by how they found their container; none: they were given none.");
    for (enum start_kind k = START_NONE; k <= START_COLD; k++) {
        (void)snprintf(label, sizeof(label), "kind=\"%s\"", start_kind_text(k));
        nr_metric_sample(out, "narae_starts_total", label, (double)m->kinds[k]);
    }
    nr_metric_head(out, "narae_cold_starts_total", "counter",
                   "Calls that needed a new container, by cause.");
    for (enum cold_cause i = COLD_FIRST_CALL; i <= COLD_CRASHED; i++) {
        (void)snprintf(label, sizeof(label), "cause=\"%s\"", cold_cause_text(i));
        nr_metric_sample(out, "narae_cold_starts_total", label, (double)m->causes[i]);
    }
    nr_metric_one(out, "narae_cold_starts_stem_empty_total", "counter",
                  "Calls that needed a new container because no stem cell was ready.",
                  (double)m->stem_empty);
}

void told_metrics(const struct start_metrics *m, struct nr_buf *out)
{
    char labels[64];

    counts(m, out);
    nr_metric_head(out, "narae_start_stage_seconds", "histogram",
                   "Time of each stage of a start; cause `none`: a thaw, a wait for a warm "
                   "container, or code loaded into one that was started ahead.");
    for (int s = 0; s < STAGES; s++)
        for (enum cold_cause i = COLD_NOT; i <= COLD_CRASHED; i++) {
            if (m->stages[s][i].count == 0)
                continue;
            (void)snprintf(labels, sizeof(labels), "stage=\"%s\",cause=\"%s\"",
                           start_stage_name((enum start_stage)s),
                           i == COLD_NOT ? "none" : cold_cause_text(i));
            nr_metric_hist(out, "narae_start_stage_seconds", labels, &m->stages[s][i]);
        }
}
