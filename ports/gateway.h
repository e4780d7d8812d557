/* The gateway's port: the public door. What the daemon opens, tells it is ready, drains and closes.
 * Loop's thread.
 *
 * Order at a stop: gateway_drain() (no new connection, no new call, running requests get their
 * answers), then the controller and the invoker drain, then gateway_close().
 */
#ifndef NR_PORTS_GATEWAY_H
#define NR_PORTS_GATEWAY_H

#include "common/base/log.h"
#include "common/net/loop.h"
#include "ports/controller.h"
#include "ports/fnmanager.h"
#include "ports/invokers.h"
#include "ports/sample.h"
#include "ports/scaler.h"

struct gateway;
struct nr_tls;

struct gateway_config {
    struct nr_loop *loop; /* kept */
    const char *listen;   /* "127.0.0.1:3233", "[::1]:0"; lent */
    const int
        *listen_fds; /* lent; sockets that listen already (each given), in place of `listen` */
    size_t listen_fd_count;        /* 0: there are none */
    struct nr_tls *tls;            /* kept; NULL: plain */
    struct fnmanager *fnmanager;   /* kept */
    struct controller *controller; /* kept */
    struct invokers *invokers;     /* kept */
    struct scaler *scaler;         /* kept; NULL: there is none */
    struct bus *bus;               /* kept; its figures for /metrics. NULL: there is none */
    struct nr_log *log;            /* kept */

    /* bounds on what has no account yet; 0 is the default in brackets */
    unsigned connections_max;          /* [4096]; accepting pauses above it */
    int64_t inflight_max_bytes;        /* [268435456] bodies of all requests; 503 above */
    unsigned failed_logins_per_minute; /* [20] of one address; 429 above */
    uint32_t header_timeout_ms, body_timeout_ms, idle_timeout_ms, write_timeout_ms; /* [DESIGN 4] */

    const char
        *spool_dir; /* lent; where archives lie while they come in; NULL: they are held in memory */
    int64_t import_max_bytes; /* of one archive, and of all that come in at a time */

    /* what GET / and GET /api/v1 tell */
    const char *build, *build_number; /* kept */
    int64_t memory_max_mb;            /* largest memory limit of a function */
    const char *
        metrics_functions; /* lent; which functions have metrics of their own: "off" (NULL), "top:20", "label:KEY=VALUE", or both with a comma */
};

/* Could it be opened with these functions of --metrics-functions? 0, or NR_EINVAL with a sentence. */
int gateway_judge(const char *metrics_functions, struct nr_err *err);
/* Listens at once, answers when the loop runs; until gateway_set_ready(true) every call is refused with
 * 503 and only /healthz, /readyz and /metrics answer. A port in use is NR_EBUSY or NR_EIO with a sentence. */
int gateway_open(const struct gateway_config *c, struct gateway **ret, struct nr_err *err);
/* The port that was taken. */
int gateway_port(const struct gateway *g);
/* What /readyz says; false also refuses calls with 503 and Retry-After. */
void gateway_set_ready(struct gateway *g, bool ready);
/* Copies (given) of the listening sockets, at most max of them; returns how many. */
size_t gateway_listeners(const struct gateway *g, int *ret_fds, size_t max);
/* Another process prepares itself to serve on: an encrypted connection, which cannot change hands, ends with its next reply; off: it does not. */
void gateway_part(struct gateway *g, bool on);
/* Another process serves on: accepts no connection any more, ends streams, and closes each connection after its reply; those that are idle and not
 * encrypted are given away as descriptors (given), at most max; returns how many. Requests that were begun are taken until gateway_drain(), before which it
 * is called once more for connections that have become idle since. */
size_t gateway_hand_over(struct gateway *g, int *ret_fds, size_t max);
/* The same, after it, of encrypted connections of which not a byte was read yet. */
size_t gateway_hand_over_untouched(struct gateway *g, int *ret_fds, size_t max);
/* Requests that have begun and are not whole yet. */
unsigned gateway_reading(const struct gateway *g);
/* Encrypted connections that were opened and have not asked yet. */
unsigned gateway_greeting(const struct gateway *g);
/* Goes on with a connection that the process before gave away (fd given); untouched: as gateway_hand_over_untouched() gave it. */
void gateway_adopt(struct gateway *g, int fd, bool untouched);
/* Not ready any more, accepts no connection, closes idle ones; `idle` comes once, when the last
 * connection is gone (maybe before this returns). */
void gateway_drain(struct gateway *g, void (*idle)(void *arg), void *arg);
/* Closes every connection; `closed` comes once, when all handles are closed, no request is in the hands
 * of another part any more, and g is freed. NULL: at once. */
void gateway_close(struct gateway *g, void (*closed)(void *arg), void *arg);
/* The APIs of this account (lent) are others from now on, or it leaves: what is known of its routes is forgotten. To be called at FN_APIS_CHANGED
 * and when an account is forgotten. */
void gateway_apis_changed(struct gateway *g, const char *account);
/* Does a function carry the label that gateway_config.metrics_functions names? SERIES_AS_BEFORE: it is not told. */
enum series_label { SERIES_AS_BEFORE, SERIES_WITHOUT, SERIES_WITH };
/* What a function did in a stretch of time (long form, lent), for its metrics. Any thread, until gateway_close(). */
void gateway_sample(struct gateway *g, const struct sample *s, enum series_label label);
/* A custom metric: a value that the log of this function ("name" or "package/name") of the account (lent) tells, in the short form (lent); NULL: it could not be
 * read. True: it was taken; what is refused is counted by reason. */
bool gateway_custom_metric(struct gateway *g, const char *account, struct nr_str function,
                           const struct sample *s);
/* The account (lent) leaves: nothing is known of its APIs, and its functions have no metrics any more. */
void gateway_forget_account(struct gateway *g, const char *account);
/* Adds the gateway's own figures in Prometheus text form to out (lent). */
void gateway_metrics(struct gateway *g, struct nr_buf *out);

#endif
