/* A call that is watched, as errands may ask (ports/errand.h): its container is looked at from before its first byte until right after its answer, and
 * what was seen is told with its end.
 *
 *   granted   the watch stands in for the claim: the call goes on when the first look is done
 *   answered  the last look; the call is over when that has come and its slot is back
 */
#include "invoker/far/serve.h"

#include "ports/errand.h"
#include "ports/invoker.h"

static void on_watched(void *arg, const struct call_usage *u)
{
    struct served *c = arg;

    *c->usage = *u;
    c->watching = false;
    if (c->over)
        call_over(c);
}

void watch_begin(struct served *c)
{
    c->watching = true;
    c->watch = invoker_watch(c->a, on_watched, c);
}

void watch_end(struct served *c)
{
    struct call_watch *w = c->watch;

    c->watch = NULL;
    if (w)
        invoker_watch_end(w, c->a->started_us);
}
