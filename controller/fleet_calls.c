/* Which host has a call.
 *
 *   place    what is known of each host is put side by side and placement.c chooses; hosts that are at their ceiling, are cordoned, or do not have what
 *            the function must find are told apart, for what is said of a call that nobody takes
 *   bounce   a call that a host gave back had not started: it is placed again, not too often
 *   wait     no host takes it now: it waits in order until one joins, reports or is free, for as long as whoever called has patience; accepted
 *            calls wait long, and so do all while hosts are still to come from the process that was here before
 *   refuse   no host that is known has what it must find: at once, with the tag
 *   trial    the calls of one are made on one host: where it has been before, else here, else at its home
 */
#include "controller/fleet.h"

#include <stdio.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "ports/grants.h"
#include "ports/tags.h"

enum {
    BOUNCES_MAX = 16,
    AGAIN_MS = 1000,
    TRIES = 1024,              /* in one turn of the loop: calls that wait, */
    MISSES = 32,               /* and functions that nobody takes */
    LOCAL_COUNT_MS = 10,       /* how old the sum of our own invoker's calls may be */
    PATIENCE_MS = 20000,       /* of a call that was not accepted yet */
    PATIENCE_LONG_MS = 3600000 /* of one that was */
};

/* ---- what is known of the hosts --------------------------------------------------------------------------------- */

static void add_load(void *arg, const struct function *fn, const struct invoker_load *load)
{
    (void)fn;
    *(unsigned *)arg += load->busy + load->waiting;
}

/* Calls that our own invoker has. */
static unsigned local_calls(struct invokers *f)
{
    if (f->loop->now_ms >= f->local_counted_ms + LOCAL_COUNT_MS) {
        f->local_calls = 0;
        invoker_loads(f->local, add_load, &f->local_calls);
        f->local_counted_ms = f->loop->now_ms;
    }
    return f->local_calls;
}

static bool has_tags(char *const *tags, const struct function *fn)
{
    for (size_t i = 0; fn->place && fn->place[i]; i++)
        if (!tags_have(tags, fn->place[i]))
            return false;
    return true;
}

static bool names_a_host(const struct function *fn)
{
    for (size_t i = 0; fn->place && fn->place[i]; i++)
        if (strncmp(fn->place[i], "host=", 5) == 0)
            return true;
    return false;
}

/* Volumes and devices are of one host: of this one, or of the one that the function names. */
static bool is_bound(const struct function *fn)
{
    return fn->grants && (fn->grants->volume_count > 0 || fn->grants->device_count > 0);
}

static struct place_host look_here(struct invokers *f, const struct function *fn)
{
    char why[INVOKER_WHY_BYTES];
    struct place_host h = {.id = placement_hash(NR_STR("0")),
                           .fits = has_tags(f->local_tags, fn),
                           .warm = true,
                           .starts = invoker_ready(f->local, why),
                           .cores = f->config.node ? (unsigned)f->config.node->cores : 1,
                           .room_mb = INT64_MAX};

    if (f->config.node) {
        const struct node *node = f->config.node;

        h.room_mb = node->memory_max_mb - atomic_load(&node->memory_used_mb);
        h.fits = h.fits && fn->gpu.count <= node->gpu_count;
    }
    /* With nobody else it waits here, as ever. */
    h.starts = h.starts || f->host_count == 0;
    invoker_load(f->local, fn->revision, &h.load);
    h.calls = local_calls(f);
    return h;
}

/* Of one that is away it is what it was when it joined last. */
static bool host_fits(const struct invokers *f, const struct fleet_host *host,
                      const struct function *fn)
{
    const struct far_hello *hello = host->far ? far_hello(host->far) : NULL;

    if (is_bound(fn) && f->local && !names_a_host(fn))
        return false;
    if (is_bound(fn) && !names_a_host(fn) && f->host_count > 1)
        return false;
    if (hello == NULL)
        return has_tags(host->tags, fn);
    return has_tags(host->tags, fn) && (int64_t)fn->gpu.count <= hello->gpus &&
           fn->memory_mb <= hello->memory_max_mb;
}

static void look_there(struct invokers *f, struct fleet_host *host, const struct function *fn,
                       struct place_host *ret)
{
    *ret = (struct place_host){.id = host->id, .cores = 1, .fits = host_fits(f, host, fn)};
    if (host->far == NULL || !ret->fits || fleet_owes(host, fn->account))
        return;
    const struct far_hello *hello = far_hello(host->far);

