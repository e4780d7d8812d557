/* An invoker on another host, as the controller's process sees it: the listener that such invokers dial, and the calls of ports/invoker.h
 * over a link (ports/wire.h). Loop's thread, except where said. No callback comes from inside a call of this header, but those that say so.
 */
#ifndef NR_PORTS_FAR_H
#define NR_PORTS_FAR_H

#include "common/base/log.h"
#include "ports/activation.h"
#include "ports/figures.h"
#include "ports/load.h"
#include "ports/scaler.h"

struct far;
struct far_listener;
struct event;
struct image_call;

struct far_tag {
    char *key, *value;
};

/* What an invoker tells of itself when it joins. Texts are never NULL. */
struct far_hello {
    int protocol; /* that is spoken with it */
    char *name;   /* [a-z0-9-]{1,63} */
    char *token;  /* as presented; "" everywhere but in admit() */
    char *session;
    char *installation, *version, *arch;
    char *engine;       /* invoker_engine() there */
    char *capabilities; /* invoker_capabilities() there; "": not told */
    bool takes_images;  /* far_image() */
    int64_t cores, memory_max_mb, gpus;
    char **kinds, **images; /* each ends with NULL */
    struct far_tag *tags;   /* tag_count of them */
    size_t tag_count;
};

struct far_listener_config {
    struct nr_loop *loop;
    const char *
        listen; /* "ADDRESS:PORT", port 0: any (TLS); "unix:/PATH" (no TLS; the peer is root, this uid, or invoker_uid) */
    const char *cert_path, *key_path; /* NULL: data_dir's own, made when it is not there */
    const char *data_dir;             /* invokers.crt, invokers.key */
    int64_t invoker_uid;              /* -1: none but root and the own one */
    const char *api_host;             /* what functions are told as __OW_API_HOST; NULL: nothing */
    struct nr_log *log;
    void *arg;
    /* May it join? h is lent. 0, or < 0 (NR_EFORBIDDEN) with a sentence that it is told. */
    int (*admit)(void *arg, const struct far_hello *h, const char *address, struct nr_err *err);
    /* The link is up, for the first time or again. */
    void (*joined)(void *arg, struct far *f);
    /* The link is down. What was not granted has been told by `bounced` before; f lives on. */
    void (*lost)(void *arg, struct far *f);
    /* a has not started and is not f's any more: place it again, or fail it. a->i == I_IDLE. */
    void (*bounced)(void *arg, struct far *f, struct activation *a);
    /* A whole report came: far_load(), far_figures() and far_takes() may have changed. */
    void (*reported)(void *arg, struct far *f);
    /* Of a container there; e is lent. */
    void (*event)(void *arg, struct far *f, const struct event *e);
    /* As in struct invoker_config: blocking, not on the loop's thread. NULL: nobody has credentials. */
    void (*registry_auth)(void *arg, const char *account, const char *image, char **ret_auth);
};

/* Listens; texts of c are lent. Blocking (a certificate may be made); at start. A sentence on failure. */
int far_listen(const struct far_listener_config *c, struct far_listener **ret, struct nr_err *err);
/* Loads the certificate and its key again, for links from now on; the pin is that of the new key. `commit` false: looks only whether both are good. On failure nothing changes. */
int far_listener_reload(struct far_listener *l, bool commit, struct nr_err *err);
/* The port; 0: a unix socket. */
uint16_t far_port(const struct far_listener *l);
/* "sha256:<64 hex>" of the certificate's public key (lent for the listener's life); NULL: no TLS. */
const char *far_pin(const struct far_listener *l);
/* Nobody can dial any more: the socket is closed, links that have joined stand. */
void far_listener_deafen(struct far_listener *l);
/* Refuses who dials, ends all links; every struct far must be ended before. `closed` comes once, later, on the loop. */
void far_listener_close(struct far_listener *l, void (*closed)(void *arg), void *arg);
/* The links' counters and a row per invoker in the Prometheus form. */
void far_metrics(struct far_listener *l, struct nr_buf *out);

