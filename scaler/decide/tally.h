/* The cells of one window as one number. Pure; one thread at a time.
 */
#ifndef NR_SCALER_DECIDE_TALLY_H
#define NR_SCALER_DECIDE_TALLY_H

#include "scaler/decide/cells.h"
#include "scaler/policy/policy.h"

enum { CELLS_MAX = POLICY_WINDOW_MAX_MS / 1000 / COARSE_SECONDS + FINE_MAX_SECONDS };

/* What a window's cells come to. */
struct tally {
    double sum, min, max, first, last;
    int64_t first_cell, last_cell;
    uint64_t known; /* seconds, or values */
    bool extremes;  /* min and max are asked for */
    unsigned n;
    double *each; /* means of cells, for percentiles, CELLS_MAX of them; NULL: none is asked for */
};

/* q of AGGREGATE_P50 and its kin; 0: it is none of them. */
double aggregate_quantile(enum aggregate a);
/* Cells come in the order of their numbers; empty ones are passed over. */
void tally_add(struct tally *t, const struct cell *c, int64_t number);
/* Cells of one value that lie one after another, up to the first that is NAN, n at most: the same as each alone. How many they were. */
unsigned tally_values(struct tally *t, const double *value, unsigned n, int64_t number);
/* Cells first..last, for which ring_is_whole(): the same as each alone where t has added up to 0 so far, and neither extremes nor percentiles are asked
 * for. */
void tally_sum(struct tally *t, const struct ring *r, int64_t first, int64_t last);
/* n cells of a ring of columns, none of them empty, that lie one after another from a place on: the same as each alone. */
void tally_row(struct tally *t, const struct ring *r, unsigned at, unsigned n, int64_t number);
/* counter: the rate is that of what was counted; else that of the rise. coarse: cells are of ten seconds. Sorts t->each. */
double tally_value(struct tally *t, enum aggregate a, bool counter, bool coarse);

#endif
