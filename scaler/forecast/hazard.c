/* The chance of a call in a minute, given when calls came before.
 *
 * Several opinions are asked: what is usual so long after a call among all functions, what this function did so long after its calls, what it did an hour
 * and a day ago, whether its last gaps repeat, which of its periods is due. Each is a probability that is counted, not assumed. They are mixed in the
 * log-odds domain with weights that the population learns from every minute of every function, by how wrong the mix was; which set of weights holds
 * depends on how long ago the last call was and how much is known of the function. Thus what is worth believing is learned too, and the result is
 * calibrated enough to be held against one price for all functions.
 */
#include "scaler/forecast/parts.h"

#include <math.h>

#define CELL_MEMORY 1000   /* minutes that a cell of all functions remembers */
#define OWN_FADE 0.99f     /* of the function's own minutes at each new one of their kind */
#define LAG_FADE 0.9f      /* of a period's */
#define OWN_PRIOR 1.0      /* so many minutes what is usual weighs against the function's own */
#define RATE_FIRST 0.02    /* how fast weights learn at first ... */
#define RATE_HALVES 500.0  /* ... slower with the root of what was learned, in these units ... */
#define RATE_LAST 0.002    /* ... and in the end */
#define WEIGHT_MOST 4.0f   /* bound of a weight */
#define ODDS_LEAST 1e-5    /* bound of a probability before its log-odds are taken */
#define LAG_SURE 15.99     /* steps of a period's reliability */
#define LAG_SURE_NEAR 7.99 /* the same, a minute off */

const uint8_t lag_minutes[LAGS] = {2,  3,  4,  5,  6,  7,  8,  9,  10,  12,  15,
                                   20, 24, 25, 30, 40, 45, 60, 90, 120, 180, 240};

static double log_odds(double p)
{
    p = lesser(greater(p, ODDS_LEAST), 1 - ODDS_LEAST);
    return (double)logf((float)(p / (1 - p)));
}

static double chance_of(double odds)
{
    return 1 / (1 + (double)expf((float)-odds));
}

/* The index of the first edge that v does not exceed. */
static unsigned step_of(double v, const double *edges, unsigned n)
{
    unsigned i = 0;
    while (i < n && v > edges[i])
        i++;
    return i;
}

/* By the minute up to half an hour, then each step a twelfth wider than what lies before it; the last stands for all beyond. */
static unsigned age_step(int64_t minutes)
{
    if (minutes <= 30)
        return minutes < 0 ? 0 : (unsigned)minutes;
    unsigned step = 30;
    for (int64_t edge = 30; step < AGES - 1 && edge < minutes; step++)
        edge += 1 + edge / 12;
    return step;
}

int64_t age_minutes(unsigned step)
{
    int64_t minutes = step < 30 ? step : 30;
    for (unsigned s = 30; s < step; s++)
        minutes += 1 + minutes / 12;
    return minutes;
}

/* The time since the last call in eight parts. */
static unsigned age_part(unsigned step)
{
    static const double edges[] = {1, 2, 4, 9, 19, 31, 40};
    return step_of(step, edges, 7);
}

static unsigned bits_of(unsigned v)
{
    return v == 0 ? 0 : 32 - (unsigned)__builtin_clz(v);
}

/* How often it is called: 0 while there was one call only. */
static unsigned how_often(const struct forecast *f, int64_t known)
{
    static const double edges[] = {0, 0.02, 0.05, 0.1, 0.2, 0.4};
    if (f->calls <= 1)
        return 0;
    double known_past = known < PAST_BITS ? (double)known : PAST_BITS;
    return 1 + step_of(f->past_calls / (known_past + 1), edges, 6);
}

/* What came `ago` minutes before the minute that is foreseen, which is `ahead` after the last accounted: bit 0 that minute, bit 1 one of those beside it
 * (but not the foreseen one). */
enum { THEN = 1, BESIDE = 2 };
static unsigned was(const struct forecast *f, int64_t ahead, int64_t ago)
{
    unsigned three = (unsigned)past_bits(f, ago - 1 - ahead) & 7;
    return (three >> 1 & 1) | ((three & 5) != 0 ? BESIDE : 0);
}