    ret->cores = hello->cores > 0 ? (unsigned)hello->cores : 1;
    ret->warm = far_takes(host->far, true);
    ret->starts = far_takes(host->far, false);
    if (!ret->warm && !ret->starts)
        return;
    far_load(host->far, fn->revision, &ret->load);
    ret->calls = far_busy(host->far);
    ret->room_mb = far_room_mb(host->far);
}

static bool has_been(const struct invokers *f, const struct fleet_view *v, size_t at,
                     uint64_t revision)
{
    return v->of[at] ? far_knows(v->of[at]->far, revision) : invoker_serves(f->local, revision);
}

/* The hosts that may have a trial's call, made one: what an earlier call of it left is there, and what is measured is of one machine. */
static void keep_to_one(const struct invokers *f, uint64_t revision, struct fleet_view *v)
{
    size_t one = v->n;

    for (size_t i = 0; i < v->n && one == v->n; i++)
        if (v->hosts[i].fits && v->hosts[i].starts && has_been(f, v, i, revision))
            one = i;
    if (one == v->n && f->local && v->n > 0 && v->hosts[0].fits && v->hosts[0].starts)
        one = 0;
    v->call.hosts_max = 1;
    for (size_t i = 0; i < v->n && one < v->n; i++)
        if (i != one)
            v->hosts[i].warm = v->hosts[i].starts = false;
}

void fleet_look(struct invokers *f, const struct function *fn, struct fleet_view *ret)
{
    char text[1024];
    int n = snprintf(text, sizeof(text), "%s/%s/%s", fn->account, fn->package, fn->name);
    const struct nr_str name = {text, n < (int)sizeof(text) ? (size_t)n : sizeof(text) - 1};

    ret->n = 0;
    ret->call = (struct place_call){.key = placement_hash(name), .memory_mb = fn->memory_mb};
    ret->call.hosts_max = fn->instances > 0 ? 1 : fleet_wish_hosts_max(f, name);
    if (f->local) {
        ret->hosts[ret->n] = look_here(f, fn);
        ret->of[ret->n++] = NULL;
    }
    for (size_t i = 0; i < f->host_count; i++) {
        look_there(f, f->hosts[i], fn, &ret->hosts[ret->n]);
        ret->of[ret->n++] = f->hosts[i];
    }
    if (fn->trial)
        keep_to_one(f, fn->revision, ret);
}

/* ---- the ends of a call that nobody has --------------------------------------------------------------------------- */

static void leave_queue(struct activation *a)
{
    struct invokers *f = a->invoker;

    if (!a->unplaced)
        return;
    nr_list_del(&a->queue);
    nr_deadline_cancel(&a->deadline);
    a->unplaced = false;
    a->invoker = NULL;
    f->unplaced_count--;
}

/* The error of a is set. */
static void end(struct activation *a)
{
    leave_queue(a);
    a->answered_us = nr_mono_us();
    a->i = I_END;
    a->on_step(a); /* may free a */
}

void fleet_cut_unplaced(struct activation *a, int err)
{
    activation_fail(a, err, "%s", nr_err_text(err));
    end(a);
}

/* The first tag that no host has, or all of them together. */
static void refuse_unfit(struct invokers *f, struct activation *a, const struct fleet_view *view)
{
    const struct function *fn = a->fn;

    nr_count(&f->unfit, 1);
    for (size_t t = 0; fn->place && fn->place[t]; t++) {
        bool there = f->local && tags_have(f->local_tags, fn->place[t]);

        for (size_t i = 0; i < f->host_count; i++)
            there = there || tags_have(f->hosts[i]->tags, fn->place[t]);
        if (there)
            continue;
        activation_fail(
            a, NR_EUNAVAIL,
            "No invoker has the tag %s that narae.place of the function asks for (%zu are known).",
            fn->place[t], view->n);
        break;
    }
    if (a->err == 0 && is_bound(fn) && !names_a_host(fn))
        activation_fail(
            a, NR_EUNAVAIL,
            "The function has volumes or devices, which are of one host: its narae.place "
            "must name that with the tag host.");
    activation_fail(a, NR_EUNAVAIL,
                    "No invoker has all of what the function must find: its tags, %u GPUs and "
                    "%lld MB of memory (%zu are known).",
                    fn->gpu.count, (long long)fn->memory_mb, view->n);
    end(a);
}

static void give_up(struct invokers *f, struct activation *a)
{
    char why[INVOKER_WHY_BYTES] = "";

    nr_count(&f->gave_up, 1);
    if (invokers_ready(f, why))
        (void)snprintf(why, sizeof(why), "those that may have the function are full or away");
    activation_fail(a, NR_EUNAVAIL, "No invoker has taken the call: %s.", why);
    end(a);
}

