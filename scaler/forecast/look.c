/* How many calls will be in flight at a time.
 *
 * Four say a number: what was of late, what was at this minute of the hours before, at this time of the days before, at this hour of the weeks before.
 * A season is believed as far as what it promised beyond what was there already came; so one that has not noticed the evening is silent after a few minutes.
 * The largest that is left counts: a forecast raises floors, so who foresees a peak should not be outvoted by who cannot. How far what came lay from
 * that is counted too, as the difference of square roots, for calls scatter with the root of their number; its quantiles give the band.
 */
#include "scaler/forecast/parts.h"

#include <math.h>

#define MINUTE_MS 60000
#define SEASON_MOVES 0.5    /* so far a season moves towards its newest round */
#define UNITS 8.0           /* a stored number's least is one of so many parts of a call */
#define STEPS 16.0f         /* of a stored number to a doubling */
#define MISSES_NONE 6       /* so many times it was right is taken for granted */
#define MISSES_KEPT 120     /* of each size; then all count half */
#define SEASON_MEMORY 20    /* promising slots by which a season is judged */
#define CREDIT 2.0          /* a season is believed at first as if so much had been promised ... */
#define CREDIT_KEPT 1.8     /* ... and this had come */
#define LOOK_MINUTES_MAX 60 /* no horizon is looked at beyond this */

void kept_add(struct kept *k, double promised, double came, double memory)
{
    double fade = 1 - lesser(1, promised) / memory;
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
    case BY_LATE: return greater((double)f->late, (double)f->slot_most);
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

/* A slot begins: what does each promise for it? */
static void promise(struct forecast *f, int64_t minute)
{
    f->promised = f->slot_most = 0;
    f->slot_told = 0;
    for (enum season s = 0; s < SEASONS; s++) {
        double most = 0;
        for (int64_t m = minute; m < minute + SLOT_MINUTES; m++)
            most = greater(most, season_says(f, s, m));
        f->says[s] = (float)most;
        f->promised = (float)greater((double)f->promised, most * believed(&f->season[s]));
    }
}

static unsigned level_of(double inflight)
{
    static const double edges[LEVELS - 1] = {1.5, 2.5, 4, 9, 20};
    unsigned level = 0;
    while (level < LEVELS - 1 && inflight >= edges[level])
        level++;
    return level;
}

/* Each size of what was foreseen has misses of its own, in steps so wide. */
static const double miss_width[LEVELS] = {0.2, 0.2, 0.2, 0.25, 0.3, 0.4};

static void miss_add(uint8_t *miss, double step)
{
    unsigned all = 0;
    miss[(size_t)lesser(greater(step, 0), MISSES - 1)]++;
    for (size_t i = 0; i < MISSES; i++)
        all += miss[i];
    for (size_t i = 0; i < MISSES && all > MISSES_KEPT; i++)
        miss[i] /= 2;
}

/* It is over. A season is judged by what it promised beyond what was there before, if that is more than what scatters anyway. */
static void judge(struct forecast *f)
{
    double most = (double)f->slot_most, before = (double)f->says[BY_LATE];
    double promised = (double)f->promised;
    kept_add(&f->season[BY_LATE], before, lesser(before, most), SEASON_MEMORY);
    for (enum season s = BY_LATE + 1; s < SEASONS; s++) {
        double more = (double)f->says[s] - before;
        if (more > 1 + sqrt(before))
            kept_add(&f->season[s], more, greater(0, lesser(more, most - before)), SEASON_MEMORY);
    }
    if (promised < 0.5 && most < 0.5)
        return;
    kept_add(&f->look, promised, lesser(promised, most), KEPT_MEMORY);
    unsigned level = level_of(promised);
    double roots = sqrt(most) - sqrt(promised);
    miss_add(f->miss[level], MISSES / 2 + 0.5 + roots / miss_width[level]);
}

void look_learn(struct forecast *f, int64_t minute, uint32_t inflight)
{
    if (minute % SLOT_MINUTES == 0)
        promise(f, minute);
    f->slot_most = (float)greater((double)f->slot_most, inflight);
    f->slot_told++;
    season_store(&f->hour[minute % HOUR], inflight);
    if (minute % SLOT_MINUTES == SLOT_MINUTES - 1) {
        if (f->slot_told == SLOT_MINUTES)
            judge(f);
        season_store(day_slot(f, minute), (double)f->slot_most);
        f->late = f->slot_most;
    }
    f->hour_sum += (float)inflight;
    f->hour_told++;
    if (minute % HOUR == HOUR - 1) {
        season_store(week_slot(f, minute), (double)f->hour_sum / f->hour_told);
        f->hour_sum = 0, f->hour_told = 0;
    }
}

/* What came at this quantile, where `inflight` was foreseen; that itself while nothing is known. A step of the misses counts as its middle, so that what
 * never scatters has no band. Whole calls: half a call more would be a container more. */
static double at_quantile(const struct forecast *f, double inflight, double quantile)
{
    unsigned level = level_of(inflight);
    double root = sqrt(inflight);
    unsigned all = MISSES_NONE, below = 0;
    for (size_t i = 0; i < MISSES; i++)
        all += f->miss[level][i];
    for (int i = 0; i < MISSES && inflight > 0; i++) {
        below += f->miss[level][i] + (i == MISSES / 2 ? MISSES_NONE : 0);
        if (below > 0 && below >= quantile * all) {
            root = greater(0, root + (i - MISSES / 2) * miss_width[level]);
            break;
        }
    }
    return floor(root * root + 0.5);
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
    double middle = at_quantile(f, most, 0.5);
    double high = at_quantile(f, most, quantile);
    *ret =
        (struct forecast_view){.known = f->calls > 0,
                               .p50 = greater(middle, 1 - none >= 0.5 ? 1 : 0),
                               .confidence = lesser(kept_share(&f->look), kept_share(&f->chance)),
                               .class = forecast_class(f)};
    ret->p90 = greater(greater(ret->p50, high), none <= quantile ? 1 : 0);
}
