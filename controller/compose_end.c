/* How a call that runs others ends: by itself, or cut; and what it lets go of then.
 *
 *   cut        (its function is retired with its calls, the platform stops): the step under way is cut in the next turn of the loop, for whoever
 *              cuts may be walking the list of all calls; then m ends as every call that was cut
 *   retired    whether the call itself is cut so, a sequence inside, or the function that runs: it is an error of the application, told in the
 *              same words, for its record says what it did until then. A stop of the platform is nobody's error and stays what it is
 *   let go     of the parent as soon as the call is no longer among the living, so that no two hold each other. But the step that ended last
 *              stays as long as the memory of the call: its result is often the call's own, and a parent that goes on with it, or a work
 *              thread that writes it for the caller, reads it later than that
 */
#include "controller/compose.h"

#include "common/base/clock.h"

struct nr_str compose_error(struct nr_arena *arena, const char *text)
{
    struct nr_buf b;

    nr_buf_init(&b, 8192);
    nr_buf_adds(&b, "{\"error\":");
    nr_buf_json(&b, nr_str_of(text));
    nr_buf_addc(&b, '}');
    struct nr_str kept = nr_arena_copy(arena, nr_buf_str(&b));

    nr_buf_fini(&b);
    return kept.p ? kept : NR_STR("{\"error\":\"out of memory\"}");
}

/* Its function was retired with its calls. */
static void end_retired(struct composition *m)
{
    struct activation *a = m->a;

    a->outcome = (struct outcome){.status = OUTCOME_APPLICATION_ERROR,
                                  .result = compose_error(&a->arena, a->error.text)};
    a->err = 0;
    a->error = (struct nr_err){0};
}

void compose_finish(struct composition *m)
{
    struct activation *a = m->a;

    if (a->err == NR_EGONE && a->id[0])
        end_retired(m);
    nr_deadline_cancel(&m->cut);
    m->waits = false;
    a->answered_us = nr_mono_us();
    a->i = I_END;
    controller_tick(a);
}

void compose_end(struct composition *m, enum outcome_status status, struct nr_str result)
{
    m->a->outcome = (struct outcome){.status = status, .result = result};
    compose_finish(m);
}

void compose_end_as_last(struct composition *m)
{
    const struct outcome *last = &m->last->outcome;
    bool retired = m->last->err == NR_EGONE;

    m->a->outcome = (struct outcome){.status = retired ? OUTCOME_APPLICATION_ERROR : last->status,
                                     .result = last->result,
                                     .is_array = last->is_array};
    compose_finish(m);
}

void compose_end_error(struct composition *m, enum outcome_status status, const char *text)
{
    compose_end(m, status, compose_error(&m->a->arena, text));
}

void compose_release(struct activation *a)
{
    struct composition *m = a->composition;
    struct activation *parent = a->parent;

    a->composition = NULL;
    a->parent = NULL;
    if (m) {
        nr_deadline_cancel(&m->cut);
        activation_unref(m->step);
        activation_unref(m->turn);
        a->outcome.result_of = m->last;
    }
    activation_unref(parent);
}

/* ---- cutting ---------------------------------------------------------------------------------------------------- */

static void on_cut(struct nr_deadline *d)
{
    struct composition *m = nr_container_of(d, struct composition, cut);
    struct activation *step = m->step;

    if (step && step->c == C_RUN && step->answered_us == 0)
        run_cut(step, m->a->err);
    else if (step)
        activation_fail(step, m->a->err, "%s", m->a->error.text);
    else if (m->waits)
        compose_finish(m);
}

void compose_cut(struct composition *m, int err)
{
    activation_fail(m->a, err, "%s", nr_err_text(err));
    m->cut.fire = on_cut;
    if (m->a->i == I_BORROW || m->a->i == I_AWAIT)
        nr_deadline_set(m->a->ctl->loop, &m->cut, 0);
}
