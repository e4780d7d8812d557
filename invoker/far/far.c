/* An invoker on another host, from its first HELLO to far_end().
 *
 *   up       HELLO was admitted: WELCOME tells what is still wanted of the session, then what the invoker missed (forgets, a cordon)
 *   down     what was not granted is bounced at once; what was granted waits for the session, up to its own limit
 *   back     the same session goes on; another one under the same name means that the process died: what was granted to it is lost
 *   ended    by the owner: nothing waits any more
 *
 * Callbacks of the owner come from a link's events or from a turn of the loop, never from inside his own call, but for far_end().
 */
#include "invoker/far/far_state.h"

#include "common/base/clock.h"

struct far_leaving {
    struct nr_link link;
    uint64_t number;
    char *account;
    void (*done)(void *arg);
    void *arg;
};

/* ---- turns ---- */

static void tell_drained(struct far *f)
{
    void (*drained)(void *arg) = f->drained;

    f->draining = false;
    f->drained = NULL;
    if (drained)
        drained(f->drained_arg);
}

static void on_turn(struct nr_deadline *d)
{
    struct far *f = nr_container_of(d, struct far, turn);

    if (f->take_back) {
        f->take_back = false;
        far_bounce_all(f, true);
    }
    far_unsent_turn(f);
}

void far_turn_soon(struct far *f)
{
    if (!nr_deadline_armed(&f->turn))
        nr_deadline_set(f->l->config.loop, &f->turn, 0);
}

void far_look_if_drained(struct far *f)
{
    if (f->draining && f->calls.count == 0 && f->empty)
        tell_drained(f);
}

/* ---- accounts that leave ---- */

static void send_leaving(struct far *f, const struct far_leaving *x)
{
    const struct wire_auth said = {.account = nr_str_of(x->account)};

    far_send_meta(f, WIRE_FORGET_ACCOUNT, 0, x->number, &wire_auth_form, &said);
}

void far_forget_account(struct far *f, const char *account, void (*done)(void *arg), void *arg)
{
    struct far_leaving *x = nr_alloc(sizeof(*x));

    *x = (struct far_leaving){
        .number = ++f->l->next_call, .account = nr_strdup(account), .done = done, .arg = arg};
    nr_list_add(&f->leaving_accounts, &x->link);
    send_leaving(f, x);
}

static void account_left(struct far_leaving *x)
{
    nr_list_del(&x->link);
    if (x->done)
        x->done(x->arg);
    free(x->account);
    free(x);
}

int far_on_forgotten(struct far_link *link, const struct wire_frame *w)
{
    NR_LIST_EACH(&link->f->leaving_accounts, it) {
        struct far_leaving *x = nr_container_of(it, struct far_leaving, link);

        if (x->number == w->head.call) {
            account_left(x);
            return 0;
        }
    }
    return 0; /* told twice: it was asked on the link before, too */
}

/* ---- joining ---- */

static struct far *make(struct far_listener *l)
{
    struct far *f = nr_alloc(sizeof(*f));

    f->l = l;
    f->turn.fire = on_turn;
    nr_map_init(&f->calls);
    nr_map_init(&f->by_call);
    nr_map_init(&f->functions);
    nr_map_init(&f->names);
    nr_list_init(&f->given);
    nr_list_init(&f->live);
    nr_list_init(&f->unsent);
    nr_list_init(&f->lru);
    nr_list_init(&f->leaving_accounts);
    nr_list_init(&f->wants);
    nr_list_init(&f->images);
    nr_list_init(&f->wanted);
    nr_list_add(&l->fars, &f->in_all);
    return f;
}

static struct far *find(struct far_listener *l, const char *name)
{
    NR_LIST_EACH(&l->fars, it) {
        struct far *f = nr_container_of(it, struct far, in_all);

        if (strcmp(f->hello->name, name) == 0)
            return f;
    }
    return NULL;
}

static void send_welcome(struct far *f)
{
    const struct wire_welcome said = {.protocol = f->hello->protocol,
                                      .epoch = f->epoch,
                                      .controller = nr_str_of(f->l->process),
                                      .api_host = nr_str_of(f->l->api_host)};
    struct nr_buf meta, wanted;

    nr_buf_init(&meta, WIRE_META_MAX_BYTES);
    nr_buf_init(&wanted, WIRE_CALLS_MAX * sizeof(uint64_t));
    wire_write(&wire_welcome_form, &said, &meta);
    far_wanted(f, &wanted);
    wire_send(f->link->s, &(struct wire_head){.type = WIRE_WELCOME}, nr_buf_str(&meta),
              nr_buf_str(&wanted));
    nr_buf_fini(&meta);
    nr_buf_fini(&wanted);
}

static void tell_what_it_missed(struct far *f, bool same_session)
{
    far_functions_joined(f, same_session);
    NR_LIST_EACH(&f->leaving_accounts, it)
        send_leaving(f, nr_container_of(it, struct far_leaving, link));
    if (f->draining)
        far_send(f, WIRE_DRAIN, 0, 0);
    else if (f->cordoned)
        far_send(f, WIRE_CORDON, WIRE_ON, 0);
}

