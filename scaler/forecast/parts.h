/* What the files of the forecast share; nobody else includes it.
 *
 * Time is minutes since 1970. `heard` is the last minute that is accounted; `called` the last with a call. `past` is one bit a minute, the youngest
 * first: what was called when, for as long as a day. All is bounded and of one size, so a forecast is one allocation.
 */
#ifndef NR_SCALER_FORECAST_PARTS_H
#define NR_SCALER_FORECAST_PARTS_H

#include "scaler/forecast/forecast.h"

enum {
    AGES = 40, /* steps of the time since the last call: by the minute at first, then wider */
    SLOTS_OF_DAY = 48 /* of the seasonal model */
};

/* The time since the last call in steps; ages beyond the last step stay there. */
unsigned age_step(int64_t minutes);

struct hazard {
    float asked[AGES], came[AGES]; /* minutes in this step, and those of them that had a call */
};
struct forecast_population {
    struct hazard hazard;
};

struct slot {
    float calls, inflight; /* of the minutes of this time of the day, as of late */
    float days;            /* how often it was told */
};

struct forecast {
    struct forecast_population *population;
    int64_t heard, called, began; /* -1: none yet */
    struct hazard hazard;
    struct slot day[SLOTS_OF_DAY];
    float recent_inflight; /* the last minutes' highest, as of late */
    float hits, wasted;    /* of minutes that it said are warm */
    uint64_t minutes, active;
};

/* One minute is over: the chance that was foreseen is compared with what came. */
void hazard_learn(struct forecast *f, int64_t minute, bool called);
/* The chance of a call in `minute` if none came since the last that is known. */
double hazard_chance(const struct forecast *f, int64_t minute);
void look_learn(struct forecast *f, int64_t minute, uint64_t calls, uint32_t inflight);

#endif
