/* The scaler's port: policies in, wishes out, and everything that explains why. Its work is done on a thread of its own, from what the bus tells it;
 * calls go on without it.
 */
#ifndef NR_PORTS_SCALER_H
#define NR_PORTS_SCALER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/base/log.h"
#include "common/net/loop.h"
#include "ports/pace.h"

struct account;
struct bus;
struct scaler;

/* For one function: containers kept or started ahead, how long an idle one lives, how many at most. A wish takes the place of the one before
 * it: what is -1 is wished no more, and all of it -1 leaves no wish. No policy here: the controller and the invoker obey within a second. */
struct scaler_wish {
    const char *account, *package, *name; /* NULL name: for all functions (keep-alive only) */
    int desired;                          /* -1: no wish; many come up a few at a time */
    int maximum;                          /* -1: no wish */
    int64_t keep_alive_ms;                /* -1: no wish; those within `desired` live on */
    bool ahead_only; /* calls that wait start no container: there is only what is wished for */
    const char *
        stem_kind; /* not NULL: `desired` is the number of stem cells of this kind ("python:3"), -1: as demand asks */
};

enum scaler_predict { SCALER_PREDICT_OFF, SCALER_PREDICT_SHADOW, SCALER_PREDICT_ON };

/* What a policy's function is, now. */
enum scaler_known { SCALER_KNOWN, SCALER_NO_FUNCTION, SCALER_NO_ACCOUNT };

struct scaler_config {
    struct nr_loop *loop; /* of the platform: wishes and `done`s come on it */
    struct bus *bus;      /* kept */
    const char *brokers;  /* kept; of the bus; NULL: it is in this process */
    const char *data_dir; /* lent; scaling.db */
    const char *node;     /* lent; this host's name, in records */
    bool
        decides; /* false: another process of the group does; policies, records and wishes are kept here all the same */
    bool
        platform; /* policies are managed here and published; false (role scaler): they are learned from the bus, and there is nobody to wish to */
    enum scaler_predict
        predict; /* for functions without a policy: off, shadow (recorded, not obeyed), on (obeyed once a function's forecast is trusted) */
    double memory_price; /* forecast.h: the chance of a call that a warm minute must be worth */
    struct pace pace;    /* the time of policies, forecasts, samples and records */
    int64_t retention_s,
        history_max_bytes; /* of decisions and recorded samples; decisions have a quarter of these bytes beside them */
    void (*wish)(void *arg,
                 const struct scaler_wish *w); /* on `loop`; lent for the call; NULL: nobody */
    /* Is there this function ("name" or "package/name"; texts lent), so far as it can be told? For warnings. On the scaler's thread, which waits
     * for it: at most one read. NULL: nobody can tell. */
    enum scaler_known (*known)(void *arg, const char *account, const char *function);
    const char *const *
        stem_kinds; /* kept; of which there are stem cells, ends with NULL; NULL: whatever a policy names */
    void *arg;
    struct nr_log *log;
};

/* Opens scaling.db and starts its thread. Blocking; at start. */
int scaler_open(const struct scaler_config *c, struct scaler **ret, struct nr_err *err);
/* An account is gone: its policies, records, forecasts and windows go. Any thread; later. */
void scaler_forget_account(struct scaler *s, const char *account);

/* What the API calls; the members of each reply, which clients know (t, since_ms ...: milliseconds since 1970). */
enum scale_op {
    SCALE_PUT,  /* name, body: a document; a new version of the policy when it differs.
                       {"policy","number","mode","changed","warnings":[{"path","why"}]} */
    SCALE_LIST, /* limit, skip. {"policies":[{"policy","number","mode","target","rules","updated_ms","desired","decided_ms"}],"total"} */
    SCALE_SHOW, /* name, number (0: the newest), full: with defaults written out. A row of SCALE_LIST and "document" */
    SCALE_VERSIONS, /* name. {"policy","versions":[{"number","mode","updated_ms","by"}]}, the newest first */
    SCALE_DELETE, /* name. {"policy"} */
    SCALE_CHECK, /* body: judged, not stored: problems, warnings (rules that could not have fired in the last 24 h), the full document.
                       {"policy","warnings":[{"path","why"}],"document"} */
    SCALE_IMPORT, /* from (enum import_from), body: our document and notes; not stored. {"document","notes":[text]} */
    SCALE_EVALUATE, /* name, or body: one evaluation now, recorded nowhere: the decision (decide.h) */
    SCALE_EXPLAIN, /* name, since_ms, upto_ms, limit: decisions, newest first; those that changed nothing only when `all`.
                       {"policy","decisions":[decision]} */
    SCALE_REPLAY, /* name, since_ms, upto_ms, body (n == 0: as it was): recorded samples against the document: decisions, cold starts, idle memory, differences;
                       NR_EQUOTA while another replay, or an explanation of `all`, is under way.
                       {"policy","since_ms","upto_ms","exact","why" (when not exact),"samples","evaluations","same" (each decision is as recorded),
                        "recorded","replayed": each {"changes","desired_max","cold_starts","idle_mb_s"},
                        "differences":[{"t","recorded":{"from","to"},"replayed":{"from","to"},"why"}] (the first of them), "more"} */
    SCALE_FORECASTS, /* account and function (n == 0: all), limit: classes, confidence, next warm minutes.
                       {"forecasts":[{"account","function","class","confidence","trusted","keep_minutes","next_warm_ms"}]} */
    SCALE_CHANNELS, /* where alerts and node wishes are told. {"channels":[{"channel","url","updated_ms"}]} */
    SCALE_CHANNEL_PUT,    /* name, body {"url"}. {"channel","url"} */
    SCALE_CHANNEL_DELETE, /* name. {"channel"} */
    SCALE_STATUS          /* who decides, which bus, policies, ticks, what was dropped.
                       {"decides","scaler":"here|elsewhere","bus","node","predict","memory_price","policies","functions","evaluations","changes",...} */
};

/* Lent until done. */
struct scale_call {
    /* in; texts lent */
    enum scale_op op;
    struct account *
        account; /* shared: the caller; policies of other accounts only with the administrator's scope */
    bool admin;
    struct nr_str name, function, body;
    struct nr_str
        whose; /* SCALE_FORECASTS: the account of the functions, never another than its own unless `admin`; n == 0: all accounts */
    int64_t number, since_ms, upto_ms;
    int limit, skip, from;
    bool full, all;
    void (*done)(struct scale_call *c); /* once, on the platform's loop */
    _Atomic bool gone; /* may be set until done: nobody waits for the reply, a replay is given up */
    void *owner;
    /* out */
    struct nr_err
        err; /* NR_EINVAL comes with a reply: {"error","problems":[{"path","value","why","nearest"}]} */
    struct nr_buf reply; /* JSON; nr_buf_fini by the caller */
    bool created;        /* SCALE_PUT: there was none of this name */
    /* private */
    struct scaler *scaler;
    struct nr_mail mail;
};
void scaler_post(struct scaler *s, struct scale_call *c);

/* Any thread. */
void scaler_metrics(struct scaler *s, struct nr_buf *out);
/* No further wish; open calls are done with NR_ESTOPPING. `stopped` once, on the loop; then scaler_close() joins and frees (blocking, bounded). */
void scaler_stop(struct scaler *s, void (*stopped)(void *arg), void *arg);
void scaler_close(struct scaler *s);

#endif
