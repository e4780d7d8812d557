/* The agent's only wait: file descriptors and deadlines in one epoll loop.
 *
 * Everything the agent does is a short callback of this loop; nothing in it may block. Watches and timers are embedded
 * in the things they serve, so nothing here allocates.
 */
#ifndef NARAE_AGENT_LOOP_H
#define NARAE_AGENT_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>

/* One descriptor that is waited for. */
struct watch {
    int fd; /* -1: not watched */
    void (*ready)(struct watch *w, uint32_t events);
};

/* One deadline. */
struct timer {
    uint64_t at_ms;
    void (*fire)(struct timer *t);
    struct timer *next;
    bool armed;
};

struct loop {
    int epoll_fd;
    struct timer *timers; /* unsorted: there are at most a few per slot */
    struct epoll_event batch[32];
    int batch_length;
};

#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/* 0, or a negative errno. */
int loop_open(struct loop *l);

/* Calls ready(w, events) whenever fd has one of the events (EPOLLIN, ...; hang-ups are always told). w and fd are kept
 * until loop_drop(). */
void loop_watch(struct loop *l, struct watch *w, int fd, uint32_t events,
                void (*ready)(struct watch *, uint32_t));
/* Other events from now on. */
void loop_change(struct loop *l, struct watch *w, uint32_t events);
/* Forgets w; it gets no further call, also not from events that were already fetched. The descriptor stays open. */
void loop_drop(struct loop *l, struct watch *w);

/* Monotonic milliseconds. */
uint64_t loop_now_ms(void);
/* fire(t) once after so many ms; an armed timer is moved. t is kept until it fired or was cleared. */
void timer_set(struct loop *l, struct timer *t, uint64_t after_ms, void (*fire)(struct timer *));
void timer_clear(struct loop *l, struct timer *t);

/* Waits for events, and deadlines, and serves them, once. */
void loop_turn(struct loop *l);

#endif
