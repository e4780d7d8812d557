/* The invoker's port: run one activation in a container of this host. This is the one seam that will also have a wire form.
 * Loop's thread, except where said.
 */
#ifndef NR_PORTS_INVOKER_H
#define NR_PORTS_INVOKER_H

#include "common/base/log.h"
#include "ports/activation.h"
#include "ports/image.h"
#include "ports/load.h"
#include "ports/node.h"
#include "ports/scaler.h"

struct invoker;
struct event;
struct grant_device;

struct invoker_config {
    struct nr_loop *loop;
    struct node *node;         /* kept: memory budget shared by all shards */
    const char *docker_socket; /* "/var/run/docker.sock" */
    const char *volumes_dir; /* folder of granted volumes, made when one is; NULL: below run_dir */
    const struct grant_device *devices; /* kept; as grants_read_devices() gives them; NULL: none */
    const char *run_dir;                /* c/<8 hex>/ sockets, <cid>.json */
    const char *agent_path;             /* static agent, mounted read-only */
    const char *installation;           /* label narae.installation: 16 hex of the data folder */
    const char *invoker;                /* label narae.invoker; NULL: "0" */
    const char *image_hint;             /* command that builds missing images, for the error text */
    const char *const *images;          /* our runtime images to check at start; ends with NULL */
    const char *const
        *kinds;         /* "python:3", ...: what each of them runs; NULL: as the image is called */
    int engine_workers; /* 0: twice the cores */
    uint32_t keep_alive_ms;   /* idle container lives this long, 600,000 */
    unsigned containers_max;  /* 0: as many as memory allows */
    uint32_t freeze_after_ms; /* idle container is frozen after this, 1,000; 0: never */
    /* Number of stem cells: "auto", "off", or "python:3=2,nodejs:18=1,native=1" (each network that is used gets as many). */
    const char *stems;
    bool
        keep_containers; /* a drain leaves idle containers behind, to be adopted by the next start */
    /* What the start-up probe chooses, forced; each is "auto" (the best that works) or one of its words. */
    const char *runtime;      /* auto, or the name of an Engine runtime: "runc", "crun" */
    const char *freezer;      /* auto, cgroup, engine, off */
    const char *memory_raise; /* auto, cgroup, engine, off */
    const char *network;      /* auto, slots, bridge, none */
    const char *seccomp;      /* auto, own, engine */
    /* What the host draws without work, and each processor more that works; energy is measured where the host can. */
    int64_t energy_idle_mw, energy_core_mw;
    bool energy_by_model; /* not measured, even where it could be */
    /* A function as it is now (shared, given), NULL when there is none that may run. Blocking; called by invoker_open() only, for the
     * containers of an earlier run. NULL: none is adopted. */
    struct function *(*function_of)(void *arg, const struct function_names *names);
    void *function_of_arg;
    /* Another process of this installation has containers here: what is everybody's (bridge, rules, control group, folders) is neither made anew nor
     * removed, until invoker_alone(). */
    bool beside;
    bool
        adopts_later; /* that process serves still: what it leaves is adopted by invoker_adopt(), not by invoker_open() */
    /* Is the container of this name (8 hex) such a process's? Loop's thread, or that of the start; any number of times. NULL: none is. */
    bool (*foreign)(void *arg, const char *name);
    void *foreign_arg;
    /* What the Engine is to show a registry so that `account` gets `image` (*ret_auth made, wiped and freed by the invoker), or NULL. Blocking;
     * an Engine worker's thread. NULL: nobody has credentials. */
    void (*registry_auth)(void *arg, const char *account, const char *image, char **ret_auth);
    void *registry_auth_arg;
    /* What happened to containers, on `loop`; e is lent for the call. NULL: nobody listens. */
    void (*event)(void *arg, const struct event *e);
    void *event_arg;
    /* Calls wait that may start no container: invoker_pressed() tells of which functions (ports/figures.h). On `loop`, with event_arg. NULL: nobody
     * listens. */
    void (*pressed)(void *arg);
    struct nr_log *log;
};

/* Probes the Engine, prints the table of capabilities to the log, adopts or removes containers of an earlier run. Blocking; at start.
 * An Engine that does not answer is NR_EUNAVAIL with a sentence that says what to do; a missing image is a warning in the table. */
int invoker_open(const struct invoker_config *c, struct invoker **ret, struct nr_err *err);

/* With `adopts_later`: adopts or removes what is there now, of functions as function_of (NULL: none is adopted) tells them. Blocking; at start. */
int invoker_adopt(struct invoker *v,
                  struct function *(*function_of)(void *arg, const struct function_names *names),
                  void *arg, struct nr_err *err);
/* The other process has ended: the installation is ours alone, and what it left goes. */
void invoker_alone(struct invoker *v);
/* The other process has given memory back (struct node's memory_used_mb was lowered): calls that wait for some are looked at. */
void invoker_room(struct invoker *v);
/* Another process of this installation tries the Engine (`on`), or has ended that: containers that nobody knows are left alone meanwhile. */
void invoker_expect(struct invoker *v, bool on);
/* Another process serves on here: idle containers are let go of, closed and thawed, for it to adopt; those with calls go on to the end of these, and calls that
 * wait are still given one. Nothing is kept ahead of calls any more. Adds to `out` a JSON object {"prefix","containers":[...]}: the names that stay ours,
 * and how those begin that are still made. Returns the memory of those that stay, in MB. */
