/* How many calls will be in flight at a time.
 *
 * Four say a number: what was of late, what was at this minute of the hours before, at this time of the days before, at this hour of the weeks before.
 * Each is believed as far as what it promised came (`kept`), and the largest that is left counts: a forecast raises floors, so who foresees a peak
 * should not be outvoted by who cannot. How far what came lay from that, as a ratio, is counted too; its quantiles give the band.
 */
#include "scaler/forecast/parts.h"

#include <math.h>

#define MINUTE_MS 60000
#define LATE_FADE 0.7f    /* of what was of late, a minute */
#define SEASON_MOVES 0.5  /* so far a season moves towards its newest round */
#define UNITS 8.0         /* a stored number's least is one of so many parts of a call */
#define STEPS 16.0f       /* of a stored number to a doubling */
#define RATIO_FADE 0.99f  /* of the ratios at each new one */
#define RATIO_STEPS 2.0   /* to a doubling */
#define PROMISE_FADE 0.01 /* of what was kept at each new promise of one or more */
#define CREDIT                                                                                     \
    2.0 /* a season that has promised nothing is believed as if so much had been promised ... */
#define CREDIT_KEPT 1.8     /* ... and this had come */
#define LOOK_MINUTES_MAX 60 /* no horizon is looked at beyond this */

void kept_add(struct kept *k, double promised, double came)
{
    double fade = 1 - PROMISE_FADE * lesser(1, promised);
    k->promised = (float)((double)k->promised * fade + promised);
    k->came = (float)((double)k->came * fade + came);
}

double kept_share(const struct kept *k)
{
    return lesser(1, ((double)k->came + 0.5) / ((double)k->promised + 1.5));
}

/* One byte: 0 not known, 1 none, then in steps of a sixteenth of a doubling from an eighth on. */
static double stored(uint8_t v)
{
    return v < 2 ? v - 1 : (double)exp2f((float)(v - 2) / STEPS) / UNITS;
}

/* Half way from what it was to the newest round. */
static void season_store(uint8_t *v, double inflight)
{
    double old = stored(*v);
    double now = old < 0 ? inflight : old + SEASON_MOVES * (inflight - old);
    double step = now * UNITS < 1 ? -1 : STEPS * (double)log2f((float)(now * UNITS)) + 0.5;
    *v = (uint8_t)(2 + lesser(step, UINT8_MAX - 2));
}

static uint8_t *day_slot(struct forecast *f, int64_t minute)
{
    return &f->day[minute % DAY / SLOT_MINUTES];
}

/* 1970 began on a Thursday; which day begins the week does not matter here. */
static uint8_t *week_slot(struct forecast *f, int64_t minute)
{
    return &f->week[minute / HOUR % WEEK_HOURS];
}

/* What one of them says of a minute; -1: nothing. */
static double season_says(const struct forecast *f, enum season s, int64_t minute)
{
    switch (s) {
    case BY_LATE: return (double)f->late;
    case BY_HOUR: return stored(f->hour[minute % HOUR]);
    case BY_DAY: return stored(f->day[minute % DAY / SLOT_MINUTES]);
    case BY_WEEK: return stored(f->week[minute / HOUR % WEEK_HOURS]);
    case SEASONS: break;
    }
    return -1;
}

static double believed(const struct kept *k)
{
    return lesser(1, ((double)k->came + CREDIT_KEPT) / ((double)k->promised + CREDIT));
}

static double expected(const struct forecast *f, int64_t minute)
{
    double most = 0;
    for (enum season s = 0; s < SEASONS; s++) {
        double says = season_says(f, s, minute);
        if (says > 0)
            most = greater(most, says * believed(&f->season[s]));
    }
    return most;
}

static void judge(struct forecast *f, int64_t minute, double inflight)
{
    double all = expected(f, minute);
    for (enum season s = 0; s < SEASONS; s++) {
        double says = season_says(f, s, minute);
        if (says > 0)
            kept_add(&f->season[s], says, lesser(says, inflight));
    }
    if (all < 0.5 && inflight < 0.5)
        return;
    kept_add(&f->look, all, lesser(all, inflight));
    double step = RATIOS / 2.0 + RATIO_STEPS * log2((inflight + 0.5) / (all + 0.5));
    for (size_t i = 0; i < RATIOS; i++)
        f->ratio[i] *= RATIO_FADE;
    f->ratio[(size_t)lesser(greater(step, 0), RATIOS - 1)] += 1;
}

void look_learn(struct forecast *f, int64_t minute, uint32_t inflight)
{
    judge(f, minute, inflight);
    f->late = greater(f->late * LATE_FADE, (float)inflight);
    season_store(&f->hour[minute % HOUR], inflight);
    f->slot_sum += (float)inflight;
    f->slot_told++;
    if (minute % SLOT_MINUTES == SLOT_MINUTES - 1) {
        season_store(day_slot(f, minute), (double)f->slot_sum / f->slot_told);
        f->slot_sum = 0, f->slot_told = 0;
    }
    f->hour_sum += (float)inflight;
    f->hour_told++;
    if (minute % HOUR == HOUR - 1) {
        season_store(week_slot(f, minute), (double)f->hour_sum / f->hour_told);
        f->hour_sum = 0, f->hour_told = 0;
    }
}

/* So many doublings lie between what is expected and the quantile of what came; 0 while nothing is known. */
static double ratio_quantile(const struct forecast *f, double quantile)
{
    double all = 0, below = 0;
    for (size_t i = 0; i < RATIOS; i++)
        all += (double)f->ratio[i];
    for (size_t i = 0; i < RATIOS && all > 0; i++) {
        double here = (double)f->ratio[i];
        if (below + here >= quantile * all && here > 0)
            return ((double)i + (quantile * all - below) / here - RATIOS / 2.0) / RATIO_STEPS;
        below += here;
    }
    return 0;
}

static double at_ratio(double inflight, double doublings)
{
    return inflight <= 0 ? 0 : greater(0, (inflight + 0.5) * exp2(doublings) - 0.5);
}

void forecast_look(const struct forecast *f, int64_t now_ms, int64_t horizon_ms, double quantile,
                   struct forecast_view *ret)
{
    int64_t from = now_ms / MINUTE_MS,
            to = (now_ms + (horizon_ms > 0 ? horizon_ms : 0)) / MINUTE_MS;
    double most = 0, none = 1;
    for (int64_t m = from; m <= to && m - from < LOOK_MINUTES_MAX; m++) {
        most = greater(most, expected(f, m));
        if (m > f->heard)
            none *= 1 - forecast_chance(f, m);
    }
    quantile = lesser(greater(quantile, 0.5), 0.999);
    double middle = at_ratio(most, ratio_quantile(f, 0.5));
    double high = at_ratio(most, ratio_quantile(f, quantile));
    *ret =
        (struct forecast_view){.known = f->calls > 0,
                               .p50 = greater(middle, 1 - none >= 0.5 ? 1 : 0),
                               .confidence = lesser(kept_share(&f->look), kept_share(&f->chance)),
                               .class = forecast_class(f)};
    ret->p90 = greater(greater(ret->p50, high), none <= quantile ? 1 : 0);
}
