/* What the files of the forecast share; nobody else includes it.
 *
 * Time is minutes since 1970. `heard` is the last minute that is accounted, `called` the last with a call. `past` is one bit a minute, the youngest first:
 * when it was called, for a little more than a day. All is bounded and of one size, so a forecast is one allocation.
 */
#ifndef NR_SCALER_FORECAST_PARTS_H
#define NR_SCALER_FORECAST_PARTS_H

#include "scaler/forecast/forecast.h"

enum {
    DAY = 1440,
    AGES = 64,       /* steps of the time since the last call: by the minute at first, then wider */
    LAGS = 22,       /* periods that are tried */
    PAST_WORDS = 24, /* 1,536 minutes */
    PAST_BITS = PAST_WORDS * 64,
    GAPS = 3,            /* the last gaps between calls */
    SLOTS = 480,         /* of the day */
    SLOT_MINUTES = 3,    /* a slot's minutes */
    HOUR = 60,           /* a slot of the hour is a minute */
    WEEK_HOURS = 7 * 24, /* slots of the week */
    MISSES = 12,         /* steps of what came against what was foreseen */
    LEVELS = 6           /* of what was foreseen, each with misses of its own */
};

/* hazard.c: who says what the chance is. */
enum opinion {
    SAYS_USUAL, /* all functions that are called about as often, as long after a call */
    SAYS_OWN,   /* this function as long after a call */
    SAYS_NEAR,  /* the same, and about as long */
    SAYS_HOUR,  /* one, two and three hours ago */
    SAYS_DAY,   /* yesterday at this time */
    SAYS_ECHO,  /* the last gaps come again */
    SAYS_LAG,   /* the best of the periods that are due now */
    SAYS_LEAD,  /* a function of the account that is called before it just was; else nothing */
    OPINIONS
};

/* Tables of the population: in each cell the share of minutes that had a call. */
enum { CELLS_USUAL = AGES * 8, CELLS_HOUR = 32 * 4 * 8, CELLS_DAY = 16 * 8, CELLS_ECHO = 125 * 8 };
enum { CELLS_LAG = 16 * 5 * 8 * 8, CELLS_LEAD = 8 * 8 };
enum {
    AT_USUAL = 0,
    AT_HOUR = AT_USUAL + CELLS_USUAL,
    AT_DAY = AT_HOUR + CELLS_HOUR,
    AT_ECHO = AT_DAY + CELLS_DAY,
    AT_LAG = AT_ECHO + CELLS_ECHO,
    AT_LEAD = AT_LAG + CELLS_LAG,
    CELLS = AT_LEAD + CELLS_LEAD
};
enum { TABLES = 6, MIX_SETS = 48, SETS_LED = 40 /* from here on: with a leader */, MIXERS = 2 };

struct cell {
    float share, told;
};

/* lead.c: when a function had its last calls after quiet. */
enum { LEADS = 3, ROUSED = 4096, ROUSED_LATELY = 64 };
struct roused {
    uint32_t who, group;
    int64_t minute, before; /* the last, and the one before */
};
struct lead {
    uint32_t who;    /* 0: nobody */
    float due, came; /* how often it led, and how often this one followed */
};

struct forecast_population {
    struct cell cell[CELLS];
    float weight[MIXERS][MIX_SETS][OPINIONS];
    uint64_t told; /* minutes learned from */
    struct roused roused[ROUSED];
    uint32_t lately[ROUSED_LATELY], lately_next; /* who was roused */
    uint32_t made;                               /* the last id */
};

/* How much of what was promised came true; both fade. */
struct kept {
    float promised, came;
};
struct lag {
    /* minutes with a call one such period before, and those that had a call themselves; the same, a minute off */
    float due, came, due_near, came_near;
};

/* look.c: how many are in flight at a time. Whoever says it is judged by what came. */
enum season { BY_LATE, BY_HOUR, BY_DAY, BY_WEEK, SEASONS };

struct forecast {
    struct forecast_population *population;
    int64_t heard, called, began; /* -1: none yet */
    uint64_t past[PAST_WORDS];
    uint32_t id, group;  /* of the population; of the account, 0: alone */
    uint16_t past_calls; /* bits set in `past` */
    uint16_t gap[GAPS];  /* the youngest first; 0: none */
    uint32_t calls;      /* minutes with a call, ever; stops at its end */
    /* minutes so long after a call, and those of them that had one */
    float asked[AGES], came[AGES];
    struct lag lag[LAGS];
    struct kept chance;                               /* of the hazard */
    uint8_t hour[HOUR], day[SLOTS], week[WEEK_HOURS]; /* in flight, as season_store() has it */
    float late, hour_sum;          /* in flight: in the slot before; over the hour that runs */
    float says[SEASONS], promised; /* for the slot that runs; `promised` of all */
    float slot_most;               /* and what came in it so far */
    uint8_t slot_told, hour_told;  /* minutes in these */
    struct kept season[SEASONS], look;
    struct lead lead[LEADS];
    struct kept roused; /* times it was called after quiet, and those with a leader */
    uint8_t miss[LEVELS][MISSES];
};

struct guess {
    double chance;
    double in[OPINIONS], mixed[MIXERS];
    uint16_t cell[TABLES];
    uint8_t set[MIXERS], step, lead;
    uint32_t due, due_near; /* a bit per lag */
};

/* prior.c: what is believed before anything was learned. */
void hazard_begin(struct forecast_population *p);
/* hazard.c: the last minute of a step of the time since a call. */
int64_t age_minutes(unsigned step);
/* What is foreseen for `minute` if no call came since `heard`; only after a first call. */
void hazard_guess(const struct forecast *f, int64_t minute, struct guess *ret);
/* It is over: who was right? */
void hazard_learn(struct forecast *f, const struct guess *g, bool called);

/* past.c: 64 minutes, the youngest first, from `back` minutes before the last that is accounted; those outside, also those still to come (back < 0),
 * had no call. */
uint64_t past_bits(const struct forecast *f, int64_t back);
/* One more minute. */
void past_add(struct forecast *f, bool called);
/* `n` minutes of which nothing is known, taken as without a call. */
void past_skip(struct forecast *f, int64_t n);

/* lead.c: who leads, 0: nobody; 1 to 7: the surer. A minute is over. */
unsigned lead_cell(const struct forecast *f, int64_t minute);
void lead_learn(struct forecast *f, int64_t minute, bool called);

extern const uint8_t lag_minutes[LAGS]; /* the periods */

/* look.c: a minute is over. */
void look_learn(struct forecast *f, int64_t minute, uint32_t inflight);

/* Something was promised, and so much of it came; what was promised long ago fades, what was not leaves no trace. */
void kept_add(struct kept *k, double promised, double came, double memory);
enum { KEPT_MEMORY = 100 }; /* promising minutes or slots by which a forecast is judged */
/* 0..1; a third while nothing was promised. */
double kept_share(const struct kept *k);

/* Of two numbers; nobody here holds a NaN, so the compiler may take one instruction where fmin() takes a call. */
static inline double lesser(double a, double b)
{
    return a < b ? a : b;
}
static inline double greater(double a, double b)
{
    return a > b ? a : b;
}

#endif
