/* Lifecycle Controller: carries moves out and tells those who run calls. Blocking; on the handler's threads. Operations return 0 with
 * call->reply filled, or a NR_E* with call->err set; *ret_old is HANDLER_MANY when on_change was told.
 */
#ifndef NR_FNMANAGER_LIFECYCLE_CONTROLLER_H
#define NR_FNMANAGER_LIFECYCLE_CONTROLLER_H

#include "fnmanager/manager.h"
#include "fnmanager/registry/metadata_moves.h"

/* Carries out o (its next_revision and arg are filled in here) and tells on_change of every version that moved; `cancel`: their running
 * calls are ended. As metadata_move(). */
int lifecycle_carry(struct fnmanager *m, struct move_order *o, bool cancel, struct moved_list *ret,
                    struct nr_err *err);

/* Tells on_change of what o has moved: for who carries it out in a transaction of his own. */
void lifecycle_tell(struct fnmanager *m, const struct move_order *o, bool cancel,
                    const struct moved_list *moved);

/* POST …/block, unblock, retire, purge of a version or of all; DELETE of a version. */
int lifecycle_move(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old);
/* POST …/update and …/update/abort. The commit is action_commit(). */
int lifecycle_begin(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old);
int lifecycle_abort(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old);

/* Update windows: ends those whose deadline has come, and gives the milliseconds until the next one ends, 60,000 at most. */
int64_t lifecycle_windows(struct fnmanager *m);
/* Reads which window ends next; at start. */
int lifecycle_open(struct fnmanager *m, struct nr_err *err);

#endif
