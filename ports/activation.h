/* One invocation: the one struct that travels by pointer through gateway, controller and invoker.
 *
 * Each part owns one enum of states and one tick function. Every event handler is "store, then tick". The first error wins
 * (activation_fail). No libuv handle lives here: deadlines are links, connections and slots outlive activations.
 * Loop's thread only; what other threads need of it is copied.
 */
#ifndef NR_PORTS_ACTIVATION_H
#define NR_PORTS_ACTIVATION_H

#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/base/map.h"
#include "common/data/db.h"
#include "common/net/loop.h"
#include "ports/function.h"

/* Ceilings of DESIGN section 5. */
#define NR_PAYLOAD_MAX_BYTES (1 << 20)
#define NR_RESULT_MAX_BYTES (1 << 20)

#if defined(__SANITIZE_ADDRESS__)
#define ACTIVATION_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ACTIVATION_SANITIZED 1
#endif
#endif

/* How many ended ones a pool keeps: as many as may wait for their rows at some ten thousand calls a second. None when the address sanitizer watches:
 * what is kept looks alive to it. */
#ifdef ACTIVATION_SANITIZED
enum { ACTIVATION_POOL_MAX = 0 };
#else
enum { ACTIVATION_POOL_MAX = 2048 };
#endif

struct controller;
struct slot;
struct far;
struct composition; /* controller: a sequence or a composition that runs */
struct fire;        /* controller: a trigger that is fired */
struct counted;     /* controller: figures of one function */
struct call_usage;

/* What ran: of the record. */
enum activation_kind { ACTIVATION_FUNCTION, ACTIVATION_TRIGGER };

/* How the function ended: status of the record. */
enum outcome_status {
    OUTCOME_SUCCESS,
    OUTCOME_APPLICATION_ERROR,
    OUTCOME_DEVELOPER_ERROR,
    OUTCOME_INTERNAL_ERROR
};

/* How the container was found, and if it was cold, why. */
enum start_kind { START_NONE, START_WARM, START_FROZEN, START_STEM, START_COLD };
enum cold_cause {
    COLD_NOT,
    COLD_FIRST_CALL,
    COLD_SCALE_OUT,
    COLD_EVICTED,
    COLD_UPDATED,
    COLD_CRASHED
};

enum controller_state { C_RESOLVE, C_ADMIT, C_ACCEPT, C_RUN, C_RECORD, C_END };
enum invoker_state { I_IDLE, I_BORROW, I_CLAIM, I_INIT, I_SEND, I_AWAIT, I_LOGS, I_RETURN, I_END };

/* What the invoker found out; filled before the controller is ticked at the answer. */
struct outcome {
    enum outcome_status status;
    struct nr_str result; /* JSON text, in the activation's arena, `result_mem` or `result_of` */
    char *result_mem;     /* made; freed with the activation */
    struct activation *
        result_of; /* shared: in whose memory `result` is when it is not in its own (a sequence answers what its last step did);
                                     let go with the activation, not before */
    bool timed_out;     /* annotation `timeout` */
    bool out_of_memory; /* its container had no more memory for it: the end was for that */
    bool is_array;      /* a bare array is answered bare */
};

struct activation {
    /* in: set by who makes it (gateway, or the controller for a reloaded row) before controller_invoke() */
    enum activation_kind kind;
    struct account *account; /* shared: in whose name it runs, and who has the record */
    struct nr_str
        space; /* namespace of the target, decoded, in the arena; n == 0: the account's own */
    struct nr_str package, name; /* of the target, decoded, in the arena; package.n == 0: none */
    int64_t number;      /* the published version that was asked for; 0: LATEST, or by alias */
    struct nr_str alias; /* that was asked for, in the arena; n == 0: none */
    struct nr_str transaction; /* X-Request-ID, given or made; `code` of error bodies */
    struct nr_str
        input; /* JSON object text; lent until on_reply or, with `blocking` false, until controller_invoke() returns:
                                     the controller copies what must live longer */
    struct nr_str api_key; /* "uuid:key" as presented, lent as input is; {NULL,0} after a reload */
    bool blocking, result_only;
    bool asked;  /* by a client, at the door: it counts in controller_asked() */
    bool judged; /* who made it has held the input against the function's final names himself */
    uint32_t wait_ms; /* how long a blocking caller waits: 1..60000 */
    void (*on_reply)(
        struct activation *
            a); /* exactly once, unless NULL (reloaded rows): read `err`, `reply_status`, `reply` */
    void *owner; /* of who made it: the gateway's request */

    /* out: what the gateway writes */
    int reply_status;         /* 200, 202, 502, 500 */
    struct nr_buf reply;      /* body; valid during on_reply */
    struct nr_buf reply_head; /* further header lines ("Retry-After: 3\r\n") */
    bool
        client_gone; /* set by the gateway: nobody reads the reply; the record is kept all the same */