static void on_patience_over(struct nr_deadline *d)
{
    struct activation *a = nr_container_of(d, struct activation, deadline);
    struct invokers *f = a->invoker;
    uint64_t waited_ms = (nr_mono_us() - a->borrowed_us) / 1000;

    if (a->durable && waited_ms < PATIENCE_LONG_MS) { /* it was accepted meanwhile */
        nr_deadline_set(f->loop, &a->deadline, PATIENCE_LONG_MS - waited_ms);
        return;
    }
    give_up(f, a);
}

static void on_again(struct nr_deadline *d)
{
    struct invokers *f = nr_container_of(d, struct invokers, again);

    fleet_retry(f);
    if (f->unplaced_count > 0)
        nr_deadline_set(f->loop, d, AGAIN_MS);
}

/* Nobody tells when the own invoker is well again, or has room. */
static void look_again(struct invokers *f)
{
    f->again.fire = on_again;
    if (!nr_deadline_armed(&f->again) && !f->closing)
        nr_deadline_set(f->loop, &f->again, AGAIN_MS);
}

static void let_wait(struct invokers *f, struct activation *a)
{
    if (a->unplaced)
        return;
    a->unplaced = true;
    a->invoker = f;
    a->i = I_BORROW;
    a->borrowed_us = nr_mono_us();
    nr_list_add(&f->unplaced, &a->queue);
    f->unplaced_count++;
    look_again(f);
    a->deadline.fire = on_patience_over;
    nr_deadline_set(f->loop, &a->deadline,
                    a->durable || f->beside ? PATIENCE_LONG_MS : PATIENCE_MS);
}

/* ---- placing ------------------------------------------------------------------------------------------------------ */

static void give(struct invokers *f, struct activation *a, struct fleet_host *host)
{
    leave_queue(a);
    if (host == NULL) {
        a->far = NULL;
        f->local_calls++;
        nr_count(&f->local_placed, 1);
        a->i = I_IDLE;
        invoker_run(f->local, a);
        return;
    }
    a->far = host->far;
    nr_count(&host->placed, 1);
    far_run(host->far, a);
}

/* Gives a to the host that is chosen, or tells why there is none: what placement_choose() says. *ret: the hosts as they are. */
static int try_once(struct invokers *f, struct activation *a, struct fleet_view *ret)
{
    fleet_look(f, a->fn, ret);
    int at = placement_choose(ret->hosts, ret->n, &ret->call);

    if (at >= 0)
        give(f, a, ret->of[at]);
    return at;
}

void fleet_place(struct invokers *f, struct activation *a)
{
    struct fleet_view view;
    int at = try_once(f, a, &view);

    if (at == PLACE_UNFIT && view.n > 0) /* nobody is known yet: who comes may have it */
        refuse_unfit(f, a, &view);
    else if (at < 0)
        let_wait(f, a);
}

/* Functions for which nobody takes a call now: the others of them are passed over. */
struct missed {
    const struct function *of[MISSES];
    unsigned n;
};

static bool has_missed(const struct missed *m, const struct function *fn)
{
    for (unsigned i = 0; i < m->n; i++)
        if (m->of[i] == fn)
            return true;
    return false;
}

void fleet_retry(struct invokers *f)
{
    struct missed missed = {.n = 0};
    struct fleet_view view;
    size_t left = f->unplaced_count < TRIES ? f->unplaced_count : TRIES;

    if (f->placing || f->closing)
        return;
    f->placing = true;
    for (; left > 0 && missed.n < MISSES && !nr_list_empty(&f->unplaced); left--) {
        struct activation *a = nr_container_of(f->unplaced.next, struct activation, queue);

        if (!has_missed(&missed, a->fn)) {
            if (try_once(f, a, &view) >= 0)
                continue;
            missed.of[missed.n++] = a->fn;
        }
        nr_list_del(&a->queue); /* the next one is another one's turn */
        nr_list_add(&f->unplaced, &a->queue);
    }
    f->placing = false;
}

void fleet_bounced(void *arg, struct far *far, struct activation *a)
{
    struct invokers *f = arg;
    struct fleet_host *host = far_owner(far);

    if (host)
        nr_count(&host->bounced, 1);
    a->far = NULL;
    if (a->err == 0 && ++a->bounces <= BOUNCES_MAX) {
        fleet_place(f, a);
        return;
    }
    activation_fail(a, NR_EUNAVAIL,
                    "No invoker has run the call: %d of them gave it back before it had started.",
                    BOUNCES_MAX);
    end(a);
}
