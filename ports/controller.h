/* The controller's port: the one door for every invocation, and the questions about past ones.
 * Loop's thread; answers come on it.
 */
#ifndef NR_PORTS_CONTROLLER_H
#define NR_PORTS_CONTROLLER_H

#include "common/base/log.h"
#include "ports/activation.h"
#include "ports/fnmanager.h"
#include "ports/invoker.h"

struct controller_config {
    struct nr_loop *loop;
    const char *data_dir;        /* calls.db, ballast */
    struct fnmanager *fnmanager; /* kept */
    struct invoker *invoker;     /* kept */
    uint8_t number;              /* of this controller, part of every id */
    int64_t retention_s;         /* records older than this go; 0: by bytes only */
    int64_t retention_max_bytes; /* of calls.db */
    int64_t queue_max;           /* rows waiting in all; 429 above */
    struct nr_log *log;
};

/* Opens calls.db (migrate, recover: rows that ran become `whisk internal error` or are tried again by policy, queued ones are queued
 * again). Blocking; at start, before the loop runs. */
int controller_open(const struct controller_config *c, struct controller **ret, struct nr_err *err);
/* Starts queued rows of an earlier run; called once when the loop is about to run. */
void controller_start(struct controller *c);

/* Takes over one reference of a (given). on_reply comes once, maybe before this returns. */
void controller_invoke(struct controller *c, struct activation *a);

/* A function changed: forget its snapshot, tell the invoker. Wired to fnmanager_config.on_change. */
void controller_on_change(void *controller, const char *account, const char *package,
                          const char *name, uint64_t old_revision);

enum query_op { QUERY_LIST, QUERY_GET, QUERY_LOGS, QUERY_RESULT };

/* A question about records; lent until done. */
struct activation_query {
    /* in */
    enum query_op op;
    struct account *account;
    struct nr_str id;            /* GET, LOGS, RESULT: 32 hex, checked by the caller */
    struct nr_str name, package; /* LIST: filter; n == 0: all */
    int64_t since_ms, upto_ms;   /* LIST: on start, inclusive; 0: open */
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

/* Refuses new calls (NR_ESTOPPING), lets running ones finish; `idle` once when none runs, at the latest after max_ms, when what still
 * runs is cut. Queued rows stay in their table. */
void controller_drain(struct controller *c, uint64_t max_ms, void (*idle)(void *arg), void *arg);
/* Flushes records, closes the store. Blocking (bounded); after drain, loop no longer running calls. */
void controller_close(struct controller *c);
void controller_metrics(struct controller *c, struct nr_buf *out);

#endif
