/* What the files of the invoker share. Loop's thread, except what start.h says.
 *
 *   invoker.c    opening, closing, the port's small calls         run.c        invoker_tick: the story of one call
 *   pool.c       who gets which slot                              pool_start.c when to start one more container
 *   forget.c     all that is kept of an account, when it goes
 *   evict.c      room: the node's memory, who goes for it         states.c     states and reasons, as tables
 *   gpu.c        the ledger of GPUs                               gpu_room.c   who goes for one
 *   images.c     images by Engine workers                         image_text.c what the Engine says of pulls
 *   container.c  life of one container                            freeze.c     idle containers that use no CPU
 *   stem.c       containers started ahead of any function         handover.c   a stem becomes a function's container
 *   ahead.c      code that is loaded before any call
 *   slot.c       one connection: hello, frames in and out         server.c     the socket a container dials
 *   frame_budget.c what calls make us hold, all together
 *   start.c      what Engine workers do for a container           engine.c     the workers
 *
 * Who owns what: the invoker owns containers; a container owns its slots; a slot has at most one connection and at most one call.
 * An activation holds its slot from I_BORROW to I_RETURN; one that is nobody's, `ahead`, from I_INIT. A container's memory stays until its handles, jobs and connections are gone.
 */
#ifndef NR_INVOKER_INTERNAL_H
#define NR_INVOKER_INTERNAL_H

#include "common/base/map.h"
#include "common/base/metric.h"
#include "invoker/adopt.h"
#include "invoker/cgroup.h"
#include "invoker/create.h"
#include "invoker/engine.h"
#include "invoker/frame_reader.h"
#include "invoker/network.h"
#include "invoker/pool_queue.h"
#include "invoker/probe.h"
#include "invoker/value.h"
#include "ports/figures.h"
#include "ports/invoker.h"

struct ahead_failure;
struct container;
struct conn;
struct freeze_job;
struct gpu_ledger;
struct image_commands;
struct shelf;
struct start_job;
struct stems;
struct monitor;
struct sweep;
struct watched;

/* How long a container may take from the Engine's start to its first hello, and how often the Engine is asked meanwhile. */
enum { HELLO_MS = 30000, HELLO_ASK_MS = 2000 };
/* Logs after an answer; last words after a call was cut. */
enum { LOGS_MS = 2000, LAST_WORDS_MS = 300 };
/* A container that could not be removed or started is tried again after this. */
enum { RETRY_MS = 1000 };

/* ---- slots -------------------------------------------------------------------------------------------------- */

/* What came for the slot's call since it was taken; stored by slot.c, read by run.c. */
struct slot_news {
    bool init_done, answered, ended, lost;
    bool late;           /* a deadline struck while only logs were missing */
    uint8_t flags;       /* of INIT_DONE or ANSWER */
    uint8_t verdict;     /* of END */
    struct nr_str bytes; /* of INIT_DONE or ANSWER; lent during the tick, or in `parts` */
};

enum slot_claim { CLAIM_NONE, CLAIM_ASKED, CLAIM_DONE };

struct slot {
    struct container *ct;
    unsigned index;
    struct conn *conn;    /* NULL: not connected */
    struct activation *a; /* who holds it */
    struct nr_link free;  /* in its pool's list while nobody does */
    uint64_t call;        /* number of the call under way; 0: none */
    enum slot_claim claim;
    bool init_sent, run_sent, shut;
    bool init_too_big; /* what INIT would say */
    uint64_t init_us;  /* when INIT was written */
    struct slot_news got;
    struct nr_buf parts; /* an answer in several parts; the error of a failed init */
    size_t log_bytes;
    size_t held_bytes; /* frame_budget.c's: what of v->held_bytes is this call's */
    unsigned frames;   /* of the call under way */
    int64_t oom_kills; /* of the container's earlier calls, as far as they were looked at */
};

/* Writes INIT with the code's descriptor; < 0: the connection is of no use. */
int slot_send_init(struct slot *s);
/* Writes RUN. < 0: nothing was written; borrow another one. */
int slot_send_run(struct slot *s);
/* Closes our half: the agent kills the worker and may still send logs and END. */
void slot_cut(struct slot *s);
/* Closes the connection. */
void slot_close(struct slot *s);

