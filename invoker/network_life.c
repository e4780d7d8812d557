/* The life of a network slot, from its making to its removal, and of the network as a whole.
 *
 * A slot's death is told by the kernel (its process's pidfd becomes readable). A slot goes when it died, was not to be trusted, was
 * unused for ten minutes, or makes room for another one. Removals are tried until they succeed. Every minute the rules are looked at,
 * and put back if somebody has thrown them away.
 *
 * Draining: takes that wait fail, slots that nobody holds go, and with the last one rules and bridge. Slots of containers that are left
 * for the next start stay, and bridge and rules with them.
 */
#include "common/base/clock.h"
#include "invoker/network_slot.h"
#include "invoker/start.h"
#include "ports/grants.h"

enum {
    TIDY_MS = 5000,
    CHECK_MS = 60000,
    FOUND_MS = 1000,
    MAKING_AHEAD_MAX = 2,
    INDEX_MAX = 4000,
    SLOT_MEMORY_MB = 16
};

static const char *const state_names[NET_STATES] = {"making",   "found", "free",
                                                    "granting", "used",  "removing"};

static const bool allowed[NET_STATES][NET_STATES] = {
    [NET_MAKING] = {[NET_FREE] = true, [NET_REMOVING] = true},
    [NET_FOUND] = {[NET_USED] = true, [NET_REMOVING] = true},
    [NET_FREE] = {[NET_GRANTING] = true, [NET_USED] = true, [NET_REMOVING] = true},
    [NET_GRANTING] = {[NET_USED] = true, [NET_REMOVING] = true},
    [NET_USED] = {[NET_FREE] = true, [NET_REMOVING] = true},
};

void network_move(struct net_slot *s, enum net_state to)
{
    nr_check(allowed[s->state][to]);
    s->n->count[s->state]--;
    s->n->count[to]++;
    s->state = to;
}

static void end_if_empty(struct network *n);

/* ---- the slots of a network ------------------------------------------------------------------------------------ */

/* Addresses go round, so that what is still on its way to the last user of one finds nobody for long. */
static unsigned free_index(struct network *n)
{
    for (;;) {
        bool taken = false;

        n->next_index = n->next_index % INDEX_MAX + 1;
        NR_LIST_EACH(&n->slots, l)
            taken = taken || net_slot_of(l)->index == n->next_index;
        if (!taken)
            return n->next_index;
    }
}

struct net_slot *network_add_slot(struct network *n, enum net_state state, unsigned index)
{
    struct net_slot *s = nr_alloc(sizeof(*s));
    unsigned char random[4];

    s->n = n;
    s->state = state;
    s->pidfd = -1;
    nr_random(random, sizeof(random));
    nr_hex(random, sizeof(random), s->name);
    slot_name(s, index ? index : free_index(n));
    s->account = state == NET_FOUND ? NULL : nr_strdup("");
    s->image = nr_strdup(n->image);
    s->spec = create_spec_here(n->v);
    s->spec.id = s->name;
    s->spec.kind = "slot";
    s->spec.network = CREATE_NET_PAUSE;
    s->spec.slot_number = s->number;
    s->spec.memory_mb = SLOT_MEMORY_MB;
    nr_list_add(&n->slots, &s->link_all);
    n->count[state]++;
    n->total++;
    return s;
}

static void free_slot(struct net_slot *s)
{
    if (s->pidfd >= 0) /* it was never watched */
        (void)close(s->pidfd);
    grants_unref(s->grants);
    free(s->account);
    free(s->image);
    free(s);
}

static void forget_slot(struct net_slot *s)
{
    nr_list_del(&s->link_all);
    nr_deadline_cancel(&s->again);
    s->n->count[s->state]--;
    s->n->total--;
}

/* ---- death --------------------------------------------------------------------------------------------------- */

static void on_watch_closed(uv_handle_t *h)
{
    struct net_slot *s = h->data;
    struct network *n = s->n;

    (void)close(nr_steal_fd(&s->pidfd));
    s->watched = false;
    n->closing--;
    if (s->link_all.next == NULL)
        free_slot(s);
    end_if_empty(n);
}

static void stop_watching(struct net_slot *s)
{
    if (s->watched && !uv_is_closing((uv_handle_t *)&s->watch)) {
        s->n->closing++;
        uv_close((uv_handle_t *)&s->watch, on_watch_closed);
    }
}

static void on_death(uv_poll_t *h, int status, int events)
{
    struct net_slot *s = h->data;
    struct net_wait *w = s->w;

    (void)status;
    (void)events;
    s->dead = true;
    stop_watching(s);
    if (s->n->stopping)
        return;
    nr_log(s->n->v->log, NR_LOG_WARN, "invoker", "network slot %s (%s) has died", s->name,
           state_names[s->state]);
    if (s->state == NET_FREE || s->state == NET_FOUND) {
        network_remove_slot(s);
        network_refill(s->n);
    } else if (s->state == NET_USED && w) {
        s->w = NULL;
        w->died(w);
    }
}

