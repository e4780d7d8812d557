/* The platform's forecast over a trace: the functions of forecast.h as the scaler calls them, all functions side by side, minute by minute.
 *
 * What was learned is the same at each price, for a call comes whether or not a container waited for it: so one pass serves them all.
 */
#include "scaler/forecast/bench/bench.h"

#include "common/base/mem.h"
#include "scaler/forecast/forecast.h"

static void settle(struct cost *c, bool warm, bool called)
{
    c->cold += called && !warm;
    c->idle += warm && !called;
}

void cost_forecast(const struct trace *t, const double *prices, size_t n, struct cost *ret)
{
    struct forecast_population *population = forecast_population_make();
    nr_auto_free struct forecast **all = nr_alloc((t->functions + 1) * sizeof *all);
    for (size_t f = 0; f < t->functions; f++)
        all[f] = forecast_make(population);
    for (size_t i = 0; i < n; i++)
        ret[i] = (struct cost){0};
    for (size_t m = 0; m < t->minutes; m++) {
        int64_t minute = (int64_t)(t->first_minute + m);
        for (size_t f = 0; f < t->functions; f++) {
            uint32_t calls = t->calls[f * t->minutes + m];
            double chance = forecast_chance(all[f], minute);
            for (size_t i = 0; i < n; i++)
                settle(&ret[i], forecast_worth(chance, prices[i], -1), calls > 0);
            forecast_minute(all[f], minute, calls, 0, false);
        }
    }
    for (size_t f = 0; f < t->functions; f++)
        forecast_free(all[f]);
    forecast_population_free(population);
}
