/* Each line of advice is a rule of its own that looks at the run and says its sentence, or nothing. */
#include "fnmanager/preenv/preenv_advice.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "common/base/mem.h"
#include "fnmanager/preenv/preenv_analyzer.h"
#include "fnmanager/preenv/preenv_selector.h"

void preenv_add_advice(struct preenv_run *r, const char *fmt, ...)
{
    va_list ap;

    if (r->advice_count == PREENV_ADVICE_MAX)
        return;
    va_start(ap, fmt);
    (void)vsnprintf(r->advice[r->advice_count++], sizeof(r->advice[0]), fmt, ap);
    va_end(ap);
}

static const struct preenv_config *chosen(const struct preenv_run *r)
{
    for (unsigned i = 0; i < r->config_count; i++)
        if (r->chosen > 0 && preenv_size(r, &r->configs[i]) == r->chosen)
            return &r->configs[i];
    return NULL;
}

static void saving(struct preenv_run *r, const struct preenv_config *reference)
{
    (void)reference;
    if (r->request.cpu || r->chosen == 0)
        return;
    if (r->chosen == r->declared_mb)
        preenv_add_advice(r, "%lld MB is what it is declared with.", (long long)r->declared_mb);
    else
        preenv_add_advice(r, "%lld -> %lld MB: %.1f %% %s memory.", (long long)r->declared_mb,
                          (long long)r->chosen,
                          100 * fabs((double)r->chosen / (double)r->declared_mb - 1),
                          r->chosen < r->declared_mb ? "less" : "more");
}

static void not_enough(struct preenv_run *r, const struct preenv_config *reference)
{
    if (!r->request.cpu && r->chosen > r->declared_mb && reference &&
        reference->memory_mb > r->declared_mb)
        preenv_add_advice(r, "The declared %lld MB is not enough: it is killed there.",
                          (long long)r->declared_mb);
}

static void start_is_larger(struct preenv_run *r, const struct preenv_config *reference)
{
    if (r->request.cpu || reference == NULL || reference->run_peak_mb < 0 ||
        preenv_step_for(reference->init_peak_mb) <= preenv_step_for(reference->run_peak_mb))
        return;
    preenv_add_advice(
        r,
        "It is sized by its start: that needs %.0f MB, a call %.0f MB. Load less, or later, and %lld MB would do.",
        reference->init_peak_mb, reference->run_peak_mb,
        (long long)preenv_step_for(reference->run_peak_mb));
}

static void one_payload_is_larger(struct preenv_run *r, const struct preenv_config *reference)
{
    unsigned n = r->request.payload_count, largest = 0;
    double all = 0;

    if (r->request.cpu || reference == NULL || n < 2)
        return;
    for (unsigned i = 0; i < n; i++) {
        all += r->request.payloads[i].weight;
        if (reference->payload_peak_mb[i] > reference->payload_peak_mb[largest])
            largest = i;
    }
    double without = preenv_peak_without(reference, n, largest);

    if (without < 0 || preenv_step_for(without) >= preenv_step_for(reference->peak_mb))
        return;
    preenv_add_advice(
        r,
        "It is sized by payload %u (%.3g %% of the weight), which needs %.0f MB. Without it %lld MB would do.",
        largest, 100 * r->request.payloads[largest].weight / all,
        reference->payload_peak_mb[largest], (long long)preenv_step_for(without));
}

static void page_cache(struct preenv_run *r, const struct preenv_config *reference)
{
    if (reference && !r->request.cpu && reference->high_water_mb > 1.5 * reference->peak_mb + 32)
        preenv_add_advice(
            r,
            "The kernel's high-water mark is %.0f MB: it counts files that were read or written, which are dropped when memory is needed.",
            reference->high_water_mb);
}