int64_t invoker_hand_over(struct invoker *v, struct nr_buf *out);
/* Where the platform's API is, as functions see it. */
struct invoker_api {
    const char *url;  /* what they are told as __OW_API_HOST (lent); NULL: one of the next three */
    bool tls;         /* https */
    uint32_t address; /* host's byte order; 0: the host's side of the bridge of network slots */
    uint16_t port;
};
/* Functions are told it, and those that are given an API key and are in a network slot may call that address and port, and none other of the
 * host. *ret_url: what they are told (lent for the invoker's life). NR_EUNAVAIL with a sentence: containers have no way there, and nothing
 * is told. Once, before the loop runs. */
int invoker_api_host(struct invoker *v, const struct invoker_api *api, const char **ret_url,
                     struct nr_err *err);

/* Runs a: borrows a slot (warm, or a start), sends, awaits, collects logs. a->on_step comes at the answer with a->outcome filled
 * (a->i == I_AWAIT) and once at the end (a->i == I_END); after the second one the invoker does not touch a again.
 * Never runs on_step inside itself before it returns, except on the warm path's immediate failures (then a->err is set). */
void invoker_run(struct invoker *v, struct activation *a);
/* The controller's claim is done: 0 runs it, < 0 gives the slot back. */
void invoker_claimed(struct activation *a, int status);
/* Cuts a call that waits or runs; on_step comes as always with a->err = err. */
void invoker_cut(struct activation *a, int err);
struct call_watch;
struct call_usage;
/* For a->claim, in whose place it stands (returns 1 then): looks at the container of the call until invoker_watch_end(), and lets the call
 * go on when the first look is done. `done` comes once after the end, on the loop; the watch is gone then. ports/errand.h. */
struct call_watch *invoker_watch(struct activation *a,
                                 void (*done)(void *arg, const struct call_usage *u), void *arg);
/* The call was answered; its run began at run_us (0: it never did). One last look, then `done`, maybe before this returns. */
void invoker_watch_end(struct call_watch *w, uint64_t run_us);
/* A revision, and with it all that were derived from it (function.h), is no longer current: idle containers go now, busy ones after their call. */
void invoker_forget(struct invoker *v, uint64_t revision);
/* Is there a container of the revision that takes calls, or will? */
bool invoker_serves(const struct invoker *v, uint64_t revision);
/* What there is of the revision now. */
void invoker_load(const struct invoker *v, uint64_t revision, struct invoker_load *ret);
/* Tells, from inside, of each revision that has containers or calls that wait; f is lent for the call. Trials are left out. */
void invoker_loads(const struct invoker *v,
                   void (*each)(void *arg, const struct function *f,
                                const struct invoker_load *load),
                   void *arg);
/* All that is kept of the account goes: its containers, its volumes and what they hold, what its functions used, wishes for them. To be asked
 * when no call of it is left. `done` comes once, on the loop, when that is so; never after invoker_close(), the next start asks again then. */
void invoker_forget_account(struct invoker *v, const char *account, void (*done)(void *arg),
                            void *arg);
/* Obeyed within a second. */
void invoker_wish(struct invoker *v, const struct scaler_wish *w);
/* f (lent) as it is now: what is wished for can start before its first call. Passed over when nothing is wished for it. */
void invoker_know(struct invoker *v, struct function *f);

/* on: no container starts but for a call that waits, and those that are here go when their calls have ended. off: as always. */
void invoker_rest(struct invoker *v, bool on);
/* Removes all containers, but idle ones with keep_containers; `done` once, at the latest after max_ms. */
void invoker_drain(struct invoker *v, uint64_t max_ms, void (*done)(void *arg), void *arg);
/* After `done`: containers that could not be removed in time. */
unsigned invoker_left(const struct invoker *v);
/* Closes handles (asynchronously, on the loop) and, once `closed` came, joins the workers and frees. */
void invoker_close(struct invoker *v, void (*closed)(void *arg), void *arg);

/* May calls be sent here? False with a sentence (INVOKER_WHY_BYTES) when the Engine has not answered anybody for INVOKER_PATIENCE_MS: what is
 * warm is served then, and nothing new starts. It is asked every 5 s, and well at its first answer. */
enum { INVOKER_PATIENCE_MS = 10000, INVOKER_WHY_BYTES = 160 };
bool invoker_ready(const struct invoker *v, char why[static INVOKER_WHY_BYTES]);

/* The probe's table and the pool as JSON (docs: /narae/v1/invokers, `narae doctor`). With an account (lent) its own containers, functions
 * and figures only; NULL: those of all, with stems, network slots, GPUs and the host's use. Capabilities and choices are everybody's. */
void invoker_status(struct invoker *v, const char *account, struct nr_buf *out);
void invoker_metrics(struct invoker *v, struct nr_buf *out);
/* The Engine as the start-up probe found it: its version and more (lent for the invoker's life); "": it did not answer. */
const char *invoker_engine(const struct invoker *v);
/* The table of the start-up probe as a JSON array, as in its document. */
void invoker_capabilities(const struct invoker *v, struct nr_buf *out);
/* Highest memory in use that the monitoring agent has seen in a container of this function; -1: none was seen. */
int64_t invoker_function_peak_bytes(const struct invoker *v, const char *path);

#endif
