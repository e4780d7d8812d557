/* How many calls will be in flight: the more of what was of late and of what was at this time of the day before.
 */
#include "scaler/forecast/parts.h"

#include <math.h>

#define MINUTE_MS 60000
#define FADE 0.7f

static const char *const class_names[] = {"unknown", "regular",    "dense",
                                          "bursty",  "correlated", "rare"};

const char *arrival_class_text(enum arrival_class c)
{
    return class_names[c];
}

static unsigned slot_of(int64_t minute)
{
    return (unsigned)(minute % 1440) * SLOTS_OF_DAY / 1440;
}

void look_learn(struct forecast *f, int64_t minute, uint64_t calls, uint32_t inflight)
{
    struct slot *s = &f->day[slot_of(minute)];
    bool begins = minute % (1440 / SLOTS_OF_DAY) == 0 || s->days == 0;
    if (begins) {
        s->inflight *= 1 - FADE;
        s->calls *= 1 - FADE;
        s->days += 1;
    }
    s->inflight = fmaxf(s->inflight, (float)inflight);
    s->calls = fmaxf(s->calls, (float)calls);
    f->recent_inflight = fmaxf(f->recent_inflight * FADE, (float)inflight);
}

enum arrival_class forecast_class(const struct forecast *f)
{
    if (f->active < 4)
        return ARRIVAL_UNKNOWN;
    double share = (double)f->active / (double)(f->minutes + 1);
    return share > 0.5 ? ARRIVAL_DENSE : share < 0.003 ? ARRIVAL_RARE : ARRIVAL_BURSTY;
}

double forecast_confidence(const struct forecast *f)
{
    return ((double)f->hits + 0.5) / ((double)f->hits + (double)f->wasted + 2.0);
}

void forecast_look(const struct forecast *f, int64_t now_ms, int64_t horizon_ms, double quantile,
                   struct forecast_view *ret)
{
    int64_t from = now_ms / MINUTE_MS, to = (now_ms + horizon_ms) / MINUTE_MS;
    double most = 0;
    for (int64_t m = from; m <= to && m - from < 1440; m++) {
        double seen = (double)f->day[slot_of(m)].inflight;
        most = fmax(most, seen);
    }
    double spread = 2 * (quantile - 0.5);
    ret->known = f->active >= 4;
    ret->p50 = fmax(most * 0.7, (double)f->recent_inflight);
    ret->p90 = ret->p50 + fmax(0, spread) * fmax(0, most - ret->p50);
    ret->confidence = forecast_confidence(f);
    ret->class = forecast_class(f);
}
