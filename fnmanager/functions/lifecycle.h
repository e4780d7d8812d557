/* Lifecycle Controller, its rules: which moves a version's state allows. One table; pure; any thread. What carries moves out is
 * lifecycle_controller.c.
 */
#ifndef NR_FNMANAGER_LIFECYCLE_H
#define NR_FNMANAGER_LIFECYCLE_H

#include <stdint.h>

#include "common/base/err.h"
#include "ports/function.h"

enum lifecycle_move {
    MOVE_UPDATE,   /* a plain overwrite: begins and commits within one request */
    MOVE_BEGIN,    /* opens an update window */
    MOVE_COMMIT,   /* ends it with new code and settings */
    MOVE_ABORT,    /* ends it with what was there */
    MOVE_DEADLINE, /* the same, by the clock */
    MOVE_PUBLISH,
    MOVE_BLOCK,
    MOVE_UNBLOCK,
    MOVE_RETIRE,
    MOVE_PURGE,
    MOVE_DELETE, /* retire and purge in one */
    MOVES
};

/* What stands after a move when it is not a state of the version. */
#define LIFECYCLE_GONE (-1)

/* What a move is judged by. */
struct lifecycle_subject {
    int64_t number; /* of a published version; 0: LATEST */
    enum function_state state;
    enum function_state before; /* what a block remembered */
    const char
        *alias; /* lent: an alias that must not lose what it points to; NULL: none is in the way */
};

/* The state after `move`, or LIFECYCLE_GONE, in *ret_to. NR_ECONFLICT with a sentence that names the state, the move and those that are
 * allowed, or the alias that forbids it; *ret_to is untouched then. */
int lifecycle_judge(const struct lifecycle_subject *s, enum lifecycle_move move, int *ret_to,
                    struct nr_err *err);

/* May a version in this state be invoked? 0, NR_EBLOCKED or NR_EGONE with a sentence. */
int lifecycle_may_run(enum function_state state, struct nr_err *err);

/* "LATEST", "PUBLISHED", … as stored and shown. */
const char *lifecycle_name(enum function_state state);
/* The state of a stored name; FN_RETIRED for a name that nobody knows (then it does not run). */
enum function_state lifecycle_of_name(const char *name);
/* "block", "update-begin", … as audited and told. */
const char *lifecycle_move_name(enum lifecycle_move move);

#endif
