/* The fleet's port: all invokers of the platform as one, the one of this process and those of other hosts. Whoever calls it does not know on which host
 * a call runs. Loop's thread, but for the opening.
 *
 *   place    a call goes to a host where the function is warm, else to its home or to the least loaded one; what it must find there (`narae.place`,
 *            GPUs) decides who may have it at all
 *   bounce   what a host gives back before it has started is placed again; what nobody can take now waits for a host for a while, and is refused then
 *   alone    with no invoker but our own every call here is one of ports/invoker.h, after one branch
 */
#ifndef NR_PORTS_INVOKERS_H
#define NR_PORTS_INVOKERS_H

#include "common/base/log.h"
#include "ports/activation.h"
#include "ports/figures.h"
#include "ports/invoker.h"
#include "ports/scaler.h"

struct event;
struct image_call;
struct invokers;

/* Other hosts at most, known by name; a name is [a-z0-9-]{1,63}. */
enum { INVOKERS_MAX = 256, INVOKER_NAME_BYTES = 64 };

struct invokers_config {
    struct nr_loop *loop;
    struct invoker *local; /* kept, and closed by invokers_close(); NULL: this host runs no calls */
    const struct node *node; /* kept; of this host */
    const char *data_dir;    /* lent: fleet.db, and the certificate of the listener */
    /* kept; "ADDRESS:PORT" (TLS) or "unix:/PATH"; NULL: no invoker of another host is taken */
    const char *listen;
    const char *certificate, *key; /* kept; of the listener, PEM files; NULL: its own is made */
    int64_t
        invoker_uid; /* who may dial over the unix socket beside root and ourselves; -1: nobody */
    /* As in struct invoker_config, of the other hosts. */
    void (*event)(void *arg, const struct event *e);
    void (*registry_auth)(void *arg, const char *account, const char *image, char **ret_auth);
    void *arg;
    struct nr_log *log;
};

/* Opens fleet.db where others may join. Blocking; at start. */
int invokers_open(const struct invokers_config *c, struct invokers **ret, struct nr_err *err);
/* Others may join from now on; once, when all that they need is open. Functions there are told `api_url` (lent; NULL: nothing) as __OW_API_HOST.
 * Blocking; at start. Nothing happens where none may join. */
int invokers_listen(struct invokers *f, const char *api_url, struct nr_err *err);
/* The certificate that other hosts dial is loaded again (`commit`), or only looked at; the log tells a new pin. A sentence on failure, and nothing has changed. f may be NULL. */
int invokers_reload(struct invokers *f, bool commit, struct nr_err *err);
/* That of this process (lent); NULL: there is none. */
struct invoker *invokers_local(const struct invokers *f);
/* There is no other, and none may join. */
bool invokers_alone(const struct invokers *f);

/* As invoker_run(), invoker_claimed() and invoker_cut(), on whatever host. A call that no host can take ends with NR_EUNAVAIL and a sentence. */
void invokers_run(struct invokers *f, struct activation *a);
void invokers_claimed(struct activation *a, int status);
void invokers_cut(struct activation *a, int err);
/* As invoker_serves(), of this host; of another one: has it been told of the revision since it has joined? That it has no container any more it says
 * itself. */
bool invokers_serve(const struct invokers *f, uint64_t revision);
/* As invoker_forget(), on all hosts. */
void invokers_forget(struct invokers *f, uint64_t revision);
/* As invoker_forget_account(): `done` comes when all hosts that are up are rid of it. One that is not is told when it comes back, also after a restart. */
void invokers_forget_account(struct invokers *f, const char *account, void (*done)(void *arg),
                             void *arg);
/* As invoker_wish() and invoker_know(): shared out over the hosts that may have the function, its home first, and anew when a host comes or goes. */
void invokers_wish(struct invokers *f, const struct scaler_wish *w);
void invokers_know(struct invokers *f, struct function *fn);

/* As invoker_drain(), invoker_left() and invoker_close(), of the local one; the links of the others end and leave what runs there to itself. */
void invokers_drain(struct invokers *f, uint64_t max_ms, void (*done)(void *arg), void *arg);
unsigned invokers_left(const struct invokers *f);
void invokers_close(struct invokers *f, void (*closed)(void *arg), void *arg);

/* Another process serves on, and listens for the hosts: nobody may join here any more; a host whose calls of ours have ended goes to it, the last one
 * with this process where there is no own one. */
void invokers_hand_over(struct invokers *f);
/* The process that was here before still has hosts, which come as its calls end (`on`): calls wait for them; or it has ended. */
void invokers_beside(struct invokers *f, bool on);

/* May calls be sent to any host? As invoker_ready(). */
bool invokers_ready(const struct invokers *f, char why[static INVOKER_WHY_BYTES]);
/* The local one's document with `invokers` behind its members: one for each other host, with what is known of it. Without a local one the members that
 * would be its are those of the fleet. With an account (lent) only what everybody may know of a host. */
void invokers_status(struct invokers *f, const char *account, struct nr_buf *out);
/* The local one's, and for each other host those with the label `invoker`. */
void invokers_metrics(struct invokers *f, struct nr_buf *out);
/* As invoker_figures(): each function once with what it has on all hosts, then all hosts together as one node. */
void invokers_figures(struct invokers *f,
                      void (*each)(void *arg, const struct container_figures *c), void *arg,
                      struct node_figures *ret);

/* As invoker_image(): begins c here, or where this host runs no calls on one of the others, always on the same one as long as that takes calls; nobody is
 * there: NR_EUNAVAIL. Any thread, until invokers_close(). */
void invokers_image(struct invokers *f, struct image_call *c);
/* What runs the containers: invoker_engine() of this host, else of the first other one that is up (lent until anything else is called); "": none is known. */
const char *invokers_engine(const struct invokers *f);
/* As invoker_function_peak_bytes(), the highest of all hosts. */
int64_t invokers_function_peak_bytes(const struct invokers *f, const struct function *fn);

/* ---- managing other hosts --------------------------------------------------------------------------------------- */

enum invokers_op {
    INVOKERS_ADD,
    INVOKERS_REMOVE,
    INVOKERS_CORDON,
    INVOKERS_UNCORDON,
    INVOKERS_DRAIN
};

/* A change; lent until done. */
struct invokers_call {
    /* in */
    enum invokers_op op;
    struct nr_str name; /* lent until done */
    struct nr_str
        body; /* ADD: JSON object text, maybe with "tags"; n == 0: none; lent until done */
    void (*done)(
        struct invokers_call *c); /* once, on the loop; maybe before invokers_post() returns */
    void *owner;
    /* out */
    struct nr_err err;   /* NR_ENOENT, NR_EINVAL, NR_EQUOTA, NR_EUNAVAIL */
    bool made;           /* ADD: the name is new */
    struct nr_buf reply; /* JSON; nr_buf_fini by the caller */
};
/* ADD: the name may join, by the token of the reply, which is shown this once; an older one is worth nothing any more. REMOVE: its link ends, and the
 * name is forgotten. CORDON: no new call goes there; UNCORDON: they do again. DRAIN: cordoned, and what runs there ends; the reply does not wait for it. */
void invokers_post(struct invokers *f, struct invokers_call *c);

#endif
