/* A call that was given and whose claim does not come.
 *
 * Waiting is lawful, however long: all slots may be in use, its code on its way, a container being made. The invoker names in its reports what waits there, so what it does
 * not name it has not: a call of which two reports in turn say nothing, though its RUN was read (a PING that was sent later has come back), is taken back and placed
 * elsewhere. So is one when no report names anything for a while, or when its RUN is not read for long. The invoker gets no other call until it asks for a claim, or for a while.
 *
 * Nothing starts twice: CUT is sent, and whatever is claimed later is refused, for no such call is known any more.
 */
#include "invoker/far/far_state.h"

#include "common/base/clock.h"

bool far_is_mute(const struct far *f)
{
    return f->mute_ms != 0 && f->l->config.loop->now_ms - f->mute_ms < FAR_MUTE_MS;
}

static bool is_silent(struct far_call *c)
{
    const struct far *f = c->f;
    uint64_t now_ms = f->l->config.loop->now_ms;

    if (!c->read && f->link && f->link->heard_us > c->given_us) {
        c->read = true;
        c->named = f->naming;
        c->named_ms = now_ms;
    }
    if (!c->read)
        return now_ms - c->named_ms >= FAR_UNREAD_MS;
    return f->naming >= c->named + FAR_REPORTS_MAX || now_ms - c->named_ms >= FAR_UNNAMED_MS;
}

static void on_look(struct nr_deadline *d)
{
    struct far_call *c = nr_container_of(d, struct far_call, deadline);
    struct far *f = c->f;

    if (!is_silent(c)) {
        nr_deadline_set(f->l->config.loop, d, FAR_LOOK_MS);
        return;
    }
    nr_count(&f->l->m.silent, 1);
    if (!far_is_mute(f))
        nr_log(
            f->l->config.log, NR_LOG_WARN, "invokers",
            "invoker=%s activation=%s silent: it was given the call %llu ms ago and does not name it; it gets no "
            "other for %d s",
            f->hello->name, c->a->id, (unsigned long long)((nr_mono_us() - c->given_us) / 1000),
            FAR_MUTE_MS / 1000);
    f->mute_ms = f->l->config.loop->now_ms;
    far_call_bounce(c, true);
}

void far_call_given(struct far_call *c)
{
    c->given_us = nr_mono_us();
    c->named = c->f->naming;
    c->named_ms = c->f->l->config.loop->now_ms;
    c->deadline.fire = on_look;
    nr_deadline_set(c->f->l->config.loop, &c->deadline, FAR_LOOK_MS);
}

void far_named(struct far *f, struct nr_str numbers)
{
    uint64_t number;

    for (size_t at = 0; at + sizeof(number) <= numbers.n; at += sizeof(number)) {
        memcpy(&number, numbers.p + at, sizeof(number));
        struct far_call *c = far_call_numbered(f, number);

        if (c == NULL)
            continue;
        c->read = true;
        c->named = f->naming + 1; /* the number that this report has when it is whole */
        c->named_ms = f->l->config.loop->now_ms;
    }
}
