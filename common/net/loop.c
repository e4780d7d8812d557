/* The turn of a loop: prepare (arm the one timer for the next deadline), wait, callbacks, check (mark for the watchdog, fire what is
 * due), closed handles. The timer is only ever moved earlier: what it finds when it rings too early is that nothing is due.
 * Mails: a stack pushed by any thread; who pushes onto an empty one wakes the loop, which takes the whole stack and turns it round.
 * Closing: nr_loop_fini() closes the four handles, waits for all close callbacks, and closes the libuv loop.
 */
#include "common/net/loop.h"

#include <signal.h>
#include <stdatomic.h>

#include "common/base/clock.h"
#include "common/net/wheel.h"

#define LONG_CPU_US 20000
#define MARK_EVERY_US 1000

/* ---- watchdog ---- */

uint64_t nr_loop_enter(struct nr_loop *l)
{
    uint64_t now_us = nr_mono_us(), cpu_us, spent_us;

    l->now_ms = now_us / 1000;
    if (l->mark_us == 0 || now_us - l->mark_us < MARK_EVERY_US)
        return now_us;
    cpu_us = nr_thread_cpu_us();
    spent_us = cpu_us - l->mark_cpu_us;
    if (spent_us > l->stats.longest_cpu_us)
        l->stats.longest_cpu_us = spent_us;
    if (spent_us > LONG_CPU_US)
        l->stats.callbacks_over_20_ms++;
    l->mark_us = now_us;
    l->mark_cpu_us = cpu_us;
    return now_us;
}

struct nr_loop_stats nr_loop_stats(const struct nr_loop *l)
{
    struct nr_loop_stats s = l->stats;

    s.cpu_us = nr_thread_cpu_us();
    return s;
}

/* ---- deadlines ---- */

void nr_deadline_set(struct nr_loop *l, struct nr_deadline *d, uint64_t after_ms)
{
    nr_list_del(&d->link);
    /* The clock anew: a deadline armed at the end of a long callback must not be short by that callback. */
    d->at_ms = (nr_mono_us() + 999) / 1000;
    d->at_ms = after_ms > UINT64_MAX - d->at_ms ? UINT64_MAX : d->at_ms + after_ms;
    nr_wheel_add(l->wheel, d);
}

void nr_deadline_cancel(struct nr_deadline *d)
{
    nr_list_del(&d->link);
}

static void on_timer(uv_timer_t *timer)
{
    struct nr_loop *l = timer->data;

    l->timer_at_ms = UINT64_MAX;
    nr_loop_enter(l);
    nr_wheel_turn(l->wheel, l->now_ms);
}

static void on_prepare(uv_prepare_t *prepare)
{
    struct nr_loop *l = prepare->data;
    uint64_t next_ms = nr_wheel_next_ms(l->wheel), now_ms;

    if (l->mark_us ==
        0) { /* the first turn, and this is the loop's thread: what was spent before is not the loop's */
        l->mark_us = nr_mono_us();
        l->mark_cpu_us = nr_thread_cpu_us();
    }
    if (next_ms >= l->timer_at_ms)
        return;
    now_ms = nr_mono_ms();
    uv_update_time(&l->uv);
    if (uv_timer_start(&l->timer, on_timer, next_ms > now_ms ? next_ms - now_ms : 0, 0) == 0)
        l->timer_at_ms = next_ms;
}

static void on_check(uv_check_t *check)
{
    struct nr_loop *l = check->data;

    nr_loop_enter(l);
    if (nr_wheel_next_ms(l->wheel) <= l->now_ms)
        nr_wheel_turn(l->wheel, l->now_ms);
}

/* ---- mailbox ---- */

void nr_mailbox_post(struct nr_loop *l, struct nr_mail *m)
{
    struct nr_mail *top = atomic_load_explicit(&l->inbox, memory_order_relaxed);

    do
        m->next = top;
    while (!atomic_compare_exchange_weak_explicit(&l->inbox, &top, m, memory_order_release,
                                                  memory_order_relaxed));
    if (top == NULL)
        nr_check(uv_async_send(&l->wake) == 0);
}

