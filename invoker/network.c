/* Who gets which network slot.
 *
 * A take looks for a free slot of the same account with the same rules, else one of nobody, else another one of the account; when rules
 * must be set first, a worker does that and the slot is given then. When there is none the wish waits, and as many slots are begun as
 * wishes wait; whichever is ready first serves whoever waits first. Slots of nobody are kept ready; a call that finds none doubles how
 * many, ten quiet minutes halve it again. How slots are made and end is told in network_life.c.
 */
#include "invoker/network.h"

#include "invoker/network_slot.h"
#include "ports/grants.h"

void network_tell_waiting(struct network *n, const struct nr_err *err)
{
    struct nr_link *l = nr_list_pop(&n->waiting);

    if (l) {
        struct net_wait *w = nr_container_of(l, struct net_wait, link);

        free(nr_steal(&w->account));
        grants_unref(nr_steal(&w->grants));
        w->ready(w, NULL, err);
    }
}

unsigned network_count(struct network *n, enum net_state state, const char *account, bool needed)
{
    unsigned count = 0;

    NR_LIST_EACH(&n->slots, l) {
        const struct net_slot *s = net_slot_of(l);

        if (s->state == state && (account == NULL || strcmp(s->account, account) == 0) &&
            (!needed || s->needed))
            count++;
    }
    return count;
}

/* ---- giving -------------------------------------------------------------------------------------------------- */

static void give(struct net_slot *s, struct net_wait *w)
{
    network_move(s, NET_USED);
    s->held = true;
    s->w = w;
    w->ready(w, s, NULL);
}

static void grant_work(struct engine_worker *w, struct engine_job *j)
{
    struct net_slot *s = nr_container_of(j, struct net_slot, job);

    (void)w;
    s->err = (struct nr_err){0};
    (void)slot_grant(s, s->grants, &s->err);
}

static void on_granted(struct engine_job *j)
{
    struct net_slot *s = nr_container_of(j, struct net_slot, job);
    struct network *n = s->n;
    struct net_wait *w = s->w;

    if (w && s->err.code == 0 && !s->dead && !n->stopping) {
        give(s, w);
        return;
    }
    struct nr_err err = s->err;

    if (err.code == 0)
        (void)nr_err_set(&err, n->stopping ? NR_ESTOPPING : NR_EUNAVAIL,
                         "the network slot has ended");
    network_remove_slot(s);
    if (w)
        w->ready(w, NULL, &err);
    network_refill(n);
}

static void give_with_rules(struct net_slot *s, struct net_wait *w, const char *account,
                            struct grants *grants)
{
    bool same = grants_same_egress(s->grants, grants);

    free(s->account);
    s->account = nr_strdup(account);
    grants_unref(s->grants);
    s->grants = grants_ref(grants);
    if (same) {
        give(s, w);
        return;
    }
    network_move(s, NET_GRANTING);
    s->held = true;
    s->w = w;
    s->job = (struct engine_job){.rank = RANK_START, .work = grant_work, .done = on_granted};
    engine_submit(s->n->v->engine, &s->job);
}

/* How well a free slot suits: the account's with the same rules, nobody's, the account's with other rules; 0: not at all. */
static int suits(const struct net_slot *s, const char *account, const struct grants *grants)
{
    if (s->state != NET_FREE || s->dead)
        return 0;
    if (s->account[0] == '\0')
        return 2;
    if (strcmp(s->account, account) != 0)
        return 0;
    return grants_same_egress(s->grants, grants) ? 3 : 1;
}

static struct net_slot *best(struct network *n, const char *account, const struct grants *grants)
{
    struct net_slot *found = NULL;
    int most = 0;

    NR_LIST_EACH(&n->slots, l) {
        int fit = suits(net_slot_of(l), account, grants);

        if (fit > most) {
            most = fit;
            found = net_slot_of(l);
        }
    }
    return found;
}

/* All slots are there that may be: the one that was free longest goes. */
static bool make_room(struct network *n)
{
    struct net_slot *oldest = NULL;

    NR_LIST_EACH(&n->slots, l) {
        struct net_slot *s = net_slot_of(l);

        if (s->state == NET_FREE && (oldest == NULL || s->free_since_ms < oldest->free_since_ms))
            oldest = s;
    }
    if (oldest)
        network_remove_slot(oldest);
    return oldest || n->count[NET_REMOVING] > 0 || n->count[NET_MAKING] > 0;
}

