/* The chance of a call, given the time since the last: of those minutes that were as far from a call as this, how many had one? The function's own
 * minutes count in full, all functions' as a few, so a new function begins with what is usual. Old minutes fade.
 */
#include "scaler/forecast/parts.h"

#define FADE 0.995f /* of a step's minutes at each new one */
#define PRIOR 2.0   /* so many minutes all functions together weigh */

unsigned age_step(int64_t minutes)
{
    if (minutes < 1)
        return 0;
    if (minutes <= 20)
        return (unsigned)minutes;
    unsigned step = 20;
    for (int64_t edge = 20; step < AGES - 1 && edge < minutes; step++)
        edge += 1 + edge / 4;
    return step;
}

static void learn(struct hazard *h, unsigned step, bool called)
{
    h->asked[step] = h->asked[step] * FADE + 1;
    h->came[step] = h->came[step] * FADE + (called ? 1 : 0);
}

void hazard_learn(struct forecast *f, int64_t minute, bool called)
{
    if (f->called < 0)
        return;
    unsigned step = age_step(minute - f->called);
    learn(&f->hazard, step, called);
    learn(&f->population->hazard, step, called);
}

double hazard_chance(const struct forecast *f, int64_t minute)
{
    if (f->called < 0)
        return 0;
    unsigned step = age_step(minute - f->called);
    const struct hazard *all = &f->population->hazard;
    double usual = ((double)all->came[step] + 0.1) / ((double)all->asked[step] + 1.0);
    return ((double)f->hazard.came[step] + PRIOR * usual) / ((double)f->hazard.asked[step] + PRIOR);
}