static unsigned hour_cell(const struct forecast *f, int64_t ahead, int64_t known)
{
    static const double edges[] = {59, 119, 179};
    unsigned one = was(f, ahead, 60), two = was(f, ahead, 120), three = was(f, ahead, 180);
    unsigned bits = (one & 1) | (two & 1) << 1 | (three & 1) << 2 | one >> 1 << 3 | two >> 1 << 4;
    return bits * 4 + step_of((double)known, edges, 3);
}

static unsigned day_cell(const struct forecast *f, int64_t ahead, int64_t known)
{
    if (known < DAY)
        return 0;
    uint64_t quarter = past_bits(f, DAY - 7 - ahead) & 0x7fff;
    unsigned n = (unsigned)__builtin_popcountll(quarter);
    unsigned amount = n == 0 ? 0 : n < 8 ? 1 : 2;
    return 1 + amount * 4 + was(f, ahead, DAY);
}

/* For each of the last gaps: is it reached now, missed by a minute, still to come, passed? */
static unsigned echo_cell(const struct forecast *f, int64_t age)
{
    unsigned cell = 0;
    for (size_t i = 0; i < GAPS; i++) {
        int64_t gap = f->gap[i];
        unsigned is = gap == 0                           ? 0
                      : age == gap                       ? 1
                      : age - gap == 1 || gap - age == 1 ? 2
                      : age < gap                        ? 3
                                                         : 4;
        cell = cell * 5 + is;
    }
    return cell;
}

/* The most reliable of the periods that are due; which are, is noted for learning. */
static unsigned lag_cell(const struct forecast *f, int64_t ahead, struct guess *g)
{
    static const double edges[] = {0.99, 1.99, 3.99, 7.99};
    double best = 0, seen = 0, best_near = 0;
    for (size_t i = 0; i < LAGS; i++) {
        const struct lag *l = &f->lag[i];
        unsigned then = was(f, ahead, lag_minutes[i]);
        if (then & THEN) {
            double sure = ((double)l->came + 0.1) / ((double)l->due + 0.5);
            sure *= lesser(1, (double)l->due);
            g->due |= 1U << i;
            if (sure > best)
                best = sure, seen = (double)l->due;
        }
        if (then & BESIDE) {
            g->due_near |= 1U << i;
            best_near =
                greater(best_near, ((double)l->came_near + 0.1) / ((double)l->due_near + 1));
        }
    }
    unsigned sure = (unsigned)(lesser(best, 1) * LAG_SURE);
    unsigned near = (unsigned)(lesser(best_near, 1) * LAG_SURE_NEAR);
    return (sure * 5 + step_of(seen, edges, 4)) * 8 + near;
}

/* The function's own share so long after a call; with its neighbours when near. */
static double own_share(const struct forecast *f, unsigned step, bool near, double usual)
{
    static const double weights[] = {0.25, 0.6, 1, 0.6, 0.25};
    double asked = OWN_PRIOR, came = OWN_PRIOR * usual;
    for (int i = near ? -2 : 0; i <= (near ? 2 : 0); i++) {
        int s = (int)step + i;
        if (s < 1 || s >= AGES)
            continue;
        asked += weights[i + 2] * (double)f->asked[s];
        came += weights[i + 2] * (double)f->came[s];
    }
    return came / asked;
}

static void choose_sets(const struct forecast *f, int64_t ahead, int64_t known, unsigned part,
                        struct guess *g)
{
    static const double edges[] = {4, 14, 59, 179};
    uint32_t late = (uint32_t)past_bits(f, 1 - ahead);
    unsigned calls = f->calls > 3 ? 3 : f->calls;
    g->set[0] = (uint8_t)(part * 5 + step_of((double)known, edges, 4));
    g->set[1] = (uint8_t)(bits_of((unsigned)__builtin_popcount(late)) * 5 + calls);
}

