/* Another process serves on: the hosts go to it one after the other, and what runs on them ends here first.
 *
 *   at once    nobody may join any more: the listener is closed, and the other process opens it anew
 *   idle       a host that has no call of ours is let go of: it dials again, and finds the other process. One is kept as long as calls run here that may
 *              need a host yet, where we have no invoker of our own
 *   the last   goes with this process
 */
#include "controller/fleet.h"

enum { LOOK_MS = 50 };

static void let_go_of_idle(struct invokers *f)
{
    size_t linked = 0;

    for (size_t i = 0; i < f->host_count; i++)
        linked += f->hosts[i]->far && far_is_up(f->hosts[i]->far);
    for (size_t i = 0; i < f->host_count && (f->local || linked > 1); i++) {
        struct fleet_host *h = f->hosts[i];

        if (h->far == NULL || !far_is_up(h->far) || far_calls(h->far) > 0)
            continue;
        linked--;
        nr_log(f->log, NR_LOG_INFO, "fleet", "invoker %s goes to the process that serves now",
               h->name);
        fleet_host_end(h);
    }
}

static void on_look(struct nr_deadline *d)
{
    struct invokers *f = nr_container_of(d, struct invokers, leave);

    if (f->closing)
        return;
    if (f->unplaced_count == 0)
        let_go_of_idle(f);
    nr_deadline_set(f->loop, d, LOOK_MS);
}

void invokers_hand_over(struct invokers *f)
{
    if (f->listener == NULL)
        return;
    f->handed = true;
    far_listener_deafen(f->listener);
    f->leave.fire = on_look;
    nr_deadline_set(f->loop, &f->leave, 0);
}

void invokers_beside(struct invokers *f, bool on)
{
    f->beside = on;
}
