/* Each event is put together here, so that who has something to tell needs one line. */
#include "invoker/events.h"

#include "common/base/clock.h"
#include "invoker/ahead.h"
#include "ports/event.h"

enum { FULL_AGAIN_MS = 60000 };

static void tell(struct invoker *v, const struct event *e)
{
    if (v->event)
        v->event(v->event_arg, e);
}

/* Whose it is; a stem is the node's. */
static struct event of(const struct container *ct, enum event_id id)
{
    struct event e = {.id = id, .member[0].text = ct->name};

    if (ct->fn) {
        e.account = ct->fn->account;
        e.package = ct->fn->package;
        e.name = ct->fn->name;
        e.version = ct->fn->version;
    }
    return e;
}

static int64_t ms(uint64_t us)
{
    return (int64_t)(us / 1000);
}

static void started(const struct container *ct, const char *start, uint64_t took_us)
{
    struct event e = of(ct, EVENT_CONTAINER_STARTED);

    e.member[1].text = start;
    e.member[2].text = start_reason_text(ct->begun_for);
    e.member[3].text = cold_cause_text(ct->cold);
    e.member[4].number = ct->memory_mb;
    e.member[5].number = ms(took_us);
    for (int i = 6; i < EVENT_MEMBERS_MAX; i++)
        e.member[i].number = -1;
    if (!ct->born_stem || ct->fn == NULL) {
        uint64_t hello_us = span_us(ct->created_us, ct->hello_us);

        e.member[6].number = ms(ct->net_us);
        e.member[7].number = ms(ct->create_us);
        e.member[8].number = ms(hello_us > ct->net_us ? hello_us - ct->net_us : 0);
    }
    tell(ct->v, &e);
}

void event_started(const struct container *ct)
{
    started(ct, "cold", span_us(ct->begun_us, ct->hello_us));
}

void event_handed_over(const struct container *ct)
{
    started(ct, "stem", ct->handover.us);
}

void event_start_failed(const struct container *ct)
{
    struct event e = of(ct, EVENT_CONTAINER_START_FAILED);

    e.member[1].text =
        nr_err_text(ct->failure.code); /* the sentence is the host's, not the account's */
    tell(ct->v, &e);
}

void event_init_ahead(const struct container *ct, uint64_t took_us, const char *log)
{
    struct event e = of(ct, EVENT_INIT_AHEAD);

    e.member[1].number = ms(took_us);
    e.member[2].text = log;
    tell(ct->v, &e);
}

void event_init_ahead_failed(const struct container *ct, uint64_t took_us,
                             const struct ahead_failure *f)
{
    struct event e = of(ct, EVENT_INIT_AHEAD_FAILED);

    e.member[1].text = end_reason_text(f->why);
    e.member[2].number = ms(took_us);
    e.member[3].text = f->error;
    e.member[4].text = f->log;
    e.member[5].number = f->count;
    e.member[6].number = (int64_t)(f->not_before_ms - f->at_ms);
    tell(ct->v, &e);
}

void event_ended(const struct container *ct)
{
    struct event e = of(ct, EVENT_CONTAINER_ENDED);

    e.member[1].text = end_reason_text(ct->ended);
    e.member[2].number = ct->memory_mb;
    e.member[3].number = ms(span_us(ct->begun_us, nr_mono_us()));
    tell(ct->v, &e);
}

void event_oom(const struct container *ct, int64_t kills)
{
    struct event e = of(ct, EVENT_OOM_KILLED);

    e.member[1].number = kills;
    e.member[2].number = ct->memory_mb;
    tell(ct->v, &e);
}

void event_node_full(struct invoker *v, int64_t wanted_mb)
{
    struct event e = {.id = EVENT_NODE_FULL};

    if (v->full_ms && v->loop->now_ms - v->full_ms < FULL_AGAIN_MS)
        return;
    v->full_ms = v->loop->now_ms;
    e.member[0].number = wanted_mb;
    e.member[1].number = v->node->memory_used_mb;
    e.member[2].number = v->node->memory_max_mb;
    tell(v, &e);
}