/* A connection that was accepted; it finds its slot by its hello. */
void conn_open(struct container *ct);
void conn_close(struct conn *c);

/* ---- containers --------------------------------------------------------------------------------------------- */

/*
 *   STARTING --hello--> STEM --handed over--> FRESH
 *   STARTING --hello--> FRESH --INIT sent--> INIT --END, all well--> BUSY <--call, no call--> IDLE
 *                                            INIT --END, all well, no call--> IDLE
 *   IDLE --nobody calls--> FROZEN --call--> BUSY
 *   ADOPTING --every slot said hello, code loaded--> IDLE
 *      any of them --last call ended, failed, evicted, unwanted--> DYING --removed by the Engine--> GONE
 */
enum container_state {
    CT_STARTING,
    CT_ADOPTING, /* of an earlier run: not all of its slots have said hello */
    CT_STEM,
    CT_FRESH,
    CT_INIT,
    CT_BUSY,
    CT_IDLE,
    CT_FROZEN,
    CT_DYING,
    CT_GONE,
    CT_STATES
};

/* What a container was started for. */
enum start_reason { FOR_CALL, FOR_SCALE_OUT, FOR_PREWARM, FOR_STEM, FOR_ADOPTION, START_REASONS };

/* Why a container ended, and with a returned slot, why its container must. ENDED_NOT: it has not. */
enum end_reason {
    ENDED_NOT,
    ENDED_EXPIRED,
    ENDED_EVICTED,
    ENDED_UPDATED,
    ENDED_CRASHED,
    ENDED_START_FAILED,
    ENDED_INIT_FAILED,
    ENDED_TIMED_OUT,
    ENDED_LOG_TROUBLE,
    ENDED_FAILED, /* the function threw, or gave no JSON: its runtime would not go on with it */
    ENDED_CUT,
    ENDED_DRAINED,
    ENDED_NETWORK_LOST,
    ENDED_STEM_SURPLUS,
    ENDED_HANDOVER_FAILED,
    ENDED_NOT_ADOPTED,
    END_REASONS
};

/* Where a container's control groups are; looked up after its hello. */
enum cgroup_state { CGROUP_UNKNOWN, CGROUP_LOOKING, CGROUP_OPEN, CGROUP_HIDDEN };

/* Its agent has gone without a word: was it for want of memory? */
enum loss_state { LOSS_NOT_ASKED, LOSS_ASKED, LOSS_KNOWN };

/* A stem that becomes a function's container; handover.c. */
struct handover {
    struct engine_job job;    /* raise, whose it is, network slot, small code */
    struct nr_work code;      /* large code */
    struct engine_job update; /* the raise, where the files are not visible */
    unsigned pending;         /* of these */
    bool raise, raise_failed; /* by the files */
    bool failed;              /* another container is to be found */
    uint64_t begun_us, us;
    struct nr_err err, update_err;
};

