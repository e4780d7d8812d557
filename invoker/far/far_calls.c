/* A call on its way to another host, up to the moment at which it may start.
 *
 * Happy: far_run() -> FUNCTION, if it was not told, and RUN -> CLAIM: there is a slot -> the controller makes "running" durable -> CLAIMED
 * Bounced: a call that was not granted has not started. When its link ends, the invoker does not want it, or says nothing of it (far_silence.c), the owner gets it
 * back, once.
 * Refused: a CLAIM of a call that is not this link's any more is refused, and the slot goes back.
 * The claim's answer may come when the link is gone: CLAIMED was not sent then, so the call has not started, and bounces as well.
 */
#include "invoker/far/far_state.h"

#include "common/base/clock.h"

enum { TRANSACTION_MAX_BYTES = 256, META_MAX_BYTES = 8192 };

/* ---- calls as objects ---- */

static struct far_call *make_call(struct far *f, struct activation *a)
{
    struct far_listener *l = f->l;
    struct nr_link *it = nr_list_pop(&l->free_calls);
    struct far_call *c = it ? nr_container_of(it, struct far_call, link) : nr_alloc(sizeof(*c));

    l->free_call_count -= it != NULL;
    *c = (struct far_call){.number = ++l->next_call, .f = f, .a = a, .a_key = a};
    c->node.key = (struct nr_str){(const char *)&c->number, sizeof(c->number)};
    c->by_call.key = (struct nr_str){(const char *)&c->a_key, sizeof(c->a_key)};
    (void)nr_map_put(&f->calls, &c->node);
    (void)nr_map_put(&f->by_call, &c->by_call);
    nr_list_add(&f->given, &c->link);
    return c;
}

void far_call_free(struct far_call *c)
{
    struct far_listener *l = c->f->l;
    struct far_function *function = c->function;

    nr_deadline_cancel(&c->deadline);
    nr_list_del(&c->link);
    (void)nr_map_del(&c->f->calls, c->node.key);
    (void)nr_map_del(&c->f->by_call, c->by_call.key);
    if (function) {
        function->calls--;
        far_function_look(c->f, function);
    }
    if (l->free_call_count >= FAR_FREE_CALLS_MAX) {
        free(c);
        return;
    }
    nr_list_push(&l->free_calls, &c->link);
    l->free_call_count++;
}

void far_call_move(struct far_call *c, enum far_call_state state)
{
    if (c->state == FAR_GIVEN) {
        nr_list_del(&c->link);
        nr_list_add(&c->f->live, &c->link);
    }
    c->state = state;
}

struct far_call *far_call_numbered(const struct far *f, uint64_t number)
{
    struct nr_map_node *n =
        nr_map_get(&f->calls, (struct nr_str){(const char *)&number, sizeof(number)});

    return n ? nr_container_of(n, struct far_call, node) : NULL;
}

struct far_call *far_call_of(const struct far *f, const struct activation *a)
{
    const void *key = a;
    struct nr_map_node *n =
        nr_map_get(&f->by_call, (struct nr_str){(const char *)&key, sizeof(key)});

    return n ? nr_container_of(n, struct far_call, by_call) : NULL;
}

bool far_has(const struct far *f, const struct activation *a)
{
    return far_call_of(f, a) != NULL;
}

/* ---- giving ---- */

static int send_run(struct far_call *c)
{
    const struct activation *a = c->a;
    const struct wire_run run = {
        .activation = nr_str_of(a->id),
        .account = nr_str_of(a->account ? a->account->name : a->fn->account),
        .transaction = {a->transaction.p, a->transaction.n < TRANSACTION_MAX_BYTES
                                              ? a->transaction.n
                                              : TRANSACTION_MAX_BYTES},
        .api_key = a->fn->provide_api_key ? a->api_key : (struct nr_str){NULL, 0},
        .revision = a->fn->revision,
        .follows = a->follows,
        .watched = a->usage != NULL,
    };
    struct nr_buf meta;
    int r = 0;

    nr_buf_init(&meta, META_MAX_BYTES);
    wire_write(&wire_run_form, &run, &meta);
    if (meta.failed || a->input.n > WIRE_RUN_MAX_BYTES)
        r = NR_ETOOBIG;
    else
        wire_send(c->f->link->s, &(struct wire_head){.type = WIRE_RUN, .call = c->number},
                  nr_buf_str(&meta), a->input);
    nr_str_wipe(nr_buf_str(&meta));
    nr_buf_fini(&meta);
    return r;
}

void far_run(struct far *f, struct activation *a)
{
    struct far_call *c = make_call(f, a);

    a->invoker = f;
    a->i = I_BORROW;
    a->borrowed_us = nr_mono_us();
    nr_count(&f->l->m.calls, 1);
    if (f->link && f->calls.count <= WIRE_CALLS_MAX && far_is_roomy(f)) {
        c->refused = far_tell_function(f, a->fn, &c->function);
        if (c->function)
            c->function->calls++;
        if (c->refused == 0)
            c->refused = send_run(c);
        if (c->refused == 0) {
            far_call_given(c);
            return;
        }
    }
    nr_list_del(&c->link);
    nr_list_add(&f->unsent, &c->link);
    far_turn_soon(f);
}

/* ---- back to the owner ---- */

/* c is gone, and its activation as it was before far_run(). */
static struct activation *take_out(struct far_call *c)
{
    struct activation *a = c->a;

