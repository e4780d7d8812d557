/* Quantiles of weighted samples, and the range in which the ratio of two of them lies. Pure; randomness from a fixed seed. Any thread.
 */
#ifndef NR_FNMANAGER_PREENV_RANGE_H
#define NR_FNMANAGER_PREENV_RANGE_H

#include "fnmanager/preenv/preenv.h"

/* One figure of a sample; < 0: it has none. */
typedef double (*preenv_figure)(const struct preenv_sample *s);

/* Which samples count, and how much. */
struct preenv_pick {
    preenv_figure figure;
    const double *weights; /* lent; of each payload, shared by its calls, however many there were */
    unsigned payloads;
    bool cold; /* cold calls, or warm ones */
};

struct preenv_range {
    bool known;
    double base, at; /* quantile of the reference; the ratio to it */
    double lo, hi;   /* of the ratio, nine times of ten */
    double likely;   /* the ratio is above it three times of four */
};

/* Quantile q (0 to 1) of a series; < 0: nothing was picked. */
double preenv_quantile(const struct preenv_series *s, const struct preenv_pick *pick, double q);
/* Of n > 0 values, which are sorted here. */
double preenv_median(double *v, unsigned n);
/* Quantile q of c to that of the reference, round by round: the median of the ratios of those rounds that both were tested in. */
struct preenv_range preenv_ratio(const struct preenv_series *reference,
                                 const struct preenv_series *c, const struct preenv_pick *pick,
                                 double q);
/* The range of quantile q of all rounds together to itself: how far another run of the same would be off. */
struct preenv_range preenv_spread(const struct preenv_series *s, const struct preenv_pick *pick,
                                  double q);

#endif
