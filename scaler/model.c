/* Time passes between samples and decisions; what has happened by then is counted when it has passed. */
#include "scaler/model.h"

enum { SURPLUS_MS = 10000, SILENT_MS = 2500, START_MS = 1000 };

void model_init(struct model *m, int64_t desired, int64_t maximum, bool on_demand)
{
    *m = (struct model){.desired = desired,
                        .maximum = maximum,
                        .on_demand = on_demand,
                        .warm = desired > 0 ? desired : 0,
                        .start_ms = START_MS,
                        .instance_mb = 256,
                        .desired_max = desired};
}

static int64_t higher(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static void take_surplus(struct model *m)
{
    int64_t kept = higher(m->desired, m->needed);

    if (m->warm <= kept || m->desired < 0) {
        m->surplus_ms = 0;
        return;
    }
    if (m->surplus_ms == 0)
        m->surplus_ms = m->t_ms;
    if (m->t_ms - m->surplus_ms >= SURPLUS_MS) {
        m->warm = kept;
        m->surplus_ms = 0;
    }
}

/* What stands from m->t_ms to t_ms costs its memory. */
static void pass(struct model *m, int64_t t_ms)
{
    int64_t idle = m->warm - m->busy;

    if (idle > 0)
        m->idle_mb_s += (double)idle * (double)m->instance_mb * (double)(t_ms - m->t_ms) / 1000;
    m->t_ms = t_ms;
}

void model_advance(struct model *m, int64_t t_ms)
{
    if (m->t_ms == 0)
        m->t_ms = t_ms;
    if (m->ready_ms > 0 && m->ready_ms <= t_ms) {
        pass(m, higher(m->ready_ms, m->t_ms));
        m->warm = higher(m->warm, m->desired);
        m->ready_ms = 0;
    }
    if (t_ms > m->t_ms)
        pass(m, t_ms);
    if (m->t_ms - m->sample_ms > SILENT_MS)
        m->needed = m->busy = 0;
    take_surplus(m);
}

static void start_for_calls(struct model *m)
{
    int64_t upto = m->maximum >= 0 && m->needed > m->maximum ? m->maximum : m->needed;

    if (!m->on_demand || upto <= m->warm)
        return;
    m->cold_starts += (uint64_t)(upto - m->warm);
    m->warm = upto;
}

void model_sample(struct model *m, const struct sample *s)
{
    double busy = s->value[METRIC_INSTANCES_BUSY], calls = s->value[METRIC_INFLIGHT];
    double each = busy > 0 && s->value[METRIC_QUEUE_DEPTH] <= 0 && calls > busy ? calls / busy : 1;

    model_advance(m, s->t_ms > m->t_ms ? s->t_ms : m->t_ms);
    m->sample_ms = m->t_ms;
    if (s->value[METRIC_INSTANCE_MB] > 0)
        m->instance_mb = (int64_t)s->value[METRIC_INSTANCE_MB];
    if (s->sketch[SAMPLE_COLD_START] && s->sketch[SAMPLE_COLD_START]->count > 0)
        m->start_ms = (int64_t)sketch_quantile_ms(s->sketch[SAMPLE_COLD_START], 0.5);
    m->needed =
        (int64_t)(higher((int64_t)s->value[METRIC_INFLIGHT_MAX], (int64_t)calls) / each + 0.999);
    start_for_calls(m);
    m->busy = (int64_t)(calls / each + 0.5);
    if (m->busy > m->warm)
        m->busy = m->warm;
    take_surplus(m);
}

void model_decide(struct model *m, int64_t desired, int64_t maximum, bool on_demand)
{
    if (desired != m->desired)
        m->changes++;
    if (desired > m->warm && m->ready_ms == 0)
        m->ready_ms = m->t_ms + m->start_ms;
    m->desired = desired;
    m->maximum = maximum;
    m->on_demand = on_demand;
    m->desired_max = higher(m->desired_max, desired);
    take_surplus(m);
}

void model_count(struct model *m)
{
    m->cold_starts = m->changes = 0;
    m->idle_mb_s = 0;
    m->desired_max = m->desired;
}

void model_back(struct model *m, int64_t t_ms)
{
    int64_t *times[] = {&m->t_ms, &m->sample_ms, &m->surplus_ms, &m->ready_ms};

    for (unsigned i = 0; i < sizeof times / sizeof *times; i++)
        *times[i] = *times[i] > t_ms ? t_ms : *times[i];
}