void network_watch(struct net_slot *s)
{
    s->watch.data = s;
    s->watched = s->pidfd >= 0 && uv_poll_init(&s->n->v->loop->uv, &s->watch, s->pidfd) == 0;
    if (s->watched)
        (void)uv_poll_start(&s->watch, UV_READABLE, on_death);
}

/* ---- removal ------------------------------------------------------------------------------------------------- */

static void remove_work(struct engine_worker *w, struct engine_job *j)
{
    struct net_slot *s = nr_container_of(j, struct net_slot, job);

    s->err = (struct nr_err){0};
    (void)slot_remove(w, s, &s->err);
}

static void on_again(struct nr_deadline *d)
{
    struct net_slot *s = nr_container_of(d, struct net_slot, again);

    engine_submit(s->n->v->engine, &s->job);
}

static void on_removed(struct engine_job *j)
{
    struct net_slot *s = nr_container_of(j, struct net_slot, job);
    struct network *n = s->n;

    if (s->err.code != 0 && s->err.code != NR_ECANCELED) {
        nr_log(n->v->log, NR_LOG_WARN, "invoker", "network slot %s is still there: %s", s->name,
               s->err.text);
        s->again.fire = on_again;
        nr_deadline_set(n->v->loop, &s->again, RETRY_MS);
        return;
    }
    forget_slot(s);
    if (!s->watched)
        free_slot(s);
    network_feed(n);
    end_if_empty(n);
}

void network_remove_slot(struct net_slot *s)
{
    network_move(s, NET_REMOVING);
    stop_watching(s);
    s->w = NULL;
    s->held = false;
    s->job = (struct engine_job){.rank = RANK_REMOVE, .work = remove_work, .done = on_removed};
    engine_submit(s->n->v->engine, &s->job);
}

/* ---- making -------------------------------------------------------------------------------------------------- */

static void make_work(struct engine_worker *w, struct engine_job *j)
{
    struct net_slot *s = nr_container_of(j, struct net_slot, job);

    s->err = (struct nr_err){0};
    (void)slot_make(w, s, &s->err);
    if (s->err.code == NR_ENOENT) /* the image has gone since */
        free(nr_steal(&s->image));
}

/* A wish that waits gets the failure, for it may know better than to wait; what is made ahead is tried again later. */
static void making_failed(struct net_slot *s)
{
    struct network *n = s->n;
    struct nr_err err = s->err;
    bool needed = s->needed;

    nr_log(n->v->log, NR_LOG_WARN, "invoker", "no network slot could be made: %s", err.text);
    n->not_before_ms = n->v->loop->now_ms + RETRY_MS;
    network_remove_slot(s);
    if (needed || n->count[NET_MAKING] == 0)
        network_tell_waiting(n, &err);
}

static void on_made(struct engine_job *j)
{
    struct net_slot *s = nr_container_of(j, struct net_slot, job);
    struct network *n = s->n;

    free(n->image);
    n->image = nr_strdup(s->image);
    if (n->stopping) {
        network_remove_slot(s);
    } else if (s->err.code != 0) {
        making_failed(s);
    } else {
        network_made_slot(s);
        network_feed(n);
    }
}

void network_made_slot(struct net_slot *s)
{
    network_move(s, NET_FREE);
    s->free_since_ms = s->n->v->loop->now_ms;
    network_watch(s);
}

void network_begin_slot(struct network *n, bool needed)
{
    struct net_slot *s = network_add_slot(n, NET_MAKING, 0);

    s->needed = needed;
    s->job = (struct engine_job){
        .rank = needed ? RANK_START : RANK_PREWARM, .work = make_work, .done = on_made};
    engine_submit(n->v->engine, &s->job);
}

void network_refill(struct network *n)
{
    unsigned making = n->count[NET_MAKING];

    if (n->stopping || n->v->loop->now_ms < n->not_before_ms)
        return;
    unsigned ready = network_count(n, NET_FREE, "", false) + making;

    while (ready++ < n->ahead && making++ < MAKING_AHEAD_MAX && n->total < NET_SLOTS_MAX)
        network_begin_slot(n, false);
}

/* ---- time passes --------------------------------------------------------------------------------------------- */

static void check_work(struct engine_worker *w, struct engine_job *j)
{
    struct network *n = nr_container_of(j, struct network, check);

    (void)w;
    n->check_err = (struct nr_err){0};
    (void)pthread_mutex_lock(&n->firewall_lock);
    (void)firewall_install(&n->firewall, false, &n->check_err);
    (void)pthread_mutex_unlock(&n->firewall_lock);
}

static void on_checked(struct engine_job *j)
{
    struct network *n = nr_container_of(j, struct network, check);

    n->checking = false;
    if (n->check_err.code != 0)
        nr_log(n->v->log, NR_LOG_WARN, "invoker", "the rules of %s could not be looked at: %s",
               n->firewall.bridge, n->check_err.text);
    end_if_empty(n);
}

static void check_rules(struct network *n)
{
    n->checking = true;
    n->checked_ms = n->v->loop->now_ms;
    n->check = (struct engine_job){.rank = RANK_PREWARM, .work = check_work, .done = on_checked};
    engine_submit(n->v->engine, &n->check);
}

