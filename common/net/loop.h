/* A loop thread: libuv's loop with one deadline list, one mailbox and a watchdog on the thread's own CPU time.
 *
 * Deadlines are intrusive: no libuv handle lives in a request; cancel = unlink. They stand in a timing wheel (wheel.h), so arming
 * and cancelling cost the same few instructions however many there are.
 * Mailboxes: any thread posts an item, the loop's thread gets it in order of posting.
 * Watchdog: CPU time of the thread between two marks; a mark is every turn and every nr_loop_enter(). Above 20 ms is counted.
 */
#ifndef NR_COMMON_NET_LOOP_H
#define NR_COMMON_NET_LOOP_H

#include <pthread.h>
#include <uv.h>

#include "common/base/err.h"
#include "common/base/list.h"

/* Embed it in what can time out. `fire` comes once, on the loop's thread, with the deadline already unlinked. */
struct nr_deadline {
    /* in */
    void (*fire)(struct nr_deadline *d);
    /* private */
    struct nr_link link;
    uint64_t at_ms;
};

/* Embed it in what crosses threads. `run` comes once on the receiving loop's thread. */
struct nr_mail {
    /* in */
    void (*run)(struct nr_mail *m);
    /* private */
    struct nr_mail *next;
};

struct nr_wheel;

struct nr_loop_stats {
    uint64_t callbacks_over_20_ms; /* of the thread's own CPU time */
    uint64_t longest_cpu_us; /* up to 1 ms too long: marks closer than that are taken together */
    uint64_t cpu_us;         /* of the loop's thread in all */
};

/* Embedded by the owner of the thread; only the parts named public may be read. */
struct nr_loop {
    uv_loop_t uv;    /* public: for handles of the components */
    uint64_t now_ms; /* public: monotonic, refreshed once per turn */
    /* private */
    struct nr_wheel *wheel;
    uint64_t timer_at_ms; /* when `timer` fires; UINT64_MAX: off */
    uv_timer_t timer;
    uv_async_t wake;
    uv_prepare_t prepare;
    uv_check_t check;
    struct nr_mail *_Atomic inbox;
    struct nr_loop_stats stats;
    uint64_t mark_us, mark_cpu_us; /* the watchdog's last sample */
    int open_handles;              /* of our own */
    bool closing;
};

/* Opens the loop; afterwards uv_run(&l->uv, UV_RUN_DEFAULT) by the thread that owns it, which returns after uv_stop(): the mailbox
 * keeps the loop alive. Sets SIGPIPE to ignored for the process when it still has its default. */
int nr_loop_init(struct nr_loop *l, struct nr_err *err);
/* Runs the mails that wait, closes our own handles, runs the loop until all close callbacks are done and closes it. Returns what
 * uv_loop_close() said: 0, or UV_EBUSY when somebody left a handle open (tests assert 0; call it again once that one is closed).
 * Deadlines still armed are unlinked and do not fire. */
int nr_loop_fini(struct nr_loop *l);

/* Arms or re-arms; loop's thread only. after_ms is rounded up to the loop's millisecond. */
void nr_deadline_set(struct nr_loop *l, struct nr_deadline *d, uint64_t after_ms);
/* Disarms; fine when it is not armed. */
void nr_deadline_cancel(struct nr_deadline *d);
static inline bool nr_deadline_armed(const struct nr_deadline *d)
{
    return nr_list_linked(&d->link);
}

/* Posts m (lent until run) to the loop; any thread, never blocks, never fails. */
void nr_mailbox_post(struct nr_loop *l, struct nr_mail *m);
/* Runs the mails that wait and those that they post, and nothing else: no deadline fires. The loop's own thread. */
void nr_mailbox_drain(struct nr_loop *l);

/* A mark for the watchdog: a callback that does real work begins here. Returns the monotonic time in microseconds. */
uint64_t nr_loop_enter(struct nr_loop *l);
/* A snapshot of the watchdog's figures; loop's thread. */
struct nr_loop_stats nr_loop_stats(const struct nr_loop *l);

/* Work that takes longer than a loop may spend (JSON, base64, hashing above 64 KiB): `work` runs on libuv's pool, then `done`
 * on the loop. w is lent until done. */
struct nr_work {
    void (*work)(struct nr_work *w);
    void (*done)(struct nr_work *w);
    uv_work_t req; /* private */
};
void nr_work_post(struct nr_loop *l, struct nr_work *w);

#endif
