/* What a population begins with, before any minute was learned from: rules of thumb, so that the first functions of a new installation are not treated by
 * chance. Each counts as little as a few minutes of evidence.
 */
#include "scaler/forecast/parts.h"

#include <math.h>

#define SHARE_LEAST 0.0005
#define SHARE_MOST 0.98
#define BEGIN_TOLD 3.0f /* minutes that a rule of thumb weighs */

/* Called once only; then as often as each step of how_often() says. */
static const double rates[8] = {0.002, 0.002, 0.01, 0.03, 0.07, 0.15, 0.3, 0.6};
static const float weights[OPINIONS] = {
    [SAYS_USUAL] = 0.1f, [SAYS_OWN] = 0.3f,  [SAYS_NEAR] = 0.2f, [SAYS_HOUR] = 0.2f,
    [SAYS_DAY] = 0.05f,  [SAYS_ECHO] = 0.2f, [SAYS_LAG] = 0.2f};

/* Calls cluster: the sooner after one, the likelier the next. */
static double usual(size_t i)
{
    double age = greater(1, (double)age_minutes((unsigned)(i / 8)));
    return 0.5 * rates[i % 8] + 0.2 / age;
}

/* As many of the hours that are known had a call at this minute, it will. */
static double by_hour(size_t i)
{
    unsigned bits = (unsigned)(i / 32), known = (unsigned)(i / 8 % 4);
    double hits = __builtin_popcount(bits & 7), near = __builtin_popcount(bits >> 3);
    if (known == 0)
        return 0.08;
    double part = lesser(1, (hits + 0.1 * near) / known);
    return 0.02 + 0.9 * part * part;
}

static double by_yesterday(size_t i)
{
    static const double shares[] = {0.05, 0.02, 0.02, 0.02, 0.02, 0.05, 0.4,  0.25,
                                    0.5,  0.4,  0.5,  0.4,  0.6,  0.1,  0.05, 0.05};
    return shares[i / 8];
}

/* Of the last gaps: 1 is reached now, 2 is missed by a minute. The youngest tells most. */
static double by_echo(size_t i)
{
    size_t combined = i / 8, is[GAPS] = {combined / 25, combined / 5 % 5, combined % 5};
    double exact = 0, near = 0;
    static const double tells[GAPS] = {0.6, 0.25, 0.15};
    for (size_t g = 0; g < GAPS; g++) {
        exact += is[g] == 1 ? tells[g] : 0;
        near += is[g] == 2 ? tells[g] : 0;
    }
    return 0.015 + 0.95 * exact * exact + 0.15 * near;
}

/* A period that is due is as sure as it was, squared: the best of many flatters itself. */
static double by_lag(size_t i)
{
    double sure = ((double)(i / 320) + 0.5) / 16;
    return i / 320 == 0 ? 0.01 : sure * sure;
}

/* One that led will lead, as surely as it did. */
static double by_lead(size_t i)
{
    double sure = ((double)(i / 8) - 0.5) / 7;
    return i / 8 == 0 ? 0.05 : sure * sure;
}

static const struct {
    size_t at, count;
    double (*share)(size_t i);
} tables[TABLES] = {
    {AT_USUAL, CELLS_USUAL, usual},    {AT_HOUR, CELLS_HOUR, by_hour},
    {AT_DAY, CELLS_DAY, by_yesterday}, {AT_ECHO, CELLS_ECHO, by_echo},
    {AT_LAG, CELLS_LAG, by_lag},       {AT_LEAD, CELLS_LEAD, by_lead},
};

void hazard_begin(struct forecast_population *p)
{
    for (size_t t = 0; t < TABLES; t++)
        for (size_t i = 0; i < tables[t].count; i++)
            p->cell[tables[t].at + i] = (struct cell){
                (float)lesser(greater(tables[t].share(i), SHARE_LEAST), SHARE_MOST), BEGIN_TOLD};
    for (size_t m = 0; m < MIXERS; m++)
        for (size_t s = 0; s < MIX_SETS; s++)
            for (size_t o = 0; o < OPINIONS; o++)
                p->weight[m][s][o] = s < SETS_LED ? weights[o] : o == SAYS_LEAD ? 0.9f : 0.05f;
}
