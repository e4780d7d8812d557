/* One call, looked at closely: its container's control group is read before the first byte of the call is sent, every 10 ms while it runs,
 * and once right after its answer, by a thread of its own, for these files are not for the loop.
 *
 *   begin   stands in for the claim of a call: the slot is there, nothing has been sent. The groups of a new container may still be
 *           looked up; then the loop asks again. The first look done, the call goes on
 *   looks   the highest memory in use of each slice of time; when all slices are full, two become one, so a long call keeps as
 *           few. When the run begins is known at the end only, and splits them into start and run
 *   end     a last look, unless the container is gone: then the latest one stands
 */
#include "invoker/internal.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>

#include "common/base/clock.h"
#include "invoker/host.h"
#include "invoker/usage.h"
#include "ports/errand.h"

enum { LOOK_EVERY_MS = 10, SLICES = 512, ASK_AGAIN_MS = 1 };

struct slice {
    uint64_t from_us;
    int64_t peak_bytes;
};

struct call_watch {
    struct activation *a; /* until it goes on */
    struct container *ct; /* held */
    struct nr_loop *loop;
    void (*done)(void *arg, const struct call_usage *u);
    void *arg;
    struct nr_deadline again;
    struct nr_mail first, last;
    pthread_t thread;
    bool running;
    pthread_mutex_t lock; /* of `ending` and `wake` */
    pthread_cond_t wake;
    bool ending;
    uint64_t run_us;

    /* of the thread, and of the loop after it */
    struct slice slices[SLICES];
    unsigned count, per_slice, in_slice;
    struct cgroup_usage before, now;
    struct host_usage host_before, host_now;
    bool known;
    uint64_t begun_us, ended_us;
};

/* ---- looking: the watch's own thread ------------------------------------------------------------------------ */

static void halve(struct call_watch *w)
{
    for (unsigned i = 0; i < SLICES / 2; i++) {
        const struct slice *a = &w->slices[2 * i], *b = a + 1;

        w->slices[i] = (struct slice){a->from_us, a->peak_bytes > b->peak_bytes ? a->peak_bytes
                                                                                : b->peak_bytes};
    }
    w->count = SLICES / 2;
    w->per_slice *= 2;
}

static void note(struct call_watch *w, uint64_t at_us, int64_t bytes)
{
    if (w->in_slice == w->per_slice) {
        if (w->count == SLICES)
            halve(w);
        w->in_slice = 0;
    }
    if (w->in_slice++ == 0)
        w->slices[w->count++] = (struct slice){at_us, bytes};
    else if (w->slices[w->count - 1].peak_bytes < bytes)
        w->slices[w->count - 1].peak_bytes = bytes;
}

/* A container that went meanwhile leaves its latest figures. */
static void look(struct call_watch *w)
{
    struct cgroup_usage now;

    if (cgroup_read(&w->ct->cgroup, &now) != 0 || now.cpu_us < 0)
        return;
    w->now = now;
    w->known = true;
    note(w, nr_mono_us(), usage_memory_bytes(&now));
}

/* True: it is over. */
static bool wait_for_next(struct call_watch *w)
{
    const struct timespec at = nr_mono_after(LOOK_EVERY_MS);

    pthread_mutex_lock(&w->lock);
    while (!w->ending && pthread_cond_timedwait(&w->wake, &w->lock, &at) != ETIMEDOUT)
        continue;
    bool over = w->ending;
    pthread_mutex_unlock(&w->lock);
    return over;
}

static void *watch_call(void *arg)
{
    struct call_watch *w = arg;
    bool over = false;

    host_read("/proc", &w->host_before);
    w->begun_us = nr_mono_us();
    look(w);
    w->before = w->now;
    nr_mailbox_post(w->loop, &w->first);
    while (!over) {
        over = wait_for_next(w);
        look(w);
    }
    host_read("/proc", &w->host_now);
    w->ended_us = nr_mono_us();
    nr_mailbox_post(w->loop, &w->last);
    return NULL;
}

/* ---- what was seen ------------------------------------------------------------------------------------------ */

static int64_t used(int64_t now, int64_t before)
{
    return now < 0 || before < 0 ? -1 : now - before;
}

static double busy_seconds(const struct host_usage *h)
{
    static const enum host_figure parts[] = {HOST_CPU_USER, HOST_CPU_SYSTEM, HOST_CPU_STEAL};
    double sum = 0;

    for (size_t i = 0; i < nr_countof(parts); i++)
        sum += h->figure[parts[i]] > 0 ? h->figure[parts[i]] : 0;
    return sum;
}

