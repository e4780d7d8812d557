/* Errands: calls of the platform's own into containers, past admission, journal and records. A compiler is asked this way.
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
struct invoker;
struct nr_loop;

struct errand_call {
    /* in: lent until done */
    struct function *fn;
    struct account *account;
    struct nr_str input; /* JSON object text */
    bool
        follows; /* wants what an earlier call left in the container: when none is there it is NR_ENOENT, and none is started */
    void (*done)(struct errand_call *c); /* on the loop; at once, when the platform stops */
    void *owner;
    /* out */
    struct nr_err
        err; /* code 0: it was answered well. NR_ETIMEOUT, NR_ENOMEM (its container's), NR_EPROTO (it ended otherwise), NR_EUNAVAIL, NR_ESTOPPING, NR_ENOENT */
    struct nr_buf result; /* JSON text of a good answer; nr_buf_fini by the caller */
};

/* Made: errands by this invoker, on its loop (both kept). Loop's thread, as errands_stop(). */
struct errands *errands_open(struct nr_loop *loop, struct invoker *v);
/* Begins c. Any thread. */
void errands_call(struct errands *e, struct errand_call *c);
/* The containers of this revision go. Any thread. */
void errands_forget(struct errands *e, uint64_t revision);
/* The account leaves: its errands are cut, and further ones end at once with NR_ESTOPPING, until errands_account_gone(). Loop's thread, as that. */
void errands_forget_account(struct errands *e, const char *account);
void errands_account_gone(struct errands *e, const char *account);
/* The platform stops: what is under way is cut, and further ones end at once with NR_ESTOPPING. NULL is fine. */
void errands_stop(struct errands *e);
/* After the loop's end. NULL is fine. */
void errands_close(struct errands *e);

#endif
