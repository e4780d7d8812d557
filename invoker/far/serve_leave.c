/* Taking nothing new.
 *
 *   CORDON    by the controller: new calls are given back until it says otherwise
 *   DRAIN     cordoned, and when no call is left the containers go; LEAVING tells that they have. The process stays, and takes calls again after CORDON off
 *   leaving   by a signal to this process: LEAVING with MORE at once, what has not started is given back, what runs may end; then whoever asked goes on with the containers
 */
#include "invoker/far/serve.h"

#include "invoker/internal.h"

enum { TAKEN_MS = 5000 };

bool leave_takes(const struct link *l)
{
    return !l->cordoned && !l->draining && !l->leaving;
}

/* ---- by the controller -------------------------------------------------------------------------------------------- */

int frame_cordon(struct link *l, const struct wire_frame *f, struct nr_err *err)
{
    l->cordoned = f->head.flags & WIRE_ON;
    if (l->cordoned)
        return 0;
    l->draining = false;
    invoker_rest(l->invoker, false);
    return 0;
}

int frame_drain(struct link *l, const struct wire_frame *f, struct nr_err *err)
{
    l->cordoned = l->draining = true;
    leave_look(l);
    return 0;
}

/* ---- by a signal -------------------------------------------------------------------------------------------------- */

static void leave_done(struct link *l)
{
    void (*done)(void *) = l->drained;

    l->drained = NULL;
    nr_deadline_cancel(&l->leave_deadline);
    if (done)
        done(l->drained_arg);
}

static void on_not_taken(struct nr_deadline *d)
{
    leave_done(nr_container_of(d, struct link, leave_deadline));
}

/* What runs still has had its time. */
static void on_leave_late(struct nr_deadline *d)
{
    struct link *l = nr_container_of(d, struct link, leave_deadline);

    nr_log(l->log, NR_LOG_WARN, "link", "%zu calls have not ended in time and are cut",
           calls_open(l));
    l->leave_deadline.fire = on_not_taken;
    nr_deadline_set(l->loop, &l->leave_deadline, TAKEN_MS);
    l->late = true; /* what is granted from now on is cut at once */
    if (!l->up)
        calls_refuse(l);
    calls_cut(l, NR_ESTOPPING);
    leave_look(l);
}

/* From the loop, not from inside a call's end. */
static void on_all_taken(struct nr_deadline *d)
{
    leave_done(nr_container_of(d, struct link, leave_deadline));
}

void leave_look(struct link *l)
{
    if (l->leaving && l->drained && calls_open(l) == 0 && (l->calls.count == 0 || !l->up)) {
        l->leave_deadline.fire = on_all_taken;
        nr_deadline_set(l->loop, &l->leave_deadline, 0);
    }
    if (!l->draining || calls_open(l) > 0)
        return;
    invoker_rest(l->invoker, true);
    if (l->invoker->container_count > 0)
        return; /* asked again with the next report */
    l->draining = false;
    serve_send_bare(l, WIRE_LEAVING, 0, 0);
}

void leave_tell(struct link *l)
{
    l->cordoned = l->draining = false; /* the controller says it again */
    invoker_rest(l->invoker, false);
    if (l->leaving)
        serve_send_bare(l, WIRE_LEAVING, WIRE_MORE, 0);
}

void link_drain(struct link *l, uint64_t max_ms, void (*done)(void *arg), void *arg)
{
    l->leaving = true;
    l->drained = done;
    l->drained_arg = arg;
    l->leave_deadline.fire = on_leave_late;
    nr_deadline_set(l->loop, &l->leave_deadline, max_ms);
    leave_tell(l);
    calls_bounce(l);
    leave_look(l);
}
