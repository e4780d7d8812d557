/* Every version has a state; this table says which moves there are:
 *
 *            update                    publish: LATEST stays, a PUBLISHED copy is made
 *   create -> LATEST <-- begin/end --> UPDATING
 *               |  \-- block --> BLOCKED -- unblock --> the state before
 *               +-- retire --> RETIRED -- purge --> gone
 *
 * What is not in the table is refused with NR_ECONFLICT.
 */
#include "fnmanager/lifecycle.h"

#include "common/base/mem.h"

#define STATE_BEFORE (-2)

static const char *const state_names[] = {
    [FN_LATEST] = "LATEST",     [FN_PUBLISHED] = "PUBLISHED", [FN_BLOCKED] = "BLOCKED",
    [FN_UPDATING] = "UPDATING", [FN_RETIRED] = "RETIRED",
};

static const char *const move_names[] = {
    [MOVE_UPDATE] = "updated",
    [MOVE_UPDATE_BEGIN] = "updated",
    [MOVE_UPDATE_END] = "released from an update",
    [MOVE_PUBLISH] = "published",
    [MOVE_BLOCK] = "blocked",
    [MOVE_UNBLOCK] = "unblocked",
    [MOVE_RETIRE] = "retired",
    [MOVE_PURGE] = "purged",
    [MOVE_DELETE] = "deleted",
};

static const struct {
    enum function_state from;
    enum lifecycle_move move;
    int to;
} allowed[] = {
    {FN_LATEST, MOVE_UPDATE, FN_LATEST},         {FN_LATEST, MOVE_UPDATE_BEGIN, FN_UPDATING},
    {FN_LATEST, MOVE_PUBLISH, FN_LATEST},        {FN_LATEST, MOVE_BLOCK, FN_BLOCKED},
    {FN_LATEST, MOVE_RETIRE, FN_RETIRED},        {FN_LATEST, MOVE_DELETE, LIFECYCLE_GONE},
    {FN_PUBLISHED, MOVE_BLOCK, FN_BLOCKED},      {FN_PUBLISHED, MOVE_RETIRE, FN_RETIRED},
    {FN_PUBLISHED, MOVE_DELETE, LIFECYCLE_GONE}, {FN_UPDATING, MOVE_UPDATE_END, FN_LATEST},
    {FN_BLOCKED, MOVE_UPDATE, FN_BLOCKED},       {FN_BLOCKED, MOVE_UNBLOCK, STATE_BEFORE},
    {FN_BLOCKED, MOVE_RETIRE, FN_RETIRED},       {FN_BLOCKED, MOVE_DELETE, LIFECYCLE_GONE},
    {FN_RETIRED, MOVE_PURGE, LIFECYCLE_GONE},    {FN_RETIRED, MOVE_DELETE, LIFECYCLE_GONE},
};

int lifecycle_move(enum function_state from, enum lifecycle_move move, enum function_state before,
                   int *ret_to, struct nr_err *err)
{
    for (size_t i = 0; i < nr_countof(allowed); i++) {
        if (allowed[i].from != from || allowed[i].move != move)
            continue;
        *ret_to = allowed[i].to == STATE_BEFORE ? (int)before : allowed[i].to;
        return 0;
    }
    return nr_err_set(err, NR_ECONFLICT, "The function is %s and cannot be %s.",
                      lifecycle_name(from), move_names[move]);
}

int lifecycle_may_run(enum function_state state, struct nr_err *err)
{
    if (state == FN_BLOCKED)
        return nr_err_set(err, NR_EBLOCKED, "The function is blocked.");
    if (state == FN_RETIRED)
        return nr_err_set(err, NR_EGONE, "The function is retired.");
    return 0;
}

const char *lifecycle_name(enum function_state state)
{
    return state_names[state];
}

enum function_state lifecycle_of_name(const char *name)
{
    for (size_t i = 0; i < nr_countof(state_names); i++) {
        if (strcmp(state_names[i], name) == 0)
            return (enum function_state)i;
    }
    return FN_RETIRED;
}