    /* the record */
    char id[33];             /* "" until admitted */
    char cause[33];          /* parent, or "" */
    bool caused_by_sequence; /* a step of a sequence or composition: annotation causedBy */
    uint64_t steps_us;       /* of a sequence or composition: the run times of its steps */
    struct function *fn;     /* shared, from resolve on */
    int64_t start_wall_ms, end_wall_ms; /* labels: start of init or run, end of run */
    uint64_t accepted_us, borrowed_us, started_us, answered_us; /* monotonic */
    uint64_t init_us;                                           /* 0: the container was warm */
    uint32_t held_ms; /* it waited for the end of an update of its function */
    /* stages of a start that was not warm, 0: did not happen: waited for a place, plugged into a network slot, Engine create, start until hello;
     * a stem's hand-over (memory raised, whose it is written, code opened); a thaw */
    uint64_t queue_us, network_us, create_us, boot_us, handover_us, thaw_us;
    enum start_kind start;
    enum cold_cause
        cold;        /* with START_STEM and START_COLD: why no container of its own was there */
    bool stem_empty; /* START_COLD: stems of its kind are kept, but none was ready */
    struct outcome outcome;
    struct nr_buf logs; /* lines, each ended by '\n'; empty when limits.logs is 0 */
    int epoch;          /* attempt; a late result of an old one is dropped */

    /* who holds it */
    int refs;
    int err; /* NR_E* that cut it, 0; first wins */

    /* controller */
    enum controller_state c;
    struct controller *ctl;
    struct activation *
        parent; /* shared: the sequence or composition whose step it is; it is not admitted by itself then, and its answer
                                  goes to on_reply however long it takes */
    struct composition *composition; /* made: of a sequence or conductor from C_RUN on */
    struct fire *fire; /* of a trigger, and of the calls that it starts until they are on disk */
    struct activation *
        input_of; /* shared: in whose arena the input is; NULL: in its own, or lent as told above */
    int64_t backlog_bytes;           /* of its input, while it is accepted work */
    bool backlog_row;                /* its row is on the way to the queue */
    struct nr_deadline wait;         /* blocking wait */
    struct nr_link in_account;       /* controller's list of live ones */
    struct nr_db_job row;            /* accept or claim under way */
    bool admitted, replied, durable; /* durable: its row in calls.db is on disk */
    bool row_pending, row_running, claim_wanted, claim_refused;
    bool input_secret;        /* it is sealed where it waits on disk */
    bool key_kept;            /* api_key is the controller's copy, to be wiped */
    struct nr_map_node by_id; /* controller's map of live and not yet stored ones */
    struct counted *counted;  /* in whose figures it is, until it is answered */
    bool counted_in;          /* and as one in flight */

    /* what the invoker asks of the controller (set by the controller) */
    void (*on_step)(
        struct activation *
            a); /* tick the controller: at the answer (i == I_AWAIT), and at the end (i == I_END) */
    int (*claim)(
        struct activation
            *a); /* NULL: none needed. Makes "running" durable before the first byte is sent; 0 now,
                                               1 later (invoker_claimed() is called), < 0 do not run */

    /* invoker */
    enum invoker_state i;
    struct nr_link queue; /* waiting for a slot */
    struct slot *slot;
    struct nr_deadline deadline; /* init or run limit */
    void *invoker;

    /* fleet */
    struct far *far;       /* the other host that has it; NULL: this one, or none yet */
    bool unplaced;         /* it waits for a host, in the fleet's queue */
    unsigned char bounces; /* hosts that gave it back before it had started */
    /* of an errand on another host, which does what errand.c does here (ports/errand.h) */
    bool follows;
    struct call_usage *
        usage; /* lent: it is watched there, and what was seen is here at the end; NULL: it is not watched */

    struct nr_arena arena; /* everything that lives as long as this does */

    struct activation_pool *pool; /* where its memory goes at the end, or NULL */

    struct nr_err error; /* out; error.code != 0: refused before it ran; error body from text and
                            transaction. Last, because its text is not cleared for each call */
};

/* Makes one (zeroed, one reference) or NULL without memory. */
struct activation *activation_make(void);
/* Memory of activations that have ended, for those to come: a warm call allocates nothing. One thread makes and releases them. */
struct activation_pool *activation_pool_make(void);
/* As activation_make(). */
struct activation *activation_pool_take(struct activation_pool *p);
/* Nothing is taken any more; it is freed when the last activation out of it has ended, or now. NULL is fine. */
void activation_pool_close(struct activation_pool *p);
struct activation *activation_ref(struct activation *a);
/* The last one frees it, its arena, buffers and snapshots, or gives the memory back to its pool. NULL is fine. */
void activation_unref(struct activation *a);
/* The first error wins; code and sentence. */
void activation_fail(struct activation *a, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* "success", "application error", ... */
const char *outcome_status_text(enum outcome_status s);
const char *start_kind_text(enum start_kind s);
const char *cold_cause_text(enum cold_cause c);

#endif