static void mix(const struct forecast *f, struct guess *g)
{
    double all = 0;
    for (size_t m = 0; m < MIXERS; m++) {
        const float *w = f->population->weight[m][g->set[m]];
        g->mixed[m] = 0;
        for (size_t o = 0; o < OPINIONS; o++)
            g->mixed[m] += (double)w[o] * g->in[o];
        all += g->mixed[m];
    }
    g->chance = chance_of(all / MIXERS);
}

void hazard_guess(const struct forecast *f, int64_t minute, struct guess *ret)
{
    static const enum opinion says[TABLES] = {SAYS_USUAL, SAYS_HOUR, SAYS_DAY,
                                              SAYS_ECHO,  SAYS_LAG,  SAYS_LEAD};
    int64_t ahead = minute - f->heard, age = minute - f->called, known = minute - f->began;
    unsigned step = age_step(age), part = age_part(step);

    *ret = (struct guess){.step = (uint8_t)step};
    ret->cell[0] = (uint16_t)(AT_USUAL + step * 8 + how_often(f, known));
    ret->cell[1] = (uint16_t)(AT_HOUR + hour_cell(f, ahead, known) * 8 + part);
    ret->cell[2] = (uint16_t)(AT_DAY + day_cell(f, ahead, known) * 8 + part);
    ret->cell[3] = (uint16_t)(AT_ECHO + echo_cell(f, age) * 8 + part);
    ret->cell[4] = (uint16_t)(AT_LAG + lag_cell(f, ahead, ret) * 8 + part);
    ret->lead = (uint8_t)lead_cell(f, minute);
    ret->cell[5] = (uint16_t)(AT_LEAD + ret->lead * 8 + part);
    for (size_t t = 0; t < TABLES; t++)
        ret->in[says[t]] = log_odds((double)f->population->cell[ret->cell[t]].share);
    if (ret->lead == 0)
        ret->in[SAYS_LEAD] = 0;
    double usual = (double)f->population->cell[ret->cell[0]].share;
    ret->in[SAYS_OWN] = log_odds(own_share(f, step, false, usual));
    ret->in[SAYS_NEAR] = log_odds(own_share(f, step, true, usual));
    choose_sets(f, ahead, known, part, ret);
    if (ret->lead > 0)
        ret->set[0] = ret->set[1] = (uint8_t)(SETS_LED + ret->lead);
    mix(f, ret);
}

static void learn_weights(struct forecast_population *p, const struct guess *g, bool called)
{
    double rate = greater(RATE_LAST, RATE_FIRST / sqrt(1 + (double)p->told++ / RATE_HALVES));
    for (size_t m = 0; m < MIXERS; m++) {
        float *w = p->weight[m][g->set[m]];
        double step = rate * ((called ? 1 : 0) - chance_of(g->mixed[m]));
        for (size_t o = 0; o < OPINIONS; o++)
            w[o] = lesser(greater(w[o] + (float)(step * g->in[o]), -WEIGHT_MOST), WEIGHT_MOST);
    }
}

static void fade_in(float *due, float *came, float fade, bool called)
{
    *due = *due * fade + 1;
    *came = *came * fade + (called ? 1 : 0);
}

void hazard_learn(struct forecast *f, const struct guess *g, bool called)
{
    learn_weights(f->population, g, called);
    for (size_t t = 0; t < TABLES; t++) {
        struct cell *c = &f->population->cell[g->cell[t]];
        c->told = lesser(c->told + 1, CELL_MEMORY);
        c->share += ((called ? 1 : 0) - c->share) / (c->told + 0.5f);
    }
    fade_in(&f->asked[g->step], &f->came[g->step], OWN_FADE, called);
    for (size_t i = 0; i < LAGS; i++) {
        struct lag *l = &f->lag[i];
        if (g->due >> i & 1)
            fade_in(&l->due, &l->came, LAG_FADE, called);
        if (g->due_near >> i & 1)
            fade_in(&l->due_near, &l->came_near, LAG_FADE, called);
    }
}