struct container {
    struct invoker *v;
    struct pool *pool;   /* NULL: a stem, or dying */
    struct shelf *shelf; /* a stem's, until it is handed over or dies */
    struct function *fn; /* shared; NULL: a stem */
    enum container_state state;
    enum start_reason begun_for;
    enum end_reason ended; /* set when it is retired */
    enum function_network network;
    bool retired;  /* takes no further call; goes with its last one */
    bool removing; /* the Engine was asked to remove it */
    bool booting;  /* it has one of the places for containers that boot, or waits for one */
    bool left;     /* a drain lets go of it for the next start instead of removing it */
    bool born_stem;
    bool never_spoke; /* the Engine has started it, and there will be no hello */
    bool called;      /* it had a call */
    int refs;         /* the invoker's, one per handle, connection, job and work */
    char name[9];     /* 8 hex; folder, agent's id */
    char id[65];      /* the Engine's; "" until created */
    char kind[32];    /* as its agent says it; "" until its hello */
    unsigned slot_count, connected, calls;
    struct slot *slots;
    struct nr_link in_pool, in_all;
    struct nr_link idle;     /* in v->idle or v->frozen while it has no call */
    struct nr_link in_shelf; /* a stem that is ready */
    struct activation *
        ahead; /* made: loads the code before any call, in slot 0; NULL: none. No call of `calls` */
    struct nr_link in_ahead; /* in v->ahead meanwhile */
    /* When it was wished for, how long the Engine's create took and when it ended; its hello; its code was loaded. */
    uint64_t begun_us, create_us, created_us, hello_us, loaded_us;
    uint64_t idle_since_ms;
    double priority; /* of eviction: the lowest goes first */
    int64_t memory_mb;
    enum cold_cause cold;
    bool stem_empty;             /* stems of its kind are kept, and none was ready for it */
    struct nr_err failure;       /* why it could not be started */
    struct watched *watched;     /* monitor.c's; NULL: not looked at yet */
    struct nr_deadline deadline; /* hello; removal tried again */
    struct start_job *start;     /* under way */
    uv_pipe_t server;
    bool server_open, accept_later;
    struct nr_link conns; /* of this container, greeted or not */
    unsigned conn_count;
    struct nr_work code_work; /* opens and checks the code while the Engine starts the container */
    int code_fd;
    int code_result; /* of the work */
    int code_status; /* 1: under way (with a hand-over: all of it), 0: there, < 0 */

    pid_t
        pid; /* of its agent, as the kernel tells it: of who said the first hello that was taken */
    enum cgroup_state cgroup_state;
    struct cgroup cgroup; /* to be used with CGROUP_OPEN only */
    struct nr_work
        inside_work; /* after its first hello: plugs it in, looks up its control groups */
    struct engine_job inside_job; /* the same, where it sets rules */
    struct nr_err cgroup_err;
    enum loss_state loss;
    struct nr_work loss_work; /* asks its memory group */
    int64_t oom_kills;        /* what that said; -1: nothing */
    struct handover handover;

    bool frozen;                   /* asked for; its processes may stop at any time */
    bool no_freeze;                /* it failed once */
    bool frozen_by_engine;         /* how */
    bool must_unpause;             /* before it is removed */
    struct freeze_job *freeze_job; /* the Engine is asked to pause or unpause it */
    uint64_t thaw_begun_us, thaw_us;

    struct net_user net_user;
    struct net_slot *net_slot;     /* plugged in before it is greeted */
    uint64_t net_begun_us, net_us; /* the plugging in: since when, how long */
    struct nr_err net_err;
    char settings[65]; /* digest of its create body, for adoption */
};

/* What a container is made from: `pool` for a function's, else `shelf`. Its memory is reserved already. */
struct container_seed {
    struct pool *pool;
    struct shelf *shelf;
    enum function_network network; /* a stem's */
    int64_t memory_mb;             /* a stem's */
    enum start_reason why;
    enum engine_rank rank;
    enum cold_cause cold;
    bool stem_empty;
};

/* A container of p in its first state, in all lists; its memory is reserved already. */
struct container *container_make(struct invoker *v, struct pool *p, enum container_state first);
/* Makes one and asks the Engine for it. Failures come later, by pool_start_failed() or stem_failed(). */
void container_start(struct invoker *v, const struct container_seed *seed);
/* Gives it slots 0 .. count-1; slot 0 keeps its connection. It has no call. */
void container_set_slots(struct container *ct, unsigned count);
/* It has come up, or never will, or is slow by its own doing: its place is free. Fine when it has none. */
void container_boot_over(struct container *ct);
/* No further call; goes now or with its last call. The first reason stays. */
void container_retire(struct container *ct, enum end_reason why);
/* A dying one is removed once no start and no work of ours is under way in it. */
void container_remove_when_free(struct container *ct);
/* Its connections are broken off: calls learn that they are lost. Goes now. */
void container_lose(struct container *ct, enum end_reason why, const char *sentence);
/* "guest/hello", or "(stem)". */
const char *container_function(const struct container *ct);
/* Opens f's code and checks its digest. *ret_fd: made; -1 when there is no code. Blocking, any thread. */
int container_open_code(const struct function *f, int *ret_fd);

