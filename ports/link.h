/* The invoker's side of a link (ports/wire.h): what a process with --roles=invoker opens beside its invoker. It dials the controller, for ever, runs the calls that it
 * is given by invoker_run(), keeps their results until they are taken, and tells what it has. Not for who may dial, and not for where calls are placed: that is the
 * controller's (ports/far.h, ports/invokers.h). Loop's thread, except where said.
 */
#ifndef NR_PORTS_LINK_H
#define NR_PORTS_LINK_H

#include "common/base/log.h"
#include "common/net/loop.h"
#include "ports/invoker.h"

struct link;

/* Texts are lent, but for those that are kept. */
struct link_config {
    struct nr_loop *loop;
    struct invoker *invoker;
    const struct node *node; /* kept */
    const char *controller;  /* "tls://HOST:PORT" or "unix:/PATH" */
    const char
        *pin; /* "sha256:<64 hex>" of the controller's public key; needed with tls, and only then */
    const char *token;                  /* "": none, which a unix socket allows */
    const char *name;                   /* [a-z0-9-]{1,63} */
    const char *tags;                   /* "KEY=VALUE,..." */
    const char *code_dir;               /* the code of functions is kept in it */
    int64_t code_max_bytes;             /* so much of it */
    const char *installation;           /* of this invoker's data folder */
    const char *version;                /* of this program */
    const char *const *kinds;           /* kept; each ends with NULL */
    const char *const *images;          /* kept */
    const struct grant_device *devices; /* kept; NULL: none */
    unsigned containers_max;
    /* Where the API is, as the first controller tells it, before any of its calls runs (lent; NULL: it tells nothing). link_api_known() is to be called once, maybe
     * from inside. */
    void (*api_host)(void *arg, const char *url);
    void *arg;
    struct nr_log *log;
};

/* Could it be opened, as far as its texts tell? 0, or NR_EINVAL with a sentence that names the option. What needs an invoker is not read. */
int link_judge(const struct link_config *c, struct nr_err *err);
/* Judges the texts, looks what code is kept, and dials. Blocking; at start. NR_EINVAL with a sentence that names the option. */
int link_open(const struct link_config *c, struct link **ret, struct nr_err *err);
/* Has a controller taken it, now? */
bool link_is_up(const struct link *l);
/* Functions are told where the API is; calls that waited for that go on. */
void link_api_known(struct link *l);

/* For struct invoker_config: what happened to a container. Lost while no controller listens. */
void link_event(struct link *l, const struct event *e);
/* For struct invoker_config: asks the controller. Blocking; any thread but the loop's. */
void link_registry_auth(struct link *l, const char *account, const char *image, char **ret_auth);

/* Takes no new call and gives back those that have not started; `done` once, on the loop: when all that runs has ended and the controller has taken the results, at the
 * latest after max_ms and what a result takes to be told. The invoker is not drained by this. */
void link_drain(struct link *l, uint64_t max_ms, void (*done)(void *arg), void *arg);
/* Calls that have not ended. */
size_t link_running(const struct link *l);
/* The containers are gone: tells the controller so, and ends the link; who waits for credentials gets none. `closed` once, later, on the loop: nobody is asked or told
 * anything any more. */
void link_close(struct link *l, void (*closed)(void *arg), void *arg);
/* The invoker is closed and the loop has ended. NULL is fine. */
void link_free(struct link *l);

#endif
