/* The Lifecycle Controller: which moves a version's state allows. One table; pure; any thread.
 */
#ifndef NR_FNMANAGER_LIFECYCLE_H
#define NR_FNMANAGER_LIFECYCLE_H

#include "common/base/err.h"
#include "ports/function.h"

enum lifecycle_move {
    MOVE_UPDATE, /* a plain overwrite: begins and commits within one request */
    MOVE_UPDATE_BEGIN,
    MOVE_UPDATE_END, /* commit, abort, deadline */
    MOVE_PUBLISH,
    MOVE_BLOCK,
    MOVE_UNBLOCK,
    MOVE_RETIRE,
    MOVE_PURGE,
    MOVE_DELETE, /* retire and purge in one */
};

/* What stands after a move when it is not a state of the version. */
#define LIFECYCLE_GONE (-1)

/* The state after `move`, or LIFECYCLE_GONE, in *ret_to. `before` is the state that a block remembered. NR_ECONFLICT with a sentence
 * when the state does not allow the move; *ret_to is untouched then. */
int lifecycle_move(enum function_state from, enum lifecycle_move move, enum function_state before,
                   int *ret_to, struct nr_err *err);

/* May a version in this state be invoked? 0, NR_EBLOCKED or NR_EGONE with a sentence. */
int lifecycle_may_run(enum function_state state, struct nr_err *err);

/* "LATEST", "PUBLISHED", … as stored and shown. */
const char *lifecycle_name(enum function_state state);
/* The state of a stored name; FN_RETIRED for a name that nobody knows (then it does not run). */
enum function_state lifecycle_of_name(const char *name);

#endif
