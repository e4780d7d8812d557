/* Exec Analyzer: what the samples of configurations say. Pure: no clock, no I/O; randomness from a fixed seed. Any thread.
 */
#ifndef NR_FNMANAGER_PREENV_ANALYZER_H
#define NR_FNMANAGER_PREENV_ANALYZER_H

#include "fnmanager/preenv/preenv.h"

/* Adds one (copied); false without memory. */
bool preenv_series_add(struct preenv_series *s, const struct preenv_sample *sample);
void preenv_series_fini(struct preenv_series *s);

/* Fills the figures of c from its series: warm calls by the weights of their payloads (lent), cold ones apart. */
void preenv_analyze(struct preenv_config *c, const double *weights, unsigned payloads, int cores);
/* Is c slower than the reference by more than the tolerance? Both are compared over the rounds that c was tested in. Fills verdict, slow_by
 * and noisy of c. `final`: no further rounds will come, so what is undecided is called noisy, and slower only on a quiet host where three of four draws say so. by_wall: the
 * run time alone counts (a cap on processors leaves CPU time as it is). */
void preenv_compare(const struct preenv_config *reference, struct preenv_config *c,
                    const double *weights, unsigned payloads, double tolerance, bool by_wall,
                    bool final);
/* Does the container keep more after each call, call by call? MB per call, or 0. */
double preenv_growth_mb(const struct preenv_series *s, unsigned round);
/* Does it look so far that more calls are worth while? */
bool preenv_may_grow(const struct preenv_series *s, unsigned round);
/* Memory that c would need were payload `without` not there; < 0: there is no other. */
double preenv_peak_without(const struct preenv_config *c, unsigned payloads, unsigned without);

#endif
