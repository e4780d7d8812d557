/* Best Env Selector: from what was tested so far to the next configuration, or to the end with a choice and its reason. Pure; any thread.
 */
#ifndef NR_FNMANAGER_PREENV_SELECTOR_H
#define NR_FNMANAGER_PREENV_SELECTOR_H

#include "fnmanager/preenv/preenv.h"

/* One tested configuration, as far as the choice needs it. */
struct preenv_point {
    int64_t size; /* MB, or thousandths of a core */
    enum preenv_outcome outcome;
    bool slower;    /* than the reference */
    double slow_by; /* 0.018: 1.8 % */
    bool by_cpu;    /* more processor time, not run time */
    double peak_mb, init_peak_mb, run_peak_mb;
    double p95_ms;
    const char *error; /* lent */
};

/* What the search is about. */
struct preenv_search {
    bool cpu;
    int64_t declared;
    int64_t floor, ceiling; /* sizes it may try: multiples of 64 MB */
    const int64_t *grid;    /* lent; sizes to test, all of them; NULL: search */
    unsigned grid_count;
    unsigned tested_max; /* of a search */
    double tolerance;
    double target_ms; /* cpu: p95 that is good enough; 0: none */
    double growth_mb; /* per call; 0: none */
};

enum preenv_step { PREENV_TEST, PREENV_CHOOSE, PREENV_NO_CHOICE, PREENV_GIVE_UP };

struct preenv_decision {
    enum preenv_step step;
    int64_t size; /* to test, or chosen */
    char reason[480];
};

/* points in the order in which they were tested. */
void preenv_select(const struct preenv_search *s, const struct preenv_point *points, unsigned n,
                   struct preenv_decision *ret);
/* The first 64 MB step at which this peak leaves the headroom. */
int64_t preenv_step_for(double peak_mb);
/* Which point the others are compared with: the first, or largest, that ended well; -1: none yet. */
int preenv_reference(const struct preenv_search *s, const struct preenv_point *points, unsigned n);

#endif
