/* The life of a call that runs others: claim, begin, one step after the other. How it ends is told in compose_end.c.
 *
 *   claim      the call waits (I_BORROW) until the first of its steps has a slot; that one has "running" written into the row of the call before
 *              its first byte is sent. Steps have no such rows: after a crash a call that waited is run, one that ran is recorded as failed
 *   a step     is held by m->step until its answer, and by m->last as long as its result is needed; it holds its parent (a->parent) until its
 *              own row is on disk
 *   time       m lasts as long as its steps together; a caller that waits for it waits as for every call
 */
#include "controller/compose.h"

#include "common/base/clock.h"

/* ---- steps ------------------------------------------------------------------------------------------------------ */

/* What m says of a step that ended, in its log and its sums. */
static void note_step(struct composition *m, struct activation *step)
{
    struct activation *a = m->a;
    int64_t memory_mb = step->composition ? step->composition->memory_mb : step->fn->memory_mb;

    nr_buf_add(&a->logs, step->id, 32);
    nr_buf_addc(&a->logs, '\n');
    a->steps_us += (uint64_t)record_duration_ms(step) * 1000;
    if (memory_mb > m->memory_mb)
        m->memory_mb = memory_mb;
    if (step->start_wall_ms < a->start_wall_ms) /* by a rounded duration */
        step->start_wall_ms = a->start_wall_ms;
}

/* The call goes back into its queue, or stays there while the platform stops. */
static bool was_not_run(const struct composition *m)
{
    const struct activation *call = m->top->a;

    return call->i == I_BORROW && (m->top->unclaimed || call->err == NR_ESTOPPING);
}

/* No record of it: nothing was run. */
static void take_back(struct composition *m, struct activation *step)
{
    (void)nr_map_del(&m->a->ctl->live, step->by_id.key);
    step->id[0] = '\0';
    activation_fail(m->a, step->err ? step->err : NR_EINTERNAL, "%s", step->error.text);
}

/* on_reply of a step; step->owner is its composition. */
static void on_step_answer(struct activation *step)
{
    struct composition *m = step->owner;

    nr_check(m->step == step);
    activation_unref(m->last);
    m->last = step;
    m->step = NULL;
    if (step->id[0] && was_not_run(m))
        take_back(m, step);
    if (step->id[0])
        note_step(m, step);
    if (step->id[0] == '\0' && step->error.code == NR_ESTOPPING)
        activation_fail(m->a, NR_ESTOPPING, "%s", nr_err_text(NR_ESTOPPING));
    if (m->a->err)
        compose_finish(m);
    else
        m->kind->went_on(m);
}

/* ---- the claim -------------------------------------------------------------------------------------------------- */

static void claimed(struct activation *call)
{
    call->claim = NULL;
    call->i = I_AWAIT;
    call->started_us = nr_mono_us();
    call->start_wall_ms = nr_wall_ms();
}

/* claim of the first step that has a slot: the row of the call says "running" from now on. */
static int step_claim(struct activation *step)
{
    struct activation *call = step->parent->composition->top->a;
    int r = call->claim ? call->claim(call) : 0;

    if (r == 0)
        claimed(call);
    return r;
}

static void compose_claimed(struct composition *m, int status)
{
    struct activation *step = m->step;

    while (step->composition)
        step = step->composition->step;
    m->unclaimed = status < 0;
    if (status == 0)
        claimed(m->a);
    else
        activation_fail(m->a, status, "The call was not run: %s.", nr_err_text(status));
    invokers_claimed(step, status);
}

/* ---- steps begin ------------------------------------------------------------------------------------------------ */

struct call_names call_names_of(const struct function_target *t, const char *account)
{
    bool own = strcmp(t->account, account) == 0;

    return (struct call_names){.space = nr_str_of(own ? "" : t->account),
                               .package = nr_str_of(t->package),
                               .name = nr_str_of(t->name),
                               .number = t->number,
                               .alias = nr_str_of(t->alias)};
}

bool compose_is_foreign(const struct composition *m)
{
    const struct nr_str path = nr_str_of(m->a->fn->path), caller = nr_str_of(m->a->account->name);

    return path.n <= caller.n || path.p[caller.n] != '/' || memcmp(path.p, caller.p, caller.n) != 0;
}

/* Its own: its row may be written when all that it was made from is gone. False: there is no room. */
static bool keep_texts(struct activation *step, const struct call_names *names,
                       struct nr_str transaction)
{
    const struct nr_str from[] = {names->space, names->package, names->name, names->alias,
                                  transaction};
    struct nr_str *const to[] = {&step->space, &step->package, &step->name, &step->alias,
                                 &step->transaction};

    for (size_t i = 0; i < nr_countof(from); i++) {
        if (from[i].n == 0)
            continue;
        *to[i] = nr_arena_copy(&step->arena, from[i]);
        if (to[i]->p == NULL)
            return false;
    }
    return true;
}

