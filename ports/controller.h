/* The controller's port: the one door for every invocation, and the questions about past ones.
 * Loop's thread; answers come on it.
 */
#ifndef NR_PORTS_CONTROLLER_H
#define NR_PORTS_CONTROLLER_H

#include "common/base/log.h"
#include "ports/activation.h"
#include "ports/fnmanager.h"
#include "ports/invokers.h"
#include "ports/sample.h"

struct event;

struct controller_config {
    struct nr_loop *loop;
    const char *data_dir;        /* calls.db, ballast */
    struct fnmanager *fnmanager; /* kept */
    struct invokers *invokers;   /* kept */
    uint8_t number;              /* of this controller, part of every id */
    int64_t retention_s;         /* records older than this go; 0: by bytes only */
    int64_t retention_max_bytes; /* of calls.db */
    int64_t queue_max;           /* rows waiting in all; 429 above */
    int64_t queue_max_bytes;     /* of their requests, a quarter for one account; 429 above */
    /* On the loop: the log of a (lent) tells a custom metric; s: short form, lent; NULL: it could not be read. NULL: nobody wants to know. */
    void (*on_metric)(void *arg, const struct activation *a, const struct sample *s);
    void *on_metric_arg;
    /* A call was refused by a limit, the first of its function in a minute; on `loop`, e is lent for the call. NULL: nobody listens. */
    void (*event)(void *arg, const struct event *e);
    void *event_arg;
    /* The runs (controller_run()) of processes that still end their calls, a JSON array (lent): rows that they run are left alone until controller_alone(), and
     * those of a release that knows no runs. NULL: there is no such process. */
    const char *living;
    struct nr_log *log;
};

/* Opens calls.db (migrate, recover: rows that ran become `whisk internal error` or are tried again by policy, queued ones are queued
 * again). Blocking; at start, before the loop runs. */
int controller_open(const struct controller_config *c, struct controller **ret, struct nr_err *err);
/* Starts queued rows of an earlier run; called once when the loop is about to run. */
void controller_start(struct controller *c);

/* Opened with `living`: the other process has ended. What it left undone is recorded as failed or queued again. */
void controller_alone(struct controller *c);
/* Takes over one reference of a (given). on_reply comes once, maybe before this returns. */
void controller_invoke(struct controller *c, struct activation *a);

/* Fires the trigger a->name of a->account (a->kind is ACTIVATION_TRIGGER): its record and the rows of all calls that its active rules start are
 * on disk, in one transaction, before its 202. 204 with no body and no record when no rule is active. Takes over one reference of a (given);
 * on_reply comes once, maybe before this returns. `headers` (JSON object text, lent during the call; n == 0: none) becomes the parameter
 * __ow_headers of the calls. Refused: NR_ENOENT, NR_EQUOTA (fires per minute), NR_ETOOBIG (what the calls are given is larger than a payload may
 * be, or than all of them together may be), NR_EUNAVAIL (it cannot be stored; then none of its calls runs). */
void controller_fire(struct controller *c, struct activation *a, struct nr_str headers);

/* A question for a function as a call of the same names would find it, from the same cache; lent until done. */
struct function_query {
    /* in; texts lent until done */
    struct account *account; /* shared: in whose name */
    struct nr_str space, package, name;
    int64_t number;
    struct nr_str alias;                    /* its first version */
    void (*done)(struct function_query *q); /* once, maybe before controller_find() returns */
    void *owner;
    /* out */
    struct nr_err err;   /* NR_ENOENT, NR_EFORBIDDEN, ... */
    struct function *fn; /* shared, given; also one that may not run */
    /* private */
    struct activation *a;
};
void controller_find(struct controller *c, struct function_query *q);

/* A function, a package or a trigger changed: forget snapshots, tell the invoker. Wired to fnmanager_config.on_change. */
void controller_on_change(void *controller, const char *account, const char *package,
                          const char *name, uint64_t old_revision, enum fn_change what);

/* The last two belong to a struct log_query. */
enum query_op { QUERY_LIST, QUERY_GET, QUERY_LOGS, QUERY_RESULT, QUERY_LOG_IDS, QUERY_LOG_READ };

