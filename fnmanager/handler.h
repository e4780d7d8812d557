/* REST API Handler: the queues of calls and the threads that work on them.
 */
#ifndef NR_FNMANAGER_HANDLER_H
#define NR_FNMANAGER_HANDLER_H

#include <pthread.h>
#include <stdbool.h>

#include "common/base/metric.h"
#include "fnmanager/registry/metadata.h"
#include "ports/fnmanager.h"

/* How long a call may take, and so which thread runs it. Quick ones have a thread for themselves, so that no invocation waits behind an
 * upload, and no upload behind work on a whole bucket. Those that wait for registries have several, for a registry may be slow. A thread whose own queue is empty takes quick ones. */
enum call_weight { CALL_QUICK, CALL_UPLOAD, CALL_BULK, CALL_IMAGE, CALL_WEIGHTS };
enum { HANDLER_IMAGE_THREADS = 8, HANDLER_THREADS = CALL_IMAGE + HANDLER_IMAGE_THREADS };

struct call_queue {
    struct fn_call *first, *last;
};

struct handler {
    struct fnmanager *manager;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct call_queue queue[CALL_WEIGHTS];
    bool stopping;
    bool look;            /* the time of the next end of an update window has changed */
    pthread_cond_t ended; /* a call that ran */
    const struct fn_call *running[HANDLER_THREADS];
    int started; /* threads that run */
    pthread_t thread[HANDLER_THREADS];
    nr_counter calls[FN_OPS], refused, failed;
    struct nr_hist times;
};

/* Starts the threads. */
int handler_init(struct handler *h, struct fnmanager *m, struct nr_err *err);
/* Finishes what is queued and joins the threads. */
void handler_fini(struct handler *h);
void handler_metrics(struct handler *h, struct nr_buf *out);

/* The quick thread looks at the clock again. */
void handler_wake(struct handler *h);

/* 0, or NR_EAUTH with the sentence when the call's key is no longer taken: it was revoked, its account leaves or is another one's by now.
 * An operation that waited for others asks before it writes. */
int handler_key_is_good(struct fnmanager *m, struct fn_call *call);
/* Does any other call than `call` run for call->name, an account that leaves, or into it? None begins any more: its keys are refused before that. */
bool handler_runs_for(struct handler *h, const struct fn_call *call);
/* Waits until none does. Blocking; a thread that may wait. */
void handler_wait_for(struct handler *h, const struct fn_call *call);

/* What a call names, and who makes it; lent as the call is. */
struct fn_key handler_key(const struct fn_call *call);
struct fn_actor handler_actor(const struct fn_call *call);
/* The sentence for what the registry said into call->err; an answer that did not fit is NR_ETOOBIG. Returns the code. */
int handler_refuse(struct fn_call *call, int r);
/* The page of a list that a call asks for, of its own account, to be written to call->reply (begun here). */
struct fn_list handler_list(struct fn_call *call, size_t reply_max_bytes);

/* What an operation that changed many functions says as the old revision: it has told each by handler_changed(), and `done` comes after
 * them all. */
#define HANDLER_MANY UINT64_MAX
/* What an operation returns, with nothing done, that has to wait for a registry: a thread that may wait runs it anew (call->patient). */
#define HANDLER_LATER 1
/* What on_change is told, on the platform's loop; texts lent during the call. A handler's thread. */
void handler_changed(struct fnmanager *m, const char *account, const char *package,
                     const char *name, uint64_t old_revision, enum fn_change what);

#endif
