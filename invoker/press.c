/* Who decides about containers is to know of calls that wait and may start none before the next full second.
 *
 *   when     a little after the first such call, so that a rise is not told in its middle. Of one function four times a second at most, and ever more rarely,
 *            down to once in two seconds, while that does not lead to more containers being wished for
 *   what     functions of which more calls wait than there are slots coming or wished for
 *   bounds   so many functions at a moment; the others come at the next one
 */
#include "invoker/press.h"

enum { GATHER_MS = 50, AGAIN_MS = 250, DOUBLINGS_MAX = 3, AT_A_TIME_MAX = 32 };

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static void arm(struct invoker *v, uint64_t at_ms)
{
    if (nr_deadline_armed(&v->press) && v->press_ms <= at_ms)
        return;
    v->press_ms = at_ms;
    nr_deadline_set(v->loop, &v->press, at_ms - v->loop->now_ms);
}

void press_look(struct pool *p, unsigned coming)
{
    struct invoker *v = p->v;
    struct past *past = p->past;
    int64_t wished = (int64_t)past->desired - p->container_count,
            slots = p->fn->concurrency > 1 ? p->fn->concurrency : 1;

    if (v->pressed == NULL || p->fn->trial || v->stopping || nr_list_linked(&past->pressing) ||
        p->waiting_count <= coming + (wished > 0 ? wished * slots : 0))
        return;
    nr_list_add(&v->pressing, &past->pressing);
    arm(v, later(v->loop->now_ms + GATHER_MS, past->press_after_ms));
}

void press_due(struct nr_deadline *d)
{
    struct invoker *v = nr_container_of(d, struct invoker, press);
    uint64_t next_ms = UINT64_MAX;

    if (v->stopping)
        return;
    v->pressed(v->event_arg);
    NR_LIST_EACH(&v->pressing, l) {
        uint64_t at_ms = nr_container_of(l, struct past, pressing)->press_after_ms;

        next_ms = at_ms < next_ms ? at_ms : next_ms;
    }
    if (next_ms < UINT64_MAX)
        arm(v, later(v->loop->now_ms + GATHER_MS, next_ms));
}

void press_take(struct invoker *v, struct nr_link *told)
{
    unsigned count = 0;

    NR_LIST_EACH(&v->pressing, l) {
        struct past *past = nr_container_of(l, struct past, pressing);
        bool in_vain = past->desired == past->pressed_desired;

        if (v->loop->now_ms < past->press_after_ms)
            continue;
        if (++count > AT_A_TIME_MAX)
            return;
        nr_list_del(&past->pressing);
        past->pressed_in_vain = !in_vain                                ? 0
                                : past->pressed_in_vain < DOUBLINGS_MAX ? past->pressed_in_vain + 1
                                                                        : DOUBLINGS_MAX;
        past->pressed_desired = past->desired;
        past->press_after_ms = v->loop->now_ms + ((uint64_t)AGAIN_MS << past->pressed_in_vain);
        past->figures = (struct container_figures){.key = past->node.key};
        nr_list_add(told, &past->told);
    }
}