struct activation *compose_step(struct composition *m, const struct call_names *names,
                                struct nr_str input)
{
    struct activation *a = m->a, *step = NULL;

    if (++m->top->calls > COMPOSE_CALLS_MAX) {
        compose_end_error(m, OUTCOME_APPLICATION_ERROR, m->kind->too_many);
        return NULL;
    }
    if ((step = activation_pool_take(a->ctl->pool)) == NULL ||
        !keep_texts(step, names, a->transaction)) {
        activation_unref(step);
        compose_end_error(m, OUTCOME_INTERNAL_ERROR, m->kind->failed);
        return NULL;
    }
    step->account = account_ref(a->account);
    step->number = names->number;
    step->api_key = compose_is_foreign(m) ? (struct nr_str){NULL, 0} : a->api_key;
    step->input = input;
    step->blocking = true;
    step->wait_ms = UINT32_MAX;
    step->on_reply = on_step_answer;
    step->owner = m;
    step->parent = activation_ref(a);
    step->caused_by_sequence = true;
    memcpy(step->cause, a->id, sizeof(step->cause));
    return step;
}

void compose_begin_step(struct composition *m, struct activation *step)
{
    m->step = activation_ref(step);
    m->counted = false;
    step->claim = m->top->a->i == I_BORROW ? step_claim : NULL;
    controller_invoke(m->a->ctl, step);
}

void compose_admit(struct activation *step)
{
    struct composition *m = step->parent->composition;

    if (m->kind->admit && !m->counted)
        m->kind->admit(m, step);
    m->counted = true;
}

void compose_slot_back(struct activation *step)
{
    struct composition *m = step->parent ? step->parent->composition : NULL;

    if (m == NULL || !m->waits || m->last != step)
        return;
    m->waits = false;
    m->kind->resume(m);
}

void compose_drop_step(struct activation *step)
{
    if (step)
        compose_release(step);
    activation_unref(step);
}

/* ---- the beginning ---------------------------------------------------------------------------------------------- */

int64_t compose_memory_mb(const struct activation *a)
{
    return a->composition && a->fn->step_count ? a->composition->memory_mb : 0;
}

bool compose_wanted(const struct activation *a)
{
    bool turn = a->parent && a->parent->composition->turning;

    return a->fn->step_count > 0 || (a->fn->conductor && !turn);
}

static void init(struct composition *m, struct activation *a)
{
    struct composition *above = a->parent ? a->parent->composition : NULL;

    *m = (struct composition){.a = a,
                              .kind = a->fn->step_count ? &compose_sequence : &compose_conductor};
    m->top = above ? above->top : m;
    m->use = above && above->kind == m->kind ? above->use : &m->own;
    m->depth = above ? above->depth + 1 : 0;
}

/* It was run, but for its claim: all is as before. */
static void init_again(struct composition *m)
{
    struct activation *a = m->a;

    activation_unref(m->last);
    activation_unref(m->turn);
    nr_buf_reset(&a->logs, 4096);
    a->steps_us = 0;
    init(m, a);
}

/* NULL: no memory. What the request lent is kept: the steps need it however long the caller waits. */
static struct composition *make(struct activation *a)
{
    struct composition *m = nr_arena_get(&a->arena, sizeof(*m));

    if (m == NULL)
        return NULL;
    init(m, a);
    if (a->parent || a->durable)
        return m;
    a->input = nr_arena_copy(&a->arena, a->input);
    if (a->api_key.n && !a->key_kept) {
        a->api_key = nr_arena_copy(&a->arena, a->api_key);
        a->key_kept = a->api_key.n > 0;
    }
    return a->input.p ? m : NULL;
}

static void compose_run(struct activation *a)
{
    if (a->composition)
        init_again(a->composition);
    else
        a->composition = make(a);
    if (a->composition == NULL) {
        activation_fail(a, NR_ENOMEM, "%s", nr_err_text(NR_ENOMEM));
        a->i = I_END;
        controller_tick(a);
        return;
    }
    struct composition *m = a->composition;

    a->i = a->parent ? I_AWAIT : I_BORROW;
    a->started_us = nr_mono_us();
    a->start_wall_ms = nr_wall_ms();
    if (m->depth > COMPOSE_DEPTH_MAX)
        compose_end_error(m, OUTCOME_APPLICATION_ERROR, m->kind->too_many);
    else
        m->kind->begin(m);
}

/* ---- either a run of others or a run in a container ------------------------------------------------------------- */

void run_start(struct activation *a)
{
    if (compose_wanted(a))
        compose_run(a);
    else
        invokers_run(a->ctl->invokers, a);
}

void run_claimed(struct activation *a, int status)
{
    if (a->composition)
        compose_claimed(a->composition, status);
    else
        invokers_claimed(a, status);
}

void run_cut(struct activation *a, int err)
{
    if (a->composition)
        compose_cut(a->composition, err);
    else
        invokers_cut(a, err);
}
