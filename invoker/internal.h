/* What the files of the invoker share. Loop's thread, except what start.h says.
 *
 *   invoker.c    opening, closing, the port's small calls         run.c        invoker_tick: the story of one call
 *   pool.c       who gets which slot, when to start, to evict     container.c  life of one container, its table of states
 *   slot.c       one connection: hello, frames in and out         server.c     the socket a container dials
 *   start.c      what Engine workers do for a container           engine.c     the workers
 *
 * Who owns what: the invoker owns containers; a container owns its slots; a slot has at most one connection and at most one call.
 * An activation holds its slot from I_BORROW to I_RETURN. A container's memory stays until its handles, jobs and connections are gone.
 */
#ifndef NR_INVOKER_INTERNAL_H
#define NR_INVOKER_INTERNAL_H

#include "common/base/map.h"
#include "common/base/metric.h"
#include "invoker/adopt.h"
#include "invoker/create.h"
#include "invoker/engine.h"
#include "invoker/frame_reader.h"
#include "invoker/probe.h"
#include "ports/invoker.h"

struct container;
struct conn;
struct monitor;
struct start_job;
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
    uint64_t init_us; /* when INIT was written */
    struct slot_news got;
    struct nr_buf parts; /* an answer in several parts; the error of a failed init */
    size_t log_bytes;
    unsigned frames; /* of the call under way */
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
 *   STARTING --hello--> FRESH --INIT sent--> INIT --END, all well--> BUSY <--call, no call--> IDLE
 *   ADOPTING --every slot said hello, code loaded--> IDLE
 *      any of them --last call ended, failed, evicted, unwanted--> DYING --removed by the Engine--> GONE
 */
enum container_state {
    CT_STARTING,
    CT_ADOPTING, /* of an earlier run: not all of its slots have said hello */
    CT_FRESH,
    CT_INIT,
    CT_BUSY,
    CT_IDLE,
    CT_DYING,
    CT_GONE,
    CT_STATES
};

struct container {
    struct invoker *v;
    struct pool *pool;
    struct function *fn; /* shared */
    enum container_state state;
    bool retired; /* takes no further call; goes with its last one */
    bool left;    /* a drain lets go of it for the next start instead of removing it */
    int refs;     /* the invoker's, one per handle, connection, job and code work */
    char name[9]; /* 8 hex; folder, agent's id */
    char id[65];  /* the Engine's; "" until created */
    unsigned slot_count, connected, calls;
    struct nr_link in_pool, in_all, idle;
    uint64_t begun_us, created_us, hello_us, loaded_us;
    uint64_t idle_since_ms;
    uint64_t create_us; /* how long the Engine's create took */
    int64_t memory_mb;
    enum cold_cause cold;
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
    int code_status; /* 1: under way, 0: there, < 0 */
    struct slot slots[];
};

/* Asks the Engine for a container of pool p's function. Its memory is reserved already. Failures come later, by
 * pool_start_failed(). */
void container_start(struct invoker *v, struct pool *p, enum engine_rank rank, enum cold_cause why);
/* No further call; goes now or with its last call. `why` is what the next cold start will tell. */
void container_retire(struct container *ct, enum cold_cause why);
void container_move(struct container *ct, enum container_state to);
/* A container of p in its first state, in all lists; its memory is reserved already. */
struct container *container_make(struct invoker *v, struct pool *p, enum container_state first);
struct container *container_ref(struct container *ct);
void container_unref(struct container *ct);
/* Its first or a further slot said hello. */
void container_greeted(struct container *ct, struct slot *s);
/* Its code is loaded: further slots may be borrowed. */
void container_loaded_now(struct container *ct);
/* Can it run calls? */
bool container_loaded(const struct container *ct);
const char *container_state_name(enum container_state s);

/* server.c: the folder, the socket in it, who may connect. */
int server_open(struct container *ct, struct nr_err *err);
void server_close(struct container *ct);
/* The Engine's id is known now: connections that waited for it are taken. */
void server_accept_waiting(struct container *ct);

/* ---- the pool ----------------------------------------------------------------------------------------------- */

/* What is remembered of a function's name over all its revisions: wishes, and why its last container ended. */
struct past {
    struct nr_map_node node; /* "account/package/name" */
    char *name;
    uint64_t revision; /* that ran last; 0: none yet */
    enum cold_cause last_end;
    unsigned pools;
    int desired, maximum;  /* -1: no wish */
    int64_t keep_alive_ms; /* -1: no wish */
};

/* Containers and waiting calls of one revision. */
struct pool {
    struct nr_map_node node; /* revision, 8 bytes */
    uint64_t revision;
    struct invoker *v;
    struct function *fn; /* shared */
    struct past *past;
    struct nr_link waiting; /* activations, by `queue` */
    struct nr_link free;    /* slots; most recently used first */
    struct nr_link containers;
    struct nr_link hungry; /* in v->hungry while a start waits for memory or for better times */
    unsigned waiting_count, container_count;
    uint64_t not_before_ms; /* no start before: the last one failed */
    uint64_t call_us;       /* what a call takes, decayed; 0: none has come back yet */
    bool stale, feeding;
};

/* pool_maps.c: the pool of f's revision, made when it is not there; of a revision, or NULL; the past of a name, made likewise. */
struct pool *pool_of(struct invoker *v, struct function *f);
struct pool *pool_find(struct invoker *v, uint64_t revision);
struct past *pool_past_of(struct invoker *v, const char *account, const char *package,
                          const char *name);
/* Frees p when there is nothing to keep: no container, nobody waits, nothing wished. */
void pool_drop_if_empty(struct pool *p);

/* 0: a->slot is set; 1: later (ticked with a slot, an outcome or an error). */
int pool_borrow(struct invoker *v, struct activation *a);
/* a no longer waits. */
void pool_leave(struct invoker *v, struct activation *a);
void pool_return(struct slot *s, bool reuse);
/* A slot of ct has become free or was lost; calls that wait get what there is, starts are made for the rest. */
void pool_slot_free(struct slot *s);
void pool_feed(struct pool *p);
/* A container did not come up; it retires itself. */
void pool_start_failed(struct container *ct);
/* ct is gone, its memory is free again. */
void pool_container_gone(struct container *ct);
/* A container has no call: it may be evicted. */
void pool_idle(struct container *ct);
void pool_tidy(struct invoker *v);
void pool_forget(struct invoker *v, uint64_t revision);
void pool_wish(struct invoker *v, const struct scaler_wish *w);
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
    struct nr_hist start_seconds;
};

struct invoker {
    struct nr_loop *loop;
    struct node *node;
    struct nr_log *log;
    char *run_dir, *folder, *hosts_path, *agent_path, *installation, *image_hint;
    uint32_t keep_alive_ms;
    struct peer_rule peer;
    struct engine *engine;
    struct probe probe;
    struct monitor *monitor; /* NULL: nobody looks */

    struct nr_map pools, pasts;
    struct nr_link containers, idle, hungry;
    unsigned container_count; /* not gone yet */
    struct nr_link orphans;   /* containers of nobody that are being removed */
    unsigned alive;           /* containers and orphans that something still refers to */
    unsigned wishes;
    int64_t dying_mb;
    char *seccomp;     /* profile of every container; NULL: the Engine's default */
    uint64_t start_us; /* from the wish for a container to its hello, decayed */
    uint64_t next_call;
    char *read_buf;     /* shared by all connections between two reads */
    struct nr_buf meta; /* of the RUN that is being written */
    struct nr_deadline tidy;

    struct adoption adoption;
    bool keep_containers;

    bool stopping;
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