/* Slots unused for ten minutes go; of those of nobody as many stay as are kept ready. */
static void on_tidy(struct nr_deadline *d)
{
    struct network *n = nr_container_of(d, struct network, tidy);
    uint64_t now = n->v->loop->now_ms;
    unsigned spare = network_count(n, NET_FREE, "", false);

    nr_deadline_set(n->v->loop, &n->tidy, TIDY_MS);
    if (n->ahead > n->ahead_min && now - n->missed_ms > NET_UNUSED_MS) {
        n->ahead = n->ahead / 2 > n->ahead_min ? n->ahead / 2 : n->ahead_min;
        n->missed_ms = now;
    }
    NR_LIST_EACH(&n->slots, l) {
        struct net_slot *s = net_slot_of(l);

        if (s->state != NET_FREE || now - s->free_since_ms < NET_UNUSED_MS)
            continue;
        if (s->account[0] != '\0' || spare-- > n->ahead)
            network_remove_slot(s);
    }
    if (!n->checking && now - n->checked_ms > CHECK_MS)
        check_rules(n);
    network_refill(n);
}

/* Those of an earlier run that nobody took over. */
static void on_found_deadline(struct nr_deadline *d)
{
    struct network *n = nr_container_of(d, struct network, found_deadline);

    NR_LIST_EACH(&n->slots, l)
        if (net_slot_of(l)->state == NET_FOUND)
            network_remove_slot(net_slot_of(l));
    network_refill(n);
}

void network_begin(struct network *n)
{
    n->tidy.fire = on_tidy;
    n->found_deadline.fire = on_found_deadline;
    n->checked_ms = n->missed_ms = n->v->loop->now_ms;
    nr_deadline_set(n->v->loop, &n->tidy, TIDY_MS);
    nr_deadline_set(n->v->loop, &n->found_deadline, FOUND_MS);
    network_refill(n);
}

/* ---- the end ------------------------------------------------------------------------------------------------- */

static void end_work(struct engine_worker *w, struct engine_job *j)
{
    struct network *n = nr_container_of(j, struct network, check);

    (void)w;
    n->check_err = (struct nr_err){0};
    (void)firewall_remove(&n->firewall, &n->check_err);
    (void)network_link_remove(n->firewall.bridge, &n->check_err);
}

static void on_ended(struct engine_job *j)
{
    struct network *n = nr_container_of(j, struct network, check);

    if (n->check_err.code != 0)
        nr_log(n->v->log, NR_LOG_WARN, "invoker", "%s is not all gone: %s", n->firewall.bridge,
               n->check_err.text);
    n->closed(n->closed_arg);
}

static void end_if_empty(struct network *n)
{
    if (n->closed == NULL || n->done || n->checking || n->closing > 0 ||
        n->total > n->count[NET_USED])
        return;
    n->done = true;
    n->check = (struct engine_job){.rank = RANK_REMOVE, .work = end_work, .done = on_ended};
    if (n->total == 0)
        engine_submit(n->v->engine, &n->check);
    else
        n->closed(n->closed_arg);
}

void network_stop(struct network *n)
{
    struct nr_err err = {0};

    n->stopping = true;
    nr_deadline_cancel(&n->tidy);
    nr_deadline_cancel(&n->found_deadline);
    (void)nr_err_set(&err, NR_ESTOPPING, "the invoker is stopping");
    while (!nr_list_empty(&n->waiting))
        network_tell_waiting(n, &err);
    NR_LIST_EACH(&n->slots, l) {
        struct net_slot *s = net_slot_of(l);

        if (s->state == NET_FREE || s->state == NET_FOUND)
            network_remove_slot(s);
        else if (s->state == NET_USED)
            stop_watching(s);
    }
}

void network_drain(struct network *n, void (*closed)(void *arg), void *arg)
{
    n->closed = closed;
    n->closed_arg = arg;
    network_stop(n);
    end_if_empty(n);
}

unsigned network_slots(const struct network *n)
{
    return n ? n->total : 0;
}

void network_free(struct network *n)
{
    if (n == NULL)
        return;
    NR_LIST_EACH(&n->slots, l) {
        nr_list_del(l);
        free_slot(net_slot_of(l));
    }
    (void)pthread_mutex_destroy(&n->firewall_lock);
    free(n->image);
    free(n->resolv_path);
    free(n->installation);
    free(n);
}

void network_status(const struct network *n, struct nr_buf *out)
{
    char text[SUBNET_TEXT_BYTES];

    nr_buf_printf(out, "{\"bridge\":\"%s\",\"subnet\":\"%s\",\"ahead\":%u,\"slots\":{",
                  n->firewall.bridge, subnet_text(n->firewall.subnet, text), n->ahead);
    for (int i = 0; i < NET_STATES; i++)
        nr_buf_printf(out, "%s\"%s\":%u", i ? "," : "", state_names[i], n->count[i]);
    nr_buf_adds(out, "},\"resolvers\":[");
    for (unsigned i = 0; i < n->firewall.resolver_count; i++)
        nr_buf_printf(out, "%s\"%s\"", i ? "," : "",
                      subnet_text((struct subnet){n->firewall.resolvers[i], 32}, text));
    nr_buf_adds(out, "]}");
}