static void split_peaks(const struct call_watch *w, struct call_usage *u)
{
    for (unsigned i = 0; i < w->count; i++) {
        const struct slice *s = &w->slices[i];
        uint64_t until_us = i + 1 < w->count ? w->slices[i + 1].from_us : UINT64_MAX;
        bool before = w->run_us == 0 || s->from_us < w->run_us,
             after = w->run_us != 0 && until_us > w->run_us;

        if (before && s->peak_bytes > u->init_peak_bytes)
            u->init_peak_bytes = s->peak_bytes;
        if (after && s->peak_bytes > u->run_peak_bytes)
            u->run_peak_bytes = s->peak_bytes;
    }
}

static struct call_usage sum_up(const struct call_watch *w)
{
    struct call_usage u = {.known = w->known,
                           .init_peak_bytes = -1,
                           .run_peak_bytes = -1,
                           .wall_us = (int64_t)(w->ended_us - w->begun_us)};

    u.cpu_us = used(w->now.cpu_us, w->before.cpu_us);
    u.user_us = used(w->now.cpu_user_us, w->before.cpu_user_us);
    u.system_us = used(w->now.cpu_system_us, w->before.cpu_system_us);
    u.throttled_us = used(w->now.throttled_us, w->before.throttled_us);
    u.oom_kills = used(w->now.oom_kills, w->before.oom_kills);
    u.rest_bytes = w->known ? usage_memory_bytes(&w->now) : -1;
    u.high_water_bytes = w->now.memory_peak_bytes;
    u.limit_bytes = w->now.memory_limit_bytes;
    int64_t all_us = (int64_t)((busy_seconds(&w->host_now) - busy_seconds(&w->host_before)) * 1e6);

    u.others_us = all_us > u.cpu_us ? all_us - (u.cpu_us > 0 ? u.cpu_us : 0) : 0;
    split_peaks(w, &u);
    return u;
}

/* ---- the loop ------------------------------------------------------------------------------------------------ */

static void watch_free(struct call_watch *w)
{
    pthread_cond_destroy(&w->wake);
    pthread_mutex_destroy(&w->lock);
    container_unref(w->ct);
    free(w);
}

static void on_last(struct nr_mail *m)
{
    struct call_watch *w = nr_container_of(m, struct call_watch, last);

    (void)pthread_join(w->thread, NULL);
    const struct call_usage u = sum_up(w);

    w->done(w->arg, &u);
    watch_free(w);
}

static void on_first(struct nr_mail *m)
{
    struct call_watch *w = nr_container_of(m, struct call_watch, first);
    struct activation *a = w->a;

    w->a = NULL;
    if (a)
        invoker_claimed(a, 0);
}

static void begin(struct call_watch *w)
{
    int status = w->ct->cgroup_state == CGROUP_OPEN ? 0 : NR_EUNAVAIL;

    if (w->ct->cgroup_state <= CGROUP_LOOKING && !w->ct->retired) {
        nr_deadline_set(w->loop, &w->again, ASK_AGAIN_MS);
        return;
    }
    if (status == 0 && pthread_create(&w->thread, NULL, watch_call, w) != 0)
        status = NR_ENOMEM;
    w->running = status == 0;
    if (status != 0) {
        struct activation *a = w->a;

        w->a = NULL;
        invoker_claimed(a, status);
    }
}

static void on_again(struct nr_deadline *d)
{
    begin(nr_container_of(d, struct call_watch, again));
}

struct call_watch *invoker_watch(struct activation *a,
                                 void (*done)(void *arg, const struct call_usage *u), void *arg)
{
    struct call_watch *w = nr_alloc(sizeof(*w));

    *w = (struct call_watch){.a = a,
                             .ct = container_ref(a->slot->ct),
                             .loop = a->slot->ct->v->loop,
                             .done = done,
                             .arg = arg,
                             .again = {.fire = on_again},
                             .first = {.run = on_first},
                             .last = {.run = on_last},
                             .per_slice = 1};
    memset(&w->before, 0xff, sizeof(w->before));
    memset(&w->now, 0xff, sizeof(w->now));
    pthread_mutex_init(&w->lock, NULL);
    nr_mono_cond_init(&w->wake);
    nr_deadline_set(w->loop, &w->again, 0); /* not from inside the call's own story */
    return w;
}

void invoker_watch_end(struct call_watch *w, uint64_t run_us)
{
    if (!w->running) {
        const struct call_usage none = {.known = false};

        nr_deadline_cancel(&w->again);
        w->done(w->arg, &none);
        watch_free(w);
        return;
    }
    pthread_mutex_lock(&w->lock);
    w->run_us = run_us;
    w->ending = true;
    pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->lock);
}