static void grows(struct preenv_run *r, const struct preenv_config *reference)
{
    if (r->growth_mb <= 0 || reference == NULL)
        return;
    double first_mb = reference->series.count ? reference->series.samples[0].run_peak_mb : 0;
    double room_mb = PREENV_HEADROOM * (double)r->declared_mb - first_mb;

    r->recycle_calls = room_mb > r->growth_mb ? (int64_t)(room_mb / r->growth_mb) : 1;
    preenv_add_advice(
        r,
        "It keeps %.1f MB more with every call. With the declared %lld MB a container lasts %lld calls; look for what the code keeps between calls.",
        r->growth_mb, (long long)r->declared_mb, (long long)r->recycle_calls);
}

static void fell_off(struct preenv_run *r, const struct preenv_config *reference)
{
    (void)reference;
    for (unsigned i = 0; i < r->config_count; i++)
        if (r->configs[i].outcome == PREENV_ABORT)
            preenv_add_advice(
                r, "At %lld MB its heap was full: its runtime gave up before the kernel had to.",
                (long long)r->configs[i].memory_mb);
}

static void noise(struct preenv_run *r, const struct preenv_config *reference)
{
    double others = reference ? reference->others : 0, worst = 0;

    for (unsigned i = 0; i < r->config_count; i++) {
        const struct preenv_config *c = &r->configs[i];

        r->noisy |= c->noisy;
        if (c == reference || (c == chosen(r) && c->outcome == PREENV_OK)) {
            worst = c->noise > worst ? c->noise : worst;
            others = c->others > others ? c->others : others;
        }
    }
    r->noisy |= others > 0.25 || worst > r->request.tolerance;
    if (r->noisy && worst >= 0.0005)
        preenv_add_advice(
            r,
            "Noisy: others used %.0f %% of the host's processors, and the median of the run time may be off by %.1f %%. CPU time decided where run time could not; run it again on a quiet host.",
            100 * others, 100 * worst);
    else if (r->noisy) /* too few calls, or too short ones, for a range */
        preenv_add_advice(
            r,
            "Noisy: others used %.0f %% of the host's processors, and how far the run time may be off could not be told from its calls. CPU time decided where run time could not; run it again on a quiet host.",
            100 * others);
}

void preenv_advise(struct preenv_run *r, int reference)
{
    static void (*const rules[])(struct preenv_run * r, const struct preenv_config *reference) = {
        saving, not_enough, start_is_larger, one_payload_is_larger,
        grows,  page_cache, fell_off,        noise,
    };

    for (size_t i = 0; i < nr_countof(rules); i++)
        rules[i](r, reference >= 0 ? &r->configs[reference] : NULL);
}

/* ---- drift --------------------------------------------------------------------------------------------------- */

/* Real calls differ more than test calls do, and the record of one has whole milliseconds. */
enum { DRIFT_CALLS_MIN = 20, DRIFT_MS = 5, DRIFT_MB = 8 };

bool preenv_drifted(const struct preenv_run *r, const struct preenv_production *p, char text[240])
{
    const struct preenv_config *c = chosen(r);

    if (c == NULL && r->config_count > 0)
        c = &r->configs[0];
    if (r->state != PREENV_DONE || c == NULL || p->calls < DRIFT_CALLS_MIN)
        return false;
    double band = 2 * r->request.tolerance > c->noise ? 2 * r->request.tolerance : c->noise;
    double most_ms = c->p95_ms * (1 + band) + DRIFT_MS, most_mb = c->peak_mb * 1.1 + DRIFT_MB;

    if (p->p95_ms > most_ms)
        (void)snprintf(
            text, 240,
            "Run it again: p95 of the last %lld real calls is %.0f ms, and %.0f ms was measured (%.0f ms are within the band).",
            (long long)p->calls, p->p95_ms, c->p95_ms, most_ms);
    else if (p->peak_mb > most_mb)
        (void)snprintf(
            text, 240,
            "Run it again: real calls used up to %lld MB, and %.0f MB was measured (%.0f MB are within the band).",
            (long long)p->peak_mb, c->peak_mb, most_mb);
    else
        return false;
    return true;
}
