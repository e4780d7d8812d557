/* A sequence: the output of each component is the whole input of the next one. It ends with the first that fails, and what that one
 * answered is its own answer.
 *
 * A component that is called again right after itself waits until its slot is back, so that it runs in the same container: the logs of the
 * call before are all that it waits for.
 */
#include "controller/compose.h"

#define MISSING "Sequence component does not exist."

static bool same_target(const struct function_target *a, const struct function_target *b)
{
    return a->number == b->number && strcmp(a->name, b->name) == 0 &&
           strcmp(a->package, b->package) == 0 && strcmp(a->account, b->account) == 0 &&
           strcmp(a->alias, b->alias) == 0;
}

static void next(struct composition *m, struct nr_str input)
{
    const struct function_target *t = &m->a->fn->steps[m->at++];
    const struct call_names names = call_names_of(t, m->a->account->name);
    struct activation *step = compose_step(m, &names, input);

    if (step)
        compose_begin_step(m, step);
}

static void begin(struct composition *m)
{
    next(m, m->a->input);
}

static void resume(struct composition *m)
{
    next(m, m->last->outcome.result);
}

/* A component that could not be called. Nobody may call it, or it is gone: that is the sequence's own fault, not the platform's. */
static void refused(struct composition *m)
{
    const struct nr_err *e = &m->last->error;
    bool own_fault = nr_err_status(e->code) < 500;

    if (e->code == NR_ENOENT)
        compose_end_error(m, OUTCOME_APPLICATION_ERROR, MISSING);
    else
        compose_end_error(m, own_fault ? OUTCOME_APPLICATION_ERROR : OUTCOME_INTERNAL_ERROR,
                          e->text);
}

static void went_on(struct composition *m)
{
    const struct function *fn = m->a->fn;

    if (m->last->id[0] == '\0')
        refused(m);
    else if (m->last->outcome.status != OUTCOME_SUCCESS || m->at == fn->step_count)
        compose_end_as_last(m);
    else if (same_target(&fn->steps[m->at], &fn->steps[m->at - 1]) && m->last->i != I_END)
        m->waits = true;
    else
        resume(m);
}

/* What was one function when the sequence was stored may be a sequence by now, and longer. */
static void admit(struct composition *m, struct activation *step)
{
    if (step->fn->step_count == 0 && ++m->use->functions > COMPOSE_MAX)
        activation_fail(step, NR_EINVAL, "%s", m->kind->too_many);
}

const struct compose_kind compose_sequence = {
    .begin = begin,
    .went_on = went_on,
    .resume = resume,
    .admit = admit,
    .too_many = "Too many actions in the sequence.",
    .failed = "Sequence failed.",
};
