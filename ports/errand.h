/* Errands: calls of the platform's own into containers, past admission, journal and records. Compilers are asked this way, and PreEnv's Tester
 * makes its test calls so.
 *
 * The function is a snapshot that the platform made (`trial`, a revision of its own), so its containers are shared with no real call's. Call
 * objects, as everywhere: the caller owns a struct errand_call, fills "in", and gets `done` once on the platform's loop.
 */
#ifndef NR_PORTS_ERRAND_H
#define NR_PORTS_ERRAND_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/err.h"

struct account;
struct errands;
struct function;
struct invokers;
struct nr_loop;

/* What one call used, as its container's control group tells it. Bytes and microseconds; -1: this host does not tell it. */
struct call_usage {
    bool known;                         /* false: nothing of it could be read */
    int64_t cpu_us, user_us, system_us; /* of the call, and of the start when it was cold */
    int64_t init_peak_bytes;            /* highest memory in use before the run began */
    int64_t run_peak_bytes;             /* and while it ran */
    int64_t rest_bytes;                 /* right after it */
    int64_t high_water_bytes;           /* the kernel's mark, which counts the page cache */
    int64_t limit_bytes, oom_kills;
    int64_t throttled_us; /* it wanted to run, and its cap on processors forbade it */
    int64_t
        others_us; /* what the rest of the host used of its processors meanwhile, theft by other guests included */
    int64_t wall_us; /* how long was watched */
};

struct errand_call {
    /* in: lent until done */
    struct function *fn;
    struct account *account;
    struct nr_str input; /* JSON object text */
    bool
        follows; /* wants what an earlier call left in the container: when none is there it is NR_ENOENT, and none is started */
    bool
        watched; /* what its container uses while it runs is looked at; where it cannot be, it is not run: NR_EUNAVAIL */
    void (*done)(struct errand_call *c); /* on the loop; at once, when the platform stops */
    void *owner;                         /* who asks: errands_cut() */
    /* out */
    struct nr_err
        err; /* code 0: it was answered well. NR_ETIMEOUT, NR_ENOMEM (of its container, as the invoker judged), NR_EPROTO (it ended otherwise) have no text,
                their sentence is in `result`; NR_EUNAVAIL, NR_ESTOPPING (cut, its account leaves, the platform stops), NR_ENOENT have one */
    struct nr_buf
        result; /* JSON text that the call ended with, good or not; nr_buf_fini by the caller */
    bool cold;
    int64_t
        start_us; /* from asking for a container to its code being about to be loaded; 0 when it was warm */
    int64_t init_us, run_us;
    struct call_usage usage; /* with `watched` */
    /* private */
    void *wait; /* of errand_wait() */
};

/* Begins c by begin(arg, c), which is errands_call() behind whatever seam, and waits for its end; where the function failed, c->err.text is what it
 * said then. Sets c->done. Blocking; a thread that may wait. */
void errand_wait(void (*begin)(void *arg, struct errand_call *c), void *arg, struct errand_call *c);

/* Made: errands by whatever invoker of the fleet (kept), on its loop (kept). Loop's thread, as errands_stop(). */
struct errands *errands_open(struct nr_loop *loop, struct invokers *f);
/* Begins c. Any thread. */
void errands_call(struct errands *e, struct errand_call *c);
/* The containers of this revision go. Any thread. */
void errands_forget(struct errands *e, uint64_t revision);
/* The errands of this owner that are under way end soon, with NR_ESTOPPING. Any thread. */
void errands_cut(struct errands *e, const void *owner);
/* The account leaves: its errands are cut, and further ones end at once with NR_ESTOPPING, until errands_account_gone(). Loop's thread, as that. */
void errands_forget_account(struct errands *e, const char *account);
void errands_account_gone(struct errands *e, const char *account);
/* The platform stops: what is under way is cut, and further ones end at once with NR_ESTOPPING. NULL is fine. */
void errands_stop(struct errands *e);
/* After the loop's end. NULL is fine. */
void errands_close(struct errands *e);

#endif