    a->i = I_IDLE;
    a->invoker = NULL;
    a->start = START_NONE;
    a->borrowed_us = 0;
    far_call_free(c);
    return a;
}

static void send_cut(struct far_call *c, int err)
{
    const struct wire_why why = {.err = err, .why = nr_str_of(nr_err_text(err))};

    far_send_meta(c->f, WIRE_CUT, 0, c->number, &wire_why_form, &why);
}

void far_call_bounce(struct far_call *c, bool tell)
{
    struct far *f = c->f;

    if (tell)
        send_cut(c, NR_ECANCELED);
    struct activation *a = take_out(c);

    nr_count(&f->l->m.bounced, 1);
    f->l->config.bounced(f->l->config.arg, f, a);
}

void far_bounce_all(struct far *f, bool tell)
{
    struct nr_link some;

    nr_list_init(&some);
    while (!nr_list_empty(&f->given)) /* the owner may give new ones meanwhile */
        nr_list_add(&some, nr_list_pop(&f->given));
    while (!nr_list_empty(&some))
        far_call_bounce(nr_container_of(some.next, struct far_call, link), tell);
}

void far_unsent_turn(struct far *f)
{
    struct nr_link some;

    nr_list_init(&some);
    while (!nr_list_empty(&f->unsent))
        nr_list_add(&some, nr_list_pop(&f->unsent));
    while (!nr_list_empty(&some)) {
        struct far_call *c = nr_container_of(some.next, struct far_call, link);

        if (c->refused == 0) {
            far_call_bounce(c, false);
            continue;
        }
        activation_fail(c->a, c->refused,
                        "The call was not run: it is larger than what another host is sent.");
        far_call_finish(c);
    }
}

bool far_take_back(struct far *f, struct activation *a)
{
    struct far_call *c = far_call_of(f, a);

    if (c == NULL || c->state != FAR_GIVEN)
        return false;
    send_cut(c, NR_ECANCELED);
    (void)take_out(c);
    return true;
}

int far_on_bounce(struct far_link *link, const struct wire_frame *w)
{
    struct far_call *c = far_call_numbered(link->f, w->head.call);

    if (c && c->state > FAR_ASKED)
        return far_link_broken(link, "BOUNCE of a call that was claimed");
    if (c && c->state == FAR_ASKED)
        c->epoch = 0; /* it bounces when the claim's answer is there */
    else if (c)
        far_call_bounce(c, false);
    return 0;
}

/* ---- the claim ---- */

static bool link_stands(const struct far_call *c)
{
    return c->f->link && c->epoch == c->f->epoch;
}

/* "running" is durable (0), or was refused. */
static void claim_known(struct far_call *c, int status)
{
    struct activation *a = c->a;

    a->claim = NULL;
    if (status < 0)
        activation_fail(a, status, "The call was not run: %s.", nr_err_text(status));
    if (a->err) { /* or it was cut meanwhile */
        if (link_stands(c))
            far_send(c->f, WIRE_CLAIMED, WIRE_FAILED, c->number);
        far_call_finish(c);
    } else if (!link_stands(c)) {
        far_call_bounce(c, false);
    } else {
        far_send(c->f, WIRE_CLAIMED, 0, c->number);
        far_call_granted(c);
    }
}

int far_on_claim(struct far_link *link, const struct wire_frame *w)
{
    struct far_call *c = far_call_numbered(link->f, w->head.call);

    if (c == NULL) { /* it was taken back */
        far_send(link->f, WIRE_CLAIMED, WIRE_FAILED, w->head.call);
        return 0;
    }
    if (c->state != FAR_GIVEN)
        return far_link_broken(link, "CLAIM of a call that was claimed before");
    c->cold = w->head.flags & WIRE_COLD;
    c->epoch = link->f->epoch;
    link->f->mute_ms = 0;
    nr_deadline_cancel(&c->deadline);
    far_call_move(c, FAR_ASKED);
    c->a->i = I_CLAIM;
    c->a->borrowed_us = nr_mono_us();
    int r = c->a->claim ? c->a->claim(c->a) : 0;

    if (r != 1)
        claim_known(c, r);
    return 0;
}

void far_claimed(struct far *f, struct activation *a, int status)
{
    struct far_call *c = far_call_of(f, a);

    if (c && c->state == FAR_ASKED)
        claim_known(c, status);
    far_look_if_gone(f);
}

/* ---- cuts ---- */

void far_cut(struct far *f, struct activation *a, int err)
{
    struct far_call *c = far_call_of(f, a);

    if (c == NULL || c->state == FAR_ANSWERED)
        return;
    activation_fail(a, err, "%s", nr_err_text(err));
    if (c->state == FAR_ASKED)
        return; /* it ends when the claim's answer is there */
    send_cut(c, err);
    if (c->state == FAR_GIVEN)
        far_call_finish(c);
    else
        far_call_cut(c);
}

/* ---- a session that comes back ---- */

void far_wanted(const struct far *f, struct nr_buf *out)
{
    for (struct nr_link *it = f->live.next; it != &f->live; it = it->next) {
        const struct far_call *c = nr_container_of(it, struct far_call, link);

        if (c->state == FAR_GRANTED || c->state == FAR_ANSWERED)
            nr_buf_add(out, &c->number, sizeof(c->number));
    }
}
