/* What containers a function would have had: a small model of the invoker, so that two courses of decisions over the same calls can be compared. Pure.
 *
 * A container that is wished for is there after its start; calls beyond what is there start one each, which is a cold start, where that is allowed; what is
 * beyond desired and idle goes after ten seconds. Not a forecast of waits: calls are those that were recorded.
 */
#ifndef NR_SCALER_MODEL_H
#define NR_SCALER_MODEL_H

#include "ports/sample.h"

enum { MODEL_PENDING_MAX = 64 };

struct model {
    int64_t t_ms; /* 0: not begun */
    int64_t desired, maximum;
    bool on_demand;
    int64_t warm;         /* containers that are there */
    int64_t needed, busy; /* by the calls of the last sample */
    int64_t sample_ms,
        surplus_ms; /* of the last sample; since when more is there than is wished for or needed */
    int64_t ready_ms; /* what is missing to desired is there then; 0: nothing is on its way */
    int64_t start_ms, instance_mb;
    uint64_t cold_starts, changes;
    int64_t desired_max;
    double idle_mb_s;
};

void model_init(struct model *m, int64_t desired, int64_t maximum, bool on_demand);
void model_advance(struct model *m, int64_t t_ms);
/* The clock was set back: what it has is of t_ms. */
void model_back(struct model *m, int64_t t_ms);
void model_sample(struct model *m, const struct sample *s);
/* At m->t_ms. */
void model_decide(struct model *m, int64_t desired, int64_t maximum, bool on_demand);
/* The figures of the stretch that is counted begin now. */
void model_count(struct model *m);

#endif
