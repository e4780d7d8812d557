/* What kind of arrivals a function has: words for people, and for the choice of a model.
 */
#include "scaler/forecast/parts.h"

#define LED_SHARE 0.7      /* of the times it was called after quiet, with a leader */
#define LED_TIMES 2.5      /* so often at least */
#define REGULAR_SHARE 0.75 /* of the times when a period was due and a call came */

enum { KNOWN_CALLS = 4, RARE_MINUTES = 240, REGULAR_DUE = 2 };

static const char *const names[] = {"unknown", "regular", "dense", "bursty", "correlated", "rare"};

const char *arrival_class_text(enum arrival_class c)
{
    return names[c];
}

static bool gaps_alike(const struct forecast *f)
{
    int least = f->gap[0], most = f->gap[0];
    for (size_t i = 1; i < GAPS; i++) {
        least = f->gap[i] < least ? f->gap[i] : least;
        most = f->gap[i] > most ? f->gap[i] : most;
    }
    return least > 1 && most - least <= 1 + most / 20;
}

static bool has_period(const struct forecast *f)
{
    for (size_t i = 0; i < LAGS; i++) {
        const struct lag *l = &f->lag[i];
        if ((double)l->due > REGULAR_DUE && (double)l->came >= REGULAR_SHARE * (double)l->due)
            return true;
    }
    return false;
}

enum arrival_class forecast_class(const struct forecast *f)
{
    int64_t known = f->heard - f->began + 1;
    int64_t past = known < PAST_BITS ? known : PAST_BITS;
    if (f->calls == 0 || (f->calls < KNOWN_CALLS && known < DAY))
        return ARRIVAL_UNKNOWN;
    if (f->past_calls * 2 >= past)
        return ARRIVAL_DENSE;
    if (f->calls >= KNOWN_CALLS && (gaps_alike(f) || has_period(f)))
        return ARRIVAL_REGULAR;
    if ((double)f->roused.promised > LED_TIMES &&
        (double)f->roused.came >= LED_SHARE * (double)f->roused.promised)
        return ARRIVAL_CORRELATED;
    return (int64_t)f->past_calls * RARE_MINUTES < past ? ARRIVAL_RARE : ARRIVAL_BURSTY;
}
