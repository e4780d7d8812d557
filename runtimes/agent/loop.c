/* The loop: fetch ready descriptors, call their owners, then fire the deadlines that have passed.
 *
 * A callback may drop any watch, also one whose event was fetched in the same batch: loop_drop() wipes it there.
 */
#include "runtimes/agent/loop.h"

#include <errno.h>
#include <limits.h>
#include <time.h>
#include <unistd.h>

int loop_open(struct loop *l)
{
    *l = (struct loop){.epoll_fd = epoll_create1(EPOLL_CLOEXEC)};
    return l->epoll_fd < 0 ? -errno : 0;
}

void loop_watch(struct loop *l, struct watch *w, int fd, uint32_t events,
                void (*ready)(struct watch *, uint32_t))
{
    struct epoll_event e = {.events = events, .data.ptr = w};
    w->fd = fd;
    w->ready = ready;
    epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, fd, &e);
}

void loop_change(struct loop *l, struct watch *w, uint32_t events)
{
    struct epoll_event e = {.events = events, .data.ptr = w};
    if (w->fd >= 0)
        epoll_ctl(l->epoll_fd, EPOLL_CTL_MOD, w->fd, &e);
}

void loop_drop(struct loop *l, struct watch *w)
{
    if (w->fd < 0 || !w->ready)
        return;
    epoll_ctl(l->epoll_fd, EPOLL_CTL_DEL, w->fd, NULL);
    w->fd = -1;
    for (int i = 0; i < l->batch_length; i++) {
        if (l->batch[i].data.ptr == w)
            l->batch[i].data.ptr = NULL;
    }
}

uint64_t loop_now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

void timer_set(struct loop *l, struct timer *t, uint64_t after_ms, void (*fire)(struct timer *))
{
    timer_clear(l, t);
    t->at_ms = loop_now_ms() + after_ms;
    t->fire = fire;
    t->armed = true;
    t->next = l->timers;
    l->timers = t;
}

void timer_clear(struct loop *l, struct timer *t)
{
    if (!t->armed)
        return;
    for (struct timer **p = &l->timers; *p; p = &(*p)->next) {
        if (*p == t) {
            *p = t->next;
            break;
        }
    }
    t->armed = false;
}

static struct timer *earliest(const struct loop *l)
{
    struct timer *first = l->timers;
    for (struct timer *t = l->timers; t; t = t->next) {
        if (t->at_ms < first->at_ms)
            first = t;
    }
    return first;
}

static int wait_ms(const struct loop *l)
{
    const struct timer *first = earliest(l);
    uint64_t now = loop_now_ms();
    if (!first)
        return -1;
    if (first->at_ms <= now)
        return 0;
    return first->at_ms - now > INT_MAX ? INT_MAX : (int)(first->at_ms - now);
}

void loop_turn(struct loop *l)
{
    int n = epoll_wait(l->epoll_fd, l->batch, 32, wait_ms(l));
    l->batch_length = n > 0 ? n : 0;
    for (int i = 0; i < l->batch_length; i++) {
        struct watch *w = l->batch[i].data.ptr;
        if (w)
            w->ready(w, l->batch[i].events);
    }
    l->batch_length = 0;
    for (struct timer *t = earliest(l); t && t->at_ms <= loop_now_ms(); t = earliest(l)) {
        timer_clear(l, t);
        t->fire(t);
    }
}