/* A question about records; lent until done. */
struct activation_query {
    /* in */
    enum query_op op;
    struct account *account;
    struct nr_str id;            /* GET, LOGS, RESULT: 32 hex, checked by the caller */
    struct nr_str name, package; /* LIST: filter; n == 0: all */
    int64_t since_ms, upto_ms;   /* LIST: on start, inclusive; INT64_MAX: open at the end */
    int limit, skip;             /* limit 0 is 200 */
    bool docs, count;
    void (*done)(struct activation_query *q);
    void *owner;
    /* out */
    struct nr_err err;   /* NR_ENOENT: unknown */
    struct nr_buf reply; /* JSON; nr_buf_fini by the caller */
    /* private */
    struct nr_db_job job;
    struct controller *ctl;
    struct nr_link link;
    uint64_t asked_us;
};
void controller_ask(struct controller *c, struct activation_query *q);

/* What one activation that ended has to say to those who read logs; all of it lent for the call. */
struct activation_log {
    struct nr_str id, logs; /* logs: lines, each ended by '\n' */
    struct nr_str start;    /* "cold", "warm", ... */
    enum outcome_status status;
    int64_t end_ms, duration_ms;
};

/* Questions about the stored logs of one function: q.op, q.account, q.name, q.package, q.done, q.owner as for the others. */
struct log_query {
    struct activation_query
        q; /* out of QUERY_LOG_IDS: q.reply holds ids, 32 bytes each, in the order of ends */
    /* in: QUERY_LOG_IDS: the newest q.limit activations, */
    int64_t ended_since_ms; /* ended at or after it; 0: open */
    struct nr_str
        after_id; /* and after this one; n == 0: open. Those that ended within 5 s before it are given again, for ends come
                               in another order than their times */
    /* in: QUERY_LOG_READ: the logs of as many of these as make about max_bytes, at least one */
    struct nr_str ids; /* lent until done; 32 bytes each */
    size_t max_bytes;
    void (*write)(struct nr_buf *out, const struct activation_log *l); /* a reader's thread */
    /* out */
    unsigned read, missing; /* ids done with; those of them that have no record */
    int64_t left_out;       /* QUERY_LOG_IDS with after_id: activations beyond the limit */
};

/* One who wants to hear of every activation of a function that ends; embedded in its owner. */
struct log_follower {
    /* in: kept until controller_unfollow() */
    struct account *account;
    struct nr_str package, name;
    /* Logs are in and the record is about to be stored. In the order of ends, from the loop: must be quick. */
    void (*on_end)(struct log_follower *f, const struct activation_log *l);
    /* private */
    struct nr_link link;
};
/* f hears of what ends from now on; kept. NR_EQUOTA with a sentence that names the limit: too many follow. */
int controller_follow(struct controller *c, struct log_follower *f, struct nr_err *err);
/* Not from inside on_end of another follower. Fine when it does not follow. */
void controller_unfollow(struct controller *c, struct log_follower *f);

/* Removes the records of all calls of `account` (lent), when the last of them has ended; `done` comes then, or when the controller is
 * closed. */
void controller_forget_account(struct controller *c, const char *account, void (*done)(void *arg),
                               void *arg);

/* Refuses new calls (NR_ESTOPPING), lets running ones finish; `idle` once when none runs, at the latest after max_ms, when what still
 * runs is cut. Queued rows stay in their table. */
void controller_drain(struct controller *c, uint64_t max_ms, void (*idle)(void *arg), void *arg);
/* What has become of the calls and fires with `asked`: together they are all that were given to the controller. */
struct asked_counts {
    uint64_t running, recorded, refused;
    uint64_t idle; /* fires without an active rule */
};
struct asked_counts controller_asked(const struct controller *c);
/* The number of this process in the rows of calls that it runs: random, above 0. */
int64_t controller_run(const struct controller *c);
/* Activations that have not ended. */
int64_t controller_running(const struct controller *c);
/* Flushes records, closes the store. Blocking (bounded); after drain, loop no longer running calls. */
void controller_close(struct controller *c);
void controller_metrics(struct controller *c, struct nr_buf *out);

#endif
