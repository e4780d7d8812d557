/* Every version has a state; this table says which moves there are:
 *
 *            update                    publish: LATEST stays, a PUBLISHED copy is made
 *   create -> LATEST <-- begin/end --> UPDATING
 *               |  \-- block --> BLOCKED -- unblock --> the state before
 *               +-- retire --> RETIRED -- purge --> gone
 *
 * A row may have a guard: what else must be true. What is not in the table, or stopped by its guard, is refused with NR_ECONFLICT. A
 * published version is never updated, so a blocked one may not be either: that is a guard of the row.
 */
#include "fnmanager/functions/lifecycle.h"

#include <stdio.h>

#include "common/base/mem.h"

#define STATE_BEFORE (-2)

static const char *const state_names[] = {
    [FN_LATEST] = "LATEST",     [FN_PUBLISHED] = "PUBLISHED", [FN_BLOCKED] = "BLOCKED",
    [FN_UPDATING] = "UPDATING", [FN_RETIRED] = "RETIRED",
};

static const struct {
    const char *name;
    bool internal; /* not asked for by anybody: no part of a refusal */
} moves[] = {
    [MOVE_UPDATE] = {"update"},
    [MOVE_BEGIN] = {"update-begin"},
    [MOVE_COMMIT] = {"update-commit"},
    [MOVE_ABORT] = {"update-abort"},
    [MOVE_DEADLINE] = {"update-deadline", .internal = true},
    [MOVE_PUBLISH] = {"publish"},
    [MOVE_BLOCK] = {"block"},
    [MOVE_UNBLOCK] = {"unblock"},
    [MOVE_RETIRE] = {"retire"},
    [MOVE_PURGE] = {"purge"},
    [MOVE_DELETE] = {"delete"},
};

static bool is_latest(const struct lifecycle_subject *s)
{
    return s->number == 0;
}

static bool is_unused(const struct lifecycle_subject *s)
{
    return s->alias == NULL;
}

static const struct rule {
    enum function_state from;
    enum lifecycle_move move;
    int to;
    bool (*guard)(const struct lifecycle_subject *s); /* NULL: none */
} rules[] = {
    {FN_LATEST, MOVE_UPDATE, FN_LATEST, NULL},
    {FN_LATEST, MOVE_BEGIN, FN_UPDATING, NULL},
    {FN_LATEST, MOVE_PUBLISH, FN_LATEST, NULL},
    {FN_LATEST, MOVE_BLOCK, FN_BLOCKED, NULL},
    {FN_LATEST, MOVE_RETIRE, FN_RETIRED, NULL},
    {FN_LATEST, MOVE_DELETE, LIFECYCLE_GONE, is_unused},
    {FN_UPDATING, MOVE_COMMIT, FN_LATEST, NULL},
    {FN_UPDATING, MOVE_ABORT, FN_LATEST, NULL},
    {FN_UPDATING, MOVE_DEADLINE, FN_LATEST, NULL},
    {FN_PUBLISHED, MOVE_BLOCK, FN_BLOCKED, NULL},
    {FN_PUBLISHED, MOVE_RETIRE, FN_RETIRED, NULL},
    {FN_PUBLISHED, MOVE_DELETE, LIFECYCLE_GONE, is_unused},
    {FN_BLOCKED, MOVE_UPDATE, FN_BLOCKED, is_latest},
    {FN_BLOCKED, MOVE_UNBLOCK, STATE_BEFORE, NULL},
    {FN_BLOCKED, MOVE_RETIRE, FN_RETIRED, NULL},
    {FN_BLOCKED, MOVE_DELETE, LIFECYCLE_GONE, is_unused},
    {FN_RETIRED, MOVE_PURGE, LIFECYCLE_GONE, is_unused},
    {FN_RETIRED, MOVE_DELETE, LIFECYCLE_GONE, is_unused},
};

/* "The function", "Version 3": how its sentences begin. */
static const char *subject_name(const struct lifecycle_subject *s, char room[32])
{
    if (s->number == 0)
        return "The function";
    (void)snprintf(room, 32, "Version %lld", (long long)s->number);
    return room;
}

static int refuse_for_alias(const struct lifecycle_subject *s, enum lifecycle_move move,
                            struct nr_err *err)
{
    char room[32];

    if (s->number == 0)
        return nr_err_set(err, NR_ECONFLICT,
                          "The function has the protected alias '%s' and does not allow '%s'.",
                          s->alias, moves[move].name);
    return nr_err_set(err, NR_ECONFLICT,
                      "%s is used by the alias '%s' and does not allow '%s': move the alias first.",
                      subject_name(s, room), s->alias, moves[move].name);
}

static int refuse_for_state(const struct lifecycle_subject *s, enum lifecycle_move move,
                            struct nr_err *err)
{
    char room[32], allowed[200] = "nothing";
    size_t n = 0;

    for (size_t i = 0; i < nr_countof(rules); i++) {
        bool guarded = rules[i].guard == is_latest && !is_latest(s);

        if (rules[i].from == s->state && !guarded && !moves[rules[i].move].internal)
            n += (size_t)snprintf(allowed + n, sizeof(allowed) - n, "%s%s", n > 0 ? ", " : "",
                                  moves[rules[i].move].name);
    }
    return nr_err_set(err, NR_ECONFLICT, "%s is %s and does not allow '%s'; it allows %s.",
                      subject_name(s, room), state_names[s->state], moves[move].name, allowed);
}

int lifecycle_judge(const struct lifecycle_subject *s, enum lifecycle_move move, int *ret_to,
                    struct nr_err *err)
{
    for (size_t i = 0; i < nr_countof(rules); i++) {
        const struct rule *rule = &rules[i];

        if (rule->from != s->state || rule->move != move)
            continue;
        if (rule->guard == is_unused && !is_unused(s))
            return refuse_for_alias(s, move, err);
        if (rule->guard != NULL && !rule->guard(s))
            break;
        *ret_to = rule->to == STATE_BEFORE ? (int)s->before : rule->to;
        return 0;
    }
    return refuse_for_state(s, move, err);
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

const char *lifecycle_move_name(enum lifecycle_move move)
{
    return moves[move].name;
}
