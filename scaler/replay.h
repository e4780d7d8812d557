/* Replays: what the journal holds against a policy, as it was or as it might be. The same pure code, on a reading thread of the database.
 */
#ifndef NR_SCALER_REPLAY_H
#define NR_SCALER_REPLAY_H

#include "scaler/internal.h"

enum replay_kind {
    REPLAY_COMPARE, /* SCALE_REPLAY */
    REPLAY_EXPLAIN, /* the evaluations themselves are the answer, those that changed nothing too */
    REPLAY_CHECK    /* which rules would have done something in the last 24 h; SCALE_CHECK */
};

struct replay_ask {
    enum replay_kind kind;
    struct policy *p;              /* lent */
    const struct policy *recorded; /* lent; whose evaluations were recorded; NULL: nobody decided */
    json_t *warnings;              /* given; REPLAY_CHECK: those that are known already */
};

/* c is done when the replay is: the decisions of p between c->since_ms and c->upto_ms. 1; 0 when c
 * is answered already (REPLAY_CHECK while another replay is under way); or an error, then NR_EQUOTA. */
int replay_later(struct scaler *s, struct scale_call *c, const struct replay_ask *ask);

#endif