/* As many are begun as wishes wait. */
static void begin_for_waiting(struct network *n)
{
    unsigned making = network_count(n, NET_MAKING, NULL, true), calls = 0, others = 0;

    NR_LIST_EACH(&n->waiting, l) {
        if (nr_container_of(l, struct net_wait, link)->needed)
            calls++;
        else
            others++;
    }
    for (; making < calls && n->total < NET_SLOTS_MAX; making++)
        network_begin_slot(n, true);
    for (making = n->count[NET_MAKING]; making < calls + others && n->total < NET_SLOTS_MAX;
         making++)
        network_begin_slot(n, false);
    if (n->total >= NET_SLOTS_MAX && !nr_list_empty(&n->waiting) && !make_room(n)) {
        struct nr_err err = {0};

        (void)nr_err_set(&err, NR_EBUSY, "all %d network slots of this host are in use",
                         NET_SLOTS_MAX);
        network_tell_waiting(n, &err);
    }
}

/* The first wish that a free slot suits. */
static struct net_wait *first_served(struct network *n, bool needed, struct net_slot **ret)
{
    NR_LIST_EACH(&n->waiting, l) {
        struct net_wait *w = nr_container_of(l, struct net_wait, link);

        *ret = w->needed == needed ? best(n, w->account, w->grants) : NULL;
        if (*ret)
            return w;
    }
    return NULL;
}

/* Who waits gets what is free, calls first. */
void network_feed(struct network *n)
{
    struct net_slot *s = NULL;

    for (int needed = 1; needed >= 0; needed--) {
        struct net_wait *w;

        while (!n->stopping && (w = first_served(n, needed == 1, &s)) != NULL) {
            nr_auto_free char *account = nr_steal(&w->account);
            struct grants *grants = nr_steal(&w->grants);

            nr_list_del(&w->link);
            give_with_rules(s, w, account, grants);
            grants_unref(grants);
        }
    }
    if (!n->stopping)
        begin_for_waiting(n);
    network_refill(n);
}

void net_slot_take(struct network *n, const char *account, const struct grants *grants, bool needed,
                   struct net_wait *w)
{
    struct grants *shared = (struct grants *)(uintptr_t)grants;
    struct net_slot *s = n->stopping ? NULL : best(n, account, grants);

    if (n->stopping) {
        struct nr_err err = {0};

        (void)nr_err_set(&err, NR_ESTOPPING, "the invoker is stopping");
        w->ready(w, NULL, &err);
        return;
    }
    if (s) {
        give_with_rules(s, w, account, shared);
        network_refill(n);
        return;
    }
    w->account = nr_strdup(account);
    w->grants = grants_ref(shared);
    w->needed = needed;
    nr_list_add(&n->waiting, &w->link);
    if (needed) {
        n->missed_ms = n->v->loop->now_ms;
        n->ahead = n->ahead * 2 < NET_AHEAD_MAX ? n->ahead * 2 : NET_AHEAD_MAX;
    }
    begin_for_waiting(n);
}

void net_slot_cancel(struct network *n, struct net_wait *w)
{
    if (nr_list_linked(&w->link)) {
        nr_list_del(&w->link);
        free(nr_steal(&w->account));
        grants_unref(nr_steal(&w->grants));
    }
    NR_LIST_EACH(&n->slots, l)
        if (net_slot_of(l)->state == NET_GRANTING && net_slot_of(l)->w == w)
            net_slot_of(l)->w = NULL; /* its rules come, then it goes */
}

int net_slot_own(struct net_slot *s, const char *account, const struct grants *grants,
                 struct nr_err *err)
{
    struct grants *shared = (struct grants *)(uintptr_t)grants;
    bool same = s->account && grants_same_egress(s->grants, grants);
    int r = same ? 0 : slot_grant(s, grants, err);

    free(s->account);
    s->account =
        r < 0 ? NULL : nr_strdup(account); /* which rules it has is not known: never again */
    grants_unref(s->grants);
    s->grants = grants_ref(shared);
    return r;
}

void net_slot_return(struct net_slot *s, bool reuse)
{
    struct network *n = s->n;

    nr_check(s->state == NET_USED);
    s->w = NULL;
    s->held = false;
    if (n->done)
        return;
    if (!reuse || s->dead || s->account == NULL || n->stopping) {
        network_remove_slot(s);
        network_refill(n);
        return;
    }
    network_move(s, NET_FREE);
    s->free_since_ms = n->v->loop->now_ms;
    network_feed(n);
}

void net_slot_leave(struct net_slot *s)
{
    nr_check(s->state == NET_USED);
    s->w = NULL;
}

struct net_slot *net_slot_adopt(struct network *n, const char *name, struct net_wait *w)
{
    NR_LIST_EACH(&n->slots, l) {
        struct net_slot *s = net_slot_of(l);

        if (s->state == NET_FOUND && strcmp(s->name, name) == 0) {
            network_move(s, NET_USED);
            s->held = true;
            s->w = w;
            return s;
        }
    }
    return NULL;
}

const char *net_slot_name(const struct net_slot *s)
{
    return s->name;
}

const char *net_slot_mode(const struct net_slot *s)
{
    return s->mode;
}

const char *network_resolv_path(const struct network *n)
{
    return n->resolv_path;
}