/* status.c. "ab12cd34 (guest/hello), ..." of those that are not gone, as many as there is room for. */
enum { LEFT_NAMES_BYTES = 1536 };
void containers_named(const struct invoker *v, char out[static LEFT_NAMES_BYTES]);
/* states.c. May it go there now? The table, and what must hold in the new state. */
bool container_may_move(const struct container *ct, enum container_state to);
/* Aborts where it may not. */
void container_move(struct container *ct, enum container_state to);
const char *container_state_name(enum container_state s);
/* "call", "stem", ...; "expired", "evicted", ... */
const char *start_reason_text(enum start_reason r);
const char *end_reason_text(enum end_reason r);
/* What the next cold start of the function tells after such an end. */
enum cold_cause cold_cause_after(enum end_reason r);

struct container *container_ref(struct container *ct);
void container_unref(struct container *ct);
/* Its first or a further slot said hello. */
void container_greeted(struct container *ct, struct slot *s);
/* Its code is loaded: further slots may be borrowed (loaded ahead: all of them, once container_offer_slots() is asked). */
void container_loaded_now(struct container *ct);
/* Connected slots that nobody holds go to the pool. */
void container_offer_slots(struct container *ct);
/* Can it run calls? */
bool container_loaded(const struct container *ct);

/* server.c: the folder, the socket in it, who may connect. */
int server_open(struct container *ct, struct nr_err *err);
void server_close(struct container *ct);
/* The Engine's id is known now, a connection has ended, there are more slots: one that waited for it is taken. */
void server_accept_waiting(struct container *ct);

/* ---- the pool ----------------------------------------------------------------------------------------------- */

/* What is remembered of a function's name over all its revisions: wishes, and why its last container ended. */
struct past {
    struct nr_map_node node; /* "account/package/name" */
    char *name;
    uint64_t revision; /* that ran last; 0: none yet */
    uint64_t newest;   /* as it is stored, of those that ran */
    enum end_reason last_end;
    unsigned pools;
    int desired, maximum;  /* -1: no wish */
    int64_t keep_alive_ms; /* -1: no wish */
    bool ahead_only;       /* calls that wait start nothing */
    /* press.c: such calls wait. When that may be told again, what was wished for when it was, how often in a row that changed nothing. */
    struct nr_link pressing; /* in v->pressing until it is told */
    uint64_t press_after_ms;
    int pressed_desired;
    unsigned pressed_in_vain;
    /* figures.c: processor time that is not paid for yet, energy, and how much of it was told */
    int64_t cpu_us;
    double joules, joules_told, used_s, used_told_s;
    struct nr_link used; /* in v->used while cpu_us > 0 */
    struct nr_link told; /* while a sample is taken; its figures */
    struct container_figures figures;
};

/* Containers and waiting calls of one revision. */
struct pool {
    struct nr_map_node node; /* revision, 8 bytes */
    uint64_t revision;
    struct invoker *v;
    struct function *fn; /* shared */
    struct past *past;
    struct pool_queue waiting;
    struct nr_link free; /* slots; most recently used first */
    struct nr_link containers;
    struct nr_link hungry; /* in v->hungry while a start waits for memory or for better times */
    unsigned waiting_count, container_count;
    uint64_t not_before_ms; /* no start before: the last one failed */
    uint64_t call_us;       /* what a call takes, decayed; 0: none has come back yet */
    uint64_t uses;          /* calls it was given */
    uint64_t
        cost_us; /* from the wish for a container to its code loaded, decayed; 0: none has come up */
    struct ahead_failure *failure; /* made: of those started for a wish; NULL: none */
    bool loaded;                   /* its code has been, once */
    bool stale, feeding;
};

/* pool_maps.c: the pool of f's revision, made when it is not there; of a revision, or NULL; the past of a name, made likewise. */
struct pool *pool_of(struct invoker *v, struct function *f);
struct pool *pool_find(struct invoker *v, uint64_t revision);
struct past *pool_past_of(struct invoker *v, const char *account, const char *package,
                          const char *name);
