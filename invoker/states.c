/* What a container may be, why it was started and why it ended: three tables, and the one function that moves it.
 *
 * A move that the table does not have, or whose new state would not hold what it promises, is a mistake of ours: it stops the process
 * at once, before a container is used that must not be.
 */
#include "invoker/internal.h"

#define TO(state) (1u << (state))

static bool nobodys(const struct container *ct)
{
    return ct->pool == NULL && ct->fn == NULL && ct->calls == 0;
}

static bool somebodys(const struct container *ct)
{
    return ct->pool != NULL && ct->fn != NULL && ct->shelf == NULL;
}

/* For its first call, or ahead of it. */
static bool loading(const struct container *ct)
{
    return somebodys(ct) && ct->calls == (ct->ahead ? 0 : 1);
}

static bool called(const struct container *ct)
{
    return somebodys(ct) && ct->calls > 0;
}

static bool without_call(const struct container *ct)
{
    return ct->calls == 0;
}

static bool frozen(const struct container *ct)
{
    return somebodys(ct) && ct->calls == 0 && ct->frozen;
}

static bool out_of_reach(const struct container *ct)
{
    return ct->pool == NULL && ct->shelf == NULL && ct->calls == 0;
}

static const struct {
    const char *name;
    unsigned next;                             /* states it may move to */
    bool (*holds)(const struct container *ct); /* what is true in this state from the move on */
} states[CT_STATES] = {
    [CT_STARTING] = {"starting", TO(CT_STEM) | TO(CT_FRESH) | TO(CT_DYING), NULL},
    [CT_ADOPTING] = {"adopting", TO(CT_IDLE) | TO(CT_DYING), NULL},
    [CT_STEM] = {"stem", TO(CT_FRESH) | TO(CT_DYING), nobodys},
    [CT_FRESH] = {"fresh", TO(CT_INIT) | TO(CT_DYING), somebodys},
    [CT_INIT] = {"init", TO(CT_BUSY) | TO(CT_IDLE) | TO(CT_DYING), loading},
    [CT_BUSY] = {"busy", TO(CT_IDLE) | TO(CT_DYING), called},
    [CT_IDLE] = {"idle", TO(CT_BUSY) | TO(CT_FROZEN) | TO(CT_DYING), without_call},
    [CT_FROZEN] = {"frozen", TO(CT_BUSY) | TO(CT_DYING), frozen},
    [CT_DYING] = {"dying", TO(CT_GONE), without_call},
    [CT_GONE] = {"gone", 0, out_of_reach},
};

const char *container_state_name(enum container_state s)
{
    return states[s].name;
}

bool container_may_move(const struct container *ct, enum container_state to)
{
    return (states[ct->state].next & TO(to)) && (states[to].holds == NULL || states[to].holds(ct));
}

void container_move(struct container *ct, enum container_state to)
{
    nr_check(container_may_move(ct, to));
    nr_log(ct->v->log, NR_LOG_DEBUG, "invoker", "container=%s state=%s was=%s calls=%u", ct->name,
           states[to].name, states[ct->state].name, ct->calls);
    if (ct->state == CT_STARTING)
        container_boot_over(ct);
    ct->state = to;
}

const char *start_reason_text(enum start_reason r)
{
    static const char *const text[START_REASONS] = {"call", "scale-out", "prewarm", "stem",
                                                    "adoption"};

    return text[r];
}

static const struct {
    const char *text;
    enum cold_cause next; /* what the next cold start of the function tells */
} ends[END_REASONS] = {
    [ENDED_NOT] = {"", COLD_EVICTED},
    [ENDED_EXPIRED] = {"expired", COLD_EVICTED},
    [ENDED_EVICTED] = {"evicted", COLD_EVICTED},
    [ENDED_UPDATED] = {"updated", COLD_UPDATED},
    [ENDED_CRASHED] = {"crashed", COLD_CRASHED},
    [ENDED_START_FAILED] = {"start failed", COLD_CRASHED},
    [ENDED_INIT_FAILED] = {"init failed", COLD_CRASHED},
    [ENDED_TIMED_OUT] = {"timed out", COLD_CRASHED},
    [ENDED_LOG_TROUBLE] = {"log trouble", COLD_CRASHED},
    [ENDED_FAILED] = {"function failed", COLD_CRASHED},
    [ENDED_CUT] = {"cut", COLD_CRASHED},
    [ENDED_DRAINED] = {"drained", COLD_EVICTED},
    [ENDED_NETWORK_LOST] = {"network lost", COLD_CRASHED},
    [ENDED_STEM_SURPLUS] = {"stem surplus", COLD_EVICTED},
    [ENDED_HANDOVER_FAILED] = {"hand-over failed", COLD_CRASHED},
    [ENDED_NOT_ADOPTED] = {"not adopted", COLD_EVICTED},
};

const char *end_reason_text(enum end_reason r)
{
    return ends[r].text;
}

enum cold_cause cold_cause_after(enum end_reason r)
{
    return ends[r].next;
}
