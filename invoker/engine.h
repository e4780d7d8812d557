/* The Docker Engine: worker threads that make its HTTP calls over the unix socket, fed from one ranked queue.
 *
 * A job is submitted on the loop's thread, runs on a worker (blocking, top to bottom) and comes back to the loop. Not for
 * policy: what to start or to remove is the pool's business.
 */
#ifndef NR_INVOKER_ENGINE_H
#define NR_INVOKER_ENGINE_H

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/base/log.h"
#include "common/base/metric.h"
#include "common/net/loop.h"

struct engine;
struct engine_worker;

/* Best first. Jobs of equal rank go in order. Prewarms and removals together take at most half of the workers. Pulls have workers of
 * their own, for they may take minutes; hand-overs of stems have one, which makes no calls: a call waits for each of them, and nothing that
 * takes longer than the kernel's files may stand before it. Grants of network slots have four: names that nobody answers for hold up
 * other grants only. What else is done with the host's firewall has one: whoever holds the lock of its programs holds up nothing else. */
enum engine_rank {
    RANK_THAW,
    RANK_START,
    RANK_PREWARM,
    RANK_REMOVE,
    RANK_PULL,
    RANK_HANDOVER,
    RANK_GRANT,
    RANK_RULES,
    RANK_COUNT
};

/* Deadlines of calls. */
enum {
    ENGINE_START_MS = 30000, /* create, start */
    ENGINE_ASK_MS = 10000,   /* inspect, remove, lists */
    ENGINE_PING_MS = 2000,
    ENGINE_PULL_MS = 300000,
    ENGINE_SILENT_MS = 5000, /* calls under way and no answer to anybody: it hangs */
};

/* Embedded by who submits it; lent until done. */
struct engine_job {
    /* in */
    enum engine_rank rank;
    /* It makes processes that go on working after it (a container that boots): from the moment it is taken until engine_boot_over() it has one
     * of the boots_max places; without a free one it waits, and what is behind it in its rank. Not for pulls. */
    bool boots;
    void (*work)(struct engine_worker *w, struct engine_job *j); /* on a worker's thread */
    void (*done)(struct engine_job *j);                          /* on the loop */
    /* private */
    struct nr_mail mail;
    struct nr_link link;
};

/* What an Engine call answered; nr_buf_fini(&body) by the caller, also after a failure. */
struct engine_reply {
    int status;
    struct nr_buf body;
};

struct engine_metrics {
    nr_counter calls, failures;
    struct nr_hist seconds;
};

struct engine_config {
    struct nr_loop *loop;
    const char *socket_path;
    /* > 0: calls in flight, pulls not counted. The invoker takes twice the cores: with as many as cores the Engine starts 23 containers a second on two
     * cores, with twice as many 29, with four times 34, where each start takes 1.6 times as long. */
    int workers;
    int boots_max;      /* > 0; see engine_job.boots */
    struct nr_log *log; /* kept */
};

/* Asks the Engine for its version (API 1.41 at least) and starts the workers. Blocking. NR_EUNAVAIL with a sentence that says what
 * to do when it does not answer. */
int engine_open(const struct engine_config *c, struct engine **ret, struct nr_err *err);
/* From now on calls that are not under way fail with NR_ECANCELED. */
void engine_cancel(struct engine *e);
/* Jobs that wait are run to their end with canceled calls; `closed` comes on the loop once the last worker has gone and the engine is
 * freed. NULL is fine: closed is called at once. */
void engine_close(struct engine *e, void (*closed)(void *arg), void *arg);

/* The platform stops: removals no longer leave half of the workers to calls. Loop's thread. */
void engine_hurry_removals(struct engine *e);

/* As engine_close(), but blocking, before the loop runs; only while no job was submitted. */
void engine_abandon(struct engine *e);

/* A worker for the calling thread, before the loop runs (start-up probe). */
struct engine_worker *engine_own_worker(struct engine *e);

/* Queues a job; loop's thread. */
void engine_submit(struct engine *e, struct engine_job *j);

/* One HTTP call on a worker's thread: path without the version ("/containers/json"), body JSON or {NULL,0}. 0 when an answer came,
 * whatever its status. A connection that had gone stale is tried again once; names make that safe. NR_EUNAVAIL at once for
 * a second after the third failure to reach the Engine in a row, NR_EPROTO or NR_ETOOBIG for an answer that is none. */
int engine_call(struct engine_worker *w, const char *method, const char *path, struct nr_str body,
                uint32_t timeout_ms, struct engine_reply *ret, struct nr_err *err);
/* As engine_call, and a status of 300 or above becomes NR_E* with the Engine's own message; 304 is fine. */
int engine_want(struct engine_worker *w, const char *method, const char *path, struct nr_str body,
                uint32_t timeout_ms, struct engine_reply *ret, struct nr_err *err);

/* A call that makes the Engine talk to somebody else, whose slowness is not the Engine's: neither its failure nor its time says anything
 * about the Engine. */
struct engine_errand {
    /* in; lent */
    const char *method, *path;
    const char *auth; /* X-Registry-Auth; NULL: none. Never logged */
    uint32_t timeout_ms;
    unsigned silence_max_s; /* 0: off */
    /* The answer as it comes, false ends the call; NULL: into *ret. */
    bool (*on_bytes)(void *arg, struct nr_str bytes);
    void *arg;
};
/* A worker's thread. As engine_call(); ended within a second by engine_cancel() with NR_ECANCELED. */
int engine_errand(struct engine_worker *w, const struct engine_errand *x, struct engine_reply *ret,
                  struct nr_err *err);
/* Errands end; other calls go on. */
void engine_stop_errands(struct engine *e);

/* Is this what the Engine calls a container: 64 lower-case hex? Anything else is put into no path. NULL is not. */
bool engine_is_id(const char *text);
/* "1.41": the API version in use; the version text of the Engine. */
const char *engine_api(const struct engine *e);
const char *engine_version(const struct engine *e);
/* Did the last call reach it, and does it answer those under way? */
bool engine_reachable(const struct engine *e);
/* What a job with `boots` made is up, or has failed: once for each such job that was submitted, also before it was taken. Loop's thread. */
void engine_boot_over(struct engine *e);
/* How long it has been out of reach; 0: it is not. */
uint64_t engine_away_ms(const struct engine *e);
unsigned engine_waiting(struct engine *e);
const struct engine_metrics *engine_figures(const struct engine *e);

#endif