/* Lent until the next `joined` of f. */
const struct far_hello *far_hello(const struct far *f);
bool far_is_up(const struct far *f);
/* May calls be given to it now: up, not cordoned and not leaving by itself, neither its link nor its calls at their ceiling, its Engine
 * well or `warm` (a slot that is warm there needs no Engine). */
bool far_takes(const struct far *f, bool warm);
/* Why it does not take calls (lent; "" when it does). */
const char *far_why_not(const struct far *f);
/* Calls that it has and that have not ended. */
size_t far_calls(const struct far *f);
/* For the owner, who sets and reads it. */
void far_set_owner(struct far *f, void *owner);
void *far_owner(const struct far *f);

/* As invoker_run(), _claimed(), _cut(): on_step comes at the answer and at the end, a->claim is asked before the call starts; a link that
 * ends before that means `bounced`, and so does an invoker that says nothing of the call. a->invoker is f's while the call is there. */
void far_run(struct far *f, struct activation *a);
/* Was it given to a far invoker by far_run(), and is it there still? */
bool far_has(const struct far *f, const struct activation *a);
void far_claimed(struct far *f, struct activation *a, int status);
void far_cut(struct far *f, struct activation *a, int err);
/* Takes a back when it has not been granted: true, and it is not f's any more (no `bounced` comes); false: it runs, or is being claimed. */
bool far_take_back(struct far *f, struct activation *a);

/* Was it told of the revision on this link, and not released? */
bool far_knows(const struct far *f, uint64_t revision);
/* As invoker_forget(), also while the link is down (told when it is back). */
void far_forget(struct far *f, uint64_t revision);
/* As invoker_forget_account(). `done` comes later: when the invoker has done it, who may be away until then, or with far_end(). */
void far_forget_account(struct far *f, const char *account, void (*done)(void *arg), void *arg);
/* As invoker_wish(), invoker_know(). Passed over while the link is down; the owner tells them again when it has joined. */
void far_wish(struct far *f, const struct scaler_wish *w);
void far_know(struct far *f, struct function *fn);
/* Begins c on that host, as invoker_image() does here: `done` comes once, on a work thread or the loop's, maybe before this returns. NR_EUNAVAIL when the link
 * is down, ends, or has WIRE_IMAGE_CALLS_MAX. */
void far_image(struct far *f, struct image_call *c);
/* It takes no new call; what is not granted comes back by `bounced`, later. on false: it takes calls again. Holds over links. */
void far_cordon(struct far *f, bool on);
bool far_is_cordoned(const struct far *f);
/* Cordons it; holds over links, until it is empty. `done` comes once, later: when its calls have ended and its containers are gone; or from inside
 * far_cordon(off), another far_drain(), or far_end(). */
void far_drain(struct far *f, void (*done)(void *arg), void *arg);

/* The last report, corrected by the calls that it was given since. */
void far_load(const struct far *f, uint64_t revision, struct invoker_load *ret);
/* All revisions together: slots in use and calls that wait. */
unsigned far_busy(const struct far *f);
/* Memory there that no container has, as last reported. */
int64_t far_room_mb(const struct far *f);
/* As invoker_figures(): `each` is called from inside, what is counted since the last time begins anew. */
void far_figures(struct far *f, void (*each)(void *arg, const struct container_figures *figures),
                 void *arg, struct node_figures *ret);
/* As invoker_function_peak_bytes(), of a function that it has been told and has containers of. */
int64_t far_function_peak_bytes(const struct far *f, const struct function *fn);
/* One JSON object. With an account (lent) its own pools only, without the host's address and use; NULL: all. */
void far_status(const struct far *f, const char *account, struct nr_buf *out);

/* Ends the link; calls that were granted end by their policy now, the others come back by `bounced`, both from inside this call; then f is gone. Not from inside a
 * callback. A call whose claim is still being asked for is answered by far_claimed() as before, and comes back by `bounced`. */
void far_end(struct far *f);

#endif