bool past_is_of(const struct past *past, const char *account);
/* Frees the pasts of the account's functions; they have no pools. */
void pool_forget_pasts(struct invoker *v, const char *account);
/* Frees p when there is nothing to keep: no container, nobody waits, nothing wished. */
void pool_drop_if_empty(struct pool *p);

/* 0: a->slot is set; 1: later (ticked with a slot, an outcome or an error). */
int pool_borrow(struct invoker *v, struct activation *a);
/* a no longer waits. */
void pool_leave(struct invoker *v, struct activation *a);
/* Drops the wishes for the account's functions and what is remembered of them. False: some of their containers or calls are still there. */
bool pool_forget_account(struct invoker *v, const char *account);
/* forget.c: closing; what waits for another look is dropped. */
void forget_stop(struct invoker *v);
/* a holds s from now on; nothing of who held it before is left in it. */
void slot_lend(struct slot *s, struct activation *a);
/* `why` ENDED_NOT: the slot may be used again; else its container goes. */
void pool_return(struct slot *s, enum end_reason why);
/* A slot of ct has become free or was lost; calls that wait get what there is, starts are made for the rest. */
void pool_slot_free(struct slot *s);
void pool_feed(struct pool *p);
/* A container did not come up; it retires itself. */
void pool_start_failed(struct container *ct);
/* ct is gone, its memory is free again. */
void pool_container_gone(struct container *ct);
void pool_tidy(struct invoker *v);
/* Something has become free, or may become so: who waits for memory, a stem or better times is looked at soon. */
void pool_stir(struct invoker *v);

/* pool_start.c: containers for the calls that wait, as many as pay; for wishes; ahead of everything, who is hungry. */
void pool_start_for_calls(struct pool *p);
void pool_start_wished(struct invoker *v);
void pool_feed_hungry(struct invoker *v);
/* The calls of p that wait are looked at again when something ends, and every second. */
void pool_wait_for_better_times(struct pool *p);
/* Slots to those that wait, oldest first. */
void pool_serve(struct pool *p);
void pool_forget(struct invoker *v, uint64_t revision);
void pool_wish(struct invoker *v, const struct scaler_wish *w);
/* f may be wished for before its first call. */
void pool_know(struct invoker *v, struct function *f);
void pool_fini(struct invoker *v);

/* ---- the invoker -------------------------------------------------------------------------------------------- */

/* Whom a container's connections must come from. Tests put their own process here. */
struct peer_rule {
    uid_t uid;
    bool (*inside)(pid_t pid, const char *container_id);
};

struct invoker_metrics {
    nr_counter starts, start_failures, evictions, expirations, borrowed_warm, borrowed_cold, lost,
        protocol_errors;
    nr_counter started[START_REASONS]; /* by start_reason_text() */
    nr_counter ended[END_REASONS];     /* by end_reason_text() */
    nr_counter handovers, handover_failures;
    nr_counter stems_empty; /* containers started because no stem was ready */
    nr_counter inits_ahead, init_ahead_failures;
    nr_counter freezes, thaws, freeze_failures;
    struct nr_hist start_seconds, handover_seconds, thaw_seconds;
};

/* A call may come with the snapshot of a revision that was forgotten meanwhile: its container is for that call only. So many are
 * remembered. */
enum { FORGOTTEN_MAX = 1024 };
/* Of a process that has handed over, and a NUL. */
enum { BESIDE_PREFIX_BYTES = 5 };

struct invoker {
    struct nr_loop *loop;
    struct node *node;
    struct nr_log *log;
    char *run_dir, *folder, *hosts_path, *agent_path, *installation, *image_hint, *name;
    uint32_t keep_alive_ms, freeze_after_ms;
    uint32_t keep_alive_own_ms; /* as configured: while nobody wishes another one */
    unsigned containers_max;    /* 0: as memory allows */
    struct peer_rule peer;
    struct engine *engine;
    struct probe probe;
    struct monitor *monitor;            /* NULL: nobody looks */
    struct sweep *sweep;                /* NULL: not yet */
    struct network *network;            /* NULL: containers do not live in network slots */
    const struct grant_device *devices; /* that may be granted; NULL: none */
    char *volumes_dir;                  /* granted volumes are below it */
    char *api_host;                     /* what functions are told; NULL: nothing */
    bool network_draining, network_closed;
    struct stems *stems;
    struct gpu_ledger *gpus;         /* who holds which */
    struct image_commands *commands; /* of own images; any thread */
    void (*registry_auth)(void *arg, const char *account, const char *image, char **ret_auth);
    void *registry_auth_arg;
    void (*event)(void *arg, const struct event *e);
    void *event_arg;
    void (*pressed)(void *arg); /* with event_arg */
    uint64_t full_ms;           /* when it was told last that there is no room; 0: not yet */

