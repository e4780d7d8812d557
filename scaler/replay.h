/* Replays: what the journal holds against a policy, as it was or as it might be. The same pure code, on a reading thread of the database.
 */
#ifndef NR_SCALER_REPLAY_H
#define NR_SCALER_REPLAY_H

#include "scaler/internal.h"

/* c is done when the replay is: the decisions of p (lent) between c->since_ms and c->upto_ms. `recorded` (lent; NULL: nobody decided) is the policy
 * whose evaluations were recorded. explain: the evaluations themselves are the answer, those that changed nothing too. 1, or an error. */
int replay_later(struct scaler *s, struct scale_call *c, struct policy *p,
                 const struct policy *recorded, bool explain);

#endif