static bool run_mails(struct nr_loop *l)
{
    struct nr_mail *m = atomic_exchange_explicit(&l->inbox, NULL, memory_order_acquire),
                   *in_order = NULL;
    bool any = m != NULL;

    while (m) {
        struct nr_mail *next = m->next;

        m->next = in_order;
        in_order = m;
        m = next;
    }
    while (in_order) {
        m = in_order;
        in_order = m->next;
        m->run(m);
    }
    return any;
}

void nr_mailbox_drain(struct nr_loop *l)
{
    while (run_mails(l))
        ;
}

static void on_wake(uv_async_t *wake)
{
    struct nr_loop *l = wake->data;

    nr_loop_enter(l);
    run_mails(l);
}

/* ---- life ---- */

static void ignore_sigpipe(void)
{
    struct sigaction now, ignore = {.sa_handler = SIG_IGN};

    if (sigaction(SIGPIPE, NULL, &now) == 0 && now.sa_handler == SIG_DFL)
        (void)sigaction(SIGPIPE, &ignore, NULL);
}

int nr_loop_init(struct nr_loop *l, struct nr_err *err)
{
    int r;

    memset(l, 0, sizeof(*l));
    if ((r = uv_loop_init(&l->uv)) < 0)
        return nr_err_set(err, nr_err_from_errno(r), "cannot make an event loop: %s",
                          uv_strerror(r));
    if ((r = uv_async_init(&l->uv, &l->wake, on_wake)) < 0) {
        (void)uv_loop_close(&l->uv);
        return nr_err_set(err, nr_err_from_errno(r), "cannot make a mailbox: %s", uv_strerror(r));
    }
    /* These cannot fail. */
    (void)uv_timer_init(&l->uv, &l->timer);
    (void)uv_prepare_init(&l->uv, &l->prepare);
    (void)uv_check_init(&l->uv, &l->check);
    l->wake.data = l->timer.data = l->prepare.data = l->check.data = l;
    (void)uv_prepare_start(&l->prepare, on_prepare);
    (void)uv_check_start(&l->check, on_check);
    uv_unref((uv_handle_t *)&l->timer);
    uv_unref((uv_handle_t *)&l->prepare);
    uv_unref((uv_handle_t *)&l->check);
    l->open_handles = 4;
    l->timer_at_ms = UINT64_MAX;
    l->now_ms = nr_mono_ms();
    l->wheel = nr_alloc(sizeof(*l->wheel));
    nr_wheel_init(l->wheel, l->now_ms);
    ignore_sigpipe();
    return 0;
}

static void on_own_closed(uv_handle_t *h)
{
    struct nr_loop *l = h->data;

    l->open_handles--;
}

static void count_open(uv_handle_t *h, void *arg)
{
    if (!uv_is_closing(h))
        ++*(int *)arg;
}

int nr_loop_fini(struct nr_loop *l)
{
    int left_open = 0, r;

    if (!l->closing) {
        nr_mailbox_drain(l);
        l->closing = true;
        uv_close((uv_handle_t *)&l->timer, on_own_closed);
        uv_close((uv_handle_t *)&l->prepare, on_own_closed);
        uv_close((uv_handle_t *)&l->check, on_own_closed);
        uv_close((uv_handle_t *)&l->wake, on_own_closed);
    }
    while (l->open_handles > 0)
        (void)uv_run(&l->uv, UV_RUN_NOWAIT);
    uv_walk(&l->uv, count_open, &left_open);
    /* Only what is closing and work under way is left: both end by themselves. Else a handle would keep us here for ever. */
    if (left_open == 0)
        (void)uv_run(&l->uv, UV_RUN_DEFAULT);
    if ((r = uv_loop_close(&l->uv)) < 0)
        return r;
    nr_wheel_clear(l->wheel);
    free(l->wheel);
    l->wheel = NULL;
    return 0;
}

/* ---- work threads ---- */

static void on_work(uv_work_t *req)
{
    struct nr_work *w = req->data;

    w->work(w);
}

static void on_work_done(uv_work_t *req, int status)
{
    struct nr_work *w = req->data;

    (void)status; /* nobody cancels */
    w->done(w);
}

void nr_work_post(struct nr_loop *l, struct nr_work *w)
{
    w->req.data = w;
    nr_check(uv_queue_work(&l->uv, &w->req, on_work, on_work_done) == 0);
}