    struct nr_map pools, pasts;
    struct nr_link containers, hungry;
    struct nr_link pressing;  /* names with calls that wait and start nothing */
    struct nr_link used;      /* names whose processor time is not paid for yet */
    struct nr_link idle;      /* without a call, idle for longest first */
    struct nr_link frozen;    /* of these, the ones that are frozen, likewise */
    struct nr_link ahead;     /* load their code before any call */
    unsigned container_count; /* not gone yet */
    unsigned dying_count;
    double clock;               /* of eviction: the priority of who went last */
    struct nr_link orphans;     /* containers of nobody that are being removed */
    struct nr_link forgettings; /* accounts that are leaving; forget.c's */
    unsigned alive;             /* containers, orphans and jobs that something still refers to */
    unsigned wishes;
    uint64_t forgotten[FORGOTTEN_MAX]; /* revisions that are no longer current; the latest ones */
    unsigned forgotten_next;
    int64_t dying_mb;
    char *seccomp;     /* profile of every container; NULL: the Engine's default */
    uint64_t start_us; /* from the wish for a container to its hello, decayed */
    uint64_t next_call;
    char *read_buf;                    /* shared by all connections between two reads */
    size_t held_bytes, held_max_bytes; /* frame_budget.c's: of all calls under way */
    struct nr_buf meta;                /* of the RUN that is being written */
    struct value_room value;           /* of the same */
    struct nr_deadline tidy;
    struct nr_deadline stir;   /* those that wait are looked at */
    struct nr_deadline freeze; /* the next idle container is frozen */
    struct nr_deadline press;  /* it is told that calls wait; press_ms: when */
    uint64_t press_ms;

    struct adoption adoption;
    bool keep_containers;
    bool beside;  /* beside.c's: another process of this installation has containers here */
    bool handed;  /* it serves on, and we end what we have */
    bool expects; /* it is about to come */
    char prefix[BESIDE_PREFIX_BYTES]; /* of the names of containers made since; "": any */
    bool (*foreign)(void *arg, const char *name);
    void *foreign_arg;

    bool stopping;
    bool resting;  /* invoker_rest() */
    unsigned left; /* containers, when the drain's deadline struck */
    struct nr_deadline drain_deadline;
    void (*drained)(void *arg);
    void *drained_arg;
    void (*closed)(void *arg);
    void *closed_arg;
    struct invoker_metrics m;
};

enum { READ_BUF_BYTES = 64 << 10 };

/* run.c: the story of one call; every event stores, then ticks. */
void invoker_tick(struct activation *a);
/* Why the container of a's slot must go after this call, as far as it is known now; ENDED_NOT: it may stay. */
enum end_reason invoker_end_reason(const struct activation *a);

/* beside.c: is it a container of another process, which lives? */
bool beside_foreign(const struct invoker *v, const char *name);
/* invoker.c: a container or an orphan is gone; ends a drain that waits for the last one. */
void invoker_container_gone(struct invoker *v);
/* The last reference to a container is gone; ends a close that waits for the last one. */
void invoker_container_freed(struct invoker *v);
/* The process is in the control group of this container: the kernel's word, as seen from here. Any thread. */
bool inside_cgroup(pid_t pid, const char *container_id);

/* Microseconds between two moments; 0 when the later one has not come. */
static inline uint64_t span_us(uint64_t from_us, uint64_t to_us)
{
    return to_us > from_us && from_us ? to_us - from_us : 0;
}

#endif