void far_join(struct far_link *link, struct far_hello *h)
{
    struct far_listener *l = link->l;
    struct far *f = find(l, h->name);
    bool same = f && strcmp(f->hello->session, h->session) == 0;

    if (f == NULL)
        f = make(l);
    if (f->link) { /* the session was quicker than the end of its old link */
        struct far_link *old = f->link;

        old->f = NULL;
        far_link_close(old);
        far_down(f);
    }
    if (!same) {
        far_lose_all(f, "the invoker that ran the call was started anew");
        f->dropped_before += f->results_dropped;
        f->results_dropped = f->results_late = 0;
    }
    wire_hello_free(f->hello);
    f->hello = h;
    free(f->address);
    f->address = nr_strdup(nr_stream_peer(link->s));
    f->link = link;
    link->f = f;
    f->epoch++;
    f->leaving = f->ready = f->empty = f->reporting = false;
    f->reported_ms = f->mute_ms = 0;
    send_welcome(f);
    tell_what_it_missed(f, same);
    nr_log(l->config.log, NR_LOG_INFO, "invokers",
           "invoker=%s address=%s link=up session=%s epoch=%llu protocol=%d version=%s", h->name,
           f->address, h->session, (unsigned long long)f->epoch, h->protocol, h->version);
    l->config.joined(l->config.arg, f);
}

void far_down(struct far *f)
{
    f->link = NULL;
    f->ready = f->leaving = false;
    far_wants_drop(f);
    far_images_drop(f);
    far_bounce_all(f, false);
    f->l->config.lost(f->l->config.arg, f);
}

/* ---- cordon, drain, end ---- */

void far_cordon(struct far *f, bool on)
{
    if (f->cordoned == on)
        return;
    f->cordoned = on;
    far_send(f, WIRE_CORDON, on ? WIRE_ON : 0, 0);
    f->take_back = on;
    far_turn_soon(f);
    tell_drained(f); /* what takes calls again is not being drained */
}

bool far_is_cordoned(const struct far *f)
{
    return f->cordoned;
}

void far_drain(struct far *f, void (*done)(void *arg), void *arg)
{
    tell_drained(f); /* one that was asked for before has ended with this one */
    f->drained = done;
    f->drained_arg = arg;
    f->cordoned = f->take_back = f->draining = true;
    f->empty = false;
    far_send(f, WIRE_DRAIN, 0, 0);
    far_turn_soon(f);
}

int far_on_leaving(struct far_link *link, const struct wire_frame *w)
{
    struct far *f = link->f;

    if (w->head.flags & WIRE_MORE) { /* its process is being stopped */
        f->leaving = true;
        far_bounce_all(f, true);
        f->l->config.reported(f->l->config.arg, f);
        return 0;
    }
    f->empty = true;
    far_look_if_drained(f);
    return 0;
}

/* All is over but calls whose claim is being asked for: far_claimed() ends those, and comes back here. */
void far_look_if_gone(struct far *f)
{
    struct far_listener *l = f->l;

    if (!f->ended || f->calls.count > 0)
        return;
    far_functions_free(f);
    nr_map_fini(&f->calls);
    nr_map_fini(&f->by_call);
    nr_map_fini(&f->functions);
    nr_map_fini(&f->names);
    wire_hello_free(f->hello);
    free(f->address);
    free(f);
    l->works--;
    far_listener_look_if_closed(l);
}

void far_end(struct far *f)
{
    struct far_link *link = f->link;

    nr_list_del(&f->in_all);
    nr_deadline_cancel(&f->turn);
    f->link = NULL;
    f->l->works++;
    if (link) {
        link->f = NULL;
        far_link_close(link);
    }
    far_wants_drop(f);
    far_images_drop(f);
    far_unsent_turn(f);
    far_bounce_all(f, false);
    far_lose_all(f, "the invoker that ran the call was removed");
    while (!nr_list_empty(&f->leaving_accounts))
        account_left(nr_container_of(f->leaving_accounts.next, struct far_leaving, link));
    tell_drained(f);
    nr_deadline_cancel(&f->turn);
    f->ended = true;
    far_look_if_gone(f);
}

/* ---- what it is ---- */

const struct far_hello *far_hello(const struct far *f)
{
    return f->hello;
}

bool far_is_up(const struct far *f)
{
    return f->link != NULL;
}

bool far_is_roomy(const struct far *f)
{
    return nr_stream_unsent(f->link->s) < WIRE_UNSENT_MAX_BYTES;
}

/* In the order in which they count. warm: a slot is there, and needs no Engine. */
static const char *why_not(const struct far *f, bool warm)
{
    if (f->link == NULL)
        return f->draining ? "it is not connected; it is drained when it is back"
                           : "it is not connected";
    if (f->cordoned)
        return f->draining ? "it is being drained" : "it is cordoned";
    if (f->leaving)
        return "it is being stopped";
    if (f->calls.count >= WIRE_CALLS_MAX)
        return "it has as many calls as it may have";
    if (!far_is_roomy(f))
        return "its link is slower than what is sent to it";
    if (far_is_mute(f))
        return "it was given a call and says nothing of it";
    if (f->reported_ms == 0)
        return "it has not reported yet";
    return f->ready || warm ? "" : f->why;
}

bool far_takes(const struct far *f, bool warm)
{
    return why_not(f, warm)[0] == '\0';
}

const char *far_why_not(const struct far *f)
{
    return why_not(f, false);
}

size_t far_calls(const struct far *f)
{
    return f->calls.count;
}

void far_set_owner(struct far *f, void *owner)
{
    f->owner = owner;
}

void *far_owner(const struct far *f)
{
    return f->owner;
}

void far_wish(struct far *f, const struct scaler_wish *w)
{
    far_send_meta(f, WIRE_WISH, 0, 0, &wire_wish_form, w);
}
